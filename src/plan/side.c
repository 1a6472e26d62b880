/* side.c -- the files that come along with the weights, and the edits of config.json. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fp8_out.h"
#include "model/tokenizer.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* Names that the merge itself writes cannot be copied over. */
static int is_ours(const struct ldl_plan *p, const char *name)
{
    if (p->index_name && strcmp(name, p->index_name) == 0)
        return 1;
    if (p->recipe.config.len && strcmp(name, p->recipe.config_name) == 0)
        return 1;
    for (size_t s = 0; s < p->nshards; s++)
        if (strcmp(name, p->shard[s].name) == 0)
            return 1;
    return 0;
}

static int take_asked_files(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    for (size_t i = 0; i < r->ncopy_files; i++) {
        const char *name = r->copy_file[i];
        if (is_ours(p, name))
            return ldl_fail(err, LDL_EUSAGE,
                            "--copy_file_list: %s is written by the merge itself; leave it out",
                            name);
        int there = ldl_side_check(p->side_dir, name, err);
        if (there < 0)
            return -there;
        if (there == 0) {
            char text[1024];
            snprintf(text, sizeof text, "--copy_file_list: %s is not in %s; it is left out", name,
                     p->side_dir);
            int rc = ldl_plan_note(p, text, err);
            if (rc)
                return rc;
        } else if (ldl_names_add(&p->side, name)) {
            return ldl_oom(err);
        }
    }
    return 0;
}

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

const struct ldl_model *ldl_plan_giver(const struct ldl_plan *p)
{
    return p->recipe.donor ? &p->donor : p->base ? p->base : &p->model[0];
}

struct ldl_buf *ldl_plan_edit(struct ldl_plan *p, const char *name)
{
    for (size_t i = 0; i < p->nedited; i++)
        if (strcmp(p->edited[i].name, name) == 0)
            return &p->edited[i].text;
    struct ldl_edited *e = &p->edited[p->nedited++];
    e->name = name;
    return &e->text;
}

const struct ldl_buf *ldl_plan_edited(const struct ldl_plan *p, const char *name)
{
    for (size_t i = 0; i < p->nedited; i++)
        if (p->edited[i].text.text && strcmp(p->edited[i].name, name) == 0)
            return &p->edited[i].text;
    return NULL;
}

int ldl_plan_read_side(const struct ldl_plan *p, const char *name, uint64_t max_bytes,
                       struct ldl_buf *text, struct ldl_err *err)
{
    const struct ldl_buf *now = ldl_plan_edited(p, name);
    if (now) {
        ldl_buf_put(text, now->text, now->len);
        return text->failed ? ldl_oom(err) : 0;
    }
    char *path = ldl_path_join(ldl_plan_side_dir(p, name), name);
    int rc = path ? ldl_read_file(path, max_bytes, text, err) : ldl_oom(err);
    ldl_free(path);
    return rc;
}

/* Models of several parts have vocab_size in text_config, unless the top says it: the text of text_config
 * with the output's, empty when there is nothing to say there. */
static int inner_rows(const struct ldl_plan *p, const struct ldl_buf *text, const char *path,
                      const char *rows, struct ldl_buf *inner, struct ldl_err *err)
{
    const char *top, *part;
    size_t ntop, npart;
    int rc =
        p->rows ? ldl_config_find(text->text, text->len, path, "vocab_size", &top, &ntop, err) : -1;
    if (rc == 0)
        rc = ldl_config_find(text->text, text->len, path, "text_config", &part, &npart, err);
    if (rc || npart == 0 || *part != '{')
        return rc < 0 ? 0 : rc;
    const struct ldl_edit edit = { "vocab_size", rows, ntop == 0 };
    return ldl_config_edit(part, npart, path, &edit, 1, inner, err);
}

