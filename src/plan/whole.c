/* whole.c -- which input tensors make which output tensor, when whole models are merged: those of one
 * name make the tensor of that name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/stacks.h"
#include "plan/match.h"
#include "plan/parts.h"

#include <stdlib.h>
#include <string.h>

int ldl_plan_room(struct ldl_plan *p, size_t tensors, struct ldl_err *err)
{
    size_t m = p->most_inputs = p->nmodels + (p->recipe.names_rule == LDL_NAMES_ALL);
    for (size_t s = 0; s < p->recipe.nslices; s++)
        m = p->most_inputs = LDL_MAX(m, p->recipe.slice[s].n);
    p->job = ldl_calloc(2 * tensors + 1, sizeof *p->job);
    p->views = ldl_calloc((2 * tensors + 1) * m, sizeof *p->views);
    p->from = ldl_calloc((2 * tensors + 1) * m, sizeof *p->from);
    if (p->recipe.fill) {
        ldl_free(p->merge);
        p->merge = ldl_calloc(tensors + 1, sizeof *p->merge);
        p->nmerges = 0;
    }
    return p->job && p->views && p->from && p->merge ? 0 : ldl_oom(err);
}

double ldl_gradient_at(uint64_t k, uint64_t n)
{
    return n > 1 ? (double)k / (double)(n - 1) : 1;
}

double ldl_gradient_in(const struct ldl_stacks *s, size_t n, const char *name)
{
    struct ldl_layer layer;
    uint64_t layers = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ldl_stack *stack = ldl_stacks_find(&s[i], name, &layer);
        layers = stack ? LDL_MAX(layers, stack->layers) : layers;
    }
    return layers ? ldl_gradient_at(layer.number, layers) : 0;
}

/* ---- whole models ---- */

static int whole_job(struct ldl_plan *p, const struct ldl_view *first,
                     const struct ldl_stacks *stacks, struct ldl_err *err)
{
    const struct ldl_view **in = p->views + p->njobs * p->most_inputs;
    const char *names[LDL_MAX_MODELS];
    for (size_t i = 0; i < p->nmodels; i++) {
        in[i] = i ? ldl_model_find(&p->model[i], first->name) : first;
        names[i] = first->name;
    }
    struct ldl_place at = { .name = first->name, .in = names };
    at.t = ldl_gradient_in(stacks, 1, first->name);
    return ldl_plan_add_job(p, in, NULL, p->nmodels,
                            p->base ? ldl_model_find(p->base, first->name) : NULL, &at, err);
}

/* ---- whole models with other names ---- */

/* A tensor that some models lack. What one of them alone has is the output's as it is. */
static int partial_job(struct ldl_plan *p, const char *name, const struct ldl_stacks *stacks,
                       struct ldl_err *err)
{
    size_t at = p->njobs * p->most_inputs, m = 0, *from = p->from + at;
    const struct ldl_view **in = p->views + at, *base = NULL, *v;
    const struct ldl_combiner *c = p->recipe.method->combiner;
    const char *names[LDL_MAX_MODELS];
    struct ldl_place place = { .name = name, .in = names, .from = from };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->nmodels; i++) {
        if (!(v = ldl_model_find(&p->model[i], name)))
            continue;
        if (m)
            rc = ldl_match_pair(in[0], &p->model[from[0]], v, &p->model[i], err);
        names[m] = name;
        from[m] = i;
        in[m++] = v;
    }
    if (rc == 0 && p->base && (base = ldl_model_find(p->base, name)) && m)
        rc = ldl_match_pair(in[0], &p->model[from[0]], base, p->base, err);
    if (base)
        from[m] = p->nmodels;
    place.as_is = m + (base != NULL) == 1;
    if (m == 0) {
        in[m++] = base;
        names[0] = name;
        base = NULL;
    }
    if (rc == 0 && !place.as_is && (m < c->min_models || (c->needs_base && !base)))
        rc = ldl_fail(err, LDL_EINPUT,
                      "tensor %s: %s has no rule for the models that have it; leave it out with "
                      "--tensor-intersection",
                      name, p->recipe.method->name);
    place.t = ldl_gradient_in(stacks, ldl_plan_inputs(p), name);
    return rc ? rc : ldl_plan_add_job(p, in, from, m, base, &place, err);
}

static int partial_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_stacks stacks[LDL_MAX_MODELS + 1] = { { 0 } };
    size_t n = 0, k = 0;
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        n += p->model[i].nviews;
    const char **name = ldl_calloc(n + 1, sizeof *name);
    int rc = name ? ldl_plan_room(p, n, err) : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        rc = ldl_stacks_read(&stacks[i], &p->model[i], NULL, err);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        for (size_t t = 0; t < p->model[i].nviews; t++)
            name[k++] = p->model[i].view[t].name;
    if (k)
        qsort(name, k, sizeof *name, ldl_by_text);
    for (size_t t = 0; rc == 0 && t < k; t++)
        if (t == 0 || strcmp(name[t - 1], name[t]) != 0)
            rc = partial_job(p, name[t], stacks, err);
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        ldl_stacks_free(&stacks[i]);
    ldl_free(name);
    return rc;
}

int ldl_plan_whole(struct ldl_plan *p, struct ldl_err *err)
{
    if (p->recipe.names_rule == LDL_NAMES_ALL)
        return partial_jobs(p, err);
    const struct ldl_model *first = &p->model[0];
    struct ldl_stacks stacks = { 0 };
    int rc = ldl_plan_room(p, first->nviews, err);
    if (rc == 0)
        rc = ldl_stacks_read(&stacks, first, NULL, err);
    for (size_t t = 0; rc == 0 && t < first->nviews; t++)
        rc = whole_job(p, p->recipe.sorted ? first->by_name[t] : &first->view[t], &stacks, err);
    ldl_stacks_free(&stacks);
    return rc;
}
