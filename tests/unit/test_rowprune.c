/* test_rowprune.c -- rowprune against brute force: every row sorted. And all members that scan, by threads
 * at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include "unit/sparsify_help.h"

/* The sum of what stays: rows inside a block in their order, then the row that ends there. */
static float kept_by_rows(const float *kept, size_t n, size_t row)
{
    double sum = 0;
    for (size_t block = 0; block < n; block += LDL_BLOCK) {
        double inside = 0, split = 0;
        for (size_t at = block / row * row; at < n && at < block + LDL_BLOCK; at += row) {
            if (at + row > block + LDL_BLOCK)
                continue;
            if (at >= block)
                inside += l1(kept + at, row);
            else
                split = l1(kept + at, row);
        }
        sum += inside + split;
    }
    return (float)sum;
}

static int equals(float a, float b)
{
    return fabsf(a) == fabsf(b) || (isnan(a) && isnan(b));
}

static double want_row(const float *x, float *want, const uint32_t *draws, size_t n,
                       const struct rowprune *p)
{
    double sum = 0;
    size_t *sorted = sort(x, n);
    for (size_t from = 0, to; from < n; from = to) {
        to = from + 1;
        while (to < n && equals(x[sorted[from]], x[sorted[to]]))
            to++;
        double rank = (double)(from + to - 1) / 2;
        double keep =
            n == 1 ? p->density : p->density - p->epsilon + 2 * p->epsilon * rank / (double)(n - 1);
        for (size_t i = from; i < to; i++) {
            size_t e = sorted[i];
            want[e] = (double)draws[e] < keep * 4294967296.0 ? x[e] : 0.0f;
            sum += keep;
        }
    }
    free(sorted);
    return sum;
}

static void rows_of(int kind, size_t rows, size_t in_row, size_t part, const struct rowprune *p)
{
    size_t n = rows * in_row, stays = 0;
    float *x = malloc(n * sizeof *x), *want = malloc(n * sizeof *want);
    uint32_t *draws = malloc(n * sizeof *draws);
    struct ldl_draw draw;
    double expected = 0;
    assert_true(x && want && draws);
    fill(kind, x, n);
    ldl_draw_init(&draw, 77, "a.weight", 2);
    ldl_draw(&draw, ldl_kern_all()[0], draws, 0, n);
    for (size_t at = 0; at < n; at += part)
        expected += want_row(x + at, want + at, draws + at, part, p);
    assert_true(fabs(expected - p->density * (double)n) < 1e-9 * (double)n);
    for (size_t i = 0; i < n; i++)
        stays += want[i] != 0;
    if (kind == GAUSS)
        assert_true(fabs((double)stays - expected) <= 3 * sqrt((double)n) + 1);
    if (p->rescale)
        scale(x, want, n, kept_by_rows(want, n, part));
    cols = in_row;
    compare("rowprune", p, x, want, n, kind);
    cols = 0;
    free(draws);
    free(want);
    free(x);
}

static void by_row(void **state)
{
    static const size_t shapes[][2] = { { 1, 1 },    { 5, 1 },      { 4100, 2 },  { 1000, 7 },
                                        { 40, 49 },  { 3, 4096 },   { 5, 4095 },  { 9, 4097 },
                                        { 7, 8192 }, { 11, 11008 }, { 1, 70001 }, { 2, 100 } };
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t s = 0; s < LDL_COUNT(shapes); s++) {
            struct rowprune p = { s % 2 ? 0.6 : 0.3, s % 3 ? 0.15 : 0.25, (kind + s) % 2 == 0 };
            rows_of(kind, shapes[s][0], shapes[s][1], shapes[s][1], &p);
        }
}

/* More rows at once than there are slots: several rounds, the same result; in order, one. And rows so
 * long that they are ranked in parts. */
static void by_row_many(void **state)
{
    struct rowprune p = { 0.5, 0.15, 1 };
    (void)state;
    rows_of(GRID, 30, 5000, 5000, &p);
    assert_in_range(most_rounds, 2, MOST_ROUNDS);
    in_order = 1;
    rows_of(GRID, 30, 5000, 5000, &p);
    assert_int_equal(most_rounds, 1);
    in_order = 0;
    rows_of(GAUSS, 2, 1 << 19, 1 << 18, &p);
}

