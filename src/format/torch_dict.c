/* torch_dict.c -- finds the state dict in a pickle of torch.save; see torch_dict.h.
 *
 *     {"epoch": 3, "optimizer": {...}, "state_dict": {"layer.weight": TENSOR, ...}}
 *
 * If one of the names below is a key and its value is a dict with tensors somewhere in it, that dict
 * is looked at in the same way, at most three deep; what stands beside it is named in a note. Else
 * the dict with tensors as values is the one. No tensor is passed over in silence: one that is inside
 * something else (a list, another dict) is an error. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_dict.h"

#include <stdio.h>
#include <string.h>

static const char *const wrappers[] = { "state_dict", "model_state_dict", "model_state",
                                        "model",      "module",           "net",
                                        "network",    "params",           "params_ema",
                                        "weights" };
enum { DEPTH_MAX = 3, BESIDE_NAMED = 12 };

struct search {
    struct ldl_file *f;
    const struct ldl_pickle *p;
    const struct ldl_torch_locator *where;
    struct ldl_pickle_search deep;
};

/* ---- kinds of nodes ---- */

static int is_dict(const struct ldl_pickle *p, uint32_t node)
{
    return ldl_pickle_at(p, node)->kind == LDL_PY_DICT ||
           LDL_TORCH_ID_CLASS(ldl_pickle_call_id(p, node)) == LDL_TORCH_DICT;
}

static int is_tensor(const struct ldl_pickle *p, uint32_t node)
{
    switch (LDL_TORCH_ID_CLASS(ldl_pickle_call_id(p, node))) {
    case LDL_TORCH_TENSOR:
    case LDL_TORCH_TENSOR_V3:
    case LDL_TORCH_PARAMETER:
    case LDL_TORCH_FROM_TYPE:
    case LDL_TORCH_OTHER: return 1;
    default: return 0;
    }
}

/* What must not be passed over: a tensor, or a bare storage. */
static int is_part(const struct ldl_pickle *p, uint32_t node)
{
    return is_tensor(p, node) || ldl_pickle_at(p, node)->kind == LDL_PY_PERSID;
}

/* ---- the dict itself ---- */

static const char *name_of(const struct ldl_pickle_entry *e)
{
    return e->name ? e->name : "(no text)";
}

static int add_tensor(struct search *s, const struct ldl_pickle_entry *e, struct ldl_err *err)
{
    struct ldl_file *f = s->f;
    struct ldl_stored t = { 0 };
    if (!e->name)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a tensor's key is no text (UTF-8, at most %d bytes, no NUL)", f->path,
                        LDL_PICKLE_KEPT_BYTES);
    int status = ldl_torch_tensor_read(s->p, e->value, s->where, &t, err);
    if (status) {
        ldl_context(err, "%s: tensor '%.200s'", f->path, e->name);
        return status;
    }
    if (ldl_grow(&f->tensor, &f->cap, f->ntensors + 1, sizeof *f->tensor) ||
        !(t.name = ldl_strdup(e->name)))
        return ldl_oom(err);
    f->tensor[f->ntensors++] = t;
    return 0;
}

static int add_all(struct search *s, const struct ldl_pickle_entry *e, size_t n,
                   struct ldl_err *err)
{
    int status = 0;
    ldl_pickle_search_again(&s->deep);
    for (size_t i = 0; i < n && status == 0; i++) {
        if (is_tensor(s->p, e[i].value))
            status = add_tensor(s, &e[i], err);
        else if (ldl_pickle_search(&s->deep, e[i].value))
            status = ldl_fail(err, LDL_EINPUT,
                              "%s: '%.200s' holds tensors inside a list or dict, beside tensors; "
                              "ladle merges flat state dicts only",
                              s->f->path, name_of(&e[i]));
    }
    return status;
}

/* No state dict was found: says which key has tensors, if any. */
static int fail_no_dict(struct search *s, const struct ldl_pickle_entry *e, size_t n,
                        struct ldl_err *err)
{
    char names[256] = "";
    ldl_pickle_search_again(&s->deep);
    for (size_t i = 0; i < LDL_COUNT(wrappers); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 wrappers[i]);
    for (size_t i = 0; i < n; i++)
        if (ldl_pickle_search(&s->deep, e[i].value))
            return ldl_fail(err, LDL_EINPUT,
                            "%s: the tensors are inside '%.200s'; ladle looks at the top and under "
                            "%s; save that dict by itself",
                            s->f->path, name_of(&e[i]), names);
    return ldl_fail(err, LDL_EINPUT, "%s: there are no tensors in it", s->f->path);
}

