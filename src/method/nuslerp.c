/* nuslerp.c -- walk along the arc between two models, or between their changes from a base.
 *                                                       Shoemake, SIGGRAPH 1985; mergekit's nuslerp
 *   v_i = x_i (- b, when there is a base)                f32
 *   t   = w_1 / (w_0 + w_1);   0.5 where |w_0 + w_1| < 1e-6
 *   d   = v_0 . v_1 / (max(|v_0|, 1e-7) * max(|v_1|, 1e-7)), limited to -1 .. 1
 *                                                        f64; the whole tensor, or each row
 *   theta = acos(d);  sin(theta) < 1e-7:   out = (1-t)*v_0 + t*v_1
 *   else     out = sin((1-t)*theta)/sin(theta)*v_0 + sin(t*theta)/sin(theta)*v_1
 *   out = out + b
 *
 * One model alone is copied. Opposite vectors take the line; mergekit (its limit is 1e-8) divides by
 * the rounding error of a sine there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"

#include <math.h>
#include <string.h>

struct nuslerp {
    struct ldl_list weight;
    int nuslerp_flatten, nuslerp_row_wise;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT(struct nuslerp),
    LDL_PARAM_BOOL(struct nuslerp, nuslerp_flatten, true,
                   "the whole tensor is one vector; false: each row is one"),
    LDL_PARAM_BOOL(struct nuslerp, nuslerp_row_wise, false,
                   "without nuslerp_flatten: each column is a vector (not in this build)"),
};

static int is_by_row(const void *params_in)
{
    return !((const struct nuslerp *)params_in)->nuslerp_flatten;
}

static int check(const void *params_in, size_t m, struct ldl_err *err)
{
    const struct nuslerp *p = params_in;
    if (m > 1 && p->nuslerp_row_wise && !p->nuslerp_flatten)
        return ldl_fail(err, LDL_EUSAGE,
                        "nuslerp_row_wise: true together with nuslerp_flatten: false (one vector "
                        "for each column) is not in this build; nuslerp_row_wise: false takes each "
                        "row, nuslerp_flatten: true the whole tensor");
    return 0;
}

static size_t facts_of(size_t m)
{
    return m > 1 ? ldl_gram_facts(m) : 0;
}

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    (void)params_in;
    ldl_gram_changes(k, run, f);
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct nuslerp *p = params_in;
    if (m < 2)
        return;
    double w0 = p->weight.num[0], w1 = p->weight.num[1];
    double t = fabs(w0 + w1) < 1e-6 ? 0.5 : w1 / (w0 + w1);
    double n0 = ldl_gram_norm(sums, 0), n1 = ldl_gram_norm(sums, 1);
    double d = ldl_gram_at(sums, 0, 1) / ((n0 < 1e-7 ? 1e-7 : n0) * (n1 < 1e-7 ? 1e-7 : n1));
    double theta = acos(d > 1 ? 1 : d < -1 ? -1 : d), sine = sin(theta);
    int line = sine < 1e-7;
    plain[0] = line ? 1 - t : sin((1 - t) * theta) / sine;
    plain[1] = line ? t : sin(t * theta) / sine;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    if (m < 2) {
        memcpy(out, run->t[0], run->n * sizeof *out);
        return;
    }
    for (size_t i = 0; run->base && i < m; i++)
        k->sub(run->t[i], run->base, run->n);
    k->mix(out, (float)plain[0], run->t[0], (float)plain[1], run->t[1], run->n);
    if (run->base)
        k->add(out, run->base, run->n);
}

const struct ldl_combiner ldl_combiner_nuslerp = {
    .name = "nuslerp",
    .summary = "spherical interpolation of two models, or of their changes",
    .reference = "Shoemake 1985, Animating rotation with quaternion curves",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct nuslerp),
    .min_models = 1,
    .max_models = 2,
    .base_apart = 1,
    .base_is_input = 1, /* so that one model alone stays as it is */
    .check = check,
    .facts_of = facts_of,
    .fact = fact,
    .is_by_row = is_by_row,
    .solve = solve,
    .map = map,
};
