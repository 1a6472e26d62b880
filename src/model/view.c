/* view.c -- the views of stored tensors, and what all views share.
 *
 * Reading is in windows: one fill puts raw bytes into the caller's reader, later reads inside the
 * window only decode. A window begins at the first element asked for and never passes the tensor's
 * end or what the caller said it will stop at, so that no byte is read for nothing. The raw bytes may
 * lie at any address: decode() takes them unaligned. There are three ways to fill a window, for the
 * three ways in which bytes are kept (format.h): one pread; a gather of strided pieces (gather.c);
 * text turned into bytes (gather.c). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/view.h"
#include "base/io.h"
#include "model/gather.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { READ_ALL_WINDOW = 1 << 16 };

/* Elements that fit into the reader, in whole units. */
static uint64_t capacity(const struct ldl_reader *r, enum ldl_dtype t)
{
    return r->cap / ldl_dtype_unit_bytes(t) * ldl_dtype_unit(t);
}

static int fill_bytes(const struct ldl_view *v, uint64_t first, uint64_t n, unsigned char *to,
                      struct ldl_err *err)
{
    const struct ldl_stored *t = v->stored;
    if (t->strided)
        return ldl_gather_strided(v->file, t, first, n, to, err);
    if (t->mark)
        return ldl_gather_text(v->file, t, ldl_dtype_span(t->dtype, first),
                               (size_t)ldl_dtype_span(t->dtype, n), to, err);
    return ldl_pread(v->file->fd, v->file->path, to, (size_t)ldl_dtype_span(t->dtype, n),
                     t->offset + ldl_dtype_span(t->dtype, first), err);
}

/* Fills the window with elements from `first`, at least `n`, as many as fit. */
static int fill(const struct ldl_view *v, uint64_t first, size_t n, struct ldl_reader *r,
                struct ldl_err *err)
{
    uint64_t unit = ldl_dtype_unit(v->stored->dtype);
    uint64_t end = r->limit && r->limit < v->n ? r->limit : v->n;
    uint64_t want = (LDL_MAX(end, first + n) - first + unit - 1) / unit * unit;
    want = LDL_MIN(want, capacity(r, v->stored->dtype));
    r->source = NULL;
    int status = fill_bytes(v, first, want, r->buf, err);
    if (status) {
        ldl_context(err, "tensor '%.200s'", v->name);
        return status;
    }
    r->source = v->stored;
    r->first = first;
    r->n = want;
    return 0;
}

static int fetch(const struct ldl_view *v, uint64_t first, size_t n, struct ldl_reader *r,
                 const unsigned char **raw, struct ldl_err *err)
{
    const struct ldl_stored *t = v->stored;
    assert(first <= v->n && n <= v->n - first && n <= capacity(r, t->dtype));
    assert(first % ldl_dtype_unit(t->dtype) == 0 && n % ldl_dtype_unit(t->dtype) == 0);
    if (r->source != t || first < r->first || first - r->first > r->n ||
        n > r->n - (first - r->first)) {
        int status = fill(v, first, n, r, err);
        if (status)
            return status;
    }
    *raw = r->buf + ldl_dtype_span(t->dtype, first - r->first);
    return 0;
}

/* The part of one unit, elements [skip, skip + n) of the unit at `first`. */
static int read_part(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first,
                     size_t skip, size_t n, float *out, struct ldl_reader *r, struct ldl_err *err)
{
    float whole[64];
    const unsigned char *raw;
    size_t unit = ldl_dtype_unit(v->stored->dtype);
    assert(unit <= LDL_COUNT(whole) && skip + n <= unit);
    int status = fetch(v, first, unit, r, &raw, err);
    if (status)
        return status;
    k->decode[v->stored->dtype](whole, raw, unit);
    memcpy(out, whole + skip, n * sizeof *out);
    return 0;
}

static int read_stored(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                       float *out, struct ldl_reader *r, struct ldl_err *err)
{
    const unsigned char *raw;
    size_t unit = ldl_dtype_unit(v->stored->dtype), skip = (size_t)(first % unit);
    int status = 0;
    if (skip && n) {
        size_t part = LDL_MIN(n, unit - skip);
        if ((status = read_part(v, k, first - skip, skip, part, out, r, err)))
            return status;
        first += part;
        out += part;
        n -= part;
    }
    size_t rest = n % unit;
    if (n - rest) {
        if ((status = fetch(v, first, n - rest, r, &raw, err)))
            return status;
        k->decode[v->stored->dtype](out, raw, n - rest);
    }
    return rest ? read_part(v, k, first + (n - rest), 0, rest, out + (n - rest), r, err) : 0;
}

static const struct ldl_view_ops stored_ops = {
    .name = "stored",
    .read = read_stored,
    .fetch = fetch,
};

/* Q types have no name outside GGUF: what is made of them is f16, the type of their scales. */
static enum ldl_dtype outer_dtype(enum ldl_dtype t)
{
    return ldl_dtype_unit(t) > 1 ? LDL_F16 : t;
}

void ldl_view_stored(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t)
{
    *v = (struct ldl_view){
        .ops = &stored_ops,
        .name = t->name,
        .dtype = outer_dtype(t->dtype),
        .ndim = t->ndim,
        .n = t->n,
        .file = f,
        .stored = t,
        .raw = !t->strided && !t->mark,
    };
    memcpy(v->dim, t->dim, sizeof v->dim);
}

void ldl_view_transposed(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t,
                         struct ldl_stored *t2)
{
    assert(t->ndim >= 2 && !t->mark && ldl_dtype_unit(t->dtype) == 1);
    *t2 = *t;
    if (!t->strided) {
        uint64_t step = 1;
        for (int d = t->ndim; d-- > 0; step *= LDL_MAX(t->dim[d], (uint64_t)1))
            t2->stride[d] = step;
        t2->strided = 1;
    }
    uint64_t dim = t2->dim[0], stride = t2->stride[0];
    t2->dim[0] = t2->dim[1];
    t2->stride[0] = t2->stride[1];
    t2->dim[1] = dim;
    t2->stride[1] = stride;
    ldl_view_stored(v, f, t2);
}

int ldl_view_read_all(const struct ldl_view *v, const struct ldl_kern *k, float *out,
                      struct ldl_err *err)
{
    struct ldl_reader r = { .buf = ldl_alloc(READ_ALL_WINDOW), .cap = READ_ALL_WINDOW };
    int status = r.buf ? 0 : ldl_oom(err);
    uint64_t most = READ_ALL_WINDOW / 8; /* elements of the widest type */
    assert(!v->ops->begin);
    for (uint64_t at = 0; status == 0 && at < v->n; at += most)
        status = ldl_view_read(v, k, at, (size_t)LDL_MIN(most, v->n - at), out + at, &r, err);
    ldl_free(r.buf);
    return status;
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
