/* work.h -- one merge method at work on one tensor.
 *
 *     begin -> next: SCAN ... next: SCAN ... next: MAP -> end
 *
 * Where the sparsifier's facts do not fit for the whole tensor, it is done in stretches: after a map pass that
 * is not the last come scans and a map of the next stretch.
 *
 * In a scan pass the caller shows the blocks asked for (every stride-th), on any threads in any
 * order, each thread with an accumulator of its own; next() then joins what they found. In the map
 * pass it shows every block once and gets the merged elements. begin, next and end are called by
 * one thread at a time; scan and map by many. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_METHOD_WORK_H
#define LDL_METHOD_WORK_H

#include "method/method.h"

/* Where parameters come from. An input language may give them for each model, layer and tensor. */
struct ldl_settings {
    /* Writes every row's value into the struct at `into`. model: whose parameters they are; m or
     * more: of the method as a whole, and then a list row has an item for each of the m models, for
     * which `room` holds m doubles for each list row in turn. */
    int (*fill)(const struct ldl_settings *s, const struct ldl_param *rows, size_t nrows,
                size_t model, size_t m, void *into, double *room, struct ldl_err *err);
};
/* The settings of a language whose values are the same for all models and tensors. */
struct ldl_value_settings {
    struct ldl_settings settings;
    const struct ldl_value *value;
    size_t n;
};
void ldl_value_settings(struct ldl_value_settings *s, const struct ldl_value *value, size_t n);

/* A named row with its parameters filled in: what is done to a tensor. */
struct ldl_merge {
    const struct ldl_method *method;
    void *combiner_params;
    void **sparsifier_params; /* one for each model, or NULL */
    double *room;             /* of lists */
    size_t m;
    uint64_t seed;
};
int ldl_merge_init(struct ldl_merge *g, const struct ldl_method *method, size_t m, uint64_t seed,
                   const struct ldl_settings *settings, struct ldl_err *err);
void ldl_merge_free(struct ldl_merge *g);
/* One tensor, as far as memory depends on it: n elements in rows of cols, whose last axis has `last` of
 * them (see struct ldl_subject). bits_bytes: what facts of single elements of all models may take at a time
 * where the tensor can be done in stretches; UINT64_MAX: it has to be done at once. */
struct ldl_shape {
    uint64_t n, cols, last, bits_bytes;
    int hard; /* see ldl_work_is_hard() */
};
/* Most bytes for it: state, and one accumulator. */
uint64_t ldl_merge_state_bytes(const struct ldl_merge *g, const struct ldl_shape *shape);
uint64_t ldl_merge_acc_bytes(const struct ldl_merge *g, const struct ldl_shape *shape);
/* The tensor as sparsifiers and combiners are told of it; without its name, a kernel and a model. */
struct ldl_subject ldl_merge_subject(const struct ldl_merge *g, const struct ldl_shape *shape);
/* Elements of what the combiner takes as one vector. */
uint64_t ldl_merge_row_elems(const struct ldl_merge *g, uint64_t n, uint64_t last);
/* Reads of a whole tensor, the last included, that usually do; hard tensors may want more. */
unsigned ldl_merge_usual_passes(const struct ldl_merge *g);

struct ldl_work {
    const struct ldl_merge *g;
    const struct ldl_kern *k;
    const char *tensor;
    uint64_t n, blocks;
    uint64_t at, stretch;     /* elements that map passes are of: see above */
    uint64_t rows, row_elems; /* as the combiner sees it: one row, where it is not by row */
    void **state;             /* the sparsifier's, one for each model; NULL without sparsifier */
    void *joint;              /* the state of the combiner's rounds, or NULL */
    /* The combiner's. A piece is what a block and a row have in common; its facts are at number
     * block + row, which grows from piece to piece. After them, room for the sums. */
    size_t nfacts;
    double *facts;
    double *plain; /* m + 1 for each row */
    enum { LDL_WORK_SPARSIFY, LDL_WORK_ROUNDS, LDL_WORK_FACTS, LDL_WORK_MAP } pass;
    int fresh; /* begin() was called, next() not yet */
};

/* One thread's share of a scan pass. */
struct ldl_work_acc {
    void **acc; /* for each model; and the one of the combiner's rounds */
};

/* A block's elements of all models as read; t is overwritten. */
struct ldl_block {
    uint64_t first;
    size_t n;          /* at most LDL_BLOCK, and only the tensor's last block is shorter */
    float *const *t;   /* m runs */
    const float *base; /* or NULL */
    void *scratch;     /* LDL_RUNS_SCRATCH bytes, 64-byte aligned */
};

/* A pass wants every stride-th block of first .. end. */
struct ldl_pass {
    uint64_t first, end, stride;
    int map, last; /* last: nothing comes after this map pass */
};

/* The name stays the caller's. */
int ldl_work_begin(struct ldl_work *w, const struct ldl_merge *g, const struct ldl_kern *k,
                   const char *tensor, const struct ldl_shape *shape, struct ldl_err *err);
/* Closes the pass before (its accumulators: acc[0 .. naccs)) and opens the next. */
int ldl_work_next(struct ldl_work *w, struct ldl_work_acc *const *acc, size_t naccs,
                  struct ldl_pass *pass, struct ldl_err *err);
/* Does the tensor turn out to take what ldl_merge_*_bytes() say for a hard one? Then the next scan pass
 * is not to begin before that memory is there. */
int ldl_work_is_hard(const struct ldl_work *w);
/* In a scan pass: what blocks are left change nothing. */
int ldl_work_settled(const struct ldl_work *w);
int ldl_work_acc_begin(struct ldl_work *w, struct ldl_work_acc *a, struct ldl_err *err);
void ldl_work_acc_end(const struct ldl_work *w, struct ldl_work_acc *a);
int ldl_work_scan(struct ldl_work *w, struct ldl_work_acc *a, const struct ldl_block *b,
                  struct ldl_err *err);
void ldl_work_map(const struct ldl_work *w, const struct ldl_block *b, float *out);
void ldl_work_end(struct ldl_work *w);

#endif
