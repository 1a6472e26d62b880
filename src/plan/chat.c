/* chat.c -- the chat template of the output, where a recipe asks for one.
 *
 *   auto    the template that most models have (blanks around it do not count); of equally many the
 *           one that comes first; none when no model has one
 *   text    as it is
 *
 * It is written as chat_template.jinja, which loaders look for first. Older ones read the member
 * "chat_template" of tokenizer_config.json or chat_template.json: where it is there, it gets the same
 * text, so that the output never has two templates. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "plan/parts.h"

#include <string.h>

enum { TEMPLATE_MAX_BYTES = 16 << 20 };
static const char jinja[] = "chat_template.jinja", member[] = "chat_template";
static const char *const json_files[] = { "tokenizer_config.json", "chat_template.json" };

/* ---- what a model has ---- */

/* An item of a list of templates, {"name": ..., "template": ...}: the one that is called default. */
static int read_item(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    struct ldl_buf key = { 0 }, name = { 0 }, text = { 0 };
    if (ldl_json_peek(j) != '{')
        return ldl_json_skip(j, NULL, NULL, err);
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        struct ldl_buf *to = strcmp(key.text, "name") == 0       ? &name
                             : strcmp(key.text, "template") == 0 ? &text
                                                                 : NULL;
        rc = to && ldl_json_peek(j) == '"' ? ldl_json_string(j, to, err)
                                           : ldl_json_skip(j, NULL, NULL, err);
        if (rc)
            goto out;
    }
    rc = rc < 0 ? -rc : 0;
    if (rc == 0 && name.text && strcmp(name.text, "default") == 0 && text.text)
        ldl_buf_put(out, text.text, text.len);
out:
    ldl_buf_free(&key);
    ldl_buf_free(&name);
    ldl_buf_free(&text);
    return rc;
}

static int read_value(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    int rc, more;
    ldl_buf_reset(out);
    if (ldl_json_peek(j) == '"')
        return ldl_json_string(j, out, err);
    if (ldl_json_peek(j) != '[')
        return ldl_json_skip(j, NULL, NULL, err);
    if ((rc = ldl_json_enter(j, '[', err)))
        return rc;
    while ((more = ldl_json_item(j, err)) > 0)
        if ((rc = read_item(j, out, err)))
            return rc;
    return -more;
}

/* The member of a file's object; out stays empty when there is none. */
static int read_member(const struct ldl_buf *file, const char *path, struct ldl_buf *out,
                       struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    struct ldl_json j;
    int rc, more = 0;
    ldl_json_open(&j, file->text, file->len, path);
    rc = ldl_json_enter(&j, '{', err);
    while (rc == 0 && (more = ldl_json_member(&j, &key, err)) > 0)
        rc = strcmp(key.text, member) == 0 ? read_value(&j, out, err)
                                           : ldl_json_skip(&j, NULL, NULL, err);
    ldl_buf_free(&key);
    return rc ? rc : -more;
}

static int read_template(const struct ldl_files *files, struct ldl_buf *out, struct ldl_err *err)
{
    const char *const names[] = { jinja, json_files[0], json_files[1] };
    struct ldl_buf text = { 0 };
    int rc = 0, there;
    for (size_t i = 0; rc == 0 && out->len == 0 && i < LDL_COUNT(names); i++) {
        char *path;
        rc = ldl_files_read(files, names[i], TEMPLATE_MAX_BYTES, &text, &path, &there, err);
        if (rc == 0 && there && i == 0)
            ldl_buf_put(out, text.text, text.len);
        else if (rc == 0 && there)
            rc = read_member(&text, path, out, err);
        ldl_free(path);
    }
    ldl_buf_free(&text);
    return rc ? rc : out->failed ? ldl_oom(err) : 0;
}

/* ---- auto ---- */

struct votes {
    struct ldl_names template;
    size_t *n; /* for each */
};

