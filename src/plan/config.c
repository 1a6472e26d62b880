/* config.c -- what a merge changes in config.json, also inside the configs of its parts ("text_config").
 *
 *     dtype, torch_dtype      wherever they are
 *     quantization_config     removed, or that of FP8
 *     number of layers        where the stack that was cut has it: "num_hidden_layers" in text_config or at
 *                             the top, "depth" in vision_config, "decoder_layers" ...
 *     lists about layers      there, too (per_layer.c)
 *     vocab_size, tie_word_embeddings    of the text
 *
 * Of a count the words tell whose it is: what is left without "num", "hidden", "layers" must be in the
 * stack's name, as "single" of num_single_layers in single_transformer_blocks. The bytes of these values
 * are exchanged and no others. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/fp8_out.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

enum { LEVELS = 4, INNER = 12 };

/* The file, and one object of it. */
struct file {
    struct ldl_plan *p;
    const char *path;
    struct ldl_stacks all; /* of the model that gives it */
    const struct ldl_stack *main;
    const char *dtype; /* JSON text, or NULL */
    const char *fp8;   /* the quantization_config of the output, or NULL */
    int unquantized, untied;
    int rows_at_top;        /* vocab_size is there */
    unsigned char *counted; /* of each module: a count of its layers was found, */
    unsigned char *listed;  /* a list of its layers */
};
struct level {
    const struct level *outer; /* NULL: the top */
    const char *key;
};
/* Edits of one object, with the texts they need. */
struct edits {
    struct ldl_edit edit[LDL_CONFIG_EDITS];
    size_t n;
    struct ldl_names key;
    struct ldl_buf text[LDL_CONFIG_EDITS];
};

static void add(struct edits *e, const char *key, const char *value, int even_new)
{
    if (e->n < LDL_CONFIG_EDITS)
        e->edit[e->n++] = (struct ldl_edit){ key, value, even_new };
}

/* With copies of both. */
static int add_copy(struct edits *e, const char *key, const char *value, struct ldl_err *err)
{
    if (e->n == LDL_CONFIG_EDITS)
        return 0;
    struct ldl_buf *b = &e->text[e->n];
    ldl_buf_puts(b, value);
    if (b->failed || ldl_names_add(&e->key, key))
        return ldl_oom(err);
    add(e, e->key.name[e->key.n - 1], b->text, 0);
    return 0;
}

static void free_edits(struct edits *e)
{
    for (size_t i = 0; i < LDL_CONFIG_EDITS; i++)
        ldl_buf_free(&e->text[i]);
    ldl_names_free(&e->key);
}

/* ---- which object is about which stack ---- */

/* Is the member the config of a part of the model? */
static int is_part(const char *key)
{
    static const char *const not_one[] = { "quantization_config", "compression_config",
                                           "generation_config" };
    for (size_t i = 0; i < LDL_COUNT(not_one); i++)
        if (strcmp(key, not_one[i]) == 0)
            return 0;
    return ldl_has_suffix(key, "_config") || strcmp(key, "encoder") == 0 ||
           strcmp(key, "decoder") == 0;
}

/* "thinker" of "thinker_config" as a component of the stack's name. */
static int names_stack(const char *key, const struct ldl_stack *s)
{
    char word[64];
    size_t n = strlen(key), tail = strlen("_config");
    n -= ldl_has_suffix(key, "_config") ? tail : 0;
    if (n == 0 || n >= sizeof word)
        return 0;
    memcpy(word, key, n);
    word[n] = 0;
    return ldl_stack_says(s, word);
}

/* The top is about the text, or about the only kind of layers that there is. */
static int top_is_about(const struct file *f, const struct ldl_stack *s)
{
    for (size_t i = 0; s->tower != LDL_TOWER_TEXT && i < f->all.n; i++)
        if (f->all.stack[i].tower != s->tower)
            return 0;
    return 1;
}

static int is_about(const struct file *f, const struct level *l, const struct ldl_stack *s)
{
    if (!l->outer)
        return top_is_about(f, s);
    if (ldl_tower_of(l->key) != LDL_TOWER_TEXT)
        return ldl_tower_of(l->key) == s->tower;
    int here = ldl_tower_says_text(l->key) ? s->tower == LDL_TOWER_TEXT : names_stack(l->key, s);
    return here && (!l->outer->outer || is_about(f, l->outer, s));
}

/* ---- counts of layers ---- */

