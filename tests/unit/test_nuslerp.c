/* test_nuslerp.c -- nuslerp by column (nuslerp_row_wise without nuslerp_flatten) against its formula in
 * f64; the other forms are those of stock.c. */
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

enum { MOST = 40000 };
static float base[MOST], model[2][MOST], got[MOST], first_bits[MOST];
/* weights, nuslerp_flatten, nuslerp_row_wise */
static const double num[] = { 0.6, 0.2, 0, 1 };

static uint32_t rng = 5;
static float next(void)
{
    rng = rng * 1664525u + 1013904223u;
    return (float)(rng >> 8 & 0xffff) / 32768 - 1;
}

/* One column is all zeros, in one both are the same. */
static void fill(size_t n, size_t cols)
{
    for (size_t i = 0; i < n; i++) {
        base[i] = next();
        model[0][i] = i % cols == 1 ? 0 : next() * (float)(i % cols + 1);
        model[1][i] = i % cols == 2 ? model[0][i] : next();
    }
}

static void check(size_t n, size_t cols, int has_base)
{
    for (size_t col = 0; col < cols; col++) {
        double aa = 0, ab = 0, bb = 0, t = 0.2 / (0.6 + 0.2);
        for (size_t i = col; i < n; i += cols) {
            double a = has_base ? model[0][i] - base[i] : model[0][i];
            double b = has_base ? model[1][i] - base[i] : model[1][i];
            aa += a * a;
            ab += a * b;
            bb += b * b;
        }
        double d = ab / (fmax(sqrt(aa), 1e-7) * fmax(sqrt(bb), 1e-7));
        double theta = acos(fmin(fmax(d, -1), 1)), sine = sin(theta);
        double f = sine < 1e-8 ? 1 - t : sin((1 - t) * theta) / sine;
        double g = sine < 1e-8 ? t : sin(t * theta) / sine;
        for (size_t i = col; i < n; i += cols) {
            double b = has_base ? base[i] : 0;
            double want = f * (model[0][i] - b) + g * (model[1][i] - b) + b;
            double size = fabs(f * model[0][i]) + fabs(g * model[1][i]) + 3 * fabs(b);
            if (!(fabs(got[i] - want) <= 1e-6 * size))
                fail_msg("%zu in %zu columns: element %zu is %.9g, expected %.9g", n, cols, i,
                         (double)got[i], want);
        }
    }
}

static void columns(void **state)
{
    static const size_t shape[][2] = { { 2, 1 }, { 9, 4 }, { 300, 64 }, { 4, 4096 }, { 3, 9001 } };
    struct ldl_merge g;
    (void)state;
    help_init(&g, "nuslerp", 2, num);
    for (size_t s = 0; s < 2 * LDL_COUNT(shape); s++) {
        size_t cols = shape[s / 2][1], n = shape[s / 2][0] * cols;
        int has_base = s % 2, runs = 0;
        struct work_case c = { &g, n, cols, cols, { model[0], model[1] }, has_base ? base : NULL,
                               got };
        fill(n, cols);
        for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
            for (int backwards = 0; backwards < 2; backwards++, runs++) {
                assert_int_equal(help_run(&c, *k, backwards), 3);
                if (runs == 0) {
                    check(n, cols, has_base);
                    memcpy(first_bits, got, n * sizeof *got);
                }
                assert_memory_equal(first_bits, got, n * sizeof *got);
            }
    }
    ldl_merge_free(&g);
}

/* One row, or one dimension: one vector, and facts as always. */
static void one_row(void **state)
{
    struct ldl_merge g;
    struct work_case c = { &g, 5000, 5000, 5000, { model[0], model[1] }, base, got };
    (void)state;
    help_init(&g, "nuslerp", 2, num);
    fill(5000, 5000);
    assert_int_equal(help_run(&c, *ldl_kern_all(), 0), 2);
    memcpy(first_bits, got, sizeof got);
    ldl_merge_free(&g);
    help_init(&g, "nuslerp", 2, (const double[]){ 0.6, 0.2, 1, 0 });
    help_run(&c, *ldl_kern_all(), 0);
    assert_memory_equal(first_bits, got, 5000 * sizeof *got);
    ldl_merge_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns),
        cmocka_unit_test(one_row),
    };
    return cmocka_run_group_tests_name("nuslerp", tests, NULL, NULL);
}
