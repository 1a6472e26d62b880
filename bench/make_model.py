#!/usr/bin/env python3
"""make_model.py -- makes checkpoints that look real, for benchmarks and tests.

Standard library only; the same bytes on every machine (Python's Mersenne twister, seeded by the
tensor's name). Weights are bf16 of plausible sizes: a random mantissa under a sign and an exponent
drawn from a table, so that they do not compress and magnitudes spread over eight octaves. A
fine-tune (--perturb-of) flips low mantissa bits: three elements in ten stay equal to the base, most
move by one to three units in the last place, as in real fine-tunes kept in bf16.

    make_model.py qwen0.5b /tmp/base
    make_model.py qwen0.5b /tmp/a --perturb-of /tmp/base --seed 1

shapes: tiny (2 layers), qwen0.5b (Qwen2.5-0.5B: 494 M parameters), 2x (48 layers and twice the
vocabulary: 988 M), bert (BERT-base, F32, 110 M; with an I64 tensor).
SPDX-License-Identifier: Apache-2.0"""
import argparse, json, math, os, random, struct, sys, time

CHUNK = 1 << 22  # elements made at once
# byte -> high byte of a bf16: sign, and the seven upper exponent bits, so two octaves for each value.
# 0x3c: 2^-7 .. 2^-5, 0x3b: 2^-9 .. 2^-7, ...
_HIGH = [0x3C] * 64 + [0x3B] * 40 + [0x3A] * 16 + [0x39] * 6 + [0x3D] * 2
HIGH = bytes(_HIGH) + bytes(h | 0x80 for h in _HIGH)
# byte -> which mantissa bits a fine-tune flips
FLIP = bytes([0] * 77 + [1] * 90 + [2] * 32 + [3] * 32 + [4] * 8 + [6] * 8 + [8] * 6 + [16] * 3)


def rng(*key):
    return random.Random("/".join(map(str, key)))


def weights(name, part, n):
    """n bf16 weights as bytes."""
    r = rng("weights", name, part)
    out = bytearray(2 * n)
    out[0::2] = r.randbytes(n)
    out[1::2] = r.randbytes(n).translate(HIGH)
    return bytes(out)


def perturb(raw, seed, name, part, width=2):
    """A fine-tune of these weights; width: bytes of an element (2: bf16, 4: f32)."""
    n = len(raw) // width
    flips = rng("flips", seed, name, part).randbytes(n).translate(FLIP)
    out, low = bytearray(raw), width - 2
    flipped = int.from_bytes(raw[low::width], "little") ^ int.from_bytes(flips, "little")
    out[low::width] = flipped.to_bytes(n, "little")
    return bytes(out)


def widen(raw, name, part):
    """bf16 bytes -> f32 bytes with a random rest of the mantissa."""
    n = len(raw) // 2
    rest, out = rng("rest", name, part).randbytes(2 * n), bytearray(4 * n)
    out[0::4], out[1::4], out[2::4], out[3::4] = rest[0::2], rest[1::2], raw[0::2], raw[1::2]
    return bytes(out)


# ---- shapes ----

def decoder(layers, hidden, ffn, kv, vocab, tied=True):
    t = {"model.embed_tokens.weight": [vocab, hidden]}
    for i in range(layers):
        p = f"model.layers.{i}."
        t.update({
            p + "input_layernorm.weight": [hidden], p + "mlp.down_proj.weight": [hidden, ffn],
            p + "mlp.gate_proj.weight": [ffn, hidden], p + "mlp.up_proj.weight": [ffn, hidden],
            p + "post_attention_layernorm.weight": [hidden],
            p + "self_attn.k_proj.bias": [kv], p + "self_attn.k_proj.weight": [kv, hidden],
            p + "self_attn.o_proj.weight": [hidden, hidden],
            p + "self_attn.q_proj.bias": [hidden], p + "self_attn.q_proj.weight": [hidden, hidden],
            p + "self_attn.v_proj.bias": [kv], p + "self_attn.v_proj.weight": [kv, hidden]})
    t["model.norm.weight"] = [hidden]
    if not tied:
        t["lm_head.weight"] = [vocab, hidden]
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": hidden,
              "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
              "num_key_value_heads": max(1, kv // 64), "vocab_size": vocab, "tie_word_embeddings": tied,
              "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
              "torch_dtype": "bfloat16"}
    return {k: ("BF16", v) for k, v in t.items()}, config


