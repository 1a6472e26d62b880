/* kern_body.h -- the one body of all kernels; kern_level.c includes it once for each SIMD level.
 *
 * Plain C that both compilers vectorise at every level: integer masks instead of branches, no
 * pointer that may alias another, loops without early exit. What makes the bits the same at every
 * level: each float operation is written once and rounds once (-ffp-contract=off), reductions name
 * their 16 lanes, conversions between formats are integer arithmetic. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_vec.h"

#define LANES 16

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

/* ---- decode and encode ---- */

static void decode_f32(float *restrict dst, const void *restrict src, size_t n)
{
    memcpy(dst, src, n * sizeof *dst);
}

static void decode_f64(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, p + i * 8, 8);
        dst[i] = (float)v;
    }
}

static void decode_bf16(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + i * 2, 2);
        dst[i] = float_of((uint32_t)h << 16);
    }
}

/* f16 has 5 exponent and 10 fraction bits. Shifted to f32's place the number is too small by
 * 2^112; the multiplication puts that right and turns subnormals into normals on its way. */
static void decode_f16(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + i * 2, 2);
        uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = (uint32_t)(h & 0x7fffu) << 13;
        uint32_t finite = bits_of(float_of(rest) * 0x1p112f);
        uint32_t odd = 0u - (uint32_t)(rest >= 0x0f800000u); /* infinity or NaN */
        dst[i] = float_of(sign | (finite & ~odd) | ((rest | 0x7f800000u) & odd));
    }
}

static void encode_f32(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        uint32_t nan = 0u - (uint32_t)((u & 0x7fffffffu) > LDL_MAG_INF);
        u = (u & ~nan) | (0x7fc00000u & nan);
        memcpy(p + i * 4, &u, 4);
    }
}

static void encode_f64(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i++) {
        double v = src[i];
        uint64_t u;
        memcpy(&u, &v, 8);
        uint64_t nan = 0u - (uint64_t)((u & 0x7fffffffffffffffu) > 0x7ff0000000000000u);
        u = (u & ~nan) | (0x7ff8000000000000u & nan);
        memcpy(p + i * 8, &u, 8);
    }
}

/* Adding 0x7fff and the last kept bit rounds to nearest even; a NaN is replaced before, since the
 * addition could turn it into an infinity. */
static void encode_bf16(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]);
        uint32_t nan = 0u - (uint32_t)((u & 0x7fffffffu) > LDL_MAG_INF);
        uint32_t r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
        uint16_t h = (uint16_t)((r & ~nan) | (0x7fc0u & nan));
        memcpy(p + i * 2, &h, 2);
    }
}

/* Below 2^-14 the f16 number is subnormal with unit 2^-24, which is the unit of f32 numbers in
 * [0.5, 1): adding 0.5 rounds there, to nearest even. From 65520 on the carry makes infinity. */
static void encode_f16(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]), a = u & 0x7fffffffu;
        uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13;
        uint32_t small = bits_of(float_of(a) + 0.5f) - 0x3f000000u;
        uint32_t is_small = 0u - (uint32_t)(a < 0x38800000u);
        uint32_t is_big = 0u - (uint32_t)(a >= 0x47800000u);
        uint32_t is_nan = 0u - (uint32_t)(a > LDL_MAG_INF);
        uint32_t r = (small & is_small) | (normal & ~is_small);
        r = (r & ~is_big) | (0x7c00u & is_big);
        r |= (u >> 16) & 0x8000u;
        r = (r & ~is_nan) | (0x7e00u & is_nan);
        uint16_t h = (uint16_t)r;
        memcpy(p + i * 2, &h, 2);
    }
}

static void count_some(const float *x, size_t n, uint64_t *nans, uint64_t *infs)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(x[i]) & 0x7fffffffu;
        *nans += a > LDL_MAG_INF;
        *infs += a == LDL_MAG_INF;
    }
}

/* There are nearly never any, so it is the largest magnitude that is asked for. */
static void count_odd(const float *x, size_t n, uint64_t *nans, uint64_t *infs)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    if (most >= LDL_MAG_INF)
        count_some(x, n, nans, infs);
}

/* ---- elementwise ---- */

static void sub(float *restrict x, const float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] -= b[i];
}

static void add(float *restrict x, const float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += b[i];
}

static void zero(float *x, size_t n)
{
    memset(x, 0, n * sizeof *x);
}

static void axpy(float *restrict o, float w, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o[i] += w * x[i];
}

static void mix(float *restrict o, float a, const float *restrict x, float b,
                const float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o[i] = a * x[i] + b * y[i];
}

