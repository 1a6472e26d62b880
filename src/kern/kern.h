/* kern.h -- the per-element loops. The only place in the program that touches elements.
 *
 * One body in plain C (kern_body.h; the last part is kern_gram.h) is compiled for each SIMD level;
 * ldl_kern_get() chooses at run time. Every level gives the same bits for the same input: no fused
 * multiply-add but of exact products, no reassociation except the fixed 16 lanes written out in the reductions,
 * NaN made canonical at encode. The kern test compares all levels by memcmp.
 *
 * Common to all: n may be 0; pointers need no alignment beyond their type's (raw bytes: none);
 * arrays do not overlap unless they are the same argument. Threads: pure functions. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_KERN_H
#define LDL_KERN_KERN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/dtype.h"
#include "base/err.h"

/* Magnitudes are compared as integers: the bits of |x|. 0 <= finite < inf < NaN. */
#define LDL_MAG_INF  0x7f800000u
#define LDL_MAG_NAN  0x7f800001u /* what those that count NaN as equal take all of them for */
#define LDL_MAG_LAST 0x7fffffffu

/* The magnitude of x, a NaN of any payload being LDL_MAG_NAN. */
static inline uint32_t ldl_magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u &= 0x7fffffffu;
    return u < LDL_MAG_NAN ? u : LDL_MAG_NAN;
}

/* What ldl_kern.census and bracket found in runs of elements (both add to what is there). A NaN of any
 * payload is LDL_MAG_NAN. */
struct ldl_census {
    uint64_t below;     /* elements with magnitude < from */
    uint32_t above_min; /* smallest magnitude > to; LDL_MAG_LAST + 1 when there is none */
};
struct ldl_bracket {
    uint32_t from, at, to;                 /* from <= at <= to <= LDL_MAG_NAN: given */
    uint64_t below, on_from, on_at, on_to; /* elements < from, and equal to each of the three */
};

/* Of a row of elements, to make probabilities of them: exp(x - most) * factor. */
struct ldl_softmax {
    float most;
    double factor;
};

/* How signs are elected. Of each element, v_i = w_i * x_i; E = the sum of v_i (or of x_i, or of the signs of
 * v_i), where E >= 0 elects +; then sum = v_i with that sign, in f32, by share of those that have it. Others
 * add 0 * v_i, so that a NaN or infinity of any model shows. */
enum ldl_vote { LDL_VOTE_SUM, LDL_VOTE_PLAIN, LDL_VOTE_COUNT };
enum ldl_share {
    LDL_SHARE_NONE,  /* the sum itself */
    LDL_SHARE_F32,   /* sum / sum of w_i; a sum of 0 counts as 1 */
    LDL_SHARE_LEAST, /* sum / max(sum of w_i, 1e-6) */
    LDL_SHARE_F64 /* sum / sum of w64_i, both f64, rounded once; |sum of w64_i| < 1e-8 counts as 1 */
};
struct ldl_elect {
    size_t m;
    const float *w;
    /* Given: votes are SUM or COUNT, shares NONE or F64. NULL: none of COUNT and F64. */
    const double *w64;
    enum ldl_vote vote;
    enum ldl_share share;
};

/* What keep_each() makes of an element, by its magnitude: kept when draw <= last; then its magnitude is scaled.
 * A short magnitude has LDL_SHORT_SHIFT low bits of zero (most differences of two bf16 numbers have one), and
 * the others are an index into a table; those of NaN are above that of infinity. */
enum { LDL_SHORT_SHIFT = 15, LDL_SHORTS = 1 << 16 };
struct ldl_keep {
    uint32_t last;
    float scaled;
};

/* Most vectors of a Gram matrix: the lanes of all their pairs are on the stack. */
enum { LDL_GRAM_MOST = 33 };

/* What ldl_kern.survey tells of the magnitudes of a run: all bits of short ones; the smallest that is not 0
 * (LDL_MAG_LAST where all are) and the largest; how many are not short. */
struct ldl_survey {
    uint32_t bits, least, most, others;
};
enum { LDL_ZERO_BINS = 8 };

struct ldl_kern {
    const char *level; /* "v2", "v3", "v4", "base" */

    /* raw little-endian elements -> f32 (f64 is rounded to nearest even) and back (one rounding to
     * nearest even; every NaN becomes the positive quiet NaN without payload). NULL for the dtypes
     * that have no arithmetic, and encode for Q4_0, which is never written. src/dst of raw bytes
     * need no alignment. n is a multiple of the dtype's unit; what encode does in blocks and in 8
     * bits is in kern_small.h. */
    void (*decode[LDL_DTYPES])(float *dst, const void *src, size_t n);
    void (*encode[LDL_DTYPES])(void *dst, const float *src, size_t n);
    /* Adds the numbers of NaN and of infinite elements. */
    void (*count_odd)(const float *x, size_t n, uint64_t *nans, uint64_t *infs);

