#!/usr/bin/env python3
"""reference.py -- what no recorded case has, against npmerge.py: bit for bit.

No recorded vector of PaddleNLP has F64, I64, BOOL, 0-d or empty tensors, NaN, infinity or -0.0, more
than 3 models, or more than 3072 elements. Here are tensors with all of that, merged by every
method and every pair of sparsifier and combiner, and compared as raw bytes with numpy's result
(npmerge.py: other code, whole tensors, real sorts). The random methods too: the numbers that decide
which element stays are recomputed. Three exceptions, each with its reason at its place: the
magprune quotients (1 ulp), ranks beyond 2^20 distinct magnitudes (1e-6), and statistics.
usage: reference.py [WORD ...]   only the groups whose name begins with a WORD
SPDX-License-Identifier: Apache-2.0"""
import itertools, json, math, os, sys

import ladletest as lt

lt.need_program()
lt.need_module("numpy")
import numpy as np  # noqa: E402
import npmerge as nm  # noqa: E402

SIZES = [(), (1,), (0,), (3, 0, 2), (15,), (4, 4), (17,), (4095,), (64, 64), (17, 241)]
PARTS = [(s, c) for s in (None, "trim", "magprune", "dare") for c in ("linear", "slerp", "ties")]
METHODS = list(nm.NAMED) + [p for p in PARTS if p not in nm.NAMED.values()]
RANDOM = ("magprune", "dare")


def label(method):
    return method if isinstance(method, str) else "+".join(str(part or "none") for part in method)


# ---- inputs ----

def specials(dtype):
    """Values whose treatment goes wrong easily: signed zeros, subnormals, ties of rounding, limits."""
    tiny, huge = {"F16": (2.0**-24, 65504.0), "BF16": (2.0**-133, 3.3895313892515355e38),
                  "F32": (2.0**-149, 3.4028234663852886e38), "F64": (5e-324, 1e300)}[dtype]
    v = [0.0, -0.0, tiny, -tiny, 3 * tiny, huge, -huge, huge / 2, 1.0, 1.0 + 2**-7, 1.0 + 2**-8, 1.0 + 3 * 2**-8,
         1 + 2**-11, 1 + 3 * 2**-11, 2**-14, 2**-15, 2**-126, 2**-127, 0.1, -0.3, 1 / 3, 65519.0, 65504.0]
    return v + [-x for x in v]


def model(rng, dtype, base=None, scale=0.01, shapes=SIZES):
    """A model with every shape, and one tensor of each awkward kind. Fine-tunes differ from their
    base in most elements, on a coarse grid in some tensors, so that there are ties."""
    out = {}
    for i, shape in enumerate(shapes):
        n = math.prod(shape)
        x = rng.standard_normal(n) * 0.05 if base is None else \
            nm.decode(base[f"w.{i:02d}"]).astype(np.float64) + rng.standard_normal(n) * scale * (rng.random(n) < 0.8)
        out[f"w.{i:02d}"] = nm.tensor(dtype, shape, x)
    n = 2000
    grid = rng.integers(-4, 5, n) / 64
    out["ties.grid"] = nm.tensor(dtype, (n,), grid)
    out["same"] = base["same"] if base else nm.tensor(dtype, (n,), rng.standard_normal(n))
    out["zeros"] = nm.tensor(dtype, (300,), np.zeros(300))
    out["negzeros"] = nm.tensor(dtype, (300,), np.full(300, -0.0))
    out["constant"] = nm.tensor(dtype, (4100,), np.full(4100, rng.integers(1, 9) / 8))
    sp = specials(dtype)
    out["special"] = nm.tensor(dtype, (len(sp),), [sp[j] for j in rng.permutation(len(sp))])
    out["ints.i64"] = nm.tensor("I64", (3, 5), np.arange(15) * 2**40 - 7)
    out["ints.i32"] = nm.tensor("I32", (7,), np.arange(7) - 3)
    out["ints.u8"] = nm.tensor("U8", (9,), np.arange(9) * 28)
    out["ints.bool"] = nm.tensor("BOOL", (2, 3), [1, 0, 0, 1, 1, 0])
    out["ints.0d"] = nm.tensor("I64", (), 42)
    return out


