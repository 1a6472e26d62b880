/* karcher.c -- the point on the sphere that is nearest to all models: their Riemannian mean.
 *                                                  Karcher, 1977; mergekit's karcher
 *   v_i = the models and, when there is one, the base; M of them; N_i = |v_i|      whole tensor
 *   u_i = v_i / N_i, of the inputs with N_i > tol (none: out = 0); a = 1 / their number
 *   u   = sum a*u_i, normalised; the first u_i where that is shorter than tol
 *   up to max_iter times:
 *       th_i = acos(u . u_i);  T = sum a * th_i/sin(th_i) * (u_i - cos(th_i)*u), of th_i >= tol
 *       |T| < tol: stop;  u = cos|T|*u + sin|T|*T/|T|, normalised
 *   out = u * sum N_i/M
 *
 * u is a combination of the u_i, so all of this happens on its factors, in f64, with dot products
 * from the Gram matrix. An input opposite to u (sin(th_i) < 1e-7) has no direction and is skipped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"
#include "method/mix.h"

#include <math.h>
#include <string.h>

enum { VECTORS = LDL_GRAM_MOST };

struct karcher {
    int64_t max_iter;
    double tol;
};

static const struct ldl_param params[] = {
    { "max_iter", LDL_T_INT, offsetof(struct karcher, max_iter), 0, 100000, "10", NULL,
      "most steps" },
    LDL_PARAM_DOUBLE(struct karcher, tol, 0, 1e18, 1e-5, "a step shorter than this is the last"),
};

/* Room for the base, and whether there is one. */
static size_t facts_of(size_t m)
{
    return ldl_gram_facts(m + 1) + 1;
}

static size_t inputs(const struct ldl_runs *run, const float *v[VECTORS])
{
    for (size_t i = 0; i < run->m; i++)
        v[i] = run->t[i];
    v[run->m] = run->base;
    return run->m + (run->base != NULL);
}

static void fact(const struct ldl_kern *k, const void *params_in, const struct ldl_runs *run,
                 double *f)
{
    const float *v[VECTORS];
    size_t count = inputs(run, v);
    (void)params_in;
    k->gram(f, v, count, run->n);
    f[facts_of(run->m) - 1] = run->base ? 1 : 0;
}

/* The Gram matrix of the u_i, and u's factors on them. A zero input has none. */
struct sphere {
    size_t count;
    double gram[VECTORS * (VECTORS + 1) / 2];
    double share[VECTORS]; /* a, or 0 */
    double u[VECTORS];
};

static void normalise(struct sphere *s)
{
    double square = ldl_gram_dot(s->gram, s->count, s->u, s->u);
    double length = sqrt(square < 0 ? 0 : square);
    for (size_t i = 0; i < s->count; i++)
        s->u[i] /= length;
}

/* From the Gram matrix of the v_i. 0: all are zero. */
static int begin(struct sphere *s, size_t count, const double *sums, double tol)
{
    size_t valid = 0, first = count;
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        int in = !(ldl_gram_norm(sums, i) <= tol);
        s->share[i] = in;
        valid += (size_t)in;
        if (in && first == count)
            first = i;
    }
    for (size_t j = 0, at = 0; j < count; j++)
        for (size_t i = 0; i <= j; i++, at++)
            s->gram[at] = s->share[i] * s->share[j] == 0
                              ? 0
                              : sums[at] / (ldl_gram_norm(sums, i) * ldl_gram_norm(sums, j));
    for (size_t i = 0; i < count; i++)
        s->u[i] = s->share[i] /= (double)LDL_MAX(valid, (size_t)1);
    if (sqrt(ldl_gram_dot(s->gram, count, s->u, s->u)) < tol) {
        memset(s->u, 0, sizeof s->u);
        if (first < count)
            s->u[first] = 1;
    }
    if (valid)
        normalise(s);
    return valid != 0;
}

/* T, as factors on the u_i. */
static void tangent(const struct sphere *s, double tol, double *t)
{
    double along = 0;
    for (size_t i = 0; i < s->count; i++) {
        double one[VECTORS] = { 0 };
        one[i] = 1;
        double d = ldl_gram_dot(s->gram, s->count, s->u, one);
        d = d > 1 ? 1 : d < -1 ? -1 : d;
        double theta = acos(d), sine = sin(theta);
        double by = theta < tol || sine < 1e-7 ? 0 : s->share[i] * theta / sine;
        t[i] = by;
        along += by * d;
    }
    for (size_t i = 0; i < s->count; i++)
        t[i] -= along * s->u[i];
}

/* 1: that was the last step. */
static int step(struct sphere *s, double tol)
{
    double t[VECTORS];
    tangent(s, tol, t);
    double square = ldl_gram_dot(s->gram, s->count, t, t), length = sqrt(square < 0 ? 0 : square);
    if (!(length >= tol) || length == 0)
        return 1;
    for (size_t i = 0; i < s->count; i++)
        s->u[i] = cos(length) * s->u[i] + sin(length) / length * t[i];
    normalise(s);
    return 0;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    const struct karcher *p = params_in;
    size_t count = m + (sums[facts_of(m) - 1] > 0);
    struct sphere s = { 0 };
    double lengths = 0;
    int found = begin(&s, count, sums, p->tol);
    for (int64_t i = 0; found && i < p->max_iter; i++)
        if (step(&s, p->tol))
            break;
    for (size_t i = 0; i < count; i++)
        lengths += ldl_gram_norm(sums, i) / (double)count;
    for (size_t i = 0; i < count; i++)
        plain[i] = s.share[i] == 0 ? 0 : s.u[i] / ldl_gram_norm(sums, i) * lengths;
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    const float *v[VECTORS];
    size_t count = inputs(run, v);
    (void)params_in;
    (void)m;
    ldl_mix(k, plain, v, count, run->n, out);
}

const struct ldl_combiner ldl_combiner_karcher = {
    .name = "karcher",
    .summary = "the point on the sphere nearest to all models, the base being one of them",
    .reference = "Karcher 1977, Riemannian center of mass and mollifier smoothing",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct karcher),
    .min_models = 1,
    .max_models = LDL_GRAM_MODELS,
    .base_is_input = 1,
    .facts_of = facts_of,
    .fact = fact,
    .solve = solve,
    .map = map,
};
