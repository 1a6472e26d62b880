/* l1.c -- see l1.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/l1.h"

#include <math.h>

int ldl_l1_begin(struct ldl_l1 *l, uint64_t n, uint64_t block, struct ldl_err *err)
{
    *l = (struct ldl_l1){ .blocks = (n + block - 1) / block, .block = block };
    l->all = ldl_calloc(l->blocks, sizeof *l->all);
    l->kept = ldl_calloc(l->blocks, sizeof *l->kept);
    if (l->all && l->kept)
        return 0;
    ldl_l1_end(l);
    return ldl_oom(err);
}

void ldl_l1_end(struct ldl_l1 *l)
{
    ldl_free(l->all);
    ldl_free(l->kept);
    l->all = l->kept = NULL;
}

void ldl_l1_before(struct ldl_l1 *l, const struct ldl_kern *k, uint64_t first, const float *x,
                   size_t n)
{
    l->all[first / l->block] = k->sum_mags(x, n);
}

void ldl_l1_after(struct ldl_l1 *l, const struct ldl_kern *k, uint64_t first, const float *x,
                  size_t n)
{
    l->kept[first / l->block] = k->sum_mags(x, n);
}

float ldl_l1_factor(const struct ldl_l1 *l)
{
    double all_sum = 0, kept_sum = 0;
    for (uint64_t b = 0; b < l->blocks; b++) {
        all_sum += l->all[b];
        kept_sum += l->kept[b];
    }
    float all = (float)all_sum, kept = (float)kept_sum;
    if (!(all >= 1e-7f && kept >= 1e-7f) || !isfinite(all) || !isfinite(kept))
        return 1.0f;
    return isfinite(all / kept) ? all / kept : 1.0f;
}

uint64_t ldl_l1_state_bytes(uint64_t n, uint64_t block)
{
    return (n / block + 1) * 2 * sizeof(double);
}
