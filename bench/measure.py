"""measure.py -- one command's time, processor time, memory and bytes; ratios of pairs; verdicts.

Standard library only. SPDX-License-Identifier: Apache-2.0"""
import os, shutil, statistics, sys, tempfile, threading, time

MIB = 1 << 20


def fail(text):
    sys.exit(f"bench: {text}")


class Run:
    """A finished command: seconds of wall time, user and system seconds, peak resident MiB, bytes that went
    through read() and write() and their relatives, from the page cache or not."""
    def __init__(self, seconds, user, system, peak_mib, bytes_read, bytes_written):
        self.seconds, self.user, self.system, self.peak_mib = seconds, user, system, peak_mib
        self.read, self.written = bytes_read, bytes_written
        self.cpu = user + system
        self.user_share = user / max(self.cpu, 1e-9)


def numbers(path, *keys):
    """The first number of each line of a /proc file that begins with a key; 0 where there is none."""
    out = dict.fromkeys(keys, 0)
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            for line in f:
                key, _, rest = line.partition(":")
                if key in out:
                    out[key] = int(rest.split()[0])
    except OSError:
        pass
    return [out[k] for k in keys]


def watch(pid, peak):
    """Notes the highest VmHWM of a process until it has none. The ru_maxrss of wait4 will not do: a spawned
    process begins with its parent's, and this parent has made models."""
    while True:
        seen = numbers(f"/proc/{pid}/status", "VmHWM")[0]
        if not seen:
            return
        peak[0] = max(peak[0], seen)
        time.sleep(0.005)


def timed(words, check=True, env=None, watch=watch):
    """Run of a command. One that fails ends the benchmark, but with check=False, where it gives its error text.
    watch(pid, [MiB]) follows the process until it ends."""
    with tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        pid = os.posix_spawnp(words[0], words, env or os.environ, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)])
        peak = [0]
        watcher = threading.Thread(target=watch, args=(pid, peak))
        watcher.start()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, and its counters are still there
        seconds = time.perf_counter() - start
        read, written = numbers(f"/proc/{pid}/io", "rchar", "wchar")
        _, status, used = os.wait4(pid, 0)
        watcher.join()
        if status:
            err.seek(0)
            text = err.read().decode(errors="replace")
            if not check:
                return text
            fail(f"{' '.join(words)}\n{text}")
    return Run(seconds, used.ru_utime, used.ru_stime, peak[0] / 1024, read, written)


def clear(path):
    """Removes an old output and lets the disk settle, so that no run pays for the one before."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)
    os.sync()


def pairs(n, first, second, warm=1):
    """n pairs (first(), second()) in direct succession; `warm` more go before them, for the page cache, and
    are dropped."""
    return [(first(), second()) for _ in range(warm + n)][warm:]


class Ratios:
    """Second by first of each pair: median and spread."""
    def __init__(self, taken, upside_down=False):
        self.first = statistics.median(a.seconds for a, _ in taken)
        self.second = statistics.median(b.seconds for _, b in taken)
        all_ = sorted(a.seconds / b.seconds if upside_down else b.seconds / a.seconds for a, b in taken)
        self.median, self.min, self.max = statistics.median(all_), all_[0], all_[-1]

    def at_most(self, limit):
        return verdict(self.median, self.min, limit)

    def at_least(self, limit):
        return verdict(-self.median, -self.max, -limit)

    def row(self, prefix=""):
        return {prefix + "ratio": self.median, prefix + "min": self.min, prefix + "max": self.max}


def verdict(value, best, limit):
    """met: the median is; within spread: at least the best pair is."""
    return "" if limit is None else "met" if value <= limit else "within spread" if best <= limit else "not"


def median_of(runs, what):
    return statistics.median(getattr(r, what) for r in runs)
