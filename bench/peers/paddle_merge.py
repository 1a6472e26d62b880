"""paddle_merge.py METHOD OUT BASE|- MODEL ... -- PaddleNLP's merge with its own defaults, in its own Python.

SPDX-License-Identifier: Apache-2.0"""
import sys

from paddlenlp.mergekit import MergeConfig, MergeModel

method, out, base, *models = sys.argv[1:]
MergeModel(MergeConfig(merge_method=method, model_path_list=models, base_model_path=None if base == "-" else base,
                       output_path=out)).merge_model()
