/* mergekit_read.c -- the text of a recipe: what is in it, and what must not be.
 *
 *     models: [{model: A, parameters: {...}}, ...]      or      slices: [{sources: [...]}, ...]
 *     merge_method: ties
 *     base_model: BASE
 *     parameters: {...}
 *     dtype: bfloat16
 *
 * Published recipes carry keys and parameters that nobody reads; they must run, so what is unknown is a
 * note with its place and the nearest known name. What is known and not in this build is an error:
 * a recipe is followed as it is written or not at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"

#include <string.h>

enum { ENTRIES_MAX = LDL_MAX_MODELS, SLICES_MAX = 10000 };

int ldl_mk_fail(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node, const char *what)
{
    return ldl_yaml_fail(&rd->mk->yaml, node, rd->err, LDL_EUSAGE, "%s", what);
}

static int note(const struct ldl_mk_reader *rd, const char *text)
{
    return ldl_names_add(&rd->r->note, text) ? ldl_oom(rd->err) : 0;
}

/* The map of parameters of a node, NULL when it has none. */
static int take_params(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                       const struct ldl_yaml_node **params)
{
    *params = ldl_yaml_find(node, "parameters");
    if (!*params || (*params)->kind == LDL_YAML_NULL) {
        *params = NULL;
        return 0;
    }
    if ((*params)->kind != LDL_YAML_MAP)
        return ldl_mk_fail(rd, *params, "parameters: a map of names and values is expected");
    return ldl_mk_check_params(rd, *params);
}

static int take_text(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *map,
                     const char *name, const char **out)
{
    const struct ldl_yaml_node *node = ldl_yaml_find(map, name);
    *out = NULL;
    if (!node || node->kind == LDL_YAML_NULL)
        return 0;
    if (node->kind == LDL_YAML_SEQ || node->kind == LDL_YAML_MAP || !node->text || !*node->text)
        return ldl_yaml_fail(&rd->mk->yaml, node, rd->err, LDL_EUSAGE, "%s: a text is expected",
                             name);
    *out = node->text;
    return 0;
}

/* ---- models and slices ---- */

/* mergekit also writes a model as {model: {path: X}, lora: {path: Y}}; that form is rare. */
static int take_model(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                      struct ldl_mk_entry *e)
{
    const struct ldl_yaml_node *model =
        node->kind == LDL_YAML_MAP ? ldl_yaml_find(node, "model") : node;
    if (!model && ldl_mk_blame(rd->mk, node, "model", rd->err))
        return LDL_EUSAGE;
    if (!model)
        return ldl_mk_fail(rd, node, "an item without a model: write 'model: PATH'");
    if (model->kind == LDL_YAML_MAP || model->kind == LDL_YAML_SEQ || !model->text || !*model->text)
        return ldl_mk_fail(rd, model,
                           "model: a path or a name is expected, as base or base+adapter");
    e->model = model->text;
    return 0;
}

static int take_range(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                      struct ldl_mk_entry *e)
{
    const struct ldl_yaml_node *range = ldl_yaml_find(node, "layer_range");
    if (!range && ldl_mk_blame(rd->mk, node, "layer_range", rd->err))
        return LDL_EUSAGE;
    if (!range)
        return ldl_mk_fail(rd, node,
                           "a source without layer_range: write 'layer_range: [first, end]'");
    if (range->kind != LDL_YAML_SEQ || range->n != 2 || range->item[0]->kind != LDL_YAML_INT ||
        range->item[1]->kind != LDL_YAML_INT)
        return ldl_mk_fail(rd, range, "layer_range: two whole numbers are expected, [first, end]");
    e->first = range->item[0]->integer;
    e->end = range->item[1]->integer;
    if (e->first < 0 || e->end < e->first || e->end > 1000000)
        return ldl_mk_fail(rd, range,
                           "layer_range: [first, end] with 0 <= first <= end is expected");
    return 0;
}

static int take_entry(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                      struct ldl_mk_entry *e)
{
    static const char *const of_models[] = { "model", "parameters" };
    static const char *const of_sources[] = { "model", "layer_range", "parameters" };
    int whole = rd->mk->whole, rc = take_model(rd, node, e);
    e->node = node;
    if (rc || node->kind != LDL_YAML_MAP)
        return rc || whole ? rc : ldl_mk_fail(rd, node, "a source is {model, layer_range}");
    rc = whole ? ldl_mk_check_keys(rd, node, of_models, LDL_COUNT(of_models))
               : ldl_mk_check_keys(rd, node, of_sources, LDL_COUNT(of_sources));
    if (rc == 0 && !whole)
        rc = take_range(rd, node, e);
    return rc ? rc : take_params(rd, node, &e->params);
}

