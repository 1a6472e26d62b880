"""others.py -- hostile safetensors, GGUF and index files, adapters and scales.
Each function gives (name, {path: bytes or link target}, the model's word, words of the refusal).
SPDX-License-Identifier: Apache-2.0"""
import json, os, struct, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))
import make_corpus as mc  # noqa: E402


class Link(str):
    """A symbolic link with this target."""


def st(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype="F32", shape=(2, 2), at=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(at)}


def safetensors():
    good = st({"w": entry()}, bytes(16))
    for at in (0, 4, 8, 20, len(good) - 1):
        yield f"cut at {at}", good[:at]
    yield "header of 2^63", st({}, length=1 << 63)
    yield "header longer than the file", st({"w": entry()}, length=5000)
    yield "offsets past the end", st({"w": entry(at=(0, 1 << 60))}, bytes(16))
    yield "offsets backwards", st({"w": entry(at=(16, 0))}, bytes(16))
    yield "shape of 2^63", st({"w": entry(shape=(1 << 63, 2))}, bytes(16))
    yield "shape whose product wraps", st({"w": entry(shape=(1 << 33, 1 << 33))}, bytes(16))
    yield "shape negative", st(b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,16]}}', bytes(16))
    yield "shape with a fraction", st(b'{"w":{"dtype":"F32","shape":[1.5],"data_offsets":[0,16]}}', bytes(16))
    yield "overlap", st({"a": entry(), "b": entry(at=(8, 24))}, bytes(24))
    yield "hole", st({"a": entry(), "b": entry(at=(20, 36))}, bytes(36))
    yield "bytes left over", st({"a": entry()}, bytes(17))
    yield "a name twice", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2))
    yield "unknown dtype", st({"w": entry(dtype="F128")}, bytes(16))
    yield "a dtype of GGUF", st({"w": entry(dtype="Q8_0", shape=(32,), at=(0, 34))}, bytes(34))
    yield "deep nesting", st(b'{"__metadata__":' + b"[" * 5000)
    yield "no JSON", st(b"{" + b"\xff" * 50)


def gguf_text(s):
    return struct.pack("<Q", len(s)) + s


def gguf(kv=b"", nkv=0, infos=b"", ntensors=0, version=3, data=b""):
    head = b"GGUF" + struct.pack("<IQQ", version, ntensors, nkv) + kv + infos
    return head + bytes(-len(head) % 32) + data


def info(name=b"w", dims=(2,), kind=0, at=0):
    return gguf_text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, at)


def ggufs():
    good = mc.gguf()
    for at in (4, 8, 16, 23, 24, 40, 60, 100, 140, len(good) - 40):
        yield f"cut at {at}", good[:at]
    yield "version 1", gguf(version=1)
    yield "big-endian", gguf(version=3 << 24)
    yield "2^63 tensors", gguf(ntensors=1 << 63)
    yield "2^63 keys", gguf(nkv=1 << 63)
    yield "key of 2^63 bytes", gguf(struct.pack("<Q", 1 << 63), 1)
    yield "array of 2^62", gguf(gguf_text(b"a") + struct.pack("<IIQ", 9, 12, 1 << 62), 1)
    yield "array of arrays", gguf(gguf_text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 2000, 1)
    yield "unknown value type", gguf(gguf_text(b"a") + struct.pack("<I", 77), 1)
    for a in (0, 3, 1 << 31):
        yield f"alignment {a}", gguf(gguf_text(b"general.alignment") + struct.pack("<II", 4, a), 1, info(), 1, data=bytes(64))
    yield "Q4_K", gguf(infos=info(kind=12, dims=(256,)), ntensors=1, data=bytes(256))
    yield "type 4000", gguf(infos=info(kind=4000), ntensors=1, data=bytes(64))
    yield "dims whose product wraps", gguf(infos=info(dims=(1 << 33, 1 << 33)), ntensors=1, data=bytes(64))
    yield "4 billion dims", gguf(infos=gguf_text(b"w") + struct.pack("<I", 0xffffffff), ntensors=1)
    yield "row no whole block", gguf(infos=info(kind=8, dims=(33,)), ntensors=1, data=bytes(96))
    yield "offset not aligned", gguf(infos=info(at=4), ntensors=1, data=bytes(64))
    yield "offset past the end", gguf(infos=info(at=1 << 62), ntensors=1, data=bytes(64))
    yield "overlap", gguf(infos=info() + info(b"v"), ntensors=2, data=bytes(64))
    yield "a name twice", gguf(infos=info() + info(at=32), ntensors=2, data=bytes(64))


SHARD = st({"w": entry()}, bytes(16))
INDEX = "m/model.safetensors.index.json"


