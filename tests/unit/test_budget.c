/* test_budget.c -- tensors that are done in stretches, and what a method says that it takes against what it
 * allocates: ldl_alloc() and its like are counted here on their way (tests/CMakeLists.txt). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "unit/work_help.h"

/* ---- counting ---- */

static int64_t now_bytes, most_bytes; /* below 0: what was not allocated here is freed here */

void *__real_ldl_alloc(size_t bytes);
void *__real_ldl_calloc(size_t count, size_t size);
void *__real_ldl_realloc(void *old, size_t count, size_t size);
void __real_ldl_free(void *p);
void *__wrap_ldl_alloc(size_t bytes);
void *__wrap_ldl_calloc(size_t count, size_t size);
void *__wrap_ldl_realloc(void *old, size_t count, size_t size);
void __wrap_ldl_free(void *p);

static void *count(void *p)
{
    now_bytes += (int64_t)malloc_usable_size(p);
    most_bytes = LDL_MAX(most_bytes, now_bytes);
    return p;
}

void *__wrap_ldl_alloc(size_t bytes)
{
    return count(__real_ldl_alloc(bytes));
}

void *__wrap_ldl_calloc(size_t n, size_t size)
{
    return count(__real_ldl_calloc(n, size));
}

/* While it moves, both are there. */
void *__wrap_ldl_realloc(void *old, size_t n, size_t size)
{
    int64_t before = (int64_t)malloc_usable_size(old);
    void *p = count(__real_ldl_realloc(old, n, size));
    now_bytes -= before;
    return p;
}

void __wrap_ldl_free(void *p)
{
    now_bytes -= (int64_t)malloc_usable_size(p);
    __real_ldl_free(p);
}

/* ---- tensors ---- */

enum { MODELS = 3, COLS = 1000, ROWS = 3333, N = ROWS * COLS, SOME = 370 * COLS };

static float *model[MODELS], *base, *got, *want;
static uint32_t rng = 1;

static float *numbers(size_t n, uint32_t mask)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        rng = rng * 1664525u + 1013904223u;
        float f = (float)((int32_t)rng >> 8) / 8388608.0f;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits &= mask;
        memcpy(&x[i], &bits, sizeof bits);
    }
    return x;
}

static int make_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++)
        model[i] = numbers(N, 0xffff0000u);
    base = numbers(N, 0xffff0000u);
    got = malloc(N * sizeof *got);
    want = malloc(N * sizeof *want);
    return !got || !want;
}

static int free_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++)
        free(model[i]);
    free(base);
    free(got);
    free(want);
    return 0;
}

static unsigned merge(const struct ldl_merge *g, uint64_t n, uint64_t bits, float *to,
                      int backwards)
{
    struct work_case c = { g, n, COLS, COLS, { model[0], model[1], model[2] }, base, to };
    help_bits = bits;
    unsigned passes = help_run(&c, ldl_kern_all()[0], backwards);
    help_bits = UINT64_MAX;
    return passes;
}

static void in_stretches(void **state)
{
    struct ldl_merge g;
    (void)state;
    for (int rescale = 0; rescale < 2; rescale++) {
        /* weights, normalize, lambda; the first three are density, epsilon and rescale, too */
        double num[] = { 0.5, 0.15, rescale, 1, 1 };
        help_init(&g, "della_linear", MODELS, num);
        assert_int_equal(merge(&g, N, UINT64_MAX, want, 0), 2);
        for (int backwards = 0; backwards < 2; backwards++) {
            memset(got, 0, N * sizeof *got);
            assert_true(merge(&g, N, 0, got, backwards) >= 8); /* four stretches, each has a scan */
            assert_memory_equal(got, want, N * sizeof *got);
        }
        ldl_merge_free(&g);
    }
}

/* ---- what is said and what is taken ---- */

/* Defaults, but the same weight for each model and a density that keeps half. */
static int fill(const struct ldl_settings *settings, const struct ldl_param *rows, size_t nrows,
                size_t of, size_t m, void *into, double *room, struct ldl_err *err)
{
    (void)settings, (void)of;
    int rc = ldl_params_fill(rows, nrows, into, NULL, 0, err);
    for (size_t i = 0; i < nrows; i++) {
        void *at = (char *)into + rows[i].offset;
        struct ldl_list list = { .n = m, .num = room };
        if (strcmp(rows[i].name, "density") == 0 || strcmp(rows[i].name, "select_topk") == 0)
            *(double *)at = 0.5;
        if (rows[i].type != LDL_T_DOUBLES)
            continue;
        for (size_t k = 0; k < m; k++)
            *room++ = 1.0 / (double)m;
        memcpy(at, &list, sizeof list);
    }
    return rc;
}

