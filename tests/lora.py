#!/usr/bin/env python3
"""lora.py -- adapters merged into their bases, as whole runs of the program.

    own         models and adapters made here; the result recomputed here, step by step in f32, and compared
                as bytes; the same bytes for any number of threads, tile size and SIMD level; a merge of
                two adapted models; an adapter on an adapter; on FP8 weights; --lora_model_path
    tied        an adapter of a head that the base keeps as its embedding; config.json follows
    peft        golden/peft: what the real PEFT made (golden/peft/make.py says how that was recorded)
    mergekit    the LoRA cases of $LADLE_SHARED/golden/mergekit, through flags
Standard library only. SPDX-License-Identifier: Apache-2.0"""
import json, math, os, random, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.HERE, "fuzz"))
import make_corpus as mc  # noqa: E402

lt.need_program()
report = lt.Report()


# ---- own ----

def f32(x):
    return lt.round_f32([x])[0]


def times(a, b, rows, columns, rank, s):
    """s * (a @ b) as the program adds it: each step rounded to f32, the rank in ascending order."""
    out = []
    for i in range(rows):
        for j in range(columns):
            acc = 0.0
            for k in range(rank):
                acc = f32(acc + f32(a[i * rank + k] * b[k * columns + j]))
            out.append(f32(f32(s) * acc))
    return out


def add(x, y):
    return lt.round_f32([p + q for p, q in zip(x, y)])


def turned(x, rows, columns):
    return [x[i * columns + j] for j in range(columns) for i in range(rows)]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def numbers(self, dtype, n):
        raw = lt.encode(dtype, lt.round_f32([self.random.uniform(-1, 1) for _ in range(n)]))
        return list(lt.decode(dtype, raw))


def tensor(dtype, shape, x):
    return lt.Tensor(dtype, shape, lt.encode(dtype, x))


SHAPES = {"model.h.0.q.weight": (33, 70), "model.h.0.up.weight": (40, 33), "model.h.0.c.weight": (20, 50),
          "model.embed.weight": (61, 24), "model.norm.weight": (24,)}


