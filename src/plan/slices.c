/* slices.c -- which input tensors make which output tensor.
 *
 * Whole models: the tensors of one name make the tensor of that name. Slices: output layers are
 * numbered through all slices, and layer k of a slice is made of layer first + k of each source:
 *
 *     slice 0   A 0..3, B 0..3     ->  0 1 2 3
 *     slice 1   A 2..5             ->          4 5 6 7
 *
 * The layers are those of one stack ("model.layers"). Of other tensors those before the layers
 * (embeddings) are made of the sources of the first slice, those after them of the sources of the last. A
 * source that is the base is the base there; each slice may have another.
 *
 * A module (modules.c) has slices of its own, or one that is about whole models. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/stacks.h"
#include "plan/match.h"
#include "plan/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- slices ---- */

/* One output tensor that is being put together. */
struct piece {
    const struct ldl_slice *slice;
    size_t number;    /* of the slice */
    const char *name; /* of the tensor in the first source */
    struct ldl_layer layer;
    int64_t k; /* layer within the slice; -1: it is made by name, */
    double t;  /* with this place in gradients */
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
    at->t = piece->t;
    at->as_is = piece->slice->as_is;
    if (piece->k < 0)
        return 0;
    at->t = ldl_gradient_at((uint64_t)piece->k, (uint64_t)(lead->end - lead->first));
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
        if (s->is_base && !place.as_is) {
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

/* A number that equal sets of tensors in a layer have in common; 0: there are none. */
static uint64_t print_of(const struct ldl_model *m, const struct ldl_stack *s, uint64_t number)
{
    struct ldl_layer layer;
    uint64_t sum = 0;
    for (size_t t = 0; t < m->nviews; t++) {
        const char *name = m->view[t].name;
        if (!ldl_stack_has(s, name, &layer) || layer.number != number)
            continue;
        uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
        for (const char *c = name + layer.at + layer.len; *c; c++)
            h = (h ^ (unsigned char)*c) * 0x100000001b3u;
        sum += h;
    }
    return sum;
}

/* Config and programs know some layers by their number: the first ones without experts, the one that has the
 * position's bias. So it matters when another kind of layer comes to such a place. */
static void note_odd(struct ldl_plan *p, struct ldl_plan_module *m, const struct ldl_model *lead,
                     uint64_t from)
{
    const struct ldl_model *giver = ldl_plan_giver(p);
    if (m->is_odd || (from == m->layers && lead == giver))
        return;
    uint64_t was = print_of(giver, m->stack, m->layers);
    if (!was || was == print_of(lead, m->stack, from))
        return;
    m->is_odd = 1;
    m->odd_layer = m->layers;
    m->odd_from = from;
}

/* All tensors of layer k of the slice. */
static int layer_jobs(struct ldl_plan *p, size_t module, size_t number, int64_t k,
                      struct ldl_err *err)
{
    struct ldl_plan_module *m = &p->module[module];
    const struct ldl_slice *slice = &p->recipe.slice[number];
    const struct ldl_model *lead = &p->model[slice->source[0].model];
    struct piece piece = { .slice = slice, .number = number, .k = k, .output_layer = m->layers };
    int64_t layer = slice->source[0].first + k;
    int rc = 0, found = 0;
    for (size_t t = 0; rc == 0 && t < lead->nviews; t++) {
        piece.name = lead->by_name[t]->name;
        if (!ldl_stack_has(m->stack, piece.name, &piece.layer) ||
            piece.layer.number != (uint64_t)layer)
            continue;
        found = 1;
        rc = piece_job(p, &piece, err);
    }
    if (rc == 0 && !found)
        rc = ldl_fail(err, LDL_EINPUT,
                      "%s: has no layer %lld of %.*s, which layer_range [%lld, %lld] asks for; it "
                      "has %llu, from 0 on",
                      lead->asked, (long long)layer, (int)LDL_MIN(m->stack->len, (size_t)200),
                      m->stack->name, (long long)slice->source[0].first,
                      (long long)slice->source[0].end,
                      (unsigned long long)ldl_plan_layers_in(p, module, lead));
    if (rc == 0)
        note_odd(p, m, lead, (uint64_t)layer);
    m->layers++;
    return rc;
}

/* Of the module's tensors that are not cut into slices: does this one come before those that are? Other
 * stacks are made of the first slice's models, too. */
static int comes_before(const struct ldl_plan_module *m, const char *name)
{
    struct ldl_layer layer;
    return ldl_stacks_find(&m->stacks, name, &layer) || ldl_layer_is_before(name);
}

/* The tensors of the module that are made by name: those before the layers, or after them; of a module of
 * models all. */
static int other_jobs(struct ldl_plan *p, size_t module, size_t number, int before,
                      struct ldl_err *err)
{
    const struct ldl_plan_module *m = &p->module[module];
    const struct ldl_slice *slice = &p->recipe.slice[number];
    const struct ldl_model *lead = &p->model[slice->source[0].model];
    struct piece piece = { .slice = slice, .number = number, .k = -1 };
    int rc = 0;
    for (size_t t = 0; rc == 0 && t < lead->nviews; t++) {
        piece.name = lead->by_name[t]->name;
        if (m->stack && ldl_stack_has(m->stack, piece.name, &piece.layer))
            continue;
        if ((!slice->whole && comes_before(m, piece.name) != before) ||
            ldl_plan_module_of(p, piece.name) != module)
            continue;
        piece.t = ldl_gradient_in(&m->stacks, 1, piece.name);
        rc = piece_job(p, &piece, err);
    }
    return rc;
}

/* Tensors of the module that another model of `models` has and the first one lacks. */
static int check_names(const struct ldl_plan *p, size_t module, struct ldl_err *err)
{
    const struct ldl_slice *slice = &p->recipe.slice[p->recipe.module[module].first];
    const struct ldl_model *lead = ldl_plan_lead(p, module);
    for (size_t i = 1; i < slice->n; i++) {
        const struct ldl_model *m = &p->model[slice->source[i].model];
        for (size_t t = 0; t < m->nviews; t++)
            if (!ldl_model_find(lead, m->by_name[t]->name) &&
                ldl_plan_module_of(p, m->by_name[t]->name) == module)
                return ldl_fail(err, LDL_EINPUT,
                                "%s: tensor %s is missing, which %s has; all models of the module "
                                "%.100s must have the same tensors",
                                lead->asked, m->by_name[t]->name, m->asked,
                                p->recipe.module[module].name);
    }
    return 0;
}

static int64_t layers_of(const struct ldl_slice *s)
{
    return s->whole ? 0 : s->source[0].end - s->source[0].first;
}

static int module_jobs(struct ldl_plan *p, size_t module, struct ldl_err *err)
{
    const struct ldl_module *m = &p->recipe.module[module];
    const struct ldl_slice *slice = p->recipe.slice;
    size_t end = m->first + m->n;
    int rc = other_jobs(p, module, m->first, 1, err);
    if (slice[m->first].whole)
        return rc ? rc : check_names(p, module, err);
    for (size_t s = m->first; rc == 0 && s < end; s++)
        for (int64_t k = 0; rc == 0 && k < layers_of(&slice[s]); k++)
            rc = layer_jobs(p, module, s, k, err);
    return rc ? rc : other_jobs(p, module, end - 1, 0, err);
}

/* ---- what no module has ---- */

static int rest_job(struct ldl_plan *p, size_t model, const struct ldl_view *v, struct ldl_err *err)
{
    size_t at = p->njobs * p->most_inputs;
    const char *name = v->name;
    size_t entry = 0;
    struct ldl_place place = { .name = name, .in = &name, .from = &entry, .as_is = 1 };
    p->views[at] = v;
    p->from[at] = model;
    return ldl_plan_add_job(p, p->views + at, p->from + at, 1, NULL, &place, err);
}

/* Those of a model that none of the models before it has (in the order of rest_jobs()). */
static int rest_of(struct ldl_plan *p, const size_t *order, size_t n, struct ldl_err *err)
{
    const struct ldl_model *m = &p->model[order[n]];
    const char *first = NULL;
    char text[900];
    size_t count = 0;
    int rc = 0;
    for (size_t t = 0; rc == 0 && t < m->nviews; t++) {
        const struct ldl_view *v = m->by_name[t];
        size_t k = 0;
        while (k < n && !ldl_model_find(&p->model[order[k]], v->name))
            k++;
        if (k < n || ldl_plan_module_of(p, v->name) != SIZE_MAX)
            continue;
        first = count++ ? first : v->name;
        rc = rest_job(p, order[n], v, err);
    }
    if (rc || !count)
        return rc;
    const struct ldl_model *giver = ldl_plan_giver(p);
    int lacks = !ldl_model_find(giver, first);
    snprintf(text, sizeof text,
             "modules: no module has %.200s%s: %zu tensor%s of %.200s, taken as %s%s%.200s%s",
             first, count > 1 ? " ..." : "", count, count > 1 ? "s" : "", m->asked,
             count > 1 ? "they are" : "it is", lacks ? "; but config.json is that of " : "",
             lacks ? giver->asked : "", lacks ? ", which lacks them" : "");
    return ldl_plan_note(p, text, err);
}

static int rest_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    size_t order[LDL_MAX_MODELS + 2], n = 0;
    int rc = 0;
    order[n++] = p->recipe.rest_model;
    for (size_t i = 0; i < ldl_plan_inputs(p) && n < LDL_COUNT(order); i++)
        if (i != p->recipe.rest_model)
            order[n++] = i;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = rest_of(p, order, i, err);
    return rc;
}

/* ---- all of it ---- */

static int by_job_name(const void *a, const void *b)
{
    return strcmp(((const struct ldl_job *)a)->name, ((const struct ldl_job *)b)->name);
}

static size_t tensors_of(const struct ldl_plan *p, const struct ldl_stack *stack,
                         const struct ldl_slice *s)
{
    const struct ldl_model *m = &p->model[s->source[0].model];
    struct ldl_layer layer;
    size_t n = 0;
    for (size_t t = 0; t < m->nviews; t++)
        n += ldl_stack_has(stack, m->view[t].name, &layer) &&
             layer.number >= (uint64_t)s->source[0].first &&
             layer.number < (uint64_t)s->source[0].end;
    return n;
}

/* At most: those of the layers, and for each module all that its first and its last slice have beside. */
static size_t most_tensors(const struct ldl_plan *p)
{
    const struct ldl_recipe *r = &p->recipe;
    size_t n = 0;
    for (size_t i = 0; i < r->nmodules; i++) {
        size_t first = r->module[i].first, end = first + r->module[i].n;
        n += p->model[r->slice[first].source[0].model].nviews +
             p->model[r->slice[end - 1].source[0].model].nviews;
        for (size_t s = first; p->module[i].stack && s < end; s++)
            n += tensors_of(p, p->module[i].stack, &r->slice[s]);
    }
    for (size_t i = 0; r->module[0].name && i < ldl_plan_inputs(p); i++)
        n += p->model[i].nviews;
    return n;
}

static int check_twice(const struct ldl_plan *p, struct ldl_err *err)
{
    for (size_t t = 1; t < p->njobs; t++)
        if (strcmp(p->job[t - 1].name, p->job[t].name) == 0)
            return ldl_fail(err, LDL_EINPUT,
                            "the output would have two tensors %s, from different spellings of a "
                            "layer's number",
                            p->job[t].name);
    return 0;
}

/* Slices may leave layers out on purpose, or by a slip: the sum tells. */
static int note_fewer(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *m = p->base ? p->base : &p->model[0];
    uint64_t have = 0, had = 0;
    struct ldl_buf b = { 0 };
    for (size_t t = 0; t < p->njobs; t++)
        have += p->job[t].kind == LDL_JOB_SCALES ? 0 : p->job[t].n;
    for (size_t t = 0; t < m->nviews; t++)
        had += m->view[t].n;
    if (have >= had)
        return 0;
    ldl_buf_printf(&b, "the output has %llu parameters, %.200s has %llu", (unsigned long long)have,
                   m->asked, (unsigned long long)had);
    for (size_t i = 0; i < p->recipe.nmodules; i++) {
        const struct ldl_stack *s = p->module[i].stack;
        uint64_t layers = ldl_plan_layers_in(p, i, m);
        if (s && p->module[i].layers < layers)
            ldl_buf_printf(&b, "; %llu layers of %.*s instead of %llu",
                           (unsigned long long)p->module[i].layers, (int)LDL_MIN(s->len, 200u),
                           s->name, (unsigned long long)layers);
    }
    int rc = b.failed ? ldl_oom(err) : ldl_plan_note(p, b.text, err);
    ldl_buf_free(&b);
    return rc;
}

int ldl_plan_slices(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    int rc = ldl_plan_room(p, most_tensors(p), err);
    for (size_t i = 0; rc == 0 && i < r->nmodules; i++)
        rc = module_jobs(p, i, err);
    if (rc == 0 && r->module[0].name)
        rc = rest_jobs(p, err);
    if (rc == 0 && p->njobs == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "the slices hold no tensors");
    if (rc == 0)
        rc = note_fewer(p, err);
    if (rc || r->dtype == LDL_F8_E4M3) /* there, weights point at the scales behind them */
        return rc;
    qsort(p->job, p->njobs, sizeof *p->job, by_job_name);
    return check_twice(p, err);
}
