/* slices.c -- which input tensors make which output tensor.
 *
 * Whole models: the tensors of one name make the tensor of that name. Slices: output layers are
 * numbered through all slices, and layer k of a slice is made of layer first + k of each source:
 *
 *     slice 0   A 0..3, B 0..3     ->  0 1 2 3
 *     slice 1   A 2..5             ->          4 5 6 7
 *
 * Tensors of no layer: those before the layers (embeddings) are made of the sources of the first slice,
 * those after them of the sources of the last. A source that is the base is the base there; each slice
 * may have another. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layers.h"
#include "plan/match.h"
#include "plan/parts.h"

#include <stdlib.h>
#include <string.h>

/* Room for jobs of `tensors` tensors (each may get scales). */
static int make_room(struct ldl_plan *p, size_t tensors, struct ldl_err *err)
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

/* 0 at the first of n layers, 1 at the last; of one layer 1. */
static double gradient_at(uint64_t k, uint64_t n)
{
    return n > 1 ? (double)k / (double)(n - 1) : 1;
}

/* A stack of layers, remembered from one tensor to the next: names come sorted. */
struct stack {
    const char *name;
    size_t at;
    uint64_t layers;
};

/* The place of a tensor of whole models in its stack; 0 for those of no layer. */
static double place_in(const struct ldl_plan *p, size_t models, const char *name, struct stack *s)
{
    struct ldl_layer layer;
    if (!ldl_layer_of(name, &layer))
        return 0;
    if (!s->name || s->at != layer.at || strncmp(s->name, name, layer.at) != 0) {
        *s = (struct stack){ .name = name, .at = layer.at };
        for (size_t i = 0; i < models; i++)
            s->layers = LDL_MAX(s->layers, ldl_layer_count_in(&p->model[i], name, layer.at));
    }
    return gradient_at(layer.number, s->layers);
}

/* ---- whole models ---- */

static int whole_job(struct ldl_plan *p, const struct ldl_view *first, struct stack *stack,
                     struct ldl_err *err)
{
    const struct ldl_view **in = p->views + p->njobs * p->most_inputs;
    const char *names[LDL_MAX_MODELS];
    for (size_t i = 0; i < p->nmodels; i++) {
        in[i] = i ? ldl_model_find(&p->model[i], first->name) : first;
        names[i] = first->name;
    }
    struct ldl_place at = { .name = first->name, .in = names };
    at.t = place_in(p, 1, first->name, stack);
    return ldl_plan_add_job(p, in, NULL, p->nmodels,
                            p->base ? ldl_model_find(p->base, first->name) : NULL, &at, err);
}

/* ---- whole models with other names ---- */

