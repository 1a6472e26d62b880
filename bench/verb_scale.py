"""verb_scale.py -- ./dev bench scale: more models, a larger model, more threads.

    models    8 fine-tunes against 2 of them: at most 4.2 times
    size      the shape 2x against qwen0.5b: at most 2.1 times, in the same memory
    threads   one thread against two: at least 1.8 times, where one thread spends COMPUTE of its time
              in the program and not in the system; in the same run two pinned spin loops say what two
              processors are worth here at the moment: below 1.9 nothing is judged

SPDX-License-Identifier: Apache-2.0"""
import cases
import machine
import measure
import paper as paper_
import table
from models import Models
from verb_methods import Floor

METHODS = ["linear", "dare_ties", "ties", "breadcrumbs.yml", "sce.yml", "model_stock.yml", "karcher.yml", "della",
           "della.yml"]
LIMIT_MODELS, LIMIT_SIZE, LIMIT_THREADS, SPIN_LEAST, COMPUTE = 4.2, 2.1, 1.8, 1.9, 0.8


def add(ap):
    ap.add_argument("--part", nargs="+", choices=["models", "size", "threads"], default=["models", "size", "threads"])
    ap.add_argument("--many", type=int, default=8, help="models of the larger merge (default 8)")
    ap.add_argument("--larger", default="2x", help="the larger shape (default 2x)")


def columns(first, second, limit):
    return [("method", 20, table.text("method")), (first, 9, table.number("first_seconds")),
            (second, 9, table.number("second_seconds")), ("ratio (least - most)", 20, table.spread()),
            (limit, 13, table.text("verdict")), ("peak MiB", 8, table.number("peak_mib", 0))]


def compare(case, a, first, second, **more):
    taken = measure.pairs(a.pairs, first, second)
    r = measure.Ratios(taken, **more)
    peak = max(x.peak_mib for p in taken for x in p)
    return taken, r, {"method": case.name, "first_seconds": r.first, "second_seconds": r.second, **r.row(), "peak_mib": peak}


def by_models(a, paper, models, chosen):
    few, many = Floor(a, models, 2), Floor(a, models, a.many)
    t = paper.table("models", f"{a.many} models against 2:", columns("2 s", f"{a.many} s", f"<= {LIMIT_MODELS}"))
    for case in chosen:
        if case.models is None:
            _, r, row = compare(case, a, lambda: few.merge(case, "--no-fsync"), lambda: many.merge(case, "--no-fsync"))
            t.add({**row, "verdict": r.at_most(LIMIT_MODELS) if a.many == 8 else ""})


def by_size(a, paper, models, chosen):
    larger = Models(a.dir, a.larger)
    small, big = Floor(a, models, 2), Floor(a, larger, 2)
    share = larger.size() / models.size()
    cols = columns("1x s", "2x s", f"<= {LIMIT_SIZE}")
    cols += [("2x, foretold", 12, table.number("foretold")), ("off by", 6, lambda r: f"{100 * r['off']:+.0f} %"),
             ("a s", 6, table.number("a")), ("b s/GB", 6, table.number("b"))]
    t = paper.table("size", f"{a.larger} against {a.shape} ({share:.2f} times the bytes), what the smaller one "
                    "alone foretells, and the line a + b * GB of one checkpoint through both:", cols)
    for case in chosen:
        _, r, row = compare(case, a, lambda: small.merge(case, "--no-fsync"), lambda: big.merge(case, "--no-fsync"))
        a_, b = paper_.line(r.first, models.size() / 1e9, r.second, larger.size() / 1e9)
        t.add({**row, "inputs": case.inputs(2), "bytes_ratio": share, "foretold": r.first * share,
               "off": r.second / (r.first * share) - 1, "a": a_, "b": b, "verdict": r.at_most(LIMIT_SIZE)})
    paper_.print_table(paper, t.rows)
    measure.clear(larger.out)


def by_threads(a, paper, models, chosen):
    f = Floor(a, models, 2)
    cols = columns("1 thread", "2 threads", f">= {LIMIT_THREADS}")
    cols[5:] = [("user share", 10, table.number("user_share")), ("spin loops", 10, table.number("spin"))]
    t = paper.table("threads", "One thread against two:", cols)
    for case in chosen:
        spin = machine.spin_scaling()
        taken, r, row = compare(case, a, lambda: f.merge(case, "--threads", "1", "--no-fsync"),
                                lambda: f.merge(case, "--threads", "2", "--no-fsync"), upside_down=True)
        spin = min(spin, machine.spin_scaling())
        share = measure.median_of([one for one, _ in taken], "user_share")
        said = "not compute" if share < COMPUTE else "machine busy" if spin < SPIN_LEAST else r.at_least(LIMIT_THREADS)
        t.add({**row, "user_share": share, "spin": spin, "verdict": said})


def run(a):
    models = Models(a.dir, a.shape)
    chosen = a.cases if a.method else cases.find(METHODS)
    paper = table.Paper("scale", models.folder, a, shape=a.shape, pairs=a.pairs, bytes=models.size())
    paper.say(f"{a.shape}: fine-tunes of {models.size() / 1e6:.0f} MB, {a.pairs} pairs, --no-fsync")
    for part, go in (("threads", by_threads), ("models", by_models), ("size", by_size)):
        if part in a.part:
            go(a, paper, models, chosen)
            measure.clear(models.out)
    paper.done()
