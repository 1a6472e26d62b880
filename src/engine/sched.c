/* sched.c -- see sched.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sched.h"
#include "model/fp8_out.h"

#include <string.h>

int ldl_sched_init(struct ldl_sched *s, const struct ldl_plan *p, const struct ldl_budget *b,
                   const struct ldl_kern *k, struct ldl_err *err)
{
    size_t threads = (size_t)b->threads;
    *s = (struct ldl_sched){ .plan = p, .budget = b, .kern = k, .failed_job = p->njobs };
    s->nslots = 2 * threads + 2;
    s->progress.jobs = p->njobs;
    for (size_t t = 0; t < p->njobs; t++)
        s->progress.bytes += p->job[t].bytes;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->change, &attr);
    pthread_condattr_destroy(&attr);
    s->slot = ldl_calloc(s->nslots, sizeof *s->slot);
    int short_of = s->slot == NULL;
    for (size_t i = 0; !short_of && i < s->nslots; i++) {
        s->slot[i].acc = ldl_calloc(threads, sizeof *s->slot[i].acc);
        s->slot[i].joined = ldl_calloc(threads, 1);
        s->slot[i].view_state = ldl_calloc(p->most_inputs + 1, sizeof *s->slot[i].view_state);
        short_of = !s->slot[i].acc || !s->slot[i].joined || !s->slot[i].view_state;
    }
    if (short_of) {
        ldl_sched_free(s);
        return ldl_oom(err);
    }
    return 0;
}

/* Gives back the accumulators of the pass that ended. */
static void drop_accs(struct ldl_sched *s, struct ldl_slot *slot)
{
    for (int w = 0; w < s->budget->threads; w++) {
        ldl_work_acc_end(&slot->work, &slot->acc[w]);
        slot->joined[w] = 0;
    }
}

static void end_views(struct ldl_sched *s, struct ldl_slot *slot)
{
    const struct ldl_job *j = &s->plan->job[slot->job];
    for (size_t i = 0; i < ldl_job_inputs(j); i++) {
        ldl_view_end(ldl_job_input(j, i), slot->view_state[i]);
        slot->view_state[i] = NULL;
    }
}

static void end_slot(struct ldl_sched *s, struct ldl_slot *slot)
{
    if (!slot->copy) {
        drop_accs(s, slot);
        ldl_work_end(&slot->work);
        end_views(s, slot);
        ldl_free(slot->blocks_max);
        slot->blocks_max = NULL;
    }
}

void ldl_sched_free(struct ldl_sched *s)
{
    for (size_t i = 0; s->slot && i < s->nslots; i++) {
        if (s->slot[i].used)
            end_slot(s, &s->slot[i]);
        ldl_free(s->slot[i].acc);
        ldl_free(s->slot[i].joined);
        ldl_free(s->slot[i].view_state);
    }
    ldl_free(s->slot);
    s->slot = NULL;
    pthread_cond_destroy(&s->change);
    pthread_mutex_destroy(&s->lock);
}

/* ---- taking ---- */

/* Is this thread the first to work on the slot's pass? Its accumulator was paid for at opening. */
static int nobody_joined(const struct ldl_sched *s, const struct ldl_slot *slot)
{
    for (int i = 0; i < s->budget->threads; i++)
        if (slot->joined[i])
            return 0;
    return 1;
}

/* Of facts, what the slot is to take: the extra part only when it is hard. */
static struct ldl_facts to_take(const struct ldl_slot *slot, struct ldl_facts facts)
{
    return (struct ldl_facts){ facts.usual, slot->hard ? facts.extra : 0 };
}

static int has_room(const struct ldl_sched *s, struct ldl_facts more)
{
    uint64_t usual = s->facts.usual + more.usual, extra = s->facts.extra + more.extra;
    return usual <= s->budget->usual_bytes && usual + extra <= s->budget->facts_bytes;
}

/* From now on the slot holds this. */
static void hold(struct ldl_sched *s, struct ldl_slot *slot, struct ldl_facts facts)
{
    s->facts.usual += facts.usual - slot->held.usual;
    s->facts.extra += facts.extra - slot->held.extra;
    slot->held = facts;
}

