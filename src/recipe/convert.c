/* convert.c -- the language of `ladle convert`: one model, written in another container or type.
 *
 *     MODEL OUT --dtype bfloat16 --shard_size 5G
 *
 * It is a merge of one model by the method `passthrough`: what needs no change is copied byte for
 * byte. The output is named as Hugging Face's tools name it: model.safetensors, or shards with an
 * index when --shard_size cuts it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/own.h"

#include <string.h>

/* clang-format off */
static const struct ldl_row rows[] = {
    LDL_ROW_NUMBER("shard_size", LDL_T_BYTES, 0, 0, NULL, 0,
         "cut the output into files of at most this, as 5G; when not given: one file"),
    LDL_ROW_TEXT("merge_prefix", LDL_T_TEXT, "WORD", NULL,
         "weights to read: model or master_weights; when not given: whichever is there"),
};
/* clang-format on */

static void make_table(struct ldl_flags *f)
{
    memset(f, 0, sizeof *f);
    ldl_rows_add(f, "Output", rows, LDL_COUNT(rows));
    ldl_own_output(f, "Output");
    ldl_own_running(f, "Running");
}

static int take_places(struct ldl_recipe *r, const char *model, const char *out,
                       struct ldl_err *err)
{
    int rc = 0;
    if (!(r->model = ldl_calloc(1, sizeof *r->model)))
        return ldl_oom(err);
    r->nmodels = 1;
    rc = ldl_recipe_text(&r->model[0], model, err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->output, out, err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->device, "cpu", err);
    return rc;
}

static int take(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    const struct ldl_value *size = ldl_args_find(a, "shard_size");
    const struct ldl_value *prefix = ldl_args_find(a, "merge_prefix");
    int rc = ldl_own_take(r, a, err);
    r->method = ldl_method_find("ladle", "passthrough");
    r->plain_names = 1;
    r->shards = 1;
    if (rc == 0 && size && size->integer == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: 0 is too little; write bytes, as 500M or 5G",
                      size->origin);
    r->shard_bytes = size ? (uint64_t)size->integer : 0;
    if (rc == 0 && size && strcmp(r->format, "gguf") == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: a GGUF output is one file", size->origin);
    if (rc == 0 && prefix && strcmp(prefix->text[0], "model") != 0 &&
        strcmp(prefix->text[0], "master_weights") != 0)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: '%s' is unknown; use model or master_weights",
                      prefix->origin, prefix->text[0]);
    if (rc == 0 && prefix)
        rc = ldl_recipe_text(&r->prefix, prefix->text[0], err);
    return rc ? rc : ldl_recipe_text(&r->shard_prefix, prefix ? prefix->text[0] : "model", err);
}

static int parse(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err)
{
    struct ldl_flags table;
    int places = 0;
    (void)need_output;
    while (places < argc && argv[places][0] != '-')
        places++;
    if (places > 2)
        return ldl_fail(err, LDL_EUSAGE, "convert: '%.200s' is one word too many", argv[2]);
    if (places < 2)
        return ldl_fail(err, LDL_EUSAGE,
                        "convert: name a model and a new directory first, as in 'ladle convert "
                        "MODEL OUT --dtype bfloat16'");
    make_table(&table);
    struct ldl_args args = { .flags = &table };
    int rc = ldl_args_words(&args, argc - places, argv + places, err);
    if (rc == 0)
        rc = ldl_args_defaults(&args, err);
    if (rc == 0)
        rc = take_places(r, argv[0], argv[1], err);
    if (rc == 0)
        rc = take(r, &args, err);
    ldl_args_free(&args);
    return rc;
}

static int claims(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static const char intro[] =
    "usage: ladle convert MODEL OUT [--flag value ...]\n\n"
    "Writes a model anew: from any container that is read to safetensors or GGUF, in another "
    "type,\n"
    "in shards of another size, with an adapter merged in (BASE+ADAPTER). Tensors that need no\n"
    "change are copied byte for byte; configuration and tokenizer come along.\n";

static void help(struct ldl_buf *out)
{
    struct ldl_flags table;
    make_table(&table);
    ldl_buf_puts(out, intro);
    ldl_flags_help(&table, out);
}

const struct ldl_language ldl_language_convert = {
    .name = "convert",
    .summary = "one model, written in another container or type",
    .verb = "convert",
    .claims = claims,
    .parse = parse,
    .help = help,
};
