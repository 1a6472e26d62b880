/* view.h -- a readable tensor.
 *
 * Everything that can give elements is a view: a stored tensor, W + s*B*A (LoRA), a block-scaled
 * FP8 tensor; a row map or a slice are further rows of `struct ldl_view_ops`. Views nest: what a
 * composed view is made of hangs on `made_of`, and it reads those views in turn.
 *
 * A view is immutable after it is made and may be read by many threads. What reading needs beside it:
 *   - a `struct ldl_reader` (windows of raw bytes), one for each thread and view being read;
 *   - the view's `state`, when its ops have begin(): facts about the whole tensor, loaded when the
 *     tensor's turn comes, shared by all threads, released after it. */
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
    const void *source;     /* the ldl_stored whose bytes are in buf */
    uint64_t first, n;      /* elements in buf */
    uint64_t limit;         /* the caller will not ask for elements from here on (0: unknown) */
    const void *state;      /* of the view that is read; NULL when its ops have no begin() */
    struct ldl_reader *aux; /* another window, for what a composed view reads beside its main
                             * tensor; NULL when the view's ops do not ask for it */
};

struct ldl_view {
    const struct ldl_view_ops *ops;
    const char *name; /* tensor name, borrowed */
    /* The type of its elements as the user sees it, and of the output unless another is asked
     * for: a bf16 tensor that is kept as FP8 and scales is LDL_BF16 here. */
    enum ldl_dtype dtype;
    int ndim;
    uint64_t dim[LDL_MAX_DIMS];
    uint64_t n;
    /* Where the bytes are; of a composed view, those of its main tensor. */
    const struct ldl_file *file;
    const struct ldl_stored *stored;
    const void *made_of; /* a composed view's own description, owned by the model; else NULL */
    /* The output may be a copy of stored->bytes bytes from stored->offset. */
    int raw;
};

struct ldl_view_ops {
    const char *name;
    /* Elements [first, first + n) as f32 into out. n <= the reader's capacity in elements. */
    int (*read)(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                float *out, struct ldl_reader *r, struct ldl_err *err);
    /* Points *raw at the bytes of elements [first, first + n), of type stored->dtype, in r's window.
     * first and n are whole units. NULL: elements are computed, there are no bytes. */
    int (*fetch)(const struct ldl_view *v, uint64_t first, size_t n, struct ldl_reader *r,
                 const unsigned char **raw, struct ldl_err *err);
    /* Facts about the whole tensor. NULL: none. state_bytes: most that begin() takes, while it
     * works and after. On failure *state is NULL. end(NULL) is fine. */
    uint64_t (*state_bytes)(const struct ldl_view *v);
    int (*begin)(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                 struct ldl_err *err);
    void (*end)(const struct ldl_view *v, void *state);
    int wants_aux;
};

/* A view of a stored tensor; f and t must outlive it. */
void ldl_view_stored(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t);
/* The n-d stored tensor t with its first two dimensions exchanged, as a view: *t2 is filled in for
 * it and must outlive the view. t must have two dimensions or more, a type with units of one
 * element, and no mark. */
void ldl_view_transposed(struct ldl_view *v, const struct ldl_file *f, const struct ldl_stored *t,
                         struct ldl_stored *t2);

static inline int ldl_view_read(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first,
                                size_t n, float *out, struct ldl_reader *r, struct ldl_err *err)
{
    return v->ops->read(v, k, first, n, out, r, err);
}
static inline uint64_t ldl_view_state_bytes(const struct ldl_view *v)
{
    return v->ops->state_bytes ? v->ops->state_bytes(v) : 0;
}
static inline int ldl_view_begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                                 struct ldl_err *err)
{
    *state = NULL;
    return v->ops->begin ? v->ops->begin(v, k, state, err) : 0;
}
static inline void ldl_view_end(const struct ldl_view *v, void *state)
{
    if (v->ops->end && state)
        v->ops->end(v, state);
}
/* All of it as f32 into out (v->n floats), through a window of its own: for small tensors and
 * begin(). Only for views without begin(). */
int ldl_view_read_all(const struct ldl_view *v, const struct ldl_kern *k, float *out,
                      struct ldl_err *err);

/* "[32, 96]" */
const char *ldl_shape_text(char out[200], const uint64_t *dim, int ndim);

#endif
