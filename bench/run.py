#!/usr/bin/env python3
"""run.py -- ladle against the floor: the time to read the inputs and to write one copy.

    F   cat of the fine-tunes to /dev/null, then cp of one of them
    A   ladle merge of the same fine-tunes (ties, della, dare: with their base)

Each pair is F, A in direct succession, page cache warm, after the output of the one before has been
removed and written back; a ratio is A / F of its own pair, and the median of at least 7 pairs is
what counts. Ratios are taken with --no-fsync, since cp does not flush either; the column `fsync`
is the default, durable, run. Peak memory is the kernel's (VmHWM). Inputs are made by
make_model.py in --dir when they are not there, and stay.

usage: run.py [--method M ...] [--pairs 7] [--shape qwen0.5b] [--models 2] [--dir DIR] [--json FILE]
       run.py kernels [ARG ...]      runs build/tests/bench_kern: ns per element of every kernel
Standard library only. SPDX-License-Identifier: Apache-2.0"""
import argparse, json, os, platform, shutil, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BIN = os.path.abspath(os.environ.get("LADLE_BIN") or os.path.join(ROOT, "build", "ladle"))
sys.path.insert(0, HERE)
import make_model  # noqa: E402

METHODS = ["linear", "slerp", "ties", "della", "dare_ties"]
WITH_BASE = {"ties", "della", "della_linear", "dare_linear", "dare_ties"}


def watch(pid, peak):
    """Notes the highest VmHWM of a process until it has none. The ru_maxrss of wait4 will not do: a spawned
    process begins with its parent's, and this parent has made models."""
    while True:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                seen = [int(line.split()[1]) for line in f if line.startswith("VmHWM")]
        except OSError:
            return
        if not seen:
            return
        peak[0] = max(peak[0], seen[0])
        time.sleep(0.005)


def timed(words):
    """(seconds, peak resident MiB) of a command that must succeed."""
    err = tempfile.TemporaryFile()
    start = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, err.fileno(), 2)])
    peak = [0]
    watcher = threading.Thread(target=watch, args=(pid, peak))
    watcher.start()
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - start
    watcher.join()
    if status:
        err.seek(0)
        sys.exit(f"run.py: {' '.join(words)}\n{err.read().decode(errors='replace')}")
    return seconds, peak[0] / 1024


