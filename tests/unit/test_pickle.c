/* test_pickle.c -- the pickle machine: what it makes of each opcode, and that no pickle harms it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"
#include "unit/pickle_help.h"

#include <fcntl.h>
#include <time.h>

static const struct ldl_pickle_name known[] = {
    { "collections", "OrderedDict", 7 },
    { "m", "f", 8 },
    { NULL, NULL, 0 },
};

static struct ldl_pickle p;

static const char *why(const char *module, const char *name)
{
    (void)name;
    return strcmp(module, "odd") ? NULL : "because it is odd";
}

/* Reads `pk` from a file, at an odd place and with bytes behind it. */
static int read_limited(size_t cut)
{
    struct ldl_buf b = { 0 };
    ldl_buf_puts(&b, "12345");
    ldl_buf_put(&b, pk.text, pk.len - cut);
    save_bytes("p", b.text, b.len);
    ldl_buf_free(&b);
    int fd = open(at("p"), O_RDONLY);
    struct ldl_pickle_source s = {
        .fd = fd, .path = "p", .start = 5, .limit = 5 + pk.len - cut, .known = known, .why = why
    };
    int status = ldl_pickle_read(&p, &s, &err);
    close(fd);
    return status;
}

static const struct ldl_pickle_node *root_node(void)
{
    return ldl_pickle_at(&p, p.root);
}

static void read_ok(void)
{
    expect_ok(read_limited(0));
    assert_int_equal(p.end, 5 + pk.len);
}