static void takes_what_it_says(const struct ldl_method *method, uint64_t n, uint64_t bits)
{
    struct ldl_settings settings = { fill };
    struct ldl_merge g;
    struct ldl_shape shape = { n, COLS, COLS, bits, 0 };
    size_t m = LDL_MAX(LDL_MIN((size_t)MODELS, method->combiner->max_models),
                       method->combiner->min_models);
    assert_int_equal(ldl_merge_init(&g, method, m, 7, &settings, NULL), 0);
    int64_t before = most_bytes = now_bytes;
    merge(&g, n, bits, got, 0);
    shape.hard = help_hard;
    uint64_t said = ldl_merge_state_bytes(&g, &shape) + HELP_ACCS * ldl_merge_acc_bytes(&g, &shape);
    uint64_t took = (uint64_t)(most_bytes - before),
             small = 1024; /* pointers, and what malloc() adds */
    if (took > said + small)
        fail_msg("%s, %zu elements: takes %zu bytes, says %zu", method->name, (size_t)n,
                 (size_t)took, (size_t)said);
    assert_int_equal(now_bytes, before);
    ldl_merge_free(&g);
}

static void all_methods(void **state)
{
    (void)state;
    for (const struct ldl_method *method = ldl_methods; method->name; method++) {
        takes_what_it_says(method, SOME, UINT64_MAX);
        takes_what_it_says(method, SOME / 2 / COLS * COLS, 0);
        takes_what_it_says(method, COLS, 0);
        assert_false(help_hard);
    }
}

/* Tensors with more distinct magnitudes than there is memory for in a usual one: the round that found
 * it out comes again, and within that memory. */
static void hard_tensors(void **state)
{
    struct ldl_settings settings = { fill };
    struct ldl_merge g;
    (void)state;
    const struct ldl_method *della = ldl_method_find("paddle", "della");
    assert_int_equal(ldl_merge_init(&g, della, 2, 7, &settings, NULL), 0);
    float *usual[] = { model[0], model[1], base };
    model[0] = numbers(N, 0xfff00000u);
    model[1] = numbers(N, 0xfff00000u);
    base = numbers(N, 0x80000000u); /* zeros */
    assert_int_equal(merge(&g, N, UINT64_MAX, got, 0), 2);
    assert_false(help_hard);
    free(model[0]);
    model[0] = numbers(N, 0xffffffffu);
    unsigned passes = merge(&g, N, UINT64_MAX, want, 0);
    assert_true(help_hard && passes > 3);
    assert_int_equal(merge(&g, N, UINT64_MAX, got, 1), passes);
    assert_memory_equal(got, want, N * sizeof *got);
    takes_what_it_says(della, N, UINT64_MAX);
    assert_true(help_hard);
    ldl_merge_free(&g);
    free(model[0]);
    free(model[1]);
    free(base);
    model[0] = usual[0];
    model[1] = usual[1];
    base = usual[2];
}

static float magnitude(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Few magnitudes on each thread, and on all of them too many to count: no round is lost. */
static void hard_together(void **state)
{
    enum { EACH = 60000 };
    struct ldl_settings settings = { fill };
    struct ldl_merge g;
    float *usual[] = { model[0], base };
    (void)state;
    const struct ldl_method *della = ldl_method_find("paddle", "della");
    assert_int_equal(ldl_merge_init(&g, della, 1, 7, &settings, NULL), 0);
    model[0] = numbers(N, 0);
    base = numbers(N, 0);
    for (uint32_t i = 0; i < N; i++)
        model[0][i] = magnitude(0x3f000001u + 2 * (i / LDL_BLOCK % HELP_ACCS * EACH + i % EACH));
    /* counted twice, two rounds of cells, merged */
    assert_int_equal(merge(&g, N, UINT64_MAX, want, 0), 5);
    assert_true(help_hard);
    takes_what_it_says(della, N, UINT64_MAX);
    ldl_merge_free(&g);
    free(model[0]);
    free(base);
    model[0] = usual[0];
    base = usual[1];
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_stretches),
                                        cmocka_unit_test(all_methods),
                                        cmocka_unit_test(hard_tensors),
                                        cmocka_unit_test(hard_together) };
    return cmocka_run_group_tests_name("budget", tests, make_numbers, free_numbers);
}
