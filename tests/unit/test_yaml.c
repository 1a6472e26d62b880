/* test_yaml.c -- the tree of a YAML file: scalars as PyYAML resolves them, styles, aliases, merging,
 * duplicates, places of errors, budgets.
 *
 * The table `scalars` is PyYAML 6.0.2's: yaml.safe_load() of each word, printed as a row (6.0.4 gives
 * the same). The other expectations were compared with it by hand; where we differ it says so. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"
#include "unit/read_help.h"

#include <math.h>
#include <sys/wait.h>

static struct ldl_yaml y;

static const struct {
    const char *text;
    enum ldl_yaml_kind kind;
    double num;
    int64_t integer;
} scalars[] = {
    { "~", LDL_YAML_NULL, 0, 0 },
    { "null", LDL_YAML_NULL, 0, 0 },
    { "Null", LDL_YAML_NULL, 0, 0 },
    { "NULL", LDL_YAML_NULL, 0, 0 },
    { "nULL", LDL_YAML_TEXT, 0, 0 },
    { "yes", LDL_YAML_BOOL, 1, 1 },
    { "Yes", LDL_YAML_BOOL, 1, 1 },
    { "YES", LDL_YAML_BOOL, 1, 1 },
    { "yEs", LDL_YAML_TEXT, 0, 0 },
    { "no", LDL_YAML_BOOL, 0, 0 },
    { "No", LDL_YAML_BOOL, 0, 0 },
    { "NO", LDL_YAML_BOOL, 0, 0 },
    { "on", LDL_YAML_BOOL, 1, 1 },
    { "On", LDL_YAML_BOOL, 1, 1 },
    { "ON", LDL_YAML_BOOL, 1, 1 },
    { "off", LDL_YAML_BOOL, 0, 0 },
    { "Off", LDL_YAML_BOOL, 0, 0 },
    { "OFF", LDL_YAML_BOOL, 0, 0 },
    { "true", LDL_YAML_BOOL, 1, 1 },
    { "True", LDL_YAML_BOOL, 1, 1 },
    { "TRUE", LDL_YAML_BOOL, 1, 1 },
    { "tRue", LDL_YAML_TEXT, 0, 0 },
    { "false", LDL_YAML_BOOL, 0, 0 },
    { "False", LDL_YAML_BOOL, 0, 0 },
    { "FALSE", LDL_YAML_BOOL, 0, 0 },
    { "y", LDL_YAML_TEXT, 0, 0 },
    { "n", LDL_YAML_TEXT, 0, 0 },
    { "Y", LDL_YAML_TEXT, 0, 0 },
    { "N", LDL_YAML_TEXT, 0, 0 },
    { "0", LDL_YAML_INT, 0.0, 0 },
    { "-0", LDL_YAML_INT, 0.0, 0 },
    { "+0", LDL_YAML_INT, 0.0, 0 },
    { "00", LDL_YAML_INT, 0.0, 0 },
    { "007", LDL_YAML_INT, 7.0, 7 },
    { "0755", LDL_YAML_INT, 493.0, 493 },
    { "-0755", LDL_YAML_INT, -493.0, -493 },
    { "08", LDL_YAML_TEXT, 0, 0 },
    { "0o7", LDL_YAML_TEXT, 0, 0 },
    { "0x1F", LDL_YAML_INT, 31.0, 31 },
    { "-0x1f", LDL_YAML_INT, -31.0, -31 },
    { "0X1F", LDL_YAML_TEXT, 0, 0 },
    { "0x_1", LDL_YAML_INT, 1.0, 1 },
    { "0b101", LDL_YAML_INT, 5.0, 5 },
    { "0b2", LDL_YAML_TEXT, 0, 0 },
    { "-0b1_1", LDL_YAML_INT, -3.0, -3 },
    { "1_000", LDL_YAML_INT, 1000.0, 1000 },
    { "1__0", LDL_YAML_INT, 10.0, 10 },
    { "_1", LDL_YAML_TEXT, 0, 0 },
    { "1_", LDL_YAML_INT, 1.0, 1 },
    { "12", LDL_YAML_INT, 12.0, 12 },
    { "-12", LDL_YAML_INT, -12.0, -12 },
    { "+12", LDL_YAML_INT, 12.0, 12 },
    { "1:30", LDL_YAML_INT, 90.0, 90 },
    { "-1:30", LDL_YAML_INT, -90.0, -90 },
    { "190:20:30", LDL_YAML_INT, 685230.0, 685230 },
    { "1:60", LDL_YAML_TEXT, 0, 0 },
    { "1:5", LDL_YAML_INT, 65.0, 65 },
    { "0:30", LDL_YAML_TEXT, 0, 0 },
    { "1:30.5", LDL_YAML_FLOAT, 90.5, 0 },
    { "0:30.5", LDL_YAML_FLOAT, 30.5, 0 },
    { "1_:30", LDL_YAML_INT, 90.0, 90 },
    { "1e5", LDL_YAML_TEXT, 0, 0 },
    { "1e-5", LDL_YAML_TEXT, 0, 0 },
    { "1.0e5", LDL_YAML_TEXT, 0, 0 },
    { "1.0e+5", LDL_YAML_FLOAT, 100000.0, 0 },
    { "1.0e-5", LDL_YAML_FLOAT, 1e-05, 0 },
    { "1.5E+3", LDL_YAML_FLOAT, 1500.0, 0 },
    { "1.", LDL_YAML_FLOAT, 1.0, 0 },
    { "-1.", LDL_YAML_FLOAT, -1.0, 0 },
    { "+1.", LDL_YAML_FLOAT, 1.0, 0 },
    { ".5", LDL_YAML_FLOAT, 0.5, 0 },
    { "-.5", LDL_YAML_TEXT, 0, 0 },
    { "+.5", LDL_YAML_TEXT, 0, 0 },
    { ".5e+3", LDL_YAML_FLOAT, 500.0, 0 },
    { ".5e3", LDL_YAML_TEXT, 0, 0 },
    { "._5", LDL_YAML_TEXT, 0, 0 },
    { "1._5", LDL_YAML_FLOAT, 1.5, 0 },
    { "1_0.0_1", LDL_YAML_FLOAT, 10.01, 0 },
    { ".inf", LDL_YAML_FLOAT, INFINITY, 0 },
    { ".Inf", LDL_YAML_FLOAT, INFINITY, 0 },
    { ".INF", LDL_YAML_FLOAT, INFINITY, 0 },
    { "-.inf", LDL_YAML_FLOAT, -INFINITY, 0 },
    { "+.inf", LDL_YAML_FLOAT, INFINITY, 0 },
    { ".iNf", LDL_YAML_TEXT, 0, 0 },
    { ".nan", LDL_YAML_FLOAT, NAN, 0 },
    { ".NaN", LDL_YAML_FLOAT, NAN, 0 },
    { ".NAN", LDL_YAML_FLOAT, NAN, 0 },
    { "-.nan", LDL_YAML_TEXT, 0, 0 },
    { ".Nan", LDL_YAML_TEXT, 0, 0 },
    { "inf", LDL_YAML_TEXT, 0, 0 },
    { "nan", LDL_YAML_TEXT, 0, 0 },
    { "Infinity", LDL_YAML_TEXT, 0, 0 },
    { "-inf", LDL_YAML_TEXT, 0, 0 },
    { "9223372036854775807", LDL_YAML_INT, 9.223372036854776e+18, INT64_MAX },
    { "9223372036854775808", LDL_YAML_INT, 9.223372036854776e+18, INT64_MAX },
    { "-9223372036854775808", LDL_YAML_INT, -9.223372036854776e+18, INT64_MIN },
    { "-9223372036854775809", LDL_YAML_INT, -9.223372036854776e+18, INT64_MIN },
    { "123456789012345678901234567890", LDL_YAML_INT, 1.2345678901234568e+29, INT64_MAX },
    { "0xffffffffffffffff", LDL_YAML_INT, 1.8446744073709552e+19, INT64_MAX },
    { "0x7fffffffffffffff", LDL_YAML_INT, 9.223372036854776e+18, INT64_MAX },
    { "0x10000000000000000", LDL_YAML_INT, 1.8446744073709552e+19, INT64_MAX },
    { "1.0e+400", LDL_YAML_FLOAT, INFINITY, 0 },
    { "1.e+3", LDL_YAML_FLOAT, 1000.0, 0 },
    { "1.0e+", LDL_YAML_TEXT, 0, 0 },
    { "1.0e-", LDL_YAML_TEXT, 0, 0 },
    { "1_000.5", LDL_YAML_FLOAT, 1000.5, 0 },
    { "1.2.3", LDL_YAML_TEXT, 0, 0 },
    { "0.1", LDL_YAML_FLOAT, 0.1, 0 },
    { "0.30000000000000004", LDL_YAML_FLOAT, 0.30000000000000004, 0 },
    { "685_230.15", LDL_YAML_FLOAT, 685230.15, 0 },
    { "685.230_15e+03", LDL_YAML_FLOAT, 685230.15, 0 },
    { "190:20:30.15", LDL_YAML_FLOAT, 685230.15, 0 },
    { "0_", LDL_YAML_INT, 0.0, 0 },
    { "0__7", LDL_YAML_INT, 7.0, 7 },
    { "0_8", LDL_YAML_TEXT, 0, 0 },
    { "1:2:3", LDL_YAML_INT, 3723.0, 3723 },
    { "1:2:3.4_5", LDL_YAML_FLOAT, 3723.45, 0 },
    { "12e03", LDL_YAML_TEXT, 0, 0 },
    { "--", LDL_YAML_TEXT, 0, 0 },
    { "..", LDL_YAML_TEXT, 0, 0 },
    { ".", LDL_YAML_TEXT, 0, 0 },
    { "+.5e+3", LDL_YAML_TEXT, 0, 0 },
    { "1,5", LDL_YAML_TEXT, 0, 0 },
    { "0.5f", LDL_YAML_TEXT, 0, 0 },
    { "0x", LDL_YAML_TEXT, 0, 0 },
    { "0b", LDL_YAML_TEXT, 0, 0 },
    { "1:3x", LDL_YAML_TEXT, 0, 0 },
    { "09.5", LDL_YAML_FLOAT, 9.5, 0 },
    { "1.0e+5_0", LDL_YAML_TEXT, 0, 0 },
    { "99999:59", LDL_YAML_INT, 5999999.0, 5999999 },
    { "18446744073709551616:30", LDL_YAML_INT, 1.1068046444225731e+21, INT64_MAX },
    { "2001-01-01", LDL_YAML_TEXT, 0, 0 }, /* a date for PyYAML */
    { "<<", LDL_YAML_TEXT, 0, 0 },         /* an error for PyYAML, as are the next three */
    { "=", LDL_YAML_TEXT, 0, 0 },
    { "0b_", LDL_YAML_TEXT, 0, 0 },
    { "0x_", LDL_YAML_TEXT, 0, 0 },
};

