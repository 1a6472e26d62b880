/* tied.h -- an output head that is the embedding under another name. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_TIED_H
#define LDL_MODEL_TIED_H

#include "model/model.h"

/* Drops heads (and an encoder-decoder's parts) whose bytes are the embedding's own, when the model has
 * a config.json that does not speak against tying: its loader ties them again, and the same tensor is
 * not written twice. */
int ldl_model_drop_tied(struct ldl_model *m, struct ldl_err *err);
/* Names that some of the n models have and others lack. A head or part: a model that has an embedding
 * of its shape and does not speak against tying gets its embedding under that name. Any other than a
 * head: where the bytes are, in the model that has it, those of a second name too, the lacking model
 * gets what it has under the second name. */
int ldl_models_tie(struct ldl_model *model, size_t n, struct ldl_err *err);

/* ---- for adapters ---- */

/* Is it the name of a model's head (and not of a numbered layer's output)? */
int ldl_tied_is_head(const char *name);
/* Is it the name of an embedding of tokens? */
int ldl_tied_is_embedding(const char *name);
/* What the model's head is called whose embedding is v, where the config ties them and the names leave
 * no doubt; else NULL. */
const char *ldl_tied_head_of(const struct ldl_model *m, const struct ldl_view *v);
/* Gives m, which lacks a head of that name and does not speak against tying, its embedding as one, so
 * that an adapter of the head has something to change. Nothing happens when it is not clear which. */
int ldl_model_untie(struct ldl_model *m, const char *name, struct ldl_err *err);
/* An adapter changed the view v: does the output's config.json still tell the truth? */
int ldl_model_changed(struct ldl_model *m, const struct ldl_view *v, struct ldl_err *err);

#endif
