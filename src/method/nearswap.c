/* nearswap.c -- take the other model where it is close to the base.            mergekit's nearswap
 *
 *   w   = clamp(t * (1 / max(|b - x|, 1e-6)), 0, 1)      f32, the reciprocal first
 *   out = w*x + (1-w)*b */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct nearswap {
    double t;
};

static const struct ldl_param params[] = {
    LDL_PARAM_T(struct nearswap, "how far a difference reaches: at t and below, the other model"),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    (void)m;
    (void)sums;
    plain[0] = ((const struct nearswap *)params_in)->t;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    (void)m;
    k->near_swap(out, (float)plain[0], run->t[0], run->base, run->n);
}

const struct ldl_combiner ldl_combiner_nearswap = {
    .name = "nearswap",
    .summary = "the other model where it is close to the base",
    .reference = "mergekit",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct nearswap),
    .min_models = 1,
    .max_models = 1,
    .needs_base = 1,
    .base_is_input = 1,
    .solve = solve,
    .map = map,
};
