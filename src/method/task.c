/* task.c -- add up the changes from the base: task arithmetic.                    arXiv:2212.04089
 *
 *   mix = w_0*t_0 + w_1*t_1 + ...                f32, in model order, each step rounded
 *   mix = mix / (w_0 + w_1 + ...)                when normalize; a sum below 1e-8 counts as 1
 *   out = lambda * mix                           the base is added after it */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"
#include "method/mix.h"

#include <math.h>

struct task {
    struct ldl_list weight;
    int normalize;
    double lambda;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT(struct task),
    LDL_PARAM_NORMALIZE(struct task),
    LDL_PARAM_LAMBDA(struct task),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct task *p = params_in;
    (void)sums;
    for (size_t i = 0; i < m; i++)
        plain[i] = p->weight.num[i];
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    const struct task *p = params_in;
    float sum = ldl_mix(k, plain, (const float *const *)run->t, m, run->n, out);
    if (p->normalize && fabsf(sum) >= 1e-8f)
        k->over(out, sum, run->n);
    if (p->lambda != 1)
        k->times(out, (float)p->lambda, run->n);
}

const struct ldl_combiner ldl_combiner_task = {
    .name = "task",
    .summary = "add up the changes from the base",
    .reference = "arXiv:2212.04089",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct task),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .needs_base = 1,
    .solve = solve,
    .map = map,
};
