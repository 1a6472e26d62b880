/* sce.c -- select, calculate, erase: mergekit's sce.                           arXiv:2408.07990
 *
 *   V   = population variance of t_0 .. t_m-1                each element; f64, rounded to f32
 *   k   = trunc(count(V != 0) * select_topk)                 f32; select_topk >= 1: all are selected
 *   t_i = 0 but where V is among the k largest               of equal V the lower index is selected
 *   W_i = mean of t_i^2 / sum of these means                 f64; a sum < 1e-6: 1 / m
 *   E   = t_0 + t_1 + ...                                    E >= 0 elects +; a zero never agrees
 *   out = sum of W_i*t_i / max(sum of W_i, 1e-6)             of the t_i with E's sign; f32
 *                                                            the base is added after it
 *
 * One model has no variance, so with select_topk < 1 the base comes out. V is counted, never sorted or
 * held (cut.h). k needs a count of its own, which goes with the cut's first look at the whole tensor: the
 * sample before it makes a guess of k. The sums for W mostly come from that look, too (high.h); where they do not,
 * a pass of facts follows. NaN is the largest V. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"
#include "reduce/cut.h"
#include "reduce/high.h"

struct sce {
    double select_topk;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DOUBLE(struct sce, select_topk, 0, 1, 1,
                     "share of the elements that is kept: those in which the models differ most"),
};

/* ---- the selection ---- */

struct state {
    const struct ldl_kern *k;
    uint64_t n;
    float share;
    int counted;
    struct ldl_cut cut;
    struct ldl_high high;
    double sum[]; /* of each model's t_i^2, and the number of elements: when high knows them */
};

struct acc {
    uint64_t seen, differing; /* elements; those with a V that is not 0 */
    struct ldl_kth_acc cut;
};