def bert(layers=12, hidden=768, ffn=3072, vocab=30522):
    t = {"embeddings.position_ids": ("I64", [1, 512])}
    for name, shape in (("word", [vocab, hidden]), ("position", [512, hidden]), ("token_type", [2, hidden])):
        t[f"embeddings.{name}_embeddings.weight"] = ("F32", shape)

    def pair(name, out, inn=None):
        t[name + ".weight"] = ("F32", [out, inn] if inn else [out])
        t[name + ".bias"] = ("F32", [out])
    pair("embeddings.LayerNorm", hidden)
    for i in range(layers):
        p = f"encoder.layer.{i}."
        for x in ("query", "key", "value"):
            pair(f"{p}attention.self.{x}", hidden, hidden)
        pair(p + "attention.output.dense", hidden, hidden)
        pair(p + "attention.output.LayerNorm", hidden)
        pair(p + "intermediate.dense", ffn, hidden)
        pair(p + "output.dense", hidden, ffn)
        pair(p + "output.LayerNorm", hidden)
    pair("pooler.dense", hidden, hidden)
    return t, {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
               "num_attention_heads": hidden // 64, "intermediate_size": ffn, "vocab_size": vocab,
               "max_position_embeddings": 512, "type_vocab_size": 2, "torch_dtype": "float32"}


SHAPES = {
    "tiny": lambda: decoder(2, 64, 160, 64, 1000),
    "qwen0.5b": lambda: decoder(24, 896, 4864, 128, 151936),
    "2x": lambda: decoder(48, 896, 4864, 128, 303872),
    "bert": bert,
}
WIDTH = {"BF16": 2, "F32": 4, "I64": 8}


# ---- files ----

def header(tensors):
    """(bytes before the data, {name: offset in the file}) of a safetensors file."""
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        size = WIDTH[dtype] * math.prod(shape)
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return struct.pack("<Q", len(text)) + text, {k: start + head[k]["data_offsets"][0] for k in tensors}


def parts(tensors, shards):
    """Tensors cut into `shards` runs: [(file name, {name: (dtype, shape)})]."""
    names = list(tensors)
    if shards == 1:
        return [("model.safetensors", tensors)]
    return [(f"model-{i + 1:05d}-of-{shards:05d}.safetensors",
             {k: tensors[k] for k in names[len(names) * i // shards:len(names) * (i + 1) // shards]})
            for i in range(shards)]


def data(name, dtype, shape, seed, perturbed):
    """The tensor's bytes, piece by piece."""
    n = math.prod(shape)
    if dtype == "I64":
        yield struct.pack(f"<{n}q", *range(n))
        return
    for part, first in enumerate(range(0, n, CHUNK)):
        count = min(CHUNK, n - first)
        raw = weights(name, part, count)
        if dtype == "F32":
            raw = widen(raw, name, part)
        yield perturb(raw, seed, name, part, WIDTH[dtype]) if perturbed else raw


def make(shape, folder, seed=0, perturbed=False, shards=1):
    """Writes the checkpoint; returns its bytes of weights. A fine-tune of the same shape's base is
    made from the base's seedless weights, so that the base need not be read."""
    tensors, config = SHAPES[shape]()
    os.makedirs(folder, exist_ok=True)
    total, where = 0, {}
    for file, some in parts(tensors, shards):
        with open(os.path.join(folder, file), "wb") as f:
            f.write(header(some)[0])
            for name, (dtype, dims) in some.items():
                where[name] = file
                for raw in data(name, dtype, dims, seed, perturbed):
                    total += f.write(raw)
    if shards > 1:
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": where}, f, indent=2)
    side = {"config.json": config, "generation_config.json": {"do_sample": True, "temperature": 0.7},
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 32768},
            "tokenizer.json": {"version": "1.0", "model": {"type": "BPE", "merges": [],
                               "vocab": {f"t{i}": i for i in range(min(config["vocab_size"], 5000))}}}}
    for name, value in side.items():
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f, indent=2)
    return total


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("shape", choices=SHAPES)
    ap.add_argument("folder")
    ap.add_argument("--perturb-of", metavar="DIR", help="make a fine-tune of the model in DIR (same shape)")
    ap.add_argument("--seed", type=int, default=1, help="which fine-tune")
    ap.add_argument("--shards", type=int, default=1)
    a = ap.parse_args()
    if a.perturb_of:
        with open(os.path.join(a.perturb_of, "config.json")) as f:
            if json.load(f) != SHAPES[a.shape]()[1]:
                sys.exit(f"make_model.py: {a.perturb_of} is not a {a.shape} model of this script")
    start = time.time()
    total = make(a.shape, a.folder, a.seed, bool(a.perturb_of), a.shards)
    print(f"{a.folder}: {a.shape}, {total / 1e6:.1f} MB in {time.time() - start:.1f} s")


if __name__ == "__main__":
    main()