static void hold_more(struct ldl_sched *s, struct ldl_slot *slot, struct ldl_facts more)
{
    hold(s, slot,
         (struct ldl_facts){ slot->held.usual + more.usual, slot->held.extra + more.extra });
}

/* Does the tensor wait for memory? Not when no other is hard: see sched.h. */
static int still_waits(struct ldl_sched *s, struct ldl_slot *slot)
{
    const struct ldl_facts more = { 0, slot->alone.extra };
    if (slot->waits && (s->facts.extra == 0 || has_room(s, more))) {
        slot->waits = 0;
        slot->hard = 1;
        hold(s, slot, slot->alone);
    }
    return slot->waits;
}

/* May thread w work on the slot's open pass? A scan wants an accumulator's worth of memory. */
static int may_join(const struct ldl_sched *s, const struct ldl_slot *slot, int w)
{
    if (slot->map || slot->copy || slot->more.usual == 0 || slot->joined[w])
        return 1;
    return nobody_joined(s, slot) || has_room(s, to_take(slot, slot->more));
}

static void join(struct ldl_sched *s, struct ldl_slot *slot, int w)
{
    if (slot->map || slot->copy || slot->more.usual == 0 || slot->joined[w])
        return;
    if (!nobody_joined(s, slot))
        hold_more(s, slot, to_take(slot, slot->more));
    slot->joined[w] = 1;
}

static int claim_tile(struct ldl_sched *s, int w, struct ldl_claim *c)
{
    struct ldl_slot *best = NULL;
    for (size_t i = 0; i < s->nslots; i++) {
        struct ldl_slot *slot = &s->slot[i];
        if (!slot->used || slot->busy || slot->next_block >= slot->end_block ||
            slot->job >= s->failed_job || still_waits(s, slot))
            continue;
        if ((!best || slot->job < best->job) && may_join(s, slot, w))
            best = slot;
    }
    if (!best)
        return 0;
    join(s, best, w);
    uint64_t left = (best->end_block - best->next_block + best->stride - 1) / best->stride;
    *c = (struct ldl_claim){ best, best->next_block, LDL_MIN(left, best->tile_blocks), best->stride,
                             LDL_CLAIM_TILE };
    best->next_block += c->count * best->stride;
    best->outstanding++;
    return 1;
}

static struct ldl_slot *free_slot(struct ldl_sched *s)
{
    for (size_t i = 0; i < s->nslots; i++)
        if (!s->slot[i].used)
            return &s->slot[i];
    return NULL;
}

static int claim_open(struct ldl_sched *s, struct ldl_claim *c)
{
    const struct ldl_plan *p = s->plan;
    struct ldl_slot *slot = free_slot(s);
    if (s->next_job >= p->njobs || s->failed_job < p->njobs || !slot)
        return 0;
    const struct ldl_job *j = &p->job[s->next_job];
    struct ldl_facts alone, more;
    ldl_budget_facts(j, s->budget->bits_bytes, &alone, &more);
    if (s->in_flight && !has_room(s, (struct ldl_facts){ alone.usual, 0 }))
        return 0;
    slot->used = slot->busy = 1;
    slot->job = s->next_job++;
    slot->alone = alone;
    slot->more = more;
    slot->hard = slot->waits = 0;
    slot->told_bytes = 0;
    hold(s, slot, to_take(slot, alone));
    s->in_flight++;
    *c = (struct ldl_claim){ .slot = slot, .what = LDL_CLAIM_OPEN };
    return 1;
}

int ldl_sched_over(const struct ldl_sched *s)
{
    if (s->failed_job == s->plan->njobs)
        return s->in_flight == 0 && s->next_job >= s->plan->njobs;
    for (size_t i = 0; i < s->nslots; i++)
        if (s->slot[i].used && s->slot[i].job < s->failed_job)
            return 0;
    return 1;
}

