/* fuzz_recipe.c -- any bytes as the settings of a merge: as a JSON file, as a recipe of mergekit, as
 * the words of a command line (one a line). Parsing ends with a recipe or with one line of error; the
 * merge_config.json of a recipe is a recipe again, and the same one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "recipe/recipe.h"

enum { WORDS_MAX = 64 };

static int parse(struct ldl_recipe *r, int argc, const char *const *argv)
{
    struct ldl_err err = { 0 };
    *r = (struct ldl_recipe){ 0 };
    if (ldl_recipe_parse(r, NULL, argc, argv, 0, &err) == 0)
        return 1;
    fuzz_check_error(&err);
    FUZZ_CHECK(!r->value && !r->model && !r->config.text);
    return 0;
}

static void use(int argc, const char *const *argv)
{
    struct ldl_recipe r, again;
    if (!parse(&r, argc, argv))
        return;
    FUZZ_CHECK(r.method && r.nmodels > 0 && r.config.len > 0);
    const char *path = fuzz_file("again.json", (const uint8_t *)r.config.text, r.config.len);
    FUZZ_CHECK(parse(&again, 1, &path));
    FUZZ_CHECK(again.config.len == r.config.len &&
               memcmp(again.config.text, r.config.text, r.config.len) == 0);
    ldl_recipe_free(&again);
    ldl_recipe_free(&r);
}

/* As a recipe of mergekit: it is taken or refused, and so are the parameters of a tensor. */
static void use_yaml(const uint8_t *bytes, size_t n)
{
    struct ldl_recipe r;
    struct ldl_err err = { 0 };
    const char *path = fuzz_file("recipe.yml", bytes, n);
    if (!parse(&r, 1, &path))
        return;
    FUZZ_CHECK(r.method && r.fill && r.config.len > 0);
    const struct ldl_combiner *c = r.method->combiner;
    size_t m = r.nslices ? 0 : r.nmodels;
    const char **in = calloc(r.nmodels + 1, sizeof *in);
    double *room = calloc((r.nmodels + 1) * (c->nparams + 1), sizeof *room);
    void *params = calloc(1, c->params_bytes);
    FUZZ_CHECK(in && room && params);
    for (size_t i = 0; i < r.nmodels; i++)
        in[i] = "model.layers.1.mlp.up_proj.weight";
    struct ldl_place at = { .name = "model.layers.1.mlp.up_proj.weight", .in = in, .t = 0.5 };
    if (m && r.fill(&r, &at, c->param, c->nparams, m, m, params, room, &err))
        fuzz_check_error(&err);
    free(in);
    free(room);
    free(params);
    ldl_recipe_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *words[WORDS_MAX], *path = fuzz_file("recipe.json", bytes, n);
    int count = 0;
    use(1, &path);
    use_yaml(bytes, n);
    char *text = ldl_strndup((const char *)bytes, n);
    for (char *at = text, *next; at && count < WORDS_MAX; at = next) {
        if ((next = strchr(at, '\n')))
            *next++ = 0;
        words[count++] = at;
    }
    use(count, words);
    ldl_free(text);
    return 0;
}
