/* rowmap.c -- see rowmap.h.
 *
 * Consecutive rows of one table are read as one run, so that the identity with a few rows behind it
 * costs what a stored tensor costs, and a shuffled table one read for each row.
 *
 *   mean of several   (x_0 + x_1 + ... ) / count, f32, in the order of the list
 *   padding           sum / real, f32; rows are added in groups of GROUP, groups in groups, so that the
 *                     error does not grow with the rows, and the order is fixed */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rowmap.h"

#include <string.h>

enum { RUN = 1024, WINDOW_BYTES = 1 << 16, AHEAD = 4096, GROUP = 256, LEVELS = 4 };

struct mapped {
    const struct ldl_rowmap *map;
    uint64_t columns;
    size_t n;
    struct ldl_view *table; /* ops NULL: not used */
};

struct state {
    void **inner;   /* of each table */
    float *padding; /* one row, or NULL */
};

void ldl_rowmap_free(void *p)
{
    struct ldl_rowmap *map = p;
    if (!map)
        return;
    ldl_free(map->row);
    ldl_free(map->mean);
    ldl_free(map);
}

void ldl_rowmap_view_free(void *p)
{
    struct mapped *d = p;
    if (!d)
        return;
    ldl_free(d->table);
    ldl_free(d);
}

/* ---- reading ---- */

/* Elements [first, first + n) of a table; none from `limit` on will be wanted soon. */
static int read_table(const struct mapped *d, const struct state *st, const struct ldl_kern *k,
                      size_t table, uint64_t first, size_t n, uint64_t limit, float *out,
                      struct ldl_reader *r, struct ldl_err *err)
{
    const void *state = r->state;
    uint64_t outer = r->limit;
    size_t most = LDL_MAX(r->cap / 8, (size_t)1); /* elements of the widest type */
    int status = 0;
    r->state = st->inner[table];
    r->limit = limit;
    while (n && status == 0) {
        size_t part = LDL_MIN(n, most);
        status = ldl_view_read(&d->table[table], k, first, part, out, r, err);
        first += part;
        out += part;
        n -= part;
    }
    r->state = state;
    r->limit = outer;
    return status;
}

static int read_mean(const struct mapped *d, const struct state *st, const struct ldl_kern *k,
                     const uint64_t *list, uint64_t column, size_t n, float *out,
                     struct ldl_reader *r, struct ldl_err *err)
{
    float run[RUN];
    int status = 0;
    while (n && status == 0) {
        size_t part = LDL_MIN(n, (size_t)RUN);
        for (uint64_t i = 0; i < list[0] && status == 0; i++) {
            uint64_t at = LDL_ROW_NUMBER_OF(list[1 + i]) * d->columns + column;
            status = read_table(d, st, k, LDL_ROW_TABLE(list[1 + i]), at, part, at + part,
                                i ? run : out, r, err);
            if (i && status == 0)
                k->add(out, run, part);
        }
        if (status == 0)
            k->over(out, (float)list[0], part);
        column += part;
        out += part;
        n -= part;
    }
    return status;
}

/* Rows that follow `row` in its table as they do here, up to element `end`. */
static uint64_t run_of(const struct mapped *d, uint64_t row, uint64_t end)
{
    const struct ldl_rowmap *map = d->map;
    uint64_t n = 1;
    if (LDL_ROW_TABLE(map->row[row]) >= d->n)
        return 1;
    while (row + n < map->rows && (row + n) * d->columns < end &&
           map->row[row + n] == map->row[row] + n)
        n++;
    return n;
}

static int read_state(const struct mapped *d, const struct state *st, const struct ldl_kern *k,
                      uint64_t first, size_t n, float *out, struct ldl_reader *r,
                      struct ldl_err *err)
{
    const struct ldl_rowmap *map = d->map;
    uint64_t end = LDL_MAX(r->limit, first + n);
    int status = 0;
    while (n && status == 0) {
        uint64_t row = first / d->columns, column = first % d->columns, word = map->row[row];
        uint64_t rows = run_of(d, row, end), from = LDL_ROW_NUMBER_OF(word);
        size_t part = (size_t)LDL_MIN((uint64_t)n, rows * d->columns - column);
        if (LDL_ROW_TABLE(word) == LDL_ROW_IN_ZEROS)
            k->zero(out, part);
        else if (LDL_ROW_TABLE(word) == LDL_ROW_IN_PADDING)
            memcpy(out, st->padding + column, part * sizeof *out);
        else if (LDL_ROW_TABLE(word) == LDL_ROW_IN_MEAN)
            status = read_mean(d, st, k, map->mean + from, column, part, out, r, err);
        else
            status = read_table(d, st, k, LDL_ROW_TABLE(word), from * d->columns + column, part,
                                (from + rows) * d->columns, out, r, err);
        first += part;
        out += part;
        n -= part;
    }
    return status;
}

