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
static void keep_short(float *restrict x, const uint32_t *restrict draw,
                       const struct ldl_keep *restrict keep, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ldl_keep *e = &keep[bits_of(x[i]) >> LDL_SHORT_SHIFT & (LDL_SHORTS - 1)];
        uint32_t stays = 0u - (uint32_t)(draw[i] <= e->last), sign = bits_of(x[i]) & 0x80000000u;
        x[i] = float_of((bits_of(e->scaled) | sign) & stays);
    }
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
