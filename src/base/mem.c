/* mem.c -- see mem.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/fault.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *ldl_alloc(size_t bytes)
{
    if (ldl_fault(LDL_FAULT_ALLOC))
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *ldl_calloc(size_t count, size_t size)
{
    if (ldl_fault(LDL_FAULT_ALLOC))
        return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}

void *ldl_realloc(void *old, size_t count, size_t size)
{
    uint64_t bytes;
    if (ldl_mul(count, size, &bytes) || bytes > SIZE_MAX / 2 || ldl_fault(LDL_FAULT_ALLOC))
        return NULL;
    return realloc(old, bytes ? bytes : 1);
}

void *ldl_alloc_aligned(size_t bytes)
{
    if (bytes > SIZE_MAX - 64 || ldl_fault(LDL_FAULT_ALLOC))
        return NULL;
    return aligned_alloc(64, (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0));
}

char *ldl_strndup(const char *text, size_t n)
{
    char *copy = ldl_alloc(n + 1);
    if (copy) {
        memcpy(copy, text, n);
        copy[n] = 0;
    }
    return copy;
}

int ldl_by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *ldl_strdup(const char *text)
{
    return ldl_strndup(text, strlen(text));
}

void ldl_free(void *p)
{
    free(p);
}

int ldl_grow(void *array_ptr, size_t *cap, size_t need, size_t item_size)
{
    if (need <= *cap)
        return 0;
    size_t want = *cap ? *cap : 8;
    while (want < need) {
        if (want > SIZE_MAX / 2)
            return -1;
        want *= 2;
    }
    void *old;
    memcpy(&old, array_ptr, sizeof old);
    void *grown = ldl_realloc(old, want, item_size);
    if (!grown)
        return -1;
    memcpy(array_ptr, &grown, sizeof grown);
    *cap = want;
    return 0;
}

static int reserve(struct ldl_buf *b, size_t more)
{
    if (b->failed || more > SIZE_MAX / 4 || ldl_grow(&b->text, &b->cap, b->len + more + 1, 1)) {
        b->failed = 1;
        return -1;
    }
    return 0;
}

void ldl_buf_put(struct ldl_buf *b, const void *bytes, size_t n)
{
    if (reserve(b, n))
        return;
    if (n)
        memcpy(b->text + b->len, bytes, n);
    b->len += n;
    b->text[b->len] = 0;
}

void ldl_buf_puts(struct ldl_buf *b, const char *text)
{
    ldl_buf_put(b, text, strlen(text));
}

void ldl_buf_printf(struct ldl_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = 1;
    else if (reserve(b, (size_t)n) == 0) {
        vsnprintf(b->text + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

size_t ldl_utf8_len(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi, len;
    } rows[] = { { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
                 { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
                 { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
                 { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 } };
    if (s[0] < 0x80)
        return 1;
    for (size_t r = 0; r < LDL_COUNT(rows); r++) {
        if (s[0] < rows[r].lo || s[0] > rows[r].hi)
            continue;
        if (n < rows[r].len || s[1] < rows[r].second_lo || s[1] > rows[r].second_hi)
            return 0;
        for (size_t i = 2; i < rows[r].len; i++)
            if ((s[i] & 0xc0) != 0x80)
                return 0;
        return rows[r].len;
    }
    return 0;
}

void ldl_buf_json(struct ldl_buf *b, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    ldl_buf_put(b, "\"", 1);
    while (left) {
        size_t run = 0; /* of characters that stand for themselves, as nearly all do */
        while (run < left && s[run] >= 0x20 && s[run] < 0x7f && s[run] != '"' && s[run] != '\\')
            run++;
        ldl_buf_put(b, s, run);
        s += run;
        if ((left -= run) == 0)
            break;
        size_t n = ldl_utf8_len(s, left);
        if (n == 0) {
            ldl_buf_puts(b, "\xef\xbf\xbd");
            n = 1;
        } else if (*s == '"' || *s == '\\') {
            ldl_buf_put(b, "\\", 1);
            ldl_buf_put(b, s, 1);
        } else if (*s == '\n') {
            ldl_buf_puts(b, "\\n");
        } else if (*s == '\t') {
            ldl_buf_puts(b, "\\t");
        } else if (*s < 0x20 || *s == 0x7f) {
            ldl_buf_printf(b, "\\u%04x", *s);
        } else {
            ldl_buf_put(b, s, n);
        }
        s += n;
        left -= n;
    }
    ldl_buf_put(b, "\"", 1);
}

void ldl_buf_double(struct ldl_buf *b, double v)
{
    char text[40];
    if (isnan(v) || isinf(v)) { /* the words of Python's JSON */
        ldl_buf_puts(b, isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    int digits = 0;
    while (digits < 17) {
        snprintf(text, sizeof text, "%.*e", digits++, v);
        if (strtod(text, NULL) == v)
            break;
    }
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16) /* Python's bounds for writing it without an exponent */
        snprintf(text, sizeof text, "%.*f", LDL_MAX(digits - 1 - exponent, 0), v);
    for (char *p = text; *p; p++) /* a host program's locale may write a comma */
        if (*p == ',')
            *p = '.';
    ldl_buf_puts(b, text);
    if (!strpbrk(text, ".e"))
        ldl_buf_puts(b, ".0");
}

void ldl_buf_reset(struct ldl_buf *b)
{
    b->len = 0;
    if (b->text)
        b->text[0] = 0;
}

void ldl_buf_free(struct ldl_buf *b)
{
    ldl_free(b->text);
    *b = (struct ldl_buf){ 0 };
}

const char *ldl_human(char out[32], uint64_t bytes)
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 999.5 && u + 1 < LDL_COUNT(units)) {
        v /= 1000;
        u++;
    }
    if (u == 0)
        snprintf(out, 32, "%u %s", (unsigned)bytes, bytes == 1 ? "byte" : "bytes");
    else
        snprintf(out, 32, "%.*f %s", v < 9.95 ? 1 : 0, v, units[u]);
    return out;
}
