/* view.c -- the view of a stored tensor, and what all views share.
 *
 * Reading is in windows: one pread fills the caller's reader, later reads inside the window only
 * decode. A window begins at the first element asked for and never passes the tensor's end or
 * what the caller said it will stop at, so that no byte is read for nothing. The raw bytes may lie
 * at any address: decode() takes them unaligned. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/view.h"
#include "base/io.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Fills the window with elements from `first`, at least `n`, as many as fit. */
static int fill(const struct ldl_view *v, uint64_t first, size_t n, struct ldl_reader *r,
                struct ldl_err *err)
{
    size_t size = ldl_dtype_bytes(v->dtype);
    uint64_t end = r->limit && r->limit < v->n ? r->limit : v->n;
    uint64_t want = LDL_MAX(end, first + n) - first;
    want = LDL_MIN(want, (uint64_t)(r->cap / size));
    r->source = NULL;
    int status = ldl_pread(v->file->fd, v->file->path, r->buf, (size_t)want * size,
                           v->stored->offset + first * size, err);
    if (status) {
        ldl_context(err, "tensor '%.200s'", v->name);
        return status;
    }
    r->source = v->stored;
    r->first = first;
    r->n = want;
    return 0;
}

static int read_stored(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                       float *out, struct ldl_reader *r, struct ldl_err *err)
{
    size_t size = ldl_dtype_bytes(v->dtype);
    if (n == 0)
        return 0;
    assert(k->decode[v->dtype] && first <= v->n && n <= v->n - first && n <= r->cap / size);
    if (r->source != v->stored || first < r->first || first - r->first > r->n ||
        n > r->n - (first - r->first)) {
        int status = fill(v, first, n, r, err);
        if (status)
            return status;
    }
    k->decode[v->dtype](out, r->buf + (first - r->first) * size, n);
    return 0;
}

static const struct ldl_view_ops stored_ops = { .name = "stored", .read = read_stored };

void ldl_view_stored(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t)
{
    *v = (struct ldl_view){
        .ops = &stored_ops,
        .name = t->name,
        .dtype = t->dtype,
        .ndim = t->ndim,
        .n = t->n,
        .file = f,
        .stored = t,
        .raw = 1,
    };
    memcpy(v->dim, t->dim, sizeof v->dim);
}

const char *ldl_shape_text(char out[200], const uint64_t *dim, int ndim)
{
    size_t at = 0;
    assert(ndim >= 0 && ndim <= LDL_MAX_DIMS); /* 8 numbers of 20 digits fit */
    out[at++] = '[';
    for (int i = 0; i < ndim; i++)
        at += (size_t)snprintf(out + at, 200 - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)dim[i]);
    snprintf(out + at, 200 - at, "]");
    return out;
}
