/* ramplus.c -- ram, with the changes of one model alone made larger the more it shares with others.
 *                                                                        mergekit's ramplus_tl
 *   z_i   = |t_i| > epsilon;  c = number of the models with z_i      epsilon in f32
 *   rho_i = #(z_i and c > 1) / max(#(z_i and c = 1), epsilon)        whole tensor
 *   f_i   = 1 + r * min(max(rho_i, 0), alpha)
 *   out   = sum of: f_i * t_i*z_i where c = 1;  t_i*z_i / c where c > 1       f32, in model order
 *                                                      the base is added after it */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct ramplus {
    double epsilon, r, alpha;
};

static const struct ldl_param params[] = {
    LDL_PARAM_RAM_EPSILON(struct ramplus),
    LDL_PARAM_DOUBLE(struct ramplus, r, -1e18, 1e18, 0.1, "how much larger, for each rho"),
    LDL_PARAM_DOUBLE(struct ramplus, alpha, 0, 1e18, 0.2, "rho counts up to this"),
};

static size_t facts_of(size_t m)
{
    return 2 * m;
}

static void count_touches(const struct ldl_kern *k, float epsilon, const struct ldl_runs *run,
                          float *touched)
{
    k->zero(touched, run->n);
    for (size_t i = 0; i < run->m; i++)
        k->touch(touched, epsilon, run->t[i], run->n);
}

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    float *touched = ldl_runs_floats(run);
    float epsilon = (float)((const struct ramplus *)params_in)->epsilon;
    count_touches(k, epsilon, run, touched);
    for (size_t i = 0; i < run->m; i++) {
        uint64_t alone = 0, shared = 0;
        k->count_touched(touched, epsilon, run->t[i], run->n, &alone, &shared);
        f[2 * i] = (double)alone;
        f[2 * i + 1] = (double)shared;
    }
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct ramplus *p = params_in;
    for (size_t i = 0; i < m; i++) {
        double alone = sums[2 * i], shared = sums[2 * i + 1];
        double by = LDL_MAX(alone, p->epsilon);
        double rho = shared == 0 ? 0 : shared / by; /* 0 / 0 is no rho */
        plain[i] = 1 + p->r * LDL_MIN(rho, p->alpha);
    }
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    float *touched = ldl_runs_floats(run);
    float epsilon = (float)((const struct ramplus *)params_in)->epsilon;
    count_touches(k, epsilon, run, touched);
    k->zero(out, run->n);
    for (size_t i = 0; i < m; i++)
        k->add_touched(out, touched, epsilon, (float)plain[i], run->t[i], run->n);
}

const struct ldl_combiner ldl_combiner_ramplus = {
    .name = "ramplus",
    .summary = "as ram, with changes of one model alone made larger",
    .reference = "mergekit",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct ramplus),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .needs_base = 1,
    .facts_of = facts_of,
    .fact = fact,
    .solve = solve,
    .map = map,
};
