/* ahead.h -- has the system read coming tensors from the disk while those in work are computed.
 *
 * A tensor's scans read it from the disk, its last pass from the page cache, and meanwhile the disk would
 * rest. So whoever opens a tensor also asks for those that follow, up to AHEAD_BYTES of inputs. It is a hint:
 * nothing waits for it, nothing is allocated for it, and what is cached already costs one probe for
 * each MiB. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_AHEAD_H
#define LDL_ENGINE_AHEAD_H

#include "plan/plan.h"

struct ldl_ahead {
    size_t first, end; /* jobs that are asked for and not opened */
    uint64_t bytes;    /* of their inputs */
};

/* Jobs below next_job are opened: *from .. *to - 1 are to be asked for. Under the scheduler's lock. */
void ldl_ahead_next(struct ldl_ahead *a, const struct ldl_plan *p, size_t next_job, size_t *from,
                    size_t *to);
void ldl_ahead_ask(const struct ldl_plan *p, size_t from, size_t to);

#endif
