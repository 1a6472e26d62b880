/* adapter.c -- see adapter.h. From an adapter's files to composed views in a model.
 *
 * Every tensor gets a role and the base's view that it belongs to (adapter_names.c). Sorted by view
 * and role they make groups, and each group becomes one composed view in the place of the old one:
 *
 *     PEFT      W[out, in] + s * B[out, r] @ A[r, in]                   L = B,   R = A
 *     PEFT, fan_in_fan_out (Conv1D)   W[in, out]                        L = A^T, R = B^T
 *     PEFT, embedding                 W[vocabulary, dim]                L = A^T, R = B^T
 *     Paddle    W[in, out] + s * A[in, r] @ B[r, out]                   L = A,   R = B
 *
 * fan_in_fan_out is one setting for all modules, and PEFT corrects it module by module by its class.
 * Here the shapes say it: where they fit only the other way, that way is taken. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"
#include "model/index.h"
#include "model/tied.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the composed views point into; the model owns it. */
struct adapter {
    char *dir;
    int paddle;
    struct ldl_adapter_config config;
    struct ldl_file *file;
    size_t nfiles;
    void **made;
    size_t nmade, made_cap;
};

/* One tensor of the adapter. */
struct piece {
    size_t view; /* its place in the model's view[] */
    enum ldl_role role;
    int saved; /* from modules_to_save, which wins over a copy under the plain name */
    struct ldl_factor factor;
    char *target; /* what the adapter calls the view's tensor; owned */
};
struct pieces {
    struct piece *item;
    size_t n, cap;
};

static void free_adapter(void *p)
{
    struct adapter *a = p;
    if (!a)
        return;
    for (size_t i = 0; i < a->nmade; i++)
        ldl_free(a->made[i]);
    ldl_free(a->made);
    for (size_t i = 0; i < a->nfiles; i++)
        ldl_file_close(&a->file[i]);
    ldl_free(a->file);
    ldl_adapter_config_free(&a->config);
    ldl_free(a->dir);
    ldl_free(a);
}

/* ---- files ---- */

/* 1: dir/name is there, and *path is it. 0: not. -1: no memory. */
static int look(const char *dir, const char *name, char **path)
{
    *path = ldl_path_join(dir, name);
    if (*path && ldl_exists(*path))
        return 1;
    int status = *path ? 0 : -1;
    ldl_free(*path);
    *path = NULL;
    return status;
}

static int open_one(struct adapter *a, const char *path, struct ldl_err *err)
{
    if (!(a->file = ldl_calloc(1, sizeof *a->file)))
        return ldl_oom(err);
    a->nfiles = 1;
    return ldl_file_open(&a->file[0], path, err);
}

static int entry_by_name(const void *name, const void *entry)
{
    return strcmp(name, ((const struct ldl_index_entry *)entry)->tensor);
}

/* The index and the shards have the same tensors. */
static int check_index(const struct adapter *a, const struct ldl_index *x, const char *path,
                       struct ldl_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < a->nfiles; i++)
        for (size_t t = 0; t < a->file[i].ntensors; t++, n++) {
            const char *name = a->file[i].tensor[t].name;
            const struct ldl_index_entry *e =
                x->n ? bsearch(name, x->entry, x->n, sizeof *x->entry, entry_by_name) : NULL;
            if (!e || e->shard != i)
                return ldl_fail(err, LDL_EINPUT,
                                "%s: weight_map does not list tensor '%.200s' of %s", path, name,
                                ldl_path_base(a->file[i].path));
        }
    if (n != x->n)
        return ldl_fail(err, LDL_EINPUT, "%s: weight_map lists %zu tensors, and the files have %zu",
                        path, x->n, n);
    return 0;
}

