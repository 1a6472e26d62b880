/* fp8.h -- checkpoints whose weights are 8-bit floats with scales beside them, read as one tensor.
 *
 *     value = (float)q * scale        one rounding; the scale is widened to f32 without any
 *
 * A weight W (F8_E4M3 or F8_E5M2) belongs with the tensor W_scale_inv or W_scale (in spite of their
 * names both are factors). Each dim of the scales is 1, the weight's own dim, or the number of
 * blocks in it; dims that are missing at the end count as 1. So one rule takes
 *
 *     [], [1]                      one scale for the tensor
 *     [R], [R, 1]                  one for each row
 *     [ceil(R/128), ceil(C/128)]   one for each block (DeepSeek, Qwen); sizes as config.json says
 *     [E, ...]                     the same for each of E experts
 *
 * and what fits nothing is an error. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_FP8_H
#define LDL_MODEL_FP8_H

#include "model/model.h"

enum { LDL_FP8_BLOCK = 128 };

/* Joins the weights of an opened model with their scales: such a weight becomes one view of the
 * type that config.json names (else bf16), its scales, and those of activations, leave the list of
 * views. m->fp8 tells whether there was any. A model without FP8 tensors is left as it is. */
int ldl_fp8_join(struct ldl_model *m, struct ldl_err *err);
/* What the weights were before they were made small, by the model's dtype_word. */
enum ldl_dtype ldl_fp8_unpacked(const struct ldl_model *m);

/* Is the view kept as 8-bit floats, with scales or without? */
static inline int ldl_fp8_is(const struct ldl_view *v)
{
    return v->stored->dtype == LDL_F8_E4M3 || v->stored->dtype == LDL_F8_E5M2;
}

#endif
