"""pickles.py -- hostile pickles, zips and Paddle files, opcode by opcode.
Each function gives (name, file name, bytes, words that the refusal must hold).
SPDX-License-Identifier: Apache-2.0"""
import io, os, struct, sys, zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))
import make_corpus as mc  # noqa: E402

P2 = b"\x80\x02"
P4 = b"\x80\x04"


def glob(module, name):
    return b"c" + module + b"\n" + name + b"\n"


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s


def integer(n):
    if 0 <= n < 1 << 31:
        return b"J" + struct.pack("<i", n)
    raw = n.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind=b"FloatStorage", key=b"0", numel=6):
    return tuple_of(text(b"storage"), glob(b"torch", kind), text(key), text(b"cpu"), integer(numel)) + b"Q"


def tensor(size=(2, 3), stride=(3, 1), offset=0, rebuild=b"_rebuild_tensor_v2", **k):
    return glob(b"torch._utils", rebuild) + tuple_of(
        storage(**k), integer(offset), tuple_of(*map(integer, size)), tuple_of(*map(integer, stride)), b"\x89",
        glob(b"collections", b"OrderedDict") + b")R") + b"R"


def dict_of(*pairs):
    return b"}(" + b"".join(text(k) + v for k, v in pairs) + b"u"


def program(body, head=P2):
    return head + body + b"."


def zipped(pkl, raw=bytes(24), members=(), top="m", compress=zipfile.ZIP_STORED):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", compress) as z:
        for name, data in ([("data.pkl", pkl)] if pkl is not None else []) + [("data/0", raw), *members]:
            z.writestr(zipfile.ZipInfo(f"{top}/{name}" if top else name), data, compress)
    return b.getvalue()


def model(**k):
    return zipped(program(dict_of((b"w", tensor(**k)))))


