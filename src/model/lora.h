/* lora.h -- composed views: a base tensor with an adapter's update added as it is read.
 *
 *     W' = W + s * (L @ R)            L: [rows, rank], R: [rank, columns], in W's own orientation
 *     W' = f * (W + s * (L @ R))      DoRA: f = m / ||W + s*L*R||, one for each output feature
 *     b' = b + s * d                  a trained bias of the update
 *
 * A matrix of more dimensions (a convolution) is [dim 0, the rest]. adapter.c knows which tensor of
 * which kind of adapter is L and which is R. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_LORA_H
#define LDL_MODEL_LORA_H

#include "model/view.h"

enum { LDL_LORA_MAX_RANK = 16384 };

/* A stored tensor of the adapter; tensor NULL: there is none. */
struct ldl_factor {
    const struct ldl_file *file;
    const struct ldl_stored *tensor;
    int transposed; /* the tensor holds [columns, rows] of what is meant */
};

struct ldl_lora_parts {
    struct ldl_factor left, right;
    struct ldl_factor magnitude; /* DoRA's m */
    int by_column;               /* output features are W's columns, not its rows */
    double scale;                /* s; rounded to f32 once */
};

/* Do the parts fit the matrix w (their rank is in *rank then)? Nothing else is checked here. */
int ldl_lora_fits(const struct ldl_view *w, const struct ldl_lora_parts *p, uint64_t *rank);

/* Turns *v into the composed view of what it was. The files and tensors of the parts must outlive
 * it. *made is its description, for the model to keep (ldl_free). Parts that do not fit are
 * LDL_EINPUT, naming both tensors; *v is untouched then. */
int ldl_lora_view(struct ldl_view *v, const struct ldl_lora_parts *p, void **made,
                  struct ldl_err *err);
/* The same for a bias: d has as many elements as *v. */
int ldl_lora_bias_view(struct ldl_view *v, const struct ldl_factor *d, double scale, void **made,
                       struct ldl_err *err);

#endif
