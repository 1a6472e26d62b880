/* tied.h -- an output head that is the embedding under another name. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_TIED_H
#define LDL_MODEL_TIED_H

#include "model/model.h"

/* Drops a head whose bytes are the embedding's own, when the model has a config.json that does not
 * speak against tying: its loader ties them again, and the same tensor is not written twice. */
int ldl_model_drop_tied(struct ldl_model *m, struct ldl_err *err);
/* A head that some of the n models store and others lack: a model that lacks it, has an embedding of
 * its shape and does not speak against tying gets its embedding under the head's name. */
int ldl_models_tie(struct ldl_model *model, size_t n, struct ldl_err *err);

#endif
