#!/usr/bin/env python3
"""architectures.py -- merges of many architectures, whose tensors and config.json are in tests/architectures/.

Small models with the names that the real classes of transformers and diffusers give, and random numbers:

    by name     linear and ties (with a base): every tensor is there and has the numbers of npmerge.py
    slices      a layer left out and one repeated: numbers, names, the edits of config.json and no others
    modules     the text of a model with pictures, the decoder of one with an encoder ...
    --report    accounts for every tensor of every input

LADLE_KEEP=DIR keeps the outputs (NAME/OUT), for a look with transformers (compat.py does that).
usage: architectures.py [PART OF A NAME ...]     or --page, which writes the table of docs/architectures.md
SPDX-License-Identifier: Apache-2.0"""
import json, os, re, shutil, sys, zlib

import ladletest as lt

lt.need_program()
lt.need_module("numpy")
import numpy as np  # noqa: E402
import npmerge as nm  # noqa: E402

FOLDER = os.path.join(lt.HERE, "architectures")


# ---- the models ----

def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def read(name):
    """(config.json, {tensor: (type, shape)})"""
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as f:
        d = json.load(f)
    tensors = {}
    for key, value in d["tensors"].items():
        for dtype, shape, *layers in (value if isinstance(value[0], list) else [value]):
            for n in numbers(layers[0]) if layers else [None]:
                tensors[key if n is None else key.replace("*", str(n), 1)] = (dtype, shape)
    return d["config"], tensors


def file_of(config):
    return ("diffusion_pytorch_" if "_diffusers_version" in config else "") + "model.safetensors"


def write(tmp, model, config, tensors):
    ts = {}
    for name, (dtype, shape) in tensors.items():
        r = np.random.default_rng(zlib.crc32(f"{model} {name}".encode()))
        n = int(np.prod(shape))
        ts[name] = nm.tensor(dtype, shape, r.standard_normal(n) if dtype in nm.FLOATS else np.arange(n))
    os.makedirs(os.path.join(tmp, model))
    lt.write_safetensors(os.path.join(tmp, model, file_of(config)), ts, {"format": "pt"})
    with open(os.path.join(tmp, model, "config.json"), "w", encoding="utf-8", newline="") as f:
        f.write(config)
    return ts


class Case:
    def __init__(self, tmp, name):
        self.tmp, self.name = tmp, name
        self.config, self.tensors = read(name)
        self.models = {m: write(tmp, m, self.config, self.tensors) for m in ("base", "a", "b")}

    def merge(self, recipe, out):
        with open(os.path.join(self.tmp, "recipe.yml"), "w", encoding="utf-8") as f:
            f.write(recipe)
        report = os.path.join(self.tmp, out + ".json")
        return lt.ladle("merge", "recipe.yml", out, "--report", report, cwd=self.tmp)

    def check(self, run, out, want, config, merged=("a", "b")):
        """want: {output tensor: Tensor}. config: the text that config.json must have."""
        problems = run.problems()
        if problems:
            return problems
        got, _ = lt.read_safetensors(os.path.join(self.tmp, out, file_of(self.config)))
        problems += [f"missing {n}" for n in want if n not in got] + [f"extra {n}" for n in got if n not in want]
        problems += [f"{n}: {got[n].dtype} {got[n].shape} differs" for n in want if n in got and got[n] != want[n]]
        with open(os.path.join(self.tmp, out, "config.json"), encoding="utf-8", newline="") as f:
            text = f.read()
        if text != config:
            problems += [f"config.json: {x!r}, expected {y!r}" for x, y in zip(text.splitlines(), config.splitlines()) if x != y] or \
                        ["config.json: another length"]
        return problems + self.audit(out, want)

    def audit(self, out, want):
        """Each tensor of each input is listed once, and those that it says went into the output are there."""
        with open(os.path.join(self.tmp, out + ".json"), encoding="utf-8") as f:
            report = json.load(f)
        problems, made = [], set()
        for m in report["models"]:
            have = [t["name"] for t in m["tensors"]]
            if sorted(have) != sorted(self.models[m["path"]]):
                problems.append(f"--report: {m['path']} has {len(have)} tensors, not {len(self.models[m['path']])}")
            problems += [f"--report: {m['path']}: {t['name']} went nowhere without a reason" for t in m["tensors"]
                         if not t.get("output") and not t.get("reason")]
            made.update(n for t in m["tensors"] for n in t.get("output", []))
        total = sum(int(np.prod(t.shape)) for t in want.values())
        if report["parameters"] != total:
            problems.append(f"--report: {report['parameters']} parameters, there are {total}")
        return problems + ([] if made == set(want) else [f"--report: does not say what made {sorted(made ^ set(want))[:3]}"])


