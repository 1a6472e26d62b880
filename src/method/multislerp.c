/* multislerp.c -- the weighted mean direction of several models, with their mean length.
 *                                                                        mergekit's multislerp
 *   y_i = x_i (- b, when there is a base)                f32
 *   w_i = w_i / (w_0 + w_1 + ...)                        when normalize_weights
 *   u_i = y_i / (|y_i| + eps);   m = sum w_i*u_i         whole tensor, f64
 *   out = cos(eps) * m/|m| * sum w_i*|y_i|  (+ b)
 *   |m| < eps: two models: w_0*y_0 + w_1*y_1 (+ b); more: an error, but where all y_i are 0, the sum
 *
 * mergekit then walks from m/|m| along the tangent T = sum w_i*(u_i - (u_i.m)*m), m normalised, by
 * |T| + eps. But sum w_i*u_i is |m|*m and sum w_i*(u_i.m) is |m|: T is 0 and only cos(eps) is left.
 * One model alone is copied. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"
#include "method/mix.h"

#include <math.h>
#include <string.h>

struct multislerp {
    struct ldl_list weight;
    int normalize_weights;
    double eps;
};

static const struct ldl_param params[] = {
    LDL_PARAM_WEIGHT(struct multislerp),
    LDL_PARAM_BOOL(struct multislerp, normalize_weights, true, "divide the weights by their sum"),
    LDL_PARAM_DOUBLE(struct multislerp, eps, 0, 1e18, 1e-8, "lengths below it count as 0"),
};

static double weight_sum(const struct multislerp *p, size_t m)
{
    double sum = 0;
    for (size_t i = 0; i < m; i++)
        sum += p->weight.num[i];
    return sum;
}

static int check(const void *params_in, size_t m, struct ldl_err *err)
{
    const struct multislerp *p = params_in;
    if (m > 1 && p->normalize_weights && weight_sum(p, m) == 0)
        return ldl_fail(err, LDL_EUSAGE,
                        "the weights sum to 0, so they cannot be divided by their sum; set "
                        "normalize_weights: false or other weights");
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

struct mean {
    double w[LDL_GRAM_MODELS], factor[LDL_GRAM_MODELS]; /* m = sum factor_i * y_i */
    double length, of_all;                              /* |m|; sum w_i*|y_i| */
    int is_zero;                                        /* all y_i are */
};

static struct mean mean_of(const struct multislerp *p, size_t m, const double *sums)
{
    struct mean mean = { .is_zero = 1 };
    double by = p->normalize_weights ? weight_sum(p, m) : 1;
    for (size_t i = 0; i < m; i++) {
        double norm = ldl_gram_norm(sums, i);
        mean.w[i] = p->weight.num[i] / by;
        mean.factor[i] = norm == 0 ? 0 : mean.w[i] / (norm + p->eps);
        mean.of_all += mean.w[i] * norm;
        mean.is_zero &= norm == 0;
    }
    double square = ldl_gram_dot(sums, m, mean.factor, mean.factor);
    mean.length = sqrt(square < 0 ? 0 : square);
    return mean;
}

static int check_facts(const void *params_in, size_t m, const double *sums, const char *tensor,
                       struct ldl_err *err)
{
    const struct multislerp *p = params_in;
    struct mean mean = mean_of(p, m, sums);
    if (m > 2 && !mean.is_zero && mean.length < p->eps)
        return ldl_fail(err, LDL_EINPUT,
                        "tensor '%s': the weighted directions of the models cancel each other, so "
                        "multislerp has no direction to take; change the weights",
                        tensor);
    return 0;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct multislerp *p = params_in;
    if (m < 2)
        return;
    struct mean mean = mean_of(p, m, sums);
    int line = mean.is_zero || mean.length < p->eps;
    for (size_t i = 0; i < m; i++)
        plain[i] = line ? mean.w[i] : mean.factor[i] / mean.length * cos(p->eps) * mean.of_all;
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
    ldl_mix(k, plain, (const float *const *)run->t, m, run->n, out);
    if (run->base)
        k->add(out, run->base, run->n);
}

const struct ldl_combiner ldl_combiner_multislerp = {
    .name = "multislerp",
    .summary = "the mean direction of several models, with their mean length",
    .reference = "mergekit",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct multislerp),
    .min_models = 1,
    .max_models = LDL_GRAM_MODELS,
    .base_is_input = 1, /* so that one model alone stays as it is */
    .check = check,
    .facts_of = facts_of,
    .fact = fact,
    .check_facts = check_facts,
    .solve = solve,
    .map = map,
};
