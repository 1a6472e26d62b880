/* budget.c -- see budget.h.
 *
 *   peak = FIXED (program, libraries, stacks) + what the plan itself holds (headers, names)
 *        + threads * worker_bytes + facts
 *
 * Without --max-memory the total is DEFAULT_BYTES beside the plan, and grows only when one thread
 * on the biggest tensor needs more. What is given up to fit, in this order: large tiles, facts of all of a
 * big tensor at once (bits_bytes), threads, tiles of more than a block. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/budget.h"
#include "base/cores.h"

#include <stdlib.h>
#include <string.h>

enum { TILE_ELEMS = 256 * 1024, TILE_MOST = 1 << 24, AUX_BYTES = 64 * 1024, BITS_LEAST = 1 << 20 };
#define FIXED_BYTES   ((uint64_t)6 << 20)
#define DEFAULT_BYTES ((uint64_t)112 << 20)

static int tile_from_env(size_t *tile, struct ldl_err *err)
{
    const char *text = getenv("LADLE_TILE");
    int64_t elems;
    if (!text || !*text)
        return 0;
    if (ldl_parse_int(text, &elems) || elems < 1 || elems > TILE_MOST)
        return ldl_fail(err, LDL_EUSAGE, "LADLE_TILE: '%s' is not a number of elements in 1..%d",
                        text, TILE_MOST);
    *tile = ((size_t)elems + LDL_BLOCK - 1) / LDL_BLOCK * LDL_BLOCK;
    return 0;
}

/* Bytes of an element, rounded up. */
static size_t elem_bytes(enum ldl_dtype t)
{
    return (ldl_dtype_unit_bytes(t) + ldl_dtype_unit(t) - 1) / ldl_dtype_unit(t);
}

static size_t widest(const struct ldl_plan *p)
{
    size_t bytes = 1;
    for (size_t t = 0; t < p->njobs; t++) {
        const struct ldl_job *j = &p->job[t];
        bytes = LDL_MAX(bytes, elem_bytes(j->dtype));
        for (size_t i = 0; i < j->m; i++)
            bytes = LDL_MAX(bytes, elem_bytes(j->in[i]->stored->dtype));
        if (j->base)
            bytes = LDL_MAX(bytes, elem_bytes(j->base->stored->dtype));
    }
    return bytes;
}

/* Readers of all inputs and one block of each as f32; the output tile; the output block. */
static void size_worker(struct ldl_budget *b, const struct ldl_plan *p, size_t elem)
{
    size_t inputs = p->most_inputs + (p->base != NULL);
    b->window_bytes = b->tile_elems * elem;
    b->worker_bytes = (uint64_t)(inputs + 1) * b->window_bytes + LDL_RUNS_SCRATCH +
                      (uint64_t)inputs * b->aux_bytes +
                      (uint64_t)(inputs + 1) * LDL_BLOCK * sizeof(float);
}

/* What the plan holds already: every tensor of every model has a view, a record and a name. */
static uint64_t plan_bytes(const struct ldl_plan *p)
{
    uint64_t tensors = 0;
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        tensors += p->model[i].nviews;
    return tensors * (sizeof(struct ldl_view) + sizeof(struct ldl_stored) + 128) +
           p->njobs * (sizeof(struct ldl_job) + 256);
}

void ldl_budget_facts(const struct ldl_job *j, uint64_t bits_bytes, struct ldl_facts *alone,
                      struct ldl_facts *more)
{
    const struct ldl_shape shape = ldl_job_shape(j, bits_bytes, 0);
    const struct ldl_shape hard = ldl_job_shape(j, bits_bytes, 1);
    uint64_t state = ldl_job_state_bytes(j, &shape);
    more->usual = ldl_job_acc_bytes(j, &shape);
    more->extra = ldl_job_acc_bytes(j, &hard) - more->usual;
    alone->usual = state + more->usual;
    alone->extra = ldl_job_state_bytes(j, &hard) - state + more->extra;
}

/* Facts of the most demanding tensor, with one thread at work on it. */
static struct ldl_facts least_facts(const struct ldl_plan *p, uint64_t bits_bytes)
{
    struct ldl_facts most = { 0 }, alone, more;
    for (size_t t = 0; t < p->njobs; t++) {
        ldl_budget_facts(&p->job[t], bits_bytes, &alone, &more);
        most.usual = LDL_MAX(most.usual, alone.usual);
        most.extra = LDL_MAX(most.extra, alone.extra);
    }
    return most;
}

static size_t aux_bytes(const struct ldl_plan *p)
{
    for (size_t t = 0; t < p->njobs; t++)
        for (size_t i = 0; p->job[t].kind == LDL_JOB_MERGE && i < ldl_job_inputs(&p->job[t]); i++)
            if (ldl_job_input(&p->job[t], i)->ops->wants_aux)
                return AUX_BYTES;
    return 0;
}

/* What is given up to fit, by its order. 0: nothing is left to give up. */
static int give_up(struct ldl_budget *b, int fixed_tile)
{
    /* buffers as small as a block cost little speed; fewer threads cost much */
    if (b->tile_elems > 4 * LDL_BLOCK && !fixed_tile)
        b->tile_elems /= 2;
    else if (b->bits_bytes > BITS_LEAST)
        b->bits_bytes /= 2;
    else if (b->threads > 1)
        b->threads--;
    else if (b->tile_elems > LDL_BLOCK && !fixed_tile)
        b->tile_elems /= 2;
    else
        return 0;
    return 1;
}

/* What is left goes to the facts; more than every thread could use at once is never taken. */
static void share_rest(struct ldl_budget *b, struct ldl_facts least, uint64_t promised,
                       uint64_t left)
{
    uint64_t most = 2 * (uint64_t)b->threads;
    b->facts_bytes = LDL_MIN(least.usual + promised + left, most * (least.usual + least.extra));
    b->usual_bytes = LDL_MIN(b->facts_bytes - promised, most * least.usual);
}

int ldl_budget_make(struct ldl_budget *b, const struct ldl_plan *p, struct ldl_err *err)
{
    uint64_t asked = p->recipe.max_memory_bytes, held = FIXED_BYTES + plan_bytes(p), need;
    uint64_t total = asked ? asked : DEFAULT_BYTES + plan_bytes(p), promised, bits = UINT64_MAX;
    int fixed_tile = getenv("LADLE_TILE") != NULL;
    struct ldl_facts least = { 0 };
    size_t elem = widest(p);
    *b = (struct ldl_budget){ .tile_elems = TILE_ELEMS,
                              .aux_bytes = aux_bytes(p),
                              .bits_bytes = total / 2 };
    int rc = tile_from_env(&b->tile_elems, err);
    if (rc)
        return rc;
    b->threads = p->recipe.threads ? (int)p->recipe.threads : ldl_cores();
    do {
        if (bits != b->bits_bytes)
            least = least_facts(p, bits = b->bits_bytes);
        promised = asked ? least.extra : 0;
        size_worker(b, p, elem);
        need = held + least.usual + promised + (uint64_t)b->threads * b->worker_bytes;
    } while (need > total && give_up(b, fixed_tile));
    if (asked && need > asked)
        return ldl_fail(
            err, LDL_EUSAGE,
            "--max_memory: %llu bytes are too little; this merge needs at least %llu MiB",
            (unsigned long long)asked, (unsigned long long)((need + (1 << 20) - 1) >> 20));
    share_rest(b, least, promised, total > need ? total - need : 0);
    b->peak_bytes = held + LDL_MAX(b->facts_bytes, b->usual_bytes + least.extra) +
                    (uint64_t)b->threads * b->worker_bytes;
    return 0;
}