/* One vote for the text without the blanks around it. */
static int vote(struct votes *v, char *text)
{
    static const char blanks[] = " \t\n\r\f\v";
    size_t i = 0;
    text += strspn(text, blanks);
    for (size_t n = strlen(text); n && strchr(blanks, text[n - 1]);)
        text[--n] = 0;
    if (!*text)
        return 0;
    while (i < v->template.n && strcmp(v->template.name[i], text) != 0)
        i++;
    if (i == v->template.n && ldl_names_add(&v->template, text))
        return -1;
    v->n[i]++;
    return 0;
}

static int vote_model(struct votes *v, const struct ldl_model *m, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    if (m->lone && !m->has_config) /* what is beside it is not its own */
        return 0;
    const struct ldl_files files = ldl_plan_tokenizer_files(m);
    int rc = read_template(&files, &text, err);
    if (rc == 0 && text.failed)
        rc = ldl_oom(err);
    if (rc == 0 && text.len && vote(v, text.text))
        rc = ldl_oom(err);
    ldl_buf_free(&text);
    return rc;
}

static int is_again(const struct ldl_plan *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->model[k].asked, p->model[i].asked) == 0)
            return 1;
    return 0;
}

/* Fills in recipe.chat_template when a model has one. */
static int choose(struct ldl_plan *p, struct ldl_err *err)
{
    struct votes v = { 0 };
    size_t n = ldl_plan_inputs(p), best = 0;
    int rc = (v.n = ldl_calloc(n + 1, sizeof *v.n)) ? 0 : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (!is_again(p, i)) /* a model has one vote */
            rc = vote_model(&v, &p->model[i], err);
    if (rc == 0 && p->recipe.donor)
        rc = vote_model(&v, &p->donor, err);
    for (size_t i = 1; rc == 0 && i < v.template.n; i++)
        if (v.n[i] > v.n[best])
            best = i;
    if (rc == 0 && v.template.n && !(p->recipe.chat_template = ldl_strdup(v.template.name[best])))
        rc = ldl_oom(err);
    ldl_names_free(&v.template);
    ldl_free(v.n);
    return rc;
}

/* ---- the files ---- */

static int has_side(const struct ldl_plan *p, const char *name)
{
    for (size_t i = 0; i < p->side.n; i++)
        if (strcmp(p->side.name[i], name) == 0)
            return 1;
    return 0;
}

/* The file with the member, when it is there, exchanged. */
static int edit_json(struct ldl_plan *p, const char *name, const char *value, struct ldl_err *err)
{
    const struct ldl_edit edit = { member, value, 0 };
    struct ldl_buf text = { 0 };
    char *path = ldl_path_join(ldl_plan_side_dir(p, name), name);
    int was = ldl_plan_edited(p, name) != NULL;
    int rc = path ? ldl_plan_read_side(p, name, TEMPLATE_MAX_BYTES, &text, err) : ldl_oom(err);
    struct ldl_buf *out = ldl_plan_edit(p, name);
    if (rc == 0)
        rc = ldl_config_edit(text.text, text.len, path, &edit, 1, out, err);
    if (rc == 0 && !was && out->len == text.len && memcmp(out->text, text.text, text.len) == 0)
        ldl_buf_free(out); /* it is copied as it is */
    ldl_buf_free(&text);
    ldl_free(path);
    return rc;
}

int ldl_plan_chat(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_recipe *r = &p->recipe;
    struct ldl_buf value = { 0 };
    int rc = r->chat_auto ? choose(p, err) : 0;
    if (rc || !r->chat_template)
        return rc;
    struct ldl_buf *text = ldl_plan_edit(p, jinja);
    ldl_buf_reset(text);
    ldl_buf_puts(text, r->chat_template);
    if (text->failed || (!has_side(p, jinja) && ldl_names_add(&p->side, jinja)))
        return ldl_oom(err);
    ldl_buf_json(&value, r->chat_template);
    rc = value.failed ? ldl_oom(err) : 0;
    for (size_t i = 0; rc == 0 && i < LDL_COUNT(json_files); i++)
        if (has_side(p, json_files[i]))
            rc = edit_json(p, json_files[i], value.text, err);
    ldl_buf_free(&value);
    return rc;
}
