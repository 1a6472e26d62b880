"""verb_cold.py -- ./dev bench cold: with nothing in the page cache.

    G   cat of all inputs (the base, too, where the method has one) to /dev/null, then cp of one fine-tune
    A   ladle on them

Before each run the inputs are put out of the page cache. Neither run flushes what it wrote; with
--durable both do. A ratio is A / G of its own pair, and at most 1.15. Where the pages will not go (some
file systems keep them) that is said, and nothing is judged.
SPDX-License-Identifier: Apache-2.0"""
import cases
import machine
import measure
import table
from models import Models, weights
from verb_methods import Floor, add_up

METHODS = ["linear", "slerp", "task_arithmetic.yml", "dare_ties", "ties", "sce.yml", "model_stock.yml", "della", "convert"]
LIMIT = 1.15


def add(ap):
    ap.add_argument("--durable", action="store_true", help="flush the outputs of both")


def cold(files):
    if not machine.drop(files):
        cold.failed = True


def floor(f, files, durable):
    measure.clear(f.m.out)
    cold(files)
    steps = [["cat", *files], ["cp", "--reflink=never", files[0], f.m.out]]
    return add_up([measure.timed(w) for w in steps + ([["sync", f.m.out]] if durable else [])])


def merge(f, case, files, durable):
    measure.clear(f.m.out)
    cold(files)
    return measure.timed(f.words(case, "--fsync" if durable else "--no-fsync"))


def run(a):
    models = Models(a.dir, a.shape)
    f = Floor(a, models, 2)
    paper = table.Paper("cold", models.folder, a, shape=a.shape, pairs=a.pairs, durable=a.durable)
    paper.say(f"{a.shape}: fine-tunes of {models.size() / 1e6:.0f} MB, {a.pairs} pairs, "
              f"{'flushed' if a.durable else 'not flushed'}")
    t = paper.table("rows", "Inputs from the disk:", [
        ("method", 20, table.text("method")), ("reads", 5, table.text("inputs")),
        ("floor s", 7, table.number("floor_seconds")), ("ladle s", 7, table.number("seconds")),
        ("ratio (least - most)", 20, table.spread()), (f"<= {LIMIT}", 13, table.text("verdict")),
        ("disk MB/s", 9, table.number("mb_per_s", 0)), ("peak MiB", 8, table.number("peak_mib", 0))])
    for case in a.cases if a.method else cases.find(METHODS):
        files = [weights(p) for p in case.used(models, 2)]
        cold.failed = False
        taken = measure.pairs(a.pairs, lambda: floor(f, files, a.durable), lambda: merge(f, case, files, a.durable))
        r = measure.Ratios(taken)
        t.add({"method": case.name, "inputs": len(files), "floor_seconds": r.first, "seconds": r.second, **r.row(),
               "verdict": "stays cached" if cold.failed else r.at_most(LIMIT), "peak_mib": max(m.peak_mib for _, m in taken),
               "mb_per_s": len(files) * models.size() / r.second / 1e6})
    measure.clear(models.out)
    paper.done()
