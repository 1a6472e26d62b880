/* sparsify_help.h -- drives a sparsifier as the engine does it (blocks in any order, some accumulators, the
 * stride that it asks for, every SIMD level), on awkward numbers; and the order of a plain sort. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_SPARSIFY_HELP_H
#define LDL_TESTS_SPARSIFY_HELP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reduce/draw.h"
#include "sparsify/sparsify.h"

#define UNUSED __attribute__((unused))

/* The members' parameters, as their tables describe them. */
struct topk {
    double density;
    int rescale;
};
struct outliers {
    double density, gamma;
    int rescale;
};
struct bernoulli {
    double density;
    int rescale;
};
struct rowprune {
    double density, epsilon;
    int rescale;
};

static uint32_t rng = 1;
static uint32_t next(void)
{
    return (rng = rng * 1664525u + 1013904223u) >> 4;
}
static double uniform(void)
{
    return (next() & 0xffffff) / 16777216.0;
}
static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

enum { GAUSS, GRID, SIGNS, EQUAL, ZEROS, SPARSE, ODD, NANS, WIDE, KINDS };

static void fill(int kind, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float g = (float)(sqrt(-2 * log(uniform() + 1e-9)) * cos(6.283185307 * uniform()));
        uint32_t odd = next() % 40;
        switch (kind) {
        case GAUSS: x[i] = g; break;
        case GRID: x[i] = float_of(bits_of(g) & 0xfff00000u); break;
        case SIGNS: x[i] = next() % 2 ? 0.5f : next() % 2 ? -0.5f : 0.25f; break;
        case EQUAL: x[i] = -2.5f; break;
        case ZEROS: x[i] = next() % 2 ? 0.0f : -0.0f; break;
        case SPARSE: x[i] = next() % 20 ? 0.0f : g; break;
        case ODD:
            x[i] = odd == 0   ? INFINITY
                   : odd == 1 ? -INFINITY
                   : odd < 4  ? float_of(0x7fc00000u + next() % 5 + (next() % 2 ? 1u << 31 : 0))
                              : float_of(bits_of(g) & 0xffff0000u);
            break;
        case NANS: x[i] = float_of(0x7fc00000u + next() % 9); break;
        case WIDE: x[i] = (float)ldexp(g, (int)(next() % 60) - 30); break;
        }
    }
}

/* ---- the driver ---- */

static void shuffle(uint64_t *list, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = next() % i;
        uint64_t t = list[i - 1];
        list[i - 1] = list[j];
        list[j] = t;
    }
}

static uint64_t cols; /* of the tensors to come; 0: one row */
static int in_order;  /* blocks come in their order */
static double scratch[LDL_RUN_SCRATCH / sizeof(double) + 1];

static struct ldl_run run_at(float *block, const float *x, size_t n, uint64_t b)
{
    size_t first = b * LDL_BLOCK, count = LDL_MIN(n - first, (size_t)LDL_BLOCK);
    memcpy(block, x + first, count * sizeof *x);
    return (struct ldl_run){ .first = first, .n = count, .x = block, .scratch = scratch };
}

enum { MOST_ACCS = 3, MOST_ROUNDS = 50 };

static void one_round(const struct ldl_sparsifier *s, void *state, const float *x, size_t n,
                      uint64_t stride, size_t accs, uint64_t *order)
{
    float block[LDL_BLOCK];
    void *acc[MOST_ACCS];
    size_t blocks = 0;
    for (uint64_t b = 0; b * LDL_BLOCK < n; b += stride)
        order[blocks++] = b;
    if (!in_order)
        shuffle(order, blocks);
    for (size_t a = 0; a < accs; a++)
        assert_int_equal(ldl_acc_new(&s->acc, state, &acc[a], NULL), 0);
    for (size_t i = 0; i < blocks; i++) {
        struct ldl_run run = run_at(block, x, n, order[i]);
        assert_int_equal(s->scan(state, acc[next() % accs], &run, NULL), 0);
    }
    assert_int_equal(s->solve(state, acc, accs, NULL), 0);
    for (size_t a = 0; a < accs; a++)
        ldl_acc_free(&s->acc, acc[a]);
}

