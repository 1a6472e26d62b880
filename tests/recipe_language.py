#!/usr/bin/env python3
"""recipe_language.py -- keys of recipes, on small models of our own; what the recorded cases do not have.

SPDX-License-Identifier: Apache-2.0"""
import json, os, random, struct, sys

import ladletest as lt

NAMES = ["model.embed_tokens.weight", "model.norm.weight"] + [f"model.layers.{i}.up.weight" for i in range(4)]


def model(tmp, name, value, files=None, config=None, names=NAMES):
    """A model all of whose tensors are value, value + 1 in layer 1 ..."""
    ts = {}
    for n in names:
        layer = int(n.split(".layers.")[1].split(".")[0]) if ".layers." in n else 0
        ts[n] = lt.Tensor("F32", (4, 4), lt.encode("F32", [value + layer] * 16))
    lt.write_model(os.path.join(tmp, name), ts, config=config or {"model_type": "llama", "num_hidden_layers": 4})
    for file, text in (files or {}).items():
        with open(os.path.join(tmp, name, file), "w", encoding="utf-8") as f:
            f.write(text)


def text(tmp, *path):
    with open(os.path.join(tmp, *path), encoding="utf-8") as f:
        return f.read()


def values(tmp, out="out"):
    ts, _ = lt.read_safetensors(os.path.join(tmp, out, "model.safetensors"))
    return {n: t.numbers()[0] for n, t in ts.items()}


def slice_bases(report, tmp):
    """Each slice has its base, and the recipe has none."""
    for name, value in (("a", 1), ("b", 10), ("c", 100)):
        model(tmp, name, value)
    source = "{model: %s, layer_range: [%d, %d], parameters: {weight: 2}}"
    recipe = "merge_method: task_arithmetic\nslices:\n"
    for base, other, first in (("a", "b", 0), ("c", "a", 2)):
        recipe += f"- base_model: {base}\n  sources: [{source % (base, first, first + 2)}, {source % (other, first, first + 2)}]\n"
    run = lt.merge_recipe(tmp, recipe)
    problems = run.problems()
    if not problems:
        got = values(tmp)
        want = [19, 20, -98 + 2, -98 + 3]
        problems = lt.is_equal("layers", [got[f"model.layers.{i}.up.weight"] for i in range(4)], want)
        problems += lt.is_equal("embedding, head", [got[n] for n in NAMES[:2]], [19, -98])
    report.case("slices with bases of their own", problems)
    run = lt.merge_recipe(tmp, recipe.replace("- base_model: c\n  sources", "- sources"), out="o2")
    report.case("a slice without a base", lt.refusal(tmp, run, "task_arithmetic needs a base_model", out="o2"))


JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"


def chat(report, tmp):
    config = '{\n  "x": 1e400,\n  "chat_template": %s,\n  "last": NaN\n}\n'
    model(tmp, "a", 1, {"tokenizer_config.json": config % json.dumps("{{ old }} template of a")})
    lists = [{"name": "tool", "template": "no"}, {"name": "default", "template": JINJA}]
    model(tmp, "b", 1, {"tokenizer_config.json": config % json.dumps(lists)})
    model(tmp, "c", 1, {"chat_template.jinja": f"\n{JINJA}\n", "tokenizer_config.json": "{}"})
    head = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b, c]\n"
    run = lt.merge_recipe(tmp, head + "chat_template: auto")
    problems = run.problems()
    if not problems:
        problems = lt.is_equal("jinja", text(tmp, "out", "chat_template.jinja"), JINJA)
        problems += lt.is_equal("spliced", text(tmp, "out", "tokenizer_config.json"), config % json.dumps(JINJA))
    report.case("chat_template: auto takes the most frequent", problems)
    run = lt.merge_recipe(tmp, head.replace("a, b, c", "c") + f"chat_template: '{JINJA}'", out="o2")
    problems = run.problems()
    if not problems:
        problems = lt.is_equal("jinja", text(tmp, "o2", "chat_template.jinja"), JINJA)
        problems += lt.is_equal("untouched", text(tmp, "o2", "tokenizer_config.json"), "{}")
    report.case("chat_template: a text", problems)
    for given, words in (("chatlm", "recipe.yml:4:16: chat_template: 'chatlm' is unknown; did you mean 'chatml'?"),
                         ("'{{ x }}'", "20 characters"), ("x" * 30, "with a '{'"), ("[a]", "Jinja template")):
        run = lt.merge_recipe(tmp, head + f"chat_template: {given}", out="o3")
        report.case(f"chat_template: {given}", lt.refusal(tmp, run, "recipe.yml:4:1", words, out="o3"))


