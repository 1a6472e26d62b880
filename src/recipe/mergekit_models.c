/* mergekit_models.c -- the models of a recipe: which entry is the base, which model gives the side files,
 * and the slices in the numbers of models. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"

#include <string.h>

/* The base of a slice, or NULL. */
static const char *base_of(const struct ldl_mk *mk, const struct ldl_mk_slice *s)
{
    return s->base ? s->base : mk->base;
}

static int is_base(const struct ldl_mk *mk, const struct ldl_mk_slice *s,
                   const struct ldl_mk_entry *e)
{
    const char *base = base_of(mk, s);
    return base && !mk->method->combiner->ignores_base && strcmp(base, e->model) == 0;
}

/* A method that takes a base beside its models cannot have it as one of them. */
static int check_base_apart(const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; c->base_apart && s < mk->nslices; s++)
        for (size_t i = 0; i < mk->slice[s].n; i++)
            if (is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]))
                return ldl_yaml_fail(&mk->yaml, mk->slice[s].entry[i].node, err, LDL_EUSAGE,
                                     "%s: the base_model cannot be one of the models",
                                     mk->method->name);
    return 0;
}

/* A slice of one source that the method can only take as it is: the base of a method that needs one,
 * or one model where it takes several. */
static int is_alone(const struct ldl_mk *mk, const struct ldl_mk_slice *s)
{
    const struct ldl_combiner *c = mk->method->combiner;
    if (mk->whole || s->n != 1)
        return 0;
    return is_base(mk, s, &s->entry[0]) ? c->needs_base : !c->needs_base && c->min_models > 1;
}

static int add_model(struct ldl_recipe *r, const char *name, struct ldl_err *err)
{
    char **model = ldl_realloc(r->model, r->nmodels + 1, sizeof *model);
    if (!model)
        return ldl_oom(err);
    r->model = model;
    return ldl_recipe_text(&r->model[r->nmodels], name, err) ? LDL_EIO : (r->nmodels++, 0);
}

static int add_input(struct ldl_mk *mk, const struct ldl_mk_entry *e, struct ldl_err *err)
{
    if (ldl_grow(&mk->input, &mk->inputs_cap, mk->ninputs + 1, sizeof *mk->input))
        return ldl_oom(err);
    mk->input[mk->ninputs++] = e;
    return 0;
}

/* `models`: every entry but the base is an input of its own, even when two name one model. */
static int take_whole(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < mk->slice->n; i++) {
        const struct ldl_mk_entry *e = &mk->slice->entry[i];
        if (is_base(mk, mk->slice, e))
            continue;
        rc = add_model(r, e->model, err);
        if (rc == 0)
            rc = add_input(mk, e, err);
    }
    return rc;
}

/* The number of the model of this name, which is added when it is new. */
static int find_model(struct ldl_recipe *r, const char *name, size_t *number, struct ldl_err *err)
{
    for (*number = 0; *number < r->nmodels; ++*number)
        if (strcmp(r->model[*number], name) == 0)
            return 0;
    return add_model(r, name, err);
}

/* A source's `model` of the base is set to nmodels when all models are known. */
#define BASE_MODEL SIZE_MAX

/* The base of a method that needs one, which `models` need not name. */
static int take_unnamed_base(struct ldl_recipe *r, const struct ldl_mk *mk,
                             const struct ldl_mk_slice *from, struct ldl_slice *to,
                             struct ldl_err *err)
{
    struct ldl_slice_source *s = &to->source[to->n];
    const char *base = base_of(mk, from);
    for (size_t i = 0; i < to->n; i++)
        if (to->source[i].is_base)
            return 0;
    if (!base || mk->method->combiner->ignores_base)
        return 0;
    *s = (struct ldl_slice_source){ .model = BASE_MODEL, .is_base = 1 };
    to->n++;
    return mk->base && strcmp(base, mk->base) == 0 ? 0 : find_model(r, base, &s->model, err);
}

static int take_slice(struct ldl_recipe *r, struct ldl_mk *mk, const struct ldl_mk_slice *from,
                      struct ldl_slice *to, struct ldl_err *err)
{
    int rc = 0;
    if (!(to->source = ldl_calloc(from->n + 1, sizeof *to->source)))
        return ldl_oom(err);
    to->whole = from->whole;
    to->as_is = is_alone(mk, from);
    for (to->n = 0; rc == 0 && to->n < from->n; to->n++) {
        const struct ldl_mk_entry *e = &from->entry[to->n];
        struct ldl_slice_source *s = &to->source[to->n];
        *s = (struct ldl_slice_source){ .model = BASE_MODEL, .first = e->first, .end = e->end };
        s->is_base = is_base(mk, from, e);
        if (s->is_base && mk->base && strcmp(e->model, mk->base) == 0)
            continue;
        s->entry = mk->ninputs;
        rc = find_model(r, e->model, &s->model, err);
        if (rc == 0 && !s->is_base)
            rc = add_input(mk, e, err);
    }
    return rc || !to->whole || to->as_is ? rc : take_unnamed_base(r, mk, from, to, err);
}

