#!/usr/bin/env python3
"""published.py -- recipes from public model cards and documentation run as they are.

tests/published/ has them, each with where it is from. For every model that one names there is a small
checkpoint here with random weights and the right tensor names, in a Hugging Face cache or as the folder
org/name. `ladle plan` must take the recipe, and `ladle merge` must give what npmergekit.py makes of it:
names, layers, values, types, vocabularies, side files. Published recipes carry keys and parameters that
nobody reads: those are notes, and errors with --strict.
SPDX-License-Identifier: Apache-2.0"""
import glob, hashlib, json, os, re, sys

import ladletest as lt

lt.need_program()
lt.need_module("numpy", "yaml")
import numpy as np  # noqa: E402
import yaml  # noqa: E402
import npmerge as nm  # noqa: E402
import npmergekit as mk  # noqa: E402

FOLDER = os.path.join(lt.HERE, "published")
H, F, KV = 8, 12, 4  # hidden, feed forward, keys and values
TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
# Of one rounding, which may go the other way where the two computations differ in the last bit.
SLACK = {"BF16": 2**-8, "F16": 2**-11 * 2, "F32": 2e-6}
# What is unknown in a recipe, and a word of the note about it.
UNKNOWN = {"11": ["'normalize'", "'rescale'"], "12": ["'normalize'"], "13": ["'select_topk'", "'dype'; did you mean 'dtype'?"],
           "20": ["'normalize'; did you mean 'normalize_weights'?"], "27": ["'pattern'", "'pattern'"]}
REFUSED = {"28": ["slerp needs a base_model"], "29": ["a second recipe without a name"]}


# ---- architectures: tensor names and shapes ----

def llama(n, vocab, bias=False, head=True, norms=("input_layernorm", "post_attention_layernorm"), prefix="model."):
    out = {f"{prefix}embed_tokens.weight": (vocab, H), f"{prefix}norm.weight": (H,)}
    if head:
        out["lm_head.weight"] = (vocab, H)
    for i in range(n):
        at = f"{prefix}layers.{i}."
        for part, shape in (("q", (H, H)), ("k", (KV, H)), ("v", (KV, H)), ("o", (H, H))):
            out[f"{at}self_attn.{part}_proj.weight"] = shape
            if bias and part != "o":
                out[f"{at}self_attn.{part}_proj.bias"] = shape[:1]
        out.update({f"{at}mlp.{p}_proj.weight": s for p, s in (("gate", (F, H)), ("up", (F, H)), ("down", (H, F)))})
        out.update({f"{at}{norm}.weight": (H,) for norm in norms})
    return out


GEMMA = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")


def gemma3(n, vocab):
    out = llama(n, vocab, head=False, norms=GEMMA, prefix="language_model.model.")
    for i in range(n):
        out.update({f"language_model.model.layers.{i}.self_attn.{p}_norm.weight": (KV,) for p in "qk"})
    for i in range(2):
        at = f"vision_tower.vision_model.encoder.layers.{i}."
        out.update({f"{at}self_attn.q_proj.weight": (6, 6), f"{at}mlp.fc1.weight": (F, 6), f"{at}layer_norm1.bias": (6,)})
    out.update({"vision_tower.vision_model.embeddings.patch_embedding.weight": (6, 3, 2, 2),
                "multi_modal_projector.mm_input_projection_weight": (6, H)})
    return out


def qwen2_vl(n, vocab):
    out = llama(n, vocab, bias=True)
    for i in range(2):
        out.update({f"visual.blocks.{i}.attn.qkv.weight": (18, 6), f"visual.blocks.{i}.norm1.weight": (6,)})
    out["visual.patch_embed.proj.weight"] = (6, 3, 2, 2, 2)
    return out


def gpt2(n, vocab):
    out = {"wte.weight": (vocab, H), "wpe.weight": (16, H), "ln_f.weight": (H,), "ln_f.bias": (H,)}
    for i in range(n):
        for part, shape in (("attn.c_attn", (H, 3 * H)), ("attn.c_proj", (H, H)), ("mlp.c_fc", (H, F)), ("mlp.c_proj", (F, H))):
            out[f"h.{i}.{part}.weight"], out[f"h.{i}.{part}.bias"] = shape, shape[1:]
        out.update({f"h.{i}.ln_{k}.{p}": (H,) for k in (1, 2) for p in ("weight", "bias")})
    return out


