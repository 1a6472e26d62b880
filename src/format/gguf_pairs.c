/* gguf_pairs.c -- the metadata of a GGUF file: key-value pairs, walked without keeping them.
 *
 *     pair     string key, u32 type, value
 *     string   u64 length, then so many bytes
 *     array    u32 type of the items, u64 how many, then the items; an item may be an array again
 *
 * A file has tens of pairs; two or three are arrays of 100,000 strings (the tokenizer). Nothing of
 * it means anything to a merge except general.alignment, so a pair is passed over, and a writer
 * copies all of them as bytes. Every length is somebody's claim: it is compared with what is left
 * of the file before it is added to anything. Each item takes at least a byte, so the time is
 * bounded by the directory's largest size, whatever the counts say. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "format/gguf.h"

#include <string.h>

enum { KEY_MAX = 65535, DEPTH_MAX = 4 };
enum { T_U16 = 2, T_U32 = 4, T_STRING = 8, T_ARRAY = 9, T_U64 = 10, TYPES = 13 };

/* Bytes of a value of each type: u8 i8 u16 i16 u32 i32 f32 bool - - u64 i64 f64. */
static const unsigned char value_bytes[TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* ---- the moving place ---- */

void ldl_gguf_start(struct ldl_gguf_in *in, const struct ldl_file *f, uint64_t at)
{
    in->f = f;
    in->at = at;
    in->end = LDL_MIN(f->size, (uint64_t)LDL_GGUF_DIRECTORY_MAX);
    in->first = 0;
    in->n = 0;
}

static int fail_end(const struct ldl_gguf_in *in, struct ldl_err *err)
{
    if (in->end < in->f->size)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: the metadata and list of tensors are longer than %d bytes, which no "
                        "real file has; it is damaged",
                        in->f->path, LDL_GGUF_DIRECTORY_MAX);
    return ldl_fail(err, LDL_EINPUT,
                    "%s: truncated: it ends within its metadata or list of tensors; fetch or copy "
                    "it again",
                    in->f->path);
}

static int skip(struct ldl_gguf_in *in, uint64_t n, struct ldl_err *err)
{
    if (n > in->end - in->at)
        return fail_end(in, err);
    in->at += n;
    return 0;
}

int ldl_gguf_take(struct ldl_gguf_in *in, void *to, size_t n, struct ldl_err *err)
{
    unsigned char *put = to;
    if (n > in->end - in->at)
        return fail_end(in, err);
    while (n) {
        if (in->at < in->first || in->at - in->first >= in->n) {
            in->first = in->at;
            in->n = (size_t)LDL_MIN(in->end - in->at, (uint64_t)sizeof in->window);
            int rc = ldl_pread(in->f->fd, in->f->path, in->window, in->n, in->first, err);
            if (rc) {
                in->n = 0;
                return rc;
            }
        }
        size_t skipped = (size_t)(in->at - in->first), part = LDL_MIN(n, in->n - skipped);
        memcpy(put, in->window + skipped, part);
        put += part;
        in->at += part;
        n -= part;
    }
    return 0;
}

int ldl_gguf_u64(struct ldl_gguf_in *in, uint64_t *out, struct ldl_err *err)
{
    unsigned char raw[8];
    int rc = ldl_gguf_take(in, raw, sizeof raw, err);
    *out = 0;
    for (int i = 8; rc == 0 && i-- > 0;)
        *out = *out << 8 | raw[i];
    return rc;
}

int ldl_gguf_u32(struct ldl_gguf_in *in, uint32_t *out, struct ldl_err *err)
{
    unsigned char raw[4] = { 0 };
    int rc = ldl_gguf_take(in, raw, sizeof raw, err);
    *out = raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
    return rc;
}

