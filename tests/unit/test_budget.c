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

static size_t now_bytes, most_bytes;

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
    now_bytes += malloc_usable_size(p);
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
    size_t before = malloc_usable_size(old);
    void *p = count(__real_ldl_realloc(old, n, size));
    now_bytes -= before;
    return p;
}

void __wrap_ldl_free(void *p)
{
    now_bytes -= malloc_usable_size(p);
    __real_ldl_free(p);
}

/* ---- tensors ---- */

enum { MODELS = 3, COLS = 1000, ROWS = 3333, N = ROWS * COLS };

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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_stretches) };
    return cmocka_run_group_tests_name("budget", tests, make_numbers, free_numbers);
}
