/* test_json.c -- the pull reader: what it takes, what it refuses, where it says the fault is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "unit/read_help.h"

#include <math.h>

static struct ldl_json j;

static int skip_text(const char *text, size_t len)
{
    ldl_json_open(&j, text, len, "t");
    int status = ldl_json_skip(&j, NULL, NULL, &err);
    return status ? status : ldl_json_close(&j, &err);
}

static int string_text(const char *text, struct ldl_buf *out)
{
    ldl_json_open(&j, text, strlen(text), "t");
    int status = ldl_json_string(&j, out, &err);
    return status ? status : ldl_json_close(&j, &err);
}

static void test_walk(void **state)
{
    static const char text[] = "\xef\xbb\xbf { \"a\" : [1, 2.5 ,[ ] ], \"b\":{}, \"c\":true }\n";
    struct ldl_buf key = { 0 };
    uint64_t u;
    double d;
    int b;
    (void)state;
    ldl_json_open(&j, text, strlen(text), "t");
    assert_int_equal(ldl_json_enter(&j, '{', &err), 0);
    assert_int_equal(ldl_json_member(&j, &key, &err), 1);
    assert_string_equal(key.text, "a");
    assert_int_equal(ldl_json_peek(&j), '[');
    assert_int_equal(ldl_json_enter(&j, '[', &err), 0);
    assert_int_equal(ldl_json_item(&j, &err), 1);
    assert_int_equal(ldl_json_u64(&j, &u, &err), 0);
    assert_int_equal(u, 1);
    assert_int_equal(ldl_json_item(&j, &err), 1);
    assert_int_equal(ldl_json_double(&j, &d, &err), 0);
    assert_true(d == 2.5);
    assert_int_equal(ldl_json_item(&j, &err), 1);
    assert_int_equal(ldl_json_skip(&j, NULL, NULL, &err), 0);
    assert_int_equal(ldl_json_item(&j, &err), 0);
    assert_int_equal(ldl_json_member(&j, &key, &err), 1);
    assert_int_equal(ldl_json_enter(&j, '{', &err), 0);
    assert_int_equal(ldl_json_member(&j, &key, &err), 0);
    assert_int_equal(ldl_json_member(&j, &key, &err), 1);
    assert_string_equal(key.text, "c");
    assert_int_equal(ldl_json_bool(&j, &b, &err), 0);
    assert_int_equal(b, 1);
    assert_int_equal(ldl_json_member(&j, &key, &err), 0);
    assert_int_equal(ldl_json_close(&j, &err), 0);
    assert_int_equal(ldl_json_peek(&j), 0);
    ldl_buf_free(&key);
}

static void test_strings(void **state)
{
    static const struct {
        const char *text, *value;
    } good[] = {
        { "\"\"", "" },
        { "\"plain\"", "plain" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
        { "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
        { "\"\xe4\xb8\xad\xf0\x9f\x98\x80\x7f\"", "\xe4\xb8\xad\xf0\x9f\x98\x80\x7f" },
    };
    static const struct {
        const char *text, *error;
    } bad[] = {
        { "\"abc", "t:1:1: the string has no end" },
        { "\"a\\", "t:1:3: unknown escape" },
        { "\"a\\x41\"", "t:1:3: unknown escape" },
        { "\"\\u12g4\"", "four hexadecimal digits" },
        { "\"\\u12", "four hexadecimal digits" },
        { "\"a\nb\"", "t:1:3: a control character" },
        { "\"\xff\"", "t:1:2: the text is not UTF-8" },
        { "\"\xc0\xaf\"", "not UTF-8" },         /* overlong */
        { "\"\xed\xa0\x80\"", "not UTF-8" },     /* a surrogate */
        { "\"\xf4\x90\x80\x80\"", "not UTF-8" }, /* past U+10FFFF */
        { "\"\xe2\x82\"", "not UTF-8" },         /* cut */
        { "\"x\\ud800\"", "t:1:3: \\ud800 is half of a surrogate pair" },
        { "\"\\udc00\"", "half of a surrogate pair" },
        { "\"\\ud800\\u0041\"", "half of a surrogate pair" },
        { "\"\\ud800\\ud800\"", "half of a surrogate pair" },
        { "'a'", "expected a string, found '''" },
        { "", "expected a string, found the end" },
        { "\x01", "found byte 0x01" },
        { "\"a\" x", "t:1:5: expected the end of the text, found 'x'" },
    };
    struct ldl_buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(good); i++) {
        expect_ok(string_text(good[i].text, &out));
        assert_string_equal(out.text, good[i].value);
        assert_int_equal(out.len, strlen(good[i].value));
        expect_ok(skip_text(good[i].text, strlen(good[i].text)));
    }
    for (size_t i = 0; i < LDL_COUNT(bad); i++)
        expect_error(string_text(bad[i].text, &out), LDL_EINPUT, bad[i].error);
    expect_ok(string_text("\"a\\u0000b\"", &out)); /* the caller sees it by the length */
    assert_int_equal(out.len, 3);
    expect_ok(skip_text("\"\\ud800\"", 8)); /* Python writes such text: fine when passed over */
    ldl_buf_free(&out);
}

