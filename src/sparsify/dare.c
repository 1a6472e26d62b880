/* dare.c -- drop elements at random, scale the rest up.                        arXiv:2311.03099
 *
 *   t = draw < reserve_p ? t / reserve_p : 0          (rescale; else the kept t as it is)
 *
 * reserve_p is rounded to f32 before the division. reserve_p 0 keeps nothing (the reference
 * divides 0 by 0 there); 1 is the identity. The draw of an element depends on the seed, the
 * tensor's name, the model's number and the element's index only: see draw.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/draw.h"

#include <math.h>

struct dare {
    double reserve_p;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_RESERVE_P(struct dare),
    LDL_PARAM_RESCALE(struct dare),
};

struct state {
    struct ldl_draw draw;
    uint64_t keep; /* draws below this keep */
    float divisor;
};

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    const struct dare *p = params_in;
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    ldl_draw_init(&st->draw, s->seed, s->tensor, s->model);
    st->keep = (uint64_t)ceil(p->reserve_p * 0x1p32);
    st->divisor = p->rescale ? (float)p->reserve_p : 1.0f;
    *out = st;
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (st->keep == (uint64_t)1 << 32 && st->divisor == 1.0f)
        return;
    uint32_t *draws = ldl_run_draws(run);
    ldl_draw(&st->draw, k, draws, run->first, run->n);
    k->keep(run->x, draws, st->keep, st->divisor, run->n);
}

static void end(void *state)
{
    ldl_free(state);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    (void)s;
    return sizeof(struct state);
}

const struct ldl_sparsifier ldl_sparsifier_dare = {
    .name = "dare",
    .summary = "drop changes at random and scale up the rest",
    .reference = "arXiv:2311.03099",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct dare),
    .rounds = "0",
    .random = 1,
    .state_bytes = state_bytes,
    .begin = begin,
    .apply = apply,
    .end = end,
};
