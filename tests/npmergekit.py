"""npmergekit.py -- what a mergekit recipe means, in plain numpy: a second reading of recipes.

For published.py. Written from shared/golden/mergekit/SEMANTICS.md and docs/recipes.md, not from ladle's
code: another YAML reader (PyYAML), another search for parameters, whole tensors and real sorts. Models
are dicts of f32 arrays; arithmetic is f32 where a method rounds on the way and f64 elsewhere. The random
methods use the draws that docs/random-numbers.md promises.
SPDX-License-Identifier: Apache-2.0"""
import itertools, math, re

import numpy as np
import npmerge as nm

F32, F64 = np.float32, np.float64
LAYER = re.compile(r"(?<=\.)\d{1,9}(?=\.)")
BEFORE = ("embed", "wte", "wpe")


# ---- parameters ----

def setting(value, tensor, t):
    """A number, or None when no filter fits."""
    if isinstance(value, (bool, int, float, str)):
        return float(value)
    if not any(isinstance(v, dict) for v in value):
        x = t * (len(value) - 1)
        i = int(x)
        f = x - i
        return (1 - f) * float(value[i]) + f * float(value[min(i + 1, len(value) - 1)])
    for condition in value:
        if condition.get("filter", "*") == "*" or condition["filter"] in tensor:
            return setting(condition["value"], tensor, t)
    return None


class Place:
    """Where a tensor is made: names, place in the gradient, and the maps that parameters are looked for in."""
    def __init__(self, t, out, entries, outer):
        self.t, self.out, self.entries, self.outer = t, out, entries, outer

    def of(self, entry, name, default=None):
        """entry: the number of a model, or None for a parameter of the method."""
        own = [] if entry is None else [(self.entries[entry][0], self.entries[entry][1])]
        for params, tensor in own + [(p, self.out if entry is None else self.entries[entry][1]) for p in self.outer]:
            if params and params.get(name) is not None:
                v = setting(params[name], tensor, self.t)
                if v is not None:
                    return v
        assert default is not None, f"{name} is missing"
        return default


# ---- sparsifiers ----

def rescaled(d, kept, on):
    a, b = (float(np.abs(x.astype(F64)).sum()) for x in (d, kept))
    return kept * F32(a / b) if on and a >= 1e-7 and b >= 1e-7 else kept


def order(d):
    """Ascending by magnitude; which of equals goes first is said where it matters."""
    return np.argsort(np.abs(d), kind="stable")


def magnitude(d, at, i, _):
    density = at.of(i, "density", 1)
    if density >= 1:
        return d
    k = max(int(density * d.size), 1)
    kept = np.zeros_like(d)
    most = np.argsort(-np.abs(d), kind="stable")[:k]
    kept[most] = d[most]
    return rescaled(d, kept, at.of(None, "rescale", 0))


def outliers(d, at, i, _):
    density, gamma, n = at.of(i, "density", 1), at.of(i, "gamma", 0.01), d.size
    if density >= 1:
        return d
    top = int(gamma * n)
    bottom = n - int(density * n) - top
    if bottom < 0:
        top, bottom = top + bottom, 0
    kept, by = d.copy(), order(d)
    kept[by[:bottom]] = 0
    kept[by[n - top:]] = 0
    return rescaled(d, kept, at.of(None, "rescale", 0))


def draws(at, i, n):
    return nm.philox(0, at.out, i, n).astype(F64)


def bernoulli(d, at, i, _):
    density = at.of(i, "density", 1)
    if density >= 1:
        return d
    return rescaled(d, np.where(draws(at, i, d.size) < math.ceil(density * 2.0**32), d, F32(0)), at.of(None, "rescale", 1))


def rowprune(d, at, i, columns):
    density, epsilon = at.of(i, "density", 1), at.of(i, "epsilon", 0.15)
    if density >= 1:
        return d
    keep = []
    for row in d.reshape(-1, columns):
        _, group, count = np.unique(np.abs(row), return_inverse=True, return_counts=True)
        rank = np.cumsum(count) - count + (count - 1) / 2
        keep.append((density - epsilon + 2 * epsilon * rank / (columns - 1))[group])
    return rescaled(d, np.where(draws(at, i, d.size) < np.concatenate(keep) * 2.0**32, d, F32(0)), at.of(None, "rescale", 1))


# ---- methods: flat f32 arrays of the models, that of the base (or None), the length of a row ----

def linear(xs, base, at, columns):
    ws = [F32(at.of(i, "weight")) for i in range(len(xs))]
    out = ws[0] * xs[0]
    for w, x in zip(ws[1:], xs[1:]):
        out = out + w * x
    if at.of(None, "normalize", 1):
        total = ws[0]
        for w in ws[1:]:
            total = total + w
        out = out / total
    return out


