/* One-byte floats and blocks of 32: every SIMD level against the definitions of the formats. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kern/kern.h"

#define EACH_LEVEL(k) for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)

static uint32_t rng = 99;
static uint32_t next(void)
{
    return rng = rng * 1664525u + 1013904223u;
}
static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* ---- F8, by the definition of the formats ---- */

struct small {
    enum ldl_dtype type;
    int fraction, bias;
    uint32_t last;     /* the largest finite code */
    uint32_t overflow; /* what is past it */
    uint64_t checksum;
};
static const struct small smalls[] = {
    { LDL_F8_E4M3, 3, 7, 0x7e, 0x7f, 0x408bae97633c0 },
    { LDL_F8_E5M2, 2, 15, 0x7b, 0x7c, 0x5b5a39b8c9ac6 },
};

static float value(const struct small *s, uint32_t code)
{
    uint32_t mag = code & 0x7f, e = mag >> s->fraction, m = mag & ((1u << s->fraction) - 1);
    float v = mag > s->overflow || (mag > s->last && s->overflow == 0x7f) ? NAN
              : mag > s->last                                             ? INFINITY
              : e ? ldexpf((float)(m + (1u << s->fraction)), (int)e - s->bias - s->fraction)
                  : ldexpf((float)m, 1 - s->bias - s->fraction);
    return code & 0x80 ? -v : v;
}

/* The nearest code, of two equally near ones the even one; the codes as if they went on past the
 * last. NaN is 0x7f, of either sign. */
static uint32_t nearest(const struct small *s, float x)
{
    uint32_t lo = 0, hi = s->last, sign = to_bits(x) >> 24 & 0x80;
    double a = fabs((double)x);
    double past = ldexp(s->fraction == 3 ? 15 : 4, s->fraction == 3 ? 5 : 14);
    if (isnan(x))
        return 0x7f;
    while (lo < hi) { /* the last code that is not above a */
        uint32_t mid = (lo + hi + 1) / 2;
        if ((double)value(s, mid) <= a)
            lo = mid;
        else
            hi = mid - 1;
    }
    double below = (double)value(s, lo), above = lo == s->last ? past : (double)value(s, lo + 1);
    double to_below = a - below, to_above = above - a;
    uint32_t up = lo == s->last ? s->overflow : lo + 1;
    uint32_t code = to_below < to_above || (to_below == to_above && lo % 2 == 0) ? lo : up;
    return code == 0x7f ? code : code | sign;
}

static void decode_codes(void **state)
{
    unsigned char code[256];
    float f[256];
    (void)state;
    for (int i = 0; i < 256; i++)
        code[i] = (unsigned char)i;
    for (size_t t = 0; t < 2; t++)
        EACH_LEVEL(k)
    for (size_t from = 0; from < 256; from += 7) {
        (*k)->decode[smalls[t].type](f, code + from, 256 - from);
        for (size_t i = from; i < 256; i++) {
            float v = value(&smalls[t], (uint32_t)i), g = f[i - from];
            assert_true(isnan(v) ? isnan(g) : to_bits(v) == to_bits(g));
        }
    }
}

/* Every code, the middle to the next one, and what is beside that middle. */
static void encode_middles(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (uint32_t c = 0; c <= smalls[t].last; c++) {
            const struct small *s = &smalls[t];
            float v = value(s, c), step = v - (c ? value(s, c - 1) : 0);
            float up = c == s->last ? v + step : value(s, c + 1);
            float middle = v + (up - v) / 2; /* exact: few bits */
            float in[10] = {
                v,  middle,  nextafterf(middle, 0),  nextafterf(middle, INFINITY),  up,
                -v, -middle, -nextafterf(middle, 0), -nextafterf(middle, INFINITY), -up
            };
            unsigned char out[10];
            EACH_LEVEL(k)
            {
                (*k)->encode[s->type](out, in, 10);
                for (int i = 0; i < 10; i++)
                    assert_int_equal(out[i], nearest(s, in[i]));
            }
        }
}

/* Every 997th f32 bit pattern. The checksum is sum((i + 1) * code) of the same patterns cast by the
 * numpy package ml_dtypes 0.6.0 (float8_e4m3fn, float8_e5m2; NaN made 0x7f), an implementation by
 * other people. torch 2.15.0 gives the same sum for E5M2; for E4M3 the same codes up to 464, above
 * which it saturates. Both decode all 256 codes of both types to the same f32. */
static void encode_sweep(void **state)
{
    enum { STEP = 997, RUN = 4096 };
    static float in[RUN];
    static unsigned char out[RUN], first[RUN];
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        uint64_t sum = 0, at = 0, count = 0xffffffffu / STEP + 1;
        for (; at < count; at += RUN) {
            size_t n = (size_t)(count - at < RUN ? count - at : RUN);
            for (size_t i = 0; i < n; i++)
                in[i] = from_bits((uint32_t)((at + i) * STEP));
            EACH_LEVEL(k)
            {
                int lowest = k == ldl_kern_all();
                (*k)->encode[smalls[t].type](lowest ? first : out, in, n);
                assert_true(lowest || memcmp(first, out, n) == 0);
            }
            for (size_t i = 0; i < n; i++) {
                sum += (at + i + 1) * first[i];
                if (first[i] != nearest(&smalls[t], in[i]))
                    fail_msg("%a: %#x, expected %#x", (double)in[i], first[i],
                             nearest(&smalls[t], in[i]));
            }
        }
        assert_int_equal(sum, smalls[t].checksum);
    }
}

/* ---- blocks ---- */

enum { BLOCKS = 37, N = BLOCKS * 32 };

