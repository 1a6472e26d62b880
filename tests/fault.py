#!/usr/bin/env python3
"""fault.py -- whatever fails, the output is absent, the old one, or complete.

1. LADLE_FAULT=kind:N, N = 1, 2, ... until nothing fails any more, for each kind of call (needs a build
   with -DLADLE_FAULTS=ON: LADLE_BIN when LADLE_FAULTS=1, or LADLE_BIN_FAULTS; skipped without): the run ends with a nonzero
   status and one line, leaving nothing, or succeeds with the right bytes. It never dies of a signal.
   With --overwrite the old output must then still be there, unchanged; once the new one has taken
   its place, a failure to remove the old may leave that as OUT.partial, if the line says so.
2. kill -9 in the middle: OUT is absent; the next run clears OUT.partial and succeeds.
3. Ctrl-C: nothing is left, exit 130.
4. A disk that is too small (a tmpfs, when root): refused before anything is written.
Standard library only. SPDX-License-Identifier: Apache-2.0"""
import hashlib, os, signal, subprocess, sys, time

import ladletest as lt
import spmodel
sys.path.insert(0, os.path.join(lt.ROOT, "bench"))
import make_model as mm  # noqa: E402

KINDS = ("alloc", "open", "read", "write", "sync", "rename", "thread")
QUIET_AFTER = 10  # successes in a row after which the Nth call does not exist
LIMIT = 20000
FAULTY = os.environ.get("LADLE_BIN_FAULTS") or (lt.BIN if os.environ.get("LADLE_FAULTS") == "1" else None)


def small(seed):
    t = {}
    for name, dtype, shape in (("a.weight", "BF16", (50, 100)), ("b.weight", "BF16", (9000,)), ("c.scale", "BF16", ()),
                               ("d.ids", "I64", (4,)), ("e.empty", "BF16", (0, 3))):
        n = 1
        for d in shape:
            n *= d
        raw = bytes(range(4)) * 8 if dtype == "I64" else mm.weights(name, 0, n)
        t[name] = lt.Tensor(dtype, shape, mm.perturb(raw, seed, name, 0) if seed and n and dtype == "BF16" else raw)
    return t


def tree(folder):
    """Every file's bytes, but for what names the output path."""
    h = hashlib.sha256()
    for root, dirs, files in os.walk(folder):
        dirs.sort()
        for f in sorted(files):
            if f != "merge_config.json":
                h.update(f.encode())
                with open(os.path.join(root, f), "rb") as fp:
                    h.update(fp.read())
    return h.hexdigest()


def make_inputs(tmp):
    for i, name in enumerate(("base", "m1", "m2")):
        path = os.path.join(tmp, name)
        lt.write_model(path, small(i), shards=1 + i)
        with open(os.path.join(path, "tokenizer.json"), "w") as f:
            f.write("{}")
    os.makedirs(os.path.join(tmp, "ad"))
    lt.write_safetensors(os.path.join(tmp, "ad", "adapter_model.safetensors"), {
        f"base_model.model.a.lora_{half}": lt.Tensor("F32", shape, lt.encode("F32", [0.5 + i for i in range(n)]))
        for half, shape, n in (("A.weight", (3, 100), 300), ("B.weight", (50, 3), 150), ("magnitude_vector", (50,), 50))})
    with open(os.path.join(tmp, "ad", "adapter_config.json"), "w") as f:
        f.write('{"peft_type": "LORA", "r": 1, "rank_pattern": {"a|b": 3}, "use_dora": true}')
    names = ["embed_tokens.weight", "visual.merger.w"] + [f"{s}.{i}.w" for s in ("model.layers", "visual.blocks") for i in range(3)]
    for i, name in enumerate(("v1", "v2")):
        config = {"text_config": {"num_hidden_layers": 3, "layer_types": list("abc"), "dtype": "float32"}, "vision_config": {"depth": 3}}
        lt.write_model(os.path.join(tmp, name), {n: lt.Tensor("F32", (2,), lt.encode("F32", [i, 1.0])) for n in names}, config=config)
    with open(os.path.join(tmp, "recipe.yml"), "w") as f:
        f.write(RECIPE)


