/* test_recipe.c -- the rules between PaddleNLP's flags: models, method, weights, output, notes,
 * merge_config.json. The forms of flags are tested in test_flags.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/paddle.h"
#include "recipe_help.h"

/* ---- defaults ---- */

static void test_defaults(void **state)
{
    (void)state;
    parses(AB);
    assert_string_equal(r.language->name, "paddle");
    assert_string_equal(r.method->name, "linear");
    assert_int_equal(r.nmodels, 2);
    assert_string_equal(r.model[0], "a");
    assert_string_equal(r.model[1], "b");
    assert_null(r.base);
    assert_null(r.output);
    assert_string_equal(r.prefix, "model");
    assert_string_equal(r.shard_prefix, "model");
    assert_int_equal(r.shards, 1);
    assert_null(r.copy_file);
    assert_false(r.copy_given);
    assert_string_equal(r.device, "cpu");
    assert_int_equal(r.dtype, LDL_DTYPES);
    assert_int_equal(r.seed, 0);
    assert_int_equal(r.threads, 0);
    assert_int_equal(r.max_memory_bytes, 0);
    assert_false(r.overwrite);
    assert_false(r.quiet);
    assert_true(r.durable);
    notes_are(0, NULL);
    parses(AB "--merge_method della");
    assert_true(value_of("reserve_p")->num == 0.7);
    assert_true(value_of("epsilon")->num == 0.14);
    assert_true(value_of("rescale")->num == 1);
    assert_true(value_of("ties_elect_type")->num == 0);
    parses(AB "--merge_method slerp");
    assert_true(value_of("slerp_alpha")->num == 0.5);
    assert_true(value_of("slerp_normalize_eps")->num == 1e-8);
    assert_true(value_of("slerp_dot_threshold")->num == 0.9995);
    assert_int_equal(r.nvalues, 3); /* of the method's parts only */
}

static int in_paddle(const struct ldl_sparsifier *s)
{
    for (const struct ldl_method *m = ldl_methods; m->name; m++)
        if (strcmp(m->language, LDL_PADDLE) == 0 && m->sparsifier == s)
            return 1;
    return 0;
}

/* A name is one flag there, whatever the sparsifier. */
static void test_parts_share_parameters(void **state)
{
    (void)state;
    for (size_t a = 0; ldl_sparsifiers[a]; a++)
        for (size_t b = 0; b < a && in_paddle(ldl_sparsifiers[a]); b++)
            for (size_t i = 0; i < ldl_sparsifiers[a]->nparams; i++)
                for (size_t j = 0; j < ldl_sparsifiers[b]->nparams; j++) {
                    if (!in_paddle(ldl_sparsifiers[b]))
                        continue;
                    const struct ldl_param *p = &ldl_sparsifiers[a]->param[i];
                    const struct ldl_param *q = &ldl_sparsifiers[b]->param[j];
                    if (strcmp(p->name, q->name) != 0)
                        continue;
                    assert_int_equal(p->type, q->type);
                    assert_true(p->min == q->min && p->max == q->max);
                    assert_string_equal(p->fallback ? p->fallback : "-",
                                        q->fallback ? q->fallback : "-");
                }
}

/* ---- models ---- */

static void test_models(void **state)
{
    char line[2048] = "--model_path_list";
    (void)state;
    refuses("", "no models are given", "--model_path_list A B or --model_path_str A,B");
    refuses("--merge_method linear", "no models are given", NULL);
    refuses("--model_path_list a", "two models or more", "'a'");
    refuses("--model_path_str a", "two models or more", "'a'");
    refuses("--merge_method slerp --model_path_list a b c", "slerp merges exactly 2 models", "3");
    for (int i = 0; i < 254; i++)
        strcat(line, " m");
    parses(line);
    assert_int_equal(r.nmodels, 254);
}

static void test_too_many_models(void **state)
{
    struct ldl_buf b = { 0 };
    (void)state;
    ldl_buf_puts(&b, "--model_path_str=m");
    for (int i = 0; i < LDL_MAX_MODELS; i++)
        ldl_buf_puts(&b, ",m");
    refuses(b.text, "linear merges 2 to 256 models, and 257 are given", NULL);
    ldl_buf_free(&b);
}

