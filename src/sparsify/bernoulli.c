/* bernoulli.c -- drop elements at random, and keep the sum of magnitudes.     arXiv:2311.03099 (DARE)
 *
 *   t = draw < density ? t * factor : 0        draws as in dare.c: see draw.h
 *   factor = |t|_1 / |t that stayed|_1         rescale; see l1.h. (Not 1/density as in dare.c)
 *
 * density >= 1 leaves the tensor as it is; 0 gives zeros. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/draw.h"
#include "reduce/l1.h"

#include <math.h>

struct bernoulli {
    double density;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DENSITY(struct bernoulli),
    LDL_PARAM_RESCALE(struct bernoulli),
};

struct state {
    const struct ldl_kern *k;
    struct ldl_draw draw;
    uint64_t keep; /* draws below this keep; 2^32: untouched */
    int measure;   /* the factor is wanted, and not known yet */
    float factor;
    struct ldl_l1 l1;
};

static const uint64_t all = (uint64_t)1 << 32;

static uint64_t keep_below(double density)
{
    if (density >= 1)
        return all;
    return density > 0 ? (uint64_t)ceil(density * 0x1p32) : 0;
}

static void end(void *state)
{
    struct state *st = state;
    if (st)
        ldl_l1_end(&st->l1);
    ldl_free(st);
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    const struct bernoulli *p = params_in;
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    ldl_draw_init(&st->draw, s->seed, s->tensor, s->model);
    st->k = s->k;
    st->factor = 1.0f;
    st->keep = keep_below(p->density);
    st->measure = p->rescale && st->keep > 0 && st->keep < all;
    int rc = st->measure ? ldl_l1_begin(&st->l1, s->n, LDL_BLOCK, err) : 0;
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t stride(const void *state)
{
    return (uint64_t)((const struct state *)state)->measure;
}

static void thin(const struct ldl_kern *k, const struct state *st, const struct ldl_run *run)
{
    uint32_t *draws = ldl_run_draws(run);
    ldl_draw(&st->draw, k, draws, run->first, run->n);
    k->keep(run->x, draws, st->keep, 1.0f, run->n);
}

/* Blocks have their own places in the state: there is no accumulator. */
static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    (void)acc;
    (void)err;
    ldl_l1_before(&st->l1, st->k, run->first, run->x, run->n);
    thin(st->k, st, run);
    ldl_l1_after(&st->l1, st->k, run->first, run->x, run->n);
    return 0;
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    (void)acc;
    (void)naccs;
    (void)err;
    st->factor = ldl_l1_factor(&st->l1);
    st->measure = 0;
    ldl_l1_end(&st->l1);
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (st->keep == all)
        return;
    thin(k, st, run);
    if (st->factor != 1.0f)
        k->times(run->x, st->factor, run->n);
}

static uint64_t state_bytes(uint64_t n)
{
    return sizeof(struct state) + ldl_l1_state_bytes(n, LDL_BLOCK);
}

const struct ldl_sparsifier ldl_sparsifier_bernoulli = {
    .name = "bernoulli",
    .summary = "drop changes at random and keep the sum of their magnitudes",
    .reference = "arXiv:2311.03099",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct bernoulli),
    .rounds = "0, or 1 with rescale",
    .random = 1,
    .state_bytes = state_bytes,
    .begin = begin,
    .stride = stride,
    .scan = scan,
    .solve = solve,
    .apply = apply,
    .end = end,
};