static int open_indexed(struct adapter *a, const char *path, struct ldl_err *err)
{
    struct ldl_index x;
    int status = ldl_index_read(&x, path, err);
    if (status)
        return status;
    if (!(a->file = ldl_calloc(x.nshards, sizeof *a->file)))
        status = ldl_oom(err);
    for (size_t i = 0; i < x.nshards && status == 0; i++) {
        char *shard = ldl_path_join(a->dir, x.shard[i]);
        status = shard ? ldl_file_open(&a->file[i], shard, err) : ldl_oom(err);
        a->nfiles += status == 0;
        ldl_free(shard);
    }
    if (status == 0)
        status = check_index(a, &x, path, err);
    ldl_index_free(&x);
    return status;
}

static int open_weights(struct adapter *a, struct ldl_err *err)
{
    static const char *const peft[] = { "adapter_model.safetensors", "adapter_model.bin", NULL };
    static const char *const paddle[] = { "peft_model.safetensors.index.json",
                                          "peft_model.safetensors", "lora_model_state.pdparams",
                                          NULL };
    const char *const *name = a->paddle ? paddle : peft;
    char *path = NULL;
    int there = 0;
    for (; *name && there == 0; name++)
        there = look(a->dir, *name, &path);
    if (there < 0)
        return ldl_oom(err);
    if (there == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: the adapter's weights are missing: no %s", a->dir,
                        a->paddle ? "peft_model.safetensors.index.json, peft_model.safetensors or "
                                    "lora_model_state.pdparams"
                                  : "adapter_model.safetensors or adapter_model.bin");
    int status =
        ldl_has_suffix(path, ".json") ? open_indexed(a, path, err) : open_one(a, path, err);
    ldl_free(path);
    for (size_t i = 0; i < a->nfiles; i++) /* adapters have no integers: this is bf16 */
        for (size_t t = 0; t < a->file[i].ntensors; t++)
            if (a->file[i].tensor[t].dtype == LDL_U16)
                a->file[i].tensor[t].dtype = LDL_U16_BF16;
    return status;
}

static int open_adapter(struct adapter *a, const char *asked, struct ldl_err *err)
{
    char *path = NULL;
    int status = ldl_resolve(asked, &a->dir, err);
    if (status)
        return status;
    if (!ldl_is_dir(a->dir))
        return ldl_fail(err, LDL_EINPUT, "%s: an adapter is a directory; name that", asked);
    int there = look(a->dir, "adapter_config.json", &path);
    if (there == 0) {
        there = look(a->dir, "lora_config.json", &path);
        a->paddle = 1;
    }
    if (there < 0)
        return ldl_oom(err);
    if (there == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: no LoRA adapter: it has neither adapter_config.json (PEFT) nor "
                        "lora_config.json (Paddle)",
                        asked);
    status = ldl_adapter_config_read(&a->config, path, a->paddle, err);
    ldl_free(path);
    return status ? status : open_weights(a, err);
}

/* ---- which tensor belongs where ---- */

static void free_pieces(struct pieces *p)
{
    for (size_t i = 0; i < p->n; i++)
        ldl_free(p->item[i].target);
    ldl_free(p->item);
}

static int add_piece(struct pieces *p, const struct piece *one, const char *target,
                     struct ldl_err *err)
{
    if (ldl_grow(&p->item, &p->cap, p->n + 1, sizeof *p->item))
        return ldl_oom(err);
    p->item[p->n] = *one;
    if (!(p->item[p->n].target = ldl_strdup(target)))
        return ldl_oom(err);
    p->n++;
    return 0;
}

struct unmatched {
    const char *first;
    size_t n;
};

