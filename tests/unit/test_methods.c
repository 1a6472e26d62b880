/* test_methods.c -- methods whose result depends on the whole tensor, or on its rows, against the
 * formulas written again in plain loops of doubles.
 *
 * Each case runs at every SIMD level and with its blocks in another order, and all of that has to
 * give the same bits. Tensors are longer than a block, and rows begin and end anywhere in one. */
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

enum { M = 4, N = 3 * LDL_BLOCK + 1234, WORDS = 8 };

/* x[M] is the base. */
static float x[M + 1][N], got[N], again[N];
static double want[N];

struct job {
    const char *method;
    size_t m, n, last;
    int has_base;
    const char *param[WORDS]; /* "weight=0.5 0.3", NULL at the end */
};

/* ---- running a method ---- */

static void parse(struct ldl_value *v, const struct ldl_combiner *c, const char *text)
{
    char copy[100], *rest = NULL;
    const char *word[WORDS];
    size_t words = 0, row = 0;
    struct ldl_err err = { 0 };
    strcpy(copy, text);
    const char *name = strtok_r(copy, "=", &rest);
    for (char *w = strtok_r(NULL, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        word[words++] = w;
    while (strcmp(c->param[row].name, name) != 0)
        assert_true(++row < c->nparams);
    assert_int_equal(ldl_value_parse(v, &c->param[row], word, words, "test", &err), 0);
}

static int init(struct ldl_merge *g, const struct job *j, struct ldl_err *err)
{
    const struct ldl_method *method = ldl_method_find("mergekit", j->method);
    struct ldl_value value[WORDS] = { { 0 } };
    struct ldl_value_settings s;
    size_t n = 0;
    for (; j->param[n]; n++)
        parse(&value[n], method->combiner, j->param[n]);
    ldl_value_settings(&s, value, n);
    int rc = ldl_merge_init(g, method, j->m, 1, &s.settings, err);
    /* A list stays borrowed: keep it, in the room that is there for it. */
    for (size_t i = 0; rc == 0 && i < method->combiner->nparams; i++)
        if (method->combiner->param[i].type == LDL_T_DOUBLES) {
            struct ldl_list *l =
                (void *)((char *)g->combiner_params + method->combiner->param[i].offset);
            memcpy(g->room, l->num, l->n * sizeof *l->num);
            l->num = g->room;
        }
    for (size_t i = 0; i < n; i++)
        ldl_value_free(&value[i]);
    return rc;
}

/* Shows block b of all blocks to the pass. */
static void show(struct ldl_work *w, const struct job *j, size_t b, int map, float *out)
{
    static float copy[M][LDL_BLOCK];
    static _Alignas(64) char scratch[LDL_RUNS_SCRATCH];
    size_t first = b * LDL_BLOCK, n = LDL_MIN(j->n - first, (size_t)LDL_BLOCK);
    struct ldl_work_acc acc = { 0 };
    float *t[M];
    for (size_t i = 0; i < j->m; i++)
        t[i] = memcpy(copy[i], x[i] + first, n * sizeof **copy);
    struct ldl_block block = { first, n, t, j->has_base ? x[M] + first : NULL, scratch };
    if (map)
        ldl_work_map(w, &block, out + first);
    else
        assert_int_equal(ldl_work_scan(w, &acc, &block, NULL), 0);
}

static int run(const struct job *j, const struct ldl_kern *k, size_t turn, float *out,
               struct ldl_err *err)
{
    struct ldl_merge g;
    struct ldl_work w;
    struct ldl_pass pass = { 0 };
    const struct ldl_shape shape = { j->n, j->last, j->last, UINT64_MAX, 0 };
    int rc = init(&g, j, err);
    if (rc)
        return rc;
    assert_int_equal(ldl_work_begin(&w, &g, k, "some.weight", &shape, err), 0);
    size_t blocks = (j->n + LDL_BLOCK - 1) / LDL_BLOCK;
    while (rc == 0 && !pass.map) {
        rc = ldl_work_next(&w, NULL, 0, &pass, err);
        for (size_t b = 0; rc == 0 && b < blocks; b++)
            show(&w, j, turn ? (blocks - 1 - b + turn) % blocks : b, pass.map, out);
    }
    ldl_work_end(&w);
    ldl_merge_free(&g);
    return rc;
}

/* ---- the formulas ---- */

static double param(const struct job *j, const char *name, size_t item, double fallback)
{
    size_t len = strlen(name);
    for (size_t i = 0; j->param[i]; i++)
        if (strncmp(j->param[i], name, len) == 0 && j->param[i][len] == '=') {
            const char *at = j->param[i] + len + 1;
            if (strncmp(at, "true", 4) == 0 || strncmp(at, "false", 5) == 0)
                return *at == 't';
            char *end = (char *)at;
            double v = strtod(at, &end);
            for (size_t k = 0; k < item; k++)
                v = strtod(end, &end);
            return v;
        }
    return fallback;
}

/* One vector of all inputs, as changes from the base where there is one. */
struct vectors {
    const struct job *j;
    size_t m, first, n;
    double y[M + 1][N];
};
static struct vectors v;

static void take(const struct job *j, size_t first, size_t n, int subtract)
{
    v.j = j;
    v.m = j->m;
    v.first = first;
    v.n = n;
    for (size_t i = 0; i < j->m; i++)
        for (size_t e = 0; e < n; e++) {
            float change = x[i][first + e] - x[M][first + e];
            v.y[i][e] = subtract && j->has_base ? (double)change : (double)x[i][first + e];
        }
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (size_t e = 0; e < v.n; e++)
        sum += a[e] * b[e];
    return sum;
}

static double length(const double *a)
{
    return sqrt(dot(a, a));
}

static double limited(double c)
{
    return fmax(-1, fmin(1, c));
}

static double base_at(size_t e)
{
    return v.j->has_base ? (double)x[M][v.first + e] : 0;
}

static void want_stock(void)
{
    double sum = 0, m = (double)v.m;
    for (size_t i = 0; i < v.m; i++)
        for (size_t k = i + 1; k < v.m; k++)
            sum += limited(dot(v.y[i], v.y[k]) / fmax(length(v.y[i]) * length(v.y[k]), 1e-6));
    double c = sum / (m * (m - 1) / 2), t = m * c / (1 + (m - 1) * c);
    for (size_t e = 0; e < v.n; e++) {
        double mean = 0;
        for (size_t i = 0; i < v.m; i++)
            mean += (double)x[i][v.first + e] / m;
        want[v.first + e] = t * mean + (1 - t) * base_at(e);
    }
}

static void want_nuslerp(void)
{
    double w0 = param(v.j, "weight", 0, 0), w1 = param(v.j, "weight", 1, 0);
    double t = fabs(w0 + w1) < 1e-6 ? 0.5 : w1 / (w0 + w1);
    double d = dot(v.y[0], v.y[1]) / (fmax(length(v.y[0]), 1e-7) * fmax(length(v.y[1]), 1e-7));
    double theta = acos(limited(d)), sine = sin(theta), a = 1 - t, b = t;
    if (sine >= 1e-7) {
        a = sin((1 - t) * theta) / sine;
        b = sin(t * theta) / sine;
    }
    for (size_t e = 0; e < v.n; e++)
        want[v.first + e] = a * v.y[0][e] + b * v.y[1][e] + base_at(e);
}

/* With the tangent that is left out in the program. */
static void want_multislerp(void)
{
    static double mean[N], tangent[N], u[M][N];
    double eps = param(v.j, "eps", 0, 1e-8), w[M], sum = 0, of_all = 0;
    for (size_t i = 0; i < v.m; i++)
        sum += param(v.j, "weight", i, 0);
    memset(mean, 0, sizeof mean);
    memset(tangent, 0, sizeof tangent);
    for (size_t i = 0; i < v.m; i++) {
        w[i] = param(v.j, "weight", i, 0) / (param(v.j, "normalize_weights", 0, 1) ? sum : 1);
        double norm = length(v.y[i]);
        of_all += w[i] * norm;
        for (size_t e = 0; e < v.n; e++) {
            u[i][e] = v.y[i][e] / (norm + eps);
            mean[e] += w[i] * u[i][e];
        }
    }
    double norm = length(mean);
    for (size_t e = 0; e < v.n; e++)
        mean[e] /= norm;
    for (size_t i = 0; i < v.m; i++) {
        double along = dot(u[i], mean);
        for (size_t e = 0; e < v.n; e++)
            tangent[e] += w[i] * (u[i][e] - along * mean[e]);
    }
    double a = length(tangent) + eps;
    for (size_t e = 0; e < v.n; e++)
        want[v.first + e] = (mean[e] * cos(a) + tangent[e] * sin(a) / a) * of_all + base_at(e);
}

static double karcher_begin(double u[N])
{
    double lengths = 0;
    memset(u, 0, N * sizeof *u);
    for (size_t i = 0; i < v.m; i++) {
        double norm = length(v.y[i]);
        lengths += norm / (double)v.m;
        for (size_t e = 0; e < v.n; e++) {
            v.y[i][e] = norm > 0 ? v.y[i][e] / norm : 0;
            u[e] += v.y[i][e];
        }
    }
    double norm = length(u);
    for (size_t e = 0; e < v.n; e++)
        u[e] /= norm;
    return lengths;
}

/* T, the step from u; its length. */
static double karcher_step(const double u[N], double share, double tol, double tangent[N])
{
    memset(tangent, 0, N * sizeof *tangent);
    for (size_t i = 0; i < v.m; i++) {
        double d = limited(dot(u, v.y[i])), theta = acos(d);
        int moves = length(v.y[i]) > 0 && theta >= tol;
        for (size_t e = 0; moves && e < v.n; e++)
            tangent[e] += share * theta / sin(theta) * (v.y[i][e] - d * u[e]);
    }
    return length(tangent);
}

static void want_karcher(void)
{
    static double u[N], t[N];
    double tol = param(v.j, "tol", 0, 1e-5), valid = 0;
    if (v.j->has_base) {
        for (size_t e = 0; e < v.n; e++)
            v.y[v.m][e] = base_at(e);
        v.m++;
    }
    double lengths = karcher_begin(u);
    for (size_t i = 0; i < v.m; i++)
        valid += length(v.y[i]) > 0;
    for (double iter = param(v.j, "max_iter", 0, 10); iter > 0; iter--) {
        double a = karcher_step(u, 1 / valid, tol, t);
        if (a < tol)
            break;
        for (size_t e = 0; e < v.n; e++)
            u[e] = cos(a) * u[e] + sin(a) * t[e] / a;
        double norm = length(u);
        for (size_t e = 0; e < v.n; e++)
            u[e] /= norm;
    }
    for (size_t e = 0; e < v.n; e++)
        want[v.first + e] = u[e] * lengths;
}

static void want_ram(void)
{
    double eps = (double)(float)param(v.j, "epsilon", 0, 1e-5);
    double r = param(v.j, "r", 0, 0), alpha = param(v.j, "alpha", 0, 0);
    double alone[M] = { 0 }, shared[M] = { 0 };
    for (int pass = 0; pass < 2; pass++)
        for (size_t e = 0; e < v.n; e++) {
            double c = 0, sum = 0;
            for (size_t i = 0; i < v.m; i++)
                c += fabs(v.y[i][e]) > eps;
            for (size_t i = 0; i < v.m; i++)
                if (fabs(v.y[i][e]) > eps) {
                    double rho = shared[i] / fmax(alone[i], eps);
                    sum += c > 1 ? v.y[i][e] / c : v.y[i][e] * (1 + r * fmin(rho, alpha));
                    alone[i] += pass == 0 && c == 1;
                    shared[i] += pass == 0 && c > 1;
                }
            want[v.first + e] = sum + base_at(e);
        }
}

/* ---- cases ---- */

static uint32_t rng;
static double uniform(void)
{
    rng = rng * 1664525u + 1013904223u;
    return (double)(rng >> 8) / 0x1p24 - 0.5;
}

/* A base, and models near to it or far from it; a third of the elements are not touched. */
static int fill(void **state)
{
    (void)state;
    rng = 5;
    for (size_t e = 0; e < N; e++) {
        x[M][e] = (float)uniform();
        double common = uniform() * 0.01;
        for (size_t i = 0; i < M; i++) {
            double own = uniform() * (i == 2 ? 0.5 : 0.02);
            x[i][e] = (e + i) % 3 ? x[M][e] + (float)(common + own) : x[M][e];
        }
    }
    return 0;
}

/* Compares with the formula, row by row where j->last is not all of it and by_row says so. */
static void check(const struct job *j, void (*formula)(void), int by_row, int subtract)
{
    struct ldl_err err = { 0 };
    size_t row = by_row ? j->last : j->n;
    for (size_t first = 0; first < j->n; first += row) {
        take(j, first, row, subtract);
        formula();
    }
    assert_int_equal(run(j, ldl_kern_all()[0], 0, got, &err), 0);
    for (size_t e = 0; e < j->n; e++)
        if (!(fabs((double)got[e] - want[e]) <= 1e-6 * (fabs(want[e]) + 0.5)))
            fail_msg("%s of %zu, element %zu: %.9g, not %.9g", j->method, j->m, e, (double)got[e],
                     want[e]);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t turn = 0; turn < 3; turn++) {
            assert_int_equal(run(j, *k, turn, again, &err), 0);
            assert_memory_equal(got, again, j->n * sizeof *got);
        }
}

static void stock(void **state)
{
    (void)state;
    for (size_t m = 2; m <= M; m++) {
        check(&(struct job){ "model_stock", m, N, N, 1, { 0 } }, want_stock, 0, 1);
        check(&(struct job){ "model_stock", m, 5, 5, 1, { "filter_wise=true" } }, want_stock, 1, 1);
    }
    static const size_t last[] = { 40, 64, 1000, LDL_BLOCK, 5000 };
    for (size_t i = 0; i < LDL_COUNT(last); i++)
        check(
            &(struct job){
                "model_stock", 3, N / last[i] * last[i], last[i], 1, { "filter_wise=true" } },
            want_stock, 1, 1);
}

static void nuslerp(void **state)
{
    (void)state;
    for (int base = 0; base < 2; base++) {
        check(&(struct job){ "nuslerp", 2, N, 10, base, { "weight=0.6 0.3" } }, want_nuslerp, 0, 1);
        check(&(struct job){ "nuslerp", 2, N, N, base, { "weight=-0.5 0.5" } }, want_nuslerp, 0, 1);
        static const size_t last[] = { 1, 7, 64, LDL_BLOCK, LDL_BLOCK + 1 };
        for (size_t i = 0; i < LDL_COUNT(last); i++)
            check(&(struct job){ "nuslerp",
                                 2,
                                 N / last[i] * last[i],
                                 last[i],
                                 base,
                                 { "weight=0.6 0.3", "nuslerp_flatten=false" } },
                  want_nuslerp, 1, 1);
    }
}

static void nuslerp_line(void **state)
{
    (void)state;
    for (size_t e = 0; e < N; e++) { /* equal; opposite; zero */
        x[1][e] = e < 1000 ? x[0][e] : e < 2000 ? -x[0][e] : 0;
    }
    check(&(struct job){ "nuslerp", 2, 3000, 1000, 0, { "weight=1 3", "nuslerp_flatten=false" } },
          want_nuslerp, 1, 1);
}

static void multislerp(void **state)
{
    (void)state;
    for (int base = 0; base < 2; base++)
        for (size_t m = 2; m <= M; m++) {
            const char *w = m == 2   ? "weight=0.5 0.3"
                            : m == 3 ? "weight=0.5 0.3 0.4"
                                     : "weight=0.5 -0.3 1 2";
            check(&(struct job){ "multislerp", m, N, N, base, { w } }, want_multislerp, 0, 1);
            check(
                &(struct job){
                    "multislerp", m, N, N, base, { w, "normalize_weights=false", "eps=0.3" } },
                want_multislerp, 0, 1);
        }
}

static void multislerp_zero(void **state)
{
    struct job j = { "multislerp", 3, N, N, 1, { "weight=1 2 3" } };
    struct ldl_err err = { 0 };
    (void)state;
    for (size_t i = 0; i < M; i++)
        memcpy(x[i], x[M], sizeof x[i]);
    assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    assert_memory_equal(got, x[M], sizeof got);
    /* Directions that cancel: an error of three models that names the tensor, a sum of two. */
    for (size_t e = 0; e < N; e++) {
        x[0][e] = x[2][e] = 1;
        x[1][e] = -1;
    }
    j = (struct job){ "multislerp", 3, N, N, 0, { "weight=1 2 1" } };
    assert_int_not_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    assert_non_null(strstr(err.text, "some.weight"));
    j = (struct job){ "multislerp", 2, N, N, 0, { "weight=1 1" } };
    assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    assert_true(got[0] == 0 && got[N - 1] == 0);
}

static void karcher(void **state)
{
    (void)state;
    for (int base = 0; base < 2; base++)
        for (size_t m = 1; m <= M; m++) {
            check(&(struct job){ "karcher", m, N, N, base, { 0 } }, want_karcher, 0, 0);
            check(&(struct job){ "karcher", m, N, N, base, { "max_iter=2", "tol=0.001" } },
                  want_karcher, 0, 0);
        }
    memset(x[1], 0, sizeof x[1]); /* counts in the length alone */
    check(&(struct job){ "karcher", 3, N, N, 0, { 0 } }, want_karcher, 0, 0);
}

static void karcher_zero(void **state)
{
    struct job j = { "karcher", 2, N, N, 0, { 0 } };
    struct ldl_err err = { 0 };
    (void)state;
    for (size_t e = 0; e < N; e++) /* opposite: the first one's direction, as no other is better */
        x[1][e] = -x[0][e];
    assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    for (size_t e = 0; e < N; e++)
        assert_true(fabs((double)got[e] - (double)x[0][e]) <= 1e-6);
    memset(x, 0, sizeof x);
    assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    for (size_t e = 0; e < N; e++)
        assert_true(got[e] == 0);
}

static void ram(void **state)
{
    (void)state;
    for (size_t m = 1; m <= M; m++) {
        check(&(struct job){ "ram", m, N, N, 1, { 0 } }, want_ram, 0, 1);
        check(&(struct job){ "ram", m, N, N, 1, { "epsilon=0.005" } }, want_ram, 0, 1);
        check(&(struct job){ "ramplus_tl", m, N, N, 1, { "r=0.1", "alpha=0.2" } }, want_ram, 0, 1);
        check(&(struct job){ "ramplus_tl", m, N, N, 1, { "r=0.3", "alpha=1", "epsilon=0.008" } },
              want_ram, 0, 1);
    }
}

/* One model alone stays as it is, bit for bit, and is not read twice. */
static void copies(void **state)
{
    static const char *const names[] = { "nuslerp", "multislerp" };
    struct ldl_err err = { 0 };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct job j = { names[i], 1, N, N, 1, { "weight=0.3" } };
        struct ldl_merge g;
        assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
        assert_memory_equal(got, x[0], sizeof got);
        assert_int_equal(init(&g, &j, &err), 0);
        assert_int_equal(ldl_merge_usual_passes(&g), 1);
        ldl_merge_free(&g);
    }
}

