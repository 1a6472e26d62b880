"""models.py -- the checkpoints of the benchmarks: made by make_model.py when they are wanted, and kept.

Standard library only. SPDX-License-Identifier: Apache-2.0"""
import os, shutil, sys

import make_model


class Models:
    """The base and the fine-tunes of one shape in a folder, and a place for outputs and recipes."""
    def __init__(self, folder, shape):
        self.folder, self.shape = os.path.abspath(folder), shape
        os.makedirs(self.folder, exist_ok=True)
        self.out = os.path.join(self.folder, "OUT")

    def model(self, name, seed):
        path = os.path.join(self.folder, f"{self.shape}-{name}")
        if not os.path.exists(os.path.join(path, "made")):
            print(f"making {path}", file=sys.stderr)
            shutil.rmtree(path, ignore_errors=True)
            make_model.make(self.shape, path, seed, bool(seed))
            open(os.path.join(path, "made"), "w").close()
        return path

    def base(self):
        return self.model("base", 0)

    def tunes(self, n):
        return [self.model(f"tune{i}", i) for i in range(1, n + 1)]

    def size(self):
        return os.path.getsize(weights(self.base()))


def weights(path):
    return os.path.join(path, "model.safetensors")