enum kind { NO_COUNT, ANY, ANY_IF_EQUAL, OF_THIS };

static int is_word(const char *w, size_t n, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == n && memcmp(w, list[i], n) == 0)
            return 1;
    return 0;
}

/* Is the key a count of layers, and of any or of those of the stack? */
static enum kind kind_of_count(const char *key, const struct ldl_stack *s)
{
    static const char *const usual[] = { "num_hidden_layers", "n_layer", "num_layers", "n_layers" };
    static const char *const units[] = { "layer", "layers", "block", "blocks", "depth" };
    static const char *const fill[] = { "num", "n", "hidden" };
    int unit = 0, own = 0;
    if (is_word(key, strlen(key), usual, LDL_COUNT(usual)))
        return ANY;
    for (const char *w = key; *w;) {
        size_t n = strcspn(w, "_");
        int is_unit = is_word(w, n, units, LDL_COUNT(units));
        int is_own = !is_unit && !is_word(w, n, fill, LDL_COUNT(fill));
        if (is_own && !ldl_stack_has_word(s, w, n))
            return NO_COUNT;
        unit |= is_unit;
        own |= is_own;
        w += n + (w[n] == '_');
    }
    return !unit ? NO_COUNT : own ? OF_THIS : ANY_IF_EQUAL;
}

/* Where encoder and decoder share an object, a count without a word is the encoder's. */
static int is_decoder_of_two(const struct file *f, const struct ldl_stack *s)
{
    int encoder = 0;
    for (size_t i = 0; i < f->all.n; i++)
        encoder |= f->all.stack[i].tower == s->tower && ldl_stack_says(&f->all.stack[i], "encoder");
    return encoder && ldl_stack_says(s, "decoder");
}

static int is_main(const struct file *f, const struct ldl_stack *s)
{
    return f->main && f->main->len == s->len && memcmp(f->main->name, s->name, s->len) == 0;
}

struct count {
    enum kind kind;
    int is_old; /* its value is the number of layers that the model had */
};

static int read_count(struct ldl_json *j, const char *key, const struct ldl_stack *s, uint64_t old,
                      struct count *c, struct ldl_err *err)
{
    const char *from, *to;
    char text[32];
    int rc = ldl_json_skip(j, &from, &to, err);
    size_t n = rc ? 0 : (size_t)(to - from);
    *c = (struct count){ NO_COUNT, 0 };
    if (rc || n == 0 || n > 9 || strspn(from, "0123456789") < n)
        return rc;
    snprintf(text, sizeof text, "%llu", (unsigned long long)old);
    c->is_old = strlen(text) == n && memcmp(text, from, n) == 0;
    c->kind = kind_of_count(key, s);
    return 0;
}

/* One walk over the object: own: only keys that name the stack; else the others. *found: how many. */
static int add_counts(struct file *f, struct edits *e, size_t module, int own, const char *json,
                      size_t len, size_t *found, struct ldl_err *err)
{
    const struct ldl_stack *s = f->p->module[module].stack;
    uint64_t old = ldl_plan_layers_in(f->p, module, ldl_plan_giver(f->p));
    struct ldl_buf key = { 0 };
    struct ldl_json j;
    char number[32];
    int rc, more = 0;
    snprintf(number, sizeof number, "%llu", (unsigned long long)f->p->module[module].layers);
    ldl_json_open(&j, json, len, f->path);
    rc = ldl_json_enter(&j, '{', err);
    while (rc == 0 && (more = ldl_json_member(&j, &key, err)) > 0) {
        struct count c;
        rc = read_count(&j, key.text, s, old, &c, err);
        int take = own ? c.kind == OF_THIS
                       : (c.kind == ANY && (c.is_old || is_main(f, s))) ||
                             (c.kind == ANY_IF_EQUAL && c.is_old);
        if (rc || !take)
            continue;
        ++*found;
        rc = add_copy(e, key.text, number, err);
    }
    ldl_buf_free(&key);
    return rc ? rc : -more;
}

