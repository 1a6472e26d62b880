/* tokenizer_edit.c -- the lists of added tokens in a tokenizer's files, changed by splicing.
 *
 * As in config.c a list is pieces of text between its brackets and commas: those that stay come out
 * byte for byte, new ones are written behind them in the file's own spacing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

struct editor {
    enum ldl_tokenizer_file file;
    const struct ldl_token *add;
    size_t n, items;
    uint64_t limit;
    const char *indent, *indent_end; /* blanks before the first item */
    struct ldl_buf *out;
};

static const char *pass_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* ---- new items ---- */

static void put_indent(struct editor *e, int deeper)
{
    ldl_buf_put(e->out, e->indent, (size_t)(e->indent_end - e->indent));
    if (deeper && e->indent_end > e->indent)
        ldl_buf_puts(e->out, "  ");
}

static void put_field(struct editor *e, const char *key, int first)
{
    int lines = e->indent_end > e->indent;
    ldl_buf_puts(e->out, first ? "" : lines ? "," : ", ");
    put_indent(e, 1);
    ldl_buf_json(e->out, key);
    ldl_buf_puts(e->out, ": ");
}

static void put_flag(struct editor *e, const char *key, const struct ldl_token *t, unsigned flag)
{
    put_field(e, key, 0);
    ldl_buf_puts(e->out, t->flags & flag ? "true" : "false");
}

/* The fields in the order in which each of the two files has them. */
static void put_object(struct editor *e, const struct ldl_token *t)
{
    int config = e->file == LDL_TOKENIZER_CONFIG;
    ldl_buf_puts(e->out, "{");
    if (!config) {
        put_field(e, "id", 1);
        ldl_buf_printf(e->out, "%u", (unsigned)t->id);
    }
    put_field(e, "content", config);
    ldl_buf_json(e->out, t->text);
    if (!config)
        put_flag(e, "single_word", t, LDL_TOKEN_SINGLE_WORD);
    put_flag(e, "lstrip", t, LDL_TOKEN_LSTRIP);
    if (config)
        put_flag(e, "normalized", t, LDL_TOKEN_NORMALIZED);
    put_flag(e, "rstrip", t, LDL_TOKEN_RSTRIP);
    put_flag(e, config ? "single_word" : "normalized", t,
             config ? LDL_TOKEN_SINGLE_WORD : LDL_TOKEN_NORMALIZED);
    put_flag(e, "special", t, LDL_TOKEN_SPECIAL);
    put_indent(e, 0);
    ldl_buf_puts(e->out, "}");
}

static void put_new(struct editor *e)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct ldl_token *t = &e->add[i];
        if (e->items++)
            ldl_buf_puts(e->out, e->indent_end > e->indent ? "," : ", ");
        put_indent(e, 0);
        if (e->file == LDL_TOKENIZER_CONFIG)
            ldl_buf_printf(e->out, "\"%u\": ", (unsigned)t->id);
        if (e->file == LDL_TOKENIZER_ADDED) {
            ldl_buf_json(e->out, t->text);
            ldl_buf_printf(e->out, ": %u", (unsigned)t->id);
        } else {
            put_object(e, t);
        }
    }
}

void ldl_tokenizer_list(enum ldl_tokenizer_file file, const struct ldl_token *token, size_t n,
                        struct ldl_buf *out)
{
    static const char blanks[] = "\n    "; /* in a file of two blanks a level */
    int inside = file == LDL_TOKENIZER_CONFIG;
    struct editor e = { .file = file,
                        .add = token,
                        .n = n,
                        .indent = blanks,
                        .indent_end = blanks + (inside ? 5 : 3),
                        .out = out };
    ldl_buf_puts(out, "{");
    put_new(&e);
    ldl_buf_puts(out, n ? inside ? "\n  }" : "\n}" : "}");
}

/* ---- items that are there ---- */

/* {"id": n, ...}; UINT64_MAX when there is none */
static int id_inside(struct ldl_json *j, uint64_t *id, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0)
        rc = strcmp(key.text, "id") == 0 ? ldl_json_u64(j, id, err)
                                         : ldl_json_skip(j, NULL, NULL, err);
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

