/* side.c -- the files that come along with the weights. */
/* SPDX-License-Identifier: Apache-2.0 */
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
        rc = ldl_plan_config(p, from, &text, path, ldl_plan_edit(p, "config.json"), err);
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
static int same_file(const struct ldl_files *a, const struct ldl_files *b, const char *name,
                     struct ldl_err *err)
{
    struct ldl_buf text[2] = { { 0 }, { 0 } };
    const struct ldl_files *of[] = { a, b };
    int there[2] = { 0, 0 }, rc = 0;
    for (int i = 0; rc == 0 && i < 2; i++) {
        char *path;
        rc = ldl_files_read(of[i], name, 256 << 20, &text[i], &path, &there[i], err);
        ldl_free(path);
    }
    int same = there[0] == there[1] && text[0].len == text[1].len &&
               (!there[0] || memcmp(text[0].text, text[1].text, text[0].len) == 0);
    ldl_buf_free(&text[0]);
    ldl_buf_free(&text[1]);
    return rc ? -rc : same;
}

static int check_tokenizer(const struct ldl_files *with, const struct ldl_files *files,
                           const char *asked, struct ldl_err *err)
{
    static const char *const names[] = { "tokenizer.json", "tokenizer.model",
                                         "vocab.json",     "vocab.txt",
                                         "spiece.model",   "sentencepiece.bpe.model",
                                         "spm.model",      "added_tokens.json" };
    for (size_t k = 0; k < LDL_COUNT(names); k++) {
        int same = same_file(with, files, names[k], err);
        if (same < 0)
            return -same;
        if (!same)
            return ldl_fail(err, LDL_EUSAGE,
                            "tokenizer_source: %s has another %s than %s, and one of them is of a "
                            "kind that is not read (docs/recipes.md), so that joining them is not "
                            "in this build",
                            asked, names[k], with->dir);
    }
    return 0;
}

int ldl_plan_same_tokenizers(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_files with = ldl_plan_tokenizer_files(ldl_plan_giver(p));
    const char *asked = p->recipe.tokenizer.model;
    const struct ldl_plan *made = NULL;
    struct ldl_files files;
    char *path = NULL;
    int rc = asked ? ldl_plan_made(p, asked, &made, err) : 0;
    if (rc == 0 && asked && (made || (rc = ldl_resolve(asked, &path, err)) == 0)) {
        files = made ? ldl_plan_made_files(made) : (struct ldl_files){ .dir = path };
        rc = check_tokenizer(&with, &files, asked, err);
    }
    ldl_free(path);
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(p); i++) {
        files = ldl_plan_tokenizer_files(&p->model[i]);
        rc = check_tokenizer(&with, &files, p->model[i].asked, err);
    }
    return rc;
}

static int is_tokenizer_file(const char *name)
{
    size_t i = 0;
    while (ldl_tokenizer_files[i] && strcmp(ldl_tokenizer_files[i], name) != 0)
        i++;
    return ldl_tokenizer_files[i] != NULL;
}

/* The texts that a result would have, of files of its tokenizer or all others, where this plan has none of
 * its own yet. */
static int take_texts(struct ldl_plan *p, const struct ldl_plan *made, int tokenizer,
                      struct ldl_err *err)
{
    for (size_t i = 0; i < made->nedited; i++) {
        const struct ldl_edited *e = &made->edited[i];
        if (!e->text.text || is_tokenizer_file(e->name) != tokenizer || ldl_plan_edited(p, e->name))
            continue;
        struct ldl_buf *text = ldl_plan_edit(p, e->name);
        ldl_buf_put(text, e->text.text, e->text.len);
        if (text->failed)
            return ldl_oom(err);
    }
    return 0;
}

/* Those of a result. */
static int take_made_files(struct ldl_plan *p, const struct ldl_plan *made, struct ldl_err *err)
{
    for (size_t i = 0; i < made->side.n; i++)
        if (ldl_names_add(&p->side, made->side.name[i]))
            return ldl_oom(err);
    int rc = take_texts(p, made, 0, err);
    if (rc || p->tokenizer_dir) /* the tokenizer is another's */
        return rc;
    if (made->tokenizer_dir && !(p->tokenizer_dir = ldl_strdup(made->tokenizer_dir)))
        return ldl_oom(err);
    return take_texts(p, made, 1, err);
}

/* The tokenizer's files of another folder, or result, in the place of these. */
static int exchange_tokenizer(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_plan *of = p->tokenizer_of;
    struct ldl_names all = { 0 };
    int rc = 0, there;
    for (size_t i = 0; rc == 0 && i < p->side.n; i++)
        if (!is_tokenizer_file(p->side.name[i]))
            rc = ldl_names_add(&all, p->side.name[i]) ? ldl_oom(err) : 0;
    for (size_t i = 0; rc == 0 && ldl_tokenizer_files[i]; i++) {
        if (of && ldl_plan_edited(of, ldl_tokenizer_files[i]))
            continue; /* it comes as a text */
        there = ldl_side_check(p->tokenizer_dir, ldl_tokenizer_files[i], err);
        rc = there < 0 ? -there : 0;
        if (there > 0 && ldl_names_add(&all, ldl_tokenizer_files[i]))
            rc = ldl_oom(err);
    }
    ldl_names_free(&p->side);
    p->side = all;
    return rc || !of ? rc : take_texts(p, of, 1, err);
}

/* Files of the tokenizer that were not there before. */
static int add_new_files(struct ldl_plan *p, struct ldl_err *err)
{
    for (size_t i = 0; i < p->nedited; i++) {
        const struct ldl_edited *e = &p->edited[i];
        size_t k = 0;
        while (k < p->side.n && strcmp(p->side.name[k], e->name) != 0)
            k++;
        if (e->text.text && is_tokenizer_file(e->name) && k == p->side.n &&
            ldl_names_add(&p->side, e->name))
            return ldl_oom(err);
    }
    return 0;
}

const char *ldl_plan_side_dir(const struct ldl_plan *p, const char *name)
{
    return p->tokenizer_dir && is_tokenizer_file(name) ? p->tokenizer_dir : p->side_dir;
}

int ldl_plan_side(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *from = ldl_plan_giver(p);
    int exchange = p->tokenizer_dir != NULL;
    p->side_dir = from->dir;
    int rc = from->made_by          ? take_made_files(p, from->made_by, err)
             : p->recipe.copy_given ? take_asked_files(p, err)
                                    : take_usual_files(p, from, err);
    if (rc == 0 && exchange)
        rc = exchange_tokenizer(p, err);
    if (rc == 0)
        rc = add_new_files(p, err);
    if (rc == 0)
        rc = edit_config(p, from, err);
    return rc ? rc : ldl_plan_chat(p, err);
}