static int take_entries(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *list,
                        struct ldl_mk_slice *s, const char *name)
{
    if (list->kind != LDL_YAML_SEQ || list->n == 0)
        return ldl_yaml_fail(&rd->mk->yaml, list, rd->err, LDL_EUSAGE,
                             "%s: a list with one item or more is expected, as '- model: PATH'",
                             name);
    if (list->n > ENTRIES_MAX)
        return ldl_yaml_fail(&rd->mk->yaml, list, rd->err, LDL_EUSAGE, "%s: more than %d items",
                             name, ENTRIES_MAX);
    if (!(s->entry = ldl_calloc(list->n, sizeof *s->entry)))
        return ldl_oom(rd->err);
    int rc = 0;
    for (s->n = 0; rc == 0 && s->n < list->n; s->n++)
        rc = take_entry(rd, list->item[s->n], &s->entry[s->n]);
    return rc;
}

static int take_slice(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node,
                      struct ldl_mk_slice *s)
{
    static const char *const keys[] = { "sources", "parameters", "base_model" };
    if (node->kind != LDL_YAML_MAP)
        return ldl_mk_fail(rd, node, "a slice is {sources: [...]}");
    int rc = ldl_mk_check_keys(rd, node, keys, LDL_COUNT(keys));
    if (rc == 0)
        rc = take_text(rd, node, "base_model", &s->base);
    if (rc == 0)
        rc = take_params(rd, node, &s->params);
    if (rc == 0 && !ldl_yaml_find(node, "sources"))
        rc = ldl_mk_fail(rd, node,
                         "a slice without sources: write '- sources: [{model, layer_range}]'");
    if (rc == 0)
        rc = take_entries(rd, ldl_yaml_find(node, "sources"), s, "sources");
    for (size_t i = 1; rc == 0 && i < s->n; i++)
        if (s->entry[i].end - s->entry[i].first != s->entry[0].end - s->entry[0].first)
            rc = ldl_mk_fail(rd, s->entry[i].node,
                             "all sources of a slice must have the same number of layers");
    return rc;
}

static int take_slices(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *list)
{
    struct ldl_mk *mk = rd->mk;
    if (list->kind != LDL_YAML_SEQ || list->n == 0 || list->n > SLICES_MAX)
        return ldl_mk_fail(rd, list, "slices: a list with one slice or more is expected");
    if (!(mk->slice = ldl_calloc(list->n, sizeof *mk->slice)))
        return ldl_oom(rd->err);
    int rc = 0;
    for (mk->nslices = 0; rc == 0 && mk->nslices < list->n; mk->nslices++)
        rc = take_slice(rd, list->item[mk->nslices], &mk->slice[mk->nslices]);
    return rc;
}

static int take_models(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *list)
{
    struct ldl_mk *mk = rd->mk;
    mk->whole = 1;
    if (!(mk->slice = ldl_calloc(1, sizeof *mk->slice)))
        return ldl_oom(rd->err);
    mk->nslices = 1;
    return take_entries(rd, list, mk->slice, "models");
}

/* ---- the recipe ---- */

/* Files of mergekit's other programs look alike. */
static int fail_no_method(const struct ldl_mk_reader *rd)
{
    static const struct {
        const char *key, *program;
    } other[] = { { "experts", "mergekit-moe" },
                  { "genome", "mergekit-evolve" },
                  { "layer_slices", "bakllama" } };
    for (size_t i = 0; i < LDL_COUNT(other); i++)
        if (ldl_yaml_find(rd->mk->root, other[i].key))
            return ldl_yaml_fail(&rd->mk->yaml, rd->mk->root, rd->err, LDL_EUSAGE,
                                 "no merge_method, but %s: this is for %s, which ladle does not do",
                                 other[i].key, other[i].program);
    if (ldl_mk_blame(rd->mk, rd->mk->root, "merge_method", rd->err))
        return LDL_EUSAGE;
    return ldl_mk_fail(rd, rd->mk->root,
                       "merge_method is missing; `ladle methods` lists what there is");
}

