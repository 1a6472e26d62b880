/* mergekit_options.c -- the options of mergekit-yaml, mergekit-multi and mergekit-pytorch.
 *
 * Those that have no meaning here are taken with a note that says why, so that scripts keep working. The short
 * options that mergekit has (-j 4, -v) become the long ones before the words are read, and options may stand
 * before the recipe and between it and the output, too. */
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
    LDL_ROW_TEXT("out_path", LDL_T_TEXT, "OUT", NULL, "another place for OUT (of mergekit-multi)"),
    LDL_ROW_TEXT("report", LDL_T_TEXT, "FILE", NULL, "write where each input tensor went, or why nowhere, as JSON"),
    LDL_ROW_SWITCH("strict", "false", "an unknown key or parameter is an error, not a note"),
};
/* A row of ldl_own_running() has this name, too; it must come after that. */
static const struct ldl_row threads[] = {
    { LDL_ROW_PARAM("num_threads", LDL_T_INT, 1, 1024, NULL, NULL, "see threads"), NULL, "threads", 0 },
};
/* Taken and not needed. */
static const struct ldl_row idle[] = {
    LDL_ROW_SWITCH("allow_crimes", "false", "architectures are never compared; shapes must fit"),
    LDL_ROW_SWITCH("unsafe_truncate_embeddings", "false", "embeddings are cut to their common rows without it, with a note"),
    LDL_ROW_SWITCH("cuda", "false", "this build computes on the CPU"),
    LDL_ROW_TEXT("device", LDL_T_TEXT, "DEVICE", NULL, "this build computes on the CPU"),
    LDL_ROW_SWITCH("lazy_unpickle", "false", "tensors are always read where they are"),
    LDL_ROW_SWITCH("low_cpu_memory", "false", "memory does not grow with the model"),
    LDL_ROW_SWITCH("trust_remote_code", "false", "no code of a model is ever run"),
    LDL_ROW_SWITCH("clone_tensors", "false", "every tensor of the output has bytes of its own"),
    LDL_ROW_SWITCH("safe_serialization", "true", "the output is always safetensors"),
    LDL_ROW_SWITCH("read_to_gpu", "false", "this build computes on the CPU"),
    LDL_ROW_SWITCH("multi_gpu", "false", "this build computes on the CPU"),
    LDL_ROW_SWITCH("gpu_rich", "false", "this build computes on the CPU"),
    LDL_ROW_SWITCH("copy_tokenizer", "true", "the tokenizer always comes along"),
    LDL_ROW_SWITCH("async_write", "false", "reading, merging and writing overlap anyway"),
    LDL_ROW_NUMBER("write_threads", LDL_T_INT, 0, 1024, NULL, 0, "each thread writes what it has merged"),
    LDL_ROW_SWITCH("verbosity", "false", "notes are always written; ladle plan says more"),
    LDL_ROW_TEXT("lora_merge_cache", LDL_T_TEXT, "DIR", NULL, "adapters are merged as they are read"),
    LDL_ROW_TEXT("transformers_cache", LDL_T_TEXT, "DIR", NULL, "HF_HUB_CACHE names the cache"),
    LDL_ROW_TEXT("lora_merge_dtype", LDL_T_TEXT, "DTYPE", NULL, "adapters are added in float32"),
    LDL_ROW_TEXT("intermediate_dir", LDL_T_TEXT, "DIR", NULL, "named results are merged as they are read"),
    LDL_ROW_SWITCH("lazy", "true", "named results are merged as they are read"),
};
/* clang-format on */

void ldl_mk_table(struct ldl_flags *f)
{
    memset(f, 0, sizeof *f);
    ldl_rows_add(f, "Recipe", rows, LDL_COUNT(rows));
    ldl_own_output(f, "Output");
    ldl_own_running(f, "Running");
    ldl_rows_add(f, "Running", threads, LDL_COUNT(threads));
    ldl_rows_add(f, "Taken and not needed", idle, LDL_COUNT(idle));
}

/* ---- words ---- */

/* The long option that a short one of mergekit means; *value: what is glued to it, as in -j4. */
static const char *long_option(const char *word, const char **value)
{
    static const struct {
        char letter;
        const char *name;
    } options[] = { { 'j', "--num_threads" },
                    { 'i', "--tensor_intersection" },
                    { 'u', "--tensor_union" },
                    { 'I', "--intermediate_dir" } };
    *value = NULL;
    if (word[0] != '-' || !word[1] || word[1] == '-')
        return NULL;
    if (word[1 + strspn(word + 1, "v")] == 0)
        return "--verbosity";
    for (size_t i = 0; i < LDL_COUNT(options); i++) {
        if (word[1] != options[i].letter)
            continue;
        *value = word[2] ? word + 2 : NULL;
        return options[i].name;
    }
    return NULL;
}

/* Adds an option and the value that stands behind it; how many words that were, 0: it is not known. */
static int take_option(const struct ldl_flags *table, int argc, const char *const *argv,
                       struct ldl_mk_words *w)
{
    int yes;
    const char *glued, *name = long_option(argv[0], &glued);
    w->option[w->noptions++] = name ? name : argv[0];
    if (glued) {
        w->option[w->noptions++] = glued;
        return 1;
    }
    int wants = ldl_flag_wants(table, w->option[w->noptions - 1]);
    if (wants == 0 && argc > 1)
        wants = !strchr(argv[0], '=') && ldl_parse_bool(argv[1], &yes) == 0;
    if (wants == 1 && argc > 1) {
        w->option[w->noptions++] = argv[1];
        return 2;
    }
    return wants >= 0;
}

int ldl_mk_split(const struct ldl_flags *table, int argc, const char *const *argv,
                 struct ldl_mk_words *w, struct ldl_err *err)
{
    *w = (struct ldl_mk_words){ .option = ldl_calloc(2 * (size_t)argc + 1, sizeof *w->option),
                                .place = ldl_calloc((size_t)argc + 1, sizeof *w->place) };
    if (!w->option || !w->place) {
        ldl_mk_words_free(w);
        return ldl_oom(err);
    }
    for (int i = 0, n; i < argc; i += n) {
        n = 1;
        if (argv[i][0] != '-') {
            w->place[w->nplaces++] = argv[i];
            continue;
        }
        n = take_option(table, argc - i, argv + i, w);
        if (n == 0) {
            w->strange |= w->nplaces == 0;
            n = 1;
        }
    }
    return 0;
}

void ldl_mk_words_free(struct ldl_mk_words *w)
{
    ldl_free(w->option);
    ldl_free(w->place);
    *w = (struct ldl_mk_words){ 0 };
}

/* ---- values ---- */

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

int ldl_mk_note_idle(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
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

int ldl_mk_options(struct ldl_recipe *r, const struct ldl_mk *mk, const struct ldl_args *a,
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
        rc = ldl_recipe_text(&r->shard_prefix, "model", err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->device, "cpu", err);
    if (rc == 0 && r->dtype == LDL_DTYPES && mk->dtype)
        r->dtype = ldl_dtype_from_word(mk->dtype);
    if (rc == 0 && strcmp(r->format, "gguf") == 0)
        r->shard_bytes = 0;
    return rc;
}
