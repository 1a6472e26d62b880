/* kth.h -- the exact magnitudes of rank lo and hi (hi = lo or lo + 1, ascending from 0) of a tensor,
 * and two sums of magnitudes, by counting. Never sorts, never holds the tensor.
 *
 * Magnitudes are the bits of |x| as integers, 0 .. 2^31 - 1. A round counts those inside an
 * interval into at most LDL_KTH_BINS equal bins, and those below it:
 *
 *     round 0   a sample (every k-th block of a big tensor) over everything: a guess of the rank
 *     round 1   all blocks, the LDL_KTH_BINS magnitudes around the guess, one bin for each
 *               -> nearly always the answer
 *     else      the side where the rank must be, then the bin in which it fell, until bins are
 *               one magnitude wide
 *
 * The answer is exact whatever the sample said; the sample's places depend on n alone. The sums
 * come with the last round: of all magnitudes, and (ldl_kth_sum_from) of those at or above a
 * threshold between the two ranks. They are sums of block sums in block order and of count*value
 * in value order, so they do not depend on threads or tiles. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_KTH_H
#define LDL_REDUCE_KTH_H

#include "kern/kern.h"
#include "base/mem.h"

enum { LDL_KTH_BINS = 1 << 18, LDL_KTH_SAMPLE_BLOCKS = 64 };

struct ldl_kth {
    const struct ldl_kern *k;
    uint64_t n, lo, hi;     /* elements, ranks */
    uint64_t blocks, block; /* number of blocks, elements in one */
    uint64_t bins;          /* in use by the round */
    uint32_t from, to;      /* interval being counted, inclusive */
    int shift, sampling, done;
    double *sum, *sum_above; /* of each block, last round */
    /* the answer */
    uint64_t *count; /* last round's bins, one magnitude each */
    uint64_t count_cap;
    uint32_t mag_lo, mag_hi;
    uint64_t below_lo;  /* elements with a magnitude below mag_lo */
    double total;       /* of all magnitudes; NaN when an element is NaN */
    double total_above; /* of magnitudes > to */
};

struct ldl_kth_acc {
    uint64_t below, seen;
    uint32_t above_min;
    uint64_t *count;
};

/* n > 0 elements in blocks of `block`; lo <= hi <= lo + 1, hi < n. */
int ldl_kth_begin(struct ldl_kth *s, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t lo, uint64_t hi, struct ldl_err *err);
void ldl_kth_end(struct ldl_kth *s);
/* 0 done, else every stride-th block is wanted. */
uint64_t ldl_kth_stride(const struct ldl_kth *s);
int ldl_kth_acc_begin(const struct ldl_kth *s, struct ldl_kth_acc *a, struct ldl_err *err);
void ldl_kth_acc_end(struct ldl_kth_acc *a);
/* Elements first .. first+n, all inside one block. Threads: one accumulator each. */
void ldl_kth_scan(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n);
int ldl_kth_solve(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err);
/* Sum of the magnitudes >= mag, for mag_lo <= mag <= mag_hi, after the end. */
double ldl_kth_sum_from(const struct ldl_kth *s, uint32_t mag);
/* Most memory: the state with its block sums, one accumulator. */
uint64_t ldl_kth_state_bytes(uint64_t n, uint64_t block);
uint64_t ldl_kth_acc_bytes(uint64_t n);

#endif
