/* cut.h -- divides the elements of a tensor by size: `rank` of them are low, the rest is high, as if
 * they were sorted by magnitude and, where magnitudes are equal, by index. Nothing is sorted:
 *
 *     the magnitude at the cut          kth.h
 *     ties: how many of each block      from kth.h's bracket; else one more round, only when the cut
 *                                       goes through the equals
 *
 * The answer is a magnitude and a place: of the elements with that magnitude, those ahead of the place
 * are on one side, the others on the other. All NaN are equal here, and larger than infinity: what
 * sign and payload a NaN has may depend on the SIMD level. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_CUT_H
#define LDL_REDUCE_CUT_H

#include "reduce/kth.h"

/* Of equals, the lower index is low (as in a stable ascending sort), or it is high. */
enum ldl_cut_ties { LDL_CUT_LOWER_LOW, LDL_CUT_LOWER_HIGH };

struct ldl_cut {
    const struct ldl_kern *k;
    uint64_t n, rank, blocks, block_elems;
    enum ldl_cut_ties order;
    enum { LDL_CUT_FINDING, LDL_CUT_COUNTING, LDL_CUT_DONE } step;
    struct ldl_kth kth;
    uint32_t *ties; /* of each block, while counting */
    /* the answer */
    uint32_t from, to; /* magnitudes that count as equal: [from, to) */
    uint64_t block;    /* ties of the blocks before this one are ahead of the place, */
    uint64_t rest;     /* and so are this many of its own */
};

/* n > 0 elements in blocks of `block`, rank 0 .. n. */
int ldl_cut_begin(struct ldl_cut *c, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t rank, enum ldl_cut_ties order, struct ldl_err *err);
/* The same for a rank that is learnt on the way: ldl_cut_aim() tells it, first a guess (which only costs time
 * when it is bad), and before the solve of the first round with stride 1 the true one. */
int ldl_cut_begin_open(struct ldl_cut *c, const struct ldl_kern *k, uint64_t n, uint64_t block,
                       enum ldl_cut_ties order, struct ldl_err *err);
void ldl_cut_aim(struct ldl_cut *c, uint64_t rank);
void ldl_cut_end(struct ldl_cut *c);
/* 0 done, else every stride-th block is wanted. In the same round all cuts of tensors of one size want
 * the same, or are done. */
uint64_t ldl_cut_stride(const struct ldl_cut *c);
int ldl_cut_acc_begin(const struct ldl_cut *c, struct ldl_kth_acc *a, struct ldl_err *err);
/* One whole block (the tensor's last may be shorter), which begins with element `first`. A cut that
 * is done does nothing. */
void ldl_cut_scan(struct ldl_cut *c, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n);
int ldl_cut_solve(struct ldl_cut *c, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err);
/* Index of the first element of this block that is behind the place: 0 .. n. */
size_t ldl_cut_place(const struct ldl_cut *c, uint64_t first, const float *x, size_t n);
/* The smallest magnitude that is high, ahead of the place or behind it; LDL_MAG_LAST + 1: none. */
uint32_t ldl_cut_high(const struct ldl_cut *c, int ahead);
/* The bracket, while the coming round looks at all elements with it; NULL otherwise. */
const struct ldl_bracket *ldl_cut_bracket(const struct ldl_cut *c);
uint64_t ldl_cut_state_bytes(uint64_t n, uint64_t block);

#endif