def clear(path):
    """Removes an old output and lets the disk settle, so that no run pays for the one before."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)
    os.sync()


class Bench:
    def __init__(self, a):
        self.a, self.dir = a, os.path.abspath(a.dir)
        os.makedirs(self.dir, exist_ok=True)
        self.base = self.model("base", 0)
        self.tunes = [self.model(f"tune{i}", i) for i in range(1, a.models + 1)]
        self.files = [os.path.join(t, "model.safetensors") for t in self.tunes]
        self.out = os.path.join(self.dir, "OUT")
        self.cat, self.cp = shutil.which("cat"), shutil.which("cp")

    def model(self, name, seed):
        path = os.path.join(self.dir, f"{self.a.shape}-{name}")
        if not os.path.exists(os.path.join(path, "made")):
            print(f"making {path}", file=sys.stderr)
            make_model.make(self.a.shape, path, seed, bool(seed))
            open(os.path.join(path, "made"), "w").close()
        return path

    def floor(self):
        clear(self.out)
        return timed([self.cat, *self.files])[0] + timed([self.cp, "--reflink=never", self.files[0], self.out])[0]

    def words(self, method, fsync):
        words = [BIN, "merge", "--merge_method", method, "--model_path_list", *self.tunes, "--output_path", self.out,
                 "--quiet", "--fsync" if fsync else "--no-fsync"]
        if method in WITH_BASE and not self.a.no_base:
            words += ["--base_model_path", self.base]
        if self.a.threads:
            words += ["--threads", str(self.a.threads)]
        return words

    def merge(self, method, fsync=False):
        clear(self.out)
        return timed(self.words(method, fsync))

    def method(self, name):
        size = os.path.getsize(self.files[0])
        inputs = len(self.files) + (name in WITH_BASE and not self.a.no_base)
        pairs, durable = [], []
        for i in range(self.a.pairs + 1):  # the first warms the page cache and is dropped
            pair = (self.floor(), *self.merge(name))
            if i:
                pairs.append(pair)
        for _ in range(3):
            durable.append(self.merge(name, True)[0])
        ratios = sorted(m / f for f, m, _ in pairs)
        seconds = statistics.median(m for _, m, _ in pairs)
        return {"method": name, "seconds": seconds, "floor_seconds": statistics.median(f for f, _, _ in pairs),
                "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1],
                "fsync_seconds": statistics.median(durable), "peak_mib": max(r for _, _, r in pairs),
                "gb_per_s": (inputs + 1) * size / seconds / 1e9, "inputs": inputs, "pairs": len(pairs)}


def first_line(path, key):
    try:
        with open(path) as f:
            return next((l.split(":", 1)[1].strip() for l in f if l.startswith(key)), "?")
    except OSError:
        return "?"


def file_system(path):
    """Type of the file system that holds path, from the longest mount point above it."""
    best = ("", "?")
    with open("/proc/self/mounts") as f:
        for line in f:
            _, where, kind = line.split()[:3]
            if (path + "/").startswith(where.rstrip("/") + "/") and len(where) > len(best[0]):
                best = (where, kind)
    return best[1]


def machine(folder):
    version = subprocess.run([BIN, "--version"], capture_output=True, text=True).stdout.strip()
    return {"cpu": first_line("/proc/cpuinfo", "model name"), "cores": len(os.sched_getaffinity(0)),
            "memory": first_line("/proc/meminfo", "MemTotal"), "kernel": platform.release(),
            "file_system": file_system(folder), "ladle": version or "?"}


def kernels(args):
    program = os.path.join(ROOT, "build", "tests", "bench_kern")
    if not os.path.exists(program):
        sys.exit(f"run.py: {program} is not built (./dev bench kernels builds it)")
    os.execv(program, [program, *args])


def main():
    if sys.argv[1:2] == ["kernels"]:
        kernels(sys.argv[2:])
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--method", nargs="+", default=METHODS)
    ap.add_argument("--pairs", type=int, default=7)
    ap.add_argument("--shape", default="qwen0.5b", choices=make_model.SHAPES)
    ap.add_argument("--models", type=int, default=2, help="number of fine-tunes (slerp needs 2)")
    ap.add_argument("--threads", type=int, help="for ladle; default: all cores")
    ap.add_argument("--no-base", action="store_true", help="no base model for ties, della, dare")
    ap.add_argument("--dir", default=os.path.join(tempfile.gettempdir(), "ladle-bench"))
    ap.add_argument("--json", help="also write the figures to this file")
    a = ap.parse_args()
    if not os.access(BIN, os.X_OK):
        sys.exit(f"run.py: no program at {BIN} (./dev build)")
    bench = Bench(a)
    info = machine(bench.dir)
    size = os.path.getsize(bench.files[0])
    print(f"{info['cpu']}, {info['cores']} cores, {info['memory']}; Linux {info['kernel']}; {info['file_system']}; {info['ladle']}")
    print(f"{a.shape}: {a.models} fine-tunes of {size / 1e6:.0f} MB, {a.pairs} pairs; floor: cat of all, cp of one\n")
    print(f"{'method':12} {'reads':>5} {'time s':>7} {'floor s':>7} {'ratio':>6} {'(min - max)':>14} {'GB/s':>6} {'peak MiB':>8} {'fsync s':>8}")
    rows = []
    for method in a.method:
        if method == "slerp" and a.models != 2:
            continue
        r = bench.method(method)
        rows.append(r)
        print(f"{method:12} {r['inputs']:5} {r['seconds']:7.2f} {r['floor_seconds']:7.2f} {r['ratio']:6.2f} "
              f"({r['ratio_min']:5.2f} - {r['ratio_max']:4.2f}) {r['gb_per_s']:6.2f} {r['peak_mib']:8.1f} {r['fsync_seconds']:8.2f}",
              flush=True)
    clear(bench.out)
    text = json.dumps({"machine": info, "shape": a.shape, "models": a.models, "bytes": size, "rows": rows}, indent=2)
    print("\n" + text)
    if a.json:
        with open(a.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()
