/* paddle.c -- the language of PaddleNLP's mergekit.py: its flags, or the same settings as JSON.
 *
 *     --merge_method ties --model_path_list A B --base_model_path BASE --output_path OUT
 *     settings.json --n_process 2
 *
 * The flags are one table: the general ones (paddle_rows.c) and the parameters of the parts
 * (sparsifiers, combiners) that the methods of this language are made of, taken from the parts'
 * own tables. This file holds the rules between flags. What is decided here against what the user
 * may expect leaves a note; what the flags alone show to be wrong fails here, before any file is
 * opened. merge_config.json is the table's values after all rules; read again it gives the same
 * recipe without new notes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/paddle.h"
#include "method/work.h"

#include <string.h>

enum { MAX_PREFIX = 200 }; /* "-00001-of-00001.safetensors" is to fit into a file name */

static const struct ldl_value *get(const struct ldl_args *a, const char *name)
{
    return ldl_args_find(a, name);
}

static const char *text_of(const struct ldl_args *a, const char *name)
{
    const struct ldl_value *v = get(a, name);
    return v ? v->text[0] : NULL;
}

/* Was it given, and not only as a JSON file that lists all settings gives it: at its default? */
static int chosen(const struct ldl_args *a, const char *name)
{
    const struct ldl_value *v = get(a, name);
    enum ldl_source source = ldl_args_source(a, name);
    struct ldl_value usual;
    if (source != LDL_FROM_JSON)
        return source == LDL_FROM_WORDS;
    if (strcmp(name, "normalize") == 0) /* true and false are both usual: see take_weights() */
        return 0;
    for (size_t i = 0; v->nums && i < v->n; i++)
        if (v->nums[i] != 1)
            return 1;
    const char *fallback = v->param->fallback;
    if (!fallback || ldl_value_parse(&usual, v->param, &fallback, 1, name, NULL))
        return !v->nums;
    int same = usual.num == v->num && usual.integer == v->integer;
    ldl_value_free(&usual);
    return !same;
}

/* Takes the text; it is emptied. */
static int add_note(struct ldl_recipe *r, struct ldl_buf *text, struct ldl_err *err)
{
    int rc = 0;
    if (text->failed || ldl_names_add(&r->note, text->text))
        rc = ldl_oom(err);
    ldl_buf_free(text);
    return rc;
}

static int copy_texts(char ***to, size_t *n, const struct ldl_value *v, struct ldl_err *err)
{
    if (!(*to = ldl_calloc(v->n, sizeof **to)))
        return ldl_oom(err);
    for (*n = 0; *n < v->n; ++*n)
        if (!((*to)[*n] = ldl_strdup(v->text[*n])))
            return ldl_oom(err);
    return 0;
}

/* ---- the models ---- */

/* model_path_str, cut at commas and not trimmed, takes the place of model_path_list. */
static int split_models(struct ldl_args *a, struct ldl_err *err)
{
    const struct ldl_value *v = get(a, "model_path_str");
    struct ldl_names parts = { 0 };
    char *copy = ldl_strdup(v->text[0]), *rest = copy, *one;
    int rc = copy ? 0 : ldl_oom(err);
    while (rc == 0 && (one = strsep(&rest, ","))) {
        if (!*one)
            rc = ldl_fail(err, LDL_EUSAGE, "%s: path %zu is empty; write A,B,C", v->origin,
                          parts.n + 1);
        else if (ldl_names_add(&parts, one))
            rc = ldl_oom(err);
    }
    if (rc == 0)
        rc = ldl_args_decide(a, "model_path_list", (const char *const *)parts.name, parts.n, err);
    if (rc == 0)
        rc = ldl_args_decide(a, "model_path_str", NULL, 0, err);
    ldl_free(copy);
    ldl_names_free(&parts);
    return rc;
}

