#!/usr/bin/env python3
"""compat.py -- merged checkpoints as `transformers` sees them (./dev compat; torch is too big for each run).

Tiny LlamaForCausalLM and BertModel checkpoints, saved by transformers itself (one file and shards,
f32 and bf16), merged by ladle, loaded with from_pretrained: no missing and no unexpected key, the
weights those of npmerge.py, and the Llama generates. Tied embeddings included. Then the merges of
architectures.py: by name, slices, modules; no missing and no unexpected key.
SPDX-License-Identifier: Apache-2.0"""
import json, os, sys

os.environ.update(TQDM_DISABLE="1", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import ladletest as lt

lt.need_program()
lt.need_module("numpy", "torch", "transformers")
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import architectures as arch  # noqa: E402
import npmerge as nm  # noqa: E402

DTYPE = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def llama(tied):
    config = transformers.LlamaConfig(hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, vocab_size=300, tie_word_embeddings=tied)
    return transformers.LlamaForCausalLM(config)


def bert(_):
    config = transformers.BertConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                     vocab_size=300)
    return transformers.BertModel(config)


def save(make, tied, dtype, path, seed, shard):
    torch.manual_seed(0)
    model = make(tied).to(dtype)
    if seed:
        torch.manual_seed(seed)
        with torch.no_grad():
            for p in model.parameters():
                p.add_((torch.randn_like(p.float()) * 0.01).to(dtype))
    model.save_pretrained(path, max_shard_size=shard)
    return path


def stored(path):
    out = {}
    for f in sorted(os.listdir(path)):
        if f.endswith(".safetensors"):
            out.update(lt.read_safetensors(os.path.join(path, f))[0])
    return out


def check(tmp, make, cls, tied, dtype, method, params):
    models = [save(make, tied, dtype, os.path.join(tmp, f"m{i}"), i, "100KB" if i == 1 else "1GB") for i in range(3)]
    out = os.path.join(tmp, "OUT")
    use = models[1:3]
    base = models[0] if method != "slerp" else None
    words = nm.flags(method, **params) + ["--model_path_list", *use, "--n_process", "2", "--output_path", out]
    run = lt.ladle("merge", *words, *(["--base_model_path", base] if base else []))
    if run.rc:
        return run.problems()
    want = nm.merge([stored(m) for m in use], base and stored(base), method, **params)
    model, info = cls.from_pretrained(out, output_loading_info=True, dtype="auto")
    problems = [f"{k}: {list(info[k])[:4]}" for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)]
    if next(model.parameters()).dtype != dtype:
        problems.append(f"loaded as {next(model.parameters()).dtype}, expected {dtype}")
    state = model.state_dict()
    for name, t in want.items():
        if name not in state:
            problems.append(f"{name} is not in the loaded model")
        elif state[name].dtype in DTYPE and not np.array_equal(state[name].float().numpy().ravel(), nm.decode(t)):
            problems.append(f"{name} has other weights")
    if hasattr(model, "generate") and cls is transformers.LlamaForCausalLM:
        ids = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=5, do_sample=False, pad_token_id=0)
        if ids.shape[1] < 4:
            problems.append(f"generated {ids.tolist()}")
    else:
        hidden = model(torch.tensor([[1, 2, 3]])).last_hidden_state
        if not torch.isfinite(hidden.float()).all():
            problems.append("the model's output is not finite")
    return problems


# Slices that cut through a pattern which config.json gives as a period (docs/architectures.md).
CUT_PATTERN = {("jamba", "slices")}


def load(path, cls):
    _, info = getattr(transformers, cls).from_pretrained(path, output_loading_info=True)
    return [f"{k}: {sorted(v)[:3]}" for k, v in info.items() if v and (k.endswith("_keys"))]


def architectures(report):
    for file in sorted(os.listdir(arch.FOLDER)):
        name, cls = file[:-5], None
        if file.endswith(".json"):
            with open(os.path.join(arch.FOLDER, file), encoding="utf-8") as f:
                library, *_, cls = json.load(f)["source"].split(", ")
        if not cls or not library.startswith("transformers"):
            continue
        with lt.workdir() as tmp:
            case = arch.Case(tmp, name)
            problems = arch.by_name(case)
            problems += arch.slices(case) if name in arch.SLICES else []
            problems += arch.modules(case) if name in arch.MODULES else []
            for out in ("linear", "slices", "modules"):
                if os.path.isdir(os.path.join(tmp, out)) and (name, out) not in CUT_PATTERN:
                    problems += [f"{out}: {p}" for p in load(os.path.join(tmp, out), cls)]
            report.case(f"{name} loads as {cls}", problems)


def main():
    report = lt.Report()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    cases = [("linear", dict(weight_list=[0.4, 0.6], normalize=True)), ("slerp", {}), ("ties", dict(reserve_p=0.3)),
             ("della", dict(reserve_p=0.5)), ("dare_linear", dict(reserve_p=0.5))]
    for name, make, cls, tied in (("Llama", llama, transformers.LlamaForCausalLM, False),
                                  ("Llama tied", llama, transformers.LlamaForCausalLM, True),
                                  ("Bert", bert, transformers.BertModel, False)):
        for dtype in (torch.float32, torch.bfloat16):
            for method, params in cases:
                with lt.workdir() as tmp:
                    report.case(f"{name} {dtype} {method}", check(tmp, make, cls, tied, dtype, method, params))
    architectures(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
