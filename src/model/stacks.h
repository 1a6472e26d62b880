/* stacks.h -- the stacks of layers of a model, and its towers, found in the names of its tensors.
 *
 *     language_model.model.layers.0.mlp.up_proj.weight     a stack "language_model.model.layers"
 *     vision_tower.encoder.layers.0.mlp.fc1.weight         another one, of the vision tower
 *     multi_modal_projector.linear_1.weight                of the projector; of no stack
 *
 * A stack is what stands before the first number in a name. A tower is told by words in that part of
 * the name; what has none of these words is text. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_STACKS_H
#define LDL_MODEL_STACKS_H

#include "model/layers.h"

enum ldl_tower {
    LDL_TOWER_TEXT,
    LDL_TOWER_VISION,
    LDL_TOWER_AUDIO,
    LDL_TOWER_PROJECTOR, /* between two others */
    LDL_TOWERS
};
/* "text_decoder" ...: what recipes call them. */
extern const char *const ldl_tower_name[LDL_TOWERS];

/* Of a tensor, or of anything that is named as one; a key of config.json, too ("vision_config"). */
enum ldl_tower ldl_tower_of(const char *name);
/* Does one of the words for text stand in the name: "text_config", "llm", "language_model"? */
int ldl_tower_says_text(const char *name);
/* The component that says so, before the first number: its length with the dot behind it, and where it begins;
 * 0: there is none, or nothing is behind it. */
size_t ldl_tower_text_part(const char *name, size_t *at);
/* Where `part` ("vision_tower", "model.visual") stands as whole components in the name, before its first
 * number; 1: at its beginning, 2: further on, 0: nowhere. */
int ldl_name_has(const char *name, const char *part);

struct ldl_stack {
    const char *name; /* of one of its tensors: the stack is its first `len` bytes */
    size_t len;
    uint64_t layers; /* one more than the highest number */
    int holes;       /* a number below that is not there */
    enum ldl_tower tower;
};
struct ldl_stacks {
    struct ldl_stack *stack; /* in the order of their names */
    size_t n;
};
/* Of the tensors with keep[i] nonzero (keep NULL: of all), in the model's order by name. Names are borrowed. */
int ldl_stacks_read(struct ldl_stacks *s, const struct ldl_model *m, const unsigned char *keep,
                    struct ldl_err *err);
void ldl_stacks_free(struct ldl_stacks *s);
/* The one that slices are about: of several those count that are a row of layers (numbers without holes),
 * of text before those of another tower, of the decoder before the encoder before others, and those
 * that are called layers or blocks. NULL: there is none, or several are left. */
const struct ldl_stack *ldl_stacks_main(const struct ldl_stacks *s);
/* The stack of a tensor, and its layer; NULL: of none. */
const struct ldl_stack *ldl_stacks_find(const struct ldl_stacks *s, const char *name,
                                        struct ldl_layer *layer);
/* Is the tensor one of the stack's, and of which layer? */
int ldl_stack_has(const struct ldl_stack *s, const char *name, struct ldl_layer *layer);
/* Does the stack's name have the word as a component ("decoder")? */
int ldl_stack_says(const struct ldl_stack *s, const char *word);
/* The same for words between dots and underscores ("single" of "single_transformer_blocks"). */
int ldl_stack_has_word(const struct ldl_stack *s, const char *word, size_t n);

#endif
