/* linear.c -- weighted sum of the models ("model soup").                      arXiv:2203.05482
 *
 *   out = 0 + w_0*t_0 + w_1*t_1 + ...        f32, in model order, each step rounded
 *   w_i = weight_i / sum(weights)            f64, when normalize; then rounded to f32 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct linear {
    struct ldl_list weight_list;
    int normalize;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT_LIST(struct linear),
    LDL_PARAM_NORMALIZE(struct linear),
};

static double weight_sum(const struct linear *p)
{
    double sum = 0;
    for (size_t i = 0; i < p->weight_list.n; i++)
        sum += p->weight_list.num[i];
    return sum;
}

static int check(const void *params_in, size_t m, struct ldl_err *err)
{
    const struct linear *p = params_in;
    (void)m;
    if (p->normalize && weight_sum(p) == 0)
        return ldl_fail(
            err, LDL_EUSAGE,
            "weight_list: the weights sum to 0, which cannot be normalised; change them "
            "or use --no_normalize");
    return 0;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct linear *p = params_in;
    double by = p->normalize ? weight_sum(p) : 1.0;
    (void)sums;
    for (size_t i = 0; i < m; i++)
        plain[i] = p->weight_list.num[i] / by;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    k->zero(out, run->n);
    for (size_t i = 0; i < m; i++)
        k->axpy(out, (float)plain[i], run->t[i], run->n);
}

const struct ldl_combiner ldl_combiner_linear = {
    .name = "linear",
    .summary = "weighted sum",
    .reference = "arXiv:2203.05482",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct linear),
    .min_models = 2,
    .max_models = LDL_MAX_MODELS,
    .check = check,
    .solve = solve,
    .map = map,
};
