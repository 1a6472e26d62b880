/* verify.c -- see verify.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/verify.h"

#include <string.h>

enum { WINDOW = 256 * 1024 };

static int compare(const struct ldl_plan *p, const struct ldl_job *j, size_t other,
                   struct ldl_reader *r, struct ldl_err *err)
{
    const struct ldl_view *v = ldl_job_input(j, other);
    const unsigned char *a, *b;
    uint64_t some = WINDOW / ldl_dtype_unit_bytes(j->dtype) * ldl_dtype_unit(j->dtype);
    for (uint64_t at = 0; at < v->n; at += some) {
        size_t n = (size_t)LDL_MIN(v->n - at, some);
        int rc = j->in[0]->ops->fetch(j->in[0], at, n, &r[0], &a, err);
        if (rc == 0)
            rc = v->ops->fetch(v, at, n, &r[1], &b, err);
        if (rc)
            return rc;
        if (memcmp(a, b, (size_t)ldl_dtype_span(j->dtype, n)) != 0)
            return ldl_fail(
                err, LDL_EINPUT,
                "tensor %s (%s) has other values in %s than in %s; tensors of this type "
                "cannot be merged, only copied when all models agree",
                v->name, ldl_dtype_name(v->dtype), p->model[ldl_job_model(p, j, other)].asked,
                p->model[ldl_job_model(p, j, 0)].asked);
    }
    return 0;
}

int ldl_verify_copies(const struct ldl_plan *p, struct ldl_err *err)
{
    unsigned char *buf = ldl_alloc(2 * WINDOW);
    struct ldl_reader r[2] = { { .buf = buf, .cap = WINDOW } };
    int rc = buf ? 0 : ldl_oom(err);
    r[1] = (struct ldl_reader){ .buf = buf ? buf + WINDOW : NULL, .cap = WINDOW };
    for (size_t t = 0; rc == 0 && t < p->njobs; t++)
        for (size_t i = 1;
             rc == 0 && p->job[t].kind == LDL_JOB_COPY && i < ldl_job_inputs(&p->job[t]); i++)
            rc = compare(p, &p->job[t], i, r, err);
    ldl_free(buf);
    for (size_t i = 0; rc == 0 && p->owns_results && i < p->results->n; i++)
        rc = ldl_verify_copies(&p->results->plan[i], err);
    return rc;
}
