/* gguf_write.c -- what stands before the data of a GGUF file that is about to be written.
 *
 * The layout is gguf.c's, always version 3. The metadata (architecture, tokenizer, chat template)
 * are the source's, byte for byte and in its order, since nobody here could make them anew; only
 * general.file_type, which says what most tensors are stored as, follows the output's type. The
 * alignment is the source's, as its metadata say so. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "format/gguf.h"

#include <string.h>

enum { VERSION = 3, DIMS_MAX = 4 };

static void put_number(struct ldl_buf *out, uint64_t v, int bytes)
{
    char raw[8];
    for (int i = 0; i < bytes; i++)
        raw[i] = (char)(v >> (8 * i));
    ldl_buf_put(out, raw, (size_t)bytes);
}

/* general.file_type of a file whose tensors are mostly of type t; -1: as the source says. */
static int file_type(enum ldl_dtype t)
{
    switch ((int)t) {
    case LDL_F32: return 0;
    case LDL_F16: return 1;
    case LDL_Q8_0: return 7;
    case LDL_BF16:
    case LDL_U16_BF16: return 32;
    default: return -1;
    }
}

/* The source's pairs, and its alignment. They were checked when it was opened; walking them again
 * is cheaper than remembering them for every file that is only read. */
static int put_pairs(struct ldl_buf *out, const struct ldl_layout *how, uint32_t *alignment,
                     struct ldl_err *err)
{
    const struct ldl_file *f = how->source;
    struct ldl_gguf_facts facts;
    struct ldl_gguf_in *in = ldl_alloc(sizeof *in);
    size_t begin = out->len;
    if (!in)
        return ldl_oom(err);
    ldl_gguf_start(in, f, f->meta.offset);
    int rc = ldl_gguf_pairs(in, f->meta.count, &facts, err), type = file_type(how->dtype);
    if (rc == 0 && in->at - f->meta.offset != f->meta.bytes)
        rc = ldl_fail(err, LDL_EINPUT, "%s: changed while it was read", f->path);
    ldl_free(in);
    if (rc)
        return rc;
    *alignment = facts.alignment;
    if (ldl_grow(&out->text, &out->cap, begin + (size_t)f->meta.bytes + 1, 1))
        return ldl_oom(err);
    rc = ldl_pread(f->fd, f->path, out->text + begin, (size_t)f->meta.bytes, f->meta.offset, err);
    out->len = begin + (size_t)f->meta.bytes;
    out->text[out->len] = 0;
    if (rc == 0 && facts.file_type && type >= 0)
        for (int i = 0; i < 4; i++)
            out->text[begin + (size_t)(facts.file_type - f->meta.offset) + (size_t)i] =
                (char)(type >> (8 * i));
    return rc;
}

static int check_entry(const struct ldl_entry *e, struct ldl_err *err)
{
    size_t unit = ldl_dtype_unit(e->dtype);
    if (ldl_gguf_type(e->dtype) < 0)
        return ldl_fail(err, LDL_EUSAGE, "tensor '%.200s': a GGUF file cannot hold the type %s",
                        e->name, ldl_dtype_name(e->dtype));
    if (e->dtype == LDL_Q4_0)
        return ldl_fail(err, LDL_EUSAGE, "tensor '%.200s': Q4_0 is read but not written", e->name);
    if (e->ndim > DIMS_MAX)
        return ldl_fail(err, LDL_EUSAGE,
                        "tensor '%.200s': %d dimensions; a GGUF file has at most %d", e->name,
                        e->ndim, DIMS_MAX);
    if (unit > 1 && (e->ndim == 0 || e->dim[e->ndim - 1] % unit))
        return ldl_fail(err, LDL_EUSAGE,
                        "tensor '%.200s': its rows are no multiple of %zu elements, "
                        "so it cannot be %s",
                        e->name, unit, ldl_dtype_name(e->dtype));
    return 0;
}

static void put_info(struct ldl_buf *out, const struct ldl_entry *e)
{
    put_number(out, strlen(e->name), 8);
    ldl_buf_puts(out, e->name);
    put_number(out, (uint64_t)e->ndim, 4);
    for (int i = e->ndim; i-- > 0;)
        put_number(out, e->dim[i], 8);
    put_number(out, (uint64_t)ldl_gguf_type(e->dtype), 4);
    put_number(out, e->offset, 8);
}

static void put_zeros(struct ldl_buf *out, uint32_t alignment)
{
    static const char zeros[64];
    while (!out->failed && out->len % alignment)
        ldl_buf_put(out, zeros, LDL_MIN(sizeof zeros, alignment - out->len % alignment));
}

int ldl_gguf_layout(struct ldl_buf *out, struct ldl_entry *entry, size_t n,
                    const struct ldl_layout *how, uint64_t *bytes, struct ldl_err *err)
{
    uint64_t begin = 0, end = 0;
    uint32_t alignment = 0;
    if (!how->source || strcmp(how->source->format->name, "gguf") != 0)
        return ldl_fail(err, LDL_EUSAGE,
                        "--format gguf takes its metadata from the base or first model, which is "
                        "no GGUF");
    ldl_buf_reset(out);
    ldl_buf_puts(out, "GGUF");
    put_number(out, VERSION, 4);
    put_number(out, n, 8);
    put_number(out, how->source->meta.count, 8);
    int rc = out->failed ? ldl_oom(err) : put_pairs(out, how, &alignment, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if ((rc = check_entry(&entry[i], err)))
            return rc;
        if (ldl_add(begin, entry[i].bytes, &end) || end > INT64_MAX - (uint64_t)alignment)
            return ldl_fail(err, LDL_EOUTPUT, "tensor '%.200s': the file would be too large",
                            entry[i].name);
        entry[i].offset = begin;
        put_info(out, &entry[i]);
        begin = (end + alignment - 1) & ~(uint64_t)(alignment - 1);
    }
    if (rc)
        return rc;
    put_zeros(out, alignment);
    if (out->failed)
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++)
        entry[i].offset += out->len;
    *bytes = out->len + begin; /* the last tensor is filled up too, as llama.cpp's writer does */
    return 0;
}