def modules(report, tmp):
    model(tmp, "a", 1)
    model(tmp, "b", 10)
    head = "merge_method: linear\nparameters: {weight: 1, normalize: false}\n"
    body = "{models: [{model: a, parameters: {weight: 2}}, b], parameters: {weight: 3}}"
    run = lt.merge_recipe(tmp, head + f"modules: {{default: {body}}}")
    problems = run.problems() or lt.is_equal("a model's parameter, then the module's", values(tmp)[NAMES[0]], 32)
    report.case("modules: default", problems)
    for given, words in ((f"{{vision: {body}}}", "recipe.yml:3:11: no tensor of a is of a module 'vision'; its modules are model.layers, default"), ("{default: 3}", "3:20: a module is"),
                         ("{default: {}}", "3:20: exactly one"), ("[]", "3:10: modules: a map"), (f"{{default: {body}}}\nslices: []", "exactly one")):
        run = lt.merge_recipe(tmp, head + f"modules: {given}", out="o2")
        report.case(f"modules: {given[:20]}", lt.refusal(tmp, run, words, out="o2"))


TOWERS = NAMES + ["visual.patch_embed.weight", "visual.merger.mlp.0.weight", "lm_head.weight"] + [f"visual.blocks.{i}.up.weight" for i in range(2)]
UP, EYE = "model.layers.%d.up.weight", "visual.blocks.%d.up.weight"


