/* ranks.c -- see ranks.h.
 *
 * Invariants of the staircase: (1) edges ascend, and no element is below edge[0], so each has a cell;
 * (2) a finished cell is one magnitude, or holds at most n >> HEAVY_SHIFT elements; (3) at most
 * most_cells() cells: light neighbours are joined while they stay light, and what room that leaves is
 * shared by those that are split. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/ranks.h"
#include "base/mem.h"

#include <string.h>

enum { HEAVY_SHIFT = 19, USUAL_CELLS = 1 << 20 };

/* Are short magnitudes counted in tables? For fewer elements clearing the tables and reading them costs more; for
 * more a count may overflow. */
static int in_tables(uint64_t n)
{
    return n >= LDL_SHORTS && n <= UINT32_MAX;
}

/* No more cells than this are ever counted. Of joined cells there are at most half as many, and of those that must be
 * split at most a quarter, so that there is room. */
static uint64_t most_cells(uint64_t n)
{
    return LDL_MIN(2 * n + LDL_STAIR_TOPS, (uint64_t)2 * USUAL_CELLS);
}

void ldl_ranks_begin(struct ldl_ranks *r, const struct ldl_kern *k, uint64_t n)
{
    *r = (struct ldl_ranks){ .k = k, .n = n };
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
    if (r->n > UINT32_MAX)
        a->over = ldl_calloc(r->stairs.cells, sizeof *a->over);
    return a->count && (a->over || r->n <= UINT32_MAX) ? 0 : ldl_oom(err);
}

void ldl_ranks_acc_end(struct ldl_ranks_acc *a)
{
    ldl_tally_free(&a->tally);
    ldl_free(a->count);
    ldl_free(a->over);
    a->count = a->over = NULL;
}

int ldl_ranks_scan(struct ldl_ranks *r, struct ldl_ranks_acc *a, const float *x, size_t n,
                   struct ldl_err *err)
{
    if (r->refining) {
        ldl_stairs_count(&r->stairs, a->count, a->over, x, n);
        return 0;
    }
    if (atomic_load_explicit(&r->crowded, memory_order_relaxed))
        return 0; /* the round's outcome is settled */
    if (ldl_tally_add(&a->tally, r->k, x, n))
        return ldl_oom(err);
    if (a->tally.full)
        atomic_store_explicit(&r->crowded, 1, memory_order_relaxed);
    return 0;
}

/* From the cells' edges and, in rank[], how many elements each holds. */
static void finish(struct ldl_ranks *r)
{
    double above = 0; /* elements with a larger magnitude: whole numbers, far below 2^53 */
    for (uint32_t c = r->stairs.cells; c-- > 0;) {
        double count = r->rank[c];
        r->rank[c] = above + (count > 0 ? (count - 1) / 2 : 0);
        above += count;
    }
    ldl_stairs_index(&r->stairs);
    r->done = 1;
}

/* ---- round 1: distinct magnitudes ---- */

struct pairs {
    uint32_t *key;
    uint64_t *count;
    size_t n;
};

static void free_pairs(struct pairs *p)
{
    ldl_free(p->key);
    ldl_free(p->count);
    p->key = NULL;
    p->count = NULL;
}

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

static int finish_tally(struct ldl_ranks *r, const struct pairs *p, struct ldl_err *err)
{
    r->stairs.cells = (uint32_t)p->n;
    r->stairs.edge = ldl_alloc(p->n * sizeof *r->stairs.edge);
    r->stairs.start = ldl_alloc((LDL_STAIR_TOPS + 1) * sizeof *r->stairs.start);
    r->rank = ldl_alloc(p->n * sizeof *r->rank);
    if (!r->stairs.edge || !r->stairs.start || !r->rank)
        return ldl_oom(err);
    memcpy(r->stairs.edge, p->key, p->n * sizeof *p->key);
    for (size_t i = 0; i < p->n; i++)
        r->rank[i] = (double)p->count[i];
    finish(r);
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
    free_pairs(&tmp);
    p.n = join_equal(&p);
    if (p.n > LDL_TALLY_MOST) {
        rc = start_refining(r, err);
        goto out;
    }
    r->mostly_short = in_tables(r->n) && short_elems(&p) >= r->n - r->n / 8;
    rc = finish_tally(r, &p, err);
out:
    free_pairs(&p);
    free_pairs(&tmp);
    return rc;
}

/* ---- later rounds: the staircase ---- */

static uint64_t cell_end(const struct ldl_stairs *s, uint32_t c)
{
    return c + 1 < s->cells ? s->edge[c + 1] : (uint64_t)1 << 31;
}

static uint64_t count_of(const struct ldl_ranks_acc *a, uint32_t c)
{
    return a->count[c] + (a->over ? (uint64_t)a->over[c] << 32 : 0);
}

static void set_count(struct ldl_ranks_acc *a, uint32_t c, uint64_t count)
{
    a->count[c] = (uint32_t)count;
    if (a->over)
        a->over[c] = (uint32_t)(count >> 32);
}

static int is_wide(const struct ldl_stairs *s, uint32_t c)
{
    return cell_end(s, c) - s->edge[c] > 1;
}

/* Joins neighbours that are light together; how many of the cells left must be split. */
static uint32_t join_light(struct ldl_stairs *s, struct ldl_ranks_acc *a, uint64_t heavy)
{
    uint32_t n = 0, split = 0;
    for (uint32_t c = 0; c < s->cells; c++) {
        uint64_t here = count_of(a, c), before = n ? count_of(a, n - 1) : heavy;
        if (here + before <= heavy && n) {
            set_count(a, n - 1, here + before);
            continue;
        }
        split += here > heavy && is_wide(s, c);
        s->edge[n] = s->edge[c];
        set_count(a, n++, here);
    }
    s->cells = n;
    return split;
}