/* Reads one item, at its value; *id: its token's, as far as it has one. */
static int read_item(const struct editor *e, struct ldl_json *j, const struct ldl_buf *key,
                     uint64_t *id, const char **to, struct ldl_err *err)
{
    char *end;
    int c = ldl_json_peek(j), rc;
    *id = UINT64_MAX;
    if (e->file == LDL_TOKENIZER_CONFIG && key->len && key->text[0] >= '0' && key->text[0] <= '9') {
        *id = strtoull(key->text, &end, 10);
        *id = *end ? UINT64_MAX : *id;
    }
    if (e->file == LDL_TOKENIZER_JSON && c == '{')
        rc = id_inside(j, id, err);
    else if (e->file == LDL_TOKENIZER_ADDED && c >= '0' && c <= '9')
        rc = ldl_json_u64(j, id, err);
    else
        rc = ldl_json_skip(j, NULL, NULL, err);
    *to = j->at;
    return rc;
}

/* One list, from behind its opening bracket to before the closing one; *from is where the text begins
 * that is not written yet. */
static int splice(struct editor *e, struct ldl_json *j, const char **from, struct ldl_err *err)
{
    char bracket = e->file == LDL_TOKENIZER_JSON ? '[' : '{';
    struct ldl_buf key = { 0 };
    uint64_t id;
    int more = 0, rc = ldl_json_enter(j, bracket, err);
    const char *piece = j->at, *last = j->at, *to = j->at;
    if (rc)
        return rc;
    ldl_buf_put(e->out, *from, (size_t)(piece - *from));
    e->indent = piece;
    e->indent_end = piece;
    for (int first = 1; rc == 0; first = 0) {
        more = bracket == '[' ? ldl_json_item(j, err) : ldl_json_member(j, &key, err);
        if (more <= 0)
            break;
        if (first)
            e->indent_end = pass_blanks(piece, j->end);
        if ((rc = read_item(e, j, &key, &id, &to, err)))
            break;
        if (id < e->limit || id == UINT64_MAX) {
            if (e->items++)
                ldl_buf_puts(e->out, ",");
            ldl_buf_put(e->out, piece, (size_t)(to - piece));
        }
        last = to;
        piece = pass_blanks(to, j->end);
        piece += piece < j->end; /* when that is no comma, the reader says so now */
    }
    put_new(e);
    *from = last;
    ldl_buf_free(&key);
    return rc ? rc : more < 0 ? -more : 0;
}

int ldl_tokenizer_edit(enum ldl_tokenizer_file file, const struct ldl_buf *text, const char *name,
                       const struct ldl_token *add, size_t n, uint64_t limit, struct ldl_buf *out,
                       int *changed, struct ldl_err *err)
{
    const char *list = file == LDL_TOKENIZER_JSON ? "added_tokens" : "added_tokens_decoder";
    struct editor e = { .file = file, .add = add, .n = n, .limit = limit, .out = out };
    struct ldl_buf key = { 0 };
    struct ldl_json j;
    const char *from = text->text;
    int rc = 0;
    *changed = file == LDL_TOKENIZER_ADDED;
    ldl_buf_reset(out);
    ldl_json_open(&j, text->text, text->len, name);
    if (file == LDL_TOKENIZER_ADDED)
        rc = splice(&e, &j, &from, err);
    else
        rc = ldl_json_enter(&j, '{', err);
    while (file != LDL_TOKENIZER_ADDED && rc == 0 && (rc = ldl_json_member(&j, &key, err)) > 0) {
        int c = ldl_json_peek(&j);
        int ours = strcmp(key.text, list) == 0 && c == (file == LDL_TOKENIZER_JSON ? '[' : '{');
        e.items = 0;
        *changed |= ours;
        rc = ours ? splice(&e, &j, &from, err) : ldl_json_skip(&j, NULL, NULL, err);
    }
    rc = rc < 0 ? -rc : rc;
    if (rc == 0)
        rc = ldl_json_close(&j, err);
    if (rc == 0 && !*changed && file == LDL_TOKENIZER_JSON)
        rc = ldl_json_fail(&j, err, "a tokenizer without added_tokens");
    ldl_buf_put(out, from, (size_t)(text->text + text->len - from));
    ldl_buf_free(&key);
    return rc ? rc : out->failed ? ldl_oom(err) : 0;
}
