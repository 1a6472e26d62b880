/* lora.c -- see lora.h.
 *
 * R, and DoRA's factors, are the view's state: loaded when the tensor's turn comes. The rows of L are
 * read beside the rows of W, through the reader's second window, so memory grows with the columns
 * and the rank and not with the rows. All is f32; per element:
 *
 *     acc = 0;  for k = 0 .. rank-1: acc += L[i][k] * R[k][j];  w += s * acc      each step rounded
 *     DoRA: w *= f,  f = (float)(m / sqrt(sum of w*w)), the sum in f64 over the feature's elements
 *
 * The sum of a row goes over runs of RUN elements counted from the row's begin; that of a column
 * goes down the rows. So the bits depend on the tensor alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lora.h"

#include <math.h>
#include <string.h>

enum { RUN = 4096, WINDOW_BYTES = 1 << 18 };

struct lora {
    struct ldl_view inner;    /* W */
    struct ldl_view left;     /* L, rows of `rank` */
    struct ldl_stored left_t; /* what `left` views when L is stored transposed */
    struct ldl_factor right, magnitude;
    uint64_t rows, columns;
    size_t rank;
    int by_column;
    float scale;
};

struct state {
    void *inner;   /* the inner view's state */
    float *right;  /* R: rank rows of `columns` */
    float *factor; /* one for each output feature; NULL: no DoRA */
};

static uint64_t features(const struct lora *d)
{
    return d->by_column ? d->columns : d->rows;
}

/* ---- reading ---- */

/* Row i of L into l, in pieces that fit the window. */
static int read_left(const struct lora *d, const struct ldl_kern *k, uint64_t row, float *l,
                     struct ldl_reader *aux, struct ldl_err *err)
{
    size_t most = aux->cap / ldl_dtype_unit_bytes(d->left.stored->dtype);
    for (size_t at = 0; at < d->rank;) {
        size_t n = LDL_MIN(d->rank - at, most);
        int status = ldl_view_read(&d->left, k, row * d->rank + at, n, l + at, aux, err);
        if (status)
            return status;
        at += n;
    }
    return 0;
}

/* out += s * (L @ R), of the elements from `first`. */
static int update(const struct lora *d, const struct state *st, const struct ldl_kern *k,
                  uint64_t first, size_t n, float *out, struct ldl_reader *r, struct ldl_err *err)
{
    float l[LDL_LORA_MAX_RANK];
    struct ldl_reader *aux = r->aux;
    if (r->limit) /* rows that will not be asked for are not read either */
        aux->limit = ((r->limit - 1) / d->columns + 1) * d->rank;
    int status = 0;
    while (n && status == 0) {
        uint64_t row = first / d->columns, column = first % d->columns;
        size_t part = (size_t)LDL_MIN((uint64_t)n, d->columns - column);
        if ((status = read_left(d, k, row, l, aux, err)) == 0)
            k->rank_update(out, d->scale, l, st->right + column, (size_t)d->columns, d->rank, part);
        first += part;
        out += part;
        n -= part;
    }
    aux->limit = 0;
    return status;
}

static int read_undone(const struct lora *d, const struct state *st, const struct ldl_kern *k,
                       uint64_t first, size_t n, float *out, struct ldl_reader *r,
                       struct ldl_err *err)
{
    const void *own = r->state;
    r->state = st->inner;
    int status = ldl_view_read(&d->inner, k, first, n, out, r, err);
    r->state = own;
    return status ? status : update(d, st, k, first, n, out, r, err);
}

static void weigh(const struct lora *d, const float *factor, const struct ldl_kern *k,
                  uint64_t first, size_t n, float *out)
{
    while (n) {
        uint64_t row = first / d->columns, column = first % d->columns;
        size_t part = (size_t)LDL_MIN((uint64_t)n, d->columns - column);
        if (d->by_column)
            k->mul(out, factor + column, part);
        else
            k->times(out, factor[row], part);
        first += part;
        out += part;
        n -= part;
    }
}