def write_base(folder, dtype, make):
    base = {k: make.numbers(dtype, math.prod(s)) for k, s in SHAPES.items()}
    lt.write_model(folder, {k: tensor(dtype, SHAPES[k], x) for k, x in base.items()},
                   config={"torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[dtype]})
    return base


def write_adapter(folder, dtype, rank, alpha, make):
    """q: plain; up: a rank of its own; c: stored the other way; embed: an embedding; norm: whole."""
    tensors, update = {}, {}
    wrap = "base_model.model."
    for name, r, kind in (("model.h.0.q", rank, ""), ("model.h.0.up", 2 * rank, ""), ("model.h.0.c", rank, "turned"),
                          ("model.embed", rank, "embedding")):
        rows, columns = SHAPES[name + ".weight"]
        left, right = make.numbers(dtype, rows * r), make.numbers(dtype, r * columns)
        a, b = ((turned(left, rows, r), (r, rows)), (turned(right, r, columns), (columns, r))) if kind else \
            ((right, (r, columns)), (left, (rows, r)))
        for half, (x, shape) in (("A", a), ("B", b)):
            key = f"lora_embedding_{half}" if kind == "embedding" else f"lora_{half}.weight"
            tensors[f"{wrap}{name}.{key}"] = tensor(dtype, shape, x)
        update[name + ".weight"] = times(left, right, rows, columns, r, alpha / r)
    whole = make.numbers("F32", 24)
    tensors[wrap + "model.norm.weight"] = tensor("F32", (24,), whole)
    os.makedirs(folder)
    lt.write_safetensors(os.path.join(folder, "adapter_model.safetensors"), tensors, {"format": "pt"})
    with open(os.path.join(folder, "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "rank_pattern": {"h.0.up": 2 * rank},
                   "fan_in_fan_out": False, "use_rslora": None}, f)
    return update, {"model.norm.weight": whole}


def adapted(base, adapter):
    update, whole = adapter
    return {k: whole.get(k) or (add(x, update[k]) if k in update else x) for k, x in base.items()}


def unlike(got, want, dtype):
    problems = [f"tensors differ: {sorted(set(got) ^ set(want))[:5]}"] if set(got) != set(want) else []
    for k in sorted(set(got) & set(want)):
        w = tensor(dtype, SHAPES[k], want[k])
        if got[k] != w:
            bad = [i for i, (x, y) in enumerate(zip(got[k].numbers(), w.numbers())) if x != y]
            problems.append(f"{k}: {got[k].dtype} {len(bad)} of {len(want[k])} elements differ, first {bad[:1]}")
    return problems


def converted(word, out, *words, env=None):
    run = lt.ladle("convert", word, out, *words, env=env)
    problems = run.problems()
    return problems, None if problems else lt.read_safetensors(os.path.join(out, "model.safetensors"))[0]


def own(tmp):
    make = Maker(7)
    at = lambda *parts: os.path.join(tmp, *parts)  # noqa: E731
    for base_type, adapter_type in (("F32", "F32"), ("F32", "BF16"), ("BF16", "F32"), ("BF16", "F16")):
        name = f"{base_type}_{adapter_type}"
        base = write_base(at("b" + name), base_type, make)
        ad = write_adapter(at("a" + name), adapter_type, 4, 3, make)
        want = adapted(base, ad)
        word = at("b" + name) + "+" + at("a" + name)
        for words, out_type in (((), base_type), (("--dtype", "float32"), "F32"), (("--dtype", "bf16"), "BF16")):
            problems, got = converted(word, at(f"o{name}{out_type}{len(words)}"), *words)
            report.case(f"own {name} to {out_type}{' (default)' if not words else ''}",
                        problems or unlike(got, want, out_type))
    return at, base, ad


def more(at):
    make = Maker(8)
    base = write_base(at("base"), "F32", make)
    one, two = (write_adapter(at(n), "F32", r, 5, make) for n, r in (("one", 3), ("two", 8)))
    word = {n: at("base") + "+" + at(n) for n in ("one", "two")}
    want = adapted(base, one)
    for i, env in enumerate(({}, {"LADLE_TILE": "8192"}, {"LADLE_CPU": "v2"}, {"LADLE_TILE": "4096", "LADLE_CPU": "v3"})):
        for threads in ("1", "3"):
            run = lt.ladle("convert", word["one"], at(f"same{i}{threads}"), "--threads", threads, env=env)
            if run.rc and "LADLE_CPU" in run.err:
                report.skip(f"same bits {env}", run.err.strip())
                continue
            got = not run.rc and lt.read_safetensors(at(f"same{i}{threads}", "model.safetensors"))[0]
            report.case(f"same bits {env} {threads} threads", run.problems() or unlike(got, want, "F32"))
    run = lt.ladle("merge", "--model_path_list", word["one"], word["two"], "--weight_list", "0.25", "0.75",
                   "--output_path", at("merged"))
    x, y = adapted(base, one), adapted(base, two)
    mix = {k: add(lt.round_f32([0.25 * v for v in x[k]]), lt.round_f32([0.75 * v for v in y[k]])) for k in x}
    report.case("a merge of two adapted models", run.problems() or unlike(lt.read_model(at("merged")), mix, "F32"))
    problems, got = converted(word["one"] + "+" + at("two"), at("stacked"))
    report.case("an adapter on an adapter", problems or unlike(got, adapted(adapted(base, one), two), "F32"))
    run = lt.ladle("merge", "--lora_model_path", at("one"), "--base_model_path", at("base"), "--n_process", "2",
                   "--output_path", at("flag"))
    report.case("--lora_model_path", run.problems() or unlike(lt.read_model(at("flag")), want, "F32"))
    run = lt.ladle("merge", at("flag", "merge_config.json"), "--output_path", at("again"))
    report.case("its merge_config.json again", run.problems() or unlike(lt.read_model(at("again")), want, "F32"))
    run = lt.ladle("convert", word["one"], at("one", "inside"))
    report.case("output inside an adapter", [] if run.rc == 5 and len(run.lines()) == 1 else
                [f"exit {run.rc}: {run.err}"])
    run = lt.ladle("convert", at("base") + "+" + at("nowhere"), at("none"))
    report.case("no such adapter", [] if run.rc == 4 and len(run.lines()) == 1 and "nowhere" in run.err and
                not lt.leftovers(at("none")) else [f"exit {run.rc}: {run.err}"])


def fp8(at):
    """The update is of the values, whatever they are kept in: bf16 and FP8 with a scale of 1/4."""
    make = Maker(9)
    codes = [make.random.randrange(0x7F) for _ in range(33 * 70)]
    value = [math.ldexp(8 + (c & 7), (c >> 3) - 10) if c >> 3 else math.ldexp(c & 7, -9) for c in codes]
    value = [v / 4 for v in value]
    name = "model.h.0.q.weight"
    os.makedirs(at("fp8"))
    head = json.dumps({name: {"dtype": "F8_E4M3", "shape": [33, 70], "data_offsets": [0, 2310]},
                       name + "_scale_inv": {"dtype": "F32", "shape": [], "data_offsets": [2310, 2314]}}).encode()
    head += b" " * (-len(head) % 8)
    with open(at("fp8", "model.safetensors"), "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head + bytes(codes) + lt.encode("F32", [0.25]))
    left, right = make.numbers("F32", 33 * 4), make.numbers("F32", 4 * 70)
    os.makedirs(at("fp8_ad"))
    lt.write_safetensors(at("fp8_ad", "adapter_model.safetensors"), {
        "base_model.model.model.h.0.q.lora_A.weight": tensor("F32", (4, 70), right),
        "base_model.model.model.h.0.q.lora_B.weight": tensor("F32", (33, 4), left)})
    with open(at("fp8_ad", "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": 4, "lora_alpha": 2}, f)
    want = {name: add(value, times(left, right, 33, 70, 4, 0.5))}
    problems, got = converted(at("fp8") + "+" + at("fp8_ad"), at("fp8_out"), "--dtype", "float32")
    report.case("on FP8 weights", problems or unlike(got, want, "F32"))


# ---- recorded ----

def tied(at):
    """The base in both forms: the head left out (safetensors), the head over the embedding's bytes (torch)."""
    make, shape = Maker(9), (61, 24)
    embed, head, norm = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
    base = {embed: make.numbers("F32", 61 * 24), norm: make.numbers("F32", 24)}
    as_tensor = lambda k, x: tensor("F32", (24,) if k == norm else shape, x)  # noqa: E731
    config = {"tie_word_embeddings": True, "torch_dtype": "float32"}
    lt.write_model(at("t-st"), {k: as_tensor(k, x) for k, x in base.items()}, config=config)
    floats = mc.named("torch", "FloatStorage")
    storage = mc.Storage(floats, "0", 61 * 24, as_tensor(embed, base[embed]).raw)
    other = mc.Storage(floats, "1", 24, as_tensor(norm, base[norm]).raw)
    names = {embed: mc.Tensor(storage, 0, shape, (24, 1)), head: mc.Tensor(storage, 0, shape, (24, 1)),
             norm: mc.Tensor(other, 0, (24,), (1,))}
    os.makedirs(at("t-bin"))
    with open(at("t-bin", "pytorch_model.bin"), "wb") as f:
        f.write(mc.torch_zip(names, [storage, other]))
    with open(at("t-bin", "config.json"), "w") as f:
        json.dump(config, f)
    left, right, whole = make.numbers("F32", 61 * 2), make.numbers("F32", 2 * 24), make.numbers("F32", 61 * 24)
    update = times(left, right, 61, 24, 2, 1.0)
    wrap = "base_model.model."
    low = {"lora_A.weight": tensor("F32", (2, 24), right), "lora_B.weight": tensor("F32", (61, 2), left)}
    for case, tensors, want in (
            ("update", {f"{wrap}lm_head.{k}": t for k, t in low.items()}, {**base, head: add(base[embed], update)}),
            ("whole", {f"{wrap}lm_head.weight": as_tensor(head, whole)}, {**base, head: whole}),
            ("embed", {f"{wrap}{embed}": as_tensor(embed, whole)}, {**base, embed: whole, head: base[embed]}),
            ("none", {f"{wrap}model.norm.weight": as_tensor(norm, base[norm])}, base)):
        os.makedirs(at("t-" + case))
        lt.write_safetensors(at("t-" + case, "adapter_model.safetensors"), tensors, {"format": "pt"})
        with open(at("t-" + case, "adapter_config.json"), "w") as f:
            json.dump({"peft_type": "LORA", "r": 2, "lora_alpha": 2}, f)
        for form in ("st", "bin"):
            out = at(f"to-{case}-{form}")
            problems, got = converted(at("t-" + form) + "+" + at("t-" + case), out)
            if not problems:
                wanted = {k: as_tensor(k, x) for k, x in want.items()}
                problems = [k for k in sorted(set(got) | set(wanted)) if got.get(k) != wanted.get(k)]
                said = json.load(open(os.path.join(out, "config.json")))
                if said != {**config, "tie_word_embeddings": head not in want}:
                    problems.append(f"config.json: {said}")
            report.case(f"tied {case} {form}", problems)
    # a base whose names do not tell what the head is called
    lt.write_model(at("t-other"), {"embed_tokens.weight": as_tensor(embed, base[embed])}, config=config)
    run = lt.ladle("convert", at("t-other") + "+" + at("t-embed"), at("to-other"))
    report.case("tied: the head changes with the embedding, which is said",
                [] if run.rc == 0 and "the head changes with it" in run.err else [run.err])


def far(got, want, rtol, atol):
    problems = [f"tensors differ: {sorted(set(got) ^ set(want))[:5]}"] if set(got) != set(want) else []
    for k in sorted(set(got) & set(want)):
        g, w = got[k], want[k]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            problems.append(f"{k}: {g.dtype}{list(g.shape)}, expected {w.dtype}{list(w.shape)}")
            continue
        bad = [i for i, (x, y) in enumerate(zip(g.numbers(), w.numbers())) if not abs(x - y) <= atol + rtol * abs(y)]
        if bad:
            problems.append(f"{k}: {len(bad)} of {len(w.numbers())} elements, first [{bad[0]}] "
                            f"{g.numbers()[bad[0]]!r}, expected {w.numbers()[bad[0]]!r}")
    return problems


def peft(tmp):
    folder = os.path.join(lt.HERE, "golden", "peft")
    for case in sorted(os.listdir(folder)):
        here = os.path.join(folder, case)
        if os.path.isdir(here):
            problems, got = converted(os.path.join(here, "base") + "+" + here, os.path.join(tmp, case))
            want = lt.read_safetensors(os.path.join(here, "expected.safetensors"))[0]
            report.case(f"peft {case}", problems or far(got, want, 1e-6, 1e-6))


F32 = ["--dtype", "float32"]
TWICE = ["--merge_method", "linear", "--weight_list", "0.5", "0.5"]
MERGEKIT = {  # case -> words of `merge`, or of `convert` when they begin with a model
    "lora_linear": [*F32, *TWICE, "--model_path_list", "models/llama_base+models/lora_a",
                    "models/llama_base+models/lora_a"],
    "lora_bf16": ["models/llama_base+models/lora_a"],
    "lora_fan_in_fan_out": ["models/gpt2_a+models/lora_fan", *F32],
    "lora_modules_to_save": ["models/llama_base+models/lora_save", *F32],
    # base + 0.5 * (adapted - base)
    "lora_rs": [*F32, "--merge_method", "linear", "--weight_list", "0.5", "1", "--base_model_path", "models/llama_base",
                "--model_path_list", "models/llama_base+models/lora_rs", "models/llama_base"],
}


def mergekit(tmp):
    golden = os.path.join(lt.SHARED, "golden")
    for case, words in MERGEKIT.items():
        here, out = os.path.join(golden, "mergekit", case), os.path.join(tmp, "m" + case)
        if not os.path.isdir(here):
            report.skip(f"mergekit {case}", f"{here} is not here (set LADLE_SHARED)")
            continue
        if words[0].startswith("-"):
            run = lt.ladle("merge", *words, "--output_path", out, cwd=golden)
        else:
            run = lt.ladle("convert", words[0], out, *words[1:], cwd=golden)
        problems = run.problems()
        if not problems:
            got = {}
            for file in os.listdir(out):
                if file.endswith(".safetensors"):
                    got.update(lt.read_safetensors(os.path.join(out, file))[0])
            with open(os.path.join(here, "case.json")) as f:
                judge = json.load(f)
            want = lt.read_safetensors(os.path.join(here, "expected.safetensors"))[0]
            problems = far(got, want, judge["rtol"], judge["atol"])
        report.case(f"mergekit {case}", problems)


if __name__ == "__main__":
    with lt.workdir() as work:
        place = own(work)[0]
        more(place)
        fp8(place)
        tied(place)
        peft(work)
        mergekit(work)
    sys.exit(report.done())
