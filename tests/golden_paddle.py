#!/usr/bin/env python3
"""golden_paddle.py -- every recorded run of the real PaddleNLP, against ladle.

For each folder of $LADLE_SHARED/golden/paddle: run `ladle merge` with its flags.txt and judge by the
case's `compare` field:

    exact, close   the values of expected.safetensors (equal, or |got-want| <= atol + rtol*|want| with
                   at most allow_outliers outside); the dtype tag must be the expected file's
    differs        ladle decided otherwise on purpose: the decision written in case.json is tested,
                   against another case, or against plainmerge.py
    statistical    the case's `rule`: kept counts, kept counts by decile of rank, factors
    error          exit code, one line that names the culprit, nothing left

Every successful run is also checked for its files (Paddle's, plus merge_config.json and the side
files, and nothing else), its index (order and cut points), its metadata, and that its own
merge_config.json given back makes the same bytes; a case for tensor_type pd also that np is the same.
The order of names in an index is checked for merges of safetensors: for .pdparams Paddle takes that of
the first .pdparams model, and for LoRA it deals touched and untouched tensors out apart; ladle keeps
the order of the first model.
usage: golden_paddle.py [CASE ...]
SPDX-License-Identifier: Apache-2.0"""
import bisect, importlib.util, json, math, os, shlex, sys

import ladletest as lt
import plainmerge

# case -> (exit code, words that the one line must hold)
ERRORS = {
    "err_bad_bool": (2, ["normalize", "maybe"]),
    "err_bad_method": (2, ["merge_method", "task_arithmetic", "dare_ties"]),
    "err_della_epsilon_low": (2, ["reserve_p", "epsilon"]),
    "err_della_epsilon_range": (2, ["reserve_p", "epsilon"]),
    "err_elect_type": (2, ["ties_elect_type", "mean", "count"]),
    "err_key_mismatch": (4, ["bad_keys", "model.scale"]),
    "err_key_mismatch_pdparams": (4, ["bad_keys", "pd_", "model.scale"]),
    "err_lora_no_base": (2, ["lora_model_path"]),
    "err_method_none": (2, ["merge_method", "None"]),
    "err_n_process_too_many": (2, ["n_process", "500", "37"]),
    "err_no_models": (2, ["model_path_list"]),
    "err_no_path": (4, ["paddle_models/nowhere"]),
    "err_no_weights": (4, ["paddle_models/empty"]),
    "err_one_model": (2, ["model_path_list"]),
    "err_reserve_p_range": (2, ["reserve_p", "1.2"]),
    "err_slerp_three": (2, ["slerp", "3"]),
    "err_tensor_type": (2, ["tensor_type", "torch"]),
    "err_total_size": (4, ["bad_size", "model.scale"]),
    "err_unknown_flag": (2, ["colour"]),
    "err_weight_length": (2, ["weight_list", "3", "2"]),
    "err_weights_sum_zero": (2, ["weight_list"]),
}
CONFIG_KEYS = """base_model_path copy_file_list epsilon max_tensor_mem merge_method merge_prefix merge_type
    model_path_list model_path_str n_process normalize output_path rescale reserve_p slerp_alpha
    slerp_dot_threshold slerp_normalize_eps sparsify_type split_pieces tensor_type ties_elect_type
    weight_list""".split()


class Case:
    def __init__(self, folder):
        self.name = os.path.basename(folder)
        self.folder = folder
        with open(os.path.join(folder, "case.json")) as f:
            self.data = json.load(f)
        with open(os.path.join(folder, "flags.txt")) as f:
            self.words = shlex.split(f.read())
        self.flags = read_flags(self.words)

    def get(self, key, default=None):
        return self.data.get(key, default)

    def path(self, name):
        return os.path.join(self.folder, name)

    def models(self):
        f = self.flags
        if "lora_model_path" in f:
            return f.get("base_model_path", [])
        return f.get("model_path_str", [""])[0].split(",") if "model_path_str" in f else \
            f.get("model_path_list", [])

    def own_order(self):
        """Is the recorded order of names that of the first model?"""
        return "lora_model_path" not in self.flags and \
            not any(os.path.basename(m).startswith("pd_") for m in self.models() + self.flags.get("base_model_path", []))

    def first(self):
        """The model whose side files travel: the base, else the first."""
        return (self.flags.get("base_model_path") or self.models())[0]