static int parse(const char *text)
{
    return ldl_yaml_parse(&y, text, strlen(text), "r.yml", &err);
}

static void test_scalars(void **state)
{
    char text[200];
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(scalars); i++) {
        snprintf(text, sizeof text, "- %s\n- '%s'\n- \"%s\"\n- !!str %s", scalars[i].text,
                 scalars[i].text, scalars[i].text, scalars[i].text);
        expect_ok(parse(text));
        const struct ldl_yaml_node *list = y.document[0], *plain = list->item[0];
        int same = isnan(scalars[i].num)
                       ? isnan(plain->num)
                       : memcmp(&plain->num, &scalars[i].num, sizeof plain->num) == 0;
        if (plain->kind != scalars[i].kind || !same || plain->integer != scalars[i].integer)
            fail_msg("%s: kind %d, %.17g, %lld", scalars[i].text, plain->kind, plain->num,
                     (long long)plain->integer);
        for (size_t q = 0; q < 4; q++) {
            assert_string_equal(list->item[q]->text, scalars[i].text);
            assert_true(q == 0 || list->item[q]->kind == LDL_YAML_TEXT);
        }
        ldl_yaml_free(&y);
    }
}

/* What Python's float() says of the value that PyYAML loads. */
static void test_number(void **state)
{
    static const struct {
        const char *text;
        double num;
    } good[] = {
        { "true", 1 },
        { "no", 0 },
        { "0.5", 0.5 },
        { "'0.5'", 0.5 },
        { "1e-5", 1e-5 },
        { "' 1_000 '", 1000 },
        { "1:30", 90 },
        { "'inf'", INFINITY },
        { "nan", NAN },
        { "-Infinity", -INFINITY },
        { "0755", 493 },
        { "'0755'", 755 },
        { "'+1.'", 1 },
        { "\"\\t.5\\n\"", 0.5 },
        { "'1e999'", INFINITY },
        { "-.5", -.5 },
        { "'1_0.0_1e1_0'", 10.01e10 },
    };
    static const char *const bad[] = { "'_1'",   "'1_'",   "'1__0'", "'0x10'", "''",  "~",  "abc",
                                       "'1:30'", "'1_.0'", "nan(1)", "1,5",    "[1]", "{}", "'1 2'",
                                       "'+-1'",  "'.'",    "infi",   "'1e'",   "' '" };
    double d;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(good); i++) {
        expect_ok(parse(good[i].text));
        if (ldl_yaml_number(y.document[0], &d) || (d != good[i].num && !isnan(good[i].num)))
            fail_msg("%s: %.17g", good[i].text, d);
        ldl_yaml_free(&y);
    }
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        expect_ok(parse(bad[i]));
        if (ldl_yaml_number(y.document[0], &d) == 0)
            fail_msg("%s is a number: %g", bad[i], d);
        ldl_yaml_free(&y);
    }
    struct ldl_buf huge = { 0 };
    for (int i = 0; i < 400; i++)
        ldl_buf_puts(&huge, "9");
    expect_ok(parse(huge.text));
    assert_int_equal(y.document[0]->kind, LDL_YAML_INT);
    assert_int_equal(ldl_yaml_number(y.document[0], &d), -1); /* OverflowError */
    ldl_yaml_free(&y);
    ldl_buf_free(&huge);
}

