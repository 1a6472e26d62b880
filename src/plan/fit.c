/* fit.c -- differences between models that recipes live with.
 *
 *   prefixes   one checkpoint calls it transformer.h.0.ln_1.weight, another h.0.ln_1.weight: where all
 *              names of a model are those of the first without a prefix, they get it (or the first's
 *              names are used the other way round)
 *   rows       embeddings and heads of different height are cut to the common rows, with a note; the
 *              configuration's vocab_size then says how many these are; but where a recipe asks for a
 *              vocabulary, rows follow their tokens (vocab.c) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layers.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- prefixes ---- */

/* Do all names of `longer` end with those of `shorter` after the first n bytes? By names in order. */
static int is_prefixed(const struct ldl_model *longer, const struct ldl_model *shorter, size_t n)
{
    if (longer->nviews != shorter->nviews)
        return 0;
    for (size_t i = 0; i < longer->nviews; i++)
        if (strlen(longer->by_name[i]->name) < n ||
            strcmp(longer->by_name[i]->name + n, shorter->by_name[i]->name) != 0)
            return 0;
    return 1;
}

/* The bytes by which the first name of a is longer than that of b, when it ends with it; else 0. */
static size_t extra(const struct ldl_model *a, const struct ldl_model *b)
{
    if (a->nviews == 0 || b->nviews == 0)
        return 0;
    const char *x = a->by_name[0]->name, *y = b->by_name[0]->name;
    size_t nx = strlen(x), ny = strlen(y);
    return nx > ny && strcmp(x + nx - ny, y) == 0 && x[nx - ny - 1] == '.' ? nx - ny : 0;
}

/* Gives the views of `to` the names that those of `from` have, in order. */
static void take_names(struct ldl_model *to, const struct ldl_model *from)
{
    for (size_t i = 0; i < to->nviews; i++)
        to->by_name[i]->name = from->by_name[i]->name;
}

static void fit_prefixes(struct ldl_plan *p)
{
    struct ldl_model *first = &p->model[0];
    for (size_t i = 1; i < ldl_plan_inputs(p); i++) {
        struct ldl_model *m = &p->model[i];
        size_t n = extra(first, m);
        if (n && is_prefixed(first, m, n)) {
            take_names(m, first);
        } else if ((n = extra(m, first)) && is_prefixed(m, first, n)) {
            for (size_t k = 0; k < i; k++) /* those before have the first's names */
                if (is_prefixed(m, &p->model[k], n))
                    take_names(&p->model[k], m);
        }
    }
}

/* ---- names that not all have ---- */

static int all_have(const struct ldl_plan *p, const char *name)
{
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        if (!ldl_model_find(&p->model[i], name))
            return 0;
    return 1;
}

static int note_left_out(struct ldl_plan *p, const struct ldl_model *m, size_t n, const char *first,
                         struct ldl_err *err)
{
    char text[700];
    snprintf(text, sizeof text,
             "%.200s: %zu tensor%s left out, as not all models have %s: %.200s%s", m->asked, n,
             n == 1 ? " is" : "s are", n == 1 ? "it" : "them", first, n == 1 ? "" : " ...");
    return ldl_plan_note(p, text, err);
}

int ldl_plan_common(struct ldl_plan *p, struct ldl_err *err)
{
    size_t n = ldl_plan_inputs(p);
    unsigned char *keep[LDL_MAX_MODELS + 1] = { NULL };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) { /* first look at all, then change them */
        const struct ldl_model *m = &p->model[i];
        const char *first = NULL;
        size_t out = 0;
        if (!(keep[i] = ldl_calloc(m->nviews + 1, 1)))
            rc = ldl_oom(err);
        for (size_t t = 0; rc == 0 && t < m->nviews; t++) {
            keep[i][t] = (unsigned char)all_have(p, m->view[t].name);
            if (!keep[i][t] && out++ == 0)
                first = m->view[t].name;
        }
        if (rc == 0 && out)
            rc = note_left_out(p, m, out, first, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            ldl_model_filter(&p->model[i], keep[i]);
        ldl_free(keep[i]);
    }
    if (rc == 0 && p->model[0].nviews == 0)
        rc = ldl_fail(err, LDL_EINPUT, "no tensor is in all models");
    return rc;
}

/* ---- rows ---- */

static int is_table(const struct ldl_view *v)
{
    return v->ndim == 2 &&
           (ldl_layer_is_before(v->name) || ldl_has_suffix(v->name, "lm_head.weight"));
}

/* Do models meet in this table? All do; with slices those of the first one in embeddings, of the last one in heads. */
static int takes_part(const struct ldl_plan *p, const char *name, size_t model)
{
    const struct ldl_recipe *r = &p->recipe;
    if (!r->nslices)
        return 1;
    const struct ldl_slice *s = &r->slice[ldl_layer_is_before(name) ? 0 : r->nslices - 1];
    for (size_t i = 0; i < s->n; i++)
        if (s->source[i].model == model)
            return 1;
    return 0;
}

/* Cuts the tensor of this name to the rows that all models have. *most: the most rows before. */
static int cut_rows(struct ldl_plan *p, const char *name, uint64_t *least, uint64_t *most)
{
    struct ldl_view *view[LDL_MAX_MODELS + 1];
    size_t n = 0;
    *least = UINT64_MAX;
    *most = 0;
    for (size_t i = 0; i < ldl_plan_inputs(p); i++) {
        struct ldl_view *v = (struct ldl_view *)ldl_model_find(&p->model[i], name);
        if (!takes_part(p, name, i))
            continue;
        if (!v || !is_table(v) || (n && v->dim[1] != view[0]->dim[1]))
            return 0;
        *least = LDL_MIN(*least, v->dim[0]);
        *most = LDL_MAX(*most, v->dim[0]);
        view[n++] = v;
    }
    if (n == 0 || *least == *most)
        return 0;
    for (size_t i = 0; i < n; i++) {
        view[i]->dim[0] = *least; /* rows follow each other, so the first ones are a beginning */
        view[i]->n = *least * view[i]->dim[1];
    }
    return 1;
}

static int fit_rows(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *first = &p->model[0];
    char text[512];
    for (size_t t = 0; t < first->nviews; t++) {
        uint64_t least, most;
        const char *name = first->view[t].name;
        if (!is_table(&first->view[t]) || !cut_rows(p, name, &least, &most))
            continue;
        p->rows = least;
        snprintf(
            text, sizeof text,
            "tensor %.200s: the models have up to %llu rows; it is cut to the %llu that all have",
            name, (unsigned long long)most, (unsigned long long)least);
        int rc = ldl_plan_note(p, text, err);
        if (rc)
            return rc;
    }
    return 0;
}

int ldl_plan_fit(struct ldl_plan *p, struct ldl_err *err)
{
    int mapped = 0, rc = 0;
    /* Where slices or a rule of names speak, models are compared tensor by tensor, under the names they have. */
    int whole = !p->recipe.nslices && p->recipe.names_rule != LDL_NAMES_ALL;
    if (whole)
        fit_prefixes(p);
    if (p->recipe.tokenizer.kind != LDL_TOKENIZER_COPIED)
        rc = ldl_plan_vocab(p, &mapped, err);
    return rc || mapped || p->recipe.names_rule == LDL_NAMES_ALL ? rc : fit_rows(p, err);
}
