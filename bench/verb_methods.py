"""verb_methods.py -- ./dev bench: every method against the floor, and against what this machine can move.

    F   cat of the fine-tunes to /dev/null, then cp of one of them
    A   ladle on the same fine-tunes, and their base where the method has one

Each pair is F, A in direct succession, page cache warm, after the output of the one before has been
removed and written back; a ratio is A / F of its own pair. Ratios are taken with --no-fsync, since cp
does not flush either; `durable` is the default, with fsync, against cat, cp and sync of the copy.
`moves` is what went through read() and write(), `at memory` the seconds that takes at the machine's copy
bandwidth, `at cache` at the speed of pread and pwrite on cached files, all cores at work. `cores s` is user and
system time, and hardly changes with what else runs: half of it by `floor's` is the ratio of two idle cores.
SPDX-License-Identifier: Apache-2.0"""
import os, subprocess

import cases
import machine
import measure
import table
from models import Models, weights

DURABLE_LIMIT, PEAK_LIMIT = 1.2, 128


def add(ap):
    ap.add_argument("--models", type=int, default=2, help="number of fine-tunes (default 2)")
    ap.add_argument("--durable-pairs", type=int, default=7, help="pairs with fsync; 0: none (default 7)")


class Floor:
    """The floor of one merge, and ladle's command lines. Other verbs use it, too."""
    def __init__(self, a, models, n):
        self.a, self.m, self.n = a, models, n
        self.files = [weights(t) for t in models.tunes(n)]

    def floor(self, sync=False):
        measure.clear(self.m.out)
        steps = [["cat", *self.files], ["cp", "--reflink=never", self.files[0], self.m.out]]
        return add_up([measure.timed(w) for w in steps + ([["sync", self.m.out]] if sync else [])])

    def words(self, case, *more):
        words = [machine.BIN, *case.command(self.m, self.n), self.m.out, "--quiet", *more]
        if self.a.threads and "--threads" not in more:
            words += ["--threads", str(self.a.threads)]
        return words

    def merge(self, case, *more):
        measure.clear(self.m.out)
        return measure.timed(self.words(case, *more))


def add_up(runs):
    return measure.Run(*(sum(getattr(r, k) for r in runs)
                         for k in ("seconds", "user", "system", "peak_mib", "read", "written")))


def bandwidth(path):
    """{(what, threads): GB/s}, and the number of threads that stands for all cores."""
    program = os.path.join(machine.ROOT, "build", "tests", "bench_bandwidth")
    if not os.access(program, os.X_OK):
        return {}, 1
    p = subprocess.run([program, path], capture_output=True, text=True)
    if p.returncode:
        measure.fail(p.stderr.strip())
    seen = {(what, int(t)): float(gbs) for what, t, gbs in map(str.split, p.stdout.splitlines())}
    return seen, max(t for _, t in seen)


def say_bandwidth(paper, seen, threads):
    paper.all["bandwidth"] = [{"what": w, "threads": t, "gb_per_s": g} for (w, t), g in seen.items()]
    for t in sorted({t for _, t in seen}):
        paper.say(f"{t} thread{'s' if t > 1 else ''}, GB/s: " + ", ".join(
            f"{what} {seen[what, t]:.1f}" for what in ("read", "copy", "pread", "pwrite")))


def roofline(runs, seen, threads):
    """What a run moves, and the seconds that this takes at the least."""
    read, written = measure.median_of(runs, "read") / 1e9, measure.median_of(runs, "written") / 1e9
    out = {"read_gb": read, "written_gb": written}
    if seen:
        out["at_memory"] = (read + written) / seen["copy", threads]
        out["at_cache"] = read / seen["pread", threads] + written / seen["pwrite", threads]
    return out


def one(f, case, a, seen, threads):
    taken = measure.pairs(a.pairs, f.floor, lambda: f.merge(case, "--no-fsync"))
    r, runs = measure.Ratios(taken), [m for _, m in taken]
    size = f.m.size()
    row = {"method": case.name, "inputs": case.inputs(f.n), "floor_seconds": r.first, "seconds": r.second, **r.row(),
           "limit": case.limit, "ceiling": case.ceiling, "verdict": case.verdict(r) if f.n == 2 else "",
           "limit_text": case.limit_text() if f.n == 2 else "", "gb_per_s": (case.inputs(f.n) + 1) * size / r.second / 1e9,
           "peak_mib": max(m.peak_mib for m in runs), "user_share": measure.median_of(runs, "user_share"), "pairs": a.pairs}
    row["cpu_seconds"] = measure.median_of(runs, "cpu")
    row["floor_cpu_seconds"] = measure.median_of([x for x, _ in taken], "cpu")
    row["passes"] = measure.median_of(runs, "read") / (case.inputs(f.n) * size)
    row["peak_verdict"] = "met" if row["peak_mib"] <= PEAK_LIMIT else "not"
    row.update(roofline(runs, seen, threads))
    if a.durable_pairs:
        d = measure.Ratios(measure.pairs(a.durable_pairs, lambda: f.floor(True), lambda: f.merge(case, "--fsync")))
        row.update(d.row("durable_"), durable_floor_seconds=d.first, durable_seconds=d.second,
                   durable_verdict=d.at_most(DURABLE_LIMIT))
    return row


COLUMNS = [
    ("method", 20, table.text("method")), ("reads", 5, table.text("inputs")), ("floor s", 7, table.number("floor_seconds")),
    ("ladle s", 7, table.number("seconds")), ("ratio (least - most)", 20, table.spread()),
    ("limit", 5, table.text("limit_text")), ("", 13, table.text("verdict")), ("GB/s", 5, table.number("gb_per_s")),
    ("peak MiB", 8, table.number("peak_mib", 0)), ("durable s", 9, table.number("durable_seconds")),
    ("durable ratio", 20, table.spread("durable_")), (f"<= {DURABLE_LIMIT}", 13, table.text("durable_verdict")),
]
ROOF = [
    ("method", 20, table.text("method")), ("passes", 6, table.number("passes")), ("reads GB", 8, table.number("read_gb")),
    ("writes GB", 9, table.number("written_gb")), ("at memory s", 11, table.number("at_memory")),
    ("at cache s", 10, table.number("at_cache")), ("measured s", 10, table.number("seconds")),
    ("cores s", 7, table.number("cpu_seconds")), ("floor's", 7, table.number("floor_cpu_seconds")),
    ("user share", 10, table.number("user_share")),
]


def run(a):
    models = Models(a.dir, a.shape)
    f = Floor(a, models, a.models)
    chosen = [c for c in a.cases if a.models == 2 or c.models is None]
    paper = table.Paper("methods", models.folder, a, shape=a.shape, models=a.models, bytes=models.size())
    paper.say(f"{a.shape}: {a.models} fine-tunes of {models.size() / 1e6:.0f} MB, {a.pairs} pairs; "
              "floor: cat of all, cp of one")
    seen, threads = bandwidth(f.files[0])
    say_bandwidth(paper, seen, threads)
    main = paper.table("rows", "Against the floor:", COLUMNS)
    for case in chosen:
        main.add(one(f, case, a, seen, threads))
    measure.clear(models.out)
    roof = paper.table("roofline", "Against what the machine can move:", ROOF)
    for row in main.rows:
        roof.add(row)
    paper.all["roofline"] = "the same rows"
    paper.done()