RECIPE = """merge_method: ties
base_model: v1
dtype: bfloat16
modules:
  text_decoder:
    slices:
    - sources: [{model: v1, layer_range: [1, 3]}, {model: v2, layer_range: [0, 2], parameters: {weight: 1, density: 0.5}}]
  visual.blocks: {models: [{model: v2, parameters: {weight: [0, 1]}}]}
"""


def make_vocabularies(tmp):
    """Vocabularies that are joined in a result with an adapter, and with it."""
    files = {"t1": {"tokenizer.model": spmodel.pieces([("<unk>", 2), ("a", 1), ("b", 1)]), "added_tokens.json": b'{"<p>": 3}',
                    "special_tokens_map.json": b'{"pad_token": "<p>"}', "tokenizer_config.json": b'{"tokenizer_class": "LlamaTokenizer"}'},
             "t2": {"tokenizer.json": b'{"added_tokens": [], "model": {"vocab": {"b": 0, "c": 1, "a": 2, "d": 3}}}'},
             "t3": {"vocab.txt": b"d\nz\ny\nx\n"}}
    for i, (name, texts) in enumerate(files.items()):
        ts = {n: lt.Tensor("F32", s, lt.encode("F32", [i + k / 8 for k in range(s[0] * s[1])]))
              for n, s in (("embed_tokens.weight", (4, 3)), ("layers.0.a.weight", (5, 3)))}
        lt.write_model(os.path.join(tmp, name), ts, config={"vocab_size": 4})
        for file, text in texts.items():
            with open(os.path.join(tmp, name, file), "wb") as f:
                f.write(text)
    os.makedirs(os.path.join(tmp, "ta"))
    lt.write_safetensors(os.path.join(tmp, "ta", "adapter_model.safetensors"), {
        f"layers.0.a.lora_{half}.weight": lt.Tensor("F32", shape, lt.encode("F32", [0.5] * n)) for half, shape, n in (("A", (1, 3), 3), ("B", (5, 1), 5))})
    with open(os.path.join(tmp, "ta", "adapter_config.json"), "w") as f:
        f.write('{"peft_type": "LORA", "r": 1, "lora_alpha": 1}')
    head = "merge_method: linear\nparameters: {weight: 1}\n"
    with open(os.path.join(tmp, "r.yml"), "w") as f:
        f.write(f"name: x\n{head}models: [t1, t2]\ntokenizer: {{source: union, pad_to_multiple_of: 8}}\n---\n"
                f"{head}models: [x+ta, t3]\ntokenizer_source: union\nchat_template: chatml\n")


def words(out, method):
    """lora: the first model is made of m1 and an adapter."""
    if method == "modules":
        return ["merge", "recipe.yml", out, "--quiet", "--threads", "3", "--report", out + ".report"]
    if method == "vocabularies":
        return ["merge", "r.yml", out, "--quiet", "--threads", "2"]
    first, method = ("m1+ad", "linear") if method == "lora" else ("m1", method)
    return ["merge", "--merge_method", method, "--model_path_list", first, "m2", "--base_model_path", "base", "--quiet",
            "--output_path", out, "--n_process", "2", "--threads", "3"]


def judge(run, out, good, old):
    """What is wrong with a run that met a fault."""
    if run.rc == 0:
        return [] if os.path.isdir(out) and tree(out) == good else ["success, but the output is not right"]
    problems = []
    if run.rc < 0 or run.rc >= 128 or run.rc not in (1, 2, 3, 4, 5):
        problems.append(f"exit {run.rc}")
    if len(run.lines()) != 1:
        problems.append(f"stderr has {len(run.lines())} lines: {run.err[-1500:]!r}")
    if old is not None and "is complete" in run.err and os.path.isdir(out) and tree(out) == good:
        return problems
    left = [f for f in lt.leftovers(out) if old is None or f != os.path.basename(out)]
    if left:
        problems.append(f"left {left}")
    if old is not None and (not os.path.isdir(out) or tree(out) != old):
        problems.append("the old output is not as it was")
    return problems


