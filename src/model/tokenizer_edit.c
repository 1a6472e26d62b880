/* tokenizer_edit.c -- the lists in a tokenizer's files, changed by splicing: added tokens put in and taken
 * out, the vocabulary and the merges of BPE cut.
 *
 * As in config.c a list is pieces of text between its brackets and commas: those that stay come out
 * byte for byte, new ones are written behind them in the file's own spacing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum list { ADDED_JSON, ADDED_CONFIG, IDS, MERGES };
struct editor {
    enum list list;
    const struct ldl_vocab *cut;
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

static const enum list list_of[] = { [LDL_TOKENIZER_JSON] = ADDED_JSON,
                                     [LDL_TOKENIZER_CONFIG] = ADDED_CONFIG,
                                     [LDL_TOKENIZER_ADDED] = IDS };

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
    int config = e->list == ADDED_CONFIG;
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
        if (e->list == ADDED_CONFIG)
            ldl_buf_printf(e->out, "\"%u\": ", (unsigned)t->id);
        if (e->list == IDS) {
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
    struct editor e = { .list = list_of[file],
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

static int is_cut(const struct editor *e, const char *text, size_t len)
{
    const struct ldl_token *t = ldl_vocab_find(e->cut, text, len);
    return t && t->id >= e->limit;
}

/* "a b" or ["a", "b"]: both without the blank, *first: bytes of the first. */
static int read_pair(struct ldl_json *j, struct ldl_buf *both, size_t *first, struct ldl_err *err)
{
    struct ldl_buf part = { 0 };
    size_t parts = 0;
    int rc = 0, more = 0;
    if (ldl_json_peek(j) == '"') {
        rc = ldl_json_string(j, both, err);
        char *blank = rc == 0 && both->len ? memchr(both->text, ' ', both->len) : NULL;
        if (blank) {
            *first = (size_t)(blank - both->text);
            memmove(blank, blank + 1, both->len - *first); /* with the NUL */
            both->len--;
            parts = memchr(blank, ' ', both->len - *first) ? 3 : 2;
        }
    } else if ((rc = ldl_json_enter(j, '[', err)) == 0) {
        while (rc == 0 && (more = ldl_json_item(j, err)) > 0) {
            if ((rc = ldl_json_string(j, &part, err)) == 0)
                ldl_buf_put(both, part.len ? part.text : "", part.len);
            if (++parts == 1)
                *first = both->len;
        }
        rc = rc ? rc : -more;
    }
    ldl_buf_free(&part);
    if (rc == 0 && both->failed)
        return ldl_oom(err);
    return rc || parts == 2 ? rc : ldl_json_fail(j, err, "a merge that is no pair of tokens");
}

/* *id is the limit when one of the pair, or both together, is a token that goes. */
static int read_merge(const struct editor *e, struct ldl_json *j, uint64_t *id, struct ldl_err *err)
{
    struct ldl_buf both = { 0 };
    size_t first = 0;
    int rc = read_pair(j, &both, &first, err);
    const char *text = both.len ? both.text : "";
    if (rc == 0 && (is_cut(e, text, first) || is_cut(e, text + first, both.len - first) ||
                    is_cut(e, text, both.len)))
        *id = e->limit;
    ldl_buf_free(&both);
    return rc;
}

/* Reads one item, at its value; *id: its token's, as far as it has one. */
static int read_item(const struct editor *e, struct ldl_json *j, const struct ldl_buf *key,
                     uint64_t *id, const char **to, struct ldl_err *err)
{
    char *end;
    int c = ldl_json_peek(j), rc;
    *id = UINT64_MAX;
    if (e->list == ADDED_CONFIG && key->len && key->text[0] >= '0' && key->text[0] <= '9') {
        *id = strtoull(key->text, &end, 10);
        *id = *end ? UINT64_MAX : *id;
    }
    if (e->list == MERGES)
        rc = read_merge(e, j, id, err);
    else if (e->list == ADDED_JSON && c == '{')
        rc = id_inside(j, id, err);
    else if (e->list == IDS && c >= '0' && c <= '9')
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
    char bracket = e->list == ADDED_JSON || e->list == MERGES ? '[' : '{';
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

/* The model of tokenizer.json without the tokens that go. */
static int cut_model(const struct editor *e, struct ldl_json *j, const char **from,
                     struct ldl_err *err)
{
    struct editor sub = { .cut = e->cut, .limit = e->limit, .out = e->out };
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = ldl_json_peek(j), ids = strcmp(key.text, "vocab") == 0;
        int prefix = strcmp(key.text, "continuing_subword_prefix") == 0;
        sub.list = ids ? IDS : MERGES;
        sub.items = 0;
        if ((ids && c == '[') || (prefix && c == '"'))
            rc = ldl_json_fail(
                j, err, "taking tokens out of a vocabulary of this kind is not in this build");
        else if ((ids && c == '{') || (strcmp(key.text, "merges") == 0 && c == '['))
            rc = splice(&sub, j, from, err);
        else
            rc = ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

static int edit_members(struct editor *e, struct ldl_json *j, int *changed, const char **from,
                        struct ldl_err *err)
{
    int json = e->list == ADDED_JSON;
    const char *list = json ? "added_tokens" : "added_tokens_decoder";
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = ldl_json_peek(j);
        int ours = strcmp(key.text, list) == 0 && c == (json ? '[' : '{');
        int model = json && e->cut && strcmp(key.text, "model") == 0 && c == '{';
        e->items = 0;
        *changed |= ours;
        rc = ours    ? splice(e, j, from, err)
             : model ? cut_model(e, j, from, err)
                     : ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

int ldl_tokenizer_edit(enum ldl_tokenizer_file file, const struct ldl_buf *text, const char *name,
                       const struct ldl_token *add, size_t n, uint64_t limit,
                       const struct ldl_vocab *cut, struct ldl_buf *out, int *changed,
                       struct ldl_err *err)
{
    struct editor e = {
        .list = list_of[file], .cut = cut, .add = add, .n = n, .limit = limit, .out = out
    };
    struct ldl_json j;
    const char *from = text->text;
    *changed = e.list == IDS;
    ldl_buf_reset(out);
    ldl_json_open(&j, text->text, text->len, name);
    int rc = e.list == IDS ? splice(&e, &j, &from, err) : edit_members(&e, &j, changed, &from, err);
    if (rc == 0)
        rc = ldl_json_close(&j, err);
    if (rc == 0 && !*changed && file == LDL_TOKENIZER_JSON)
        rc = ldl_json_fail(&j, err, "a tokenizer without added_tokens");
    ldl_buf_put(out, from, (size_t)(text->text + text->len - from));
    return rc ? rc : out->failed ? ldl_oom(err) : 0;
}