    void (*sub)(float *x, const float *b, size_t n);           /* x -= b */
    void (*add)(float *x, const float *b, size_t n);           /* x += b */
    void (*zero)(float *x, size_t n);                          /* x = +0 */
    void (*axpy)(float *o, float w, const float *x, size_t n); /* o += w*x, two roundings */
    void (*mix)(float *o, float a, const float *x, float b, const float *y,
                size_t n);                           /* o = a*x + b*y, three */
    void (*mul)(float *x, const float *f, size_t n); /* x = x*f */
    /* One row of W + s*L*R: o[j] += s * acc, acc = 0 + l[0]*R[0][j] + l[1]*R[1][j] + ... in this
     * order, each step rounded; row i of R begins at r + i*stride. */
    void (*rank_update)(float *o, float s, const float *l, const float *r, size_t stride,
                        size_t rank, size_t n);
    /* o[j*stride + i] = x[i*columns + j] for i < rows. */
    void (*transpose)(float *o, size_t stride, const float *x, size_t rows, size_t columns);
    void (*add_squares)(double *d, const float *x, size_t n); /* d += x*x, in f64 */

    void (*times)(float *x, float s, size_t n); /* x *= s */
    void (*over)(float *x, float s, size_t n);  /* x /= s */

    /* o = the sum of those of x[0] .. x[m-1] that have the elected sign, divided; see struct ldl_elect. */
    void (*elect)(float *o, float *const *x, const struct ldl_elect *how, size_t n);

    /* v = min(max(t * (1 / max(|b - x|, 1e-6)), 0), 1); o = v*x + (1-v)*b. */
    void (*near_swap)(float *o, float t, const float *x, const float *b, size_t n);

    /* ram. An element is touched where |x| > eps. touch: c += 1 there. add_touched, there: o += f*x
     * where c = 1, x / c where c > 1; elsewhere o += 0*x, so that a NaN shows. count_touched adds the
     * numbers of touched elements with c = 1 and with c > 1; n is below 2^32. */
    void (*touch)(float *c, float eps, const float *x, size_t n);
    void (*add_touched)(float *o, const float *c, float eps, float f, const float *x, size_t n);
    void (*count_touched)(const float *c, float eps, const float *x, size_t n, uint64_t *alone,
                          uint64_t *shared);

    /* sce. variance: v = that of x[0] .. x[m-1], m > 0, around their mean, in f64 (of two it is a
     * quarter of their difference's square), rounded once. keep_high: x = magnitude of v >= least ? x : 0. */
    void (*variance)(float *v, float *const *x, size_t m, size_t n);
    void (*keep_high)(float *x, const float *v, uint32_t least, size_t n);
    /* sum_squares() of the x where v's magnitude is at or above `sure`, and of those where it is `at`, which
     * is below `sure` or no magnitude. */
    void (*squares_high)(double *high, double *on, const float *x, const float *v, uint32_t sure,
                         uint32_t at, size_t n);
    /* Where a magnitude of v is above `from`, below `to` and not `at`: the indices, ascending; their number.
     * index has room for n. gather: o[i] = x[index[i]], for `count` of them. */
    size_t (*between)(uint32_t *index, const float *v, uint32_t from, uint32_t at, uint32_t to,
                      size_t n);
    void (*gather)(float *o, const uint32_t *index, const float *x, size_t count);

    /* Sums by column (reduce/columns.h). raise_mags: o = max(o, magnitude of x). add_products:
     * s += (x*p) * (y*q), rounded to the nearest integer, to even between two; what is added is
     * below 2^51 and the products of x*p are exact. */
    void (*raise_mags)(uint32_t *o, const float *x, size_t n);
    void (*add_products)(uint64_t *s, const float *x, const double *p, const float *y,
                         const double *q, size_t n);

    /* arcee_fusion; exp and log are kern_exp.h's. largest: of no elements or none that is a number
     * -infinity. sum_exp: the sum of exp(x - most), for x <= most, in the lanes of a reduction, and so
     * divergence: of p * log(p/q), the probabilities of x and y, each + 1e-8. away_times:
     * o = |x - y| * f. take_above: x = score >= least ? x : y. */
    float (*largest)(const float *x, size_t n);
    double (*sum_exp)(const float *x, float most, size_t n);
    double (*divergence)(const float *x, const struct ldl_softmax *p, const float *y,
                         const struct ldl_softmax *q, size_t n);
    void (*away_times)(float *o, float f, const float *x, const float *y, size_t n);
    void (*take_above)(float *x, const float *y, const float *score, float least, size_t n);

