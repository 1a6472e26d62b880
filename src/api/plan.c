/* plan.c -- the public plan: settings in, a checked plan, a run. See ladle.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int give(struct ladle_error *to, const struct ldl_err *from, int rc)
{
    if (to && rc) {
        to->code = rc;
        memcpy(to->text, from->text, sizeof to->text);
    }
    return rc;
}

int ladle_plan_new(ladle_plan **out, int argc, const char *const *argv, int flags,
                   struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct ldl_recipe recipe = { 0 };
    const struct ldl_device *device;
    const struct ldl_kern *kern;
    *out = NULL;
    ladle_plan *p = ldl_calloc(1, sizeof *p);
    if (!p)
        return give(error, &err, ldl_oom(&err));
    int rc = ldl_recipe_parse(&recipe, flags & LADLE_CONVERT ? "convert" : NULL, argc, argv,
                              flags & LADLE_NEED_OUTPUT, &err);
    if (rc == 0)
        rc = ldl_device_find(recipe.device, &device, &err);
    if (rc == 0)
        rc = device->kernels(&kern, &err);
    if (rc == 0)
        rc = ldl_plan_make(&p->plan, &recipe, &err);
    if (rc == 0)
        rc = ldl_budget_make(&p->budget, &p->plan, &err);
    if (rc) {
        ldl_recipe_free(&recipe);
        ladle_plan_free(p);
    } else {
        *out = p;
    }
    return give(error, &err, rc);
}

void ladle_plan_free(ladle_plan *p)
{
    if (p)
        ldl_plan_free(&p->plan);
    ldl_free(p);
}

const char *ladle_plan_note(const ladle_plan *p, size_t i)
{
    const struct ldl_names *note = &p->plan.recipe.note;
    return i < note->n ? note->name[i] : NULL;
}

int ladle_plan_quiet(const ladle_plan *p)
{
    return p->plan.recipe.quiet;
}

const struct ladle_result *ladle_plan_result(const ladle_plan *p)
{
    return &p->result;
}

/* ---- running ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct ticker {
    ladle_progress_fn fn;
    void *ctx;
    double start;
};

static int tick(void *ctx, const struct ldl_progress *at)
{
    struct ticker *t = ctx;
    if (!t->fn)
        return 0;
    struct ladle_progress p = { at->jobs_done, at->jobs, at->bytes_done, at->bytes,
                                now() - t->start };
    return t->fn(t->ctx, &p);
}

/* NaN and infinity are legal in a checkpoint, and nearly always a mistake: say where. */
static int note_odd(ladle_plan *p, const struct ldl_run_result *r, struct ldl_err *err)
{
    char text[1024];
    if (r->nans_in + r->infs_in + r->nans_out + r->infs_out == 0)
        return 0;
    if (r->odd_job < p->plan.njobs)
        snprintf(text, sizeof text,
                 "the models hold %llu NaN and %llu infinite values, the first in tensor %s of %s; "
                 "the output holds %llu and %llu",
                 (unsigned long long)r->nans_in, (unsigned long long)r->infs_in,
                 p->plan.job[r->odd_job].name, p->plan.model[r->odd_model].asked,
                 (unsigned long long)r->nans_out, (unsigned long long)r->infs_out);
    else
        snprintf(text, sizeof text,
                 "the output holds %llu NaN and %llu infinite values, though the models hold none: "
                 "the merge went out of the range of its type",
                 (unsigned long long)r->nans_out, (unsigned long long)r->infs_out);
    return ldl_names_add(&p->plan.recipe.note, text) ? ldl_oom(err) : 0;
}

/* The audit's text, before anything is written. */
static int make_report(const struct ldl_plan *p, struct ldl_buf *text, struct ldl_err *err)
{
    const char *path = p->recipe.report;
    if (!path)
        return 0;
    if (ldl_exists(path) && !p->recipe.overwrite)
        return ldl_fail(err, LDL_EUSAGE, "--report: %s is there already; --overwrite replaces it",
                        path);
    return ldl_plan_report(p, text, err);
}

static int write_report(const struct ldl_plan *p, const struct ldl_buf *text, struct ldl_err *err)
{
    if (!p->recipe.report)
        return 0;
    int rc = ldl_write_file(p->recipe.report, text->text, text->len, p->recipe.durable, err);
    return rc ? ldl_context(err, "%s is complete, but not its report", p->recipe.output) : 0;
}

int ladle_plan_run(ladle_plan *p, ladle_progress_fn progress, void *ctx, struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct ldl_run_result r;
    struct ticker t = { progress, ctx, now() };
    if (!p->plan.recipe.output)
        return give(error, &err, ldl_fail(&err, LDL_EUSAGE, "give --output_path to merge"));
    struct ldl_buf report = { 0 };
    int rc = make_report(&p->plan, &report, &err);
    if (rc == 0)
        rc = ldl_engine_run(&p->plan, tick, &t, &r, &err);
    if (rc == 0)
        rc = write_report(&p->plan, &report, &err);
    ldl_buf_free(&report);
    if (rc == 0)
        rc = note_odd(p, &r, &err);
    if (rc == 0)
        p->result = (struct ladle_result){
            .models = p->plan.recipe.nmodels,
            .output = p->plan.recipe.output,
            .tensors = p->plan.njobs,
            .bytes_read = r.bytes_read,
            .bytes_written = r.bytes_written,
            .nans_in = r.nans_in,
            .infs_in = r.infs_in,
            .nans_out = r.nans_out,
            .infs_out = r.infs_out,
            .seconds = now() - t.start,
            .threads = r.threads,
        };
    return give(error, &err, rc);
}

/* ---- text that leaves the library ---- */

int ldl_api_send(struct ldl_buf *b, ladle_sink sink, void *ctx, struct ladle_error *error, int rc,
                 struct ldl_err *err)
{
    if (rc == 0 && b->failed)
        rc = ldl_oom(err);
    if (rc == 0)
        sink(ctx, b->text ? b->text : "", b->len);
    ldl_buf_free(b);
    return give(error, err, rc);
}

void ladle_help(int flags, ladle_sink sink, void *ctx)
{
    struct ldl_buf b = { 0 };
    const char *verb = flags & LADLE_CONVERT ? "convert" : NULL;
    for (size_t i = 0; ldl_languages[i]; i++) {
        const char *own = ldl_languages[i]->verb;
        if (verb ? own && strcmp(own, verb) == 0 : !own)
            ldl_languages[i]->help(&b);
    }
    if (!b.failed)
        sink(ctx, b.text ? b.text : "", b.len);
    ldl_buf_free(&b);
}

const char *ladle_version(void)
{
    return LADLE_VERSION;
}
