/* l1.h -- the factor that gives a thinned tensor its old size: f32(sum |x|) / f32(sum |x that stayed|).
 *
 * Both sums are f64 block sums, added in block order. The factor is 1 when either is below 1e-7, or
 * when there is a NaN or an infinity in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_L1_H
#define LDL_REDUCE_L1_H

#include "kern/kern.h"
#include "base/mem.h"

struct ldl_l1 {
    uint64_t blocks, block;
    double *all, *kept; /* of each block */
};

int ldl_l1_begin(struct ldl_l1 *l, uint64_t n, uint64_t block, struct ldl_err *err);
void ldl_l1_end(struct ldl_l1 *l);
/* A whole block before it is thinned, and after. Threads: each block by one of them. */
void ldl_l1_before(struct ldl_l1 *l, const struct ldl_kern *k, uint64_t first, const float *x,
                   size_t n);
void ldl_l1_after(struct ldl_l1 *l, const struct ldl_kern *k, uint64_t first, const float *x,
                  size_t n);
float ldl_l1_factor(const struct ldl_l1 *l);
uint64_t ldl_l1_state_bytes(uint64_t n, uint64_t block);

#endif
