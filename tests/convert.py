#!/usr/bin/env python3
"""convert.py -- whole runs of `ladle convert`, and merges of models that are kept in different ways.

    same       nothing changes: the bytes of every tensor, NaN payloads included; shards by size
    types      each float type to each other, against ladletest's own rounding
    torch      strided, shared and integer tensors of torch.save's two forms, a nested state dict
    mixture    safetensors in shards, torch and Paddle files of different types in one merge: the same
               bytes as the merge of the same models converted to safetensors first
    mergekit   the torch cases of $LADLE_SHARED/golden/mergekit, through flags
    tied       heads that are embeddings: not twice, not lost
    names      org/name@revision in a Hugging Face cache, single files, what they bring along
The torch and Paddle files are made with the standard library (fuzz/make_corpus.py).
SPDX-License-Identifier: Apache-2.0"""
import collections, json, math, os, random, struct, sys

import ladletest as lt
sys.path.insert(0, os.path.join(lt.HERE, "fuzz"))
import make_corpus as mc  # noqa: E402

STORAGE = {t: mc.named("torch", n + "Storage") for t, n in
           (("F64", "Double"), ("F32", "Float"), ("F16", "Half"), ("BF16", "BFloat16"), ("I64", "Long"), ("BOOL", "Bool"))}
NUMPY = {"F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "I64": "i8", "BOOL": "b1"}


def tensors(seed, dtype, lm_head=True):
    r = random.Random(seed)
    shapes = {"model.embed_tokens.weight": (40, 24), "model.layers.0.up.weight": (70, 24), "model.norm.weight": (24,),
              "model.scale": (), "model.none": (0, 3), "lm_head.weight": (40, 24)}
    out = {}
    for name, shape in shapes.items():
        if name != "lm_head.weight" or lm_head:
            x = lt.round_f32([r.uniform(-2, 2) for _ in range(math.prod(shape))])
            out[name] = lt.Tensor(dtype, shape, lt.encode(dtype, x))
    out["model.steps"] = lt.Tensor("I64", (2,), struct.pack("<2q", 7, -9))
    return out


def strides(shape):
    out, n = [], 1
    for d in reversed(shape):
        out.insert(0, n)
        n *= d
    return tuple(out)


def torch_parts(ts):
    """A state dict and its storages, one for each tensor."""
    d, storages = collections.OrderedDict(), []
    for i, (name, t) in enumerate(ts.items()):
        n = math.prod(t.shape)
        storages.append(mc.Storage(STORAGE[t.dtype], str(i), n, t.raw))
        d[name] = mc.Tensor(storages[-1], 0, t.shape, strides(t.shape))
    return d, storages


def write(path, raw):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(raw)


def write_json(path, value):
    write(path, json.dumps(value).encode())


def one_file(folder):
    return lt.read_safetensors(os.path.join(folder, "model.safetensors"))[0]


def unlike(got, want):
    problems = [f"missing {sorted(set(want) - set(got))}, extra {sorted(set(got) - set(want))}"] if set(got) != set(want) else []
    return problems + [f"{k}: {got[k].dtype} {got[k].shape} differs from {want[k].dtype} {want[k].shape}"
                       for k in sorted(set(got) & set(want)) if got[k] != want[k]]


def convert(tmp, model, *words, name="o"):
    return lt.ladle("convert", model, name, "--overwrite", *words, cwd=tmp), os.path.join(tmp, name)


# ---- the groups ----

def group_same(report):
    with lt.workdir() as tmp:
        ts = tensors(1, "F32")
        odd = struct.pack("<6I", 0x7fc00001, 0xffa00000, 0x7f800000, 0x80000000, 1, 0x7f800001)
        ts["odd"] = lt.Tensor("F32", (6,), odd)
        lt.write_model(os.path.join(tmp, "m"), ts, shards=3)
        run, out = convert(tmp, "m")
        report.case("same bytes", run.problems() or unlike(one_file(out), ts))
        report.case("same, its files", [f for f in os.listdir(out) if f not in ("model.safetensors", "config.json")])
        run, out = convert(tmp, "m", "--shard_size", "4000", name="s")
        problems = run.problems() or unlike(lt.read_model(out), ts)
        for f in os.listdir(out):
            head, _, start = lt.read_header(os.path.join(out, f)) if f.endswith(".safetensors") else ({}, None, 0)
            data = os.path.getsize(os.path.join(out, f)) - start
            if data > 4000 and len(head) > 1:
                problems.append(f"{f} holds {data} bytes in {len(head)} tensors")
        report.case("shards by size", problems)
        run, out = convert(tmp, "s", name="t")
        report.case("shards joined again", run.problems() or unlike(one_file(out), ts))


def group_types(report):
    r = random.Random(2)
    x = [r.uniform(-1, 1) * 10.0 ** r.randint(-9, 6) for _ in range(5000)] + [0.0, -0.0, 65504.0, 65519.0, 65520.0, 1e-7, 2e-8]
    for a in ("F64", "F32", "F16", "BF16"):
        with lt.workdir() as tmp:
            raw = lt.encode(a, x)
            lt.write_model(os.path.join(tmp, "m"), {"x": lt.Tensor(a, (len(x),), raw)}, config={"torch_dtype": "x", "dtype": 3})
            read = lt.round_f32(lt.decode(a, raw))
            for b in ("F64", "F32", "F16", "BF16"):
                run, out = convert(tmp, "m", "--dtype", b.lower())
                want = raw if a == b else lt.encode(b, read)
                problems = run.problems() or ([] if one_file(out)["x"].raw == want else ["other bytes"])
                with open(os.path.join(out, "config.json")) as f:
                    word = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}[b]
                    if json.load(f) != {"torch_dtype": word, "dtype": word}:
                        problems.append("config.json does not name the type")
                report.case(f"{a} to {b}", problems)