/* V of a run, in its scratch. */
static float *variance_of(const struct ldl_kern *k, const struct ldl_runs *run)
{
    float *v = run->scratch;
    k->variance(v, run->t, run->m, run->n);
    return v;
}

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        ldl_cut_end(&st->cut);
        ldl_high_end(&st->high);
    }
    ldl_free(st);
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in, size_t m,
                 struct ldl_err *err)
{
    const struct sce *p = params_in;
    if (p->select_topk >= 1)
        return 0;
    struct state *st = ldl_calloc(1, sizeof *st + (m + 1) * sizeof *st->sum);
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->n = s->n;
    st->share = (float)p->select_topk;
    int rc = ldl_cut_begin_open(&st->cut, s->k, s->n, LDL_BLOCK, LDL_CUT_LOWER_HIGH, err);
    if (rc == 0)
        rc = ldl_high_begin(&st->high, s->k, s->n, LDL_BLOCK, m, err);
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t stride(const void *state)
{
    const struct state *st = state;
    return st->high.step == LDL_HIGH_MIXED ? 1 : ldl_cut_stride(&st->cut);
}

static int only(const void *state, uint64_t *block)
{
    const struct state *st = state;
    *block = st->cut.block;
    return st->high.step == LDL_HIGH_MIXED;
}

static const double *known_sums(const void *state)
{
    const struct state *st = state;
    return st->high.step == LDL_HIGH_KNOWN ? st->sum : NULL;
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    return ldl_cut_acc_begin(&((struct state *)state)->cut, &((struct acc *)acc)->cut, err);
}

static void acc_end(void *acc)
{
    ldl_kth_acc_end(&((struct acc *)acc)->cut);
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_runs *run);

static int scan(void *state, void *acc, const struct ldl_runs *run, struct ldl_err *err)
{
    struct state *st = state;
    struct acc *a = acc;
    (void)err;
    if (st->high.step == LDL_HIGH_MIXED) {
        apply(st->k, st, run);
        ldl_high_put(&st->high, run->t, run->n);
        return 0;
    }
    const float *v = variance_of(st->k, run);
    if (!st->counted)
        a->differing += st->k->band_count(v, run->n, 1, LDL_MAG_LAST + 1u);
    a->seen += run->n;
    ldl_cut_scan(&st->cut, &a->cut, run->first, v, run->n);
    ldl_high_scan(&st->high, run->first, v, run->t, (uint32_t *)(void *)ldl_runs_floats(run),
                  run->n);
    return 0;
}

/* Where the cut is: exactly, once all elements were seen; before, as the sample has it. */
static void aim(struct state *st, void *const *acc, size_t naccs)
{
    uint64_t seen = 0, differing = 0;
    for (size_t i = 0; i < naccs; i++) {
        seen += ((const struct acc *)acc[i])->seen;
        differing += ((const struct acc *)acc[i])->differing;
    }
    st->counted = seen == st->n;
    if (!st->counted)
        differing = (uint64_t)((double)differing / (double)seen * (double)st->n);
    float selected = (float)differing * st->share;
    ldl_cut_aim(&st->cut, st->n - LDL_MIN((uint64_t)selected, differing));
}

static int solve_round(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    if (!st->counted)
        aim(st, acc, naccs);
    struct ldl_kth_acc **cut = ldl_alloc(naccs * sizeof *cut);
    if (!cut)
        return ldl_oom(err);
    for (size_t i = 0; i < naccs; i++)
        cut[i] = &((struct acc *)acc[i])->cut;
    int rc = ldl_cut_solve(&st->cut, cut, naccs, err);
    ldl_free(cut);
    if (rc == 0)
        ldl_high_next(&st->high, &st->cut, st->sum);
    st->sum[st->high.m] = (double)st->n;
    return rc;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_runs *run)
{
    const struct state *st = state;
    float *v = variance_of(k, run);
    size_t at = ldl_cut_place(&st->cut, run->first, v, run->n);
    uint32_t ahead = ldl_cut_high(&st->cut, 1), behind = ldl_cut_high(&st->cut, 0);
    for (size_t i = 0; i < run->m; i++) {
        k->keep_high(run->t[i], v, ahead, at);
        k->keep_high(run->t[i] + at, v + at, behind, run->n - at);
    }
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s, size_t m)
{
    return ((const struct sce *)params_in)->select_topk >= 1
               ? 0
               : sizeof(struct state) + (m + 1) * sizeof(double) +
                     ldl_cut_state_bytes(s->n, LDL_BLOCK) +
                     ldl_high_state_bytes(s->n, LDL_BLOCK, m);
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    return ((const struct sce *)params_in)->select_topk >= 1
               ? 0
               : sizeof(struct acc) + ldl_kth_acc_bytes(s->n);
}

static const struct ldl_rounds rounds = {
    .rounds = "1 (1 to 5 with select_topk)",
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .only = only,
    .known_sums = known_sums,
    .acc = { sizeof(struct acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve_round,
    .apply = apply,
    .end = end,
};

/* ---- the weights and the signs ---- */

static size_t facts_of(size_t m)
{
    return m + 1;
}

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    (void)params_in;
    for (size_t i = 0; i < run->m; i++)
        f[i] = k->sum_squares(run->t[i], run->n);
    f[run->m] = (double)run->n;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    double all = 0;
    (void)params_in;
    for (size_t i = 0; i < m; i++)
        all += plain[i] = sums[i] / sums[m];
    for (size_t i = 0; i < m; i++)
        plain[i] = all < 1e-6 ? 1 / (double)m : plain[i] / all;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    float w[LDL_MAX_MODELS];
    const struct ldl_elect how = {
        .m = m, .w = w, .vote = LDL_VOTE_PLAIN, .share = LDL_SHARE_LEAST
    };
    (void)params_in;
    for (size_t i = 0; i < m; i++)
        w[i] = (float)plain[i];
    k->elect(out, run->t, &how, run->n);
}

const struct ldl_combiner ldl_combiner_sce = {
    .name = "sce",
    .summary = "select where the models differ most, weigh by size, elect a sign",
    .reference = "arXiv:2408.07990",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct sce),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .needs_base = 1,
    .rounds = &rounds,
    .facts_of = facts_of,
    .fact = fact,
    .solve = solve,
    .map = map,
};
