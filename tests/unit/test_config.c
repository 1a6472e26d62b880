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
    struct ldl_buf out = { 0 };
    char *word;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        size_t len = strlen(rows[i].json);
        expect_error(ldl_config_set_dtype(rows[i].json, len, "c", "w", &out, &err), LDL_EINPUT,
                     rows[i].error);
        expect_error(ldl_config_get_dtype(rows[i].json, len, "c", &word, &err), LDL_EINPUT,
                     rows[i].error);
        assert_null(word);
    }
    ldl_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_replaced),
                                        cmocka_unit_test(test_read),
                                        cmocka_unit_test(test_refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
