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

struct entries {
    struct ldl_pickle_entry *entry;
    size_t n, cap, key_bytes;
};

static int add_entry(const struct ldl_pickle *p, struct entries *e, uint32_t key, uint32_t value,
                     struct ldl_err *err)
{
    const char *name = ldl_pickle_text(p, key);
    /* one long key, shared by millions of entries, would keep the sort busy for hours */
    e->key_bytes += name ? p->node[key].n : 0;
    if (e->key_bytes > KEYS_MAX_BYTES)
        return ldl_fail(err, LDL_EINPUT, "a dict with more than %d MB of keys",
                        KEYS_MAX_BYTES >> 20);
    if (ldl_grow(&e->entry, &e->cap, e->n + 1, sizeof *e->entry))
        return ldl_oom(err);
    e->entry[e->n++] = (struct ldl_pickle_entry){ .key = key, .value = value, .name = name };
    return 0;
}

/* key, value, key, value ... */
static int add_items(const struct ldl_pickle *p, struct entries *e, uint32_t node,
                     struct ldl_err *err)
{
    int status = 0;
    const struct ldl_pickle_node *dict = &p->node[node];
    uint32_t c = dict->n ? dict->first : 0;
    for (uint64_t i = 0; i < dict->n / 2 && status == 0; i++) {
        uint32_t key = p->cell[c].value;
        c = p->cell[c].next;
        status = add_entry(p, e, key, p->cell[c].value, err);
        c = p->cell[c].next;
    }
    return status;
}

/* What a class of dicts was called with: [[key, value], ...], as Python 2 pickled an OrderedDict, or
 * another dict. What else may stand there (a defaultdict's type) holds no entries. */
static int add_args(const struct ldl_pickle *p, struct entries *e, uint32_t args,
                    struct ldl_err *err)
{
    uint32_t list, pair[2];
    int status = 0;
    ldl_pickle_items(p, args, &list, 1);
    const struct ldl_pickle_node *from = &p->node[list];
    if (from->kind == LDL_PY_DICT)
        return add_items(p, e, list, err);
    if (from->kind != LDL_PY_LIST && from->kind != LDL_PY_TUPLE)
        return 0;
    for (uint32_t c = from->n ? from->first : 0; c && status == 0; c = p->cell[c].next) {
        if (ldl_pickle_items(p, p->cell[c].value, pair, 2) != 2)
            return ldl_fail(err, LDL_EINPUT, "a dict made of something else than pairs");
        status = add_entry(p, e, pair[0], pair[1], err);
    }
    return status;
}

int ldl_pickle_entries(const struct ldl_pickle *p, uint32_t node, struct ldl_pickle_entry **entry,
                       size_t *n, struct ldl_err *err)
{
    struct entries e = { 0 };
    size_t kept = 0;
    int status = 0;
    if (p->node[node].kind == LDL_PY_CALL)
        status = add_args(p, &e, p->node[node].args, err);
    if (status == 0)
        status = add_items(p, &e, node, err);
    if (status == 0 && e.n && drop_twins(e.entry, e.n))
        status = ldl_oom(err);
    for (size_t i = 0; i < e.n && status == 0; i++)
        if (e.entry[i].key)
            e.entry[kept++] = e.entry[i];
    if (status)
        ldl_free(e.entry);
    *entry = status ? NULL : e.entry;
    *n = status ? 0 : kept;
    return status;
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
