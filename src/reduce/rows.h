/* rows.h -- whole rows of a tensor that comes in blocks, in any order, on any threads.
 *
 * A row inside one block is shown at once. One that lies in several is put together in a slot, and
 * shown by the thread that brings its last part. There are few slots, so that memory is bounded: a
 * row that finds none is left for the next round. A thread that takes runs of blocks in order has at
 * most two rows open, those at the ends of its run: so there are two slots for each thread, and one
 * more; and when all take runs in order, one round will do. Each row is shown once, or, where only a
 * stretch of the tensor matters, those that have a part in it. A row of more than LDL_ROW_MOST
 * elements is shown in equal parts that are not longer than that, as if they were rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_ROWS_H
#define LDL_REDUCE_ROWS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { LDL_ROW_MOST = 1 << 18, LDL_ROW_SLOTS = 256, LDL_ROW_OF_THREAD = 2 };

struct ldl_row_slot {
    uint64_t first; /* element of the tensor */
    size_t have;    /* 0: free */
    float *x;
};

struct ldl_rows {
    uint64_t n, cols, block, part; /* part: elements of a row that are shown together */
    uint64_t from, to;             /* the stretch that matters */
    uint64_t blocks;
    pthread_mutex_t lock;
    unsigned char *fate;      /* of the row that ends in this block and began before it */
    size_t slots;             /* in use */
    int ready, again, missed; /* ready: the lock is there; again: this is not the first round */
    struct ldl_row_slot slot[LDL_ROW_SLOTS];
};

/* A row: x may be overwritten. split: it began in an earlier block than the one where it ends. */
struct ldl_row {
    uint64_t first;
    size_t n;
    float *x;
    int split;
};

/* n > 0 elements, cols > 0 of them in a row, of which from .. to matter; a zeroed struct may be ended. */
int ldl_rows_begin(struct ldl_rows *r, uint64_t n, uint64_t cols, uint64_t block, uint64_t from,
                   uint64_t to, struct ldl_err *err);
void ldl_rows_end(struct ldl_rows *r);
/* Longest row that is shown, of a tensor with rows of cols elements. */
uint64_t ldl_rows_longest(uint64_t cols);
/* One more thread puts blocks in this round. */
void ldl_rows_join(struct ldl_rows *r);
/* The elements of all rows that have a part in the stretch: all blocks with some of them are to be put. */
void ldl_rows_span(const struct ldl_rows *r, uint64_t *first, uint64_t *end);
/* A whole block of the tensor. Calls `show` for each row that is complete with it; those inside the block
 * in their order, and with memory of x. */
int ldl_rows_put(struct ldl_rows *r, uint64_t first, float *x, size_t n,
                 void (*show)(void *context, const struct ldl_row *row), void *context,
                 struct ldl_err *err);
/* All blocks of the span were put: 1 when they are wanted once more, 0 when every row was shown. */
int ldl_rows_more(struct ldl_rows *r);
/* Most bytes beside the struct; and what each thread that joins adds. */
uint64_t ldl_rows_state_bytes(uint64_t n, uint64_t cols, uint64_t block);
uint64_t ldl_rows_thread_bytes(uint64_t cols);

#endif
