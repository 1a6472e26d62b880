/* mergekit_fill.c -- the value of a parameter for a model and a tensor.
 *
 * Looked for in the model's own parameters, the slice's, the module's, the recipe's; then the method's default. At
 * each place the value may be
 *
 *     0.5                                    a scalar
 *     [0, 0.3, 1]                            a gradient over the layers of the slice
 *     - {filter: mlp, value: [0, 1]}         the first whose filter is a part of the tensor's name, or
 *     - {value: 0.5}                         absent, or "*"
 *
 * and when no filter fits, the next place is looked at. Booleans have nothing between them: of a gradient they are
 * the item at the place, or before it. A filter of a model's parameter is compared
 * with the name of that model's tensor, of others with the output's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is looked for. */
struct want {
    const struct ldl_mk *mk;
    const struct ldl_param *row;
    const char *tensor; /* that filters are compared with */
    double t;
    int as_is;
};

/* The value of a list of numbers at t: linear between its items. */
static double gradient(const double *v, size_t n, double t)
{
    double x = t * (double)(n - 1), i = trunc(x), f = x - i;
    size_t at = (size_t)(i < 0 ? 0 : i);
    size_t next = at + 1 < n ? at + 1 : n - 1;
    at = at < n ? at : n - 1;
    return (1 - f) * v[at] + f * v[next];
}

static int fail_value(const struct want *w, const struct ldl_yaml_node *node, struct ldl_err *err)
{
    return ldl_yaml_fail(&w->mk->yaml, node, err, LDL_EUSAGE,
                         "%s: %s is expected, a list of numbers, or a list of {filter, value}",
                         w->row->name, w->row->type == LDL_T_BOOL ? "true or false" : "a number");
}

static int is_condition(const struct ldl_yaml_node *node)
{
    return node->kind == LDL_YAML_MAP && ldl_yaml_find(node, "value");
}

static int filter_fits(const struct want *w, const struct ldl_yaml_node *condition)
{
    const struct ldl_yaml_node *f = ldl_yaml_find(condition, "filter");
    return !f || f->kind == LDL_YAML_NULL || !f->text || strcmp(f->text, "*") == 0 ||
           strstr(w->tensor, f->text) != NULL;
}

enum { GRADIENT_MAX = 4096 };

static int read_gradient(const struct want *w, const struct ldl_yaml_node *node, double *out,
                         struct ldl_err *err)
{
    double v[2], x;
    size_t n = node->n;
    if (n == 0 || n > GRADIENT_MAX)
        return fail_value(w, node, err);
    x = w->t * (double)(n - 1);
    size_t at = x <= 0 ? 0 : LDL_MIN((size_t)x, n - 1);
    for (size_t i = 0; i < n; i++) { /* all are checked, also those that are not used */
        double one;
        if (ldl_yaml_number(node->item[i], &one))
            return fail_value(w, node->item[i], err);
        if (i == at)
            v[0] = v[1] = one;
        else if (i == at + 1)
            v[1] = one;
    }
    *out = w->row->type == LDL_T_BOOL ? v[0] : gradient(v, 2, x - (double)at);
    return 0;
}

/* 1: *out is the value. 0: no filter fits. Negative: -ldl_code. */
static int read_value(const struct want *w, const struct ldl_yaml_node *node, int inner,
                      double *out, struct ldl_err *err)
{
    if (ldl_yaml_number(node, out) == 0)
        return 1;
    if (is_condition(node) && !inner) /* alone, without a list */
        return filter_fits(w, node) ? read_value(w, ldl_yaml_find(node, "value"), 1, out, err) : 0;
    if (node->kind != LDL_YAML_SEQ || node->n == 0)
        return -fail_value(w, node, err);
    if (inner || !is_condition(node->item[0])) {
        int rc = read_gradient(w, node, out, err);
        return rc ? -rc : 1;
    }
    for (size_t i = 0; i < node->n; i++) {
        if (!is_condition(node->item[i]))
            return -fail_value(w, node->item[i], err);
        if (filter_fits(w, node->item[i]))
            return read_value(w, ldl_yaml_find(node->item[i], "value"), 1, out, err);
    }
    return 0;
}

static int check_range(const struct want *w, const struct ldl_yaml_node *node, double v,
                       struct ldl_err *err)
{
    char range[120];
    const struct ldl_param *p = w->row;
    if (p->type == LDL_T_BOOL ? v == 0 || v == 1 : v >= p->min && v <= p->max)
        return 0;
    if (v != v)
        return ldl_yaml_fail(&w->mk->yaml, node, err, LDL_EUSAGE, "%s: nan is no number", p->name);
    return ldl_yaml_fail(&w->mk->yaml, node, err, LDL_EUSAGE, "%s: %g is not in the range %s",
                         p->name, v, ldl_param_range(p, range));
}

/* Looks at one place. 1, 0 and negative as read_value(). */
static int look(const struct want *w, const struct ldl_yaml_node *params, double *out,
                struct ldl_err *err)
{
    const struct ldl_yaml_node *node = params ? ldl_yaml_find(params, w->row->name) : NULL;
    if (!node || node->kind == LDL_YAML_NULL)
        return 0;
    int found = read_value(w, node, 0, out, err);
    if (found <= 0)
        return found;
    int rc = check_range(w, node, *out, err);
    return rc ? -rc : 1;
}

