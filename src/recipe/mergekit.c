/* mergekit.c -- the language of arcee-ai's mergekit-yaml: a recipe, a directory, options.
 *
 *     recipe.yml OUT --out-shard-size 5B --random-seed 7
 *
 * The recipe says which models, slices and parameters (mergekit_read.c, mergekit_fill.c), the options are
 * in mergekit_options.c. This file holds what follows from the recipe as a whole: which entry is the base,
 * which model gives the side files, what the output is called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"
#include "recipe/own.h"

#include <stdio.h>
#include <string.h>

static int copy_text(char **to, const char *from, struct ldl_err *err)
{
    *to = from ? ldl_strdup(from) : NULL;
    return from && !*to ? ldl_oom(err) : 0;
}

/* ---- models ---- */

/* The base of a slice, or NULL. */
static const char *base_of(const struct ldl_mk *mk, const struct ldl_mk_slice *s)
{
    return s->base ? s->base : mk->base;
}

static int is_base(const struct ldl_mk *mk, const struct ldl_mk_slice *s,
                   const struct ldl_mk_entry *e)
{
    const char *base = base_of(mk, s);
    return base && !mk->method->combiner->ignores_base && strcmp(base, e->model) == 0;
}

/* A method that takes a base beside its models cannot have it as one of them. */
static int check_base_apart(const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; c->base_apart && s < mk->nslices; s++)
        for (size_t i = 0; i < mk->slice[s].n; i++)
            if (is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]))
                return ldl_yaml_fail(&mk->yaml, mk->slice[s].entry[i].node, err, LDL_EUSAGE,
                                     "%s: the base_model cannot be one of the models",
                                     mk->method->name);
    return 0;
}

static int add_model(struct ldl_recipe *r, const char *name, struct ldl_err *err)
{
    char **model = ldl_realloc(r->model, r->nmodels + 1, sizeof *model);
    if (!model)
        return ldl_oom(err);
    r->model = model;
    return copy_text(&r->model[r->nmodels], name, err) ? LDL_EIO : (r->nmodels++, 0);
}

static int add_input(struct ldl_mk *mk, const struct ldl_mk_entry *e, struct ldl_err *err)
{
    if (ldl_grow(&mk->input, &mk->inputs_cap, mk->ninputs + 1, sizeof *mk->input))
        return ldl_oom(err);
    mk->input[mk->ninputs++] = e;
    return 0;
}

/* `models`: every entry but the base is an input of its own, even when two name one model. */
static int take_whole(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < mk->slice->n; i++) {
        const struct ldl_mk_entry *e = &mk->slice->entry[i];
        if (is_base(mk, mk->slice, e))
            continue;
        rc = add_model(r, e->model, err);
        if (rc == 0)
            rc = add_input(mk, e, err);
    }
    return rc;
}

/* The number of the model of this name, which is added when it is new. */
static int find_model(struct ldl_recipe *r, const char *name, size_t *number, struct ldl_err *err)
{
    for (*number = 0; *number < r->nmodels; ++*number)
        if (strcmp(r->model[*number], name) == 0)
            return 0;
    return add_model(r, name, err);
}

/* A source's `model` of the base is set to nmodels when all models are known. */
#define BASE_MODEL SIZE_MAX

static int take_slice(struct ldl_recipe *r, struct ldl_mk *mk, const struct ldl_mk_slice *from,
                      struct ldl_slice *to, struct ldl_err *err)
{
    int rc = 0;
    if (!(to->source = ldl_calloc(from->n, sizeof *to->source)))
        return ldl_oom(err);
    for (to->n = 0; rc == 0 && to->n < from->n; to->n++) {
        const struct ldl_mk_entry *e = &from->entry[to->n];
        struct ldl_slice_source *s = &to->source[to->n];
        *s = (struct ldl_slice_source){ .model = BASE_MODEL, .first = e->first, .end = e->end };
        s->is_base = is_base(mk, from, e);
        if (s->is_base && mk->base && strcmp(e->model, mk->base) == 0)
            continue;
        s->entry = mk->ninputs;
        rc = find_model(r, e->model, &s->model, err);
        if (rc == 0 && !s->is_base)
            rc = add_input(mk, e, err);
    }
    return rc;
}

static int take_sliced(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    int rc = 0;
    if (!(r->slice = ldl_calloc(mk->nslices, sizeof *r->slice)))
        return ldl_oom(err);
    for (r->nslices = 0; rc == 0 && r->nslices < mk->nslices; r->nslices++)
        rc = take_slice(r, mk, &mk->slice[r->nslices], &r->slice[r->nslices], err);
    for (size_t s = 0; s < r->nslices; s++)
        for (size_t i = 0; i < r->slice[s].n; i++)
            if (r->slice[s].source[i].model == BASE_MODEL)
                r->slice[s].source[i].model = r->nmodels;
    return rc;
}