/* The edits that the output's types ask for: its dtype, and whether and how it is quantized. */
static int edit_text(struct ldl_plan *p, const struct ldl_model *from, const struct ldl_buf *text,
                     const char *path, struct ldl_err *err)
{
    static const char *const counts[] = { "num_hidden_layers", "n_layer", "num_layers",
                                          "n_layers" };
    struct ldl_buf word = { 0 }, fp8 = { 0 }, inner = { 0 };
    char layers[32], rows[32];
    struct ldl_layer_lists lists = { 0 };
    struct ldl_edit edit[LDL_CONFIG_EDITS];
    size_t n = 0;
    int rc = p->recipe.dtype == LDL_F8_E4M3 ? fp8_config(p, &fp8, err) : 0;
    if (p->recipe.dtype != LDL_DTYPES && p->recipe.dtype != LDL_F8_E4M3) {
        ldl_buf_json(&word, ldl_dtype_name(p->recipe.dtype));
        edit[n++] = (struct ldl_edit){ "dtype", word.text, 0 };
        edit[n++] = (struct ldl_edit){ "torch_dtype", word.text, 0 };
    }
    if (fp8.len || from->fp8) {
        edit[n++] =
            (struct ldl_edit){ "quantization_config", fp8.len ? fp8.text : NULL, fp8.len > 0 };
        edit[n++] = (struct ldl_edit){ "compression_config", NULL, 0 };
    }
    snprintf(layers, sizeof layers, "%llu", (unsigned long long)p->layers);
    for (size_t i = 0; p->layers && i < LDL_COUNT(counts); i++)
        edit[n++] = (struct ldl_edit){ counts[i], layers, 0 };
    if (rc == 0)
        rc = ldl_plan_layer_lists(p, text->text, text->len, path, &lists, err);
    for (size_t i = 0; i < lists.n; i++)
        edit[n++] = (struct ldl_edit){ lists.key.name[i], lists.value[i].text, 0 };
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)p->rows);
    if (p->rows)
        edit[n++] = (struct ldl_edit){ "vocab_size", rows, 0 };
    if (rc == 0)
        rc = inner_rows(p, text, path, rows, &inner, err);
    if (inner.len)
        edit[n++] = (struct ldl_edit){ "text_config", inner.text, 0 };
    for (size_t i = 0; i < p->nmodels + (p->base != NULL); i++)
        if (p->model[i].untied) {
            edit[n++] = (struct ldl_edit){ "tie_word_embeddings", "false", 1 };
            break;
        }
    if (rc == 0 && word.failed)
        rc = ldl_oom(err);
    if (rc == 0 && n)
        rc = ldl_config_edit(text->text, text->len, path, edit, n, ldl_plan_edit(p, "config.json"),
                             err);
    ldl_buf_free(&word);
    ldl_buf_free(&fp8);
    ldl_buf_free(&inner);
    ldl_layer_lists_free(&lists);
    return rc;
}

static int edit_config(struct ldl_plan *p, const struct ldl_model *from, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    char *path = NULL;
    int rc = 0, found = 0;
    for (size_t i = 0; i < p->side.n; i++)
        found |= strcmp(p->side.name[i], "config.json") == 0;
    if (!found)
        return 0;
    if (!(path = ldl_path_join(p->side_dir, "config.json")))
        return ldl_oom(err);
    rc = ldl_plan_read_side(p, "config.json", 64 << 20, &text, err);
    if (rc == 0)
        rc = edit_text(p, from, &text, path, err);
    ldl_buf_free(&text);
    ldl_free(path);
    return rc;
}

/* A file that was named by itself may lie among strangers (a downloads folder): what is beside it
 * belongs to it only if a config.json says that this is a model's folder. */
static int take_usual_files(struct ldl_plan *p, const struct ldl_model *from, struct ldl_err *err)
{
    if (from->lone && !from->has_config)
        return 0;
    struct ldl_names outside;
    char text[1024];
    int rc = ldl_side_list(p->side_dir, &p->side, &outside, err);
    for (size_t i = 0; rc == 0 && i < outside.n; i++) {
        snprintf(text, sizeof text,
                 "%s/%s is a link that leads out of the model, so it is left out; copy it yourself",
                 p->side_dir, outside.name[i]);
        rc = ldl_plan_note(p, text, err);
    }
    ldl_names_free(&outside);
    return rc;
}

/* ---- tokenizers ---- */