static int read(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                float *out, struct ldl_reader *r, struct ldl_err *err)
{
    const struct lora *d = v->made_of;
    const struct state *st = r->state;
    int status = read_undone(d, st, k, first, n, out, r, err);
    if (status == 0 && st->factor)
        weigh(d, st->factor, k, first, n, out);
    return status;
}

/* ---- facts about the whole tensor ---- */

/* R, which is stored as [columns, rank]: whole rows at a time, each to its column. */
static int load_transposed(const struct lora *d, const struct ldl_view *stored,
                           const struct ldl_kern *k, float *right, struct ldl_err *err)
{
    size_t rows = LDL_MAX((size_t)RUN / d->rank, (size_t)1), most = rows * d->rank;
    struct ldl_reader r = { .cap = LDL_MAX((size_t)WINDOW_BYTES, most * sizeof(double)) };
    float *run = ldl_alloc(most * sizeof *run);
    int status = (r.buf = ldl_alloc(r.cap)) && run ? 0 : ldl_oom(err);
    for (uint64_t at = 0; at < d->columns && status == 0; at += rows) {
        size_t n = (size_t)LDL_MIN((uint64_t)rows, d->columns - at);
        status = ldl_view_read(stored, k, at * d->rank, n * d->rank, run, &r, err);
        if (status == 0)
            k->transpose(right + at, (size_t)d->columns, run, n, d->rank);
    }
    ldl_free(run);
    ldl_free(r.buf);
    return status;
}

static int load_right(const struct lora *d, const struct ldl_kern *k, struct state *st,
                      struct ldl_err *err)
{
    struct ldl_view stored;
    ldl_view_stored(&stored, d->right.file, d->right.tensor);
    st->right = ldl_alloc((size_t)stored.n * sizeof *st->right);
    if (!st->right)
        return ldl_oom(err);
    return d->right.transposed ? load_transposed(d, &stored, k, st->right, err)
                               : ldl_view_read_all(&stored, k, st->right, err);
}

/* The sums of squares of the features of W + s*L*R: one pass over the tensor. */
static int sum_features(const struct lora *d, const struct state *st, const struct ldl_kern *k,
                        double *sum, struct ldl_err *err)
{
    float run[RUN];
    struct ldl_reader aux = { .buf = ldl_alloc_aligned(WINDOW_BYTES), .cap = WINDOW_BYTES };
    struct ldl_reader r = { .buf = ldl_alloc_aligned(WINDOW_BYTES),
                            .cap = WINDOW_BYTES,
                            .aux = &aux };
    int status = r.buf && aux.buf ? 0 : ldl_oom(err);
    for (uint64_t row = 0; row < d->rows && status == 0; row++)
        for (uint64_t at = 0; at < d->columns && status == 0; at += RUN) {
            size_t n = (size_t)LDL_MIN((uint64_t)RUN, d->columns - at);
            status = read_undone(d, st, k, row * d->columns + at, n, run, &r, err);
            if (status)
                break;
            if (d->by_column)
                k->add_squares(sum + at, run, n);
            else
                sum[row] += k->sum_squares(run, n);
        }
    ldl_free(r.buf);
    ldl_free(aux.buf);
    return status;
}

static int load_factors(const struct lora *d, const struct ldl_kern *k, struct state *st,
                        struct ldl_err *err)
{
    struct ldl_view m;
    size_t n = (size_t)features(d);
    ldl_view_stored(&m, d->magnitude.file, d->magnitude.tensor);
    double *sum = ldl_calloc(n, sizeof *sum);
    float *factor = ldl_calloc(n, sizeof *factor);
    int status = sum && factor ? ldl_view_read_all(&m, k, factor, err) : ldl_oom(err);
    if (status == 0)
        status = sum_features(d, st, k, sum, err);
    for (size_t i = 0; i < n && status == 0; i++)
        factor[i] = (float)((double)factor[i] / sqrt(sum[i]));
    ldl_free(sum);
    if (status)
        ldl_free(factor);
    else
        st->factor = factor; /* not before: sum_features() reads without */
    return status;
}

