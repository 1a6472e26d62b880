/* kern_sum.h -- sums in f64; a part of the kernels' body. Each is taken in 16 lanes, lane i % 16, which are folded
 * in one order at the end, so it has the same bits for every width of a vector. The last group of a run is
 * filled up with zeros, which change no sum: none is ever -0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_body.h"

struct ldl_sum {
    ldl_f64s part[LANES / LDL_F64S];
};

static double fold(const double lane[LANES])
{
    double s[LANES / 2];
    for (int i = 0; i < LANES / 2; i++)
        s[i] = lane[i] + lane[i + LANES / 2];
    for (int width = LANES / 4; width; width /= 2)
        for (int i = 0; i < width; i++)
            s[i] += s[i + width];
    return s[0];
}

static double sum_of(const struct ldl_sum *s)
{
    double lane[LANES];
    memcpy(lane, s, sizeof lane);
    return fold(lane);
}

/* Lane l of the sum, and those after it. */
static inline ldl_f64s *sum_at(struct ldl_sum *s, size_t l)
{
    return &s->part[l / LDL_F64S];
}

static inline void widen_both(ldl_f64s wide[2], ldl_u32s x)
{
    ldl_f32h half[2];
    memcpy(half, &x, sizeof half);
    wide[0] = widen(half[0]);
    wide[1] = widen(half[1]);
}

static inline void add_both(ldl_f64s s[2], const ldl_f64s v[2])
{
    s[0] += v[0];
    s[1] += v[1];
}

static inline ldl_u32s load_u32s(const void *x)
{
    ldl_u32s v;
    memcpy(&v, x, sizeof v);
    return v;
}

static inline ldl_u32s mags_of(const float *x)
{
    return load_u32s(x) & 0x7fffffffu;
}

/* LANES elements of four bytes, or what there is of them, in a place of their own. */
static inline const void *lanes_at(void *room, const void *x, size_t i, size_t n)
{
    const char *from = (const char *)x + 4 * i;
    if (n - i >= LANES)
        return from;
    memset(room, 0, 4 * LANES);
    return memcpy(room, from, 4 * (n - i));
}

static double sum_mags(const float *x, size_t n)
{
    struct ldl_sum all = { 0 };
    float room[LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const float *at = lanes_at(room, x, i, n);
        for (size_t l = 0; l < LANES; l += LDL_F32S) {
            ldl_f64s wide[2];
            widen_both(wide, mags_of(at + l));
            add_both(sum_at(&all, l), wide);
        }
    }
    return sum_of(&all);
}

static void sums_above(const float *x, size_t n, uint32_t to, double *all_sum, double *above_sum)
{
    struct ldl_sum all = { 0 }, above = { 0 };
    const ldl_u32s first = (ldl_u32s){ 0 } + to + 1;
    float room[LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const float *at = lanes_at(room, x, i, n);
        for (size_t l = 0; l < LANES; l += LDL_F32S) {
            ldl_u32s mag = mags_of(at + l);
            ldl_f64s wide[2];
            widen_both(wide, mag);
            add_both(sum_at(&all, l), wide);
            add_where(sum_at(&above, l), at_most(first, mag), wide);
        }
    }
    *all_sum = sum_of(&all);
    *above_sum = sum_of(&above);
}

/* The bits of LANES elements, of which there are n - i; those before them in the word are set. */
static inline void set_bits(uint32_t *bits, uint32_t set, size_t i, size_t n)
{
    if (n - i < LANES)
        set &= (1u << (n - i)) - 1;
    bits[i / 32] = i % 32 ? bits[i / 32] | set << LANES : set;
}

static double stay(uint32_t *bits, const float *x, const uint32_t *draw, const uint32_t *last,
                   size_t n)
{
    struct ldl_sum kept = { 0 };
    uint32_t room[3][LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const float *at = lanes_at(room[0], x, i, n);
        const uint32_t *draws = lanes_at(room[1], draw, i, n),
                       *lasts = lanes_at(room[2], last, i, n);
        uint32_t set = 0;
        for (size_t l = 0; l < LANES; l += LDL_F32S) {
            ldl_where on = at_most(load_u32s(draws + l), load_u32s(lasts + l));
            ldl_f64s wide[2];
            widen_both(wide, mags_of(at + l));
            add_where(sum_at(&kept, l), on, wide);
            set |= bits_where(on) << l;
        }
        set_bits(bits, set, i, n);
    }
    return sum_of(&kept);
}

static void thin_sums(uint32_t *bits, const float *x, const uint32_t *draw, uint32_t last,
                      double *all_sum, double *kept_sum, size_t n)
{
    struct ldl_sum all = { 0 }, kept = { 0 };
    const ldl_u32s lasts = (ldl_u32s){ 0 } + last;
    uint32_t room[2][LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const float *at = lanes_at(room[0], x, i, n);
        const uint32_t *draws = lanes_at(room[1], draw, i, n);
        uint32_t set = 0;
        for (size_t l = 0; l < LANES; l += LDL_F32S) {
            ldl_where on = at_most(load_u32s(draws + l), lasts);
            ldl_f64s wide[2];
            widen_both(wide, mags_of(at + l));
            add_both(sum_at(&all, l), wide);
            add_where(sum_at(&kept, l), on, wide);
            set |= bits_where(on) << l;
        }
        set_bits(bits, set, i, n);
    }
    *all_sum = sum_of(&all);
    *kept_sum = sum_of(&kept);
}

/* What a cut of v does to x: see reduce/high.h. All NaN of v are one magnitude, the largest. The squares of f32 are
 * exact in f64. */
static void squares_high(double *high_sum, double *on_sum, const float *x, const float *v,
                         uint32_t sure, uint32_t at, size_t n)
{
    struct ldl_sum high = { 0 }, on = { 0 };
    const ldl_u32s none = { 0 }, nan = none + LDL_MAG_NAN, least = none + sure, only = none + at;
    float room[2][LANES];
    for (size_t i = 0; i < n; i += LANES) {
        const float *xs = lanes_at(room[0], x, i, n), *vs = lanes_at(room[1], v, i, n);
        for (size_t l = 0; l < LANES; l += LDL_F32S) {
            ldl_u32s mag = smaller(mags_of(vs + l), nan);
            ldl_f64s wide[2];
            widen_both(wide, load_u32s(xs + l));
            wide[0] *= wide[0];
            wide[1] *= wide[1];
            add_where(sum_at(&high, l), at_most(least, mag), wide);
            add_where(sum_at(&on, l), equal(mag, only), wide);
        }
    }
    *high_sum = sum_of(&high);
    *on_sum = sum_of(&on);
}
