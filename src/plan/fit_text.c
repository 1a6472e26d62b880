/* fit_text.c -- a model of text beside one that sees or hears, whose text is a part of it:
 *
 *     model.layers.0.mlp.up_proj.weight                     Vicuna
 *     language_model.model.layers.0.mlp.up_proj.weight      LLaVA
 *     model.language_model.layers.0.mlp.up_proj.weight      as later versions call it
 *
 * Where all names of the first are those of the second without the word for text, it gets these, so that a
 * module can be made of both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name, and where the word for text is left out of it. */
struct text {
    const char *name;
    size_t at, len;
};

static int is_without(const struct text *x, size_t i)
{
    return i >= x->at ? (int)(unsigned char)x->name[i + x->len] : (int)(unsigned char)x->name[i];
}

/* By the names without it. */
static int by_short(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    for (size_t i = 0;; i++) {
        int cx = is_without(x, i), cy = is_without(y, i);
        if (cx != cy || cx == 0)
            return cx - cy;
    }
}

static int has_text_part(const struct ldl_model *m)
{
    size_t at;
    for (size_t t = 0; t < m->nviews; t++)
        if (ldl_tower_text_part(m->view[t].name, &at))
            return 1;
    return 0;
}

/* The model whose text is a part; NULL: there is none. */
static const struct ldl_model *find_whole(const struct ldl_plan *p)
{
    for (size_t i = 0; i < ldl_plan_inputs(p); i++) {
        const struct ldl_model *m = &p->model[i];
        if (!has_text_part(m))
            continue;
        for (size_t t = 0; t < m->nviews; t++)
            if (ldl_tower_of(m->view[t].name) != LDL_TOWER_TEXT)
                return m;
    }
    return NULL;
}

static size_t list_texts(struct text *x, const struct ldl_model *m)
{
    size_t n = 0;
    for (size_t t = 0; t < m->nviews; t++) {
        x[n] = (struct text){ .name = m->view[t].name };
        if (ldl_tower_of(x[n].name) != LDL_TOWER_TEXT)
            continue;
        x[n].len = ldl_tower_text_part(x[n].name, &x[n].at);
        n++;
    }
    if (n)
        qsort(x, n, sizeof *x, by_short);
    return n;
}

/* Renames m's tensors when all are among x[0 .. n). */
static int rename_all(struct ldl_plan *p, struct ldl_model *m, const struct ldl_model *whole,
                      const struct text *x, size_t n, struct ldl_err *err)
{
    char text[900];
    const char *was = m->nviews ? m->view[0].name : "";
    const struct text **found = ldl_calloc(m->nviews + 1, sizeof *found);
    size_t t = 0;
    if (!found)
        return ldl_oom(err);
    for (; n && t < m->nviews; t++) {
        const struct text key = { .name = m->view[t].name };
        if (!(found[t] = bsearch(&key, x, n, sizeof *x, by_short)))
            break;
    }
    int all = m->nviews && t == m->nviews;
    for (t = 0; all && t < m->nviews; t++)
        m->view[t].name = found[t]->name;
    ldl_model_renamed(m);
    ldl_free(found);
    if (!all || strcmp(was, m->view[0].name) == 0)
        return 0;
    snprintf(text, sizeof text,
             "%.200s: its tensors are named as the text of %.200s: %.200s as %.200s", m->asked,
             whole->asked, was, m->view[0].name);
    return ldl_plan_note(p, text, err);
}

int ldl_plan_fit_text(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *whole = find_whole(p);
    if (!whole)
        return 0;
    struct text *x = ldl_calloc(whole->nviews + 1, sizeof *x);
    if (!x)
        return ldl_oom(err);
    size_t n = list_texts(x, whole);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        if (&p->model[i] != whole && !has_text_part(&p->model[i]))
            rc = rename_all(p, &p->model[i], whole, x, n, err);
    ldl_free(x);
    return rc;
}
