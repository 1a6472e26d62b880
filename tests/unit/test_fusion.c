/* test_fusion.c -- arcee_fusion through struct ldl_work against brute force in f64: blocks in any order,
 * some accumulators, every SIMD level, rows shorter and longer than a block. */
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

enum { MOST = 300 * LDL_BLOCK + 80 };
static float base[MOST], model[MOST], got[MOST], first_bits[MOST];
static double score[MOST], sorted[MOST];

static uint32_t rng = 11;
static uint32_t next(void)
{
    return (rng = rng * 1664525u + 1013904223u) >> 4;
}

static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        base[i] = (float)(next() % 4001) / 1000 - 2;
        model[i] = base[i] + (float)(next() % 2001) / 5000 - 0.2f;
    }
}

static unsigned run(const struct ldl_merge *g, const struct ldl_kern *k, size_t n, size_t last,
                    int backwards)
{
    struct work_case c = { g, n, n, last, { model }, base, got };
    return help_run(&c, k, backwards);
}

/* ---- brute force ---- */

static double total(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i]);
    return sum;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(size_t n, size_t last)
{
    for (size_t r = 0; r < n; r += last) {
        double kl = 0, of_x = total(model + r, last), of_b = total(base + r, last);
        for (size_t i = r; i < r + last; i++) {
            double p = exp((double)model[i]) / of_x + 1e-8, q = exp((double)base[i]) / of_b + 1e-8;
            kl += p * log(p / q);
        }
        for (size_t i = r; i < r + last; i++)
            score[i] = (double)fabsf(model[i] - base[i]) * (kl < 1e-14 ? 0 : kl);
    }
    memcpy(sorted, score, n * sizeof *score);
    qsort(sorted, n, sizeof *sorted, ascending);
    double low = sorted[(n - 1) / 4], mid = sorted[(n - 1) / 2], high = sorted[(n - 1) * 3 / 4];
    double least = mid + 1.5 * (high - low);
    for (size_t i = 0; i < n; i++) {
        if (fabs(score[i] - least) <= 1e-5 * least)
            continue; /* within the rounding of the score */
        if (got[i] != (score[i] >= least ? model[i] : base[i]))
            fail_msg("%zu in rows of %zu: element %zu, score %g of %g", n, last, i, score[i],
                     least);
    }
}

/* ---- the tests ---- */

static void shapes(void **state)
{
    static const size_t shape[][2] = { { 1, 1 },    { 9, 9 },     { 40, 4 },
                                       { 6000, 3 }, { 8192, 64 }, { 5 * 4096 + 5, 4096 + 1 },
                                       { MOST, 80 } };
    struct ldl_merge g;
    (void)state;
    help_init(&g, "arcee_fusion", 1, NULL);
    for (size_t s = 0; s < LDL_COUNT(shape); s++) {
        size_t n = shape[s][0], last = shape[s][1];
        int runs = 0;
        fill(n);
        if (n == 9) /* what does not differ scores nothing */
            memcpy(model, base, n * sizeof *model);
        for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
            for (int backwards = 0; backwards < 2; backwards++, runs++) {
                assert_true(run(&g, *k, n, last, backwards) <= 8);
                if (runs == 0) {
                    check(n, last);
                    memcpy(first_bits, got, n * sizeof *got);
                }
                assert_memory_equal(first_bits, got, n * sizeof *got);
            }
    }
    ldl_merge_free(&g);
}

/* A row with a NaN or an infinity has no divergence: it stays the base's, and the others do not mind. */
static void odd_rows(void **state)
{
    struct ldl_merge g;
    (void)state;
    help_init(&g, "arcee_fusion", 1, NULL);
    fill(2000);
    model[105] = NAN;
    base[207] = INFINITY;
    run(&g, *ldl_kern_all(), 2000, 20, 0);
    assert_memory_equal(got + 100, base + 100, 20 * sizeof *got);
    assert_memory_equal(got + 200, base + 200, 20 * sizeof *got);
    size_t taken = 0;
    for (size_t i = 0; i < 2000; i++)
        taken += memcmp(&got[i], &base[i], sizeof *got) != 0;
    assert_true(taken > 20 && taken < 600);
    ldl_merge_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(odd_rows),
    };
    return cmocka_run_group_tests_name("fusion", tests, NULL, NULL);
}
