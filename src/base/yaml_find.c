/* yaml_find.c -- asking a tree of yaml.h, and messages about its places. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t index_of(const struct ldl_yaml_node *map, const char *key)
{
    size_t i = 0;
    while (i < map->n && strcmp(map->key[i].text, key) != 0)
        i++;
    return i;
}

const struct ldl_yaml_node *ldl_yaml_find(const struct ldl_yaml_node *map, const char *key)
{
    if (!map || map->kind != LDL_YAML_MAP)
        return NULL;
    size_t i = index_of(map, key);
    return i < map->n ? map->item[i] : NULL;
}

const struct ldl_yaml_key *ldl_yaml_find_key(const struct ldl_yaml_node *map, const char *key)
{
    if (!map || map->kind != LDL_YAML_MAP)
        return NULL;
    size_t i = index_of(map, key);
    return i < map->n ? &map->key[i] : NULL;
}

const char *ldl_yaml_kind_name(const struct ldl_yaml_node *node)
{
    static const char *const names[] = { "null",   "a boolean", "a whole number", "a number",
                                         "a text", "a list",    "a mapping" };
    return names[node->kind];
}

static int fail_at(const struct ldl_yaml *y, uint32_t line, uint32_t column, struct ldl_err *err,
                   int code, const char *fmt, va_list ap)
{
    char what[1024];
    vsnprintf(what, sizeof what, fmt, ap);
    return ldl_fail(err, code, "%s:%u:%u: %s", y->name, line, column, what);
}

int ldl_yaml_fail(const struct ldl_yaml *y, const struct ldl_yaml_node *node, struct ldl_err *err,
                  int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    code = fail_at(y, node->line, node->column, err, code, fmt, ap);
    va_end(ap);
    return code;
}

int ldl_yaml_fail_key(const struct ldl_yaml *y, const struct ldl_yaml_key *key, struct ldl_err *err,
                      int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    code = fail_at(y, key->line, key->column, err, code, fmt, ap);
    va_end(ap);
    return code;
}
