/* fusion.c -- take the elements that matter from the other model: mergekit's arcee_fusion.
 *
 *   p, q  = softmax of the row of x and of b, + 1e-8            the last axis is a row; f64
 *   KL    = sum over the row of p * log(p/q), at least 0        f64, rounded to f32
 *   score = |x - b| * KL                                        f32
 *   Q(f)  = the score of rank trunc(f * (n-1)) of the tensor, ascending; NaN is the largest
 *   least = Q(1/2) + 1.5 * (Q(3/4) - Q(1/4))                    f32
 *   out   = score >= least ? x : b
 *
 * The ranks are exact: counted (kth.h), not sorted, and not of a sample, as mergekit's are above 1e6
 * elements. Between models that are close mergekit's KL, in f32, is rounding error; here it is not.
 * A pass for the softmax, one for KL, then those of the ranks. Memory: 40 bytes for each row and block
 * and 36 for each row, and the bins of three ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"
#include "reduce/kth.h"

#include <math.h>
#include <string.h>

enum { QUARTERS = 3 };

struct softmaxes {
    struct ldl_softmax x, b;
};

struct state {
    const struct ldl_kern *k;
    uint64_t n, last, rows, blocks;
    enum { SOFTMAX, DIVERGENCE, RANKS, DONE } step;
    /* What a row and a block have in common is a piece; its number is block + row. */
    struct softmaxes *piece; /* factor: the sum of exp(x - most) */
    double *part;            /* of KL */
    struct softmaxes *row;
    float *kl;
    struct ldl_kth kth[QUARTERS];
    float least;
};

struct acc {
    struct ldl_kth_acc kth[QUARTERS];
};

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        for (size_t i = 0; i < QUARTERS; i++)
            ldl_kth_end(&st->kth[i]);
        ldl_free(st->piece);
        ldl_free(st->part);
        ldl_free(st->row);
        ldl_free(st->kl);
    }
    ldl_free(st);
}

static int begin(void **out, const struct ldl_subject *s, const void *params, size_t m,
                 struct ldl_err *err)
{
    struct state *st = ldl_calloc(1, sizeof *st);
    (void)params;
    (void)m;
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->n = s->n;
    st->last = s->last;
    st->rows = s->n / s->last;
    st->blocks = (s->n + LDL_BLOCK - 1) / LDL_BLOCK;
    st->piece = ldl_calloc(st->blocks + st->rows, sizeof *st->piece);
    st->part = ldl_calloc(st->blocks + st->rows, sizeof *st->part);
    st->row = ldl_calloc(st->rows, sizeof *st->row);
    st->kl = ldl_calloc(st->rows, sizeof *st->kl);
    if (!st->piece || !st->part || !st->row || !st->kl) {
        end(st);
        return ldl_oom(err);
    }
    *out = st;
    return 0;
}

static uint64_t stride(const void *state)
{
    const struct state *st = state;
    uint64_t of = st->step < RANKS;
    for (size_t i = 0; st->step == RANKS && i < QUARTERS; i++)
        of = LDL_MAX(of, ldl_kth_stride(&st->kth[i]));
    return of;
}

static void acc_end(void *acc)
{
    struct acc *a = acc;
    for (size_t i = 0; i < QUARTERS; i++)
        ldl_kth_acc_end(&a->kth[i]);
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    const struct state *st = state;
    struct acc *a = acc;
    int rc = 0;
    for (size_t i = 0; rc == 0 && st->step == RANKS && i < QUARTERS; i++)
        if (ldl_kth_stride(&st->kth[i]))
            rc = ldl_kth_acc_begin(&st->kth[i], &a->kth[i], err);
    return rc;
}

/* The piece that begins at element i of a block: its length; its row and number. */
static size_t piece_at(const struct state *st, const struct ldl_runs *run, size_t i, uint64_t *row,
                       uint64_t *number)
{
    uint64_t at = run->first + i;
    *row = at / st->last;
    *number = run->first / LDL_BLOCK + *row;
    return (size_t)LDL_MIN((*row + 1) * st->last - at, (uint64_t)(run->n - i));
}

static void measure(struct state *st, const struct ldl_runs *run)
{
    uint64_t row, number;
    for (size_t i = 0, n; i < run->n; i += n) {
        n = piece_at(st, run, i, &row, &number);
        const float *x = run->t[0] + i, *b = run->base + i;
        struct softmaxes *p = &st->piece[number];
        if (st->step == DIVERGENCE) {
            st->part[number] = st->k->divergence(x, &st->row[row].x, b, &st->row[row].b, n);
            continue;
        }
        p->x.most = st->k->largest(x, n);
        p->x.factor = st->k->sum_exp(x, p->x.most, n);
        p->b.most = st->k->largest(b, n);
        p->b.factor = st->k->sum_exp(b, p->b.most, n);
    }
}

static const float *scores(const struct ldl_kern *k, const struct state *st,
                           const struct ldl_runs *run)
{
    float *score = ldl_runs_floats(run);
    uint64_t row, number;
    for (size_t i = 0, n; i < run->n; i += n) {
        n = piece_at(st, run, i, &row, &number);
        k->away_times(score + i, st->kl[row], run->t[0] + i, run->base + i, n);
    }
    return score;
}