/* out: x after the member. Returns the rounds of scans. */
static int drive(const struct ldl_kern *k, const char *member, const void *params, const float *x,
                 float *out, size_t n, size_t accs)
{
    const struct ldl_sparsifier *s = ldl_sparsifier_find(member);
    struct ldl_subject subject = { k, "a.weight", n, cols ? cols : n, 2, 77, 0, n, 0 };
    uint64_t *order = malloc((n / LDL_BLOCK + 1) * sizeof *order);
    float block[LDL_BLOCK];
    void *state;
    int rounds = 0;
    assert_non_null(s);
    assert_non_null(order);
    assert_int_equal(s->begin(&state, &subject, params, NULL), 0);
    for (uint64_t stride; s->stride && (stride = s->stride(state)) != 0; rounds++) {
        assert_true(rounds < MOST_ROUNDS);
        one_round(s, state, x, n, stride, accs, order);
    }
    size_t blocks = (n + LDL_BLOCK - 1) / LDL_BLOCK;
    for (size_t b = 0; b < blocks; b++)
        order[b] = b;
    shuffle(order, blocks);
    for (size_t i = 0; i < blocks; i++) {
        struct ldl_run run = run_at(block, x, n, order[i]);
        s->apply(k, state, &run);
        memcpy(out + run.first, block, run.n * sizeof *out);
    }
    s->end(state);
    free(order);
    return rounds;
}

/* ---- brute force ---- */

static const float *sorted_x;
static int ascending(const void *pa, const void *pb)
{
    size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    float x = fabsf(sorted_x[a]), y = fabsf(sorted_x[b]);
    if (isnan(x) || isnan(y)) {
        if (!isnan(x) || !isnan(y))
            return isnan(x) ? 1 : -1;
    } else if (x != y) {
        return x < y ? -1 : 1;
    }
    return a < b ? -1 : 1;
}

static size_t *sort(const float *x, size_t n)
{
    size_t *s = malloc(n * sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++)
        s[i] = i;
    sorted_x = x;
    qsort(s, n, sizeof *s, ascending);
    return s;
}

static double l1(const float *x, size_t n)
{
    double sum = 0;
    for (size_t first = 0; first < n; first += LDL_BLOCK) {
        double lane[16] = { 0 };
        for (size_t i = first; i < n && i < first + LDL_BLOCK; i++)
            lane[(i - first) % 16] += (double)fabsf(x[i]);
        for (int width = 8; width; width /= 2)
            for (int l = 0; l < width; l++)
                lane[l] += lane[l + width];
        sum += lane[0];
    }
    return sum;
}

static void scale(const float *x, float *kept, size_t n, float some)
{
    float all = (float)l1(x, n), factor = all / some;
    if (isnan(all) || isinf(all) || all < 1e-7f || some < 1e-7f || isinf(factor))
        return;
    for (size_t i = 0; i < n; i++)
        kept[i] *= factor;
}

UNUSED static void rescale(const float *x, float *kept, size_t n)
{
    scale(x, kept, n, (float)l1(kept, n));
}

static void same(const float *got, const float *want, size_t n, const char *what, int kind)
{
    for (size_t i = 0; i < n; i++)
        if (bits_of(got[i]) != bits_of(want[i]) && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("%s, kind %d, n %zu: element %zu is %a, expected %a", what, kind, n, i,
                     (double)got[i], (double)want[i]);
}

static int most_rounds; /* of the last comparison */

static void compare(const char *member, const void *params, const float *x, const float *want,
                    size_t n, int kind)
{
    float *got = malloc(n * sizeof *got);
    assert_non_null(got);
    most_rounds = 0;
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t accs = 1; accs <= MOST_ACCS; accs += 2) {
            int rounds = drive(*k, member, params, x, got, n, accs);
            most_rounds = LDL_MAX(most_rounds, rounds);
            assert_true(rounds <= 7 || cols);
            same(got, want, n, member, kind);
        }
    free(got);
}

#endif
