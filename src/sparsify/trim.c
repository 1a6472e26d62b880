/* trim.c -- keep the large changes, zero the small ones.            arXiv:2306.01708 (TIES), step 1
 *
 *   q    = 1 - reserve_p                                       f64
 *   v    = (n-1) * q;  lo = floor(v);  hi = min(lo+1, n-1);  g = v - lo
 *   th   = s[lo] + (s[hi]-s[lo])*g         s: |t| sorted ascending; the difference in f32
 *          (from s[hi] downwards when g >= 0.5, as numpy's quantile does), then rounded to f32
 *   t    = |t| < th ? 0 : t * factor
 *   factor = sum |t| / sum |t that stayed|   when rescale and both sums are at least 1e-8, else 1
 *
 * Elements equal to the threshold all stay, so with ties more than reserve_p*n stay. A tensor with
 * a NaN is left as it is (its quantile is NaN); with an infinity nothing is rescaled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "reduce/kth.h"

#include <math.h>
#include <string.h>

struct trim {
    double reserve_p;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_RESERVE_P(struct trim),
    LDL_PARAM_RESCALE(struct trim),
};

struct state {
    struct trim p;
    struct ldl_kth kth;
    double fraction; /* g */
    uint32_t threshold_mag;
    float factor;
};

static int begin(void **out, const struct ldl_subject *s, const void *p, struct ldl_err *err)
{
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->p = *(const struct trim *)p;
    double v = (double)(s->n - 1) * (1.0 - st->p.reserve_p);
    uint64_t lo = (uint64_t)floor(v);
    if (lo > s->n - 1)
        lo = s->n - 1;
    st->fraction = v - (double)lo;
    int rc = ldl_kth_begin(&st->kth, s->k, s->n, LDL_BLOCK, lo, LDL_MIN(lo + 1, s->n - 1), 1, err);
    if (rc) {
        ldl_free(st);
        return rc;
    }
    *out = st;
    return 0;
}

static void end(void *state)
{
    struct state *st = state;
    if (st)
        ldl_kth_end(&st->kth);
    ldl_free(st);
}

static uint64_t stride(const void *state)
{
    return ldl_kth_stride(&((const struct state *)state)->kth);
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    return ldl_kth_acc_begin(&((struct state *)state)->kth, acc, err);
}

static void acc_end(void *acc)
{
    ldl_kth_acc_end(acc);
}

static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    (void)err;
    ldl_kth_scan(&((struct state *)state)->kth, acc, run->first, run->x, run->n);
    return 0;
}

static float value_of(uint32_t mag)
{
    float v;
    memcpy(&v, &mag, sizeof v);
    return v;
}

static float quantile(float lo, float hi, double g)
{
    float diff = hi - lo;
    return (float)(g < 0.5 ? (double)lo + (double)diff * g : (double)hi - (double)diff * (1.0 - g));
}

static void decide(struct state *st)
{
    const struct ldl_kth *kth = &st->kth;
    float th = quantile(value_of(kth->mag_lo), value_of(kth->mag_hi), st->fraction);
    st->factor = 1.0f;
    st->threshold_mag = 0;
    if (isnan(kth->total) || isnan(th))
        return;
    memcpy(&st->threshold_mag, &th, sizeof th);
    if (!st->p.rescale)
        return;
    float all = (float)kth->total, kept = (float)ldl_kth_sum_from(kth, st->threshold_mag);
    if (all >= 1e-8f && kept >= 1e-8f && isfinite(all) && isfinite(kept))
        st->factor = all / kept;
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    int rc = ldl_kth_solve(&st->kth, (struct ldl_kth_acc *const *)acc, naccs, err);
    if (rc == 0 && ldl_kth_stride(&st->kth) == 0) {
        decide(st);
        ldl_kth_end(&st->kth);
    }
    return rc;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (st->threshold_mag == 0 && st->factor == 1.0f)
        return;
    k->trim(run->x, st->threshold_mag, st->factor, run->n);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct state) + ldl_kth_state_bytes(s->n, LDL_BLOCK);
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct ldl_kth_acc) + ldl_kth_acc_bytes(s->n);
}

const struct ldl_sparsifier ldl_sparsifier_trim = {
    .name = "trim",
    .summary = "keep the largest changes of each tensor",
    .reference = "arXiv:2306.01708",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct trim),
    .rounds = "1 to 2",
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
