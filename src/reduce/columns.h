/* columns.h -- the dot products of the columns of two matrices, x.x, x.y and y.y of each column, whatever
 * the order in which blocks come. Two rounds over all blocks:
 *
 *     round 0   the largest |x| and |y| of each column: 2^e is the power of two above it
 *     round 1   products as integers of 2^-bits * 2^e_x * 2^e_y, which add up without rounding
 *
 * bits is the most, up to 50 and even, with which rows * 2^bits stays below 2^63: a product is rounded
 * to 2^-51 of the largest in its column where there are up to 4096 rows, 2^-47 up to 65536.
 * Memory: 48 bytes a column for the state, 24 for each accumulator. A column with an infinity or a NaN
 * has NaN for all three. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_COLUMNS_H
#define LDL_REDUCE_COLUMNS_H

#include "kern/kern.h"
#include "base/mem.h"

struct ldl_columns {
    const struct ldl_kern *k;
    uint64_t cols;
    int bits;
    enum { LDL_COLUMNS_MEASURING, LDL_COLUMNS_ADDING, LDL_COLUMNS_DONE } step;
    uint32_t *most; /* magnitudes: of x for each column, then of y */
    double *scale;  /* 2^(bits/2 - e), in the same order */
    uint64_t *sum;  /* x.x for each column, then x.y, then y.y; as two's complement */
};
struct ldl_columns_acc {
    uint32_t *most;
    uint64_t *sum;
};

/* Both matrices have n elements, row-major; cols > 0 divides n. */
int ldl_columns_begin(struct ldl_columns *c, const struct ldl_kern *k, uint64_t n, uint64_t cols,
                      struct ldl_err *err);
void ldl_columns_end(struct ldl_columns *c);
/* 0: done. */
uint64_t ldl_columns_stride(const struct ldl_columns *c);
int ldl_columns_acc_begin(const struct ldl_columns *c, struct ldl_columns_acc *a,
                          struct ldl_err *err);
void ldl_columns_acc_end(struct ldl_columns_acc *a);
/* Elements first .. first+n, of any rows. Threads: one accumulator each. */
void ldl_columns_scan(const struct ldl_columns *c, struct ldl_columns_acc *a, uint64_t first,
                      const float *x, const float *y, size_t n);
int ldl_columns_solve(struct ldl_columns *c, struct ldl_columns_acc *const *acc, size_t n,
                      struct ldl_err *err);
/* When it is done: x.x, x.y, y.y of a column. */
void ldl_columns_dots(const struct ldl_columns *c, uint64_t column, double dots[3]);
uint64_t ldl_columns_state_bytes(uint64_t cols);
uint64_t ldl_columns_acc_bytes(uint64_t cols);

#endif