static int take_models(struct ldl_recipe *r, struct ldl_args *a, struct ldl_err *err)
{
    int rc = 0;
    if (get(a, "model_path_str")) {
        struct ldl_buf note = { 0 };
        if (get(a, "model_path_list")) {
            ldl_buf_puts(&note, "model_path_list is ignored: model_path_str takes its place");
            rc = add_note(r, &note, err);
        }
        if (rc == 0)
            rc = split_models(a, err);
    }
    if (rc)
        return rc;
    const struct ldl_value *v = get(a, "model_path_list");
    if (!v)
        return ldl_fail(err, LDL_EUSAGE,
                        "no models are given; use --model_path_list A B or --model_path_str A,B");
    if (v->n < 2)
        return ldl_fail(err, LDL_EUSAGE,
                        "model_path_list: a merge takes two models or more, and only '%s' is given",
                        v->text[0]);
    return copy_texts(&r->model, &r->nmodels, v, err);
}

/* ---- the method ---- */

/* A method without a name of its own, from the two types. */
static int own_method(struct ldl_recipe *r, const struct ldl_sparsifier *s,
                      const struct ldl_combiner *c, struct ldl_err *err)
{
    struct ldl_buf name = { 0 };
    ldl_buf_printf(&name, "%s+%s", s ? s->name : "none", c->name);
    if (name.failed) {
        ldl_buf_free(&name);
        return ldl_oom(err);
    }
    r->own_name = name.text;
    r->own_method = (struct ldl_method){ .language = LDL_PADDLE,
                                         .name = r->own_name,
                                         .summary = "sparsify_type, then merge_type",
                                         .sparsifier = s,
                                         .combiner = c };
    r->method = &r->own_method;
    return 0;
}

/* A type that was given beside merge_method and means something else. */
static int note_type(struct ldl_recipe *r, const struct ldl_args *a, const char *flag,
                     const char *meant, struct ldl_err *err)
{
    char word[LDL_FLAG_WORD];
    struct ldl_buf note = { 0 };
    if (ldl_args_source(a, flag) <= LDL_FROM_DEFAULT ||
        strcmp(ldl_flag_word(get(a, flag), word), meant) == 0)
        return 0;
    ldl_buf_printf(&note, "%s %s is ignored beside merge_method %s", flag, word, r->method->name);
    return add_note(r, &note, err);
}

static int choose_method(struct ldl_recipe *r, struct ldl_args *a, struct ldl_err *err)
{
    char word[LDL_FLAG_WORD];
    const struct ldl_value *given = get(a, "merge_method"), *type = get(a, "sparsify_type");
    if (given) {
        r->method = ldl_method_find(LDL_PADDLE, ldl_flag_word(given, word));
        const struct ldl_sparsifier *s = r->method->sparsifier;
        int rc = note_type(r, a, "merge_type", r->method->combiner->name, err);
        return rc ? rc : note_type(r, a, "sparsify_type", s ? s->name : "", err);
    }
    const struct ldl_sparsifier *s = type ? ldl_sparsifier_find(ldl_flag_word(type, word)) : NULL;
    const struct ldl_combiner *c = ldl_combiner_find(ldl_flag_word(get(a, "merge_type"), word));
    r->method = ldl_method_of_parts(LDL_PADDLE, s, c);
    return r->method ? 0 : own_method(r, s, c, err);
}

static int check_count(const struct ldl_recipe *r, struct ldl_err *err)
{
    const struct ldl_combiner *c = r->method->combiner;
    if (r->nmodels >= c->min_models && r->nmodels <= c->max_models)
        return 0;
    if (c->min_models == c->max_models)
        return ldl_fail(err, LDL_EUSAGE, "%s merges exactly %zu models, and %zu are given",
                        r->method->name, c->min_models, r->nmodels);
    return ldl_fail(err, LDL_EUSAGE, "%s merges %zu to %zu models, and %zu are given",
                    r->method->name, c->min_models, c->max_models, r->nmodels);
}

