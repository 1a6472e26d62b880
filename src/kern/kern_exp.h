/* kern_exp.h -- what needs exp and log; a part of the kernels' body.
 *
 * In f64, with every operation written out, so that each SIMD level and each libm gives the same bits.
 *
 *     exp(x)   x = i*ln2 + r, |r| <= 0.35;   2^i * (1 + r + r^2/2! + ... + r^13/13!)       x <= 0
 *     log(y)   y = 2^i * f, f in sqrt(1/2) .. sqrt(2);   s = (f-1)/(f+1)
 *              i*ln2 + 2*(s + s^3/3 + ... + s^21/21)
 *
 * Both are within 2^-50 of the true value, relative to the larger of it and (for log) 1. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_pick.h"

/* ln2 in two parts, of which the first has zeros at its end: i times it is exact. */
#define LN2_HIGH 0x1.62e42fee00000p-1
#define LN2_LOW  0x1.a39ef35793c76p-33
#define WHOLE    0x1.8p52 /* what is added to it has no fraction; see add_products() */

static inline uint64_t bits_of_double(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double double_of(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x <= 0, or NaN, which stays one. Below -700 it is exp(-700), 1e-304. */
static inline double exp_of(double x)
{
    x = x < -700.0 ? -700.0 : x;
    double whole = x * 0x1.71547652b82fep+0 + WHOLE, i = whole - WHOLE;
    double r = (x - i * LN2_HIGH) - i * LN2_LOW, sum = 0x1.6124613a86d09p-33;
    sum = sum * r + 0x1.1eed8eff8d898p-29;
    sum = sum * r + 0x1.ae64567f544e4p-26;
    sum = sum * r + 0x1.27e4fb7789f5cp-22;
    sum = sum * r + 0x1.71de3a556c734p-19;
    sum = sum * r + 0x1.a01a01a01a01ap-16;
    sum = sum * r + 0x1.a01a01a01a01ap-13;
    sum = sum * r + 0x1.6c16c16c16c17p-10;
    sum = sum * r + 0x1.1111111111111p-7;
    sum = sum * r + 0x1.5555555555555p-5;
    sum = sum * r + 0x1.5555555555555p-3;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    return sum * double_of((bits_of_double(whole) - bits_of_double(WHOLE) + 1023) << 52);
}

/* y is positive and no subnormal, or NaN, which stays one. */
static inline double log_of(double y)
{
    /* The bits from sqrt(1/2) on: what is above the fraction's 52 bits is then i. */
    uint64_t u = bits_of_double(y) - 0x3fe6a09e667f3bcdu;
    uint64_t i = u >> 52; /* of 12 bits, the sign included */
    double f = double_of((u & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu);
    /* i as a number: its sign is taken out by a shift in the unsigned. */
    double whole = double_of(((i ^ 0x800u) + bits_of_double(WHOLE))) - WHOLE - 2048.0;
    double s = (f - 1.0) / (f + 1.0), z = s * s, sum = 1.0 / 21;
    sum = sum * z + 1.0 / 19;
    sum = sum * z + 1.0 / 17;
    sum = sum * z + 1.0 / 15;
    sum = sum * z + 1.0 / 13;
    sum = sum * z + 1.0 / 11;
    sum = sum * z + 1.0 / 9;
    sum = sum * z + 1.0 / 7;
    sum = sum * z + 1.0 / 5;
    sum = sum * z + 1.0 / 3;
    sum = sum * z + 1.0;
    return whole * LN2_HIGH + (2.0 * s * sum + whole * LN2_LOW) + 0.0 * y;
}

static float largest(const float *x, size_t n)
{
    float lane[LANES];
    size_t i = 0;
    for (int l = 0; l < LANES; l++)
        lane[l] = float_of(0xff800000u);
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (int l = 0; i < n; i++, l++)
        lane[l] = x[i] > lane[l] ? x[i] : lane[l];
    for (int l = 1; l < LANES; l++)
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    return lane[0];
}

static double sum_exp(const float *x, float most, size_t n)
{
    double lane[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += exp_of((double)x[i + l] - (double)most);
    for (int l = 0; i < n; i++, l++)
        lane[l] += exp_of((double)x[i] - (double)most);
    return fold(lane);
}

static inline double divergence_of(float x, const struct ldl_softmax *p, float y,
                                   const struct ldl_softmax *q)
{
    double of_x = exp_of((double)x - (double)p->most) * p->factor + 1e-8;
    double of_y = exp_of((double)y - (double)q->most) * q->factor + 1e-8;
    return of_x * log_of(of_x / of_y);
}

static double divergence(const float *x, const struct ldl_softmax *p, const float *y,
                         const struct ldl_softmax *q, size_t n)
{
    double lane[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += divergence_of(x[i + l], p, y[i + l], q);
    for (int l = 0; i < n; i++, l++)
        lane[l] += divergence_of(x[i], p, y[i], q);
    return fold(lane);
}

static void away_times(float *restrict o, float f, const float *restrict x, const float *restrict y,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        o[i] = float_of(bits_of(x[i] - y[i]) & 0x7fffffffu) * f;
}

static void take_above(float *restrict x, const float *restrict y, const float *restrict score,
                       float least, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t take = 0u - (uint32_t)(score[i] >= least);
        x[i] = float_of((bits_of(x[i]) & take) | (bits_of(y[i]) & ~take));
    }
}
