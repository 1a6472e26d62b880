/* test_mergekit.c -- recipes: what is read, what a parameter is where, what is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"
#include "unit/read_help.h"

#include "method/work.h"

static struct ldl_err err;
static struct ldl_recipe r;

static int parse(const char *yaml, const char *option)
{
    save("r.yml", yaml);
    char path[200];
    snprintf(path, sizeof path, "%s", at("r.yml"));
    const char *argv[] = { path, "OUT", option };
    return ldl_recipe_parse(&r, NULL, option ? 3 : 2, argv, 1, &err);
}

static void refuses(const char *yaml, const char *part)
{
    if (parse(yaml, NULL) == 0)
        fail_msg("taken: %s", yaml);
    if (!strstr(err.text, part))
        fail_msg("'%s' does not say '%s'", err.text, part);
    assert_null(r.model);
}

/* The value of the row `name` of the combiner for entry 0 and this tensor. */
static double value(const char *name, const char *tensor, double t, size_t slice)
{
    const struct ldl_combiner *c = r.method->combiner;
    const char *in[] = { tensor, tensor, tensor };
    static const size_t from[] = { 0, 1, 2 };
    struct ldl_place at = { .slice = slice, .name = tensor, .in = in, .from = from, .t = t };
    struct ldl_list list;
    double room[64], number = -1;
    for (size_t i = 0; i < c->nparams; i++) {
        if (strcmp(c->param[i].name, name) != 0)
            continue;
        struct ldl_param row = c->param[i];
        row.offset = 0;
        int is_list = row.type == LDL_T_DOUBLES, on = -1;
        void *into = is_list                  ? (void *)&list
                     : row.type == LDL_T_BOOL ? (void *)&on
                                              : (void *)&number;
        expect_ok(r.fill(&r, &at, &row, 1, r.nmodels, r.nmodels, into, room, &err));
        return is_list ? list.num[0] : row.type == LDL_T_BOOL ? on : number;
    }
    fail_msg("no parameter %s", name);
    return 0;
}

#define MODELS                                                                                     \
    "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 2}}]\n"

static void test_places(void **state)
{
    (void)state;
    expect_ok(parse(
        "models:\n- {model: a, parameters: {weight: [{filter: mlp, value: 7}]}}\n- {model: b}\n"
        "merge_method: task_arithmetic\nbase_model: c\n"
        "parameters: {weight: [{filter: attn, value: [0, 1, 0.5]}, {value: 3}], lambda: '2'}\n",
        NULL));
    assert_int_equal(r.nmodels, 2);
    assert_string_equal(r.base, "c");
    assert_true(value("weight", "l.0.mlp.w", 0, 0) == 7); /* its own */
    assert_true(value("weight", "l.0.attn.w", 0.5, 0) ==
                1); /* the recipe's, since no filter fits */
    assert_true(value("weight", "l.0.attn.w", 0.25, 0) == 0.5);
    assert_true(value("weight", "l.0.attn.w", 1, 0) == 0.5);
    assert_true(value("weight", "norm", 0, 0) == 3);
    assert_true(value("lambda", "norm", 0, 0) == 2); /* a text that is a number */
    assert_true(value("normalize", "norm", 0, 0) == 0);
    ldl_recipe_free(&r);
    expect_ok(parse(MODELS "merge_method: ties\nbase_model: c\n", NULL));
    assert_true(value("normalize", "norm", 0, 0) == 1); /* the default of ties itself */
    ldl_recipe_free(&r);
    expect_ok(parse("models: [a]\nmerge_method: slerp\nbase_model: b\n"
                    "parameters: {t: {filter: mlp, value: 0.5}}\n",
                    NULL));
    assert_true(value("t", "mlp", 0, 0) == 0.5); /* one condition, without a list */
    assert_true(value("t", "norm", 0, 0) == 0);
    ldl_recipe_free(&r);
    expect_ok(parse("models: [a]\nmerge_method: passthrough\n"
                    "parameters: {scale: {filter: mlp, value: 0.5}}\n",
                    NULL));
    assert_true(value("scale", "norm", 0, 0) == 1); /* there is a default */
    ldl_recipe_free(&r);
    expect_ok(parse(MODELS "merge_method: linear\nparameters: {normalize: [false, true]}\n", NULL));
    assert_true(value("normalize", "norm", 0.9, 0) == 0); /* booleans are not mixed */
    assert_true(value("normalize", "norm", 1, 0) == 1);
    ldl_recipe_free(&r);
}