def walk(report, tmp, method, kind, overwrite):
    """The Nth call of a kind fails, for all N."""
    out, good, old = os.path.join(tmp, "OUT"), None, None
    args = words(out, method)
    subprocess.run(["rm", "-rf", out])
    first = lt.ladle(*args, cwd=tmp, program=FAULTY)
    if first.rc:
        report.case(f"fault {kind}", first.problems())
        return
    good, problems, n, calm, failed = tree(out), [], 0, 0, 0
    if overwrite:
        other = words(out, "linear")
        args = args + ["--overwrite"]
    while calm < QUIET_AFTER and n < LIMIT and len(problems) < 5:
        n += 1 + n // 250
        subprocess.run(["rm", "-rf", out, out + ".partial", out + ".report"])
        if overwrite:
            lt.ladle(*other, cwd=tmp)
            old = tree(out)
        run = lt.ladle(*args, cwd=tmp, program=FAULTY, env={"LADLE_FAULT": f"{kind}:{n}"}, timeout=60)
        bad = judge(run, out, good, old)
        problems += [f"{kind}:{n}: {b}" for b in bad]
        calm = calm + 1 if run.rc == 0 else 0
        failed += run.rc != 0
    if n >= LIMIT:
        problems.append(f"still failing at call {n}")
    if not failed and kind not in ("thread",):
        problems.append(f"no {kind} ever failed: is {FAULTY} built with LADLE_FAULTS?")
    report.case(f"fault {kind} {method}{' overwrite' if overwrite else ''}", problems, f"{failed} failures, up to call {n}")


def faults(report):
    if not FAULTY or not os.access(FAULTY, os.X_OK):
        report.skip("faults", "no build with -DLADLE_FAULTS=ON (LADLE_FAULTS=1 or LADLE_BIN_FAULTS)")
        return
    with lt.workdir() as tmp:
        make_inputs(tmp)
        for kind in KINDS:
            walk(report, tmp, "ties", kind, False)
            walk(report, tmp, "della", kind, True)
        for kind in ("alloc", "open", "read"):
            walk(report, tmp, "lora", kind, False)
        walk(report, tmp, "modules", "alloc", False)
        make_vocabularies(tmp)
        for kind in ("alloc", "open", "read"):
            walk(report, tmp, "vocabularies", kind, False)


# ---- interrupted runs ----

def large(tmp, n=24):
    """Two models of n*8 MB in n tensors: long enough to be caught in the middle."""
    raw = mm.weights("w", 0, 1 << 22)
    for i in range(2):
        t = {f"layers.{k}.weight": lt.Tensor("BF16", (1 << 22,), mm.perturb(raw, i, "w", 0) if i else raw) for k in range(n)}
        lt.write_model(os.path.join(tmp, f"big{i}"), t)


