/* rowprune.c -- drop elements of each row at random, small changes rather.     arXiv:2406.11617 (DELLA)
 *
 *   r = 0 .. c-1   rank of |t| in its row of c elements, ascending; equals share their mean rank
 *   p = density - epsilon + 2 * epsilon * r / (c - 1)         f64; density when c is 1
 *   t = draw < p ? t * factor : 0              draws as in dare.c: see draw.h
 *   factor = |t|_1 / |t that stayed|_1         rescale; see l1.h
 *
 * That is mergekit's form; magprune.c is Paddle's, which ranks the whole tensor. density >= 1 leaves
 * the tensor as it is; 0 gives zeros. A NaN is larger than infinity, and all NaN are equal. Rows of
 * more than 2^18 elements are ranked in equal parts: see rows.h.
 *
 * The scan decides: it leaves one bit for each element, and the sums for the factor. Bits are there for one
 * stretch of the tensor at a time; those of a later stretch are had by ranking its rows once more. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"
#include "kern/row.h"
#include "reduce/draw.h"
#include "reduce/l1.h"
#include "reduce/rows.h"

#include <string.h>

struct rowprune {
    double density, epsilon;
    int rescale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DENSITY(struct rowprune),
    LDL_PARAM_DOUBLE(struct rowprune, epsilon, 0, 1, 0.15,
                     "how far the keep probability may be from density, up and down"),
    LDL_PARAM_RESCALE(struct rowprune),
};

struct state {
    const struct ldl_kern *k;
    struct rowprune p;
    struct ldl_draw draw;
    enum { SCANNING, DECIDED, UNTOUCHED, ZEROS } step;
    float factor;
    uint64_t n, at, stretch; /* the stretch begins at element `at` */
    uint32_t *bits; /* of the stretch, and of a block before and after it: see set_bits() */
    struct ldl_rows rows;
    struct ldl_l1 l1;
    int measure;   /* the sums are wanted, and not known yet */
    double *split; /* what stays of the row that ends in this block and began before it */
};

struct acc {
    struct ldl_row_room room;
    uint32_t *last; /* of a row: the largest draws with which elements stay */
    struct ldl_draws draws;
    uint32_t bits[LDL_BLOCK / 32];
};

static int check(const void *params_in, struct ldl_err *err)
{
    const struct rowprune *p = params_in;
    double low = p->density - p->epsilon, high = p->density + p->epsilon;
    if (p->density <= 0 || p->density >= 1 || (low > 0 && high < 1))
        return 0;
    return ldl_fail(
        err, LDL_EUSAGE,
        "density %.9g with epsilon %.9g: epsilon must be so small that density - epsilon "
        "(%.9g) and density + epsilon (%.9g) are between 0 and 1",
        p->density, p->epsilon, low, high);
}

static void end(void *state)
{
    struct state *st = state;
    if (st) {
        ldl_rows_end(&st->rows);
        ldl_l1_end(&st->l1);
        ldl_free(st->split);
        ldl_free(st->bits);
    }
    ldl_free(st);
}

static uint64_t bits_bytes(uint64_t stretch)
{
    return (stretch + 2 * LDL_BLOCK + 31) / 32 * sizeof(uint32_t);
}

static int begin_scan(struct state *st, const struct ldl_subject *s, struct ldl_err *err)
{
    if (s->cols == 0)
        return ldl_fail(err, LDL_EIO, "rowprune: the rows of tensor %s are not known", s->tensor);
    st->n = s->n;
    st->stretch = s->stretch;
    st->measure = st->p.rescale;
    st->bits = ldl_calloc(1, bits_bytes(s->stretch));
    if (!st->bits)
        return ldl_oom(err);
    int rc = ldl_rows_begin(&st->rows, s->n, s->cols, LDL_BLOCK, 0, st->measure ? s->n : s->stretch,
                            err);
    if (rc || !st->measure)
        return rc;
    st->split = ldl_calloc((s->n + LDL_BLOCK - 1) / LDL_BLOCK, sizeof *st->split);
    return st->split ? ldl_l1_begin(&st->l1, s->n, LDL_BLOCK, err) : ldl_oom(err);
}

static int is_scanned(const struct rowprune *p)
{
    return p->density > 0 && p->density < 1;
}

static int begin(void **out, const struct ldl_subject *s, const void *params_in,
                 struct ldl_err *err)
{
    struct state *st = ldl_calloc(1, sizeof *st);
    if (!st)
        return ldl_oom(err);
    st->k = s->k;
    st->p = *(const struct rowprune *)params_in;
    st->factor = 1.0f;
    st->step = is_scanned(&st->p) ? SCANNING : st->p.density >= 1 ? UNTOUCHED : ZEROS;
    ldl_draw_init(&st->draw, s->seed, s->tensor, s->model);
    int rc = st->step == SCANNING ? begin_scan(st, s, err) : 0;
    if (rc)
        end(st);
    else
        *out = st;
    return rc;
}

static uint64_t stride(const void *state)
{
    return ((const struct state *)state)->step == SCANNING;
}

static void span(const void *state, uint64_t *first, uint64_t *end)
{
    ldl_rows_span(&((const struct state *)state)->rows, first, end);
}

static int advance(void *state, uint64_t first, struct ldl_err *err)
{
    struct state *st = state;
    if (st->step != DECIDED)
        return 0;
    st->step = SCANNING;
    st->at = first;
    memset(st->bits, 0, bits_bytes(st->stretch));
    return ldl_rows_begin(&st->rows, st->n, st->rows.cols, LDL_BLOCK, first,
                          LDL_MIN(first + st->stretch, st->n), err);
}

