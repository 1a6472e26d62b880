/* test_flags.c -- the forms of flags, JSON settings, the settings written back, the help. The table
 * is that of the paddle language; what its flags mean is tested in test_recipe.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe_help.h"
#include "recipe/flags.h"

/* ---- names ---- */

static void test_dash_and_underscore(void **state)
{
    (void)state;
    parses("--model-path-list a b --merge-method=ties --reserve-p=0.25");
    assert_string_equal(r.method->name, "ties");
    assert_true(value_of("reserve_p")->num == 0.25);
    parses("--model_path-list a b --n-process 3");
    assert_int_equal(r.shards, 3);
}

static void test_prefixes(void **state)
{
    (void)state;
    parses("--model_path_l a b --weight 1 2 --no_norm");
    assert_int_equal(value_of("weight_list")->n, 2);
    assert_true(value_of("normalize")->num == 0);
    refuses("--model a b", "--model_path_list, --model_path_str", "'--model'");
    refuses("--merge ties", "--merge_prefix, --merge_method, --merge_type", NULL);
    refuses("--slerp 1", "--slerp_alpha, --slerp_normalize_eps, --slerp_dot_threshold", NULL);
    refuses("--no 1", "--no_normalize", "--normalize");
    parses(AB "--merge_pre master_weights"); /* two names of one flag are not ambiguous */
    assert_string_equal(r.shard_prefix, "master_weights");
    parses(AB "--merge_prei other");
    assert_string_equal(r.shard_prefix, "other");
}

static void test_unknown_flags(void **state)
{
    (void)state;
    refuses(AB "--merge_metod ties", "'--merge_metod'", "did you mean '--merge_method'");
    refuses(AB "--colour blue", "unknown flag '--colour'", "--help");
    refuses(AB "--no_rescal2", "did you mean '--no_rescale'", NULL);
    refuses(AB "--no_seed", "unknown flag '--no_seed'", NULL); /* not a boolean */
    refuses(AB "-n 3", "unknown flag '-n'", NULL);
    refuses(AB "-seed 3", "did you mean '--seed'", NULL);
    refuses(AB "-- 3", "unknown flag '--'", NULL);
    refuses(AB "--=3", "unknown flag '--=3'", NULL);
    refuses(AB "--merge_methodx=3", "did you mean '--merge_method'", NULL);
    char line[400] = "--";
    memset(line + 2, 'x', 300);
    refuses(line, "unknown flag", NULL);
    refuses("a b", "'a' is neither a flag nor", "--model_path_list");
}

/* ---- values ---- */

static void test_lists(void **state)
{
    (void)state;
    parses("--model_path_list a b c --model_path_list d e"); /* replaces */
    assert_int_equal(r.nmodels, 2);
    assert_string_equal(r.model[0], "d");
    parses("--model_path_list=a b");
    assert_int_equal(r.nmodels, 2);
    parses(AB "--weight_list=0.5 -2");
    assert_true(value_of("weight_list")->nums[1] == -2);
    refuses(AB "--weight_list", "--weight_list: a value is missing", NULL);
    refuses(AB "--weight_list 1 x", "--weight_list: 'x' is not a", NULL);
}

static void test_negative_numbers_are_values(void **state)
{
    (void)state;
    parses(AB "--weight_list -1e3 -0.5 --no_normalize");
    assert_true(value_of("weight_list")->nums[0] == -1000);
    parses(AB "--weight_list -.5 1");
    parses(AB "--merge_method slerp --slerp_alpha -0.25");
    assert_true(value_of("slerp_alpha")->num == -0.25);
    refuses(AB "--slerp_alpha -inf", "--slerp_alpha: '-inf' is not a finite number", NULL);
    refuses(AB "--slerp_alpha -1,5", "--slerp_alpha: '-1,5'", NULL);
    parses("--model_path_list a - -1");
    assert_int_equal(r.nmodels, 3);
}