def group_torch(report):
    raw = lt.encode("F32", lt.round_f32([i / 7 for i in range(60)]))
    ints = struct.pack("<12q", *range(12))
    s, k = mc.Storage(STORAGE["F32"], "0", 60, raw), mc.Storage(STORAGE["I64"], "1", 12, ints)
    x = lt.decode("F32", raw)
    d = collections.OrderedDict()
    d["turned"] = mc.Tensor(s, 0, (6, 10), (1, 6))
    d["part"] = mc.Tensor(s, 3, (4, 5), (12, 2))
    d["spread"] = mc.Tensor(s, 7, (3, 2), (0, 1))
    d["channels last"] = mc.Tensor(s, 0, (2, 3, 5, 2), (30, 1, 6, 3))
    d["turned integers"] = mc.Tensor(k, 0, (4, 3), (1, 4))
    want = {"turned": (6, 10, [x[i + 6 * j] for i in range(6) for j in range(10)]),
            "part": (4, 5, [x[3 + 12 * i + 2 * j] for i in range(4) for j in range(5)]),
            "spread": (3, 2, [x[7 + j] for i in range(3) for j in range(2)]),
            "channels last": (2, 3, 5, 2, [x[30 * n + c + 6 * h + 3 * w] for n in range(2) for c in range(3)
                                           for h in range(5) for w in range(2)])}
    want = {n: lt.Tensor("F32", v[:-1], lt.encode("F32", v[-1])) for n, v in want.items()}
    want["turned integers"] = lt.Tensor("I64", (4, 3), struct.pack("<12q", *[i + 4 * j for i in range(4) for j in range(3)]))
    for form in (mc.torch_zip, mc.torch_legacy):
        with lt.workdir() as tmp:
            write(os.path.join(tmp, "a.pth"), form(d, [s, k]))
            run, out = convert(tmp, "a.pth")
            report.case(f"{form.__name__}: odd tensors", run.problems() or unlike(one_file(out), want))
            write(os.path.join(tmp, "b.ckpt"), form({"epoch": 3, "state_dict": d, "optimizer": {"lr": 0.1}}, [s, k]))
            run, out = convert(tmp, "b.ckpt")
            problems = run.problems() or unlike(one_file(out), want)
            if "optimizer" not in run.err or "epoch" not in run.err:
                problems.append(f"does not say what is left out: {run.err}")
            report.case(f"{form.__name__}: nested", problems)
            run = lt.ladle("merge", "--model_path_list", "a.pth", "b.ckpt", "--output_path", "m", cwd=tmp)
            got = lt.read_model(os.path.join(tmp, "m")) if not run.rc else {}
            report.case(f"{form.__name__}: merged with itself", run.problems() or unlike(got, want))


