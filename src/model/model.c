/* model.c -- see model.h. Opens a checkpoint and proves that it is whole.
 *
 * A sharded model is a join of two lists: what the index says and what the shards hold. Both are
 * sorted by name and walked once (100,000 tensors in 700 shards open in a fraction of a second).
 * After a successful open:
 *   - every tensor of every shard is a view exactly once, and every listed tensor is there;
 *   - view[] is in the checkpoint's own order, by_name[] is the same views sorted by name;
 *   - a U16 tensor that is Paddle's bf16 says so (LDL_U16_BF16), in the view and in the file.
 * Shards keep their descriptors open until the model is closed, so that a file that is replaced
 * meanwhile does not change what is read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "model/adapter.h"
#include "model/find.h"
#include "model/fp8.h"
#include "model/index.h"
#include "model/tied.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { CONFIG_MAX_BYTES = 64 << 20, MANY_SHARDS = 4 };

/* ---- views ---- */

static int view_by_name(const void *a, const void *b)
{
    const struct ldl_view *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int alloc_views(struct ldl_model *m, size_t n, struct ldl_err *err)
{
    m->view = ldl_calloc(n, sizeof *m->view);
    m->by_name = ldl_calloc(n, sizeof *m->by_name);
    if (!m->view || !m->by_name)
        return ldl_oom(err);
    m->nviews = n;
    return 0;
}

static int pointer_by_name(const void *a, const void *b)
{
    const struct ldl_view *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void sort_names(struct ldl_model *m)
{
    for (size_t i = 0; i < m->nviews; i++)
        m->by_name[i] = &m->view[i];
    if (m->nviews)
        qsort(m->by_name, m->nviews, sizeof *m->by_name, pointer_by_name);
}

/* In the file's order where the container keeps one, else by name. */
static int views_of_file(struct ldl_model *m, struct ldl_err *err)
{
    const struct ldl_file *f = &m->file[0];
    int status = alloc_views(m, f->ntensors, err);
    if (status || f->ntensors == 0)
        return status;
    for (size_t i = 0; i < f->ntensors; i++)
        ldl_view_stored(&m->view[i], f, &f->tensor[i]);
    if (!f->format->ordered)
        qsort(m->view, m->nviews, sizeof *m->view, view_by_name);
    sort_names(m);
    return 0;
}

/* What is left of shards' tensors when the index is through. */
struct unlisted {
    const struct ldl_view *first;
    size_t n;
};

static int fail_unlisted(const struct unlisted *u, const char *index_path, struct ldl_err *err)
{
    char more[64] = "";
    if (u->n > 1)
        snprintf(more, sizeof more, " and %zu more", u->n - 1);
    return ldl_fail(err, LDL_EINPUT, "%s: weight_map does not list tensor '%.200s' of %s%s",
                    index_path, u->first->name, ldl_path_base(u->first->file->path), more);
}

/* Joins the index with `held`, the views of all shards' tensors sorted by name. */
static int join(struct ldl_model *m, const struct ldl_index *x, const char *index_path,
                const struct ldl_view *held, size_t nheld, struct ldl_err *err)
{
    struct unlisted left = { 0 };
    size_t i = 0, h = 0;
    while (i < x->n || h < nheld) {
        const struct ldl_index_entry *e = i < x->n ? &x->entry[i] : NULL;
        int order = !e ? 1 : h == nheld ? -1 : strcmp(e->tensor, held[h].name);
        if (order > 0) {
            if (left.n++ == 0)
                left.first = &held[h];
            h++;
            continue;
        }
        if (order < 0 || held[h].file != &m->file[e->shard])
            return ldl_fail(err, LDL_EINPUT, "%s: tensor '%.200s' is not in %s%s%s", index_path,
                            e->tensor, e->file, order < 0 ? "" : " but in ",
                            order < 0 ? "" : ldl_path_base(held[h].file->path));
        m->view[e->place] = held[h++];
        m->by_name[i++] = &m->view[e->place];
    }
    return left.n ? fail_unlisted(&left, index_path, err) : 0;
}

static int views_of_shards(struct ldl_model *m, const struct ldl_index *x, const char *index_path,
                           struct ldl_err *err)
{
    size_t n = 0, at = 0;
    int status = alloc_views(m, x->n, err);
    if (status)
        return status;
    for (size_t i = 0; i < m->nfiles; i++)
        n += m->file[i].ntensors;
    struct ldl_view *held = ldl_calloc(n, sizeof *held);
    if (!held)
        return ldl_oom(err);
    for (size_t i = 0; i < m->nfiles; i++)
        for (size_t t = 0; t < m->file[i].ntensors; t++)
            ldl_view_stored(&held[at++], &m->file[i], &m->file[i].tensor[t]);
    if (n)
        qsort(held, n, sizeof *held, view_by_name);
    for (size_t i = 1; i < n && status == 0; i++)
        if (strcmp(held[i - 1].name, held[i].name) == 0)
            status = ldl_fail(err, LDL_EINPUT, "%s: tensor '%.200s' is in two shards, %s and %s",
                              index_path, held[i].name, ldl_path_base(held[i - 1].file->path),
                              ldl_path_base(held[i].file->path));
    if (status == 0)
        status = join(m, x, index_path, held, n, err);
    ldl_free(held);
    return status;
}

/* ---- config.json and what follows from it ---- */

static int read_config(struct ldl_model *m, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    char *path = ldl_path_join(m->dir, "config.json");
    int status = 0;
    if (!path)
        status = ldl_oom(err);
    else if (ldl_exists(path)) {
        status = ldl_read_file(path, CONFIG_MAX_BYTES, &text, err);
        m->has_config = 1;
        if (status == 0)
            status = ldl_config_get_dtype(text.text, text.len, path, &m->dtype_word, err);
        if (status == 0)
            status = ldl_config_get_tied(text.text, text.len, path, &m->tied, err);
    }
    ldl_buf_free(&text);
    ldl_free(path);
    return status;
}

/* Paddle keeps bf16 in numpy's uint16. A real uint16 tensor is taken for bf16 only if the file was
 * written from numpy and the config does not name another type. */
static void retag_bf16(struct ldl_model *m)
{
    if (m->dtype_word && ldl_dtype_from_word(m->dtype_word) != LDL_BF16)
        return;
    for (size_t i = 0; i < m->nfiles; i++)
        for (size_t t = 0; t < m->file[i].ntensors && m->file[i].numpy_tagged; t++)
            if (m->file[i].tensor[t].dtype == LDL_U16)
                m->file[i].tensor[t].dtype = LDL_U16_BF16;
}

/* ---- files ---- */

/* Merging holds several models open; the usual soft limit of 1024 descriptors is a matter of old
 * select() calls, and the hard limit is ours to use. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* when refused, opening a file says what is wrong */
    }
}

