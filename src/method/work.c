/* work.c -- see work.h. The order of a row's steps is here and nowhere else:
 * subtract the base, sparsify each model, combine, add the base. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/work.h"

#include <string.h>

/* ---- begin and end ---- */

static int wants_rounds(const struct ldl_work *w)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    return s && s->stride;
}

static int begin_combiner(struct ldl_work *w, const struct ldl_subject *s, struct ldl_err *err)
{
    const struct ldl_rounds *rounds = w->g->method->combiner->rounds;
    w->blocks = (w->n + LDL_BLOCK - 1) / LDL_BLOCK;
    w->row_elems = ldl_merge_row_elems(w->g, w->n, s->last);
    w->rows = w->n / w->row_elems;
    int rc = rounds ? rounds->begin(&w->joint, s, w->g->combiner_params, w->g->m, err) : 0;
    if (rc)
        return rc;
    if (!w->joint || !rounds->no_facts)
        w->nfacts = ldl_combiner_facts(w->g->method->combiner, w->g->m);
    if (!(w->plain = ldl_calloc(w->rows + 1, (w->g->m + 1) * sizeof *w->plain)))
        return ldl_oom(err);
    if (w->nfacts &&
        !(w->facts = ldl_calloc(w->blocks + w->rows + 1, w->nfacts * sizeof *w->facts)))
        return ldl_oom(err);
    return 0;
}

int ldl_work_begin(struct ldl_work *w, const struct ldl_merge *g, const struct ldl_kern *k,
                   const char *tensor, const struct ldl_shape *shape, struct ldl_err *err)
{
    const struct ldl_sparsifier *s = g->method->sparsifier;
    struct ldl_subject subject = ldl_merge_subject(g, shape);
    *w = (struct ldl_work){ .g = g, .k = k, .tensor = tensor, .n = shape->n, .fresh = 1 };
    w->stretch = subject.stretch;
    subject.k = k;
    subject.tensor = tensor;
    int rc = begin_combiner(w, &subject, err);
    if (rc == 0 && s && !(w->state = ldl_calloc(g->m, sizeof *w->state)))
        rc = ldl_oom(err);
    for (size_t i = 0; rc == 0 && s && i < g->m; i++) {
        subject.model = (uint32_t)i;
        rc = s->begin(&w->state[i], &subject, g->sparsifier_params[i], err);
    }
    if (rc)
        ldl_work_end(w);
    return rc;
}

void ldl_work_end(struct ldl_work *w)
{
    for (size_t i = 0; w->state && i < w->g->m; i++)
        w->g->method->sparsifier->end(w->state[i]);
    if (w->joint)
        w->g->method->combiner->rounds->end(w->joint);
    ldl_free(w->state);
    ldl_free(w->facts);
    ldl_free(w->plain);
    w->state = NULL;
    w->joint = NULL;
    w->facts = w->plain = NULL;
}

/* ---- passes ---- */

static uint64_t model_stride(const struct ldl_work *w, size_t i)
{
    return wants_rounds(w) ? w->g->method->sparsifier->stride(w->state[i]) : 0;
}

/* Models ask for the same stride in the same round (it depends on the round and on n alone), or
 * are done; one that is done is not shown more. */
static uint64_t sparsifier_stride(const struct ldl_work *w)
{
    uint64_t stride = 0;
    for (size_t i = 0; i < w->g->m; i++)
        stride = LDL_MAX(stride, model_stride(w, i));
    return stride;
}

static int solve_sparsifiers(struct ldl_work *w, struct ldl_work_acc *const *acc, size_t naccs,
                             struct ldl_err *err)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    void **one = ldl_alloc(naccs * sizeof *one);
    int rc = one ? 0 : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < w->g->m; i++) {
        if (model_stride(w, i) == 0)
            continue;
        for (size_t a = 0; a < naccs; a++)
            one[a] = acc[a]->acc[i];
        rc = s->solve(w->state[i], one, naccs, err);
    }
    ldl_free(one);
    return rc;
}

