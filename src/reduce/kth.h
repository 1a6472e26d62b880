/* kth.h -- the exact magnitudes of rank lo and hi (hi = lo or lo + 1, ascending from 0) of a tensor,
 * and two sums of magnitudes, by counting. Never sorts, and holds a small part of a big tensor.
 *
 *     sample    some blocks of a big tensor are held: three ranks of theirs, around the wanted one, make
 *               a bracket
 *     bracket   all blocks: how many magnitudes are below the bracket, and on its two ends and its
 *               middle (where those of bf16 task vectors pile up); the few others in it are held
 *               -> nearly always the answer
 *     narrow    else, where the rank must be: up to LDL_KTH_BINS equal bins, then the bin in which it
 *               fell, until bins are one magnitude wide
 *
 * A tensor of up to LDL_KTH_HOLD elements is held at once. The answer is exact whatever the sample said;
 * the sample's places depend on n alone. All NaN are one magnitude, LDL_MAG_NAN.
 *
 * The sums, when wanted, come with the last round: of all magnitudes, and (ldl_kth_sum_from) of those at
 * or above a threshold between the two ranks: block sums in block order, and exact ones of what was held
 * or counted. They do not depend on threads or tiles. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_KTH_H
#define LDL_REDUCE_KTH_H

#include "kern/kern.h"
#include "base/mem.h"

enum { LDL_KTH_BINS = 1 << 16, LDL_KTH_HOLD = 1 << 16, LDL_KTH_HOLD_MOST = 1 << 20 };

enum ldl_kth_step { LDL_KTH_SAMPLE, LDL_KTH_ALL, LDL_KTH_BRACKET, LDL_KTH_NARROW, LDL_KTH_DONE };

struct ldl_kth {
    const struct ldl_kern *k;
    uint64_t n, lo, hi;     /* elements, ranks */
    uint64_t blocks, block; /* number of blocks, elements in one */
    enum ldl_kth_step step;
    uint64_t stride, cap; /* of the sample; elements that may be held */
    uint32_t *held;
    uint64_t nheld; /* bracket: may be more than cap, then they were not held */
    struct ldl_bracket bracket;
    uint64_t bins; /* narrow: in use by the round; interval from..to, inclusive */
    uint32_t from, to;
    int shift;
    double *sum, *sum_above; /* of each block; NULL when no sums are wanted */
    uint32_t *on_at;         /* of each block, how many are on the bracket's middle */
    /* the answer */
    uint64_t *count; /* narrow: last round's bins, one magnitude each */
    uint32_t mag_lo, mag_hi;
    uint64_t below_lo, on_lo; /* elements below mag_lo, and equal to it */
    double total;             /* of all magnitudes; NaN when an element is NaN */
};

struct ldl_kth_acc {
    uint64_t below;
    uint32_t above_min;
    uint64_t *count;
    struct ldl_bracket bracket;
    uint32_t *inside;
};

/* n > 0 elements in blocks of `block`; lo <= hi <= lo + 1, hi < n. sums: they are wanted. */
int ldl_kth_begin(struct ldl_kth *s, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t lo, uint64_t hi, int sums, struct ldl_err *err);
void ldl_kth_end(struct ldl_kth *s);
/* Other ranks, for who learns them on the way: at any time until the solve of the first round that saw all
 * blocks. What was said before is then a guess for the sample. */
void ldl_kth_aim(struct ldl_kth *s, uint64_t lo, uint64_t hi);
/* 0 done, else every stride-th block is wanted. */
uint64_t ldl_kth_stride(const struct ldl_kth *s);
int ldl_kth_acc_begin(const struct ldl_kth *s, struct ldl_kth_acc *a, struct ldl_err *err);
void ldl_kth_acc_end(struct ldl_kth_acc *a);
/* Elements first .. first+n, a whole block (the last may be shorter). Threads: one accumulator each. */
void ldl_kth_scan(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n);
int ldl_kth_solve(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err);
/* Sum of the magnitudes >= mag, for mag_lo <= mag <= mag_hi, after the end. */
double ldl_kth_sum_from(const struct ldl_kth *s, uint32_t mag);
/* After the end: of each block, how many elements are equal to mag_lo; NULL when it is not known. */
const uint32_t *ldl_kth_on_lo(const struct ldl_kth *s);
/* Most memory: the state with what it holds, one accumulator. */
uint64_t ldl_kth_state_bytes(uint64_t n, uint64_t block);
uint64_t ldl_kth_acc_bytes(uint64_t n);

#endif
