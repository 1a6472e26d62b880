#!/usr/bin/env python3
"""make.py -- records what the real PEFT makes of small adapters. Needs torch, transformers and peft.

Recorded with peft 0.21.2, torch 2.15.0 (CPU), transformers 5.24.0. Each case is a folder:

    base/model.safetensors     linear layers (one with a bias), Conv1D, convolutions, an embedding
    adapter_config.json, adapter_model.safetensors     as save_pretrained() wrote them
    expected.safetensors       the state after merge_and_unload(), f32

The factors are random (PEFT begins with zeros), so that every part counts. ../../lora.py compares.
SPDX-License-Identifier: Apache-2.0"""
import json, os, shutil, warnings

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

HERE = os.path.dirname(os.path.abspath(__file__))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.config = {"model_type": "custom"}
        self.embed = nn.Embedding(11, 6)
        self.q = nn.Linear(6, 10)
        self.k = nn.Linear(10, 6, bias=False)
        self.c = Conv1D(9, 6)           # weight [6, 9]: inputs by outputs
        self.conv = nn.Conv2d(3, 5, 3)
        self.point = nn.Conv2d(5, 4, 1, bias=False)
        self.line = nn.Conv1d(3, 4, 2)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return x


CASES = {
    "linear": dict(target_modules=["q", "k"], r=3, lora_alpha=5),
    "patterns": dict(target_modules=["q", "k", "head"], r=3, lora_alpha=5, rank_pattern={"q": 2, "he.d": 4},
                     alpha_pattern={"^k": 7, "h[a-f]+d": 2}, use_rslora=True),
    "dora": dict(target_modules=["q", "k", "conv", "point"], r=3, lora_alpha=6, use_dora=True),
    "dora_conv1d": dict(target_modules=["c"], r=2, lora_alpha=3, use_dora=True, fan_in_fan_out=True),
    "conv": dict(target_modules=["conv", "point", "line", "c"], r=2, lora_alpha=3, use_rslora=True),
    "embedding": dict(target_modules=["embed", "k"], r=4, lora_alpha=3),
    "dora_embedding": dict(target_modules=["embed"], r=2, lora_alpha=3, use_dora=True),
    "biases": dict(target_modules=["q"], r=2, lora_alpha=4, bias="all"),
    "lora_bias": dict(target_modules=["q"], r=2, lora_alpha=3, lora_bias=True),
    "saved": dict(target_modules=["q"], r=2, lora_alpha=4, modules_to_save=["head"]),
}


def record(name, settings):
    torch.manual_seed(sum(name.encode()))
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    net = Net()
    os.makedirs(os.path.join(folder, "base"))
    save_file({k: v.clone().contiguous() for k, v in net.state_dict().items()},
              os.path.join(folder, "base", "model.safetensors"), {"format": "pt"})
    peft = get_peft_model(net, LoraConfig(**settings))
    with torch.no_grad():
        for key, p in peft.named_parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p) * 0.5 + (1 if "magnitude" in key else 0))
    peft.save_pretrained(folder, save_embedding_layers=False)
    merged = peft.merge_and_unload().state_dict()
    save_file({k: v.clone().contiguous() for k, v in merged.items()},
              os.path.join(folder, "expected.safetensors"), {"format": "pt"})
    for file in os.listdir(folder):
        if file not in ("base", "adapter_config.json", "adapter_model.safetensors", "expected.safetensors"):
            os.remove(os.path.join(folder, file))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, settings in CASES.items():
        record(name, settings)