static void refuse(const char *part)
{
    expect_error(read_limited(0), LDL_EINPUT, part);
    assert_null(p.node);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *op;
        size_t n;
        int64_t want;
    } rows[] = {
        { "K\xff.", 3, 255 },
        { "M\xff\xfe.", 4, 0xfeff },
        { "J\xfe\xff\xff\xff.", 6, -2 },
        { "J\xff\xff\xff\x7f.", 6, INT32_MAX },
        { "\x8a\x00.", 3, 0 },
        { "\x8a\x01\x80.", 4, -128 },
        { "\x8a\x02\x80\x00.", 5, 128 },
        { "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", 11, INT64_MAX },
        { "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", 11, INT64_MIN },
        { "\x8b\x01\x00\x00\x00\x05.", 7, 5 },
        { "I-12\n.", 6, -12 },
        { "I9223372036854775807\n.", 22, INT64_MAX },
        { "\x88.", 2, 1 },
        { "\x89.", 2, 0 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        pk_begin(2);
        ldl_buf_put(&pk, rows[i].op, rows[i].n);
        read_ok();
        assert_int_equal(root_node()->num, rows[i].want);
        ldl_pickle_free(&p);
    }
    pk_begin(2);
    PK("G\x3f\xf8\0\0\0\0\0\0.");
    read_ok();
    assert_true(root_node()->real == 1.5);
    ldl_pickle_free(&p);
    pk_begin(2);
    PK("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
    read_ok();
    assert_int_equal(root_node()->kind, LDL_PY_BIG);
    assert_int_equal(root_node()->n, 10);
    assert_memory_equal(p.text.text + root_node()->kept - 1, "\x6c\xfc\x9c\x46", 4);
    ldl_pickle_free(&p);
}

static void test_text(void **state)
{
    static const struct {
        const char *op;
        size_t n;
        const char *want;
    } rows[] = {
        { "\x8c\x03"
          "abc.",
          6, "abc" },
        { "X\x02\0\0\0\xc3\xa9.", 8, "\xc3\xa9" },
        { "\x8d\x01\0\0\0\0\0\0\0z.", 11, "z" },
        { "U\x02hi.", 5, "hi" },
        { "T\x02\0\0\0hi.", 8, "hi" },
        { "\x8c\x00.", 3, "" },
        { "U\x02\xff\xfe.", 5, NULL }, /* no UTF-8 */
        { "\x8c\x03"
          "a\0b.",
          6, NULL }, /* a NUL */
        { "C\x03"
          "abc.",
          6, NULL }, /* bytes are no text */
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        pk_begin(4);
        ldl_buf_put(&pk, rows[i].op, rows[i].n);
        read_ok();
        const char *text = ldl_pickle_text(&p, p.root);
        if (rows[i].want)
            assert_string_equal(text, rows[i].want);
        else
            assert_null(text);
        ldl_pickle_free(&p);
    }
    /* bytes stay in the file, and so does long text */
    pk_begin(4);
    PK("B\x05\0\0\0hello.");
    read_ok();
    assert_int_equal(root_node()->kind, LDL_PY_BYTES);
    assert_int_equal(root_node()->offset, 5 + 2 + 5);
    assert_int_equal(root_node()->n, 5);
    ldl_pickle_free(&p);
    pk_begin(2);
    PK("X\0\0\x02\0");
    for (int i = 0; i < 0x20000; i++)
        PK("y");
    PK(".");
    read_ok();
    assert_int_equal(root_node()->n, 0x20000);
    assert_int_equal(root_node()->offset, 5 + 2 + 5);
    assert_int_equal(root_node()->kept, 0);
    assert_int_equal(p.text.len, 0);
    ldl_pickle_free(&p);
}

static void test_containers(void **state)
{
    uint32_t item[4];
    struct ldl_pickle_entry *e;
    size_t n;
    (void)state;
    pk_begin(4);
    PK("\x95\x10\0\0\0\0\0\0\0"); /* a frame's length is not looked at, but for its size */
    PK("(K\1K\2l(K\3K\4e");       /* [1, 2] and more */
    PK("K\5a\x94.");
    read_ok();
    assert_int_equal(ldl_pickle_items(&p, p.root, item, 4), 5);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ldl_pickle_at(&p, item[i])->num, i + 1);
    ldl_pickle_free(&p);

    /* {"a": 1, "b": 2, "a": 3, 4: 5}: as Python has it, a is first and 3 */
    pk_begin(2);
    PK("}(X\1\0\0\0aK\1X\1\0\0\0bK\2uX\1\0\0\0aK\3sK\4K\5s.");
    read_ok();
    expect_ok(ldl_pickle_entries(&p, p.root, &e, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(e[0].name, "a");
    assert_int_equal(ldl_pickle_at(&p, e[0].value)->num, 3);
    assert_string_equal(e[1].name, "b");
    assert_null(e[2].name);
    ldl_free(e);
    ldl_pickle_free(&p);

    /* OrderedDict([["a", 1], ("b", 2)]), as Python 2 writes it, then "a" again */
    pk_begin(2);
    pk_global("collections", "OrderedDict");
    PK("](](U\1aK\1eU\1bK\2\x86"
       "e\x85RU\1aK\3s.");
    read_ok();
    expect_ok(ldl_pickle_entries(&p, p.root, &e, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(ldl_pickle_at(&p, e[0].value)->num, 3);
    assert_string_equal(e[1].name, "b");
    ldl_free(e);
    ldl_pickle_free(&p);
    pk_begin(2);
    pk_global("collections", "OrderedDict");
    PK("](](K\1ee\x85R.");
    read_ok();
    expect_error(ldl_pickle_entries(&p, p.root, &e, &n, &err), LDL_EINPUT, "else than pairs");
    assert_null(e);
    ldl_pickle_free(&p);

    /* tuples, sets, DUP, POP, POP_MARK, memo by number and by turn */
    pk_begin(4);
    PK("K\1K\2\x86K\3\x85\x86q\7"
       "0h\7\x8f(K\1\x90(K\2\x91(K\1K\2"
       "1)2\x87\x94j\1\0\0\0"
       "0.");
    read_ok();
    assert_int_equal(root_node()->kind, LDL_PY_TUPLE);
    assert_int_equal(ldl_pickle_items(&p, p.root, item, 4), 3);
    assert_int_equal(item[1], item[2]);
    assert_int_equal(ldl_pickle_at(&p, item[0])->kind, LDL_PY_SET);
    assert_int_equal(item[3], 0);
    ldl_pickle_free(&p);
}

static void test_calls(void **state)
{
    uint32_t item[1];
    (void)state;
    pk_begin(2);
    pk_global("collections", "OrderedDict");
    PK(")R(K\1K\2uN\x85"
       "b.");
    read_ok();
    assert_int_equal(ldl_pickle_call_id(&p, p.root), 7);
    assert_int_equal(ldl_pickle_id(&p, p.root), -1);
    assert_int_equal(root_node()->n, 2);
    assert_int_equal(ldl_pickle_items(&p, root_node()->state, item, 1), 1);
    assert_int_equal(ldl_pickle_at(&p, item[0])->kind, LDL_PY_NONE);
    ldl_pickle_free(&p);
    pk_begin(4);
    PK("\x8c\1m\x8c\1f\x93)}\x92.");
    read_ok();
    assert_int_equal(ldl_pickle_call_id(&p, p.root), 8);
    ldl_pickle_free(&p);
    pk_begin(2);
    PK("K\1Q.");
    read_ok();
    assert_int_equal(root_node()->kind, LDL_PY_PERSID);
    assert_int_equal(ldl_pickle_at(&p, root_node()->args)->num, 1);
    ldl_pickle_free(&p);
}

static void test_refused(void **state)
{
    static const struct {
        const char *op;
        size_t n;
        const char *error;
    } rows[] = {
#define ROW(text, error) { text, sizeof(text) - 1, error }
        ROW("cposix\nsystem\n.", "wants to call 'posix.system', which is not a part of any"),
        ROW("cos\nsystem\n(X\2\0\0\0lstR.", "byte 7: the pickle wants to call 'os.system'"),
        ROW("\x8c\2os\x8c\6system\x93.", "wants to call 'os.system'"),
        ROW("codd\nthing\n.", "refused: because it is odd"),
        ROW("cm\ng\n.", "'m.g'"),
        ROW("c\n\n.", "wants to call '.'"),
        ROW("cm\r\nf\n.", "wants to call 'm?.f'"),
        ROW("K\1K\2\x93.", "has no name"),
        ROW("\x8c\1m\x93.", "never made"),
        ROW("K\1)R.", "calls a value that is no function"),
        ROW("cm\nf\nK\1R.", "arguments of a call are no tuple"),
        ROW("cm\nf\nR.", "never made"),
        ROW("}Nb.", "no object"),
        ROW(".", "never made"),
        ROW("0.", "never made"),
        ROW("1.", "never opened"),
        ROW("t.", "never opened"),
        ROW("K\1\x86.", "never made"),
        ROW("K\1(\x85.", "never made"), /* not through a mark */
        ROW("K\1(.", "never made"),
        ROW("a.", "never made"),
        ROW("K\1K\1a.", "takes none"),
        ROW("]K\1K\2s.", "takes none"),
        ROW("}(K\1u.", "key without a value"),
        ROW("(K\1u.", "never made"),
        ROW("h\3.", "memo number 3 was never put"),
        ROW("j\xff\xff\xff\xff.", "never put"),
        ROW("q\1.", "never made"),
        ROW("Nr\xff\xff\xff\xff.", "memo number 4294967295"),
        ROW("X\xff\xff\xff\xff.", "4294967295 bytes are announced, 1 are left"),
        ROW("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "announced"),
        ROW("\x8d\0\0\0\0\0\0\0\x80.", "announced"),
        ROW("\x8e\0\0\0\0\0\0\0\x80.", "announced"),
        ROW("\x96\0\0\0\0\0\0\0\x80.", "announced"),
        ROW("T\xff\xff\xff\xff.", "announced"),
        ROW("\x8b\xff\xff\xff\xff.", "announced"),
        ROW("\x95\0\0\0\0\0\0\0\x80.", "a frame of 9223372036854775808 bytes"),
        ROW("I12a\n.", "something else"),
        ROW("I\n.", "without digits"),
        ROW("I9223372036854775808\n.", "64 bits"),
        ROW("I-99999999999999999999\n.", "64 bits"),
        ROW("\x80\x06.", "protocol 6"),
        ROW("\x80\x01.", "protocol 1"),
        ROW("im\nf\n.", "opcode 0x69"),
        ROW("\x82\1.", "opcode 0x82"), /* EXT1 */
        ROW("P1\n.", "opcode 0x50"),
        ROW("\x97.", "opcode 0x97"), /* a buffer beside the pickle */
        ROW("N", "truncated"),
        ROW("", "truncated"),
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        pk_begin(2);
        ldl_buf_put(&pk, rows[i].op, rows[i].n);
        refuse(rows[i].error);
    }
    pk_begin(2);
    PK("c");
    for (int i = 0; i < 300; i++)
        PK("m");
    refuse("longer than 256");
    expect_error(read_limited(0), LDL_EINPUT, "");
}

static void test_truncated(void **state)
{
    (void)state;
    pk_begin(4);
    PK("}(");
    pk_text("name");
    pk_global("m", "f");
    PK("K\1M\2\2J\1\2\3\4\x87R\x94G12345678B\4\0\0\0abcd\x86"
       "b");
    pk_int(77);
    PK("I12\n");
    PK("u.");
    read_ok();
    assert_int_equal(root_node()->n, 4);
    ldl_pickle_free(&p);
    for (size_t cut = 1; cut <= pk.len; cut++) {
        int status = read_limited(cut);
        expect_error(status, LDL_EINPUT, "p: byte ");
        assert_null(p.node);
    }
}

static int never(const struct ldl_pickle *pickle, uint32_t node)
{
    (void)pickle, (void)node;
    return 0;
}

/* Nodes that hold themselves, or each other many times: reading and searching end, and soon. */
static void test_graphs(void **state)
{
    struct ldl_pickle_search s;
    (void)state;
    pk_begin(2);
    PK("]q\0h\0ah\0a}q\1h\0h\1sa."); /* a list in itself, with a dict that holds itself */
    read_ok();
    expect_ok(ldl_pickle_search_open(&s, &p, never, &err));
    assert_int_equal(ldl_pickle_search(&s, p.root), 0);
    ldl_pickle_search_close(&s);
    ldl_pickle_free(&p);

    pk_begin(2); /* 2^1000 leaves, if one counts them */
    PK("]");
    for (int i = 0; i < 1000; i++)
        PK("2\x86");
    PK(".");
    clock_t began = clock();
    read_ok();
    expect_ok(ldl_pickle_search_open(&s, &p, never, &err));
    assert_int_equal(ldl_pickle_search(&s, p.root), 0);
    ldl_pickle_search_close(&s);
    ldl_pickle_free(&p);

    pk_begin(2); /* a million deep */
    for (int i = 0; i < 1000000; i++)
        PK("]");
    for (int i = 1; i < 1000000; i++)
        PK("a");
    PK(".");
    read_ok();
    expect_ok(ldl_pickle_search_open(&s, &p, never, &err));
    assert_int_equal(ldl_pickle_search(&s, p.root), 0);
    ldl_pickle_search_close(&s);
    ldl_pickle_free(&p);
    assert_true((clock() - began) / CLOCKS_PER_SEC < 20);
}

/* More values than a checkpoint has: an end, not all of the memory. */
static void test_too_many(void **state)
{
    static const char *const ops[] = { "]", "K\1", "N", "(", "]a" };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(ops); i++) {
        pk_begin(2);
        PK("]");
        for (int n = 0; n < (1 << 23) + 9; n++)
            ldl_buf_puts(&pk, ops[i]);
        PK(".");
        refuse("is no checkpoint");
    }
    ldl_buf_free(&pk);
}

/* One key of 4096 bytes, 40,000 times: refused before it is sorted. */
static void test_long_keys(void **state)
{
    struct ldl_pickle_entry *e;
    size_t n;
    (void)state;
    pk_begin(2);
    PK("}(X\0\x10\0\0");
    for (int i = 0; i < 4096; i++)
        PK("k");
    PK("q\0N");
    for (int i = 0; i < 40000; i++)
        PK("h\0N");
    PK("u.");
    read_ok();
    expect_error(ldl_pickle_entries(&p, p.root, &e, &n, &err), LDL_EINPUT, "MB of keys");
    assert_null(e);
    ldl_pickle_free(&p);
    ldl_buf_free(&pk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_numbers), WITH_ROOT(test_text),     WITH_ROOT(test_containers),
        WITH_ROOT(test_calls),   WITH_ROOT(test_refused),  WITH_ROOT(test_truncated),
        WITH_ROOT(test_graphs),  WITH_ROOT(test_too_many), WITH_ROOT(test_long_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
