/* mergekit_names.c -- names in a recipe that nobody knows, and what was meant by them.
 *
 * An unknown key or parameter is a note with its place, or an error with --strict. When something is missing
 * that such a name was meant for, the note would never be seen: then the error points to the name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"

#include <stdio.h>
#include <string.h>

enum { KNOWN_MAX = 64 };

static size_t find_name(const char *const *known, size_t n, const char *name)
{
    size_t k = 0;
    while (k < n && strcmp(known[k], name) != 0)
        k++;
    return k;
}

/* The names of the parameters of a method, at most KNOWN_MAX. */
static size_t list_params(const struct ldl_method *m, const char **known)
{
    const struct ldl_sparsifier *s = m->sparsifier;
    size_t n = 0;
    for (size_t i = 0; i < m->combiner->nparams && n < KNOWN_MAX; i++)
        known[n++] = m->combiner->param[i].name;
    for (size_t i = 0; s && i < s->nparams && n < KNOWN_MAX; i++)
        known[n++] = s->param[i].name;
    return n;
}

static int is_param(const struct ldl_mk *mk, const char *name)
{
    const char *known[KNOWN_MAX];
    size_t n = mk->method ? list_params(mk->method, known) : 0;
    return find_name(known, n, name) < n;
}

/* A name that is not known at this place: a note, or an error when strict. */
static int report(const struct ldl_mk_reader *rd, const struct ldl_yaml_key *key, const char *kind,
                  const char *const *known, size_t n)
{
    char text[512];
    const char *near = ldl_nearest(key->text, known, n);
    int outside = !near && strcmp(kind, "key") == 0 && is_param(rd->mk, key->text);
    snprintf(text, sizeof text, "%s:%u:%u: unknown %s '%.100s'%s%s%s", rd->mk->yaml.name, key->line,
             key->column, kind, key->text,
             near      ? "; did you mean '"
             : outside ? "; parameters are written under 'parameters:'"
                       : "",
             near ? near : "", near ? "'?" : "");
    if (rd->strict)
        return ldl_fail(rd->err, LDL_EUSAGE, "%s", text);
    size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, "%s it is ignored", near ? "" : outside ? "," : ";");
    return ldl_names_add(&rd->r->note, text) ? ldl_oom(rd->err) : 0;
}

int ldl_mk_check_keys(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *map,
                      const char *const *known, size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < map->n; i++)
        if (find_name(known, n, map->key[i].text) == n)
            rc = report(rd, &map->key[i], "key", known, n);
    return rc;
}

/* Parameters that every recipe may carry, since they never change a result. */
static int is_idle(const char *name)
{
    return strcmp(name, "int8_mask") == 0;
}

/* The {filter, value} that a parameter may be made of. */
static int check_conditions(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *value)
{
    static const char *const keys[] = { "filter", "value" };
    int rc = 0;
    if (value->kind == LDL_YAML_MAP)
        return ldl_mk_check_keys(rd, value, keys, LDL_COUNT(keys));
    for (size_t i = 0; rc == 0 && value->kind == LDL_YAML_SEQ && i < value->n; i++)
        if (value->item[i]->kind == LDL_YAML_MAP)
            rc = ldl_mk_check_keys(rd, value->item[i], keys, LDL_COUNT(keys));
    return rc;
}

int ldl_mk_check_params(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *params)
{
    const char *known[KNOWN_MAX];
    size_t n = list_params(rd->mk->method, known);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < params->n; i++) {
        if (find_name(known, n, params->key[i].text) < n)
            rc = check_conditions(rd, params->item[i]);
        else if (!is_idle(params->key[i].text))
            rc = report(rd, &params->key[i], "parameter", known, n);
    }
    return rc;
}

/* ---- what was meant ---- */

int ldl_mk_blame(const struct ldl_mk *mk, const struct ldl_yaml_node *map, const char *name,
                 struct ldl_err *err)
{
    for (size_t i = 0; map && map->kind == LDL_YAML_MAP && i < map->n; i++) {
        const char *word = map->key[i].text;
        if (strcmp(word, name) != 0 && ldl_nearest(word, &name, 1))
            return ldl_yaml_fail_key(&mk->yaml, &map->key[i], err, LDL_EUSAGE,
                                     "'%.100s' is unknown; did you mean '%s', which is missing?",
                                     word, name);
    }
    return 0;
}

int ldl_mk_blame_outside(const struct ldl_mk *mk, const struct ldl_yaml_node *map, const char *name,
                         struct ldl_err *err)
{
    const struct ldl_yaml_key *key = map ? ldl_yaml_find_key(map, name) : NULL;
    return key ? ldl_yaml_fail_key(&mk->yaml, key, err, LDL_EUSAGE,
                                   "'%s' is outside of parameters, so it is not read; write "
                                   "'parameters: {%s: ...}'",
                                   name, name)
               : 0;
}
