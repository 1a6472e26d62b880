/* verify.c -- see verify.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/verify.h"

#include <string.h>

enum { CHUNK = 256 * 1024 };

static int read_chunk(const struct ldl_view *v, void *to, size_t n, uint64_t at,
                      struct ldl_err *err)
{
    return ldl_pread(v->file->fd, v->file->path, to, n, v->stored->offset + at, err);
}

static int compare(const struct ldl_plan *p, const struct ldl_job *j, size_t other,
                   unsigned char *a, unsigned char *b, struct ldl_err *err)
{
    const struct ldl_view *v = other < p->nmodels ? j->in[other] : j->base;
    for (uint64_t at = 0; at < j->bytes; at += CHUNK) {
        size_t n = (size_t)LDL_MIN(j->bytes - at, (uint64_t)CHUNK);
        int rc = read_chunk(j->in[0], a, n, at, err);
        if (rc == 0)
            rc = read_chunk(v, b, n, at, err);
        if (rc)
            return rc;
        if (memcmp(a, b, n) != 0)
            return ldl_fail(
                err, LDL_EINPUT,
                "tensor %s (%s) has other values in %s than in %s; tensors of this type "
                "cannot be merged, only copied when all models agree",
                v->name, ldl_dtype_name(v->dtype), p->model[other].asked, p->model[0].asked);
    }
    return 0;
}

int ldl_verify_copies(const struct ldl_plan *p, struct ldl_err *err)
{
    unsigned char *buf = ldl_alloc(2 * CHUNK);
    int rc = buf ? 0 : ldl_oom(err);
    for (size_t t = 0; rc == 0 && t < p->njobs; t++) {
        if (!p->job[t].copy)
            continue;
        for (size_t i = 1; rc == 0 && i < p->nmodels + (p->base != NULL); i++)
            rc = compare(p, &p->job[t], i, buf, buf + CHUNK, err);
    }
    ldl_free(buf);
    return rc;
}
