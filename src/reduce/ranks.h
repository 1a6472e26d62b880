/* ranks.h -- the rank of every element's magnitude in its tensor, as a function of the magnitude.
 *
 * Rank 0 is the largest. Elements of equal magnitude share their mean rank, so the rank depends on
 * nothing but the magnitude, and no order among equals has to be kept across tiles.
 *
 *     round 1   count each distinct magnitude. Up to 2^17 of them: ranks are exact, done.
 *     else      a staircase of cells over all magnitudes is counted; a cell that holds more than
 *               n / 2^19 elements and is wider than one magnitude is split; until there is none.
 *               The rank of an element is then its cell's mean rank: off by less than n / 2^20,
 *               which moves a keep probability by less than epsilon * 1e-6; and exact when the
 *               tensor has fewer than 2^20 elements.
 *
 * Which of the two it is depends on the tensor alone, never on threads, tiles or memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_RANKS_H
#define LDL_REDUCE_RANKS_H

#include <stdatomic.h>
#include "base/err.h"
#include "kern/tally.h"

struct ldl_ranks {
    const struct ldl_kern *k;
    uint64_t n;
    struct ldl_stairs stairs;
    double *rank;       /* of each cell, when done */
    atomic_int crowded; /* round 1 met too many distinct magnitudes */
    int refining, done;
    int mostly_short; /* the magnitudes of nearly all elements are short (kern/tally.h), and begin cells */
};

struct ldl_ranks_acc {
    struct ldl_tally tally; /* round 1 */
    uint32_t *count;        /* later rounds: one for each cell */
    uint32_t *over;         /* and how many times 2^32 more; NULL: no tensor of that size */
};

void ldl_ranks_begin(struct ldl_ranks *r, const struct ldl_kern *k, uint64_t n);
void ldl_ranks_end(struct ldl_ranks *r);
int ldl_ranks_acc_begin(const struct ldl_ranks *r, struct ldl_ranks_acc *a, struct ldl_err *err);
void ldl_ranks_acc_end(struct ldl_ranks_acc *a);
int ldl_ranks_scan(struct ldl_ranks *r, struct ldl_ranks_acc *a, const float *x, size_t n,
                   struct ldl_err *err);
int ldl_ranks_solve(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t n,
                    struct ldl_err *err);
/* What more blocks are shown in this round changes nothing. */
static inline int ldl_ranks_settled(const struct ldl_ranks *r)
{
    return !r->refining && atomic_load_explicit(&r->crowded, memory_order_relaxed);
}
uint64_t ldl_ranks_state_bytes(uint64_t n);
uint64_t ldl_ranks_acc_bytes(uint64_t n);

#endif