def odd(rng, dtype, base=None):
    """NaN and infinities, each in tensors of its own."""
    out = {}
    for name, values in (("nan", [np.nan]), ("inf", [np.inf]), ("neginf", [-np.inf]), ("all", [np.nan, np.inf, -np.inf])):
        x = rng.standard_normal(100)
        if base is not None or name == "all":  # else only the fine-tunes have them
            x[rng.choice(100, len(values), replace=False)] = values
        out[f"odd.{name}"] = nm.tensor(dtype, (10, 10), x)
    return out


# ---- running and comparing ----

def write(folder, models):
    """name -> tensors; every second one sharded, so that layouts are mixed."""
    for i, (name, tensors) in enumerate(models.items()):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            lt.write_model(path, tensors, shards=1 + 2 * (i % 2))


def unlike(got, want, ulps=0, skip=()):
    problems = []
    if list(sorted(got)) != list(sorted(want)):
        problems.append(f"tensors differ: {sorted(set(got) ^ set(want))[:5]}")
    for name in sorted(set(got) & set(want)):
        g, w = got[name], want[name]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            problems.append(f"{name}: {g.dtype}{list(g.shape)}, expected {w.dtype}{list(w.shape)}")
        elif g.raw != w.raw and name not in skip:
            a, b = nm.decode(g), nm.decode(w)
            bits = np.dtype(f"u{lt.SIZE[g.dtype]}")
            x, y = np.frombuffer(g.raw, bits), np.frombuffer(w.raw, bits)
            off = np.abs(x.astype(np.int64) - y.astype(np.int64)) if bits.itemsize < 8 else (x != y).astype(int) * 9
            bad = np.flatnonzero(off > ulps)
            if len(bad):
                at = bad[0]
                problems.append(f"{name}: {len(bad)} of {len(a)} elements, first [{at}] {a[at]!r} ({x[at]:#x}), "
                                f"expected {b[at]!r} ({y[at]:#x})")
    return problems


def ulps_of(method):
    """magprune divides by a probability whose last f64 bit depends on the order of the formula."""
    parts = nm.NAMED.get(method, method)
    return 1 if parts[0] == "magprune" else 0


COUNT = itertools.count()


def merged(tmp, models, base, method, extra=(), **params):
    """Runs ladle on folders that exist under tmp: (run, tensors or None)."""
    out = os.path.join(tmp, f"OUT{next(COUNT)}")
    words = nm.flags(method, **params) + ["--model_path_list", *models, "--output_path", out, *extra]
    if base:
        words += ["--base_model_path", base]
    run = lt.ladle("merge", *words, cwd=tmp)
    return run, (lt.read_model(out) if run.rc == 0 else None), out


def check(tmp, all_, models, base, method, extra=(), **params):
    run, got, _ = merged(tmp, models, base, method, extra, **params)
    if got is None:
        return run.problems()
    want = nm.merge([all_[m] for m in models], base and all_[base], method, **params)
    return unlike(got, want, ulps_of(method))


# ---- groups ----

def group_matrix(report):
    """Every method x base or none x 2, 3 and 9 models x dtype, on all shapes; parameters vary."""
    rng = np.random.default_rng(1)
    for dtype in ("F32", "BF16", "F16", "F64"):
        with lt.workdir() as tmp:
            all_ = {"base": model(rng, dtype)}
            all_.update({f"m{i}": model(rng, dtype, all_["base"]) for i in range(9)})
            write(tmp, all_)
            for method in METHODS:
                problems, runs = [], 0
                random = nm.NAMED.get(method, method)[0]
                for count in ((2,) if "slerp" in label(method) else (2, 3, 9)):
                    for base in (None, "base"):
                        params = {"reserve_p": [0.7, 0.3, 0.55][runs % 3]}
                        if runs % 2:
                            params["weight_list"] = [round(float(w), 2) for w in rng.uniform(-0.5, 1, count)]
                            params["normalize"] = runs % 4 == 1
                        if random in RANDOM:
                            params["seed"] = runs
                        if runs % 3 == 2:
                            params["rescale"] = False
                        if "ties" in label(method) or label(method) == "della":
                            params["ties_elect_type"] = ["sum", "count"][runs % 2]
                        names = [f"m{i}" for i in range(count)]
                        bad = check(tmp, all_, names, base, method, ["--n_process", str(1 + runs % 3)], **params)
                        problems += [f"{count} models, base {base}, {params}: {p}" for p in bad]
                        runs += 1
                report.case(f"matrix {dtype} {label(method)}", problems, f"{runs} runs")


