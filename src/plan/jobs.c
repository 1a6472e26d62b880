/* jobs.c -- one job for each tensor of the output: its inputs, its type, what is done to it.
 *
 * The output has the first model's tensors in its order. Written as FP8, a weight is two tensors: the
 * second, its scales, is a job of its own without inputs, which the weight's job fills in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fp8_out.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- types ---- */

static int is_gguf(const struct ldl_plan *p)
{
    return strcmp(p->container->name, "gguf") == 0;
}

/* GGUF: one-dimensional tensors stay f32, as the programs that read such files want them; Q8_0
 * takes rows of whole blocks. Without a word from the user each tensor keeps its type, where it is
 * one that is written. */
static enum ldl_dtype gguf_dtype(const struct ldl_view *v, const struct ldl_job *j,
                                 enum ldl_dtype want)
{
    enum ldl_dtype stored = v->stored->dtype;
    int blocks = j->ndim > 0 && j->dim[j->ndim - 1] % ldl_dtype_unit(LDL_Q8_0) == 0;
    if (want != LDL_DTYPES)
        return j->ndim < 2 ? LDL_F32 : want == LDL_Q8_0 && !blocks ? LDL_F16 : want;
    if (ldl_dtype_unit(stored) > 1)
        return LDL_Q8_0;
    return stored == LDL_F32 || stored == LDL_F16 ? stored : stored == LDL_F64 ? LDL_F32 : LDL_BF16;
}

/* The type for numbers of both; f16 and bf16 together need f32. */
static enum ldl_dtype wider(enum ldl_dtype a, enum ldl_dtype b)
{
    if (a == b || !ldl_dtype_is_float(a) || !ldl_dtype_is_float(b))
        return a;
    return a == LDL_F64 || b == LDL_F64 ? LDL_F64 : LDL_F32;
}

/* The view whose type the output takes on. */
static const struct ldl_view *model_of_type(const struct ldl_job *j)
{
    return j->base ? j->base : j->in[0];
}

/* Without a word from the user. */
static enum ldl_dtype own_dtype(const struct ldl_job *j)
{
    enum ldl_dtype t = model_of_type(j)->dtype;
    for (size_t i = 0; j->merge->method->combiner->promotes && i < j->m; i++)
        t = wider(t, j->in[i]->dtype);
    return t;
}

static int in_fp8_blocks(const struct ldl_plan *p, const struct ldl_job *j)
{
    const struct ldl_view *v = model_of_type(j);
    return p->recipe.dtype == LDL_F8_E4M3 && ldl_dtype_is_float(v->dtype) &&
           ldl_fp8_takes(j->name, j->ndim, j->dim, ldl_fp8_is(v) || ldl_fp8_is(j->in[0]));
}

static enum ldl_dtype output_dtype(const struct ldl_plan *p, const struct ldl_job *j)
{
    const struct ldl_view *v = model_of_type(j);
    int is_f8 = v->dtype == LDL_F8_E4M3 || v->dtype == LDL_F8_E5M2;
    if (!ldl_dtype_is_float(v->dtype))
        return v->dtype;
    if (is_gguf(p))
        return gguf_dtype(v, j, p->recipe.dtype);
    if (p->recipe.dtype == LDL_F8_E4M3) /* those that are not taken into blocks */
        return is_f8 ? LDL_BF16 : v->dtype;
    return p->recipe.dtype == LDL_DTYPES ? own_dtype(j) : p->recipe.dtype;
}

/* Tensors without arithmetic; and all of one model that is only copied, where its bytes will do. */
static enum ldl_job_kind kind_of(const struct ldl_job *j)
{
    const struct ldl_view *v = j->in[0];
    int same = v->ops->fetch && v->stored->dtype == j->dtype && !j->scales;
    if (!ldl_dtype_is_float(v->dtype) || v->n == 0)
        return LDL_JOB_COPY;
    const struct ldl_combiner *c = j->merge->method->combiner;
    int identity = c->is_identity && c->is_identity(j->merge->combiner_params);
    return identity && same ? LDL_JOB_COPY : LDL_JOB_MERGE;
}

/* ---- jobs ---- */

/* The job of the scales of `weight`, put behind it. */
static int add_scales(struct ldl_plan *p, struct ldl_job *weight, struct ldl_err *err)
{
    struct ldl_job *j = &p->job[p->njobs++];
    char name[1024];
    int n = snprintf(name, sizeof name, "%s_scale_inv", weight->name);
    if (n < 0 || (size_t)n >= sizeof name)
        return ldl_fail(err, LDL_EINPUT, "tensor '%.100s...': the name is too long", weight->name);
    if (ldl_model_find(&p->model[0], name))
        return ldl_fail(
            err, LDL_EINPUT,
            "%s: has a tensor %s, which is the name of the scales of %s under --dtype fp8",
            p->model[0].asked, name, weight->name);
    if (ldl_names_add(&p->made_names, name))
        return ldl_oom(err);
    *j = (struct ldl_job){
        .kind = LDL_JOB_SCALES, .m = weight->m, .in = weight->in, .dtype = LDL_F32, .ndim = 2
    };
    j->name = p->made_names.name[p->made_names.n - 1];
    j->dim[0] = ldl_fp8_blocks(weight->dim[0]);
    j->dim[1] = ldl_fp8_blocks(weight->dim[1]);
    j->n = j->dim[0] * j->dim[1];
    j->bytes = ldl_dtype_span(j->dtype, j->n);
    weight->scales = j;
    weight->dtype = LDL_F8_E4M3;
    return 0;
}

