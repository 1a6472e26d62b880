#!/usr/bin/env python3
"""make.py -- makes this folder's golden set: tiny checkpoints and what each method must give.

Needs numpy. The inputs come from a seeded generator, the results from ../npmerge.py, which agrees
with every deterministic recorded run of PaddleNLP (../golden_paddle.py) and is not ladle's code. Run
it only when a documented number changes on purpose; the files are in git so that a clone without
the shared vectors, and without numpy, still judges the numbers (../golden_own.py).

    models/NAME/     checkpoints: f32_* and bf16_* (base, a, b, c), f16_*; one is sharded
    CASE.safetensors the expected tensors
    cases.json       CASE -> words of the command line, models first
SPDX-License-Identifier: Apache-2.0"""
import json, os, shutil, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import numpy as np  # noqa: E402
import ladletest as lt  # noqa: E402
import npmerge as nm  # noqa: E402

SHAPES = {"embed.weight": (23, 8), "layers.0.attn.weight": (8, 8), "layers.0.bias": (41,), "layers.1.conv": (3, 2, 5),
          "norm.weight": (17,), "scale": (), "one": (1,), "none": (0, 4)}
W3 = dict(weight_list=[1.0, -0.5, 0.7], normalize=False)
# case -> (dtype, models, base?, method, parameters)
CASES = {
    "linear": ("f32", "ab", False, "linear", {}),
    "linear_weights_base": ("bf16", "abc", True, "linear", dict(weight_list=[0.5, 0.3, 0.9], normalize=True)),
    "linear_f16": ("f16", "ab", True, "linear", dict(weight_list=[0.4, 0.6], normalize=False)),
    "linear_to_bf16": ("f32", "abc", False, "linear", dict(dtype="BF16")),
    "slerp": ("f32", "ab", False, "slerp", {}),
    "slerp_base_alpha": ("bf16", "ab", True, "slerp", dict(slerp_alpha=0.25)),
    "slerp_line": ("f32", "ac", False, "slerp", dict(slerp_dot_threshold=0.05, slerp_alpha=0.75)),
    "ties": ("f32", "abc", True, "ties", dict(reserve_p=0.3)),
    "ties_default": ("bf16", "abc", True, "ties", {}),
    "ties_no_base": ("bf16", "ab", False, "ties", dict(reserve_p=0.5)),
    "ties_negative_weight": ("f32", "abc", True, "ties", dict(reserve_p=0.5, rescale=False, **W3)),
    "ties_count": ("f32", "abc", True, "ties", dict(ties_elect_type="count", **W3)),
    "della": ("f32", "abc", True, "della", dict(seed=3)),
    "della_linear": ("bf16", "ab", True, "della_linear", dict(reserve_p=0.5, epsilon=0.4)),
    "dare_linear": ("f32", "ab", True, "dare_linear", dict(reserve_p=0.3, rescale=False, seed=77)),
    "dare_ties": ("bf16", "abc", True, "dare_ties", dict(reserve_p=0.5)),
    "dare_slerp": ("f32", "ab", True, ("dare", "slerp"), dict(reserve_p=0.6)),
    "trim_linear": ("f32", "ab", True, ("trim", "linear"), dict(reserve_p=0.2)),
}


def inputs(dtype):
    """base and three fine-tunes; some deltas are equal, opposite, on a coarse grid, or zero."""
    rng, tag = np.random.default_rng(20260101), dtype.upper()
    base = {k: rng.standard_normal(int(np.prod(s))) * 0.1 for k, s in SHAPES.items()}
    deltas = {k: [rng.standard_normal(len(v)) * 0.02 for _ in "abc"] for k, v in base.items()}
    for k, (a, b, c) in deltas.items():
        b[::5], b[1::7] = a[::5], -a[1::7]
        c[::3] = 0
    deltas["layers.0.bias"] = [np.round(d * 100) / 128 for d in deltas["layers.0.bias"]]
    deltas["norm.weight"][1] = np.zeros(17)
    out = {}
    for i, name in enumerate(("base", "a", "b", "c")):
        x = {k: v + (deltas[k][i - 1] if i else 0) for k, v in base.items()}
        out[name] = {k: nm.tensor(tag, SHAPES[k], v) for k, v in x.items()}
        out[name]["position_ids"] = nm.tensor("I64", (1, 6), np.arange(6))
    return out


def main():
    for old in os.listdir(HERE):
        if old.endswith(".safetensors") or old == "models":
            path = os.path.join(HERE, old)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    models, words = {}, {}
    for dtype in ("f32", "bf16", "f16"):
        made = inputs(dtype)
        used = {m for d, ms, base, *_ in CASES.values() if d == dtype for m in [*ms, *(["base"] if base else [])]}
        for name in sorted(used):
            models[f"{dtype}_{name}"] = made[name]
            config = {"model_type": "tiny", "torch_dtype": {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}[dtype]}
            lt.write_model(os.path.join(HERE, "models", f"{dtype}_{name}"), made[name], shards=2 if name == "b" else 1, config=config)
    for case, (dtype, ms, base, method, params) in CASES.items():
        want = nm.merge([models[f"{dtype}_{m}"] for m in ms], models[f"{dtype}_base"] if base else None, method, **params)
        lt.write_safetensors(os.path.join(HERE, case + ".safetensors"), want, {"format": "pt"})
        words[case] = nm.flags(method, **params) + ["--model_path_list"] + [f"models/{dtype}_{m}" for m in ms] + \
            (["--base_model_path", f"models/{dtype}_base"] if base else [])
    with open(os.path.join(HERE, "cases.json"), "w") as f:
        f.write("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in words.items()) + "\n}\n")


if __name__ == "__main__":
    main()
