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
/* One more than the highest layer; 0: there are none. */
uint64_t ldl_layer_count(const struct ldl_model *m);
/* The same, of the stack of layers that is called as the first `at` bytes of the name: models of several parts
 * (a language model and a vision tower, an encoder and a decoder) have several. */
uint64_t ldl_layer_count_in(const struct ldl_model *m, const char *name, size_t at);
/* Has it more than one stack? Then one tensor of each of two. */
int ldl_layer_stacks(const struct ldl_model *m, const char *name[2]);
/* Does a tensor of no layer come before the layers (an embedding), rather than after them? */
int ldl_layer_is_before(const char *name);

#endif
