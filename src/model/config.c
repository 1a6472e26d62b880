/* config.c -- config.json: what a merge reads of it, and edits by splicing.
 *
 * A model's config.json is the user's file: key order, spacing, numbers too large for a double and
 * keys nobody here knows must come out as they went in. So nothing is parsed into a tree and
 * written again; only the bytes of some top-level members are exchanged, removed or added. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/model.h"

#include <string.h>

int ldl_config_get_dtype(const char *json, size_t len, const char *name, char **word,
                         struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf key = { 0 }, dtype = { 0 }, torch_dtype = { 0 };
    *word = NULL;
    ldl_json_open(&j, json, len, name);
    int status = ldl_json_enter(&j, '{', err);
    if (status)
        goto out;
    while ((status = ldl_json_member(&j, &key, err)) > 0) {
        struct ldl_buf *to = strcmp(key.text, "dtype") == 0         ? &dtype
                             : strcmp(key.text, "torch_dtype") == 0 ? &torch_dtype
                                                                    : NULL;
        status = to && ldl_json_peek(&j) == '"' ? ldl_json_string(&j, to, err)
                                                : ldl_json_skip(&j, NULL, NULL, err);
        if (status)
            goto out;
    }
    status = status ? -status : ldl_json_close(&j, err);
    const char *found = dtype.text ? dtype.text : torch_dtype.text;
    if (status == 0 && found && !(*word = ldl_strdup(found)))
        status = ldl_oom(err);
out:
    ldl_buf_free(&key);
    ldl_buf_free(&dtype);
    ldl_buf_free(&torch_dtype);
    return status;
}

/* ---- quantization_config ---- */

/* "weight_block_size" (DeepSeek, Qwen) or "block_structure" (compressed-tensors): two numbers.
 * Other forms, as null, say nothing. */
static int read_blocks(struct ldl_json *j, uint64_t block[2], struct ldl_err *err)
{
    uint64_t v[2] = { 0 };
    int n = 0, status;
    if (ldl_json_peek(j) != '[')
        return ldl_json_skip(j, NULL, NULL, err);
    if ((status = ldl_json_enter(j, '[', err)))
        return status;
    while ((status = ldl_json_item(j, err)) > 0) {
        if (n == 2 || ldl_json_peek(j) < '0' || ldl_json_peek(j) > '9')
            return ldl_json_fail(j, err, "the block size should be two positive numbers");
        if ((status = ldl_json_u64(j, &v[n++], err)))
            return status;
    }
    if (status == 0 && (n < 2 || v[0] == 0 || v[1] == 0))
        return ldl_json_fail(j, err, "the block size should be two positive numbers");
    memcpy(block, v, sizeof v);
    return -status;
}

