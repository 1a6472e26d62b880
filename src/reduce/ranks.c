/* ranks.c -- see ranks.h.
 *
 * Invariants of the staircase: (1) edges ascend, and no element is below edge[0], so each has a cell;
 * (2) a finished cell is one magnitude, or holds at most n >> HEAVY_SHIFT elements; (3) at most
 * MOST_CELLS cells: light neighbours are joined while they stay light, and splitting stops at the
 * limit, to go on in the next round. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/ranks.h"
#include "base/mem.h"

#include <string.h>

enum { HEAVY_SHIFT = 19, MOST_CELLS = 1 << 21 };

/* Are short magnitudes counted in tables? For fewer elements clearing the tables and reading them costs more; for
 * more a count may overflow. */
static int in_tables(uint64_t n)
{
    return n >= LDL_SHORTS && n <= UINT32_MAX;
}

void ldl_ranks_begin(struct ldl_ranks *r, uint64_t n)
{
    *r = (struct ldl_ranks){ .n = n };
    atomic_init(&r->crowded, 0);
}

void ldl_ranks_end(struct ldl_ranks *r)
{
    ldl_free(r->stairs.edge);
    ldl_free(r->stairs.start);
    ldl_free(r->rank);
    r->stairs = (struct ldl_stairs){ 0 };
    r->rank = NULL;
}

int ldl_ranks_acc_begin(const struct ldl_ranks *r, struct ldl_ranks_acc *a, struct ldl_err *err)
{
    *a = (struct ldl_ranks_acc){ 0 };
    if (!r->refining)
        return in_tables(r->n) && ldl_tally_shorts(&a->tally) ? ldl_oom(err) : 0;
    a->count = ldl_calloc(r->stairs.cells, sizeof *a->count);
    return a->count ? 0 : ldl_oom(err);
}

void ldl_ranks_acc_end(struct ldl_ranks_acc *a)
{
    ldl_tally_free(&a->tally);
    ldl_free(a->count);
    a->count = NULL;
}

int ldl_ranks_scan(struct ldl_ranks *r, struct ldl_ranks_acc *a, const float *x, size_t n,
                   struct ldl_err *err)
{
    if (r->refining) {
        ldl_stairs_count(&r->stairs, a->count, x, n);
        return 0;
    }
    if (atomic_load_explicit(&r->crowded, memory_order_relaxed))
        return 0; /* the round's outcome is settled */
    if (ldl_tally_add(&a->tally, x, n))
        return ldl_oom(err);
    if (a->tally.full)
        atomic_store_explicit(&r->crowded, 1, memory_order_relaxed);
    return 0;
}

/* Takes over edge and count (one for each cell) as the final table. */
static int finish(struct ldl_ranks *r, uint32_t *edge, const uint64_t *count, uint32_t cells,
                  struct ldl_err *err)
{
    uint64_t above = 0; /* elements with a larger magnitude */
    double *rank = ldl_alloc(cells * sizeof *rank);
    uint32_t *start = r->stairs.start;
    if (!start)
        start = ldl_alloc((LDL_STAIR_TOPS + 1) * sizeof *start);
    if (!rank || !start) {
        ldl_free(rank);
        if (start != r->stairs.start)
            ldl_free(start);
        return ldl_oom(err);
    }
    for (uint32_t c = cells; c-- > 0;) {
        rank[c] = (double)above + (count[c] ? (double)(count[c] - 1) / 2 : 0);
        above += count[c];
    }
    if (r->stairs.edge != edge)
        ldl_free(r->stairs.edge);
    r->stairs = (struct ldl_stairs){ edge, cells, start };
    ldl_stairs_index(&r->stairs);
    r->rank = rank;
    r->done = 1;
    return 0;
}

/* ---- round 1: distinct magnitudes ---- */

struct pairs {
    uint32_t *key;
    uint64_t *count;
    size_t n;
};

static void gather(struct pairs *to, struct ldl_ranks_acc *const *acc, size_t naccs)
{
    to->n = 0;
    for (size_t i = 0; i < naccs; i++)
        to->n += ldl_tally_pairs(&acc[i]->tally, to->key + to->n, to->count + to->n);
}

static size_t join_equal(struct pairs *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (n && p->key[n - 1] == p->key[i]) {
            p->count[n - 1] += p->count[i];
        } else {
            p->key[n] = p->key[i];
            p->count[n++] = p->count[i];
        }
    }
    return n;
}

static uint64_t short_elems(const struct pairs *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->key[i] % (1u << LDL_SHORT_SHIFT) == 0 ? p->count[i] : 0;
    return n;
}

static int start_refining(struct ldl_ranks *r, struct ldl_err *err)
{
    r->refining = 1;
    r->stairs.cells = LDL_STAIR_TOPS;
    r->stairs.edge = ldl_alloc(LDL_STAIR_TOPS * sizeof *r->stairs.edge);
    r->stairs.start = ldl_alloc((LDL_STAIR_TOPS + 1) * sizeof *r->stairs.start);
    if (!r->stairs.edge || !r->stairs.start)
        return ldl_oom(err);
    for (uint32_t c = 0; c < LDL_STAIR_TOPS; c++)
        r->stairs.edge[c] = c << LDL_STAIR_SHIFT;
    ldl_stairs_index(&r->stairs);
    return 0;
}

