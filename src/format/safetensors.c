/* safetensors.c -- the reader of safetensors files.
 *
 *     8 bytes    N, little-endian
 *     N bytes    JSON: {"__metadata__":{"format":"pt"},
 *                       "NAME":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}, ...}   blanks
 *     the rest   the tensors' bytes; data_offsets count from here
 *
 * Every byte after the header belongs to exactly one tensor: no holes, no overlap, nothing after
 * the last. That is checked here and completely, so that later code may trust offset, bytes, dim, n.
 * The header is pulled, not made into a tree: memory is the header (bounded by the file's real
 * size and 100 MB) and the list of tensors. Until settle() a tensor's offset is relative to the
 * data. Tensors without elements have no bytes, so where they say to be does not matter as long
 * as it is inside the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "base/json.h"
#include "format/check.h"
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000, LENGTH_BYTES = 8 };

/* The "dtype", "shape" and "data_offsets" of the entry being read. */
struct entry {
    struct ldl_stored t;
    int has_dtype, has_shape, has_offsets;
};

struct reader {
    struct ldl_file *f;
    struct ldl_json j;
    struct ldl_buf key, name, text;
};

/* ---- the header's JSON ---- */

static int read_dtype(struct reader *r, struct entry *e, struct ldl_err *err)
{
    int status = ldl_json_string(&r->j, &r->text, err);
    if (status)
        return status;
    e->t.dtype = ldl_dtype_from_tag(r->text.text);
    e->has_dtype = 1;
    if (e->t.dtype != LDL_DTYPES && strlen(r->text.text) == r->text.len)
        return 0;
    return ldl_json_fail(
        &r->j, err,
        "unknown dtype '%.40s' (known: F64, F32, F16, BF16, I64, I32, I16, I8, U64, "
        "U32, U16, U8, BOOL, F8_E4M3, F8_E5M2)",
        r->text.text);
}

static int read_shape(struct reader *r, struct entry *e, struct ldl_err *err)
{
    int status = ldl_json_enter(&r->j, '[', err);
    if (status)
        return status;
    while ((status = ldl_json_item(&r->j, err)) > 0) {
        if (e->t.ndim == LDL_MAX_DIMS)
            return ldl_json_fail(&r->j, err, "more than 8 dimensions");
        if ((status = ldl_json_u64(&r->j, &e->t.dim[e->t.ndim++], err)))
            return status;
    }
    e->has_shape = 1;
    return -status;
}

static int read_offsets(struct reader *r, struct entry *e, struct ldl_err *err)
{
    uint64_t offset[2];
    int n = 0, status = ldl_json_enter(&r->j, '[', err);
    if (status)
        return status;
    while ((status = ldl_json_item(&r->j, err)) > 0) {
        if (n == 2)
            return ldl_json_fail(&r->j, err, "data_offsets has more than two numbers");
        if ((status = ldl_json_u64(&r->j, &offset[n++], err)))
            return status;
    }
    if (status)
        return -status;
    if (n < 2)
        return ldl_json_fail(&r->j, err, "data_offsets needs two numbers");
    if (offset[0] > offset[1])
        return ldl_json_fail(&r->j, err, "data_offsets end before they begin");
    e->t.offset = offset[0];
    e->t.bytes = offset[1] - offset[0];
    e->has_offsets = 1;
    return 0;
}

static int read_field(struct reader *r, struct entry *e, struct ldl_err *err)
{
    const struct {
        const char *key;
        int *has;
        int (*read)(struct reader *r, struct entry *e, struct ldl_err *err);
    } fields[] = { { "dtype", &e->has_dtype, read_dtype },
                   { "shape", &e->has_shape, read_shape },
                   { "data_offsets", &e->has_offsets, read_offsets } };
    for (size_t i = 0; i < LDL_COUNT(fields); i++) {
        if (strcmp(r->key.text, fields[i].key) != 0)
            continue;
        if (*fields[i].has)
            return ldl_json_fail(&r->j, err, "%s is given twice", fields[i].key);
        return fields[i].read(r, e, err);
    }
    return ldl_json_skip(&r->j, NULL, NULL, err);
}

/* Elements and bytes from the shape. Empty dimensions are left out of the overflow check's
 * product, so that no product of a few dimensions overflows later either. */
