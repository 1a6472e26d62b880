/* yaml_tree.c -- see yaml_tree.h.
 *
 * A stack of open collections; a node is added to the innermost. A collection's pairs are collected in
 * its level of the stack and copied to the tree when it ends. Heights and visits are sums over
 * finished nodes only, for which an alias to an open one is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_tree.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Nodes and texts live in blocks that are freed at once. */
struct ldl_yaml_block {
    struct ldl_yaml_block *next;
    size_t used, size;
    max_align_t bytes[];
};

enum { BLOCK_BYTES = 16384 };

static void *take(struct ldl_yaml_tree *rd, size_t bytes)
{
    struct ldl_yaml_block *b = rd->y->block;
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!b || b->size - b->used < bytes) {
        size_t size = LDL_MAX(bytes, (size_t)BLOCK_BYTES);
        if (!(b = ldl_alloc(sizeof *b + size))) {
            ldl_oom(rd->err);
            return NULL;
        }
        *b = (struct ldl_yaml_block){ .next = rd->y->block, .size = size };
        rd->y->block = b;
    }
    void *p = (char *)b->bytes + b->used;
    b->used += bytes;
    return p;
}

static void *take_copy(struct ldl_yaml_tree *rd, const void *from, size_t bytes)
{
    void *to = take(rd, bytes);
    if (to && bytes)
        memcpy(to, from, bytes);
    return to;
}

const char *ldl_yaml_take_text(struct ldl_yaml_tree *rd, const char *text, size_t n)
{
    char *to = take(rd, n + 1);
    if (!to)
        return NULL;
    if (n)
        memcpy(to, text, n);
    to[n] = 0;
    return to;
}

