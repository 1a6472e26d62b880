#!/usr/bin/env python3
"""recipe_language.py -- keys of recipes, on small models of our own; what the recorded cases do not have.

SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

import ladletest as lt

NAMES = ["model.embed_tokens.weight", "model.norm.weight"] + [f"model.layers.{i}.up.weight" for i in range(4)]


def model(tmp, name, value, files=None, config=None, names=NAMES):
    """A model all of whose tensors are value, value + 1 in layer 1 ..."""
    ts = {}
    for n in names:
        layer = int(n.split(".")[2]) if ".layers." in n else 0
        ts[n] = lt.Tensor("F32", (4, 4), lt.encode("F32", [value + layer] * 16))
    lt.write_model(os.path.join(tmp, name), ts, config=config or {"model_type": "llama", "num_hidden_layers": 4})
    for file, text in (files or {}).items():
        with open(os.path.join(tmp, name, file), "w", encoding="utf-8") as f:
            f.write(text)


def merge(tmp, recipe, *words, out="out"):
    with open(os.path.join(tmp, "recipe.yml"), "w", encoding="utf-8") as f:
        f.write(recipe)
    return lt.ladle("merge", "recipe.yml", out, *words, cwd=tmp)


def text(tmp, *path):
    with open(os.path.join(tmp, *path), encoding="utf-8") as f:
        return f.read()


def values(tmp, out="out"):
    ts, _ = lt.read_safetensors(os.path.join(tmp, out, "model.safetensors"))
    return {n: t.numbers()[0] for n, t in ts.items()}


def is_equal(what, got, want):
    return [] if got == want else [f"{what}: {got!r}, expected {want!r}"]


def refusal(tmp, run, *words, out="out"):
    problems = [f"no {w!r} in {run.err!r}" for w in words if w not in run.err]
    problems += [] if run.rc and len(run.lines()) == 1 else [f"exit {run.rc}: {run.err!r}"]
    left = lt.leftovers(os.path.join(tmp, out))
    return problems + ([f"left behind: {left}"] if left else [])


def slice_bases(report, tmp):
    """Each slice has its base, and the recipe has none."""
    for name, value in (("a", 1), ("b", 10), ("c", 100)):
        model(tmp, name, value)
    source = "{model: %s, layer_range: [%d, %d], parameters: {weight: 2}}"
    recipe = "merge_method: task_arithmetic\nslices:\n"
    for base, other, first in (("a", "b", 0), ("c", "a", 2)):
        recipe += f"- base_model: {base}\n  sources: [{source % (base, first, first + 2)}, {source % (other, first, first + 2)}]\n"
    run = merge(tmp, recipe)
    problems = run.problems()
    if not problems:
        got = values(tmp)
        want = [19, 20, -98 + 2, -98 + 3]
        problems = is_equal("layers", [got[f"model.layers.{i}.up.weight"] for i in range(4)], want)
        problems += is_equal("embedding, head", [got[n] for n in NAMES[:2]], [19, -98])
    report.case("slices with bases of their own", problems)
    run = merge(tmp, recipe.replace("- base_model: c\n  sources", "- sources"), out="o2")
    report.case("a slice without a base", refusal(tmp, run, "task_arithmetic needs a base_model", out="o2"))


JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"


def chat(report, tmp):
    config = '{\n  "x": 1e400,\n  "chat_template": %s,\n  "last": NaN\n}\n'
    model(tmp, "a", 1, {"tokenizer_config.json": config % json.dumps("{{ old }} template of a")})
    lists = [{"name": "tool", "template": "no"}, {"name": "default", "template": JINJA}]
    model(tmp, "b", 1, {"tokenizer_config.json": config % json.dumps(lists)})
    model(tmp, "c", 1, {"chat_template.jinja": f"\n{JINJA}\n", "tokenizer_config.json": "{}"})
    head = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b, c]\n"
    run = merge(tmp, head + "chat_template: auto")
    problems = run.problems()
    if not problems:
        problems = is_equal("jinja", text(tmp, "out", "chat_template.jinja"), JINJA)
        problems += is_equal("spliced", text(tmp, "out", "tokenizer_config.json"), config % json.dumps(JINJA))
    report.case("chat_template: auto takes the most frequent", problems)
    run = merge(tmp, head.replace("a, b, c", "c") + f"chat_template: '{JINJA}'", out="o2")
    problems = run.problems()
    if not problems:
        problems = is_equal("jinja", text(tmp, "o2", "chat_template.jinja"), JINJA)
        problems += is_equal("untouched", text(tmp, "o2", "tokenizer_config.json"), "{}")
    report.case("chat_template: a text", problems)
    for given, words in (("chatlm", "recipe.yml:4:16: chat_template: 'chatlm' is unknown; did you mean 'chatml'?"),
                         ("'{{ x }}'", "20 characters"), ("x" * 30, "with a '{'"), ("[a]", "Jinja template")):
        run = merge(tmp, head + f"chat_template: {given}", out="o3")
        report.case(f"chat_template: {given}", refusal(tmp, run, "recipe.yml:4:1", words, out="o3"))


def modules(report, tmp):
    model(tmp, "a", 1)
    model(tmp, "b", 10)
    head = "merge_method: linear\nparameters: {weight: 1, normalize: false}\n"
    body = "{models: [{model: a, parameters: {weight: 2}}, b], parameters: {weight: 3}}"
    run = merge(tmp, head + f"modules: {{default: {body}}}")
    problems = run.problems() or is_equal("a model's parameter, then the module's", values(tmp)[NAMES[0]], 32)
    report.case("modules: default", problems)
    for given, words in ((f"{{vision: {body}}}", "recipe.yml:3:10: modules other than"), ("{default: 3}", "3:20: a module is"),
                         ("{default: {}}", "3:20: exactly one"), ("[]", "3:10: modules: a map"), (f"{{default: {body}}}\nslices: []", "exactly one")):
        run = merge(tmp, head + f"modules: {given}", out="o2")
        report.case(f"modules: {given[:20]}", refusal(tmp, run, words, out="o2"))


def main():
    lt.need_program()
    report = lt.Report()
    for part in (slice_bases, chat, modules):
        with lt.workdir() as tmp:
            part(report, tmp)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
