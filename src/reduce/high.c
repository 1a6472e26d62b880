/* high.c -- see high.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/high.h"

/* Bytes of what is held: the bracket of a big tensor has some 1/32 of it. */
#define HELD_BYTES ((uint64_t)24 << 20)

static uint64_t held_most(uint64_t n, size_t m)
{
    return LDL_MIN(n / 16, HELD_BYTES / ((m + 1) * sizeof(float)));
}

int ldl_high_begin(struct ldl_high *h, const struct ldl_kern *k, uint64_t n, uint64_t block,
                   size_t m, struct ldl_err *err)
{
    *h = (struct ldl_high){ .k = k, .block_elems = block, .m = m, .step = LDL_HIGH_LOST };
    if (n <= LDL_KTH_HOLD)
        return 0;
    h->step = LDL_HIGH_BEFORE;
    h->blocks = (n + block - 1) / block;
    h->cap = held_most(n, m);
    h->sum = ldl_calloc(h->blocks, 2 * m * sizeof *h->sum);
    h->mixed = ldl_calloc(m, sizeof *h->mixed);
    h->held = ldl_alloc(h->cap * (m + 1) * sizeof *h->held);
    h->held_of = ldl_calloc(h->blocks, sizeof *h->held_of);
    if (h->sum && h->mixed && h->held && h->held_of)
        return 0;
    ldl_high_end(h);
    return ldl_oom(err);
}

void ldl_high_end(struct ldl_high *h)
{
    ldl_free(h->sum);
    ldl_free(h->mixed);
    ldl_free(h->held);
    ldl_free(h->held_of);
    h->sum = h->mixed = NULL;
    h->held = NULL;
    h->held_of = NULL;
}

static void lose(struct ldl_high *h)
{
    ldl_high_end(h);
    h->step = LDL_HIGH_LOST;
}

void ldl_high_scan(struct ldl_high *h, uint64_t first, const float *v, float *const *x,
                   uint32_t *index, size_t n)
{
    if (h->step != LDL_HIGH_LOOKING)
        return;
    uint64_t block = first / h->block_elems;
    double *sum = h->sum + block * 2 * h->m;
    for (size_t i = 0; i < h->m; i++)
        h->k->squares_high(&sum[i], &sum[h->m + i], x[i], v, h->sure, h->at, n);
    size_t count = h->k->between(index, v, h->from, h->at, h->to, n);
    uint64_t at = __atomic_fetch_add(&h->nheld, count, __ATOMIC_RELAXED);
    if (at + count > h->cap)
        return;
    h->held_of[block] = (struct ldl_high_held){ at, (uint32_t)count };
    float *to = h->held + at * (h->m + 1);
    h->k->gather(to, index, v, count);
    for (size_t i = 0; i < h->m; i++)
        h->k->gather(to + (i + 1) * count, index, x[i], count);
}

void ldl_high_put(struct ldl_high *h, float *const *x, size_t n)
{
    for (size_t i = 0; i < h->m; i++)
        h->mixed[i] = h->k->sum_squares(x[i], n);
}

/* Adds a block's sums, given the smallest magnitude that is high in it. */
static void add_block(const struct ldl_high *h, uint64_t block, uint32_t least, double *sums)
{
    const double *sum = h->sum + block * 2 * h->m;
    const struct ldl_high_held *of = &h->held_of[block];
    const float *held = h->held + of->at * (h->m + 1);
    for (size_t i = 0; i < h->m; i++) {
        double high = 0, none;
        if (of->count)
            h->k->squares_high(&high, &none, held + (i + 1) * of->count, held, least,
                               LDL_MAG_LAST + 1u, of->count);
        sums[i] += sum[i] + (h->at >= least ? sum[h->m + i] : 0) + high;
    }
}

static void add_up(struct ldl_high *h, const struct ldl_cut *c, double *sums)
{
    for (size_t i = 0; i < h->m; i++)
        sums[i] = 0;
    for (uint64_t b = 0; b < h->blocks; b++) {
        if (h->step == LDL_HIGH_MIXED && b == c->block)
            for (size_t i = 0; i < h->m; i++)
                sums[i] += h->mixed[i];
        else
            add_block(h, b, ldl_cut_high(c, b < c->block), sums);
    }
    ldl_high_end(h);
    h->step = LDL_HIGH_KNOWN;
}

/* Magnitudes below `sure` that are neither `at` nor held are low. */
static void look(struct ldl_high *h, const struct ldl_cut *c)
{
    const struct ldl_bracket *b = ldl_cut_bracket(c);
    if (!b)
        return;
    h->from = b->from;
    h->at = b->at;
    h->to = b->to;
    h->sure = b->to == b->at ? b->at + 1 : b->to;
    h->step = LDL_HIGH_LOOKING;
}

static int is_inside(const struct ldl_high *h, const struct ldl_cut *c)
{
    int is_one = c->from == h->at || (c->from > h->from && c->from < h->to);
    return c->step == LDL_CUT_DONE && c->from < c->to && is_one && h->nheld <= h->cap;
}

void ldl_high_next(struct ldl_high *h, const struct ldl_cut *c, double *sums)
{
    if (h->step == LDL_HIGH_BEFORE)
        look(h, c);
    else if (h->step == LDL_HIGH_LOOKING && !is_inside(h, c))
        lose(h);
    else if (h->step == LDL_HIGH_LOOKING && c->rest)
        h->step = LDL_HIGH_MIXED;
    else if (h->step == LDL_HIGH_LOOKING || h->step == LDL_HIGH_MIXED)
        add_up(h, c, sums);
}

uint64_t ldl_high_state_bytes(uint64_t n, uint64_t block, size_t m)
{
    uint64_t each = 2 * m * sizeof(double) + sizeof(struct ldl_high_held);
    if (n <= LDL_KTH_HOLD)
        return 0;
    return (n / block + 1) * each + held_most(n, m) * (m + 1) * sizeof(float) + m * sizeof(double);
}
