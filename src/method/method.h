/* method.h -- the contract of a merge method.
 *
 * A combiner (linear, slerp, ties: one file each) makes one tensor of several. A *named method* of
 * an input language is a row (sparsifier, combiner): `della = magprune x ties`; see named.def.
 * struct ldl_work (work.h) runs a row on one tensor:
 *
 *     t_i = x_i - base      (without a base: x_i)
 *     t_i = sparsifier(t_i)
 *     out = combiner(t_0 .. t_m-1) + base */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_METHOD_METHOD_H
#define LDL_METHOD_METHOD_H

#include "base/param.h"
#include "sparsify/sparsify.h"

enum { LDL_MAX_MODELS = 256 };

/* The same run of elements of all models: t[i][0..n). */
struct ldl_runs {
    uint64_t first;
    size_t n, m;
    float *const *t;   /* m runs */
    const float *base; /* for combiners with base_is_input; NULL: no base */
    void *scratch;     /* as in struct ldl_run, and LDL_BLOCK floats after it */
};
static inline float *ldl_runs_floats(const struct ldl_runs *r)
{
    return (float *)((char *)r->scratch + LDL_RUN_SCRATCH);
}
enum { LDL_RUNS_SCRATCH = LDL_RUN_SCRATCH + LDL_BLOCK * sizeof(float) };

/* Rounds of scans over all models together, for what one pass of facts cannot give: the same as a
 * sparsifier's (sparsify.h), with the runs of all models at once. They come after the sparsifiers' and
 * before the facts. apply() then changes run->t of each whole block ahead of fact() and of map(). */
struct ldl_rounds {
    const char *rounds; /* for `ladle plan`: reads before the last, the facts' too: "1 to 5" */
    int no_facts;       /* where there is a state, there is no pass of facts: solve() gets NULL */
    /* Most bytes of the state, and of one accumulator; of the subject only its shape is known.
     * 0: these params have no rounds. */
    uint64_t (*state_bytes)(const void *params, const struct ldl_subject *s, size_t m);
    uint64_t (*acc_bytes)(const void *params, const struct ldl_subject *s);
    /* s->model and s->seed mean nothing here. *state may stay NULL: no rounds for these params. */
    int (*begin)(void **state, const struct ldl_subject *s, const void *params, size_t m,
                 struct ldl_err *err);
    uint64_t (*stride)(const void *state);
    /* Nonzero: the coming round wants this block alone. NULL: never. */
    int (*only)(const void *state, uint64_t *block);
    struct ldl_acc_kind acc;
    int (*scan)(void *state, void *acc, const struct ldl_runs *run, struct ldl_err *err);
    int (*solve)(void *state, void *const *acc, size_t naccs, struct ldl_err *err);
    /* After the last round: the combiner's facts, summed, when the rounds have learnt them; then there is no
     * pass of facts. NULL: they have not, or never do. */
    const double *(*known_sums)(const void *state);
    void (*apply)(const struct ldl_kern *k, const void *state, const struct ldl_runs *run);
    void (*end)(void *state);
};

struct ldl_combiner {
    const char *name, *summary, *reference;
    const struct ldl_param *param;
    size_t nparams, params_bytes;
    size_t min_models, max_models;
    int base_is_input; /* the base is one of the tensors that are combined: nothing is subtracted from
                        * the models and nothing added to the result */
    int base_apart;    /* the base may not be one of the models */
    int needs_base, ignores_base; /* ignores_base: it is a model like the others, or none */
    int promotes; /* without a word on the type, the output has the widest of the models' types */
    /* Is the output the one model, so that bytes which fit may be copied? NULL: never. */
    int (*is_identity)(const void *params);

    /* Rules that tie parameters and the number of models together; NULL: none. */
    int (*check)(const void *params, size_t m, struct ldl_err *err);
    const struct ldl_rounds *rounds; /* NULL: none */
    /* Facts about the whole tensor, in block order: `facts` doubles of each block, which fact()
     * fills and solve() gets summed over all blocks. 0: no such pass. facts_of, where it is given,
     * says how many for m models. fact() may overwrite run->t. */
    size_t facts;
    size_t (*facts_of)(size_t m);
    void (*fact)(const struct ldl_kern *k, const void *params, const struct ldl_runs *run,
                 double *fact);
    /* Is each row (the last axis) a vector of its own? Then facts are summed, solved and mapped for
     * one row at a time, and a run never goes beyond its row. NULL: never. */
    int (*is_by_row)(const void *params);
    /* Sums that have no result are an error; NULL: there are none. */
    int (*check_facts)(const void *params, size_t m, const double *sums, const char *tensor,
                       struct ldl_err *err);
    /* From the sums to `plain`, at most m + 1 doubles that map() works with; called for each tensor
     * (row), with sums == NULL when there are no facts. */
    void (*solve)(const void *params, size_t m, const double *sums, double *plain);
    /* out = the combination of run->t. */
    void (*map)(const struct ldl_kern *k, const void *params, size_t m, const double *plain,
                const struct ldl_runs *run, float *out);
};
static inline size_t ldl_combiner_facts(const struct ldl_combiner *c, size_t m)
{
    return c->facts_of ? c->facts_of(m) : c->facts;
}

/* Rows that several members share. */
#define LDL_PARAM_WEIGHT_LIST(s)                                                                   \
    LDL_PARAM_DOUBLES(s, weight_list, -1e18, 1e18, "one weight for each model; not given: even")
#define LDL_PARAM_NORMALIZE(s)                                                                     \
    LDL_PARAM_BOOL(s, normalize, false, "divide by the sum of the weights that take part")

/* Those of mergekit's language. */
#define LDL_PARAM_WEIGHT(s) LDL_PARAM_DOUBLES(s, weight, -1e18, 1e18, "of each model; required")
#define LDL_PARAM_LAMBDA(s)                                                                        \
    LDL_PARAM_DOUBLE(s, lambda, -1e18, 1e18, 1, "factor of what is added to the base")
#define LDL_PARAM_RAM_EPSILON(s)                                                                   \
    LDL_PARAM_DOUBLE(s, epsilon, 0, 1e18, 1e-5, "changes up to this count as none")
#define LDL_PARAM_T(s, text)                                                                       \
    {                                                                                              \
        "t", LDL_T_DOUBLE, offsetof(s, t), -1e18, 1e18, NULL, NULL, text                           \
    }

extern const struct ldl_combiner *const ldl_combiners[]; /* list.def order, last is NULL */
const struct ldl_combiner *ldl_combiner_find(const char *name);

struct ldl_method {
    const char *language, *name, *summary;
    const struct ldl_sparsifier *sparsifier; /* NULL: none */
    const struct ldl_combiner *combiner;
    const char
        *defaults; /* "normalize=true": where they differ from the parts' own; NULL: nowhere */
};
extern const struct ldl_method ldl_methods[]; /* named.def order; last has a NULL name */
const struct ldl_method *ldl_method_find(const char *language, const char *name);
const struct ldl_method *ldl_method_of_parts(const char *language, const struct ldl_sparsifier *s,
                                             const struct ldl_combiner *c);

#endif