/* Walks objects inside objects; the reader bounds the depth. */
static int read_quantization(struct ldl_json *j, uint64_t block[2], struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int status = ldl_json_enter(j, '{', err);
    while (status == 0 && (status = ldl_json_member(j, &key, err)) > 0) {
        if (strcmp(key.text, "weight_block_size") == 0 || strcmp(key.text, "block_structure") == 0)
            status = read_blocks(j, block, err);
        else if (ldl_json_peek(j) == '{')
            status = read_quantization(j, block, err);
        else
            status = ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return status < 0 ? -status : status;
}

int ldl_config_get_quantization(const char *json, size_t len, const char *name, int *there,
                                uint64_t block[2], struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf key = { 0 };
    *there = 0;
    block[0] = block[1] = 0;
    ldl_json_open(&j, json, len, name);
    int status = ldl_json_enter(&j, '{', err);
    while (status == 0 && (status = ldl_json_member(&j, &key, err)) > 0) {
        int ours = (strcmp(key.text, "quantization_config") == 0 ||
                    strcmp(key.text, "compression_config") == 0) &&
                   ldl_json_peek(&j) == '{';
        *there |= ours;
        status = ours ? read_quantization(&j, block, err) : ldl_json_skip(&j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return status < 0 ? -status : status ? status : ldl_json_close(&j, err);
}

/* ---- editing ---- */

/* An object as this file sees it: pieces of text between '{', the commas and '}'. A piece is the
 * blanks before a member, the member, and the blanks after it. An edit exchanges a value or leaves
 * a piece out, and the commas are put between the pieces that stay. What follows the last value (a
 * line break, mostly) belongs to the '}' and stays, whichever member is the last then. */
struct editor {
    const struct ldl_edit *edit;
    size_t n, members;
    struct ldl_buf *out;
    unsigned char done[LDL_CONFIG_EDITS];
    const char *indent, *key;  /* of the first member: blanks before it, and where its key begins */
    const char *colon, *value; /* from after its key to its value */
};

static const char *pass_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* From the opening quote to after the closing one; the reader has seen that it is there. */
static const char *pass_key(const char *p)
{
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

static void put_comma(struct editor *e)
{
    if (e->members++)
        ldl_buf_puts(e->out, ",");
}

/* One member: its piece begins at `piece`, its value is [from, to), then blanks go to `next`. */
static void edit_member(struct editor *e, const char *key, const char *piece, const char *from,
                        const char *to, const char *next)
{
    const struct ldl_edit *edit = NULL;
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->edit[i].key, key) == 0) {
            edit = &e->edit[i];
            e->done[i] = 1;
        }
    if (edit && !edit->value)
        return;
    put_comma(e);
    ldl_buf_put(e->out, piece, (size_t)(from - piece));
    if (edit)
        ldl_buf_puts(e->out, edit->value);
    else
        ldl_buf_put(e->out, from, (size_t)(to - from));
    if (*next == ',')
        ldl_buf_put(e->out, to, (size_t)(next - to));
}

/* Members that were not there, written as the first one is. */
static void add_members(struct editor *e)
{
    for (size_t i = 0; i < e->n; i++) {
        if (e->done[i] || !e->edit[i].add || !e->edit[i].value)
            continue;
        put_comma(e);
        ldl_buf_put(e->out, e->indent, (size_t)(e->key - e->indent));
        ldl_buf_json(e->out, e->edit[i].key);
        ldl_buf_put(e->out, e->colon, (size_t)(e->value - e->colon));
        ldl_buf_puts(e->out, e->edit[i].value);
    }
}

int ldl_config_edit(const char *json, size_t len, const char *name, const struct ldl_edit *edit,
                    size_t n, struct ldl_buf *out, struct ldl_err *err)
{
    static const char plain_colon[] = ": ";
    struct editor e = { .edit = edit, .n = n, .out = out };
    struct ldl_json j;
    struct ldl_buf key = { 0 };
    ldl_buf_reset(out);
    ldl_json_open(&j, json, len, name);
    int status = ldl_json_enter(&j, '{', err);
    if (status)
        return status;
    const char *piece = j.at, *last = j.at, *from;
    e.indent = e.key = j.at;
    e.colon = plain_colon;
    e.value = plain_colon + 2;
    ldl_buf_put(out, json, (size_t)(piece - json));
    for (int first = 1; (status = ldl_json_member(&j, &key, err)) > 0; first = 0) {
        if ((status = ldl_json_skip(&j, &from, &last, err)))
            goto out;
        if (first) {
            e.key = pass_blanks(piece, from);
            e.colon = pass_key(e.key);
            e.value = from;
        }
        const char *next = pass_blanks(last, j.end);
        if (next < j.end)
            edit_member(&e, key.text, piece, from, last, next);
        piece = next + 1; /* when that is not behind a comma, the reader says so now */
    }
    status = status ? -status : ldl_json_close(&j, err);
    add_members(&e);
    ldl_buf_put(out, last, (size_t)(json + len - last));
    if (status == 0 && out->failed)
        status = ldl_oom(err);
out:
    ldl_buf_free(&key);
    return status;
}

int ldl_config_find(const char *json, size_t len, const char *name, const char *wanted,
                    const char **value, size_t *n, struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf key = { 0 };
    const char *from, *to;
    *value = NULL;
    *n = 0;
    ldl_json_open(&j, json, len, name);
    int status = ldl_json_enter(&j, '{', err);
    while (status == 0 && (status = ldl_json_member(&j, &key, err)) > 0) {
        if ((status = ldl_json_skip(&j, &from, &to, err)) == 0 && strcmp(key.text, wanted) == 0) {
            *value = from;
            *n = (size_t)(to - from);
        }
    }
    ldl_buf_free(&key);
    return status < 0 ? -status : status ? status : ldl_json_close(&j, err);
}

int ldl_config_set_dtype(const char *json, size_t len, const char *name, const char *word,
                         struct ldl_buf *out, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    ldl_buf_json(&text, word);
    const struct ldl_edit edits[] = { { "dtype", text.text, 0 }, { "torch_dtype", text.text, 0 } };
    int status = text.failed ? ldl_oom(err)
                             : ldl_config_edit(json, len, name, edits, LDL_COUNT(edits), out, err);
    ldl_buf_free(&text);
    return status;
}

/* The value of the member; *tied stays when it is no boolean. */
static int read_tied(struct ldl_json *j, int *tied, struct ldl_err *err)
{
    int c = ldl_json_peek(j);
    return c == 't' || c == 'f' ? ldl_json_bool(j, tied, err) : ldl_json_skip(j, NULL, NULL, err);
}

static int read_tied_members(struct ldl_json *j, int inner, int *tied, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int status = ldl_json_enter(j, '{', err), text_tied = -1;
    if (status)
        return status;
    while ((status = ldl_json_member(j, &key, err)) > 0) {
        if (strcmp(key.text, "tie_word_embeddings") == 0)
            status = read_tied(j, tied, err);
        else if (!inner && strcmp(key.text, "text_config") == 0 && ldl_json_peek(j) == '{')
            status = read_tied_members(j, 1, &text_tied, err);
        else
            status = ldl_json_skip(j, NULL, NULL, err);
        if (status)
            goto out;
    }
    status = -status;
    if (*tied < 0)
        *tied = text_tied;
out:
    ldl_buf_free(&key);
    return status;
}

int ldl_config_get_tied(const char *json, size_t len, const char *name, int *tied,
                        struct ldl_err *err)
{
    struct ldl_json j;
    *tied = -1;
    ldl_json_open(&j, json, len, name);
    int status = read_tied_members(&j, 0, tied, err);
    return status ? status : ldl_json_close(&j, err);
}
