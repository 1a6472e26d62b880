/* high.h -- sums of squares of m vectors over the elements where a cut (cut.h) of another vector, v, is
 * high; learnt in the look at all elements that finds the cut, so that none comes after it.
 *
 *     before the look   the cut has a bracket: its magnitude is probably `at`, nearly surely between
 *                       `from` and `to`
 *     the look          of each block: the sums where v is surely high, and where it is `at`; the few
 *                       elements between are held, each with its m values
 *     after it          the cut is known: the sums, in block order. Where it goes through the equals of a
 *                       block, that block is wanted once more
 *
 * Where the look cannot tell (small tensors, which the cut holds as a whole; a sample that misled it; more
 * to hold than there is room for), which depends on the elements alone, it says so, and the caller
 * makes a pass of its own for the sums. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_HIGH_H
#define LDL_REDUCE_HIGH_H

#include "reduce/cut.h"

struct ldl_high {
    const struct ldl_kern *k;
    uint64_t blocks, block_elems;
    size_t m;
    enum { LDL_HIGH_BEFORE, LDL_HIGH_LOOKING, LDL_HIGH_MIXED, LDL_HIGH_KNOWN, LDL_HIGH_LOST } step;
    uint32_t from, at, to,
        sure;            /* magnitudes from `sure` on are high, unless the bracket was wrong */
    double *sum;         /* of each block: m where v is high, m where it is `at` */
    double *mixed;       /* m: of the block that the cut goes through */
    uint64_t cap, nheld; /* elements */
    float *held;         /* of each block in turn its v, then its m vectors */
    struct ldl_high_held {
        uint64_t at;
        uint32_t count;
    } * held_of; /* of each block */
};

int ldl_high_begin(struct ldl_high *h, const struct ldl_kern *k, uint64_t n, uint64_t block,
                   size_t m, struct ldl_err *err);
/* A zeroed struct may be ended. */
void ldl_high_end(struct ldl_high *h);
/* The cut's solve() was called: goes on to what comes next. sums: room for m, which are there when it is
 * LDL_HIGH_KNOWN; then nothing more is scanned. */
void ldl_high_next(struct ldl_high *h, const struct ldl_cut *c, double *sums);
/* A whole block of v and x[0] .. x[m-1], each once, on any threads; v's scan by the cut comes apart. `index`
 * has room for n. */
void ldl_high_scan(struct ldl_high *h, uint64_t first, const float *v, float *const *x,
                   uint32_t *index, size_t n);
/* LDL_HIGH_MIXED: the sums of the block that was wanted, of its high elements alone. */
void ldl_high_put(struct ldl_high *h, float *const *x, size_t n);
uint64_t ldl_high_state_bytes(uint64_t n, uint64_t block, size_t m);

#endif
