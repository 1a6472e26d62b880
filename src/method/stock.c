/* stock.c -- as far from the base to the average as the models agree: model stock.
 *                                                                              arXiv:2403.19522
 *   o_i = x_i - b                                       f32
 *   c   = mean over pairs of o_i . o_j / max(|o_i|*|o_j|, 1e-6), each limited to -1 .. 1
 *   t   = m*c / (1 + (m-1)*c)                           f64; the whole tensor, or each row; 0 where the divisor is
 *                                                       below 1e-6: models that pull apart leave the base
 *   out = t * (x_0 + x_1 + ...)/m + (1-t) * b           f32, each step rounded */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"

#include <math.h>
#include <string.h>

struct stock {
    int filter_wise;
};

static const struct ldl_param params[] = {
    LDL_PARAM_BOOL(struct stock, filter_wise, false, "a factor for each row, not for each tensor"),
};

static int is_by_row(const void *params_in)
{
    return ((const struct stock *)params_in)->filter_wise;
}

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    (void)params_in;
    ldl_gram_changes(k, run, f);
}

/* A NaN stays one. */
static double cosine(const double *gram, size_t i, size_t j)
{
    double by = ldl_gram_norm(gram, i) * ldl_gram_norm(gram, j);
    double c = ldl_gram_at(gram, i, j) / (by < 1e-6 ? 1e-6 : by);
    return c < -1 ? -1 : c > 1 ? 1 : c;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    double sum = 0, models = (double)m;
    (void)params_in;
    for (size_t i = 0; i < m; i++)
        for (size_t j = i + 1; j < m; j++)
            sum += cosine(sums, i, j);
    double c = sum / (models * (models - 1) / 2);
    double by = 1 + (models - 1) * c;
    plain[0] = fabs(by) < 1e-6 ? 0 : models * c / by;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    float *mean = ldl_runs_floats(run);
    (void)params_in;
    memcpy(mean, run->t[0], run->n * sizeof *mean);
    for (size_t i = 1; i < m; i++)
        k->add(mean, run->t[i], run->n);
    k->over(mean, (float)m, run->n);
    k->mix(out, (float)plain[0], mean, (float)(1 - plain[0]), run->base, run->n);
}

const struct ldl_combiner ldl_combiner_stock = {
    .name = "stock",
    .summary = "from the base towards the average, as far as the models agree",
    .reference = "arXiv:2403.19522",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct stock),
    .min_models = 2,
    .max_models = LDL_GRAM_MODELS,
    .needs_base = 1,
    .base_is_input = 1,
    .facts_of = ldl_gram_facts,
    .fact = fact,
    .is_by_row = is_by_row,
    .solve = solve,
    .map = map,
};