static int check_extent(struct reader *r, struct entry *e, struct ldl_err *err)
{
    uint64_t product = 1, bytes;
    int empty = 0;
    for (int i = 0; i < e->t.ndim; i++) {
        if (e->t.dim[i] == 0)
            empty = 1;
        else if (ldl_mul(product, e->t.dim[i], &product))
            return ldl_json_fail(&r->j, err, "the shape is larger than any file");
    }
    if (ldl_mul(product, ldl_dtype_unit_bytes(e->t.dtype), &bytes) || bytes > INT64_MAX)
        return ldl_json_fail(&r->j, err, "the shape is larger than any file");
    e->t.n = empty ? 0 : product;
    if (empty)
        bytes = 0;
    if (bytes == e->t.bytes)
        return 0;
    return ldl_json_fail(&r->j, err, "shape and dtype need %llu bytes, data_offsets give %llu",
                         (unsigned long long)bytes, (unsigned long long)e->t.bytes);
}

static int read_fields(struct reader *r, struct entry *e, struct ldl_err *err)
{
    int status = ldl_json_enter(&r->j, '{', err);
    if (status)
        return status;
    while ((status = ldl_json_member(&r->j, &r->key, err)) > 0)
        if ((status = read_field(r, e, err)))
            return status;
    if (status)
        return -status;
    if (!e->has_dtype || !e->has_shape || !e->has_offsets)
        return ldl_json_fail(&r->j, err, "%s is missing",
                             !e->has_dtype   ? "dtype"
                             : !e->has_shape ? "shape"
                                             : "data_offsets");
    return check_extent(r, e, err);
}

static int read_entry(struct reader *r, struct ldl_err *err)
{
    struct entry e = { 0 };
    struct ldl_file *f = r->f;
    if (strlen(r->name.text) != r->name.len)
        return ldl_json_fail(&r->j, err, "a tensor name has a NUL character");
    int status = read_fields(r, &e, err);
    if (status) {
        ldl_context(err, "tensor '%.200s'", r->name.text);
        return status;
    }
    if (ldl_grow(&f->tensor, &f->cap, f->ntensors + 1, sizeof *f->tensor) ||
        !(e.t.name = ldl_strdup(r->name.text)))
        return ldl_oom(err);
    f->tensor[f->ntensors++] = e.t;
    return 0;
}

/* Text to text; only "format" matters here. Others' oddities are passed over. */
static int read_metadata(struct reader *r, struct ldl_err *err)
{
    int status, formats = 0;
    if (ldl_json_peek(&r->j) != '{')
        return ldl_json_skip(&r->j, NULL, NULL, err);
    if ((status = ldl_json_enter(&r->j, '{', err)))
        return status;
    while ((status = ldl_json_member(&r->j, &r->key, err)) > 0) {
        if (strcmp(r->key.text, "format") == 0 && formats++)
            return ldl_json_fail(&r->j, err, "the metadata's format is given twice");
        if (strcmp(r->key.text, "format") == 0 && ldl_json_peek(&r->j) == '"') {
            if ((status = ldl_json_string(&r->j, &r->text, err)))
                return status;
            r->f->numpy_tagged = strcmp(r->text.text, "np") == 0;
        } else if ((status = ldl_json_skip(&r->j, NULL, NULL, err))) {
            return status;
        }
    }
    return -status;
}

static int read_header(struct ldl_file *f, const struct ldl_buf *header, struct ldl_err *err)
{
    struct reader r = { .f = f };
    struct ldl_buf name = { 0 };
    int metadata = 0, status;
    ldl_buf_printf(&name, "%s: header", f->path);
    if (name.failed)
        return ldl_oom(err);
    ldl_json_open(&r.j, header->text, header->len, name.text);
    if ((status = ldl_json_enter(&r.j, '{', err)))
        goto out;
    while ((status = ldl_json_member(&r.j, &r.name, err)) > 0) {
        if (strcmp(r.name.text, "__metadata__") != 0)
            status = read_entry(&r, err);
        else if (metadata++)
            status = ldl_json_fail(&r.j, err, "__metadata__ is given twice");
        else
            status = read_metadata(&r, err);
        if (status)
            goto out;
    }
    status = status ? -status : ldl_json_close(&r.j, err);
out:
    ldl_buf_free(&r.key);
    ldl_buf_free(&r.name);
    ldl_buf_free(&r.text);
    ldl_buf_free(&name);
    return status;
}

/* ---- all tensors together ---- */

static int fail_end(const struct ldl_file *f, uint64_t end, uint64_t data, struct ldl_err *err)
{
    if (end > data)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: truncated: %llu bytes are missing at its end; fetch or copy it again",
                        f->path, (unsigned long long)(end - data));
    return ldl_fail(err, LDL_EINPUT,
                    "%s: %llu bytes after the last tensor belong to none; the file is damaged",
                    f->path, (unsigned long long)(data - end));
}