def group_mixture(report):
    with lt.workdir() as tmp:
        base, a, b, c = (tensors(i, t) for i, t in ((3, "F32"), (4, "BF16"), (5, "F16"), (6, "F32")))
        lt.write_model(os.path.join(tmp, "base"), base)
        lt.write_model(os.path.join(tmp, "a"), a, shards=3)
        names = list(b)
        for i, part in enumerate((names[:3], names[3:]), 1):
            d, storages = torch_parts({k: b[k] for k in part})
            write(os.path.join(tmp, f"b/pytorch_model-0000{i}-of-00002.bin"), mc.torch_zip(d, storages))
        write_json(os.path.join(tmp, "b/pytorch_model.bin.index.json"), {"metadata": {}, "weight_map": {
            k: f"pytorch_model-0000{1 + (k in names[3:])}-of-00002.bin" for k in names}})
        write(os.path.join(tmp, "c/model_state.pdparams"), mc.pickled_arrays(
            {k: (NUMPY[t.dtype], t.shape, t.raw) for k, t in c.items()}, 2))
        for m in ("base", "a", "b", "c"):
            run, out = convert(tmp, m, name=m + "2")
            problems = run.problems() or unlike(one_file(out), {"base": base, "a": a, "b": b, "c": c}[m])
            report.case(f"mixture: {m} converted", problems)
        for method in ("linear", "ties", "dare_ties", "della"):
            outs = []
            for tail in ("", "2"):
                run = lt.ladle("merge", "--merge_method", method, "--model_path_list", "a" + tail, "b" + tail, "c" + tail,
                               "--base_model_path", "base" + tail, "--output_path", method + tail, cwd=tmp)
                outs.append(lt.read_model(os.path.join(tmp, method + tail)) if not run.rc else {"": run.err})
            report.case(f"mixture: {method}", unlike(*outs) if "" not in outs[0] else [outs[0][""]])


def group_mergekit(report):
    golden = os.path.join(lt.SHARED, "golden")
    if not os.path.isdir(golden):
        report.skip("mergekit: torch_bin", f"{golden} is not here")
        return
    a, b = "models/llama_bin_a", "models/llama_bin_b"
    average = ("merge", "--dtype", "float32", "--merge_method", "linear", "--weight_list", "0.5", "0.5", "--model_path_list", a, b, "--output_path")
    for case, words in (("torch_bin", average), ("torch_bin_lazy", ("convert", b))):
        with lt.workdir() as tmp:
            run = lt.ladle(*words, os.path.join(tmp, "o"), cwd=golden)
            want, _ = lt.read_safetensors(os.path.join(golden, "mergekit", case, "expected.safetensors"))
            got = {}
            for f in sorted(os.listdir(os.path.join(tmp, "o"))) if not run.rc else []:
                got.update(lt.read_safetensors(os.path.join(tmp, "o", f))[0] if f.endswith(".safetensors") else {})
            report.case(f"mergekit: {case}", run.problems() or unlike(got, want))