static int take_method(const struct ldl_mk_reader *rd)
{
    const char *name, *names[64];
    size_t n = 0;
    int rc = take_text(rd, rd->mk->root, "merge_method", &name);
    if (rc)
        return rc;
    if (!name)
        return fail_no_method(rd);
    if ((rd->mk->method = ldl_method_find(LDL_MERGEKIT, name)))
        return 0;
    if (strcmp(name, "rectify_embed") == 0) /* a file of mergekit's beside the methods */
        return ldl_mk_fail(rd, ldl_yaml_find(rd->mk->root, "merge_method"),
                           "rectify_embed is no merge method: embeddings of different height are "
                           "cut to their common rows in every method; name the one you want");
    for (const struct ldl_method *m = ldl_methods; m->name && n < LDL_COUNT(names); m++)
        if (strcmp(m->language, LDL_MERGEKIT) == 0)
            names[n++] = m->name;
    const char *near = ldl_nearest(name, names, n);
    return ldl_yaml_fail(&rd->mk->yaml, ldl_yaml_find(rd->mk->root, "merge_method"), rd->err,
                         LDL_EUSAGE, "unknown merge method '%s'%s%s%s", name,
                         near ? "; did you mean '" : "; `ladle methods` lists them",
                         near ? near : "", near ? "'?" : "");
}

/* Where models or slices are: the recipe itself, or its only module. */
static int take_module(const struct ldl_mk_reader *rd, const struct ldl_yaml_node **where)
{
    static const char *const keys[] = { "models", "slices", "parameters" };
    struct ldl_mk *mk = rd->mk;
    const struct ldl_yaml_node *modules = ldl_yaml_find(mk->root, "modules");
    *where = mk->root;
    if (!modules || modules->kind == LDL_YAML_NULL)
        return 0;
    if (ldl_yaml_find(mk->root, "models") || ldl_yaml_find(mk->root, "slices"))
        return ldl_mk_fail(rd, modules, "exactly one of models, slices and modules is expected");
    if (modules->kind != LDL_YAML_MAP || modules->n == 0)
        return ldl_mk_fail(rd, modules, "modules: a map of names and modules is expected");
    if (modules->n > 1 || strcmp(modules->key[0].text, "default") != 0)
        return ldl_mk_fail(rd, modules,
                           "modules other than the one called default are not in this build");
    *where = modules->item[0];
    if ((*where)->kind != LDL_YAML_MAP)
        return ldl_mk_fail(rd, *where, "a module is {slices: [...]} or {models: [...]}");
    int rc = ldl_mk_check_keys(rd, *where, keys, LDL_COUNT(keys));
    return rc ? rc : take_params(rd, *where, &mk->module_params);
}

static int take_parts(const struct ldl_mk_reader *rd)
{
    const struct ldl_yaml_node *where = NULL;
    int rc = take_module(rd, &where);
    if (rc)
        return rc;
    const struct ldl_yaml_node *models = ldl_yaml_find(where, "models");
    const struct ldl_yaml_node *slices = ldl_yaml_find(where, "slices");
    if (!models && !slices &&
        (ldl_mk_blame(rd->mk, where, "models", rd->err) ||
         ldl_mk_blame(rd->mk, where, "slices", rd->err)))
        return LDL_EUSAGE;
    if (!models == !slices)
        return ldl_mk_fail(rd, where, "exactly one of models and slices is expected");
    return models ? take_models(rd, models) : take_slices(rd, slices);
}

static int take_types(const struct ldl_mk_reader *rd)
{
    const char *dtype, *out;
    int rc = take_text(rd, rd->mk->root, "dtype", &dtype);
    if (rc == 0)
        rc = take_text(rd, rd->mk->root, "out_dtype", &out);
    if (rc)
        return rc;
    const char *words[] = { dtype, out };
    for (size_t i = 0; i < LDL_COUNT(words); i++) {
        enum ldl_dtype t = words[i] ? ldl_dtype_from_word(words[i]) : LDL_F32;
        if (t == LDL_DTYPES || t == LDL_Q8_0)
            return ldl_yaml_fail(
                &rd->mk->yaml, ldl_yaml_find(rd->mk->root, i ? "out_dtype" : "dtype"), rd->err,
                LDL_EUSAGE, "%s: '%s' is unknown; use float32, bfloat16, float16 or float64",
                i ? "out_dtype" : "dtype", words[i]);
    }
    rd->mk->dtype = out ? out : dtype;
    return 0;
}

