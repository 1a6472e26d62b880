/* per_layer.c -- config.json's lists about layers, when the output is made of slices.
 *
 *     "layer_types": ["full", "sliding", "full"]      slices of layers 0..1, 1..2
 *                    ["full", "sliding"    , "sliding", "full"]
 *     "attn_layer_indices": [1]                       the same slices
 *                           [1, 2]
 *
 * A list has one item for each layer when "layer" or "block" is in its name and it has as many items as the
 * model has layers: the items follow their layers, as bytes, with the blanks and commas that the file has.
 * It lists layers when its name says so: then it has the numbers that they have in the output. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/stacks.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* A list in the file's text: its items are [from[i], to[i]). */
struct list {
    const char *begin, *end; /* the brackets are inside */
    const char **from, **to;
    size_t n, room; /* n may be more than room: then only the first are kept */
};

static int read_list(struct ldl_json *j, struct list *l, struct ldl_err *err)
{
    const char *from, *to;
    int more;
    l->n = 0;
    int rc = ldl_json_enter(j, '[', err);
    if (rc)
        return rc;
    l->begin = j->at - 1;
    while ((more = ldl_json_item(j, err)) > 0) {
        if ((rc = ldl_json_skip(j, &from, &to, err)))
            return rc;
        if (l->n < l->room) {
            l->from[l->n] = from;
            l->to[l->n] = to;
        }
        l->n++;
    }
    l->end = j->at;
    return -more;
}

/* The layer of the giver that layer k of the slice has its configuration from: the giver's own when it
 * takes part, else that of the first source. */
static size_t layer_of(const struct ldl_plan *p, const struct ldl_slice *s, int64_t k)
{
    const char *giver = ldl_plan_giver(p)->asked;
    size_t lead = 0;
    for (size_t i = s->n; i-- > 0;)
        if (strcmp(p->model[s->source[i].model].asked, giver) == 0)
            lead = i;
    return (size_t)(s->source[lead].first + k);
}

/* The comma of the file, with its blanks. */
static void put_comma(const struct list *l, struct ldl_buf *out)
{
    if (l->n > 1)
        ldl_buf_put(out, l->to[0], (size_t)(l->from[1] - l->to[0]));
    else
        ldl_buf_puts(out, ", ");
}

static int is_item(const struct list *l, size_t i, size_t value)
{
    char text[32];
    size_t n = (size_t)snprintf(text, sizeof text, "%zu", value);
    return (size_t)(l->to[i] - l->from[i]) == n && memcmp(l->from[i], text, n) == 0;
}

static int has_item(const struct list *l, size_t value)
{
    for (size_t i = 0; i < l->n; i++)
        if (is_item(l, i, value))
            return 1;
    return 0;
}

/* The new list; out stays empty when it cannot be: a layer is taken that the list does not have. indices: it
 * lists layers. */
static void put_list(const struct ldl_plan *p, const struct ldl_module *m, const struct list *l,
                     int indices, struct ldl_buf *out)
{
    size_t layer = 0, done = 0;
    ldl_buf_put(out, l->begin, (size_t)(l->from[0] - l->begin));
    for (size_t s = m->first; s < m->first + m->n; s++) {
        const struct ldl_slice *slice = &p->recipe.slice[s];
        int64_t n = slice->source[0].end - slice->source[0].first;
        for (int64_t k = 0; k < n; k++, layer++) {
            size_t i = layer_of(p, slice, k);
            if (indices ? !has_item(l, i) : i >= l->n) {
                if (indices)
                    continue;
                ldl_buf_reset(out);
                return;
            }
            if (done++)
                put_comma(l, out);
            if (indices)
                ldl_buf_printf(out, "%zu", layer);
            else
                ldl_buf_put(out, l->from[i], (size_t)(l->to[i] - l->from[i]));
        }
    }
    if (done == 0)
        ldl_buf_reset(out);
    ldl_buf_put(out, done ? l->to[l->n - 1] : "[]",
                done ? (size_t)(l->end - l->to[l->n - 1]) : strlen("[]"));
}

static int is_about_layers(const char *key)
{
    return strstr(key, "layer") || strstr(key, "block");
}

static int is_indices(const char *key)
{
    return strstr(key, "indices") || strstr(key, "indexes") || strstr(key, "layer_ids") ||
           strcmp(key, "mlp_only_layers") == 0;
}

/* Does the key speak of layers of another kind, as "up_block_types" when `down_blocks` are cut? */
static int is_foreign(const char *key, const struct ldl_stack *mine, const struct ldl_stacks *all)
{
    static const char *const neutral[] = { "layer", "layers", "block", "blocks" };
    for (const char *w = key; *w;) {
        size_t n = strcspn(w, "_"), k = 0;
        while (k < LDL_COUNT(neutral) && (strlen(neutral[k]) != n || memcmp(w, neutral[k], n) != 0))
            k++;
        for (size_t i = 0; k == LDL_COUNT(neutral) && i < all->n; i++)
            if (ldl_stack_has_word(&all->stack[i], w, n) && !ldl_stack_has_word(mine, w, n))
                return 1;
        w += n + (w[n] == '_');
    }
    return 0;
}

static int walk(const struct ldl_plan *p, size_t module, const struct ldl_stacks *all,
                struct ldl_json *j, struct list *l, struct ldl_layer_lists *out,
                struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err), more = 0;
    while (rc == 0 && (more = ldl_json_member(j, &key, err)) > 0) {
        if (ldl_json_peek(j) != '[' || !is_about_layers(key.text) ||
            is_foreign(key.text, p->module[module].stack, all) || out->n == LDL_COUNT(out->value)) {
            rc = ldl_json_skip(j, NULL, NULL, err);
            continue;
        }
        int indices = is_indices(key.text);
        rc = read_list(j, l, err);
        if (rc || l->n == 0 || (indices ? l->n > l->room : l->n != l->room))
            continue;
        put_list(p, &p->recipe.module[module], l, indices, &out->value[out->n]);
        const struct ldl_buf *made = &out->value[out->n];
        if (made->failed || (made->len && ldl_names_add(&out->key, key.text)))
            rc = ldl_oom(err);
        else if (made->len)
            out->n++;
    }
    ldl_buf_free(&key);
    return rc ? rc : -more;
}

int ldl_plan_layer_lists(const struct ldl_plan *p, size_t module, const struct ldl_stacks *all,
                         const char *json, size_t len, const char *name,
                         struct ldl_layer_lists *out, struct ldl_err *err)
{
    struct list l = { .room = (size_t)ldl_plan_layers_in(p, module, ldl_plan_giver(p)) };
    struct ldl_json j;
    if (l.room == 0 || l.room > len)
        return 0;
    l.from = ldl_calloc(l.room, sizeof *l.from);
    l.to = ldl_calloc(l.room, sizeof *l.to);
    ldl_json_open(&j, json, len, name);
    int rc = l.from && l.to ? walk(p, module, all, &j, &l, out, err) : ldl_oom(err);
    ldl_free(l.from);
    ldl_free(l.to);
    return rc;
}

void ldl_layer_lists_free(struct ldl_layer_lists *x)
{
    for (size_t i = 0; i < LDL_COUNT(x->value); i++)
        ldl_buf_free(&x->value[i]);
    ldl_names_free(&x->key);
}