int ldl_yaml_fail_here(struct ldl_yaml_tree *rd, const char *fmt, ...)
{
    char what[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ldl_fail(rd->err, LDL_EINPUT, "%s:%u:%u: %s", rd->y->name, rd->line, rd->column, what);
}

int ldl_yaml_count(struct ldl_yaml_tree *rd, size_t n)
{
    rd->nodes += n;
    return rd->nodes <= LDL_YAML_MAX_NODES
               ? 0
               : ldl_yaml_fail_here(rd, "more than %d values", LDL_YAML_MAX_NODES);
}

struct ldl_yaml_node *ldl_yaml_new_node(struct ldl_yaml_tree *rd, enum ldl_yaml_kind kind)
{
    struct ldl_yaml_node *node = ldl_yaml_count(rd, 1) ? NULL : take(rd, sizeof *node);
    if (node)
        *node = (struct ldl_yaml_node){
            .kind = kind, .line = rd->line, .column = rd->column, .text = "", .visits = 1
        };
    return node;
}

/* ---- into the tree ---- */

static int is_collection(const struct ldl_yaml_node *node)
{
    return node->kind == LDL_YAML_SEQ || node->kind == LDL_YAML_MAP;
}

static int put(struct ldl_yaml_tree *rd, struct ldl_yaml_pairs *to, struct ldl_yaml_key key,
               struct ldl_yaml_node *item)
{
    return ldl_yaml_pairs_put(to, key, item) ? ldl_oom(rd->err) : 0;
}

static int merge_one(struct ldl_yaml_tree *rd, struct ldl_yaml_pairs *to,
                     const struct ldl_yaml_node *from)
{
    if (from->kind != LDL_YAML_MAP)
        return ldl_yaml_fail_here(rd, "'<<' wants a mapping or a list of mappings, and this is %s",
                                  ldl_yaml_kind_name(from));
    int rc = ldl_yaml_count(rd, from->n);
    for (size_t i = 0; rc == 0 && i < from->n; i++)
        rc = put(rd, to, from->key[i], from->item[i]);
    return rc;
}

/* Of a list, the earlier mapping wins; of two << in one mapping, the later, as in PyYAML. */
static int merge(struct ldl_yaml_tree *rd, struct ldl_yaml_level *top,
                 const struct ldl_yaml_node *value)
{
    if (value->kind != LDL_YAML_SEQ)
        return merge_one(rd, &top->merged, value);
    int rc = 0;
    for (size_t i = value->n; rc == 0 && i-- > 0;)
        rc = merge_one(rd, &top->merged, value->item[i]);
    return rc;
}

static int warn_twice(struct ldl_yaml_tree *rd, const struct ldl_yaml_key *now,
                      const struct ldl_yaml_key *before)
{
    char text[1024];
    if (rd->y->warning.n >= LDL_YAML_MAX_WARNINGS)
        return 0;
    snprintf(text, sizeof text,
             "%.400s:%u:%u: the key '%.200s' was given in line %u too; this one counts",
             rd->y->name, now->line, now->column, now->text, before->line);
    return ldl_names_add(&rd->y->warning, text) ? ldl_oom(rd->err) : 0;
}

static int place_key(struct ldl_yaml_tree *rd, struct ldl_yaml_level *top,
                     const struct ldl_yaml_node *node, int is_merge)
{
    if (is_collection(node))
        return ldl_yaml_fail_here(rd, "a key may not be %s", ldl_yaml_kind_name(node));
    top->key = (struct ldl_yaml_key){ node->text, rd->line, rd->column };
    top->has_key = 1;
    top->is_merge = is_merge;
    return 0;
}

static int place_value(struct ldl_yaml_tree *rd, struct ldl_yaml_level *top,
                       struct ldl_yaml_node *node)
{
    top->has_key = 0;
    if (top->is_merge)
        return merge(rd, top, node);
    size_t at = ldl_yaml_pairs_find(&top->own, top->key.text);
    int rc = at < top->own.n ? warn_twice(rd, &top->key, &top->own.key[at]) : 0;
    return rc ? rc : put(rd, &top->own, top->key, node);
}

static int place_document(struct ldl_yaml_tree *rd, struct ldl_yaml_node *node)
{
    struct ldl_yaml *y = rd->y;
    if (ldl_grow(&y->document, &rd->cap_documents, y->ndocuments + 1, sizeof *y->document))
        return ldl_oom(rd->err);
    y->document[y->ndocuments++] = node;
    return 0;
}

int ldl_yaml_place(struct ldl_yaml_tree *rd, struct ldl_yaml_node *node, int is_merge)
{
    if (rd->depth == 0)
        return place_document(rd, node);
    struct ldl_yaml_level *top = &rd->level[rd->depth - 1];
    if (rd->depth + node->height > LDL_YAML_DEPTH)
        return ldl_yaml_fail_here(rd, "nested deeper than %d levels", LDL_YAML_DEPTH);
    if (top->node->kind == LDL_YAML_MAP)
        return top->has_key ? place_value(rd, top, node) : place_key(rd, top, node, is_merge);
    struct ldl_yaml_pairs *p = &top->own;
    if (ldl_grow(&p->item, &p->item_cap, p->n + 1, sizeof *p->item))
        return ldl_oom(rd->err);
    p->item[p->n++] = node;
    return 0;
}

int ldl_yaml_begin(struct ldl_yaml_tree *rd, struct ldl_yaml_node *node)
{
    if (rd->depth == LDL_YAML_DEPTH)
        return ldl_yaml_fail_here(rd, "nested deeper than %d levels", LDL_YAML_DEPTH);
    struct ldl_yaml_level *top = rd->depth ? &rd->level[rd->depth - 1] : NULL;
    if (top && top->node->kind == LDL_YAML_MAP && !top->has_key)
        return ldl_yaml_fail_here(rd, "a key may not be %s", ldl_yaml_kind_name(node));
    top = &rd->level[rd->depth++];
    top->node = node;
    top->has_key = 0;
    ldl_yaml_pairs_reset(&top->own);
    ldl_yaml_pairs_reset(&top->merged);
    return 0;
}

int ldl_yaml_end(struct ldl_yaml_tree *rd)
{
    struct ldl_yaml_level *top = &rd->level[--rd->depth];
    struct ldl_yaml_node *node = top->node;
    struct ldl_yaml_pairs *all = &top->own;
    if (top->merged.n) {
        all = &top->merged;
        for (size_t i = 0; i < top->own.n; i++)
            if (put(rd, all, top->own.key[i], top->own.item[i]))
                return LDL_EIO;
    }
    node->n = all->n;
    node->item = take_copy(rd, all->item, all->n * sizeof *all->item);
    if (node->item && node->kind == LDL_YAML_MAP)
        node->key = take_copy(rd, all->key, all->n * sizeof *all->key);
    if (!node->item || (node->kind == LDL_YAML_MAP && !node->key))
        return LDL_EIO;
    for (size_t i = 0; i < node->n; i++) {
        node->height = LDL_MAX(node->height, node->item[i]->height + 1);
        if (__builtin_add_overflow(node->visits, node->item[i]->visits, &node->visits))
            node->visits = UINT64_MAX;
    }
    if (node->n == 0)
        node->height = 1;
    return ldl_yaml_place(rd, node, 0);
}

void ldl_yaml_tree_free(struct ldl_yaml_tree *rd)
{
    for (size_t d = 0; d < LDL_YAML_DEPTH; d++) {
        ldl_yaml_pairs_free(&rd->level[d].own);
        ldl_yaml_pairs_free(&rd->level[d].merged);
    }
    ldl_yaml_pairs_free(&rd->anchor);
    ldl_free(rd);
}

void ldl_yaml_free_blocks(struct ldl_yaml *y)
{
    for (struct ldl_yaml_block *b = y->block, *next; b; b = next) {
        next = b->next;
        ldl_free(b);
    }
    y->block = NULL;
}
