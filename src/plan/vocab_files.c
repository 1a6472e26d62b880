/* vocab_files.c -- the tokenizer's files as they will be: those of one model, with added tokens taken
 * out and put in where the vocabulary is not that model's. BPE merges stay: what a union adds are added
 * tokens, which are matched as a whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/vocab.h"

#include <string.h>

enum { FILE_MAX_BYTES = 256 << 20 };

static int edit_file(struct ldl_join *j, enum ldl_tokenizer_file file, const char *name,
                     const struct ldl_token *add, size_t n, struct ldl_err *err)
{
    struct ldl_plan *p = j->p;
    struct ldl_buf text = { 0 }, out = { 0 };
    char *path = ldl_path_join(j->dir, name);
    int changed = 0, rc = path ? 0 : ldl_oom(err);
    if (rc == 0 && ldl_exists(path)) {
        rc = ldl_read_file(path, FILE_MAX_BYTES, &text, err);
        if (rc == 0)
            rc = ldl_tokenizer_edit(file, &text, path, add, n, j->first_limit, &out, &changed, err);
        if (rc == 0 && changed) {
            *ldl_plan_edit(p, name) = out;
            out = (struct ldl_buf){ 0 };
        }
    } else if (rc == 0 && file == LDL_TOKENIZER_JSON) {
        rc =
            ldl_fail(err, LDL_EINPUT,
                     "%s: it has no tokenizer.json, and adding tokens to another kind of tokenizer "
                     "is not in this build",
                     j->dir);
    }
    ldl_buf_free(&text);
    ldl_buf_free(&out);
    ldl_free(path);
    return rc;
}

static int edit_files(struct ldl_join *j, struct ldl_err *err)
{
    size_t n = (size_t)(j->ntokens - j->began);
    struct ldl_token *add = ldl_calloc(n + 1, sizeof *add);
    struct ldl_buf texts = { 0 };
    int rc = add ? 0 : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < n; i++) { /* with a NUL behind each text */
        const struct ldl_out_token *t = &j->token[j->began + i];
        add[i] = (struct ldl_token){ .len = t->len, .flags = t->flags, .at = texts.len };
        add[i].id = (uint32_t)(j->began + i);
        ldl_buf_put(&texts, t->text, t->len);
        ldl_buf_put(&texts, "", 1);
    }
    if (rc == 0 && texts.failed)
        rc = ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        add[i].text = texts.text + add[i].at;
    if (rc == 0)
        rc = edit_file(j, LDL_TOKENIZER_JSON, "tokenizer.json", add, n, err);
    if (rc == 0)
        rc = edit_file(j, LDL_TOKENIZER_CONFIG, "tokenizer_config.json", add, n, err);
    if (rc == 0)
        rc = edit_file(j, LDL_TOKENIZER_ADDED, "added_tokens.json", add, n, err);
    ldl_free(add);
    ldl_buf_free(&texts);
    return rc;
}

int ldl_join_files(struct ldl_join *j, struct ldl_err *err)
{
    int rc = j->began < j->ntokens || j->dropped ? edit_files(j, err) : 0;
    if (rc == 0 && j->p->recipe.tokenizer.kind == LDL_TOKENIZER_OF) {
        j->p->tokenizer_dir = j->dir;
        j->dir = NULL;
    }
    return rc;
}
