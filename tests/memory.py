#!/usr/bin/env python3
"""memory.py -- the peak of a merge stays below what was promised, for any number of threads.

Three bf16 models of 24 tensors with 2 million elements each. The kernel's figure (ru_maxrss) must be
at most 128 MiB as it comes, at most what --max_memory says, and at most what `ladle plan` says.
SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.ROOT, "bench"))
import make_model as mm  # noqa: E402

TENSORS, ELEMENTS, MIB = 24, 2_000_000, 1 << 20
RUNS = [("linear", 2, None), ("linear", 64, None), ("ties", 2, None), ("ties", 16, None),
        ("ties", 64, None), ("ties", 7, 64), ("della", 16, None), ("slerp", 16, 32)]


def make(folder):
    """base, a, b; the tensors of a model are copies of one, as only their size matters here."""
    base = mm.weights("w", 0, ELEMENTS)
    for name, raw in (("base", base), ("a", mm.perturb(base, 1, "w", 0)), ("b", mm.perturb(base, 2, "w", 0))):
        one = lt.Tensor("BF16", (ELEMENTS,), raw)
        lt.write_model(os.path.join(folder, name), {f"layers.{i}.weight": one for i in range(TENSORS)})


def peak(words, cwd):
    """(exit code, peak in bytes). The figure begins at the size of this script, which forked."""
    pid = os.fork()
    if pid == 0:
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(lt.BIN, [lt.BIN] + words)
    _, status, use = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), use.ru_maxrss * 1024


def check(folder, method, threads, limit, floor):
    words = ["--merge_method", method, "--model_path_list", "a", "b", "--threads", str(threads)]
    if method not in ("linear", "slerp"):
        words += ["--base_model_path", "base"]
    if limit:
        words += ["--max_memory", f"{limit}M"]
    planned = json.loads(lt.ladle("plan", "--json", *words, cwd=folder).out)["peak_memory_bytes"]
    rc, most = peak(["merge", *words, "--output_path", "out", "--overwrite", "--no_fsync", "--quiet"], folder)
    said, problems = f"{most / MIB:.0f} MiB, planned {planned / MIB:.0f}", []
    if rc:
        problems.append(f"exit {rc}")
    if most > max(floor, min((limit or 128) * MIB, planned)):
        problems.append(said)
    return problems, said


def main():
    report = lt.Report()
    with lt.workdir() as folder:
        make(folder)
        floor = peak(["help"], folder)[1] + MIB
        for method, threads, limit in RUNS:
            problems, said = check(folder, method, threads, limit, floor)
            name = f"{method}, {threads} threads" + (f", --max_memory {limit}M" if limit else "")
            report.case(name, problems, said)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
