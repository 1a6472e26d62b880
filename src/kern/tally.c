/* tally.c -- see tally.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tally.h"
#include "base/mem.h"

#include <string.h>

enum { FIRST_SLOTS = 4096, RUN = 512, TOGETHER = 16, LOW_BITS = (1 << LDL_SHORT_SHIFT) - 1 };

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Of all NaN that have one, the index is above that of infinity. */
static inline uint32_t short_of(float x)
{
    return bits_of(x) >> LDL_SHORT_SHIFT & (LDL_SHORTS - 1);
}

static uint32_t short_mag(uint32_t at)
{
    uint32_t mag = at << LDL_SHORT_SHIFT;
    return mag < LDL_MAG_NAN ? mag : LDL_MAG_NAN;
}

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
    bigger.shorts = t->shorts;
    t->shorts = NULL;
    ldl_tally_free(t);
    *t = bigger;
    return 0;
}

uint64_t ldl_tally_bytes(uint64_t distinct)
{
    uint64_t slots = FIRST_SLOTS;
    while (slots < 2 * distinct)
        slots *= 2;
    return slots * (sizeof(uint32_t) + sizeof(uint64_t));
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

static int add_long(struct ldl_tally *t, const float *x, size_t n)
{
    if (!t->slots && resize(t, FIRST_SLOTS))
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

int ldl_tally_shorts(struct ldl_tally *t)
{
    t->shorts = ldl_calloc(LDL_SHORTS, sizeof *t->shorts);
    return t->shorts ? 0 : -1;
}

static void add_short(struct ldl_tally *t, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        t->shorts[short_of(x[i])][0]++;
        t->shorts[short_of(x[i + 1])][1]++;
    }
    if (i < n)
        t->shorts[short_of(x[i])][0]++;
}

/* All are counted as short ones, and what is not short is taken out again: it is rare. */
static int add_shorts(struct ldl_tally *t, const struct ldl_kern *k, const float *x, size_t n)
{
    uint32_t index[RUN];
    float others[RUN];
    size_t count = k->longs(index, x, n);
    add_short(t, x, n);
    for (size_t i = 0; i < count; i++) {
        others[i] = x[index[i]];
        t->shorts[short_of(others[i])][index[i] % 2]--;
    }
    return add_long(t, others, count);
}

int ldl_tally_add(struct ldl_tally *t, const struct ldl_kern *k, const float *x, size_t n)
{
    if (!t->shorts)
        return add_long(t, x, n);
    for (size_t i = 0; i < n && !t->full; i += RUN)
        if (add_shorts(t, k, x + i, LDL_MIN(n - i, (size_t)RUN)))
            return -1;
    return 0;
}

void ldl_tally_join_shorts(struct ldl_tally *t, struct ldl_tally *from)
{
    for (uint32_t at = 0; t->shorts && at < LDL_SHORTS; at++) {
        t->shorts[at][0] += from->shorts[at][0];
        t->shorts[at][1] += from->shorts[at][1];
    }
    ldl_free(from->shorts);
    from->shorts = NULL;
}

size_t ldl_tally_distinct(const struct ldl_tally *t)
{
    size_t n = t->used;
    for (uint32_t at = 0; t->shorts && at < LDL_SHORTS; at++)
        n += (t->shorts[at][0] | t->shorts[at][1]) != 0;
    return n;
}

size_t ldl_tally_pairs(const struct ldl_tally *t, uint32_t *key, uint64_t *count)
{
    size_t n = 0;
    for (uint32_t s = 0; s < t->slots; s++)
        if (t->key[s] != LDL_TALLY_EMPTY) {
            key[n] = t->key[s];
            count[n++] = t->count[s];
        }
    for (uint32_t at = 0; t->shorts && at < LDL_SHORTS; at++)
        if (t->shorts[at][0] | t->shorts[at][1]) {
            key[n] = short_mag(at);
            count[n++] = (uint64_t)t->shorts[at][0] + t->shorts[at][1];
        }
    return n;
}

void ldl_tally_free(struct ldl_tally *t)
{
    ldl_free(t->shorts);
    ldl_free(t->key);
    ldl_free(t->count);
    *t = (struct ldl_tally){ 0 };
}

/* ---- staircase ---- */

void ldl_stairs_index(struct ldl_stairs *s)
{
    uint32_t c = 0, most = 1;
    for (uint32_t top = 0; top < LDL_STAIR_TOPS; top++) {
        uint32_t first = top << LDL_STAIR_SHIFT;
        while (c + 1 < s->cells && s->edge[c + 1] <= first)
            c++;
        s->start[top] = c;
    }
    s->start[LDL_STAIR_TOPS] = s->cells - 1;
    for (uint32_t top = 0; top < LDL_STAIR_TOPS; top++)
        most = LDL_MAX(most, s->start[top + 1] - s->start[top] + 1);
    for (s->steps = 0; most > 1; most -= most / 2)
        s->steps++;
}

/* The cells of the first TOGETHER elements, or of all n: how many. A cell is the last whose edge is not above the
 * magnitude. The searches wait for memory side by side, and as all take the same number of steps no branch is
 * guessed; one after the other takes three times as long. */
static inline size_t cells_of(const struct ldl_stairs *s, uint32_t cell[TOGETHER], const float *x,
                              size_t n)
{
    uint32_t mag[TOGETHER], len[TOGETHER];
    float room[TOGETHER] = { 0 };
    if (n < TOGETHER)
        x = memcpy(room, x, n * sizeof *x);
    for (int i = 0; i < TOGETHER; i++) {
        mag[i] = ldl_magnitude(x[i]);
        uint32_t top = mag[i] >> LDL_STAIR_SHIFT;
        cell[i] = s->start[top];
        len[i] = s->start[top + 1] - cell[i] + 1;
    }
    for (int step = 0; step < s->steps; step++)
        for (int i = 0; i < TOGETHER; i++) {
            uint32_t half = len[i] / 2;
            cell[i] += s->edge[cell[i] + half] <= mag[i] ? half : 0;
            len[i] -= half;
        }
    return LDL_MIN(n, (size_t)TOGETHER);
}

void ldl_stairs_count(const struct ldl_stairs *s, uint32_t *count, uint32_t *over, const float *x,
                      size_t n)
{
    uint32_t cell[TOGETHER];
    for (size_t i = 0; i < n; i += TOGETHER) {
        size_t some = cells_of(s, cell, x + i, n - i);
        for (size_t k = 0; k < some; k++)
            if (++count[cell[k]] == 0)
                over[cell[k]]++;
    }
}

void ldl_stairs_map(const struct ldl_stairs *s, const double *value, double *out, const float *x,
                    size_t n)
{
    uint32_t cell[TOGETHER];
    for (size_t i = 0; i < n; i += TOGETHER) {
        size_t some = cells_of(s, cell, x + i, n - i);
        for (size_t k = 0; k < some; k++)
            out[i + k] = value[cell[k]];
    }
}

/* ---- keeping ---- */

/* For whole numbers, draw < below is draw <= last. */
static uint32_t last_below(double below)
{
    if (below >= 0x1p32)
        return UINT32_MAX;
    uint64_t whole = (uint64_t)below;
    return (uint32_t)(whole - ((double)whole == below));
}

int ldl_keep_fill(struct ldl_keep *keep, const struct ldl_stairs *s, const double *p, int rescale)
{
    for (uint32_t c = 0; c < s->cells; c++) {
        uint32_t from = s->edge[c] >> LDL_SHORT_SHIFT, to = from + !(s->edge[c] & LOW_BITS);
        if (s->edge[c] == LDL_MAG_NAN) {
            from++;
            to = LDL_SHORTS;
        }
        if (!(p[c] > 0)) /* even a draw of 0 is not kept */
            return -1;
        for (uint32_t at = from; at < to; at++) {
            float mag = float_of(at << LDL_SHORT_SHIFT);
            keep[at] = (struct ldl_keep){ last_below(p[c] * 0x1p32),
                                          rescale ? (float)((double)mag / p[c]) : mag };
        }
    }
    return 0;
}

/* Those that are not short are taken out, and put back. */
static void keep_run(const struct ldl_keeper *by, const struct ldl_kern *k, float *x,
                     const uint32_t *draw, size_t n)
{
    uint32_t index[RUN], theirs[RUN];
    float others[RUN];
    double p[RUN];
    size_t count = k->longs(index, x, n);
    for (size_t i = 0; i < count; i++) {
        others[i] = x[index[i]];
        theirs[i] = draw[index[i]];
    }
    k->keep_short(x, draw, by->keep, n);
    ldl_stairs_map(by->stairs, by->p, p, others, count);
    k->keep_each(others, theirs, p, by->rescale, count);
    for (size_t i = 0; i < count; i++)
        x[index[i]] = others[i];
}

void ldl_keeper_apply(const struct ldl_keeper *by, const struct ldl_kern *k, float *x,
                      const uint32_t *draw, size_t n)
{
    for (size_t i = 0; i < n; i += RUN)
        keep_run(by, k, x + i, draw + i, LDL_MIN(n - i, (size_t)RUN));
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