static void acc_end(void *acc)
{
    struct acc *a = acc;
    ldl_row_room_free(&a->room);
    ldl_free(a->last);
}

static int acc_begin(void *state, void *acc, struct ldl_err *err)
{
    struct state *st = state;
    struct acc *a = acc;
    size_t n = (size_t)ldl_rows_longest(st->rows.cols);
    ldl_rows_join(&st->rows);
    a->last = ldl_alloc(n * sizeof *a->last);
    return a->last && ldl_row_room_make(&a->room, n) == 0 ? 0 : ldl_oom(err);
}

struct context {
    struct state *st;
    struct acc *acc;
};

/* Where the bit of an element is: behind those of a block before the stretch, so that n <= LDL_BLOCK elements
 * of which some are in the stretch have bits for all. */
static uint64_t bit_of(const struct state *st, uint64_t element)
{
    return element + LDL_BLOCK - st->at;
}

static void decide_row(void *context, const struct ldl_row *row)
{
    struct state *st = ((struct context *)context)->st;
    struct acc *a = ((struct context *)context)->acc;
    double p = st->p.density, step = 0, sum = 0;
    if (row->n > 1) {
        p -= st->p.epsilon;
        step = st->p.epsilon / (double)(row->n - 1); /* of half a rank */
    }
    ldl_row_last(st->k, &a->room, a->last, row->x, row->n, p, step);
    for (size_t at = 0; at < row->n; at += LDL_BLOCK) {
        size_t n = LDL_MIN(row->n - at, (size_t)LDL_BLOCK);
        uint64_t first = row->first + at;
        int is_here = first + n > st->at && first < st->at + st->stretch;
        if (!is_here && !st->measure)
            continue;
        const uint32_t *draw = ldl_draws_of(&a->draws, &st->draw, st->k, first, n);
        sum += st->k->stay(a->bits, row->x + at, draw, a->last + at, n);
        if (is_here)
            ldl_bits_set(st->bits, bit_of(st, first), a->bits, n);
    }
    if (!st->measure)
        return;
    uint64_t block = (row->first + row->n - 1) / LDL_BLOCK;
    if (row->split)
        st->split[block] = sum;
    else
        st->l1.kept[block] += sum;
}

static int scan(void *state, void *acc, const struct ldl_run *run, struct ldl_err *err)
{
    struct state *st = state;
    struct context c = { st, acc };
    if (st->measure)
        ldl_l1_before(&st->l1, st->k, run->first, run->x, run->n);
    return ldl_rows_put(&st->rows, run->first, run->x, run->n, decide_row, &c, err);
}

static int solve(void *state, void *const *acc, size_t naccs, struct ldl_err *err)
{
    struct state *st = state;
    (void)acc;
    (void)naccs;
    (void)err;
    if (ldl_rows_more(&st->rows))
        return 0;
    st->step = DECIDED;
    ldl_rows_end(&st->rows);
    if (!st->measure)
        return 0;
    st->measure = 0;
    for (uint64_t b = 0; b < st->l1.blocks; b++)
        st->l1.kept[b] += st->split[b];
    st->factor = ldl_l1_factor(&st->l1);
    ldl_l1_end(&st->l1);
    ldl_free(st->split);
    st->split = NULL;
    return 0;
}

static void apply(const struct ldl_kern *k, const void *state, const struct ldl_run *run)
{
    const struct state *st = state;
    if (st->step == DECIDED)
        k->keep_bits(run->x, st->bits + bit_of(st, run->first) / 32, st->factor, run->n);
    else if (st->step == ZEROS)
        k->zero(run->x, run->n);
}

static uint64_t sums_bytes(const struct rowprune *p, uint64_t n)
{
    return p->rescale ? ldl_l1_state_bytes(n, LDL_BLOCK) + (n / LDL_BLOCK + 1) * sizeof(double) : 0;
}

static uint64_t state_bytes(const void *params_in, const struct ldl_subject *s)
{
    const struct rowprune *p = params_in;
    return sizeof(struct state) +
           (is_scanned(p) ? bits_bytes(s->stretch) +
                                ldl_rows_state_bytes(s->n, s->cols, LDL_BLOCK) + sums_bytes(p, s->n)
                          : 0);
}

static uint64_t acc_bytes(const void *params_in, const struct ldl_subject *s)
{
    uint64_t longest = ldl_rows_longest(s->cols);
    return is_scanned(params_in) ? sizeof(struct acc) + ldl_row_room_bytes(longest) +
                                       longest * sizeof(uint32_t) + ldl_rows_thread_bytes(s->cols)
                                 : 0;
}

const struct ldl_sparsifier ldl_sparsifier_rowprune = {
    .name = "rowprune",
    .summary = "drop changes of each row at random, small ones rather than large ones",
    .reference = "arXiv:2406.11617",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct rowprune),
    .rounds = "1, or 2 where a bit for each element does not fit",
    .random = 1,
    .check = check,
    .state_bytes = state_bytes,
    .acc_bytes = acc_bytes,
    .begin = begin,
    .stride = stride,
    .acc = { sizeof(struct acc), acc_begin, acc_end },
    .scan = scan,
    .solve = solve,
    .advance = advance,
    .span = span,
    .apply = apply,
    .end = end,
};
