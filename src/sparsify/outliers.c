/* outliers.c -- drop the small changes, and the very large ones.      arXiv:2312.06795 (breadcrumbs)
 *
 *   target = trunc(density * n), top = trunc(gamma * n)        f64
 *   bottom = n - target - top; below 0: top += bottom, bottom = 0
 *   in the order of ascending |t|, and of the index where |t| are equal: the first `bottom` and the
 *   last `top` become 0, the others t * factor
 *   factor = |t|_1 / |t that stayed|_1         rescale; see l1.h
 *
 * density >= 1 leaves the tensor as it is, outliers too. top 0 drops no outliers (the reference drops
 * everything then). NaN is larger than infinity; there is no factor then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/cut.h"
#include "reduce/l1.h"

struct outliers {
    double density, gamma;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DENSITY(struct outliers),
    LDL_PARAM_DOUBLE(struct outliers, gamma, 0, 1, 0.01,
                     "share of the elements that is dropped as too large"),
    LDL_PARAM_BOOL(struct outliers, rescale, false,
                   "scale what is kept so that the sum of magnitudes stays the same"),
};

struct state {
    const struct ldl_kern *k;
    int untouched;
    int measure; /* the factor is wanted, and not known yet */
    float factor;
    struct ldl_cut bottom, top;
    struct ldl_l1 l1;
};

struct acc {
    struct ldl_kth_acc bottom, top;
};

static uint64_t share(double of, uint64_t n)
{
    return of > 0 ? LDL_MIN((uint64_t)(LDL_MIN(of, 1.0) * (double)n), n) : 0;
}

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        ldl_cut_end(&st->bottom);
        ldl_cut_end(&st->top);
        ldl_l1_end(&st->l1);
    }
    ldl_free(st);
}

static int begin_cuts(struct state *st, const struct ldl_subject *s, const struct outliers *p,
                      struct ldl_err *err)
{
    uint64_t target = share(p->density, s->n);
    uint64_t top = LDL_MIN(share(p->gamma, s->n), s->n - target), bottom = s->n - target - top;
    int rc = ldl_cut_begin(&st->bottom, s->k, s->n, LDL_BLOCK, bottom, LDL_CUT_LOWER_LOW, err);
    if (rc == 0)
        rc = ldl_cut_begin(&st->top, s->k, s->n, LDL_BLOCK, s->n - top, LDL_CUT_LOWER_LOW, err);
    return rc;
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    const struct outliers *p = params_in;
    int rc = 0;
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->factor = 1.0f;
    st->untouched = p->density >= 1;
    st->bottom.step = st->top.step = LDL_CUT_DONE;
    if (!st->untouched) {
        rc = begin_cuts(st, s, p, err);
        st->measure = p->rescale && (st->bottom.rank > 0 || st->top.rank < s->n);
    }
    if (rc == 0 && st->measure)
        rc = ldl_l1_begin(&st->l1, s->n, LDL_BLOCK, err);
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t cuts_stride(const struct state *st)
{
    return LDL_MAX(ldl_cut_stride(&st->bottom), ldl_cut_stride(&st->top));
}

static uint64_t stride(const void *state)
{
    const struct state *st = state;
    uint64_t cuts = cuts_stride(st);
    return cuts ? cuts : (uint64_t)st->measure;
}

static void acc_end(void *acc)
{
    struct acc *a = acc;
    ldl_kth_acc_end(&a->bottom);
    ldl_kth_acc_end(&a->top);
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    const struct state *st = state;
    struct acc *a = acc;
    int rc = ldl_cut_acc_begin(&st->bottom, &a->bottom, err);
    return rc ? rc : ldl_cut_acc_begin(&st->top, &a->top, err);
}

/* The two places cut a block into three parts, each with its own two limits. They never cross, since
 * bottom <= n - top: where both cuts are in the same magnitude, the place of `top` is the later one. */
static void thin(const struct ldl_kern *k, const struct state *st, const struct ldl_run *run)
{
    size_t n = run->n, a = ldl_cut_place(&st->bottom, run->first, run->x, n);
    size_t b = ldl_cut_place(&st->top, run->first, run->x, n);
    size_t one = LDL_MIN(a, b), two = LDL_MAX(a, b), from[] = { 0, one, two },
           to[] = { one, two, n };
    for (int i = 0; i < 3; i++) {
        uint32_t low = ldl_cut_high(&st->bottom, from[i] < a);
        uint32_t high = ldl_cut_high(&st->top, from[i] < b);
        k->band(run->x + from[i], low, high, st->factor, to[i] - from[i]);
    }
}

static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    struct acc *a = acc;
    (void)err;
    if (cuts_stride(st)) {
        ldl_cut_scan(&st->bottom, &a->bottom, run->first, run->x, run->n);
        ldl_cut_scan(&st->top, &a->top, run->first, run->x, run->n);
        return 0;
    }
    ldl_l1_before(&st->l1, st->k, run->first, run->x, run->n);
    thin(st->k, st, run);
    ldl_l1_after(&st->l1, st->k, run->first, run->x, run->n);
    return 0;
}

static int solve_cuts(struct state *st, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct ldl_kth_acc **one = ldl_alloc(naccs * sizeof *one);
    if (!one)
        return ldl_oom(err);
    for (size_t i = 0; i < naccs; i++)
        one[i] = &((struct acc *)acc[i])->bottom;
    int rc = ldl_cut_solve(&st->bottom, one, naccs, err);
    for (size_t i = 0; i < naccs; i++)
        one[i] = &((struct acc *)acc[i])->top;
    if (rc == 0)
        rc = ldl_cut_solve(&st->top, one, naccs, err);
    ldl_free(one);
    return rc;
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    if (cuts_stride(st))
        return solve_cuts(st, acc, naccs, err);
    st->factor = ldl_l1_factor(&st->l1);
    st->measure = 0;
    ldl_l1_end(&st->l1);
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (!st->untouched)
        thin(k, st, run);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct state) + 2 * ldl_cut_state_bytes(s->n, LDL_BLOCK) +
           ldl_l1_state_bytes(s->n, LDL_BLOCK);
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct acc) + 2 * ldl_kth_acc_bytes(s->n);
}

const struct ldl_sparsifier ldl_sparsifier_outliers = {
    .name = "outliers",
    .summary = "drop the small changes of each tensor, and the very large ones",
    .reference = "arXiv:2312.06795",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct outliers),
    .rounds = "1 to 3, one more with rescale",
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve,
    .apply = apply,
    .end = end,
};