int ldl_sched_take(struct ldl_sched *s, int w, struct ldl_claim *c)
{
    int got = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && !ldl_sched_over(s)) {
        if ((got = claim_tile(s, w, c) || claim_open(s, c)))
            break;
        pthread_cond_wait(&s->change, &s->lock);
    }
    if (!got)
        pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
    return got;
}

/* ---- opening, changing passes, closing (the slot is busy: only this thread touches it) ---- */

/* The blocks' largest magnitudes are known: they become scales, in place. */
static void end_measuring(struct ldl_sched *s, struct ldl_slot *slot)
{
    size_t n = (size_t)s->plan->job[slot->job].scales->n;
    ldl_fp8_scales(slot->blocks_max, n, (float *)(void *)slot->blocks_max);
    slot->measure = 0;
    slot->measured = 1;
}

static int open_pass(struct ldl_sched *s, struct ldl_slot *slot, struct ldl_err *err)
{
    struct ldl_work_acc *acc[1024] = { NULL };
    size_t n = 0;
    int first = slot->stride == 0; /* begin() was just called */
    for (int w = 0; !first && w < s->budget->threads; w++)
        if (slot->acc[w].acc)
            acc[n++] = &slot->acc[w];
    struct ldl_pass pass = { .end = slot->blocks, .stride = 1, .map = 1, .last = 1 };
    int rc = 0;
    if (slot->measure)
        end_measuring(s, slot);
    else
        rc = ldl_work_next(&slot->work, acc, n, &pass, err);
    slot->stride = pass.stride;
    slot->map = pass.map;
    slot->last = pass.last;
    if (slot->map && slot->blocks_max && !slot->measured) {
        slot->map = 0;
        slot->measure = 1;
    }
    if (!first)
        drop_accs(s, slot);
    slot->next_block = pass.first;
    slot->end_block = pass.end;
    return rc;
}

static int begin_views(struct ldl_sched *s, struct ldl_slot *slot, struct ldl_err *err)
{
    const struct ldl_job *j = &s->plan->job[slot->job];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ldl_job_inputs(j); i++)
        rc = ldl_view_begin(ldl_job_input(j, i), s->kern, &slot->view_state[i], err);
    return rc ? ldl_context(err, "tensor %s", j->name) : 0;
}

static int open_job(struct ldl_sched *s, struct ldl_slot *slot, struct ldl_err *err)
{
    const struct ldl_job *j = &s->plan->job[slot->job];
    slot->copy = j->kind != LDL_JOB_MERGE;
    slot->map = 0;
    slot->next_block = slot->outstanding = 0;
    slot->stride = slot->copy;
    slot->tile_blocks = s->budget->tile_elems / LDL_BLOCK;
    slot->blocks = j->kind == LDL_JOB_SCALES ? 0 : (j->n + LDL_BLOCK - 1) / LDL_BLOCK;
    slot->end_block = slot->blocks;
    slot->measure = slot->measured = 0;
    if (slot->copy)
        return 0;
    if (j->scales && !(slot->blocks_max = ldl_calloc(j->scales->n, sizeof *slot->blocks_max)))
        return ldl_oom(err);
    const struct ldl_shape shape = ldl_job_shape(j, s->budget->bits_bytes, 0);
    int rc = ldl_work_begin(&slot->work, j->merge, s->kern, j->name, &shape, err);
    if (rc == 0)
        rc = begin_views(s, slot, err);
    return rc ? rc : open_pass(s, slot, err);
}

static void fail(struct ldl_sched *s, size_t job, int rc, const struct ldl_err *err)
{
    if (job >= s->failed_job)
        return;
    s->failed_job = job;
    s->err = *err;
    s->err.code = rc;
}

static void tell(struct ldl_sched *s, struct ldl_slot *slot, uint64_t bytes)
{
    slot->told_bytes += bytes;
    s->progress.bytes_done += bytes;
}

/* Progress counts bytes of output, and a pass that writes none counts for its share of them: else
 * the rate and the time left would mean nothing while a big tensor is scanned. How many passes a
 * tensor takes shows only at its end: scans beyond the usual number count for nothing, and what
 * was not told by then is told when it closes. */
