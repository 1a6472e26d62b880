/* columns.c -- see columns.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/columns.h"

#include <math.h>
#include <string.h>

int ldl_columns_begin(struct ldl_columns *c, const struct ldl_kern *k, uint64_t n, uint64_t cols,
                      struct ldl_err *err)
{
    *c = (struct ldl_columns){ .k = k, .cols = cols, .bits = 50 };
    while (c->bits > 0 && (n / cols) >> (62 - c->bits))
        c->bits -= 2;
    c->most = ldl_calloc(2 * cols, sizeof *c->most);
    c->scale = ldl_calloc(2 * cols, sizeof *c->scale);
    if (c->most && c->scale)
        return 0;
    ldl_columns_end(c);
    return ldl_oom(err);
}

void ldl_columns_end(struct ldl_columns *c)
{
    ldl_free(c->most);
    ldl_free(c->scale);
    ldl_free(c->sum);
    c->most = NULL;
    c->scale = NULL;
    c->sum = NULL;
}

uint64_t ldl_columns_stride(const struct ldl_columns *c)
{
    return c->step != LDL_COLUMNS_DONE;
}

int ldl_columns_acc_begin(const struct ldl_columns *c, struct ldl_columns_acc *a,
                          struct ldl_err *err)
{
    *a = (struct ldl_columns_acc){ 0 };
    if (c->step == LDL_COLUMNS_MEASURING)
        a->most = ldl_calloc(2 * c->cols, sizeof *a->most);
    else
        a->sum = ldl_calloc(3 * c->cols, sizeof *a->sum);
    return a->most || a->sum ? 0 : ldl_oom(err);
}

void ldl_columns_acc_end(struct ldl_columns_acc *a)
{
    ldl_free(a->most);
    ldl_free(a->sum);
    a->most = NULL;
    a->sum = NULL;
}

/* A run inside one row, which begins in column `at`. */
static void scan_row(const struct ldl_columns *c, struct ldl_columns_acc *a, uint64_t at,
                     const float *x, const float *y, size_t n)
{
    const double *of_x = c->scale + at, *of_y = of_x + c->cols;
    if (c->step == LDL_COLUMNS_MEASURING) {
        c->k->raise_mags(a->most + at, x, n);
        c->k->raise_mags(a->most + c->cols + at, y, n);
        return;
    }
    c->k->add_products(a->sum + at, x, of_x, x, of_x, n);
    c->k->add_products(a->sum + c->cols + at, x, of_x, y, of_y, n);
    c->k->add_products(a->sum + 2 * c->cols + at, y, of_y, y, of_y, n);
}

void ldl_columns_scan(const struct ldl_columns *c, struct ldl_columns_acc *a, uint64_t first,
                      const float *x, const float *y, size_t n)
{
    for (size_t i = 0, run; i < n; i += run) {
        uint64_t at = (first + i) % c->cols;
        run = (size_t)LDL_MIN((uint64_t)(n - i), c->cols - at);
        scan_row(c, a, at, x + i, y + i, run);
    }
}

/* The power of two above the largest magnitude; 0 is below all. */
static int exponent(uint32_t mag)
{
    float value;
    int e;
    memcpy(&value, &mag, sizeof value);
    (void)frexp((double)value, &e);
    return e;
}

static void measured(struct ldl_columns *c, struct ldl_columns_acc *const *acc, size_t n)
{
    for (size_t a = 0; a < n; a++)
        for (uint64_t i = 0; i < 2 * c->cols; i++)
            c->most[i] = LDL_MAX(c->most[i], acc[a]->most[i]);
    for (uint64_t i = 0; i < 2 * c->cols; i++)
        if (c->most[i] < LDL_MAG_INF)
            c->scale[i] = ldexp(1, c->bits / 2 - exponent(c->most[i]));
    c->step = LDL_COLUMNS_ADDING;
}

static void added(struct ldl_columns *c, struct ldl_columns_acc *const *acc, size_t n)
{
    for (size_t a = 1; a < n; a++)
        for (uint64_t i = 0; i < 3 * c->cols; i++)
            acc[0]->sum[i] += acc[a]->sum[i];
    c->sum = acc[0]->sum;
    acc[0]->sum = NULL;
    c->step = LDL_COLUMNS_DONE;
}

int ldl_columns_solve(struct ldl_columns *c, struct ldl_columns_acc *const *acc, size_t n,
                      struct ldl_err *err)
{
    (void)err;
    if (c->step == LDL_COLUMNS_MEASURING)
        measured(c, acc, n);
    else
        added(c, acc, n);
    return 0;
}

void ldl_columns_dots(const struct ldl_columns *c, uint64_t column, double dots[3])
{
    uint32_t x = c->most[column], y = c->most[c->cols + column];
    for (size_t i = 0; i < 3; i++) {
        int e = i == 0 ? 2 * exponent(x) : i == 1 ? exponent(x) + exponent(y) : 2 * exponent(y);
        double sum = (double)(int64_t)c->sum[i * c->cols + column];
        dots[i] = LDL_MAX(x, y) < LDL_MAG_INF ? ldexp(sum, e - c->bits) : (double)NAN;
    }
}

uint64_t ldl_columns_state_bytes(uint64_t cols)
{
    return cols * (2 * sizeof(uint32_t) + 2 * sizeof(double) + 3 * sizeof(uint64_t));
}

uint64_t ldl_columns_acc_bytes(uint64_t cols)
{
    return cols * 3 * sizeof(uint64_t);
}
