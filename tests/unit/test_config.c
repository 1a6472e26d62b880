/* test_config.c -- config.json: the dtype word read and replaced, everything else byte for byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "unit/read_help.h"

static void test_replaced(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        { "{\"dtype\": \"float32\"}", "{\"dtype\": \"bfloat16\"}" },
        { "{ \"a\" : 1e400,\n\t\"torch_dtype\":\"float16\" , \"z\":[ 1,2 ] }\n",
          "{ \"a\" : 1e400,\n\t\"torch_dtype\":\"bfloat16\" , \"z\":[ 1,2 ] }\n" },
        { "{\"dtype\":null,\"torch_dtype\":\"x\"}",
          "{\"dtype\":\"bfloat16\",\"torch_dtype\":\"bfloat16\"}" },
        { "{\"torch_dtype\":{\"a\":[1]},\"b\":1}", "{\"torch_dtype\":\"bfloat16\",\"b\":1}" },
        /* absent: not added; below the top: another's */
        { "{\"text_config\":{\"dtype\":\"float32\"},\"n\":NaN}",
          "{\"text_config\":{\"dtype\":\"float32\"},\"n\":NaN}" },
        { "\xef\xbb\xbf{\"\\u0064type\":\"f\"}", "\xef\xbb\xbf{\"\\u0064type\":\"bfloat16\"}" },
        { "{}", "{}" },
    };
    struct ldl_buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(ldl_config_set_dtype(rows[i].before, strlen(rows[i].before), "c", "bfloat16",
                                       &out, &err));
        assert_string_equal(out.text, rows[i].after);
        assert_int_equal(out.len, strlen(rows[i].after));
    }
    ldl_buf_free(&out);
}

static void test_edited(void **state)
{
    static const struct ldl_edit remove[] = { { "q", NULL, 0 } },
                                 add[] = { { "q", "{\"a\":[1]}", 1 } },
                                 many[] = { { "q", NULL, 1 },
                                            { "r", "1", 1 },
                                            { "s", "2", 0 },
                                            { "t", "3", 1 } };
    static const struct {
        const char *before, *removed, *added, *many;
    } rows[] = {
        { "{}", "{}", "{\"q\": {\"a\":[1]}}", "{\"r\": 1,\"t\": 3}" },
        { "{\n}\n", "{\n}\n", "{\"q\": {\"a\":[1]}\n}\n", "{\"r\": 1,\"t\": 3\n}\n" },
        { "{\"q\":{\"x\":[1,{\"q\":2}]}}", "{}", "{\"q\":{\"a\":[1]}}", "{\"r\":1,\"t\":3}" },
        { "{\"q\":1,\"b\":2}", "{\"b\":2}", "{\"q\":{\"a\":[1]},\"b\":2}",
          "{\"b\":2,\"r\":1,\"t\":3}" },
        { "{\"a\":1,\"q\":2}", "{\"a\":1}", "{\"a\":1,\"q\":{\"a\":[1]}}",
          "{\"a\":1,\"r\":1,\"t\":3}" },
        { "{\"a\":1 , \"q\":2 , \"b\":{\"q\":1}}", "{\"a\":1 , \"b\":{\"q\":1}}",
          "{\"a\":1 , \"q\":{\"a\":[1]} , \"b\":{\"q\":1}}",
          "{\"a\":1 , \"b\":{\"q\":1},\"r\":1,\"t\":3}" },
        { "{\"q\":1,\"q\":2,\"s\":[],\"q\":3}", "{\"s\":[]}",
          "{\"q\":{\"a\":[1]},\"q\":{\"a\":[1]},\"s\":[],\"q\":{\"a\":[1]}}",
          "{\"s\":2,\"r\":1,\"t\":3}" },
        /* as Python writes it: the line break before the last brace stays */
        { "{\n  \"a\": NaN,\n  \"q\": {\n    \"b\": -Infinity\n  },\n  \"t\": 1e999\n}\n",
          "{\n  \"a\": NaN,\n  \"t\": 1e999\n}\n",
          "{\n  \"a\": NaN,\n  \"q\": {\"a\":[1]},\n  \"t\": 1e999\n}\n",
          "{\n  \"a\": NaN,\n  \"t\": 3,\n  \"r\": 1\n}\n" },
        { "{\n  \"a\": \"\\\\\",\n  \"q\": 1\n}", "{\n  \"a\": \"\\\\\"\n}",
          "{\n  \"a\": \"\\\\\",\n  \"q\": {\"a\":[1]}\n}",
          "{\n  \"a\": \"\\\\\",\n  \"r\": 1,\n  \"t\": 3\n}" },
        { "{\n  \"q\": 1,\n  \"b\": [1, 2]\n}", "{\n  \"b\": [1, 2]\n}",
          "{\n  \"q\": {\"a\":[1]},\n  \"b\": [1, 2]\n}",
          "{\n  \"b\": [1, 2],\n  \"r\": 1,\n  \"t\": 3\n}" },
        { "\xef\xbb\xbf{\r\n\t\"a\" : Infinity,\r\n\t\"\\u0071\" : 1\r\n}\r\n",
          "\xef\xbb\xbf{\r\n\t\"a\" : Infinity\r\n}\r\n",
          "\xef\xbb\xbf{\r\n\t\"a\" : Infinity,\r\n\t\"\\u0071\" : {\"a\":[1]}\r\n}\r\n",
          "\xef\xbb\xbf{\r\n\t\"a\" : Infinity,\r\n\t\"r\" : 1,\r\n\t\"t\" : 3\r\n}\r\n" },
        { " { \"a\\\"\\\\\" : [1, 2] } ", " { \"a\\\"\\\\\" : [1, 2] } ",
          " { \"a\\\"\\\\\" : [1, 2], \"q\" : {\"a\":[1]} } ",
          " { \"a\\\"\\\\\" : [1, 2], \"r\" : 1, \"t\" : 3 } " },
    };
    struct ldl_buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        const char *b = rows[i].before;
        expect_ok(ldl_config_edit(b, strlen(b), "c", NULL, 0, &out, &err));
        assert_string_equal(out.text, b);
        expect_ok(ldl_config_edit(b, strlen(b), "c", remove, 1, &out, &err));
        assert_string_equal(out.text, rows[i].removed);
        expect_ok(ldl_config_edit(b, strlen(b), "c", add, 1, &out, &err));
        assert_string_equal(out.text, rows[i].added);
        expect_ok(ldl_config_edit(b, strlen(b), "c", many, 4, &out, &err));
        assert_string_equal(out.text, rows[i].many);
    }
    ldl_buf_free(&out);
}

