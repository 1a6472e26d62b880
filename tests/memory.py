#!/usr/bin/env python3
"""memory.py -- the peak of a merge stays below what was promised, for any number of threads.

Three bf16 models of 24 tensors with 2 million elements each, two of them also as torch.save keeps them,
and an adapter of rank 16 for every tensor. The kernel's figure (ru_maxrss) must be
at most 128 MiB as it comes, at most what --max_memory says, and at most what `ladle plan` says.
SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

import ladletest as lt
sys.path[:0] = [os.path.join(lt.ROOT, "bench"), os.path.join(lt.HERE, "fuzz")]
import make_corpus as mc  # noqa: E402
import make_model as mm  # noqa: E402

TENSORS, ROWS, COLUMNS, RANK, MIB = 24, 1000, 2000, 16, 1 << 20
PLAIN, TORCH, LORA = ["a", "b"], ["a.bin", "b.bin"], ["base+lora", "a"]
RUNS = [("linear", PLAIN, 2, None), ("linear", PLAIN, 64, None), ("ties", PLAIN, 2, None), ("ties", PLAIN, 16, None),
        ("ties", PLAIN, 64, None), ("ties", PLAIN, 7, 64), ("della", PLAIN, 16, None), ("slerp", PLAIN, 16, 32),
        ("linear", TORCH, 2, None), ("ties", TORCH, 16, None), ("linear", LORA, 2, None), ("ties", LORA, 16, None)]


def make(folder):
    """base, a, b; the tensors of a model are copies of one, as only their size matters here."""
    base = mm.weights("w", 0, ROWS * COLUMNS)
    names = [f"layers.{i}" for i in range(TENSORS)]
    kind = mc.named("torch", "BFloat16Storage")
    for name, raw in (("base", base), ("a", mm.perturb(base, 1, "w", 0)), ("b", mm.perturb(base, 2, "w", 0))):
        one = lt.Tensor("BF16", (ROWS, COLUMNS), raw)
        lt.write_model(os.path.join(folder, name), {f"{n}.weight": one for n in names})
        storages = [mc.Storage(kind, str(i), ROWS * COLUMNS, raw) for i in range(TENSORS)]
        state = {f"{n}.weight": mc.Tensor(s, 0, (ROWS, COLUMNS), (COLUMNS, 1)) for n, s in zip(names, storages)}
        with open(os.path.join(folder, f"{name}.bin"), "wb") as f:
            f.write(mc.torch_zip(state, storages))
    lora_a = lt.Tensor("F32", (RANK, COLUMNS), lt.encode("F32", [0.01] * (RANK * COLUMNS)))
    lora_b = lt.Tensor("F32", (ROWS, RANK), lt.encode("F32", [0.02] * (ROWS * RANK)))
    os.makedirs(os.path.join(folder, "lora"))
    lt.write_safetensors(os.path.join(folder, "lora/adapter_model.safetensors"), {
        f"base_model.model.{n}.lora_{x}.weight": t for n in names for x, t in (("A", lora_a), ("B", lora_b))})
    with open(os.path.join(folder, "lora/adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": RANK, "lora_alpha": 32}, f)


def peak(words, cwd):
    """(exit code, peak in bytes). The figure begins at the size of this script, which forked."""
    pid = os.fork()
    if pid == 0:
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(lt.BIN, [lt.BIN] + words)
    _, status, use = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), use.ru_maxrss * 1024


def check(folder, method, models, threads, limit, floor):
    words = ["--merge_method", method, "--model_path_list", *models, "--threads", str(threads)]
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
        for method, models, threads, limit in RUNS:
            problems, said = check(folder, method, models, threads, limit, floor)
            name = f"{method} of {' '.join(models)}, {threads} threads" + (f", --max_memory {limit}M" if limit else "")
            report.case(name, problems, said)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
