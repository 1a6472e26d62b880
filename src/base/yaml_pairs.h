/* yaml_pairs.h -- names with nodes, in the order of their coming: a mapping while it is read, and the
 * anchors of a document. A hash table over them from the ninth on, so that a file of nothing but
 * keys, or of small mappings after a large one, is read in linear time; its seed is an address, so
 * that no file can be made for it. Nothing but the speed depends on the table. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_YAML_PAIRS_H
#define LDL_BASE_YAML_PAIRS_H

#include "base/yaml.h"

struct ldl_yaml_pairs {
    struct ldl_yaml_key *key;
    struct ldl_yaml_node **item;
    size_t n, key_cap, item_cap;
    uint32_t *slot; /* index + 1 into the arrays, 0: free */
    size_t nslots;  /* a power of 2, or 0 */
};

/* Where a name is; n when it is not there. */
size_t ldl_yaml_pairs_find(const struct ldl_yaml_pairs *p, const char *text);
/* Adds a pair whose name may not be there yet. 0, or -1: no memory. */
int ldl_yaml_pairs_add(struct ldl_yaml_pairs *p, struct ldl_yaml_key key,
                       struct ldl_yaml_node *item);
/* Adds a pair, or replaces the one of that name, which keeps its place in the order. */
int ldl_yaml_pairs_put(struct ldl_yaml_pairs *p, struct ldl_yaml_key key,
                       struct ldl_yaml_node *item);
void ldl_yaml_pairs_reset(struct ldl_yaml_pairs *p); /* empty; keeps the arrays */
void ldl_yaml_pairs_free(struct ldl_yaml_pairs *p);

#endif