def read_flags(words):
    flags, name = {}, None
    if words and words[0].endswith(".json"):
        with open(os.path.join(GOLDEN, words[0])) as f:
            for k, v in json.load(f).items():
                flags[k] = [str(x) for x in v] if isinstance(v, list) else [str(v)]
        words = words[1:]
    for w in words:
        if w.startswith("--"):
            name = w[2:]
            flags[name] = []
        else:
            flags[name].append(w)
    return flags


# ---- comparing values ----

def numbers(t):
    return lt.decode("BF16" if t.dtype == "U16" else t.dtype, t.raw)


def compare(got, want, case, exact, ignore_dtype=False):
    problems, outside, rtol, atol = [], [], case.get("rtol", 0.0), case.get("atol", 0.0)
    if exact:
        rtol = atol = 0.0
    if set(got) != set(want):
        problems.append(f"tensors: missing {sorted(set(want) - set(got))[:3]}, extra {sorted(set(got) - set(want))[:3]}")
    for name in sorted(set(got) & set(want)):
        g, w = got[name], want[name]
        if g.shape != w.shape:
            problems.append(f"{name}: shape {g.shape}, expected {w.shape}")
            continue
        if g.dtype != w.dtype and not ignore_dtype:
            problems.append(f"{name}: dtype {g.dtype}, expected {w.dtype}")
        if g == w:
            continue
        bad, worst, at = TOOL.differ(numbers(g), numbers(w), rtol, atol)
        if bad:
            outside.append((bad, f"{name}: {bad} of {math.prod(w.shape)} elements, worst off by {worst:.3g} at {at}"))
    if sum(n for n, _ in outside) > case.get("allow_outliers", 0):
        problems += [text for _, text in sorted(outside, reverse=True)]
    return problems


# ---- statistical rules ----

def deltas(case):
    """name -> (base, delta) of the first model, both f32."""
    base = load(case.flags["base_model_path"][0])
    a = load(case.models()[0])
    out = {}
    for name in base:
        b = base[name].numbers()
        out[name] = (b, lt.round_f32(x - y for x, y in zip(a[name].numbers(), b)))
    return out


def kept_right(got, base, d, low, high):
    """Is a kept element base + d*factor for a factor from low to high, 1e-6 of the sum?"""
    a, b = base + d * low, base + d * high
    tol = 1e-6 * max(abs(a), abs(b), abs(base))
    return min(a, b) - tol <= got <= max(a, b) + tol


def check_dare(case, got, stats):
    problems, kept, n = [], 0, 0
    p = float(case.flags.get("reserve_p", ["0.7"])[0])
    for name, (base, d) in deltas(case).items():
        s, out = stats["tensors"][name], got[name].numbers()
        wrong = 0
        for g, b, x in zip(out, base, d):
            if g == b:
                n += x != 0
                continue
            n += x != 0
            kept += 1
            wrong += x == 0 or not kept_right(g, b, x, s["expected_factor"], s["expected_factor"])
        if wrong:
            problems.append(f"{name}: {wrong} kept elements are not base + delta*{s['expected_factor']}")
    if n != stats["total"]["nonzero_delta"]:
        problems.append(f"{n} nonzero deltas, Paddle counted {stats['total']['nonzero_delta']}")
    if abs(kept - n * p) > 6 * math.sqrt(n * p * (1 - p)):
        problems.append(f"kept {kept} of {n}, expected {n * p:.0f} +- {6 * math.sqrt(n * p * (1 - p)):.0f}")
    return problems