def caught(tmp, sig, delay, extra=()):
    """Starts a merge and signals it once output is being written: exit status, or None when it was
    too fast."""
    out = os.path.join(tmp, "OUT")
    p = subprocess.Popen([lt.BIN, "merge", "--merge_method", "ties", "--model_path_list", "big0", "big1", "--threads", "1",
                          "--output_path", out, "--quiet", *extra], cwd=tmp, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    end = time.time() + 60
    while p.poll() is None and not os.path.exists(out + ".partial") and time.time() < end:
        time.sleep(0.001)
    time.sleep(delay)
    if p.poll() is None:
        p.send_signal(sig)
    err = p.communicate()[1].decode(errors="replace")
    return p.returncode, err


def interrupted(report):
    with lt.workdir() as tmp:
        large(tmp)
        out = os.path.join(tmp, "OUT")
        base = ["merge", "--merge_method", "ties", "--model_path_list", "big0", "big1", "--quiet", "--output_path"]
        first = lt.ladle(*base, os.path.join(tmp, "GOOD"), cwd=tmp)
        if first.rc:
            report.case("interrupted", first.problems())
            return
        good = tree(os.path.join(tmp, "GOOD"))
        for delay in (0, 0.02, 0.1):
            rc, _ = caught(tmp, signal.SIGKILL, delay)
            problems = [] if rc == -signal.SIGKILL else [f"it was too fast or died: exit {rc}"]
            if os.path.exists(out):
                problems.append("OUT is there after kill -9")
            elif lt.leftovers(out) != ["OUT.partial"]:
                problems.append(f"left {lt.leftovers(out)}: the kill came too early to show anything")
            again = lt.ladle(*base, out, cwd=tmp)
            problems += again.problems()
            if not again.rc:
                if tree(out) != good:
                    problems.append("the run after it has other bytes")
                if lt.leftovers(out) != ["OUT"]:
                    problems.append(f"left {lt.leftovers(out)}")
            report.case(f"kill -9 after {delay} s, then again", problems)
            subprocess.run(["rm", "-rf", out, out + ".partial"])
        for sig, delay in ((signal.SIGINT, 0), (signal.SIGINT, 0.05), (signal.SIGTERM, 0.05)):
            rc, err = caught(tmp, sig, delay)
            problems = [] if rc == 130 else [f"exit {rc}, expected 130: {err[:300]}"]
            if lt.leftovers(out):
                problems.append(f"left {lt.leftovers(out)}")
            if len(err.strip().splitlines()) != 1:
                problems.append(f"stderr: {err[:300]!r}")
            report.case(f"{signal.Signals(sig).name} after {delay} s", problems)
            subprocess.run(["rm", "-rf", out, out + ".partial"])
        # with --overwrite the old output survives an interrupt
        subprocess.run(["cp", "-r", os.path.join(tmp, "GOOD"), out])
        rc, _ = caught(tmp, signal.SIGINT, 0.05, ["--overwrite"])
        report.case("SIGINT with --overwrite", [] if rc == 130 and tree(out) == good and lt.leftovers(out) == ["OUT"] else
                    [f"exit {rc}, left {lt.leftovers(out)}, same: {os.path.isdir(out) and tree(out) == good}"])


def small_disk(report):
    name = "disk too small"
    if os.geteuid() != 0:
        report.skip(name, "needs root for a tmpfs")
        return
    with lt.workdir() as tmp:
        disk = os.path.join(tmp, "disk")
        os.mkdir(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], stderr=subprocess.DEVNULL).returncode:
            report.skip(name, "cannot mount a tmpfs here")
            return
        try:
            for i in range(2):
                raw = mm.weights("w", 0, 1 << 20)
                lt.write_model(os.path.join(tmp, f"m{i}"), {"w": lt.Tensor("BF16", (1 << 20,), raw)})
            out = os.path.join(disk, "OUT")
            run = lt.ladle("merge", "--model_path_list", "m0", "m1", "--output_path", out, cwd=tmp)
            problems = [] if run.rc == 5 and len(run.lines()) == 1 and "OUT" in run.err else [f"exit {run.rc}: {run.err[:400]}"]
            if os.listdir(disk):
                problems.append(f"left {os.listdir(disk)}")
            report.case(name, problems, run.err.strip())
            # the mount point itself as the output
            subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
            run = lt.ladle("merge", "--model_path_list", "m0", "m1", "--output_path", disk, cwd=tmp)
            problems = run.problems()
            if not problems:
                lt.read_model(disk)
                if any(f.startswith(".") for f in os.listdir(disk)):
                    problems.append(f"left {os.listdir(disk)}")
            report.case("a mount point as output", problems)
        finally:
            subprocess.run(["umount", disk])


def main():
    lt.need_program()
    report = lt.Report()
    faults(report)
    interrupted(report)
    small_disk(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