def whisper(n, vocab):
    out = {"model.decoder.embed_tokens.weight": (vocab, H), "model.encoder.conv1.weight": (H, 4, 3)}
    out.update({f"model.{c}.layers.{i}.fc1.weight": (F, H) for c in ("encoder", "decoder") for i in range(n)})
    return out


ARCHITECTURES = {
    "llama": ("LlamaForCausalLM", llama), "mistral": ("MistralForCausalLM", llama), "gpt2": ("GPT2LMHeadModel", gpt2),
    "qwen2": ("Qwen2ForCausalLM", lambda n, v: llama(n, v, bias=True)), "whisper": ("WhisperForConditionalGeneration", whisper),
    "gemma2": ("Gemma2ForCausalLM", lambda n, v: llama(n, v, head=False, norms=GEMMA)),
    "gemma3": ("Gemma3ForConditionalGeneration", gemma3), "qwen2_vl": ("Qwen2VLForConditionalGeneration", qwen2_vl)}


def config_of(kind, n, vocab):
    c = {"architectures": [ARCHITECTURES[kind][0]], "model_type": kind, "torch_dtype": "bfloat16"}
    if kind == "gemma3":
        return {**c, "text_config": {"hidden_size": H, "num_hidden_layers": n}, "vision_config": {"num_hidden_layers": 2}}
    c.update({"vocab_size": vocab, "n_layer" if kind == "gpt2" else "num_hidden_layers": n})
    if kind not in ("gemma2", "gpt2"):
        c["tie_word_embeddings"] = False
    return c


# ---- small models ----

WORDS = ["<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>"] + [chr(97 + i) for i in range(15)]


def vocabulary(number, kind):
    """(tokens by id, how many of them are ordinary): models have added tokens of their own."""
    added = [[], ["<|im_start|>", "<|im_end|>"], ["<|pad|>"]][number % 3] if kind != "gemma3" else []
    return WORDS + added, len(WORDS)