/* Sorts by place, checks that the tensors tile the data, makes offsets count from the file's
 * start. */
static int settle(struct ldl_file *f, uint64_t data_start, struct ldl_err *err)
{
    uint64_t data = f->size - data_start, end = 0;
    const struct ldl_stored *before = NULL;
    if (f->ntensors)
        qsort(f->tensor, f->ntensors, sizeof *f->tensor, ldl_stored_by_place);
    for (size_t i = 0; i < f->ntensors; i++) {
        const struct ldl_stored *t = &f->tensor[i];
        if (t->bytes == 0)
            continue;
        if (t->offset < end)
            return ldl_fail(err, LDL_EINPUT, "%s: tensors '%.200s' and '%.200s' overlap", f->path,
                            before->name, t->name);
        if (t->offset > end)
            return ldl_fail(err, LDL_EINPUT,
                            "%s: %llu bytes before tensor '%.200s' belong to none; the file is "
                            "damaged",
                            f->path, (unsigned long long)(t->offset - end), t->name);
        end = t->offset + t->bytes;
        before = t;
    }
    if (end != data)
        return fail_end(f, end, data, err);
    for (size_t i = 0; i < f->ntensors; i++) {
        if (f->tensor[i].offset > data)
            return ldl_fail(err, LDL_EINPUT, "%s: tensor '%.200s': data_offsets are past the end",
                            f->path, f->tensor[i].name);
        f->tensor[i].offset += data_start;
    }
    return 0;
}

/* ---- the file ---- */

static int claims(const char *file_name)
{
    return ldl_has_suffix(file_name, ".safetensors");
}

/* The first 8 bytes; what is often met in the place of weights gets a message of its own. */
static int read_length(const struct ldl_file *f, uint64_t *length, struct ldl_err *err)
{
    unsigned char raw[LENGTH_BYTES];
    if (f->size < LENGTH_BYTES)
        return ldl_fail(err, LDL_EINPUT, "%s: %llu bytes long, too short for a safetensors file",
                        f->path, (unsigned long long)f->size);
    int status = ldl_pread(f->fd, f->path, raw, sizeof raw, 0, err);
    if (status)
        return status;
    if (memcmp(raw, "version ", sizeof raw) == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a Git LFS pointer, not the weights; run `git lfs pull`", f->path);
    *length = 0;
    for (int i = LENGTH_BYTES; i-- > 0;)
        *length = *length << 8 | raw[i];
    if (*length > f->size - LENGTH_BYTES)
        return ldl_fail(
            err, LDL_EINPUT,
            "%s: the header should be %llu bytes long, longer than the file (%llu bytes): "
            "truncated, or not safetensors",
            f->path, (unsigned long long)*length, (unsigned long long)f->size);
    if (*length > HEADER_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: a header of %llu bytes; at most %d are allowed",
                        f->path, (unsigned long long)*length, HEADER_MAX);
    return 0;
}

static int open_st(struct ldl_file *f, struct ldl_err *err)
{
    struct ldl_buf header = { 0 };
    uint64_t length = 0;
    int status = read_length(f, &length, err);
    if (status)
        return status;
    if (ldl_grow(&header.text, &header.cap, (size_t)length + 1, 1))
        return ldl_oom(err);
    header.len = (size_t)length;
    header.text[length] = 0;
    status = ldl_pread(f->fd, f->path, header.text, header.len, LENGTH_BYTES, err);
    if (status == 0 && header.text[0] != '{')
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: not a safetensors file: the header is no JSON object", f->path);
    if (status == 0)
        status = read_header(f, &header, err);
    ldl_buf_free(&header);
    if (status == 0)
        status = ldl_check_names(f, err);
    return status ? status : settle(f, LENGTH_BYTES + length, err);
}

/* A JSON object behind a length that fits the 100 MB of a header. */
static int recognizes(const unsigned char *head, size_t n)
{
    return n > LENGTH_BYTES && head[LENGTH_BYTES] == '{' && !memcmp(head + 4, "\0\0\0\0", 4);
}

const struct ldl_format ldl_format_safetensors = {
    .name = "safetensors",
    .summary = "tensors behind a JSON header, as Hugging Face and PaddleNLP write them",
    .claims = claims,
    .recognizes = recognizes,
    .open = open_st,
    .layout = ldl_safetensors_layout,
};