# ---- numbers ----

def linear(case, name, weights=(0.25, 0.75), source=None):
    a, b = (case.models[m][source or name] for m in "ab")
    if a.dtype not in nm.FLOATS:
        return a
    x = sum(np.float32(w) * nm.decode(t) for w, t in zip(weights, (a, b)))
    return nm.tensor(a.dtype, a.shape, x / np.float32(sum(weights)))


def ties(case, name):
    """The sign of the sum; the mean of what agrees. Weights 1, all kept."""
    like = case.models["base"][name]
    base, *xs = (nm.decode(case.models[m][name]) for m in ("base", "a", "b"))
    ts = [x - base for x in xs]
    sign = np.where(ts[0] + ts[1] >= 0, np.float32(1), np.float32(-1))
    agree = [np.sign(t) == sign for t in ts]
    count = agree[0].astype(np.float32) + agree[1].astype(np.float32)
    total = np.where(agree[0], ts[0], np.float32(0)) + np.where(agree[1], ts[1], np.float32(0))
    return nm.tensor(like.dtype, like.shape, base + total / np.where(count == 0, np.float32(1), count))


LINEAR = "merge_method: linear\nparameters: {weight: %s}\n"
PAIR = "{model: a, parameters: {weight: 0.25}}, {model: b, parameters: {weight: 0.75}}"


def by_name(case):
    run = case.merge(f"merge_method: linear\nmodels: [{PAIR}]\n", "linear")
    want = {n: linear(case, n) for n in case.tensors}
    problems = case.check(run, "linear", want, case.config)
    run = case.merge("merge_method: ties\nbase_model: base\nmodels: [a, b]\nparameters: {weight: 1, normalize: true}\ndtype: %s\n" %
                     ("bfloat16" if "BF16" in {t[0] for t in case.tensors.values()} else "float32"), "ties")
    return problems + case.check(run, "ties", {n: ties(case, n) for n in case.tensors}, case.config)


# ---- slices ----

def order_of(layers, drop):
    """Without layer `drop`, and with the last one twice."""
    return [n for n in range(layers) if n != drop] + [layers - 1]


def sliced(case, stack, order, give):
    """want of a recipe that makes the stack's layers `order`: give(output name, source name)."""
    want = {}
    for n in case.tensors:
        m = re.match(re.escape(stack) + r"\.(\d+)\.", n)
        if not m:
            want[n] = give(n, n)
            continue
        for k, layer in enumerate(order):
            if layer == int(m.group(1)):
                want[f"{stack}.{k}.{n[m.end():]}"] = give(f"{stack}.{k}.{n[m.end():]}", n)
    return want


def slices_text(models, order, indent=""):
    """One slice for each layer of the order; models: the text of sources without their ranges."""
    lines = []
    for n in order:
        sources = ", ".join("{" + m + f", layer_range: [{n}, {n + 1}]" + "}" for m in models)
        lines.append(f"{indent}- sources: [{sources}]\n")
    return "slices:\n" + "".join(lines)


SOURCES = ["model: a, parameters: {weight: 0.25}", "model: b, parameters: {weight: 0.75}"]


def edited(config, changes):
    """config.json as Python's json would write it with these values, where only their lines may differ. changes:
    {(path, ...): value or function}."""
    d = json.loads(config)
    for path, value in changes.items():
        at = d
        for key in path[:-1]:
            at = at[key]
        if path[-1] not in at:
            raise KeyError(path)
        at[path[-1]] = value(at[path[-1]]) if callable(value) else value
    text = json.dumps(d, indent=2, ensure_ascii="\\u" in config)
    return text + config[len(config.rstrip()):]


