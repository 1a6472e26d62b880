/* topk.c -- keep exactly the k largest changes.                arXiv:2306.01708 (TIES), as mergekit does
 *
 *   k = trunc(density * n)     f64; 0 becomes 1; density >= 1 leaves the tensor as it is
 *   t = t * factor for the k largest |t|, else 0; of equal |t| at the cut the lower index stays
 *   factor = |t|_1 / |t that stayed|_1         rescale; see l1.h
 *
 * NaN is larger than infinity, and one NaN is as large as another; there is no factor then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/cut.h"
#include "reduce/l1.h"

struct topk {
    double density;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DENSITY(struct topk),
    LDL_PARAM_BOOL(struct topk, rescale, false,
                   "scale what is kept so that the sum of magnitudes stays the same"),
};

struct state {
    const struct ldl_kern *k;
    int measure; /* the factor is wanted, and not known yet */
    float factor;
    struct ldl_cut cut;
    struct ldl_l1 l1;
};

static int check(const void *params_in, struct ldl_err *err)
{
    const struct topk *p = params_in;
    if (p->density > 0)
        return 0;
    return ldl_fail(err, LDL_EUSAGE,
                    "density %.9g keeps nothing of a model: give a density above 0, or leave the "
                    "model out",
                    p->density);
}

static uint64_t kept(double density, uint64_t n)
{
    if (density >= 1)
        return n;
    uint64_t k = density > 0 ? (uint64_t)(density * (double)n) : 0;
    return LDL_MIN(LDL_MAX(k, 1), n);
}

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        ldl_cut_end(&st->cut);
        ldl_l1_end(&st->l1);
    }
    ldl_free(st);
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    const struct topk *p = params_in;
    uint64_t low = s->n - kept(p->density, s->n);
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->factor = 1.0f;
    st->measure = p->rescale && low;
    int rc = ldl_cut_begin(&st->cut, s->k, s->n, LDL_BLOCK, low, LDL_CUT_LOWER_HIGH, err);
    if (rc == 0 && st->measure)
        rc = ldl_l1_begin(&st->l1, s->n, LDL_BLOCK, err);
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t stride(const void *state)
{
    const struct state *st = state;
    uint64_t cut = ldl_cut_stride(&st->cut);
    return cut ? cut : (uint64_t)st->measure;
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    return ldl_cut_acc_begin(&((struct state *)state)->cut, acc, err);
}

static void acc_end(void *acc)
{
    ldl_kth_acc_end(acc);
}

static void thin(const struct ldl_kern *k, const struct state *st, const struct ldl_run *run)
{
    size_t at = ldl_cut_place(&st->cut, run->first, run->x, run->n);
    k->trim(run->x, ldl_cut_high(&st->cut, 1), st->factor, at);
    k->trim(run->x + at, ldl_cut_high(&st->cut, 0), st->factor, run->n - at);
}

static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    (void)err;
    if (ldl_cut_stride(&st->cut)) {
        ldl_cut_scan(&st->cut, acc, run->first, run->x, run->n);
        return 0;
    }
    ldl_l1_before(&st->l1, st->k, run->first, run->x, run->n);
    thin(st->k, st, run);
    ldl_l1_after(&st->l1, st->k, run->first, run->x, run->n);
    return 0;
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    if (ldl_cut_stride(&st->cut))
        return ldl_cut_solve(&st->cut, (struct ldl_kth_acc *const *)acc, naccs, err);
    st->factor = ldl_l1_factor(&st->l1);
    st->measure = 0;
    ldl_l1_end(&st->l1);
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (st->cut.rank)
        thin(k, st, run);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct state) + ldl_cut_state_bytes(s->n, LDL_BLOCK) +
           ldl_l1_state_bytes(s->n, LDL_BLOCK);
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct ldl_kth_acc) + ldl_kth_acc_bytes(s->n);
}

const struct ldl_sparsifier ldl_sparsifier_topk = {
    .name = "topk",
    .summary = "keep exactly a share of each tensor: its largest changes",
    .reference = "arXiv:2306.01708",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct topk),
    .rounds = "1 to 3, one more with rescale",
    .check = check,
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct ldl_kth_acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve,
    .apply = apply,
    .end = end,
};
