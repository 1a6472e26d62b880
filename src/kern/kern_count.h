/* kern_count.h -- what counts magnitudes; a part of the kernels' body.
 *
 * What can be told of many elements at once is told by vectors; single ones are only looked at where
 * there are some, and are moved together without a branch: of bf16 task vectors a tenth and more share
 * the magnitude that is looked for, which no branch predictor can guess. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_exp.h"

enum { COUNT_RUN = 32 };

static void magnitudes(uint32_t *restrict o, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o[i] = ldl_magnitude(x[i]);
}

/* ---- bracket ---- */

static void bracket_counts(struct ldl_bracket *b, const float *x, size_t n)
{
    uint32_t from = b->from, at = b->at, to = b->to;
    uint32_t below = 0, on_from = 0, on_at = 0, on_to = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = ldl_magnitude(x[i]);
        below += a < from;
        on_from += a == from;
        on_at += a == at;
        on_to += a == to;
    }
    b->below += below;
    b->on_from += on_from;
    b->on_at += on_at;
    b->on_to += on_to;
}

/* Strictly between from and to is one comparison: a - (from + 1) < span. */
static size_t bracket_inside(const struct ldl_bracket *b, uint32_t *restrict inside,
                             const float *restrict x, size_t n)
{
    uint32_t at = b->at, first = b->from + 1, span = b->to > b->from ? b->to - b->from - 1 : 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i += COUNT_RUN) {
        size_t run = n - i < COUNT_RUN ? n - i : COUNT_RUN;
        uint32_t any = 0;
        for (size_t l = 0; l < run; l++) {
            uint32_t a = ldl_magnitude(x[i + l]);
            any |= (uint32_t)(a - first < span) & (uint32_t)(a != at);
        }
        for (size_t l = 0; any && l < run; l++) {
            uint32_t a = ldl_magnitude(x[i + l]);
            inside[count] = a;
            count += (a - first < span) & (a != at);
        }
    }
    return count;
}

#if defined __AVX512F__
/* With AVX-512, which moves chosen lanes together in one instruction, it is two steps for whole vectors. First all
 * from b->from to b->to go into `inside`, and whether there are any in a vector is not asked: of bf16 task vectors that is
 * a guess which fails as often as not, and was half of the time. They are few: so what they are comes after. */
static size_t bracket_span(struct ldl_bracket *b, uint32_t *restrict inside,
                           const float *restrict x, size_t n)
{
    uint32_t last = b->to == LDL_MAG_NAN ? LDL_MAG_LAST : b->to; /* all NaN */
    const __m512i from = _mm512_set1_epi32((int)b->from), mags = _mm512_set1_epi32(LDL_MAG_LAST);
    const __m512i span = _mm512_set1_epi32((int)(last - b->from));
    size_t count = 0;
    uint64_t below = 0;
    for (size_t i = 0; i < n; i += 16) {
        __m512i a = _mm512_and_si512(_mm512_loadu_si512(x + i), mags);
        uint32_t in = _mm512_cmple_epu32_mask(_mm512_sub_epi32(a, from), span);
        below += (uint64_t)__builtin_popcount(_mm512_cmplt_epu32_mask(a, from));
        count += put_lanes(inside + count, in, a);
    }
    b->below += below;
    return count;
}

/* Counts and takes out those of n on one of the three points; `inside` has room for whole vectors. */
static size_t bracket_points(struct ldl_bracket *b, uint32_t *inside, size_t n)
{
    const __m512i from = _mm512_set1_epi32((int)b->from), at = _mm512_set1_epi32((int)b->at);
    const __m512i to = _mm512_set1_epi32((int)b->to), nan = _mm512_set1_epi32(LDL_MAG_NAN);
    size_t count = 0;
    for (size_t i = 0; i < n; i += 16) {
        uint32_t there = n - i < 16 ? (1u << (n - i)) - 1 : 0xffffu;
        __m512i a = _mm512_min_epu32(_mm512_loadu_si512(inside + i), nan);
        uint32_t on_from = there & _mm512_cmpeq_epu32_mask(a, from);
        uint32_t on_at = there & _mm512_cmpeq_epu32_mask(a, at);
        uint32_t on_to = there & _mm512_cmpeq_epu32_mask(a, to);
        uint32_t in = there & ~(on_from | on_at | on_to);
        b->on_from += (uint64_t)__builtin_popcount(on_from);
        b->on_at += (uint64_t)__builtin_popcount(on_at);
        b->on_to += (uint64_t)__builtin_popcount(on_to);
        count += put_lanes(inside + count, in, a);
    }
    return count;
}
#endif

