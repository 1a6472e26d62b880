/* ties.c -- elect a sign for each element, sum the models that agree.     arXiv:2306.01708
 *
 *   x_i = w_i * t_i                                         f32
 *   E   = sum x_i          (elect sum)    or   sum sign(x_i)   (elect count)
 *   out = sum of the x_i that have E's sign                 E >= 0 counts as +; zeros never agree
 *   out = out / sum of their w_i                            when normalize; in f64, |sum| < 1e-8: 1
 *
 * The weights are used as they are: normalize divides by the weights that took part. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

struct ties {
    struct ldl_list weight_list;
    int normalize;
    int ties_elect_type;
};
enum { ELECT_SUM, ELECT_COUNT };

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT_LIST(struct ties),
    LDL_PARAM_NORMALIZE(struct ties),
    LDL_PARAM_WORD(struct ties, ties_elect_type, "sum|count", "sum",
                   "elect the sign by the sum of the changes or by counting them"),
};

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct ties *p = params_in;
    (void)sums;
    for (size_t i = 0; i < m; i++)
        plain[i] = p->weight_list.num[i];
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    const struct ties *p = params_in;
    float w[LDL_MAX_MODELS];
    const struct ldl_elect how = {
        .m = m,
        .w = w,
        .w64 = plain,
        .vote = p->ties_elect_type == ELECT_COUNT ? LDL_VOTE_COUNT : LDL_VOTE_SUM,
        .share = p->normalize ? LDL_SHARE_F64 : LDL_SHARE_NONE,
    };
    for (size_t i = 0; i < m; i++)
        w[i] = (float)plain[i];
    k->elect(out, run->t, &how, run->n);
}

const struct ldl_combiner ldl_combiner_ties = {
    .name = "ties",
    .summary = "elect a sign for each element, combine the models that agree",
    .reference = "arXiv:2306.01708",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct ties),
    .min_models = 2,
    .max_models = LDL_MAX_MODELS,
    .solve = solve,
    .map = map,
};