static void test_slices(void **state)
{
    (void)state;
    expect_ok(
        parse("slices:\n- sources:\n  - {model: a, layer_range: [0, 4]}\n  - {model: b, "
              "layer_range: [2, 6]}\n"
              "- sources: [{model: b, layer_range: [0, 1]}, {model: a, layer_range: [1, 2]}]\n"
              "  parameters: {t: 0.25}\n"
              "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\ndtype: "
              "bfloat16\nout_dtype: float16\n",
              NULL));
    assert_int_equal(r.nslices, 2);
    assert_int_equal(r.nmodels, 1); /* b; a is the base */
    assert_int_equal(r.slice[0].source[0].model, 1);
    assert_int_equal(r.slice[0].source[1].model, 0);
    assert_int_equal(r.slice[0].source[1].first, 2);
    assert_int_equal(r.slice[1].source[1].model, 1);
    assert_int_equal(r.dtype, LDL_F16);
    assert_true(value("t", "x", 0, 0) == 0.5);
    assert_true(value("t", "x", 0, 1) == 0.25);
    ldl_recipe_free(&r);
}

static void test_notes(void **state)
{
    static const char recipe[] =
        "models:\n- {model: a, parameters: {wieght: 1, weight: 1}}\n- {model: b, paramters: {}}\n"
        "merge_method: linear\nnormalize: false\n"
        "parameters: {weight: {fliter: x, value: 1}, normalize: [{pattern: x, value: 1}], "
        "int8_mask: true}\n";
    static const char *const more[] = {
        ":5:1: unknown key 'normalize'; parameters are written under 'parameters:', it is ignored",
        ":6:23: unknown key 'fliter'; did you mean 'filter'?", ":6:58: unknown key 'pattern'; it is"
    };
    (void)state;
    expect_ok(parse(recipe, NULL));
    assert_int_equal(r.note.n, 5); /* int8_mask never changes a result */
    assert_non_null(strstr(r.note.name[0], more[0]));
    assert_non_null(strstr(r.note.name[1], more[1]));
    assert_non_null(strstr(r.note.name[2], more[2]));
    assert_non_null(
        strstr(r.note.name[3], ":2:27: unknown parameter 'wieght'; did you mean 'weight'?"));
    assert_non_null(
        strstr(r.note.name[4], ":3:14: unknown key 'paramters'; did you mean 'parameters'?"));
    ldl_recipe_free(&r);
    assert_int_equal(parse(recipe, "--strict"), LDL_EUSAGE);
    assert_non_null(strstr(err.text, "normalize"));
}