static int place_tensor(const struct adapter *a, struct ldl_base_names *names,
                        const struct ldl_file *f, const struct ldl_stored *t, struct pieces *p,
                        struct unmatched *left, struct ldl_err *err)
{
    struct ldl_buf target = { 0 };
    const struct ldl_view *v = NULL;
    struct piece one = { .factor = { f, t, 0 },
                         .saved = strstr(t->name, ".modules_to_save") != NULL };
    int status = ldl_adapter_name(t->name, a->paddle, &one.role, &target, err);
    if (status == 0 && one.role != LDL_ROLE_UNUSED) {
        status = ldl_base_find(names, target.text, &v, err);
        if (status == 0 && !v && left->n++ == 0)
            left->first = t->name;
        if (status == 0 && v) {
            one.view = (size_t)(v - names->m->view);
            status = add_piece(p, &one, target.text, err);
        }
    }
    ldl_buf_free(&target);
    return status;
}

static int place_all(const struct adapter *a, const struct ldl_model *m, struct pieces *p,
                     struct ldl_err *err)
{
    struct ldl_base_names names = { .m = m };
    struct unmatched left = { 0 };
    char more[64] = "";
    int status = 0;
    for (size_t i = 0; i < a->nfiles && status == 0; i++)
        for (size_t t = 0; t < a->file[i].ntensors && status == 0; t++)
            status = place_tensor(a, &names, &a->file[i], &a->file[i].tensor[t], p, &left, err);
    ldl_free(names.reversed);
    if (status || left.n == 0)
        return status;
    if (left.n > 1)
        snprintf(more, sizeof more, " (and %zu more)", left.n - 1);
    return ldl_fail(err, LDL_EINPUT,
                    "adapter tensor '%.200s'%s belongs to no tensor of the base %s; is it of "
                    "another model?",
                    left.first, more, m->dir);
}

static int by_view(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->view != y->view)
        return x->view < y->view ? -1 : 1;
    if (x->role != y->role)
        return x->role < y->role ? -1 : 1;
    return y->saved - x->saved;
}

/* ---- from groups to views ---- */

/* The pieces of one view by their roles; tensor NULL: there is none. */
struct group {
    struct ldl_view *view;
    const char *target;
    struct ldl_factor part[LDL_ROLES];
};

/* The group that begins at piece *at, which moves behind it. */
static int next_group(struct ldl_model *m, const struct pieces *p, size_t *at, struct group *g,
                      struct ldl_err *err)
{
    const struct piece *first = &p->item[*at];
    *g = (struct group){ .view = &m->view[first->view], .target = first->target };
    for (; *at < p->n && p->item[*at].view == first->view; ++*at) {
        const struct piece *one = &p->item[*at];
        struct ldl_factor *to = &g->part[one->role];
        if (one->role != LDL_ROLE_WHOLE)
            g->target = one->target;
        if (!to->tensor)
            *to = one->factor;
        else if (one->role != LDL_ROLE_WHOLE || one->saved == one[-1].saved)
            return ldl_fail(err, LDL_EINPUT,
                            "adapter tensors '%.200s' and '%.200s' both belong to '%.200s'",
                            to->tensor->name, one->factor.tensor->name, g->view->name);
    }
    return 0;
}

static int replace(struct ldl_view *v, const struct ldl_factor *f, struct ldl_err *err)
{
    char shape[2][200];
    const struct ldl_stored *t = f->tensor;
    struct ldl_view now;
    if (t->ndim != v->ndim || memcmp(t->dim, v->dim, (size_t)v->ndim * sizeof *t->dim) != 0 ||
        (t->dtype != v->dtype && !(ldl_dtype_is_float(t->dtype) && ldl_dtype_is_float(v->dtype))))
        return ldl_fail(
            err, LDL_EINPUT,
            "adapter tensor '%.200s' %s %s cannot take the place of tensor '%.200s' %s %s", t->name,
            ldl_dtype_name(t->dtype), ldl_shape_text(shape[0], t->dim, t->ndim), v->name,
            ldl_dtype_name(v->dtype), ldl_shape_text(shape[1], v->dim, v->ndim));
    ldl_view_stored(&now, f->file, t);
    now.name = v->name;
    now.dtype = v->dtype;
    now.raw &= t->dtype == v->dtype;
    *v = now;
    return 0;
}

