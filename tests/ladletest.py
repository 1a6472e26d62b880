"""ladletest.py -- what the test scripts share: run ladle, read and write safetensors, keep score.

Standard library only, so that the tests run on a bare machine. Nothing here knows what a merge is
(the numbers are judged by golden_paddle.py, npmerge.py ...). Paths come from the environment:

    LADLE_BIN      the program             default: build/ladle in this checkout
    LADLE_SHARED   folder of golden/, tools/    default: shared/ beside this checkout

A test that cannot run for want of something prints "SKIPPED: why" and exits 77.
SPDX-License-Identifier: Apache-2.0"""
import array, contextlib, json, math, os, shutil, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BIN = os.path.abspath(os.environ.get("LADLE_BIN") or os.path.join(ROOT, "build", "ladle"))
SHARED = os.path.abspath(os.environ.get("LADLE_SHARED") or os.path.join(ROOT, "..", "shared"))

SIZE = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "U16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
        "U64": 8, "U32": 4, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
CODE = {"F64": "d", "F32": "f", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U64": "Q", "U32": "I",
        "U16": "H", "U8": "B", "BOOL": "B"}


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(77)


def need_program():
    if not os.access(BIN, os.X_OK):
        skip(f"no program at {BIN} (set LADLE_BIN, or ./dev build)")


def need_shared(*parts):
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        skip(f"{path} is not here (set LADLE_SHARED)")
    return path


def need_module(*names):
    """Makes `import name` work: in this Python, else in build/venv's, else the test is skipped."""
    try:
        for name in names:
            __import__(name)
        return
    except ImportError as e:
        missing = e.name or str(e)
    other = os.path.join(ROOT, "build", "venv", "bin", "python")
    if os.environ.get("LADLE_TEST_REEXEC") or not os.access(other, os.X_OK):
        skip(f"Python module {missing} is not installed, here or in build/venv (./dev test installs it)")
    sys.stdout.flush()
    os.execve(other, [other] + sys.argv, dict(os.environ, LADLE_TEST_REEXEC="1"))


class Run:
    """One finished run of the program."""
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    def lines(self):
        return [l for l in self.err.splitlines() if l.strip()]

    def problems(self):
        """[] when it ended well, else what to print."""
        if self.rc == 0:
            return []
        return [f"exit {self.rc}: {self.err.strip()[-600:]}"]