def index(weight_map):
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def indexes():
    yield "leads up", {INDEX: index({"w": "../../x.safetensors"})}, ["../../x.safetensors"]
    yield "absolute", {INDEX: index({"w": "/etc/passwd"})}, ["/etc/passwd"]
    yield "a folder", {INDEX: index({"w": "sub"}), "m/sub/x": b""}, ["sub"]
    yield "in a folder", {INDEX: index({"w": "sub/x"}), "m/sub/x": SHARD}, ["sub/x"]
    yield "itself", {INDEX: index({"w": "model.safetensors.index.json"})}, ["model.safetensors.index.json"]
    yield "no shard", {INDEX: index({"w": "x.safetensors"})}, ["x.safetensors"]
    yield "a link to nothing", {INDEX: index({"w": "x.safetensors"}), "m/x.safetensors": Link("/nowhere/x")}, ["x.safetensors"]
    yield "a link in a circle", {INDEX: index({"w": "x.safetensors"}), "m/x.safetensors": Link("x.safetensors")}, ["x.safetensors"]
    yield "a link to a device", {INDEX: index({"w": "x.safetensors"}), "m/x.safetensors": Link("/dev/zero")}, ["x.safetensors"]
    yield "a tensor that is not there", {INDEX: index({"v": "x.safetensors"}), "m/x.safetensors": SHARD}, ["v"]
    two = st({"w": entry(), "v": entry(at=(16, 32))}, bytes(32))
    yield "a tensor that is not listed", {INDEX: index({"w": "x.safetensors"}), "m/x.safetensors": two}, ["'v'"]
    yield "no object", {INDEX: b"[1]"}, [INDEX]
    yield "a list for a map", {INDEX: b'{"weight_map": []}'}, [INDEX]
    yield "a number for a file", {INDEX: b'{"weight_map": {"w": 3}}'}, ["w"]
    yield "cut", {INDEX: b'{"weight_map": {"w": "x.saf'}, [INDEX]
    yield "deep", {INDEX: b'{"metadata": ' + b"[" * 100000}, [INDEX]


BASE = {"b/model.safetensors": st({"l.weight": entry(shape=(4, 2), at=(0, 32))}, bytes(32))}


def adapter(config, tensors=None):
    if tensors is None:
        tensors = {"base_model.model.l.lora_A.weight": (2, 2), "base_model.model.l.lora_B.weight": (4, 2)}
    header, at = {}, 0
    for name, shape in tensors.items():
        n = 4 * shape[0] * shape[1]
        header[name] = entry(shape=shape, at=(at, at + n))
        at += n
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    return {**BASE, "a/adapter_config.json": raw, "a/adapter_model.safetensors": st(header, bytes(at))}


def adapters():
    ok = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    yield "no settings", {k: v for k, v in adapter(ok).items() if "config" not in k}, ["a"]
    yield "settings cut", adapter(b'{"r": 2, "lora'), ["adapter_config.json"]
    yield "another kind", adapter({**ok, "peft_type": "LOHA"}), ["LOHA"]
    yield "rank 0", adapter({**ok, "r": 0}), ["r"]
    yield "rank of 1e300", adapter(b'{"peft_type":"LORA","r":1e300,"lora_alpha":1}'), ["r"]
    yield "another rank", adapter({**ok, "r": 3}), ["l"]
    yield "alpha NaN", adapter(b'{"peft_type":"LORA","r":2,"lora_alpha":NaN}'), ["lora_alpha"]
    yield "half a pair", adapter(ok, {"base_model.model.l.lora_A.weight": (2, 2)}), ["l"]
    yield "shapes that do not fit", adapter(ok, {"base_model.model.l.lora_A.weight": (2, 3), "base_model.model.l.lora_B.weight": (4, 2)}), ["l"]
    yield "a module that is not there", adapter(ok, {"base_model.model.x.lora_A.weight": (2, 2), "base_model.model.x.lora_B.weight": (4, 2)}), ["x"]
    yield "a regex that explodes", adapter({**ok, "rank_pattern": {"(((a+)+)+)+$" * 20: 3}}), None
    yield "a regex of 100 kB", adapter({**ok, "rank_pattern": {"(" * 100000: 3}}), ["the pattern"]
    yield "a tensor of no kind", adapter(ok, {"base_model.model.l.lora_A.weight": (2, 2), "base_model.model.l.lora_B.weight": (4, 2),
                                             "base_model.model.strange": (2, 2)}), ["strange"]


def scales():
    def both(scale_shape, dtype="F32", name="l.weight_scale_inv"):
        n = 1
        for d in scale_shape:
            n *= d
        size = n * {"F32": 4, "I32": 4}[dtype]
        return {"m/model.safetensors": st({"l.weight": entry("F8_E4M3", (200, 300), (0, 60000)),
                                           name: entry(dtype, scale_shape, (60000, 60000 + size))}, bytes(60000 + size))}
    yield "scales of a shape that fits nothing", both((5, 7)), ["l.weight_scale_inv"]
    yield "scales of integers", both((2, 3), "I32"), ["l.weight_scale_inv"]
    yield "scales of nothing", both((2, 3), name="x.weight_scale_inv"), ["x.weight_scale_inv"]


def cases():
    for what, raw in safetensors():
        yield f"safetensors: {what}", {"m.safetensors": raw}, "m.safetensors", ["m.safetensors"]
    for what, raw in ggufs():
        yield f"gguf: {what}", {"m.gguf": raw}, "m.gguf", ["m.gguf"]
    for what, files, words in indexes():
        yield f"index: {what}", files, "m", words
    for what, files, words in adapters():
        yield f"adapter: {what}", files, "b+a", words
    for what, files, words in scales():
        yield f"fp8: {what}", files, "m", words