def towers(report, tmp):
    """Modules with names, on models of two towers and a projector."""
    config = {"text_config": {"num_hidden_layers": 4, "layer_types": list("wxyz")}, "vision_config": {"depth": 2}, "num_hidden_layers": 4}
    for name, value in (("base", 1), ("a", 10), ("b", 100)):
        model(tmp, name, value, config=config, names=TOWERS)
    text_of = "modules:\n  text_decoder:\n    parameters: {weight: %d}\n    %s\n"
    task = "merge_method: task_arithmetic\nbase_model: base\n"
    run = lt.merge_recipe(tmp, task + text_of % (2, "models: [a]") + "  vision_tower: {models: [base]}\n")
    problems = run.problems() or lt.is_equal("values", [values(tmp)[n] for n in (NAMES[0], UP % 3, "lm_head.weight", EYE % 1, "visual.merger.mlp.0.weight")],
                                          [19, 22, 19, 1, 1])
    problems += [] if "no module has visual.merger.mlp.0.weight: 1 tensor of base" in run.err else [run.err]
    report.case("modules: a weight of its own, the base alone, the rest", problems)
    source = "{model: %s, layer_range: [%d, %d]}"
    slices = "slices: [{sources: [%s, %s]}, {sources: [%s]}]" % tuple(source % x for x in (("base", 0, 3), ("a", 1, 4), ("base", 3, 4)))
    run = lt.merge_recipe(tmp, task + text_of % (1, slices) + "  visual:\n    slices: [{sources: [%s, %s]}]\n    parameters: {weight: 3}\n"
                % (source % ("base", 0, 1), source % ("b", 1, 2)), out="o2")
    problems = run.problems()
    if not problems:
        got = values(tmp, "o2")
        problems = lt.is_equal("layers", [got.get(UP % i) for i in range(5)], [11, 12, 13, 4, None])
        problems += lt.is_equal("blocks, others", [got.get(n) for n in (EYE % 0, EYE % 1, "visual.patch_embed.weight", NAMES[0], "lm_head.weight")],
                             [298, None, 298, 10, 1])
        got = json.loads(text(tmp, "o2", "config.json"))
        problems += lt.is_equal("config.json", (got["text_config"], got["vision_config"], got["num_hidden_layers"]),
                             ({"num_hidden_layers": 4, "layer_types": list("wxyz")}, {"depth": 1}, 4))
    report.case("modules: slices of two towers", problems)
    one = "- sources: [{model: a, layer_range: [1, 3]}]\n"
    run = lt.merge_recipe(tmp, "merge_method: passthrough\nslices:\n" + one + "- sources: [{model: b, layer_range: [3, 4]}]\n", out="o3")
    problems = run.problems()
    if not problems:
        got = values(tmp, "o3")
        problems = lt.is_equal("layers", [got.get(n) for n in (UP % 0, UP % 1, UP % 2, EYE % 1, NAMES[0], "lm_head.weight")], [11, 12, 103, 10, 10, 100])
        problems += lt.is_equal("config.json", json.loads(text(tmp, "o3", "config.json"))["text_config"], {"num_hidden_layers": 3, "layer_types": list("xyz")})
        problems += [] if "slices: the layers are those of model.layers; those of visual.blocks are merged by name" in run.err else [run.err]
    report.case("slices without modules are of the text", problems)
    run = lt.merge_recipe(tmp, "merge_method: passthrough\nbase_model: base\nmodules: {default: {slices: [{sources: [{model: a, layer_range: [0, 2]}]}]}, visual.blocks: {models: [b]}}", out="o4")
    problems = run.problems() or lt.is_equal("values", [values(tmp, "o4").get(n) for n in (UP % 1, UP % 2, EYE % 1, "visual.patch_embed.weight")], [11, None, 100, 10])
    report.case("modules: default is what others leave", problems)
    llm = {"text_config": {"num_hidden_layers": 4}}
    model(tmp, "llm", 1000, config=llm, names=NAMES + ["lm_head.weight"])
    run = lt.merge_recipe(tmp, task.replace("base_model: base", "base_model: llm") + text_of % (1, "models: [a, b]"), "--report", "audit.json", out="o5")
    problems = run.problems()
    if not problems:
        got = values(tmp, "o5")
        problems = lt.is_equal("values", [got.get(n) for n in (NAMES[0], EYE % 1)], [-890, 10])
        got = {t["name"]: t.get("reason") for t in json.loads(text(tmp, "audit.json"))["models"][1]["tensors"]}
        problems += [] if "config.json is that of llm, which lacks them" in run.err else [run.err]
        problems += lt.is_equal("reason", got[EYE % 1], "of no module: another model gives it")
    report.case("modules: what the base lacks is the first model's", problems)
    vlm = {n: ("language_model." + n if "visual" not in n else n) for n in TOWERS}
    for name, value, there in (("vlm", 1, vlm.values()), ("vicuna", 10, [n for n in TOWERS if "visual" not in n])):
        lt.write_model(os.path.join(tmp, name), {n: lt.Tensor("F32", (2,), lt.encode("F32", [value] * 2)) for n in there}, config=llm)
    for i, (of, base) in enumerate((("vicuna", "vlm"), ("vlm", "vicuna"))):
        run = lt.merge_recipe(tmp, task.replace("base_model: base", "base_model: " + base) + text_of % (2, f"models: [{of}]"), "--report", f"audit{i}.json", out=f"o7{i}")
        problems = run.problems()
        if not problems:
            got = values(tmp, f"o7{i}")
            problems = lt.is_equal("names", sorted(got), sorted(vlm.values())) + lt.is_equal("value", {v for n, v in got.items() if "visual" not in n}, {-8 if i else 19})
            problems += lt.is_equal("others", {v for n, v in got.items() if "visual" in n}, {1})
        problems += [] if f"vicuna: its tensors are named as the text of vlm" in run.err else [run.err]
        report.case(f"modules: a model of text in {of}", problems)
    model(tmp, "unet", 1, names=[f"{x}_blocks.{i}.w" for x in ("down", "up") for i in range(3)])
    model(tmp, "loose", 1, names=["x.w", "y.w"])
    body = "{models: [a]}"
    for given, words, of in (("modules: {encoder: %s}" % body, "recipe.yml:3:11: no tensor of a is of a module 'encoder'; its modules are text_decoder, vision_tower, multi_modal_projector, default", "a"),
                             ("modules: {text_decoder: %s, llm: %s}" % (body, body), "recipe.yml:3:40: no tensor of a is of a module 'llm'", "a"),
                             ("slices: [{sources: [{model: unet, layer_range: [0, 1]}]}]", "recipe.yml:3:9: slices: which layers are meant? unet has down_blocks (3), up_blocks (3); write modules: {down_blocks: {slices: ...}}", "unet"),
                             ("slices: [{sources: [{model: loose, layer_range: [0, 1]}]}]", "recipe.yml:3:9: slices: loose has no numbered layers there; write models instead", "loose"),
                             ("modules: {visual: {slices: [{sources: [{model: a, layer_range: [1, 3]}]}]}}", "a: has no layer 2 of visual.blocks, which layer_range [1, 3] asks for; it has 2, from 0 on", "a"),
                             ("modules: {'': %s}" % body, "3:15: a module without a name", "a"),
                             ("modules: {text_decoder: {models: [b, llm]}, vision_tower: {models: [b, llm]}}", "llm: tensor visual.blocks.0.up.weight is missing", "a")):
        run = lt.merge_recipe(tmp, f"merge_method: linear\nparameters: {{weight: 1}}\n{given}\n", out="o6")
        report.case(f"modules: {given[:40]}", lt.refusal(tmp, run, words, out="o6"))


