/* average.c -- weighted sum of the models, the base being one like the others.   arXiv:2203.05482
 *
 *   s   = w_0*x_0 + w_1*x_1 + ...          f32, in model order, each step rounded; begins with w_0*x_0
 *   out = s / (w_0 + w_1 + ...)            when normalize; in f32, whatever the sum is
 *
 * mergekit's linear. (linear.c is PaddleNLP's: it sums changes from a base, and begins with 0.) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"
#include "method/mix.h"

struct average {
    struct ldl_list weight;
    int normalize;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT(struct average),
    LDL_PARAM_BOOL(struct average, normalize, true, "divide by the sum of the weights"),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct average *p = params_in;
    (void)sums;
    for (size_t i = 0; i < m; i++)
        plain[i] = p->weight.num[i];
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    const struct average *p = params_in;
    float sum = ldl_mix(k, plain, (const float *const *)run->t, m, run->n, out);
    if (p->normalize)
        k->over(out, sum, run->n);
}

const struct ldl_combiner ldl_combiner_average = {
    .name = "average",
    .summary = "weighted average",
    .reference = "arXiv:2203.05482",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct average),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .base_is_input = 1,
    .ignores_base = 1,
    .promotes = 1,
    .solve = solve,
    .map = map,
};