static void test_booleans(void **state)
{
    static const char *const yes[] = { "yes", "True", "t", "Y", "1" };
    static const char *const no[] = { "no", "FALSE", "f", "n", "0" };
    char line[100];
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(yes); i++) {
        snprintf(line, sizeof line, AB "--weight_list 1 2 --normalize %s", yes[i]);
        parses(line);
        assert_true(value_of("normalize")->num == 1);
        snprintf(line, sizeof line, AB "--overwrite --fsync=%s --overwrite %s", no[i], no[i]);
        parses(line);
        assert_false(r.durable);
        assert_false(r.overwrite);
    }
    parses(AB "--weight_list 1 2 --normalize");
    assert_true(value_of("normalize")->num == 1);
    parses(AB "--merge_method ties --no-rescale --no-fsync --quiet");
    assert_true(value_of("rescale")->num == 0);
    assert_false(r.durable);
    assert_true(r.quiet);
    refuses(AB "--normalize maybe", "--normalize: 'maybe' is not a boolean", "yes/no");
    refuses(AB "--no_rescale yes", "--no_rescale takes no value; 'yes'", NULL);
    refuses(AB "--no_rescale=3", "--no_rescale takes no value; '3'", NULL);
    refuses(AB "--quiet yes no", "--quiet: one value is expected, 'no'", NULL);
}

static void test_last_wins(void **state)
{
    (void)state;
    parses(AB "--seed 1 --seed 2 --merge_method ties --merge_method linear");
    assert_int_equal(r.seed, 2);
    assert_string_equal(r.method->name, "linear");
    refuses(AB "--seed 1 --seed x", "--seed: 'x'", NULL);
}

static void test_missing_and_empty(void **state)
{
    (void)state;
    refuses(AB "--seed", "--seed: a value is missing", NULL);
    refuses(AB "--seed=", "--seed: ''", NULL);
    refuses(AB "--seed 1 2", "--seed: one value is expected, '2'", NULL);
    refuses(AB "--base_model_path=", "--base_model_path: the value is empty", NULL);
    refuses("--model_path_list= b", "--model_path_list: the value is empty", NULL);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    (void)state;
    write_json("\xef\xbb\xbf{\"merge_method\": \"ties\", \"n_process\": 2,\n"
               " \"model-path-list\": [\"a\", \"b\\u00e9\"], \"base_model_path\": null,\n"
               " \"weight_list\": [1, 5e-1], \"rescale\": false, \"normalize\": 1,"
               " \"copy_file_list\": \"x\"}\n");
    parses("JSON");
    assert_string_equal(r.method->name, "ties");
    assert_int_equal(r.shards, 2);
    assert_string_equal(r.model[1], "b\xc3\xa9");
    assert_null(r.base);
    assert_true(value_of("weight_list")->nums[1] == 0.5);
    assert_true(value_of("rescale")->num == 0);
    assert_true(value_of("normalize")->num == 1);
    assert_int_equal(r.ncopy_files, 1);
    has_text(value_of("rescale")->origin, "/s.json:3:");
    parses("JSON --n_process 1 --rescale --weight_list 3 4"); /* words win */
    assert_int_equal(r.shards, 1);
    assert_true(value_of("rescale")->num == 1);
    assert_true(value_of("weight_list")->nums[0] == 3);
    write_json("{}");
    parses("JSON " AB);
}

static void test_json_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        { "{\n  \"seed\": 1,\n  \"merge_metod\": \"ties\"}",
          "s.json:3:3: unknown setting 'merge_metod'; did you mean 'merge_method'?" },
        { "{\"colour\": 1}", "s.json:1:2: unknown setting 'colour'" },
        { "{\"no_rescale\": true}", "unknown setting 'no_rescale'" },
        { "{\"seed\": 1, \"seed\": 1}", "s.json:1:13: 'seed' is there twice" },
        { "{\"seed\": null, \"seed\": 1}", "'seed' is there twice" },
        { "{\"n_process\": 1, \"n-process\": 1}", "'n_process' is there twice" },
        { "{\"seed\": 1.5}", "s.json:1:10: seed: '1.5' is not an integer" },
        { "{\"reserve_p\": \"x\"}", "s.json:1:15: reserve_p: 'x'" },
        { "{\"reserve_p\": NaN}", "reserve_p: 'NaN'" },
        { "{\"weight_list\": [1, null]}", "null inside a list" },
        { "{\"weight_list\": [1, [2]]}", "s.json:1:21: expected a string, a number or a boolean" },
        { "{\"weight_list\": []}", "weight_list: a value is missing" },
        { "{\"weight_list\": {}}", "expected a string, a number or a boolean" },
        { "{\"seed\": [1, 2]}", "seed: one value is expected, '2'" },
        { "{\"base_model_path\": \"\"}", "base_model_path: the value is empty" },
        { "{\"base_model_path\": \"a\\u0000b\"}", "NUL" },
        { "{\"se\\u0000ed\": 1}", "NUL" },
        { "{\"normalize\": \"maybe\"}", "normalize: 'maybe' is not a boolean" },
        { "{\"normalize\": []}", "normalize: a value is missing" },
        { "{\"seed\": 1} x", "s.json:1:13: expected the end" },
        { "{\"seed\": 1,}", "expected a key" },
        { "{\"seed\": 1", "expected ',' or '}'" },
        { "[1]", "expected an object" },
        { "", "expected an object" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        write_json(rows[i].text);
        refuses("JSON " AB, rows[i].part, "/s.json:");
    }
    write_bytes("{\"base_model_path\": \"\xff\"}", 24);
    refuses("JSON", "not UTF-8", NULL);
    unlink(json_path);
    refuses("JSON", json_path, "No such file");
}