/* A tree as one line: lists in [], mappings in {}, scalars by their text, texts in quotes. */
static void show(struct ldl_buf *b, const struct ldl_yaml_node *node)
{
    if (node->kind == LDL_YAML_SEQ || node->kind == LDL_YAML_MAP) {
        int map = node->kind == LDL_YAML_MAP;
        ldl_buf_puts(b, map ? "{" : "[");
        for (size_t i = 0; i < node->n; i++) {
            ldl_buf_puts(b, i ? " " : "");
            if (map)
                ldl_buf_printf(b, "%s:", node->key[i].text);
            show(b, node->item[i]);
        }
        ldl_buf_puts(b, map ? "}" : "]");
    } else if (node->kind == LDL_YAML_TEXT) {
        ldl_buf_json(b, node->text);
    } else {
        ldl_buf_puts(b, node->kind == LDL_YAML_NULL ? "null" : node->text);
    }
}

static void expect_tree(const char *text, const char *want)
{
    struct ldl_buf b = { 0 };
    ldl_buf_puts(&b, "");
    expect_ok(parse(text));
    for (size_t i = 0; i < y.ndocuments; i++) {
        ldl_buf_puts(&b, i ? " | " : "");
        show(&b, y.document[i]);
    }
    assert_string_equal(b.text, want);
    ldl_buf_free(&b);
    ldl_yaml_free(&y);
}

