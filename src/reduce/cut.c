/* cut.c -- see cut.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/cut.h"

int ldl_cut_begin_open(struct ldl_cut *c, const struct ldl_kern *k, uint64_t n, uint64_t block,
                       enum ldl_cut_ties order, struct ldl_err *err)
{
    *c = (struct ldl_cut){ .k = k, .n = n, .rank = n / 2, .block_elems = block, .order = order };
    c->blocks = (n + block - 1) / block;
    return ldl_kth_begin(&c->kth, k, n, block, n / 2, n / 2, 0, err);
}

/* All are high, or none is: no magnitude is at the cut. */
static void one_side(struct ldl_cut *c)
{
    c->step = LDL_CUT_DONE;
    c->from = c->to = c->rank ? LDL_MAG_LAST + 1u : 0;
}

void ldl_cut_aim(struct ldl_cut *c, uint64_t rank)
{
    uint64_t at = LDL_MIN(rank, c->n - 1);
    c->rank = rank;
    ldl_kth_aim(&c->kth, at, at);
}

int ldl_cut_begin(struct ldl_cut *c, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t rank, enum ldl_cut_ties order, struct ldl_err *err)
{
    if (rank > 0 && rank < n) {
        int rc = ldl_cut_begin_open(c, k, n, block, order, err);
        ldl_cut_aim(c, rank);
        return rc;
    }
    *c = (struct ldl_cut){ .k = k, .n = n, .rank = rank, .block_elems = block, .order = order };
    one_side(c);
    return 0;
}

void ldl_cut_end(struct ldl_cut *c)
{
    ldl_kth_end(&c->kth);
    ldl_free(c->ties);
    c->ties = NULL;
}

uint64_t ldl_cut_stride(const struct ldl_cut *c)
{
    if (c->step == LDL_CUT_FINDING)
        return ldl_kth_stride(&c->kth);
    return c->step == LDL_CUT_COUNTING;
}

int ldl_cut_acc_begin(const struct ldl_cut *c, struct ldl_kth_acc *a, struct ldl_err *err)
{
    *a = (struct ldl_kth_acc){ 0 };
    return c->step == LDL_CUT_FINDING ? ldl_kth_acc_begin(&c->kth, a, err) : 0;
}

void ldl_cut_scan(struct ldl_cut *c, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n)
{
    if (c->step == LDL_CUT_FINDING)
        ldl_kth_scan(&c->kth, a, first, x, n);
    else if (c->step == LDL_CUT_COUNTING)
        c->ties[first / c->block_elems] = (uint32_t)c->k->band_count(x, n, c->from, c->to);
}

/* Number of ties ahead of the place, given how many there are and how many magnitudes are smaller. */
static uint64_t ties_ahead(const struct ldl_cut *c, uint64_t ties, uint64_t below)
{
    uint64_t low = c->rank - below;
    return c->order == LDL_CUT_LOWER_LOW ? low : ties - low;
}

static void finish(struct ldl_cut *c, uint64_t block, uint64_t rest)
{
    c->block = block;
    c->rest = rest;
    c->step = LDL_CUT_DONE;
    ldl_cut_end(c);
}

/* How many ties each block has is known. */
static void place(struct ldl_cut *c, const uint32_t *ties)
{
    uint64_t ahead = ties_ahead(c, c->kth.on_lo, c->kth.below_lo), b = 0;
    while (b < c->blocks && ties[b] <= ahead)
        ahead -= ties[b++];
    finish(c, b, ahead);
}

static int found(struct ldl_cut *c, struct ldl_err *err)
{
    const struct ldl_kth *kth = &c->kth;
    const uint32_t *ties = ldl_kth_on_lo(kth);
    if (c->rank == 0 || c->rank == c->n) {
        one_side(c);
        ldl_cut_end(c);
        return 0;
    }
    uint64_t ahead = ties_ahead(c, kth->on_lo, kth->below_lo);
    c->from = kth->mag_lo;
    c->to = kth->mag_lo == LDL_MAG_NAN ? LDL_MAG_LAST + 1u : kth->mag_lo + 1;
    if (ahead == 0 || ahead == kth->on_lo) {
        finish(c, ahead ? c->blocks : 0, 0);
        return 0;
    }
    if (ties) {
        place(c, ties);
        return 0;
    }
    c->ties = ldl_calloc(c->blocks, sizeof *c->ties);
    if (!c->ties)
        return ldl_oom(err);
    c->step = LDL_CUT_COUNTING;
    return 0;
}

int ldl_cut_solve(struct ldl_cut *c, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err)
{
    if (c->step == LDL_CUT_FINDING) {
        int rc = ldl_kth_solve(&c->kth, acc, n, err);
        return rc || ldl_kth_stride(&c->kth) ? rc : found(c, err);
    }
    if (c->step == LDL_CUT_COUNTING)
        place(c, c->ties);
    return 0;
}

size_t ldl_cut_place(const struct ldl_cut *c, uint64_t first, const float *x, size_t n)
{
    uint64_t block = first / c->block_elems;
    if (block != c->block)
        return block < c->block ? n : 0;
    return c->rest ? c->k->band_find(x, n, c->from, c->to, (size_t)c->rest) : 0;
}

uint32_t ldl_cut_high(const struct ldl_cut *c, int ahead)
{
    int low = ahead == (c->order == LDL_CUT_LOWER_LOW);
    return low ? c->to : c->from;
}

const struct ldl_bracket *ldl_cut_bracket(const struct ldl_cut *c)
{
    int is_open = c->step == LDL_CUT_FINDING && c->kth.step == LDL_KTH_BRACKET;
    return is_open ? &c->kth.bracket : NULL;
}

uint64_t ldl_cut_state_bytes(uint64_t n, uint64_t block)
{
    return ldl_kth_state_bytes(n, block) + (n / block + 1) * sizeof(uint32_t);
}