# name: (stack, the module or None for `slices` at the top, count keys, keys of per-layer lists, the layer left out)
TOP = [("num_hidden_layers",)]
TEXT = [("text_config", "num_hidden_layers")]
SLICES = {
    **{n: ("model.layers", None, TOP, [], 1) for n in ("llama", "mistral", "phi3", "olmo2", "granite", "stablelm", "cohere", "mixtral",
                                                       "deepseek_v2", "deepseek_v3", "qwen3_moe")},
    **{n: ("model.layers", None, TOP, [("layer_types",)], 1) for n in ("qwen2", "qwen3", "gemma2", "gemma3_text", "gpt_oss", "qwen3_next",
                                                                       "modernbert", "qwen2_moe")},
    "gpt2": ("transformer.h", None, [("n_layer",)], [], 1), "gpt_neox": ("gpt_neox.layers", None, TOP, [], 1),
    "falcon": ("transformer.h", None, TOP, [], 1), "bloom": ("transformer.h", None, [("n_layer",)], [], 1),
    "opt": ("model.decoder.layers", None, TOP, [], 1), "mamba": ("backbone.layers", None, TOP, [], 1),
    "rwkv": ("rwkv.blocks", None, TOP, [], 1), "jamba": ("model.layers", None, TOP, [], 1),
    "bamba": ("model.layers", None, TOP, [("attn_layer_indices",)], 0),
    "bert": ("bert.encoder.layer", None, TOP, [], 1), "roberta": ("roberta.encoder.layer", None, TOP, [], 1),
    "distilbert": ("distilbert.transformer.layer", None, [("n_layers",)], [], 1),
    "vit": ("vit.encoder.layer", None, TOP, [], 1), "wav2vec2": ("wav2vec2.encoder.layers", None, TOP, [], 1),
    "t5": ("decoder.block", None, [("num_decoder_layers",)], [], 1),
    "bart": ("model.decoder.layers", "decoder", [("decoder_layers",)], [], 1),
    "marian": ("model.encoder.layers", "encoder", [("encoder_layers",)], [], 1),
    "whisper": ("model.encoder.layers", "encoder", [("encoder_layers",)], [], 1),
    "clip": ("text_model.encoder.layers", None, TEXT, [], 1), "siglip": ("vision_model.encoder.layers", "vision_tower",
                                                                         [("vision_config", "num_hidden_layers")], [], 1),
    "llava": ("language_model.model.layers", None, TEXT, [], 1), "mistral3": ("language_model.model.layers", "text_decoder", TEXT, [], 1),
    "idefics3": ("model.text_model.layers", "text_decoder", TEXT, [], 1),
    "internvl": ("language_model.model.layers", "language_model", TEXT, [("text_config", "layer_types")], 1),
    "gemma3": ("language_model.model.layers", "text_decoder", TEXT, [("text_config", "layer_types")], 1),
    "qwen2_audio": ("language_model.model.layers", None, TEXT, [("text_config", "layer_types")], 1),
    "qwen2_vl": ("model.layers", None, TEXT, [("text_config", "layer_types")], 1),
    "qwen2_5_vl": ("visual.blocks", "visual", [("vision_config", "depth")], [("vision_config", "fullatt_block_indexes")], 0),
    "qwen3_vl": ("model.language_model.layers", "text_decoder", TEXT, [], 1),
    "flux": ("single_transformer_blocks", "single_transformer_blocks", [("num_single_layers",)], [], 1),
    "pixart": ("transformer_blocks", None, [("num_layers",)], [], 1),
}


# Where a layer comes to a place that is known by its number; what config.json says of it is no list.
ODD = {"jamba"}


def slices(case):
    stack, module, counts, lists, drop = SLICES[case.name]
    numbers_of = [int(m.group(1)) for m in (re.match(re.escape(stack) + r"\.(\d+)\.", n) for n in case.tensors) if m]
    order = order_of(max(numbers_of) + 1, drop)
    if module:
        recipe = f"merge_method: linear\nmodules:\n  {module}:\n    " + slices_text(SOURCES, order, "    ")
    else:
        recipe = "merge_method: linear\n" + slices_text(SOURCES, order)
    changes = {path: len(order) for path in counts}
    for path in lists:
        if path[-1].endswith(("indices", "indexes")):  # a list of layers
            changes[path] = lambda v: [k for k, n in enumerate(order) if n in v]
        else:
            changes[path] = lambda v: [v[n] for n in order]
    claimed = CLAIM[module] if module else lambda n: True
    give = lambda out, source: linear(case, out, source=source) if claimed(source) else case.models["a"][source]
    run = case.merge(recipe, "slices")
    problems = [] if (case.name in ODD) == ("may not hold" in run.err) else [run.err]
    return problems + case.check(run, "slices", sliced(case, stack, order, give), edited(case.config, changes))


# ---- modules ----