static void rows_untouched(void **state)
{
    float x[9], zeros[9] = { 0 };
    struct rowprune p = { 1, 0.15, 1 };
    struct ldl_err err = { 0 };
    const struct ldl_sparsifier *s = ldl_sparsifier_find("rowprune");
    (void)state;
    fill(GAUSS, x, 9);
    assert_int_equal(s->check(&p, &err), 0);
    compare("rowprune", &p, x, x, 9, GAUSS);
    p.density = 0;
    assert_int_equal(s->check(&p, &err), 0);
    compare("rowprune", &p, x, zeros, 9, GAUSS);
    p.density = 0.9;
    assert_int_not_equal(s->check(&p, &err), 0);
    p.density = 0.15;
    assert_int_not_equal(s->check(&p, &err), 0);
    assert_non_null(strstr(err.text, "density 0.15 with epsilon 0.15"));
    p.density = 0.5;
    assert_int_equal(s->check(&p, &err), 0);
}

/* ---- threads ---- */

enum { THREADS = 4, THREAD_ROWS = 90, THREAD_COLS = 5003 };

struct scanner {
    const struct ldl_sparsifier *s;
    void *state, *acc;
    const float *x;
    uint64_t first,
        stride; /* the first-th of every stride-th block, then every THREADS-th of them */
};

static void *scan_some(void *arg)
{
    struct scanner *c = arg;
    size_t n = THREAD_ROWS * THREAD_COLS;
    float block[LDL_BLOCK];
    double own[LDL_RUN_SCRATCH / sizeof(double)];
    for (uint64_t b = c->first * c->stride; b * LDL_BLOCK < n; b += THREADS * c->stride) {
        struct ldl_run run = run_at(block, c->x, n, b);
        run.scratch = own;
        if (c->s->scan(c->state, c->acc, &run, NULL))
            return c;
    }
    return NULL;
}

static void thread_round(const struct ldl_sparsifier *s, void *st, const float *x)
{
    struct scanner c[THREADS];
    pthread_t thread[THREADS];
    void *acc[THREADS], *bad;
    for (uint64_t t = 0; t < THREADS; t++) {
        assert_int_equal(ldl_acc_new(&s->acc, st, &acc[t], NULL), 0);
        c[t] = (struct scanner){ s, st, acc[t], x, t, s->stride(st) };
        assert_int_equal(pthread_create(&thread[t], NULL, scan_some, &c[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(thread[t], &bad), 0);
        assert_null(bad);
    }
    assert_int_equal(s->solve(st, acc, THREADS, NULL), 0);
    for (int t = 0; t < THREADS; t++)
        ldl_acc_free(&s->acc, acc[t]);
}

/* Every member that scans, by threads at once: for ThreadSanitizer, and the same bits. */
static void by_threads(void **state)
{
    static const struct topk t = { 0.5, 1 };
    static const struct outliers o = { 0.5, 0.1, 1 };
    static const struct bernoulli b = { 0.5, 1 };
    static const struct rowprune r = { 0.5, 0.15, 1 };
    const char *members[] = { "topk", "outliers", "bernoulli", "rowprune" };
    const void *params[] = { &t, &o, &b, &r };
    const struct ldl_kern *k = ldl_kern_all()[0];
    size_t n = THREAD_ROWS * THREAD_COLS;
    float *x = malloc(n * sizeof *x), *want = malloc(n * sizeof *want), block[LDL_BLOCK];
    struct ldl_subject subject = { k, "a.weight", n, THREAD_COLS, 2, 77, 0, n, 0 };
    (void)state;
    assert_true(x && want);
    fill(GRID, x, n);
    cols = THREAD_COLS;
    for (int m = 0; m < 4; m++) {
        const struct ldl_sparsifier *s = ldl_sparsifier_find(members[m]);
        void *st;
        drive(k, members[m], params[m], x, want, n, 1);
        assert_int_equal(s->begin(&st, &subject, params[m], NULL), 0);
        while (s->stride(st))
            thread_round(s, st, x);
        for (uint64_t at = 0; at < n; at += LDL_BLOCK) {
            struct ldl_run run = run_at(block, x, n, at / LDL_BLOCK);
            s->apply(k, st, &run);
            same(block, want + at, run.n, members[m], GRID);
        }
        s->end(st);
    }
    cols = 0;
    free(want);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_row),
        cmocka_unit_test(by_row_many),
        cmocka_unit_test(rows_untouched),
        cmocka_unit_test(by_threads),
    };
    return cmocka_run_group_tests_name("rowprune", tests, NULL, NULL);
}
