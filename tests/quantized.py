#!/usr/bin/env python3
"""quantized.py -- 8-bit floats with scales, and GGUF, against numpy.

Models are written here by the formats' definitions, read by ladle, merged, and the result compared as
raw bytes with npmerge.py on tensors that were unpacked here, by code that shares nothing with
ladle. GGUF files that ladle writes are judged by the `gguf` package of llama.cpp's people, where it is
installed (build/venv).
usage: quantized.py [WORD ...]   only the groups whose name begins with a WORD
SPDX-License-Identifier: Apache-2.0"""
import glob, json, math, os, struct, sys

import ladletest as lt

lt.need_program()
lt.need_module("numpy")
import numpy as np  # noqa: E402
import npmerge as nm  # noqa: E402

F32 = np.float32


# ---- 8-bit floats ----

def f8_table(fraction, bias, infinity):
    """The 256 values of a one-byte float."""
    values = np.zeros(256, F32)
    for c in range(128):
        e, m = c >> fraction, c & ((1 << fraction) - 1)
        v = math.ldexp(m + (1 << fraction), e - bias - fraction) if e else math.ldexp(m, 1 - bias - fraction)
        if infinity and c >> fraction == 31:
            v = math.nan if m else math.inf
        if not infinity and c == 127:
            v = math.nan
        values[c], values[128 + c] = v, -v
    return values


F8 = {"F8_E4M3": f8_table(3, 7, False), "F8_E5M2": f8_table(2, 15, True)}


def f8(rng, dtype, shape):
    """Random codes, no NaN and no infinity among them."""
    codes = rng.integers(0, 256, math.prod(shape), dtype=np.uint8)
    codes[~np.isfinite(F8[dtype][codes])] = 1
    return lt.Tensor(dtype, shape, codes.tobytes())


def unpack(weight, scale=None, blocks=None):
    """F32 tensor of an FP8 tensor: scale is an array whose shape says what it is for."""
    x = F8[weight.dtype][np.frombuffer(weight.raw, np.uint8)].reshape(weight.shape)
    if scale is not None:
        s = np.asarray(scale, F32)
        if s.size == 1:
            s = s.reshape(())
        elif blocks:
            s = np.repeat(np.repeat(s, blocks[0], -2), blocks[1], -1)[..., :x.shape[-2], :x.shape[-1]]
        else:
            s = s.reshape(s.shape + (1,) * (x.ndim - s.ndim))
        x = x * s
    return lt.Tensor("F32", weight.shape, np.ascontiguousarray(x, "<f4").tobytes())


