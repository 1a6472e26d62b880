/* layers.h -- the layers of a model, found in the names of its tensors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_LAYERS_H
#define LDL_MODEL_LAYERS_H

#include "model/model.h"

/* A name with a layer in it: the first component that is a number, as 12 in
 * "model.layers.12.mlp.up_proj.weight". */
struct ldl_layer {
    uint64_t number;
    size_t at, len; /* where the number stands in the name */
};
/* 1: *layer is filled in. 0: the tensor is of no layer. */
int ldl_layer_of(const char *name, struct ldl_layer *layer);
/* Does a tensor of no layer come before the layers (an embedding), rather than after them? */
int ldl_layer_is_before(const char *name);

#endif
