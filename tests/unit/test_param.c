/* test_param.c -- words to typed values, ranges, fallbacks, filling a part's struct. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/param.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct part {
    double share, wide;
    int flag, mode;
    struct ldl_list weights, names;
    int64_t count;
    uint64_t bytes;
    const char *text;
};

/* clang-format off */
static const struct ldl_param rows[] = {
    LDL_PARAM_DOUBLE(struct part, share, 0, 1, 0.7, "a share"),
    LDL_PARAM_DOUBLE(struct part, wide, -1e18, 1e18, 2, "any"),
    LDL_PARAM_BOOL(struct part, flag, true, "a flag"),
    LDL_PARAM_WORD(struct part, mode, "sum|count|counts", "count", "a word"),
    LDL_PARAM_DOUBLES(struct part, weights, -1e18, 1e18, "numbers"),
    { "names", LDL_T_TEXTS, offsetof(struct part, names), 0, 0, NULL, NULL, "texts" },
    { "count", LDL_T_INT, offsetof(struct part, count), 1, 1e18, "3", NULL, "an integer" },
    { "bytes", LDL_T_BYTES, offsetof(struct part, bytes), 0, 0, "1K", NULL, "bytes" },
    { "text", LDL_T_TEXT, offsetof(struct part, text), 0, 0, "word", NULL, "a text" },
};
/* clang-format on */
enum { SHARE, WIDE, FLAG, MODE, WEIGHTS, NAMES, COUNT, BYTES, TEXT };

static struct ldl_err err;
static struct ldl_value v;

static void takes(int row, const char *word)
{
    ldl_value_free(&v);
    if (ldl_value_parse(&v, &rows[row], &word, 1, "--x", &err))
        fail_msg("'%s': %s", word, err.text);
}

static void refuses(int row, const char *word, const char *part)
{
    static const struct ldl_value empty;
    struct ldl_value got;
    assert_int_equal(ldl_value_parse(&got, &rows[row], &word, 1, "--x", &err), LDL_EUSAGE);
    assert_memory_equal(&got, &empty, sizeof got);
    assert_int_equal(strncmp(err.text, "--x: ", 5), 0);
    if (!strstr(err.text, part))
        fail_msg("'%s' is not in '%s'", part, err.text);
}

static void test_doubles(void **state)
{
    double d;
    (void)state;
    takes(SHARE, "0");
    assert_true(v.num == 0);
    takes(SHARE, "1");
    takes(SHARE, "7e-1");
    assert_true(v.num == 0.7);
    takes(SHARE, ".5");
    refuses(SHARE, "1.0000001", "0..1");
    refuses(SHARE, "-0.1", "0..1");
    refuses(SHARE, "nan", "'nan'");
    refuses(SHARE, "", "''");
    refuses(SHARE, " 0.5", "' 0.5'");
    refuses(SHARE, "0.5 ", "'0.5 '");
    refuses(SHARE, "0x1p-1", "'0x1p-1'");
    refuses(SHARE, "0,5", "'0,5'");
    refuses(WIDE, "inf", "not a finite number");
    refuses(WIDE, "1e999", "not a finite number");
    refuses(WIDE, "2e18", "'2e18'");
    assert_int_equal(ldl_parse_double("-inf", &d), 0);
    assert_true(isinf(d) && d < 0);
    assert_int_equal(ldl_parse_double("nan", &d), 0);
}

