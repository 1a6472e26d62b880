/* yaml_tree.h -- how a YAML tree grows: nodes come in the order of the file, and each goes where the
 * open collections say. All functions return 0 or an ldl_code with rd->err filled. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_YAML_TREE_H
#define LDL_BASE_YAML_TREE_H

#include "base/yaml.h"
#include "base/yaml_pairs.h"

struct ldl_yaml_level {
    struct ldl_yaml_node *node;
    struct ldl_yaml_pairs own;    /* SEQ: only the items are used */
    struct ldl_yaml_pairs merged; /* what << brings */
    struct ldl_yaml_key key;      /* of the value that comes next */
    int has_key, is_merge;
};

struct ldl_yaml_tree {
    struct ldl_yaml *y;
    struct ldl_err *err;
    struct ldl_yaml_level level[LDL_YAML_DEPTH];
    size_t depth, nodes, cap_documents;
    struct ldl_yaml_pairs anchor; /* of this document */
    uint32_t line, column;        /* of the event, or of the last one that had a place */
    size_t cut; /* length of a text whose last line is not blank and has no end, else SIZE_MAX */
};

/* "NAME:line:column: what", where the reader stands. */
int ldl_yaml_fail_here(struct ldl_yaml_tree *rd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes n from the budget of values: those of the file, aliases, and what merging copies. */
int ldl_yaml_count(struct ldl_yaml_tree *rd, size_t n);
/* In the tree's memory; NULL: rd->err is filled. */
const char *ldl_yaml_take_text(struct ldl_yaml_tree *rd, const char *text, size_t n);
struct ldl_yaml_node *ldl_yaml_new_node(struct ldl_yaml_tree *rd, enum ldl_yaml_kind kind);
/* A finished node goes where the file has it. is_merge: it is a plain <<. */
int ldl_yaml_place(struct ldl_yaml_tree *rd, struct ldl_yaml_node *node, int is_merge);
/* Opens a list or a mapping; the innermost one ends and goes where the file has it. */
int ldl_yaml_begin(struct ldl_yaml_tree *rd, struct ldl_yaml_node *node);
int ldl_yaml_end(struct ldl_yaml_tree *rd);
/* What the reader needed and the tree does not. */
void ldl_yaml_tree_free(struct ldl_yaml_tree *rd);
/* The tree's memory. */
void ldl_yaml_free_blocks(struct ldl_yaml *y);

#endif
