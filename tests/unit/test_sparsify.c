/* test_sparsify.c -- topk, outliers and bernoulli against brute force: every element sorted by magnitude
 * and index. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/sparsify_help.h"

/* ---- topk and outliers ---- */

static void want_topk(const float *x, const size_t *sorted, float *want, size_t n,
                      const struct topk *p)
{
    size_t k = (size_t)(p->density * (double)n), at = n;
    memcpy(want, x, n * sizeof *x);
    if (p->density >= 1)
        return;
    memset(want, 0, n * sizeof *want);
    k = k ? k : 1;
    while (k) { /* groups of equals, from the largest, each in the order of the index */
        size_t from = at - 1;
        while (from > 0 && (fabsf(x[sorted[from - 1]]) == fabsf(x[sorted[at - 1]]) ||
                            (isnan(x[sorted[from - 1]]) && isnan(x[sorted[at - 1]]))))
            from--;
        for (size_t i = from; i < at && k; i++, k--)
            want[sorted[i]] = x[sorted[i]];
        at = from;
    }
    if (p->rescale)
        rescale(x, want, n);
}

static void want_outliers(const float *x, const size_t *sorted, float *want, size_t n,
                          const struct outliers *p)
{
    long target = (long)(p->density * (double)n), top = (long)(p->gamma * (double)n);
    long bottom = (long)n - target - top;
    memcpy(want, x, n * sizeof *x);
    if (p->density >= 1)
        return;
    if (bottom < 0) {
        top += bottom;
        bottom = 0;
    }
    for (long i = 0; i < bottom; i++)
        want[sorted[i]] = 0;
    for (long i = 0; i < top; i++)
        want[sorted[(long)n - 1 - i]] = 0;
    if (p->rescale)
        rescale(x, want, n);
}

static const size_t sizes[] = { 1, 2, 7, 100, 4095, 4096, 4097, 3 * 4096 + 5, 100000 };

static void one_case(int kind, size_t n)
{
    static const double densities[] = { 1e-9, 0.1, 0.29, 0.5, 0.9, 0.99, 1 };
    static const double gammas[] = { 0, 0.01, 0.3 };
    float *x = malloc(n * sizeof *x), *want = malloc(n * sizeof *want);
    assert_non_null(x);
    assert_non_null(want);
    fill(kind, x, n);
    size_t *sorted = sort(x, n);
    for (size_t d = 0; d < LDL_COUNT(densities); d++) {
        struct topk t = { densities[d], d % 2 == 0 };
        want_topk(x, sorted, want, n, &t);
        compare("topk", &t, x, want, n, kind);
        struct outliers o = { densities[d], gammas[(d + n) % 3], (d + n) % 2 == 0 };
        want_outliers(x, sorted, want, n, &o);
        compare("outliers", &o, x, want, n, kind);
    }
    free(sorted);
    free(want);
    free(x);
}

static void by_size(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t z = 0; z < LDL_COUNT(sizes); z++)
            one_case(kind, sizes[z]);
}

/* So many blocks that a sample of them is looked at first. */
static void by_size_sampled(void **state)
{
    (void)state;
    size_t n = 260 * LDL_BLOCK + 11;
    float *x = malloc(n * sizeof *x), *want = malloc(n * sizeof *want);
    assert_non_null(x);
    assert_non_null(want);
    for (int kind = GRID; kind <= SPARSE; kind += SPARSE - GRID) {
        struct topk t = { 0.3, 1 };
        struct outliers o = { 0.7, 0.01, 1 };
        fill(kind, x, n);
        size_t *sorted = sort(x, n);
        want_topk(x, sorted, want, n, &t);
        compare("topk", &t, x, want, n, kind);
        want_outliers(x, sorted, want, n, &o);
        compare("outliers", &o, x, want, n, kind);
        free(sorted);
    }
    free(want);
    free(x);
}

/* What brute force would get wrong in the same way: small cases by hand. */
static void by_hand(void **state)
{
    const struct ldl_kern *k = ldl_kern_all()[0];
    const float x[8] = { 1, -2, 2, 3, -1, 1, 2, 0 };
    float got[8];
    (void)state;

    struct topk t = { 0.375, 0 };
    const float three[8] = { 0, -2, 2, 3, 0, 0, 0, 0 };
    drive(k, "topk", &t, x, got, 8, 1);
    assert_memory_equal(got, three, sizeof three);
    t = (struct topk){ 0.1, 1 };
    const float largest[8] = { 0, 0, 0, 12, 0, 0, 0, 0 };
    drive(k, "topk", &t, x, got, 8, 1);
    assert_memory_equal(got, largest, sizeof largest);

    /* ascending: 0(7) 1(0) 1(4) 1(5) 2(1) 2(2) 2(6) 3(3) */
    struct outliers o = { 0.5, 0.25, 0 };
    const float middle[8] = { 0, -2, 2, 0, -1, 1, 0, 0 };
    drive(k, "outliers", &o, x, got, 8, 1);
    assert_memory_equal(got, middle, sizeof middle);
    o = (struct outliers){ 0.75, 0.5, 0 }; /* top becomes 2, nothing goes below */
    const float low[8] = { 1, -2, 2, 0, -1, 1, 0, 0 };
    drive(k, "outliers", &o, x, got, 8, 1);
    assert_memory_equal(got, low, sizeof low);
    o = (struct outliers){ 0.5, 0.01, 0 }; /* no outliers in so few */
    const float high[8] = { 0, -2, 2, 3, 0, 0, 2, 0 };
    drive(k, "outliers", &o, x, got, 8, 1);
    assert_memory_equal(got, high, sizeof high);
}

static void density_of_nothing(void **state)
{
    struct ldl_err err = { 0 };
    const struct ldl_sparsifier *s = ldl_sparsifier_find("topk");
    struct topk t = { 0, 0 };
    (void)state;
    assert_int_not_equal(s->check(&t, &err), 0);
    assert_non_null(strstr(err.text, "density 0 keeps nothing"));
    t.density = 1e-12;
    assert_int_equal(s->check(&t, &err), 0);
}

/* ---- bernoulli ---- */

static void at_random(void **state)
{
    static const double densities[] = { 0, 1e-3, 0.1, 0.5, 0.93, 1 };
    size_t n = 200001;
    float *x = malloc(n * sizeof *x), *want = malloc(n * sizeof *want);
    uint32_t *draws = malloc(n * sizeof *draws);
    (void)state;
    assert_true(x && want && draws);
    struct ldl_draw draw;
    ldl_draw_init(&draw, 77, "a.weight", 2);
    ldl_draw(&draw, ldl_kern_all()[0], draws, 0, n);
    for (int kind = GAUSS; kind <= ODD; kind += ODD - GAUSS)
        for (size_t d = 0; d < LDL_COUNT(densities); d++)
            for (int scale = 0; scale < 2; scale++) {
                struct bernoulli p = { densities[d], scale };
                double kept = 0, sigma = sqrt((double)n * p.density * (1 - p.density));
                fill(kind, x, n);
                for (size_t i = 0; i < n; i++) {
                    int stays = (double)draws[i] < p.density * 4294967296.0;
                    want[i] = stays ? x[i] : 0.0f;
                    kept += stays;
                }
                assert_true(fabs(kept - (double)n * p.density) <= 6 * sigma);
                if (scale && p.density < 1)
                    rescale(x, want, n);
                compare("bernoulli", &p, x, want, n, kind);
            }
    free(draws);
    free(want);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),         cmocka_unit_test(by_size),
        cmocka_unit_test(by_size_sampled), cmocka_unit_test(density_of_nothing),
        cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests_name("sparsify", tests, NULL, NULL);
}
