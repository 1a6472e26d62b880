#!/usr/bin/env python3
"""vocabularies.py -- tokenizers that are joined: the kinds without tokenizer.json, what a union adds, results of
other recipes with a vocabulary of their own. Rows of embeddings are recomputed here.

SPDX-License-Identifier: Apache-2.0"""
import json, os, random, struct, sys

import ladletest as lt
import spmodel

EMBED, DIM = "model.embed_tokens.weight", 4


def bpe(tokens, added=(), merges=()):
    """tokenizer.json; added: (text, special) behind the tokens, or of them."""
    have = {t: i for i, t in enumerate(tokens)}
    for t, _ in added:
        have.setdefault(t, len(have))
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    return json.dumps({"version": "1.0", "added_tokens": [{"id": have[t], "content": t, **flags, "normalized": not s, "special": s} for t, s in added],
                       "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens)}, "merges": list(merges)}}, indent=1, ensure_ascii=False)


def model(tmp, name, rows, files, seed=0, dtype="F32", config=None, more=None):
    """A model of random rows with these files: name -> text or bytes."""
    r = random.Random(f"{name}{seed}")
    ts = {n: lt.Tensor(dtype, s, lt.encode(dtype, lt.round_f32([r.gauss(0, 1) for _ in range(s[0] * s[1])])))
          for n, s in {EMBED: (rows, DIM), "model.layers.0.up.weight": (6, DIM), **(more or {})}.items()}
    lt.write_model(os.path.join(tmp, name), ts, config={"model_type": "llama", "vocab_size": rows, **(config or {})})
    for file, raw in files.items():
        with open(os.path.join(tmp, name, file), "wb") as f:
            f.write(raw if isinstance(raw, bytes) else raw.encode())


def raw(tmp, *path):
    try:
        with open(os.path.join(tmp, *path), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def rows_of(tmp, name):
    t = lt.read_safetensors(os.path.join(tmp, name, "model.safetensors"))[0][EMBED]
    n = t.numbers()
    return [tuple(n[i * DIM:(i + 1) * DIM]) for i in range(t.shape[0])]


def f32(x):
    return lt.round_f32([x])[0]


def expected(tokens, vocabs, tables):
    """The mean of two models, rows by the rules of docs/recipes.md (no base that has a token alone beside others)."""
    out = []
    for t in tokens:
        own = [tab[v[t]] if t in v and v[t] < len(tab) else None for v, tab in zip(vocabs, tables)]
        have = [o for o in own if o is not None]
        out.append(tuple(f32(f32(f32(0.5) * a) + f32(f32(0.5) * b)) for a, b in zip(*[o or have[0] for o in own])) if have else (0.0,) * DIM)
    return out


def near(got, want):
    bad = [i for i, (g, w) in enumerate(zip(got, want)) if any(abs(a - b) > 1e-6 for a, b in zip(g, w))]
    return [f"{len(got)} rows, expected {len(want)}"] * (len(got) != len(want)) + [f"row {i}: {got[i]}, expected {want[i]}" for i in bad[:3]]


PAIR = "merge_method: linear\nparameters: {weight: 1}\nbase_model: %s\nmodels: [%s, %s]\ntokenizer_source: %s\n"
SPECIALS = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
DECODER = {"6": {"content": "<|end|>", "lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": True}}
# kind -> (files, tokens in the order of their ids)
KINDS = {
    "pieces": ({"tokenizer.model": spmodel.pieces(SPECIALS + ["a", "\u2581b", "ab"]), "tokenizer_config.json": '{\n  "tokenizer_class": "LlamaTokenizer"\n}\n',
                "added_tokens.json": '{"[PAD]": 6, "x\\"y": 7}', "special_tokens_map.json": '{"pad_token": {"content": "[PAD]"}, "unk_token": "<unk>"}'},
               ["<unk>", "<s>", "</s>", "a", "\u2581b", "ab", "[PAD]", 'x"y']),
    "spiece": ({"spiece.model": spmodel.pieces(SPECIALS + ["\u2581b", ("<im>", 4), "c"]),
                "tokenizer_config.json": json.dumps({"tokenizer_class": "T5Tokenizer", "added_tokens_decoder": DECODER}, indent=2), "added_tokens.json": '{"gone": 6}'},
               ["<unk>", "<s>", "</s>", "\u2581b", "<im>", "c", "<|end|>"]),
    "lines": ({"vocab.txt": "[PAD]\n[UNK]\r\na\nc\rZ\u00e9\n", "tokenizer_config.json": '{"tokenizer_class": "BertTokenizer"}'}, ["[PAD]", "[UNK]", "a", "c", "Z\u00e9"]),
    "vocab": ({"vocab.json": '{"c": 1, "a": 0, "ac": 2}', "merges.txt": "#version: 0.2\na c\n", "added_tokens.json": '{\n  "<x>": 3\n}\n'}, ["a", "c", "ac", "<x>"]),
    "fast": ({"tokenizer.json": bpe(["<unk>", "b", "a", "c"], [("<unk>", True), ("<|end|>", True)]), "tokenizer_config.json": '{"added_tokens_decoder": {}}'},
             ["<unk>", "b", "a", "c", "<|end|>"]),
}
PROPER = ("tokenizer.model", "spiece.model", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json")


def listed(tmp, out):
    """Of the output's two lists, what they say; they must agree."""
    config, added = (json.loads(raw(tmp, out, n) or b"null") for n in ("tokenizer_config.json", "added_tokens.json"))
    return {int(i): t for i, t in config["added_tokens_decoder"].items()}, added


def kinds(report, tmp):
    for kind, (files, tokens) in KINDS.items():
        model(tmp, kind, len(tokens) + 2, files, config={"vocab_size": len(tokens) + 2})
    for a in KINDS:
        for b in KINDS:
            if a == b:
                continue
            ids = [{t: i for i, t in enumerate(KINDS[k][1])} for k in (a, b)]
            run = lt.merge_recipe(tmp, PAIR % (a, a, b, "union"), out=f"{a}_{b}")
            problems = run.problems()
            if not problems:
                new = [t for t in KINDS[b][1] if t not in ids[0]]
                got = rows_of(tmp, f"{a}_{b}")
                first = len(KINDS[a][1])
                problems = [f"{len(got)} rows"] * (len(got) != first + len(new))
                names = KINDS[a][1] + [None] * len(new)
                if a == "fast":
                    out = json.loads(raw(tmp, f"{a}_{b}", "tokenizer.json"))
                    added = {t["id"]: t for t in out["added_tokens"]}
                else:
                    added, file = listed(tmp, f"{a}_{b}")
                    texts = {t["content"]: i for i, t in added.items()}
                    problems += [] if file == texts or a == "spiece" else [f"the lists differ: {file} {texts}"]
                    problems += [f"{n} changed" for n in PROPER if raw(tmp, f"{a}_{b}", n) != raw(tmp, a, n)]
                for i in range(first, len(names)):
                    names[i] = added.get(i, {}).get("content")
                problems += lt.is_equal("added", sorted(map(str, names[first:])), sorted(new))
                problems += near(got, expected(names, ids, [rows_of(tmp, a), rows_of(tmp, b)])) if not problems else []
                problems += lt.is_equal("vocab_size", json.loads(raw(tmp, f"{a}_{b}", "config.json"))["vocab_size"], len(got))
            report.case(f"union: {a} with {b}", problems)
    added, _ = listed(tmp, "pieces_spiece")
    want = {6: ("[PAD]", True), 7: ('x"y', False)}
    problems = lt.is_equal("taken over", {i: (t["content"], t["special"]) for i, t in added.items() if i < 8}, want)
    problems += lt.is_equal("<|end|>", [t for t in added.values() if t["content"] == "<|end|>"], [DECODER["6"]])
    report.case("a list that is made anew", problems + lt.is_equal("special", [t["special"] for t in added.values() if t["content"] == "<im>"], [False]))
    run = lt.merge_recipe(tmp, PAIR % ("lines", "lines", "vocab", "pieces"), out="o2")
    problems = run.problems()
    if not problems:
        problems = [f"{n} differs" for n in (*PROPER, "tokenizer_config.json", "added_tokens.json") if raw(tmp, "o2", n) != raw(tmp, "pieces", n)]
        problems += lt.is_equal("rows", len(rows_of(tmp, "o2")), 8)
    report.case("the vocabulary of a third model", problems)


def unread(report, tmp):
    """What no reader gives numbers to is copied where it is the same, and refused where not."""
    classes = {"pegasus": ({"spiece.model": spmodel.pieces(SPECIALS)}, "PegasusTokenizer"), "t5": ({"spiece.model": spmodel.pieces(SPECIALS)}, "T5TokenizerFast"),
               "tiktoken": ({"tokenizer.model": "IQ== 0\nIg== 1\n"}, "X"), "xlm": ({"sentencepiece.bpe.model": spmodel.pieces(SPECIALS)}, "XLMRobertaTokenizer"),
               "phobert": ({"vocab.txt": "a 1\nb 2\n"}, "PhobertTokenizer")}
    model(tmp, "m", 4, {"vocab.txt": "a\nb\nc\nd\n"})
    for name, (files, cls) in classes.items():
        files = {**files, "tokenizer_config.json": json.dumps({"tokenizer_class": cls})}
        model(tmp, name, 4, files)
        model(tmp, name + "2", 4, files, seed=1)
        run = lt.merge_recipe(tmp, PAIR % (name, name, name + "2", "union"), out="o_" + name)
        problems = run.problems() or [f"{n} differs" for n in files if raw(tmp, "o_" + name, n) != raw(tmp, name, n)]
        for base, other in ((name, "m"), ("m", name)):
            problems += lt.refusal(tmp, lt.merge_recipe(tmp, PAIR % (base, base, other, "union"), out="o2"), "not in this build", "another", out="o2")
        report.case(f"not read: {name}", problems)
    model(tmp, "by_type", 4, {"spiece.model": spmodel.pieces(SPECIALS)}, config={"model_type": "pegasus"})
    report.case("not read: by its model_type", lt.refusal(tmp, lt.merge_recipe(tmp, PAIR % ("by_type", "by_type", "m", "union"), out="o2"), "not in this build", out="o2"))


def added(report, tmp):
    """A token that is ordinary in the base and added elsewhere becomes an added one, where it is; merges stay."""
    model(tmp, "a", 5, {"tokenizer.json": bpe(["<unk>", "x", "xx", "<t>"], [("<unk>", True), ("<e>", True)], ["x x"]), "tokenizer_config.json": '{"added_tokens_decoder": {}}'})
    model(tmp, "b", 4, {"tokenizer.json": bpe(["<unk>", "y", "yy"], [("<t>", True)], ["y y"])})
    run = lt.merge_recipe(tmp, PAIR % ("a", "a", "b", "union"))
    problems = run.problems()
    if not problems:
        was, got = json.loads(raw(tmp, "a", "tokenizer.json")), json.loads(raw(tmp, "out", "tokenizer.json"))
        problems = lt.is_equal("model", got["model"], was["model"])
        problems += lt.is_equal("added", [(t["id"], t["content"], t["special"], t["normalized"]) for t in got["added_tokens"]],
                             [(0, "<unk>", True, False), (4, "<e>", True, False), (3, "<t>", True, False), (5, "y", False, True), (6, "yy", False, True)])
        problems += lt.is_equal("rows", len(rows_of(tmp, "out")), 7)
    report.case("what one of them has as an added token is one; vocabulary and merges stay", problems)
    report.case("nothing to do: byte for byte", lt.merge_recipe(tmp, PAIR % ("a", "a", "a", "union"), out="o2").problems() or
                lt.is_equal("same", raw(tmp, "o2", "tokenizer.json"), raw(tmp, "a", "tokenizer.json")))
    holes = json.loads(bpe(["<unk>", "x"]))
    holes["model"]["vocab"]["z"] = 4
    model(tmp, "holes", 5, {"tokenizer.json": json.dumps(holes)})
    run = lt.merge_recipe(tmp, PAIR % ("holes", "holes", "b", "union"), out="o3")
    report.case("numbers with gaps", lt.refusal(tmp, run, "have gaps (an added token with number 5 is loaded as 3)", out="o3"))
    model(tmp, "late", 6, {"vocab.txt": "a\nb\n", "added_tokens.json": '{"[PAD]": 4}'})
    run = lt.merge_recipe(tmp, PAIR % ("late", "late", "b", "union"), out="o3")
    report.case("an added token with a gap before it", lt.refusal(tmp, run, "number 4 is loaded as 2", out="o3"))
    report.case("numbers with gaps, nothing added", lt.merge_recipe(tmp, PAIR % ("holes", "holes", "b", "base"), out="o4").problems())


def cut(report, tmp):
    """A base with tokens beyond its rows: they go, with the merges that take or make them (mergekit keeps the latter, and fails)."""
    tokens = ["<unk>", "a", "b", "ab", "bb", "abb", "zz"]
    files = {"tokenizer.json": bpe(tokens, [("<unk>", True), ("<s>", True)], ["a b", "b b", "ab b", "a bb"]), "tokenizer_config.json": '{"added_tokens_decoder": {"7": {"content": "<s>"}}}'}
    model(tmp, "a", 5, files)
    model(tmp, "b", 3, {"tokenizer.json": bpe(["a", "b", "zz"])})
    for source, last in (("base", []), ("union", ["zz"])):
        run = lt.merge_recipe(tmp, PAIR % ("a", "a", "b", source), out=source)
        problems = run.problems() or ([] if "3 tokens of a have no row in the model, so they are left out" in run.err else [run.err])
        if not problems:
            got = json.loads(raw(tmp, source, "tokenizer.json"))
            problems = lt.is_equal("vocab", got["model"]["vocab"], {t: i for i, t in enumerate(tokens[:5])})
            problems += lt.is_equal("merges", got["model"]["merges"], ["a b", "b b"])
            problems += lt.is_equal("added", [t["content"] for t in got["added_tokens"]], ["<unk>"] + last)
            problems += lt.is_equal("decoder", [t["content"] for t in json.loads(raw(tmp, source, "tokenizer_config.json"))["added_tokens_decoder"].values()], last)
            ids = [{t: i for i, t in enumerate(ts)} for ts in (tokens[:5], ["a", "b", "zz"])]
            problems += near(rows_of(tmp, source), expected(tokens[:5] + last, ids, [rows_of(tmp, "a"), rows_of(tmp, "b")]))
        report.case(f"tokens beyond the rows: {source}", problems)
    model(tmp, "slow", 2, {"vocab.txt": "a\nb\nc\n"})
    report.case("tokens beyond the rows: vocab.txt", lt.refusal(tmp, lt.merge_recipe(tmp, PAIR % ("slow", "slow", "b", "base"), out="o2"), "token 2 of its vocabulary", "not in this build", out="o2"))


FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "added_tokens.json", "chat_template.jinja", "vocab.txt", "tokenizer.model")


def at_once(tmp, documents, *words):
    """Several documents in one file against one merge after the other."""
    problems, run = [], lt.merge_recipe(tmp, "---\n".join((f"name: {n}\n" if n else "") + t for n, t in documents.items()), "--overwrite", *words, out="at_once")
    problems += run.problems()
    for name, recipe in documents.items():
        problems += lt.merge_recipe(tmp, recipe, "--overwrite", *(words if not name else ()), out=name or "apart").problems()
    if not problems:
        problems = [] if raw(tmp, "apart", FILES[0]) else ["no weights"]
        problems += [f"{f} differs" for f in FILES if raw(tmp, "at_once", f) != raw(tmp, "apart", f)]
    for name in documents:
        if name:
            lt.shutil.rmtree(os.path.join(tmp, name), ignore_errors=True)
    return problems


def results(report, tmp):
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    chars = [chr(97 + i) for i in range(20)]
    for name, tokens, extra, dtype in (("a", chars, [("<s>", True)], "F32"), ("b", chars[::-1] + ["ab"], [("<t>", True)], "BF16"), ("c", chars[5:] + ["zz"], [("<u>", False)], "F32")):
        files = {"tokenizer.json": bpe(tokens, extra), "tokenizer_config.json": '{"added_tokens_decoder": {}, "chat_template": "{{ of %s }} template"}' % name}
        model(tmp, name, len(tokens) + len(extra), files, dtype=dtype, more={"lm_head.weight": (len(tokens) + len(extra), DIM)}, config={"tie_word_embeddings": False})
    model(tmp, "slow", 8, KINDS["pieces"][0], more={"lm_head.weight": (8, DIM)}, config={"tie_word_embeddings": False})
    one = "merge_method: linear\nparameters: {weight: 1}\n%s"
    union = one % "models: [a, b]\ntokenizer: {source: union, pad_to_multiple_of: 8}\n"
    task = "merge_method: task_arithmetic\nbase_model: %s\nmodels: [{model: %s, parameters: {weight: 0.5}}]\ntokenizer_source: %s\n"
    cases = {
        "its vocabulary is the output's": {"x": union, "": one % "models: [x]\n"},
        "as the base of a union": {"x": union, "": one % "base_model: x\nmodels: [x, c]\ntokenizer_source: union\n"},
        "as another model of a union": {"x": union, "": one % "base_model: c\nmodels: [c, x]\ntokenizer_source: union\n"},
        "task vectors": {"x": union, "": task % ("x", "c", "base")},
        "task vectors, the other way": {"x": union + "dtype: bfloat16\n", "": task % ("c", "x", "union")},
        "as the source": {"x": union, "": one % "models: [a, c]\ntokenizer: {source: x, tokens: {zz: {source: c}, '<new>': {source: {kind: model_token, model: a, token: b}}}}\n"},
        "rules that name it": {"x": union, "": one % "models: [c, x]\ntokenizer: {source: base, tokens: {'<n>': {source: {kind: model_token, model: x, token: ab}}}}\n"},
        "a vocabulary of a third model": {"x": one % "models: [a, b]\ntokenizer_source: c\n", "": one % "models: [x, a]\ntokenizer_source: union\n"},
        "without a rule of its own": {"x": one % "models: [a, a]\n", "": one % "models: [x, b]\ntokenizer_source: union\n"},
        "three in a row": {"x": union, "y": one % "base_model: x\nmodels: [x, c]\ntokenizer_source: union\n", "": task % ("y", "x", "a")},
        "a result of a result gives the files": {"x": one % "models: [a, b]\ntokenizer_source: c\n", "y": one % "models: [x, x]\n", "": one % "models: [y, b]\ntokenizer_source: union\nchat_template: auto\n"},
        "templates": {"x": union + f"chat_template: '{template}'\n", "y": one % "models: [x]\n", "": one % "models: [y, x, a]\ntokenizer_source: union\nchat_template: auto\n"},
        "slow ones": {"x": one % "models: [slow, a]\ntokenizer_source: union\n", "": one % "models: [x, b]\ntokenizer_source: union\n"},
        "slow, as the source": {"x": one % "models: [slow, a]\ntokenizer_source: union\n", "": one % "models: [b, x]\ntokenizer_source: x\n"},
        "slices": {"x": union, "": "merge_method: passthrough\nslices:\n- sources: [{model: x, layer_range: [0, 1]}]\n- sources: [{model: c, layer_range: [0, 1]}]\nbase_model: x\ntokenizer_source: union\n"},
    }
    for what, documents in cases.items():
        report.case(f"a result's vocabulary: {what}", at_once(tmp, documents))
    circle = {"x": one % "models: [a]\ntokenizer_source: x\n", "": one % "models: [x]\n"}
    run = lt.merge_recipe(tmp, "---\n".join((f"name: {n}\n" if n else "") + t for n, t in circle.items()), out="o3")
    report.case("a tokenizer of its own result", lt.refusal(tmp, run, "made from its own result", out="o3"))


def table(report, tmp):
    """The table of `ladle plan`, as text and as JSON."""
    model(tmp, "a", 9, {"tokenizer.json": bpe(list("abcde"), [("<a>", True)])}, config={"vocab_size": 9})
    model(tmp, "b", 6, {"tokenizer.json": bpe(list("cdxyb"), [("<b>", True)])})
    model(tmp, "c", 6, {"tokenizer.json": bpe(list("xyzwv"), [("<b>", True)])})
    recipe = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b, c]\ntokenizer: {source: %s, pad_to_multiple_of: 8, tokens: {q: {source: {kind: zero}}}}\n"
    documents = "name: n\n" + recipe % "union" + "---\n" + (recipe % "b").replace("[a, b, c]", "[n, c]")
    with open(os.path.join(tmp, "recipe.yml"), "w", encoding="utf-8") as f:
        f.write(documents)
    run = lt.ladle("plan", "recipe.yml", "--json", cwd=tmp)
    problems = run.problems()
    if not problems:
        got = json.loads(run.out)["vocabularies"]
        key = ("model", "rows", "spare", "dropped", "own", "other", "mean", "zeros")
        want = [(None, 7, 8, [("n", 16, 3, 6, 7, 0, 0, 0), ("c", 6, 0, 3, 3, 3, 0, 1)]),
                ("n", 13, 16, [("a", 9, 3, 0, 6, 3, 3, 1), ("b", 6, 0, 0, 6, 6, 0, 1), ("c", 6, 0, 0, 6, 3, 3, 1)])]
        problems = lt.is_equal("vocabularies", [(v["recipe"], v["tokens"], v["rows"], [tuple(m[k] for k in key) for m in v["models"]]) for v in got], want)
    report.case("plan --json: vocabularies", problems)
    run = lt.ladle("plan", "recipe.yml", cwd=tmp)
    lines = ["tokens    13; embeddings have 16 rows, 3 of them padding (recipe 'n')", "       9       3       0 |       6       3       3       1       3  a"]
    report.case("plan: the table", run.problems() or [f"no {l!r} in {run.out}" for l in lines if l not in run.out])


def adapter(tmp, name, rows, rank, seed=1, where="model.layers.0.up", columns=DIM):
    r = random.Random(seed)
    ts = {f"base_model.model.{where}.lora_{x}.weight": lt.Tensor("F32", s, lt.encode("F32", lt.round_f32([r.gauss(0, 1) for _ in range(s[0] * s[1])])))
          for x, s in (("A", (rank, columns)), ("B", (rows, rank)))}
    os.makedirs(os.path.join(tmp, name))
    lt.write_safetensors(os.path.join(tmp, name, "adapter_model.safetensors"), ts, {"format": "pt"})
    with open(os.path.join(tmp, name, "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank}, f)


def adapters(report, tmp):
    for name in "ab":
        model(tmp, name, 8, {})
    for name, rank in (("one", 2), ("two", 3)):
        adapter(tmp, name, 6, rank, rank)
    os.rename(os.path.join(tmp, "two"), os.path.join(tmp, "with+plus"))
    stage = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b]\n"
    last = "merge_method: slerp\nbase_model: b\nparameters: {t: 0.3}\nmodels: [b, %s]\n"
    for what, documents in (("one", {"x": stage, "": last % "x+one"}), ("two", {"x": stage + "dtype: bfloat16\n", "": last % "x+one+with+plus"}),
                            ("of a result of a result", {"x": stage, "y": last % "x+one", "": last % "y+with+plus"}),
                            ("with and without", {"x": stage, "": "merge_method: linear\nparameters: {weight: 1}\nmodels: [x, x+one, a+one]\n"})):
        report.case(f"an adapter on a result: {what}", at_once(tmp, documents))
    for word, words in (("x+nowhere", "nowhere"), ("x+", "x+"), ("y+one", "y")):
        run = lt.merge_recipe(tmp, f"name: x\n{stage}---\n" + last % word, out="o2")
        report.case(f"an adapter on a result: {word}", lt.refusal(tmp, run, words, out="o2"))
    adapter(tmp, "large", 7, 2)
    run = lt.merge_recipe(tmp, f"name: x\n{stage}---\n" + last % "x+large", out="o2")
    report.case("an adapter that does not fit a result", lt.refusal(tmp, run, "large", out="o2"))


def types(report, tmp):
    """Results in FP8; results of files."""
    big = {"model.layers.0.w.weight": (150, 260), "model.layers.1.w.weight": (128, 128), "model.layers.1.small.weight": (3, 5)}
    for name in "ab":
        model(tmp, name, 8, {}, more=big, dtype="BF16", config={"torch_dtype": "bfloat16"})
    stage = "merge_method: ties\nbase_model: a\nparameters: {weight: 0.7, density: 0.4}\nmodels: [b]\ndtype: fp8\n"
    last = "merge_method: linear\nparameters: {weight: 1}\nmodels: [x, a]\n%s"
    for what, words in (("as its models", ""), ("float32", "dtype: float32\n"), ("fp8 again", "dtype: fp8\n")):
        report.case(f"a result in FP8, then {what}", at_once(tmp, {"x": stage, "": last % words}))
    report.case("a result in FP8, twice", at_once(tmp, {"x": stage, "y": last.replace("[x, a]", "[x, b]") % "dtype: fp8\n", "": last.replace("[x, a]", "[y, x]") % ""}))
    file = {"x": "merge_method: linear\nparameters: {weight: 1}\nmodels: [a/model.safetensors, b/model.safetensors]\n", "": last % ""}
    report.case("a result of files", at_once(tmp, file))


def main():
    lt.need_program()
    report = lt.Report()
    for part in (kinds, unread, added, cut, results, table, adapters, types):
        with lt.workdir() as tmp:
            part(report, tmp)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
