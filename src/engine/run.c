/* run.c -- from a plan to an output directory: see engine.h for the invariants.
 *
 *     budget -> compare copies -> output begin -> shards made -> workers -> side files -> commit */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cores.h"
#include "base/fault.h"
#include "engine/engine.h"
#include "engine/output.h"
#include "engine/tile.h"
#include "engine/verify.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <string.h>
#include <unistd.h>

struct run {
    const struct ldl_plan *p;
    struct ldl_budget budget;
    const struct ldl_device *device;
    const struct ldl_kern *kern;
    struct ldl_sched sched;
    struct ldl_output output;
    int *fd;
    char **path;
    struct ldl_worker *worker;
    int started, ended; /* threads; ended is under the scheduler's lock */
};

/* ---- the output place ---- */

static uint64_t side_bytes(const struct ldl_plan *p)
{
    uint64_t sum = 0;
    struct stat st;
    for (size_t i = 0; i < p->side.n; i++) {
        char *path = ldl_path_join(ldl_plan_side_dir(p, p->side.name[i]), p->side.name[i]);
        if (path && stat(path, &st) == 0)
            sum += (uint64_t)st.st_size;
        ldl_free(path);
    }
    return sum;
}

static int with_spec(const struct ldl_plan *p,
                     int (*use)(void *ctx, const struct ldl_output_spec *, struct ldl_err *),
                     void *ctx, struct ldl_err *err)
{
    size_t n = 0, most = 2; /* the donor, the tokenizer */
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        most += 1 + p->model[i].also_dir.n;
    most += p->donor.also_dir.n;
    const char **dir = ldl_calloc(most, sizeof *dir);
    if (!dir)
        return ldl_oom(err);
    for (size_t i = 0; i < ldl_plan_inputs(p); i++) {
        const struct ldl_model *m = &p->model[i];
        if (!m->made_by) /* a result's are among also_dir */
            dir[n++] = m->lone ? m->file[0].path : m->dir;
        for (size_t d = 0; d < m->also_dir.n; d++)
            dir[n++] = m->also_dir.name[d];
    }
    if (p->donor.dir && !p->donor.made_by)
        dir[n++] = p->donor.lone ? p->donor.file[0].path : p->donor.dir;
    for (size_t d = 0; d < p->donor.also_dir.n; d++)
        dir[n++] = p->donor.also_dir.name[d];
    if (p->tokenizer_dir)
        dir[n++] = p->tokenizer_dir;
    /* A model card is this run's own; where it writes none, a README.md is the user's. */
    static const char *const card[] = { "README.md" };
    int has_card = p->recipe.card.len > 0;
    struct ldl_output_spec spec = { .path = p->recipe.output,
                                    .overwrite = p->recipe.overwrite,
                                    .durable = p->recipe.durable,
                                    .input = dir,
                                    .ninputs = n,
                                    .bytes = p->bytes_out + side_bytes(p),
                                    .also =
                                        has_card ? card : (const char *const *)p->recipe.copy_file,
                                    .nalso = has_card ? 1 : p->recipe.ncopy_files,
                                    .index_name = p->index_name };
    int rc = use(ctx, &spec, err);
    ldl_free(dir);
    return rc;
}

static int use_check(void *ctx, const struct ldl_output_spec *spec, struct ldl_err *err)
{
    (void)ctx;
    return ldl_output_check(spec, err);
}

static int use_begin(void *ctx, const struct ldl_output_spec *spec, struct ldl_err *err)
{
    return ldl_output_begin(ctx, spec, err);
}

int ldl_engine_check(const struct ldl_plan *p, struct ldl_err *err)
{
    return with_spec(p, use_check, NULL, err);
}