static void test_numbers(void **state)
{
    static const char *const good[] = {
        "0",        "-0",       "12",       "1.5",
        "-1.25e-3", "1E+2",     "1e999",    "123456789012345678901234567890",
        "NaN",      "Infinity", "-Infinity"
    };
    static const struct {
        const char *text, *error;
    } bad[] = {
        { "01", "begin with 0" },       { "-01", "begin with 0" }, { "+1", "found '+'" },
        { ".5", "found '.'" },          { "1.", "digits after" },  { "1.e3", "digits after" },
        { "1e", "in its exponent" },    { "1e+", "exponent" },     { "-", "expected a number" },
        { "-x", "expected a number" },  { "nan", "found null" },   { "Inf", "expected a number" },
        { "NaNs", "expected" },         { "0x10", "found 'x'" },   { "1 2", "end of the text" },
        { "--1", "expected a number" },
    };
    double d;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(good); i++)
        expect_ok(skip_text(good[i], strlen(good[i])));
    for (size_t i = 0; i < LDL_COUNT(bad); i++)
        expect_error(skip_text(bad[i].text, strlen(bad[i].text)), LDL_EINPUT, bad[i].error);
    ldl_json_open(&j, " -1.25e-3", 9, "t");
    expect_ok(ldl_json_double(&j, &d, &err));
    assert_true(d == -1.25e-3);
    ldl_json_open(&j, "NaN", 3, "t");
    expect_ok(ldl_json_double(&j, &d, &err));
    assert_true(isnan(d));
    ldl_json_open(&j, "-Infinity", 9, "t");
    expect_ok(ldl_json_double(&j, &d, &err));
    assert_true(isinf(d) && d < 0);
    ldl_json_open(&j, "1234", 2, "t"); /* the length counts, not a NUL */
    expect_ok(ldl_json_double(&j, &d, &err));
    assert_true(d == 12);
}

static void test_u64(void **state)
{
    static const char *const bad[] = { "-1", "1.0", "1e3", "01", "\"1\"", "", "null", "true" };
    uint64_t u;
    (void)state;
    ldl_json_open(&j, "18446744073709551615", 20, "t");
    expect_ok(ldl_json_u64(&j, &u, &err));
    assert_true(u == UINT64_MAX);
    ldl_json_open(&j, "18446744073709551616", 20, "t");
    expect_error(ldl_json_u64(&j, &u, &err), LDL_EINPUT, "does not fit in 64 bits");
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        ldl_json_open(&j, bad[i], strlen(bad[i]), "t");
        expect_error(ldl_json_u64(&j, &u, &err), LDL_EINPUT, "t:1:1: expected a whole number");
    }
}

