"""npmerge.py -- a merge in plain numpy, written from the formulas and not from ladle's code.

The second opinion of reference.py, minilm.py, compat.py and of the generator of tests/golden/. It
holds whole tensors, sorts them, and does one rounding to f32 for each operation, sums in f64.
For the same tensors it must give the bits that ladle gives: the random numbers too, since the
draw of an element is Philox4x32-10 of (seed, tensor name, model number, element), see philox().
SPDX-License-Identifier: Apache-2.0"""
import math

import numpy as np

from ladletest import Tensor

F32 = np.float32
NAMED = {"linear": (None, "linear"), "slerp": (None, "slerp"), "ties": ("trim", "ties"),
         "della": ("magprune", "ties"), "della_linear": ("magprune", "linear"),
         "dare_linear": ("dare", "linear"), "dare_ties": ("dare", "ties")}
DEFAULT = dict(weight_list=None, normalize=False, slerp_alpha=0.5, slerp_normalize_eps=1e-8,
               slerp_dot_threshold=0.9995, ties_elect_type="sum", rescale=True, reserve_p=0.7,
               epsilon=0.14, seed=0)
FLOATS = ("F64", "F32", "F16", "BF16")
KIND = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "u1",
        "U16": "<u2"}


# ---- bytes ----

def decode(t):
    """A stored tensor's elements as f32, flat (integers as they are)."""
    if t.dtype == "BF16":
        return (np.frombuffer(t.raw, "<u2").astype(np.uint32) << 16).view(F32)
    a = np.frombuffer(t.raw, KIND[t.dtype])
    if t.dtype not in FLOATS:
        return a.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        return a.astype(F32)


def encode(dtype, x):
    """f32 elements as raw bytes, to nearest even; every NaN becomes the one quiet NaN."""
    x, nan = x.astype(F32), np.isnan(x)
    if dtype == "BF16":
        u = x.view(np.uint32)
        r = ((u.astype(np.uint64) + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2")
        r[nan] = 0x7FC0
        return r.tobytes()
    with np.errstate(over="ignore", invalid="ignore"):
        r = x.astype(KIND[dtype])
    bits = r.view(f"<u{r.itemsize}")
    bits[nan] = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}[r.itemsize]
    return r.tobytes()


def tensor(dtype, shape, values):
    """A Tensor from numbers."""
    if dtype in FLOATS:
        if dtype == "F64":
            return Tensor(dtype, shape, np.asarray(values, "<f8").tobytes())
        with np.errstate(over="ignore"):
            return Tensor(dtype, shape, encode(dtype, np.asarray(values, F32).ravel()))
    return Tensor(dtype, shape, np.asarray(values).astype(KIND[dtype]).tobytes())


# ---- random numbers ----

P1, P2, P3, P4, P5 = (11400714785074694791, 14029467366897019727, 1609587929392839161,
                      9650029242287828579, 2870177450012600261)
M64 = (1 << 64) - 1


def xxh64(data, seed):
    def rotl(x, r):
        return ((x << r) | (x >> (64 - r))) & M64

    def rnd(acc, lane):
        return rotl((acc + lane * P2) & M64, 31) * P1 & M64
    n, at = len(data), 0
    if n >= 32:
        v = [(seed + P1 + P2) & M64, (seed + P2) & M64, seed, (seed - P1) & M64]
        while at + 32 <= n:
            for i in range(4):
                v[i] = rnd(v[i], int.from_bytes(data[at:at + 8], "little"))
                at += 8
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & M64
        for x in v:
            h = ((h ^ rnd(0, x)) * P1 + P4) & M64
    else:
        h = (seed + P5) & M64
    h = (h + n) & M64
    while at + 8 <= n:
        h = (rotl(h ^ rnd(0, int.from_bytes(data[at:at + 8], "little")), 27) * P1 + P4) & M64
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ int.from_bytes(data[at:at + 4], "little") * P1 & M64, 23) * P2 + P3) & M64
        at += 4
    for b in data[at:]:
        h = rotl(h ^ b * P5 & M64, 11) * P1 & M64
    h = (h ^ (h >> 33)) * P2 & M64
    h = (h ^ (h >> 29)) * P3 & M64
    return h ^ (h >> 32)


