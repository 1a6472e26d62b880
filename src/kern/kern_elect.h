/* kern_elect.h -- loops over several models at once: a sign for each element and the sum of the models that have
 * it, their variance; a part of the kernels' body. One vector of elements stays in
 * registers while the models pass by: step by step over arrays it was twice the time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_philox.h"

/* Lanes of a where the mask is all ones, lanes of b where it is 0. */
#define LDL_SELECT(type, mask, a, b)                                                               \
    ((type)(((mask) & (__typeof__(mask))(a)) | (~(mask) & (__typeof__(mask))(b))))

/* The sign bit where a vote elects -, which is where it is not >= 0; and where v has the elected sign. */
static inline ldl_i32s minus_of(ldl_f32s vote)
{
    return ~(vote >= 0) & INT32_MIN;
}

static inline ldl_i32s has_sign(ldl_i32s minus, ldl_f32s v)
{
    return (ldl_f32s)((ldl_i32s)v ^ minus) > 0;
}

/* v where the mask is set, else 0 * v, which is NaN where v is no finite number. */
static inline ldl_f32s where_set(ldl_i32s mask, ldl_f32s v)
{
    const ldl_f32s one = (ldl_f32s){ 0 } + 1.0f;
    return (ldl_f32s)(mask & (ldl_i32s)one) * v;
}

static inline ldl_f32s vote_of(float *const *x, const struct ldl_elect *how, size_t at, size_t n)
{
    const ldl_f32s none = { 0 }, one = none + 1.0f;
    ldl_f32s vote = none;
    for (size_t i = 0; i < how->m; i++) {
        ldl_f32s v = load_f32s(x[i] + at, n);
        if (how->vote != LDL_VOTE_PLAIN)
            v *= how->w[i];
        if (how->vote == LDL_VOTE_COUNT)
            v = LDL_SELECT(ldl_f32s, v > 0, one, none) - LDL_SELECT(ldl_f32s, v < 0, one, none);
        vote += v;
    }
    return vote;
}

static inline void elect_f32(float *o, float *const *x, const struct ldl_elect *how, size_t at,
                             size_t n)
{
    const ldl_f32s none = { 0 }, one = none + 1.0f;
    ldl_f32s sum = none, share = none;
    ldl_i32s minus = minus_of(vote_of(x, how, at, n));
    for (size_t i = 0; i < how->m; i++) {
        ldl_f32s v = how->w[i] * load_f32s(x[i] + at, n);
        ldl_i32s has = has_sign(minus, v);
        sum += where_set(has, v);
        share += where_set(has, none + how->w[i]);
    }
    if (how->share == LDL_SHARE_F32)
        sum /= LDL_SELECT(ldl_f32s, share == 0, one, share);
    else if (how->share == LDL_SHARE_LEAST)
        sum /= LDL_SELECT(ldl_f32s, share < 1e-6f, none + 1e-6f, share);
    memcpy(o + at, &sum, n * sizeof *o);
}

/* ---- shares in f64: a vector of them is half a vector of f32 ---- */

static inline ldl_f64s add_share(ldl_f64s share, ldl_i32h has, double more)
{
    const ldl_f64s none = { 0 };
    ldl_i64s mask = widen_mask(has);
    return share + LDL_SELECT(ldl_f64s, mask, none + more, none);
}

static inline ldl_f32h quotient(ldl_f32h sum, ldl_f64s share)
{
    const ldl_f64s none = { 0 };
    ldl_f64s by = LDL_SELECT(ldl_f64s, (share < 1e-8) & (share > -1e-8), none + 1.0, share);
    return narrow(widen(sum) / by);
}

static inline void elect_f64(float *o, float *const *x, const struct ldl_elect *how, size_t at,
                             size_t n)
{
    ldl_f32s sum = { 0 };
    ldl_i32s minus = minus_of(vote_of(x, how, at, n));
    ldl_f64s share[2] = { { 0 }, { 0 } };
    ldl_i32h half[2];
    ldl_f32h part[2];
    for (size_t i = 0; i < how->m; i++) {
        ldl_f32s v = how->w[i] * load_f32s(x[i] + at, n);
        ldl_i32s has = has_sign(minus, v);
        sum += where_set(has, v);
        memcpy(half, &has, sizeof half);
        share[0] = add_share(share[0], half[0], how->w64[i]);
        share[1] = add_share(share[1], half[1], how->w64[i]);
    }
    if (how->share == LDL_SHARE_F64) {
        memcpy(part, &sum, sizeof part);
        part[0] = quotient(part[0], share[0]);
        part[1] = quotient(part[1], share[1]);
        memcpy(&sum, part, sizeof part);
    }
    memcpy(o + at, &sum, n * sizeof *o);
}

