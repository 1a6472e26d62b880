/* plan.c -- see plan.h. In the order of ldl_plan_make(): open the models and match them; then
 * (parts.h) make the jobs, lay out the shards, write the index, find the side files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"
#include "model/tied.h"
#include "plan/match.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- models ---- */

int ldl_plan_note(struct ldl_plan *p, const char *text, struct ldl_err *err)
{
    return ldl_names_add(&p->recipe.note, text) ? ldl_oom(err) : 0;
}

/* What a model and its files say they hold beside tensors. */
static int take_notes(struct ldl_plan *p, const struct ldl_model *m, struct ldl_err *err)
{
    char text[1024];
    int rc = 0;
    for (size_t f = 0; f < m->nfiles; f++)
        for (size_t i = 0; rc == 0 && i < m->file[f].note.n; i++) {
            snprintf(text, sizeof text, "%s: %s", m->file[f].path, m->file[f].note.name[i]);
            rc = ldl_plan_note(p, text, err);
        }
    for (size_t i = 0; rc == 0 && i < m->note.n; i++)
        rc = ldl_plan_note(p, m->note.name[i], err);
    return rc;
}

/* Why the output's config.json says another thing than the model's. */
static int note_untied(struct ldl_plan *p, size_t n, struct ldl_err *err)
{
    char text[512];
    for (size_t i = 0; i < n; i++) {
        if (!p->model[i].untied)
            continue;
        snprintf(text, sizeof text,
                 "%.200s: its head was its embedding and is a tensor of its own now; config.json "
                 "gets tie_word_embeddings false",
                 p->model[i].asked);
        return ldl_plan_note(p, text, err);
    }
    return 0;
}

static int open_models(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    size_t n = r->nmodels + (r->base != NULL);
    if (!(p->model = ldl_calloc(n, sizeof *p->model)))
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++) {
        const char *asked = i < r->nmodels ? r->model[i] : r->base;
        int rc = ldl_plan_open(p, &p->model[i], asked, i == 0 ? r->lora : NULL, err);
        if (rc)
            return rc;
        p->bytes_in += p->model[i].bytes;
        if ((rc = take_notes(p, &p->model[i], err)))
            return rc;
    }
    p->nmodels = r->nmodels;
    p->base = r->base ? &p->model[n - 1] : NULL;
    int rc = r->donor ? ldl_plan_open(p, &p->donor, r->donor, NULL, err) : 0;
    if (rc == 0 && r->names_rule == LDL_NAMES_COMMON)
        rc = ldl_plan_common(p, err);
    if (rc == 0 && r->fill)
        rc = ldl_plan_fit(p, err);
    if (rc == 0)
        rc = ldl_models_tie(p->model, n, err);
    if (rc == 0)
        rc = note_untied(p, n, err);
    if (rc || r->nslices || r->names_rule == LDL_NAMES_ALL) /* compared tensor by tensor */
        return rc;
    return ldl_match(p->model, n, err);
}

/* ---- the method with its parameters ---- */

static int make_merge(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    struct ldl_value_settings s;
    if (!(p->merge = ldl_calloc(1, sizeof *p->merge)))
        return ldl_oom(err);
    if (r->fill)
        return 0; /* each tensor gets its own */
    ldl_value_settings(&s, r->value, r->nvalues);
    int rc = ldl_merge_init(&p->merge[0], r->method, r->nmodels, r->seed, &s.settings, err);
    p->nmerges = rc == 0;
    return rc;
}

/* ---- all of it ---- */

/* Documents that nobody needs. */
static int note_idle_parts(struct ldl_plan *p, struct ldl_err *err)
{
    char text[300];
    int rc = 0;
    for (size_t i = 0; rc == 0 && p->results && i < p->results->n; i++) {
        if (p->results->begun[i])
            continue;
        snprintf(text, sizeof text, "recipe '%.200s' is not used, so it is not made",
                 p->results->part[i].name);
        rc = ldl_plan_note(p, text, err);
    }
    return rc;
}

int ldl_plan_begin(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_results *results,
                   struct ldl_err *err)
{
    *p = (struct ldl_plan){ .recipe = *recipe };
    *recipe = (struct ldl_recipe){ 0 };
    struct ldl_recipe *r = &p->recipe;
    if (r->method == &recipe->own_method) /* the row lived inside the recipe that moved */
        r->method = &r->own_method;
    p->results = results;
    p->container = ldl_format_find(r->format);
    int rc = r->nparts ? ldl_results_new(p, err) : 0;
    if (rc == 0)
        rc = make_merge(p, err);
    if (rc == 0)
        rc = open_models(p, err);
    if (rc == 0)
        rc = ldl_plan_jobs(p, err);
    return rc;
}

int ldl_plan_make(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_err *err)
{
    int rc = ldl_plan_begin(p, recipe, NULL, err);
    if (rc == 0)
        rc = note_idle_parts(p, err);
    if (rc == 0)
        rc = ldl_plan_shards(p, err);
    if (rc == 0)
        rc = ldl_plan_index(p, err);
    if (rc == 0)
        rc = ldl_plan_side(p, err);
    if (rc)
        ldl_plan_free(p);
    return rc;
}

void ldl_plan_free(struct ldl_plan *p)
{
    size_t n = p->model ? p->recipe.nmodels + (p->recipe.base != NULL) : 0;
    for (size_t i = 0; i < n; i++)
        ldl_model_close(&p->model[i]);
    ldl_free(p->model);
    for (size_t s = 0; p->shard && s < p->nshards; s++) {
        ldl_free(p->shard[s].name);
        ldl_buf_free(&p->shard[s].header);
    }
    ldl_free(p->shard);
    ldl_free(p->job);
    ldl_free(p->views);
    ldl_free(p->from);
    for (size_t i = 0; p->module && i < p->recipe.nmodules; i++)
        ldl_stacks_free(&p->module[i].stacks);
    ldl_free(p->module);
    ldl_model_close(&p->donor);
    ldl_names_free(&p->made_names);
    ldl_free(p->index_name);
    ldl_buf_free(&p->index);
    for (size_t i = 0; i < p->nedited; i++)
        ldl_buf_free(&p->edited[i].text);
    ldl_free(p->tokenizer_dir);
    ldl_free(p->vocabulary.line);
    ldl_names_free(&p->side);
    for (size_t i = 0; i < p->nmerges; i++)
        ldl_merge_free(&p->merge[i]);
    ldl_free(p->merge);
    if (p->owns_results)
        ldl_results_free(p->results);
    ldl_recipe_free(&p->recipe);
    *p = (struct ldl_plan){ 0 };
}