static void test_json_is_bounded(void **state)
{
    size_t n = (1 << 20) + 1;
    char *text = calloc(n + 1, 1);
    (void)state;
    memset(text, '[', n);
    write_bytes(text, 1000);
    refuses("JSON", "expected an object", NULL);
    memcpy(text, "{\"seed\":", 8);
    write_bytes(text, 1000);
    refuses("JSON", "expected a string, a number or a boolean", NULL);
    memset(text, ' ', n);
    write_bytes(text, n);
    refuses("JSON", "s.json", NULL);
    free(text);
}

static void test_alias_conflicts(void **state)
{
    (void)state;
    refuses(AB "--merge_prefix model --merge_preifx master_weights", "merge_prefix is 'model'",
            "merge_preifx");
    parses(AB "--merge_prefix x --merge_preifx x");
    write_json("{\"merge_prefix\": \"model\"}");
    parses("JSON " AB "--merge_preifx master_weights"); /* words win */
    assert_string_equal(r.shard_prefix, "master_weights");
    config_has("\"merge_prefix\": \"master_weights\"");
    assert_null(strstr(r.config.text, "preifx"));
    write_json("{\"merge_prefix\": \"model\", \"merge_preifx\": \"y\"}");
    refuses("JSON " AB, "give one of them", NULL);
}

/* ---- the help ---- */

static void test_help(void **state)
{
    struct ldl_buf b = { 0 };
    (void)state;
    ldl_languages[0]->help(&b);
    assert_false(b.failed);
    for (const char *line = b.text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 100)
            fail_msg("too long: %.*s", (int)strcspn(line, "\n"), line);
    has_text(b.text, "--merge_method linear|slerp|ties|della|della_linear|dare_linear|dare_ties\n");
    has_text(b.text, "--sparsify_type trim|magprune|dare\n");
    has_text(b.text, "\nParameters of slerp\n");
    has_text(b.text, "\nParameters of linear, ties\n  --weight_list X X ...");
    has_text(b.text, "\nParameters of trim, magprune, dare\n  --reserve_p X");
    has_text(b.text, "--no_rescale)");
    assert_null(strstr(b.text, "--merge_preifx"));
    const char *once = strstr(b.text, "  --reserve_p");
    assert_null(strstr(once + 1, "  --reserve_p"));
    ldl_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_dash_and_underscore, forget),
        cmocka_unit_test_teardown(test_prefixes, forget),
        cmocka_unit_test_teardown(test_unknown_flags, forget),
        cmocka_unit_test_teardown(test_lists, forget),
        cmocka_unit_test_teardown(test_negative_numbers_are_values, forget),
        cmocka_unit_test_teardown(test_booleans, forget),
        cmocka_unit_test_teardown(test_last_wins, forget),
        cmocka_unit_test_teardown(test_missing_and_empty, forget),
        cmocka_unit_test_teardown(test_json, forget),
        cmocka_unit_test_teardown(test_json_refused, forget),
        cmocka_unit_test_teardown(test_json_is_bounded, forget),
        cmocka_unit_test_teardown(test_alias_conflicts, forget),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
