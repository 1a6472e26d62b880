/* tally.c -- see tally.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tally.h"
#include "base/mem.h"
#include "kern/kern.h"

#include <string.h>

/* ---- tally ---- */

/* The high bits of the product: magnitudes of bf16 differences end in many zero bits, and so do
 * the low bits of their products. */
static inline uint32_t slot_of(const struct ldl_tally *t, uint32_t mag)
{
    uint32_t at = (mag * 0x9E3779B1u) >> t->hash_shift;
    while (t->key[at] != mag && t->key[at] != LDL_TALLY_EMPTY)
        at = (at + 1) & (t->slots - 1);
    return at;
}

static int resize(struct ldl_tally *t, uint32_t slots)
{
    struct ldl_tally bigger = { .slots = slots, .used = t->used };
    bigger.hash_shift = __builtin_clz(slots) + 1; /* 32 - log2(slots) */
    bigger.key = ldl_alloc(slots * sizeof *bigger.key);
    bigger.count = ldl_calloc(slots, sizeof *bigger.count);
    if (!bigger.key || !bigger.count) {
        ldl_tally_free(&bigger);
        return -1;
    }
    memset(bigger.key, 0xff, slots * sizeof *bigger.key);
    for (uint32_t i = 0; i < t->slots; i++) {
        if (t->key[i] == LDL_TALLY_EMPTY)
            continue;
        uint32_t at = slot_of(&bigger, t->key[i]);
        bigger.key[at] = t->key[i];
        bigger.count[at] = t->count[i];
    }
    ldl_tally_free(t);
    *t = bigger;
    return 0;
}

static int insert(struct ldl_tally *t, uint32_t mag)
{
    if (t->used == LDL_TALLY_MOST) {
        t->full = 1;
        return 0;
    }
    if (2 * (t->used + 1) > t->slots && resize(t, t->slots * 2))
        return -1;
    t->key[slot_of(t, mag)] = mag;
    t->used++;
    return 0;
}

int ldl_tally_add(struct ldl_tally *t, const float *x, size_t n)
{
    if (!t->slots && resize(t, 4096))
        return -1;
    for (size_t i = 0; i < n && !t->full; i++) {
        uint32_t mag = ldl_magnitude(x[i]), at = slot_of(t, mag);
        if (t->key[at] == LDL_TALLY_EMPTY) {
            if (insert(t, mag))
                return -1;
            at = slot_of(t, mag);
        }
        t->count[at]++;
    }
    return 0;
}

void ldl_tally_free(struct ldl_tally *t)
{
    ldl_free(t->key);
    ldl_free(t->count);
    *t = (struct ldl_tally){ 0 };
}

/* ---- staircase ---- */

void ldl_stairs_index(struct ldl_stairs *s)
{
    uint32_t c = 0;
    for (uint32_t top = 0; top < LDL_STAIR_TOPS; top++) {
        uint32_t first = top << LDL_STAIR_SHIFT;
        while (c + 1 < s->cells && s->edge[c + 1] <= first)
            c++;
        s->start[top] = c;
    }
    s->start[LDL_STAIR_TOPS] = s->cells - 1;
}

/* The last cell whose edge is not above the magnitude. */
static inline uint32_t cell_of(const struct ldl_stairs *s, uint32_t mag)
{
    uint32_t top = mag >> LDL_STAIR_SHIFT;
    uint32_t lo = s->start[top], len = s->start[top + 1] - lo + 1;
    while (len > 1) {
        uint32_t half = len / 2;
        lo += s->edge[lo + half] <= mag ? half : 0;
        len -= half;
    }
    return lo;
}

void ldl_stairs_count(const struct ldl_stairs *s, uint64_t *count, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        count[cell_of(s, ldl_magnitude(x[i]))]++;
}

void ldl_stairs_map(const struct ldl_stairs *s, const double *value, double *out, const float *x,
                    size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = value[cell_of(s, ldl_magnitude(x[i]))];
}

/* ---- radix sort, least significant digit first, 11 bits at a time ---- */

static void radix_pass(const uint32_t *key, const uint64_t *count, uint32_t *out_key,
                       uint64_t *out_count, size_t n, int shift)
{
    size_t at[2048] = { 0 }, sum = 0;
    for (size_t i = 0; i < n; i++)
        at[key[i] >> shift & 2047]++;
    for (int d = 0; d < 2048; d++) {
        size_t here = at[d];
        at[d] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++) {
        size_t to = at[key[i] >> shift & 2047]++;
        out_key[to] = key[i];
        out_count[to] = count[i];
    }
}

void ldl_radix_pairs(uint32_t *key, uint64_t *count, uint32_t *tmp_key, uint64_t *tmp_count,
                     size_t n)
{
    radix_pass(key, count, tmp_key, tmp_count, n, 0);
    radix_pass(tmp_key, tmp_count, key, count, n, 11);
    radix_pass(key, count, tmp_key, tmp_count, n, 22);
    memcpy(key, tmp_key, n * sizeof *key);
    memcpy(count, tmp_count, n * sizeof *count);
}