    /* Sparsifiers, in place. trim: x = |x| < threshold ? 0 : x * factor, by magnitude bits. */
    void (*trim)(float *x, uint32_t threshold_mag, float factor, size_t n);
    /* x = from <= magnitude < to ? x * factor : 0. to: above from or equal, up to LDL_MAG_LAST + 1. */
    void (*band)(float *x, uint32_t from, uint32_t to, float factor, size_t n);
    /* x = draw < keep ? x / divisor : 0; keep up to 2^32 keeps all. */
    void (*keep)(float *x, const uint32_t *draw, uint64_t keep, float divisor, size_t n);
    /* x = draw < 2^32 * p[i] ? (rescale ? x / p[i] : x) : 0, the quotient in f64, rounded once. */
    void (*keep_each)(float *x, const uint32_t *draw, const double *p, int rescale, size_t n);
    /* The same by a table of LDL_SHORTS, for elements whose magnitudes are short. */
    void (*keep_short)(float *x, const uint32_t *draw, const struct ldl_keep *keep, size_t n);
    /* Indices of those that are not short, ascending; their number. index has room for n. */
    size_t (*longs)(uint32_t *index, const float *x, size_t n);
    /* r = the largest draw below 2^32 * (p + step * r), which is above 0; r below 2^31 is twice a rank: see
     * row.h. */
    void (*last_draws)(uint32_t *r, double p, double step, size_t n);
    /* Bit i is draw <= last, in bits[i / 32], the lowest first; the last word is filled with zeros. sum_mags() of
     * x where it is set, and of 0 elsewhere. */
    double (*stay)(uint32_t *bits, const float *x, const uint32_t *draw, const uint32_t *last,
                   size_t n);
    /* x = bit i ? x * factor : 0; bit i is in bits[i / 32], the lowest first. */
    void (*keep_bits)(float *x, const uint32_t *bits, float factor, size_t n);

    /* Bits of draw <= last, as by stay(), and sum_mags() of x: of all elements, and of those with a bit. */
    void (*thin_sums)(uint32_t *bits, const float *x, const uint32_t *draw, uint32_t last,
                      double *all, double *kept, size_t n);
    /* bin = 0 where x is 0, else 1 + (magnitude - lo >> shift), within 1 .. last; last below 2^16. */
    void (*mag_bins)(uint16_t *bin, const float *x, size_t n, uint32_t lo, int shift,
                     uint32_t last);
    void (*survey)(struct ldl_survey *s, const float *x, size_t n);
    /* bin = i % LDL_ZERO_BINS where x is 0, else LDL_ZERO_BINS + (magnitude >> shift) - first, which is below
     * 2^16. others: the i of those that are not short, ascending; their number. */
    size_t (*short_bins)(uint16_t *bin, uint32_t *others, const float *x, size_t n, uint32_t first,
                         int shift);

    /* Philox4x32-10, 512 draws from each 64 blocks. Element 512*g + r: word r/64 % 4 of the block with
     * counter { b low, b high, c2, c3 }, b = 64*g + r%64, under key { k0, k1 }; rotated by 16 bits where
     * r >= 256. first may be any element. */
    void (*philox)(uint32_t *out, uint64_t first, size_t n, const uint32_t key[2], uint32_t c2,
                   uint32_t c3);

    /* The largest magnitude below infinity, 0 when there is none. */
    uint32_t (*mag_max)(const float *x, size_t n);
    /* How many magnitudes are in [from, to); and where the number-th of them (from 0) is: its index,
     * n when there are not so many. */
    size_t (*band_count)(const float *x, size_t n, uint32_t from, uint32_t to);
    size_t (*band_find)(const float *x, size_t n, uint32_t from, uint32_t to, size_t number);
    /* Reductions of one block: 16 lanes in f64 (lane i%16), folded 8+8, 4+4, 2+2, 1+1. */
    double (*sum_squares)(const float *x, size_t n);
    double (*sum_mags)(const float *x, size_t n);
    /* out[j*(j+1)/2 + i] = the sum of x[i] * x[j], for i <= j < m <= LDL_GRAM_MOST. */
    void (*gram)(double *out, const float *const *x, size_t m, size_t n);

    /* Of magnitudes: all, and those above `to`. */
    void (*sums_above)(const float *x, size_t n, uint32_t to, double *all, double *above);

    /* Counting, for reduce/kth.h; a NaN of any payload is LDL_MAG_NAN. magnitudes: all. bracket: counts those
     * of b, and moves the others between b->from and b->to into `inside`, which has room for n; their
     * number. census: those in [from, to] go into bins[(mag - from) >> shift]. */
    void (*magnitudes)(uint32_t *o, const float *x, size_t n);
    size_t (*bracket)(struct ldl_bracket *b, uint32_t *inside, const float *x, size_t n);
    void (*census)(struct ldl_census *c, uint64_t *bins, const float *x, size_t n, uint32_t from,
                   uint32_t to, int shift);
};

/* The best level that this CPU runs and LADLE_CPU (v2, v3, v4; default: all) allows. An unknown
 * word in LADLE_CPU, or a level the CPU lacks, is an error. Thread-safe; never freed. */
int ldl_kern_get(const struct ldl_kern **out, struct ldl_err *err);
/* All levels that this CPU can run, lowest first, NULL at the end: for tests and doctor. */
const struct ldl_kern *const *ldl_kern_all(void);

#endif
