/* rows.c -- see rows.h.
 *
 * Invariants: (1) a slot is taken by the first part of a row that comes in a round, so a row that has
 * one gets all its parts in this round; (2) a row that found no slot gets none in the same round, so
 * no slot waits for parts that are gone; (3) at the end of a round all slots are free. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/rows.h"
#include "base/mem.h"

#include <string.h>

enum { OPEN, MISSED, SHOWN };

int ldl_rows_begin(struct ldl_rows *r, uint64_t n, uint64_t cols, uint64_t block, uint64_t from,
                   uint64_t to, struct ldl_err *err)
{
    *r = (struct ldl_rows){ .n = n, .cols = cols, .block = block, .from = from, .to = to };
    r->part = ldl_rows_longest(cols);
    r->blocks = (n + block - 1) / block;
    r->slots = 1;
    r->fate = ldl_calloc(r->blocks, 1);
    if (!r->fate)
        return ldl_oom(err);
    if (pthread_mutex_init(&r->lock, NULL)) {
        ldl_rows_end(r);
        return ldl_oom(err);
    }
    r->ready = 1;
    return 0;
}

/* Back to the one slot that is there before threads join. */
static void free_slots(struct ldl_rows *r)
{
    for (size_t s = 0; s < r->slots; s++) {
        ldl_free(r->slot[s].x);
        r->slot[s] = (struct ldl_row_slot){ 0 };
    }
    r->slots = 1;
}

void ldl_rows_end(struct ldl_rows *r)
{
    free_slots(r);
    ldl_free(r->fate);
    r->fate = NULL;
    if (r->ready)
        pthread_mutex_destroy(&r->lock);
    r->ready = 0;
}

uint64_t ldl_rows_longest(uint64_t cols)
{
    uint64_t parts = LDL_MAX((cols + LDL_ROW_MOST - 1) / LDL_ROW_MOST, (uint64_t)1);
    return (cols + parts - 1) / parts;
}

void ldl_rows_join(struct ldl_rows *r)
{
    pthread_mutex_lock(&r->lock);
    r->slots = LDL_MIN(r->slots + LDL_ROW_OF_THREAD, (size_t)LDL_ROW_SLOTS);
    pthread_mutex_unlock(&r->lock);
}

static struct ldl_row row_of(const struct ldl_rows *r, uint64_t element)
{
    uint64_t row = element / r->cols * r->cols, left = LDL_MIN(r->cols, r->n - row);
    uint64_t at = (element - row) / r->part * r->part;
    return (struct ldl_row){ .first = row + at, .n = (size_t)LDL_MIN(r->part, left - at) };
}

void ldl_rows_span(const struct ldl_rows *r, uint64_t *first, uint64_t *end)
{
    struct ldl_row last = row_of(r, r->to - 1);
    *first = row_of(r, r->from).first;
    *end = last.first + last.n;
}

/* With the lock. *out NULL: nothing to do for this row in this round. */
static int find_slot(struct ldl_rows *r, const struct ldl_row *row, unsigned char *fate,
                     struct ldl_row_slot **out, struct ldl_err *err)
{
    struct ldl_row_slot *unused = NULL;
    *out = NULL;
    if (*fate != OPEN)
        return 0;
    for (size_t s = 0; s < r->slots; s++) {
        struct ldl_row_slot *slot = &r->slot[s];
        if (slot->have && slot->first == row->first) {
            *out = slot;
            return 0;
        }
        if (!slot->have && !unused)
            unused = slot;
    }
    if (!unused) {
        *fate = MISSED;
        r->missed = 1;
        return 0;
    }
    if (!unused->x && !(unused->x = ldl_alloc(r->part * sizeof *unused->x)))
        return ldl_oom(err);
    unused->first = row->first;
    *out = unused;
    return 0;
}

/* Brings elements at .. at+n of a row that lies in several blocks. 1: it is complete, and in row->x. */
static int gather(struct ldl_rows *r, struct ldl_row *row, uint64_t at, const float *x, size_t n,
                  struct ldl_row_slot **slot, struct ldl_err *err)
{
    unsigned char *fate = &r->fate[(row->first + row->n - 1) / r->block];
    pthread_mutex_lock(&r->lock);
    int rc = find_slot(r, row, fate, slot, err);
    if (*slot) {
        memcpy((*slot)->x + (at - row->first), x, n * sizeof *x);
        (*slot)->have += n;
        if ((*slot)->have < row->n)
            *slot = NULL;
        else
            *fate = SHOWN;
    }
    pthread_mutex_unlock(&r->lock);
    if (*slot) {
        row->x = (*slot)->x;
        row->split = 1;
    }
    return rc;
}

int ldl_rows_put(struct ldl_rows *r, uint64_t first, float *x, size_t n,
                 void (*show)(void *context, const struct ldl_row *row), void *context,
                 struct ldl_err *err)
{
    uint64_t end = first + n;
    int rc = 0;
    for (uint64_t at = first; rc == 0 && at < end;) {
        struct ldl_row row = row_of(r, at);
        struct ldl_row_slot *slot = NULL;
        uint64_t stop = LDL_MIN(row.first + row.n, end);
        if (row.first + row.n <= r->from || row.first >= r->to)
            row.x = NULL;
        else if (row.first == at && row.first + row.n == stop)
            row.x = r->again ? NULL : x + (at - first);
        else
            rc = gather(r, &row, at, x + (at - first), (size_t)(stop - at), &slot, err);
        if (rc == 0 && row.x)
            show(context, &row);
        if (slot) {
            pthread_mutex_lock(&r->lock);
            slot->have = 0;
            pthread_mutex_unlock(&r->lock);
        }
        at = stop;
    }
    return rc;
}

int ldl_rows_more(struct ldl_rows *r)
{
    int more = r->missed;
    for (uint64_t b = 0; more && b < r->blocks; b++)
        if (r->fate[b] == MISSED)
            r->fate[b] = OPEN;
    r->missed = 0;
    free_slots(r);
    r->again = 1;
    return more;
}

uint64_t ldl_rows_state_bytes(uint64_t n, uint64_t cols, uint64_t block)
{
    return n / block + 1 + ldl_rows_longest(cols) * sizeof(float);
}

uint64_t ldl_rows_thread_bytes(uint64_t cols)
{
    return LDL_ROW_OF_THREAD * ldl_rows_longest(cols) * sizeof(float);
}
