#!/usr/bin/env python3
"""make.py -- records what torch.save writes of odd tensors, and what must be read from it.

    python3 -m venv v && v/bin/pip install torch numpy && v/bin/python tests/golden/torch/make.py

Run once, with torch 2.15.0, Python 3.11, numpy 1.26.4. expected.json: file -> {tensor: [tag, shape,
bytes in hex, made by torch's .contiguous()]}, or a part of the line with which the file is refused.
SPDX-License-Identifier: Apache-2.0"""
import argparse, collections, datetime, json, os, pathlib, warnings

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
TAGS = {"float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
        "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL", "uint16": "U16", "uint32": "U32", "uint64": "U64",
        "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
expected = {}


def raw(t):
    t = t.detach().contiguous()
    return t.flatten().view(torch.uint8).numpy().tobytes().hex() if t.numel() else ""


def save(name, obj, tensors, **how):
    torch.save(obj, os.path.join(HERE, name), **how)
    expected[name] = {k: [TAGS[str(t.dtype)[6:]], list(t.shape), raw(t)] for k, t in tensors.items()}


def refused(name, obj, part, **how):
    torch.save(obj, os.path.join(HERE, name), **how)
    expected[name] = part


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(1)
    big, odd = torch.randn(5, 6, 7), collections.OrderedDict()
    odd["plain"] = torch.randn(3, 5)
    odd["transposed"] = torch.randn(4, 6).t()
    odd["permuted"] = big.permute(2, 0, 1)
    odd["channels_last"] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    odd["expanded"] = torch.randn(1, 4).expand(3, 4)
    odd["one_value"] = torch.randn(()).expand(2, 3)
    odd["steps"] = big[1:5:2, ::3, 2:]
    odd["sliced"] = big[2]
    odd["one_index"] = big[:, 3:4, 5:6]
    odd["number"] = torch.tensor(3.5)
    odd["empty"] = torch.zeros(0, 4)
    odd["float16"], odd["bfloat16"] = torch.randn(7, 3).half(), torch.randn(7, 3).bfloat16().t()
    for kind in ("int64", "int32", "int16", "int8", "uint8"):
        odd[kind] = torch.arange(6).reshape(2, 3).to(getattr(torch, kind))
    odd["bool"] = torch.tensor([True, False, True])
    odd["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    odd["tied"] = odd["plain"]
    odd["whole"] = big
    save("odd_legacy.pt", odd, odd, _use_new_zipfile_serialization=False)
    for kind in ("uint16", "uint32", "uint64"):  # _rebuild_tensor_v3, which the legacy form does not have
        odd[kind] = torch.arange(6).reshape(2, 3).to(getattr(torch, kind))
    odd["uint16_transposed"] = odd["uint16"].t()
    for kind in ("float8_e4m3fn", "float8_e5m2"):
        odd[kind] = torch.randn(4, 5).to(getattr(torch, kind))
    odd["with_state"] = torch.nn.Parameter(torch.randn(3, 2))
    odd["with_state"].mark = 5
    save("odd.pt", odd, odd)
    save("odd_protocol4.pt", odd, odd, pickle_protocol=4)

    net = torch.nn.Sequential(collections.OrderedDict(a=torch.nn.Linear(3, 4), bn=torch.nn.BatchNorm1d(4)))
    opt = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 3)).sum().backward()
    opt.step()
    sd = net.state_dict()
    save("train.ckpt", {"epoch": 3, "optimizer": opt.state_dict(), "args": argparse.Namespace(a=1, p=pathlib.Path("x")),
                        "state_dict": sd, "loss": torch.tensor(1.5), "seen": {1, 2}, "score": np.float64(3), "d": torch.float32,
                        "random": np.random.RandomState(1).get_state(), "size": torch.Size([1, 2]), "on": torch.device("cuda:0"),
                        "when": datetime.datetime(2024, 1, 2)}, sd)
    save("train_legacy.ckpt", {"epoch": 3, "model_state_dict": sd, "optimizer": opt.state_dict()}, sd,
         _use_new_zipfile_serialization=False)
    save("nested.pt", {"model": {"module": sd}, "step": np.int64(3)}, sd)

    refused("module.pt", net, "wants to call 'torch.nn.modules.container.Sequential'")
    refused("list.pt", [sd], "holds a list")
    refused("tensor.pt", sd["a.weight"], "holds one tensor without a name")
    refused("complex.pt", {"w": torch.zeros(3, dtype=torch.complex64)}, "tensor 'w': elements of type ComplexFloatStorage")
    refused("sparse.pt", {"w": torch.eye(3).to_sparse()}, "tensor 'w': is made by 'torch._utils._rebuild_sparse_tensor'")
    refused("negated.pt", {"w": torch.zeros(3, dtype=torch.complex64).conj().imag}, "tensor 'w': is a negated")
    refused("meta.pt", {"w": torch.zeros(3, device="meta")}, "_rebuild_meta_tensor_no_storage")
    refused("deeper.pt", {"w": torch.zeros(3), "l": [torch.zeros(3)]}, "'l' holds tensors inside a list or dict")
    refused("other_key.pt", {"generator": sd}, "the tensors are inside 'generator'")
    refused("evil.pt", {"w": torch.zeros(2), "e": Evil()}, "wants to call 'posix.system'")
    refused("evil_legacy.pt", {"w": torch.zeros(2), "e": Evil()}, "wants to call 'posix.system'",
            _use_new_zipfile_serialization=False)
    with open(os.path.join(HERE, "expected.json"), "w") as f:
        json.dump(expected, f, indent=0)
    print(len(expected), "files with torch", torch.__version__)


if __name__ == "__main__":
    main()
