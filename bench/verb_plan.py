"""verb_plan.py -- ./dev bench plan: how long `ladle plan` takes on a model of very many tensors.

Two fine-tunes and a base of 700 shards with 100,000 tensors each (experts of 61 layers, as the largest
models have them), 1.3 TB by their headers. The files are sparse: planning reads headers and the index,
never weights. At most one second for each plan.
SPDX-License-Identifier: Apache-2.0"""
import json, math, os, shutil, struct, sys

import machine
import measure
import table

LIMIT, LAYERS, DIMS = 1.0, 61, (2048, 3264)


def add(ap):
    ap.add_argument("--shards", type=int, default=700)
    ap.add_argument("--tensors", type=int, default=100_000)
    ap.add_argument("--pairs", type=int, default=7, help="runs of each plan; their median counts (default 7)")


def names(n):
    """n names of tensors: norms and attention, then the experts of each layer in turn."""
    few = ["input_layernorm", "post_attention_layernorm"] + [f"self_attn.{x}_proj" for x in "qkvo"]
    out = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    out += [f"model.layers.{i}.{x}.weight" for i in range(LAYERS) for x in few]
    expert = 0
    while len(out) < n:
        out += [f"model.layers.{i}.mlp.experts.{expert}.{x}_proj.weight" for i in range(LAYERS)
                for x in ("gate", "up", "down")]
        expert += 1
    return sorted(out[:n])


def make(folder, shards, tensors):
    """The model's headers, index and config, in sparse files."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    all_, where, size = names(tensors), {}, 2 * math.prod(DIMS)
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = all_[len(all_) * s // shards:len(all_) * (s + 1) // shards]
        head = {"__metadata__": {"format": "pt"}}
        for i, name in enumerate(part):
            head[name] = {"dtype": "BF16", "shape": DIMS, "data_offsets": [i * size, (i + 1) * size]}
        words = json.dumps(head, separators=(",", ":")).encode()
        words += b" " * (-len(words) % 8)
        with open(os.path.join(folder, file), "wb") as f:
            f.write(struct.pack("<Q", len(words)) + words)
            f.truncate(8 + len(words) + len(part) * size)
        where.update((k, file) for k in part)
    config = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "num_hidden_layers": LAYERS,
              "hidden_size": DIMS[0], "torch_dtype": "bfloat16"}
    index = {"metadata": {"total_size": len(all_) * size}, "weight_map": where}
    for name, value in (("model.safetensors.index.json", index), ("config.json", config)):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f, indent=2)


def model(a, name):
    path = os.path.join(os.path.abspath(a.dir), f"plan-{a.shards}-{a.tensors}-{name}")
    if not os.path.exists(os.path.join(path, "made")):
        print(f"making {path}", file=sys.stderr)
        make(path, a.shards, a.tensors)
        open(os.path.join(path, "made"), "w").close()
    return path


def recipe(a, name, text):
    path = os.path.join(os.path.abspath(a.dir), f"plan-{name}.yml")
    with open(path, "w") as f:
        f.write(text)
    return path


def plans(a):
    """[(name, models read, words)]"""
    one, two, base = (model(a, n) for n in ("tune1", "tune2", "base"))
    flags = ["--model_path_list", one, two]
    both = f"models:\n- model: {one}\n  parameters: {{weight: 0.5, density: 0.5}}\n- model: {two}\n" \
           "  parameters: {weight: 0.5, density: 0.5}\n"
    return [("linear", 2, flags), ("ties", 3, flags + ["--merge_method", "ties", "--base_model_path", base]),
            ("linear.yml", 2, [recipe(a, "linear", both + "merge_method: linear\n")]),
            ("ties.yml", 3, [recipe(a, "ties", both + f"merge_method: ties\nbase_model: {base}\n")])]


def run(a):
    os.makedirs(a.dir, exist_ok=True)
    todo = plans(a)
    paper = table.Paper("plan", os.path.abspath(a.dir), a, shards=a.shards, tensors=a.tensors)
    paper.say(f"{a.shards} shards, {a.tensors} tensors in each model, median of {a.pairs} runs of `ladle plan`")
    t = paper.table("rows", "Planning:", [
        ("method", 12, table.text("method")), ("models", 6, table.text("models")), ("seconds", 7, table.number("seconds")),
        ("least - most", 12, lambda r: f"{r['min']:.2f} - {r['max']:.2f}"), (f"<= {LIMIT:g} s", 13, table.text("verdict")),
        ("read MB", 7, table.number("read_mb", 0)), ("peak MiB", 8, table.number("peak_mib", 0)),
        ("user share", 10, table.number("user_share"))])
    for name, models, words in todo:
        runs = [measure.timed([machine.BIN, "plan", *words]) for _ in range(a.pairs + 1)][1:]
        seconds = measure.median_of(runs, "seconds")
        least, most = min(r.seconds for r in runs), max(r.seconds for r in runs)
        t.add({"method": name, "models": models, "seconds": seconds, "min": least, "max": most,
               "verdict": measure.verdict(seconds, least, LIMIT), "read_mb": measure.median_of(runs, "read") / 1e6,
               "peak_mib": max(r.peak_mib for r in runs), "user_share": measure.median_of(runs, "user_share")})
    paper.done()
