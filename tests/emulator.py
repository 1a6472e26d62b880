#!/usr/bin/env python3
"""emulator.py -- on an older processor no illegal instruction, and the same bits.

Every case of the benchmarks (bench/cases.py) and some conversions on small models, by the processor of
this machine and by qemu-x86_64's Nehalem (x86-64-v2) and Haswell (v3), which end a program with SIGILL at an
instruction that those did not have. Skipped where qemu-x86_64 is not installed (Debian: qemu-user).
SPDX-License-Identifier: Apache-2.0"""
import hashlib, os, platform, shutil, subprocess, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.ROOT, "bench"))
import cases  # noqa: E402
import models as bench_models  # noqa: E402

CPUS = {"Nehalem": "v2", "Haswell": "v3"}
TYPES = [["--dtype", "float16"], ["--dtype", "float32"], ["--dtype", "fp8"]]


def qemu():
    if platform.machine() != "x86_64":
        lt.skip("this is no x86-64")
    found = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    return found or lt.skip("qemu-x86_64 is not installed (apt-get install qemu-user)")


def run(cpu, words, cwd):
    """A run under the emulator (cpu None: without it)."""
    before = [QEMU, "-cpu", cpu] if cpu else []
    env = {k: v for k, v in os.environ.items() if not k.startswith("LADLE_")}
    p = subprocess.run([*before, lt.BIN, *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=300)
    return lt.Run(p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace"))


def digest(folder):
    h = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            h.update(name.encode() + f.read())
    return h.hexdigest()


def merge(cpu, words, more, m):
    """(problems, digest of the output)"""
    shutil.rmtree(m.out, ignore_errors=True)
    r = run(cpu, [*words, m.out, *more, "--quiet", "--no-fsync", "--threads", "2"], m.folder)
    return (r.problems(), None) if r.rc else ([], digest(m.out))


def jobs(m):
    """(name, words before the output, words after it)"""
    for case in cases.CASES:
        yield case.name, case.command(m, 2), []
    yield from ((f"convert {more[1]}", ["convert", *m.tunes(1)], more) for more in TYPES)


def main():
    report = lt.Report()
    with lt.workdir() as folder:
        m = bench_models.Models(folder, "tiny")
        for cpu, level in CPUS.items():
            r = run(cpu, ["doctor"], folder)
            report.case(f"{cpu} is {level}", r.problems() or (
                [] if f"{level} in use" in r.out else [r.out.strip()[:300]]))
        for name, words, more in jobs(m):
            problems, want = merge(None, words, more, m)
            for cpu in CPUS:
                if not problems:
                    failed, got = merge(cpu, words, more, m)
                    problems += [f"{cpu}: {p}" for p in failed] or ([] if got == want else [f"{cpu}: other bytes"])
            report.case(name, problems)
    return report.done()


if __name__ == "__main__":
    lt.need_program()
    QEMU = qemu()
    sys.exit(main())