static void test_model_path_str(void **state)
{
    (void)state;
    parses("--model_path_str=a,b/c,d");
    assert_int_equal(r.nmodels, 3);
    assert_string_equal(r.model[1], "b/c");
    config_has("\"model_path_str\": null");
    config_has("\"model_path_list\": [\n    \"a\",\n    \"b/c\",\n    \"d\"\n  ]");
    notes_are(0, NULL);
    parses(AB "--model_path_str c,d");
    assert_string_equal(r.model[0], "c");
    notes_are(1, "model_path_list is ignored");
    refuses("--model_path_str a,,b", "--model_path_str: path 2 is empty", NULL);
    refuses("--model_path_str a,b,", "path 3 is empty", NULL);
    write_json("{\"model_path_str\": \"a, b\"}"); /* not trimmed */
    parses("JSON");
    assert_string_equal(r.model[1], " b");
}

static void test_lora(void **state)
{
    (void)state;
    refuses("--lora_model_path l", "give base_model_path for a LoRA merge", NULL);
    parses("--lora_model_path l --base_model_path b");
    assert_string_equal(r.method->name, "passthrough");
    assert_string_equal(r.lora, "l");
    assert_int_equal(r.nmodels, 1);
    assert_string_equal(r.model[0], "b");
    assert_null(r.base);
    assert_int_equal(r.nvalues, 0);
    assert_int_equal(r.shards, 1);
    notes_are(0, NULL);
    config_has("\"lora_model_path\": \"l\"");
    config_has("\"base_model_path\": \"b\"");
    config_has("\"model_path_list\": null");
    config_has("\"merge_method\": null");
    parses(AB "--lora_model_path l --base_model_path b --merge_method ties --reserve_p 0.2 "
              "--n_process 2 --merge_prefix x");
    notes_are(2, "--model_path_list, --merge_method, --reserve_p have no effect: with "
                 "lora_model_path");
    assert_int_equal(r.shards, 2);
    assert_int_equal(r.nmodels, 1);
    parses("--lora_model_path l --base_model_path b --merge_method slerp"); /* its rules are off */
    notes_are(1, "--merge_method has no effect");
    parses(AB);
    assert_null(r.lora);
    write_json("{\"lora_model_path\": \"l\", \"base_model_path\": \"b\", \"merge_method\": "
               "\"linear\", \"merge_type\": \"linear\", \"model_path_list\": null, "
               "\"normalize\": true, \"reserve_p\": 0.7, \"weight_list\": null}");
    parses("JSON"); /* as PaddleNLP writes it */
    notes_are(0, NULL);
    write_json("{\"lora_model_path\": \"l\", \"base_model_path\": \"b\", "
               "\"model_path_list\": [\"a\", \"b\"]}");
    parses("JSON");
    notes_are(1, "--model_path_list has no effect");
}

/* ---- the method ---- */

static void test_named_methods(void **state)
{
    (void)state;
    for (const struct ldl_method *m = ldl_methods; m->name; m++) {
        char line[100];
        if (strcmp(m->language, "paddle") != 0)
            continue;
        snprintf(line, sizeof line, AB "--merge_method %s", m->name);
        parses(line);
        assert_ptr_equal(r.method, m);
        notes_are(0, NULL);
        snprintf(line, sizeof line, "\"merge_method\": \"%s\"", m->name);
        config_has(line);
        snprintf(line, sizeof line, "\"merge_type\": \"%s\"", m->combiner->name);
        config_has(line);
        snprintf(line, sizeof line, "\"sparsify_type\": %s%s%s", m->sparsifier ? "\"" : "",
                 m->sparsifier ? m->sparsifier->name : "null", m->sparsifier ? "\"" : "");
        config_has(line);
    }
    refuses(AB "--merge_method tise", "--merge_method: 'tise'", "did you mean 'ties'?");
    refuses(AB "--merge_method task_arithmetic", "linear|slerp|ties|della|della_linear", NULL);
    refuses(AB "--merge_method Ties", "'Ties' is unknown", "linear|slerp|ties");
    refuses(AB "--merge_method None --merge_type ties", "'None' is unknown", NULL);
    refuses(AB "--sparsify_type none", "--sparsify_type: 'none'", "trim|magprune|dare");
    refuses(AB "--merge_type della", "--merge_type: 'della'", "linear|slerp|ties");
    refuses(AB "--tensor_type torch", "--tensor_type: 'torch'", "np|pd");
    refuses(AB "--ties_elect_type mean", "--ties_elect_type: 'mean'", "sum|count");
}

