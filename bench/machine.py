"""machine.py -- what the figures were measured on, and whether it did something else meanwhile.

Standard library only. SPDX-License-Identifier: Apache-2.0"""
import ctypes, mmap, os, platform, resource, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BIN = os.path.abspath(os.environ.get("LADLE_BIN") or os.path.join(ROOT, "build", "ladle"))

SPIN = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
sys.stdin.read(1)
start = time.perf_counter()
for _ in range(int(sys.argv[2])): pass
print(time.perf_counter() - start)
"""


def first_line(path, key):
    try:
        with open(path) as f:
            return next((line.split(":", 1)[1].strip() for line in f if line.startswith(key)), "?")
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


def facts(folder):
    version = subprocess.run([BIN, "--version"], capture_output=True, text=True).stdout.strip()
    return {"cpu": first_line("/proc/cpuinfo", "model name"), "cores": len(os.sched_getaffinity(0)),
            "memory": first_line("/proc/meminfo", "MemTotal"), "kernel": platform.release(),
            "file_system": file_system(folder), "ladle": version or "?"}


def busy_seconds():
    """Seconds that all processors together were not idle since the start."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, soft, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


class Company:
    """What other programs used of the processors while the benchmark ran."""
    def __init__(self):
        self.start = (os.times().elapsed, busy_seconds(), self.ours())

    @staticmethod
    def ours():
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage,
                                                        (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    def share(self):
        elapsed, busy, ours = (b - a for a, b in zip(self.start, (os.times().elapsed, busy_seconds(), self.ours())))
        return max(0.0, busy - ours) / max(elapsed * (os.cpu_count() or 1), 1e-9)


def spin_scaling(loops=30_000_000):
    """How much more two loops on two processors get done than one: 2.0 where nothing else runs."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return 1.0

    def run(on):
        started = [subprocess.Popen([sys.executable, "-c", SPIN, str(c), str(loops)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True) for c in on]
        for p in started:
            p.stdin.write("\n")
            p.stdin.flush()
        return max(float(p.communicate()[0]) for p in started)
    alone = max(run(cores[:1]), run(cores[1:]))
    return 2 * alone / run(cores)


# ---- the page cache ----

def resident_share(path):
    """Share of a file's pages that are in the page cache."""
    size = os.path.getsize(path)
    if not size:
        return 0.0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with open(path, "rb") as f:
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, f.fileno(), 0)
    if at is None or at == ctypes.c_void_p(-1).value:
        return 1.0
    pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    seen = (ctypes.c_ubyte * pages)()
    failed = libc.mincore(at, size, seen)
    libc.munmap(at, size)
    return 1.0 if failed else sum(b & 1 for b in bytes(seen)) / pages


def drop(paths):
    """Puts files out of the page cache. Where asking for each of them is not enough, root empties all of it."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    if all(resident_share(p) < 0.01 for p in paths):
        return True
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("1\n")
    except OSError:
        pass
    return all(resident_share(p) < 0.01 for p in paths)