def philox(seed, name, model, n):
    """The draws of elements 0 .. n-1: uint32. Philox4x32-10, Salmon et al. 2011; see docs/random-numbers.md."""
    h = xxh64(name.encode(), seed)
    k0, k1 = h & 0xFFFFFFFF, h >> 32
    block = np.arange((n + 511) // 512 * 64, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    a, b = block & low, block >> np.uint64(32)
    c, d = np.full_like(a, model), np.zeros_like(a)
    for _ in range(10):
        p0, p1 = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (p1 >> np.uint64(32)) ^ b ^ np.uint64(k0), p1 & low, \
            (p0 >> np.uint64(32)) ^ d ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    words = np.stack([w.reshape(-1, 64) for w in (a, b, c, d)], 1).astype(np.uint32)
    return np.concatenate([words, words << np.uint32(16) | words >> np.uint32(16)], 1).ravel()[:n]


# ---- sparsifiers: one model's task vector, f32 ----

def magnitudes(d):
    return d.view(np.uint32) & np.uint32(0x7FFFFFFF)


def trim_threshold(d, reserve_p):
    s, n = np.sort(np.abs(d)), len(d)  # a NaN sorts last, as its magnitude bits do
    if np.isnan(s[-1]):
        return F32(np.nan)
    v = (n - 1) * (1 - reserve_p)
    lo = min(math.floor(v), n - 1)
    hi, g = min(lo + 1, n - 1), v - lo
    diff = np.float64(s[hi] - s[lo])
    return F32(np.float64(s[lo]) + diff * g if g < 0.5 else np.float64(s[hi]) - diff * (1 - g))


def trim(d, p, **_):
    th = trim_threshold(d, p["reserve_p"])
    if np.isnan(th):
        return d
    kept = np.where(np.abs(d) >= th, d, F32(0))
    if not p["rescale"]:
        return kept
    total, some = (F32(math.fsum(np.abs(x).astype(np.float64))) if np.isfinite(x).all() else F32(np.inf)
                   for x in (d, kept))
    if not (total >= F32(1e-8) and some >= F32(1e-8) and np.isfinite(total) and np.isfinite(some)):
        return kept
    return kept * F32(total / some)


def dare(d, p, name, model):
    stays = philox(p["seed"], name, model, len(d)) < math.ceil(p["reserve_p"] * 2.0**32)
    by = F32(p["reserve_p"] if p["rescale"] else 1)
    return np.where(stays, d / by, F32(0)) if p["reserve_p"] else np.zeros_like(d)


def keep_probability(d, p):
    """magprune's, for each element; equal magnitudes share their mean rank."""
    mag, n = magnitudes(d), len(d)
    value, group, count = np.unique(mag, return_inverse=True, return_counts=True)
    above = n - np.cumsum(count)  # elements larger than the group: its first rank
    rank = above + (count - 1) / 2
    return (1 - ((1 - p["reserve_p"]) - p["epsilon"] / 2 + rank * p["epsilon"] / n))[group]


def magprune(d, p, name, model):
    keep = keep_probability(d, p)
    stays = philox(p["seed"], name, model, len(d)).astype(np.float64) < keep * 2.0**32
    return np.where(stays, (d / keep).astype(F32) if p["rescale"] else d, F32(0))


# ---- combiners: task vectors of all models ----

def weights(ts, p):
    """(weights in f64, normalise?): without a list they are even and normalised."""
    if p["weight_list"] is None:
        return [1.0] * len(ts), True
    return [float(w) for w in p["weight_list"]], p["normalize"]


def linear(ts, p):
    ws, normalize = weights(ts, p)
    by = sum(ws) if normalize else 1.0
    out = np.zeros_like(ts[0])
    for w, t in zip(ws, ts):
        out = out + F32(w / by) * t
    return out


def slerp(ts, p):
    a, b = (t.astype(np.float64) for t in ts)
    alpha, eps = p["slerp_alpha"], p["slerp_normalize_eps"]
    na, nb = math.sqrt(fsum(a * a)), math.sqrt(fsum(b * b))
    dot = fsum(a * b) / ((na if na > eps else 1) * (nb if nb > eps else 1))
    fa, fb = 1 - alpha, alpha
    if not abs(dot) > p["slerp_dot_threshold"]:
        theta = math.acos(max(-1, min(1, dot))) if dot == dot else math.nan
        if not math.sin(theta) < 1e-7:
            fa = math.sin(theta - theta * alpha) / math.sin(theta)
            fb = math.sin(theta * alpha) / math.sin(theta)
    return F32(fa) * ts[0] + F32(fb) * ts[1]


def fsum(x):
    return math.fsum(x) if np.isfinite(x).all() else float(np.sum(x))


def ties(ts, p):
    ws, normalize = weights(ts, p)
    xs = [F32(w) * t for w, t in zip(ws, ts)]
    vote = np.zeros_like(ts[0])
    for x in xs:
        vote = vote + (np.sign(x) if p["ties_elect_type"] == "count" else x)
    major = np.where(vote >= 0, F32(1), F32(-1))
    out, share = np.zeros_like(ts[0]), np.zeros(len(vote))
    for w, x in zip(ws, xs):
        same = np.sign(x) == major
        out = out + same.astype(F32) * x
        share += np.where(same, w, 0.0)
    if normalize:
        out = (out.astype(np.float64) / np.where(np.abs(share) < 1e-8, 1.0, share)).astype(F32)
    return out


SPARSIFY = {"trim": trim, "dare": dare, "magprune": magprune}
COMBINE = {"linear": linear, "slerp": slerp, "ties": ties}


# ---- whole tensors, whole models ----

def merge_tensor(name, ts, base, method, dtype=None, **params):
    """Tensors of all models (and the base, or None) -> the merged Tensor. method: a documented
    name, or (sparsifier or None, combiner). ValueError where ladle must refuse."""
    p = dict(DEFAULT, **params)
    like = base or ts[0]
    if like.dtype not in FLOATS:
        if any(t != like for t in ts):
            raise ValueError(f"{name}: differs")
        return like
    sparsifier, combiner = NAMED[method] if isinstance(method, str) else method
    to = dtype or like.dtype
    if not math.prod(like.shape):
        return Tensor(to, like.shape, b"")
    with np.errstate(all="ignore"):
        xs = [decode(t) for t in ts]
        if base:
            b = decode(base)
            xs = [x - b for x in xs]
        if sparsifier:
            xs = [SPARSIFY[sparsifier](x, p, name=name, model=i) for i, x in enumerate(xs)]
        out = COMBINE[combiner](xs, p)
        if base:
            out = out + b
    return Tensor(to, like.shape, encode(to, out))


def merge(models, base, method, dtype=None, **params):
    return {name: merge_tensor(name, [m[name] for m in models], base and base[name], method, dtype, **params)
            for name in (base or models[0])}


def flags(method, dtype=None, **params):
    """The same settings as words for `ladle merge`."""
    if isinstance(method, str):
        words = ["--merge_method", method]
    else:
        words = ["--merge_type", method[1]] + (["--sparsify_type", method[0]] if method[0] else [])
    for k, v in params.items():
        words += [f"--{k}"] + [repr(x) for x in v] if isinstance(v, (list, tuple)) else [f"--{k}", str(v)]
    return words + (["--dtype", dtype.lower()] if dtype else [])
