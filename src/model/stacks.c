/* stacks.c -- see stacks.h. Words instead of a list of architectures: those who name tensors use few. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/stacks.h"

#include <stdlib.h>
#include <string.h>

const char *const ldl_tower_name[LDL_TOWERS] = { "text_decoder", "vision_tower", "audio_tower",
                                                 "multi_modal_projector" };

/* Parts of components; '=' before a word: the whole component. The first tower with a word in the
 * name has it: a projector may lie inside a tower of vision ("visual.merger"). */
static const char *const words[][12] = {
    [LDL_TOWER_TEXT] = { "text", "language", "llm" },
    [LDL_TOWER_VISION] = { "vision", "visual", "image", "=img", "img_", "pixel", "=vit", "siglip" },
    [LDL_TOWER_AUDIO] = { "audio", "speech" },
    [LDL_TOWER_PROJECTOR] = { "projector", "merger", "connector", "resampler", "perceiver",
                              "qformer", "aligner", "img_projection", "modality_projection",
                              "language_projection", "=mlp1" },
};

static size_t component(const char *p)
{
    return strcspn(p, ".");
}

static int is_number(const char *p, size_t n)
{
    return n > 0 && strspn(p, "0123456789") == n;
}

/* Does the component [p, p + n) have the word? */
static int has_word(const char *p, size_t n, const char *word)
{
    size_t len = strlen(word);
    if (*word == '=')
        return n == len - 1 && memcmp(p, word + 1, n) == 0;
    for (size_t i = 0; i + len <= n; i++)
        if (memcmp(p + i, word, len) == 0)
            return 1;
    return 0;
}

/* The first of the components before the first number that has one of the words; NULL: none has. */
static const char *says(const char *name, enum ldl_tower t)
{
    for (const char *p = name; *p;) {
        size_t n = component(p);
        if (is_number(p, n))
            return NULL;
        for (size_t i = 0; i < LDL_COUNT(words[t]) && words[t][i]; i++)
            if (has_word(p, n, words[t][i]))
                return p;
        p += n + (p[n] == '.');
    }
    return NULL;
}

enum ldl_tower ldl_tower_of(const char *name)
{
    static const enum ldl_tower order[] = { LDL_TOWER_PROJECTOR, LDL_TOWER_VISION,
                                            LDL_TOWER_AUDIO };
    for (size_t i = 0; i < LDL_COUNT(order); i++)
        if (says(name, order[i]))
            return order[i];
    return LDL_TOWER_TEXT;
}

int ldl_tower_says_text(const char *name)
{
    return says(name, LDL_TOWER_TEXT) != NULL;
}

size_t ldl_tower_text_part(const char *name, size_t *at)
{
    const char *p = says(name, LDL_TOWER_TEXT);
    size_t n = p ? component(p) : 0;
    *at = p ? (size_t)(p - name) : 0;
    return p && p[n] == '.' ? n + 1 : 0;
}

int ldl_name_has(const char *name, const char *part)
{
    size_t len = strlen(part);
    for (const char *p = name; *p && len;) {
        size_t n = component(p);
        if (is_number(p, n))
            return 0;
        if (strncmp(p, part, len) == 0 && (p[len] == '.' || p[len] == 0))
            return p == name ? 1 : 2;
        p += n + (p[n] == '.');
    }
    return 0;
}

/* ---- stacks ---- */

struct numbered {
    const char *name;
    struct ldl_layer layer;
};

static size_t stack_len(const struct numbered *x)
{
    return x->layer.at - 1; /* without the dot */
}

static int same_stack(const struct numbered *x, const struct numbered *y)
{
    return stack_len(x) == stack_len(y) && memcmp(x->name, y->name, stack_len(x)) == 0;
}

static int by_stack(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    int order = memcmp(x->name, y->name, LDL_MIN(stack_len(x), stack_len(y)));
    if (order || stack_len(x) != stack_len(y))
        return order ? order : stack_len(x) < stack_len(y) ? -1 : 1;
    return x->layer.number < y->layer.number ? -1 : x->layer.number > y->layer.number;
}

/* x[0 .. n), in order, to stacks. */
static int group(struct ldl_stacks *s, const struct numbered *x, size_t n, struct ldl_err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += i == 0 || !same_stack(&x[i - 1], &x[i]);
    if (!(s->stack = ldl_calloc(count + 1, sizeof *s->stack)))
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !same_stack(&x[i - 1], &x[i])) {
            s->stack[s->n] = (struct ldl_stack){ .name = x[i].name, .len = stack_len(&x[i]) };
            s->stack[s->n++].tower = ldl_tower_of(x[i].name);
        }
        struct ldl_stack *t = &s->stack[s->n - 1];
        t->holes |= x[i].layer.number > t->layers;
        t->layers = x[i].layer.number + 1;
    }
    return 0;
}