VISION = r"(^|\.)(vision_tower|vision_model|visual)\.|visual_projection"
PROJECTOR = r"projector|merger|connector"
CLAIM = {
    "text_decoder": lambda n: not re.search(VISION, n) and not re.search(PROJECTOR, n),
    "language_model": lambda n: not re.search(VISION, n) and not re.search(PROJECTOR, n),
    "vision_tower": lambda n: re.search(VISION, n) and not re.search(PROJECTOR, n),
    "multi_modal_projector": lambda n: re.search(PROJECTOR, n),
    "visual": lambda n: n.startswith("visual."), "audio_tower": lambda n: n.startswith("audio_tower."),
    "encoder": lambda n: ".encoder." in "." + n, "shared": lambda n: "shared." in n,
    "single_transformer_blocks": lambda n: n.startswith("single_"), "down_blocks": lambda n: n.startswith("down_blocks."),
    "decoder": lambda n: ".decoder." in "." + n,
}


MODULES = {  # those that the recipe names: linear of a and b; the rest is the base's
    "llava": ["text_decoder"], "gemma3": ["text_decoder", "multi_modal_projector"], "mistral3": ["language_model"],
    "idefics3": ["text_decoder"], "internvl": ["vision_tower"], "qwen2_vl": ["text_decoder", "vision_tower"],
    "qwen2_5_vl": ["vision_tower", "multi_modal_projector"], "qwen3_vl": ["text_decoder"], "qwen2_audio": ["audio_tower"],
    "t5": ["encoder", "decoder", "shared"], "bart": ["decoder"], "whisper": ["encoder", "decoder"], "marian": ["decoder", "shared"],
    "clip": ["vision_tower"], "siglip": ["text_decoder"], "flux": ["single_transformer_blocks"], "sd_unet": ["down_blocks"],
    "sd_vae": ["decoder"],
}


def modules(case):
    names = MODULES[case.name]
    recipe = "merge_method: linear\nbase_model: base\nmodules:\n"
    recipe += "".join(f"  {m}: {{models: [{PAIR}]}}\n" for m in names)
    claimed = lambda n: any(CLAIM[m](n) for m in names)
    want = {n: linear(case, n) if claimed(n) else case.models["base"][n] for n in case.tensors}
    run = case.merge(recipe, "modules")
    problems = case.check(run, "modules", want, case.config)
    rest = [n for n in sorted(case.tensors) if not claimed(n)]
    line = f"modules: no module has {rest[0]}{' ...' if len(rest) > 1 else ''}: {len(rest)} tensor" if rest else ""
    return problems + ([] if line in run.err and ("no module has" in run.err) == bool(rest) else [f"no {line!r} in {run.err!r}"])


# ---- the page ----

PAGE = os.path.join(lt.ROOT, "docs", "architectures.md")
MARKS = "<!-- architectures: begin -->\n", "<!-- architectures: end -->\n"


def table(names):
    lines = ["| architecture | tensors | slices of | modules | source of config.json and names |", "|---|---|---|---|---|"]
    for name in names:
        with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as f:
            source = json.load(f)["source"].split(", ")
        stack, module = SLICES.get(name, ("", None))[:2]
        sliced = f"`{stack}`" + (f", as module `{module}`" if module and module != stack else "") if stack else ""
        lines.append(f"| {name} | {len(read(name)[1])} | {sliced} | {', '.join(f'`{m}`' for m in MODULES.get(name, []))} | "
                     f"{source[0]}: {', '.join(source[1:])} |")
    return "\n".join(lines) + "\n"


def page(names, write_it=False):
    with open(PAGE, encoding="utf-8") as f:
        before, _, rest = f.read().partition(MARKS[0])
    old, _, after = rest.partition(MARKS[1])
    if write_it:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(before + MARKS[0] + table(names) + MARKS[1] + after)
    return [] if old == table(names) else ["its table is old: tests/architectures.py --page writes it anew"]


def main():
    report = lt.Report()
    names = sorted(f[:-5] for f in os.listdir(FOLDER) if f.endswith(".json"))
    if sys.argv[1:] == ["--page"]:
        page(names, True)
        return 0
    report.case("docs/architectures.md", page(names))
    for name in names:
        if sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        with lt.workdir() as tmp:
            case = Case(tmp, name)
            report.case(f"{name}: by name", by_name(case))
            if name in SLICES:
                report.case(f"{name}: slices of {SLICES[name][0]}", slices(case))
            if name in MODULES:
                report.case(f"{name}: modules {', '.join(MODULES[name])}", modules(case))
            if os.environ.get("LADLE_KEEP"):
                shutil.copytree(tmp, os.path.join(os.environ["LADLE_KEEP"], name))
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