static int take_method(struct ldl_recipe *r, struct ldl_args *a, struct ldl_err *err)
{
    int rc = choose_method(r, a, err);
    if (rc == 0)
        rc = check_count(r, err);
    if (rc)
        return rc;
    const struct ldl_sparsifier *s = r->method->sparsifier;
    int named = r->method != &r->own_method;
    rc = ldl_args_decide(a, "merge_method", &r->method->name, (size_t)named, err);
    if (rc == 0)
        rc = ldl_args_decide(a, "merge_type", &r->method->combiner->name, 1, err);
    if (rc == 0)
        rc = ldl_args_decide(a, "sparsify_type", s ? &s->name : NULL, s != NULL, err);
    return rc;
}

/* ---- its parameters ---- */

static int has_row(const struct ldl_param *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0)
            return 1;
    return 0;
}

static int method_uses(const struct ldl_method *m, const char *name)
{
    return has_row(m->combiner->param, m->combiner->nparams, name) ||
           (m->sparsifier && has_row(m->sparsifier->param, m->sparsifier->nparams, name));
}

/* Without weight_list the weights are even and normalised, whatever normalize says. */
static int even_weights(struct ldl_recipe *r, struct ldl_args *a, struct ldl_err *err)
{
    static const char *const yes = "true";
    int rc = 0;
    if (ldl_args_source(a, "normalize") > LDL_FROM_DEFAULT && get(a, "normalize")->num == 0 &&
        method_uses(r->method, "normalize")) {
        struct ldl_buf note = { 0 };
        ldl_buf_puts(&note, "normalize false is ignored without weight_list: the weights are even "
                            "and normalised");
        rc = add_note(r, &note, err);
    }
    const char **ones = ldl_calloc(r->nmodels, sizeof *ones);
    if (!ones)
        return ldl_oom(err);
    for (size_t i = 0; i < r->nmodels; i++)
        ones[i] = "1";
    if (rc == 0)
        rc = ldl_args_decide(a, "weight_list", ones, r->nmodels, err);
    if (rc == 0)
        rc = ldl_args_decide(a, "normalize", &yes, 1, err);
    ldl_free(ones);
    return rc;
}

static int note_unused(struct ldl_recipe *r, const struct ldl_paddle_table *t,
                       const struct ldl_args *a, struct ldl_err *err)
{
    struct ldl_buf list = { 0 };
    size_t n = 0;
    for (size_t i = t->first_part; i < t->end_part; i++) {
        const char *name = t->flags.flag[i].param->name;
        if (!method_uses(r->method, name) && chosen(a, name))
            ldl_buf_printf(&list, "%s--%s", n++ ? ", " : "", name);
    }
    if (n)
        ldl_buf_printf(&list, " %s no effect with %s", n > 1 ? "have" : "has", r->method->name);
    if (n)
        return add_note(r, &list, err);
    ldl_buf_free(&list);
    return 0;
}

static int take_weights(struct ldl_recipe *r, const struct ldl_paddle_table *t, struct ldl_args *a,
                        struct ldl_err *err)
{
    const struct ldl_value *v = get(a, "weight_list");
    int rc = note_unused(r, t, a, err);
    if (rc == 0 && !v)
        return even_weights(r, a, err);
    if (rc == 0 && v->n != r->nmodels)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: %zu weight%s for %zu models; give one for each",
                      v->origin, v->n, v->n == 1 ? "" : "s", r->nmodels);
    return rc;
}

/* Hands the parts' values over and has the parts check them together. */
static int take_values(struct ldl_recipe *r, const struct ldl_paddle_table *t, struct ldl_args *a,
                       struct ldl_err *err)
{
    struct ldl_merge trial;
    struct ldl_value_settings settings;
    for (size_t i = t->first_part; i < t->end_part; i++) {
        struct ldl_arg *arg = &a->arg[i];
        if (arg->source == LDL_FROM_NOTHING || !method_uses(r->method, arg->name))
            continue;
        if (ldl_grow(&r->value, &r->values_cap, r->nvalues + 1, sizeof *r->value))
            return ldl_oom(err);
        r->value[r->nvalues++] = arg->value;
        *arg = (struct ldl_arg){ 0 };
    }
    ldl_value_settings(&settings, r->value, r->nvalues);
    int rc = ldl_merge_init(&trial, r->method, r->nmodels, r->seed, &settings.settings, err);
    if (rc == 0)
        ldl_merge_free(&trial);
    return rc;
}