static uint64_t state_bytes(const struct ldl_view *v)
{
    const struct lora *d = v->made_of;
    uint64_t run = LDL_MAX((uint64_t)RUN, d->rank) * sizeof(float);
    uint64_t bytes = ldl_view_state_bytes(&d->inner) + sizeof(struct state) +
                     d->right.tensor->n * sizeof(float) + 2 * WINDOW_BYTES + run;
    return bytes + (d->magnitude.tensor ? features(d) * (sizeof(double) + sizeof(float)) : 0);
}

static void end(const struct ldl_view *v, void *state)
{
    const struct lora *d = v->made_of;
    struct state *st = state;
    if (!st)
        return;
    ldl_view_end(&d->inner, st->inner);
    ldl_free(st->right);
    ldl_free(st->factor);
    ldl_free(st);
}

static int begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                 struct ldl_err *err)
{
    const struct lora *d = v->made_of;
    struct state *st = ldl_calloc(1, sizeof *st);
    *state = NULL;
    if (!st)
        return ldl_oom(err);
    int status = ldl_view_begin(&d->inner, k, &st->inner, err);
    if (status == 0)
        status = load_right(d, k, st, err);
    if (status == 0 && d->magnitude.tensor)
        status = load_factors(d, k, st, err);
    if (status)
        end(v, st);
    else
        *state = st;
    return status;
}

static const struct ldl_view_ops lora_ops = {
    .name = "lora",
    .read = read,
    .state_bytes = state_bytes,
    .begin = begin,
    .end = end,
    .wants_aux = 1,
};

/* ---- making one ---- */

/* Is the tensor a matrix of numbers that can be read in this orientation? [n0, n1] of what is
 * meant. */
static int matrix_of(const struct ldl_factor *f, uint64_t *n0, uint64_t *n1)
{
    const struct ldl_stored *t = f->tensor;
    if (t->ndim < 2 || t->n == 0 || !ldl_dtype_is_float(t->dtype) ||
        ldl_dtype_unit(t->dtype) != 1 || (f->transposed && (t->ndim != 2 || t->mark)))
        return 0;
    *n0 = f->transposed ? t->dim[1] : t->dim[0];
    *n1 = t->n / *n0;
    return 1;
}

int ldl_lora_fits(const struct ldl_view *w, const struct ldl_lora_parts *p, uint64_t *rank)
{
    uint64_t rows, columns, rank2;
    if (w->ndim < 2 || w->n == 0 || !ldl_dtype_is_float(w->dtype) ||
        !matrix_of(&p->left, &rows, rank) || !matrix_of(&p->right, &rank2, &columns))
        return 0;
    if (*rank != rank2 || *rank > LDL_LORA_MAX_RANK || rows != w->dim[0] ||
        columns != w->n / w->dim[0])
        return 0;
    const struct ldl_stored *m = p->magnitude.tensor;
    return !m || (ldl_dtype_is_float(m->dtype) && ldl_dtype_unit(m->dtype) == 1 &&
                  m->n == (p->by_column ? columns : rows));
}

static int fail_fit(const struct ldl_view *w, const struct ldl_lora_parts *p, struct ldl_err *err)
{
    char shape[4][200];
    const struct ldl_stored *l = p->left.tensor, *r = p->right.tensor, *m = p->magnitude.tensor;
    return ldl_fail(err, LDL_EINPUT,
                    "adapter tensors '%.200s' %s %s, '%.200s' %s %s%s%.200s%s%s do not fit "
                    "tensor '%.200s' %s (ranks are 1 to %d)",
                    l->name, ldl_dtype_name(l->dtype), ldl_shape_text(shape[0], l->dim, l->ndim),
                    r->name, ldl_dtype_name(r->dtype), ldl_shape_text(shape[1], r->dim, r->ndim),
                    m ? ", '" : "", m ? m->name : "", m ? "' " : "",
                    m ? ldl_shape_text(shape[2], m->dim, m->ndim) : "", w->name,
                    ldl_shape_text(shape[3], w->dim, w->ndim), LDL_LORA_MAX_RANK);
}

/* *v keeps its name, type, shape and main tensor, and is computed from here on. */
static void compose(struct ldl_view *v, const struct ldl_view_ops *ops, const void *made)
{
    v->ops = ops;
    v->made_of = made;
    v->raw = 0;
}

