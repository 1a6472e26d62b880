/* tile.c -- see tile.h. A tile is read in windows of many blocks and worked on block by block, so
 * that the system sees large requests and the kernels see data in cache. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tile.h"
#include "model/fp8_out.h"

#include <fcntl.h>
#include <string.h>

/* ---- buffers ---- */

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

int ldl_worker_init(struct ldl_worker *w, struct ldl_sched *s, int number,
                    const struct ldl_device *device, struct ldl_err *err)
{
    size_t m = s->plan->most_inputs, readers = m + (s->plan->base != NULL);
    size_t aux = round64(s->budget->aux_bytes);
    size_t window = round64(s->budget->window_bytes), block = LDL_BLOCK * sizeof(float);
    *w = (struct ldl_worker){ .number = number, .sched = s, .device = device };
    w->odd_job = s->plan->njobs;
    w->reader = ldl_calloc(2 * readers, sizeof *w->reader);
    w->t = ldl_calloc(m, sizeof *w->t);
    w->memory = device->alloc(readers * (window + aux) + window + (m + 2) * block +
                              round64(LDL_RUNS_SCRATCH));
    if (!w->reader || !w->t || !w->memory) {
        ldl_worker_free(w);
        return ldl_oom(err);
    }
    unsigned char *at = w->memory;
    for (size_t i = 0; i < readers; i++, at += window)
        w->reader[i] = (struct ldl_reader){ .buf = at, .cap = s->budget->window_bytes };
    for (size_t i = 0; aux && i < readers; i++, at += aux) {
        w->reader[readers + i] = (struct ldl_reader){ .buf = at, .cap = s->budget->aux_bytes };
        w->reader[i].aux = &w->reader[readers + i];
    }
    w->raw_out = at;
    at += window;
    for (size_t i = 0; i < m; i++, at += block)
        w->t[i] = (float *)(void *)at;
    w->base = (float *)(void *)at;
    w->out = (float *)(void *)(at + block);
    w->scratch = at + 2 * block;
    return 0;
}

void ldl_worker_free(struct ldl_worker *w)
{
    ldl_free(w->reader);
    ldl_free(w->t);
    if (w->memory)
        w->device->free(w->memory);
    w->reader = NULL;
    w->t = NULL;
    w->memory = NULL;
}

/* ---- copying ---- */

/* The inputs agree (verify.c saw to that), so the first model's bytes are the output. A tile fits
 * into a window. */
static int copy_tile(struct ldl_worker *w, const struct ldl_claim *c, const struct ldl_job *j,
                     uint64_t *written, struct ldl_err *err)
{
    const struct ldl_view *v = j->in[0];
    const unsigned char *raw;
    uint64_t first = c->block * LDL_BLOCK, n = LDL_MIN(c->count * LDL_BLOCK, v->n - first);
    size_t bytes = (size_t)ldl_dtype_span(j->dtype, n);
    w->reader[0].limit = first + n;
    int rc = v->ops->fetch(v, first, (size_t)n, &w->reader[0], &raw, err);
    if (rc == 0)
        rc = ldl_pwrite(w->shard_fd[j->shard], w->shard_path[j->shard], raw, bytes,
                        j->offset + ldl_dtype_span(j->dtype, first), err);
    *written = bytes;
    w->bytes_read += bytes;
    return rc;
}

/* ---- merging ---- */

static void count_in(struct ldl_worker *w, const struct ldl_kern *k, size_t job, size_t model,
                     const float *x, size_t n)
{
    uint64_t nans = 0, infs = 0;
    k->count_odd(x, n, &nans, &infs);
    w->nans_in += nans;
    w->infs_in += infs;
    if ((nans || infs) && (job < w->odd_job || (job == w->odd_job && model < w->odd_model))) {
        w->odd_job = job;
        w->odd_model = model;
    }
}

static int read_one(struct ldl_worker *w, const struct ldl_slot *slot, size_t reader,
                    uint64_t first, size_t n, uint64_t limit, float *to, struct ldl_err *err)
{
    const struct ldl_plan *p = w->sched->plan;
    const struct ldl_view *v = ldl_job_input(&p->job[slot->job], reader);
    w->reader[reader].limit = limit;
    w->reader[reader].state = slot->view_state[reader];
    w->bytes_read += ldl_dtype_span(v->stored->dtype, n);
    return ldl_view_read(v, w->sched->kern, first, n, to, &w->reader[reader], err);
}