static int keep_made(struct adapter *a, void *made, struct ldl_err *err)
{
    if (ldl_grow(&a->made, &a->made_cap, a->nmade + 1, sizeof *a->made)) {
        ldl_free(made);
        return ldl_oom(err);
    }
    a->made[a->nmade++] = made;
    return 0;
}

/* s of the group's module: what the settings say about the target without its last part. */
static int scale_of(const struct adapter *a, const struct group *g, uint64_t rank, double *scale,
                    struct ldl_err *err)
{
    const char *dot = strrchr(g->target, '.');
    char *module = ldl_strndup(g->target, dot ? (size_t)(dot - g->target) : strlen(g->target));
    int status =
        module ? ldl_adapter_config_scale(&a->config, module, rank, scale, err) : ldl_oom(err);
    ldl_free(module);
    return status;
}

/* Both halves, or neither (then *left is empty). */
static int halves(const struct adapter *a, const struct group *g, struct ldl_lora_parts *p,
                  struct ldl_err *err)
{
    const struct ldl_factor *part = g->part;
    int embedding = part[LDL_ROLE_EMBEDDING_A].tensor || part[LDL_ROLE_EMBEDDING_B].tensor;
    struct ldl_factor first = part[embedding ? LDL_ROLE_EMBEDDING_A : LDL_ROLE_A];
    struct ldl_factor second = part[embedding ? LDL_ROLE_EMBEDDING_B : LDL_ROLE_B];
    int both = first.tensor && second.tensor;
    const struct ldl_factor *magnitude = &part[LDL_ROLE_MAGNITUDE];
    *p = (struct ldl_lora_parts){ .magnitude = *magnitude };
    if ((first.tensor || second.tensor) && !both)
        return ldl_fail(err, LDL_EINPUT, "adapter tensor '%.200s' lacks its other half",
                        (first.tensor ? first : second).tensor->name);
    if (embedding && (part[LDL_ROLE_A].tensor || part[LDL_ROLE_B].tensor))
        return ldl_fail(err, LDL_EINPUT, "the adapter has two updates of tensor '%.200s'",
                        g->view->name);
    if (magnitude->tensor && (!both || !a->config.dora))
        return ldl_fail(err, LDL_EINPUT, "adapter tensor '%.200s' has no %s",
                        magnitude->tensor->name, both ? "use_dora in the settings" : "update");
    if (both && a->config.dora && !magnitude->tensor)
        return ldl_fail(err, LDL_EINPUT, "use_dora is set, and '%.200s' has no magnitude vector",
                        first.tensor->name);
    if (!both)
        return 0;
    p->by_column = a->paddle || embedding || a->config.fan_in_fan_out;
    int turned = !a->paddle && p->by_column;
    p->left = turned || a->paddle ? first : second;
    p->right = turned || a->paddle ? second : first;
    p->left.transposed = p->right.transposed = turned;
    return 0;
}

/* The same update of a matrix that is stored the other way. */
static struct ldl_lora_parts turn(const struct ldl_lora_parts *p)
{
    struct ldl_lora_parts t = *p;
    t.left = p->right;
    t.right = p->left;
    t.left.transposed = t.right.transposed = !p->left.transposed;
    t.by_column = !p->by_column;
    return t;
}

static int update(struct adapter *a, const struct group *g, struct ldl_err *err)
{
    struct ldl_lora_parts p;
    uint64_t rank;
    void *made;
    int status = halves(a, g, &p, err);
    if (status || !p.left.tensor)
        return status;
    int either = !a->paddle && !g->part[LDL_ROLE_EMBEDDING_A].tensor;
    if (!ldl_lora_fits(g->view, &p, &rank) && either) {
        struct ldl_lora_parts other = turn(&p);
        if (ldl_lora_fits(g->view, &other, &rank))
            p = other;
    }
    if (ldl_lora_fits(g->view, &p, &rank))
        status = scale_of(a, g, rank, &p.scale, err);
    if (status == 0)
        status = ldl_lora_view(g->view, &p, &made, err);
    return status ? status : keep_made(a, made, err);
}

