/* kern_small.h -- elements of one byte and blocks of 32; a part of the kernels' body.
 *
 *     E4M3   s eeee mmm    bias 7; no infinity: 0x7f and 0xff are NaN, the largest number is 448
 *     E5M2   s eeeee mm    bias 15; an f16 cut after its first byte, infinity and NaN as there
 *     Q8_0   d q[32]       f16 scale, then 32 int8: d * q
 *     Q4_0   d q[16]       f16 scale, then 32 nibbles: d * (nibble - 8); the low nibbles of the 16
 *                          bytes are elements 0 to 15, the high ones 16 to 31
 *
 * Rounding to one byte is to nearest even, and what rounds past the last number becomes NaN (E4M3)
 * or infinity (E5M2), as in torch's casts before they began to saturate E4M3 (2.15 writes 448 for
 * an infinity): a number that could not be kept must show. Every NaN is written as 0x7f.
 *
 * Encoding Q8_0: d = max|x| / 127, q = x * (1/d) rounded half away from zero, d rounded to f16
 * after that. What has no meaning there is made visible and not undefined: a NaN or an infinity
 * makes the scale NaN, so all 32 elements read back as NaN; a max|x| above 127 * 65504 makes it
 * infinite. Where 1/d is infinite the scale rounds to 0 in any case, and q is 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_sum.h"

enum { BLOCK = 32, SCALE_BYTES = 2, Q8_BYTES = SCALE_BYTES + BLOCK, Q4_BYTES = SCALE_BYTES + 16 };

/* As decode_f16(): in f32's place the number is too small by a power of two. */
static void decode_e4m3(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint32_t b = p[i], rest = (b & 0x7fu) << 20;
        uint32_t finite = bits_of(float_of(rest) * 0x1p120f);
        uint32_t odd = 0u - (uint32_t)(rest == 0x07f00000u); /* NaN */
        dst[i] = float_of((b & 0x80u) << 24 | (finite & ~odd) | (0x7fc00000u & odd));
    }
}

static void decode_e5m2(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint32_t b = p[i], rest = (b & 0x7fu) << 21;
        uint32_t finite = bits_of(float_of(rest) * 0x1p112f);
        uint32_t odd = 0u - (uint32_t)(rest >= 0x0f800000u); /* infinity or NaN */
        dst[i] = float_of((b & 0x80u) << 24 | (finite & ~odd) | ((rest | 0x7f800000u) & odd));
    }
}

/* Below 2^-6 the number is subnormal with unit 2^-9, which is the unit of f32 numbers from 2^14 on:
 * adding 2^14 rounds there. Up to 464 rounds to 448; the next f32 number would be 480, the NaN. */
static void encode_e4m3(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *restrict p = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]), a = u & 0x7fffffffu;
        uint32_t normal = (a - 0x3c000000u + 0x7ffffu + ((a >> 20) & 1u)) >> 20;
        uint32_t small = bits_of(float_of(a) + 0x1p14f) - 0x46800000u;
        uint32_t is_small = 0u - (uint32_t)(a < 0x3c800000u);
        uint32_t is_nan = 0u - (uint32_t)(a > 0x43e80000u); /* above 464 */
        uint32_t r = (small & is_small) | (normal & ~is_small) | ((u >> 24) & 0x80u);
        p[i] = (unsigned char)((r & ~is_nan) | (0x7fu & is_nan));
    }
}

/* The same with unit 2^-16 below 2^-14. From 61440 on the carry makes infinity. */
static void encode_e5m2(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *restrict p = dst;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits_of(src[i]), a = u & 0x7fffffffu;
        uint32_t normal = (a - 0x38000000u + 0xfffffu + ((a >> 21) & 1u)) >> 21;
        uint32_t small = bits_of(float_of(a) + 0x1p7f) - 0x43000000u;
        uint32_t is_small = 0u - (uint32_t)(a < 0x38800000u);
        uint32_t is_big = 0u - (uint32_t)(a >= 0x47800000u);
        uint32_t is_nan = 0u - (uint32_t)(a > LDL_MAG_INF);
        uint32_t r = (small & is_small) | (normal & ~is_small);
        r = (r & ~is_big) | (0x7cu & is_big);
        r |= (u >> 24) & 0x80u;
        p[i] = (unsigned char)((r & ~is_nan) | (0x7fu & is_nan));
    }
}

static void decode_q8_0(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t at = 0; at + BLOCK <= n; at += BLOCK, p += Q8_BYTES, dst += BLOCK) {
        const signed char *q = (const signed char *)p + SCALE_BYTES;
        float d;
        decode_f16(&d, p, 1);
        for (int i = 0; i < BLOCK; i++)
            dst[i] = d * (float)q[i];
    }
}

static void decode_q4_0(float *restrict dst, const void *restrict src, size_t n)
{
    const unsigned char *p = src;
    for (size_t at = 0; at + BLOCK <= n; at += BLOCK, p += Q4_BYTES, dst += BLOCK) {
        const unsigned char *q = p + SCALE_BYTES;
        float d;
        decode_f16(&d, p, 1);
        for (int i = 0; i < BLOCK / 2; i++) {
            dst[i] = d * (float)((int)(q[i] & 15) - 8);
            dst[i + BLOCK / 2] = d * (float)((int)(q[i] >> 4) - 8);
        }
    }
}

static void encode_q8_0(void *restrict dst, const float *restrict src, size_t n)
{
    unsigned char *p = dst;
    for (size_t at = 0; at + BLOCK <= n; at += BLOCK, p += Q8_BYTES, src += BLOCK) {
        unsigned char q[BLOCK];
        uint32_t max = 0;
        for (int i = 0; i < BLOCK; i++) {
            uint32_t a = bits_of(src[i]) & 0x7fffffffu;
            max = a > max ? a : max;
        }
        float d = float_of(max) / 127.0f, by = d > 0.0f ? 1.0f / d : 0.0f;
        uint32_t usable = 0u - (uint32_t)(max < LDL_MAG_INF && bits_of(by) < LDL_MAG_INF);
        by = float_of(bits_of(by) & usable);
        for (int i = 0; i < BLOCK; i++) {
            uint32_t v = bits_of(float_of(bits_of(src[i]) & usable) * by);
            float mag = float_of(v & 0x7fffffffu); /* at most 127 and some 2^-22 */
            int32_t whole = (int32_t)mag, minus = -(int32_t)(v >> 31);
            whole += (int32_t)(mag - (float)whole >= 0.5f);
            q[i] = (unsigned char)((whole ^ minus) - minus);
        }
        float scale = max < LDL_MAG_INF ? d : float_of(0x7fc00000u);
        encode_f16(p, &scale, 1);
        memcpy(p + SCALE_BYTES, q, sizeof q);
    }
}

/* ---- scales ---- */

static uint32_t mag_max(const float *x, size_t n)
{
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(x[i]) & 0x7fffffffu;
        a &= 0u - (uint32_t)(a < LDL_MAG_INF);
        max = a > max ? a : max;
    }
    return max;
}

static void times(float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= s;
}

static void over(float *x, float s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] /= s;
}
