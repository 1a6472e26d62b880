/* mergekit_tokenizer.c -- the vocabulary that a recipe asks for:
 *
 *     tokenizer_source: union | base | MODEL        or
 *     tokenizer:
 *       source: union | base | MODEL
 *       pad_to_multiple_of: 64
 *       tokens:
 *         TOKEN: {source: MODEL, force: true}
 *         TOKEN: {source: {kind: model_token, model: MODEL, token: T}}     (or token_id: N)
 *         TOKEN: {source: {kind: zero}} */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"
#include "base/io.h"

#include <string.h>

enum { RULES_MAX = 100000, MULTIPLE_MAX = 1 << 20 };

static int is_text(const struct ldl_yaml_node *node)
{
    return node && node->kind != LDL_YAML_MAP && node->kind != LDL_YAML_SEQ &&
           node->kind != LDL_YAML_NULL && node->text && *node->text;
}

static int take_source(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node)
{
    static const char *const words[] = { "base", "union" };
    struct ldl_tokenizer *t = &rd->r->tokenizer;
    if (!is_text(node))
        return ldl_mk_fail(rd, node,
                           "the source of the tokenizer: union, base or a model is expected");
    const char *near = strchr(node->text, '/') ? NULL : ldl_nearest(node->text, words, 2);
    if (near && strcmp(near, node->text) != 0 && !ldl_exists(node->text))
        return ldl_yaml_fail(&rd->mk->yaml, node, rd->err, LDL_EUSAGE,
                             "the source of the tokenizer: there is no '%s'; did you mean '%s'?",
                             node->text, near);
    t->kind = strcmp(node->text, "base") == 0    ? LDL_TOKENIZER_BASE
              : strcmp(node->text, "union") == 0 ? LDL_TOKENIZER_UNION
                                                 : LDL_TOKENIZER_OF;
    t->model = t->kind == LDL_TOKENIZER_OF ? node->text : NULL;
    return 0;
}

/* ---- rules ---- */

static int take_model_token(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                            struct ldl_token_rule *rule)
{
    static const char *const keys[] = { "kind", "model", "token", "token_id" };
    const struct ldl_yaml_node *model = ldl_yaml_find(node, "model");
    const struct ldl_yaml_node *token = ldl_yaml_find(node, "token");
    const struct ldl_yaml_node *id = ldl_yaml_find(node, "token_id");
    token = token && token->kind == LDL_YAML_NULL ? NULL : token;
    id = id && id->kind == LDL_YAML_NULL ? NULL : id;
    if (!is_text(model))
        return ldl_mk_fail(rd, node, "kind: model_token wants a model, a path or a name");
    if (!token == !id)
        return ldl_mk_fail(rd, node, "kind: model_token wants one of token and token_id");
    if (token && !is_text(token))
        return ldl_mk_fail(rd, token, "token: a text is expected");
    if (id && (id->kind != LDL_YAML_INT || id->integer < 0 || id->integer > INT32_MAX))
        return ldl_mk_fail(rd, id, "token_id: a whole number that is not negative is expected");
    rule->model = model->text;
    rule->from_token = token ? token->text : NULL;
    rule->id = id ? id->integer : -1;
    return ldl_mk_check_keys(rd, node, keys, LDL_COUNT(keys));
}

static int take_rule_source(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                            struct ldl_token_rule *rule)
{
    static const char *const zero_keys[] = { "kind" };
    const struct ldl_yaml_node *kind = ldl_yaml_find(node, "kind");
    if (is_text(node)) {
        rule->model = node->text;
        return 0;
    }
    if (node->kind != LDL_YAML_MAP || !is_text(kind))
        return ldl_mk_fail(rd, node,
                           "source: a model, or {kind: model_token | zero} is expected; other "
                           "forms are not in this build");
    if (strcmp(kind->text, "model_token") == 0)
        return take_model_token(rd, node, rule);
    if (strcmp(kind->text, "zero") == 0)
        return ldl_mk_check_keys(rd, node, zero_keys, LDL_COUNT(zero_keys));
    return ldl_mk_fail(rd, kind, "kind: model_token or zero is expected");
}

