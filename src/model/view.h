/* view.h -- a readable tensor.
 *
 * Everything that can give elements is a view: a stored tensor today; W + s*B*A (LoRA), a row map,
 * a block-scaled FP8 tensor, a slice, a scaled copy are further rows of `struct ldl_view_ops`.
 * Views nest: a view's state may hold other views. read() is all that the engine calls.
 *
 * A view is immutable after it is made and may be read by many threads; what reading needs
 * (the raw window) is in a `struct ldl_reader`, one for each thread and view being read. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_VIEW_H
#define LDL_MODEL_VIEW_H

#include "format/format.h"
#include "kern/kern.h"

/* A window of raw bytes of one stored tensor: reads are batched into one pread per window.
 * buf is `cap` bytes, owned by the caller (ldl_alloc_aligned). Reset `source` to NULL to forget. */
struct ldl_reader {
    unsigned char *buf;
    size_t cap;
    const void *source; /* the ldl_stored whose bytes are in buf */
    uint64_t first, n;  /* elements in buf */
    uint64_t limit;     /* the caller will not ask for elements from here on (0: unknown) */
};

struct ldl_view {
    const struct ldl_view_ops *ops;
    const char *name; /* tensor name, borrowed */
    enum ldl_dtype dtype;
    int ndim;
    uint64_t dim[LDL_MAX_DIMS];
    uint64_t n;
    const struct ldl_file *file; /* stored: where the bytes are */
    const struct ldl_stored *stored;
    /* As f32 elements need no conversion of bytes, a view whose bytes can be taken as they are
     * (a stored tensor) can be copied raw: file, stored->offset, stored->bytes. */
    int raw;
};

struct ldl_view_ops {
    const char *name;
    /* Elements [first, first + n) as f32 into out. n <= the reader's capacity in elements. */
    int (*read)(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                float *out, struct ldl_reader *r, struct ldl_err *err);
};

/* A view of a stored tensor; f and t must outlive it. */
void ldl_view_stored(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t);

static inline int ldl_view_read(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first,
                                size_t n, float *out, struct ldl_reader *r, struct ldl_err *err)
{
    return v->ops->read(v, k, first, n, out, r, err);
}

/* "[32, 96]" */
const char *ldl_shape_text(char out[200], const uint64_t *dim, int ndim);

#endif
