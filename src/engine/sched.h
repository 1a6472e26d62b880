/* sched.h -- which thread does what next.
 *
 * A tensor in work sits in a slot. Its passes are cut into tiles, which threads claim:
 *
 *     opening --> pass open --claim/finish tiles--> all tiles done --> changing --> pass open ...
 *                                                                        \--> closed
 *
 * A thread takes a tile of the lowest open tensor that has one, else opens the next tensor, else
 * waits. Everything here happens under one lock; reading, computing and writing happen outside.
 *
 * A tensor is opened when the budget has room for what it usually takes. One that turns out to be hard
 * waits before its next pass until there is room for what it takes more. For one such tensor there
 * always is (budget.h), and a tensor that has what it needs waits for nobody: so none waits for ever. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_SCHED_H
#define LDL_ENGINE_SCHED_H

#include <pthread.h>
#include "engine/ahead.h"
#include "engine/engine.h"

struct ldl_slot {
    int used, busy; /* busy: one thread opens it or changes its pass */
    size_t job;
    struct ldl_work work; /* of a merge job */
    void **view_state;    /* one for each input */
    /* Of a weight that is written as FP8: what its blocks' largest magnitudes are, then the scales.
     * A pass that only measures comes before the map pass. */
    uint32_t *blocks_max;
    int measure, measured;
    int map, last, copy; /* last: this map pass ends the tensor */
    uint64_t blocks, next_block, end_block, stride, tile_blocks;
    uint64_t outstanding;               /* tiles claimed and not finished */
    struct ldl_work_acc *acc;           /* one for each thread */
    unsigned char *joined;              /* the thread has an accumulator here (or will make it) */
    struct ldl_facts alone, more, held; /* see ldl_budget_facts(); taken of the budget */
    int hard, waits;                    /* hard: it has what hard tensors take; waits: for that */
    uint64_t told_bytes;                /* of this tensor, in progress.bytes_done */
};

/* A tile: `count` blocks from `block` on, every `stride`-th. */
struct ldl_claim {
    struct ldl_slot *slot;
    uint64_t block, count, stride;
    enum { LDL_CLAIM_TILE, LDL_CLAIM_OPEN } what;
};

struct ldl_sched {
    pthread_mutex_t lock;
    pthread_cond_t change;
    const struct ldl_plan *plan;
    const struct ldl_budget *budget;
    const struct ldl_kern *kern;
    struct ldl_slot *slot;
    size_t nslots, in_flight, next_job;
    struct ldl_ahead ahead;
    struct ldl_facts facts; /* taken of the budget */
    int stop;               /* no more work: asked to, or all threads should end */
    size_t failed_job;      /* lowest job that failed; njobs: none */
    struct ldl_err err;
    struct ldl_progress progress;
};

int ldl_sched_init(struct ldl_sched *s, const struct ldl_plan *p, const struct ldl_budget *b,
                   const struct ldl_kern *k, struct ldl_err *err);
void ldl_sched_free(struct ldl_sched *s);
/* The next thing for thread w to do; 0 when there is nothing more. Waits while others work. */
int ldl_sched_take(struct ldl_sched *s, int w, struct ldl_claim *c);
/* Opens the slot that was claimed with LDL_CLAIM_OPEN. */
void ldl_sched_open(struct ldl_sched *s, const struct ldl_claim *c);
/* The tile is done (rc 0) or failed with err. written: bytes of output it made. */
void ldl_sched_done(struct ldl_sched *s, const struct ldl_claim *c, int rc, uint64_t written,
                    const struct ldl_err *err);
void ldl_sched_stop(struct ldl_sched *s);
/* Nothing is left to claim: all is merged, or the lowest failure is known. Under the lock. */
int ldl_sched_over(const struct ldl_sched *s);

#endif
