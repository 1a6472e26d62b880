#!/usr/bin/env python3
"""embed_cut.py -- embeddings of different height, in every method of recipes.

mergekit calls it rectify_embed, and has it in most methods. Here it is in all of them: embeddings and heads are cut
to the rows that all models have, with a note, and config.json says how many there are. The values are
those of npmergekit.py on tensors that were cut before.
SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

import ladletest as lt

lt.need_program()
lt.need_module("numpy", "yaml")
import numpy as np  # noqa: E402
import npmerge as nm  # noqa: E402
import npmergekit as mk  # noqa: E402

ROWS = {"a": 13, "b": 11, "base": 17}
PARAMS = {"linear": {"weight": 0.4}, "slerp": {"t": 0.3}, "nuslerp": {"weight": 0.5}, "multislerp": {"weight": 0.6},
          "task_arithmetic": {"weight": 0.7}, "ties": {"weight": 0.7, "density": 0.5}, "nearswap": {"t": 0.01},
          "dare_linear": {"weight": 0.5, "density": 0.6}, "dare_ties": {"weight": 0.5, "density": 0.6},
          "breadcrumbs": {"weight": 0.5, "density": 0.6, "gamma": 0.1}, "sce": {"select_topk": 0.5}, "passthrough": {"scale": 1.5},
          "breadcrumbs_ties": {"weight": 0.5, "density": 0.6, "gamma": 0.1}, "della": {"weight": 0.5, "density": 0.6},
          "della_linear": {"weight": 0.5, "density": 0.6}, "ramplus_tl": {"r": 0.1, "alpha": 0.2}}
NO_BASE = ("linear", "nuslerp", "passthrough")


def ram(xs, base, at, columns):
    """The changes of one model whole, those of several averaged; ramplus_tl: the former made larger."""
    ts = [x - base for x in xs]
    on = [np.abs(t) > np.float32(at.of(None, "epsilon", 1e-5)) for t in ts]
    count, out = sum(z.astype(int) for z in on), np.zeros(base.size)
    for t, z in zip(ts, on):
        lone, shared = z & (count == 1), z & (count > 1)
        rho = shared.sum() / max(lone.sum(), at.of(None, "epsilon", 1e-5))
        grow = 1 + at.of(None, "r", 0) * min(max(rho, 0), at.of(None, "alpha", 0))
        out += np.where(lone, t * grow, 0) + np.where(shared, t / np.maximum(count, 1), 0)
    return base + out


METHODS = {**mk.METHODS, "ram": ram, "ramplus_tl": ram}


def model(tmp, name, rows, columns=6):
    rng, stored, arrays = np.random.default_rng(len(name) + rows), {}, {}
    common = np.random.default_rng(7)
    for tensor, n in (("model.embed_tokens.weight", rows), ("model.layers.0.up.weight", 4), ("model.norm.weight", 0), ("lm_head.weight", rows)):
        shape = (n, columns) if n else (columns,)
        x = common.standard_normal(20 * columns)[:np.prod(shape)] + 0.05 * rng.standard_normal(np.prod(shape))
        stored[tensor] = nm.tensor("F32", shape, x)
        arrays[tensor] = nm.decode(stored[tensor]).reshape(shape)
    lt.write_model(os.path.join(tmp, name), stored, config={"num_hidden_layers": 1, "vocab_size": rows, "tie_word_embeddings": False})
    return arrays


def recipe(method, most, sliced):
    names = ["a", "b"][:most]
    doc = {"merge_method": method, "parameters": PARAMS.get(method, {})}
    if method not in NO_BASE:
        doc["base_model"] = "base"
    if sliced:
        names += ["base"] if "base_model" in doc else []
        doc["slices"] = [{"sources": [{"model": m, "layer_range": [0, 1]} for m in names]}]
    else:
        doc["models"] = [{"model": m} for m in names]
    return doc, names + (["base"] if "base_model" in doc and not sliced else [])


def cut(tmp, method, most, sliced, models):
    doc, used = recipe(method, most, sliced)
    with open(os.path.join(tmp, "r.yml"), "w") as f:
        json.dump(doc, f)  # JSON is YAML
    out = os.path.join(tmp, f"{method}-{sliced}")
    run = lt.ladle("merge", "r.yml", out, "--no-fsync", cwd=tmp)
    if run.rc:
        return run.problems()
    least = min(ROWS[m] for m in used)
    want, problems = mk.merge(doc, {m: {n: x[:least] for n, x in models[m].items()} for m in used}), []
    got, _ = lt.read_safetensors(os.path.join(out, "model.safetensors"))
    for name, w in want.items():
        t = got[name]
        if t.shape != w.shape or np.abs(nm.decode(t).reshape(t.shape) - w).max() > 2e-6 * max(1, np.abs(w).max()):
            problems.append(f"{name}: {t.shape}, expected {w.shape}, or other values")
    with open(os.path.join(out, "config.json")) as f:
        size = json.load(f)["vocab_size"]
    problems += [] if size == least else [f"vocab_size {size}, expected {least}"]
    differ = len({ROWS[m] for m in used}) > 1
    return problems + ([] if ("it is cut to the" in run.err) == differ else [f"notes: {run.err}"])


def main():
    report = lt.Report()
    mk.METHODS.update(METHODS)
    methods = {m["name"]: m for m in json.loads(lt.ladle("methods", "--json").out) if m["language"] == "mergekit"}
    report.case("all methods are here", [f"{sorted(set(methods) ^ set(METHODS))}"] if set(methods) != set(METHODS) else [])
    with lt.workdir() as tmp:
        models = {name: model(tmp, name, rows) for name, rows in ROWS.items()}
        for name, m in methods.items():
            for sliced in (False, True):
                report.case(f"{name}, {'slices' if sliced else 'models'}", cut(tmp, name, min(m["max_models"], 2), sliced, models))
        model(tmp, "wide", 11, columns=8)
        with open(os.path.join(tmp, "r.yml"), "w") as f:
            f.write("merge_method: linear\nmodels: [a, wide]\nparameters: {weight: 1}\n")
        run = lt.ladle("merge", "r.yml", "wide-out", cwd=tmp)
        words = ["lm_head.weight: shape [13, 6] in a, but [11, 8] in wide"]
        report.case("other widths", [] if run.rc and all(w in run.err for w in words) else [f"exit {run.rc}: {run.err}"])
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
