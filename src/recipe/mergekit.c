/* mergekit.c -- the language of arcee-ai's mergekit-yaml: a recipe, a directory, options.
 *
 *     recipe.yml OUT --out-shard-size 5B --random-seed 7
 *
 * The recipe says which models, slices and parameters (mergekit_read.c, mergekit_fill.c), the options are
 * in mergekit_options.c, what follows for the models in mergekit_models.c. This file holds the rest: what is
 * written beside the weights, the documents of a file, the command. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"
#include "recipe/own.h"

#include <stdio.h>
#include <string.h>

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
        rc = ldl_mk_take_models(r, mk, err);
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
    part->recipe->dtype = mk->dtype ? ldl_dtype_from_word(mk->dtype) : LDL_DTYPES;
    ldl_free(part->recipe->format); /* --format is of what is written */
    return ldl_recipe_text(&part->recipe->format, "safetensors", err);
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
        rc = ldl_recipe_text(&r->report, report->text[0], err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->output, out, err);
    if (rc == 0 && ldl_args_find(a, "write_model_card")->num != 0)
        rc = take_card(r, r->text, path, err);
    ldl_names_free(&names);
    return rc;
}

/* The output's place, which mergekit-multi calls --out-path. */
static int take_place(const struct ldl_mk_words *w, const struct ldl_args *args, int need_output,
                      const char **out, struct ldl_err *err)
{
    const struct ldl_value *named = ldl_args_find(args, "out_path");
    *out = w->nplaces == 2 ? w->place[1] : named ? named->text[0] : NULL;
    if (w->nplaces == 2 && named)
        return ldl_fail(err, LDL_EUSAGE, "%s: the output is '%s' already; leave one out",
                        named->origin, w->place[1]);
    if (w->nplaces < 1 || w->nplaces > 2 || (!*out && need_output))
        return ldl_fail(err, LDL_EUSAGE,
                        "a recipe and a new directory are expected, as in 'ladle merge recipe.yml "
                        "OUT'");
    return 0;
}

static int parse(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err)
{
    struct ldl_flags table;
    struct ldl_mk_words w;
    const char *out = NULL;
    ldl_mk_table(&table);
    struct ldl_args args = { .flags = &table };
    int rc = ldl_mk_split(&table, argc, argv, &w, err);
    if (rc)
        return rc;
    rc = ldl_args_words(&args, w.noptions, w.option, err);
    if (rc == 0)
        rc = ldl_args_defaults(&args, err);
    if (rc == 0)
        rc = take_place(&w, &args, need_output, &out, err);
    if (rc == 0)
        rc = apply_all(r, w.place[0], out, &args, err);
    ldl_args_free(&args);
    ldl_mk_words_free(&w);
    return rc;
}

static int is_recipe(const char *word)
{
    return ldl_has_suffix(word, ".yml") || ldl_has_suffix(word, ".yaml");
}

/* Options before the recipe must all be ours: the words may be another language's. */
static int claims(int argc, const char *const *argv)
{
    struct ldl_flags table;
    struct ldl_mk_words w;
    if (argc == 0 || is_recipe(argv[0]))
        return argc > 0;
    ldl_mk_table(&table);
    if (argv[0][0] != '-' || ldl_mk_split(&table, argc, argv, &w, NULL))
        return 0;
    int ours = w.nplaces > 0 && is_recipe(w.place[0]) && !w.strange;
    ldl_mk_words_free(&w);
    return ours;
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
