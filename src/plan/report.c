/* report.c -- the audit of a merge as JSON: where each tensor of each input went, or why nowhere.
 *
 *     {"output": "OUT", "method": "ties", "parameters": 123, "tensors": 4,
 *      "models": [{"path": "A", "role": "model", "parameters": 123, "tensors": [
 *          {"name": "x", "parameters": 64, "output": ["x"]},
 *          {"name": "y", "parameters": 64, "reason": "no slice takes layer 3"}, ...]}, ...],
 *      "results": [{"name": "stage1", "method": ...}, ...]}
 *
 * Parameters are elements of tensors. "results" are the recipe's other documents that were used, in the same
 * form; a model that is one of them names its tensors as they are there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layers.h"
#include "model/tied.h"
#include "plan/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A view and a job that reads it. */
struct use {
    const struct ldl_view *view;
    const struct ldl_job *job;
};
struct uses {
    struct use *use; /* in the order of views, then of jobs */
    size_t n;
};

static int by_view(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    if (x->view != y->view)
        return (uintptr_t)x->view < (uintptr_t)y->view ? -1 : 1;
    return x->job < y->job ? -1 : x->job > y->job;
}

static int find_uses(const struct ldl_plan *p, struct uses *u, struct ldl_err *err)
{
    size_t n = 0;
    for (size_t t = 0; t < p->njobs; t++)
        n += ldl_job_inputs(&p->job[t]);
    if (!(u->use = ldl_calloc(n + 1, sizeof *u->use)))
        return ldl_oom(err);
    for (size_t t = 0; t < p->njobs; t++)
        for (size_t i = 0; p->job[t].kind != LDL_JOB_SCALES && i < ldl_job_inputs(&p->job[t]); i++)
            u->use[u->n++] = (struct use){ ldl_job_input(&p->job[t], i), &p->job[t] };
    if (u->n)
        qsort(u->use, u->n, sizeof *u->use, by_view);
    return 0;
}

