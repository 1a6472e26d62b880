/* engine.h -- runs a plan: reads tiles, has the method work on them, writes them in place.
 *
 * Invariants
 *   1. What is written where was decided by the plan; threads only choose when.
 *   2. A tensor's passes follow each other; a pass ends when all its tiles are done.
 *   3. Memory for facts about tensors stays inside the budget: a tensor is opened, and a thread
 *      joins one, only when its share fits (one tensor with one thread always may).
 *   4. Of several failures the one of the lowest job is reported. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_ENGINE_H
#define LDL_ENGINE_ENGINE_H

#include "engine/budget.h"
#include "plan/plan.h"

/* bytes: of output; passes that only look at a tensor count for their share of its bytes. */
struct ldl_progress {
    uint64_t jobs_done, jobs, bytes_done, bytes;
};

struct ldl_run_result {
    uint64_t bytes_read, bytes_written;
    uint64_t nans_in, infs_in, nans_out, infs_out;
    size_t odd_job;   /* first job with a NaN or infinity in its inputs; njobs: none */
    size_t odd_model; /* and in which model (nmodels: the base) */
    int threads;
};

/* Merges into the plan's output directory. tick (may be NULL) is called about every 0.1 s from the
 * calling thread; nonzero stops the run with LDL_EINTR. On failure the output place is as before. */
int ldl_engine_run(const struct ldl_plan *p, int (*tick)(void *ctx, const struct ldl_progress *),
                   void *ctx, struct ldl_run_result *result, struct ldl_err *err);
/* Checks of the output place alone, for `ladle plan`. Nothing is written. */
int ldl_engine_check(const struct ldl_plan *p, struct ldl_err *err);

#endif
