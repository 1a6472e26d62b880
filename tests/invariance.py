#!/usr/bin/env python3
"""invariance.py -- one hash for every thread count, tile size, SIMD level and memory limit.

Every method merges the same models (tensors of 1 to 3 million elements, bf16 and f32; the f32 deltas
have over 2^20 distinct magnitudes) under 1, 2 and 7 threads, LADLE_TILE = 4096, 20000, 131072 and the
default, and each LADLE_CPU level that this machine has. Threads x tiles are all combined (every second
pair for f32), the SIMD level goes round with them so that it meets each of both; a last run has little memory. All files
but merge_config.json are hashed. The methods of recipes ("recipe:NAME") have bf16 models and a part of the grid. Under a sanitizer (LADLE_SANITIZE) the tensors and the grid are smaller.
usage: invariance.py [METHOD ...]
SPDX-License-Identifier: Apache-2.0"""
import hashlib, os, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.ROOT, "bench"))
import make_model as mm  # noqa: E402

METHODS = ["linear", "slerp", "ties", "della", "della_linear", "dare_linear", "dare_ties", "slerp+trim"]
RECIPES = ["linear", "slerp", "ties", "dare_ties", "della", "breadcrumbs", "model_stock", "karcher", "nuslerp", "multislerp",
           "ramplus_tl"]
METHODS += [f"recipe:{m}" for m in RECIPES]
SIZES = {"BF16": [1, 3, 17, 4095, 4097, 100_003, 3_000_000], "F32": [1, 5, 4096, 20_001, 1_600_000]}
THREADS, TILES = (1, 2, 7), ("4096", "20000", "131072", None)
if os.environ.get("LADLE_SANITIZE"):  # ten times as slow: smaller tensors, fewer runs
    SIZES = {"BF16": [1, 17, 4097, 150_003], "F32": [5, 150_001]}
    THREADS, TILES = (2, 7), ("4096", None)


def model(dtype, seed):
    """seed 0: the base, else a fine-tune of it."""
    out = {}
    for i, n in enumerate(SIZES[dtype]):
        name = f"layers.{i}.weight"
        raw = mm.weights(name, 0, n)
        if dtype == "F32":
            raw = mm.widen(raw, name, 0)
            # a fine-tune's low half is its own, so that |delta| takes many values
            out[name] = lt.Tensor(dtype, (n,), mm.widen(raw_high(raw), f"{name}/{seed}", 0)) if seed else \
                lt.Tensor(dtype, (n,), raw)
        else:
            out[name] = lt.Tensor(dtype, (n,), raw)
        if seed:
            t = out[name]
            out[name] = lt.Tensor(dtype, (n,), mm.perturb(t.raw, seed, name, 0, lt.SIZE[dtype]))
    return out


def raw_high(raw):
    """f32 bytes -> their upper halves."""
    out = bytearray(len(raw) // 2)
    out[0::2], out[1::2] = raw[2::4], raw[3::4]
    return bytes(out)


def digest(folder):
    h = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name != "merge_config.json":
            h.update(name.encode())
            with open(os.path.join(folder, name), "rb") as f:
                h.update(f.read())
    return h.hexdigest()[:16]


def recipe(tmp, method, dtype):
    """A recipe for the models of this type; its path."""
    models = [1] if method == "slerp" else [1, 2]
    path = os.path.join(tmp, f"{method}.yml")
    with open(path, "w") as f:
        f.write("models:\n")
        for i in models:
            f.write(f"- model: {tmp}/{dtype}-{i}\n  parameters: {{weight: 0.{4 + i}, density: 0.4}}\n")
        f.write(f"merge_method: {method}\nparameters: {{t: 0.4, rescale: true}}\n")
        if method not in ("linear", "nuslerp"):
            f.write(f"base_model: {tmp}/{dtype}-0\n")
    return path


def words(method):
    if "+" in method:
        merge, sparsify = method.split("+")
        return ["--merge_type", merge, "--sparsify_type", sparsify]
    return ["--merge_method", method]


def levels(tmp):
    """The SIMD levels that this machine can be asked for."""
    have = []
    for level in ("base", "v2", "v3", "v4"):
        if lt.ladle("methods", env={"LADLE_CPU": level}).rc == 0 and run(tmp, "linear", "BF16", 1, None, level)[0]:
            have.append(level)
    return have


def run(tmp, method, dtype, threads, tile, level, extra=()):
    """(hash or None, what went wrong)."""
    out = os.path.join(tmp, "OUT")
    env = {k: v for k, v in (("LADLE_TILE", tile), ("LADLE_CPU", level)) if v}
    models = [os.path.join(tmp, f"{dtype}-{i}") for i in (1, 2)]
    if method.startswith("recipe:"):
        r = lt.ladle("merge", recipe(tmp, method[7:], dtype), out, "--overwrite", "--no-fsync", "--seed", "5", "--threads", threads,
                     "--out-shard-size", "3M", *extra, env=env, timeout=900)
        return (digest(out), None) if r.rc == 0 else (None, r.problems()[0])
    r = lt.ladle("merge", *words(method), "--model_path_list", *models, "--base_model_path", os.path.join(tmp, f"{dtype}-0"),
                 "--output_path", out, "--overwrite", "--no-fsync", "--seed", "5", "--reserve_p", "0.4", "--threads", threads, "--n_process", "2",
                 *extra, env=env, timeout=900)
    return (digest(out), None) if r.rc == 0 else (None, r.problems()[0])


def main():
    lt.need_program()
    report = lt.Report()
    with lt.workdir() as tmp:
        for dtype in SIZES:
            for seed in (0, 1, 2):
                lt.write_model(os.path.join(tmp, f"{dtype}-{seed}"), model(dtype, seed), shards=1 + seed)
        cpu = levels(tmp)
        print(f"SIMD levels here: {', '.join(cpu) or 'none could be asked for'}")
        for dtype in SIZES:
            for method in METHODS:
                if (sys.argv[1:] and method not in sys.argv[1:]) or (dtype == "F32" and ":" in method):
                    continue
                want, wrong = run(tmp, method, dtype, 1, None, None)
                problems, runs = [wrong] if wrong else [], 1
                plan = [(t, tile, cpu[(i + j) % len(cpu)] if cpu else None, ())
                        for i, t in enumerate(THREADS) for j, tile in enumerate(TILES)]
                plan = plan[::2] if dtype == "F32" else plan[::3] if ":" in method else plan
                plan += [(2, None, None, ("--max-memory", "64M")), (7, "131072", None, ("--max-memory", "1G"))]
                for threads, tile, level, extra in plan if not wrong else ():
                    got, wrong = run(tmp, method, dtype, threads, tile, level, extra)
                    runs += 1
                    if got != want:
                        problems.append(f"threads {threads}, tile {tile}, cpu {level} {' '.join(extra)}: {wrong or got}, not {want}")
                report.case(f"{dtype} {method}", problems, f"{runs} runs, {want}")
        if not cpu:
            report.case("SIMD levels", ["no level of LADLE_CPU works"])
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
