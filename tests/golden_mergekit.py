#!/usr/bin/env python3
"""golden_mergekit.py -- the recorded runs of the real mergekit, against `ladle merge config.yml OUT`.

For each folder of $LADLE_SHARED/golden/mergekit, by the field `compare` of its case.json:

    exact, close, statistical   as ../shared/tools/compare_ckpt.py judges them; also the names of the files,
                                the keys of config.json that mergekit changed, and the tokens of tokenizer.json
    error                       a refusal in one line, nothing left behind
    differs                     ladle decided otherwise: it must succeed or refuse as the case says, and be
                                what `ladle_expected` says where it says something

Recipes that need what this build does not have are listed at the end; they must be refused with a line
that says so ("not in this build"), and leave nothing.
usage: golden_mergekit.py [PART OF A NAME ...]
SPDX-License-Identifier: Apache-2.0"""
import importlib.util, io, json, math, os, sys
from contextlib import redirect_stdout

import ladletest as lt

ABSENT = "not in this build"


def options(case):
    words = []
    for name, value in case.get("options", {}).items():
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else ["--no-" + flag[2:]] if value is False else [flag, str(value)]
    return words


def refused(run, out, words=()):
    problems = [] if run.rc else ["it succeeded"]
    if run.rc and len(run.lines()) != 1:
        problems.append(f"not one line: {run.err[:300]!r}")
    left = lt.leftovers(out)
    if left:
        problems.append(f"left behind: {left}")
    return problems + [f"does not say {w!r}: {run.err[:300]}" for w in words if w not in run.err]


def differences(out, folder, case):
    """What compare_ckpt.py says of the output; [] when it is content."""
    text = io.StringIO()
    with redirect_stdout(text):
        words = [out, "--case", folder, "--root", GOLDEN]
        if case.get("compare") == "differs":
            expected = case.get("ladle_expected")
            if not expected:
                return []
            words = [out, os.path.join(GOLDEN, "mergekit", expected["case"], "expected.safetensors")]
            words += ["--exact"] if expected["compare"] == "exact" else []
            words += ["--ignore-dtype"] if expected.get("ignore_dtype") else []
        bad = TOOL.main(words)
    return text.getvalue().splitlines() if bad else []


def unscaled(out, folder):
    """dare without rescale: each element is the base's, or the model's; the share that was kept. (The L1 that the
    recorded sample has is that of its own luck with a few large elements.)"""
    with open(os.path.join(folder, "stats.json")) as f:
        stats = json.load(f)
    got, _ = lt.read_safetensors(os.path.join(out, "model.safetensors"))
    base, model = (lt.read_safetensors(os.path.join(GOLDEN, "models", m, "model.safetensors"))[0] for m in ("small_base", "small_a"))
    problems, kept, n, p = [], 0, 0, 0.3
    for name in stats["tensors"]:
        for g, b, x in zip(*(t[name].numbers() for t in (got, base, model))):
            change = lt.round_f32([x - b])[0]
            if not change:
                continue
            n += 1
            kept += g != b
            if g not in (b, lt.round_f32([b + change])[0]):
                problems.append(f"{name}: {g} is neither {b} nor {x}")
    if abs(kept - n * p) > 6 * math.sqrt(n * p * (1 - p)):
        problems.append(f"kept {kept} of {n}")
    return problems


def check_vocabulary(out, folder):
    """The tokens of the output's tokenizer, in all places that list them, against the recorded ones."""
    path = os.path.join(folder, "expected_vocab.json")
    if not os.path.exists(path):
        return []
    with open(path) as f:
        want = json.load(f)
    with open(os.path.join(out, "tokenizer.json")) as f:
        tokenizer = json.load(f)
    with open(os.path.join(out, "tokenizer_config.json")) as f:
        config = json.load(f)
    added = {t["content"]: t for t in tokenizer["added_tokens"]}
    have = {**tokenizer["model"]["vocab"], **{text: t["id"] for text, t in added.items()}}
    problems = [] if have == want else [f"tokenizer.json: {sorted(set(have.items()) ^ set(want.items()))}"]
    listed = {t["content"]: {**t, "id": int(i)} for i, t in config["added_tokens_decoder"].items()}
    return problems + ([] if listed == added else ["tokenizer_config.json: its added tokens are not those of tokenizer.json"])