def check_della(case, got, stats):
    """Ranks among equal |delta| are free, so a factor may be that of any rank of its group."""
    problems = []
    p, eps = float(case.flags["reserve_p"][0]), float(case.flags["epsilon"][0])
    kept, spread, nonzero = [0] * 10, [0.0] * 10, [0] * 10
    for name, (base, d) in deltas(case).items():
        out, n = got[name].numbers(), len(d)
        mags = sorted((-abs(x) for x in d))
        order = sorted(range(n), key=lambda j: -abs(d[j]))

        def keep(rank):
            return 1 - ((1 - p) - eps / 2 + rank * eps / n)
        wrong = 0
        for rank, j in enumerate(order):
            g, b, x = out[j], base[j], d[j]
            if x == 0:
                wrong += g != b
                continue
            decile, q = rank * 10 // n, keep(rank)
            nonzero[decile] += 1
            spread[decile] += q * (1 - q)
            if g == b:
                continue
            kept[decile] += 1
            first, last = bisect.bisect_left(mags, -abs(x)), bisect.bisect_right(mags, -abs(x)) - 1
            wrong += not kept_right(g, b, x, 1 / keep(first), 1 / keep(last))
        if wrong:
            problems.append(f"{name}: {wrong} elements are neither base nor base + delta/(1-p) of their rank")
    for i, s in enumerate(stats["total"]["deciles"]):
        if nonzero[i] != s["nonzero"]:
            problems.append(f"decile {i}: {nonzero[i]} nonzero deltas, Paddle counted {s['nonzero']}")
        if abs(kept[i] - s["expected_kept"]) > 6 * math.sqrt(spread[i]):
            problems.append(f"decile {i}: kept {kept[i]}, expected {s['expected_kept']:.0f} +- {6 * math.sqrt(spread[i]):.0f}")
    return problems


def check_two(case, got, stats):
    problems = []
    base = load(case.flags["base_model_path"][0])
    a, b = (load(m) for m in case.models())
    drop = 1 - float(case.flags.get("reserve_p", ["0.7"])[0])
    count = {"agree": [0, 0], "oppose": [0, 0], "one": [0, 0]}
    for name in base:
        o, out = base[name].numbers(), got[name].numbers()
        squares, spread = 0.0, 0.0
        for g, x, y, z in zip(out, o, a[name].numbers(), b[name].numbers()):
            squares += (g - x) ** 2
            spread += drop * (g - x) ** 4
            dy, dz = y - x, z - x
            kind = "agree" if dy * dz > 0 or (dy and dz and (dy > 0) == (dz > 0)) else \
                "oppose" if dy and dz else "one" if dy or dz else None
            if kind:
                count[kind][0] += 1
                count[kind][1] += g == x
            elif g != x:
                problems.append(f"{name}: changed where no model did")
        # A few large changes make most of the sum; whose they are, is drawn, here and there.
        want = stats["tensors"][name]["l2_delta_out"] ** 2
        if len(o) > 1000 and abs(squares - want) > 5 * math.sqrt(2 * spread):
            problems.append(f"{name}: squares of the change {squares:.4g} +- {math.sqrt(2 * spread):.2g}, Paddle's {want:.4g}")
    for kind, (n, same) in count.items():
        s = stats["total"][kind]
        if n != s["n"]:
            problems.append(f"{kind}: {n} elements, Paddle counted {s['n']}")
        f = s["fraction"]
        if abs(same / n - f) > 6 * math.sqrt(2 * f * (1 - f) / n):
            problems.append(f"{kind}: unchanged {same / n:.4f}, Paddle's {f:.4f}")
    return problems


STATISTICAL = {"dare_linear": check_dare, "della_linear": check_della, "dare_ties": check_two, "della": check_two}


# ---- decisions ----

def differs(case, got, again):
    """ladle's decision. again(words) runs other flags and gives the tensors."""
    want = case.get("ladle_expected")
    if want:
        other, _ = lt.read_safetensors(os.path.join(GOLDEN, "paddle", want["case"], "expected.safetensors"))
        problems = compare(got, other, case, want["compare"] == "exact", want["ignore_dtype"])
        tags = {k: t.dtype for k, t in load(case.models()[0]).items()}
        return problems + [f"{k}: dtype {t.dtype}, the input's is {tags[k]}"  # a pickle's are not in tags
                           for k, t in got.items() if t.dtype != tags.get(k, t.dtype)]
    models = [load(m) for m in case.models()]
    base = load(case.flags["base_model_path"][0]) if "base_model_path" in case.flags else None
    if case.name in ("err_dtype_mix_total_size", "err_pd_f16_base", "err_sparsify_magprune_checked"):
        return compare(got, plainmerge.merge(models, base), case, True)
    if case.name == "ties_pd_f32_count_p07_3":
        return compare(got, plainmerge.merge(models, base, 0.7, True), case, False)
    if case.name == "ties_pd_f32_split4":
        words = [w for w in case.words if w not in ("--max_tensor_mem", "4e-6", "--split_pieces", "4")]
        return compare(got, plainmerge.merge(models, base, 0.3, False), case, False) + \
            compare(again(words), got, case, True)
    return ["golden_paddle.py does not know what ladle decides here"]


