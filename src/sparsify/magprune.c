/* magprune.c -- drop elements at random, small changes rather than large.     arXiv:2406.11617
 *
 *   r      = rank of |t|, 0 the largest; equal magnitudes share their mean rank    (ranks.h)
 *   keep   = 1 - ((1 - reserve_p) - epsilon/2 + r * epsilon/n)                     f64
 *   t      = draw < keep ? t / keep : 0            (rescale: each by its own probability)
 *
 * So the largest element is kept with reserve_p + epsilon/2 and the smallest with about
 * reserve_p - epsilon/2. Random numbers as in dare.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "base/mem.h"
#include "reduce/draw.h"
#include "reduce/ranks.h"

struct magprune {
    double reserve_p, epsilon;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_RESERVE_P(struct magprune),
    LDL_PARAM_DOUBLE(struct magprune, epsilon, 0, 1, 0.14,
                     "how far the keep probability of large and small changes is apart"),
    LDL_PARAM_RESCALE(struct magprune),
};

/* Distinct magnitudes for which there is memory in any tensor (differences of bf16 tensors have some ten
 * thousand). A tensor that has more is hard: what was counted is thrown away, and the round comes again. */
enum { FEW = 1 << 16 };

struct state {
    struct magprune p;
    struct ldl_draw draw;
    struct ldl_ranks ranks; /* .rank[] becomes the keep probability of each cell */
    struct ldl_keep *keep;  /* where most magnitudes are short: what becomes of them */
    atomic_int many;        /* more than FEW distinct magnitudes, in this round */
    int hard;
};

static int check(const void *params_in, struct ldl_err *err)
{
    const struct magprune *p = params_in;
    if (p->reserve_p > p->epsilon / 2 && p->reserve_p < 1 - p->epsilon)
        return 0;
    return ldl_fail(
        err, LDL_EUSAGE,
        "reserve_p %.9g with epsilon %.9g: reserve_p must be above epsilon/2 (%.9g) and "
        "below 1 - epsilon (%.9g)",
        p->reserve_p, p->epsilon, p->epsilon / 2, 1 - p->epsilon);
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->p = *(const struct magprune *)params_in;
    ldl_draw_init(&st->draw, s->seed, s->tensor, s->model);
    ldl_ranks_begin(&st->ranks, s->k, s->n);
    *out = st;
    return 0;
}

static void end(void *state)
{
    struct state *st = state;
    if (!st)
        return;
    ldl_ranks_end(&st->ranks);
    ldl_free(st->keep);
    ldl_free(st);
}

static uint64_t stride(const void *state)
{
    return !((const struct state *)state)->ranks.done;
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    return ldl_ranks_acc_begin(&((struct state *)state)->ranks, acc, err);
}

static void acc_end(void *acc)
{
    ldl_ranks_acc_end(acc);
}

static int is_hard(const void *state)
{
    return ((const struct state *)state)->hard;
}

static int settled(const void *state)
{
    const struct state *st = state;
    return atomic_load_explicit(&st->many, memory_order_relaxed) || ldl_ranks_settled(&st->ranks);
}

static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    struct ldl_ranks_acc *a = acc;
    if (settled(st))
        return 0;
    int rc = ldl_ranks_scan(&st->ranks, a, run->x, run->n, err);
    if (!st->hard && st->ranks.n > FEW &&
        a->tally.used > FEW - LDL_BLOCK) /* the next block may be too much */
        atomic_store_explicit(&st->many, 1, memory_order_relaxed);
    return rc;
}

/* Counts all again, in the memory of a hard tensor. */
static void count_again(struct state *st)
{
    const struct ldl_kern *k = st->ranks.k;
    uint64_t n = st->ranks.n;
    ldl_ranks_end(&st->ranks);
    ldl_ranks_begin(&st->ranks, k, n);
    atomic_store(&st->many, 0);
    st->hard = 1;
}

/* Unless there is a probability that cannot be in the table. */
static int fill_keep(struct state *st, struct ldl_err *err)
{
    struct ldl_keep *keep = ldl_calloc(LDL_SHORTS, sizeof *keep);
    if (!keep)
        return ldl_oom(err);
    if (ldl_keep_fill(keep, &st->ranks.stairs, st->ranks.rank, st->p.rescale)) {
        ldl_free(keep);
        keep = NULL;
    }
    st->keep = keep;
    return 0;
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    struct ldl_ranks *r = &st->ranks;
    int many = atomic_load(&st->many);
    int rc = many ? 0 : ldl_ranks_solve(r, (struct ldl_ranks_acc *const *)acc, naccs, err);
    if (rc)
        return rc;
    if (many || (!st->hard && (r->refining || r->stairs.cells > FEW)))
        count_again(st); /* or few on each thread, and many on all */
    if (!r->done)
        return 0;
    double first = 1 - st->p.reserve_p - st->p.epsilon / 2, step = st->p.epsilon / (double)r->n;
    for (uint32_t c = 0; c < r->stairs.cells; c++)
        r->rank[c] = 1 - (first + r->rank[c] * step);
    return r->mostly_short ? fill_keep(st, err) : 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    uint32_t *draws = ldl_run_draws(run);
    double *p = ldl_run_doubles(run);
    ldl_draw(&st->draw, k, draws, run->first, run->n);
    if (st->keep) {
        struct ldl_keeper by = { st->keep, &st->ranks.stairs, st->ranks.rank, st->p.rescale };
        ldl_keeper_apply(&by, k, run->x, draws, run->n);
        return;
    }
    ldl_stairs_map(&st->ranks.stairs, st->ranks.rank, p, run->x, run->n);
    k->keep_each(run->x, draws, p, st->p.rescale, run->n);
}

/* What FEW magnitudes take is enough for a tensor that is not hard: its short ones are in tables. */
static uint64_t counted(const struct ldl_subject *s)
{
    return s->hard ? s->n : LDL_MIN(s->n, (uint64_t)FEW);
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    uint64_t keep = LDL_MIN(s->n, (uint64_t)LDL_SHORTS) * sizeof(struct ldl_keep);
    (void)params_in;
    return sizeof(struct state) + keep + ldl_ranks_state_bytes(counted(s));
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    (void)params_in;
    return sizeof(struct ldl_ranks_acc) + ldl_ranks_acc_bytes(counted(s));
}

const struct ldl_sparsifier ldl_sparsifier_magprune = {
    .name = "magprune",
    .summary = "drop changes at random, small ones rather than large ones",
    .reference = "arXiv:2406.11617",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct magprune),
    .rounds = "1, or when a tensor has over 2^17 distinct magnitudes 4 to 9",
    .random = 1,
    .check = check,
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct ldl_ranks_acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve,
    .is_hard = is_hard,
    .settled = settled,
    .apply = apply,
    .end = end,
};