static void test_types_choose(void **state)
{
    (void)state;
    parses(AB "--sparsify_type dare");
    assert_string_equal(r.method->name, "dare_linear");
    config_has("\"merge_method\": \"dare_linear\"");
    parses(AB "--merge_type ties --sparsify_type magprune");
    assert_string_equal(r.method->name, "della");
    parses(AB "--merge_type slerp");
    assert_string_equal(r.method->name, "slerp");
    notes_are(0, NULL);
    parses(AB "--merge_type slerp --sparsify_type trim --reserve_p 0.5"); /* without a name */
    assert_string_equal(r.method->name, "trim+slerp");
    assert_ptr_equal(r.method, &r.own_method);
    assert_string_equal(r.method->sparsifier->name, "trim");
    assert_string_equal(r.method->combiner->name, "slerp");
    config_has("\"merge_method\": null");
    config_has("\"merge_type\": \"slerp\"");
    notes_are(0, NULL);
    parses(AB "--merge_type ties");
    assert_string_equal(r.method->name, "none+ties");
    assert_null(r.method->sparsifier);
    refuses("--model_path_list a b c --merge_type slerp --sparsify_type dare", "dare+slerp merges",
            "exactly 2");
}

static void test_types_beside_method(void **state)
{
    (void)state;
    parses(AB "--merge_method linear --merge_type ties --sparsify_type trim");
    assert_string_equal(r.method->name, "linear");
    notes_are(2, "merge_type ties is ignored beside merge_method linear");
    notes_are(2, "sparsify_type trim is ignored beside merge_method linear");
    config_has("\"merge_type\": \"linear\"");
    config_has("\"sparsify_type\": null");
    parses(AB "--merge_method della --merge_type ties --sparsify_type magprune");
    notes_are(0, NULL);
    /* the range check is that of the sparsifier that runs */
    parses(AB "--merge_method linear --sparsify_type magprune --reserve_p 0.9");
    notes_are(2, "--reserve_p has no effect with linear");
}

/* ---- parameters ---- */

static void test_weights(void **state)
{
    (void)state;
    parses("--model_path_list a b c");
    assert_int_equal(value_of("weight_list")->n, 3);
    assert_true(value_of("weight_list")->nums[2] == 1);
    assert_true(value_of("normalize")->num == 1);
    config_has("\"weight_list\": [\n    1.0,\n    1.0,\n    1.0\n  ]");
    config_has("\"normalize\": true");
    parses(AB "--no_normalize");
    assert_true(value_of("normalize")->num == 1);
    notes_are(1, "normalize false is ignored without weight_list");
    parses(AB "--normalize");
    notes_are(0, NULL);
    parses(AB "--weight_list 1 -1"); /* documented default: not normalised */
    assert_true(value_of("normalize")->num == 0);
    config_has("\"normalize\": false");
    refuses(AB "--weight_list 1 2 3", "--weight_list: 3 weights for 2 models", NULL);
    refuses(AB "--weight_list 1", "--weight_list: 1 weight for 2 models", NULL);
    refuses(AB "--merge_method slerp --weight_list 1 2 3", "3 weights for 2 models", NULL);
    refuses(AB "--weight_list 1 -1 --normalize", "weight_list: the weights sum to 0", NULL);
    refuses(AB "--weight_list 1 nan", "--weight_list: 'nan' is not a finite number", NULL);
    refuses(AB "--weight_list inf 1", "'inf'", NULL);
    parses(AB
           "--merge_method ties --weight_list 1 -1 --normalize"); /* ties does not divide by it */
    parses(AB "--merge_method slerp --no_normalize");
    notes_are(1, "--normalize has no effect with slerp");
}

static void test_ranges(void **state)
{
    (void)state;
    refuses(AB "--merge_method ties --reserve_p 1.2", "--reserve_p: '1.2'", "0..1");
    refuses(AB "--reserve_p -0.1", "--reserve_p: '-0.1'", NULL); /* for every method */
    refuses(AB "--reserve_p nan", "--reserve_p: 'nan'", NULL);
    refuses(AB "--merge_method della --reserve_p 0.7 --epsilon 0.3", "epsilon", "reserve_p 0.7");
    refuses(AB "--merge_method della_linear --reserve_p 0.05", "epsilon", NULL);
    refuses(AB "--sparsify_type magprune --reserve_p 0.9", "epsilon", NULL);
    parses(AB "--merge_method ties --reserve_p 0.7 --epsilon 0.3");
    notes_are(1, "--epsilon has no effect with ties");
    parses(AB "--merge_method dare_ties --reserve_p 0");
    parses(AB "--merge_method slerp --slerp_alpha 1.3");
}

