/* ahead.c -- see ahead.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ahead.h"
#include "base/io.h"

#define AHEAD_BYTES ((uint64_t)256 << 20)

static uint64_t input_bytes(const struct ldl_job *j)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ldl_job_inputs(j); i++)
        sum += ldl_job_input(j, i)->stored->bytes;
    return sum;
}

void ldl_ahead_next(struct ldl_ahead *a, const struct ldl_plan *p, size_t next_job, size_t *from,
                    size_t *to)
{
    for (; a->first < next_job; a->first++)
        if (a->first < a->end)
            a->bytes -= input_bytes(&p->job[a->first]);
    *from = a->end = LDL_MAX(a->end, next_job);
    while (a->end < p->njobs && a->bytes < AHEAD_BYTES)
        a->bytes += input_bytes(&p->job[a->end++]);
    *to = a->end;
}

void ldl_ahead_ask(const struct ldl_plan *p, size_t from, size_t to)
{
    for (size_t t = from; t < to; t++)
        for (size_t i = 0; i < ldl_job_inputs(&p->job[t]); i++) {
            const struct ldl_view *v = ldl_job_input(&p->job[t], i);
            if (v->file && !v->stored->strided)
                ldl_read_ahead(v->file->fd, v->stored->offset,
                               LDL_MIN(v->stored->bytes, AHEAD_BYTES));
        }
}