static int solve_joint(struct ldl_work *w, struct ldl_work_acc *const *acc, size_t naccs,
                       struct ldl_err *err)
{
    void **one = ldl_alloc(naccs * sizeof *one);
    if (!one)
        return ldl_oom(err);
    for (size_t a = 0; a < naccs; a++)
        one[a] = acc[a]->acc[w->g->m];
    int rc = w->g->method->combiner->rounds->solve(w->joint, one, naccs, err);
    ldl_free(one);
    return rc;
}

/* The facts that the combiner's rounds have learnt of the whole tensor, or NULL. */
static const double *known_sums(const struct ldl_work *w)
{
    const struct ldl_rounds *r = w->g->method->combiner->rounds;
    return w->joint && r->known_sums ? r->known_sums(w->joint) : NULL;
}

/* The facts of all pieces of a row, added up in order; NULL when there are none. */
static const double *sums_of(const struct ldl_work *w, uint64_t row)
{
    if (!w->facts)
        return NULL;
    if (known_sums(w))
        return known_sums(w);
    double *sums = w->facts + (w->blocks + w->rows) * w->nfacts;
    uint64_t first = row * w->row_elems / LDL_BLOCK,
             last = ((row + 1) * w->row_elems - 1) / LDL_BLOCK;
    memset(sums, 0, w->nfacts * sizeof *sums);
    for (uint64_t b = first; b <= last; b++)
        for (size_t f = 0; f < w->nfacts; f++)
            sums[f] += w->facts[(b + row) * w->nfacts + f];
    return sums;
}

static int solve_combiner(struct ldl_work *w, struct ldl_err *err)
{
    const struct ldl_combiner *c = w->g->method->combiner;
    const void *params = w->g->combiner_params;
    size_t m = w->g->m;
    for (uint64_t row = 0; row < w->rows; row++) {
        const double *sums = sums_of(w, row);
        int rc = sums && c->check_facts ? c->check_facts(params, m, sums, w->tensor, err) : 0;
        if (rc)
            return rc;
        c->solve(params, m, sums, w->plain + row * (m + 1));
    }
    return 0;
}

static int next_stretch(struct ldl_work *w, struct ldl_err *err)
{
    int rc = 0;
    w->at += w->stretch;
    w->pass = LDL_WORK_SPARSIFY;
    for (size_t i = 0; rc == 0 && i < w->g->m; i++)
        rc = w->g->method->sparsifier->advance(w->state[i], w->at, err);
    return rc;
}

static int close_pass(struct ldl_work *w, struct ldl_work_acc *const *acc, size_t naccs,
                      struct ldl_err *err)
{
    if (w->fresh)
        return 0;
    if (w->pass == LDL_WORK_MAP)
        return next_stretch(w, err);
    if (w->pass == LDL_WORK_SPARSIFY)
        return solve_sparsifiers(w, acc, naccs, err);
    return w->pass == LDL_WORK_ROUNDS ? solve_joint(w, acc, naccs, err) : 0;
}

/* The stride of the pass that comes now; w->pass says what it is. */
static uint64_t choose_pass(struct ldl_work *w, int had_facts)
{
    uint64_t stride = w->pass == LDL_WORK_SPARSIFY ? sparsifier_stride(w) : 0;
    if (stride)
        return stride;
    if (w->pass == LDL_WORK_SPARSIFY)
        w->pass = LDL_WORK_ROUNDS;
    if (w->pass == LDL_WORK_ROUNDS && w->joint)
        stride = w->g->method->combiner->rounds->stride(w->joint);
    if (stride)
        return stride;
    w->pass = w->facts && !had_facts && !known_sums(w) ? LDL_WORK_FACTS : LDL_WORK_MAP;
    return 1;
}

