/* row.h -- ranks inside one row, by counting; and one bit for each element of a tensor. Look-ups, not
 * vectors: compiled once. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_ROW_H
#define LDL_KERN_ROW_H

#include "kern/kern.h"

/* What ldl_row_ranks() works in; its owner allocates and frees it. n: the longest row, below 2^31. */
struct ldl_row_room {
    struct ldl_row_bins *bins;
    uint16_t *bin;
    uint64_t *key, *tmp;
};

/* 0, or -1 when memory is short; then there is nothing to free. */
int ldl_row_room_make(struct ldl_row_room *room, size_t n);
void ldl_row_room_free(struct ldl_row_room *room);
uint64_t ldl_row_room_bytes(uint64_t n);

/* rank2[i] = twice the rank of |x[i]| among n elements: 0 the smallest, equals share their mean rank.
 * NaN is larger than infinity, and all NaN are equal. */
void ldl_row_ranks(const struct ldl_kern *k, struct ldl_row_room *room, uint32_t *rank2,
                   const float *x, size_t n);

/* last[i] = the largest draw with which x[i] stays: that of its rank, by k->last_draws. */
void ldl_row_last(const struct ldl_kern *k, struct ldl_row_room *room, uint32_t *last,
                  const float *x, size_t n, double p, double step);

/* Sets bit first + i of `bits` (32 to a word, the lowest first) where bit i of `from` is set, for i < n; bits
 * of its last word from n on are zeros. Threads may set bits of one word at the same time. */
void ldl_bits_set(uint32_t *bits, uint64_t first, const uint32_t *from, size_t n);

#endif