def group_tied(report):
    embed = "model.embed_tokens.weight"
    with lt.workdir() as tmp:
        a, b, full = tensors(7, "F32", False), tensors(8, "F32", False), tensors(9, "F32")
        d, storages = torch_parts(a)
        d["lm_head.weight"] = d[embed]
        for name, config in (("shared", {"tie_word_embeddings": True}), ("untied", {"tie_word_embeddings": False})):
            write(os.path.join(tmp, name, "pytorch_model.bin"), mc.torch_zip(d, storages))
            write_json(os.path.join(tmp, name, "config.json"), config)
        lt.write_model(os.path.join(tmp, "b"), b, config={"tie_word_embeddings": True})
        lt.write_model(os.path.join(tmp, "full"), full, config={"tie_word_embeddings": False})
        run, out = convert(tmp, "shared")
        report.case("tied: written once", run.problems() or unlike(one_file(out), a))
        run, out = convert(tmp, "untied")
        report.case("tied: not where the config says no", run.problems() or unlike(one_file(out), {**a, "lm_head.weight": a[embed]}))

        def merged(*models):
            run = lt.ladle("merge", "--model_path_list", *models, "--output_path", "o2", "--overwrite", cwd=tmp)
            return run, lt.read_model(os.path.join(tmp, "o2")) if not run.rc else {}

        def mean(x, y):
            return lt.encode("F32", lt.round_f32([p + q for p, q in zip(*([v / 2 for v in t.numbers()] for t in (x, y)))]))
        run, got = merged("shared", "b")
        report.case("tied: both", run.problems() or ([] if set(got) == set(a) and got[embed].raw == mean(a[embed], b[embed])
                                                     else [f"{sorted(got)}"]))
        run, got = merged("full", "b")
        ok = not run.rc and got["lm_head.weight"].raw == mean(full["lm_head.weight"], b[embed])
        report.case("tied: one has a head of its own", run.problems() or ([] if ok else ["the head is wrong"]))
        for models in (("b", "full"), ("b", "b")):
            run, got = merged(*models)
            said = json.load(open(os.path.join(tmp, "o2/config.json")))["tie_word_embeddings"]
            report.case(f"tied: {models} as config.json says", run.problems() or
                        ([] if said is ("lm_head.weight" not in got) else [str(said)]))
        # an encoder-decoder, and a bias of two names: torch.save keeps all names, transformers one of each
        lone = {"shared.weight": a[embed], "lm_head.bias": a["model.norm.weight"]}
        more = {"encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight",
                "lm_head.weight": "shared.weight", "lm_head.decoder.bias": "lm_head.bias"}
        d, storages = torch_parts(lone)
        d.update((name, d[of]) for name, of in more.items())
        write(os.path.join(tmp, "all", "pytorch_model.bin"), mc.torch_zip(d, storages))
        for config in ({"tie_word_embeddings": True}, {"tie_word_embeddings": False}):
            tied = config["tie_word_embeddings"]
            write_json(os.path.join(tmp, "all/config.json"), config)
            lt.write_model(os.path.join(tmp, "one"), lone if tied else {**lone, "lm_head.weight": a[embed]}, config=config)
            want = {**lone, **{name: lone[of] for name, of in more.items() if not tied or name == "lm_head.decoder.bias"}}
            for models in (("all", "one"), ("one", "all")):
                run, got = merged(*models)
                report.case(f"tied: {models} {config}", run.problems() or unlike(got, want))
        write_json(os.path.join(tmp, "b/config.json"), {"tie_word_embeddings": False})
        run, _ = merged("full", "b")
        report.case("tied: a missing head is missed", [] if run.rc == 4 and "lm_head.weight" in run.err else [run.err])


def group_names(report):
    with lt.workdir() as tmp:
        ts = tensors(10, "BF16")
        d, storages = torch_parts(ts)
        repo = os.path.join(tmp, "hub", "models--org--x")
        write(os.path.join(repo, "blobs/1"), mc.torch_zip(d, storages))
        write(os.path.join(repo, "blobs/2"), b'{"model_type": "x"}')
        write(os.path.join(repo, "refs/v2"), b"abc")
        snapshot = os.path.join(repo, "snapshots/abc")
        os.makedirs(snapshot)
        os.symlink("../../blobs/1", os.path.join(snapshot, "pytorch_model.bin"))
        os.symlink("../../blobs/2", os.path.join(snapshot, "config.json"))
        env = {"HF_HUB_CACHE": os.path.join(tmp, "hub")}
        run = lt.ladle("convert", "org/x@v2", "o", cwd=tmp, env=env)
        report.case("names: org/name@revision", run.problems() or unlike(one_file(os.path.join(tmp, "o")), ts) +
                    ([] if os.path.exists(os.path.join(tmp, "o/config.json")) else ["config.json did not come along"]))
        run = lt.ladle("convert", "org/x@v3", "p", cwd=tmp, env=env)
        report.case("names: a revision that is not there", [] if run.rc == 4 and "v3" in run.err and "hub" in run.err else [run.err])
        write(os.path.join(tmp, "downloads/a.pt"), mc.torch_zip(d, storages))
        write(os.path.join(tmp, "downloads/letter.txt"), b"not a part of any model")
        run = lt.ladle("convert", "downloads/a.pt", "downloads/out", cwd=tmp)
        report.case("names: a file alone brings nothing", run.problems() +
                    ([] if os.listdir(os.path.join(tmp, "downloads/out")) == ["model.safetensors"] else ["something came along"]))
        run = lt.ladle("convert", "downloads", "o3", cwd=tmp)
        report.case("names: the one file of weights of a folder", run.problems() or unlike(one_file(os.path.join(tmp, "o3")), ts))


def main():
    lt.need_program()
    report = lt.Report()
    for name, group in list(globals().items()):
        if name.startswith("group_") and (not sys.argv[1:] or name[6:] in sys.argv[1:]):
            group(report)
    return report.done()


if __name__ == "__main__":
    sys.exit(main())