static int take_rule(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                     const struct ldl_yaml_key *key, struct ldl_token_rule *rule)
{
    static const char *const keys[] = { "source", "force" };
    const struct ldl_yaml_node *source = ldl_yaml_find(node, "source");
    const struct ldl_yaml_node *force = ldl_yaml_find(node, "force");
    *rule = (struct ldl_token_rule){
        .token = key->text, .id = -1, .line = key->line, .column = key->column
    };
    if (node->kind != LDL_YAML_MAP || !source)
        return ldl_mk_fail(rd, node, "a token is {source: ..., force: ...}");
    if (!*key->text)
        return ldl_mk_fail(rd, node, "a token without text");
    if (force && force->kind != LDL_YAML_BOOL)
        return ldl_mk_fail(rd, force, "force: true or false is expected");
    rule->force = force && force->integer;
    int rc = ldl_mk_check_keys(rd, node, keys, LDL_COUNT(keys));
    return rc ? rc : take_rule_source(rd, source, rule);
}

static int take_rules(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *map)
{
    struct ldl_tokenizer *t = &rd->r->tokenizer;
    int rc = 0;
    if (!map || map->kind == LDL_YAML_NULL)
        return 0;
    if (map->kind != LDL_YAML_MAP || map->n > RULES_MAX)
        return ldl_mk_fail(rd, map, "tokens: a map from tokens to {source: ...} is expected");
    if (map->n && !(t->rule = ldl_calloc(map->n, sizeof *t->rule)))
        return ldl_oom(rd->err);
    for (; rc == 0 && t->nrules < map->n; t->nrules++)
        rc = take_rule(rd, map->item[t->nrules], &map->key[t->nrules], &t->rule[t->nrules]);
    return rc;
}

/* ---- all of it ---- */

static int take_map(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node)
{
    static const char *const keys[] = { "source", "tokens", "pad_to_multiple_of" };
    struct ldl_tokenizer *t = &rd->r->tokenizer;
    if (node->kind != LDL_YAML_MAP)
        return ldl_mk_fail(rd, node, "tokenizer: a map is expected, as {source: union}");
    int rc = ldl_mk_check_keys(rd, node, keys, LDL_COUNT(keys));
    const struct ldl_yaml_node *source = ldl_yaml_find(node, "source");
    const struct ldl_yaml_node *pad = ldl_yaml_find(node, "pad_to_multiple_of");
    t->kind = LDL_TOKENIZER_UNION; /* as mergekit has it */
    if (rc == 0 && source && source->kind != LDL_YAML_NULL)
        rc = take_source(rd, source);
    if (rc == 0 && pad && pad->kind != LDL_YAML_NULL) {
        if (pad->kind != LDL_YAML_INT || pad->integer < 1 || pad->integer > MULTIPLE_MAX)
            return ldl_mk_fail(rd, pad, "pad_to_multiple_of: a whole number from 1 on is expected");
        t->multiple = (uint64_t)pad->integer;
    }
    return rc ? rc : take_rules(rd, ldl_yaml_find(node, "tokens"));
}

int ldl_mk_take_tokenizer(const struct ldl_mk_reader *rd)
{
    const struct ldl_yaml_node *word = ldl_yaml_find(rd->mk->root, "tokenizer_source");
    const struct ldl_yaml_node *map = ldl_yaml_find(rd->mk->root, "tokenizer");
    word = word && word->kind == LDL_YAML_NULL ? NULL : word;
    map = map && map->kind == LDL_YAML_NULL ? NULL : map;
    rd->r->tokenizer.file = rd->mk->yaml.name;
    if (word && map)
        return ldl_mk_fail(rd, map,
                           "tokenizer and tokenizer_source are two words for one thing; leave "
                           "one out");
    return word ? take_source(rd, word) : map ? take_map(rd, map) : 0;
}
