/* select.h -- facts about an unsorted array of magnitudes, by counting their digits: no comparison sort,
 * and time that does not depend on the order. Magnitudes are those of kern.h: the bits of |x|, a NaN is
 * LDL_MAG_NAN. Look-ups, not vectors: compiled once. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_SELECT_H
#define LDL_KERN_SELECT_H

#include <stddef.h>
#include <stdint.h>

enum { LDL_SELECT_MOST = 4 };

/* out[i] = the magnitude of rank[i] (from 0, ascending) among n; 1 to LDL_SELECT_MOST ranks, each below n
 * and none below the one before it. The array is put into another order. */
void ldl_select(uint32_t *mag, size_t n, const uint64_t *rank, size_t nranks, uint32_t *out);

/* How many are smaller than `at`, and how many are equal to it. */
void ldl_select_count(const uint32_t *mag, size_t n, uint32_t at, uint64_t *below, uint64_t *equal);

/* The sum, as numbers, of those that are not below `least`. Exact but for the last step, so it does
 * not depend on their order; infinity when one of them is no finite number. n is below 2^40. */
double ldl_select_sum(const uint32_t *mag, size_t n, uint32_t least);

#endif