def unit(v, eps):
    n = math.sqrt(float(v @ v))
    return v / n if n > eps else v


def arc(v0, v1, t, least=0.0):
    """Along the arc; the line when the angle has no sine to divide by."""
    theta = math.acos(max(-1.0, min(1.0, float(unit(v0, 1e-8) @ unit(v1, 1e-8)))))
    if math.sin(theta) < 1e-7 or (least and abs(math.cos(theta)) > least):
        return (1 - t) * v0 + t * v1
    return (math.sin((1 - t) * theta) * v0 + math.sin(t * theta) * v1) / math.sin(theta)


def slerp(xs, base, at, columns):
    return arc(base.astype(F64), xs[0].astype(F64), at.of(None, "t"), 0.9995)


def nuslerp(xs, base, at, columns):
    assert base is None and at.of(None, "nuslerp_flatten", 1)
    w0, w1 = (at.of(i, "weight") for i in (0, 1))
    return arc(xs[0].astype(F64), xs[1].astype(F64), w1 / (w0 + w1))


def multislerp(xs, base, at, columns):
    ys = [(x - base).astype(F64) if base is not None else x.astype(F64) for x in xs]
    ws = np.array([at.of(i, "weight") for i in range(len(xs))])
    if at.of(None, "normalize_weights", 1):
        ws = ws / ws.sum()
    lengths = [math.sqrt(y @ y) for y in ys]
    mean = sum(w * y / (n + 1e-8) for w, y, n in zip(ws, ys, lengths))
    out = mean / math.sqrt(mean @ mean) * sum(w * n for w, n in zip(ws, lengths))
    return out + (base if base is not None else 0)


def karcher(xs, base, at, columns):
    vs = [x.astype(F64) for x in xs] + ([] if base is None else [base.astype(F64)])
    lengths, tol = [math.sqrt(v @ v) for v in vs], at.of(None, "tol", 1e-5)
    us = [v / n for v, n in zip(vs, lengths) if n > tol]
    u = sum(us) / len(us)
    u /= math.sqrt(u @ u)
    for _ in range(int(at.of(None, "max_iter", 10))):
        step = np.zeros_like(u)
        for x in us:
            d = max(-1.0, min(1.0, float(u @ x)))
            if math.acos(d) >= tol:
                step += math.acos(d) / math.sin(math.acos(d)) * (x - d * u) / len(us)
        n = math.sqrt(step @ step)
        if n < tol:
            break
        u = math.cos(n) * u + math.sin(n) * step / n
        u /= math.sqrt(u @ u)
    return u * (sum(lengths) / len(vs))


def task(sparsify=None, normalize=0, signs=False):
    def method(xs, base, at, columns):
        es, ws = [], []
        for i, x in enumerate(xs):
            d = x - base
            ws.append(F32(at.of(i, "weight")))
            es.append(ws[i] * (sparsify(d, at, i, columns) if sparsify else d))
        total = sum(es[1:], es[0])
        agree = [np.sign(e) == np.where(total >= 0, 1, -1) if signs else np.ones(e.size, bool) for e in es]
        mix = sum((np.where(a, e, F32(0)) for a, e in zip(agree, es)), np.zeros_like(base))
        if at.of(None, "normalize", normalize):
            share = sum(np.where(a, F64(w), 0) for a, w in zip(agree, ws))
            mix = mix / np.where(np.abs(share) < 1e-8, 1, share).astype(F32)
        return F32(at.of(None, "lambda", 1)) * mix + base
    return method


def sce(xs, base, at, columns):
    ts, topk = [x - base for x in xs], at.of(None, "select_topk", 1)
    if topk < 1:
        variance = np.stack(ts).astype(F64).var(axis=0).astype(F32)
        k = int(F32(np.count_nonzero(variance)) * F32(topk))
        kept = np.zeros(base.size, bool)
        kept[np.argsort(-variance, kind="stable")[:k]] = True
        ts = [np.where(kept, t, F32(0)) for t in ts]
    ws = np.array([(t.astype(F64)**2).mean() for t in ts])
    ws = ws / ws.sum() if ws.sum() >= 1e-6 else np.full(len(ts), 1 / len(ts))
    major = np.where(sum(ts[1:], ts[0]) >= 0, 1, -1)
    agree = [np.sign(t) == major for t in ts]
    share = sum(np.where(a, w, 0) for a, w in zip(agree, ws))
    return sum(np.where(a, w * t, 0) for a, w, t in zip(agree, ws, ts)) / np.maximum(share, 1e-6) + base


