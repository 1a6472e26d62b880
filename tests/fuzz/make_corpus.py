#!/usr/bin/env python3
"""make_corpus.py -- writes the seeds of the container fuzzers: small files of each kind that are read,
made with the standard library alone (a torch file is a pickle whose callables are only names).
usage: make_corpus.py          writes below tests/fuzz
SPDX-License-Identifier: Apache-2.0"""
import collections, io, json, os, pickle, struct, sys, types, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import spmodel  # noqa: E402


def named(module, name):
    """A callable that pickles as this name."""
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))

    def f(*args):
        return args
    f.__module__, f.__name__, f.__qualname__ = module, name, name
    setattr(sys.modules[module], name, f)
    return f


REBUILD = named("torch._utils", "_rebuild_tensor_v2")
FLOAT, HALF, LONG = (named("torch", n) for n in ("FloatStorage", "BFloat16Storage", "LongStorage"))


class Storage:
    def __init__(self, kind, key, numel, raw):
        self.kind, self.key, self.numel, self.raw = kind, key, numel, raw


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.args = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return REBUILD, self.args


class Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, o):
        if isinstance(o, Storage):
            return ("storage", o.kind, o.key, "cpu", o.numel) + ((None,) if self.legacy else ())
        return None


def dump(o, legacy=False):
    b = io.BytesIO()
    p = Pickler(b, protocol=2)
    p.legacy = legacy
    p.dump(o)
    return b.getvalue()


def state():
    a = Storage(FLOAT, "0", 6, struct.pack("<6f", *range(6)))
    b = Storage(HALF, "1", 4, struct.pack("<4H", 0x3f80, 0x4000, 0xbf80, 0))
    c = Storage(LONG, "2", 1, struct.pack("<q", 7))
    d = collections.OrderedDict()
    d["w"] = Tensor(a, 0, (2, 3), (3, 1))
    d["w.t"] = Tensor(a, 0, (3, 2), (1, 3))
    d["b"] = Tensor(b, 1, (3,), (1,))
    d["n"] = Tensor(c, 0, (), ())
    return d, [a, b, c]


def torch_zip(top, storages):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_STORED) as z:
        def put(name, raw):
            z.writestr(zipfile.ZipInfo("m/" + name), raw)
        put("data.pkl", dump(top))
        put("byteorder", b"little")
        for s in storages:
            put("data/" + s.key, s.raw)
        put("version", b"3\n")
    return b.getvalue()


def torch_legacy(top, storages):
    out = dump(0x1950a86a20f9469cfc6c) + dump(1001) + dump({"protocol_version": 1001, "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4}}) + dump(top, True) + dump([s.key for s in storages])
    for s in storages:
        out += struct.pack("<q", s.numel) + s.raw
    return out


def pickled_arrays(arrays, protocol, more=()):
    """numpy's pickle of {name: (code, shape, raw[, fortran])}, without numpy."""
    recon = named("numpy.core.multiarray", "_reconstruct")
    ndarray, dtype = named("numpy", "ndarray"), named("numpy", "dtype")

    class Dtype:
        def __init__(self, code):
            self.code = code

        def __reduce__(self):
            return dtype, (self.code, False, True), (3, "<", None, None, None, -1, -1, 0)

    class Array:
        def __init__(self, code, shape, raw, fortran=False):
            self.state = (1, shape, Dtype(code), fortran, raw)

        def __reduce__(self):
            return recon, (ndarray, (0,), b"b"), self.state
    return pickle.dumps({**{k: Array(*v) for k, v in arrays.items()}, **dict(more)}, protocol)


def pdparams(protocol):
    return pickled_arrays({"w": ("f4", (2, 3), struct.pack("<6f", 1, -2, 3, 4, 5, 6)), "h": ("u2", (2,), b"\x80\x3f\x00\x40"),
                           "f": ("f4", (2, 2), struct.pack("<4f", 1, 2, 3, 4), True)}, protocol,
                          {"StructuredToParameterName@@": {"w": "w_0"}})


def gguf():
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    kv = text("general.architecture") + struct.pack("<I", 8) + text("llama") + \
        text("general.alignment") + struct.pack("<II", 4, 32) + \
        text("a") + struct.pack("<IIQ", 9, 4, 2) + struct.pack("<2I", 1, 2)
    infos, data = b"", b""
    for name, dims, kind, raw in (("w", (3, 2), 0, struct.pack("<6f", *range(6))), ("q", (32,), 8, bytes(34)),
                                  ("p", (32, 1), 2, bytes(range(18)))):
        infos += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + \
            struct.pack("<IQ", kind, len(data))
        data += raw + bytes(-len(raw) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, 3, 3) + kv + infos
    return head + bytes(-len(head) % 32) + data


def tokenizers():
    """(name, file's number in fuzz_tokenizer.c, text)"""
    flags = {"single_word": False, "lstrip": True, "rstrip": False, "normalized": False, "special": True}
    listed = {"content": "<s>", **flags}
    fast = {"added_tokens": [{"id": 2, **listed}], "model": {"type": "BPE", "vocab": {"a": 0, "\u2581b": 1, "<s>": 2}, "merges": ["a b"]}}
    yield "fast", 0, json.dumps(fast, indent=1).encode()
    yield "unigram", 0, json.dumps({"added_tokens": [], "model": {"vocab": [["<unk>", 0.0], ["x", -1.5]]}}).encode()
    yield "vocab", 1, b'{"a": 0, "\\u00e9": 1, "b": 7}'
    yield "pieces", 2, spmodel.pieces([("<unk>", 2), ("<s>", 3), ("\u2581a", 1), ("<x>", 4), ("<0x0A>", 6)])
    yield "tiktoken", 2, b"IQ== 0\nIg== 1\n"
    yield "lines", 3, "[PAD]\n[UNK]\r\nh\u00e9\n\nz".encode()
    config = {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {"2": listed, "5": {"content": "c"}}, "x": [1, {"y": None}]}
    yield "config", 4, json.dumps(config, indent=2).encode()
    yield "config-t5", 4, b'{"tokenizer_class": "T5Tokenizer", "added_tokens_decoder": {}}'
    yield "added", 5, b'{\n  "<s>": 2,\n  "c\\"d": 3\n}\n'
    yield "special", 6, json.dumps({"bos_token": "<s>", "pad_token": listed, "additional_special_tokens": ["a", listed]}).encode()


def write(name, raw):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(raw)


def main():
    top, storages = state()
    write("torch/zip", torch_zip(top, storages))
    write("torch/zip-nested", torch_zip({"epoch": 3, "state_dict": top, "optimizer": {}}, storages))
    write("torch/legacy", torch_legacy(top, storages))
    for p in (2, 4):
        write(f"pdparams/protocol{p}", pdparams(p))
    write("gguf/small", gguf())
    for name, number, text in tokenizers():
        write("tokenizer/" + name, bytes([ord("0") // 7 * 7 + 7 + number]) + text)


if __name__ == "__main__":
    main()