def ladle(*args, cwd=None, env=None, timeout=300, program=None):
    words = [program or BIN] + [str(a) for a in args]
    full = {k: v for k, v in os.environ.items() if not k.startswith("LADLE_")}
    full.update(env or {})
    try:
        p = subprocess.run(words, cwd=cwd, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Run(-1000, "", f"still running after {timeout} s")
    return Run(p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace"))


@contextlib.contextmanager
def workdir():
    path = tempfile.mkdtemp(prefix="ladle-test-", dir=os.environ.get("LADLE_TEST_TMP"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Report:
    """One line per case and a last line; done() is the exit status."""
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0

    def case(self, name, problems, note=""):
        if problems:
            self.failed += 1
            print(f"FAIL {name}")
            for p in problems[:12]:
                print(f"       {p}")
            if len(problems) > 12:
                print(f"       ... and {len(problems) - 12} more")
        else:
            self.passed += 1
            print(f"ok   {name}{'  (' + note + ')' if note else ''}")
        sys.stdout.flush()
        return not problems

    def skip(self, name, why):
        self.skipped += 1
        print(f"skip {name}: {why}")

    def done(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0


# ---- numbers <-> bytes ----

def _swap(a):
    if sys.byteorder == "big":
        a.byteswap()
    return a


def decode(dtype, raw):
    """Raw little-endian elements as a sequence of numbers; BF16 widened, U16 as integers."""
    if dtype == "F16":
        return struct.unpack(f"<{len(raw) // 2}e", raw)
    if dtype == "BF16":
        wide = bytearray(2 * len(raw))
        wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
        dtype, raw = "F32", bytes(wide)
    a = array.array(CODE[dtype])
    a.frombytes(raw)
    return _swap(a)


def bf16_bits(x):
    """f32 number (as a Python float) -> bf16 bits, to nearest even; NaN -> 0x7fc0."""
    if x != x:
        return 0x7FC0
    u = struct.unpack("<I", struct.pack("<f", x))[0]
    return (u + 0x7FFF + ((u >> 16) & 1)) >> 16


def f16_bits(x):
    """f32 number -> f16 bits, to nearest even; too large -> infinity; NaN -> 0x7e00."""
    if x != x:
        return 0x7E00
    try:
        return struct.unpack("<H", struct.pack("<e", x))[0]
    except OverflowError:
        return 0x7C00 if x > 0 else 0xFC00


def encode(dtype, values):
    """Numbers (already rounded to f32 where that matters) -> raw bytes."""
    if dtype in ("BF16", "F16"):
        bits = bf16_bits if dtype == "BF16" else f16_bits
        return _swap(array.array("H", [bits(x) for x in values])).tobytes()
    return _swap(array.array(CODE[dtype], values)).tobytes()


def round_f32(values):
    """Each number rounded to f32 (nearest even)."""
    return array.array("f", values)


# ---- safetensors ----

class Tensor:
    __slots__ = ("dtype", "shape", "raw")

    def __init__(self, dtype, shape, raw):
        self.dtype, self.shape, self.raw = dtype, tuple(shape), bytes(raw)
        assert len(self.raw) == SIZE[dtype] * math.prod(self.shape), (dtype, shape, len(self.raw))

    def numbers(self):
        return decode(self.dtype, self.raw)

    def __eq__(self, o):
        return (self.dtype, self.shape, self.raw) == (o.dtype, o.shape, o.raw)


def write_safetensors(path, tensors, metadata=None):
    """tensors: name -> Tensor, written in this order."""
    head, at = {}, 0
    if metadata is not None:
        head["__metadata__"] = metadata
    for name, t in tensors.items():
        head[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, at + len(t.raw)]}
        at += len(t.raw)
    text = json.dumps(head, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(t.raw)


def _unique(pairs):
    d = dict(pairs)
    if len(d) != len(pairs):
        raise ValueError("a key twice in one JSON object")
    return d


def read_header(path):
    """(header object without metadata, metadata or None, start of data); checks the layout."""
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        n = struct.unpack("<Q", f.read(8))[0]
        if n > size - 8:
            raise ValueError(f"{path}: header of {n} bytes in a file of {size}")
        head = json.loads(f.read(n), object_pairs_hook=_unique)
    meta = head.pop("__metadata__", None)
    spans = sorted(tuple(v["data_offsets"]) for v in head.values())
    end = 0
    for a, b in spans:
        if a != end:
            raise ValueError(f"{path}: hole or overlap at data byte {end}")
        end = b
    if 8 + n + end != size:
        raise ValueError(f"{path}: data ends at {8 + n + end}, file at {size}")
    if (8 + n) % 8:
        raise ValueError(f"{path}: data does not start at a multiple of 8")
    return head, meta, 8 + n


def read_safetensors(path):
    head, meta, start = read_header(path)
    out = {}
    with open(path, "rb") as f:
        for name, v in head.items():
            a, b = v["data_offsets"]
            f.seek(start + a)
            out[name] = Tensor(v["dtype"], v["shape"], f.read(b - a))
    return out, meta


def write_model(folder, tensors, shards=1, config=None, prefix="model", metadata=None):
    """A checkpoint folder: one file, or `shards` files with an index, and a config.json."""
    os.makedirs(folder, exist_ok=True)
    meta = {"format": "pt"} if metadata is None else metadata
    if shards == 1:
        write_safetensors(os.path.join(folder, f"{prefix}.safetensors"), tensors, meta)
    else:
        names, where = list(tensors), {}
        for i in range(shards):
            part = names[len(names) * i // shards:len(names) * (i + 1) // shards]
            file = f"{prefix}-{i + 1:05d}-of-{shards:05d}.safetensors"
            write_safetensors(os.path.join(folder, file), {k: tensors[k] for k in part}, meta)
            where.update((k, file) for k in part)
        total = sum(len(t.raw) for t in tensors.values())
        with open(os.path.join(folder, f"{prefix}.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f, indent=2)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config or {"model_type": "llama", "torch_dtype": "float32"}, f, indent=2)


def read_model(folder, prefix="model"):
    """All tensors of an output folder by its index, which must agree with the files."""
    with open(os.path.join(folder, f"{prefix}.safetensors.index.json")) as f:
        index = json.load(f, object_pairs_hook=_unique)
    files = sorted(f for f in os.listdir(folder) if f.endswith(".safetensors"))
    out = {}
    for file in files:
        part, _ = read_safetensors(os.path.join(folder, file))
        for name, t in part.items():
            if index["weight_map"].get(name) != file:
                raise ValueError(f"{name} is in {file}, the index says {index['weight_map'].get(name)}")
            out[name] = t
    if set(out) != set(index["weight_map"]):
        raise ValueError(f"index lists what no file has: {sorted(set(index['weight_map']) - set(out))[:3]}")
    total = sum(len(t.raw) for t in out.values())
    if index["metadata"].get("total_size") != total:
        raise ValueError(f"index total_size {index['metadata'].get('total_size')}, tensors have {total}")
    return out


def leftovers(out):
    """What a failed run left: OUT itself or anything whose name begins like OUT's beside it."""
    parent, name = os.path.split(os.path.abspath(out))
    return sorted(f for f in os.listdir(parent) if f == name or f.startswith((name + ".", "." + name)))


def is_equal(what, got, want):
    """A list of what is wrong: empty, or one line."""
    return [] if got == want else [f"{what}: {got!r}, expected {want!r}"]


def refusal(tmp, run, *words, out="out"):
    """A run that must fail with one line that has the words, and leave nothing behind."""
    problems = [f"no {w!r} in {run.err!r}" for w in words if w not in run.err]
    problems += [] if run.rc and len(run.lines()) == 1 else [f"exit {run.rc}: {run.err!r}"]
    left = leftovers(os.path.join(tmp, out))
    return problems + ([f"left behind: {left}"] if left else [])


def merge_recipe(tmp, recipe, *words, out="out"):
    """A run of `ladle merge` in tmp with this text as recipe.yml."""
    with open(os.path.join(tmp, "recipe.yml"), "w", encoding="utf-8") as f:
        f.write(recipe)
    return ladle("merge", "recipe.yml", out, *words, cwd=tmp)