/* The same bytes in both folders, or in neither? 1, 0, negative: -ldl_code. */
static int same_file(const char *a, const char *b, const char *name, struct ldl_err *err)
{
    struct ldl_buf text[2] = { { 0 }, { 0 } };
    const char *dir[] = { a, b };
    int there[2] = { 0, 0 }, rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        char *path = ldl_path_join(dir[i], name);
        there[i] = path && ldl_exists(path);
        rc = !path ? ldl_oom(err) : there[i] ? ldl_read_file(path, 256 << 20, &text[i], err) : 0;
        ldl_free(path);
    }
    int same = there[0] == there[1] && text[0].len == text[1].len &&
               (!there[0] || memcmp(text[0].text, text[1].text, text[0].len) == 0);
    ldl_buf_free(&text[0]);
    ldl_buf_free(&text[1]);
    return rc ? -rc : same;
}

static int check_tokenizer(const char *with, const char *dir, const char *asked,
                           struct ldl_err *err)
{
    static const char *const names[] = { "tokenizer.json", "tokenizer.model", "vocab.json",
                                         "added_tokens.json" };
    for (size_t k = 0; k < LDL_COUNT(names); k++) {
        int same = same_file(with, dir, names[k], err);
        if (same < 0)
            return -same;
        if (!same)
            return ldl_fail(
                err, LDL_EUSAGE,
                "tokenizer_source: %s has another %s than %s, and joining tokenizers is "
                "not in this build where one of them has no tokenizer.json",
                asked, names[k], with);
    }
    return 0;
}

int ldl_plan_same_tokenizers(const struct ldl_plan *p, struct ldl_err *err)
{
    const char *with = ldl_plan_giver(p)->dir, *asked = p->recipe.tokenizer.model;
    char *path = NULL;
    int rc = 0;
    if (asked && (rc = ldl_resolve(asked, &path, err)) == 0)
        rc = check_tokenizer(with, path, asked, err);
    ldl_free(path);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++)
        rc = check_tokenizer(with, p->model[i].dir, p->model[i].asked, err);
    return rc;
}

/* Those of a result, with the texts that it would have. */
static int take_made_files(struct ldl_plan *p, const struct ldl_plan *made, struct ldl_err *err)
{
    for (size_t i = 0; i < made->side.n; i++)
        if (ldl_names_add(&p->side, made->side.name[i]))
            return ldl_oom(err);
    for (size_t i = 0; i < made->nedited; i++) {
        const struct ldl_edited *e = &made->edited[i];
        struct ldl_buf *text = ldl_plan_edit(p, e->name);
        if (e->text.text)
            ldl_buf_put(text, e->text.text, e->text.len);
        if (text->failed)
            return ldl_oom(err);
    }
    return 0;
}

static int is_tokenizer_file(const char *name)
{
    size_t i = 0;
    while (ldl_tokenizer_files[i] && strcmp(ldl_tokenizer_files[i], name) != 0)
        i++;
    return ldl_tokenizer_files[i] != NULL;
}

/* The tokenizer's files of another folder in the place of these. */
static int exchange_tokenizer(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_names all = { 0 };
    int rc = 0, there;
    for (size_t i = 0; rc == 0 && i < p->side.n; i++)
        if (!is_tokenizer_file(p->side.name[i]))
            rc = ldl_names_add(&all, p->side.name[i]) ? ldl_oom(err) : 0;
    for (size_t i = 0; rc == 0 && ldl_tokenizer_files[i]; i++) {
        there = ldl_side_check(p->tokenizer_dir, ldl_tokenizer_files[i], err);
        rc = there < 0 ? -there : 0;
        if (there > 0 && ldl_names_add(&all, ldl_tokenizer_files[i]))
            rc = ldl_oom(err);
    }
    ldl_names_free(&p->side);
    p->side = all;
    return rc;
}

const char *ldl_plan_side_dir(const struct ldl_plan *p, const char *name)
{
    return p->tokenizer_dir && is_tokenizer_file(name) ? p->tokenizer_dir : p->side_dir;
}

int ldl_plan_side(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *from = ldl_plan_giver(p);
    p->side_dir = from->dir;
    int rc = from->made_by          ? take_made_files(p, from->made_by, err)
             : p->recipe.copy_given ? take_asked_files(p, err)
                                    : take_usual_files(p, from, err);
    if (rc == 0 && p->tokenizer_dir)
        rc = exchange_tokenizer(p, err);
    if (rc == 0)
        rc = edit_config(p, from, err);
    return rc ? rc : ldl_plan_chat(p, err);
}