int ldl_gguf_string(struct ldl_gguf_in *in, struct ldl_buf *out, size_t max, struct ldl_err *err)
{
    uint64_t len;
    int rc = ldl_gguf_u64(in, &len, err);
    ldl_buf_reset(out);
    if (rc)
        return rc;
    if (len > in->end - in->at)
        return fail_end(in, err);
    if (len > max)
        return ldl_fail(err, LDL_EINPUT, "%s: a name of %llu bytes; at most %zu are allowed",
                        in->f->path, (unsigned long long)len, max);
    if (ldl_grow(&out->text, &out->cap, (size_t)len + 1, 1))
        return ldl_oom(err);
    out->len = (size_t)len;
    out->text[len] = 0;
    return ldl_gguf_take(in, out->text, out->len, err);
}

/* ---- values ---- */

static int fail_type(const struct ldl_gguf_in *in, uint32_t type, struct ldl_err *err)
{
    return ldl_fail(err, LDL_EINPUT, "%s: metadata of the unknown type %u; the file is damaged",
                    in->f->path, type);
}

static int skip_value(struct ldl_gguf_in *in, uint32_t type, int depth, struct ldl_err *err)
{
    uint64_t n = 0, bytes;
    uint32_t item = 0;
    int rc = 0;
    if (type >= TYPES)
        return fail_type(in, type, err);
    if (value_bytes[type])
        return skip(in, value_bytes[type], err);
    if (type == T_STRING)
        return (rc = ldl_gguf_u64(in, &n, err)) ? rc : skip(in, n, err);
    if (depth == DEPTH_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: arrays nested deeper than %d", in->f->path,
                        DEPTH_MAX);
    if ((rc = ldl_gguf_u32(in, &item, err)) || (rc = ldl_gguf_u64(in, &n, err)))
        return rc;
    if (item >= TYPES)
        return fail_type(in, item, err);
    if (value_bytes[item])
        return ldl_mul(n, value_bytes[item], &bytes) ? fail_end(in, err) : skip(in, bytes, err);
    while (n-- && rc == 0)
        rc = skip_value(in, item, depth + 1, err);
    return rc;
}

/* ---- the three keys that matter ---- */

static int read_alignment(struct ldl_gguf_in *in, uint32_t type, struct ldl_gguf_facts *facts,
                          struct ldl_err *err)
{
    enum { LARGEST = 1 << 20 }; /* between two tensors there may be so many zeros */
    uint32_t a = 0;
    int rc = type == T_U32 ? ldl_gguf_u32(in, &a, err) : 0;
    if (rc)
        return rc;
    if (facts->alignment)
        return ldl_fail(err, LDL_EINPUT, "%s: general.alignment is given twice", in->f->path);
    if (type != T_U32 || a == 0 || (a & (a - 1)) || a > LARGEST)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: general.alignment is %u; it must be a u32 that is a power of two, at "
                        "most %d",
                        in->f->path, a, LARGEST);
    facts->alignment = a;
    return 0;
}

static int read_pair(struct ldl_gguf_in *in, struct ldl_buf *key, struct ldl_gguf_facts *facts,
                     struct ldl_err *err)
{
    uint32_t type;
    int rc;
    if ((rc = ldl_gguf_string(in, key, KEY_MAX, err)) || (rc = ldl_gguf_u32(in, &type, err)))
        return rc;
    if (strcmp(key->text, "general.alignment") == 0)
        return read_alignment(in, type, facts, err);
    if (strcmp(key->text, "general.file_type") == 0 && type == T_U32)
        facts->file_type = in->at;
    if (strcmp(key->text, "split.count") == 0 && type == T_U16) {
        unsigned char raw[2] = { 0 };
        rc = ldl_gguf_take(in, raw, sizeof raw, err);
        facts->parts = raw[0] | (uint64_t)raw[1] << 8;
        return rc;
    }
    return skip_value(in, type, 0, err);
}

int ldl_gguf_pairs(struct ldl_gguf_in *in, uint64_t count, struct ldl_gguf_facts *facts,
                   struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = 0;
    *facts = (struct ldl_gguf_facts){ 0 };
    while (count-- && rc == 0)
        rc = read_pair(in, &key, facts, err);
    if (rc && key.text && key.len)
        ldl_context(err, "metadata '%.100s'", key.text);
    if (!facts->alignment)
        facts->alignment = LDL_GGUF_ALIGNMENT;
    ldl_buf_free(&key);
    return rc;
}