static void test_structure(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        { "", "expected a value, found the end" },
        { "{", "t:1:2: expected a key in double quotes, found the end" },
        { "{\"a\"}", "expected ':'" },
        { "{\"a\":}", "expected a value, found '}'" },
        { "{\"a\":1,}", "expected a key in double quotes, found '}'" },
        { "{\"a\":1 \"b\":2}", "t:1:8: expected ',' or '}', found a string" },
        { "{a:1}", "expected a key in double quotes" },
        { "{1:1}", "expected a key in double quotes, found a number" },
        { "[1,]", "expected a value, found ']'" },
        { "[1 2]", "expected ',' or ']', found a number" },
        { "[1}", "expected ',' or ']'" },
        { "[,1]", "expected a value, found ','" },
        { "]", "expected a value" },
        { "tru", "expected a value, found a boolean" },
        { "truely", "expected a value" },
        { "nul", "expected a value, found null" },
        { "{} {}", "t:1:4: expected the end of the text, found an object" },
        { "{\n \"\xc3\xa9\": x}",
          "t:2:7: expected a value, found 'x'" }, /* characters, not bytes */
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(bad); i++)
        expect_error(skip_text(bad[i].text, strlen(bad[i].text)), LDL_EINPUT, bad[i].error);
    expect_error(skip_text("1\0", 2), LDL_EINPUT, "byte 0x00"); /* a NUL is no blank */
}

static void test_depth(void **state)
{
    char text[2 * LDL_JSON_DEPTH + 8];
    (void)state;
    for (int depth = LDL_JSON_DEPTH; depth <= LDL_JSON_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        int status = skip_text(text, 2 * (size_t)depth);
        if (depth == LDL_JSON_DEPTH)
            expect_ok(status);
        else
            expect_error(status, LDL_EINPUT, "nested deeper than 64 levels");
    }
    char *bomb = malloc(1 << 20);
    memset(bomb, '[', 1 << 20);
    expect_error(skip_text(bomb, 1 << 20), LDL_EINPUT, "nested deeper");
    free(bomb);
}

static void test_wrong_kind(void **state)
{
    int b;
    (void)state;
    ldl_json_open(&j, "[1]", 3, "t");
    expect_error(ldl_json_enter(&j, '{', &err), LDL_EINPUT, "expected an object, found a list");
    ldl_json_open(&j, "{}", 2, "t");
    expect_error(ldl_json_enter(&j, '[', &err), LDL_EINPUT, "expected a list, found an object");
    ldl_json_open(&j, "1", 1, "t");
    expect_error(ldl_json_bool(&j, &b, &err), LDL_EINPUT, "expected true or false, found a number");
}

static void test_place_of_values(void **state)
{
    static const char text[] = "{\"a\" :  [1, {\"x\":2}] , \"b\":\"v\"}";
    struct ldl_buf key = { 0 };
    const char *from, *to;
    (void)state;
    ldl_json_open(&j, text, strlen(text), "t");
    ldl_json_enter(&j, '{', &err);
    ldl_json_member(&j, &key, &err);
    expect_ok(ldl_json_skip(&j, &from, &to, &err));
    assert_int_equal(to - from, strlen("[1, {\"x\":2}]"));
    assert_memory_equal(from, "[1, {\"x\":2}]", (size_t)(to - from));
    ldl_json_member(&j, &key, &err);
    expect_ok(ldl_json_skip(&j, &from, &to, &err));
    assert_memory_equal(from, "\"v\"", 3);
    assert_int_equal(to - from, 3);
    ldl_buf_free(&key);
}

/* Every prefix of a text with everything in it is refused, and no byte past it is read (the copy
 * has no byte more, so that the sanitizer sees one). */
static void test_every_truncation(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2.5e+3,NaN,-Infinity,true,false,null,\"\\u00e9\\ud83d\\ude00"
        "\xe4\xb8\xad\\n\"],\"b\":{\"c\":{}}}";
    size_t len = strlen(text);
    (void)state;
    for (size_t n = 0; n <= len; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        assert_int_equal(skip_text(copy, n), n == len ? 0 : LDL_EINPUT);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_wrong_kind),
        cmocka_unit_test(test_place_of_values),
        cmocka_unit_test(test_every_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
