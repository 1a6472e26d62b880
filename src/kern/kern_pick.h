/* kern_pick.h -- which elements a sparsifier keeps: by magnitude, by rank, by a bit; a part of the
 * kernels' body. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_small.h"

static void band(float *x, uint32_t from, uint32_t to, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stays = 0u - (uint32_t)((bits_of(x[i]) & 0x7fffffffu) - from < to - from);
        x[i] = float_of(bits_of(x[i] * factor) & stays);
    }
}

static size_t band_count(const float *x, size_t n, uint32_t from, uint32_t to)
{
    size_t total = 0;
    while (n) {
        size_t run = n < 65536 ? n : 65536;
        uint32_t count = 0;
        for (size_t i = 0; i < run; i++)
            count += (bits_of(x[i]) & 0x7fffffffu) - from < to - from;
        total += count;
        x += run;
        n -= run;
    }
    return total;
}

/* Counts the elements up to which there are not yet `number` + 1. */
static size_t band_find(const float *x, size_t n, uint32_t from, uint32_t to, size_t number)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        count += (bits_of(x[i]) & 0x7fffffffu) - from < to - from;
        at += count <= number;
    }
    return at;
}

static void keep(float *restrict x, const uint32_t *restrict draw, uint64_t keep_below,
                 float divisor, size_t n)
{
    if (keep_below == 0) {
        zero(x, n);
        return;
    }
    uint32_t last = (uint32_t)(keep_below - 1);
    for (size_t i = 0; i < n; i++) {
        uint32_t stays = 0u - (uint32_t)(draw[i] <= last);
        x[i] = float_of(bits_of(x[i]) & stays);
    }
    if (divisor != 1.0f)
        over(x, divisor, n);
}

/* The quotient of -x is that of x with the other sign. */
static void keep_some(float *restrict x, const uint32_t *restrict draw,
                      const struct ldl_keep *restrict keep, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ldl_keep *e = &keep[bits_of(x[i]) >> LDL_SHORT_SHIFT & (LDL_SHORTS - 1)];
        uint32_t stays = 0u - (uint32_t)(draw[i] <= e->last), sign = bits_of(x[i]) & 0x80000000u;
        x[i] = float_of((bits_of(e->scaled) | sign) & stays);
    }
}

#if defined __SSE4_1__
/* Two entries: those of two elements whose bits are in `pair`. */
static inline __m128 two_keeps(const struct ldl_keep *keep, uint64_t pair)
{
    __m128 none = _mm_setzero_ps();
    const struct ldl_keep *a = &keep[pair >> LDL_SHORT_SHIFT & (LDL_SHORTS - 1)];
    const struct ldl_keep *b = &keep[pair >> (32 + LDL_SHORT_SHIFT) & (LDL_SHORTS - 1)];
    return _mm_loadh_pi(_mm_loadl_pi(none, (const __m64 *)(const void *)a),
                        (const __m64 *)(const void *)b);
}

/* An entry is one load of eight bytes. Compilers load each half of it, or use gathers, which take longer than four
 * of these side by side. */
static size_t keep_fours(float *x, const uint32_t *draw, const struct ldl_keep *keep, size_t n)
{
    const __m128i minus = _mm_set1_epi32(INT32_MIN);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t pair[2];
        memcpy(pair, x + i, sizeof pair);
        __m128 low = two_keeps(keep, pair[0]), high = two_keeps(keep, pair[1]);
        __m128i last = _mm_castps_si128(_mm_shuffle_ps(low, high, 0x88));
        __m128i scaled = _mm_castps_si128(_mm_shuffle_ps(low, high, 0xdd));
        __m128i at = _mm_loadu_si128((const __m128i *)(const void *)(draw + i));
        __m128i old = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        __m128i stays = _mm_cmpeq_epi32(_mm_min_epu32(at, last), at);
        __m128i v = _mm_or_si128(scaled, _mm_and_si128(old, minus));
        _mm_storeu_si128((__m128i *)(void *)(x + i), _mm_and_si128(v, stays));
    }
    return i;
}
#endif

static void keep_short(float *x, const uint32_t *draw, const struct ldl_keep *keep, size_t n)
{
    size_t i = 0;
#if defined __SSE4_1__
    i = keep_fours(x, draw, keep, n);
#endif
    keep_some(x + i, draw + i, keep, n - i);
}