/* The first use of the view; u->n when there is none. */
static size_t first_use(const struct uses *u, const struct ldl_view *v)
{
    size_t lo = 0, hi = u->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if ((uintptr_t)u->use[mid].view < (uintptr_t)v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < u->n && u->use[lo].view == v ? lo : u->n;
}

/* ---- one tensor ---- */

static void put_name(struct ldl_buf *b, int first, const char *name, uint64_t n)
{
    ldl_buf_printf(b, "%s\n      {\"name\": ", first ? "" : ",");
    ldl_buf_json(b, name);
    ldl_buf_printf(b, ", \"parameters\": %llu, ", (unsigned long long)n);
}

/* Of a model whose tensor no slice and no module takes. */
static void put_unused(struct ldl_buf *b, const struct ldl_plan *p, const struct ldl_view *v)
{
    char reason[200] = "no slice takes it";
    struct ldl_layer layer;
    size_t i = p->module ? ldl_plan_module_of(p, v->name) : SIZE_MAX;
    const struct ldl_plan_module *m = i == SIZE_MAX ? NULL : &p->module[i];
    if (p->module && !m)
        snprintf(reason, sizeof reason, "of no module: another model gives it");
    else if (m && !m->stack)
        snprintf(reason, sizeof reason, "the module %.100s is made of other models",
                 p->recipe.module[i].name);
    else if (m && ldl_stack_has(m->stack, v->name, &layer))
        snprintf(reason, sizeof reason, "no slice takes layer %llu",
                 (unsigned long long)layer.number);
    else if (m && ldl_layer_of(v->name, &layer))
        snprintf(reason, sizeof reason, "of other layers: the first slice's models give it");
    else if (m)
        snprintf(reason, sizeof reason, "of no layer: the %s slice's models give it",
                 ldl_layer_is_before(v->name) ? "first" : "last");
    ldl_buf_puts(b, "\"reason\": ");
    ldl_buf_json(b, reason);
    ldl_buf_puts(b, "}");
}

static void put_view(struct ldl_buf *b, const struct ldl_plan *p, const struct uses *u,
                     const struct ldl_view *v, int first)
{
    size_t i = first_use(u, v), n = 0;
    put_name(b, first, v->name, v->n);
    if (i == u->n) {
        put_unused(b, p, v);
        return;
    }
    ldl_buf_puts(b, "\"output\": [");
    for (; i < u->n && u->use[i].view == v; i++) {
        ldl_buf_puts(b, n++ ? ", " : "");
        ldl_buf_json(b, u->use[i].job->name);
    }
    ldl_buf_puts(b, "]}");
}

/* ---- tensors that are in a file and no view ---- */

static int by_stored(const void *a, const void *b)
{
    const struct ldl_stored *x = *(const struct ldl_stored *const *)a,
                            *y = *(const struct ldl_stored *const *)b;
    return (uintptr_t)x < (uintptr_t)y ? -1 : (uintptr_t)x > (uintptr_t)y;
}

static const char *reason_for(const struct ldl_plan *p, const char *name)
{
    if (strstr(name, "_scale"))
        return "a scale, used where its weight is read";
    if (p->recipe.names_rule == LDL_NAMES_COMMON)
        return "not all models have it";
    if (ldl_tied_is_head(name) || strstr(name, "embed"))
        return "tied to another tensor by config.json";
    return "left out when the model was opened";
}

static int put_hidden(struct ldl_buf *b, const struct ldl_plan *p, const struct ldl_model *m,
                      int first, struct ldl_err *err)
{
    const struct ldl_stored **seen = ldl_calloc(m->nviews + 1, sizeof *seen);
    if (!seen)
        return ldl_oom(err);
    for (size_t i = 0; i < m->nviews; i++)
        seen[i] = m->view[i].stored;
    qsort(seen, m->nviews, sizeof *seen, by_stored);
    for (size_t f = 0; f < m->nfiles; f++)
        for (size_t t = 0; t < m->file[f].ntensors; t++) {
            const struct ldl_stored *s = &m->file[f].tensor[t];
            if (bsearch(&s, seen, m->nviews, sizeof *seen, by_stored) || ldl_model_find(m, s->name))
                continue;
            put_name(b, first, s->name, s->n);
            ldl_buf_puts(b, "\"reason\": ");
            ldl_buf_json(b, reason_for(p, s->name));
            ldl_buf_puts(b, "}");
            first = 0;
        }
    ldl_free(seen);
    return 0;
}

/* ---- models and documents ---- */

static int put_model(struct ldl_buf *b, const struct ldl_plan *p, const struct uses *u, size_t i,
                     struct ldl_err *err)
{
    const struct ldl_model *m = &p->model[i];
    uint64_t n = 0;
    for (size_t t = 0; t < m->nviews; t++)
        n += m->view[t].n;
    ldl_buf_printf(b, "%s\n    {\"path\": ", i ? "," : "");
    ldl_buf_json(b, m->asked);
    ldl_buf_printf(b, ", \"role\": \"%s\", \"parameters\": %llu, \"tensors\": [",
                   i < p->nmodels ? "model" : "base", (unsigned long long)n);
    for (size_t t = 0; t < m->nviews; t++)
        put_view(b, p, u, m->by_name[t], t == 0);
    int rc = put_hidden(b, p, m, m->nviews == 0, err);
    ldl_buf_puts(b, "\n    ]}");
    return rc;
}

/* Everything of one plan, without the brackets. */
static int put_plan(struct ldl_buf *b, const struct ldl_plan *p, struct ldl_err *err)
{
    struct uses u = { 0 };
    uint64_t n = 0;
    size_t tensors = 0;
    for (size_t t = 0; t < p->njobs; t++) {
        n += p->job[t].kind == LDL_JOB_SCALES ? 0 : p->job[t].n;
        tensors += p->job[t].kind != LDL_JOB_SCALES;
    }
    ldl_buf_printf(b,
                   "\"method\": \"%s\", \"parameters\": %llu, \"tensors\": %zu,\n  \"models\": [",
                   p->recipe.method->name, (unsigned long long)n, tensors);
    int rc = find_uses(p, &u, err);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        rc = put_model(b, p, &u, i, err);
    ldl_buf_puts(b, "\n  ]");
    ldl_free(u.use);
    return rc;
}

int ldl_plan_report(const struct ldl_plan *p, struct ldl_buf *b, struct ldl_err *err)
{
    const struct ldl_results *x = p->results;
    ldl_buf_puts(b, "{\"output\": ");
    ldl_buf_json(b, p->recipe.output);
    ldl_buf_puts(b, ", ");
    int rc = put_plan(b, p, err), first = 1;
    ldl_buf_puts(b, ",\n  \"results\": [");
    for (size_t i = 0; rc == 0 && x && i < x->n; i++) {
        if (!x->begun[i])
            continue;
        ldl_buf_puts(b, first ? "\n  {\"name\": " : ",\n  {\"name\": ");
        ldl_buf_json(b, x->part[i].name);
        ldl_buf_puts(b, ", ");
        rc = put_plan(b, &x->plan[i], err);
        ldl_buf_puts(b, "}");
        first = 0;
    }
    ldl_buf_puts(b, "]}\n");
    return rc ? rc : b->failed ? ldl_oom(err) : 0;
}