static void nan_shows(void **state)
{
    static const char *const names[] = { "model_stock", "nuslerp", "multislerp",
                                         "karcher",     "ram",     "ramplus_tl" };
    struct ldl_err err = { 0 };
    (void)state;
    x[1][LDL_BLOCK + 7] = NAN;
    for (size_t i = 0; i < LDL_COUNT(names); i++) {
        int weighs = strstr(names[i], "slerp") != NULL;
        struct job j = { names[i], 2, N, N, 1, { weighs ? "weight=1 1" : NULL } };
        assert_int_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
        assert_true(isnan(got[LDL_BLOCK + 7]));
    }
}

static void refused(void **state)
{
    struct ldl_err err = { 0 };
    (void)state;
    struct job j = { "multislerp", 2, N, N, 0, { "weight=1 -1" } };
    assert_int_not_equal(run(&j, ldl_kern_all()[0], 0, got, &err), 0);
    assert_non_null(strstr(err.text, "normalize_weights"));
}

/* What is counted is what begin() takes: facts for each block and row, plain numbers for each row. */
static void state_bytes(void **state)
{
    struct job j = { "model_stock", 3, N, N, 1, { "filter_wise=true" } };
    struct ldl_err err = { 0 };
    struct ldl_merge g;
    (void)state;
    assert_int_equal(init(&g, &j, &err), 0);
    uint64_t rows = 1000000, blocks = rows * 100 / LDL_BLOCK;
    const struct ldl_shape shape = { rows * 100, 100, 100, UINT64_MAX, 0 };
    uint64_t bytes = ldl_merge_state_bytes(&g, &shape);
    assert_true(bytes >= ((blocks + rows) * 6 + rows * 4) * 8);
    assert_true(bytes < ((blocks + rows) * 6 + rows * 4) * 8 + 1000);
    ldl_merge_free(&g);
}

#define CASE(f) cmocka_unit_test_setup(f, fill)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stock),           CASE(nuslerp),   CASE(nuslerp_line), CASE(multislerp),
        CASE(multislerp_zero), CASE(karcher),   CASE(karcher_zero), CASE(ram),
        CASE(copies),          CASE(nan_shows), CASE(refused),      CASE(state_bytes),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
