/* gguf.c -- the reader of GGUF files, the containers of llama.cpp.
 *
 *     4 bytes    "GGUF"
 *     u32        version: 2 or 3
 *     u64        number of tensors
 *     u64        number of key-value pairs
 *     pairs      metadata (gguf_pairs.c)
 *     infos      of each tensor: string name, u32 n, n times u64 dim, u32 type, u64 offset
 *     zeros      up to a multiple of the alignment: here the data begin, offsets count from here
 *     data       each tensor's rows, from a multiple of the alignment on
 *
 * Everything is little-endian. Dims come with the fastest first, so they are turned round; the rows
 * of a type that has blocks are whole blocks. Beside alignment the data may have gaps, but not
 * overlaps, and they end inside the file. An old big-endian file shows by its version and is
 * refused.
 *
 * Of a model that was split into several files each is a complete GGUF by itself; merging one of
 * them would lose the others' tensors, so they are refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/gguf.h"
#include "base/io.h"
#include "format/check.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 4096, TENSORS_MAX = 1 << 20 };
static const unsigned char magic[4] = { 'G', 'G', 'U', 'F' };

/* The types by their numbers; those that are not read have a name for the message only. */
static const struct {
    const char *name;
    enum ldl_dtype dtype;
} types[] = {
    [0] = { "F32", LDL_F32 },         [1] = { "F16", LDL_F16 },
    [2] = { "Q4_0", LDL_Q4_0 },       [3] = { "Q4_1", LDL_DTYPES },
    [6] = { "Q5_0", LDL_DTYPES },     [7] = { "Q5_1", LDL_DTYPES },
    [8] = { "Q8_0", LDL_Q8_0 },       [9] = { "Q8_1", LDL_DTYPES },
    [10] = { "Q2_K", LDL_DTYPES },    [11] = { "Q3_K", LDL_DTYPES },
    [12] = { "Q4_K", LDL_DTYPES },    [13] = { "Q5_K", LDL_DTYPES },
    [14] = { "Q6_K", LDL_DTYPES },    [15] = { "Q8_K", LDL_DTYPES },
    [16] = { "IQ2_XXS", LDL_DTYPES }, [17] = { "IQ2_XS", LDL_DTYPES },
    [18] = { "IQ3_XXS", LDL_DTYPES }, [19] = { "IQ1_S", LDL_DTYPES },
    [20] = { "IQ4_NL", LDL_DTYPES },  [21] = { "IQ3_S", LDL_DTYPES },
    [22] = { "IQ2_S", LDL_DTYPES },   [23] = { "IQ4_XS", LDL_DTYPES },
    [24] = { "I8", LDL_I8 },          [25] = { "I16", LDL_I16 },
    [26] = { "I32", LDL_I32 },        [27] = { "I64", LDL_I64 },
    [28] = { "F64", LDL_F64 },        [29] = { "IQ1_M", LDL_DTYPES },
    [30] = { "BF16", LDL_BF16 },      [34] = { "TQ1_0", LDL_DTYPES },
    [35] = { "TQ2_0", LDL_DTYPES },   [39] = { "MXFP4", LDL_DTYPES },
};

int ldl_gguf_type(enum ldl_dtype t)
{
    if (t == LDL_U16_BF16)
        t = LDL_BF16;
    for (size_t i = 0; i < LDL_COUNT(types); i++)
        if (types[i].name && types[i].dtype == t)
            return (int)i;
    return -1;
}

/* ---- one tensor ---- */

static int fail_type(const struct ldl_file *f, uint32_t type, struct ldl_err *err)
{
    static const char known[] = "this build reads F32, F16, BF16, Q8_0, Q4_0";
    if (type < LDL_COUNT(types) && types[type].name)
        return ldl_fail(err, LDL_EINPUT, "%s: the type is %s, and %s", f->path, types[type].name,
                        known);
    return ldl_fail(err, LDL_EINPUT, "%s: the type is number %u, which is unknown; %s", f->path,
                    type, known);
}