static uint32_t multiples(uint32_t from, uint64_t to, int shift)
{
    return (uint32_t)(((to - 1) >> shift) - (from >> shift) + ((from >> shift << shift) == from));
}

static uint32_t cut_evenly(uint32_t *edge, uint32_t from, uint64_t to, uint64_t room)
{
    uint64_t step = (to - from + room - 1) / room;
    uint32_t n = 0;
    for (uint64_t at = from; at < to; at += step)
        edge[n++] = (uint32_t)at;
    return n;
}

/* Magnitudes with zeros below get cells of their own: the difference of two f32 is a multiple of the unit of their
 * last place, and the smaller the multiple, the more elements have it. */
static uint32_t cut_at_zeros(uint32_t *edge, uint32_t from, uint64_t to, uint64_t room)
{
    uint32_t n = 0;
    int shift = 1;
    while (2 * (uint64_t)multiples(from, to, shift) + 1 > room)
        shift++;
    uint64_t step = (uint64_t)1 << shift;
    edge[n++] = from;
    for (uint64_t at = (from + step - 1) >> shift << shift; at < to; at += step) {
        if (at > from)
            edge[n++] = (uint32_t)at;
        if (at + 1 < to)
            edge[n++] = (uint32_t)(at + 1);
    }
    return n;
}

/* Cuts a cell into at most `room` >= 2 of them; how many. */
static uint32_t cut(uint32_t *edge, uint32_t from, uint64_t to, uint64_t room)
{
    if (room < 8 || to - from <= room)
        return cut_evenly(edge, from, to, room);
    return cut_at_zeros(edge, from, to, room);
}

/* Gives back the memory of the cells that were joined. */
static void fit_edges(struct ldl_stairs *s)
{
    uint32_t *edge = ldl_realloc(s->edge, s->cells, sizeof *edge);
    if (edge)
        s->edge = edge;
}

static int cut_heavy(struct ldl_ranks *r, const struct ldl_ranks_acc *a, uint64_t heavy,
                     uint32_t wide, struct ldl_err *err)
{
    struct ldl_stairs *s = &r->stairs;
    uint64_t most = most_cells(r->n), usual = LDL_MAX(USUAL_CELLS, s->cells + USUAL_CELLS / 2);
    uint64_t room = (LDL_MIN(usual, most) - s->cells) / wide + 1;
    uint32_t *edge = ldl_alloc(most * sizeof *edge), n = 0;
    if (!edge)
        return ldl_oom(err);
    for (uint32_t c = 0; c < s->cells; c++) {
        if (count_of(a, c) > heavy && is_wide(s, c))
            n += cut(edge + n, s->edge[c], cell_end(s, c), room);
        else
            edge[n++] = s->edge[c];
    }
    ldl_free(s->edge);
    s->edge = edge;
    s->cells = n;
    ldl_stairs_index(s);
    return 0;
}

static int solve_stairs(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t naccs,
                        struct ldl_err *err)
{
    struct ldl_ranks_acc *all = acc[0];
    uint64_t heavy = LDL_MAX(r->n >> HEAVY_SHIFT, 1);
    for (size_t i = 1; i < naccs; i++)
        for (uint32_t c = 0; c < r->stairs.cells; c++)
            set_count(all, c, count_of(all, c) + count_of(acc[i], c));
    uint32_t wide = join_light(&r->stairs, all, heavy);
    fit_edges(&r->stairs);
    if (wide)
        return cut_heavy(r, all, heavy, wide, err);
    r->rank = ldl_alloc(r->stairs.cells * sizeof *r->rank);
    if (!r->rank)
        return ldl_oom(err);
    for (uint32_t c = 0; c < r->stairs.cells; c++)
        r->rank[c] = (double)count_of(all, c);
    finish(r);
    return 0;
}

int ldl_ranks_solve(struct ldl_ranks *r, struct ldl_ranks_acc *const *acc, size_t n,
                    struct ldl_err *err)
{
    return r->refining ? solve_stairs(r, acc, n, err) : solve_tally(r, acc, n, err);
}

uint64_t ldl_ranks_state_bytes(uint64_t n)
{
    /* while the tables are solved: their magnitudes and counts, twice */
    uint64_t tables = in_tables(n) ? LDL_SHORTS * 2 * (sizeof(uint32_t) + sizeof(uint64_t)) : 0;
    uint64_t distinct = LDL_MIN(n, (uint64_t)LDL_TALLY_MOST);
    uint64_t solved = distinct * (sizeof(uint32_t) + sizeof(double)) + tables;
    /* joined cells, and edges of those that they are cut into, or ranks */
    uint64_t stairs = n > LDL_TALLY_MOST ? most_cells(n) * 3 / 2 * sizeof(uint32_t) : 0;
    return LDL_MAX(solved, stairs) + LDL_STAIR_TOPS * sizeof(uint32_t);
}

uint64_t ldl_ranks_acc_bytes(uint64_t n)
{
    uint64_t distinct = LDL_MIN(n, (uint64_t)LDL_TALLY_MOST);
    uint64_t tables = in_tables(n) ? LDL_SHORTS * 2 * sizeof(uint32_t) : 0;
    /* and what is gathered from it, twice: as much as it takes more while it grows */
    uint64_t tally =
        ldl_tally_bytes(distinct) + 2 * distinct * (sizeof(uint32_t) + sizeof(uint64_t));
    uint64_t per_cell = (n > UINT32_MAX ? 2 : 1) * sizeof(uint32_t);
    uint64_t stairs = n > LDL_TALLY_MOST ? most_cells(n) * per_cell : 0;
    return LDL_MAX(tally + tables, stairs);
}