static void test_unused_parameters(void **state)
{
    (void)state;
    parses(AB "--slerp_alpha 0.5");
    notes_are(1, "--slerp_alpha has no effect with linear");
    parses(AB "--slerp_alpha 0.2 --epsilon 0.1");
    notes_are(1, "--slerp_alpha, --epsilon have no effect with linear");
    refuses(AB "--slerp_alpha x", "--slerp_alpha: 'x'", NULL); /* still validated */
    write_json("{\"slerp_alpha\": 0.5, \"epsilon\": 0.2}");    /* a file may list defaults */
    parses("JSON " AB);
    notes_are(1, "--epsilon has no effect with linear");
}

/* ---- output and running ---- */

static void test_output(void **state)
{
    (void)state;
    assert_int_equal(parse_line(AB, 1), LDL_EUSAGE);
    has_text(err.text, "--output_path");
    assert_int_equal(parse_line(AB "--output_path o", 1), 0);
    assert_string_equal(r.output, "o");
    parses(AB "--merge_prefix master_weights");
    assert_string_equal(r.prefix, "master_weights");
    parses(AB "--merge_preifx odd");
    assert_string_equal(r.prefix, "master_weights");
    assert_string_equal(r.shard_prefix, "odd");
    refuses(AB "--merge_prefix a/b", "--merge_prefix: 'a/b'", "plain file name");
    refuses(AB "--merge_prefix ..", "plain file name", NULL);
    parses(AB "--copy_file_list x y");
    assert_true(r.copy_given);
    assert_int_equal(r.ncopy_files, 2);
    assert_string_equal(r.copy_file[1], "y");
    parses(AB "--dtype bf16");
    assert_int_equal(r.dtype, LDL_BF16);
    refuses(AB "--dtype int3", "--dtype: 'int3' is unknown", "bfloat16");
    parses(AB "--n_process 4");
    assert_int_equal(r.shards, 4);
    notes_are(1, "n_process 4 is the number of output shards; threads are --threads");
    refuses(AB "--n_process 0", "--n_process: '0'", "1..99999");
    refuses(AB "--n_process -1", "--n_process: '-1'", NULL);
    refuses(AB "--n_process 1.5", "--n_process: '1.5'", NULL);
}

static void test_running(void **state)
{
    (void)state;
    parses(AB "--seed 9223372036854775807 --threads 1024 --max-memory 2G --device low_gpu_mem");
    assert_true(r.seed == INT64_MAX);
    assert_int_equal(r.threads, 1024);
    assert_true(r.max_memory_bytes == (uint64_t)2 << 30);
    assert_string_equal(r.device, "low_gpu_mem");
    config_has("\"seed\": 9223372036854775807");
    refuses(AB "--seed 9223372036854775808", "--seed", NULL);
    refuses(AB "--seed -1", "--seed: '-1'", NULL);
    refuses(AB "--threads 0", "--threads: '0'", "1..1024");
    refuses(AB "--threads 1025", "--threads", NULL);
    refuses(AB "--max-memory 0", "--max_memory: 0", NULL);
    refuses(AB "--max-memory 3X", "--max_memory: '3X'", "512M");
    refuses(AB "--device tpu", "--device: 'tpu'", "cpu|gpu|low_gpu_mem");
    parses(AB "--max_tensor_mem 4e-6 --split_pieces 4");
    notes_are(2, "split_pieces has no effect");
    notes_are(2, "max_tensor_mem has no effect");
    refuses(AB "--split_pieces x", "--split_pieces: 'x'", NULL);
    refuses(AB "--max_tensor_mem -1", "--max_tensor_mem: '-1'", NULL);
}

/* ---- merge_config.json ---- */

static void test_config_text(void **state)
{
    (void)state;
    parses(AB "--base_model_path base --output_path \xc3\xa9\"o --weight_list 1 2 --normalize");
    /* clang-format off */
    assert_string_equal(r.config.text,
                        "{\n"
                        "  \"base_model_path\": \"base\",\n"
                        "  \"copy_file_list\": null,\n"
                        "  \"device\": \"cpu\",\n"
                        "  \"dtype\": null,\n"
                        "  \"epsilon\": 0.14,\n"
                        "  \"format\": \"safetensors\",\n"
                        "  \"lora_model_path\": null,\n"
                        "  \"max_tensor_mem\": 0.5,\n"
                        "  \"merge_method\": \"linear\",\n"
                        "  \"merge_prefix\": \"model\",\n"
                        "  \"merge_type\": \"linear\",\n"
                        "  \"model_path_list\": [\n    \"a\",\n    \"b\"\n  ],\n"
                        "  \"model_path_str\": null,\n"
                        "  \"n_process\": 1,\n"
                        "  \"normalize\": true,\n"
                        "  \"output_path\": \"\xc3\xa9\\\"o\",\n"
                        "  \"rescale\": true,\n"
                        "  \"reserve_p\": 0.7,\n"
                        "  \"seed\": 0,\n"
                        "  \"slerp_alpha\": 0.5,\n"
                        "  \"slerp_dot_threshold\": 0.9995,\n"
                        "  \"slerp_normalize_eps\": 1e-08,\n"
                        "  \"sparsify_type\": null,\n"
                        "  \"split_pieces\": 8,\n"
                        "  \"tensor_type\": \"np\",\n"
                        "  \"ties_elect_type\": \"sum\",\n"
                        "  \"weight_list\": [\n    1.0,\n    2.0\n  ]\n"
                        "}\n");
    /* clang-format on */
}