static void mul(float *restrict x, const float *restrict f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= f[i];
}

/* The sums of COLUMNS neighbours are kept in vectors while the rank is walked: every load of R is
 * used once and nothing else moves. Written with the width as a constant so that compilers unroll
 * the inner loops into whole vectors. */
#define COLUMNS 32

static inline void rank_columns(float *restrict o, float s, const float *restrict l,
                                const float *restrict r, size_t stride, size_t rank)
{
    float acc[COLUMNS] = { 0 };
    for (size_t i = 0; i < rank; i++, r += stride)
        for (int j = 0; j < COLUMNS; j++)
            acc[j] += l[i] * r[j];
    for (int j = 0; j < COLUMNS; j++)
        o[j] += s * acc[j];
}

static void rank_update(float *restrict o, float s, const float *restrict l,
                        const float *restrict r, size_t stride, size_t rank, size_t n)
{
    size_t j = 0;
    for (; j + COLUMNS <= n; j += COLUMNS)
        rank_columns(o + j, s, l, r + j, stride, rank);
    for (; j < n; j++) {
        float acc = 0;
        for (size_t i = 0; i < rank; i++)
            acc += l[i] * r[i * stride + j];
        o[j] += s * acc;
    }
}

static void transpose(float *restrict o, size_t stride, const float *restrict x, size_t rows,
                      size_t columns)
{
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            o[j * stride + i] = x[i * columns + j];
}

static void add_squares(double *restrict d, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d[i] += (double)x[i] * (double)x[i];
}

/* A NaN of x or b goes through all of it. */
static void near_swap(float *restrict o, float t, const float *restrict x, const float *restrict b,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float away = float_of(bits_of(b[i] - x[i]) & 0x7fffffffu);
        float v = t * (1.0f / (away < 1e-6f ? 1e-6f : away));
        v = v < 0.0f ? 0.0f : v;
        v = v > 1.0f ? 1.0f : v;
        float take = v * x[i], leave = (1.0f - v) * b[i];
        o[i] = take + leave;
    }
}

static inline float is_touched(float x, float eps)
{
    return (x < 0.0f ? -x : x) > eps ? 1.0f : 0.0f;
}

static void touch(float *restrict c, float eps, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        c[i] += is_touched(x[i], eps);
}

static void add_touched(float *restrict o, const float *restrict c, float eps, float f,
                        const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float v = is_touched(x[i], eps) * x[i];
        float alone = f * v, shared = v / (c[i] > 1.0f ? c[i] : 1.0f);
        o[i] += c[i] == 1.0f ? alone : shared;
    }
}

static void count_touched(const float *restrict c, float eps, const float *restrict x, size_t n,
                          uint64_t *alone, uint64_t *shared)
{
    uint32_t one = 0, more = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t in = (x[i] < 0.0f ? -x[i] : x[i]) > eps;
        one += in & (c[i] == 1.0f);
        more += in & (c[i] > 1.0f);
    }
    *alone += one;
    *shared += more;
}

static void keep_high(float *restrict x, const float *restrict v, uint32_t least, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stays = 0u - (uint32_t)((bits_of(v[i]) & 0x7fffffffu) >= least);
        x[i] = float_of(bits_of(x[i]) & stays);
    }
}

static void raise_mags(uint32_t *restrict o, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t mag = bits_of(x[i]) & 0x7fffffffu;
        o[i] = mag > o[i] ? mag : o[i];
    }
}

/* 1.5 * 2^52 leaves no bits for a fraction, and those of the sum count up from its own. */
static void add_products(uint64_t *restrict s, const float *x, const double *p, const float *y,
                         const double *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double whole = ((double)x[i] * p[i]) * ((double)y[i] * q[i]) + 0x1.8p52;
        uint64_t u;
        memcpy(&u, &whole, sizeof u);
        s[i] += u - 0x4338000000000000u;
    }
}

static void trim(float *x, uint32_t threshold_mag, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stays = 0u - (uint32_t)((bits_of(x[i]) & 0x7fffffffu) >= threshold_mag);
        x[i] = float_of(bits_of(x[i] * factor) & stays);
    }
}

static void keep_each(float *restrict x, const uint32_t *restrict draw, const double *restrict p,
                      int rescale, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t stays = 0u - (uint32_t)((double)draw[i] < p[i] * 0x1p32);
        float v = rescale ? (float)((double)x[i] / p[i]) : x[i];
        x[i] = float_of(bits_of(v) & stays);
    }
}