def model_stock(xs, base, at, columns):
    os_ = [(x - base).astype(F64) for x in xs]
    pairs = [float(a @ b) / max(math.sqrt(a @ a) * math.sqrt(b @ b), 1e-6) for a, b in itertools.combinations(os_, 2)]
    c, n = sum(max(-1, min(1, p)) for p in pairs) / len(pairs), len(xs)
    t = n * c / (1 + (n - 1) * c)
    return t * sum(x.astype(F64) for x in xs) / n + (1 - t) * base


def nearswap(xs, base, at, columns):
    w = np.clip(F32(at.of(None, "t")) * (F32(1) / np.maximum(np.abs(base - xs[0]), F32(1e-6))), F32(0), F32(1))
    return w * xs[0] + (1 - w) * base


def arcee_fusion(xs, base, at, columns):
    def softmax(v):
        e = np.exp(v - v.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True) + 1e-8
    x, b = (v.astype(F64).reshape(-1, columns) for v in (xs[0], base))
    p, q = softmax(x), softmax(b)
    kl = np.maximum((p * np.log(p / q)).sum(axis=1, keepdims=True), 0).astype(F32)
    score = (np.abs(xs[0] - base).reshape(-1, columns) * kl).ravel()
    quarter = [np.sort(score)[int(F32(f) * F32(score.size - 1))] for f in (0.25, 0.5, 0.75)]
    return np.where(score >= quarter[1] + F32(1.5) * (quarter[2] - quarter[0]), xs[0], base)


def passthrough(xs, base, at, columns):
    return F32(at.of(0, "scale", 1)) * xs[0]


METHODS = {
    "linear": linear, "slerp": slerp, "nuslerp": nuslerp, "multislerp": multislerp, "karcher": karcher, "sce": sce,
    "task_arithmetic": task(), "ties": task(magnitude, 1, True), "dare_ties": task(bernoulli, 0, True),
    "dare_linear": task(bernoulli), "breadcrumbs": task(outliers), "breadcrumbs_ties": task(outliers, 0, True),
    "della": task(rowprune, 1, True), "della_linear": task(rowprune), "model_stock": model_stock,
    "nearswap": nearswap, "arcee_fusion": arcee_fusion, "passthrough": passthrough}


# ---- recipes ----

def layers(model):
    return 1 + max(int(LAYER.search(n).group()) for n in model if LAYER.search(n))


def pieces(doc, models):
    """(output name, t, [(entry, input name)], maps outside of the entries): one for each tensor of the output."""
    body = doc["modules"]["default"] if "modules" in doc else doc
    outer = [doc["modules"]["default"].get("parameters")] if "modules" in doc else []
    outer.append(doc.get("parameters"))
    if "models" in body:
        entries = [e if isinstance(e, dict) else {"model": e} for e in body["models"]]
        first = models[entries[0]["model"]]
        for name in first:
            layer = LAYER.search(name)
            t = int(layer.group()) / max(layers(first) - 1, 1) if layer else 0.0
            yield name, t, [(e, name) for e in entries], outer
        return
    at = 0
    for s in body["slices"]:
        first, end = s["sources"][0]["layer_range"]
        for k in range(end - first):
            for name in models[s["sources"][0]["model"]]:
                layer = LAYER.search(name)
                if layer and int(layer.group()) == first + k:
                    names = [(e, LAYER.sub(str(e["layer_range"][0] + k), name, count=1)) for e in s["sources"]]
                    t = k / (end - first - 1) if end - first > 1 else 1.0
                    yield LAYER.sub(str(at + k), name, count=1), t, names, [s.get("parameters")] + outer
        at += end - first
    for s, before in ((body["slices"][0], True), (body["slices"][-1], False)):
        for name in models[s["sources"][0]["model"]]:
            if not LAYER.search(name) and before == any(w in name for w in BEFORE):
                yield name, 0.0, [(e, name) for e in s["sources"]], [s.get("parameters")] + outer


def merge(doc, models):
    """models: name -> {tensor name: f32 array}; the base is among them. The result: name -> f32 array."""
    out, base, method = {}, doc.get("base_model"), METHODS[doc["merge_method"]]
    for name, t, inputs, outer in pieces(doc, models):
        others = [(e, n) for e, n in inputs if e["model"] != base]
        b = models[base][next((n for e, n in inputs if e["model"] == base), name)] if base else None
        xs = [models[e["model"]][n] for e, n in others]
        at = Place(t, name, [(e.get("parameters"), n) for e, n in others], outer)
        with np.errstate(all="ignore"):
            flat = method([x.ravel() for x in xs], None if b is None else b.ravel(), at, xs[0].shape[-1])
        out[name] = flat.astype(F32).reshape(xs[0].shape)
    return out