/* Elements and bytes. As in safetensors.c no product of a few dims overflows later. */
static int check_extent(const struct ldl_file *f, struct ldl_stored *t, struct ldl_err *err)
{
    uint64_t product = 1, bytes, unit = ldl_dtype_unit(t->dtype);
    int empty = 0;
    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] == 0)
            empty = 1;
        else if (ldl_mul(product, t->dim[i], &product))
            return ldl_fail(err, LDL_EINPUT, "%s: the shape is larger than any file", f->path);
    }
    if (ldl_mul(product, ldl_dtype_unit_bytes(t->dtype), &bytes) || bytes > INT64_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: the shape is larger than any file", f->path);
    if (unit > 1 && (t->ndim == 0 || t->dim[t->ndim - 1] % unit))
        return ldl_fail(err, LDL_EINPUT, "%s: rows of %llu elements are not whole blocks of %s",
                        f->path, (unsigned long long)(t->ndim ? t->dim[t->ndim - 1] : 1),
                        ldl_dtype_tag(t->dtype));
    t->n = empty ? 0 : product;
    t->bytes = ldl_dtype_span(t->dtype, t->n);
    return 0;
}

static int read_shape(struct ldl_gguf_in *in, struct ldl_stored *t, struct ldl_err *err)
{
    uint32_t n;
    int rc = ldl_gguf_u32(in, &n, err);
    if (rc)
        return rc;
    if (n > LDL_MAX_DIMS)
        return ldl_fail(err, LDL_EINPUT, "%s: %u dimensions; at most %d are allowed", in->f->path,
                        n, LDL_MAX_DIMS);
    t->ndim = (int)n;
    for (uint32_t i = n; i-- > 0 && rc == 0;)
        rc = ldl_gguf_u64(in, &t->dim[i], err);
    return rc;
}

/* What follows the name. */
static int read_fields(struct ldl_gguf_in *in, struct ldl_stored *t, uint32_t alignment,
                       struct ldl_err *err)
{
    uint32_t type;
    int rc;
    if ((rc = read_shape(in, t, err)) || (rc = ldl_gguf_u32(in, &type, err)) ||
        (rc = ldl_gguf_u64(in, &t->offset, err)))
        return rc;
    if (type >= LDL_COUNT(types) || !types[type].name || types[type].dtype == LDL_DTYPES)
        return fail_type(in->f, type, err);
    t->dtype = types[type].dtype;
    if (t->offset % alignment)
        return ldl_fail(err, LDL_EINPUT, "%s: its offset is no multiple of the alignment, %u",
                        in->f->path, alignment);
    return check_extent(in->f, t, err);
}

/* Names go into JSON and messages: they are UTF-8 without NUL. */
static int check_name(const struct ldl_file *f, const struct ldl_buf *name, struct ldl_err *err)
{
    const unsigned char *s = (const unsigned char *)name->text;
    for (size_t at = 0, len; at < name->len; at += len)
        if (!s[at] || !(len = ldl_utf8_len(s + at, name->len - at)))
            return ldl_fail(err, LDL_EINPUT, "%s: the name of a tensor is no text; it is damaged",
                            f->path);
    return 0;
}

static int read_info(struct ldl_file *f, struct ldl_gguf_in *in, struct ldl_buf *name,
                     uint32_t alignment, struct ldl_err *err)
{
    struct ldl_stored t = { 0 };
    int rc;
    if ((rc = ldl_gguf_string(in, name, NAME_MAX_BYTES, err)) || (rc = check_name(f, name, err)))
        return rc;
    if ((rc = read_fields(in, &t, alignment, err))) {
        ldl_context(err, "tensor '%.200s'", name->text);
        return rc;
    }
    if (ldl_grow(&f->tensor, &f->cap, f->ntensors + 1, sizeof *f->tensor) ||
        !(t.name = ldl_strdup(name->text)))
        return ldl_oom(err);
    f->tensor[f->ntensors++] = t;
    return 0;
}

/* ---- all tensors together ---- */