/* What no module names comes from the base, whatever the method is, else from the first model. */
static int take_modules(struct ldl_recipe *r, const struct ldl_mk *mk, struct ldl_err *err)
{
    int rc = 0;
    if (!(r->module = ldl_calloc(mk->nmodules, sizeof *r->module)))
        return ldl_oom(err);
    memcpy(r->module, mk->module, mk->nmodules * sizeof *r->module);
    r->nmodules = mk->nmodules;
    if (mk->named && r->donor)
        rc = find_model(r, r->donor, &r->rest_model, err);
    else if (r->base)
        r->rest_model = r->nmodels;
    return rc;
}

static int take_sliced(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    int rc = 0;
    if (!(r->slice = ldl_calloc(mk->nslices, sizeof *r->slice)))
        return ldl_oom(err);
    for (r->nslices = 0; rc == 0 && r->nslices < mk->nslices; r->nslices++)
        rc = take_slice(r, mk, &mk->slice[r->nslices], &r->slice[r->nslices], err);
    if (rc == 0)
        rc = take_modules(r, mk, err);
    for (size_t s = 0; s < r->nslices; s++)
        for (size_t i = 0; i < r->slice[s].n; i++)
            if (r->slice[s].source[i].model == BASE_MODEL)
                r->slice[s].source[i].model = r->nmodels;
    return rc;
}

static int fail_count(const struct ldl_mk *mk, size_t n, const struct ldl_yaml_node *where,
                      struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    const char *beside = c->needs_base ? " beside the base" : "";
    if (c->min_models == c->max_models)
        return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                             "%s takes exactly %zu model%s%s, and %zu are given", mk->method->name,
                             c->min_models, c->min_models == 1 ? "" : "s", beside, n);
    return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                         "%s takes %zu to %zu models%s, and %zu are given", mk->method->name,
                         c->min_models, c->max_models, beside, n);
}

static int check_counts(const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; s < mk->nslices; s++) {
        size_t n = 0, bases = 0;
        if (is_alone(mk, &mk->slice[s]))
            continue;
        for (size_t i = 0; i < mk->slice[s].n; i++) {
            int base = is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]) != 0;
            n += !base;
            bases += (size_t)base;
        }
        const struct ldl_yaml_node *where = mk->slice[s].entry[0].node;
        if (n < c->min_models || n > c->max_models)
            return fail_count(mk, n, where, err);
        if (!mk->slice[s].whole && c->needs_base && bases != 1)
            return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                                 "%s needs the base model, once, among the sources of each slice",
                                 mk->method->name);
    }
    return 0;
}

/* A merge of nothing but the base is the base. */
static int is_base_alone(const struct ldl_mk *mk)
{
    for (size_t s = 0; s < mk->nslices; s++)
        for (size_t i = 0; i < mk->slice[s].n; i++)
            if (!is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]))
                return 0;
    return mk->method->combiner->needs_base;
}

static int take_base(struct ldl_recipe *r, const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; c->needs_base && s < mk->nslices; s++)
        if (!base_of(mk, &mk->slice[s]))
            return ldl_mk_blame(mk, mk->root, "base_model", err)
                       ? LDL_EUSAGE
                       : ldl_yaml_fail(&mk->yaml, mk->root, err, LDL_EUSAGE,
                                       "%s needs a base_model: write 'base_model: PATH'",
                                       mk->method->name);
    if (!mk->base)
        return 0;
    if (c->is_identity && !mk->named)
        for (size_t i = 0; i < mk->slice->n; i++)
            if (strcmp(mk->slice->entry[i].model, mk->base) != 0)
                return ldl_yaml_fail(&mk->yaml, ldl_yaml_find(mk->root, "base_model"), err,
                                     LDL_EUSAGE,
                                     "%s takes one model, so a base_model that is "
                                     "another one has no meaning; leave it out",
                                     mk->method->name);
    return ldl_recipe_text(c->ignores_base ? &r->donor : &r->base, mk->base, err);
}

int ldl_mk_take_models(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    if (is_base_alone(mk))
        mk->method = ldl_method_find(LDL_MERGEKIT, "passthrough");
    r->method = mk->method;
    int rc = take_base(r, mk, err);
    if (rc == 0)
        rc = check_base_apart(mk, err);
    if (rc == 0)
        rc = check_counts(mk, err);
    return rc ? rc : mk->whole ? take_whole(r, mk, err) : take_sliced(r, mk, err);
}