static void test_quantization(void **state)
{
    static const struct {
        const char *json;
        int there;
        uint64_t rows, cols;
    } rows[] = {
        { "{}", 0, 0, 0 },
        { "{\"quantization_config\":null,\"weight_block_size\":[1,2]}", 0, 0, 0 },
        { "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[64,32]},"
          "\"a\":NaN}",
          1, 64, 32 },
        { "{\"quantization_config\":{\"weight_block_size\":null}}", 1, 0, 0 },
        { "{\"compression_config\":{\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],"
          "\"weights\":{\"block_structure\":[128,256]}}}}}",
          1, 128, 256 },
    };
    static const char *const wrong[] = {
        "[1]", "[1,2,3]", "[0,1]", "[1,-1]", "[1,\"2\"]", "[1.5,2]", "[99999999999999999999,1]"
    };
    uint64_t block[2];
    int there;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(ldl_config_get_quantization(rows[i].json, strlen(rows[i].json), "c", &there,
                                              block, &err));
        assert_int_equal(there, rows[i].there);
        assert_int_equal(block[0], rows[i].rows);
        assert_int_equal(block[1], rows[i].cols);
    }
    for (size_t i = 0; i < LDL_COUNT(wrong); i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"quantization_config\":{\"weight_block_size\":%s}}",
                 wrong[i]);
        expect_error(ldl_config_get_quantization(json, strlen(json), "c", &there, block, &err),
                     LDL_EINPUT, "c:1:");
    }
}

static void test_read(void **state)
{
    static const struct {
        const char *json, *word;
    } rows[] = {
        { "{\"dtype\":\"bfloat16\"}", "bfloat16" },
        { "{\"torch_dtype\":\"float16\"}", "float16" },
        { "{\"torch_dtype\":\"float16\",\"dtype\":\"float32\"}", "float32" },
        { "{\"torch_dtype\":\"float16\",\"dtype\":null}", "float16" },
        { "{\"dtype\":\"a\",\"dtype\":\"b\"}", "b" }, /* as Python reads it */
        { "{\"dtype\":{\"dtype\":\"x\"},\"t\":{\"dtype\":\"y\"}}", NULL },
        { "{}", NULL },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char *word;
        expect_ok(ldl_config_get_dtype(rows[i].json, strlen(rows[i].json), "c", &word, &err));
        if (rows[i].word)
            assert_string_equal(word, rows[i].word);
        else
            assert_null(word);
        ldl_free(word);
    }
}

static void test_found(void **state)
{
    static const char json[] = "{\"a\": {\"b\": 1}, \"c\" : [ 2 ] , \"a\":null}";
    const char *value;
    size_t n;
    (void)state;
    expect_ok(ldl_config_find(json, strlen(json), "c", "c", &value, &n, &err));
    assert_int_equal(n, 5);
    assert_memory_equal(value, "[ 2 ]", 5);
    expect_ok(ldl_config_find(json, strlen(json), "c", "a", &value, &n, &err));
    assert_memory_equal(value, "null", n); /* of two the last */
    expect_ok(ldl_config_find(json, strlen(json), "c", "b", &value, &n, &err));
    assert_int_equal(n, 0);
}

static void test_refused(void **state)
{
    static const struct {
        const char *json, *error;
    } rows[] = {
        { "", "c:1:1: expected an object" },
        { "[]", "expected an object, found a list" },
        { "{\"dtype\":\"float32\"", "c:1:19: expected ',' or '}'" },
        { "{\"dtype\":}", "expected a value" },
        { "{\"dtype\":\"float32\"} x", "expected the end of the text" },
        { "{\"a\":1,\n}", "c:2:1: expected a key" },
    };
    static const struct ldl_edit edit = { "dtype", NULL, 1 };
    struct ldl_buf out = { 0 };
    char *word;
    const char *value;
    size_t n;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        size_t len = strlen(rows[i].json);
        expect_error(ldl_config_set_dtype(rows[i].json, len, "c", "w", &out, &err), LDL_EINPUT,
                     rows[i].error);
        expect_error(ldl_config_edit(rows[i].json, len, "c", &edit, 1, &out, &err), LDL_EINPUT,
                     rows[i].error);
        expect_error(ldl_config_get_dtype(rows[i].json, len, "c", &word, &err), LDL_EINPUT,
                     rows[i].error);
        assert_null(word);
        expect_error(ldl_config_find(rows[i].json, len, "c", "w", &value, &n, &err), LDL_EINPUT,
                     rows[i].error);
    }
    ldl_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),     cmocka_unit_test(test_edited),
        cmocka_unit_test(test_quantization), cmocka_unit_test(test_read),
        cmocka_unit_test(test_found),        cmocka_unit_test(test_refused)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