/* Reads one block of every input. limit: the first element that this claim will not need. */
static int read_block(struct ldl_worker *w, const struct ldl_claim *c, uint64_t first, size_t n,
                      uint64_t limit, struct ldl_err *err)
{
    const struct ldl_plan *p = w->sched->plan;
    const struct ldl_job *j = &p->job[c->slot->job];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < j->m; i++) {
        rc = read_one(w, c->slot, i, first, n, limit, w->t[i], err);
        if (rc == 0 && c->slot->map)
            count_in(w, w->sched->kern, c->slot->job, ldl_job_model(p, j, i), w->t[i], n);
    }
    if (rc == 0 && j->base) {
        rc = read_one(w, c->slot, j->m, first, n, limit, w->base, err);
        if (rc == 0 && c->slot->map)
            count_in(w, w->sched->kern, c->slot->job, ldl_job_model(p, j, j->m), w->base, n);
    }
    return rc;
}

static int merge_block(struct ldl_worker *w, const struct ldl_claim *c, uint64_t first, size_t n,
                       unsigned char *raw, struct ldl_err *err)
{
    const struct ldl_kern *k = w->sched->kern;
    const struct ldl_job *j = &w->sched->plan->job[c->slot->job];
    struct ldl_block b = { first, n, w->t, j->base ? w->base : NULL, w->scratch };
    if (!c->slot->map && !c->slot->measure)
        return ldl_work_scan(&c->slot->work, &c->slot->acc[w->number], &b, err);
    ldl_work_map(&c->slot->work, &b, w->out);
    if (c->slot->measure) {
        ldl_fp8_amax(k, first, n, j->dim[1], w->out, c->slot->blocks_max);
        return 0;
    }
    k->count_odd(w->out, n, &w->nans_out, &w->infs_out);
    if (c->slot->blocks_max)
        ldl_fp8_scale(k, first, n, j->dim[1], w->out, (const float *)(void *)c->slot->blocks_max);
    k->encode[j->dtype](raw, w->out, n);
    return 0;
}

/* The scales of a weight, written by whoever has its first block. */
static int write_scales(struct ldl_worker *w, const struct ldl_slot *slot, const struct ldl_job *j,
                        uint64_t *written, struct ldl_err *err)
{
    *written += j->bytes;
    return ldl_pwrite(w->shard_fd[j->shard], w->shard_path[j->shard], slot->blocks_max,
                      (size_t)j->bytes, j->offset, err);
}

static int is_settled(const struct ldl_slot *slot)
{
    return !slot->map && !slot->measure && ldl_work_settled(&slot->work);
}

static int merge_tile(struct ldl_worker *w, const struct ldl_claim *c, const struct ldl_job *j,
                      uint64_t *written, struct ldl_err *err)
{
    uint64_t total = j->n, first = 0;
    size_t raw = 0;
    struct ldl_work_acc *acc = &c->slot->acc[w->number];
    int rc = 0;
    if (!c->slot->map && !acc->acc)
        rc = ldl_work_acc_begin(&c->slot->work, acc, err);
    for (uint64_t i = 0; rc == 0 && i < c->count && !is_settled(c->slot); i++) {
        first = (c->block + i * c->stride) * LDL_BLOCK;
        size_t n = (size_t)LDL_MIN((uint64_t)LDL_BLOCK, total - first);
        uint64_t limit = c->stride == 1 ? (c->block + c->count) * LDL_BLOCK : first + n;
        rc = read_block(w, c, first, n, limit, err);
        if (rc == 0)
            rc = merge_block(w, c, first, n, w->raw_out + raw, err);
        raw += (size_t)ldl_dtype_span(j->dtype, n);
    }
    if (rc || !c->slot->map)
        return rc;
    *written = raw;
    if (j->scales && c->block == 0 && (rc = write_scales(w, c->slot, j->scales, written, err)))
        return rc;
    uint64_t at = j->offset + ldl_dtype_span(j->dtype, c->block * LDL_BLOCK);
    rc = ldl_pwrite(w->shard_fd[j->shard], w->shard_path[j->shard], w->raw_out, raw, at, err);
    /* Have the system write it out while we go on, so that the final flush is short. No promise is
     * built on it, and some file systems do not know it. */
    if (rc == 0 && w->sched->plan->recipe.durable)
        (void)sync_file_range(w->shard_fd[j->shard], (off_t)at, (off_t)raw, SYNC_FILE_RANGE_WRITE);
    return rc;
}

int ldl_worker_tile(struct ldl_worker *w, const struct ldl_claim *c, uint64_t *written,
                    struct ldl_err *err)
{
    const struct ldl_job *j = &w->sched->plan->job[c->slot->job];
    *written = 0;
    return c->slot->copy ? copy_tile(w, c, j, written, err) : merge_tile(w, c, j, written, err);
}
