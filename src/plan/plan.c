/* plan.c -- see plan.h. In the order of ldl_plan_make(): open the models, match them, make the jobs;
 * then (parts.h) lay out the shards, write the index, find the side files. */
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

/* What the files say they hold beside tensors. */
static int take_notes(struct ldl_plan *p, const struct ldl_model *m, struct ldl_err *err)
{
    char text[1024];
    int rc = 0;
    for (size_t f = 0; f < m->nfiles; f++)
        for (size_t i = 0; rc == 0 && i < m->file[f].note.n; i++) {
            snprintf(text, sizeof text, "%s: %s", m->file[f].path, m->file[f].note.name[i]);
            rc = ldl_plan_note(p, text, err);
        }
    return rc;
}

static int open_models(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    size_t n = r->nmodels + (r->base != NULL);
    if (!(p->model = ldl_calloc(n, sizeof *p->model)))
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++) {
        const char *asked = i < r->nmodels ? r->model[i] : r->base;
        int rc = ldl_model_open(&p->model[i], asked, r->prefix, err);
        if (rc)
            return rc;
        p->bytes_in += p->model[i].bytes;
        if ((rc = take_notes(p, &p->model[i], err)))
            return rc;
    }
    p->nmodels = r->nmodels;
    p->base = r->base ? &p->model[n - 1] : NULL;
    int rc = ldl_models_tie(p->model, n, err);
    return rc ? rc : ldl_match(p->model, n, err);
}

/* ---- jobs ---- */

/* GGUF: one-dimensional tensors stay f32, as the programs that read such files want them; Q8_0
 * takes rows of whole blocks. Without a word from the user each tensor keeps its type. */
static enum ldl_dtype gguf_dtype(const struct ldl_view *v, const struct ldl_job *j,
                                 enum ldl_dtype want)
{
    int blocks = j->ndim > 0 && j->dim[j->ndim - 1] % ldl_dtype_unit(LDL_Q8_0) == 0;
    if (want == LDL_DTYPES)
        want = ldl_dtype_unit(v->stored->dtype) > 1 ? LDL_Q8_0 : v->stored->dtype;
    else if (j->ndim < 2)
        return LDL_F32;
    if (want == LDL_F64 || (want == LDL_Q8_0 && !blocks))
        return want == LDL_F64 ? LDL_F32 : LDL_F16;
    return want == LDL_U16_BF16 ? LDL_BF16 : want;
}

static enum ldl_dtype output_dtype(const struct ldl_plan *p, const struct ldl_job *j)
{
    const struct ldl_view *v = j->base ? j->base : j->in[0];
    if (!ldl_dtype_is_float(v->dtype))
        return v->dtype;
    if (strcmp(p->container->name, "gguf") == 0)
        return gguf_dtype(v, j, p->recipe.dtype);
    return p->recipe.dtype == LDL_DTYPES ? v->dtype : p->recipe.dtype;
}

/* Tensors without arithmetic; and all of one model that is only copied, where its bytes will do. */
static int is_copy(const struct ldl_plan *p, const struct ldl_job *j)
{
    const struct ldl_view *v = j->in[0];
    if (!ldl_dtype_is_float(v->dtype) || v->n == 0)
        return 1;
    return p->merge.method->combiner->identity && v->ops->fetch && v->stored->dtype == j->dtype;
}

static int make_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *first = &p->model[0];
    size_t m = p->nmodels;
    p->njobs = first->nviews;
    p->job = ldl_calloc(p->njobs, sizeof *p->job);
    p->views = ldl_calloc(p->njobs * m, sizeof *p->views);
    if (!p->job || !p->views)
        return ldl_oom(err);
    int wide = 0;
    for (size_t t = 0; t < p->njobs; t++) {
        struct ldl_job *j = &p->job[t];
        j->in = p->views + t * m;
        j->in[0] = &first->view[t];
        for (size_t i = 1; i < m; i++)
            j->in[i] = ldl_model_find(&p->model[i], first->view[t].name);
        j->base = p->base ? ldl_model_find(p->base, first->view[t].name) : NULL;
        j->name = j->in[0]->name;
        j->ndim = j->in[0]->ndim;
        j->n = j->in[0]->n;
        memcpy(j->dim, j->in[0]->dim, sizeof j->dim);
        j->dtype = output_dtype(p, j);
        j->bytes = ldl_dtype_span(j->dtype, j->n);
        j->copy = is_copy(p, j);
        for (size_t i = 0; i < m; i++)
            wide |= !j->copy && j->in[i]->dtype == LDL_F64;
    }
    return wide ? ldl_plan_note(
                      p, "float64 tensors are computed in float32, so they lose precision", err)
                : 0;
}

uint64_t ldl_job_state_bytes(const struct ldl_plan *p, const struct ldl_job *j)
{
    uint64_t sum = j->copy ? 0 : ldl_merge_state_bytes(&p->merge, j->n);
    for (size_t i = 0; !j->copy && i < ldl_plan_inputs(p); i++)
        sum += ldl_view_state_bytes(ldl_job_input(p, j, i));
    return sum;
}

uint64_t ldl_job_acc_bytes(const struct ldl_plan *p, const struct ldl_job *j)
{
    return j->copy ? 0 : ldl_merge_acc_bytes(&p->merge, j->n);
}

/* ---- all of it ---- */

int ldl_plan_make(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_err *err)
{
    *p = (struct ldl_plan){ .recipe = *recipe };
    *recipe = (struct ldl_recipe){ 0 };
    struct ldl_recipe *r = &p->recipe;
    if (r->method == &recipe->own_method) /* the row lived inside the recipe that moved */
        r->method = &r->own_method;
    p->container = ldl_format_find(r->format);
    int rc = ldl_merge_init(&p->merge, r->method, r->nmodels, r->seed, r->value, r->nvalues, err);
    if (rc == 0)
        rc = open_models(p, err);
    if (rc == 0)
        rc = make_jobs(p, err);
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
    ldl_free(p->index_name);
    ldl_buf_free(&p->index);
    ldl_buf_free(&p->config);
    ldl_names_free(&p->side);
    ldl_merge_free(&p->merge);
    ldl_recipe_free(&p->recipe);
    *p = (struct ldl_plan){ 0 };
}
