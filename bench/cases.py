"""cases.py -- what is measured: every method, as flags of PaddleNLP's or as a recipe of mergekit's, and
what it may cost, as a multiple of the floor (cat of two fine-tunes, cp of one).

A case is named NAME (flags) or NAME.yml (recipe); a NAME that only recipes have means the recipe.
Standard library only. SPDX-License-Identifier: Apache-2.0"""
import os

NO_BASE, BASE, FIRST = 0, 1, 2  # FIRST: the first of two fine-tunes stands in the base's place


class Case:
    def __init__(self, name, base, limit, words=None, recipe=None, models=None, ceiling=None):
        self.name, self.base, self.limit, self.ceiling = name, base, limit, ceiling
        self.words, self.recipe = words, recipe
        self.models = models  # that many fine-tunes, or None: any number

    def takes(self, n):
        """How many of n fine-tunes it reads."""
        return self.models if self.models is not None else n

    def inputs(self, n):
        return self.takes(n) + (self.base == BASE)

    def used(self, models, n):
        """The folders that it reads."""
        return models.tunes(self.takes(n)) + ([models.base()] if self.base == BASE else [])

    def command(self, models, n):
        """Words after the program, but for the output (the last word wants it) and what all verbs share."""
        tunes, base = models.tunes(self.takes(n)), models.base() if self.base == BASE else None
        if self.recipe is not None:
            return ["merge", self.write(models, tunes, base)]
        if self.words[0] == "convert":
            return ["convert", tunes[0]]
        words = ["merge", *self.words, "--model_path_list", *tunes]
        return words + (["--base_model_path", base] if base else []) + ["--output_path"]

    def write(self, models, tunes, base):
        """The recipe's file."""
        method, each, whole = self.recipe
        if self.base == FIRST:
            base = tunes[0]
        lines = ["models:"]
        for path in tunes:
            lines += [f"- model: {path}"]
            lines += [f"  parameters: {{{each}}}"] if each and not (self.base == FIRST and path == base) else []
        lines += [f"merge_method: {method}"]
        lines += [f"base_model: {base}"] if base else []
        lines += [f"parameters: {{{whole}}}"] if whole else []
        path = os.path.join(models.folder, f"{models.shape}-{self.name}")
        with open(path, "w") as f:
            f.write("\n".join(lines + ["dtype: bfloat16"]) + "\n")
        return path

    def verdict(self, ratios):
        if self.ceiling is None or ratios.median <= self.limit:
            return ratios.at_most(self.limit)
        return "under ceiling" if ratios.at_most(self.ceiling) == "met" else ratios.at_most(self.ceiling)

    def limit_text(self):
        return "" if self.limit is None else f"{self.limit:g}" + (f", {self.ceiling:g}" if self.ceiling else "")


def flags(name, base, limit, *words, **more):
    return Case(name, base, limit, words=words or ("--merge_method", name), **more)


def recipe(name, base, limit, each="", whole="", **more):
    return Case(name + ".yml", base, limit, recipe=(name, each, whole), **more)


SPARSE = "weight: 0.6, density: 0.5"
CASES = [
    flags("linear", NO_BASE, 0.8),
    recipe("linear", NO_BASE, 0.8, "weight: 0.5"),
    recipe("task_arithmetic", BASE, 1.1, "weight: 0.6"),
    recipe("nearswap", BASE, 1.1, whole="t: 0.001", models=1),
    flags("slerp", NO_BASE, 1.1, models=2),
    recipe("slerp", FIRST, 1.1, whole="t: 0.4", models=2),
    flags("dare_linear", BASE, 1.4),
    flags("dare_ties", BASE, 1.4),
    recipe("dare_linear", BASE, 1.4, SPARSE),
    recipe("dare_ties", BASE, 1.4, SPARSE),
    flags("ties", BASE, 2),
    flags("trim", BASE, 2, "--sparsify_type", "trim", "--merge_type", "linear"),
    recipe("ties", BASE, 2, SPARSE),
    recipe("breadcrumbs", BASE, 2, "weight: 0.6, density: 0.8, gamma: 0.01"),
    recipe("breadcrumbs_ties", BASE, 2, "weight: 0.6, density: 0.8, gamma: 0.01"),
    recipe("sce", BASE, 2, whole="select_topk: 0.5"),
    recipe("model_stock", BASE, 2),
    recipe("karcher", NO_BASE, 2),
    recipe("multislerp", BASE, None, "weight: 0.5"),
    recipe("nuslerp", BASE, None, "weight: 0.5", models=2),
    recipe("ram", BASE, None),
    recipe("ramplus_tl", BASE, None),
    recipe("arcee_fusion", BASE, None, models=1),
    flags("della", BASE, 3, ceiling=6),
    flags("della_linear", BASE, 3, ceiling=6),
    recipe("della", BASE, 3, SPARSE + ", epsilon: 0.15", ceiling=6),
    recipe("della_linear", BASE, 3, SPARSE + ", epsilon: 0.15", ceiling=6),
    recipe("passthrough", NO_BASE, 0.75, models=1),
    flags("convert", NO_BASE, 0.75, "convert", models=1),
]
NAMED = {c.name: c for c in CASES}


def find(names):
    """Cases of these names, or None for one that is not there."""
    return [NAMED.get(n) or NAMED.get(n + ".yml") for n in names]
