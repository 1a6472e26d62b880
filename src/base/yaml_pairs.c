/* yaml_pairs.c -- see yaml_pairs.h. Open addressing, at most half full. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_pairs.h"

#include <string.h>
#include <xxhash.h>

enum { PLAIN_SEARCH_MAX = 8 };

/* The slot of a name: the one that holds it, or the free one where it belongs. */
static uint32_t *slot_of(const struct ldl_yaml_pairs *p, const char *text)
{
    uint64_t seed = (uint64_t)(uintptr_t)p->slot;
    size_t at = (size_t)XXH64(text, strlen(text), seed) & (p->nslots - 1);
    while (p->slot[at] && strcmp(p->key[p->slot[at] - 1].text, text) != 0)
        at = (at + 1) & (p->nslots - 1);
    return &p->slot[at];
}

size_t ldl_yaml_pairs_find(const struct ldl_yaml_pairs *p, const char *text)
{
    if (p->nslots) {
        uint32_t found = *slot_of(p, text);
        return found ? found - 1 : p->n;
    }
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->key[i].text, text) == 0)
            return i;
    return p->n;
}

static int rebuild(struct ldl_yaml_pairs *p)
{
    size_t want = p->nslots ? p->nslots * 2 : 4 * PLAIN_SEARCH_MAX;
    uint32_t *slot = ldl_calloc(want, sizeof *slot);
    if (!slot)
        return -1;
    ldl_free(p->slot);
    p->slot = slot;
    p->nslots = want;
    for (size_t i = 0; i < p->n; i++)
        *slot_of(p, p->key[i].text) = (uint32_t)i + 1;
    return 0;
}

int ldl_yaml_pairs_add(struct ldl_yaml_pairs *p, struct ldl_yaml_key key,
                       struct ldl_yaml_node *item)
{
    if (ldl_grow(&p->key, &p->key_cap, p->n + 1, sizeof *p->key) ||
        ldl_grow(&p->item, &p->item_cap, p->n + 1, sizeof *p->item))
        return -1;
    if (p->n >= PLAIN_SEARCH_MAX && (p->n + 1) * 2 > p->nslots && rebuild(p))
        return -1;
    if (p->nslots)
        *slot_of(p, key.text) = (uint32_t)p->n + 1;
    p->key[p->n] = key;
    p->item[p->n++] = item;
    return 0;
}

int ldl_yaml_pairs_put(struct ldl_yaml_pairs *p, struct ldl_yaml_key key,
                       struct ldl_yaml_node *item)
{
    size_t at = ldl_yaml_pairs_find(p, key.text);
    if (at == p->n)
        return ldl_yaml_pairs_add(p, key, item);
    p->key[at] = key;
    p->item[at] = item;
    return 0;
}

void ldl_yaml_pairs_reset(struct ldl_yaml_pairs *p)
{
    p->n = p->nslots = 0;
    ldl_free(p->slot);
    p->slot = NULL;
}

void ldl_yaml_pairs_free(struct ldl_yaml_pairs *p)
{
    ldl_free(p->slot);
    ldl_free(p->key);
    ldl_free(p->item);
    *p = (struct ldl_yaml_pairs){ 0 };
}