# ---- files, index, settings ----

def key_order(model, prefix):
    """Paddle's order: the index's, else names by their bytes."""
    index = os.path.join(GOLDEN, model, f"{prefix}.safetensors.index.json")
    if os.path.exists(index):
        with open(index) as f:
            return list(json.load(f)["weight_map"])
    return sorted(load(model, prefix), key=str.encode)


def check_files(case, out):
    problems = []
    prefix = "master_weights" if "master_weights" in case.flags.get("merge_prefix", []) + \
        case.flags.get("merge_preifx", []) else "model"
    have = set(os.listdir(out))
    side = set() if "copy_file_list" in case.flags else {"config.json", "tokenizer_config.json"}
    n = int(case.flags.get("n_process", ["1"])[0])
    data = [f"{prefix}-{i + 1:05d}-of-{n:05d}.safetensors" for i in range(n)]
    # a run that failed in Paddle left no data files to be recorded
    weights = set(case.get("expected_files")) if case.get("recorded_compare") != "error" else \
        {*data, f"{prefix}.safetensors.index.json"}
    want = weights | {"merge_config.json"} | side
    if have != want:
        problems.append(f"files: missing {sorted(want - have)}, unexpected {sorted(have - want)}")
    for name in side & have:
        with open(os.path.join(out, name), "rb") as g, open(os.path.join(GOLDEN, case.first(), name), "rb") as w:
            if g.read() != w.read():
                problems.append(f"{name} is not that of {case.first()}")
    index_name = f"{prefix}.safetensors.index.json"
    with open(os.path.join(out, index_name)) as f:
        index = json.load(f)
    keys = key_order(case.models()[0], prefix) if case.own_order() else list(index["weight_map"])
    q, r, cut, at = len(keys) // n, len(keys) % n, {}, 0
    for i, file in enumerate(data):
        size = q + (i < r)
        cut.update((k, file) for k in keys[at:at + size])
        at += size
    if list(index["weight_map"].items()) != list(cut.items()):
        problems.append(f"{index_name}: weight_map differs from Paddle's rule")
    if os.path.exists(case.path(index_name)):
        with open(case.path(index_name)) as f:
            recorded = json.load(f)
        if case.own_order() and list(recorded["weight_map"].items()) != list(index["weight_map"].items()) or \
                set(recorded["weight_map"]) != set(index["weight_map"]):
            problems.append(f"{index_name}: weight_map differs from the recorded one")
        if recorded["metadata"] != index["metadata"]:
            problems.append(f"{index_name}: metadata {index['metadata']}, recorded {recorded['metadata']}")
    for file in sorted(f for f in have if f.endswith(".safetensors")):
        head, meta, _ = lt.read_header(os.path.join(out, file))
        u16 = any(v["dtype"] == "U16" for v in head.values())
        if meta != {"format": "np" if u16 else "pt"}:
            problems.append(f"{file}: metadata {meta}")
    with open(os.path.join(out, "merge_config.json")) as f:
        text = f.read()
    config = json.loads(text)
    if list(config) != sorted(config):
        problems.append("merge_config.json: keys are not sorted")
    if not set(CONFIG_KEYS) <= set(config):
        problems.append(f"merge_config.json: lacks {sorted(set(CONFIG_KEYS) - set(config))}")
    return problems, prefix


def same_bytes(a, b, but=("merge_config.json",)):
    problems = []
    for name in sorted(set(os.listdir(a)) | set(os.listdir(b))):
        pa, pb = os.path.join(a, name), os.path.join(b, name)
        if not os.path.exists(pa) or not os.path.exists(pb):
            problems.append(f"{name} is in one of the two outputs only")
        elif name not in but:
            with open(pa, "rb") as fa, open(pb, "rb") as fb:
                if fa.read() != fb.read():
                    problems.append(f"{name} differs")
    return problems


