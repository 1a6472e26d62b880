/* bernoulli.c -- drop elements at random, and keep the sum of magnitudes.     arXiv:2311.03099 (DARE)
 *
 *   t = draw < density ? t * factor : 0        draws as in dare.c: see draw.h
 *   factor = |t|_1 / |t that stayed|_1         rescale; see l1.h. (Not 1/density as in dare.c)
 *
 * density >= 1 leaves the tensor as it is; 0 gives zeros.
 *
 * The scan for the factor decides, and leaves one bit for each element, so that nothing is drawn twice. Of a
 * tensor whose bits would take more than some MiB the last pass draws again, which gives the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/draw.h"
#include "reduce/l1.h"

#include <math.h>

#define BITS_MOST ((uint64_t)1 << 26) /* elements: 8 MiB */

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
    uint32_t *bits; /* NULL: none are held */
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
    if (st) {
        ldl_l1_end(&st->l1);
        ldl_free(st->bits);
    }
    ldl_free(st);
}

static uint64_t bits_words(uint64_t n)
{
    return n <= BITS_MOST ? (n + 31) / 32 : 0;
}

static int begin_measuring(struct state *st, uint64_t n, struct ldl_err *err)
{
    if (bits_words(n) && !(st->bits = ldl_alloc(bits_words(n) * sizeof *st->bits)))
        return ldl_oom(err);
    return ldl_l1_begin(&st->l1, n, LDL_BLOCK, err);
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
    int rc = st->measure ? begin_measuring(st, s->n, err) : 0;
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

/* Blocks have their own places in the state: there is no accumulator. */
static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    uint32_t *draws = ldl_run_draws(run);
    uint32_t own[LDL_BLOCK / 32], *bits = st->bits ? st->bits + run->first / 32 : own;
    uint64_t block = run->first / LDL_BLOCK;
    (void)acc;
    (void)err;
    ldl_draw(&st->draw, st->k, draws, run->first, run->n);
    st->k->thin_sums(bits, run->x, draws, (uint32_t)(st->keep - 1), &st->l1.all[block],
                     &st->l1.kept[block], run->n);
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
    uint32_t *draws = ldl_run_draws(run);
    if (st->keep == all)
        return;
    if (st->bits) {
        k->keep_bits(run->x, st->bits + run->first / 32, st->factor, run->n);
        return;
    }
    ldl_draw(&st->draw, k, draws, run->first, run->n);
    k->keep(run->x, draws, st->keep, 1.0f, run->n);
    if (st->factor != 1.0f)
        k->times(run->x, st->factor, run->n);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    const struct bernoulli *p = params_in;
    uint64_t scan = ldl_l1_state_bytes(s->n, LDL_BLOCK) + bits_words(s->n) * sizeof(uint32_t);
    return sizeof(struct state) + (p->rescale ? scan : 0);
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