static int edit_layers(struct file *f, struct edits *e, size_t module, const char *json, size_t len,
                       struct ldl_err *err)
{
    const struct ldl_stack *s = f->p->module[module].stack;
    struct ldl_layer_lists lists = { 0 };
    size_t found = 0;
    int rc = add_counts(f, e, module, 1, json, len, &found, err);
    /* BART's num_hidden_layers repeats encoder_layers; a decoder's own count stands alone. */
    int others = found ? ldl_stack_says(s, "encoder") : !is_decoder_of_two(f, s);
    if (rc == 0 && others)
        rc = add_counts(f, e, module, 0, json, len, &found, err);
    f->counted[module] |= found > 0;
    if (rc == 0)
        rc = ldl_plan_layer_lists(f->p, module, &f->all, json, len, f->path, &lists, err);
    for (size_t i = 0; rc == 0 && i < lists.n; i++)
        rc = add_copy(e, lists.key.name[i], lists.value[i].text, err);
    f->listed[module] |= lists.n > 0;
    ldl_layer_lists_free(&lists);
    return rc;
}

/* ---- one object ---- */

static int edit_object(struct file *f, const struct level *l, const char *json, size_t len,
                       struct ldl_buf *out, struct ldl_err *err);

/* Inside a part only a type of numbers is one. */
static int names_type(const char *from, const char *to)
{
    char word[32];
    size_t n = (size_t)(to - from);
    if (n < 3 || n > sizeof word || *from != '"')
        return 0;
    memcpy(word, from + 1, n - 2);
    word[n - 2] = 0;
    enum ldl_dtype t = ldl_dtype_from_word(word);
    return t != LDL_DTYPES && ldl_dtype_is_float(t);
}

static int edit_inner(struct file *f, const struct level *l, struct edits *e, const char *key,
                      const char *from, const char *to, struct ldl_err *err)
{
    const struct level inner = { l, key };
    struct ldl_buf text = { 0 };
    size_t n = (size_t)(to - from);
    int rc = edit_object(f, &inner, from, n, &text, err);
    if (rc == 0 && text.len && (text.len != n || memcmp(text.text, from, n) != 0))
        rc = add_copy(e, key, text.text, err);
    ldl_buf_free(&text);
    return rc;
}

/* Types, and the parts inside. */
static int edit_members(struct file *f, const struct level *l, struct edits *e, const char *json,
                        size_t len, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    struct ldl_json j;
    const char *from, *to;
    int rc, more = 0, depth = 0, inner = 0;
    for (const struct level *up = l; up; up = up->outer)
        depth++;
    ldl_json_open(&j, json, len, f->path);
    rc = ldl_json_enter(&j, '{', err);
    while (rc == 0 && (more = ldl_json_member(&j, &key, err)) > 0) {
        int object = ldl_json_peek(&j) == '{';
        if ((rc = ldl_json_skip(&j, &from, &to, err)))
            break;
        int is_dtype = strcmp(key.text, "dtype") == 0 || strcmp(key.text, "torch_dtype") == 0;
        if (f->dtype && is_dtype && (!l->outer || names_type(from, to)))
            rc = add_copy(e, key.text, f->dtype, err);
        else if (object && is_part(key.text) && depth < LEVELS && inner++ < INNER)
            rc = edit_inner(f, l, e, key.text, from, to, err);
    }
    ldl_buf_free(&key);
    return rc ? rc : -more;
}

static void edit_quantization(const struct file *f, const struct level *l, struct edits *e)
{
    if (!f->fp8 && !f->unquantized)
        return;
    const char *value = l->outer ? NULL : f->fp8;
    add(e, "quantization_config", value, value != NULL);
    add(e, "compression_config", NULL, 0);
}

static int edit_object(struct file *f, const struct level *l, const char *json, size_t len,
                       struct ldl_buf *out, struct ldl_err *err)
{
    const struct ldl_plan *p = f->p;
    struct edits *e = ldl_calloc(1, sizeof *e);
    char rows[32];
    if (!e)
        return ldl_oom(err);
    int of_text = f->main ? is_about(f, l, f->main) : !l->outer || ldl_tower_says_text(l->key);
    int rc = edit_members(f, l, e, json, len, err);
    edit_quantization(f, l, e);
    for (size_t i = 0; rc == 0 && p->module && i < p->recipe.nmodules; i++)
        if (p->module[i].stack && is_about(f, l, p->module[i].stack))
            rc = edit_layers(f, e, i, json, len, err);
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)p->rows);
    if (p->rows && of_text) /* Gemma 3 says it nowhere: what its text_config means is a default */
        add(e, "vocab_size", rows,
            f->main && l->outer && !f->rows_at_top && ldl_tower_says_text(l->key));
    if (f->untied && of_text)
        add(e, "tie_word_embeddings", "false", !l->outer);
    if (rc == 0 && e->n)
        rc = ldl_config_edit(json, len, f->path, e->edit, e->n, out, err);
    free_edits(e);
    ldl_free(e);
    return rc;
}

