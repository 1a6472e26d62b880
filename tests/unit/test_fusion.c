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

#include "method/work.h"

enum { MOST = 300 * LDL_BLOCK + 80, ACCS = 3 };
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

/* ---- the engine's part ---- */

static unsigned run(const struct ldl_merge *g, const struct ldl_kern *k, size_t n, size_t last,
                    int backwards)
{
    static float of_model[LDL_BLOCK], of_base[LDL_BLOCK];
    static _Alignas(64) char scratch[LDL_RUNS_SCRATCH];
    float *const t[1] = { of_model };
    struct ldl_work w;
    struct ldl_work_acc acc[ACCS] = { { NULL } }, *accs[ACCS];
    uint64_t stride;
    int map = 0;
    unsigned passes = 0;
    size_t naccs = 0, blocks = (n + LDL_BLOCK - 1) / LDL_BLOCK;
    assert_int_equal(ldl_work_begin(&w, g, k, "t", n, n, last, NULL), 0);
    for (; !map; passes++) {
        assert_int_equal(ldl_work_next(&w, accs, naccs, &stride, &map, NULL), 0);
        for (size_t a = 0; a < naccs; a++)
            ldl_work_acc_end(&w, accs[a]);
        for (naccs = 0; !map && naccs < ACCS; naccs++)
            assert_int_equal(ldl_work_acc_begin(&w, accs[naccs] = &acc[naccs], NULL), 0);
        for (size_t i = 0; i < blocks; i += stride) {
            size_t at = (backwards ? (blocks - 1) / stride * stride - i : i) * LDL_BLOCK;
            struct ldl_block b = { at, LDL_MIN(n - at, (size_t)LDL_BLOCK), t, of_base, scratch };
            memcpy(of_model, model + at, b.n * sizeof *model);
            memcpy(of_base, base + at, b.n * sizeof *base);
            if (map)
                ldl_work_map(&w, &b, got + at);
            else
                assert_int_equal(ldl_work_scan(&w, &acc[i % ACCS], &b, NULL), 0);
        }
    }
    ldl_work_end(&w);
    return passes;
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

static int no_rows(const struct ldl_settings *s, const struct ldl_param *rows, size_t nrows,
                   size_t of, size_t m, void *into, double *room, struct ldl_err *err)
{
    (void)s, (void)rows, (void)of, (void)m, (void)into, (void)room, (void)err;
    assert_int_equal(nrows, 0);
    return 0;
}

static void begin(struct ldl_merge *g)
{
    static const struct ldl_settings settings = { no_rows };
    const struct ldl_method *method = ldl_method_find("mergekit", "arcee_fusion");
    assert_int_equal(ldl_merge_init(g, method, 1, 0, &settings, NULL), 0);
}

static void shapes(void **state)
{
    static const size_t shape[][2] = { { 1, 1 },    { 9, 9 },     { 40, 4 },
                                       { 6000, 3 }, { 8192, 64 }, { 5 * 4096 + 5, 4096 + 1 },
                                       { MOST, 80 } };
    struct ldl_merge g;
    (void)state;
    begin(&g);
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
    begin(&g);
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