static void test_styles(void **state)
{
    static const struct {
        const char *text, *tree;
    } cases[] = {
        { "models:\n  - model: a/b\n    parameters:\n      weight: 0.5 # half\n  - model: "
          "c@main+x\n"
          "merge_method: ties\nparameters: {normalize: yes, t: [0, 1e-5]}\n",
          "{models:[{model:\"a/b\" parameters:{weight:0.5}} {model:\"c@main+x\"}] "
          "merge_method:\"ties\" parameters:{normalize:yes t:[0 \"1e-5\"]}}" },
        { "a:\n- 1\n- ~\n- - 2\n  - 3\nb:\n -\n", "{a:[1 null [2 3]] b:[null]}" },
        { "a: [\n  1,\n  {b: 2, c},\n]\nd:\n", "{a:[1 {b:2 c:null}] d:null}" },
        { "a: [\n1\n]\n", "{a:[1]}" }, /* the bracket under the key */
        { "{\"a\":1, 'b': [x, ]}", "{a:1 b:[\"x\"]}" },
        { "[a: 1, b]", "[{a:1} \"b\"]" },
        { "? a\n: b\n? c\n", "{a:\"b\" c:null}" },
        { "\xef\xbb\xbf"
          "a: 1\r\nb: 2\r\n",
          "{a:1 b:2}" },
        { "a: x\n  y\n\n  z\n", "{a:\"x y\\nz\"}" },
        { "a: 'it''s\n  one'\nb: \"\\x41\\u00e9\\t\\\n   z\"\n",
          "{a:\"it's one\" b:\"A\xc3\xa9\\tz\"}" },
        { "a: |\n x\n\n  y\n\n\nb: |-\n x\n\nc: |+\n x\n\n",
          "{a:\"x\\n\\n y\\n\" b:\"x\" c:\"x\\n\\n\"}" },
        { "a: >\n b\n c\n\n d\n   e\n f\nb: >-\n x\n y\n",
          "{a:\"b c\\nd\\n  e\\nf\\n\" b:\"x y\"}" },
        { "a: |2\n   x\n", "{a:\" x\\n\"}" },
        { "a: |\n", "{a:\"\"}" }, /* where the file ends inside: libfyaml adds, we take away */
        { "a: |", "{a:\"\"}" },
        { "a: |\n x", "{a:\"x\"}" },
        { "a: |\n x\n# c", "{a:\"x\\n\"}" },
        { "a: http://b/?c=d#e\nf g: -h\n", "{a:\"http://b/?c=d#e\" f g:\"-h\"}" },
        { "\xe4\xb8\xad: \xe6\x96\x87\n", "{\xe4\xb8\xad:\"\xe6\x96\x87\"}" },
        { "", "" },
        { "# nothing\n\n", "" },
        { "---\n", "null" },
        { "--- a\n--- {b: 1}\n...\n# c\n---\n- d\n", "\"a\" | {b:1} | [\"d\"]" },
        { "%YAML 1.2\n%TAG !e! tag:yaml.org,2002:\n---\n- yes\n- !e!int '12'\n", "[yes 12]" },
        { "- !!int '12'\n- !!float 3\n- !!bool \"yes\"\n- !!null x\n- !!seq [1]\n- !!map {a: 1}\n"
          "- ! 4\n- !!str\n- !!float 1e5\n- !!float 1:30\n",
          "[12 3 yes null [1] {a:1} 4 \"\" 1e5 1:30]" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(cases); i++)
        expect_tree(cases[i].text, cases[i].tree);
    expect_ok(parse("- !!float 3\n- !!float 1e5\n- !!float 1:30\n- !!bool TrUe\n"));
    assert_true(y.document[0]->item[0]->kind == LDL_YAML_FLOAT && y.document[0]->item[0]->num == 3);
    assert_true(y.document[0]->item[1]->num == 1e5 && y.document[0]->item[2]->num == 90);
    assert_true(y.document[0]->item[3]->num == 1);
    ldl_yaml_free(&y);
}

static void test_aliases(void **state)
{
    static const char abc[] = "a: &a {w: 1, o: 1}\nb: &b {w: 2, t: 2}\n";
    static const struct {
        const char *text, *tree;
    } cases[] = {
        { "c: *a", "c:{w:1 o:1}" },
        { "c: {<<: *a, z: 3}", "c:{w:1 o:1 z:3}" },
        { "c: {w: 9, <<: *a}", "c:{w:9 o:1}" },
        { "c: {<<: [*a, *b]}", "c:{w:1 t:2 o:1}" },        /* the earlier wins */
        { "c:\n  <<: *a\n  <<: *b\n", "c:{w:2 o:1 t:2}" }, /* the later wins */
        { "c: {<<: {<<: *a, o: 5}, o: 6}", "c:{w:1 o:6}" },
        { "c: {'<<': 1}", "c:{<<:1}" },
        { "c: [&x 5, *x]\n*x : *x", "c:[5 5] 5:5" },
        { "c: &e\nd: *e", "c:null d:null" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(cases); i++) {
        char text[300], tree[300];
        snprintf(text, sizeof text, "%s%s", abc, cases[i].text);
        snprintf(tree, sizeof tree, "{a:{w:1 o:1} b:{w:2 t:2} %s}", cases[i].tree);
        expect_tree(text, tree);
    }
    expect_tree("&a 1\n--- \n&a 2\n", "1 | 2"); /* a document has its own anchors */
    expect_ok(parse("a: &a [1, 2]\nb: *a\n"));
    assert_ptr_equal(y.document[0]->item[0], y.document[0]->item[1]);
    assert_int_equal(y.document[0]->visits, 7);
    assert_int_equal(y.document[0]->height, 2);
    assert_int_equal(y.warning.n, 0);
    ldl_yaml_free(&y);
}

static void test_duplicates(void **state)
{
    (void)state;
    expect_tree("a: 1\nb: 2\na: 3\n", "{a:3 b:2}");
    expect_ok(parse("x:\n  a: 1\n  b: 2\n  'a': {}\n"));
    assert_int_equal(y.warning.n, 1);
    assert_string_equal(y.warning.name[0],
                        "r.yml:4:3: the key 'a' was given in line 2 too; this one counts");
    ldl_yaml_free(&y);
    struct ldl_buf b = { 0 };
    for (int i = 0; i < 1000; i++) /* past the hash table's threshold, several times over */
        ldl_buf_printf(&b, "k%d: %d\n", i % 700, i);
    expect_ok(parse(b.text));
    assert_int_equal(y.document[0]->n, 700);
    assert_int_equal(y.warning.n, LDL_YAML_MAX_WARNINGS);
    assert_int_equal(ldl_yaml_find(y.document[0], "k299")->integer, 999);
    assert_int_equal(ldl_yaml_find(y.document[0], "k300")->integer, 300);
    ldl_yaml_free(&y);
    ldl_buf_free(&b);
}

static void test_places(void **state)
{
    (void)state;
    expect_ok(parse("a: \xc3\xa9\n\xc3\xa9: [ {b: 1}, 'c' ]\nd:\n  -\n  - &x !!str e\n"));
    const struct ldl_yaml_node *top = y.document[0], *list = top->item[1];
    const struct ldl_yaml_key *key = ldl_yaml_find_key(top, "d");
    ldl_yaml_fail(&y, top, &err, LDL_EUSAGE, "%s", ldl_yaml_kind_name(top));
    assert_string_equal(err.text, "r.yml:1:1: a mapping");
    ldl_yaml_fail(&y, list, &err, LDL_EUSAGE, "%s", ldl_yaml_kind_name(list));
    assert_string_equal(err.text, "r.yml:2:4: a list");
    ldl_yaml_fail(&y, list->item[0]->item[0], &err, LDL_EUSAGE, "1");
    assert_string_equal(err.text, "r.yml:2:10: 1");
    ldl_yaml_fail(&y, list->item[1], &err, LDL_EUSAGE, "c");
    assert_string_equal(err.text, "r.yml:2:14: c");
    assert_int_equal(ldl_yaml_fail_key(&y, key, &err, LDL_EUSAGE, "d"), LDL_EUSAGE);
    assert_string_equal(err.text, "r.yml:3:1: d");
    assert_null(ldl_yaml_find(top, "x"));
    assert_null(ldl_yaml_find(list, "x"));
    assert_null(ldl_yaml_find(NULL, "x"));
    assert_null(ldl_yaml_find_key(list, "x"));
    ldl_yaml_free(&y);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "a: [1, 2", "r.yml:2:1: flow sequence without a closing bracket" },
        { "a: b: c", "r.yml:1:5: " },
        { "a: 1\n\tb: 2\n", "r.yml:1:4: invalid multiline plain key" },
        { "a:\n\tb: 2\n", "r.yml:2:1: " },
        { "a: 'x", "r.yml:1:5: single-quoted scalar without closing quote" },
        { "a: @x", "r.yml:1:4: plain scalar cannot start with '@'" },
        { "a: \"\\q\"", "r.yml:1:" },
        { "x: 1\ny: *z\n", "r.yml:2:4: no anchor '&z' comes before" },
        { "x: &a\n  - 1\n  - *a\n", "r.yml:3:5: the alias '*a' is inside of what it stands for" },
        { "a: &a {b: *a}", "r.yml:1:11: the alias '*a' is inside" },
        { "a: &a 1\nb: &a 2\n", "r.yml:2:4: the anchor 'a' is in line 1 too" },
        { "? [a]\n: 1\n", "r.yml:1:3: a key may not be a list" },
        { "{a: 1}: 2\n", "r.yml:1:1: a key may not be a mapping" },
        { "a: &x [1]\n*x : 2\n", "r.yml:2:1: a key may not be a list" },
        { "a: {<<: 1}", "'<<' wants a mapping or a list of mappings, and this is a whole number" },
        { "a: {<<: [{b: 1}, x]}",
          "'<<' wants a mapping or a list of mappings, and this is a text" },
        { "a: !!python/object:os.x {}",
          "r.yml:1:4: the tag '!!python/object:os.x' is not allowed" },
        { "a: !foo 1", "r.yml:1:4: the tag '!foo' is not allowed" },
        { "!!omap [a: 1]", "the tag '!!omap' is not allowed" },
        { "a: !!int x1", "r.yml:1:10: 'x1' is not a whole number" },
        { "a: !!float ''", "is not a number" },
        { "a: !!bool maybe", "'maybe' is not a boolean" },
        { "a: !!str [1]", "the tag does not fit: this is a list" },
        { "a: !!map [1]", "the tag does not fit: this is a list" },
        { "a: !!seq x", "the tag does not fit: this is a scalar" },
        { "a: \"x\\0y\"", "r.yml:1:4: a text may not hold a NUL" },
        { "\"\\0\": 1", "a text may not hold a NUL" },
        { "a: b\nc: \xff\n", "r.yml:2:4: the text is not UTF-8" },
        { "\xff\xfe"
          "a",
          "r.yml:1:1: the text is not UTF-8" },
        { "a: \x1b", "r.yml:1:4: a control character (byte 0x1b)" },
        { "a\r\nb\rc: \x7f", "r.yml:3:4: a control character" },
        { "%YAML 2.0\n---\na", "r.yml:" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(cases); i++) {
        expect_error(parse(cases[i].text), LDL_EINPUT, cases[i].error);
        assert_true(!y.document && !y.block && !y.warning.name);
    }
    expect_error(ldl_yaml_parse(&y, "a: \0b", 5, "r.yml", &err), LDL_EINPUT,
                 "r.yml:1:4: a control character (byte 0x00)");
    expect_error(ldl_yaml_parse(&y, "a: b\0", 5, "r.yml", &err), LDL_EINPUT,
                 "r.yml:1:5: a control");
    assert_int_equal(ldl_yaml_parse(&y, "[", 1, "r.yml", NULL), LDL_EINPUT);
}

static void repeat(struct ldl_buf *b, const char *text, size_t n)
{
    while (n--)
        ldl_buf_puts(b, text);
}

static void test_budgets(void **state)
{
    struct ldl_buf b = { 0 };
    (void)state;
    ldl_buf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"); /* an alias bomb */
    for (int i = 1; i < 40; i++) {
        ldl_buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 9; k++)
            ldl_buf_printf(&b, "*a%d,", i - 1);
        ldl_buf_puts(&b, "]\n");
    }
    expect_ok(parse(b.text));
    assert_int_equal(ldl_yaml_find(y.document[0], "a8")->visits, 435848050); /* (9^10 - 1) / 8 */
    assert_true(ldl_yaml_find(y.document[0], "a39")->visits == UINT64_MAX);
    ldl_yaml_free(&y);
    for (int i = 40; i < 70; i++) /* each one level deeper */
        ldl_buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    expect_error(parse(b.text), LDL_EINPUT, "r.yml:64:12: nested deeper than 64 levels");

    for (size_t depth = 64; depth <= 65; depth++) {
        ldl_buf_reset(&b);
        repeat(&b, "[", depth);
        repeat(&b, "]", depth);
        if (depth == 64)
            expect_ok(parse(b.text));
        else
            expect_error(parse(b.text), LDL_EINPUT, "r.yml:1:65: nested deeper than 64 levels");
        ldl_yaml_free(&y);
    }
    ldl_buf_reset(&b);
    repeat(&b, "[", 500000);
    expect_error(parse(b.text), LDL_EINPUT, "r.yml:1:65: nested deeper");

    ldl_buf_reset(&b);
    repeat(&b, "-\n", LDL_YAML_MAX_NODES - 1);
    expect_ok(parse(b.text));
    ldl_yaml_free(&y);
    repeat(&b, "-\n", 1);
    expect_error(parse(b.text), LDL_EINPUT, "more than 200000 values");

    ldl_buf_reset(&b); /* what merging copies counts */
    ldl_buf_puts(&b, "- &a\n");
    for (int i = 0; i < 1000; i++)
        ldl_buf_printf(&b, "  k%d: 1\n", i);
    repeat(&b, "- <<: *a\n", 10000);
    expect_error(parse(b.text), LDL_EINPUT, "more than 200000 values");

    ldl_buf_reset(&b);
    repeat(&b, "#", LDL_YAML_MAX_BYTES + 1);
    expect_error(parse(b.text), LDL_EINPUT, "r.yml:1:1: more than 1000000 bytes");
    ldl_buf_free(&b);
}

