"""verb_memory.py -- ./dev bench memory: the most that a merge holds, as the kernel counts it (VmHWM).

Three fine-tunes and their base (fewer where a method takes fewer) through every recipe: at most 160 MiB
each. --max-memory 32M 64M ... runs every chosen case under each of these limits instead: it must stay
below, or refuse before it writes anything.
SPDX-License-Identifier: Apache-2.0"""
import measure
import table
from models import Models
from verb_methods import Floor

LIMIT_MIB, UNITS = 160, {"K": 1 / 1024, "M": 1, "G": 1024}


def add(ap):
    ap.add_argument("--max-memory", nargs="+", metavar="N", default=[], help="limits to try, as 32M (K, M, G)")
    ap.add_argument("--models", type=int, default=3, help="number of fine-tunes (default 3)")


def mib(text):
    if text[-1:] in UNITS and text[:-1].isdigit():
        return int(text[:-1]) * UNITS[text[-1]]
    return measure.fail(f"--max-memory: '{text}' is not a number with K, M or G")


def one(f, case, limit):
    """A row; under a limit ladle may also refuse."""
    measure.clear(f.m.out)
    more = ["--max-memory", limit] if limit else []
    r = measure.timed(f.words(case, "--no-fsync", *more), check=not limit)
    row = {"method": case.name, "models": case.takes(f.n), "inputs": case.inputs(f.n), "max_memory": limit or "",
           "limit_mib": mib(limit) if limit else LIMIT_MIB}
    if isinstance(r, str):
        if "--max_memory" not in r:
            measure.fail(r)
        return {**row, "verdict": "refused", "why": r.strip()}
    return {**row, "peak_mib": r.peak_mib, "seconds": r.seconds,
            "verdict": "met" if r.peak_mib <= row["limit_mib"] else "not"}


def run(a):
    models = Models(a.dir, a.shape)
    f = Floor(a, models, a.models)
    chosen = a.cases if a.method or a.max_memory else [c for c in a.cases if c.recipe]
    paper = table.Paper("memory", models.folder, a, shape=a.shape, models=a.models)
    paper.say(f"{a.shape}: fine-tunes of {models.size() / 1e6:.0f} MB")
    t = paper.table("limits" if a.max_memory else "rows", "Peak memory:", [
        ("method", 20, table.text("method")), ("reads", 5, table.text("inputs")),
        ("limit MiB", 9, table.number("limit_mib", 0)),
        ("peak MiB", 8, table.number("peak_mib", 1)), ("", 7, table.text("verdict")), ("ladle s", 7, table.number("seconds"))])
    for case in chosen:
        for limit in a.max_memory or [None]:
            t.add(one(f, case, limit))
    measure.clear(models.out)
    paper.done()
