/* mem.h -- allocation, checked arithmetic, growable text.
 *
 * All memory of the library comes from here, so that a test can make the Nth allocation fail
 * (fault.h) and see that every caller copes. Sizes that come from a file go through
 * ldl_mul()/ldl_add() first: they return nonzero on overflow and never wrap. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_MEM_H
#define LDL_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LDL_COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define LDL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LDL_MAX(a, b) ((a) > (b) ? (a) : (b))

/* NULL when memory is short. free() of NULL is fine. Owned by the caller. */
void *ldl_alloc(size_t bytes);               /* contents undefined */
void *ldl_calloc(size_t count, size_t size); /* zeroed, overflow checked */
void *ldl_realloc(void *old, size_t count, size_t size);
void *ldl_alloc_aligned(size_t bytes); /* 64-byte aligned, for tiles; release with ldl_free */
char *ldl_strdup(const char *text);
char *ldl_strndup(const char *text, size_t n);
/* The order of an array of texts, for qsort() and bsearch(): that of strcmp(). */
int ldl_by_text(const void *a, const void *b);
void ldl_free(void *p);

static inline int ldl_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return __builtin_mul_overflow(a, b, out);
}
static inline int ldl_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return __builtin_add_overflow(a, b, out);
}

/* Makes room for one more item in an array that grows by doubling.
 * Returns 0, or nonzero when memory is short (the array is untouched then). */
int ldl_grow(void *array_ptr, size_t *cap, size_t need, size_t item_size);

/* Text that grows. After a failed allocation `failed` is set and appends do nothing, so a
 * caller builds the whole text and checks once. Always NUL-terminated when not failed. */
struct ldl_buf {
    char *text;
    size_t len, cap;
    int failed;
};
void ldl_buf_put(struct ldl_buf *b, const void *bytes, size_t n);
void ldl_buf_puts(struct ldl_buf *b, const char *text);
void ldl_buf_printf(struct ldl_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with quotes and escapes; bytes that are not UTF-8 become U+FFFD. */
void ldl_buf_json(struct ldl_buf *b, const char *text);
/* Length of the well-formed UTF-8 sequence at s (at most n > 0 bytes), 0 when there is none. */
size_t ldl_utf8_len(const unsigned char *s, size_t n);
/* A double in the shortest form that reads back as the same double, as Python prints it. */
void ldl_buf_double(struct ldl_buf *b, double v);
void ldl_buf_reset(struct ldl_buf *b); /* empty, keeps the memory */
void ldl_buf_free(struct ldl_buf *b);

/* "1.5 GB" of bytes (powers of 1000, as disks count) into out; returns out. */
const char *ldl_human(char out[32], uint64_t bytes);

#endif