/* A group is of a weight or of a bias: an update of a bias has no rank of its own, and takes it
 * from the settings. */
static int update_bias(struct adapter *a, const struct group *g, struct ldl_err *err)
{
    const struct ldl_factor *d = &g->part[LDL_ROLE_BIAS];
    double scale;
    void *made;
    if (!d->tensor)
        return 0;
    int status = scale_of(a, g, 0, &scale, err);
    if (status == 0)
        status = ldl_lora_bias_view(g->view, d, scale, &made, err);
    return status ? status : keep_made(a, made, err);
}

/* The head that the adapter parts from the embedding by changing the tensor called `target`, and that m
 * does not store; NULL: none. */
static const char *parted_head(struct ldl_base_names *names, const char *target,
                               struct ldl_err *err, int *status)
{
    const struct ldl_view *v = NULL;
    if ((*status = ldl_base_find(names, target, &v, err)))
        return NULL;
    if (!v)
        return ldl_tied_is_head(target) ? target : NULL;
    const char *head = ldl_tied_head_of(names->m, v);
    return head && !ldl_model_find(names->m, head) ? head : NULL;
}

/* A base whose loader ties the head need not store it; with this adapter its result must. */
static int untie(const struct adapter *a, struct ldl_model *m, struct ldl_err *err)
{
    struct ldl_base_names names = { .m = m };
    struct ldl_buf target = { 0 };
    const char *head = NULL;
    enum ldl_role role;
    int status = 0;
    for (size_t i = 0; i < a->nfiles && !head; i++)
        for (size_t t = 0; t < a->file[i].ntensors && status == 0 && !head; t++) {
            status = ldl_adapter_name(a->file[i].tensor[t].name, a->paddle, &role, &target, err);
            if (status == 0 && role != LDL_ROLE_UNUSED)
                head = parted_head(&names, target.text, err, &status);
        }
    ldl_free(names.reversed);
    if (head)
        status = ldl_model_untie(m, head, err);
    ldl_buf_free(&target);
    return status;
}

static int compose(struct adapter *a, struct ldl_model *m, struct ldl_err *err)
{
    struct pieces p = { 0 };
    struct group g;
    int status = untie(a, m, err);
    if (status == 0)
        status = place_all(a, m, &p, err);
    if (p.n)
        qsort(p.item, p.n, sizeof *p.item, by_view);
    for (size_t i = 0; i < p.n && status == 0;) {
        status = next_group(m, &p, &i, &g, err);
        if (status == 0 && g.part[LDL_ROLE_WHOLE].tensor)
            status = replace(g.view, &g.part[LDL_ROLE_WHOLE], err);
        if (status == 0)
            status = update(a, &g, err);
        if (status == 0)
            status = update_bias(a, &g, err);
        if (status == 0)
            status = ldl_model_changed(m, g.view, err);
    }
    free_pieces(&p);
    return status;
}

int ldl_adapter_apply(struct ldl_model *m, const char *asked, struct ldl_err *err)
{
    struct adapter *a = ldl_calloc(1, sizeof *a);
    if (!a)
        return ldl_oom(err);
    int status = ldl_model_own(m, a, free_adapter, err);
    if (status)
        return status; /* and *a is gone */
    status = open_adapter(a, asked, err);
    if (status == 0 && ldl_names_add(&m->also_dir, a->dir))
        status = ldl_oom(err);
    for (size_t i = 0; i < a->config.note.n && status == 0; i++)
        if (ldl_names_add(&m->note, a->config.note.name[i]))
            status = ldl_oom(err);
    if (status == 0 && (status = compose(a, m, err)))
        ldl_context(err, "%s", asked);
    return status;
}
