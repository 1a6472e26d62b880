/* tally.h -- counting kernels that are look-ups, not vectors: compiled once.
 *
 * A tally counts how often each distinct magnitude occurs, as long as there are few of them. (The
 * difference of two bf16 tensors has some ten thousand distinct magnitudes, however big it is.)
 * A staircase is a sorted table of cells over all magnitudes; cell c holds edge[c] .. edge[c+1]-1. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_TALLY_H
#define LDL_KERN_TALLY_H

#include <stddef.h>
#include <stdint.h>

enum { LDL_TALLY_MOST = 1 << 17 }; /* distinct magnitudes */

struct ldl_tally {
    uint32_t *key; /* open addressing; LDL_TALLY_EMPTY marks a free slot */
    uint64_t *count;
    uint32_t slots, used; /* slots: a power of two, at most half are used */
    int hash_shift;
    int full; /* more than LDL_TALLY_MOST distinct magnitudes: counts are incomplete */
};
#define LDL_TALLY_EMPTY 0xffffffffu

/* 0, or nonzero when memory is short. A zeroed tally is empty and ready. */
int ldl_tally_add(struct ldl_tally *t, const float *x, size_t n);
void ldl_tally_free(struct ldl_tally *t);

enum { LDL_STAIR_TOPS = 1 << 16, LDL_STAIR_SHIFT = 15 };

struct ldl_stairs {
    uint32_t *edge; /* cells entries, ascending, edge[0] == 0 */
    uint32_t cells;
    uint32_t *start; /* LDL_STAIR_TOPS + 1: the cell of the first magnitude with these top bits */
};
/* Fills start[] from edge[]. */
void ldl_stairs_index(struct ldl_stairs *s);
/* count[cell of |x[i]|]++ */
void ldl_stairs_count(const struct ldl_stairs *s, uint64_t *count, const float *x, size_t n);
/* out[i] = value[cell of |x[i]|] */
void ldl_stairs_map(const struct ldl_stairs *s, const double *value, double *out, const float *x,
                    size_t n);

/* Sorts n keys with their counts, ascending; tmp_* hold n items each. The result is in key/count. */
void ldl_radix_pairs(uint32_t *key, uint64_t *count, uint32_t *tmp_key, uint64_t *tmp_count,
                     size_t n);

#endif