/* ---- or no merge of models, but of an adapter into its base ---- */

/* What has no effect then is noted when it was given in words; a file of all settings names a
 * method and its parameters in any case. */
static int note_idle(struct ldl_recipe *r, const struct ldl_paddle_table *t,
                     const struct ldl_args *a, struct ldl_err *err)
{
    struct ldl_buf list = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < t->flags.n; i++) {
        const char *name = t->flags.flag[i].param->name;
        int models = strcmp(name, "model_path_list") == 0 || strcmp(name, "model_path_str") == 0;
        int method = strncmp(name, "merge_", 6) == 0 && strcmp(name, "merge_prefix") != 0;
        int part = i >= t->first_part && i < t->end_part;
        if (!(models || method || part || strcmp(name, "sparsify_type") == 0))
            continue;
        if (ldl_args_source(a, name) >= (models ? LDL_FROM_JSON : LDL_FROM_WORDS))
            ldl_buf_printf(&list, "%s--%s", n++ ? ", " : "", name);
    }
    if (n)
        ldl_buf_printf(&list,
                       " %s no effect: with lora_model_path an adapter is merged into its base",
                       n > 1 ? "have" : "has");
    if (n)
        return add_note(r, &list, err);
    ldl_buf_free(&list);
    return 0;
}

static int take_lora(struct ldl_recipe *r, const struct ldl_paddle_table *t, struct ldl_args *a,
                     struct ldl_err *err)
{
    static const char *const idle[] = { "model_path_list", "model_path_str", "merge_method",
                                        "merge_type",      "sparsify_type",  "weight_list" };
    const struct ldl_value *lora = get(a, "lora_model_path"), *base = get(a, "base_model_path");
    if (!base)
        return ldl_fail(err, LDL_EUSAGE, "%s: give base_model_path for a LoRA merge", lora->origin);
    int rc = note_idle(r, t, a, err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->lora, lora->text[0], err);
    if (rc == 0)
        rc = copy_texts(&r->model, &r->nmodels, base, err);
    for (size_t i = 0; i < LDL_COUNT(idle) && rc == 0; i++)
        rc = ldl_args_decide(a, idle[i], NULL, 0, err);
    r->method = ldl_method_find("ladle", "passthrough");
    return rc;
}

/* ---- output and running ---- */

static int take_prefix(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    const struct ldl_value *v = get(a, "merge_prefix");
    const char *word = v->text[0];
    if (!ldl_name_is_plain(word) || strlen(word) > MAX_PREFIX)
        return ldl_fail(err, LDL_EUSAGE,
                        "%s: '%s' is no plain file name; use model or master_weights", v->origin,
                        word);
    int rc = ldl_recipe_text(&r->prefix, strcmp(word, "model") == 0 ? word : "master_weights", err);
    return rc ? rc : ldl_recipe_text(&r->shard_prefix, word, err);
}

static int take_output(struct ldl_recipe *r, struct ldl_args *a, int need, struct ldl_err *err)
{
    const struct ldl_value *files = get(a, "copy_file_list");
    int rc = take_prefix(r, a, err);
    if (rc == 0)
        rc = ldl_recipe_text(&r->output, text_of(a, "output_path"), err);
    if (rc == 0 && need && !r->output)
        rc = ldl_fail(err, LDL_EUSAGE,
                      "no output is given; name a new directory with --output_path");
    r->shards = get(a, "n_process")->integer;
    r->copy_given = files != NULL;
    if (rc == 0 && files)
        rc = copy_texts(&r->copy_file, &r->ncopy_files, files, err);
    if (rc == 0)
        rc = ldl_own_take(r, a, err);
    if (rc == 0 && r->shards > 1 && strcmp(r->format, "gguf") == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "n_process %lld: a GGUF output is one file",
                      (long long)r->shards);
    return rc;
}