static int open_shards(struct ldl_model *m, const struct ldl_index *x, struct ldl_err *err)
{
    int status = 0;
    if (!(m->file = ldl_calloc(x->nshards, sizeof *m->file)))
        return ldl_oom(err);
    m->nfiles = x->nshards;
    if (m->nfiles >= MANY_SHARDS)
        raise_file_limit();
    for (size_t i = 0; i < m->nfiles && status == 0; i++) {
        char *path = ldl_path_join(m->dir, x->shard[i]);
        status = path ? ldl_file_open(&m->file[i], path, err) : ldl_oom(err);
        ldl_free(path);
    }
    return status;
}

static int open_indexed(struct ldl_model *m, const char *index_path, struct ldl_err *err)
{
    struct ldl_index x;
    int status = ldl_index_read(&x, index_path, err);
    if (status)
        return status;
    m->sharded = 1;
    if ((status = open_shards(m, &x, err)) == 0 && (status = read_config(m, err)) == 0) {
        retag_bf16(m);
        status = views_of_shards(m, &x, index_path, err);
    }
    m->index_metadata = x.metadata;
    x.metadata = NULL;
    ldl_index_free(&x);
    return status;
}

static int open_single(struct ldl_model *m, const char *path, struct ldl_err *err)
{
    int status;
    if (!(m->file = ldl_calloc(1, sizeof *m->file)))
        return ldl_oom(err);
    m->nfiles = 1;
    if ((status = ldl_file_open(&m->file[0], path, err)) || (status = read_config(m, err)))
        return status;
    retag_bf16(m);
    return views_of_file(m, err);
}

/* ---- open and close ---- */

static int open_dir(struct ldl_model *m, const char *prefix, struct ldl_err *err)
{
    struct ldl_found found;
    int status = ldl_find_weights(&found, m->dir, m->asked, prefix, err);
    if (status)
        return status;
    m->prefix = found.prefix;
    found.prefix = NULL;
    status = found.is_index ? open_indexed(m, found.path, err) : open_single(m, found.path, err);
    ldl_found_free(&found);
    return status;
}

static int open_file(struct ldl_model *m, const char *path, const char *prefix, struct ldl_err *err)
{
    const char *base = ldl_path_base(path);
    m->lone = 1;
    if (!prefix)
        prefix = ldl_find_prefix(base);
    if (base == path)
        m->dir = ldl_strdup(".");
    else /* "/x" is in "/" */
        m->dir = ldl_strndup(path, LDL_MAX((size_t)(base - path) - 1, (size_t)1));
    if (!m->dir || !(m->prefix = ldl_strdup(prefix)))
        return ldl_oom(err);
    return open_single(m, path, err);
}