def random_model(tmp, name, seed, dtype="F32"):
    """Large enough for blocks that are not whole; with a tensor of whole numbers."""
    r, ts = random.Random(seed), {}
    shapes = {"model.embed_tokens.weight": (70, 64), "model.norm.weight": (64,), "lm_head.weight": (70, 64)}
    shapes.update({f"model.layers.{i}.up.weight": (130, 64) for i in range(4)})
    for n, shape in shapes.items():
        x = lt.round_f32([r.gauss(0, 1) for _ in range(shape[0] * (shape + (1,))[1])])
        ts[n] = lt.Tensor(dtype, shape, lt.encode(dtype, x))
    ts["model.steps"] = lt.Tensor("I64", (2,), struct.pack("<2q", 7, -9))
    config = {"num_hidden_layers": 4, "torch_dtype": "float32", "tie_word_embeddings": False}
    lt.write_model(os.path.join(tmp, name), ts, config=config)
    with open(os.path.join(tmp, name, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write("{}")


def text_bytes(tmp, out):
    with open(os.path.join(tmp, out, "model.safetensors"), "rb") as f:
        return f.read()


STAGES = {
    "one": "merge_method: ties\nbase_model: base\ndtype: bfloat16\nmodels:\n"
           "- {model: a, parameters: {weight: 0.6, density: 0.4}}\n- {model: b, parameters: {weight: 0.7, density: 0.3}}\n",
    "two": "merge_method: dare_ties\nbase_model: base\ndtype: float16\nslices:\n"
           "- sources: [{model: base, layer_range: [0, 3]}, {model: one, layer_range: [1, 4], parameters: {weight: 1, density: 0.5}}]\n",
    "three": "merge_method: passthrough\nslices: [{sources: [{model: two, layer_range: [0, 2]}]}]\n"
             "chat_template: '{{ a template of the third }}'\n",
    "": "merge_method: slerp\nbase_model: three\nparameters: {t: 0.3}\ndtype: float32\nslices:\n"
        "- sources: [{model: three, layer_range: [0, 2]}, {model: one, layer_range: [2, 4]}]\n",
}


def several(report, tmp):
    """All documents in one file give the bits of one merge after the other."""
    for name, seed in (("base", 1), ("a", 2), ("b", 3)):
        random_model(tmp, name, seed)
    documents = [(f"name: {n}\n" if n else "") + t for n, t in STAGES.items()]
    problems, before = [], set(os.listdir(tmp))
    for i, words in enumerate(([], ["--threads", "1"])):
        run = lt.merge_recipe(tmp, "---\n".join(documents[::-1 if i else 1]), "--random-seed", 5, *words, out=f"out{i}")
        problems += run.problems()
    problems += lt.is_equal("new files", set(os.listdir(tmp)) - before, {"recipe.yml", "out0", "out1"})
    for name, recipe in STAGES.items():
        problems += lt.merge_recipe(tmp, recipe, "--random-seed", 5, out=name or "last").problems()
    if not problems:
        for file in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
            texts = []
            for folder in ("last", "out0", "out1"):
                with open(os.path.join(tmp, folder, file), "rb") as f:
                    texts.append(f.read())
            problems += [] if texts[0] == texts[1] == texts[2] else [f"{file} differs"]
    report.case("several recipes in one file", problems)
    with_base, pair = "base_model: base\n", "models: [a, b]\n"
    for method, words in (("sce", with_base + pair + "parameters: {select_topk: 0.3}"), ("arcee_fusion", with_base + "models: [a]"),
                          ("nuslerp", pair + "parameters: {weight: 0.4, nuslerp_flatten: false, nuslerp_row_wise: true}"),
                          ("della", with_base + pair + "parameters: {weight: 0.5, density: 0.4}"), ("ram", with_base + pair),
                          ("karcher", pair), ("model_stock", with_base + pair), ("breadcrumbs", with_base + pair + "parameters: {weight: 1, density: 0.7}")):
        first, last = f"merge_method: {method}\n{words}\n", "merge_method: linear\nmodels: [first, a]\nparameters: {weight: 1}\n"
        problems = []
        for recipe, out in ((f"name: first\n{first}---\n{last}", "at_once"), (first, "first"), (last, "apart")):
            problems += lt.merge_recipe(tmp, recipe, "--overwrite", out=out).problems()
        if not problems and text_bytes(tmp, "apart") != text_bytes(tmp, "at_once"):
            problems = ["other bits than of two merges"]
        report.case(f"the result of {method} as a model", problems)
    plain = "merge_method: linear\nparameters: {weight: 1}\nmodels: [%s]\n"
    run = lt.merge_recipe(tmp, "---\n".join(["name: x\n" + plain % "a", plain % "b"]), out="o2")
    problems = run.problems() or ([] if "recipe 'x' is not used" in run.err else [run.err])
    report.case("a recipe that is not used", problems)
    for what, texts, words in (("a circle", ["name: x\n" + plain % "y", "name: y\n" + plain % "x", plain % "y"], "made from its own result"),
                               ("itself", ["name: x\n" + plain % "x", plain % "x"], "made from its own result"),
                               ("a name twice", ["name: x\n" + plain % "a", "name: x\n" + plain % "a", plain % "x"], "recipe.yml:7:7: two recipes"),
                               ("two without", [plain % "a", plain % "b"], "recipe.yml:6:1: a second recipe without a name"),
                               ("none without", ["name: x\n" + plain % "a", "name: y\n" + plain % "b"], "all recipes have names"),
                               ("a mistake", ["name: x\nmodels: [a]\nmerge_method: lineer", plain % "x"], "recipe.yml:3:15: unknown merge method"),
                               ("no such model", ["name: x\n" + plain % "nowhere", plain % "x"], "recipe 'x'"),
                               ("very many", [f"name: x{i}\n" + plain % ", ".join([f"x{i - 1}" if i else "a"] * 16) for i in range(9)] + [plain % "x8"],
                                "more than 1024 models")):
        report.case(f"several: {what}", lt.refusal(tmp, lt.merge_recipe(tmp, "\n---\n".join(texts), out="o3"), words, out="o3"))


def names(report, tmp):
    """Tensors that not all models have; models that are files."""
    model(tmp, "a", 1, names=NAMES + ["of_a"])
    model(tmp, "b", 10, names=NAMES + ["of_b", "of_bc"])
    model(tmp, "c", 100, names=NAMES + ["of_bc"])
    file = "/model.safetensors"
    recipe = f"merge_method: linear\nmodels: [{{model: a{file}, parameters: {{weight: 0}}}}, b{file}, c{file}]\nparameters: {{weight: 1}}\n"
    report.case("other names", lt.refusal(tmp, lt.merge_recipe(tmp, recipe), "is missing, which"))
    run = lt.merge_recipe(tmp, recipe, "--tensor-intersection")
    problems = run.problems()
    if not problems:
        problems = lt.is_equal("names", sorted(values(tmp)), sorted(NAMES)) + lt.is_equal("value", values(tmp)[NAMES[0]], 55)
        problems += [f"no {w} in {run.err}" for w in ("of_a", "2 tensors are left out") if w not in run.err]
    report.case("--tensor-intersection", problems)
    run = lt.merge_recipe(tmp, recipe, "--tensor-union", out="o2")
    problems = run.problems()
    if not problems:
        got = values(tmp, "o2")
        problems = lt.is_equal("own tensors", [got.get(n) for n in ("of_a", "of_b", "of_bc", NAMES[0])], [1, 10, 55, 55])
    report.case("--tensor-union", problems)
    task = recipe.replace("linear", "task_arithmetic") + f"base_model: a{file}\n"
    report.case("--tensor-union without the base", lt.refusal(tmp, lt.merge_recipe(tmp, task, "--tensor-union", out="o3"), "tensor of_bc: task_arithmetic has no rule", out="o3"))
    run = lt.merge_recipe(tmp, task.replace(f", c{file}", ""), "--tensor-union", out="o4")
    problems = run.problems()
    if not problems:
        got = values(tmp, "o4")
        problems = lt.is_equal("base's, a model's, both", [got.get(n) for n in ("of_a", "of_b", NAMES[0])], [1, 10, 10])
    report.case("--tensor-union with the base", problems)
    report.case("both", lt.refusal(tmp, lt.merge_recipe(tmp, recipe, "--tensor-union", "--tensor-intersection", out="o3"), "exclude each other", out="o3"))
    sliced = "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 2]}]}]\n"
    report.case("slices", lt.refusal(tmp, lt.merge_recipe(tmp, sliced, "--tensor-union", out="o3"), "not slices", out="o3"))


def apart(report, tmp):
    """Two models that differ from the base by opposite amounts: model_stock has nowhere to go."""
    for name, value in (("a", 3), ("b", 1), ("base", 2)):
        model(tmp, name, value)
    for rows in ("false", "true"):
        run = lt.merge_recipe(tmp, f"merge_method: model_stock\nbase_model: base\nmodels: [a, b]\nparameters: {{filter_wise: {rows}}}\n", out=f"stock-{rows}")
        problems = run.problems() or lt.is_equal("values", set(values(tmp, f"stock-{rows}").values()), {2, 3, 4, 5})
        report.case(f"model_stock of opposites, filter_wise: {rows}", problems)


def stacks(report, tmp):
    """Models of several parts: a gradient goes over each stack of layers."""
    text_part = [f"model.layers.{i}.up.weight" for i in range(3)]
    vision = [f"visual.blocks.{i}.up.weight" for i in range(5)]
    for name, value in (("a", 1), ("b", 101)):
        model(tmp, name, value, names=text_part + vision + NAMES[:2])
    recipe = "merge_method: slerp\nbase_model: a\nmodels: [b]\nparameters: {t: [0, 1]}\n"
    run = lt.merge_recipe(tmp, recipe)
    problems = run.problems()
    if not problems:
        got = values(tmp)
        problems = lt.is_equal("places", [round(got[n], 4) for n in text_part + vision], [1, 52, 103, 1, 26, 51, 76, 101])
    report.case("a gradient over each stack", problems)


def options(report, tmp):
    """The words of mergekit-yaml, mergekit-multi and mergekit-pytorch; docs/coming-from-mergekit.md lists them."""
    model(tmp, "a", 1)
    model(tmp, "b", 3)
    recipe = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b]\n"
    for i, words in enumerate((["-j", "1", "-v"], ["-j1", "-vv"], ["--num-threads", "1", "--gpu-rich", "--device", "cuda", "--write-threads", "2"],
                               ["-i", "--allow-crimes"], ["-u", "--no-lazy", "-I", "parts"])):
        run = lt.merge_recipe(tmp, recipe, *words, out=f"options{i}")
        report.case(f"options: {' '.join(words)}", run.problems() or lt.is_equal("value", values(tmp, f"options{i}")[NAMES[0]], 2))
    # as click has it: options anywhere
    for i, words in enumerate((["--cuda", "recipe.yml", "any0"], ["--random-seed", "7", "-j", "1", "recipe.yml", "any1", "--lazy-unpickle"],
                               ["recipe.yml", "--cuda", "any2"], ["--no-copy-tokenizer", "--lora-merge-cache", "x", "recipe.yml", "--strict", "any3"])):
        run = lt.ladle("merge", *words, cwd=tmp)
        report.case(f"options: {' '.join(words)}", run.problems() or lt.is_equal("value", values(tmp, f"any{i}")[NAMES[0]], 2))
    run = lt.ladle("merge", "--quiet", "--bogus", "recipe.yml", "any4", cwd=tmp)
    report.case("options: unknown before the recipe", lt.refusal(tmp, run, "unknown flag '--bogus'", out="any4"))
    run = lt.ladle("merge", "recipe.yml", "any4", "more", cwd=tmp)
    report.case("options: a word too many", lt.refusal(tmp, run, "a recipe and a new directory are expected", out="any4"))
    run = lt.ladle("merge", "recipe.yml", "--out-path", "named", "--intermediate-dir", "parts", cwd=tmp)
    problems = run.problems() or lt.is_equal("value", values(tmp, "named")[NAMES[0]], 2)
    problems += [] if "--intermediate_dir has no effect" in run.err else [run.err]
    report.case("options: --out-path", problems + (["parts was made"] if os.path.exists(os.path.join(tmp, "parts")) else []))
    report.case("options: two places", lt.refusal(tmp, lt.merge_recipe(tmp, recipe, "--out-path", "x", out="twice"), "--out_path: the output is 'twice' already", out="twice"))
    report.case("options: -x", lt.refusal(tmp, lt.merge_recipe(tmp, recipe, "-x", out="twice"), "unknown flag '-x'", out="twice"))


def layer_lists(report, tmp):
    text_of = """{ "num_hidden_layers": 4, "layer_types": [
   "full", "sliding",
   "full",  "last"
 ], "no_rope_layers":[1,0, 1, {"x": 1e400}], "other": [1, 2, 3, 4], "mlp_only_layers": [0, 1, 2, 3], "block_list": [1, 2]%s}
"""
    for name, more in (("a", ""), ("b", ', "b": 1')):
        model(tmp, name, 1, {"config.json": text_of % more})
    recipe = "slices:\n" + "".join(f"- sources: [{{model: {m}, layer_range: [{x}, {y}]}}]\n" for m, x, y in (("a", 0, 2), ("b", 1, 2), ("a", 3, 4)))
    run = lt.merge_recipe(tmp, recipe + "merge_method: passthrough\n")
    problems = run.problems()
    want = """{ "num_hidden_layers": 4, "layer_types": [
   "full", "sliding", "sliding", "last"
 ], "no_rope_layers":[1,0,0,{"x": 1e400}], "other": [1, 2, 3, 4], "mlp_only_layers": [0, 1, 2, 3], "block_list": [1, 2]}
"""
    report.case("lists for each layer", problems or lt.is_equal("config.json", text(tmp, "out", "config.json"), want))
    run = lt.merge_recipe(tmp, recipe.replace("[0, 2]", "[0, 0]") + "merge_method: linear\nparameters: {weight: 1}\nbase_model: b\n", out="o2")
    problems = run.problems()
    want = want.replace('4, "layer', '2, "layer').replace('"full", "sliding", "sl', '"sl').replace(":[1,0,0,", ":[0,").replace("1, 2]}", '1, 2], "b": 1}').replace("[0, 1, 2, 3], \"block", "[0, 1], \"block")
    report.case("lists of a donor", problems or lt.is_equal("config.json", text(tmp, "o2", "config.json"), want))


def nested(report, tmp):
    """Values inside the configs of a model's parts; every other byte stays."""
    config = """{ "text_config" : {"vocab_size":6, "torch_dtype": "float32","x": 1e400, "tie_word_embeddings": true,
      "num_hidden_layers":4,  "layer_types": ["w",  "x", "y", "z"], "mlp_only_layers": [0, 3]},
  "vision_config": {"depth": 4, "num_hidden_layers": 4, "vocab_size": 6, "dtype":"float32", "layer_types": [1, 2, 3, 4]},
  "talker_config": {"num_hidden_layers": 4, "vocab_size": 6, "dtype": "auto"}, "quantization_config": {"dtype": "float32"},
  "vision_config_dtype": "float32", "rope": {"dtype": "float32"}, "dtype": "float32"\n}
"""
    rows = [n for n in NAMES if "embed" not in n] + ["lm_head.weight"]
    for name, high in (("a", 6), ("b", 4)):
        ts = {n: lt.Tensor("F32", (4, 4), lt.encode("F32", [1.0] * 16)) for n in rows if name == "a" or n != "lm_head.weight"}
        ts[NAMES[0]] = lt.Tensor("F32", (high, 4), lt.encode("F32", [1.0] * 4 * high))
        lt.write_model(os.path.join(tmp, name), ts)
        with open(os.path.join(tmp, name, "config.json"), "w", encoding="utf-8") as f:
            f.write(config if name == "b" else '{"tie_word_embeddings": false}')
    linear = "merge_method: linear\nparameters: {weight: 1}\ndtype: bfloat16\n"
    run = lt.merge_recipe(tmp, linear + "models: [b, a]\n")
    want = config.replace('"vocab_size":6', '"vocab_size":4').replace('"torch_dtype": "float32"', '"torch_dtype": "bfloat16"')
    want = want.replace('"dtype":"float32"', '"dtype":"bfloat16"').replace('"dtype": "float32"\n', '"dtype": "bfloat16", "tie_word_embeddings" : false\n')
    want = want.replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
    problems = run.problems() or lt.is_equal("config.json", text(tmp, "out", "config.json"), want)
    problems += [] if "b: its head was its embedding" in run.err else [run.err]
    report.case("values inside text_config", problems)
    slices = "".join(f"- sources: [{{model: b, layer_range: [{k}, {k + 1}]}}]\n" for k in (1, 3))
    run = lt.merge_recipe(tmp, "merge_method: passthrough\nslices:\n" + slices, out="o2")
    want = config.replace('"num_hidden_layers":4', '"num_hidden_layers":2').replace('["w",  "x", "y", "z"]', '["x",  "z"]').replace("[0, 3]", "[1]")
    problems = run.problems() or lt.is_equal("config.json", text(tmp, "o2", "config.json"), want)
    problems += [] if "the output has 64 parameters, b has 96; 2 layers of model.layers instead of 4" in run.err else [run.err]
    report.case("layers inside text_config", problems)
    three = [f"{s}.{i}.w" for s in ("thinker.model.layers", "thinker.visual.blocks", "talker.model.layers") for i in range(3)]
    config = {"thinker_config": {"text_config": {"num_hidden_layers": 3}, "vision_config": {"depth": 3}}, "talker_config": {"num_hidden_layers": 3}}
    model(tmp, "omni", 1, names=three + ["talker.codec_head.weight"], config=config)
    slices = "slices: [{sources: [{model: omni, layer_range: [1, 3]}]}]"
    run = lt.merge_recipe(tmp, f"merge_method: passthrough\nmodules: {{thinker: {{{slices}}}}}\n", out="o5")
    config["thinker_config"]["text_config"]["num_hidden_layers"] = 2
    problems = run.problems() or lt.is_equal("config.json", json.loads(text(tmp, "o5", "config.json")), config)
    if not problems:
        problems = lt.is_equal("names", sorted(values(tmp, "o5")), sorted([n for n in three if n != "thinker.model.layers.2.w"] + ["talker.codec_head.weight"]))
    report.case("layers inside thinker_config.text_config", problems)
    run = lt.merge_recipe(tmp, f"merge_method: passthrough\n{slices}\n", out="o6")
    report.case("thinker or talker", lt.refusal(tmp, run, "which layers are meant? omni has talker.model.layers (3), thinker.model.layers (3)", out="o6"))
    token = {"id": 0, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for name, words in (("u", "abcd"), ("v", "abxd")):
        tokenizer = {"added_tokens": [dict(token, content="a")], "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": []}}
        model(tmp, name, 1, {"tokenizer.json": json.dumps(tokenizer)}, config={"llm_config": {"vocab_size": 4}, "vision_config": {"vocab_size": 4}})
    run = lt.merge_recipe(tmp, "merge_method: linear\nparameters: {weight: 1}\nbase_model: u\ntokenizer_source: union\nmodules: {llm: {models: [u, v]}}\n", out="o4")
    problems = run.problems() or lt.is_equal("config.json", json.loads(text(tmp, "o4", "config.json")), {"llm_config": {"vocab_size": 5}, "vision_config": {"vocab_size": 4}})
    report.case("a vocabulary inside llm_config", problems)
    names = [f"decoder.block.{i}.w" for i in range(3)] + ["decoder.block.0.bias"] + [f"encoder.block.{i}.w" for i in range(2)]
    model(tmp, "t5", 1, names=names, config={"num_layers": 2, "d_model": 4})
    run = lt.merge_recipe(tmp, "merge_method: passthrough\nmodules: {decoder: {slices: [{sources: [{model: t5, layer_range: [1, 3]}]}]}}\n", out="o3")
    problems = run.problems() or lt.is_equal("config.json", json.loads(text(tmp, "o3", "config.json")), {"num_layers": 2, "d_model": 4})
    for line in ("config.json: no number of layers of decoder.block is found in it; they are 2 now",
                 "layer 0 of decoder.block comes from layer 1, whose tensors have other names"):
        problems += [] if line in run.err else [f"no {line!r} in {run.err!r}"]
    report.case("a count that is nowhere, a layer in another's place", problems)


def audit(report, tmp):
    """--report: every tensor of every input is there, with where it went or why nowhere."""
    for name in "ab":
        model(tmp, name, 1)
    slices = "- sources: [{model: %s, layer_range: [%d, %d]}]\n"
    recipe = "name: x\nmerge_method: linear\nmodels: [a, b]\nparameters: {weight: 1}\n---\nmerge_method: passthrough\nslices:\n"
    recipe += slices % ("x", 0, 2) + slices % ("x", 1, 3) + slices % ("b", 3, 4)
    run = lt.merge_recipe(tmp, recipe, "--report", "audit.json")
    problems = run.problems()
    if not problems:
        got = json.loads(text(tmp, "audit.json"))
        problems = lt.is_equal("counts", (got["output"], got["parameters"], got["tensors"]), ("out", 7 * 16, 7))
        x, b = ({t["name"]: t.get("output") or t["reason"] for t in m["tensors"]} for m in got["models"])
        up = "model.layers.%d.up.weight"
        problems += lt.is_equal("x", x, {up % 0: [up % 0], up % 1: [up % 1, up % 2], up % 2: [up % 3], up % 3: "no slice takes layer 3",
                                      NAMES[0]: [NAMES[0]], NAMES[1]: "of no layer: the last slice's models give it"})
        problems += lt.is_equal("b", (b[up % 3], b[NAMES[1]], b[NAMES[0]]), ([up % 4], [NAMES[1]], "of no layer: the first slice's models give it"))
        problems += lt.is_equal("stage", [(r["name"], r["parameters"], len(r["models"][1]["tensors"])) for r in got["results"]], [("x", 6 * 16, 6)])
    report.case("--report", problems)
    report.case("--report on a file", lt.refusal(tmp, lt.merge_recipe(tmp, recipe, "--report", "a/config.json", out="o2"), "a/config.json is there already", out="o2"))
    run = lt.merge_recipe(tmp, recipe, "--report", "nowhere/x.json", out="o3")
    report.case("--report into nothing", [] if run.rc and "o3 is complete, but not its report" in run.err else [run.err])
    model(tmp, "c", 1, names=NAMES + ["of_c"])
    recipe = "merge_method: linear\nmodels: [a, c]\nparameters: {weight: 1}\n"
    run = lt.merge_recipe(tmp, recipe, "--report", "audit.json", "--overwrite", "--tensor-intersection", out="o4")
    problems = run.problems()
    if not problems:
        got = json.loads(text(tmp, "audit.json"))["models"][1]["tensors"]
        problems = lt.is_equal("left out", [t for t in got if "reason" in t], [{"name": "of_c", "parameters": 16, "reason": "not all models have it"}])
    report.case("--report of an intersection", problems)


def main():
    lt.need_program()
    report = lt.Report()
    for part in (slice_bases, chat, modules, towers, several, names, apart, stacks, options, layer_lists, nested, audit):
        with lt.workdir() as tmp:
            part(report, tmp)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