static int read(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                float *out, struct ldl_reader *r, struct ldl_err *err)
{
    return read_state(v->made_of, r->state, k, first, n, out, r, err);
}

/* ---- facts about the whole table ---- */

/* Adds level l to level l + 1 and empties it. */
static void carry(const struct ldl_kern *k, float *sum, size_t columns, int l)
{
    k->add(sum + (size_t)(l + 1) * columns, sum + (size_t)l * columns, columns);
    k->zero(sum + (size_t)l * columns, columns);
}

static int sum_rows(const struct mapped *d, const struct state *st, const struct ldl_kern *k,
                    float *sum, struct ldl_reader *r, struct ldl_err *err)
{
    float run[RUN];
    size_t columns = (size_t)d->columns;
    int status = 0;
    uint64_t ahead = LDL_MAX(AHEAD / d->columns, (uint64_t)1);
    for (uint64_t row = 0; row < d->map->real && status == 0; row++) {
        if (row % ahead == 0) /* a search for runs goes as far as the limit */
            r->limit = LDL_MIN(row + ahead, d->map->real) * d->columns;
        for (size_t at = 0; at < columns && status == 0; at += RUN) {
            size_t n = LDL_MIN((size_t)RUN, columns - at);
            status = read_state(d, st, k, row * columns + at, n, run, r, err);
            if (status == 0)
                k->add(sum + at, run, n);
        }
        uint64_t done = row + 1;
        for (int l = 0; l + 1 < LEVELS && done % GROUP == 0; l++, done /= GROUP)
            carry(k, sum, columns, l);
    }
    for (int l = 0; l + 1 < LEVELS; l++)
        carry(k, sum, columns, l);
    return status;
}

static int load_padding(const struct mapped *d, struct state *st, const struct ldl_kern *k,
                        struct ldl_err *err)
{
    size_t columns = (size_t)d->columns;
    struct ldl_reader aux = { .buf = ldl_alloc_aligned(WINDOW_BYTES), .cap = WINDOW_BYTES };
    struct ldl_reader r = { .buf = ldl_alloc_aligned(WINDOW_BYTES),
                            .cap = WINDOW_BYTES,
                            .aux = &aux };
    float *sum = ldl_calloc(LEVELS * columns, sizeof *sum);
    st->padding = ldl_alloc(columns * sizeof *st->padding);
    int status =
        r.buf && aux.buf && sum && st->padding ? sum_rows(d, st, k, sum, &r, err) : ldl_oom(err);
    if (status == 0) {
        memcpy(st->padding, sum + (LEVELS - 1) * columns, columns * sizeof *sum);
        k->over(st->padding, (float)d->map->real, columns);
    }
    ldl_free(sum);
    ldl_free(r.buf);
    ldl_free(aux.buf);
    return status;
}

static uint64_t state_bytes(const struct ldl_view *v)
{
    const struct mapped *d = v->made_of;
    uint64_t bytes = sizeof(struct state) + d->n * sizeof(void *);
    for (size_t i = 0; i < d->n; i++)
        if (d->table[i].ops)
            bytes += ldl_view_state_bytes(&d->table[i]);
    if (d->map->rows > d->map->real)
        bytes += (LEVELS + 1) * d->columns * sizeof(float) + 2 * WINDOW_BYTES;
    return bytes;
}

static void end(const struct ldl_view *v, void *state)
{
    const struct mapped *d = v->made_of;
    struct state *st = state;
    if (!st)
        return;
    for (size_t i = 0; st->inner && i < d->n; i++)
        if (d->table[i].ops)
            ldl_view_end(&d->table[i], st->inner[i]);
    ldl_free(st->inner);
    ldl_free(st->padding);
    ldl_free(st);
}