static void tell_tile(struct ldl_sched *s, const struct ldl_claim *c, uint64_t written)
{
    struct ldl_slot *slot = c->slot;
    const struct ldl_job *j = &s->plan->job[slot->job];
    uint64_t passes = slot->copy ? 1 : ldl_merge_usual_passes(s->plan->job[slot->job].merge);
    int writes = slot->copy || slot->map;
    uint64_t most = writes ? j->bytes : j->bytes / passes * (passes - 1);
    uint64_t bytes = writes ? written : c->count * (j->bytes / slot->blocks);
    if (slot->told_bytes < most)
        tell(s, slot, LDL_MIN(bytes / passes, most - slot->told_bytes));
}

static void close_slot(struct ldl_sched *s, struct ldl_slot *slot)
{
    tell(s, slot, s->plan->job[slot->job].bytes - slot->told_bytes);
    hold(s, slot, (struct ldl_facts){ 0 });
    slot->used = 0;
    s->in_flight--;
    s->progress.jobs_done++;
}

/* After a failure: tensors behind it that nobody works on give back what they hold; one before it may
 * wait for that. */
static void drop_failed(struct ldl_sched *s)
{
    for (size_t i = 0; i < s->nslots; i++) {
        struct ldl_slot *slot = &s->slot[i];
        if (slot->used && !slot->busy && !slot->outstanding && slot->job >= s->failed_job) {
            end_slot(s, slot);
            close_slot(s, slot);
        }
    }
}

void ldl_sched_open(struct ldl_sched *s, const struct ldl_claim *c)
{
    struct ldl_err err;
    struct ldl_slot *slot = c->slot;
    size_t from, to;
    int rc = open_job(s, slot, &err);
    if (rc)
        end_slot(s, slot);
    pthread_mutex_lock(&s->lock);
    slot->busy = 0;
    if (rc)
        fail(s, slot->job, rc, &err);
    if (rc || slot->blocks == 0)
        close_slot(s, slot);
    drop_failed(s);
    ldl_ahead_next(&s->ahead, s->plan, s->next_job, &from, &to);
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
    ldl_ahead_ask(s->plan, from, to);
}

/* The last tile of a pass is done: on to the next pass, or the end of the tensor. Called and
 * returns with the lock held; lets go of it while the method thinks. */
static void end_pass(struct ldl_sched *s, struct ldl_slot *slot)
{
    struct ldl_err err;
    int rc = 0, over = slot->copy || (slot->map && slot->last) || slot->job >= s->failed_job;
    slot->busy = 1;
    pthread_mutex_unlock(&s->lock);
    if (over)
        end_slot(s, slot);
    else if ((rc = open_pass(s, slot, &err)))
        end_slot(s, slot);
    pthread_mutex_lock(&s->lock);
    slot->busy = 0;
    if (rc)
        fail(s, slot->job, rc, &err);
    hold(s, slot, to_take(slot, slot->alone)); /* the other threads' accumulators are gone */
    if (over || rc)
        close_slot(s, slot);
    else
        slot->waits = !slot->hard && ldl_work_is_hard(&slot->work);
}

void ldl_sched_done(struct ldl_sched *s, const struct ldl_claim *c, int rc, uint64_t written,
                    const struct ldl_err *err)
{
    struct ldl_slot *slot = c->slot;
    pthread_mutex_lock(&s->lock);
    tell_tile(s, c, written);
    if (rc)
        fail(s, slot->job, rc, err);
    slot->outstanding--;
    int all_claimed = slot->next_block >= slot->end_block || slot->job >= s->failed_job;
    if (all_claimed && slot->outstanding == 0 && !slot->busy) {
        end_pass(s, slot);
        drop_failed(s);
        pthread_cond_broadcast(&s->change);
    }
    pthread_mutex_unlock(&s->lock);
}

void ldl_sched_stop(struct ldl_sched *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = 1;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}
