/* test_sparsify.c -- the sparsifiers with a rule of their own against brute force: every element sorted
 * by magnitude and index. They are driven as the engine does it: blocks in any order, some
 * accumulators, the stride that they ask for, at every SIMD level. */
/* SPDX-License-Identifier: Apache-2.0 */
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

static double scratch[LDL_RUN_SCRATCH / sizeof(double) + 1];

static struct ldl_run run_at(float *block, const float *x, size_t n, uint64_t b)
{
    size_t first = b * LDL_BLOCK, count = LDL_MIN(n - first, (size_t)LDL_BLOCK);
    memcpy(block, x + first, count * sizeof *x);
    return (struct ldl_run){ .first = first, .n = count, .x = block, .scratch = scratch };
}

enum { MOST_ACCS = 3, MOST_ROUNDS = 9 };

static void one_round(const struct ldl_sparsifier *s, void *state, const float *x, size_t n,
                      uint64_t stride, size_t accs, uint64_t *order)
{
    float block[LDL_BLOCK];
    void *acc[MOST_ACCS];
    size_t blocks = 0;
    for (uint64_t b = 0; b * LDL_BLOCK < n; b += stride)
        order[blocks++] = b;
    shuffle(order, blocks);
    for (size_t a = 0; a < accs; a++)
        assert_int_equal(s->acc_begin(state, &acc[a], NULL), 0);
    for (size_t i = 0; i < blocks; i++) {
        struct ldl_run run = run_at(block, x, n, order[i]);
        assert_int_equal(s->scan(state, acc[next() % accs], &run, NULL), 0);
    }
    assert_int_equal(s->solve(state, acc, accs, NULL), 0);
    for (size_t a = 0; a < accs; a++)
        s->acc_end(acc[a]);
}

/* out: x after the member. Returns the rounds of scans. */
static int drive(const struct ldl_kern *k, const char *member, const void *params, const float *x,
                 float *out, size_t n, size_t accs)
{
    const struct ldl_sparsifier *s = ldl_sparsifier_find(member);
    struct ldl_subject subject = { k, "a.weight", n, n, 2, 77, n };
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

static void rescale(const float *x, float *kept, size_t n)
{
    float all = (float)l1(x, n), some = (float)l1(kept, n), factor = all / some;
    if (isnan(all) || isinf(all) || all < 1e-7f || some < 1e-7f || isinf(factor))
        return;
    for (size_t i = 0; i < n; i++)
        kept[i] *= factor;
}

static void same(const float *got, const float *want, size_t n, const char *what, int kind)
{
    for (size_t i = 0; i < n; i++)
        if (bits_of(got[i]) != bits_of(want[i]) && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("%s, kind %d, n %zu: element %zu is %a, expected %a", what, kind, n, i,
                     (double)got[i], (double)want[i]);
}

static void compare(const char *member, const void *params, const float *x, const float *want,
                    size_t n, int kind)
{
    float *got = malloc(n * sizeof *got);
    assert_non_null(got);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t accs = 1; accs <= MOST_ACCS; accs += 2) {
            int rounds = drive(*k, member, params, x, got, n, accs);
            assert_true(rounds <= 7);
            same(got, want, n, member, kind);
        }
    free(got);
}

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
        cmocka_unit_test(by_hand),
        cmocka_unit_test(by_size),
        cmocka_unit_test(at_random),
        cmocka_unit_test(by_size_sampled),
        cmocka_unit_test(density_of_nothing),
    };
    return cmocka_run_group_tests_name("sparsify", tests, NULL, NULL);
}
