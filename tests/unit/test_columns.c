/* test_columns.c -- sums by column against plain sums in long double; the same bits for any order of
 * blocks, any number of accumulators, every SIMD level. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reduce/columns.h"

enum { MOST = 70000, BLOCK = 4096, ACCS = 3 };
static float x[MOST], y[MOST];
static double dots[3 * MOST], first_dots[3 * MOST];

static uint32_t rng = 3;
static uint32_t next(void)
{
    return (rng = rng * 1664525u + 1013904223u) >> 4;
}

/* Columns of very different sizes, and one of zeros. */
static void fill(size_t n, size_t cols)
{
    for (size_t i = 0; i < n; i++) {
        int e = (int)(i % cols % 120) * 2 - 140;
        x[i] = i % cols == 5 ? 0 : ldexpf((float)(int32_t)(next() % 2001) - 1000, e);
        y[i] = ldexpf((float)(int32_t)(next() % 2001) - 1000, -e / 2);
    }
}

static void add_up(const struct ldl_kern *k, size_t n, size_t cols, size_t accs, int backwards)
{
    struct ldl_columns c;
    struct ldl_columns_acc acc[ACCS], *list[ACCS];
    size_t blocks = (n + BLOCK - 1) / BLOCK;
    int rounds = 0;
    assert_int_equal(ldl_columns_begin(&c, k, n, cols, NULL), 0);
    for (; ldl_columns_stride(&c); rounds++) {
        for (size_t a = 0; a < accs; a++)
            assert_int_equal(ldl_columns_acc_begin(&c, list[a] = &acc[a], NULL), 0);
        for (size_t i = 0; i < blocks; i++) {
            size_t at = (backwards ? blocks - 1 - i : i) * BLOCK;
            ldl_columns_scan(&c, &acc[i % accs], at, x + at, y + at,
                             LDL_MIN(n - at, (size_t)BLOCK));
        }
        assert_int_equal(ldl_columns_solve(&c, list, accs, NULL), 0);
        for (size_t a = 0; a < accs; a++)
            ldl_columns_acc_end(&acc[a]);
    }
    assert_int_equal(rounds, 2);
    for (size_t col = 0; col < cols; col++)
        ldl_columns_dots(&c, col, dots + 3 * col);
    ldl_columns_end(&c);
}

static void check(size_t n, size_t cols)
{
    for (size_t col = 0; col < cols; col++) {
        long double want[3] = { 0, 0, 0 };
        for (size_t i = col; i < n; i += cols) {
            want[0] += (long double)x[i] * x[i];
            want[1] += (long double)x[i] * y[i];
            want[2] += (long double)y[i] * y[i];
        }
        long double size[3] = { want[0], sqrtl(want[0] * want[2]), want[2] };
        for (int d = 0; d < 3; d++)
            if (!(fabsl(dots[3 * col + (size_t)d] - want[d]) <= size[d] * 0x1p-38L))
                fail_msg("%zu of %zu: dot %d of column %zu is %.17g, expected %.17Lg", n, cols, d,
                         col, dots[3 * col + (size_t)d], want[d]);
    }
}

static void shapes(void **state)
{
    static const size_t shape[][2] = { { 1, 1 },    { 2, 1 },     { 9, 4 },    { 20000, 1 },
                                       { 300, 64 }, { 17, 4096 }, { 5, 9001 }, { 2, 35000 },
                                       { 4097, 3 }, { 70000, 1 } };
    (void)state;
    for (size_t s = 0; s < LDL_COUNT(shape); s++) {
        size_t cols = shape[s][1], n = shape[s][0] * cols;
        int runs = 0;
        fill(n, cols);
        for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
            for (size_t accs = 1; accs <= ACCS; accs++, runs++) {
                add_up(*k, n, cols, accs, runs % 2);
                if (runs == 0) {
                    check(n, cols);
                    memcpy(first_dots, dots, 3 * cols * sizeof *dots);
                }
                assert_memory_equal(first_dots, dots, 3 * cols * sizeof *dots);
            }
    }
}

/* What is not finite is seen in its own column alone; the largest and the smallest numbers do. */
static void odd_numbers(void **state)
{
    (void)state;
    fill(400, 10);
    x[203] = INFINITY;
    y[124] = NAN;
    x[7] = 3.4028235e38f;
    y[17] = 1e-45f;
    add_up(*ldl_kern_all(), 400, 10, 2, 0);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(isnan(dots[i]) != 0, i / 3 == 3 || i / 3 == 4);
    assert_true(dots[21] > 1.15e77 && dots[21] < 1.17e77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(odd_numbers),
    };
    return cmocka_run_group_tests_name("columns", tests, NULL, NULL);
}
