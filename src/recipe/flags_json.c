/* flags_json.c -- settings from and to JSON.
 *
 *     { "merge_method": "ties", "weight_list": [1, 0.5], "rescale": false, "base_model_path": null }
 *
 * Every value becomes the words that would be typed (numbers as they are written), so that JSON
 * and command line obey the same rules; null means not given. Names must be whole, and may occur
 * once: the second of two equal keys would win silently. Errors carry FILE:line:column. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/flags.h"
#include "base/io.h"
#include "base/json.h"

#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

struct reader {
    struct ldl_args *a;
    struct ldl_json j;
    struct ldl_buf text; /* key, then strings */
    unsigned char seen[LDL_MAX_FLAGS];
};

/* ---- reading ---- */

/* A JSON string may hold U+0000, which would cut the word short. */
static int check_nul(struct reader *r, struct ldl_err *err)
{
    if (strlen(r->text.text) == r->text.len)
        return 0;
    return ldl_json_fail(&r->j, err, "a string with a NUL character");
}

static int take_scalar(struct reader *r, struct ldl_names *words, struct ldl_err *err)
{
    int c = ldl_json_peek(&r->j), rc;
    const char *from, *to;
    if (c == '{' || c == '[')
        return ldl_json_fail(&r->j, err, "expected a string, a number or a boolean here");
    if (c == '"') {
        rc = ldl_json_string(&r->j, &r->text, err);
        if (rc == 0)
            rc = check_nul(r, err);
    } else {
        if ((rc = ldl_json_skip(&r->j, &from, &to, err)))
            return rc;
        if (c == 'n')
            return ldl_json_fail(&r->j, err, "null inside a list");
        ldl_buf_reset(&r->text);
        ldl_buf_put(&r->text, from, (size_t)(to - from));
        rc = r->text.failed ? ldl_oom(err) : 0;
    }
    if (rc == 0 && ldl_names_add(words, r->text.text))
        rc = ldl_oom(err);
    return rc;
}

static int take_list(struct reader *r, struct ldl_names *words, struct ldl_err *err)
{
    int rc = ldl_json_enter(&r->j, '[', err);
    if (rc)
        return rc;
    while ((rc = ldl_json_item(&r->j, err)) > 0)
        if ((rc = take_scalar(r, words, err)))
            return rc;
    return -rc;
}

static int take_value(struct reader *r, size_t index, struct ldl_err *err)
{
    struct ldl_names words = { 0 };
    struct ldl_err origin; /* "FILE:line:column: name", in the reader's own form */
    int c = ldl_json_peek(&r->j), rc;
    if (c == 'n')
        return ldl_json_skip(&r->j, NULL, NULL, err);
    ldl_json_fail(&r->j, &origin, "%s", r->a->flags->flag[index].param->name);
    rc = c == '[' ? take_list(r, &words, err) : take_scalar(r, &words, err);
    if (rc == 0)
        rc = ldl_args_set(r->a, index, LDL_FROM_JSON, (const char *const *)words.name, words.n,
                          origin.text, err);
    ldl_names_free(&words);
    return rc;
}

/* Which row the key names. */
static int find_key(struct reader *r, size_t *index, struct ldl_err *err)
{
    const struct ldl_flags *f = r->a->flags;
    const char *list[LDL_MAX_FLAGS], *near;
    char *key = r->text.text;
    int rc = check_nul(r, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < r->text.len; i++)
        if (key[i] == '-')
            key[i] = '_';
    for (size_t i = 0; i < f->n; i++) {
        list[i] = f->flag[i].param->name;
        if (strcmp(list[i], key) != 0)
            continue;
        *index = i;
        if (r->seen[i])
            return ldl_json_fail(&r->j, err, "'%s' is there twice; keep one of them", key);
        r->seen[i] = 1;
        return 0;
    }
    if ((near = ldl_nearest(key, list, f->n)))
        return ldl_json_fail(&r->j, err, "unknown setting '%s'; did you mean '%s'?", key, near);
    return ldl_json_fail(&r->j, err, "unknown setting '%s'; --help lists all", key);
}