static void test_integers(void **state)
{
    int64_t i;
    (void)state;
    takes(COUNT, "12");
    assert_int_equal(v.integer, 12);
    refuses(COUNT, "0", "'0' is not an integer in the range 1 and above");
    refuses(COUNT, "1e3", "'1e3'");
    refuses(COUNT, "1.0", "'1.0'");
    refuses(COUNT, "9223372036854775808", "'9223372036854775808'");
    refuses(COUNT, "", "''");
    assert_int_equal(ldl_parse_int("-9223372036854775808", &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(ldl_parse_int(" 1", &i), -1);
    assert_int_equal(ldl_parse_int("-", &i), -1);
}

static void test_bytes(void **state)
{
    static const struct {
        const char *word;
        uint64_t bytes;
    } good[] = { { "0", 0 },
                 { "1048576", 1048576 },
                 { "2K", 2048 },
                 { "512M", (uint64_t)512 << 20 },
                 { "3g", (uint64_t)3 << 30 },
                 { "1T", (uint64_t)1 << 40 },
                 { "1MiB", 1 << 20 },
                 { "1kb", 1024 } };
    static const char *const bad[] = { "",          "-1",   "+1",  "M",    "1X",
                                       "1MM",       "1.5G", "1 M", "0x10", "99999999999999999999",
                                       "99999999T", "1Mi" };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(good); i++) {
        takes(BYTES, good[i].word);
        assert_true((uint64_t)v.integer == good[i].bytes);
    }
    for (size_t i = 0; i < LDL_COUNT(bad); i++)
        refuses(BYTES, bad[i], "512M");
}

static void test_booleans(void **state)
{
    (void)state;
    takes(FLAG, "YES");
    assert_true(v.num == 1);
    takes(FLAG, "f");
    assert_true(v.num == 0);
    refuses(FLAG, "maybe",
            "'maybe' is not a boolean; use one of yes/no, true/false, t/f, y/n, 1/0");
    refuses(FLAG, "", "''");
    refuses(FLAG, "truex", "'truex'");
}

static void test_words(void **state)
{
    (void)state;
    takes(MODE, "sum");
    assert_true(v.num == 0);
    takes(MODE, "counts");
    assert_true(v.num == 2);
    refuses(MODE, "summ", "did you mean 'sum'? (one of sum|count|counts)");
    refuses(MODE, "Sum", "'Sum'");
    refuses(MODE, "cou", "'cou'"); /* values have no prefixes */
    refuses(MODE, "something", "use one of sum|count|counts");
    refuses(MODE, "", "''");
    assert_int_equal(ldl_choice("a|b", "a|b"), -1);
    assert_int_equal(ldl_choice("", "a"), -1);
}

static void test_lists(void **state)
{
    static const char *const words[] = { "1", "-2.5", "x" };
    (void)state;
    ldl_value_free(&v);
    assert_int_equal(ldl_value_parse(&v, &rows[WEIGHTS], words, 2, "--x", &err), 0);
    assert_int_equal(v.n, 2);
    assert_true(v.nums[1] == -2.5);
    assert_string_equal(v.origin, "--x");
    ldl_value_free(&v);
    assert_int_equal(ldl_value_parse(&v, &rows[WEIGHTS], words, 3, "--x", &err), LDL_EUSAGE);
    assert_non_null(strstr(err.text, "'x'"));
    assert_int_equal(ldl_value_parse(&v, &rows[WEIGHTS], words, 0, "--x", &err), LDL_EUSAGE);
    assert_string_equal(err.text, "--x: a value is missing");
    assert_int_equal(ldl_value_parse(&v, &rows[SHARE], words, 2, "--x", &err), LDL_EUSAGE);
    assert_string_equal(err.text, "--x: one value is expected, '-2.5' is one too many");
    assert_int_equal(ldl_value_parse(&v, &rows[NAMES], words, 3, "--x", NULL), 0);
    assert_string_equal(v.text[2], "x");
}

static void test_fill(void **state)
{
    static const char *const words[] = { "1", "2" }, *const no = "no", *const half = "0.5";
    struct ldl_value given[3];
    struct part p = { 0 };
    (void)state;
    assert_int_equal(ldl_value_parse(&given[0], &rows[WEIGHTS], words, 2, "w", &err), 0);
    assert_int_equal(ldl_value_parse(&given[1], &rows[FLAG], &no, 1, "f", &err), 0);
    assert_int_equal(ldl_value_parse(&given[2], &rows[SHARE], &half, 1, "s", &err), 0);
    assert_int_equal(ldl_params_fill(rows, LDL_COUNT(rows), &p, given, 3, &err), 0);
    assert_true(p.share == 0.5 && p.wide == 2 && p.flag == 0 && p.mode == 1 && p.count == 3);
    assert_true(p.bytes == 1024);
    assert_string_equal(p.text, "word");
    assert_int_equal(p.weights.n, 2);
    assert_ptr_equal(p.weights.num, given[0].nums);
    assert_int_equal(p.names.n, 0);
    for (size_t i = 0; i < LDL_COUNT(given); i++)
        ldl_value_free(&given[i]);
}

static void test_ranges(void **state)
{
    static const char *const want[] = { "0..1",
                                        "any number",
                                        "true|false",
                                        "sum|count|counts",
                                        "any number ...",
                                        "text ...",
                                        "1 and above",
                                        "bytes, as 512M or 2G",
                                        "text" };
    char out[120];
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++)
        assert_string_equal(ldl_param_range(&rows[i], out), want[i]);
}

/* The host program's locale must not change what a number means. */
static void test_locale(void **state)
{
    double d;
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        skip();
    assert_int_equal(ldl_parse_double("0.5", &d), 0);
    assert_true(d == 0.5);
    assert_int_equal(ldl_parse_double("0,5", &d), -1);
    setlocale(LC_NUMERIC, "C");
}

static int forget(void **state)
{
    (void)state;
    ldl_value_free(&v);
    ldl_value_free(NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_words),   cmocka_unit_test(test_lists),
        cmocka_unit_test(test_fill),    cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
