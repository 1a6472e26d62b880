/* slerp.c -- walk along the arc between two models.                     Shoemake, SIGGRAPH 1985
 *
 *   u_i   = t_i / |t_i|   when |t_i| > slerp_normalize_eps, else t_i
 *   dot   = u_0 . u_1                                      f64 sums over the whole tensor
 *   |dot| > slerp_dot_threshold:   out = (1-alpha)*t_0 + alpha*t_1
 *   else, theta = acos(dot):       out = sin((1-alpha)*theta)/sin(theta) * t_0
 *                                      + sin(alpha*theta)/sin(theta) * t_1
 *
 * The factors are computed in f64 and rounded to f32. Where sin(theta) is as good as 0 (opposite
 * vectors and a threshold of 1 or more), the line is taken instead of noise. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"

#include <math.h>

struct slerp {
    double slerp_alpha, slerp_normalize_eps, slerp_dot_threshold;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DOUBLE(struct slerp, slerp_alpha, -1e18, 1e18, 0.5,
                     "place on the arc: 0 is the first model, 1 the second"),
    LDL_PARAM_DOUBLE(struct slerp, slerp_normalize_eps, 0, 1e18, 1e-8,
                     "a tensor with a norm up to this is not normalised"),
    LDL_PARAM_DOUBLE(struct slerp, slerp_dot_threshold, 0, 1e18, 0.9995,
                     "above this |cosine| a straight line is taken"),
};

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    (void)params_in;
    k->gram(f, (const float *const *)run->t, 2, run->n);
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct slerp *p = params_in;
    double n0 = ldl_gram_norm(sums, 0), n1 = ldl_gram_norm(sums, 1), alpha = p->slerp_alpha;
    double by = (n0 > p->slerp_normalize_eps ? n0 : 1) * (n1 > p->slerp_normalize_eps ? n1 : 1);
    double dot = ldl_gram_at(sums, 0, 1) / by;
    (void)m;
    plain[0] = 1 - alpha;
    plain[1] = alpha;
    if (fabs(dot) > p->slerp_dot_threshold)
        return;
    double theta = acos(dot > 1 ? 1 : dot < -1 ? -1 : dot), sine = sin(theta);
    if (sine < 1e-7)
        return;
    plain[0] = sin(theta - theta * alpha) / sine;
    plain[1] = sin(theta * alpha) / sine;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    (void)m;
    k->mix(out, (float)plain[0], run->t[0], (float)plain[1], run->t[1], run->n);
}

const struct ldl_combiner ldl_combiner_slerp = {
    .name = "slerp",
    .summary = "spherical interpolation of two models",
    .reference = "Shoemake 1985, Animating rotation with quaternion curves",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct slerp),
    .min_models = 2,
    .max_models = 2,
    .facts = 3,
    .fact = fact,
    .solve = solve,
    .map = map,
};
