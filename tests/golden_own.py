#!/usr/bin/env python3
"""golden_own.py -- the project's own golden set (tests/golden/): every method, byte for byte.

For a clone without the recorded vectors of PaddleNLP and without numpy. Random methods too: the draw of an
element depends on the seed, the tensor's name, the model's number and the element, so their results
are as fixed as the others'. golden/make.py says where the numbers come from.
Standard library only. SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

import ladletest as lt

FOLDER = os.path.join(lt.HERE, "golden")


def unlike(got, want):
    problems = [f"tensors differ: {sorted(set(got) ^ set(want))[:5]}"] if set(got) != set(want) else []
    for name in sorted(set(got) & set(want)):
        g, w = got[name], want[name]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            problems.append(f"{name}: {g.dtype}{list(g.shape)}, expected {w.dtype}{list(w.shape)}")
        elif g.raw != w.raw:
            size = lt.SIZE[w.dtype]
            bad = [i for i in range(len(w.raw) // size) if g.raw[i * size:i * size + size] != w.raw[i * size:i * size + size]]
            problems.append(f"{name}: {len(bad)} of {len(w.raw) // size} elements, first [{bad[0]}] "
                            f"{g.numbers()[bad[0]]!r}, expected {w.numbers()[bad[0]]!r}")
    return problems


def main():
    lt.need_program()
    report = lt.Report()
    with open(os.path.join(FOLDER, "cases.json")) as f:
        cases = json.load(f)
    for name, words in cases.items():
        with lt.workdir() as tmp:
            out = os.path.join(tmp, "OUT")
            run = lt.ladle("merge", *words, "--output_path", out, cwd=FOLDER)
            problems = run.problems()
            if not problems:
                want, _ = lt.read_safetensors(os.path.join(FOLDER, name + ".safetensors"))
                problems = unlike(lt.read_model(out), want)
            report.case(name, problems)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