/* Sorts by place; offsets become those of the file. */
static int settle(struct ldl_file *f, uint64_t data_start, struct ldl_err *err)
{
    uint64_t data = f->size - LDL_MIN(data_start, f->size), end = 0;
    const struct ldl_stored *before = NULL;
    if (f->ntensors)
        qsort(f->tensor, f->ntensors, sizeof *f->tensor, ldl_stored_by_place);
    for (size_t i = 0; i < f->ntensors; i++) {
        struct ldl_stored *t = &f->tensor[i];
        uint64_t to;
        if (ldl_add(t->offset, t->bytes, &to) || to > data || data_start > f->size)
            return ldl_fail(
                err, LDL_EINPUT,
                "%s: truncated: tensor '%.200s' is not wholly inside the file; fetch or "
                "copy it again",
                f->path, t->name);
        if (t->bytes == 0) {
            t->offset += data_start;
            continue;
        }
        if (t->offset < end)
            return ldl_fail(err, LDL_EINPUT, "%s: tensors '%.200s' and '%.200s' overlap", f->path,
                            before->name, t->name);
        before = t;
        end = to;
        t->offset += data_start;
    }
    return 0;
}

/* ---- the file ---- */

static int claims(const char *file_name)
{
    return ldl_has_suffix(file_name, ".gguf");
}

static int recognizes(const unsigned char *head, size_t n)
{
    return n >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

static int read_header(struct ldl_file *f, struct ldl_gguf_in *in, uint64_t *tensors,
                       struct ldl_err *err)
{
    unsigned char begin[sizeof magic];
    uint32_t version;
    int rc;
    if (f->size < LDL_GGUF_HEADER_BYTES)
        return ldl_fail(err, LDL_EINPUT, "%s: %llu bytes long, too short for a GGUF file", f->path,
                        (unsigned long long)f->size);
    if ((rc = ldl_gguf_take(in, begin, sizeof begin, err)) ||
        (rc = ldl_gguf_u32(in, &version, err)) || (rc = ldl_gguf_u64(in, tensors, err)) ||
        (rc = ldl_gguf_u64(in, &f->meta.count, err)))
        return rc;
    if (memcmp(begin, magic, sizeof magic) != 0)
        return ldl_fail(err, LDL_EINPUT, "%s: not a GGUF file: it does not begin with GGUF",
                        f->path);
    if (version >= 1u << 16 && (version & 0xffff) == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a big-endian GGUF file; convert it to little-endian first", f->path);
    if (version != 2 && version != 3)
        return ldl_fail(err, LDL_EINPUT, "%s: GGUF version %u; this build reads 2 and 3", f->path,
                        version);
    if (*tensors > TENSORS_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: %llu tensors; at most %d are allowed", f->path,
                        (unsigned long long)*tensors, TENSORS_MAX);
    return 0;
}

static int read_directory(struct ldl_file *f, struct ldl_gguf_in *in, struct ldl_err *err)
{
    struct ldl_gguf_facts facts;
    struct ldl_buf name = { 0 };
    uint64_t tensors;
    int rc = read_header(f, in, &tensors, err);
    if (rc)
        return rc;
    f->meta.offset = in->at;
    if ((rc = ldl_gguf_pairs(in, f->meta.count, &facts, err)))
        return rc;
    f->meta.bytes = in->at - f->meta.offset;
    if (facts.parts > 1)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: one of %llu files that a model was split into; join them first "
                        "(llama-gguf-split --merge)",
                        f->path, (unsigned long long)facts.parts);
    while (tensors-- && rc == 0)
        rc = read_info(f, in, &name, facts.alignment, err);
    ldl_buf_free(&name);
    if (rc || (rc = ldl_check_names(f, err)))
        return rc;
    uint64_t mask = facts.alignment - 1;
    return settle(f, (in->at + mask) & ~mask, err);
}

static int open_gguf(struct ldl_file *f, struct ldl_err *err)
{
    struct ldl_gguf_in *in = ldl_alloc(sizeof *in);
    if (!in)
        return ldl_oom(err);
    ldl_gguf_start(in, f, 0);
    int rc = read_directory(f, in, err);
    ldl_free(in);
    return rc;
}

const struct ldl_format ldl_format_gguf = {
    .name = "gguf",
    .summary = "llama.cpp's container: metadata and tensors in one file, also in 8 and 4 bits",
    .claims = claims,
    .recognizes = recognizes,
    .open = open_gguf,
    .layout = ldl_gguf_layout,
};
