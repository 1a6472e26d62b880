/* row.h -- ranks inside one row, by a radix sort of it; and one bit for each element of a tensor.
 * Look-ups, not vectors: compiled once. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_ROW_H
#define LDL_KERN_ROW_H

#include <stddef.h>
#include <stdint.h>

/* rank2[i] = twice the rank of |x[i]| among n < 2^31 elements: 0 the smallest, equals share their mean
 * rank. NaN is larger than infinity, and all NaN are equal. key and tmp hold n items each. */
void ldl_row_ranks(uint32_t *rank2, uint64_t *key, uint64_t *tmp, const float *x, size_t n);

/* Sets bit first + i of `bits` (32 to a word, the lowest first) where on[i] is 1; on[i] is 0 or 1. Threads
 * may set bits of one word at the same time. */
void ldl_bits_set(uint32_t *bits, uint64_t first, const uint32_t *on, size_t n);

#endif
