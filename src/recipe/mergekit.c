/* mergekit.c -- the language of arcee-ai's mergekit-yaml: a recipe, a directory, options.
 *
 *     recipe.yml OUT --out-shard-size 5B --random-seed 7
 *
 * The recipe says which models, slices and parameters (mergekit_read.c, mergekit_fill.c). This file
 * holds the options, and what follows from the recipe as a whole: what the output is called, what is
 * written beside it. Options of mergekit-yaml that have no meaning here are taken with a note, so that
 * scripts keep working. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"
#include "recipe/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct ldl_row rows[] = {
    LDL_ROW_TEXT("out_shard_size", LDL_T_TEXT, "SIZE", "5B",
         "cut the output into files of at most this many bytes, as 5B, 500M, 1000000 (powers of 1000)"),
    LDL_ROW_NUMBER("random_seed", LDL_T_INT, 0, 0x1p63, "0", 0, "of the methods that draw random numbers"),
    { LDL_ROW_PARAM("seed", LDL_T_INT, 0, 0x1p63, NULL, NULL, "see random_seed"), NULL, "random_seed", 0 },
    LDL_ROW_SWITCH("write_model_card", "true", "write README.md and the recipe into the output"),
    LDL_ROW_SWITCH("tensor_intersection", "false", "leave out tensors that not all models have (of mergekit-pytorch)"),
    LDL_ROW_SWITCH("tensor_union", "false", "make tensors of those models that have them (of mergekit-pytorch)"),
    LDL_ROW_TEXT("report", LDL_T_TEXT, "FILE", NULL, "write where each input tensor went, or why nowhere, as JSON"),
    LDL_ROW_SWITCH("strict", "false", "an unknown key or parameter is an error, not a note"),
};
/* Taken and not needed. */
static const struct ldl_row idle[] = {
    LDL_ROW_SWITCH("cuda", "false", "this build computes on the CPU"),
    LDL_ROW_SWITCH("lazy_unpickle", "false", "tensors are always read where they are"),
    LDL_ROW_SWITCH("low_cpu_memory", "false", "memory does not grow with the model"),
    LDL_ROW_SWITCH("trust_remote_code", "false", "no code of a model is ever run"),
    LDL_ROW_SWITCH("clone_tensors", "false", "not needed"),
    LDL_ROW_SWITCH("safe_serialization", "true", "the output is always safetensors"),
    LDL_ROW_SWITCH("read_to_gpu", "false", "not needed"),
    LDL_ROW_SWITCH("multi_gpu", "false", "not needed"),
    LDL_ROW_SWITCH("copy_tokenizer", "true", "the tokenizer always comes along"),
    LDL_ROW_SWITCH("async_write", "false", "not needed"),
    LDL_ROW_TEXT("lora_merge_cache", LDL_T_TEXT, "DIR", NULL, "adapters are merged as they are read"),
    LDL_ROW_TEXT("transformers_cache", LDL_T_TEXT, "DIR", NULL, "HF_HUB_CACHE names the cache"),
    LDL_ROW_TEXT("lora_merge_dtype", LDL_T_TEXT, "DTYPE", NULL, "adapters are added in float32"),
};
/* clang-format on */

static void make_table(struct ldl_flags *f)
{
    memset(f, 0, sizeof *f);
    ldl_rows_add(f, "Recipe", rows, LDL_COUNT(rows));
    ldl_own_output(f, "Output");
    ldl_own_running(f, "Running");
    ldl_rows_add(f, "Taken and not needed", idle, LDL_COUNT(idle));
}

static int copy_text(char **to, const char *from, struct ldl_err *err)
{
    *to = from ? ldl_strdup(from) : NULL;
    return from && !*to ? ldl_oom(err) : 0;
}

/* ---- options ---- */

/* mergekit's sizes: K, M and B are powers of 1000 (G is taken for B). */
static int take_shard_size(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    static const char units[] = "KMBG";
    static const double factor[] = { 1e3, 1e6, 1e9, 1e9 };
    const struct ldl_value *v = ldl_args_find(a, "out_shard_size");
    char *end;
    double size = strtod(v->text[0], &end);
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    if (unit) {
        size *= factor[unit - units];
        end++;
    }
    if (end == v->text[0] || *end || !(size >= 1 && size < 9e18))
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is no size; write 5B, 500M or a number of bytes",
                        v->origin, v->text[0]);
    r->shard_bytes = (uint64_t)size;
    return 0;
}

static int note_idle(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    char text[256];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < LDL_COUNT(idle); i++) {
        if (ldl_args_source(a, idle[i].param.name) != LDL_FROM_WORDS)
            continue;
        snprintf(text, sizeof text, "--%s has no effect: %s", idle[i].param.name,
                 idle[i].param.help);
        rc = ldl_names_add(&r->note, text) ? ldl_oom(err) : 0;
    }
    return rc;
}

/* Which tensors there are. */
static int take_names_rule(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    int common = ldl_args_find(a, "tensor_intersection")->num != 0;
    int all = ldl_args_find(a, "tensor_union")->num != 0;
    if (common && all)
        return ldl_fail(err, LDL_EUSAGE,
                        "--tensor-intersection and --tensor-union exclude each other");
    if ((common || all) && r->nslices)
        return ldl_fail(err, LDL_EUSAGE, "--tensor-%s is for recipes with models, not slices",
                        common ? "intersection" : "union");
    r->names_rule = common ? LDL_NAMES_COMMON : all ? LDL_NAMES_ALL : LDL_NAMES_EQUAL;
    return 0;
}

static int take_options(struct ldl_recipe *r, const struct ldl_mk *mk, const struct ldl_args *a,
                        struct ldl_err *err)
{
    int rc = ldl_own_take(r, a, err);
    r->seed = (uint64_t)ldl_args_find(a, "random_seed")->integer;
    r->plain_names = r->sorted = 1;
    r->shards = 1;
    if (rc == 0)
        rc = take_names_rule(r, a, err);
    if (rc == 0)
        rc = take_shard_size(r, a, err);
    if (rc == 0)
        rc = copy_text(&r->shard_prefix, "model", err);
    if (rc == 0)
        rc = copy_text(&r->device, "cpu", err);
    if (rc == 0 && r->dtype == LDL_DTYPES && mk->dtype)
        r->dtype = ldl_dtype_from_word(mk->dtype);
    if (rc == 0 && strcmp(r->format, "gguf") == 0)
        r->shard_bytes = 0;
    return rc;
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
        rc = ldl_mk_take_models(r, mk, err);
    if (rc == 0)
        rc = take_options(r, mk, a, err);
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
        rc = note_idle(r, a, err);
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

static int parse(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err)
{
    struct ldl_flags table;
    int places = 0;
    while (places < argc && argv[places][0] != '-')
        places++;
    if (places > 2 || (places < 2 && need_output))
        return ldl_fail(err, LDL_EUSAGE,
                        "a recipe and a new directory are expected first, as in 'ladle merge "
                        "recipe.yml OUT'");
    make_table(&table);
    struct ldl_args args = { .flags = &table };
    int rc = ldl_args_words(&args, argc - places, argv + places, err);
    if (rc == 0)
        rc = ldl_args_defaults(&args, err);
    if (rc == 0)
        rc = apply_all(r, argv[0], places == 2 ? argv[1] : NULL, &args, err);
    ldl_args_free(&args);
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
    make_table(&table);
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
