/* tokenizer.c -- reads vocabularies; see tokenizer.h.
 *
 * Texts go into one buffer, tokens into one array, both bounded by the file and LDL_VOCAB_MOST. A text
 * that is there twice has the id of the vocabulary proper (of that the last one, as objects have it),
 * and the flags of the added token. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"
#include "model/stacks.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 64 << 20 };

const char *const ldl_tokenizer_files[] = { "tokenizer.json",
                                            "tokenizer_config.json",
                                            "special_tokens_map.json",
                                            "added_tokens.json",
                                            "tokenizer.model",
                                            "vocab.json",
                                            "merges.txt",
                                            "vocab.txt",
                                            "spiece.model",
                                            "sentencepiece.bpe.model",
                                            "spm.model",
                                            "chat_template.jinja",
                                            "chat_template.json",
                                            NULL };

void ldl_vocab_free(struct ldl_vocab *v)
{
    if (!v)
        return;
    ldl_free(v->token);
    ldl_free(v->by_id);
    ldl_buf_free(&v->text);
    *v = (struct ldl_vocab){ 0 };
}

/* ---- reading ---- */

int ldl_vocab_put(struct ldl_vocab *v, const char *text, size_t len, const struct ldl_token *like,
                  struct ldl_err *err)
{
    if (ldl_grow(&v->token, &v->cap, v->n + 1, sizeof *v->token))
        return ldl_oom(err);
    v->token[v->n] = *like;
    v->token[v->n].len = len;
    v->token[v->n++].at = v->text.len;
    ldl_buf_put(&v->text, len ? text : "", len);
    return v->text.failed ? ldl_oom(err) : 0;
}

static int put_token(struct ldl_vocab *v, struct ldl_json *j, const struct ldl_buf *text,
                     uint64_t id, int added, unsigned flags, struct ldl_err *err)
{
    if (id >= LDL_VOCAB_MOST || v->n >= 2 * (size_t)LDL_VOCAB_MOST)
        return ldl_json_fail(j, err, "a token with number %llu; at most %d tokens are read",
                             (unsigned long long)id, (int)LDL_VOCAB_MOST);
    const struct ldl_token like = {
        .id = (uint32_t)id, .flags = (unsigned char)flags, .added = added != 0, .ordinary = !added
    };
    return ldl_vocab_put(v, text->text, text->len, &like, err);
}