static int begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                 struct ldl_err *err)
{
    const struct mapped *d = v->made_of;
    struct state *st = ldl_calloc(1, sizeof *st);
    *state = NULL;
    if (!st)
        return ldl_oom(err);
    int status = (st->inner = ldl_calloc(d->n, sizeof *st->inner)) ? 0 : ldl_oom(err);
    for (size_t i = 0; i < d->n && status == 0; i++)
        if (d->table[i].ops)
            status = ldl_view_begin(&d->table[i], k, &st->inner[i], err);
    if (status == 0 && d->map->rows > d->map->real)
        status = load_padding(d, st, k, err);
    if (status)
        end(v, st);
    else
        *state = st;
    return status;
}

static const struct ldl_view_ops ops = {
    .name = "row map",
    .read = read,
    .state_bytes = state_bytes,
    .begin = begin,
    .end = end,
    .wants_aux = 1, /* for whatever is inside */
};

/* ---- making one ---- */

/* Takes the table that the word names over into d, when it fits. */
static int use(struct mapped *d, const struct ldl_view *v, const struct ldl_view *table,
               uint64_t word, struct ldl_err *err)
{
    char shape[2][200];
    size_t i = LDL_ROW_TABLE(word);
    if (i >= d->n)
        return 0;
    const struct ldl_view *t = &table[i];
    if (!t->ops)
        return ldl_fail(err, LDL_EINPUT,
                        "tensor '%.200s': a row of another model is wanted, which lacks the tensor",
                        v->name);
    if (t->ndim != v->ndim || t->n == 0 || t->n / t->dim[0] != d->columns ||
        !ldl_dtype_is_float(t->dtype) || LDL_ROW_NUMBER_OF(word) >= t->dim[0])
        return ldl_fail(err, LDL_EINPUT,
                        "tensor '%.200s' %s: row %llu of another model's %s cannot stand in it",
                        v->name, ldl_shape_text(shape[0], v->dim, v->ndim),
                        (unsigned long long)LDL_ROW_NUMBER_OF(word),
                        ldl_shape_text(shape[1], t->dim, t->ndim));
    d->table[i] = *t;
    return 0;
}

static int use_all(struct mapped *d, const struct ldl_view *v, const struct ldl_view *table,
                   struct ldl_err *err)
{
    const struct ldl_rowmap *map = d->map;
    int status = 0;
    for (uint64_t r = 0; r < map->rows && status == 0; r++) {
        uint64_t word = map->row[r];
        if (LDL_ROW_TABLE(word) != LDL_ROW_IN_MEAN) {
            status = use(d, v, table, word, err);
            continue;
        }
        const uint64_t *list = map->mean + LDL_ROW_NUMBER_OF(word);
        for (uint64_t i = 0; i < list[0] && status == 0; i++)
            status = use(d, v, table, list[1 + i], err);
    }
    return status;
}

int ldl_rowmap_view(struct ldl_view *v, const struct ldl_rowmap *map, const struct ldl_view *table,
                    size_t n, void **made, struct ldl_err *err)
{
    uint64_t elems;
    *made = NULL;
    if (v->n == 0 || v->ndim < 1 || !ldl_dtype_is_float(v->dtype))
        return ldl_fail(err, LDL_EINPUT, "tensor '%.200s': it has no rows of numbers", v->name);
    if (ldl_mul(map->rows, v->n / v->dim[0], &elems) || elems > INT64_MAX / 8)
        return ldl_fail(err, LDL_EINPUT, "tensor '%.200s': too large", v->name);
    struct mapped *d = ldl_calloc(1, sizeof *d);
    if (!d)
        return ldl_oom(err);
    *d = (struct mapped){ .map = map, .columns = v->n / v->dim[0], .n = n };
    int status = (d->table = ldl_calloc(n, sizeof *d->table)) ? 0 : ldl_oom(err);
    if (status == 0)
        status = use_all(d, v, table, err);
    if (status) {
        ldl_rowmap_view_free(d);
        return status;
    }
    v->ops = &ops;
    v->made_of = d;
    v->raw = 0;
    v->dim[0] = map->rows;
    v->n = elems;
    *made = d;
    return 0;
}
