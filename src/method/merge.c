/* merge.c -- a named row with its parameters (see work.h): filled in once, and what a tensor takes with
 * them, before anything is read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/work.h"

enum { LEAST_STRETCH = 1 << 20 };

static int fill_values(const struct ldl_settings *settings, const struct ldl_param *rows,
                       size_t nrows, size_t model, size_t m, void *into, double *room,
                       struct ldl_err *err)
{
    const struct ldl_value_settings *s = (const struct ldl_value_settings *)settings;
    (void)model;
    (void)m;
    (void)room;
    return ldl_params_fill(rows, nrows, into, s->value, s->n, err);
}

void ldl_value_settings(struct ldl_value_settings *s, const struct ldl_value *value, size_t n)
{
    *s = (struct ldl_value_settings){ { fill_values }, value, n };
}

static int fill_sparsifier(struct ldl_merge *g, const struct ldl_settings *settings,
                           struct ldl_err *err)
{
    const struct ldl_sparsifier *s = g->method->sparsifier;
    int rc = 0;
    if (!s)
        return 0;
    if (!(g->sparsifier_params = ldl_calloc(g->m, sizeof *g->sparsifier_params)))
        return ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < g->m; i++) {
        if (!(g->sparsifier_params[i] = ldl_calloc(1, s->params_bytes)))
            return ldl_oom(err);
        rc = settings->fill(settings, s->param, s->nparams, i, g->m, g->sparsifier_params[i], NULL,
                            err);
        if (rc == 0 && s->check)
            rc = s->check(g->sparsifier_params[i], err);
    }
    return rc;
}

int ldl_merge_init(struct ldl_merge *g, const struct ldl_method *method, size_t m, uint64_t seed,
                   const struct ldl_settings *settings, struct ldl_err *err)
{
    const struct ldl_combiner *c = method->combiner;
    int rc;
    *g = (struct ldl_merge){ .method = method, .m = m, .seed = seed };
    g->combiner_params = ldl_calloc(1, c->params_bytes);
    g->room = ldl_calloc(m * LDL_MAX(c->nparams, (size_t)1), sizeof *g->room);
    if (!g->combiner_params || !g->room)
        rc = ldl_oom(err);
    else
        rc = settings->fill(settings, c->param, c->nparams, m, m, g->combiner_params, g->room, err);
    if (rc == 0 && c->check)
        rc = c->check(g->combiner_params, m, err);
    if (rc == 0)
        rc = fill_sparsifier(g, settings, err);
    if (rc)
        ldl_merge_free(g);
    return rc;
}

void ldl_merge_free(struct ldl_merge *g)
{
    for (size_t i = 0; g->sparsifier_params && i < g->m; i++)
        ldl_free(g->sparsifier_params[i]);
    ldl_free(g->sparsifier_params);
    ldl_free(g->combiner_params);
    ldl_free(g->room);
    *g = (struct ldl_merge){ 0 };
}

uint64_t ldl_merge_row_elems(const struct ldl_merge *g, uint64_t n, uint64_t last)
{
    const struct ldl_combiner *c = g->method->combiner;
    int by_row = last && c->is_by_row && c->is_by_row(g->combiner_params);
    return by_row ? last : LDL_MAX(n, (uint64_t)1);
}

/* A tensor can be done in stretches when nothing else has to look at all of it once it is sparsified.
 * Stretches are not shorter than LEAST_STRETCH, so that a scan sees little beside its own. */
static uint64_t stretch_of(const struct ldl_merge *g, const struct ldl_shape *shape)
{
    const struct ldl_combiner *c = g->method->combiner;
    const struct ldl_sparsifier *s = g->method->sparsifier;
    if (!s || !s->advance || c->rounds || ldl_combiner_facts(c, g->m) ||
        shape->n / 8 * g->m <= shape->bits_bytes)
        return shape->n;
    uint64_t elems = shape->bits_bytes / g->m * 8 / LDL_BLOCK * LDL_BLOCK;
    return LDL_MIN(LDL_MAX(elems, (uint64_t)LEAST_STRETCH), shape->n);
}

struct ldl_subject ldl_merge_subject(const struct ldl_merge *g, const struct ldl_shape *shape)
{
    return (struct ldl_subject){ .n = shape->n,
                                 .cols = shape->cols,
                                 .last = shape->last,
                                 .stretch = stretch_of(g, shape),
                                 .seed = g->seed,
                                 .hard = shape->hard };
}

uint64_t ldl_merge_state_bytes(const struct ldl_merge *g, const struct ldl_shape *shape)
{
    const struct ldl_sparsifier *s = g->method->sparsifier;
    const struct ldl_rounds *r = g->method->combiner->rounds;
    const struct ldl_subject subject = ldl_merge_subject(g, shape);
    uint64_t rows = shape->n / ldl_merge_row_elems(g, shape->n, shape->last);
    uint64_t blocks = shape->n / LDL_BLOCK + 1;
    uint64_t facts = (blocks + rows + 1) * ldl_combiner_facts(g->method->combiner, g->m);
    uint64_t bytes = (facts + (rows + 1) * (g->m + 1)) * sizeof(double);
    for (size_t i = 0; s && i < g->m; i++)
        bytes += s->state_bytes(g->sparsifier_params[i], &subject);
    return bytes + (r ? r->state_bytes(g->combiner_params, &subject, g->m) : 0);
}

uint64_t ldl_merge_acc_bytes(const struct ldl_merge *g, const struct ldl_shape *shape)
{
    const struct ldl_sparsifier *s = g->method->sparsifier;
    const struct ldl_rounds *r = g->method->combiner->rounds;
    const struct ldl_subject subject = ldl_merge_subject(g, shape);
    uint64_t first = 0;
    for (size_t i = 0; s && s->acc_bytes && i < g->m; i++)
        first += s->acc_bytes(g->sparsifier_params[i], &subject);
    uint64_t then = r ? r->acc_bytes(g->combiner_params, &subject) : 0;
    return LDL_MAX(first, then); /* they are not there at the same time */
}

unsigned ldl_merge_usual_passes(const struct ldl_merge *g)
{
    const struct ldl_sparsifier *s = g->method->sparsifier;
    const struct ldl_rounds *r = g->method->combiner->rounds;
    const struct ldl_subject any = { .n = 2, .cols = 1, .last = 1 };
    int rounds = r && r->state_bytes(g->combiner_params, &any, g->m);
    int facts = ldl_combiner_facts(g->method->combiner, g->m) && !(rounds && r->known_sums);
    return 1 + (s && s->stride) + (unsigned)rounds + (unsigned)facts;
}
