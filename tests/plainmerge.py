"""plainmerge.py -- linear and ties in plain Python, by np's rules (SEMANTICS.md section 5).

For golden_paddle.py: what ladle must give where Paddle does otherwise and no recorded case has the
result. Standard library only, so slow; npmerge.py is the full second opinion.
SPDX-License-Identifier: Apache-2.0"""
import math

import ladletest as lt

F32 = lt.round_f32  # Python computes in f64; one rounding of each step to f32 gives f32 arithmetic


def trim(d, reserve_p):
    s, n = sorted(abs(x) for x in d), len(d)
    v = (n - 1) * (1 - reserve_p)
    lo = math.floor(v)
    hi, g = min(lo + 1, n - 1), v - lo
    diff = F32([s[hi] - s[lo]])[0]
    th = F32([s[lo] + diff * g if g < 0.5 else s[hi] - diff * (1 - g)])[0]
    kept = F32(x if abs(x) >= th else 0.0 for x in d)
    all_, some = math.fsum(abs(x) for x in d), math.fsum(abs(x) for x in kept)
    if all_ < 1e-8 or some < 1e-8:
        return kept
    factor = F32([F32([all_])[0] / F32([some])[0]])[0]
    return F32(x * factor for x in kept)


def linear(ts, weights):
    w = F32(x / sum(weights) for x in weights)
    out = F32([0.0]) * len(ts[0])
    for wi, t in zip(w, ts):
        out = F32(o + p for o, p in zip(out, F32(wi * x for x in t)))
    return out


def ties(ts, weights, count):
    xs = [F32(F32([w])[0] * x for x in t) for w, t in zip(weights, ts)]
    out = []
    for column in zip(*xs):
        vote = 0.0
        for x in column:
            vote = vote + ((x > 0) - (x < 0)) if count else F32([vote + x])[0]
        sign, total, share = 1 if vote >= 0 else -1, 0.0, 0.0
        for w, x in zip(weights, column):
            if x * sign > 0:
                total, share = F32([total + x])[0], share + w
        out.append(total / (1.0 if abs(share) < 1e-8 else share))
    return F32(out)


def merge(models, base, reserve_p=None, count=None):
    """Even weights, normalised; ties when reserve_p is given, else linear. dtype: base's, else the first's."""
    out, weights = {}, [1.0] * len(models)
    for name, like in (base or models[0]).items():
        ts = [m[name].numbers() for m in models]
        b = base[name].numbers() if base else None
        if base:
            ts = [F32(x - y for x, y in zip(t, b)) for t in ts]
        merged = linear(ts, weights) if reserve_p is None else \
            ties([trim(t, reserve_p) for t in ts], weights, count)
        if base:
            merged = F32(x + y for x, y in zip(merged, b))
        out[name] = lt.Tensor(like.dtype, like.shape, lt.encode(like.dtype, merged))
    return out
