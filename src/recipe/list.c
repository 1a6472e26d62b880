/* list.c -- the table of input languages, made from list.def, and the one way to a recipe.
 *
 * The words of a command line belong to the last language that claims them: the first
 * takes whatever begins with a flag, later ones know theirs better. Whatever a language's
 * parse() leaves behind when it fails is released here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/recipe.h"

#include <string.h>

#define LDL_LANGUAGE(member) extern const struct ldl_language ldl_language_##member;
#include "recipe/list.def"
#undef LDL_LANGUAGE

#define LDL_LANGUAGE(member) &ldl_language_##member,
const struct ldl_language *const ldl_languages[] = {
#include "recipe/list.def"
    NULL
};
#undef LDL_LANGUAGE

static int fits(const struct ldl_language *l, const char *verb, int argc, const char *const *argv)
{
    if (verb || l->verb)
        return verb && l->verb && strcmp(verb, l->verb) == 0;
    return l->claims(argc, argv);
}

int ldl_recipe_parse(struct ldl_recipe *r, const char *verb, int argc, const char *const *argv,
                     int need_output, struct ldl_err *err)
{
    *r = (struct ldl_recipe){ 0 };
    for (size_t i = 0; ldl_languages[i]; i++)
        if (fits(ldl_languages[i], verb, argc, argv))
            r->language = ldl_languages[i];
    int rc = r->language ? r->language->parse(r, argc, argv, need_output, err)
                         : ldl_fail(err, LDL_EUSAGE,
                                    "'%s' is neither a flag nor a file of settings (.json); models "
                                    "go after --model_path_list",
                                    argv[0]);
    if (rc)
        ldl_recipe_free(r);
    return rc;
}

int ldl_recipe_text(char **to, const char *from, struct ldl_err *err)
{
    *to = from ? ldl_strdup(from) : NULL;
    return from && !*to ? ldl_oom(err) : 0;
}

static void free_texts(char **text, size_t n)
{
    for (size_t i = 0; text && i < n; i++)
        ldl_free(text[i]);
    ldl_free(text);
}

void ldl_recipe_free(struct ldl_recipe *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->nvalues; i++)
        ldl_value_free(&r->value[i]);
    ldl_free(r->value);
    free_texts(r->model, r->nmodels);
    free_texts(r->copy_file, r->ncopy_files);
    for (size_t i = 0; i < r->nslices; i++)
        ldl_free(r->slice[i].source);
    ldl_free(r->slice);
    ldl_free(r->module);
    for (size_t i = 0; i < r->nparts; i++) {
        ldl_recipe_free(r->part[i].recipe);
        ldl_free(r->part[i].recipe);
        ldl_free(r->part[i].name);
    }
    ldl_free(r->part);
    if (r->text)
        r->text_free(r->text);
    ldl_free(r->donor);
    ldl_free(r->tokenizer.rule);
    ldl_free(r->chat_template);
    ldl_free(r->report);
    ldl_buf_free(&r->card);
    ldl_free(r->own_name);
    ldl_free(r->base);
    ldl_free(r->lora);
    ldl_free(r->output);
    ldl_free(r->prefix);
    ldl_free(r->format);
    ldl_free(r->shard_prefix);
    ldl_free(r->device);
    ldl_names_free(&r->note);
    ldl_buf_free(&r->config);
    *r = (struct ldl_recipe){ 0 };
}
