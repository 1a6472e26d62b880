/* vocab_files.c -- the tokenizer's files as they will be: those of one model, with added tokens taken
 * out and put in where the vocabulary is not that model's. BPE merges stay: what a union adds are added
 * tokens, which are matched as a whole.
 *
 * Where there is no tokenizer.json, the file of the vocabulary proper (tokenizer.model ...) stays as it is, and
 * tokenizer_config.json and added_tokens.json get the lists that they lack: newer slow tokenizers
 * read the first and then not the second, older ones only the second. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/vocab.h"

#include <string.h>

static void put_back(struct ldl_plan *p, const char *name, struct ldl_buf *out)
{
    struct ldl_buf *text = ldl_plan_edit(p, name);
    ldl_buf_free(text);
    *text = *out;
    *out = (struct ldl_buf){ 0 };
}

/* The tokens of a change: those that are added, and before them what a list must have that is not there
 * yet. */
struct tokens {
    struct ldl_token *token;
    const struct ldl_token *add;
    size_t n, nadd;
    struct ldl_buf texts; /* with a NUL behind each */
};

/* A list that is missing, of all added tokens: in tokenizer_config.json, or as a file. */
static int make_list(enum ldl_tokenizer_file file, const struct ldl_buf *text, const char *path,
                     const struct tokens *t, struct ldl_buf *out, struct ldl_err *err)
{
    struct ldl_buf list = { 0 };
    struct ldl_edit edit = { "added_tokens_decoder", "", 1 };
    int rc;
    ldl_tokenizer_list(file, t->token, t->n, &list);
    edit.value = list.text;
    if (list.failed)
        rc = ldl_oom(err);
    else if (file == LDL_TOKENIZER_CONFIG)
        rc = ldl_config_edit(text->len ? text->text : "{}", text->len ? text->len : 2, path, &edit,
                             1, out, err);
    else {
        ldl_buf_put(out, list.text, list.len);
        ldl_buf_puts(out, "\n");
        rc = out->failed ? ldl_oom(err) : 0;
    }
    ldl_buf_free(&list);
    return rc;
}

static int edit_file(struct ldl_join *j, enum ldl_tokenizer_file file, const char *name,
                     const struct tokens *t, struct ldl_err *err)
{
    struct ldl_buf text = { 0 }, out = { 0 };
    char *path;
    int there, changed = 0;
    int rc = ldl_files_read(&j->files, name, LDL_VOCAB_FILE_MAX, &text, &path, &there, err);
    if (rc == 0 && there)
        rc = ldl_tokenizer_edit(file, &text, path, t->add, t->nadd, j->first_limit,
                                j->cut ? j->first : NULL, &out, &changed, err);
    if (rc == 0 && !changed && j->first->slow && t->n) {
        ldl_buf_reset(&out);
        rc = make_list(file, &text, path, t, &out, err);
        changed = 1;
    }
    if (rc == 0 && changed)
        put_back(j->p, name, &out);
    ldl_buf_free(&text);
    ldl_buf_free(&out);
    ldl_free(path);
    return rc;
}

/* ---- which tokens ---- */

static int put_token(struct tokens *t, const struct ldl_token *from, const char *text,
                     struct ldl_err *err)
{
    struct ldl_token *to = &t->token[t->n++];
    if (memchr(text, 0, from->len))
        return ldl_fail(err, LDL_EINPUT,
                        "token %u has a NUL in it; to list it again is not in this build",
                        (unsigned)from->id);
    *to = *from;
    to->at = t->texts.len;
    ldl_buf_put(&t->texts, text, from->len);
    ldl_buf_put(&t->texts, "", 1);
    return 0;
}

/* Tokens that are added now, by number; before them, for lists that are made anew, those that were. */
static int collect(const struct ldl_join *j, struct tokens *t, struct ldl_err *err)
{
    const struct ldl_vocab *v = j->first;
    size_t new = 0;
    int rc =
        (t->token = ldl_calloc(v->n + (size_t)j->ntokens + 1, sizeof *t->token)) ? 0 : ldl_oom(err);
    for (size_t i = 0; rc == 0 && v->slow && i < v->n; i++)
        if (v->by_id[i]->added && !v->by_id[i]->ordinary && v->by_id[i]->id < j->first_limit)
            rc = put_token(t, v->by_id[i], v->by_id[i]->text, err);
    new = t->n;
    for (uint64_t k = 0; rc == 0 && k < j->ntokens; k++) {
        const struct ldl_out_token *o = &j->token[k];
        const struct ldl_token like = { .id = (uint32_t)k, .len = o->len, .flags = o->flags };
        if (o->made_added || k >= j->began)
            rc = put_token(t, &like, o->text, err);
    }
    if (rc == 0 && t->texts.failed)
        rc = ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < t->n; i++)
        t->token[i].text = t->texts.text + t->token[i].at;
    t->add = t->token + new;
    t->nadd = t->n - new;
    return rc;
}

static int edit_files(struct ldl_join *j, struct ldl_err *err)
{
    struct tokens t = { 0 };
    int rc = collect(j, &t, err);
    if (rc == 0 && !j->first->slow)
        rc = edit_file(j, LDL_TOKENIZER_JSON, "tokenizer.json", &t, err);
    if (rc == 0)
        rc = edit_file(j, LDL_TOKENIZER_CONFIG, "tokenizer_config.json", &t, err);
    if (rc == 0)
        rc = edit_file(j, LDL_TOKENIZER_ADDED, "added_tokens.json", &t, err);
    ldl_free(t.token);
    ldl_buf_free(&t.texts);
    return rc;
}

int ldl_join_files(struct ldl_join *j, struct ldl_err *err)
{
    int rc = j->began < j->ntokens || j->dropped || j->made_added ? edit_files(j, err) : 0;
    if (rc || j->p->recipe.tokenizer.kind != LDL_TOKENIZER_OF)
        return rc;
    j->p->tokenizer_of = j->of;
    return (j->p->tokenizer_dir = ldl_strdup(j->files.dir)) ? 0 : ldl_oom(err);
}
