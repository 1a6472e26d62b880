/* index.c -- the reader of P.safetensors.index.json.
 *
 *     {"metadata": {"total_size": 123}, "weight_map": {"TENSOR": "FILE", ...}}
 *
 * The order of weight_map is the checkpoint's order and becomes `place`; the entries themselves are
 * sorted by name, so that the model can join them with what the shards hold in one walk. File
 * names come from the file and are opened later: only plain names pass, none leads out of the
 * folder. total_size is not believed and not needed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/index.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_MAX_BYTES = 256 << 20 };

static int read_entry(struct ldl_index *x, struct ldl_json *j, const struct ldl_buf *tensor,
                      struct ldl_buf *file, struct ldl_err *err)
{
    int status = ldl_json_string(j, file, err);
    if (status) {
        ldl_context(err, "tensor '%.200s'", tensor->text);
        return status;
    }
    if (strlen(tensor->text) != tensor->len)
        return ldl_json_fail(j, err, "a tensor name has a NUL character");
    if (strlen(file->text) != file->len || !ldl_name_is_plain(file->text))
        return ldl_json_fail(j, err,
                             "tensor '%.200s': '%.200s' is not a plain file name beside the index",
                             tensor->text, file->text);
    if (ldl_grow(&x->entry, &x->cap, x->n + 1, sizeof *x->entry))
        return ldl_oom(err);
    struct ldl_index_entry *e = &x->entry[x->n];
    *e = (struct ldl_index_entry){ .place = x->n };
    x->n++;
    e->tensor = ldl_strdup(tensor->text);
    e->file = ldl_strdup(file->text);
    return e->tensor && e->file ? 0 : ldl_oom(err);
}

static int read_map(struct ldl_index *x, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf tensor = { 0 }, file = { 0 };
    int status = ldl_json_enter(j, '{', err);
    if (status == 0) {
        while ((status = ldl_json_member(j, &tensor, err)) > 0)
            if ((status = read_entry(x, j, &tensor, &file, err)))
                goto out;
        status = -status;
    }
out:
    ldl_buf_free(&tensor);
    ldl_buf_free(&file);
    return status;
}

static int read_metadata(struct ldl_index *x, struct ldl_json *j, struct ldl_err *err)
{
    const char *from, *to;
    int is_object = ldl_json_peek(j) == '{';
    int status = ldl_json_skip(j, &from, &to, err);
    if (status || !is_object)
        return status;
    x->metadata = ldl_strndup(from, (size_t)(to - from));
    return x->metadata ? 0 : ldl_oom(err);
}

static int read_text(struct ldl_index *x, const char *path, const struct ldl_buf *text,
                     struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf key = { 0 };
    int maps = 0, metadatas = 0;
    ldl_json_open(&j, text->text, text->len, path);
    int status = ldl_json_enter(&j, '{', err);
    if (status)
        return status;
    while ((status = ldl_json_member(&j, &key, err)) > 0) {
        int is_map = strcmp(key.text, "weight_map") == 0;
        int is_metadata = strcmp(key.text, "metadata") == 0;
        if ((is_map && maps++) || (is_metadata && metadatas++))
            status = ldl_json_fail(&j, err, "%s is given twice", key.text);
        else if (is_map)
            status = read_map(x, &j, err);
        else if (is_metadata)
            status = read_metadata(x, &j, err);
        else
            status = ldl_json_skip(&j, NULL, NULL, err);
        if (status)
            goto out;
    }
    status = status ? -status : ldl_json_close(&j, err);
    if (status == 0 && !maps)
        status = ldl_fail(err, LDL_EINPUT, "%s: weight_map is missing", path);
out:
    ldl_buf_free(&key);
    return status;
}

static int by_file(const void *a, const void *b)
{
    const struct ldl_index_entry *x = a, *y = b;
    return strcmp(x->file, y->file);
}

static int by_tensor(const void *a, const void *b)
{
    const struct ldl_index_entry *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

/* Numbers the different files, then leaves the entries sorted by tensor. */
static int settle(struct ldl_index *x, const char *path, struct ldl_err *err)
{
    if (x->n == 0)
        return 0;
    if (!(x->shard = ldl_calloc(x->n, sizeof *x->shard)))
        return ldl_oom(err);
    qsort(x->entry, x->n, sizeof *x->entry, by_file);
    for (size_t i = 0; i < x->n; i++) {
        if (i == 0 || strcmp(x->entry[i - 1].file, x->entry[i].file) != 0)
            x->shard[x->nshards++] = x->entry[i].file;
        x->entry[i].shard = x->nshards - 1;
    }
    qsort(x->entry, x->n, sizeof *x->entry, by_tensor);
    for (size_t i = 1; i < x->n; i++)
        if (strcmp(x->entry[i - 1].tensor, x->entry[i].tensor) == 0)
            return ldl_fail(err, LDL_EINPUT, "%s: tensor '%.200s' is in weight_map twice", path,
                            x->entry[i].tensor);
    return 0;
}

int ldl_index_read(struct ldl_index *x, const char *path, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    *x = (struct ldl_index){ 0 };
    int status = ldl_read_file(path, INDEX_MAX_BYTES, &text, err);
    if (status == 0)
        status = read_text(x, path, &text, err);
    if (status == 0)
        status = settle(x, path, err);
    ldl_buf_free(&text);
    if (status)
        ldl_index_free(x);
    return status;
}

void ldl_index_free(struct ldl_index *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++) {
        ldl_free(x->entry[i].tensor);
        ldl_free(x->entry[i].file);
    }
    ldl_free(x->entry);
    ldl_free(x->shard);
    ldl_free(x->metadata);
    *x = (struct ldl_index){ 0 };
}