static int sum_bytes(struct ldl_model *m, struct ldl_err *err)
{
    for (size_t i = 0; i < m->nviews; i++) /* sparse files can claim any size */
        if (ldl_add(m->bytes, m->view[i].stored->bytes, &m->bytes) || m->bytes > INT64_MAX)
            return ldl_fail(err, LDL_EINPUT, "%s: the tensors are larger than any disk", m->asked);
    return 0;
}

static int open_base(struct ldl_model *m, const char *word, const char *prefix, struct ldl_err *err)
{
    char *path = NULL;
    int status = ldl_resolve(word, &path, err);
    if (status == 0 && ldl_is_dir(path)) {
        m->dir = path;
        path = NULL;
        status = open_dir(m, prefix, err);
    } else if (status == 0) {
        status = open_file(m, path, prefix, err);
    }
    ldl_free(path);
    return status;
}

int ldl_model_open(struct ldl_model *m, const char *asked, const char *prefix, struct ldl_err *err)
{
    return ldl_model_open_adapted(m, asked, NULL, prefix, err);
}

int ldl_model_open_adapted(struct ldl_model *m, const char *asked, const char *more,
                           const char *prefix, struct ldl_err *err)
{
    char *base = NULL;
    struct ldl_names adapter = { 0 };
    *m = (struct ldl_model){ .tied = -1 };
    int status = (m->asked = ldl_strdup(asked)) ? ldl_split_adapters(asked, &base, &adapter, err)
                                                : ldl_oom(err);
    if (status == 0)
        status = open_base(m, base, prefix, err);
    if (status == 0)
        status = ldl_fp8_join(m, err);
    for (size_t i = 0; i < adapter.n && status == 0; i++)
        status = ldl_adapter_apply(m, adapter.name[i], err);
    if (status == 0 && more)
        status = ldl_adapter_apply(m, more, err);
    if (status == 0)
        status = ldl_model_drop_tied(m, err);
    if (status == 0)
        status = sum_bytes(m, err);
    ldl_free(base);
    ldl_names_free(&adapter);
    if (status)
        ldl_model_close(m);
    return status;
}

void ldl_model_close(struct ldl_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->nfiles; i++)
        ldl_file_close(&m->file[i]);
    ldl_free(m->file);
    ldl_free(m->view);
    ldl_free(m->by_name);
    ldl_free(m->asked);
    ldl_free(m->dir);
    ldl_free(m->prefix);
    ldl_free(m->index_metadata);
    ldl_free(m->dtype_word);
    for (size_t i = m->nowned; i-- > 0;)
        m->owned[i].free(m->owned[i].p);
    ldl_free(m->owned);
    ldl_names_free(&m->also_dir);
    ldl_names_free(&m->note);
    *m = (struct ldl_model){ 0 };
}

/* ---- changes to the list of views ---- */

int ldl_model_own(struct ldl_model *m, void *p, void (*release)(void *p), struct ldl_err *err)
{
    if (ldl_grow(&m->owned, &m->owned_cap, m->nowned + 1, sizeof *m->owned)) {
        release(p);
        return ldl_oom(err);
    }
    m->owned[m->nowned++] = (struct ldl_owned){ p, release };
    return 0;
}

void ldl_model_filter(struct ldl_model *m, const unsigned char *keep)
{
    size_t n = 0;
    for (size_t i = 0; i < m->nviews; i++)
        if (keep[i])
            m->view[n++] = m->view[i];
    m->nviews = n;
    sort_names(m);
}

void ldl_model_renamed(struct ldl_model *m)
{
    sort_names(m);
}

int ldl_model_append(struct ldl_model *m, const struct ldl_view *v, size_t n, struct ldl_err *err)
{
    struct ldl_view *view = ldl_realloc(m->view, m->nviews + n, sizeof *view);
    if (!view)
        return ldl_oom(err);
    m->view = view;
    struct ldl_view **by_name = ldl_realloc(m->by_name, m->nviews + n, sizeof *by_name);
    if (by_name) {
        m->by_name = by_name;
        memcpy(m->view + m->nviews, v, n * sizeof *v);
        m->nviews += n;
    }
    sort_names(m); /* the views may have moved */
    return by_name ? 0 : ldl_oom(err);
}

const struct ldl_view *ldl_model_find(const struct ldl_model *m, const char *name)
{
    size_t lo = 0, hi = m->nviews;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, m->by_name[mid]->name);
        if (order == 0)
            return m->by_name[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
