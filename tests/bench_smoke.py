#!/usr/bin/env python3
"""bench_smoke.py -- the benchmarks run: each verb that needs neither network nor root, on tiny models.

What they print is looked at, never how long they took: a Markdown table with a row for every case, JSON that
says the same, and exit codes.
SPDX-License-Identifier: Apache-2.0"""
import json, os, subprocess, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.ROOT, "bench"))
import cases  # noqa: E402

ALL = list(cases.NAMED)
SMALL = ["--shape", "tiny", "--pairs", "1"]
# verb, words, {table: methods in its rows}
RUNS = [
    ("methods", [*SMALL, "--durable-pairs", "1"], {"rows": ALL}),
    ("scale", [*SMALL, "--larger", "tiny", "--many", "3", "--method", "linear", "della"],
     {t: ["linear", "della"] for t in ("models", "size", "threads")}),
    ("cold", [*SMALL, "--method", "ties", "convert"], {"rows": ["ties", "convert"]}),
    ("memory", SMALL, {"rows": [c.name for c in cases.CASES if c.recipe]}),
    ("memory", [*SMALL, "--method", "sce", "--max-memory", "32M", "1M"], {"limits": ["sce.yml"] * 2}),
    ("plan", ["--shards", "3", "--tensors", "500", "--pairs", "1"], {"rows": ["linear", "ties", "linear.yml", "ties.yml"]}),
]


def bench(*words):
    p = subprocess.run([sys.executable, os.path.join(lt.ROOT, "bench", "run.py"), *words], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=300, env=dict(os.environ, LADLE_BIN=lt.BIN))
    return lt.Run(p.returncode, p.stdout, p.stderr)


def look(r, path, tables):
    """What is wrong with the output of a run."""
    if r.rc:
        return r.problems()
    with open(path) as f:
        figures = json.load(f)
    if json.loads(r.out[r.out.index("\n{\n"):]) != figures:
        return ["the JSON that is printed is not that of --json"]
    problems = []
    for name, methods in tables.items():
        if [row["method"] for row in figures[name]] != methods:
            problems.append(f"{name}: rows are {[row['method'] for row in figures[name]]}")
    lines = [line.split("|")[1].strip() for line in r.out.splitlines() if line.startswith("| ")]
    return problems + [f"no line for {m}" for methods in tables.values() for m in methods if m not in lines]


def look_at_page(page):
    """The tables went between the lines of the page, and nothing else changed."""
    with open(page) as f:
        text = f.read()
    inside = text.split("begin -->\n")[1].split("<!-- plan.rows")[0]
    return [] if text.startswith("a\n<!-- plan.rows: begin -->\n| method") and text.endswith("\n<!-- plan.rows: end -->\nb\n") \
        and "old" not in inside and "linear" in inside else [text]


def main():
    report = lt.Report()
    with lt.workdir() as folder:
        path, page = os.path.join(folder, "figures.json"), os.path.join(folder, "page.md")
        with open(page, "w") as f:
            f.write("a\n<!-- plan.rows: begin -->\nold\n<!-- plan.rows: end -->\nb\n")
        for verb, words, tables in RUNS:
            r = bench(verb, *words, "--dir", folder, "--json", path, "--doc", page)
            report.case(" ".join([verb, *words[4:]]), look(r, path, tables))
        report.case("--doc", look_at_page(page))
        for words, said in ((["nothing"], "unknown verb"), (["--method", "nothing"], "--method: there are")):
            r = bench(*words)
            report.case(" ".join(words), [] if r.rc == 1 and said in r.err and len(r.lines()) == 1 else [r.err[-300:]])
        report.case("--help", bench("--help").problems())
    return report.done()


if __name__ == "__main__":
    lt.need_program()
    sys.exit(main())
