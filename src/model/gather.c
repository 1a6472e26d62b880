/* gather.c -- see gather.h.
 *
 * Strided: the run of elements asked for is cut into boxes (sub-arrays whose indices are full below
 * one dimension). A box whose elements span few bytes in the file is read in one piece and picked
 * from memory; a larger one is halved along the dimension whose stride is greatest. So a transposed
 * matrix is read column by column, each column one pread, and a channels-last kernel in one. The time
 * is bounded by the elements asked for, whatever the strides. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gather.h"
#include "base/io.h"

#include <string.h>

enum { SPAN_BYTES = 16 * 1024, TEXT_BYTES = 16 * 1024 };

struct gather {
    const struct ldl_file *f;
    const struct ldl_stored *t;
    size_t size; /* of an element */
    uint64_t
        inner[LDL_MAX_DIMS]; /* elements of the output from one index of a dimension to the next */
};

/* count[d] indices from start[d] in each dimension; `to` is where its first element goes. */
struct box {
    uint64_t start[LDL_MAX_DIMS], count[LDL_MAX_DIMS];
    unsigned char *to;
};

static uint64_t file_elem(const struct gather *g, const uint64_t *index)
{
    uint64_t at = 0;
    for (int d = 0; d < g->t->ndim; d++)
        at += index[d] * g->t->stride[d];
    return at;
}

static void copy_elem(unsigned char *to, const unsigned char *from, size_t size)
{
    switch (size) {
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    default: memcpy(to, from, size);
    }
}

/* Puts the box's elements in place; span holds the file's bytes from the box's first element on. */
static void pick(const struct gather *g, const struct box *b, int d, const unsigned char *span,
                 unsigned char *to)
{
    if (d == g->t->ndim) {
        copy_elem(to, span, g->size);
        return;
    }
    size_t from_step = (size_t)g->t->stride[d] * g->size, to_step = (size_t)g->inner[d] * g->size;
    if (d == g->t->ndim - 1) {
        for (uint64_t i = 0; i < b->count[d]; i++)
            copy_elem(to + i * to_step, span + i * from_step, g->size);
        return;
    }
    for (uint64_t i = 0; i < b->count[d]; i++)
        pick(g, b, d + 1, span + i * from_step, to + i * to_step);
}

/* The box from one piece of the file. Apart from take_box(), which calls itself: span is large. */
static __attribute__((noinline)) int read_box(const struct gather *g, const struct box *b,
                                              size_t span_bytes, struct ldl_err *err)
{
    unsigned char span[SPAN_BYTES];
    uint64_t at = g->t->offset + file_elem(g, b->start) * g->size;
    int rc = ldl_pread(g->f->fd, g->f->path, span, span_bytes, at, err);
    if (rc == 0)
        pick(g, b, 0, span, b->to);
    return rc;
}

static int take_box(const struct gather *g, const struct box *b, struct ldl_err *err)
{
    uint64_t last = 0;
    int widest = -1;
    for (int d = 0; d < g->t->ndim; d++) {
        last += (b->count[d] - 1) * g->t->stride[d];
        if (b->count[d] > 1 && (widest < 0 || g->t->stride[d] > g->t->stride[widest]))
            widest = d;
    }
    uint64_t span_bytes = (last + 1) * g->size;
    if (span_bytes <= SPAN_BYTES || widest < 0)
        return read_box(g, b, (size_t)span_bytes, err);
    struct box half = *b;
    half.count[widest] = b->count[widest] / 2;
    int rc = take_box(g, &half, err);
    half.start[widest] += half.count[widest];
    half.to += half.count[widest] * g->inner[widest] * g->size;
    half.count[widest] = b->count[widest] - half.count[widest];
    return rc ? rc : take_box(g, &half, err);
}

/* The largest box that begins at element `first` and holds at most n; *n becomes what it holds. */
static void first_box(const struct gather *g, uint64_t first, uint64_t *n, struct box *b)
{
    int ndim = g->t->ndim, d;
    for (d = 0; d < ndim; d++) {
        b->start[d] = first / g->inner[d] % g->t->dim[d];
        b->count[d] = 1;
    }
    /* the outermost dimension whose whole inner part is wanted */
    for (d = 0; d < ndim - 1; d++)
        if (first % g->inner[d] == 0 && *n >= g->inner[d])
            break;
    if (ndim == 0) {
        *n = 1;
        return;
    }
    b->count[d] = LDL_MIN(*n / g->inner[d], g->t->dim[d] - b->start[d]);
    for (int i = d + 1; i < ndim; i++)
        b->count[i] = g->t->dim[i];
    *n = b->count[d] * g->inner[d];
}

int ldl_gather_strided(const struct ldl_file *f, const struct ldl_stored *t, uint64_t first,
                       uint64_t n, unsigned char *to, struct ldl_err *err)
{
    struct gather g = { .f = f, .t = t, .size = ldl_dtype_unit_bytes(t->dtype) };
    uint64_t step = 1;
    for (int d = t->ndim; d-- > 0; step *= t->dim[d])
        g.inner[d] = step;
    while (n) {
        struct box b = { .to = to };
        uint64_t count = n;
        first_box(&g, first, &count, &b);
        int rc = take_box(&g, &b, err);
        if (rc)
            return rc;
        first += count;
        n -= count;
        to += count * g.size;
    }
    return 0;
}

/* ---- text ---- */

/* Turns text into bytes: skips *skip of them, then puts up to n into to. Returns how many it put, and
 * in *used how much of the text it took (not a character that is cut off); -1: not such text. */
static ptrdiff_t decode_text(const unsigned char *text, size_t len, size_t *skip, size_t n,
                             unsigned char *to, size_t *used)
{
    size_t at = 0, put = 0;
    while (put < n && at < len) {
        unsigned char c = text[at];
        size_t width = c < 0x80 ? 1 : 2;
        if (c >= 0x80) {
            if (at + 1 == len)
                break;
            if ((c & 0xfe) != 0xc2 || (text[at + 1] & 0xc0) != 0x80)
                return -1;
            c = (unsigned char)((c & 3) << 6 | (text[at + 1] & 0x3f));
        }
        at += width;
        if (*skip)
            --*skip;
        else
            to[put++] = c;
    }
    *used = at;
    return (ptrdiff_t)put;
}

int ldl_gather_text(const struct ldl_file *f, const struct ldl_stored *t, uint64_t first, size_t n,
                    unsigned char *to, struct ldl_err *err)
{
    unsigned char text[TEXT_BYTES];
    uint64_t at = t->mark[first / LDL_MARK_BYTES];
    size_t skip = (size_t)(first % LDL_MARK_BYTES);
    while (n) {
        size_t used = 0,
               len = (size_t)LDL_MIN((uint64_t)sizeof text, f->size - LDL_MIN(at, f->size));
        int rc = ldl_pread(f->fd, f->path, text, len, at, err);
        if (rc)
            return rc;
        ptrdiff_t put = decode_text(text, len, &skip, n, to, &used);
        if (put < 0 || used == 0)
            return ldl_fail(err, LDL_EINPUT, "%s: changed while it was read, or damaged", f->path);
        to += put;
        n -= (size_t)put;
        at += used;
    }
    return 0;
}