/* What fill() of a recipe needs beside the rows. */
struct place_settings {
    struct ldl_settings settings;
    const struct ldl_recipe *r;
    const struct ldl_place *at;
    int *filled; /* 0 when a fill failed */
};

static int fill_at(const struct ldl_settings *settings, const struct ldl_param *rows, size_t nrows,
                   size_t model, size_t m, void *into, double *room, struct ldl_err *err)
{
    const struct place_settings *s = (const struct place_settings *)settings;
    int rc = s->r->fill(s->r, s->at, rows, nrows, model, m, into, room, err);
    *s->filled &= rc == 0;
    return rc;
}

/* The method with the parameters that it has for this tensor; one for all where a language has no
 * others. */
static int settle(struct ldl_plan *p, struct ldl_job *j, const struct ldl_place *at,
                  struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    j->merge = &p->merge[0];
    if (!r->fill)
        return 0;
    const struct ldl_method *method =
        at->as_is ? ldl_method_find(r->language->name, "passthrough") : r->method;
    int filled = 1;
    const struct place_settings s = { { fill_at }, r, at, &filled };
    int rc = ldl_merge_init(&p->merge[p->nmerges], method, j->m, r->seed, &s.settings, err);
    if (rc && filled) /* values that do not go together; of a single one fill() said the place */
        ldl_context(err, "tensor %s", at->name);
    j->merge = &p->merge[p->nmerges];
    p->nmerges += rc == 0;
    return rc;
}

int ldl_plan_add_job(struct ldl_plan *p, const struct ldl_view **in, const size_t *from, size_t m,
                     const struct ldl_view *base, const struct ldl_place *at, struct ldl_err *err)
{
    struct ldl_job *j = &p->job[p->njobs++];
    const struct ldl_view *shape = in[0];
    *j = (struct ldl_job){ .m = m, .in = in, .from = from, .base = base, .name = at->name };
    j->ndim = shape->ndim;
    j->n = shape->n;
    memcpy(j->dim, shape->dim, sizeof j->dim);
    int rc = settle(p, j, at, err);
    if (rc)
        return rc;
    if (in_fp8_blocks(p, j))
        rc = add_scales(p, j, err);
    else
        j->dtype = output_dtype(p, j);
    j->bytes = ldl_dtype_span(j->dtype, j->n);
    j->kind = kind_of(j);
    return rc;
}

static int note_wide(struct ldl_plan *p, struct ldl_err *err)
{
    for (size_t t = 0; t < p->njobs; t++)
        for (size_t i = 0; i < p->job[t].m && p->job[t].kind == LDL_JOB_MERGE; i++)
            if (p->job[t].in[i]->dtype == LDL_F64)
                return ldl_plan_note(
                    p, "float64 tensors are computed in float32, so they lose precision", err);
    return 0;
}

/* Which tensors become FP8 is ladle's choice: that it took none must not go unsaid. */
static int note_no_fp8(struct ldl_plan *p, struct ldl_err *err)
{
    if (p->recipe.dtype != LDL_F8_E4M3)
        return 0;
    for (size_t t = 0; t < p->njobs; t++)
        if (p->job[t].scales)
            return 0;
    return ldl_plan_note(
        p,
        "--dtype fp8: no tensor becomes FP8, as there is no matrix '....weight' of "
        "a numbered layer with 128 or more rows and columns",
        err);
}

int ldl_plan_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    int rc = p->recipe.nslices ? ldl_plan_slices(p, err) : ldl_plan_whole(p, err);
    if (rc == 0)
        rc = note_no_fp8(p, err);
    return rc ? rc : note_wide(p, err);
}

/* ---- what they take ---- */

struct ldl_shape ldl_job_shape(const struct ldl_job *j, uint64_t bits_bytes, int hard)
{
    return (struct ldl_shape){
        .n = j->n,
        .cols = ldl_job_cols(j),
        .last = ldl_job_last(j),
        /* a pass that measures for FP8 wants to see all of the result before any is written */
        .bits_bytes = j->scales ? UINT64_MAX : bits_bytes,
        .hard = hard,
    };
}

uint64_t ldl_job_state_bytes(const struct ldl_job *j, const struct ldl_shape *shape)
{
    if (j->kind != LDL_JOB_MERGE)
        return 0;
    uint64_t sum = ldl_merge_state_bytes(j->merge, shape);
    sum += j->scales ? j->scales->bytes : 0;
    for (size_t i = 0; i < ldl_job_inputs(j); i++)
        sum += ldl_view_state_bytes(ldl_job_input(j, i));
    return sum;
}

uint64_t ldl_job_acc_bytes(const struct ldl_job *j, const struct ldl_shape *shape)
{
    return j->kind == LDL_JOB_MERGE ? ldl_merge_acc_bytes(j->merge, shape) : 0;
}