static int take_root(const struct ldl_mk_reader *rd)
{
    static const char *const keys[] = { "models",           "slices",     "modules",
                                        "merge_method",     "base_model", "dtype",
                                        "out_dtype",        "parameters", "tokenizer",
                                        "tokenizer_source", "name",       "chat_template" };
    struct ldl_mk *mk = rd->mk;
    int rc = take_method(rd);
    if (rc == 0)
        rc = ldl_mk_check_keys(rd, mk->root, keys, LDL_COUNT(keys));
    if (rc == 0)
        rc = take_text(rd, mk->root, "base_model", &mk->base);
    if (rc == 0)
        rc = ldl_mk_take_tokenizer(rd);
    if (rc == 0)
        rc = take_types(rd);
    if (rc == 0)
        rc = take_params(rd, mk->root, &mk->params);
    return rc ? rc : take_parts(rd);
}

enum { DOCUMENTS_MAX = 64 };

static int name_document(const struct ldl_yaml *y, size_t i, struct ldl_names *names, size_t *main,
                         struct ldl_err *err)
{
    const struct ldl_yaml_node *root = y->document[i], *name = ldl_yaml_find(root, "name");
    int has = y->ndocuments > 1 && name && name->kind != LDL_YAML_NULL;
    if (has && (name->kind == LDL_YAML_SEQ || name->kind == LDL_YAML_MAP || !*name->text))
        return ldl_yaml_fail(y, name, err, LDL_EUSAGE, "name: a text is expected");
    for (size_t k = 0; has && k < i; k++)
        if (strcmp(names->name[k], name->text) == 0)
            return ldl_yaml_fail(y, name, err, LDL_EUSAGE, "two recipes are called '%s'",
                                 name->text);
    if (!has && *main < i)
        return ldl_yaml_fail(y, root, err, LDL_EUSAGE,
                             "a second recipe without a name: which of them is the result? Give a "
                             "name to all but one");
    if (!has)
        *main = i;
    return ldl_names_add(names, has ? name->text : "") ? ldl_oom(err) : 0;
}

int ldl_mk_documents(const char *path, struct ldl_names *names, size_t *main, struct ldl_err *err)
{
    struct ldl_yaml y = { 0 };
    int rc = ldl_yaml_read(&y, path, err);
    *main = SIZE_MAX;
    if (rc == 0 && y.ndocuments > DOCUMENTS_MAX)
        rc = ldl_yaml_fail(&y, y.document[DOCUMENTS_MAX], err, LDL_EUSAGE, "more than %d recipes",
                           DOCUMENTS_MAX);
    for (size_t i = 0; rc == 0 && i < y.ndocuments; i++)
        rc = name_document(&y, i, names, main, err);
    if (rc == 0 && y.ndocuments && *main == SIZE_MAX)
        rc = ldl_yaml_fail(&y, y.document[0], err, LDL_EUSAGE,
                           "all recipes have names: leave out that of the one whose result is "
                           "wanted");
    if (rc == 0 && y.ndocuments == 0)
        *main = 0; /* and ldl_mk_read() says what it thinks of that */
    ldl_yaml_free(&y);
    return rc;
}

int ldl_mk_read(struct ldl_mk *mk, struct ldl_recipe *r, const char *path, size_t document,
                int strict, struct ldl_err *err)
{
    const struct ldl_mk_reader rd = { mk, r, strict, err };
    int rc = ldl_yaml_read(&mk->yaml, path, err);
    for (size_t i = 0; rc == 0 && document == 0 && i < mk->yaml.warning.n; i++)
        rc = note(&rd, mk->yaml.warning.name[i]);
    if (rc)
        return rc;
    if (mk->yaml.ndocuments <= document || mk->yaml.document[document]->kind != LDL_YAML_MAP)
        return ldl_fail(err, LDL_EUSAGE, "%s: not a recipe: a map with merge_method is expected",
                        path);
    mk->root = mk->yaml.document[document];
    return take_root(&rd);
}

void ldl_mk_free(void *p)
{
    struct ldl_mk *mk = p;
    if (!mk)
        return;
    for (size_t i = 0; i < mk->nslices; i++)
        ldl_free(mk->slice[i].entry);
    ldl_free(mk->slice);
    ldl_free(mk->input);
    ldl_yaml_free(&mk->yaml);
    ldl_free(mk);
}
