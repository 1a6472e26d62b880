/* budget.h -- how a plan fits into memory: threads, tile size, and what is left for the facts that
 * methods learn about whole tensors. Decided once, from the plan and the machine alone; it never
 * changes a result. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_BUDGET_H
#define LDL_ENGINE_BUDGET_H

#include "plan/plan.h"

/* Bytes of facts: what any tensor takes, and what a hard one (is_hard() in sparsify.h) takes more. */
struct ldl_facts {
    uint64_t usual, extra;
};

struct ldl_budget {
    int threads;
    size_t tile_elems;     /* a multiple of LDL_BLOCK */
    size_t window_bytes;   /* of one reader */
    size_t aux_bytes;      /* of its second window; 0: no view wants one */
    uint64_t bits_bytes;   /* facts of single elements of one tensor: see struct ldl_shape */
    uint64_t worker_bytes; /* buffers of one worker */
    /* All states and accumulators together may take facts_bytes, and of that usual_bytes without what hard
     * tensors take more. What is between them is enough for one hard tensor. Without --max-memory
     * it may be less: that no tensor is hard is hoped then, and one that is goes beyond facts_bytes. */
    uint64_t facts_bytes, usual_bytes;
    uint64_t peak_bytes; /* expected most, of the whole process */
};

/* What a tensor takes with one thread at work on it, and what each thread more adds. */
void ldl_budget_facts(const struct ldl_job *j, uint64_t bits_bytes, struct ldl_facts *alone,
                      struct ldl_facts *more);
/* LADLE_TILE (elements) overrides the tile size, for tests. LDL_EUSAGE when --max-memory is less
 * than one thread needs; the text says how much that is. */
int ldl_budget_make(struct ldl_budget *b, const struct ldl_plan *p, struct ldl_err *err);

#endif