static int scan(void *state, void *acc, const struct ldl_runs *run, struct ldl_err *err)
{
    struct state *st = state;
    struct acc *a = acc;
    (void)err;
    if (st->step < RANKS) {
        measure(st, run);
        return 0;
    }
    const float *score = scores(st->k, st, run);
    for (size_t i = 0; i < QUARTERS; i++)
        if (ldl_kth_stride(&st->kth[i]))
            ldl_kth_scan(&st->kth[i], &a->kth[i], run->first, score, run->n);
    return 0;
}

static uint64_t first_piece(const struct state *st, uint64_t row)
{
    return row * st->last / LDL_BLOCK + row;
}
static uint64_t last_piece(const struct state *st, uint64_t row)
{
    return ((row + 1) * st->last - 1) / LDL_BLOCK + row;
}

/* Sums of pieces, each beside its own largest element, to one of a row. */
static void join(struct ldl_softmax *row, const struct ldl_softmax *piece)
{
    float most = LDL_MAX(row->most, piece->most);
    double old = row->factor > 0 ? row->factor * exp((double)row->most - (double)most) : 0;
    row->factor = old + piece->factor * exp((double)piece->most - (double)most);
    row->most = most;
}

static void join_softmaxes(struct state *st)
{
    for (uint64_t r = 0; r < st->rows; r++) {
        struct softmaxes *row = &st->row[r];
        *row = st->piece[first_piece(st, r)];
        for (uint64_t i = first_piece(st, r) + 1; i <= last_piece(st, r); i++) {
            join(&row->x, &st->piece[i].x);
            join(&row->b, &st->piece[i].b);
        }
        row->x.factor = 1 / row->x.factor;
        row->b.factor = 1 / row->b.factor;
    }
}

static int join_divergences(struct state *st, struct ldl_err *err)
{
    int rc = 0;
    for (uint64_t r = 0; r < st->rows; r++) {
        double sum = 0;
        for (uint64_t i = first_piece(st, r); i <= last_piece(st, r); i++)
            sum += st->part[i];
        st->kl[r] = sum < 0 ? 0 : (float)sum;
    }
    for (uint64_t i = 0; rc == 0 && i < QUARTERS; i++) {
        uint64_t whole = (st->n - 1) / 4 * (i + 1), rest = (st->n - 1) % 4 * (i + 1) / 4;
        rc =
            ldl_kth_begin(&st->kth[i], st->k, st->n, LDL_BLOCK, whole + rest, whole + rest, 0, err);
    }
    return rc;
}

static int solve_ranks(struct state *st, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct ldl_kth_acc **one = ldl_alloc(naccs * sizeof *one);
    int rc = one ? 0 : ldl_oom(err);
    float q[QUARTERS];
    for (size_t i = 0; rc == 0 && i < QUARTERS; i++) {
        for (size_t a = 0; a < naccs; a++)
            one[a] = &((struct acc *)acc[a])->kth[i];
        if (ldl_kth_stride(&st->kth[i]))
            rc = ldl_kth_solve(&st->kth[i], one, naccs, err);
    }
    ldl_free(one);
    if (rc || stride(st))
        return rc;
    for (size_t i = 0; i < QUARTERS; i++)
        memcpy(&q[i], &st->kth[i].mag_lo, sizeof q[i]);
    float apart = 1.5f * (q[2] - q[0]);
    st->least = q[1] + apart;
    st->step = DONE;
    return 0;
}

static int solve_round(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    int rc = 0;
    switch (st->step) {
    case SOFTMAX:
        join_softmaxes(st);
        st->step = DIVERGENCE;
        break;
    case DIVERGENCE:
        rc = join_divergences(st, err);
        st->step = RANKS;
        break;
    default: rc = solve_ranks(st, acc, naccs, err);
    }
    return rc;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_runs *run)
{
    const struct state *st = state;
    k->take_above(run->t[0], run->base, scores(k, st, run), st->least, run->n);
}

static uint64_t state_bytes(const void *params, const struct ldl_subject *s, size_t m)
{
    (void)m;
    uint64_t rows = s->n / LDL_MAX(s->last, (uint64_t)1), pieces = s->n / LDL_BLOCK + 1 + rows;
    (void)params;
    return sizeof(struct state) + pieces * (sizeof(struct softmaxes) + sizeof(double)) +
           rows * (sizeof(struct softmaxes) + sizeof(float)) +
           QUARTERS * ldl_kth_state_bytes(s->n, LDL_BLOCK);
}

static uint64_t acc_bytes(const void *params, const struct ldl_subject *s)
{
    (void)params;
    return sizeof(struct acc) + QUARTERS * ldl_kth_acc_bytes(s->n);
}

static const struct ldl_rounds rounds = {
    .rounds = "3 to 7",
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve_round,
    .apply = apply,
    .end = end,
};

static void solve(const void *params, size_t m, const double *sums, double *plain)
{
    (void)params;
    (void)m;
    (void)sums;
    (void)plain;
}

static void map(const struct ldl_kern *k, const void *params, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)k;
    (void)params;
    (void)m;
    (void)plain;
    memcpy(out, run->t[0], run->n * sizeof *out);
}

const struct ldl_combiner ldl_combiner_fusion = {
    .name = "fusion",
    .summary = "the other model where it differs in what matters, else the base",
    .reference = "mergekit",
    .params_bytes = 1,
    .min_models = 1,
    .max_models = 1,
    .needs_base = 1,
    .base_is_input = 1,
    .rounds = &rounds,
    .solve = solve,
    .map = map,
};
