/* fp8_out.h -- writing FP8 in the block form that DeepSeek and Qwen use.
 *
 *     scale[i][j] = max |x| of the block / 448        448: the largest E4M3 number
 *     q           = x / scale, rounded to E4M3
 *
 * A block is 128 x 128 elements, less at the edges. NaN and infinite elements have no say in max
 * |x| and become NaN. A block of zeros has the scale 1; no scale is smaller than 2^-126, since
 * below it the quotient would lose bits and could pass 448. The scales of X.weight are
 * X.weight_scale_inv, F32 of shape [ceil(R/128), ceil(C/128)].
 *
 * Two passes: amax over all runs of the matrix in any order (a maximum of integers, so threads may
 * share the table), then ldl_fp8_scales(), then scale and encode. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_FP8_OUT_H
#define LDL_MODEL_FP8_OUT_H

#include "base/mem.h"
#include "kern/kern.h"
#include "model/fp8.h"

static inline uint64_t ldl_fp8_blocks(uint64_t dim)
{
    return dim / LDL_FP8_BLOCK + (dim % LDL_FP8_BLOCK != 0);
}

/* Is a float tensor of this name and shape written as FP8 by --dtype fp8? Matrices ".weight" of the
 * numbered layers, 128 or more in both dims, but not norms, embeddings and routers; was_fp8 (it is
 * FP8 in the base or the first model): any matrix. */
int ldl_fp8_takes(const char *name, int ndim, const uint64_t *dim, int was_fp8);

/* Elements [first, first + n), row-major, of a matrix with `cols` columns, in x: raises the entries
 * of table[row / 128][col / 128] to the magnitude bits of the largest finite element. The table
 * begins as zeros. Threads may share it. */
void ldl_fp8_amax(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, const float *x,
                  uint32_t *table);
/* n entries of the table as scales; scale may be the table itself. */
void ldl_fp8_scales(const uint32_t *table, size_t n, float *scale);
/* x = x / scale of its block, ready for encode[LDL_F8_E4M3]. */
void ldl_fp8_scale(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, float *x,
                   const float *scale);

/* x = x * scale of its block: what a reader makes of it. */
void ldl_fp8_unscale(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, float *x,
                     const float *scale);

/* The JSON text of config.json's quantization_config: begin, then skip() for each output tensor
 * that is not FP8 (any; those that name no module are passed over), then end. */
struct ldl_fp8_config {
    struct ldl_buf *out;
    size_t skipped;
};
void ldl_fp8_config_begin(struct ldl_fp8_config *c, struct ldl_buf *out);
void ldl_fp8_config_skip(struct ldl_fp8_config *c, const char *name, int ndim);
void ldl_fp8_config_end(struct ldl_fp8_config *c);

#endif