/* 2^52 leaves no bits for a fraction: what is added to it is rounded to a whole number. */
static void last_draws(uint32_t *r, double p, double step, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double below = (p + step * (double)(int32_t)r[i]) * 0x1p32;
        below = below < 0x1p32 ? below : 0x1p32;
        double whole = below + 0x1p52;
        uint64_t u;
        memcpy(&u, &whole, sizeof u);
        r[i] = (uint32_t)(u - (uint64_t)(whole - 0x1p52 >= below));
    }
}

/* Word by word, so that a word's bits go to lanes by constant shifts. */
static void keep_bits(float *restrict x, const uint32_t *restrict bits, float factor, size_t n)
{
    for (size_t i = 0; i + 32 <= n; i += 32) {
        uint32_t word = bits[i / 32];
        for (uint32_t l = 0; l < 32; l++) {
            uint32_t stays = 0u - (word >> l & 1u);
            x[i + l] = float_of(bits_of(x[i + l] * factor) & stays);
        }
    }
    for (size_t i = n / 32 * 32; i < n; i++) {
        uint32_t stays = 0u - (bits[i / 32] >> (i % 32) & 1u);
        x[i] = float_of(bits_of(x[i] * factor) & stays);
    }
}

static void mag_bins(uint16_t *restrict bin, const float *restrict x, size_t n, uint32_t lo,
                     int shift, uint32_t last)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(x[i]) & 0x7fffffffu;
        uint32_t b = (((a > lo ? a : lo) - lo) >> shift) + 1;
        b = b < last ? b : last;
        bin[i] = (uint16_t)(a ? b : 0);
    }
}

/* ---- rows of short magnitudes ---- */

static inline uint32_t not_short(uint32_t mag)
{
    return (uint32_t)((mag & ((1u << LDL_SHORT_SHIFT) - 1)) != 0);
}

enum { LONGS_RUN = 64 };

static inline uint32_t any_long(const float *x, size_t n)
{
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= bits_of(x[i]);
    return not_short(any);
}

static size_t longs_one_by_one(uint32_t *index, const float *x, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        index[count] = (uint32_t)i;
        count += not_short(bits_of(x[i]));
    }
    return count;
}

static inline size_t longs_there(uint32_t *index, const float *x, size_t from)
{
#if defined __AVX512F__
    const __m512i low = _mm512_set1_epi32((1 << LDL_SHORT_SHIFT) - 1);
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t count = 0;
    for (size_t i = from; i < from + LONGS_RUN; i += 16) {
        uint32_t there = _mm512_test_epi32_mask(_mm512_loadu_si512(x + i), low);
        __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32((int)i));
        count += put_lanes(index + count, there, at);
    }
    return count;
#else
    return longs_one_by_one(index, x, from, from + LONGS_RUN);
#endif
}

static size_t longs(uint32_t *index, const float *x, size_t n)
{
    size_t count = 0, i = 0;
    for (; i + LONGS_RUN <= n; i += LONGS_RUN)
        if (any_long(x + i, LONGS_RUN)) /* a constant, so that it is whole vectors */
            count += longs_there(index + count, x, i);
    return count + longs_one_by_one(index + count, x, i, n);
}

static void survey(struct ldl_survey *s, const float *x, size_t n)
{
    uint32_t bits = 0, least = LDL_MAG_LAST, most = 0, others = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = ldl_magnitude(x[i]), other = not_short(a), b = a ? a : LDL_MAG_LAST;
        bits |= a & (other - 1);
        least = b < least ? b : least;
        most = a > most ? a : most;
        others += other;
    }
    *s = (struct ldl_survey){ bits, least, most, others };
}

/* What is 0 is in several bins, so that who counts need not wait for the count of the 0 before. */
static size_t short_bins(uint16_t *restrict bin, uint32_t *restrict others, const float *restrict x,
                         size_t n, uint32_t first, int shift)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i += 32) {
        size_t run = n - i < 32 ? n - i : 32;
        uint32_t any = 0;
        for (size_t l = 0; l < run; l++) {
            uint32_t a = ldl_magnitude(x[i + l]), none = 0u - (uint32_t)(a == 0);
            uint32_t b = LDL_ZERO_BINS + (a >> shift) - first;
            bin[i + l] = (uint16_t)((b & ~none) | (l % LDL_ZERO_BINS & none));
            any |= a;
        }
        any = not_short(any);
        for (size_t l = 0; any && l < run; l++) {
            others[count] = (uint32_t)(i + l);
            count += not_short(ldl_magnitude(x[i + l]));
        }
    }
    return count;
}