int ldl_vocab_read_ids(struct ldl_vocab *v, struct ldl_json *j, int added, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    uint64_t id;
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        rc = ldl_json_u64(j, &id, err);
        if (rc == 0)
            rc = put_token(v, j, &key, id, added, added ? LDL_TOKEN_NORMALIZED : 0, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

/* [["text", score], ...]: the number is the place. */
static int read_pairs(struct ldl_vocab *v, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    uint64_t id = 0;
    int rc = ldl_json_enter(j, '[', err), more = 0;
    while (rc == 0 && (more = ldl_json_item(j, err)) > 0) {
        rc = ldl_json_enter(j, '[', err);
        if (rc == 0 && (more = ldl_json_item(j, err)) <= 0)
            rc = more ? -more : ldl_json_fail(j, err, "expected a token and its score");
        if (rc == 0)
            rc = ldl_json_string(j, &text, err);
        if (rc == 0)
            rc = put_token(v, j, &text, id++, 0, 0, err);
        while (rc == 0 && (more = ldl_json_item(j, err)) > 0)
            rc = ldl_json_skip(j, NULL, NULL, err);
        if (rc == 0 && more < 0)
            rc = -more;
    }
    ldl_buf_free(&text);
    return rc ? rc : more < 0 ? -more : 0;
}

static int read_model(struct ldl_vocab *v, struct ldl_json *j, int *found, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = strcmp(key.text, "vocab") == 0 ? ldl_json_peek(j) : 0;
        *found |= c == '{' || c == '[';
        rc = c == '{'   ? ldl_vocab_read_ids(v, j, 0, err)
             : c == '[' ? read_pairs(v, j, err)
                        : ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

static unsigned flag_of(const char *key)
{
    return strcmp(key, "single_word") == 0  ? LDL_TOKEN_SINGLE_WORD
           : strcmp(key, "lstrip") == 0     ? LDL_TOKEN_LSTRIP
           : strcmp(key, "rstrip") == 0     ? LDL_TOKEN_RSTRIP
           : strcmp(key, "normalized") == 0 ? LDL_TOKEN_NORMALIZED
           : strcmp(key, "special") == 0    ? LDL_TOKEN_SPECIAL
                                            : 0;
}

int ldl_vocab_read_added(struct ldl_vocab *v, struct ldl_json *j, uint64_t id, struct ldl_err *err)
{
    struct ldl_buf key = { 0 }, text = { 0 };
    unsigned flags = 0;
    int have = id != UINT64_MAX, given = have, on, rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = ldl_json_peek(j);
        if (strcmp(key.text, "id") == 0 && !given) {
            rc = ldl_json_u64(j, &id, err);
            have |= 1;
        } else if (strcmp(key.text, "content") == 0) {
            rc = ldl_json_string(j, &text, err);
            have |= 2;
        } else if (flag_of(key.text) && (c == 't' || c == 'f')) {
            rc = ldl_json_bool(j, &on, err);
            flags = rc ? 0 : on ? flags | flag_of(key.text) : flags & ~flag_of(key.text);
        } else {
            rc = ldl_json_skip(j, NULL, NULL, err);
        }
    }
    rc = rc < 0 ? -rc : rc;
    if (rc == 0 && have != 3)
        rc = ldl_json_fail(j, err, "an added token without id or content");
    if (rc == 0)
        rc = put_token(v, j, &text, id, 1, flags, err);
    ldl_buf_free(&key);
    ldl_buf_free(&text);
    return rc;
}

static int read_added(struct ldl_vocab *v, struct ldl_json *j, struct ldl_err *err)
{
    int rc = ldl_json_enter(j, '[', err);
    while (rc == 0 && (rc = ldl_json_item(j, err)) > 0)
        rc = ldl_vocab_read_added(v, j, UINT64_MAX, err);
    return rc < 0 ? -rc : rc;
}

static int read_tokenizer(void *to, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_vocab *v = to;
    struct ldl_buf key = { 0 };
    int found = 0, rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = ldl_json_peek(j);
        if (strcmp(key.text, "model") == 0 && c == '{')
            rc = read_model(v, j, &found, err);
        else if (strcmp(key.text, "added_tokens") == 0 && c == '[')
            rc = read_added(v, j, err);
        else
            rc = ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    rc = rc < 0 ? -rc : rc;
    return rc || found ? rc : ldl_json_fail(j, err, "a tokenizer without model.vocab");
}

/* ---- putting in order ---- */

static int by_text(const void *a, const void *b)
{
    const struct ldl_token *x = a, *y = b;
    size_t n = LDL_MIN(x->len, y->len);
    int order = n ? memcmp(x->text, y->text, n) : 0;
    if (order == 0 && x->len != y->len)
        order = x->len < y->len ? -1 : 1;
    return order;
}

static int by_text_and_place(const void *a, const void *b)
{
    const struct ldl_token *x = a, *y = b;
    int order = by_text(a, b);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

static int by_id(const void *a, const void *b)
{
    const struct ldl_token *x = *(const struct ldl_token *const *)a;
    const struct ldl_token *y = *(const struct ldl_token *const *)b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : by_text(x, y);
}

/* The same text again. In slow tokenizers an added token's number goes before all others. */
static void join(struct ldl_token *to, const struct ldl_token *t, int slow)
{
    if (t->ordinary || !to->ordinary || slow)
        to->id = t->id;
    if (t->added)
        to->flags = t->flags;
    to->added |= t->added;
    to->ordinary |= t->ordinary;
}

static int finish(struct ldl_vocab *v, struct ldl_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++)
        v->token[i].text = v->text.len ? v->text.text + v->token[i].at : "";
    if (v->n)
        qsort(v->token, v->n, sizeof *v->token, by_text_and_place);
    for (size_t i = 0; i < v->n; i++) {
        if (n && by_text(&v->token[n - 1], &v->token[i]) == 0)
            join(&v->token[n - 1], &v->token[i], v->slow);
        else
            v->token[n++] = v->token[i];
    }
    v->n = n;
    if (!(v->by_id = ldl_calloc(LDL_MAX(n, (size_t)1), sizeof *v->by_id)))
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++)
        v->by_id[i] = &v->token[i];
    if (n)
        qsort(v->by_id, n, sizeof *v->by_id, by_id);
    v->size = n ? (uint64_t)v->by_id[n - 1]->id + 1 : 0;
    return 0;
}

const struct ldl_token *ldl_vocab_find(const struct ldl_vocab *v, const char *text, size_t len)
{
    const struct ldl_token key = { .text = text, .len = len };
    return v->n ? bsearch(&key, v->token, v->n, sizeof *v->token, by_text) : NULL;
}

/* ---- all of it ---- */

int ldl_vocab_read(struct ldl_vocab *v, const struct ldl_files *files, enum ldl_vocab_kind *kind,
                   struct ldl_err *err)
{
    int there;
    *v = (struct ldl_vocab){ 0 };
    *kind = LDL_VOCAB_READ;
    int rc =
        ldl_files_json(files, "tokenizer.json", LDL_VOCAB_FILE_MAX, read_tokenizer, v, &there, err);
    if (rc == 0 && !there) {
        v->slow = 1;
        rc = ldl_vocab_read_slow(v, files, kind, err);
    }
    if (rc == 0 && *kind == LDL_VOCAB_READ)
        rc = finish(v, err);
    if (rc == 0 && *kind == LDL_VOCAB_READ && v->slow)
        rc = ldl_vocab_mark_special(v, files, err);
    if (rc || *kind != LDL_VOCAB_READ)
        ldl_vocab_free(v);
    return rc;
}

/* ---- config.json ---- */

static int read_size(struct ldl_json *j, uint64_t *size, uint64_t *inner, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int c = ldl_json_peek(j);
        if (strcmp(key.text, "vocab_size") == 0 && c >= '0' && c <= '9')
            rc = ldl_json_u64(j, size, err);
        else if (inner && c == '{' && ldl_has_suffix(key.text, "_config") &&
                 ldl_tower_says_text(key.text))
            rc = read_size(j, inner, NULL, err);
        else
            rc = ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

struct sizes {
    uint64_t top, inner;
};

static int read_sizes(void *to, struct ldl_json *j, struct ldl_err *err)
{
    struct sizes *s = to;
    return read_size(j, &s->top, &s->inner, err);
}

int ldl_vocab_config_size(const struct ldl_files *files, uint64_t *size, struct ldl_err *err)
{
    struct sizes s = { UINT64_MAX, UINT64_MAX };
    int there,
        rc = ldl_files_json(files, "config.json", CONFIG_MAX_BYTES, read_sizes, &s, &there, err);
    *size = s.top == UINT64_MAX ? s.inner : s.top;
    return rc;
}