def write_tokenizer(folder, tokens, ordinary):
    flags = {k: False for k in ("single_word", "lstrip", "rstrip", "normalized")}
    added = [{"id": i, "content": t, **flags, "special": True} for i, t in enumerate(tokens) if i < 3 or i >= ordinary]
    files = {"tokenizer.json": {"version": "1.0", "added_tokens": added,
                                "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(tokens[:ordinary])}, "merges": []}},
             "tokenizer_config.json": {"added_tokens_decoder": {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in added},
                                       "chat_template": "{{ messages[0].content }} of this family"}}
    for name, what in files.items():
        with open(os.path.join(folder, name), "w") as f:
            json.dump(what, f, indent=2)


def seeded(text):
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


class Model:
    """A checkpoint in `folder`, and what is in it."""
    def __init__(self, folder, name, number, kind, n, padding):
        self.tokens, self.ordinary = vocabulary(number, kind)
        rows = len(self.tokens) + padding
        self.tensors, stored, common = {}, {}, seeded(kind)
        rng = seeded(name)
        for tensor, shape in ARCHITECTURES[kind][1](n, rows).items():
            x = common.standard_normal(np.prod((64, H) if shape[0] == rows else shape))[:np.prod(shape)] * 0.1
            x = x + rng.standard_normal(x.size) * 0.02
            stored[tensor] = nm.tensor("BF16", shape, x)
            self.tensors[tensor] = nm.decode(stored[tensor]).reshape(shape)
        lt.write_model(folder, stored, config=config_of(kind, n, rows))
        write_tokenizer(folder, self.tokens, self.ordinary)


def write_adapter(folder, model, name):
    """Of rank 2 on the first projections; the model's tensors become those of the pair."""
    rng, stored = seeded(name), {}
    os.makedirs(folder)
    for tensor in [t for t in model.tensors if t.endswith("q_proj.weight")]:
        a, b = (nm.tensor("F32", s, rng.standard_normal(s) * 0.1) for s in ((2, H), (H, 2)))
        key = "base_model.model." + tensor[:-len("weight")]
        stored[key + "lora_A.weight"], stored[key + "lora_B.weight"] = a, b
        w = model.tensors[tensor]
        model.tensors[tensor] = w + np.float32(2) * (nm.decode(b).reshape(H, 2) @ nm.decode(a).reshape(2, H))
    lt.write_safetensors(os.path.join(folder, "adapter_model.safetensors"), stored)
    with open(os.path.join(folder, "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}, f)


def place(tmp, name, cached):
    """Where `name` is found: a folder that it leads to from `tmp`, or a snapshot in a cache."""
    if not cached:
        return os.path.join(tmp, name)
    repo = os.path.join(tmp, "cache", "hub", "models--" + name.replace("/", "--"))
    os.makedirs(os.path.join(repo, "refs"))
    with open(os.path.join(repo, "refs", "main"), "w") as f:
        f.write("0123abcd")
    return os.path.join(repo, "snapshots", "0123abcd")


# ---- vocabularies, by docs/recipes.md ----

def source_of(doc):
    t = doc.get("tokenizer") or ({"source": doc["tokenizer_source"]} if "tokenizer_source" in doc else None)
    return t and (t.get("source", "union"), t.get("tokens") or {})


def joined(doc, models, order):
    """The output's tokens, and for each model the f32 arrays with rows for them."""
    source, rules = source_of(doc)
    base = doc.get("base_model") or order[0]
    tokens = list(models[base if source in ("base", "union") else source].tokens)
    if source == "union":
        for added in (False, True):
            for m in (models[name] for name in order):
                tokens += [t for t in (m.tokens[m.ordinary:] if added else m.tokens[:m.ordinary]) if t not in tokens]

    def row(name, token, tensor):
        rule = rules.get(token, {})
        have = [n for n in dict.fromkeys(order) if token in models[n].tokens]
        if token in models[name].tokens and not rule.get("force"):
            have = [name]
        elif rule:
            have = [rule["source"]]
        elif len(have) != 1 and base in have:
            have = [base]
        rows = [models[n].tensors[tensor][models[n].tokens.index(token)] for n in have]
        return sum(rows[1:], rows[0]) / np.float32(len(rows))

    out = {}
    for name in order:
        out[name] = dict(models[name].tensors)
        for tensor in out[name]:
            if "embed_tokens" in tensor or "lm_head" in tensor:
                out[name][tensor] = np.stack([row(name, t, tensor) for t in tokens])
    return tokens, out


# ---- one recipe ----

def models_of(doc):
    body = doc["modules"]["default"] if "modules" in doc else doc
    entries = body.get("models") or [e for s in body["slices"] for e in s["sources"]]
    names = ([doc["base_model"]] if "base_model" in doc else []) + [e["model"] for e in entries]
    return list(dict.fromkeys(names))


def make_models(tmp, docs, text):
    kind, n = re.search(r"^# architecture: (\w+), (\d+) layers", text, re.M).groups()
    n = int(n) if "layer_range" in text else 6
    cached, made = int(re.search(r"(\d+)-", os.path.basename(tmp)).group(1)) % 2 == 0 or kind == "gpt2", {}
    named = [d["name"] for d in docs if "name" in d]
    for name in dict.fromkeys(m for d in docs for m in models_of(d)):
        first, *adapters = name.split("+")
        if name in named:
            continue
        padding = 3 if "issue 425" in text else 2 if kind == "gemma3" else 0
        made[name] = Model(place(tmp, first, cached), first, len(made) if source_of(docs[0]) else 0, kind, n, padding)
        for adapter in adapters:
            write_adapter(place(tmp, adapter, cached), made[name], adapter)
    cache = os.path.join(tmp, "cache")
    return made, {} if not cached else {"HF_HOME": cache} if len(made) % 2 else {"HF_HUB_CACHE": os.path.join(cache, "hub")}


def stored_as(dtype, tensors):
    """What a merge whose result is an input of the next one rounds to."""
    return {n: nm.decode(nm.tensor(dtype, x.shape, x)).reshape(x.shape) for n, x in tensors.items()}


def expected(docs, made):
    """(tensors, dtype, tokens or None) of the last document."""
    arrays = {name: m.tensors for name, m in made.items()}
    for doc in docs:
        dtype, tokens, use = TYPES[doc.get("out_dtype") or doc.get("dtype") or "bfloat16"], None, arrays
        if source_of(doc):
            tokens, use = joined(doc, made, models_of(doc))
        result = mk.merge(doc, use)
        arrays[doc.get("name")] = stored_as(dtype, result)
    return result, dtype, tokens


def compare(got, want, dtype):
    problems = [] if sorted(got) == sorted(want) else [f"other names: {sorted(set(got) ^ set(want))[:6]}"]
    for name in sorted(set(got) & set(want)):
        t, w = got[name], want[name]
        if (t.dtype, t.shape) != (dtype, w.shape):
            problems.append(f"{name}: {t.dtype} {t.shape}, expected {dtype} {w.shape}")
            continue
        off = np.abs(nm.decode(t).reshape(w.shape) - w) > SLACK[dtype] * np.abs(w) + 1e-7
        if off.any():
            problems.append(f"{name}: {off.sum()} of {off.size} values differ")
    return problems


def check_side(out, path, doc, want, tokens):
    problems = [f"no {f}" for f in ("README.md", "mergekit_config.yml", "config.json", "tokenizer.json") if not os.path.exists(os.path.join(out, f))]
    if problems:
        return problems
    with open(path) as a, open(os.path.join(out, "mergekit_config.yml")) as b:
        problems += [] if a.read() == b.read() else ["mergekit_config.yml is not the recipe"]
    with open(os.path.join(out, "config.json")) as f:
        config = json.load(f)
    n = config.get("num_hidden_layers", config.get("n_layer", config.get("text_config", {}).get("num_hidden_layers")))
    text = {k: v for k, v in want.items() if not k.startswith(("visual", "vision"))}
    problems += [] if n == mk.layers(text) else [f"config.json: {n} layers, expected {mk.layers(text)}"]
    if tokens is not None:
        with open(os.path.join(out, "tokenizer.json")) as f:
            t = json.load(f)
        have = {**t["model"]["vocab"], **{a["content"]: a["id"] for a in t["added_tokens"]}}
        problems += [] if have == {w: i for i, w in enumerate(tokens)} else [f"tokenizer.json: {sorted(have, key=have.get)[-4:]}"]
        size = config.get("vocab_size", config.get("text_config", {}).get("vocab_size"))
        problems += [] if size == len(tokens) else [f"config.json: vocab_size {size}, expected {len(tokens)}"]
    if "chat_template" in doc and not os.path.exists(os.path.join(out, "chat_template.jinja")):
        problems.append("no chat_template.jinja")
    return problems


def check_notes(tmp, path, env, run):
    """The unknown words are notes; with --strict the first is an error at its place."""
    words = UNKNOWN.get(os.path.basename(path)[:2], [])
    unknown = [l for l in run.lines() if "unknown" in l]
    problems = [] if len(unknown) == len(words) and all(w in l for w, l in zip(words, unknown)) else [f"notes: {unknown}"]
    strict = lt.ladle("plan", path, "--strict", cwd=tmp, env=env)
    if bool(words) != bool(strict.rc) or (words and (len(strict.lines()) != 1 or not re.search(r"\.yml:\d+:\d+: unknown", strict.err))):
        problems.append(f"--strict: exit {strict.rc}: {strict.err[:300]}")
    return problems


def judge(tmp, path):
    out = os.path.join(tmp, "OUT")
    with open(path) as f:
        text = f.read()
    docs = list(yaml.safe_load_all(text))
    made, env = make_models(tmp, docs, text)
    plan = lt.ladle("plan", path, cwd=tmp, env=env)
    run = lt.ladle("merge", path, out, "--no-fsync", cwd=tmp, env=env)
    words = REFUSED.get(os.path.basename(path)[:2])
    if words:
        return [f"no {w!r} in {r.err!r}" for w in words for r in (plan, run) if w not in r.err or not r.rc] + lt.leftovers(out)
    problems = plan.problems() or run.problems() or check_notes(tmp, path, env, run)
    if problems:
        return problems
    want, dtype, tokens = expected(docs, made)
    got, _ = lt.read_safetensors(os.path.join(out, "model.safetensors"))
    return compare(got, want, dtype) + check_side(out, path, docs[-1], want, tokens)


def main():
    report = lt.Report()
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.yml"))):
        name = os.path.basename(path)[:-4]
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        with lt.workdir() as tmp:
            inner = os.path.join(tmp, name)
            os.mkdir(inner)
            report.case(name, judge(inner, path))
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