/* The blocks of a pass: of the stretch, or what the models that scan want to see. */
static void find_blocks(const struct ldl_work *w, struct ldl_pass *pass)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    uint64_t first = 0, end = w->n;
    if (w->pass == LDL_WORK_MAP) {
        first = w->at;
        end = LDL_MIN(w->at + w->stretch, w->n);
    } else if (w->pass == LDL_WORK_SPARSIFY && s->span) {
        first = w->n;
        end = 0;
        for (size_t i = 0; i < w->g->m; i++) {
            uint64_t from, to;
            if (!model_stride(w, i))
                continue;
            s->span(w->state[i], &from, &to);
            first = LDL_MIN(first, from);
            end = LDL_MAX(end, to);
        }
    }
    pass->first = first / LDL_BLOCK;
    pass->end = (end + LDL_BLOCK - 1) / LDL_BLOCK;
    const struct ldl_rounds *r = w->g->method->combiner->rounds;
    uint64_t block;
    if (w->pass == LDL_WORK_ROUNDS && r->only && r->only(w->joint, &block)) {
        pass->first = block;
        pass->end = block + 1;
    }
}

int ldl_work_next(struct ldl_work *w, struct ldl_work_acc *const *acc, size_t naccs,
                  struct ldl_pass *pass, struct ldl_err *err)
{
    int had_facts = !w->fresh && w->pass == LDL_WORK_FACTS;
    int rc = close_pass(w, acc, naccs, err);
    if (rc)
        return rc;
    w->fresh = 0;
    pass->stride = choose_pass(w, had_facts);
    pass->map = w->pass == LDL_WORK_MAP;
    pass->last = pass->map && w->at + w->stretch >= w->n;
    find_blocks(w, pass);
    return pass->map ? solve_combiner(w, err) : 0;
}

int ldl_work_is_hard(const struct ldl_work *w)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    for (size_t i = 0; s && s->is_hard && i < w->g->m; i++)
        if (s->is_hard(w->state[i]))
            return 1;
    return 0;
}

int ldl_work_settled(const struct ldl_work *w)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    if (w->pass != LDL_WORK_SPARSIFY || !s->settled)
        return 0;
    for (size_t i = 0; i < w->g->m; i++)
        if (model_stride(w, i) && !s->settled(w->state[i]))
            return 0;
    return 1;
}

int ldl_work_acc_begin(struct ldl_work *w, struct ldl_work_acc *a, struct ldl_err *err)
{
    const struct ldl_sparsifier *s = w->g->method->sparsifier;
    int rc = 0;
    a->acc = NULL;
    if (w->pass != LDL_WORK_SPARSIFY && w->pass != LDL_WORK_ROUNDS)
        return 0;
    if (!(a->acc = ldl_calloc(w->g->m + 1, sizeof *a->acc)))
        return ldl_oom(err);
    if (w->pass == LDL_WORK_ROUNDS)
        rc = ldl_acc_new(&w->g->method->combiner->rounds->acc, w->joint, &a->acc[w->g->m], err);
    for (size_t i = 0; rc == 0 && w->pass == LDL_WORK_SPARSIFY && i < w->g->m; i++)
        if (model_stride(w, i))
            rc = ldl_acc_new(&s->acc, w->state[i], &a->acc[i], err);
    if (rc)
        ldl_work_acc_end(w, a);
    return rc;
}

void ldl_work_acc_end(const struct ldl_work *w, struct ldl_work_acc *a)
{
    for (size_t i = 0; a->acc && i < w->g->m; i++)
        if (a->acc[i])
            ldl_acc_free(&w->g->method->sparsifier->acc, a->acc[i]);
    if (a->acc && a->acc[w->g->m])
        ldl_acc_free(&w->g->method->combiner->rounds->acc, a->acc[w->g->m]);
    ldl_free(a->acc);
    a->acc = NULL;
}

/* ---- blocks ---- */

static struct ldl_run run_of(const struct ldl_block *b, size_t i)
{
    return (struct ldl_run){ .first = b->first, .n = b->n, .x = b->t[i], .scratch = b->scratch };
}

static int is_base_subtracted(const struct ldl_work *w, const struct ldl_block *b)
{
    return b->base && !w->g->method->combiner->base_is_input;
}