static void test_refused(void **state)
{
    static const char *const rows[][2] = {
        { "", "not a recipe" },
        { "[1]", "not a recipe" },
        { "models: 3\nmerge_method: linear\n", "r.yml:1:9: models: a list" },
        { "models: []\nmerge_method: linear\n", "models: a list with one item" },
        { MODELS "slices: []\nmerge_method: linear\n", "exactly one of models and slices" },
        { MODELS "merge_method: linear\ntokenizer_source: base\ntokenizer: {source: base}\n",
          ":4:12: tokenizer and tokenizer_source" },
        { MODELS "merge_method: linear\ntokenizer_source: [a]\n", ":3:19: the source" },
        { MODELS "merge_method: linear\ntokenizer: base\n", "tokenizer: a map" },
        { MODELS "merge_method: linear\ntokenizer: {pad_to_multiple_of: 1.5}\n",
          "pad_to_multiple_of: a whole number" },
        { MODELS "merge_method: linear\ntokenizer: {tokens: {t: {force: true}}}\n",
          ":3:25: a token is {source" },
        { MODELS "merge_method: linear\ntokenizer: {tokens: {t: {source: a, force: 1}}}\n",
          "force: true or false" },
        { MODELS "merge_method: linear\ntokenizer: {tokens: {t: {source: {kind: one}}}}\n",
          "kind: model_token or zero" },
        { MODELS "merge_method: linear\ntokenizer: {tokens: {t: {source: {model: a}}}}\n",
          "not in this build" },
        { MODELS
          "merge_method: linear\n"
          "tokenizer: {tokens: {t: {source: {kind: model_token, model: a, token_id: -1}}}}\n",
          "token_id: a whole number" },
        { MODELS, "merge_method is missing" },
        { MODELS "merge_method: dare-ties\n", "did you mean 'dare_ties'?" },
        { MODELS "merge_method: rectify_embed\n", ":2:15: rectify_embed is no merge method" },
        { MODELS "merge-method: linear\n",
          ":2:1: 'merge-method' is unknown; did you mean 'merge_method'" },
        { MODELS "merge_method: ties\nbase-model: c\n",
          ":3:1: 'base-model' is unknown; did you mean 'base_model'" },
        { "model: [a]\nmerge_method: linear\n", ":1:1: 'model' is unknown; did you mean 'models'" },
        { "slice: [a]\nmerge_method: linear\n", ":1:1: 'slice' is unknown; did you mean 'slices'" },
        { "models: [{modell: a}]\nmerge_method: linear\n",
          ":1:11: 'modell' is unknown; did you mean 'model'" },
        { "slices: [{sources: [{model: a, layer_rnage: [0, 2]}]}]\nmerge_method: linear\n",
          ":1:32: 'layer_rnage' is unknown; did you mean 'layer_range'" },
        { "slices: [{model: a, layer_range: [0, 2]}]\nmerge_method: linear\n",
          ":1:10: a slice without sources" },
        { "slices: [{sources: {model: a}}]\nmerge_method: linear\n",
          ":1:20: sources: a list with one item" },
        { MODELS "experts: []\n", "this is for mergekit-moe" },
        { MODELS "genome: {}\n", "this is for mergekit-evolve" },
        { "layer_slices: []\n", "this is for bakllama" },
        { MODELS "merge_method: linear\ntokenizer_source: unoin\n",
          ":3:19: the source of the tokenizer: there is no 'unoin'; did you mean 'union'?" },
        { MODELS "merge_method: ties\n", "ties needs a base_model" },
        { MODELS "merge_method: slerp\nbase_model: c\n",
          "slerp takes exactly 1 model beside the base, and 2" },
        { MODELS "merge_method: linear\ndtype: float9\n", ":3:8: dtype: 'float9' is unknown" },
        { MODELS "merge_method: linear\nmodules: {}\n",
          "exactly one of models, slices and modules" },
        { MODELS "merge_method: linear\nparameters: 3\n", "a map of names and values" },
        { MODELS "merge_method: linear\n---\na: 1\n", "a second recipe without a name" },
        { "models: [{parameters: {}}]\nmerge_method: linear\n", "an item without a model" },
        { "models: [{model: [a]}]\nmerge_method: linear\n", "model: a path or a name" },
        { "slices: [{sources: [{model: a}]}]\nmerge_method: passthrough\n", "without layer_range" },
        { "slices: [{sources: [{model: a, layer_range: [3, 1]}]}]\nmerge_method: passthrough\n",
          "0 <= first <= end" },
        { "slices: [{sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [0, "
          "3]}]}]\nmerge_method: linear\n",
          "the same number of layers" },
        { "a: &x [*x]\n", "r.yml:1" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++)
        refuses(rows[i][0], rows[i][1]);
}

/* What only shows when a tensor's parameters are wanted. */
static void test_bad_values(void **state)
{
    static const char *const rows[][2] = {
        { "merge_method: linear\nmodels: [{model: a}]\n",
          "linear needs the parameter 'weight' for the model a (tensor x)" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: [1, two]}}]\n",
          ":2:46: weight: a number is expected" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: {filter: q}}}]\n",
          "weight: a number is expected" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: .nan}}]\n",
          "weight: nan is no number" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {wieght: 1}}]\n",
          ":2:34: 'wieght' is unknown; did you mean 'weight', which is missing?" },
        { "merge_method: linear\nmodels: [a]\nparameters: {wieght: 1}\n",
          ":3:14: 'wieght' is unknown" },
        { "merge_method: linear\nmodels: [{model: a, weight: 1}]\n",
          ":2:21: 'weight' is outside of parameters" },
        { "merge_method: linear\nmodels: [a]\nweight: 1\n",
          ":3:1: 'weight' is outside of parameters" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\nparameters: "
          "{normalize: maybe}\n",
          ":3:25: normalize: true or false is expected" },
        { "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\nparameters: "
          "{normalize: 0.8}\n",
          "normalize: 0.8 is not in the range true|false" },
    };
    const char *in[] = { "x" };
    struct ldl_place place = { .name = "x", .in = in };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        const struct ldl_combiner *c;
        char params[256];
        double room[64];
        expect_ok(parse(rows[i][0], NULL));
        c = r.method->combiner;
        int rc = r.fill(&r, &place, c->param, c->nparams, 1, 1, params, room, &err);
        assert_int_equal(rc, LDL_EUSAGE);
        if (!strstr(err.text, rows[i][1]))
            fail_msg("'%s' does not say '%s'", err.text, rows[i][1]);
        ldl_recipe_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_places),  WITH_ROOT(test_slices),     WITH_ROOT(test_notes),
        WITH_ROOT(test_refused), WITH_ROOT(test_bad_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
