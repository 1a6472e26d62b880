/* pieces.c -- the vocabulary inside a sentencepiece model (tokenizer.model, spiece.model). A piece's number
 * is its place.
 *
 * The file is a protobuf: fields (number, wire type), of which these are read,
 *
 *     1: piece, bytes        of the whole, again and again
 *        1: text, bytes
 *        3: type, a number   1 normal (when it is not there), 2 unknown, 3 control, 4 user-defined ...
 *
 * and all others are passed over by their length. Every length is checked against what is left, so the work
 * and the memory are bounded by the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4 };

struct proto {
    const unsigned char *begin, *at, *end;
    const char *path;
};
struct field {
    uint64_t number, value; /* value: of a varint */
    const unsigned char *bytes;
    size_t len;
    unsigned wire;
};

static int fail(const struct proto *p, const char *what, struct ldl_err *err)
{
    return ldl_fail(err, LDL_EINPUT, "%s: byte %zu: %s; this is no sentencepiece model", p->path,
                    (size_t)(p->at - p->begin), what);
}

static int read_varint(struct proto *p, uint64_t *out, struct ldl_err *err)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p->at == p->end)
            return fail(p, "it ends inside a number", err);
        unsigned char c = *p->at++;
        if (shift == 63 && c > 1)
            break;
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return 0;
    }
    return fail(p, "a number of more than 64 bits", err);
}

/* The next field; there must be one. */
static int read_field(struct proto *p, struct field *f, struct ldl_err *err)
{
    uint64_t key, n = 0;
    int rc = read_varint(p, &key, err);
    if (rc)
        return rc;
    *f = (struct field){ .number = key >> 3, .wire = (unsigned)(key & 7) };
    if (f->number == 0)
        return fail(p, "a field with the number 0", err);
    switch (f->wire) {
    case VARINT: return read_varint(p, &f->value, err);
    case FIXED64: n = 8; break;
    case FIXED32: n = 4; break;
    case BYTES: rc = read_varint(p, &n, err); break;
    default: return fail(p, "a field of a kind that is not there", err);
    }
    if (rc)
        return rc;
    if (n > (uint64_t)(p->end - p->at))
        return fail(p, "a field that is longer than the rest", err);
    f->bytes = p->at;
    f->len = (size_t)n;
    p->at += n;
    return 0;
}

static int is_utf8(const unsigned char *s, size_t n)
{
    for (size_t len; n; s += len, n -= len)
        if ((len = ldl_utf8_len(s, n)) == 0)
            return 0;
    return 1;
}

static int read_piece(struct ldl_vocab *v, const struct proto *whole, const struct field *piece,
                      struct ldl_err *err)
{
    struct proto p = { whole->begin, piece->bytes, piece->bytes + piece->len, whole->path };
    struct field f, text = { 0 };
    uint64_t type = 1;
    while (p.at < p.end) {
        int rc = read_field(&p, &f, err);
        if (rc)
            return rc;
        if (f.number == 1 && f.wire == BYTES)
            text = f;
        else if (f.number == 3 && f.wire == VARINT)
            type = f.value;
    }
    if (!text.bytes)
        return fail(&p, "a piece without text", err);
    if (!is_utf8(text.bytes, text.len))
        return fail(&p, "a piece that is not UTF-8", err);
    if (v->n >= LDL_VOCAB_MOST)
        return ldl_fail(err, LDL_EINPUT, "%s: more than %d pieces", p.path, (int)LDL_VOCAB_MOST);
    int special = type == UNKNOWN || type == CONTROL;
    const struct ldl_token like = { .id = (uint32_t)v->n,
                                    .flags = special ? LDL_TOKEN_SPECIAL : 0,
                                    .added = special || type == USER_DEFINED,
                                    .ordinary = 1 };
    return ldl_vocab_put(v, (const char *)text.bytes, text.len, &like, err);
}

/* tiktoken's text has the same name in some folders: lines of base64, a blank, a number. */
static int is_tiktoken(const struct ldl_buf *text)
{
    static const char base64[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const char *s = text->len ? text->text : "";
    size_t n = strspn(s, base64), digits;
    if (n == 0 || s[n] != ' ')
        return 0;
    digits = strspn(s + n + 1, "0123456789");
    return digits && strchr("\r\n", s[n + 1 + digits]) != NULL;
}

int ldl_pieces_read(struct ldl_vocab *v, const struct ldl_buf *text, const char *path, int *known,
                    struct ldl_err *err)
{
    const unsigned char *bytes = (const unsigned char *)(text->len ? text->text : "");
    struct proto p = { bytes, bytes, bytes + text->len, path };
    struct field f;
    int rc = 0;
    *known = !is_tiktoken(text);
    while (*known && rc == 0 && p.at < p.end)
        if ((rc = read_field(&p, &f, err)) == 0 && f.number == 1 && f.wire == BYTES)
            rc = read_piece(v, &p, &f, err);
    if (*known && rc == 0 && v->n == 0)
        rc = fail(&p, "it ends without a piece", err);
    return rc;
}
