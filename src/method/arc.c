/* arc.c -- walk along the arc from the base to one other model: mergekit's slerp.
 *                                                                        Shoemake, SIGGRAPH 1985
 *   u   = v / |v|    when |v| > 1e-8, else v;   v_0 is the base, v_1 the other       whole tensor
 *   d   = u_0 . u_1                                                                   f64 sums
 *   |d| > 0.9995:              out = (1-t)*v_0 + t*v_1
 *   else, theta = acos(d):     out = sin((1-t)*theta)/sin(theta)*v_0 + sin(t*theta)/sin(theta)*v_1
 *
 * t is not limited to 0 .. 1. slerp.c is PaddleNLP's: two models and, besides, a base. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"

#include <math.h>

struct arc {
    double t;
};

static const struct ldl_param params[] = {
    LDL_PARAM_T(struct arc, "place on the arc: 0 is the base, 1 the other model"),
};

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    const float *const v[] = { run->base, run->t[0] };
    (void)params_in;
    k->gram(f, v, 2, run->n);
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct arc *p = params_in;
    double n0 = ldl_gram_norm(sums, 0), n1 = ldl_gram_norm(sums, 1), t = p->t;
    double d = ldl_gram_at(sums, 0, 1) / ((n0 > 1e-8 ? n0 : 1) * (n1 > 1e-8 ? n1 : 1));
    (void)m;
    plain[0] = 1 - t;
    plain[1] = t;
    if (fabs(d) > 0.9995)
        return;
    double theta = acos(d), sine = sin(theta);
    plain[0] = sin(theta - t * theta) / sine;
    plain[1] = sin(t * theta) / sine;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    (void)m;
    k->mix(out, (float)plain[0], run->base, (float)plain[1], run->t[0], run->n);
}

const struct ldl_combiner ldl_combiner_arc = {
    .name = "arc",
    .summary = "spherical interpolation from the base to a model",
    .reference = "Shoemake 1985, Animating rotation with quaternion curves",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct arc),
    .min_models = 1,
    .max_models = 1,
    .needs_base = 1,
    .base_is_input = 1,
    .facts = 3,
    .fact = fact,
    .solve = solve,
    .map = map,
};
