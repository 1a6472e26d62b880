"""verb_peers.py -- ./dev bench peers: the real mergekit and PaddleNLP on the same files.

Both come from PyPI into virtual environments of their own (build/venv-peers, some gigabytes; ./dev bench
peers installs them; bench/peers/*.txt are their versions). Each pair is the peer, then ladle with the
same recipe or flags, output removed before. `starts in` is the peer's time on a model of two small
layers: what it takes to import everything. Memory of a peer is that of all its processes together, once
with the mapped pages of the input files (Pss) and once without (own); ladle maps no weights. `cores s` is
user and system time of all cores.
SPDX-License-Identifier: Apache-2.0"""
import os, time

import cases
import machine
import measure
import table
from models import Models
from verb_methods import Floor

VENVS = os.path.join(machine.ROOT, "build", "venv-peers")
PEERS = {"mergekit": ["linear.yml", "slerp.yml", "ties.yml", "dare_ties.yml", "della.yml", "model_stock.yml"],
         "paddlenlp": ["linear", "ties", "della"]}


def add(ap):
    ap.add_argument("--peer", nargs="+", choices=list(PEERS), default=list(PEERS))
    ap.set_defaults(pairs=3)


def tree(pid):
    """A process and its descendants."""
    out = [pid]
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            for child in f.read().split():
                out += tree(int(child))
    except OSError:
        pass
    return out


class Watch:
    """Peak MiB of a process and its children, shared pages counted once: all of it, and its own memory."""
    def __init__(self):
        self.all = self.own = 0

    def __call__(self, pid, peak):
        while True:
            seen = [measure.numbers(f"/proc/{p}/smaps_rollup", "Pss", "Pss_Anon") for p in tree(pid)]
            if not seen or not any(a for a, _ in seen):
                return
            self.all = max(self.all, sum(a for a, _ in seen) / 1024)
            self.own = max(self.own, sum(b for _, b in seen) / 1024)
            time.sleep(0.02)


def peer_words(peer, case, models):
    python = os.path.join(VENVS, peer, "bin", "python")
    tunes, base = models.tunes(case.takes(2)), models.base()
    if peer == "mergekit":
        return [python, "-m", "mergekit.scripts.run_yaml", case.command(models, 2)[1], models.out, "--quiet",
                "--no-copy-tokenizer"]
    return [python, "-W", "ignore", os.path.join(machine.HERE, "peers", "paddle_merge.py"), case.name, models.out,
            base if case.base else "-", *tunes]


def run_peer(peer, case, models, watch):
    measure.clear(models.out)
    env = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TQDM_DISABLE="1")
    return measure.timed(peer_words(peer, case, models), env=env, watch=watch)


def one(a, peer, case, models):
    f, watch = Floor(a, models, 2), Watch()
    tiny = Models(a.dir, "tiny")
    run_peer(peer, case, tiny, Watch())  # its files are in the page cache from here on
    starts = run_peer(peer, case, tiny, Watch()).seconds
    measure.clear(tiny.out)
    f.merge(case, "--no-fsync")  # warms the page cache; a pair of them would take minutes
    taken = measure.pairs(a.pairs, lambda: run_peer(peer, case, models, watch), lambda: f.merge(case, "--no-fsync"), 0)
    r = measure.Ratios(taken, upside_down=True)
    return {"peer": peer, "method": case.name, "peer_seconds": r.first, "starts_seconds": starts, "seconds": r.second,
            **r.row(), "peer_mib": watch.all, "peer_own_mib": watch.own,
            "peer_cpu_seconds": measure.median_of([p for p, _ in taken], "cpu"),
            "cpu_seconds": measure.median_of([m for _, m in taken], "cpu"), "peak_mib": max(m.peak_mib for _, m in taken)}


def run(a):
    models = Models(a.dir, a.shape)
    have = [p for p in a.peer if os.path.exists(os.path.join(VENVS, p, ".done"))]
    if not have:
        measure.fail(f"no peers in {VENVS}; ./dev bench peers installs them from PyPI")
    paper = table.Paper("peers", models.folder, a, shape=a.shape, pairs=a.pairs, bytes=models.size(), versions={
        p: open(os.path.join(machine.HERE, "peers", p + ".txt")).read().split() for p in have})
    paper.say(f"{a.shape}: fine-tunes of {models.size() / 1e6:.0f} MB, {a.pairs} pairs; "
              + "; ".join(" ".join(v) for v in paper.all["versions"].values()))
    t = paper.table("rows", "The same merge by others:", [
        ("by", 9, table.text("peer")), ("method", 15, table.text("method")), ("its s", 7, table.number("peer_seconds", 1)),
        ("starts in", 9, table.number("starts_seconds", 1)), ("ladle s", 7, table.number("seconds")),
        ("times (least - most)", 20, lambda r: f"{r['ratio']:.0f} ({r['min']:.0f} - {r['max']:.0f})"),
        ("its cores s", 11, table.number("peer_cpu_seconds", 1)), ("ladle's", 7, table.number("cpu_seconds")),
        ("its MiB", 7, table.number("peer_mib", 0)), ("own", 5, table.number("peer_own_mib", 0)),
        ("ladle MiB", 9, table.number("peak_mib", 0))])
    for peer in have:
        for case in cases.find(PEERS[peer]):
            if not a.method or case.name in a.method:
                t.add(one(a, peer, case, models))
    measure.clear(models.out)
    paper.done()