static void decode_blocks(void **state)
{
    static unsigned char q8[BLOCKS * 34 + 1], q4[BLOCKS * 18 + 1];
    static float got[N], want[N];
    (void)state;
    for (size_t i = 0; i < sizeof q8; i++)
        q8[i] = (unsigned char)(next() >> 24);
    for (size_t i = 0; i < sizeof q4; i++)
        q4[i] = (unsigned char)(next() >> 24);
    EACH_LEVEL(k)
    for (size_t off = 0; off < 2; off++) {
        for (size_t i = 0; i < N; i++) {
            const unsigned char *b = q8 + off + i / 32 * 34;
            float d;
            (*k)->decode[LDL_F16](&d, b, 1);
            want[i] = d * (float)(int8_t)b[2 + i % 32];
        }
        (*k)->decode[LDL_Q8_0](got, q8 + off, N);
        for (size_t i = 0; i < N; i++)
            assert_true(to_bits(got[i]) == to_bits(want[i]) || (isnan(got[i]) && isnan(want[i])));
        for (size_t i = 0; i < N; i++) {
            const unsigned char *b = q4 + off + i / 32 * 18;
            int byte = b[2 + i % 16], nibble = i % 32 < 16 ? byte & 15 : byte >> 4;
            float d;
            (*k)->decode[LDL_F16](&d, b, 1);
            want[i] = d * (float)(nibble - 8);
        }
        (*k)->decode[LDL_Q4_0](got, q4 + off, N);
        for (size_t i = 0; i < N; i++)
            assert_true(to_bits(got[i]) == to_bits(want[i]) || (isnan(got[i]) && isnan(want[i])));
        (*k)->decode[LDL_Q8_0](got, q8, 0);
        assert_null((*k)->encode[LDL_Q4_0]);
    }
}

static void block_q8(const struct ldl_kern *k, unsigned char *to, const float *x)
{
    float max = 0;
    int odd = 0;
    memset(to, 0, 34);
    for (int i = 0; i < 32; i++) {
        odd |= !isfinite(x[i]);
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    }
    float d = odd ? NAN : max / 127.0f, id = d > 0 ? 1.0f / d : 0;
    k->encode[LDL_F16](to, &d, 1);
    for (int i = 0; i < 32 && !odd && isfinite(id); i++)
        to[2 + i] = (unsigned char)(int8_t)roundf(x[i] * id);
}

static void encode_blocks(void **state)
{
    static float x[N];
    static unsigned char got[BLOCKS * 34 + 2], want[BLOCKS * 34 + 1];
    (void)state;
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < N;
             i++) /* a scale for each block: from subnormal to past f16's last */
            x[i] = ldexpf((float)(int32_t)next(), (int)(i / 32) * 6 - 165);
        if (round % 3 == 1) /* halves: where the way of rounding shows */
            for (size_t i = 64; i < 96; i++)
                x[i] = i == 64 ? 127.0f : (float)((int)(i * 7 % 255) - 127) + 0.5f - (i % 2);
        if (round % 3 == 2) {
            memset(x + 32, 0, 32 * sizeof *x);
            x[128 + next() % 32] = NAN;
            x[160 + next() % 32] = -INFINITY;
            x[192] = 3.4e38f;
            for (size_t i = 224; i < 256; i++)
                x[i] = from_bits(next() >> 12); /* subnormal */
        }
        EACH_LEVEL(k)
        {
            for (size_t b = 0; b < BLOCKS; b++)
                block_q8(*k, want + b * 34, x + b * 32);
            got[BLOCKS * 34 + 1] = 77;
            (*k)->encode[LDL_Q8_0](got + 1, x, N);
            assert_memory_equal(got + 1, want, BLOCKS * 34);
        }
    }
}

/* A NaN shows in its whole block, and only there. */
static void nan_block(void **state)
{
    float x[64] = { 0 }, back[64];
    unsigned char q[68];
    (void)state;
    for (int i = 0; i < 64; i++)
        x[i] = (float)i;
    x[3] = NAN;
    EACH_LEVEL(k)
    {
        (*k)->encode[LDL_Q8_0](q, x, 64);
        (*k)->decode[LDL_Q8_0](back, q, 64);
        for (int i = 0; i < 32; i++)
            assert_true(isnan(back[i]));
        for (int i = 32; i < 64; i++)
            assert_true(fabsf(back[i] - x[i]) < 0.3f);
    }
}

static void scales(void **state)
{
    static float x[1040], y[1040];
    (void)state;
    for (size_t i = 0; i < 1040; i++)
        x[i] = i % 13 == 5 ? NAN : i % 17 == 2 ? -INFINITY : ldexpf((float)(int32_t)next(), -40);
    EACH_LEVEL(k)
    for (size_t n = 0; n < 1040; n += 1 + n / 3) {
        uint32_t max = 0;
        for (size_t i = 0; i < n; i++)
            if (isfinite(x[i]) && to_bits(fabsf(x[i])) > max)
                max = to_bits(fabsf(x[i]));
        assert_int_equal((*k)->mag_max(x, n), max);
        memcpy(y, x, sizeof y);
        (*k)->times(y, 0.3f, n);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] * 0.3f || isnan(x[i]));
        memcpy(y, x, sizeof y);
        (*k)->over(y, 0.3f, n);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] / 0.3f || isnan(x[i]));
        assert_true(memcmp(y + n, x + n, (1040 - n) * sizeof *x) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_codes),  cmocka_unit_test(encode_middles),
        cmocka_unit_test(encode_sweep),  cmocka_unit_test(decode_blocks),
        cmocka_unit_test(encode_blocks), cmocka_unit_test(nan_block),
        cmocka_unit_test(scales),
    };
    return cmocka_run_group_tests_name("kern_small", tests, NULL, NULL);
}