def fp8_model(rng, form):
    """(tensors as stored, the same unpacked) of one form of scales."""
    stored, plain = {}, {}

    def add(name, weight, suffix, scale, dtype="F32", blocks=None):
        t = nm.tensor(dtype, scale.shape, scale)
        stored[name], stored[name + suffix] = weight, t
        plain[name] = unpack(weight, nm.decode(t).reshape(scale.shape), blocks)

    def scales(*shape):
        return np.exp(rng.standard_normal(shape)) * 0.01

    if form == "blocks":
        for i, (r, c) in enumerate(((200, 300), (128, 128), (129, 127), (300, 1))):
            grid = scales(-(-r // 128), -(-c // 128))
            add(f"model.layers.{i}.w.weight", f8(rng, "F8_E4M3", (r, c)), "_scale_inv", grid, blocks=(128, 128))
        add("model.experts.weight", f8(rng, "F8_E4M3", (3, 150, 130)), "_scale_inv", scales(3, 2, 2), blocks=(128, 128))
    elif form == "small blocks":
        add("model.layers.0.w.weight", f8(rng, "F8_E5M2", (200, 300)), "_scale_inv", scales(4, 10), "BF16", (64, 32))
    elif form == "rows":
        add("model.layers.0.w.weight", f8(rng, "F8_E4M3", (77, 130)), "_scale", scales(77, 1), "BF16")
        add("model.layers.1.w.weight", f8(rng, "F8_E4M3", (77, 130)), "_scale", scales(77))
        add("model.layers.2.w.weight", f8(rng, "F8_E4M3", (4, 20, 30)), "_scale", scales(4, 20, 1), "F16")
    else:
        for i, shape in enumerate(((), (1,), (1, 1))):
            name = f"model.layers.{i}.w"
            add(name + ".weight", f8(rng, ["F8_E4M3", "F8_E5M2"][i % 2], (50, 70)), "_scale", scales(*shape))
            stored[name + ".input_scale"] = nm.tensor("F32", (), [3.5])
            stored[f"model.layers.{i}.k_scale"] = nm.tensor("F32", (1,), [2.5])
    for d in (stored, plain):
        d["model.norm.weight"] = nm.tensor("F32", (130,), np.arange(130) / 7)
    return stored, plain


CONFIG = {"small blocks": [64, 32], "blocks": [128, 128]}


def unlike(got, want):
    bad = [f"{n}: only in one of the two" for n in sorted(set(got) ^ set(want))]
    for n in sorted(set(got) & set(want)):
        g, w = got[n], want[n]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            bad.append(f"{n}: {g.dtype}{list(g.shape)}, expected {w.dtype}{list(w.shape)}")
        elif g.raw != w.raw:
            a, b = ((np.frombuffer(t.raw, np.uint8) if t.dtype[:2] == "F8" else nm.decode(t)) for t in (g, w))
            at = np.flatnonzero(a.view(np.uint32) != b.view(np.uint32)) if a.dtype == F32 else np.flatnonzero(a != b)
            bad.append(f"{n}: {len(at)} of {len(a)} elements, first [{at[0]}] {a[at[0]]!r}, expected {b[at[0]]!r}")
    return bad


def merge(tmp, out, models, *words):
    run = lt.ladle("merge", "--model_path_list", *models, "--output_path", out, *words, cwd=tmp)
    return run, lt.read_model(os.path.join(tmp, out)) if run.rc == 0 else None


def group_fp8(report):
    """Each form with itself, with a plain model, with a base; the type of the output."""
    rng = np.random.default_rng(4)
    for form in ("blocks", "small blocks", "rows", "tensor"):
        with lt.workdir() as tmp:
            plain = {}
            quant = {"quant_method": "fp8"}
            if form in CONFIG:
                quant["weight_block_size"] = CONFIG[form]
            for i, name in enumerate(("a", "b")):
                stored, plain[name] = fp8_model(rng, form)
                lt.write_model(os.path.join(tmp, name), stored, shards=1 + 2 * i,
                               config={"torch_dtype": "bfloat16", "quantization_config": quant})
            plain["c"] = {n: nm.tensor(t.dtype, t.shape, nm.decode(t) * F32(0.5)) for n, t in plain["a"].items()}
            lt.write_model(os.path.join(tmp, "c"), plain["c"])
            run, got = merge(tmp, "o1", "ab", "--dtype", "float32")
            report.case(f"fp8 {form}", run.problems() or
                        unlike(got, nm.merge([plain["a"], plain["b"]], None, "linear", "F32")))
            run, got = merge(tmp, "o2", "ab", "--dtype", "float32", "--weight_list", "0.25", "0.5",
                             "--base_model_path", "c")
            report.case(f"fp8 {form} onto a base", run.problems() or unlike(
                got, nm.merge([plain["a"], plain["b"]], plain["c"], "linear", "F32", weight_list=[0.25, 0.5])))
            run, got = merge(tmp, "o3", "ca", "--merge_method", "ties", "--base_model_path", "b", "--dtype", "float32")
            report.case(f"fp8 {form} as the base", run.problems() or
                        unlike(got, nm.merge([plain["c"], plain["a"]], plain["b"], "ties", "F32")))
            run, got = merge(tmp, "o4", "ab")
            want = nm.merge([plain["a"], plain["b"]], None, "linear", "BF16")
            want["model.norm.weight"] = nm.merge([plain["a"], plain["b"]], None, "linear")["model.norm.weight"]
            report.case(f"fp8 {form} in the type that config.json names", run.problems() or unlike(got, want))
            with open(os.path.join(tmp, "o4", "config.json")) as f:
                c = json.load(f)
            report.case(f"fp8 {form} config.json", [] if c == {"torch_dtype": "bfloat16"} else [str(c)])
            run = lt.ladle("show", "a", cwd=tmp)
            bad = [w for w in ("scale_inv", "weight_scale", "input_scale", "k_scale") if w in run.out]
            report.case(f"fp8 {form} show", run.problems() or [f"{w} is shown" for w in bad])


def group_threads(report):
    """The same bytes for any tile, any level, any number of threads."""
    rng = np.random.default_rng(5)
    with lt.workdir() as tmp:
        for name in "ab":
            stored, _ = fp8_model(rng, "blocks")
            lt.write_model(os.path.join(tmp, name), stored)
        first = None
        bad = []
        for i, env in enumerate(({}, {"LADLE_TILE": "4096"}, {"LADLE_CPU": "v2"})):
            run = lt.ladle("merge", "--model_path_list", "a", "b", "--output_path", f"o{i}", "--threads", str(1 + i),
                           cwd=tmp, env=env)
            bad += run.problems()
            if run.rc == 0:
                got = lt.read_model(os.path.join(tmp, f"o{i}"))
                first = first or got
                bad += [f"{env}: {p}" for p in unlike(got, first)]
        report.case("fp8 with other threads, tiles and levels", bad)


def e4m3(x):
    """f32 -> codes, by looking for the nearest of the 127 numbers; of two equally near ones the even code."""
    values = np.append(F8["F8_E4M3"][:127].astype(np.float64), 480.0)  # what the next number would be
    a = np.abs(x.astype(np.float64))
    lo = np.clip(np.searchsorted(values, a, "right") - 1, 0, 126)
    below, above = a - values[lo], values[lo + 1] - a
    code = np.where((below < above) | ((below == above) & (lo % 2 == 0)), lo, lo + 1)
    code = np.where((code > 126) | ~np.isfinite(x), 127, code)
    return np.where((code < 127) & np.signbit(x), code | 128, code).astype(np.uint8)


def into_blocks(t):
    """F32 matrix -> (weight, scales) as --dtype fp8 must write it."""
    (r, c), x = t.shape, nm.decode(t).reshape(t.shape)
    grid, q = np.ones((-(-r // 128), -(-c // 128)), F32), np.zeros((r, c), np.uint8)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            at = np.s_[i * 128:i * 128 + 128, j * 128:j * 128 + 128]
            finite = np.abs(x[at][np.isfinite(x[at])])
            if finite.size and finite.max():
                grid[i, j] = max(F32(finite.max() / F32(448)), F32(2.0**-126))
            with np.errstate(all="ignore"):
                q[at] = e4m3(x[at] / grid[i, j])
    return lt.Tensor("F8_E4M3", t.shape, q.tobytes()), nm.tensor("F32", grid.shape, grid)


def group_out_fp8(report):
    """--dtype fp8: which tensors, the scales, the codes, config.json; from bf16 and from FP8."""
    rng = np.random.default_rng(11)
    shapes = {"model.embed_tokens.weight": (300, 256), "model.layers.0.up.weight": (300, 200),
              "model.layers.0.small.weight": (100, 200), "model.layers.0.mlp.gate.weight": (128, 128),
              "model.layers.1.down.weight": (129, 383), "model.layers.1.norm.weight": (200,)}
    with lt.workdir() as tmp:
        plain = {}
        for name in "abc":
            t = {n: nm.tensor("BF16", s, rng.standard_normal(math.prod(s)) * 10.0 ** rng.integers(-6, 3))
                 for n, s in shapes.items()}
            x = nm.decode(t["model.layers.1.down.weight"]).copy()
            x[[3, 3835]] = [np.nan, np.inf] if name == "a" else 1
            x.reshape(129, 383)[:128, 128:256] = 0  # a block of zeros
            t["model.layers.1.down.weight"] = nm.tensor("BF16", (129, 383), x)
            plain[name] = t
            lt.write_model(os.path.join(tmp, name), t, config={"torch_dtype": "bfloat16", "n": 1})
        for method, base in (("linear", None), ("ties", "c")):
            words = ["--base_model_path", base] if base else []
            run, got = merge(tmp, method, "ab", "--merge_method", method, "--dtype", "fp8", *words)
            whole = nm.merge([plain["a"], plain["b"]], base and plain[base], method, "F32")
            want = nm.merge([plain["a"], plain["b"]], base and plain[base], method)
            for n in ("model.layers.0.up.weight", "model.layers.1.down.weight"):
                want[n], want[n + "_scale_inv"] = into_blocks(whole[n])
            bad = run.problems() or unlike(got, want)
            if not bad:
                with open(os.path.join(tmp, method, "config.json")) as f:
                    c = json.load(f)
                q = c.pop("quantization_config", {})
                bad += [] if c == {"torch_dtype": "bfloat16", "n": 1} else [f"config.json: {c}"]
                left = ["model.embed_tokens", "model.layers.0.mlp.gate", "model.layers.0.small"]
                bad += [] if sorted(q.get("modules_to_not_convert", [])) == left else [str(q)]
                bad += [] if (q.get("quant_method"), q.get("weight_block_size")) == ("fp8", [128, 128]) else [str(q)]
            report.case(f"fp8 written, {method}", bad)
        # and back: what was written is read as code * scale
        run, got = merge(tmp, "back", ["linear", "linear"], "--dtype", "float32")
        n = "model.layers.0.up.weight"
        w, s = into_blocks(nm.merge([plain["a"], plain["b"]], None, "linear", "F32")[n])
        t = unpack(w, nm.decode(s).reshape(s.shape), (128, 128))
        want = nm.merge([{n: t}, {n: t}], None, "linear")
        report.case("fp8 written, read again", run.problems() or unlike({n: got[n]}, want))
        small = {"model.layers.0.up.weight": lt.Tensor("F32", (4, 4), bytes(64))}
        lt.write_model(os.path.join(tmp, "small"), small)
        run = lt.ladle("convert", "small", "o-small", "--dtype", "fp8", cwd=tmp)
        report.case("fp8 asked for, and nothing for it: said", [] if run.rc == 0 and "no tensor becomes FP8" in run.err else [run.err])


def group_odd_scales(report):
    """A NaN or infinite scale reaches the output and is reported."""
    rng = np.random.default_rng(6)
    with lt.workdir() as tmp:
        stored = {"w.weight": f8(rng, "F8_E4M3", (3, 40)),
                  "w.weight_scale": nm.tensor("F32", (3, 1), [1.0, np.nan, np.inf])}
        lt.write_model(os.path.join(tmp, "a"), stored)
        run, got = merge(tmp, "o", "aa", "--dtype", "float32")
        bad = run.problems()
        if not bad:
            x = nm.decode(got["w.weight"]).reshape(3, 40)
            bad += [] if np.isfinite(x[0]).all() and np.isnan(x[1]).all() and not np.isfinite(x[2]).any() else [str(x)]
            bad += [] if "NaN" in run.err or "not finite" in run.err else [f"no word about NaN: {run.err!r}"]
        report.case("fp8 odd scales", bad)


# ---- GGUF ----

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "I32": 26, "BF16": 30}


def gguf_text(s):
    s = s.encode()
    return struct.pack("<Q", len(s)) + s


PAIRS = [("general.architecture", 8, gguf_text("llama")), ("general.name", 8, gguf_text("tiny \u00e9")),
         ("general.file_type", 4, struct.pack("<I", 1)), ("llama.block_count", 4, struct.pack("<I", 2)),
         ("llama.rope", 6, struct.pack("<f", 1e4)), ("llama.flag", 7, b"\1"), ("llama.big", 10, b"\7" * 8),
         ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + gguf_text("a") + gguf_text("") + gguf_text("\u20ac")),
         ("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + struct.pack("<3f", 1, 2, 3))]


def write_gguf(path, tensors, alignment=32, version=3, pairs=PAIRS):
    """tensors: name -> (type, shape, raw)."""
    if alignment != 32:
        pairs = pairs + [("general.alignment", 4, struct.pack("<I", alignment))]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, type_, raw in pairs:
        head += gguf_text(key) + struct.pack("<I", type_) + raw
    data = b""
    for name, (type_, shape, raw) in tensors.items():
        head += gguf_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        head += struct.pack("<IQ", TYPES[type_], len(data))
        data += raw + b"\0" * (-len(raw) % alignment)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % alignment) + data)


def block_raw(rng, type_, n):
    """Random blocks: any nibbles and bytes, sensible scales, some of them 0, negative and subnormal."""
    scale = (rng.standard_normal(n // 32) * 0.01).astype("<f2")
    scale[:3] = [0, -1, 6e-8]
    body = rng.integers(0, 256, (n // 32, 32 if type_ == "Q8_0" else 16), dtype=np.uint8)
    return np.concatenate([scale.view(np.uint8).reshape(-1, 2), body], 1).tobytes()


def block_values(type_, raw):
    b = np.frombuffer(raw, np.uint8).reshape(-1, 34 if type_ == "Q8_0" else 18)
    d = b[:, :2].copy().view("<f2").astype(F32)
    if type_ == "Q8_0":
        q = b[:, 2:].view(np.int8).astype(F32)
    else:
        q = np.concatenate([b[:, 2:] & 15, b[:, 2:] >> 4], 1).astype(F32) - F32(8)
    return (d * q).ravel()


def gguf_model(rng):
    """(tensors for write_gguf, the same unpacked to F32)."""
    stored, plain = {}, {}
    for name, type_, shape in (("token_embd.weight", "Q8_0", (50, 64)), ("blk.0.attn_q.weight", "Q4_0", (33, 96)),
                               ("blk.0.ffn_up.weight", "F16", (7, 33)), ("blk.0.ffn_down.weight", "BF16", (5, 9)),
                               ("blk.0.attn_norm.weight", "F32", (33,)), ("blk.0.exps.weight", "Q8_0", (2, 3, 32)),
                               ("rope.ids", "I32", (5,))):
        n = math.prod(shape)
        if type_[0] == "Q":
            raw = block_raw(rng, type_, n)
            plain[name] = lt.Tensor("F32", shape, block_values(type_, raw).astype("<f4").tobytes())
        else:
            t = nm.tensor(type_, shape, np.arange(n) if type_ == "I32" else rng.standard_normal(n))
            raw = t.raw
            plain[name] = t if type_ == "I32" else lt.Tensor("F32", shape, nm.decode(t).astype("<f4").tobytes())
        stored[name] = (type_, shape, raw)
    return stored, plain


def group_gguf(report):
    """Two files merged to safetensors; other alignments and versions; the types of the output."""
    rng = np.random.default_rng(7)
    for alignment, version in ((32, 3), (64, 2), (8, 3)):
        with lt.workdir() as tmp:
            plain = {}
            for name in ("a", "b"):
                stored, plain[name] = gguf_model(rng)
                items = list(stored.items())[::1 if name == "a" else -1]  # another order in the other file
                write_gguf(os.path.join(tmp, f"{name}.gguf"), dict(items), alignment, version)
            run, got = merge(tmp, "o1", ["a.gguf", "b.gguf"], "--dtype", "float32")
            report.case(f"gguf alignment {alignment}", run.problems() or
                        unlike(got, nm.merge([plain["a"], plain["b"]], None, "linear", "F32")))
            lt.write_model(os.path.join(tmp, "c"), plain["b"])
            run, got = merge(tmp, "o2", ["a.gguf", "c"], "--dtype", "float32", "--merge_method", "ties",
                             "--base_model_path", "b.gguf")
            report.case(f"gguf alignment {alignment} with safetensors", run.problems() or
                        unlike(got, nm.merge([plain["a"], plain["b"]], plain["b"], "ties", "F32")))
            run, got = merge(tmp, "o3", ["a.gguf", "b.gguf"])
            types = {n: t.dtype for n, t in (got or {}).items()}
            bad = [f"{n}: {types.get(n)}" for n, (t, _, _) in gguf_model(rng)[0].items()
                   if types.get(n) != ("F16" if t[0] == "Q" else t)]
            report.case(f"gguf alignment {alignment} types", run.problems() or bad)
            run = lt.ladle("show", "a.gguf", cwd=tmp)
            report.case(f"gguf alignment {alignment} show", run.problems() or
                        [f"{n} is not shown" for n in plain["a"] if n not in run.out])


def group_gguf_result(report):
    """A recipe's result, which takes part in another recipe whose output is GGUF."""
    rng = np.random.default_rng(9)
    one = "merge_method: linear\ndtype: float32\nparameters: {weight: 1}\nmodels: [a.gguf, b.gguf]\n"
    last = "merge_method: linear\ndtype: float16\nparameters: {weight: 1}\nmodels: [%s, a.gguf]\n"
    with lt.workdir() as tmp:
        for name in ("a", "b"):
            write_gguf(os.path.join(tmp, f"{name}.gguf"), gguf_model(rng)[0])
        problems, out = [], []
        for recipe, words in ((one, "x"), (last % "x/model.gguf", "apart"), (f"name: y\n{one}---\n" + last % "y", "at_once")):
            with open(os.path.join(tmp, "r.yml"), "w") as f:
                f.write(recipe)
            problems += lt.ladle("merge", "r.yml", words, "--format", "gguf", cwd=tmp).problems()
        for folder in ("apart", "at_once") if not problems else ():
            with open(os.path.join(tmp, folder, "model.gguf"), "rb") as f:
                out.append(f.read())
        report.case("a result, then gguf", problems or ([] if out[0] == out[1] else ["other bytes than of two merges"]))


def group_gguf_out(report):
    """What --format gguf writes, read by the package gguf."""
    try:
        import gguf
    except ImportError as e:
        return report.skip("gguf written", f"{e} (./dev test installs it into build/venv)")
    rng = np.random.default_rng(8)
    code = {"float32": (0, "F32"), "float16": (1, "F16"), "bfloat16": (32, "BF16"), "q8_0": (7, "Q8_0")}
    for word, (file_type, name_of_type) in code.items():
        with lt.workdir() as tmp:
            plain = {}
            for name in ("a", "b"):
                stored, plain[name] = gguf_model(rng)
                write_gguf(os.path.join(tmp, f"{name}.gguf"), stored, 64)
            run = lt.ladle("merge", "--model_path_list", "a.gguf", "b.gguf", "--output_path", "o", "--format", "gguf",
                           "--dtype", word, cwd=tmp)
            bad, files = run.problems(), glob.glob(os.path.join(tmp, "o", "*.gguf"))
            bad = bad or ([] if len(files) == 1 else [f"files: {os.listdir(os.path.join(tmp, 'o'))}"])
            report.case(f"gguf written as {word}", bad or judge(gguf, files[0], plain, file_type, name_of_type))


def judge(gguf, path, plain, file_type, type_name):
    r, bad = gguf.GGUFReader(path), []
    keys = [k for k in r.fields if not k.startswith("GGUF.")]
    if keys != [k for k, _, _ in PAIRS] + ["general.alignment"]:
        bad.append(f"keys: {keys}")
    if r.fields["general.file_type"].contents() != file_type:
        bad.append(f"file_type {r.fields['general.file_type'].contents()}")
    if r.fields["tokenizer.ggml.tokens"].contents() != ["a", "", "\u20ac"]:
        bad.append("the tokens are not the source's")
    want = nm.merge([plain["a"], plain["b"]], None, "linear", "F32")
    if sorted(t.name for t in r.tensors) != sorted(want):
        bad.append(f"tensors: {[t.name for t in r.tensors]}")
    for t in r.tensors:
        w = want[t.name]
        shape = tuple(int(d) for d in t.shape[::-1])
        if shape != w.shape:
            bad.append(f"{t.name}: {shape}, expected {w.shape}")
        elif w.dtype == "I32":
            bad += [] if t.data.tobytes() == w.raw else [f"{t.name}: other bytes"]
        elif t.tensor_type.name == "Q8_0":
            q = gguf.quants.quantize(nm.decode(w).reshape(w.shape), gguf.GGMLQuantizationType.Q8_0)
            bad += [] if t.data.tobytes() == q.tobytes() else [f"{t.name}: not what gguf's own quantize() gives"]
        elif t.data.tobytes() != nm.encode(t.tensor_type.name, nm.decode(w)):
            bad.append(f"{t.name}: other numbers")
        matrix = len(w.shape) > 1 and (type_name != "Q8_0" or w.shape[-1] % 32 == 0)
        if matrix and w.dtype != "I32" and t.tensor_type.name != type_name:
            bad.append(f"{t.name} is written as {t.tensor_type.name}")
    return bad


def group_refused(report):
    """What is not read says so in one line, and leaves nothing."""
    rng = np.random.default_rng(9)
    with lt.workdir() as tmp:
        stored, _ = gguf_model(rng)
        write_gguf(os.path.join(tmp, "a.gguf"), stored)
        TYPES["Q4_K"] = 12
        write_gguf(os.path.join(tmp, "k.gguf"), dict(stored, **{"x.weight": ("Q4_K", (2, 256), b"\0" * 288)}))
        lt.write_model(os.path.join(tmp, "bad"), {"w.weight": f8(rng, "F8_E4M3", (200, 300)),
                                                  "w.weight_scale_inv": nm.tensor("F32", (3, 2), np.ones(6))})
        lt.write_model(os.path.join(tmp, "lone"), {"v.weight": f8(rng, "F8_E4M3", (2, 2)),
                                                   "w.weight_scale": nm.tensor("F32", (1,), [1])})
        for name, words in (("k.gguf", ["x.weight", "Q4_K", "F32, F16, BF16, Q8_0, Q4_0"]),
                            ("bad", ["w.weight", "w.weight_scale_inv", "[3, 2]"]),
                            ("lone", ["w.weight_scale", "missing"])):
            run, _ = merge(tmp, "o", ["a.gguf", name])
            bad = [] if run.rc == 4 else [f"exit {run.rc}"]
            bad += [] if len(run.lines()) == 1 else [run.err]
            bad += [f"no {w!r} in {run.err!r}" for w in words if w not in run.err]
            bad += lt.leftovers(os.path.join(tmp, "o"))
            report.case(f"refused {name}", bad)


def main():
    report = lt.Report()
    for name, group in list(globals().items()):
        if name.startswith("group_") and (not sys.argv[1:] or any(name[6:].startswith(w) for w in sys.argv[1:])):
            group(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