/* ---- the way down ---- */

/* The entry whose value is the model, or NULL. */
static const struct ldl_pickle_entry *find_wrapper(struct search *s,
                                                   const struct ldl_pickle_entry *e, size_t n)
{
    for (size_t w = 0; w < LDL_COUNT(wrappers); w++)
        for (size_t i = 0; i < n; i++) {
            if (!e[i].name || strcmp(e[i].name, wrappers[w]) != 0 || !is_dict(s->p, e[i].value))
                continue;
            ldl_pickle_search_again(&s->deep);
            if (ldl_pickle_search(&s->deep, e[i].value))
                return &e[i];
        }
    return NULL;
}

/* Floats of more than one element beside the model may be weights (a loss or a random generator's
 * state is not): then nobody knows which are meant. */
static int check_beside(struct search *s, const struct ldl_pickle_entry *e, size_t n,
                        const struct ldl_pickle_entry *in, struct ldl_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct ldl_stored t = { 0 };
        if (!is_tensor(s->p, e[i].value) ||
            ldl_torch_tensor_read(s->p, e[i].value, s->where, &t, NULL))
            continue;
        if (t.n > 1 && ldl_dtype_is_float(t.dtype))
            return ldl_fail(err, LDL_EINPUT,
                            "%s: tensors are both at the top ('%.200s') and in '%s'; ladle cannot "
                            "know which are the model",
                            s->f->path, name_of(&e[i]), in->name);
    }
    return 0;
}

static int note_beside(struct search *s, const struct ldl_pickle_entry *e, size_t n,
                       const struct ldl_pickle_entry *in, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    size_t others = 0;
    if (n < 2)
        return 0;
    ldl_buf_printf(&text, "entries beside '%s' are not merged: ", in->name);
    for (size_t i = 0; i < n; i++)
        if (&e[i] != in && others++ < BESIDE_NAMED)
            ldl_buf_printf(&text, "%s%.60s", others > 1 ? ", " : "", name_of(&e[i]));
    if (others > BESIDE_NAMED)
        ldl_buf_printf(&text, " and %zu more", others - BESIDE_NAMED);
    for (size_t i = 0; i < text.len; i++) /* a name may hold anything; a note is one line */
        if ((unsigned char)text.text[i] < 0x20 || text.text[i] == 0x7f)
            text.text[i] = '?';
    int failed = text.failed || ldl_names_add(&s->f->note, text.text);
    ldl_buf_free(&text);
    return failed ? ldl_oom(err) : 0;
}

static int read_dict(struct search *s, uint32_t node, int depth, struct ldl_err *err)
{
    struct ldl_pickle_entry *e = NULL;
    const struct ldl_pickle_entry *in = NULL;
    size_t n = 0, tensors = 0;
    int status = ldl_pickle_entries(s->p, node, &e, &n, err);
    if (status) {
        ldl_context(err, "%s", s->f->path);
        return status;
    }
    for (size_t i = 0; i < n; i++)
        tensors += (size_t)is_tensor(s->p, e[i].value);
    if (depth < DEPTH_MAX)
        in = find_wrapper(s, e, n);
    if (in) {
        if ((status = check_beside(s, e, n, in, err)) == 0 &&
            (status = note_beside(s, e, n, in, err)) == 0)
            status = read_dict(s, in->value, depth + 1, err);
    } else if (tensors) {
        status = add_all(s, e, n, err);
    } else {
        status = fail_no_dict(s, e, n, err);
    }
    ldl_free(e);
    return status;
}

static int fail_top(const struct ldl_file *f, const struct ldl_pickle *p, struct ldl_err *err)
{
    const char *what = is_tensor(p, p->root) ? "one tensor without a name" : "no dict of tensors";
    if (ldl_pickle_at(p, p->root)->kind == LDL_PY_LIST ||
        ldl_pickle_at(p, p->root)->kind == LDL_PY_TUPLE)
        what = "a list";
    return ldl_fail(err, LDL_EINPUT,
                    "%s: holds %s; ladle merges a state_dict saved with torch.save", f->path, what);
}

int ldl_torch_dict_read(struct ldl_file *f, const struct ldl_pickle *p,
                        const struct ldl_torch_locator *where, struct ldl_err *err)
{
    struct search s = { .f = f, .p = p, .where = where };
    if (!is_dict(p, p->root))
        return fail_top(f, p, err);
    int status = ldl_pickle_search_open(&s.deep, p, is_part, err);
    if (status == 0)
        status = read_dict(&s, p->root, 0, err);
    ldl_pickle_search_close(&s.deep);
    return status;
}