/* "a=1 b=2": the value of `name` in it. */
static int in_defaults(const char *defaults, const char *name, double *out)
{
    size_t n = strlen(name);
    for (const char *p = defaults; p && *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        int on;
        char word[32];
        if (strncmp(p, name, n) != 0 || p[n] != '=')
            continue;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(p + n + 1, " "), p + n + 1);
        if (ldl_parse_bool(word, &on) == 0)
            *out = on;
        else if (ldl_parse_double(word, out))
            return 0;
        return 1;
    }
    return 0;
}

/* Nothing says the value, and the method has none. */
static int fail_missing(const struct want *w, const struct ldl_mk_entry *entry, struct ldl_err *err)
{
    const struct ldl_mk *mk = w->mk;
    const char *name = w->row->name;
    if ((entry && (ldl_mk_blame(mk, entry->params, name, err) ||
                   ldl_mk_blame_outside(mk, entry->node, name, err))) ||
        ldl_mk_blame(mk, mk->module_params, name, err) || ldl_mk_blame(mk, mk->params, name, err) ||
        ldl_mk_blame_outside(mk, mk->root, name, err))
        return LDL_EUSAGE;
    return ldl_yaml_fail(&mk->yaml, entry ? entry->node : mk->root, err, LDL_EUSAGE,
                         "%s needs the parameter '%s'%s%s (tensor %s)", mk->method->name, name,
                         entry ? " for the model " : "", entry ? entry->model : "", w->tensor);
}

static int fall_back(const struct want *w, const struct ldl_mk_entry *entry, double *out,
                     struct ldl_err *err)
{
    int on;
    const char *fallback = w->row->fallback;
    if (in_defaults(w->mk->method->defaults, w->row->name, out))
        return 0;
    if (fallback && ldl_parse_bool(fallback, &on) == 0 && w->row->type == LDL_T_BOOL) {
        *out = on;
        return 0;
    }
    if (fallback && ldl_parse_double(fallback, out) == 0)
        return 0;
    if (strcmp(w->row->name, "scale") == 0) { /* of passthrough: none */
        *out = 1;
        return 0;
    }
    return fail_missing(w, entry, err);
}

/* The value for one model (entry), or of the method (entry NULL). */
static int find_value(const struct want *w, const struct ldl_mk_slice *slice,
                      const struct ldl_mk_entry *entry, double *out, struct ldl_err *err)
{
    if (w->as_is)
        return fall_back(w, NULL, out, err);
    const struct ldl_yaml_node *places[] = { entry ? entry->params : NULL, slice->params,
                                             w->mk->module_params, w->mk->params };
    const struct ldl_yaml_node *node;
    int alone = 0;
    for (size_t i = 0; i < LDL_COUNT(places); i++) {
        int found = look(w, places[i], out, err);
        if (found)
            return found < 0 ? -found : 0;
        alone |= (node = ldl_yaml_find(places[i], w->row->name)) && is_condition(node);
    }
    if (alone && !w->row->fallback &&
        strcmp(w->row->name, "scale") !=
            0) { /* {filter, value} and nothing else: 0 for the others */
        *out = 0;
        return 0;
    }
    return fall_back(w, entry, out, err);
}

static const struct ldl_mk_entry *entry_of(const struct ldl_mk *mk, const struct ldl_place *at,
                                           size_t i)
{
    return at->as_is ? NULL : mk->input[at->from ? at->from[i] : i];
}

static void store(const struct ldl_param *row, void *into, double v)
{
    void *to = (char *)into + row->offset;
    if (row->type == LDL_T_BOOL)
        *(int *)to = v != 0;
    else if (row->type == LDL_T_INT)
        *(int64_t *)to = (int64_t)v;
    else
        *(double *)to = v;
}

int ldl_mk_fill(const struct ldl_recipe *r, const struct ldl_place *at,
                const struct ldl_param *rows, size_t nrows, size_t model, size_t m, void *into,
                double *room, struct ldl_err *err)
{
    const struct ldl_mk *mk = r->text;
    const struct ldl_mk_slice *slice = &mk->slice[at->slice];
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < nrows; k++) {
        struct want w = { mk, &rows[k], at->name, at->t, at->as_is };
        double v = 0;
        if (rows[k].type != LDL_T_DOUBLES) {
            const struct ldl_mk_entry *entry = model < m ? entry_of(mk, at, model) : NULL;
            w.tensor = entry ? at->in[model] : at->name;
            if ((rc = find_value(&w, slice, entry, &v, err)) == 0)
                store(&rows[k], into, v);
            continue;
        }
        for (size_t i = 0; rc == 0 && i < m; i++) {
            w.tensor = at->in[i];
            rc = find_value(&w, slice, entry_of(mk, at, i), &room[i], err);
        }
        *(struct ldl_list *)((char *)into + rows[k].offset) =
            (struct ldl_list){ .n = m, .num = room };
        room += m;
    }
    return rc;
}
