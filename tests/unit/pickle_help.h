/* pickle_help.h -- writes pickles and zip archives byte by byte, so that they can lie.
 *
 * pk_...() append to the buffer `pk`; zip_...() append to the archive `zip`. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_PICKLE_HELP_H
#define LDL_TESTS_PICKLE_HELP_H

#include "unit/read_help.h"

static struct ldl_buf pk;

UNUSED static void put_number(struct ldl_buf *b, uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        ldl_buf_put(b, &(char){ (char)(v >> (8 * i)) }, 1);
}

#define PK(literal) ldl_buf_put(&pk, literal, sizeof(literal) - 1) /* opcodes, NUL included */

UNUSED static void pk_begin(int protocol)
{
    ldl_buf_reset(&pk);
    PK("\x80");
    put_number(&pk, (uint64_t)protocol, 1);
}

UNUSED static void pk_text(const char *text)
{
    PK("X");
    put_number(&pk, strlen(text), 4);
    ldl_buf_puts(&pk, text);
}

UNUSED static void pk_int(uint64_t v)
{
    PK("\x8a\x08");
    put_number(&pk, v, 8);
}

/* NULL-terminated numbers in a tuple. */
UNUSED static void pk_numbers(int n, const uint64_t *number)
{
    PK("(");
    for (int i = 0; i < n; i++)
        pk_int(number[i]);
    PK("t");
}

UNUSED static void pk_global(const char *module, const char *name)
{
    ldl_buf_printf(&pk, "c%s\n%s\n", module, name);
}

/* ('storage', torch.TYPE, key, 'cpu', elements) as a persistent id */
UNUSED static void pk_storage(const char *type, const char *key, uint64_t elements)
{
    PK("(");
    pk_text("storage");
    pk_global("torch", type);
    pk_text(key);
    pk_text("cpu");
    pk_int(elements);
    PK("tQ");
}

struct pk_tensor {
    const char *type, *key;
    uint64_t elements, first;
    int ndim;
    uint64_t dim[9], stride[9];
};

UNUSED static void pk_tensor(const struct pk_tensor *t)
{
    pk_global("torch._utils", "_rebuild_tensor_v2");
    PK("(");
    pk_storage(t->type, t->key, t->elements);
    pk_int(t->first);
    pk_numbers(t->ndim, t->dim);
    pk_numbers(t->ndim, t->stride);
    PK("\x89");
    pk_global("collections", "OrderedDict");
    PK(")RtR");
}

/* A plain f32 vector. */
UNUSED static void pk_vector(const char *key, uint64_t elements, uint64_t n)
{
    pk_tensor(&(struct pk_tensor){ .type = "FloatStorage",
                                   .key = key,
                                   .elements = elements,
                                   .ndim = 1,
                                   .dim = { n },
                                   .stride = { 1 } });
}

/* ---- zip ---- */

static struct ldl_buf zip, zip_directory;
static unsigned zip_entries;

UNUSED static void zip_begin(void)
{
    ldl_buf_reset(&zip);
    ldl_buf_reset(&zip_directory);
    zip_entries = 0;
}

struct zip_member {
    const char *name;
    const void *data;
    uint64_t n;
    unsigned method, flags;
    uint64_t claimed; /* length in the headers, if not n */
    uint64_t at;      /* place in the directory, if not the real one, plus 1 */
};

static void zip_fields(struct ldl_buf *b, const struct zip_member *m, uint64_t length)
{
    put_number(b, 20, 2);
    put_number(b, m->flags, 2);
    put_number(b, m->method, 2);
    put_number(b, 0, 8); /* time, date, CRC */
    put_number(b, length, 4);
    put_number(b, length, 4);
    put_number(b, strlen(m->name), 2);
    put_number(b, 0, 2);
}

UNUSED static void zip_put(const struct zip_member *m)
{
    uint64_t at = m->at ? m->at - 1 : zip.len, length = m->claimed ? m->claimed : m->n;
    ldl_buf_put(&zip_directory, "PK\1\2\24\0", 6);
    zip_fields(&zip_directory, m, length);
    put_number(&zip_directory, 0, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    put_number(&zip_directory, at, 4);
    ldl_buf_puts(&zip_directory, m->name);
    zip_entries++;
    if (m->at)
        return;
    ldl_buf_put(&zip, "PK\3\4", 4);
    zip_fields(&zip, m, length);
    ldl_buf_puts(&zip, m->name);
    ldl_buf_put(&zip, m->data, (size_t)m->n);
}

UNUSED static void zip_add(const char *name, const void *data, size_t n)
{
    zip_put(&(struct zip_member){ .name = name, .data = data, .n = n });
}

UNUSED static void zip_end(const char *file)
{
    uint64_t at = zip.len;
    ldl_buf_put(&zip, zip_directory.text, zip_directory.len);
    ldl_buf_put(&zip, "PK\5\6\0\0\0\0", 8);
    put_number(&zip, zip_entries, 2);
    put_number(&zip, zip_entries, 2);
    put_number(&zip, zip_directory.len, 4);
    put_number(&zip, at, 4);
    put_number(&zip, 0, 2);
    if (zip.failed || zip_directory.failed || pk.failed)
        abort();
    save_bytes(file, zip.text, zip.len);
}

#endif