/* The reader's place is after the key's colon; messages about the key want the key's own. */
static void step_to_key(struct ldl_json *j, const char *from)
{
    while (from < j->end && strchr(" \t\r\n,", *from))
        from++;
    j->at = from;
}

static int take_members(struct reader *r, struct ldl_err *err)
{
    const char *before = r->j.at;
    size_t index = 0;
    int rc;
    while ((rc = ldl_json_member(&r->j, &r->text, err)) > 0) {
        const char *value = r->j.at;
        step_to_key(&r->j, before);
        if ((rc = find_key(r, &index, err)))
            return rc;
        r->j.at = value;
        if ((rc = take_value(r, index, err)))
            return rc;
        before = r->j.at;
    }
    return -rc;
}

int ldl_args_read(struct ldl_args *a, const char *json_path, struct ldl_err *err)
{
    struct reader r = { .a = a };
    struct ldl_buf file = { 0 };
    int rc = ldl_read_file(json_path, MAX_FILE_BYTES, &file, err);
    if (rc)
        goto out;
    ldl_json_open(&r.j, file.text, file.len, json_path);
    rc = ldl_json_enter(&r.j, '{', err);
    if (rc == 0)
        rc = take_members(&r, err);
    if (rc == 0)
        rc = ldl_json_close(&r.j, err);
out:
    ldl_buf_free(&r.text);
    ldl_buf_free(&file);
    if (rc != LDL_EINPUT)
        return rc;
    if (err) /* to the reader any text is input; a wrong recipe is wrong usage */
        err->code = LDL_EUSAGE;
    return LDL_EUSAGE;
}

/* ---- writing ---- */

static void write_list(const struct ldl_value *v, struct ldl_buf *out)
{
    ldl_buf_puts(out, "[");
    for (size_t i = 0; i < v->n; i++) {
        ldl_buf_puts(out, i ? ",\n    " : "\n    ");
        if (v->nums)
            ldl_buf_double(out, v->nums[i]);
        else
            ldl_buf_json(out, v->text[i]);
    }
    ldl_buf_puts(out, "\n  ]");
}

static void write_value(const struct ldl_arg *arg, struct ldl_buf *out)
{
    const struct ldl_value *v = &arg->value;
    char word[LDL_FLAG_WORD];
    if (arg->source == LDL_FROM_NOTHING) {
        ldl_buf_puts(out, "null");
        return;
    }
    switch (v->param->type) {
    case LDL_T_BOOL: ldl_buf_puts(out, v->num != 0 ? "true" : "false"); break;
    case LDL_T_INT:
    case LDL_T_BYTES: ldl_buf_printf(out, "%lld", (long long)v->integer); break;
    case LDL_T_DOUBLE: ldl_buf_double(out, v->num); break;
    case LDL_T_WORD: ldl_buf_json(out, ldl_flag_word(v, word)); break;
    case LDL_T_TEXT: ldl_buf_json(out, v->text[0]); break;
    case LDL_T_TEXTS:
    case LDL_T_DOUBLES: write_list(v, out); break;
    }
}

void ldl_args_write(const struct ldl_args *a, struct ldl_buf *out)
{
    const struct ldl_flags *f = a->flags;
    size_t order[LDL_MAX_FLAGS], n = 0;
    for (size_t i = 0; i < f->n; i++) {
        size_t at = n;
        if (!f->flag[i].recorded)
            continue;
        for (; at > 0 && strcmp(f->flag[order[at - 1]].param->name, f->flag[i].param->name) > 0;
             at--)
            order[at] = order[at - 1];
        order[at] = i;
        n++;
    }
    ldl_buf_puts(out, "{");
    for (size_t i = 0; i < n; i++) {
        ldl_buf_printf(out, "%s\n  \"%s\": ", i ? "," : "", f->flag[order[i]].param->name);
        write_value(&a->arg[order[i]], out);
    }
    ldl_buf_puts(out, "\n}\n");
}
