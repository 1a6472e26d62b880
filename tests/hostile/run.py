#!/usr/bin/env python3
"""hostile/run.py -- files made to break a reader: each ends with one line of error, soon and in little
memory. The files are made here (pickles.py, others.py, tokenizers.py), used once, and never kept.

For each case `ladle show` (`ladle plan`, of a recipe) must fail with exit code 4 (2: the settings of an
adapter), one line that names the culprit, no control characters, within SECONDS and, in a build without
sanitizers, within MEMORY of address space. Words None: it may also succeed.
usage: hostile/run.py [PART OF A NAME ...]
SPDX-License-Identifier: Apache-2.0"""
import os, resource, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), HERE]
import ladletest as lt  # noqa: E402
import others, pickles, tokenizers  # noqa: E402

SECONDS, MEMORY = 20, 600 << 20


def all_cases():
    for name, file, raw, words in pickles.cases():
        yield name, {file: raw}, file, words
    yield from others.cases()
    yield from tokenizers.cases()


def write(folder, files):
    for path, raw in files.items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(raw, others.Link):
            os.symlink(raw, path)
        else:
            with open(path, "wb") as f:
                f.write(raw)


def bound():
    if not os.environ.get("LADLE_SANITIZE"):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def judge(model, words, folder):
    start = time.monotonic()
    try:
        p = subprocess.run([lt.BIN, "plan" if model.endswith(".yml") else "show", model], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=SECONDS, preexec_fn=bound)
    except subprocess.TimeoutExpired:
        return [f"still running after {SECONDS} s"]
    took, err = time.monotonic() - start, p.stderr.decode("utf-8", "replace")
    if p.returncode == 0 and words is None:
        return []
    problems = []
    if p.returncode not in (2, 4):
        problems.append(f"exit {p.returncode} after {took:.1f} s: {err[:2000]}")
    if err.count("\n") != 1 or not err.startswith("ladle: ") or p.stdout:
        problems.append(f"not one line of error: {err[:300]!r}")
    if any(c < " " for c in err.rstrip("\n")):
        problems.append(f"control characters: {err[:300]!r}")
    problems += [f"does not say {w!r}: {err[:300]}" for w in words or [] if w not in err]
    return problems


def main():
    lt.need_program()
    report = lt.Report()
    for name, files, model, words in all_cases():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        with lt.workdir() as tmp:
            write(tmp, files)
            report.case(name, judge(model, words, tmp))
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
