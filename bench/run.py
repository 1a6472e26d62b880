#!/usr/bin/env python3
"""run.py -- what ladle costs: time, memory and bytes, beside the same work done by cat and cp.

    run.py                every method against the floor (verb_methods.py)
    run.py scale          8 models against 2, twice the size, two threads against one
    run.py cold           inputs from the disk
    run.py plan           planning 700 shards with 100,000 tensors
    run.py memory         the peak of every recipe; of every case under --max-memory
    run.py peers          the real mergekit and PaddleNLP on the same files
    run.py kernels ...    ns per element of each kernel, every SIMD level
    run.py VERB --help    its options

Each prints a Markdown table and JSON. Checkpoints are made by make_model.py in --dir when they are not
there, and stay. Standard library only. SPDX-License-Identifier: Apache-2.0"""
import argparse, fcntl, importlib, os, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import cases  # noqa: E402
import machine  # noqa: E402
import make_model  # noqa: E402
import measure  # noqa: E402

VERBS = ["methods", "scale", "cold", "plan", "memory", "peers"]


def kernels(args):
    program = os.path.join(machine.ROOT, "build", "tests", "bench_kern")
    if not os.path.exists(program):
        measure.fail(f"{program} is not built (./dev bench kernels builds it)")
    os.execv(program, [program, *args])


def options(verb, module):
    ap = argparse.ArgumentParser(prog=f"bench {verb}", description=module.__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", default=os.path.join(tempfile.gettempdir(), "ladle-bench"), help="where the checkpoints are")
    ap.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    ap.add_argument("--doc", metavar="PAGE", help="also put the tables into this page, as docs/performance.md")
    if verb != "plan":
        ap.add_argument("--method", nargs="+", metavar="M", help="cases: " + " ".join(cases.NAMED))
        ap.add_argument("--pairs", type=int, default=7, help="of runs; their median counts (default 7)")
        ap.add_argument("--shape", default="qwen0.5b", choices=make_model.SHAPES)
        ap.add_argument("--threads", type=int, help="for ladle (default: all cores)")
    module.add(ap)
    return ap


def lock(folder):
    """Two benchmarks at once would measure each other, and write to the same output."""
    os.makedirs(folder, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        measure.fail(f"{folder}: another benchmark is running there; wait for it or give another --dir")


def main():
    args = sys.argv[1:]
    if args[:1] in (["help"], ["--help"], ["-h"]):
        print(__doc__)
        return
    verb = args.pop(0) if args and not args[0].startswith("-") else "methods"
    if verb == "kernels":
        kernels(args)
    if verb not in VERBS:
        measure.fail(f"unknown verb '{verb}'; there are {' '.join(VERBS)} kernels")
    module = importlib.import_module("verb_" + verb)
    a = options(verb, module).parse_args(args)
    if not os.access(machine.BIN, os.X_OK):
        measure.fail(f"no program at {machine.BIN} (./dev build)")
    if verb != "plan":
        a.cases = cases.find(a.method or cases.NAMED)
        if None in a.cases:
            measure.fail(f"--method: there are {' '.join(cases.NAMED)}")
    lock(a.dir)
    module.run(a)


if __name__ == "__main__":
    main()