static int solve_tally(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t naccs,
                       struct ldl_err *err)
{
    struct pairs p = { 0 }, tmp = { 0 };
    size_t total = 0;
    int rc = 0;
    if (atomic_load(&r->crowded))
        return start_refining(r, err);
    for (size_t i = 1; i < naccs; i++)
        ldl_tally_join_shorts(&acc[0]->tally, &acc[i]->tally);
    for (size_t i = 0; i < naccs; i++)
        total += ldl_tally_distinct(&acc[i]->tally);
    p.key = ldl_alloc(total * sizeof *p.key);
    p.count = ldl_alloc(total * sizeof *p.count);
    tmp.key = ldl_alloc(total * sizeof *tmp.key);
    tmp.count = ldl_alloc(total * sizeof *tmp.count);
    if (!p.key || !p.count || !tmp.key || !tmp.count) {
        rc = ldl_oom(err);
        goto out;
    }
    gather(&p, acc, naccs);
    ldl_radix_pairs(p.key, p.count, tmp.key, tmp.count, p.n);
    p.n = join_equal(&p);
    if (p.n > LDL_TALLY_MOST) {
        rc = start_refining(r, err);
        goto out;
    }
    r->mostly_short = in_tables(r->n) && short_elems(&p) >= r->n - r->n / 8;
    rc = finish(r, p.key, p.count, (uint32_t)p.n, err);
    if (rc == 0)
        p.key = NULL;
out:
    ldl_free(p.key);
    ldl_free(p.count);
    ldl_free(tmp.key);
    ldl_free(tmp.count);
    return rc;
}

/* ---- later rounds: the staircase ---- */

struct builder {
    uint32_t *edge;
    uint64_t *count;
    uint32_t cells;
    uint64_t heavy; /* most elements that a wide cell may hold */
    int split;      /* a cell was, or must still be, split */
};

static uint64_t cell_end(const struct ldl_stairs *s, uint32_t c)
{
    return c + 1 < s->cells ? s->edge[c + 1] : (uint64_t)1 << 31;
}

static void put(struct builder *b, uint32_t edge, uint64_t count)
{
    b->edge[b->cells] = edge;
    b->count[b->cells++] = count;
}

/* Cuts a heavy cell so that its parts would be light if its elements were spread evenly. */
static void split(struct builder *b, uint32_t from, uint64_t to, uint64_t count, uint32_t room)
{
    uint64_t width = to - from, parts = 2;
    while (parts < 2 * count / b->heavy && parts < width)
        parts *= 2;
    parts = LDL_MIN(parts, (uint64_t)room);
    uint64_t step = parts ? (width + parts - 1) / parts : width;
    b->split = 1;
    for (uint64_t at = from; at < to; at += step)
        put(b, (uint32_t)at, at == from ? count : 0);
}

static void rebuild(struct builder *b, const struct ldl_stairs *s, const uint64_t *count)
{
    int joinable = 0; /* the last cell put is light */
    for (uint32_t c = 0; c < s->cells; c++) {
        uint64_t width = cell_end(s, c) - s->edge[c];
        if (count[c] > b->heavy && width > 1) {
            uint32_t rest = s->cells - c;
            split(b, s->edge[c], cell_end(s, c), count[c], MOST_CELLS - b->cells - rest);
            joinable = 0;
        } else if (joinable && b->count[b->cells - 1] + count[c] <= b->heavy) {
            b->count[b->cells - 1] += count[c];
        } else {
            put(b, s->edge[c], count[c]);
            joinable = count[c] <= b->heavy;
        }
    }
}

static int solve_stairs(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t naccs,
                        struct ldl_err *err)
{
    uint64_t *count = acc[0]->count;
    for (size_t i = 1; i < naccs; i++)
        for (uint32_t c = 0; c < r->stairs.cells; c++)
            count[c] += acc[i]->count[c];
    struct builder b = { .heavy = LDL_MAX(r->n >> HEAVY_SHIFT, 1) };
    b.edge = ldl_alloc(MOST_CELLS * sizeof *b.edge);
    b.count = ldl_alloc(MOST_CELLS * sizeof *b.count);
    int rc = 0;
    if (!b.edge || !b.count) {
        rc = ldl_oom(err);
        goto out;
    }
    rebuild(&b, &r->stairs, count);
    uint32_t *fit = ldl_realloc(b.edge, b.cells, sizeof *b.edge);
    if (fit)
        b.edge = fit;
    if (!b.split) {
        rc = finish(r, b.edge, b.count, b.cells, err);
    } else {
        ldl_free(r->stairs.edge);
        r->stairs.edge = b.edge;
        r->stairs.cells = b.cells;
        ldl_stairs_index(&r->stairs);
    }
    if (rc == 0)
        b.edge = NULL;
out:
    ldl_free(b.edge);
    ldl_free(b.count);
    return rc;
}

int ldl_ranks_solve(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t n,
                    struct ldl_err *err)
{
    return r->refining ? solve_stairs(r, acc, n, err) : solve_tally(r, acc, n, err);
}

uint64_t ldl_ranks_state_bytes(uint64_t n)
{
    /* while the tables are solved: their magnitudes and counts, twice, and ranks */
    uint64_t tables = in_tables(n) ? LDL_SHORTS * (2 * sizeof(uint32_t) + 3 * sizeof(uint64_t)) : 0;
    uint64_t cells = LDL_MIN(n, (uint64_t)MOST_CELLS / 2);
    return cells * (sizeof(uint32_t) + 2 * sizeof(double)) + LDL_STAIR_TOPS * sizeof(uint32_t) +
           tables;
}

uint64_t ldl_ranks_acc_bytes(uint64_t n)
{
    /* a tally that doubles; the staircase's counters, when it comes to that, are not more than
     * three times as much for the tensors that need them */
    uint64_t distinct = LDL_MIN(n, (uint64_t)LDL_TALLY_MOST);
    uint64_t tables = in_tables(n) ? LDL_SHORTS * 2 * sizeof(uint32_t) : 0;
    return 3 * distinct * (sizeof(uint32_t) + sizeof(uint64_t)) + tables;
}
