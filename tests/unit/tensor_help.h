/* tensor_help.h -- safetensors files of given numbers, for the tests of composed views. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_TENSOR_HELP_H
#define LDL_TESTS_TENSOR_HELP_H

#include "kern/kern.h"
#include "unit/read_help.h"

struct given {
    const char *name;
    enum ldl_dtype dtype;
    int ndim;
    uint64_t dim[4];
    const float *value; /* NULL: 0, 1, 2 ... divided by 8 */
};

UNUSED static const struct ldl_kern *best_kern(void)
{
    const struct ldl_kern *k;
    if (ldl_kern_get(&k, &err))
        abort();
    return k;
}

static size_t count_of(const struct given *t)
{
    size_t n = 1;
    for (int d = 0; d < t->ndim; d++)
        n *= (size_t)t->dim[d];
    return n;
}

static void put_tensor(struct ldl_buf *data, const struct given *t)
{
    size_t n = count_of(t);
    float *x = ldl_calloc(n + 1, sizeof *x);
    char *raw = ldl_calloc(n + 1, 8);
    if (!x || !raw)
        abort();
    for (size_t i = 0; i < n; i++)
        x[i] = t->value ? t->value[i] : (float)i / 8;
    if (best_kern()->encode[t->dtype])
        best_kern()->encode[t->dtype](raw, x, n);
    ldl_buf_put(data, raw, n * ldl_dtype_unit_bytes(t->dtype));
    ldl_free(x);
    ldl_free(raw);
}

/* format: metadata's "format" */
UNUSED static void save_tensors(const char *name, const char *format, const struct given *t,
                                size_t n)
{
    struct ldl_buf head = { 0 }, data = { 0 }, all = { 0 };
    ldl_buf_printf(&head, "{\"__metadata__\":{\"format\":\"%s\"}", format);
    for (size_t i = 0; i < n; i++) {
        size_t from = data.len;
        put_tensor(&data, &t[i]);
        ldl_buf_printf(&head, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t[i].name,
                       ldl_dtype_tag(t[i].dtype));
        for (int d = 0; d < t[i].ndim; d++)
            ldl_buf_printf(&head, "%s%llu", d ? "," : "", (unsigned long long)t[i].dim[d]);
        ldl_buf_printf(&head, "],\"data_offsets\":[%zu,%zu]}", from, data.len);
    }
    ldl_buf_puts(&head, "}");
    while (head.len % 8)
        ldl_buf_puts(&head, " ");
    for (int i = 0; i < 8; i++)
        ldl_buf_put(&all, &(char){ (char)(head.len >> (8 * i)) }, 1);
    ldl_buf_put(&all, head.text, head.len);
    ldl_buf_put(&all, data.text, data.len);
    if (head.failed || data.failed || all.failed)
        abort();
    save_bytes(name, all.text, all.len);
    ldl_buf_free(&head);
    ldl_buf_free(&data);
    ldl_buf_free(&all);
}

/* Numbers in [-1, 1) that bf16 and f16 hold exactly, the same for the same seed. */
UNUSED static void fill_random(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)((int)(seed >> 24) - 128) / 128;
    }
}

#endif
