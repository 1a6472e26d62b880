/* config.c -- config.json: its dtype word read, and replaced by splicing.
 *
 * A model's config.json is the user's file: key order, spacing, numbers too large for a double and
 * keys nobody here knows must come out as they went in. So nothing is parsed into a tree and
 * written again; only the bytes of two values are exchanged. */
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

int ldl_config_set_dtype(const char *json, size_t len, const char *name, const char *word,
                         struct ldl_buf *out, struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf key = { 0 };
    const char *copied = json, *from, *to;
    ldl_buf_reset(out);
    ldl_json_open(&j, json, len, name);
    int status = ldl_json_enter(&j, '{', err);
    if (status)
        goto out;
    while ((status = ldl_json_member(&j, &key, err)) > 0) {
        if ((status = ldl_json_skip(&j, &from, &to, err)))
            goto out;
        if (strcmp(key.text, "dtype") != 0 && strcmp(key.text, "torch_dtype") != 0)
            continue;
        ldl_buf_put(out, copied, (size_t)(from - copied));
        ldl_buf_json(out, word);
        copied = to;
    }
    status = status ? -status : ldl_json_close(&j, err);
    ldl_buf_put(out, copied, (size_t)(json + len - copied));
    if (status == 0 && out->failed)
        status = ldl_oom(err);
out:
    ldl_buf_free(&key);
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