/* A tensor that some models lack. What one of them alone has is the output's as it is. */
static int partial_job(struct ldl_plan *p, const char *name, struct stack *stack,
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
    place.t = place_in(p, ldl_plan_inputs(p), name, stack);
    return rc ? rc : ldl_plan_add_job(p, in, from, m, base, &place, err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int partial_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    struct stack stack = { 0 };
    size_t n = 0, k = 0;
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        n += p->model[i].nviews;
    const char **name = ldl_calloc(n + 1, sizeof *name);
    int rc = name ? make_room(p, n, err) : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        for (size_t t = 0; t < p->model[i].nviews; t++)
            name[k++] = p->model[i].view[t].name;
    if (k)
        qsort(name, k, sizeof *name, by_text);
    for (size_t t = 0; rc == 0 && t < k; t++)
        if (t == 0 || strcmp(name[t - 1], name[t]) != 0)
            rc = partial_job(p, name[t], &stack, err);
    ldl_free(name);
    return rc;
}

int ldl_plan_whole(struct ldl_plan *p, struct ldl_err *err)
{
    if (p->recipe.names_rule == LDL_NAMES_ALL)
        return partial_jobs(p, err);
    const struct ldl_model *first = &p->model[0];
    struct stack stack = { 0 };
    int rc = make_room(p, first->nviews, err);
    for (size_t t = 0; rc == 0 && t < first->nviews; t++)
        rc = whole_job(p, p->recipe.sorted ? first->by_name[t] : &first->view[t], &stack, err);
    return rc;
}

/* ---- slices ---- */

/* One output tensor that is being put together. */
struct piece {
    const struct ldl_slice *slice;
    size_t number;    /* of the slice */
    const char *name; /* of the tensor in the first source */
    struct ldl_layer layer;
    int64_t k; /* layer within the slice; -1: of no layer */
    uint64_t output_layer;
};

/* The piece's name with another layer number, kept by the plan. */
static const char *renumbered(struct ldl_plan *p, const struct piece *piece, uint64_t number)
{
    struct ldl_buf b = { 0 };
    ldl_buf_put(&b, piece->name, piece->layer.at);
    ldl_buf_printf(&b, "%llu%s", (unsigned long long)number,
                   piece->name + piece->layer.at + piece->layer.len);
    int failed = b.failed || ldl_names_add(&p->made_names, b.text);
    ldl_buf_free(&b);
    return failed ? NULL : p->made_names.name[p->made_names.n - 1];
}

/* The source's tensor for the piece. */
static int find_view(struct ldl_plan *p, const struct piece *piece,
                     const struct ldl_slice_source *s, const struct ldl_view **v,
                     struct ldl_err *err)
{
    const struct ldl_model *model = &p->model[s->model];
    const char *name = piece->name;
    if (piece->k >= 0 && !(name = renumbered(p, piece, (uint64_t)(s->first + piece->k))))
        return ldl_oom(err);
    if ((*v = ldl_model_find(model, name)))
        return 0;
    return ldl_fail(err, LDL_EINPUT,
                    "%s: tensor %s is missing, which other models of slice %zu have", model->asked,
                    name, piece->number);
}

static int place_of(struct ldl_plan *p, const struct piece *piece, struct ldl_place *at,
                    struct ldl_err *err)
{
    const struct ldl_slice_source *lead = &piece->slice->source[0];
    at->slice = piece->number;
    at->name = piece->name;
    if (piece->k < 0)
        return 0;
    at->t = gradient_at((uint64_t)piece->k, (uint64_t)(lead->end - lead->first));
    at->name = renumbered(p, piece, piece->output_layer);
    return at->name ? 0 : ldl_oom(err);
}

static int piece_job(struct ldl_plan *p, const struct piece *piece, struct ldl_err *err)
{
    size_t at = p->njobs * p->most_inputs, m = 0, base_model = 0, *from = p->from + at;
    const struct ldl_view **in = p->views + at, *base = NULL, *first = NULL, *v = NULL;
    const struct ldl_model *first_model = &p->model[piece->slice->source[0].model];
    const char *names[LDL_MAX_MODELS];
    size_t entries[LDL_MAX_MODELS];
    struct ldl_place place = { .in = names, .from = entries };
    int rc = place_of(p, piece, &place, err);
    for (size_t i = 0; rc == 0 && i < piece->slice->n; i++) {
        const struct ldl_slice_source *s = &piece->slice->source[i];
        if ((rc = find_view(p, piece, s, &v, err)))
            break;
        if (first)
            rc = ldl_match_pair(first, first_model, v, &p->model[s->model], err);
        else
            first = v;
        if (s->is_base) {
            base = v;
            base_model = s->model;
            continue;
        }
        names[m] = v->name;
        entries[m] = s->entry;
        from[m] = s->model;
        in[m++] = v;
    }
    if (base)
        from[m] = base_model;
    return rc ? rc : ldl_plan_add_job(p, in, from, m, base, &place, err);
}

/* All tensors of layer k of the slice. */
static int layer_jobs(struct ldl_plan *p, size_t number, int64_t k, struct ldl_err *err)
{
    const struct ldl_slice *slice = &p->recipe.slice[number];
    const struct ldl_model *lead = &p->model[slice->source[0].model];
    struct piece piece = { .slice = slice, .number = number, .k = k, .output_layer = p->layers };
    int64_t layer = slice->source[0].first + k;
    int rc = 0, found = 0;
    for (size_t t = 0; rc == 0 && t < lead->nviews; t++) {
        piece.name = lead->by_name[t]->name;
        if (!ldl_layer_of(piece.name, &piece.layer) || piece.layer.number != (uint64_t)layer)
            continue;
        found = 1;
        rc = piece_job(p, &piece, err);
    }
    if (rc == 0 && !found)
        rc = ldl_fail(
            err, LDL_EINPUT,
            "%s: has no layer %lld, which layer_range [%lld, %lld] asks for; it has %llu, from "
            "0 on",
            lead->asked, (long long)layer, (long long)slice->source[0].first,
            (long long)slice->source[0].end, (unsigned long long)ldl_layer_count(lead));
    p->layers++;
    return rc;
}

/* The tensors of no layer that come before the layers, or after them. */
static int other_jobs(struct ldl_plan *p, size_t number, int before, struct ldl_err *err)
{
    const struct ldl_slice *slice = &p->recipe.slice[number];
    const struct ldl_model *lead = &p->model[slice->source[0].model];
    struct piece piece = { .slice = slice, .number = number, .k = -1 };
    int rc = 0;
    for (size_t t = 0; rc == 0 && t < lead->nviews; t++) {
        piece.name = lead->by_name[t]->name;
        if (!ldl_layer_of(piece.name, &piece.layer) && ldl_layer_is_before(piece.name) == before)
            rc = piece_job(p, &piece, err);
    }
    return rc;
}

static int by_job_name(const void *a, const void *b)
{
    return strcmp(((const struct ldl_job *)a)->name, ((const struct ldl_job *)b)->name);
}

static int64_t layers_of(const struct ldl_slice *s)
{
    return s->source[0].end - s->source[0].first;
}

/* At most: every tensor of a model for each of its layers. */
static size_t most_tensors(const struct ldl_plan *p)
{
    const struct ldl_recipe *r = &p->recipe;
    size_t n = 0;
    for (size_t s = 0; s < r->nslices; s++) {
        const struct ldl_model *lead = &p->model[r->slice[s].source[0].model];
        uint64_t each = lead->nviews / LDL_MAX(ldl_layer_count(lead), (uint64_t)1) + 1;
        n += 2 * lead->nviews + (size_t)(2 * each * (uint64_t)layers_of(&r->slice[s]));
    }
    return n;
}

/* A slice takes layers by number. In a model with several stacks it would take those of all, and lose the
 * others without a word. */
static int check_stacks(const struct ldl_plan *p, struct ldl_err *err)
{
    const char *name[2];
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        if (ldl_layer_stacks(&p->model[i], name))
            return ldl_fail(
                err, LDL_EINPUT,
                "%s: slices of a model with several stacks of layers (%.200s, %.200s) are not "
                "in this build; write models instead of slices",
                p->model[i].asked, name[0], name[1]);
    return 0;
}

int ldl_plan_slices(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    int rc = check_stacks(p, err);
    if (rc == 0)
        rc = make_room(p, most_tensors(p), err);
    if (rc == 0)
        rc = other_jobs(p, 0, 1, err);
    for (size_t s = 0; rc == 0 && s < r->nslices; s++)
        for (int64_t k = 0; rc == 0 && k < layers_of(&r->slice[s]); k++)
            rc = layer_jobs(p, s, k, err);
    if (rc == 0)
        rc = other_jobs(p, r->nslices - 1, 0, err);
    if (rc == 0 && p->njobs == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "the slices hold no tensors");
    if (rc == 0 && r->dtype != LDL_F8_E4M3) /* there, weights point at the scales behind them */
        qsort(p->job, p->njobs, sizeof *p->job, by_job_name);
    return rc;
}