def template_problems(out, folder, case):
    """The recorded chat template. Those of built-in formats are in words of our own: what they make is compared."""
    made, recorded = (os.path.join(*p) for p in ((out, "chat_template.jinja"), (folder, "expected_chat_template.jinja")))
    if not os.path.exists(recorded):
        return ["there is a chat_template.jinja"] if "none written" in case.get("notes", "") and os.path.exists(made) else []
    if not os.path.exists(made):
        return ["there is no chat_template.jinja"]
    texts = []
    for path in (made, recorded):
        with open(path, encoding="utf-8") as f:
            texts.append(f.read())
    if "chat_template=chatml" in case["notes"]:
        try:
            import jinja2
        except ImportError:
            return []
        jinja = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        talk = [{"role": r, "content": c} for r, c in (("system", "Be brief."), ("user", "a\nb"), ("assistant", " c"))]
        texts = [[jinja.from_string(t).render(messages=talk, add_generation_prompt=p) for p in (False, True)] for t in texts]
    return [] if texts[0] == texts[1] else [f"chat_template.jinja: {texts[0]!r}, recorded {texts[1]!r}"]


def unstacked(out, folder):
    """sce of one model with nothing selected: mergekit returns the base, but with one more axis in front."""
    got, _ = lt.read_safetensors(os.path.join(out, "model.safetensors"))
    want, _ = lt.read_safetensors(os.path.join(folder, "expected.safetensors"))
    problems = [] if sorted(got) == sorted(want) else [f"other names: {sorted(set(got) ^ set(want))}"]
    for name in set(got) & set(want):
        if [1] + list(got[name].shape) != list(want[name].shape) or got[name].numbers() != want[name].numbers():
            problems.append(f"{name} is not the base's")
    return problems


SPECIAL = {"small_dare_linear_norescale": unscaled, "sce_one": unstacked}


def check_files(out, folder, case):
    have = set(os.listdir(out))
    want = set(case.get("expected_files", []))
    if case.get("compare") != "differs":
        want |= set(case.get("weight_files", []))
    problems = [f"missing files: {sorted(want - have)}"] if want - have else []
    problems += template_problems(out, folder, case)
    with open(os.path.join(out, "config.json")) as f:
        config = json.load(f)
    for key, value in case.get("expected_config", {}).items():
        if config.get(key) != value:
            problems.append(f"config.json: {key} is {config.get(key)!r}, mergekit's {value!r}")
    return problems


def judge(folder, case):
    """(problems, what was seen)"""
    with lt.workdir() as tmp:
        out = os.path.join(tmp, "OUT")
        run = lt.ladle("merge", os.path.join(folder, "config.yml"), out, *options(case), *case.get("args", []), cwd=GOLDEN)
        if run.rc and ABSENT in run.err:
            return refused(run, out, [ABSENT]), ABSENT
        if case["compare"] == "error" or case.get("ladle_outcome") == "error":
            return refused(run, out), f"refused: {run.err.strip()[:150]}"
        problems = run.problems()
        if not problems:
            special = SPECIAL.get(os.path.basename(folder))
            problems = special(out, folder) if special else differences(out, folder, case)
            problems += check_files(out, folder, case) + check_vocabulary(out, folder)
        return problems, case["compare"]


def main():
    global GOLDEN, TOOL
    lt.need_program()
    GOLDEN = lt.need_shared("golden")
    spec = importlib.util.spec_from_file_location("compare_ckpt", lt.need_shared("tools", "compare_ckpt.py"))
    TOOL = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(TOOL)
    report, absent, root = lt.Report(), [], os.path.join(GOLDEN, "mergekit")
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name)
        if not os.path.isdir(folder) or (sys.argv[1:] and not any(a in name for a in sys.argv[1:])):
            continue
        with open(os.path.join(folder, "case.json")) as f:
            case = json.load(f)
        problems, seen = judge(folder, case)
        if seen == ABSENT and not problems:
            absent.append(name)
        else:
            report.case(name, problems, seen)
    print(f"{len(absent)} need what is {ABSENT}: {', '.join(absent)}")
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
