/* test_sce.c -- a combiner with rounds, through struct ldl_work, against brute force: V of all elements
 * sorted by size and index. Driven as the engine does it: blocks in any order, some accumulators, the
 * stride that is asked for, at every SIMD level; the bits must be the same each time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "work_help.h"

enum { MOST = 100 * LDL_BLOCK + 77, MODELS = 3 };

static float base[MOST], model[MODELS][MOST], got[MOST], first_bits[MOST], v[MOST];
static float t[MODELS][MOST];
static size_t order[MOST];

static uint32_t rng = 7;
static uint32_t next(void)
{
    return (rng = rng * 1664525u + 1013904223u) >> 4;
}

/* coarse: few values, so that many V are equal, and zeros of them. */
static void fill(size_t n, int coarse, float size)
{
    for (size_t i = 0; i < n; i++) {
        base[i] = (float)(next() % 64) / 64;
        for (size_t m = 0; m < MODELS; m++) {
            float step = coarse ? (float)(next() % 3) - 1 : (float)(next() % 100000) / 50000 - 1;
            model[m][i] = base[i] + size * step;
        }
    }
}

/* ---- brute force ---- */

static int by_v(const void *a, const void *b)
{
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    return v[i] != v[j] ? (v[i] < v[j] ? 1 : -1) : i < j ? -1 : 1;
}

static void select_largest(size_t n, double share)
{
    size_t differing = 0;
    for (size_t i = 0; i < n; i++) {
        double mean = 0, sum = 0;
        for (size_t m = 0; m < MODELS; m++)
            mean += (double)t[m][i] / MODELS;
        for (size_t m = 0; m < MODELS; m++)
            sum += (t[m][i] - mean) * (t[m][i] - mean);
        v[i] = (float)(sum / MODELS) < 1e-12f ? 0 : (float)(sum / MODELS);
        differing += v[i] != 0;
        order[i] = i;
    }
    qsort(order, n, sizeof *order, by_v);
    for (size_t i = (size_t)((float)differing * (float)share); i < n; i++)
        t[0][order[i]] = t[1][order[i]] = t[2][order[i]] = 0;
}

static double expected(const double *weight, size_t i)
{
    double vote = (double)t[0][i] + t[1][i] + t[2][i], sum = 0, by = 0;
    for (size_t m = 0; m < MODELS; m++)
        if (vote >= 0 ? t[m][i] > 0 : t[m][i] < 0) {
            sum += weight[m] * t[m][i];
            by += weight[m];
        }
    return base[i] + sum / (by < 1e-6 ? 1e-6 : by);
}

static void check(size_t n, double share, int even)
{
    double weight[MODELS] = { 0 }, all = 0;
    for (size_t m = 0; m < MODELS; m++)
        for (size_t i = 0; i < n; i++)
            t[m][i] = model[m][i] - base[i];
    if (share < 1)
        select_largest(n, share);
    for (size_t m = 0; m < MODELS; m++) {
        for (size_t i = 0; i < n; i++)
            weight[m] += (double)t[m][i] * t[m][i] / (double)n;
        all += weight[m];
    }
    assert_int_equal(all < 1e-6, even);
    for (size_t m = 0; m < MODELS; m++)
        weight[m] = even ? 1.0 / MODELS : weight[m] / all;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - expected(weight, i)) < 1e-6))
            fail_msg("n %zu share %g: element %zu is %.9g, expected %.9g", n, share, i,
                     (double)got[i], expected(weight, i));
}

/* ---- the tests ---- */

static unsigned run(const struct ldl_merge *g, const struct ldl_kern *k, size_t n, int backwards)
{
    struct work_case c = { g, n, n, n, { model[0], model[1], model[2] }, base, got };
    return help_run(&c, k, backwards);
}

static void everywhere(size_t n, double share, int even, unsigned most_passes)
{
    struct ldl_merge g;
    int runs = 0;
    help_init(&g, "sce", MODELS, &share);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (int backwards = 0; backwards < 2; backwards++, runs++) {
            unsigned passes = run(&g, *k, n, backwards);
            if (passes > most_passes)
                fail_msg("n %zu share %g: %u passes", n, share, passes);
            if (runs == 0) {
                check(n, share, even);
                memcpy(first_bits, got, n * sizeof *got);
            }
            assert_memory_equal(first_bits, got, n * sizeof *got);
        }
    ldl_merge_free(&g);
}

static void sizes(void **state)
{
    static const size_t n[] = { 1, 7, LDL_BLOCK, 5 * LDL_BLOCK + 3 };
    (void)state;
    for (int coarse = 0; coarse < 2; coarse++)
        for (size_t i = 0; i < LDL_COUNT(n); i++) {
            fill(n[i], coarse, 0.25f);
            everywhere(n[i], 1, 0, 2);
            everywhere(n[i], 0, 1, 3);
            everywhere(n[i], 0.7, n[i] == 1, 8);
            everywhere(n[i], 0.1, n[i] < 8, 8);
        }
}

/* Big enough for a sample ahead of the counting. The weights come from the look after it: a third pass
 * is the map; where the cut goes through equals, their block is seen once more. */
static void sampled(void **state)
{
    static const double share[] = { 0.3, 0.6, 0.02, 0.98 };
    (void)state;
    for (int coarse = 0; coarse < 2; coarse++) {
        fill(MOST, coarse, 0.25f);
        for (size_t i = 0; i < LDL_COUNT(share); i++)
            everywhere(MOST, share[i], 0, coarse ? 4 : 3);
    }
}

/* The blocks of the sample are not like the others, so the cut is not in its bracket, and the sums come from
 * a pass of their own. */
static void misled(void **state)
{
    size_t stride = MOST / LDL_BLOCK / 8;
    (void)state;
    fill(MOST, 1, 0.25f);
    for (size_t b = 0; b < MOST / LDL_BLOCK; b++)
        for (size_t i = b * LDL_BLOCK; b % stride && i < (b + 1) * LDL_BLOCK; i++)
            for (size_t m = 0; m < MODELS; m++)
                model[m][i] = base[i] + (model[m][i] - base[i]) / 16;
    everywhere(MOST, 0.5, 0, 8);
}

static void small_changes_weigh_the_same(void **state)
{
    (void)state;
    fill(1000, 1, 0x1p-12f);
    everywhere(1000, 0.5, 1, 8);
}

/* An element without a number has the largest variance: it stays, and shows. */
static void nan_is_selected(void **state)
{
    struct ldl_merge g;
    (void)state;
    fill(100, 0, 0.25f);
    model[1][70] = NAN;
    help_init(&g, "sce", MODELS, &(double){ 0.05 });
    run(&g, *ldl_kern_all(), 100, 0);
    assert_true(isnan(got[70]));
    ldl_merge_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),           cmocka_unit_test(sampled),
        cmocka_unit_test(misled),          cmocka_unit_test(small_changes_weigh_the_same),
        cmocka_unit_test(nan_is_selected),
    };
    return cmocka_run_group_tests_name("sce", tests, NULL, NULL);
}