static int fail_count(const struct ldl_mk *mk, size_t n, const struct ldl_yaml_node *where,
                      struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    const char *beside = c->needs_base ? " beside the base" : "";
    if (c->min_models == c->max_models)
        return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                             "%s takes exactly %zu model%s%s, and %zu are given", mk->method->name,
                             c->min_models, c->min_models == 1 ? "" : "s", beside, n);
    return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                         "%s takes %zu to %zu models%s, and %zu are given", mk->method->name,
                         c->min_models, c->max_models, beside, n);
}

static int check_counts(const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; s < mk->nslices; s++) {
        size_t n = 0, bases = 0;
        for (size_t i = 0; i < mk->slice[s].n; i++) {
            int base = is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]) != 0;
            n += !base;
            bases += (size_t)base;
        }
        const struct ldl_yaml_node *where = mk->slice[s].entry[0].node;
        if (n < c->min_models || n > c->max_models)
            return fail_count(mk, n, where, err);
        if (!mk->whole && c->needs_base && bases != 1)
            return ldl_yaml_fail(&mk->yaml, where, err, LDL_EUSAGE,
                                 "%s needs the base model, once, among the sources of each slice",
                                 mk->method->name);
    }
    return 0;
}

/* A merge of nothing but the base is the base. */
static int is_base_alone(const struct ldl_mk *mk)
{
    for (size_t s = 0; s < mk->nslices; s++)
        for (size_t i = 0; i < mk->slice[s].n; i++)
            if (!is_base(mk, &mk->slice[s], &mk->slice[s].entry[i]))
                return 0;
    return mk->method->combiner->needs_base;
}

static int take_base(struct ldl_recipe *r, const struct ldl_mk *mk, struct ldl_err *err)
{
    const struct ldl_combiner *c = mk->method->combiner;
    for (size_t s = 0; c->needs_base && s < mk->nslices; s++)
        if (!base_of(mk, &mk->slice[s]) && ldl_mk_blame(mk, mk->root, "base_model", err))
            return LDL_EUSAGE;
        else if (!base_of(mk, &mk->slice[s]))
            return ldl_yaml_fail(&mk->yaml, mk->root, err, LDL_EUSAGE,
                                 "%s needs a base_model: write 'base_model: PATH'",
                                 mk->method->name);
    if (!mk->base)
        return 0;
    if (c->is_identity)
        for (size_t i = 0; i < mk->slice->n; i++)
            if (strcmp(mk->slice->entry[i].model, mk->base) != 0)
                return ldl_yaml_fail(&mk->yaml, ldl_yaml_find(mk->root, "base_model"), err,
                                     LDL_EUSAGE,
                                     "%s takes one model, so a base_model that is "
                                     "another one has no meaning; leave it out",
                                     mk->method->name);
    return copy_text(c->ignores_base ? &r->donor : &r->base, mk->base, err);
}

static int take_models(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err)
{
    if (is_base_alone(mk))
        mk->method = ldl_method_find(LDL_MERGEKIT, "passthrough");
    r->method = mk->method;
    int rc = take_base(r, mk, err);
    if (rc == 0)
        rc = check_base_apart(mk, err);
    if (rc == 0)
        rc = check_counts(mk, err);
    return rc ? rc : mk->whole ? take_whole(r, mk, err) : take_sliced(r, mk, err);
}

/* ---- what is written beside the weights ---- */

static int take_card(struct ldl_recipe *r, const struct ldl_mk *mk, const char *path,
                     struct ldl_err *err)
{
    struct ldl_buf *b = &r->card;
    int rc = ldl_read_file(path, 1 << 20, &r->config, err);
    if (rc)
        return rc;
    r->config_name = "mergekit_config.yml";
    ldl_buf_puts(b, "---\nbase_model:\n");
    if (mk->base)
        ldl_buf_printf(b, "- %s\n", mk->base);
    for (size_t i = 0; i < r->nmodels; i++)
        if (!mk->base || strcmp(mk->base, r->model[i]) != 0)
            ldl_buf_printf(b, "- %s\n", r->model[i]);
    ldl_buf_puts(
        b, "library_name: transformers\ntags:\n- mergekit\n- merge\n---\n\n# Merged model\n\n");
    ldl_buf_printf(b, "Made by ladle from the recipe below, with the method `%s`%s%s%s.\n\n",
                   mk->method->name, mk->base ? " and the base model " : "",
                   mk->base ? mk->base : "", "");
    ldl_buf_puts(b, "Models:\n\n");
    for (size_t i = 0; i < r->nmodels; i++)
        ldl_buf_printf(b, "- %s\n", r->model[i]);
    ldl_buf_printf(b, "\nThe recipe:\n\n```yaml\n%s\n```\n", r->config.text);
    return b->failed ? ldl_oom(err) : 0;
}

/* ---- the language ---- */

/* One document of the file. */
static int apply(struct ldl_recipe *r, const char *path, size_t document, const struct ldl_args *a,
                 struct ldl_err *err)
{
    struct ldl_mk *mk = ldl_calloc(1, sizeof *mk);
    if (!mk)
        return ldl_oom(err);
    r->text = mk;
    r->text_free = ldl_mk_free;
    r->fill = ldl_mk_fill;
    int rc = ldl_mk_read(mk, r, path, document, ldl_args_find(a, "strict")->num != 0, err);
    if (rc == 0)
        rc = take_models(r, mk, err);
    if (rc == 0)
        rc = ldl_mk_options(r, mk, a, err);
    if (rc == 0)
        rc = ldl_mk_chat(mk, r, err);
    return rc;
}