CACHE = {}


def load(model, prefix=None):
    """All tensors of an input model."""
    if model not in CACHE:
        folder, out = os.path.join(GOLDEN, model), {}
        for f in sorted(os.listdir(folder)):
            if f.endswith(".safetensors"):
                out.update(lt.read_safetensors(os.path.join(folder, f))[0])
        CACHE[model] = out
    return CACHE[model]


# ---- one case ----

def refused(run, out, code, words):
    problems = []
    if run.rc not in code:
        problems.append(f"exit {run.rc}, expected {' or '.join(map(str, code))}")
    if len(run.lines()) != 1:
        problems.append(f"stderr has {len(run.lines())} lines, expected one: {run.err[:300]!r}")
    missing = [w for w in words if w not in run.err]
    if missing:
        problems.append(f"the message does not say {missing}: {run.err.strip()[:300]}")
    left = lt.leftovers(out)
    if left:
        problems.append(f"left behind: {left}")
    return problems


def succeeded(case, tmp):
    out = os.path.join(tmp, "OUT")
    run = lt.ladle("merge", *case.words, "--output_path", out, cwd=GOLDEN)
    if run.problems():
        return run.problems()
    problems, prefix = check_files(case, out)
    if [f for f in os.listdir(tmp) if f != "OUT"]:
        problems.append(f"left beside the output: {sorted(os.listdir(tmp))}")
    got = lt.read_model(out, prefix)

    def again(words, name="AGAIN"):
        other = os.path.join(tmp, name)
        r = lt.ladle("merge", *words, "--output_path", other, cwd=GOLDEN)
        problems.extend(f"{' '.join(words[-6:])}: {p}" for p in r.problems())
        return lt.read_model(other, prefix) if not r.rc else {}
    kind = case.get("compare")
    if kind == "differs":
        problems += differs(case, got, again)
    elif kind == "statistical":
        with open(case.path("stats.json")) as f:
            stats = json.load(f)
        problems += STATISTICAL[case.flags["merge_method"][0]](case, got, stats)
    else:
        want, _ = lt.read_safetensors(case.path("expected.safetensors"))
        problems += compare(got, want, case, kind == "exact")
    # its own settings, given back
    again([os.path.join(out, "merge_config.json")], "FED")
    if os.path.isdir(os.path.join(tmp, "FED")):
        problems += [f"merge_config.json fed back: {p}" for p in same_bytes(out, os.path.join(tmp, "FED"))]
    if case.flags.get("tensor_type") == ["pd"]:
        again([{"pd": "np"}.get(w, w) for w in case.words], "NP")
        if os.path.isdir(os.path.join(tmp, "NP")):
            problems += [f"tensor_type np: {p}" for p in same_bytes(out, os.path.join(tmp, "NP"))]
    return problems


def run_case(case, report):
    with lt.workdir() as tmp:
        if case.get("compare") == "error":
            out = os.path.join(tmp, "OUT")
            run = lt.ladle("merge", *case.words, "--output_path", out, cwd=GOLDEN)
            code, words = ERRORS.get(case.name, (None, []))
            report.case(case.name, refused(run, out, (code,), words), f"exit {code}: {', '.join(words)}")
        else:
            try:
                problems = succeeded(case, tmp)
            except (OSError, ValueError, KeyError) as e:
                problems = [f"output cannot be read: {e!r}"]
            report.case(case.name, problems, case.get("compare"))


def main():
    global GOLDEN, TOOL
    lt.need_program()
    GOLDEN = lt.need_shared("golden")
    spec = importlib.util.spec_from_file_location("compare_ckpt", lt.need_shared("tools", "compare_ckpt.py"))
    TOOL = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(TOOL)
    report = lt.Report()
    root = os.path.join(GOLDEN, "paddle")
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name)
        if os.path.isdir(folder) and (not sys.argv[1:] or name in sys.argv[1:]):
            run_case(Case(folder), report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