/* Read again, the settings give the same settings, and no note that was not there. */
static void test_config_round_trip(void **state)
{
    static const char *const lines[] = {
        AB,
        AB "--merge_method slerp --slerp_alpha 0.1",
        AB "--merge_method della --reserve_p 0.61 --seed 7 --dtype fp16 --output_path o",
        AB "--merge_type slerp --sparsify_type dare --no_rescale",
        "--model_path_str a,b,c --weight_list 1 -0.5 1e-3 --tensor_type pd --base_model_path x",
        "--lora_model_path l --base_model_path b --dtype fp32 --output_path o",
        AB "--merge_method ties --ties_elect_type count --copy_file_list x --merge_preifx y",
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(lines); i++) {
        parses(lines[i]);
        notes_are(0, NULL);
        char *before = strdup(r.config.text);
        write_json(before);
        parses("JSON");
        assert_string_equal(r.config.text, before);
        notes_are(0, NULL);
        free(before);
    }
}

/* A file that PaddleNLP wrote. */
static void test_paddles_own_config(void **state)
{
    (void)state;
    write_json("{\"base_model_path\": null, \"copy_file_list\": null, \"epsilon\": 0.14, "
               "\"lora_model_path\": null, \"max_tensor_mem\": 0.5, \"merge_method\": \"ties\", "
               "\"merge_prefix\": \"model\", \"merge_type\": \"ties\", \"model_path_list\": "
               "[\"a\", \"b\"], \"model_path_str\": null, \"n_process\": 1, \"normalize\": true, "
               "\"output_path\": \"OUT\", \"rescale\": true, \"reserve_p\": 0.7, \"slerp_alpha\": "
               "0.5, \"slerp_dot_threshold\": 0.9995, \"slerp_normalize_eps\": 1e-08, "
               "\"sparsify_type\": \"trim\", \"split_pieces\": 8, \"tensor_type\": \"pd\", "
               "\"ties_elect_type\": \"sum\", \"weight_list\": [1.0, 2.0]}");
    assert_int_equal(parse_line("JSON", 1), 0);
    assert_string_equal(r.method->name, "ties");
    notes_are(0, NULL);
}

static void test_free_is_idempotent(void **state)
{
    (void)state;
    parses(AB "--merge_type slerp --sparsify_type trim --copy_file_list x");
    ldl_recipe_free(&r);
    ldl_recipe_free(&r);
    ldl_recipe_free(NULL);
    assert_int_not_equal(ldl_recipe_parse(&r, NULL, 0, NULL, 0, NULL), 0); /* no err is fine too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_defaults, forget),
        cmocka_unit_test(test_parts_share_parameters),
        cmocka_unit_test_teardown(test_models, forget),
        cmocka_unit_test_teardown(test_too_many_models, forget),
        cmocka_unit_test_teardown(test_model_path_str, forget),
        cmocka_unit_test_teardown(test_lora, forget),
        cmocka_unit_test_teardown(test_named_methods, forget),
        cmocka_unit_test_teardown(test_types_choose, forget),
        cmocka_unit_test_teardown(test_types_beside_method, forget),
        cmocka_unit_test_teardown(test_weights, forget),
        cmocka_unit_test_teardown(test_ranges, forget),
        cmocka_unit_test_teardown(test_unused_parameters, forget),
        cmocka_unit_test_teardown(test_output, forget),
        cmocka_unit_test_teardown(test_running, forget),
        cmocka_unit_test_teardown(test_config_text, forget),
        cmocka_unit_test_teardown(test_config_round_trip, forget),
        cmocka_unit_test_teardown(test_paddles_own_config, forget),
        cmocka_unit_test(test_free_is_idempotent),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
