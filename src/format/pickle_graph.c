/* pickle_graph.c -- looking at the nodes that pickle.c made; see pickle.h. Nothing here calls itself,
 * and the search visits each node once, so shared and cyclic nodes do no harm. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX_BYTES = 64 << 20 };

void ldl_pickle_free(struct ldl_pickle *p)
{
    if (!p)
        return;
    ldl_free(p->node);
    ldl_free(p->cell);
    ldl_buf_free(&p->text);
    *p = (struct ldl_pickle){ 0 };
}

static int is_utf8(const char *text, uint64_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t left = (size_t)n, width;
    for (; left; s += width, left -= width)
        if (*s == 0 || (width = ldl_utf8_len(s, left)) == 0)
            return 0;
    return 1;
}

const char *ldl_pickle_text(const struct ldl_pickle *p, uint32_t node)
{
    const struct ldl_pickle_node *n = &p->node[node];
    if ((n->kind != LDL_PY_TEXT && n->kind != LDL_PY_STRING) || n->kept == 0)
        return NULL;
    const char *text = p->text.text + (n->kept - 1);
    return is_utf8(text, n->n) ? text : NULL;
}

int ldl_pickle_id(const struct ldl_pickle *p, uint32_t node)
{
    const struct ldl_pickle_node *n = &p->node[node];
    return n->kind == LDL_PY_GLOBAL ? p->known[n->row].id : -1;
}

int ldl_pickle_call_id(const struct ldl_pickle *p, uint32_t node)
{
    const struct ldl_pickle_node *n = &p->node[node];
    return n->kind == LDL_PY_CALL ? ldl_pickle_id(p, n->callable) : -1;
}

uint64_t ldl_pickle_items(const struct ldl_pickle *p, uint32_t node, uint32_t *item, size_t max)
{
    const struct ldl_pickle_node *n = &p->node[node];
    int listed = n->kind == LDL_PY_LIST || n->kind == LDL_PY_TUPLE;
    uint32_t c = listed && n->n ? n->first : 0;
    for (size_t i = 0; i < max; i++) {
        item[i] = c ? p->cell[c].value : 0;
        c = c ? p->cell[c].next : 0;
    }
    return listed ? n->n : 0;
}

int ldl_pickle_u64(const struct ldl_pickle *p, uint32_t node, uint64_t *value)
{
    const struct ldl_pickle_node *n = &p->node[node];
    if (n->kind != LDL_PY_INT || n->num < 0)
        return -1;
    *value = (uint64_t)n->num;
    return 0;
}

/* ---- the entries of a dict ---- */

struct sorted {
    size_t place;
    const struct ldl_pickle_entry *entry;
};

static int by_name_then_place(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int order = strcmp(x->entry->name, y->entry->name);
    return order ? order : x->place < y->place ? -1 : 1;
}

/* Of entries with one name the first gets the last's value; the others' keys become 0. */
static int drop_twins(struct ldl_pickle_entry *entry, size_t n)
{
    size_t named = 0;
    struct sorted *s = ldl_calloc(n, sizeof *s);
    if (!s)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (entry[i].name)
            s[named++] = (struct sorted){ i, &entry[i] };
    if (named)
        qsort(s, named, sizeof *s, by_name_then_place);
    for (size_t i = 0, first = 0; i < named; i++) {
        if (strcmp(s[first].entry->name, s[i].entry->name) != 0)
            first = i;
        if (i == first)
            continue;
        entry[s[first].place].value = s[i].entry->value;
        entry[s[i].place].key = 0;
    }
    ldl_free(s);
    return 0;
}

int ldl_pickle_entries(const struct ldl_pickle *p, uint32_t node, struct ldl_pickle_entry **entry,
                       size_t *n, struct ldl_err *err)
{
    const struct ldl_pickle_node *dict = &p->node[node];
    size_t all = 0, kept = 0, key_bytes = 0;
    struct ldl_pickle_entry *e = ldl_calloc(dict->n / 2, sizeof *e);
    *entry = NULL;
    *n = 0;
    if (!e)
        return ldl_oom(err);
    for (uint32_t c = dict->n ? dict->first : 0; c && all < dict->n / 2; all++) {
        e[all].key = p->cell[c].value;
        e[all].name = ldl_pickle_text(p, e[all].key);
        key_bytes += e[all].name ? p->node[e[all].key].n : 0;
        c = p->cell[c].next;
        e[all].value = p->cell[c].value;
        c = p->cell[c].next;
    }
    /* one long key, shared by millions of entries, would keep the sort busy for hours */
    int status =
        key_bytes > KEYS_MAX_BYTES
            ? ldl_fail(err, LDL_EINPUT, "a dict with more than %d MB of keys", KEYS_MAX_BYTES >> 20)
        : drop_twins(e, all) ? ldl_oom(err)
                             : 0;
    if (status) {
        ldl_free(e);
        return status;
    }
    for (size_t i = 0; i < all; i++)
        if (e[i].key)
            e[kept++] = e[i];
    *entry = e;
    *n = kept;
    return 0;
}

/* ---- the search ---- */

int ldl_pickle_search_open(struct ldl_pickle_search *s, const struct ldl_pickle *p,
                           int (*wanted)(const struct ldl_pickle *p, uint32_t node),
                           struct ldl_err *err)
{
    *s = (struct ldl_pickle_search){ .p = p, .wanted = wanted };
    s->seen = ldl_calloc(p->nnodes, 1);
    s->todo = ldl_calloc(p->nnodes, sizeof *s->todo);
    return s->seen && s->todo ? 0 : ldl_oom(err);
}

void ldl_pickle_search_close(struct ldl_pickle_search *s)
{
    ldl_free(s->seen);
    ldl_free(s->todo);
    s->seen = NULL;
    s->todo = NULL;
}

void ldl_pickle_search_again(struct ldl_pickle_search *s)
{
    memset(s->seen, 0, s->p->nnodes);
}

static void todo_add(struct ldl_pickle_search *s, size_t *n, uint32_t node)
{
    if (node && !s->seen[node]) {
        s->seen[node] = 1;
        s->todo[(*n)++] = node;
    }
}

static int has_items(const struct ldl_pickle_node *x)
{
    return x->n && (x->kind == LDL_PY_LIST || x->kind == LDL_PY_TUPLE || x->kind == LDL_PY_SET ||
                    x->kind == LDL_PY_DICT || x->kind == LDL_PY_CALL);
}

int ldl_pickle_search(struct ldl_pickle_search *s, uint32_t node)
{
    size_t n = 0;
    todo_add(s, &n, node);
    while (n) {
        uint32_t at = s->todo[--n];
        const struct ldl_pickle_node *x = &s->p->node[at];
        if (s->wanted(s->p, at))
            return 1;
        todo_add(s, &n, x->args);
        todo_add(s, &n, x->state);
        for (uint32_t c = has_items(x) ? x->first : 0; c; c = s->p->cell[c].next)
            todo_add(s, &n, s->p->cell[c].value);
    }
    return 0;
}
