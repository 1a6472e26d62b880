/* consensus.c -- add up the changes that have the elected sign: the sign methods of mergekit.
 *                                                                              arXiv:2306.01708
 *   e_i = w_i * t_i                                f32
 *   E   = e_0 + e_1 + ...                          E >= 0 elects +; a zero never agrees
 *   mix = sum of the e_i with E's sign             in model order
 *   mix = mix / sum of their w_i                   when normalize; f32; a sum of 0 counts as 1
 *   out = lambda * mix                             the base is added after it
 *
 * ties.c is PaddleNLP's: it divides in f64, and can elect by counting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct consensus {
    struct ldl_list weight;
    int normalize;
    double lambda;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT(struct consensus),
    LDL_PARAM_NORMALIZE(struct consensus),
    LDL_PARAM_LAMBDA(struct consensus),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct consensus *p = params_in;
    (void)sums;
    for (size_t i = 0; i < m; i++)
        plain[i] = p->weight.num[i];
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    const struct consensus *p = params_in;
    float w[LDL_MAX_MODELS];
    const struct ldl_elect how = { .m = m,
                                   .w = w,
                                   .share = p->normalize ? LDL_SHARE_F32 : LDL_SHARE_NONE };
    for (size_t i = 0; i < m; i++)
        w[i] = (float)plain[i];
    k->elect(out, run->t, &how, run->n);
    if (p->lambda != 1)
        k->times(out, (float)p->lambda, run->n);
}

const struct ldl_combiner ldl_combiner_consensus = {
    .name = "consensus",
    .summary = "elect a sign for each element, add up the changes that have it",
    .reference = "arXiv:2306.01708",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct consensus),
    .min_models = 1,
    .max_models = LDL_MAX_MODELS,
    .needs_base = 1,
    .solve = solve,
    .map = map,
};