def group_sizes(report):
    """Larger tensors of awkward sizes, each method, f32 and bf16."""
    rng = np.random.default_rng(2)
    shapes = [(100003,), (300001,), (1000, 77), (4096,), (8193,)]
    for dtype in ("F32", "BF16"):
        with lt.workdir() as tmp:
            all_ = {"base": model(rng, dtype, shapes=shapes)}
            all_.update({f"m{i}": model(rng, dtype, all_["base"], shapes=shapes) for i in range(2)})
            write(tmp, all_)
            for method in METHODS:
                bad = check(tmp, all_, ["m0", "m1"], "base", method, reserve_p=0.4, epsilon=0.2)
                report.case(f"sizes {dtype} {label(method)}", bad)


def adversaries(rng, n):
    """Deltas that are hard for a selection that counts or samples."""
    normal = rng.standard_normal(n)
    rows = normal.reshape(-1, 100) * 10.0 ** rng.integers(-12, 6, (n // 100, 1))
    late = np.full(n, 1e-3)
    late[-n // 7:] = normal[-n // 7:] * 5
    return {"normal": normal, "sorted": np.sort(normal), "descending": np.sort(np.abs(normal))[::-1],
            "rows": rows.ravel(), "constant": np.full(n, -0.37), "two.values": np.where(normal > 0.6, 1.0, -2**-9),
            "grid": np.round(normal * 8) / 8, "late": late, "zeros": np.zeros(n),
            "spike": np.eye(1, n, n // 3).ravel() * 3, "uniform.log": np.exp(rng.uniform(-80, 80, n)),
            "subnormal": rng.integers(0, 50, n) * 2.0**-149}


def group_trim(report):
    """Thresholds, exact, below and above 2^20 elements (where ranks are first guessed from a sample)."""
    rng = np.random.default_rng(3)
    for n in (4100, 100_000, 1_300_000):
        with lt.workdir() as tmp:
            deltas = {k: nm.tensor("F32", (n,), v) for k, v in adversaries(rng, n).items()}
            other = {k: nm.tensor("F32", (n,), np.roll(nm.decode(t), 5) * np.float32(0.5)) for k, t in deltas.items()}
            all_ = {"m0": deltas, "m1": other}
            write(tmp, all_)
            for p in (0, 0.001, 0.3, 0.5, 0.7, 0.9999, 1) if n < 10**6 else (0, 0.05, 0.7, 1):
                for rescale in (True, False):
                    bad = check(tmp, all_, ["m0", "m1"], None, ("trim", "linear"), reserve_p=p, rescale=rescale,
                                weight_list=[1.0, 0.0], normalize=False)
                    report.case(f"trim n {n} reserve_p {p} rescale {rescale}", bad)


def group_integers(report):
    """Integer and bool tensors: the same in all models (the matrix has that), or an error that names them."""
    rng = np.random.default_rng(4)
    for dtype in ("I64", "I32", "U8", "BOOL"):
        with lt.workdir() as tmp:
            w = nm.tensor("F32", (8,), rng.standard_normal(8))
            a = {"w": w, "position.ids": nm.tensor(dtype, (6,), [0, 1, 1, 0, 1, 0])}
            b = {"w": w, "position.ids": nm.tensor(dtype, (6,), [0, 1, 1, 0, 1, 1])}
            write(tmp, {"a": a, "b": b})
            for names, base in ((["a", "b"], None), (["a", "a"], "b"), (["b", "a"], "a")):
                run, _, out = merged(tmp, names, base, "linear")
                problems = [] if run.rc == 4 else [f"exit {run.rc}, expected 4"]
                if "position.ids" not in run.err or len(run.lines()) != 1:
                    problems.append(f"stderr: {run.err[:300]!r}")
                if lt.leftovers(out):
                    problems.append(f"left {lt.leftovers(out)}")
                report.case(f"integers {dtype} differ {names} base {base}", problems)
    with lt.workdir() as tmp:
        write(tmp, {"a": {"w": nm.tensor("F32", (2,), [1, 2])}, "b": {"w": nm.tensor("I32", (2,), [1, 2])}})
        run, _, out = merged(tmp, ["a", "b"], None, "linear")
        report.case("integers against floats", [] if run.rc == 4 and "w" in run.err and not lt.leftovers(out)
                    else [f"exit {run.rc}: {run.err[:300]}"])


def group_odd(report):
    """NaN and infinity go through the formulas as IEEE has it, and are reported."""
    rng = np.random.default_rng(5)
    for dtype in ("F32", "BF16", "F16", "F64"):
        with lt.workdir() as tmp:
            all_ = {"base": odd(rng, dtype)}
            all_.update({f"m{i}": odd(rng, dtype, all_["base"]) for i in range(3)})
            write(tmp, all_)
            for method in METHODS:
                for base in (None, "base"):
                    names = ["m0", "m1"] + ([] if "slerp" in label(method) else ["m2"])
                    run, got, _ = merged(tmp, names, base, method, reserve_p=0.6, seed=3)
                    if got is None:
                        report.case(f"odd {dtype} {label(method)} base {base}", run.problems())
                        continue
                    want = nm.merge([all_[m] for m in names], base and all_[base], method, reserve_p=0.6, seed=3)
                    bad = unlike(got, want, ulps_of(method))
                    if "nan" not in run.err.lower() or "inf" not in run.err.lower():
                        bad.append(f"NaN and infinity are not reported: {run.err[:300]!r}")
                    report.case(f"odd {dtype} {label(method)} base {base}", bad)


def group_zero_sign(report):
    """-0.0: a sum that starts from +0 gives +0, two products of -0 give -0."""
    with lt.workdir() as tmp:
        m = {"x": nm.tensor("F32", (4,), [-0.0, 0.0, -0.0, -1.0])}
        all_ = {"a": m, "b": dict(m)}
        write(tmp, all_)
        for method in METHODS:
            report.case(f"zero sign {label(method)}", check(tmp, all_, ["a", "b"], None, method, reserve_p=0.5))


def group_rounding(report):
    """--dtype: one rounding to nearest even at the write, every pair of dtypes; config.json follows."""
    rng = np.random.default_rng(6)
    words = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    up = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-23, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-23, 65504, 65519.996,
          65520, 65536, 2**-24, 2**-25, 2**-25 + 2**-48, 3 * 2**-25, 2**-14 - 2**-25, 2**-14, 3.3895313892515355e38,
          3.39617752923046e38, 3.4028234663852886e38, 2**-133, 2**-134, 3 * 2**-134, 2**-149, 1e-45, 0.0]
    x = np.concatenate([np.array(up, np.float32), -np.array(up, np.float32),
                        rng.integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)])
    x = x[np.isfinite(x)]
    for source, target in itertools.product(words, words):
        with lt.workdir() as tmp:
            t = {"model.w": nm.tensor(source, (len(x),), x), "n": nm.tensor("I64", (2,), [3, 4])}
            all_ = {"a": t, "b": dict(t)}
            config = {"architectures": ["X"], "torch_dtype": words[source], "note": "torch_dtype", "nested": {"dtype": "no"}}
            for name in all_:
                lt.write_model(os.path.join(tmp, name), t, config=config)
            run, got, out = merged(tmp, ["a", "b"], None, "linear", dtype=target)
            bad = run.problems()
            if got:
                bad = unlike(got, nm.merge([t, t], None, "linear", dtype=target))
                with open(os.path.join(out, "config.json")) as f:
                    now = json.load(f)
                if now != dict(config, torch_dtype=words[target]):
                    bad.append(f"config.json: {now}")
            report.case(f"rounding {source} to {target}", bad)
    with lt.workdir() as tmp:
        t = nm.tensor("F64", (3,), [0.1, 1e300, 1.0])
        write(tmp, {"a": {"w": t}, "b": {"w": t}})
        run, _, _ = merged(tmp, ["a", "b"], None, "linear")
        told = any("64" in l for l in run.lines())
        report.case("rounding F64 is told", [] if run.rc == 0 and told else [f"no note: {run.err!r}"])


def group_mixed(report):
    """Models of several dtypes: the output has the base's, else the first model's."""
    rng = np.random.default_rng(7)
    with lt.workdir() as tmp:
        n = {d: {"w": nm.tensor(d, (50, 7), rng.standard_normal(350)), "v": nm.tensor(d, (3,), rng.standard_normal(3))}
             for d in nm.FLOATS}
        write(tmp, n)
        for a, b, base in itertools.product(nm.FLOATS, nm.FLOATS, (None, "F32", "BF16")):
            if a != b:
                report.case(f"mixed {a} {b} base {base}", check(tmp, n, [a, b], base, "ties", reserve_p=0.5))


def group_dare(report):
    """dare's limits: nothing kept is the base exactly; the seed decides, and only the seed."""
    rng = np.random.default_rng(8)
    with lt.workdir() as tmp:
        all_ = {"base": model(rng, "F32")}
        all_.update({f"m{i}": model(rng, "F32", all_["base"]) for i in range(2)})
        all_ = {k: {n: t for n, t in m.items() if n != "negzeros"} for k, m in all_.items()}  # +0 comes of -0 + 0
        write(tmp, all_)
        for method in ("dare_linear", "dare_ties"):
            run, got, _ = merged(tmp, ["m0", "m1"], "base", method, reserve_p=0)
            bad = run.problems()
            if got:
                for name, t in got.items():
                    if not np.array_equal(nm.decode(t), nm.decode(all_["base"][name])):
                        bad.append(f"{name} is not the base")
            report.case(f"dare {method} reserve_p 0 is the base", bad)
            report.case(f"dare {method} reserve_p 1",
                        check(tmp, all_, ["m0", "m1"], "base", method, reserve_p=1))
        runs = [merged(tmp, ["m0", "m1"], "base", "dare_linear", reserve_p=0.5, seed=s)[1] for s in (7, 7, 8, 2**40 + 7, 0)]
        plain = merged(tmp, ["m0", "m1"], "base", "dare_linear", reserve_p=0.5)[1]
        if None in runs or plain is None:
            report.case("dare seeds", ["a run failed"])
            return
        def raw(x):
            return [t.raw for _, t in sorted(x.items())]
        report.case("dare seeds", [f"{what}" for what, wrong in (
            ("same seed, other bytes", raw(runs[0]) != raw(runs[1])), ("other seed, same bytes", raw(runs[0]) == raw(runs[2])),
            ("the high half of the seed is lost", raw(runs[0]) == raw(runs[3])), ("the default is not seed 0", raw(plain) != raw(runs[4])))
            if wrong])


def masks(report):
    """dare without base, rescale or normalisation on models of ones and of 1024s: the sum of the two
    shows both masks. name -> (mask of model 0, mask of model 1)."""
    n, names = 200_000, ["a.weight", "b.weight", "a.weight2"]
    with lt.workdir() as tmp:
        all_ = {f"m{i}": {k: nm.tensor("F32", (n,), np.full(n, v)) for k in names} for i, v in enumerate((1, 1024))}
        write(tmp, all_)
        run, got, _ = merged(tmp, ["m0", "m1"], None, "dare_linear", reserve_p=0.3, rescale=False,
                             weight_list=[1.0, 1.0], normalize=False)
        if got is None:
            report.case("independence", run.problems())
            return None
        sums = {k: nm.decode(t).astype(int) for k, t in got.items()}
        return {k: (s % 1024 == 1, s >= 1024) for k, s in sums.items()}


def group_independence(report):
    """Kept fraction of each mask, and agreement of every two: between models, tensors, neighbours."""
    m = masks(report)
    if not m:
        return
    p, flat = 0.3, {f"{k}/{i}": x for k, pair in m.items() for i, x in enumerate(pair)}
    n = len(next(iter(flat.values())))
    bound = 6 * math.sqrt(p * (1 - p) / n)
    for k, x in flat.items():
        report.case(f"kept fraction {k}", [] if abs(x.mean() - p) < bound else [f"{x.mean()} not {p} +- {bound}"])
    flat["shifted by 1"] = np.roll(flat["a.weight/0"], 1)
    flat["shifted by 4"] = np.roll(flat["a.weight/0"], 4)
    both = p * p
    bound = 6 * math.sqrt(both * (1 - both) / n)
    for (k, x), (l, y) in itertools.combinations(flat.items(), 2):
        got = (x & y).mean()
        report.case(f"independent {k}, {l}", [] if abs(got - both) < bound else [f"both kept {got}, not {both} +- {bound}"])


def magprune_run(report, name, delta, p, eps):
    """(kept mask, factor) of one model's delta, or None."""
    with lt.workdir() as tmp:
        zero = {"w": nm.tensor("F32", (len(delta),), np.zeros(len(delta)))}
        write(tmp, {"m0": {"w": nm.tensor("F32", (len(delta),), delta)}, "m1": zero})
        run, got, _ = merged(tmp, ["m0", "m1"], None, "della_linear", reserve_p=p, epsilon=eps,
                             weight_list=[1.0, 1.0], normalize=False)
        if got is None:
            report.case(name, run.problems())
            return None
        out = nm.decode(got["w"])
        with np.errstate(all="ignore"):
            return out != 0, out / delta


def group_magprune(report):
    """Keep probability by rank: chi-square over 40 rank bins; factors; many distinct magnitudes."""
    rng = np.random.default_rng(9)
    for p, eps in ((0.6, 0.3), (0.5, 0.4), (0.1, 0.1)):
        delta = rng.standard_normal(400_000).astype(np.float32)
        r = magprune_run(report, f"magprune chi-square {p} {eps}", delta, p, eps)
        if r is None:
            continue
        keep = nm.keep_probability(delta, dict(reserve_p=p, epsilon=eps))
        order = np.argsort(-np.abs(delta))
        k, q = r[0][order].reshape(40, -1), keep[order].reshape(40, -1)
        chi2 = (((k.sum(1) - q.sum(1)) ** 2) / (q * (1 - q)).sum(1)).sum()
        bad = [] if chi2 < 40 + 6 * math.sqrt(80) else [f"chi-square {chi2:.1f} of 40 bins"]
        top, low = keep[order[0]], keep[order[-1]]
        if abs(top - (p + eps / 2)) > 1e-5 or abs(low - (p - eps / 2)) > 1e-5:
            bad.append("npmerge itself is wrong")
        factor = r[1][r[0]]
        if np.abs(factor * keep[r[0]] - 1).max() > 3e-7:
            bad.append(f"a kept element is not delta / its probability: {np.abs(factor * keep[r[0]] - 1).max()}")
        report.case(f"magprune chi-square {p} {eps}", bad, f"chi-square {chi2:.1f} of 40 bins")
    # ranks come from a table from 2^20 distinct magnitudes on: probabilities are right to 1e-6
    n, p, eps = 2_500_000, 0.6, 0.3
    for name, delta in (("normal", rng.standard_normal(n)), ("log", np.exp(rng.uniform(-60, 60, n))),
                        ("rows", (rng.standard_normal((n // 100, 100)) * 10.0 ** rng.integers(-9, 3, (n // 100, 1))).ravel())):
        delta = delta.astype(np.float32)
        r = magprune_run(report, f"magprune large {name}", delta, p, eps)
        if r is None:
            continue
        keep = nm.keep_probability(delta, dict(reserve_p=p, epsilon=eps))
        stays = nm.philox(0, "w", 0, n).astype(np.float64) < keep * 2.0**32
        other, off = int((stays != r[0]).sum()), np.abs(r[1][r[0]] * keep[r[0]] - 1).max()
        bad = [] if other <= 20 and off < 5e-6 else [f"{other} elements decided otherwise, factors off by {off}"]
        report.case(f"magprune large {name}", bad, f"{other} of {n} decided otherwise, factors off by {off:.1e}")


def group_nine(report):
    """Many models: 40, each its own draws; and one model given twice."""
    rng = np.random.default_rng(10)
    with lt.workdir() as tmp:
        base = {"w": nm.tensor("BF16", (30, 31), rng.standard_normal(930))}
        all_ = {"base": base}
        all_.update({f"m{i}": {"w": nm.tensor("BF16", (30, 31), nm.decode(base["w"]) + rng.standard_normal(930) * 0.1)}
                     for i in range(40)})
        write(tmp, all_)
        for method in ("linear", "ties", "dare_ties", "della_linear"):
            report.case(f"nine 40 models {method}", check(tmp, all_, [f"m{i}" for i in range(40)], "base", method))
            report.case(f"nine twice the same {method}", check(tmp, all_, ["m1", "m1"], "base", method))


def main():
    report = lt.Report()
    for name, group in list(globals().items()):
        if name.startswith("group_") and (not sys.argv[1:] or any(name[6:].startswith(w) for w in sys.argv[1:])):
            group(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
