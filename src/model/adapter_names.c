/* adapter_names.c -- which tensor of the base an adapter's tensor belongs to.
 *
 * PEFT wraps the model, so every name begins with base_model.model. ; NAME is the adapter's own name,
 * which is left out by most versions:
 *
 *     M.lora_A[.NAME].weight    M.lora_B[.NAME].weight    M.lora_B[.NAME].bias
 *     M.lora_embedding_A[.NAME]     M.lora_embedding_B[.NAME]
 *     M.lora_magnitude_vector[.NAME][.weight]
 *     M.modules_to_save[.default].REST    M.base_layer.REST    M.REST     whole tensors
 *     M.original_module.REST              a copy of the base's tensor, not used
 *
 * Paddle has the base's names with lora_A and lora_B where they have "weight"; others are whole. The
 * base may be saved without the outer prefix of its names ("transformer.") or the adapter may. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a name says ---- */

static const struct mark {
    const char *word;
    enum ldl_role role;
} marks[] = {
    { "lora_A", LDL_ROLE_A },
    { "lora_B", LDL_ROLE_B },
    { "lora_embedding_A", LDL_ROLE_EMBEDDING_A },
    { "lora_embedding_B", LDL_ROLE_EMBEDDING_B },
    { "lora_magnitude_vector", LDL_ROLE_MAGNITUDE },
    { "modules_to_save", LDL_ROLE_WHOLE },
    { "base_layer", LDL_ROLE_WHOLE },
    { "original_module", LDL_ROLE_UNUSED },
};

/* The first part between dots that is a mark: *from, *to are its begin and end. */
static const struct mark *find_mark(const char *name, const char **from, const char **to)
{
    for (const char *p = name;; p++) {
        size_t n = strcspn(p, ".");
        for (size_t i = 0; i < LDL_COUNT(marks); i++)
            if (p != name && strlen(marks[i].word) == n && memcmp(p, marks[i].word, n) == 0) {
                *from = p;
                *to = p + n;
                return &marks[i];
            }
        p += n;
        if (!*p)
            return NULL;
    }
}

/* Is `rest` one of: word, NAME.word? (word "": nothing, NAME) */
static int ends_in(const char *rest, const char *word)
{
    size_t n = strcspn(rest, ".");
    if (!*word)
        return rest[n] == 0;
    return strcmp(rest, word) == 0 || (rest[n] == '.' && strcmp(rest + n + 1, word) == 0);
}

/* The role when what follows the mark is as it should be, else LDL_ROLES. */
static enum ldl_role role_of(enum ldl_role role, const char *rest)
{
    switch (role) {
    case LDL_ROLE_A: return ends_in(rest, "weight") ? role : LDL_ROLES;
    case LDL_ROLE_B:
        return ends_in(rest, "weight") ? role : ends_in(rest, "bias") ? LDL_ROLE_BIAS : LDL_ROLES;
    case LDL_ROLE_EMBEDDING_A:
    case LDL_ROLE_EMBEDDING_B: return ends_in(rest, "") ? role : LDL_ROLES;
    case LDL_ROLE_MAGNITUDE: return ends_in(rest, "") || ends_in(rest, "weight") ? role : LDL_ROLES;
    default: return *rest ? role : LDL_ROLES;
    }
}

static void peft_name(const char *name, enum ldl_role *role, struct ldl_buf *target)
{
    static const char wrap[] = "base_model.model.", own[] = "default.";
    const char *from, *to;
    while (strncmp(name, wrap, sizeof wrap - 1) == 0)
        name += sizeof wrap - 1;
    const struct mark *m = find_mark(name, &from, &to);
    const char *rest = m && *to ? to + 1 : "";
    *role = m ? role_of(m->role, rest) : LDL_ROLE_WHOLE;
    if (!m || *role == LDL_ROLES) { /* of no known form: the base will not have it */
        *role = LDL_ROLE_WHOLE;
        ldl_buf_puts(target, name);
        return;
    }
    ldl_buf_put(target, name, (size_t)(from - name));
    if (*role == LDL_ROLE_WHOLE && strncmp(rest, own, sizeof own - 1) == 0)
        rest += sizeof own - 1;
    ldl_buf_puts(target, *role == LDL_ROLE_BIAS    ? "bias"
                         : *role == LDL_ROLE_WHOLE ? rest
                                                   : "weight");
}