/* ---- two models of one weight, a power of two as it mostly is: then a product is the quotient, and half of
 * the time is saved ---- */

/* What the sum is multiplied by where one has the sign (or none: then it is 0, or NaN), and where both. */
struct ldl_pair {
    float one, both;
};

static int is_power_of_two(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return (u & 0xfffffffffffffu) == 0 && x > 0x1p-100 && x < 0x1p100;
}

static int pair_of(struct ldl_pair *p, const struct ldl_elect *how)
{
    double w = how->w64 ? how->w64[0] : (double)how->w[0];
    *p = (struct ldl_pair){ 1, 1 };
    if (how->m != 2 || how->vote != LDL_VOTE_SUM || how->share == LDL_SHARE_LEAST)
        return 0;
    if (how->share == LDL_SHARE_NONE)
        return 1;
    if (how->w[0] != how->w[1] || (how->w64 && how->w64[1] != w) || !is_power_of_two(w) || w < 1e-8)
        return 0;
    *p = (struct ldl_pair){ (float)(1 / w), (float)(0.5 / w) };
    return 1;
}

static inline void elect_pair(float *o, float *const *x, const struct ldl_elect *how,
                              const struct ldl_pair *p, size_t at, size_t n)
{
    const ldl_f32s none = { 0 };
    ldl_f32s v0 = how->w[0] * load_f32s(x[0] + at, n), v1 = how->w[1] * load_f32s(x[1] + at, n);
    ldl_i32s minus = minus_of(v0 + v1);
    ldl_i32s has0 = has_sign(minus, v0), has1 = has_sign(minus, v1);
    ldl_f32s sum = none;
    sum += where_set(has0, v0);
    sum += where_set(has1, v1);
    sum *= LDL_SELECT(ldl_f32s, has0 & has1, none + p->both, none + p->one);
    memcpy(o + at, &sum, n * sizeof *o);
}

static void elect(float *o, float *const *x, const struct ldl_elect *how, size_t n)
{
    struct ldl_pair pair;
    size_t at = 0;
    if (pair_of(&pair, how)) {
        for (; at + LDL_F32S <= n; at += LDL_F32S)
            elect_pair(o, x, how, &pair, at, LDL_F32S);
        elect_pair(o, x, how, &pair, at, n - at);
    } else if (how->w64) {
        for (; at + LDL_F32S <= n; at += LDL_F32S)
            elect_f64(o, x, how, at, LDL_F32S);
        elect_f64(o, x, how, at, n - at);
    } else {
        for (; at + LDL_F32S <= n; at += LDL_F32S)
            elect_f32(o, x, how, at, LDL_F32S);
        elect_f32(o, x, how, at, n - at);
    }
}

/* ---- variance ---- */

/* x / m; of a power of two the product is the quotient. */
static inline ldl_f64s part_of(ldl_f64s x, double m, int is_power)
{
    return is_power ? x * (1 / m) : x / m;
}

static inline void variance_lanes(float *v, float *const *x, size_t m, int is_power, size_t at,
                                  size_t n)
{
    ldl_f64s mean = { 0 }, square = { 0 };
    for (size_t i = 0; i < m; i++)
        mean += load_f64s(x[i] + at, n);
    mean = part_of(mean, (double)m, is_power);
    for (size_t i = 0; i < m; i++) {
        ldl_f64s away = load_f64s(x[i] + at, n) - mean;
        square += away * away;
    }
    square = part_of(square, (double)m, is_power);
    ldl_f32h all = narrow(square);
    memcpy(v + at, &all, n * sizeof *v);
}

/* Of two: (a - b)^2 / 4. */
static inline void variance_pair(float *v, const float *a, const float *b, size_t n)
{
    ldl_f64s away = load_f64s(a, n) - load_f64s(b, n);
    ldl_f32h all = narrow(away * away * 0.25);
    memcpy(v, &all, n * sizeof *v);
}

static void variance(float *restrict v, float *const *x, size_t m, size_t n)
{
    int is_power = (m & (m - 1)) == 0;
    size_t at = 0;
    for (; m == 2 && at + LDL_F64S <= n; at += LDL_F64S)
        variance_pair(v + at, x[0] + at, x[1] + at, LDL_F64S);
    for (; is_power && at + LDL_F64S <= n; at += LDL_F64S)
        variance_lanes(v, x, m, 1, at, LDL_F64S);
    for (; at + LDL_F64S <= n; at += LDL_F64S)
        variance_lanes(v, x, m, 0, at, LDL_F64S);
    if (m == 2)
        variance_pair(v + at, x[0] + at, x[1] + at, n - at);
    else
        variance_lanes(v, x, m, is_power, at, n - at);
}
