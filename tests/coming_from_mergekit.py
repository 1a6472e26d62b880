#!/usr/bin/env python3
"""coming_from_mergekit.py -- what docs/coming-from-mergekit.md says of options, keys and methods is so.

Every option of its table is given to the program, every example of a key is planned, the methods are those of
`ladle methods`. All of mergekit's options must be in the table.
SPDX-License-Identifier: Apache-2.0"""
import json, os, re, sys

import ladletest as lt

lt.need_program()
lt.need_module("yaml")
import yaml  # noqa: E402

PAGE = os.path.join(lt.ROOT, "docs", "coming-from-mergekit.md")
# The options of mergekit-yaml, -multi and -pytorch, 0.1.4 and 0.1.5.
OPTIONS = """allow-crimes unsafe-truncate-embeddings transformers-cache lora-merge-cache lora-merge-dtype cuda device
low-cpu-memory out-shard-size copy-tokenizer clone-tensors trust-remote-code random-seed lazy-unpickle write-model-card
safe-serialization quiet read-to-gpu multi-gpu num-threads gpu-rich async-write write-threads intermediate-dir out-path lazy
tensor-intersection tensor-union"""
KEYS = """merge_method models slices modules base_model dtype out_dtype parameters tokenizer_source tokenizer.source
tokenizer.tokens tokenizer.pad_to_multiple_of chat_template name"""
RECIPE = {"merge_method": "ties", "base_model": "base", "models": ["a", "b"], "parameters": {"weight": 1}}
WORDS = ["w0", "w1", "w2", "w3", "w4", "w5"]


def rows(name):
    with open(PAGE, encoding="utf-8") as f:
        body = re.search(f"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", f.read(), re.S).group(1)
    return [[c.strip() for c in l.strip("|").split(" | ")] for l in body.splitlines()[2:]]


def code(cell):
    return re.findall("`([^`]*)`", cell)


def model(tmp, name):
    shapes = {"model.embed_tokens.weight": (6, 4), "model.norm.weight": (4,), "model.layers.0.up.weight": (4, 4), "model.layers.1.up.weight": (4, 4)}
    values = {n: lt.encode("F32", [0.5] * (s[0] * (s + (1,))[1])) for n, s in shapes.items()}
    config = {"num_hidden_layers": 2, "vocab_size": 6}
    lt.write_model(os.path.join(tmp, name), {n: lt.Tensor("F32", s, values[n]) for n, s in shapes.items()}, config=config)
    with open(os.path.join(tmp, name, "tokenizer.json"), "w") as f:
        json.dump({"added_tokens": [], "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(WORDS)}, "merges": []}}, f)


def plan(tmp, recipe, *words):
    with open(os.path.join(tmp, "recipe.yml"), "w") as f:
        yaml.safe_dump(recipe, f)
    return lt.ladle("plan", "recipe.yml", *words, cwd=tmp, env={"HF_HUB_CACHE": os.path.join(tmp, "cache")})


def options(report, tmp):
    seen = set()
    for option, _, status, what in rows("options"):
        for form in code(option) + re.findall(r"also `(-[^`]*)`", what) + re.findall(r"`(--no-[^`]*)`", what):
            run = plan(tmp, RECIPE, *form.split())
            idle = "has no effect" in run.out + run.err
            problems = run.problems() or ([] if idle == (status == "not needed") else [f"{status}, but: {run.out[-300:]}{run.err}"])
            report.case(f"{form}: {status}", problems)
        seen.add(code(option)[0].split()[0].lstrip("-"))
    missing = set(OPTIONS.split()) - seen
    report.case("all options are on the page", [f"missing: {missing}"] if missing else [])


def keys(report, tmp):
    seen = set()
    os.makedirs(os.path.join(tmp, "cache", "models--a", "snapshots"))
    os.symlink(os.path.join(tmp, "a"), os.path.join(tmp, "cache", "models--a", "snapshots", "main"))
    for key, status, example in rows("keys"):
        seen.update(code(key))
        recipe = {**RECIPE, **yaml.safe_load(code(example)[0])}
        if "slices" in recipe or "modules" in recipe:
            del recipe["models"]
        run = plan(tmp, recipe, *([] if "with a note" in status else ["--strict"]))
        if status.startswith("not there yet"):
            problems = [] if run.rc == 2 and len(run.lines()) == 1 else [f"exit {run.rc}: {run.err}"]
        else:
            noted = "it is ignored" in run.out + run.err
            problems = run.problems() or ([] if noted == ("with a note" in status) else [run.out + run.err])
        report.case(f"{key}: {status[:40]}", problems)
    missing = {k for k in KEYS.split() if not any(s.startswith(k) for s in seen)}
    report.case("all keys are on the page", [f"missing: {missing}"] if missing else [])


def methods(report):
    have = {}
    for m in json.loads(lt.ladle("methods", "--json").out):
        if m["language"] == "mergekit":
            have[m["name"]] = {p["name"]: p["default"] for p in m["parameters"]}
    page = {}
    for method, params, _ in rows("methods"):
        page[code(method)[0]] = {name: value for name, value in re.findall(r"`(\w+)`(?: \(([^)]*)\))?", params)}
    problems = [f"methods: {set(have) ^ set(page)}"] if set(have) != set(page) else []
    for name in set(have) & set(page):
        if set(have[name]) != set(page[name]):
            problems.append(f"{name}: {set(have[name]) ^ set(page[name])}")
    report.case("methods and their parameters", problems)


def defaults(report, tmp):
    """mergekit's defaults, as the table has them: giving them changes nothing."""
    for method, params, _ in rows("methods"):
        name, given = code(method)[0], {"weight": 0.7, "t": 0.3}
        written = {p: yaml.safe_load(v) for p, v in re.findall(r"`(\w+)` \(([^)]*)\)", params) if v != "none"}
        takes = {p: v for p, v in given.items() if f"`{p}`" in params}
        few = {"models": ["a"]} if name in ("slerp", "nearswap", "arcee_fusion", "passthrough") else {}
        recipe = {k: v for k, v in {**RECIPE, **few, "merge_method": name}.items() if k != "base_model" or name not in ("linear", "nuslerp", "passthrough")}
        texts = []
        for i, more in enumerate(({}, written)):
            out = f"{name}-{i}"
            with open(os.path.join(tmp, "recipe.yml"), "w") as f:
                yaml.safe_dump({**recipe, "parameters": {**takes, **more}}, f)
            run = lt.ladle("merge", "recipe.yml", out, "--no-fsync", "--strict", cwd=tmp)
            if run.rc:
                break
            with open(os.path.join(tmp, out, "model.safetensors"), "rb") as f:
                texts.append(f.read())
        report.case(f"defaults of {name}", run.problems() or ([] if texts[0] == texts[1] else ["giving the defaults changes the result"]))


def main():
    report = lt.Report()
    with lt.workdir() as tmp:
        for name in ("a", "b", "base"):
            model(tmp, name)
        options(report, tmp)
        keys(report, tmp)
        methods(report)
    with lt.workdir() as tmp:
        for name, seed in (("a", 1), ("b", 2), ("base", 3)):
            x = [((i * 37 + seed * 11) % 101 - 50) / 64 for i in range(2400)]
            lt.write_model(os.path.join(tmp, name), {"up.weight": lt.Tensor("F32", (40, 60), lt.encode("F32", x))})
        defaults(report, tmp)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