/* A document that another one may use. It has the type of its own text, whatever --dtype says. */
static int add_part(struct ldl_recipe *r, const char *path, size_t document, const char *name,
                    const struct ldl_args *a, struct ldl_err *err)
{
    struct ldl_part *part = &r->part[r->nparts++];
    part->name = ldl_strdup(name);
    part->recipe = ldl_calloc(1, sizeof *part->recipe);
    if (!part->name || !part->recipe)
        return ldl_oom(err);
    int rc = apply(part->recipe, path, document, a, err);
    if (rc)
        return rc;
    const struct ldl_mk *mk = part->recipe->text;
    if (part->recipe->tokenizer.kind != LDL_TOKENIZER_COPIED)
        return ldl_yaml_fail(
            &mk->yaml, mk->root, err, LDL_EUSAGE,
            "a recipe that others use, with a tokenizer of its own, is not in this "
            "build; write its result with a merge of its own first");
    part->recipe->dtype = mk->dtype ? ldl_dtype_from_word(mk->dtype) : LDL_DTYPES;
    if (part->recipe->dtype == LDL_F8_E4M3 || strcmp(r->format, "safetensors") != 0)
        return ldl_yaml_fail(&mk->yaml, mk->root, err, LDL_EUSAGE,
                             "a recipe that others use, with the type fp8 or --format gguf, is not "
                             "in this build");
    return 0;
}

static int apply_all(struct ldl_recipe *r, const char *path, const char *out,
                     const struct ldl_args *a, struct ldl_err *err)
{
    struct ldl_names names = { 0 };
    size_t main = 0;
    int rc = ldl_mk_documents(path, &names, &main, err);
    if (rc == 0)
        rc = apply(r, path, main, a, err);
    if (rc == 0 && names.n > 1 && !(r->part = ldl_calloc(names.n, sizeof *r->part)))
        rc = ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        if (i != main)
            rc = add_part(r, path, i, names.name[i], a, err);
    if (rc == 0)
        rc = ldl_mk_note_idle(r, a, err);
    const struct ldl_value *report = ldl_args_find(a, "report");
    if (rc == 0 && report)
        rc = copy_text(&r->report, report->text[0], err);
    if (rc == 0)
        rc = copy_text(&r->output, out, err);
    if (rc == 0 && ldl_args_find(a, "write_model_card")->num != 0)
        rc = take_card(r, r->text, path, err);
    ldl_names_free(&names);
    return rc;
}

/* The output's place, which mergekit-multi calls --out-path. */
static int take_place(int places, const char *const *argv, const struct ldl_args *args,
                      int need_output, const char **out, struct ldl_err *err)
{
    const struct ldl_value *named = ldl_args_find(args, "out_path");
    *out = places == 2 ? argv[1] : named ? named->text[0] : NULL;
    if (places == 2 && named)
        return ldl_fail(err, LDL_EUSAGE, "%s: the output is '%s' already; leave one out",
                        named->origin, argv[1]);
    if (places > 2 || (!*out && need_output))
        return ldl_fail(err, LDL_EUSAGE,
                        "a recipe and a new directory are expected first, as in 'ladle merge "
                        "recipe.yml OUT'");
    return 0;
}

static int parse(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err)
{
    struct ldl_flags table;
    const char *out = NULL, **words = NULL;
    int places = 0, nwords = 0;
    while (places < argc && argv[places][0] != '-')
        places++;
    ldl_mk_table(&table);
    struct ldl_args args = { .flags = &table };
    int rc = ldl_mk_words(argc - places, argv + places, &words, &nwords, err);
    if (rc == 0)
        rc = ldl_args_words(&args, nwords, words, err);
    if (rc == 0)
        rc = ldl_args_defaults(&args, err);
    if (rc == 0)
        rc = take_place(places, argv, &args, need_output, &out, err);
    if (rc == 0)
        rc = apply_all(r, argv[0], out, &args, err);
    ldl_args_free(&args);
    ldl_free(words);
    return rc;
}

static int claims(int argc, const char *const *argv)
{
    return argc > 0 && (ldl_has_suffix(argv[0], ".yml") || ldl_has_suffix(argv[0], ".yaml"));
}

static const char intro[] =
    "\nusage: ladle merge RECIPE.yml OUT [--flag value ...]\n\n"
    "The recipe is one of arcee-ai's mergekit, the options are those of mergekit-yaml.\n";

static void help(struct ldl_buf *out)
{
    struct ldl_flags table;
    ldl_mk_table(&table);
    ldl_buf_puts(out, intro);
    ldl_flags_help(&table, out);
}

const struct ldl_language ldl_language_mergekit = {
    .name = LDL_MERGEKIT,
    .summary = "recipes of arcee-ai's mergekit, as YAML",
    .claims = claims,
    .parse = parse,
    .help = help,
};
