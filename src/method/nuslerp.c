/* nuslerp.c -- walk along the arc between two models, or between their changes from a base.
 *                                                       Shoemake, SIGGRAPH 1985; mergekit's nuslerp
 *   v_i = x_i (- b, when there is a base)                f32
 *   t   = w_1 / (w_0 + w_1);   0.5 where |w_0 + w_1| < 1e-6
 *   d   = v_0 . v_1 / (max(|v_0|, 1e-7) * max(|v_1|, 1e-7)), limited to -1 .. 1
 *                                                        f64; the whole tensor, each row, or each
 *                                                        column (elements with a row between them)
 *   theta = acos(d);  sin(theta) < 1e-7:   out = (1-t)*v_0 + t*v_1
 *   else     out = sin((1-t)*theta)/sin(theta)*v_0 + sin(t*theta)/sin(theta)*v_1
 *   out = out + b
 *
 * One model alone is copied. Opposite vectors take the line; mergekit (its limit is 1e-8) divides by the
 * rounding error of a sine there. A tensor with one dimension, or one row, is one vector for nuslerp_row_wise.
 * How columns are added up: reduce/columns.h; 56 bytes for each, and 24 for each thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"
#include "reduce/columns.h"

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
                   "without nuslerp_flatten: each column is one"),
};

static int is_by_row(const void *params_in)
{
    const struct nuslerp *p = params_in;
    return !p->nuslerp_flatten && !p->nuslerp_row_wise;
}

static int is_by_column(const void *params_in)
{
    const struct nuslerp *p = params_in;
    return !p->nuslerp_flatten && p->nuslerp_row_wise;
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
    plain[2] = !sums; /* apply() has done it */
    if (!sums)
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

/* ---- columns ---- */

struct state {
    const struct ldl_kern *k;
    const struct nuslerp *params;
    struct ldl_columns columns;
    float *factor; /* of the first model for each column, then of the second */
};

static void subtract_base(const struct ldl_kern *k, const struct ldl_runs *run)
{
    for (size_t i = 0; run->base && i < run->m; i++)
        k->sub(run->t[i], run->base, run->n);
}

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        ldl_columns_end(&st->columns);
        ldl_free(st->factor);
    }
    ldl_free(st);
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in, size_t m,
                 struct ldl_err *err)
{
    if (m < 2 || !is_by_column(params_in) || s->cols >= s->n)
        return 0;
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->params = params_in;
    st->factor = ldl_calloc(2 * s->cols, sizeof *st->factor);
    int rc = st->factor ? ldl_columns_begin(&st->columns, s->k, s->n, s->cols, err) : ldl_oom(err);
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t stride(const void *state)
{
    return ldl_columns_stride(&((const struct state *)state)->columns);
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    return ldl_columns_acc_begin(&((struct state *)state)->columns, acc, err);
}

static void acc_end(void *acc)
{
    ldl_columns_acc_end(acc);
}

static int scan(void *state, void *acc, const struct ldl_runs *run, struct ldl_err *err)
{
    struct state *st = state;
    (void)err;
    subtract_base(st->k, run);
    ldl_columns_scan(&st->columns, acc, run->first, run->t[0], run->t[1], run->n);
    return 0;
}

static int solve_round(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    uint64_t cols = st->columns.cols;
    int rc = ldl_columns_solve(&st->columns, (struct ldl_columns_acc *const *)acc, naccs, err);
    if (rc || ldl_columns_stride(&st->columns))
        return rc;
    for (uint64_t c = 0; c < cols; c++) {
        double dots[3], plain[3]; /* a Gram matrix of two */
        ldl_columns_dots(&st->columns, c, dots);
        solve(st->params, 2, dots, plain);
        st->factor[c] = (float)plain[0];
        st->factor[cols + c] = (float)plain[1];
    }
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_runs *run)
{
    const struct state *st = state;
    uint64_t cols = st->columns.cols;
    subtract_base(k, run);
    for (size_t i = 0, n; i < run->n; i += n) {
        uint64_t at = (run->first + i) % cols;
        n = (size_t)LDL_MIN((uint64_t)(run->n - i), cols - at);
        k->mul(run->t[0] + i, st->factor + at, n);
        k->mul(run->t[1] + i, st->factor + cols + at, n);
    }
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s, size_t m)
{
    (void)m;
    uint64_t factors = 2 * s->cols * sizeof(float);
    return is_by_column(params_in) && s->cols < s->n
               ? sizeof(struct state) + ldl_columns_state_bytes(s->cols) + factors
               : 0;
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    return is_by_column(params_in) && s->cols < s->n
               ? sizeof(struct ldl_columns_acc) + ldl_columns_acc_bytes(s->cols)
               : 0;
}

static const struct ldl_rounds rounds = {
    .rounds = "1 (2 with nuslerp_row_wise)",
    .no_facts = 1,
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct ldl_columns_acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve_round,
    .apply = apply,
    .end = end,
};

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    if (m < 2) {
        memcpy(out, run->t[0], run->n * sizeof *out);
        return;
    }
    if (plain[2] != 0) {
        memcpy(out, run->t[0], run->n * sizeof *out);
        k->add(out, run->t[1], run->n);
    } else {
        subtract_base(k, run);
        k->mix(out, (float)plain[0], run->t[0], (float)plain[1], run->t[1], run->n);
    }
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
    .rounds = &rounds,
    .facts_of = facts_of,
    .fact = fact,
    .is_by_row = is_by_row,
    .solve = solve,
    .map = map,
};