def zips():
    good = zipped(program(dict_of((b"w", tensor()))))
    yield "zip cut in half", "m.bin", good[:len(good) // 2], ["m.bin"]
    yield "zip without its end", "m.bin", good[:-22], ["m.bin"]
    yield "zip of four bytes", "m.pt", b"PK\3\4", ["m.pt"]
    end = good.rindex(b"PK\5\6")
    yield "zip with 65535 members", "m.bin", good[:end + 8] + b"\xff\xff\xff\xff" + good[end + 12:], ["m.bin"]
    yield "zip with a directory past the end", "m.bin", \
        good[:end + 16] + b"\xff\xff\xff\x7f" + good[end + 20:], ["m.bin"]
    yield "deflated pickle", "m.pth", zipped(program(dict_of((b"w", tensor()))), compress=zipfile.ZIP_DEFLATED), ["compress"]
    yield "deflated bomb", "m.pth", zipped(b"\x80\x02" + bytes(1 << 22), compress=zipfile.ZIP_DEFLATED), ["compress"]
    central = good.index(b"PK\1\2")
    yield "encrypted", "m.bin", good[:6] + b"\1" + good[7:central + 8] + b"\1" + good[central + 9:], ["encrypted"]
    yield "no pickle in it", "m.bin", zipped(None), ["m.bin"]
    yield "TorchScript", "m.pt", zipped(program(b"}"), members=[("code/__torch__.py", b"x"), ("constants.pkl", b"\x80\2).")]), \
        ["TorchScript"]
    yield "TorchScript class", "m.pt", zipped(program(glob(b"__torch__.net", b"Net") + b")\x81")), ["TorchScript"]
    yield "big-endian", "m.bin", zipped(program(dict_of((b"w", tensor()))), members=[("byteorder", b"big")]), ["big"]
    yield "storage missing", "m.bin", model(key=b"7"), ["w"]
    yield "storage shorter than it says", "m.bin", model(numel=7), ["w"]
    yield "storage of 2^63", "m.bin", model(numel=1 << 63), ["m.bin"]
    yield "shape of 2^63", "m.bin", model(size=(1 << 62, 4)), ["w"]
    yield "shape negative", "m.bin", model(size=(-1,), stride=(1,)), ["w"]
    yield "stride past the storage", "m.bin", model(stride=(4, 1)), ["w"]
    yield "stride of 2^62", "m.bin", model(stride=(1 << 62, 1)), ["w"]
    yield "offset past the storage", "m.bin", model(offset=1), ["w"]
    yield "offset of 2^63", "m.bin", model(offset=(1 << 63) - 1), ["w"]
    yield "nine dimensions", "m.bin", model(size=(1,) * 9, stride=(1,) * 9), ["w"]
    yield "more strides than dims", "m.bin", model(stride=(3, 1, 1)), ["w"]
    yield "complex numbers", "m.bin", model(kind=b"ComplexFloatStorage"), ["Complex"]
    yield "quantized", "m.bin", model(kind=b"QInt8Storage"), ["QInt8Storage"]
    yield "path tricks in members", "m.bin", zipped(program(dict_of((b"w", tensor(key=b"../../../etc/passwd"))))), ["m.bin"]
    yield "a name with NUL", "m.bin", zipped(program(dict_of((b"a\0b", tensor())))), ["m.bin"]
    yield "a list of tensors", "m.bin", zipped(program(b"](" + tensor() + b"e")), ["m.bin"]
    yield "tensors in a list", "m.bin", zipped(program(dict_of((b"w", tensor()), (b"l", b"](" + tensor() + b"e")))), ["l"]
    yield "nothing in it", "m.bin", zipped(program(b"}")), ["m.bin"]
    for at in range(4, 60, 8):
        pkl = program(dict_of((b"w", tensor())))
        yield f"pickle cut at {at}", "m.bin", zipped(pkl[:at]), ["m.bin"]


def machines():
    """Programs for the pickle machine, as the pickle of a zip."""
    calls = {"os.system": glob(b"os", b"system") + text(b"id") + b"\x85R",
             "posix.system": glob(b"posix", b"system") + b")R", "builtins.eval": glob(b"builtins", b"eval") + b")R",
             "subprocess.Popen": text(b"subprocess") + text(b"Popen") + b"\x93" + b")R",
             "my.Model": glob(b"my", b"Model") + b")\x81"}
    for what, body in calls.items():
        yield f"calls {what}", "m.bin", zipped(program(body, P4)), [what.split(".")[-1], what.split(".")[0]]
    bodies = {
        "underflow": b"R", "append to nothing": b"a", "setitems without mark": b"}u", "odd dict": b"}(K\1u",
        "no mark": b"t", "memo absent": b"h\5", "memo far": b"j\xff\xff\xff\x7f", "put far": b"Nr\xff\xff\xff\x7f",
        "string past the end": b"X\xff\xff\xff\x7f", "string of 2^63": b"\x8d" + struct.pack("<Q", 1 << 63),
        "bytes of 2^64": b"\x8e" + b"\xff" * 8, "long of 2 GB": b"\x8b\xff\xff\xff\x7f", "long negative": b"\x8b\xff\xff\xff\xff",
        "unknown opcode": b"\xff", "opcode of extensions": b"\x82\1", "empty": b"", "build on a number": b"K\1}b",
        "call a number": b"K\1)R", "persistent id of a number": b"K\1Q",
        "list in itself": b"]q\0h\0a", "dict in itself": b"}q\0(X\1\0\0\0ah\0u",
        "laughs": b"]q\0" + b"".join(b"(" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"lq" + bytes([i + 1]) for i in range(60)),
        "a million marks": b"(" * 1000000, "a million dups": b"N" + b"2" * 1000000,
        "deep tuples": b")" + b"\x85" * 500000, "a million lists": b"]" * 1000000,
        "pops all": b"N" * 1000 + b"0" * 1001}
    for what, body in bodies.items():
        yield f"pickle: {what}", "m.bin", zipped(program(body)), ["m.bin"]


def legacy():
    top, storages = mc.state()
    good = mc.torch_legacy(top, storages)
    yield "legacy cut", "m.pth", good[:-5], ["m.pth"]
    yield "legacy, numel lies", "m.pth", good[:-16] + struct.pack("<q", 1 << 40) + good[-8:], ["m.pth"]
    yield "legacy, numel negative", "m.pth", good[:-16] + struct.pack("<q", -1) + good[-8:], ["m.pth"]
    yield "legacy, other protocol", "m.pth", mc.dump(0x1950a86a20f9469cfc6c) + mc.dump(1002) + good[30:], ["m.pth"]
    yield "legacy, big-endian", "m.pth", mc.dump(0x1950a86a20f9469cfc6c) + mc.dump(1001) + \
        mc.dump({"little_endian": False}) + mc.dump({}) + mc.dump([]), ["endian"]
    yield "tar form", "m.pth", b"storages".ljust(257, b"\0") + b"ustar\0" + bytes(300), ["m.pth"]
    yield "text", "m.pt", b"hello", ["m.pt"]
    yield "empty file", "m.ckpt", b"", ["m.ckpt"]


def array(dtype=b"f4", shape=(2, 3), raw=bytes(24), order=b"<", fortran=b"\x89", rest=b""):
    dt = glob(b"numpy", b"dtype") + tuple_of(text(dtype), b"\x89", b"\x88") + b"R" + \
        tuple_of(b"K\3", text(order), b"N", b"N", b"N", integer(-1), integer(-1), b"K\0") + b"b"
    return glob(b"numpy.core.multiarray", b"_reconstruct") + tuple_of(
        glob(b"numpy", b"ndarray"), tuple_of(b"K\0"), b"C\1b") + b"R" + \
        tuple_of(b"K\1", tuple_of(*map(integer, shape)), dt, fortran,
                 b"B" + struct.pack("<I", len(raw)) + raw) + b"b" + rest


def paddle():
    def one(**k):
        return program(dict_of((b"w", array(**k))), P4)
    good = one()
    yield "pdparams cut", "m.pdparams", good[:-30], ["m.pdparams"]
    yield "pdparams, big-endian", "m.pdparams", one(order=b">"), ["w"]
    yield "pdparams of objects", "m.pdparams", one(dtype=b"O8"), ["O8"]
    yield "pdparams, shape too large", "m.pdparams", one(shape=(1 << 40, 1 << 40)), ["w"]
    yield "pdparams, shape negative", "m.pdparams", one(shape=(-2, -3)), ["w"]
    yield "pdparams, bytes too few", "m.pdparams", one(raw=bytes(23)), ["w"]
    yield "pdparams, bytes too many", "m.pdparams", one(raw=bytes(25)), ["w"]
    yield "pdparams, bytes past the end", "m.pdparams", \
        good.replace(b"B\x18\0\0\0", b"B\xff\xff\xff\x7f"), ["m.pdparams"]
    yield "pdparams split over 4 GiB", "m.pdparams", \
        program(dict_of((b"w", array()), (b"UnpackBigParamInfor@@", b"}")), P4), ["protocol=4"]
    yield "pdparams of an optimizer", "m.pdparams", program(dict_of((b"master_weights", dict_of((b"w", array())))), P4), \
        ["m.pdparams"]
    yield "pdparams calls", "m.pdparams", program(glob(b"os", b"system") + text(b"id") + b"\x85R", P4), ["system"]
    yield "pdparams is a number", "m.pdparams", program(b"K\1", P4), ["m.pdparams"]
    encoded = glob(b"_codecs", b"encode") + tuple_of(text("\u0100".encode() * 24), text(b"latin1")) + b"R"
    plain = b"B" + struct.pack("<I", 24) + bytes(24)
    yield "pdparams, text beyond bytes", "m.pdparams", good.replace(plain, encoded), ["w"]
    short = glob(b"_codecs", b"encode") + tuple_of(text(b"abc"), text(b"latin1")) + b"R"
    yield "pdparams, text too short", "m.pdparams", good.replace(plain, short), ["w"]


def cases():
    for group in (zips, machines, legacy, paddle):
        yield from group()