static void test_read(void **state)
{
    (void)state;
    save("r.yml", "a: 1\n");
    expect_ok(ldl_yaml_read(&y, at("r.yml"), &err));
    assert_string_equal(y.name, at("r.yml"));
    assert_int_equal(ldl_yaml_find(y.document[0], "a")->integer, 1);
    ldl_yaml_free(&y);
    save("bad.yml", "a: [\n");
    expect_error(ldl_yaml_read(&y, at("bad.yml"), &err), LDL_EINPUT, "bad.yml:2:1: flow sequence");
    save("empty.yml", "");
    expect_ok(ldl_yaml_read(&y, at("empty.yml"), &err));
    assert_int_equal(y.ndocuments, 0);
    ldl_yaml_free(&y);
    ldl_yaml_free(&y);
    ldl_yaml_free(NULL);
    expect_error(ldl_yaml_read(&y, at("none.yml"), &err), LDL_EINPUT, "none.yml");
}

#ifdef LDL_FAULTS
/* In a child, since the calls are counted once in a process; its exit code tells. */
static int with_failing_call(const char *text, int nth)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char spec[32];
        snprintf(spec, sizeof spec, "alloc:%d", nth);
        setenv("LADLE_FAULT", spec, 1);
        int rc = parse(text);
        if (rc && (rc != LDL_EIO || !strstr(err.text, "out of memory") || y.block || y.document))
            exit(99);
        ldl_yaml_free(&y);
        exit(rc); /* and the sanitizer looks for what was lost */
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_faults(void **state)
{
    static const char text[] = "a: &a {b: 1_0, c: 1.5, d: x}\ne: {<<: *a, c: 2}\n"
                               "l: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]\nl: 3\n"
                               "m: {a: , b: , c: , d: , e: , f: , g: , h: , i: , j: , k: }\n"
                               "n: {<<: [{a: }, {b: }]}\n--- 1\n--- 2\n";
    int failures = 0, rc;
    (void)state;
    while ((rc = with_failing_call(text, failures + 1)) != 0) {
        assert_int_equal(rc, LDL_EIO);
        failures++;
    }
    print_message("%d calls failed\n", failures);
    assert_true(failures > 20);
}
#else
static void test_faults(void **state)
{
    (void)state;
    print_message("skipped: built without LADLE_FAULTS\n");
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_budgets),
        WITH_ROOT(test_read),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