int ldl_stacks_read(struct ldl_stacks *s, const struct ldl_model *m, const unsigned char *keep,
                    struct ldl_err *err)
{
    size_t n = 0;
    struct numbered *x = ldl_calloc(m->nviews + 1, sizeof *x);
    *s = (struct ldl_stacks){ 0 };
    if (!x)
        return ldl_oom(err);
    for (size_t i = 0; i < m->nviews; i++)
        if ((!keep || keep[i]) && ldl_layer_of(m->by_name[i]->name, &x[n].layer))
            x[n++].name = m->by_name[i]->name;
    if (n)
        qsort(x, n, sizeof *x, by_stack);
    int rc = group(s, x, n, err);
    ldl_free(x);
    return rc;
}

void ldl_stacks_free(struct ldl_stacks *s)
{
    ldl_free(s->stack);
    *s = (struct ldl_stacks){ 0 };
}

int ldl_stack_has(const struct ldl_stack *s, const char *name, struct ldl_layer *layer)
{
    return ldl_layer_of(name, layer) && layer->at == s->len + 1 &&
           memcmp(name, s->name, s->len) == 0;
}

int ldl_stack_says(const struct ldl_stack *s, const char *word)
{
    size_t len = strlen(word);
    for (size_t at = 0; at + len <= s->len;) {
        size_t n = LDL_MIN(component(s->name + at), s->len - at);
        if (n == len && memcmp(s->name + at, word, n) == 0)
            return 1;
        at += n + 1;
    }
    return 0;
}

static int by_name(const void *name, const void *stack)
{
    const struct numbered *x = name;
    const struct ldl_stack *s = stack;
    int order = memcmp(x->name, s->name, LDL_MIN(stack_len(x), s->len));
    return order || stack_len(x) == s->len ? order : stack_len(x) < s->len ? -1 : 1;
}

const struct ldl_stack *ldl_stacks_find(const struct ldl_stacks *s, const char *name,
                                        struct ldl_layer *layer)
{
    struct numbered x = { .name = name };
    if (!s->n || !ldl_layer_of(name, &x.layer))
        return NULL;
    *layer = x.layer;
    return bsearch(&x, s->stack, s->n, sizeof *s->stack, by_name);
}

int ldl_stack_has_word(const struct ldl_stack *s, const char *word, size_t n)
{
    for (size_t at = 0; at + n <= s->len;) {
        size_t k = LDL_MIN(strcspn(s->name + at, "._"), s->len - at);
        if (k == n && memcmp(s->name + at, word, n) == 0)
            return 1;
        at += k + 1;
    }
    return 0;
}

/* ---- the main one ---- */

static int is_row(const struct ldl_stack *s)
{
    return !s->holes;
}

static int is_text(const struct ldl_stack *s)
{
    return s->tower == LDL_TOWER_TEXT && !ldl_stack_says(s, "mtp");
}

static int is_decoder(const struct ldl_stack *s)
{
    return ldl_stack_says(s, "decoder");
}

static int is_encoder(const struct ldl_stack *s)
{
    return ldl_stack_says(s, "encoder");
}

/* "layers", "h", "transformer_blocks": by its last component. */
static int is_called_so(const struct ldl_stack *s)
{
    size_t at = s->len;
    while (at && s->name[at - 1] != '.')
        at--;
    return has_word(s->name + at, s->len - at, "layer") ||
           has_word(s->name + at, s->len - at, "block") ||
           has_word(s->name + at, s->len - at, "=h");
}

const struct ldl_stack *ldl_stacks_main(const struct ldl_stacks *s)
{
    static int (*const rule[])(const struct ldl_stack *) = { is_row, is_text, is_decoder,
                                                             is_encoder, is_called_so };
    const struct ldl_stack *last = NULL;
    unsigned out[LDL_COUNT(rule) + 1] = { 0 }; /* rules that somebody keeps */
    for (size_t k = 0; k <= LDL_COUNT(rule); k++) {
        size_t left = 0;
        for (size_t i = 0; i < s->n; i++) {
            size_t r = 0;
            while (r < k && (!out[r] || rule[r](&s->stack[i])))
                r++;
            if (r < k)
                continue;
            left++;
            last = &s->stack[i];
            out[k] += k < LDL_COUNT(rule) && rule[k](last);
        }
        if (left == 1)
            return last;
    }
    return NULL;
}