static void paddle_name(const char *name, enum ldl_role *role, struct ldl_buf *target)
{
    static const char *const word[] = { "lora_A", "lora_B" };
    int b = !strstr(name, word[0]) && strstr(name, word[1]);
    const char *at;
    *role = LDL_ROLE_WHOLE;
    while ((at = strstr(name, word[b]))) {
        *role = b ? LDL_ROLE_B : LDL_ROLE_A;
        ldl_buf_put(target, name, (size_t)(at - name));
        ldl_buf_puts(target, "weight");
        name = at + strlen(word[b]);
    }
    ldl_buf_puts(target, name);
}

int ldl_adapter_name(const char *name, int paddle, enum ldl_role *role, struct ldl_buf *target,
                     struct ldl_err *err)
{
    ldl_buf_reset(target);
    if (paddle)
        paddle_name(name, role, target);
    else
        peft_name(name, role, target);
    return target->failed ? ldl_oom(err) : 0;
}

/* ---- the base's tensor of that name ---- */

/* As strcmp() of the two texts read from their ends. */
static int compare_reversed(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    while (na && nb) {
        unsigned char x = (unsigned char)a[--na], y = (unsigned char)b[--nb];
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (na > 0) - (nb > 0);
}

static int by_reversed(const void *a, const void *b)
{
    const struct ldl_view *const *x = a, *const *y = b;
    return compare_reversed((*x)->name, (*y)->name);
}

static int sort_reversed(struct ldl_base_names *b, struct ldl_err *err)
{
    if (b->reversed || b->m->nviews == 0)
        return 0;
    if (!(b->reversed = ldl_calloc(b->m->nviews, sizeof *b->reversed)))
        return ldl_oom(err);
    for (size_t i = 0; i < b->m->nviews; i++)
        b->reversed[i] = &b->m->view[i];
    qsort(b->reversed, b->m->nviews, sizeof *b->reversed, by_reversed);
    return 0;
}

struct found {
    const struct ldl_view *first, *second;
};

static void add_found(struct found *f, const struct ldl_view *v)
{
    if (!f->first)
        f->first = v;
    else if (!f->second)
        f->second = v;
}

/* Base names that end in ".name". */
static int find_longer(struct ldl_base_names *b, const char *name, struct found *f,
                       struct ldl_err *err)
{
    struct ldl_buf dotted = { 0 };
    int status = sort_reversed(b, err);
    if (status)
        return status;
    ldl_buf_printf(&dotted, ".%s", name);
    if (dotted.failed) {
        ldl_buf_free(&dotted);
        return ldl_oom(err);
    }
    size_t lo = 0, hi = b->m->nviews;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_reversed(b->reversed[mid]->name, dotted.text) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < b->m->nviews && !f->second; lo++) {
        if (!ldl_has_suffix(b->reversed[lo]->name, dotted.text))
            break;
        add_found(f, b->reversed[lo]);
    }
    ldl_buf_free(&dotted);
    return 0;
}

int ldl_base_find(struct ldl_base_names *b, const char *name, const struct ldl_view **view,
                  struct ldl_err *err)
{
    struct found f = { 0 };
    if ((*view = ldl_model_find(b->m, name)))
        return 0;
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        const struct ldl_view *v = strchr(dot + 1, '.') ? ldl_model_find(b->m, dot + 1) : NULL;
        if (v) /* a last part alone ("weight") would say too little */
            add_found(&f, v);
    }
    int status = find_longer(b, name, &f, err);
    if (status)
        return status;
    if (f.second)
        return ldl_fail(err, LDL_EINPUT,
                        "the name '%.200s' may mean the base's '%.200s' or '%.200s'", name,
                        f.first->name, f.second->name);
    *view = f.first;
    return 0;
}