/* ---- the file ---- */

/* What a loader must know of weights in FP8 blocks; empty when there are none. */
static int fp8_config(const struct ldl_plan *p, struct ldl_buf *text, struct ldl_err *err)
{
    struct ldl_fp8_config c;
    size_t weights = 0;
    ldl_fp8_config_begin(&c, text);
    for (size_t t = 0; t < p->njobs; t++) {
        weights += p->job[t].scales != NULL;
        if (!p->job[t].scales)
            ldl_fp8_config_skip(&c, p->job[t].name, p->job[t].ndim);
    }
    ldl_fp8_config_end(&c);
    if (text->failed)
        return ldl_oom(err);
    if (!weights)
        ldl_buf_reset(text);
    return 0;
}

/* What a list says of each layer is right again; what is said in other ways may not be. */
static int note_odd(const struct file *f, size_t i, struct ldl_err *err)
{
    const struct ldl_plan_module *m = &f->p->module[i];
    char text[512];
    if (!m->is_odd || f->listed[i])
        return 0;
    snprintf(
        text, sizeof text,
        "slices: layer %llu of %.*s comes from layer %llu, whose tensors have other names than "
        "those of layer %llu; what config.json says of layers by their number may not hold",
        (unsigned long long)m->odd_layer, (int)LDL_MIN(m->stack->len, (size_t)200), m->stack->name,
        (unsigned long long)m->odd_from, (unsigned long long)m->odd_layer);
    return ldl_plan_note(f->p, text, err);
}

/* A count that was found nowhere must not stay wrong in silence. */
static int note_counts(const struct file *f, struct ldl_err *err)
{
    struct ldl_plan *p = f->p;
    char text[512];
    int rc = 0;
    for (size_t i = 0; rc == 0 && p->module && i < p->recipe.nmodules; i++) {
        const struct ldl_plan_module *m = &p->module[i];
        rc = note_odd(f, i, err);
        if (rc || !m->stack || f->counted[i] ||
            m->layers == ldl_plan_layers_in(p, i, ldl_plan_giver(p)))
            continue;
        snprintf(text, sizeof text,
                 "config.json: no number of layers of %.*s is found in it; they are %llu now",
                 (int)LDL_MIN(m->stack->len, (size_t)200), m->stack->name,
                 (unsigned long long)m->layers);
        rc = ldl_plan_note(p, text, err);
    }
    return rc;
}

int ldl_plan_config(struct ldl_plan *p, const struct ldl_model *from, const struct ldl_buf *text,
                    const char *path, struct ldl_buf *out, struct ldl_err *err)
{
    const struct level top = { NULL, NULL };
    struct ldl_buf word = { 0 }, fp8 = { 0 };
    struct file f = { .p = p, .path = path, .unquantized = from->fp8 };
    const char *top_rows;
    size_t ntop_rows = 0;
    int rc = ldl_config_find(text->text, text->len, path, "vocab_size", &top_rows, &ntop_rows, err);
    f.rows_at_top = ntop_rows > 0;
    if (rc == 0)
        rc = ldl_stacks_read(&f.all, from, NULL, err);
    f.main = ldl_stacks_main(&f.all);
    f.counted = ldl_calloc(p->recipe.nmodules + 1, 1);
    f.listed = ldl_calloc(p->recipe.nmodules + 1, 1);
    if (rc == 0 && (!f.counted || !f.listed))
        rc = ldl_oom(err);
    if (rc == 0 && p->recipe.dtype == LDL_F8_E4M3)
        rc = fp8_config(p, &fp8, err);
    if (p->recipe.dtype != LDL_DTYPES && p->recipe.dtype != LDL_F8_E4M3)
        ldl_buf_json(&word, ldl_dtype_name(p->recipe.dtype));
    f.dtype = word.text;
    f.fp8 = fp8.len ? fp8.text : NULL;
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        f.untied |= p->model[i].untied;
    if (rc == 0 && word.failed)
        rc = ldl_oom(err);
    if (rc == 0)
        rc = edit_object(&f, &top, text->text, text->len, out, err);
    if (rc == 0)
        rc = note_counts(&f, err);
    ldl_stacks_free(&f.all);
    ldl_free(f.counted);
    ldl_free(f.listed);
    ldl_buf_free(&word);
    ldl_buf_free(&fp8);
    return rc;
}