int ldl_lora_view(struct ldl_view *v, const struct ldl_lora_parts *p, void **made,
                  struct ldl_err *err)
{
    uint64_t rank;
    *made = NULL;
    if (!ldl_lora_fits(v, p, &rank))
        return fail_fit(v, p, err);
    struct lora *d = ldl_calloc(1, sizeof *d);
    if (!d)
        return ldl_oom(err);
    *d = (struct lora){
        .inner = *v,
        .right = p->right,
        .magnitude = p->magnitude,
        .rows = v->dim[0],
        .columns = v->n / v->dim[0],
        .rank = (size_t)rank,
        .by_column = p->by_column,
        .scale = (float)p->scale,
    };
    if (p->left.transposed)
        ldl_view_transposed(&d->left, p->left.file, p->left.tensor, &d->left_t);
    else
        ldl_view_stored(&d->left, p->left.file, p->left.tensor);
    compose(v, &lora_ops, d);
    *made = d;
    return 0;
}

/* ---- a bias ---- */

struct bias {
    struct ldl_view inner;
    struct ldl_factor d;
    float scale;
};

struct bias_state {
    void *inner;
    float *d;
};

static int read_bias(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                     float *out, struct ldl_reader *r, struct ldl_err *err)
{
    const struct bias *b = v->made_of;
    const struct bias_state *st = r->state;
    r->state = st->inner;
    int status = ldl_view_read(&b->inner, k, first, n, out, r, err);
    r->state = st;
    if (status == 0)
        k->axpy(out, b->scale, st->d + first, n);
    return status;
}

static uint64_t bias_state_bytes(const struct ldl_view *v)
{
    const struct bias *b = v->made_of;
    return ldl_view_state_bytes(&b->inner) + sizeof(struct bias_state) + v->n * sizeof(float) +
           WINDOW_BYTES;
}

static void end_bias(const struct ldl_view *v, void *state)
{
    const struct bias *b = v->made_of;
    struct bias_state *st = state;
    if (!st)
        return;
    ldl_view_end(&b->inner, st->inner);
    ldl_free(st->d);
    ldl_free(st);
}

static int begin_bias(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                      struct ldl_err *err)
{
    const struct bias *b = v->made_of;
    struct bias_state *st = ldl_calloc(1, sizeof *st);
    struct ldl_view d;
    *state = NULL;
    if (!st || !(st->d = ldl_alloc((size_t)v->n * sizeof *st->d))) {
        ldl_free(st);
        return ldl_oom(err);
    }
    ldl_view_stored(&d, b->d.file, b->d.tensor);
    int status = ldl_view_begin(&b->inner, k, &st->inner, err);
    if (status == 0)
        status = ldl_view_read_all(&d, k, st->d, err);
    if (status)
        end_bias(v, st);
    else
        *state = st;
    return status;
}

static const struct ldl_view_ops bias_ops = {
    .name = "lora bias",
    .read = read_bias,
    .state_bytes = bias_state_bytes,
    .begin = begin_bias,
    .end = end_bias,
    .wants_aux = 1, /* for whatever is inside */
};

int ldl_lora_bias_view(struct ldl_view *v, const struct ldl_factor *d, double scale, void **made,
                       struct ldl_err *err)
{
    char shape[2][200];
    const struct ldl_stored *t = d->tensor;
    *made = NULL;
    if (t->n != v->n || v->n == 0 || !ldl_dtype_is_float(v->dtype) ||
        !ldl_dtype_is_float(t->dtype) || ldl_dtype_unit(t->dtype) != 1)
        return ldl_fail(err, LDL_EINPUT,
                        "adapter tensor '%.200s' %s %s does not fit tensor '%.200s' %s", t->name,
                        ldl_dtype_name(t->dtype), ldl_shape_text(shape[0], t->dim, t->ndim),
                        v->name, ldl_shape_text(shape[1], v->dim, v->ndim));
    struct bias *b = ldl_calloc(1, sizeof *b);
    if (!b)
        return ldl_oom(err);
    *b = (struct bias){ .inner = *v, .d = *d, .scale = (float)scale };
    compose(v, &bias_ops, b);
    *made = b;
    return 0;
}