static int take_running(struct ldl_recipe *r, struct ldl_args *a, struct ldl_err *err)
{
    char word[LDL_FLAG_WORD];
    r->seed = (uint64_t)get(a, "seed")->integer;
    return ldl_recipe_text(&r->device, ldl_flag_word(get(a, "device"), word), err);
}

static int note_running(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    static const char *const idle[] = { "split_pieces", "max_tensor_mem" };
    struct ldl_buf note = { 0 };
    int rc = 0;
    if (r->shards > 1) {
        ldl_buf_printf(&note,
                       "n_process %lld is the number of output shards; threads are --threads",
                       (long long)r->shards);
        rc = add_note(r, &note, err);
    }
    for (size_t i = 0; rc == 0 && i < LDL_COUNT(idle); i++) {
        if (!chosen(a, idle[i]))
            continue;
        ldl_buf_printf(&note, "%s has no effect: tensors are never cut to save memory", idle[i]);
        rc = add_note(r, &note, err);
    }
    return rc;
}

/* ---- the language ---- */

static int take_merge(struct ldl_recipe *r, const struct ldl_paddle_table *t, struct ldl_args *a,
                      struct ldl_err *err)
{
    int rc = ldl_recipe_text(&r->base, text_of(a, "base_model_path"), err);
    if (rc == 0)
        rc = take_models(r, a, err);
    if (rc == 0)
        rc = take_method(r, a, err);
    return rc ? rc : take_weights(r, t, a, err);
}

static int apply_rules(struct ldl_recipe *r, const struct ldl_paddle_table *t, struct ldl_args *a,
                       int need_output, struct ldl_err *err)
{
    int rc = get(a, "lora_model_path") ? take_lora(r, t, a, err) : take_merge(r, t, a, err);
    if (rc == 0)
        rc = take_running(r, a, err);
    if (rc == 0)
        rc = take_output(r, a, need_output, err);
    if (rc == 0)
        rc = note_running(r, a, err);
    if (rc)
        return rc;
    r->config_name = "merge_config.json";
    ldl_args_write(a, &r->config);
    return r->config.failed ? ldl_oom(err) : take_values(r, t, a, err);
}

static int parse(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err)
{
    struct ldl_paddle_table table;
    ldl_paddle_table(&table);
    struct ldl_args args = { .flags = &table.flags };
    int from_file = argc > 0 && ldl_has_suffix(argv[0], ".json");
    int rc = from_file ? ldl_args_read(&args, argv[0], err) : 0;
    if (rc == 0)
        rc = ldl_args_words(&args, argc - from_file, argv + from_file, err);
    if (rc == 0)
        rc = ldl_args_defaults(&args, err);
    if (rc == 0)
        rc = apply_rules(r, &table, &args, need_output, err);
    ldl_args_free(&args);
    return rc;
}

static int claims(int argc, const char *const *argv)
{
    return argc == 0 || argv[0][0] == '-' || ldl_has_suffix(argv[0], ".json");
}

static const char intro[] =
    "usage: ladle merge --model_path_list A B ... --output_path OUT [--flag value ...]\n"
    "       ladle merge SETTINGS.json [--flag value ...]\n\n"
    "The flags are those of PaddleNLP's mergekit.py. `-` and `_` are the same in a flag,\n"
    "--flag=value works, and a flag may be cut short where that is clear. A JSON file holds\n"
    "the same settings; flags after it win.\n";

static void help(struct ldl_buf *out)
{
    struct ldl_paddle_table table;
    ldl_paddle_table(&table);
    ldl_buf_puts(out, intro);
    ldl_flags_help(&table.flags, out);
}

const struct ldl_language ldl_language_paddle = {
    .name = LDL_PADDLE,
    .summary = "flags of PaddleNLP's mergekit.py, or the same settings as JSON",
    .claims = claims,
    .parse = parse,
    .help = help,
};
