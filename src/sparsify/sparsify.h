/* sparsify.h -- the contract of a sparsifier: which elements of one model's task vector survive,
 * and with which factor.
 *
 * A sparsifier may first need facts about the whole tensor (a threshold, ranks). It learns them in
 * rounds: the caller shows it blocks of the task vector (all of them, or every stride-th), on any
 * threads in any order, each thread with an accumulator of its own; when a round is over solve()
 * joins the accumulators and says whether another round is wanted. Then apply() is called on tiles,
 * in any order, and must depend on nothing but the facts, the elements and their index.
 *
 * A member opens no file, starts no thread and has no per-element loop: those are in kern/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_SPARSIFY_SPARSIFY_H
#define LDL_SPARSIFY_SPARSIFY_H

#include "base/param.h"
#include "kern/kern.h"

/* Elements of one reduction block: fixed, so that sums have one order whatever the tile size. */
enum { LDL_BLOCK = 4096 };

/* One tensor of one model, for which a sparsifier works. */
struct ldl_subject {
    const struct ldl_kern *k;
    const char *tensor; /* name */
    uint64_t n;         /* elements, > 0 */
    uint64_t cols;      /* elements of a row: n of a tensor with one dimension, else n / dim[0] */
    uint32_t model;     /* number in the recipe's order */
    uint64_t seed;
    uint64_t last; /* elements of the last axis; for combiners */
    /* Of how many elements a member may hold facts of single elements at a time: n, or a multiple of
     * LDL_BLOCK. */
    uint64_t stretch;
    int hard; /* for *_bytes(): is the tensor a hard one? See is_hard(). */
};

/* A block: x[0..n) are elements first .. first+n of the tensor, all of the block. x may be overwritten,
 * in a scan too. */
struct ldl_run {
    uint64_t first;
    size_t n;
    float *x;
    void *scratch; /* LDL_BLOCK doubles and LDL_BLOCK uint32_t: see ldl_run_draws/_doubles */
};
static inline double *ldl_run_doubles(const struct ldl_run *r)
{
    return r->scratch;
}
static inline uint32_t *ldl_run_draws(const struct ldl_run *r)
{
    return (uint32_t *)((double *)r->scratch + LDL_BLOCK);
}
enum { LDL_RUN_SCRATCH = LDL_BLOCK * (sizeof(double) + sizeof(uint32_t)) };

/* A member's accumulator: bytes of zeroed memory, which the caller owns; begin() adds to it what the round
 * needs, end() frees that (also after a begin() that failed). NULL: there is nothing to add. */
struct ldl_acc_kind {
    size_t bytes;
    int (*begin)(void *state, void *acc, struct ldl_err *err);
    void (*end)(void *acc);
};
/* *acc is NULL after a failure; ldl_acc_free(NULL) is allowed. */
int ldl_acc_new(const struct ldl_acc_kind *kind, void *state, void **acc, struct ldl_err *err);
void ldl_acc_free(const struct ldl_acc_kind *kind, void *acc);

struct ldl_sparsifier {
    const char *name, *summary, *reference;
    const struct ldl_param *param;
    size_t nparams, params_bytes;
    const char *rounds; /* for `ladle plan`: reads of the tensor before the last, "0", "1 to 3" */
    int random;         /* draws random numbers: the seed matters */

    /* Rules that tie several parameters together; NULL: none. */
    int (*check)(const void *params, struct ldl_err *err);
    /* Most bytes a state and one accumulator (NULL: 0) may take; of the subject only its shape is known. */
    uint64_t (*state_bytes)(const void *params, const struct ldl_subject *s);
    uint64_t (*acc_bytes)(const void *params, const struct ldl_subject *s);

    /* stride() NULL: needs no facts, goes straight to apply(). */
    int (*begin)(void **state, const struct ldl_subject *s, const void *params,
                 struct ldl_err *err);
    /* Blocks wanted in the coming round: 0 none (ready to apply), 1 all, k every k-th. */
    uint64_t (*stride)(const void *state);
    struct ldl_acc_kind acc;
    int (*scan)(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err);
    int (*solve)(void *state, void *const *acc, size_t naccs, struct ldl_err *err);

    /* For a member that may learn in a round that a tensor takes much more memory than nearly all do. It stays
     * within what *_bytes() say without s->hard, and after solve() says here that the tensor is
     * hard; the rounds that follow, which the caller may put off, take what *_bytes() say with it. settled():
     * more blocks of this round change nothing. Both NULL: never. */
    int (*is_hard)(const void *state);
    int (*settled)(const void *state);

    /* For a member whose facts take memory for each element. After its rounds it is ready for the stretch
     * that begins at 0; when that is done, advance() goes on to the one that begins at element `first`,
     * and rounds follow again. Of a round only the blocks with elements in *first .. *end of
     * span() are wanted. Both NULL: facts are always of the whole tensor. */
    int (*advance)(void *state, uint64_t first, struct ldl_err *err);
    void (*span)(const void *state, uint64_t *first, uint64_t *end);

    void (*apply)(const struct ldl_kern *k, const void *state, const struct ldl_run *run);
    void (*end)(void *state);
};

/* list.def order; last is NULL. ldl_sparsifier_find: NULL when unknown. */
extern const struct ldl_sparsifier *const ldl_sparsifiers[];
const struct ldl_sparsifier *ldl_sparsifier_find(const char *name);

/* Rows that several members share, so that a name means one thing. */
#define LDL_PARAM_RESERVE_P(s)                                                                     \
    LDL_PARAM_DOUBLE(s, reserve_p, 0, 1, 0.7, "share of each task vector's elements that is kept")
#define LDL_PARAM_DENSITY(s)                                                                       \
    LDL_PARAM_DOUBLE(s, density, 0, 1, 1, "share of each task vector's elements that is kept")
#define LDL_PARAM_RESCALE(s)                                                                       \
    LDL_PARAM_BOOL(s, rescale, true, "scale what is kept so that the whole keeps its size")

#endif
