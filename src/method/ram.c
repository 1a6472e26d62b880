/* ram.c -- changes of one model are kept whole, those of several are averaged.     mergekit's ram
 *
 *   z_i = |t_i| > epsilon;  c = number of the models with z_i        epsilon in f32
 *   out = sum of: t_i*z_i where c = 1;  t_i*z_i / c where c > 1      f32, in model order
 *                                                      the base is added after it */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct ram {
    double epsilon;
};

static const struct ldl_param params[] = {
    LDL_PARAM_RAM_EPSILON(struct ram),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    (void)m;
    (void)sums;
    plain[0] = ((const struct ram *)params_in)->epsilon;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    float *touched = ldl_runs_floats(run), epsilon = (float)plain[0];
    (void)params_in;
    k->zero(touched, run->n);
    k->zero(out, run->n);
    for (size_t i = 0; i < m; i++)
        k->touch(touched, epsilon, run->t[i], run->n);
    for (size_t i = 0; i < m; i++)
        k->add_touched(out, touched, epsilon, 1, run->t[i], run->n);
}

const struct ldl_combiner ldl_combiner_ram = {
    .name = "ram",
    .summary = "changes of one model whole, those of several averaged",
    .reference = "mergekit",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct ram),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .needs_base = 1,
    .solve = solve,
    .map = map,
};