static void to_task_vectors(const struct ldl_work *w, const struct ldl_block *b)
{
    for (size_t i = 0; is_base_subtracted(w, b) && i < w->g->m; i++)
        w->k->sub(b->t[i], b->base, b->n);
}

static void sparsify(const struct ldl_work *w, const struct ldl_block *b)
{
    for (size_t i = 0; w->state && i < w->g->m; i++) {
        struct ldl_run run = run_of(b, i);
        w->g->method->sparsifier->apply(w->k, w->state[i], &run);
    }
}

static struct ldl_runs runs_of(const struct ldl_work *w, const struct ldl_block *b)
{
    return (struct ldl_runs){ .first = b->first,
                              .n = b->n,
                              .m = w->g->m,
                              .t = b->t,
                              .base = b->base,
                              .scratch = b->scratch };
}

static void apply_joint(const struct ldl_work *w, const struct ldl_block *b)
{
    struct ldl_runs all = runs_of(w, b);
    if (w->joint)
        w->g->method->combiner->rounds->apply(w->k, w->joint, &all);
}

/* The piece of a block that begins at element `at` of it; its row. t has room for the pointers. */
static uint64_t piece_of(const struct ldl_work *w, const struct ldl_block *b, size_t at,
                         float *t[LDL_MAX_MODELS], struct ldl_runs *piece)
{
    uint64_t first = b->first + at, row = first / w->row_elems;
    uint64_t left = (row + 1) * w->row_elems - first;
    for (size_t i = 0; i < w->g->m; i++)
        t[i] = b->t[i] + at;
    *piece = (struct ldl_runs){ .first = first,
                                .n = LDL_MIN(left, b->n - at),
                                .m = w->g->m,
                                .t = t,
                                .base = b->base ? b->base + at : NULL,
                                .scratch = b->scratch };
    return row;
}

static void take_facts(struct ldl_work *w, const struct ldl_block *b)
{
    float *t[LDL_MAX_MODELS];
    struct ldl_runs piece;
    for (size_t at = 0; at < b->n; at += piece.n) {
        uint64_t row = piece_of(w, b, at, t, &piece);
        double *facts = w->facts + (b->first / LDL_BLOCK + row) * w->nfacts;
        w->g->method->combiner->fact(w->k, w->g->combiner_params, &piece, facts);
    }
}

int ldl_work_scan(struct ldl_work *w, struct ldl_work_acc *a, const struct ldl_block *b,
                  struct ldl_err *err)
{
    int rc = 0;
    to_task_vectors(w, b);
    if (w->pass == LDL_WORK_FACTS) {
        sparsify(w, b);
        apply_joint(w, b);
        take_facts(w, b);
        return 0;
    }
    if (w->pass == LDL_WORK_ROUNDS) {
        struct ldl_runs all = runs_of(w, b);
        sparsify(w, b);
        return w->g->method->combiner->rounds->scan(w->joint, a->acc[w->g->m], &all, err);
    }
    for (size_t i = 0; rc == 0 && i < w->g->m; i++) {
        struct ldl_run run = run_of(b, i);
        if (a->acc[i])
            rc = w->g->method->sparsifier->scan(w->state[i], a->acc[i], &run, err);
    }
    return rc;
}

void ldl_work_map(const struct ldl_work *w, const struct ldl_block *b, float *out)
{
    float *t[LDL_MAX_MODELS];
    struct ldl_runs piece;
    size_t m = w->g->m;
    to_task_vectors(w, b);
    sparsify(w, b);
    apply_joint(w, b);
    for (size_t at = 0; at < b->n; at += piece.n) {
        const double *plain = w->plain + piece_of(w, b, at, t, &piece) * (m + 1);
        w->g->method->combiner->map(w->k, w->g->combiner_params, m, plain, &piece, out + at);
    }
    if (is_base_subtracted(w, b))
        w->k->add(out, b->base, b->n);
}