static int make_shards(struct run *r, struct ldl_err *err)
{
    const struct ldl_plan *p = r->p;
    r->path = ldl_calloc(p->nshards, sizeof *r->path);
    r->fd = r->path ? ldl_alloc(p->nshards * sizeof *r->fd) : NULL;
    if (!r->fd)
        return ldl_oom(err);
    for (size_t s = 0; s < p->nshards; s++)
        r->fd[s] = -1;
    for (size_t s = 0; s < p->nshards; s++) {
        const struct ldl_shard *shard = &p->shard[s];
        if (!(r->path[s] = ldl_path_join(r->output.work, shard->name)))
            return ldl_oom(err);
        int rc = ldl_output_create(&r->output, shard->name, shard->bytes, &r->fd[s], err);
        if (rc == 0)
            rc = ldl_pwrite(r->fd[s], r->path[s], shard->header.text, shard->header.len, 0, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int put_small_files(struct run *r, struct ldl_err *err)
{
    const struct ldl_plan *p = r->p;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->side.n; i++) {
        const char *name = p->side.name[i];
        const struct ldl_buf *text = ldl_plan_edited(p, name);
        rc = text ? ldl_output_put(&r->output, name, text->text, text->len, err)
                  : ldl_output_copy(&r->output, ldl_plan_side_dir(p, name), name, err);
    }
    if (rc == 0 && p->recipe.config.len)
        rc = ldl_output_put(&r->output, p->recipe.config_name, p->recipe.config.text,
                            p->recipe.config.len, err);
    if (rc == 0 && p->recipe.card.len)
        rc = ldl_output_put(&r->output, "README.md", p->recipe.card.text, p->recipe.card.len, err);
    if (rc == 0 && p->has_index)
        rc = ldl_output_put(&r->output, p->index_name, p->index.text, p->index.len, err);
    return rc;
}

/* A file that somebody removed meanwhile (a cleaner of left-overs, a wrong rm) takes writes as if
 * nothing had been, and would be missing in a complete OUT. */
static int check_shards(const struct run *r, struct ldl_err *err)
{
    struct stat st;
    for (size_t s = 0; s < r->p->nshards; s++) {
        if (fstat(r->fd[s], &st))
            return ldl_fail_errno(err, LDL_EIO, errno, "%s", r->path[s]);
        if (st.st_nlink == 0)
            return ldl_fail(err, LDL_EIO, "%s: was removed while the merge ran; start it again",
                            r->path[s]);
    }
    return 0;
}

/* Making the data durable is ldl_output_commit()'s part: it flushes the whole folder. */
static int close_shards(struct run *r, struct ldl_err *err)
{
    int rc = 0;
    for (size_t s = 0; r->fd && s < r->p->nshards; s++) {
        if (r->fd[s] < 0)
            continue;
        if (close(r->fd[s]) && rc == 0) /* a network file system may report a lost write here */
            rc = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot write", r->path[s]);
        r->fd[s] = -1;
    }
    return rc;
}

/* ---- threads ---- */

static void *worker_main(void *arg)
{
    struct ldl_worker *w = arg;
    struct ldl_sched *s = w->sched;
    struct ldl_claim c;
    ldl_float_state();
    while (ldl_sched_take(s, w->number, &c)) {
        if (c.what == LDL_CLAIM_OPEN) {
            ldl_sched_open(s, &c);
            continue;
        }
        struct ldl_err err = { 0 };
        uint64_t written;
        int rc = ldl_worker_tile(w, &c, &written, &err);
        ldl_sched_done(s, &c, rc, written, &err);
    }
    return NULL;
}

static int start_threads(struct run *r, struct ldl_err *err)
{
    int n = r->budget.threads, rc = 0;
    if (!(r->worker = ldl_calloc((size_t)n, sizeof *r->worker)))
        return ldl_oom(err);
    /* Signals are for the thread that called us. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; rc == 0 && r->started < n; r->started++) {
        struct ldl_worker *w = &r->worker[r->started];
        if ((rc = ldl_worker_init(w, &r->sched, r->started, r->device, err)))
            break;
        w->shard_fd = r->fd;
        w->shard_path = r->path;
        int e =
            ldl_fault(LDL_FAULT_THREAD) ? EAGAIN : pthread_create(&w->thread, NULL, worker_main, w);
        if (e) {
            ldl_worker_free(w);
            rc = ldl_fail_errno(err, LDL_EIO, e, "cannot start a thread; lower --threads");
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* Waits until the work is done, telling tick now and then. Returns LDL_EINTR when it said stop. */
static int watch(struct run *r, int (*tick)(void *, const struct ldl_progress *), void *ctx)
{
    struct ldl_sched *s = &r->sched;
    int stopped = 0, over = 0;
    while (!over && !stopped) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&s->lock);
        int late = 0;
        while (!late && !(over = ldl_sched_over(s)))
            late = pthread_cond_timedwait(&s->change, &s->lock, &until) == ETIMEDOUT;
        struct ldl_progress now = s->progress;
        pthread_mutex_unlock(&s->lock);
        stopped = tick && tick(ctx, &now);
    }
    return stopped ? LDL_EINTR : 0;
}

static void join_threads(struct run *r, struct ldl_run_result *out)
{
    for (int i = 0; i < r->started; i++) {
        struct ldl_worker *w = &r->worker[i];
        pthread_join(w->thread, NULL);
        out->bytes_read += w->bytes_read;
        out->nans_in += w->nans_in;
        out->infs_in += w->infs_in;
        out->nans_out += w->nans_out;
        out->infs_out += w->infs_out;
        if (w->odd_job < out->odd_job ||
            (w->odd_job == out->odd_job && w->odd_model < out->odd_model)) {
            out->odd_job = w->odd_job;
            out->odd_model = w->odd_model;
        }
        ldl_worker_free(w);
    }
    ldl_free(r->worker);
    r->worker = NULL;
}

static int merge_tensors(struct run *r, int (*tick)(void *, const struct ldl_progress *), void *ctx,
                         struct ldl_run_result *out, struct ldl_err *err)
{
    int rc = ldl_sched_init(&r->sched, r->p, &r->budget, r->kern, err);
    if (rc)
        return rc;
    rc = start_threads(r, err);
    if (rc == 0 && watch(r, tick, ctx))
        rc = ldl_fail(err, LDL_EINTR, "stopped; nothing was written");
    ldl_sched_stop(&r->sched);
    join_threads(r, out);
    if (rc == 0 && r->sched.failed_job < r->p->njobs) {
        rc = r->sched.err.code;
        if (err)
            *err = r->sched.err;
    }
    ldl_sched_free(&r->sched);
    return rc;
}

/* ---- the run ---- */

static int merge_into(struct run *r, int (*tick)(void *, const struct ldl_progress *), void *ctx,
                      struct ldl_run_result *out, struct ldl_err *err)
{
    int rc = make_shards(r, err);
    if (rc == 0)
        rc = merge_tensors(r, tick, ctx, out, err);
    if (rc == 0)
        rc = put_small_files(r, err);
    if (rc == 0)
        rc = check_shards(r, err);
    if (rc == 0)
        rc = close_shards(r, err);
    if (rc == 0)
        rc = ldl_output_commit(&r->output, err);
    (void)close_shards(r, NULL);
    ldl_output_abort(&r->output);
    for (size_t s = 0; r->path && s < r->p->nshards; s++)
        ldl_free(r->path[s]);
    ldl_free(r->path);
    ldl_free(r->fd);
    return rc;
}

int ldl_engine_run(const struct ldl_plan *p, int (*tick)(void *ctx, const struct ldl_progress *),
                   void *ctx, struct ldl_run_result *result, struct ldl_err *err)
{
    struct run r = { .p = p };
    *result = (struct ldl_run_result){ .odd_job = p->njobs };
    int rc = ldl_device_find(p->recipe.device, &r.device, err);
    if (rc == 0)
        rc = r.device->kernels(&r.kern, err);
    if (rc == 0)
        rc = ldl_budget_make(&r.budget, p, err);
    if (rc == 0)
        rc = ldl_engine_check(p, err);
    if (rc == 0)
        rc = ldl_verify_copies(p, err);
    if (rc == 0)
        rc = with_spec(p, use_begin, &r.output, err);
    if (rc)
        return rc;
    result->threads = r.budget.threads;
    result->bytes_written = p->bytes_out;
    return merge_into(&r, tick, ctx, result, err);
}