static size_t bracket(struct ldl_bracket *b, uint32_t *restrict inside, const float *restrict x,
                      size_t n)
{
    size_t whole = 0, count = 0;
#if defined __AVX512F__
    whole = n / 16 * 16;
    count = bracket_points(b, inside, bracket_span(b, inside, x, whole));
#endif
    bracket_counts(b, x + whole, n - whole);
    return count + bracket_inside(b, inside + count, x + whole, n - whole);
}

/* ---- census ---- */

static void census_bins(uint64_t *restrict bins, const float *restrict x, size_t n, uint32_t from,
                        uint32_t span, int shift)
{
    uint32_t inside[COUNT_RUN];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = ldl_magnitude(x[i]) - from;
        inside[count] = a;
        count += a <= span;
    }
    for (size_t i = 0; i < count; i++)
        bins[inside[i] >> shift]++;
}

static void census(struct ldl_census *c, uint64_t *bins, const float *x, size_t n, uint32_t from,
                   uint32_t to, int shift)
{
    uint32_t below = 0, above_min = LDL_MAG_LAST + 1u;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = ldl_magnitude(x[i]);
        uint32_t beyond = a > to ? a : LDL_MAG_LAST + 1u;
        below += a < from;
        above_min = beyond < above_min ? beyond : above_min;
    }
    c->below += below;
    if (above_min < c->above_min)
        c->above_min = above_min;
    for (size_t i = 0; i < n; i += COUNT_RUN) {
        size_t run = n - i < COUNT_RUN ? n - i : COUNT_RUN;
        uint32_t any = 0;
        for (size_t l = 0; l < run; l++)
            any |= (uint32_t)(ldl_magnitude(x[i + l]) - from <= to - from);
        if (any)
            census_bins(bins, x + i, run, from, to - from, shift);
    }
}

/* ---- between: see reduce/high.h. As in bracket() ---- */

#if defined __AVX512F__
static size_t between_vectors(uint32_t *restrict index, const float *restrict v, uint32_t from,
                              uint32_t at, uint32_t to, size_t n)
{
    const __m512i least = _mm512_set1_epi32((int)from), most = _mm512_set1_epi32((int)to);
    const __m512i not = _mm512_set1_epi32((int)at), nan = _mm512_set1_epi32(LDL_MAG_NAN);
    const __m512i mags = _mm512_set1_epi32(0x7fffffff), more = _mm512_set1_epi32(16);
    __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t count = 0;
    for (size_t i = 0; i < n; i += 16) {
        __m512i a = _mm512_min_epu32(_mm512_and_si512(_mm512_loadu_si512(v + i), mags), nan);
        uint32_t in = _mm512_cmpgt_epu32_mask(a, least) & _mm512_cmplt_epu32_mask(a, most) &
                      _mm512_cmpneq_epu32_mask(a, not );
        count += put_lanes(index + count, in, lane);
        lane = _mm512_add_epi32(lane, more);
    }
    return count;
}
#endif

static size_t between(uint32_t *restrict index, const float *restrict v, uint32_t from, uint32_t at,
                      uint32_t to, size_t n)
{
    uint32_t first = from + 1, span = to > from ? to - from - 1 : 0;
    size_t whole = 0, count = 0;
#if defined __AVX512F__
    whole = n / 16 * 16;
    count = between_vectors(index, v, from, at, to, whole);
#endif
    for (size_t i = whole; i < n; i += COUNT_RUN) {
        size_t run = n - i < COUNT_RUN ? n - i : COUNT_RUN;
        uint32_t any = 0;
        for (size_t l = 0; l < run; l++) {
            uint32_t a = ldl_magnitude(v[i + l]);
            any |= (uint32_t)(a - first < span) & (uint32_t)(a != at);
        }
        for (size_t l = 0; any && l < run; l++) {
            uint32_t a = ldl_magnitude(v[i + l]);
            index[count] = (uint32_t)(i + l);
            count += (a - first < span) & (a != at);
        }
    }
    return count;
}

static void gather(float *restrict o, const uint32_t *restrict index, const float *restrict x,
                   size_t count)
{
    for (size_t i = 0; i < count; i++)
        o[i] = x[index[i]];
}
