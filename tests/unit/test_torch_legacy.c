/* test_torch_legacy.c -- torch's form before 1.6: five pickles and storages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format.h"
#include "unit/pickle_help.h"

static struct ldl_file file;
static unsigned char data[400];
static struct ldl_buf whole;

#define MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

/* What to write in the place of a part; NULL: the right thing. */
struct parts {
    const char *version, *system, *keys;
    size_t system_bytes, keys_bytes;
    const char *view; /* opcodes of view_metadata */
    size_t view_bytes;
    uint64_t numel[2]; /* of the storages "12" (100 floats) and "3" (8 longs), if not right */
    size_t cut;
};

static void put(const char *bytes, size_t n)
{
    ldl_buf_put(&whole, bytes, n);
}

static void put_tensor(const char *type, const char *key, uint64_t elements, uint64_t n,
                       const struct parts *p)
{
    pk_global("torch._utils", "_rebuild_tensor_v2");
    PK("((");
    pk_text("storage");
    pk_global("torch", type);
    pk_text(key);
    pk_text("cuda:0");
    pk_int(elements);
    if (p->view)
        ldl_buf_put(&pk, p->view, p->view_bytes);
    else
        PK("N");
    PK("tQK\0");
    pk_int(n);
    PK("\x85K\1\x85\x89)tR");
}

static int open_parts(const struct parts *p)
{
    static const char system[] = "\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    static const char keys[] = "\x80\x02](X\2\0\0\0"
                               "12X\1\0\0\0"
                               "3e.";
    static const uint64_t numel[2] = { 100, 8 };
    ldl_buf_reset(&whole);
    put(MAGIC, sizeof MAGIC - 1);
    ldl_buf_puts(&whole, p->version ? p->version : "\x80\x02M\xe9\x03.");
    put(p->system ? p->system : system, p->system ? p->system_bytes : sizeof system - 1);
    pk_begin(2);
    PK("}");
    pk_text("f");
    put_tensor("FloatStorage", "12", 100, 10, p);
    PK("s");
    pk_text("l");
    put_tensor("LongStorage", "3", 8, 8, &(struct parts){ 0 });
    PK("s.");
    put(pk.text, pk.len);
    put(p->keys ? p->keys : keys, p->keys ? p->keys_bytes : sizeof keys - 1);
    for (int i = 0; i < 2; i++) {
        put_number(&whole, p->numel[i] ? p->numel[i] : numel[i], 8);
        put((char *)data, i ? 64 : 400);
    }
    save_bytes("a.bin", whole.text, whole.len - p->cut);
    return ldl_file_open(&file, at("a.bin"), &err);
}

static void refuse(const struct parts *p, const char *part)
{
    expect_error(open_parts(p), LDL_EINPUT, part);
    if (!strstr(err.text, "a.bin"))
        fail_msg("the file is not named: %s", err.text);
    assert_int_equal(file.fd, -1);
}

static void test_good(void **state)
{
    static const char keys[] = "\x80\x02](X\1\0\0\0"
                               "3X\2\0\0\0"
                               "12e.";
    (void)state;
    expect_ok(open_parts(&(struct parts){ 0 }));
    assert_string_equal(file.format->name, "torch_legacy");
    assert_int_equal(file.ntensors, 2);
    assert_string_equal(file.tensor[0].name, "f");
    assert_int_equal(file.tensor[0].dtype, LDL_F32);
    assert_int_equal(file.tensor[0].n, 10);
    assert_int_equal(file.tensor[0].offset, whole.len - 64 - 8 - 400);
    assert_int_equal(file.tensor[1].dtype, LDL_I64);
    assert_int_equal(file.tensor[1].offset, whole.len - 64);
    ldl_file_close(&file);
    /* the list of keys gives the storages' order; then "3" is 8 longs, of which 100 are said */
    refuse(&(struct parts){ .keys = keys, .keys_bytes = sizeof keys - 1 },
           "storage '3' has 100 elements, the pickle says 8");
}

static void test_views(void **state)
{
    (void)state;
    expect_ok(open_parts(&(struct parts){ .view = "(X\1\0\0\0vK\x5aK\x0at", .view_bytes = 12 }));
    assert_int_equal(file.tensor[0].offset, whole.len - 64 - 8 - 400 + 4 * 90);
    ldl_file_close(&file);
    refuse(&(struct parts){ .view = "(X\1\0\0\0vK\x5aK\x09t", .view_bytes = 12 },
           "tensor 'f': its shape, strides and offset lead out");
    refuse(&(struct parts){ .view = "(X\1\0\0\0vK\x5aK\x0bt", .view_bytes = 12 }, "a view of '12'");
    refuse(&(struct parts){ .view = "(X\1\0\0\0vJ\xff\xff\xff\xffK\x09t", .view_bytes = 15 },
           "a view of '12'");
    refuse(&(struct parts){ .view = "K\1", .view_bytes = 2 }, "a view of '12'");
}

static void test_refused(void **state)
{
#define TEXT(field, text) .field = text, .field##_bytes = sizeof(text) - 1
    (void)state;
    refuse(&(struct parts){ .version = "\x80\x02M\xe8\x03." }, "version 1000, not 1001");
    refuse(&(struct parts){ .version = "\x80\x02N." }, "version 0");
    refuse(&(struct parts){ TEXT(system, "\x80\x02}X\x0d\0\0\0little_endian\x89s.") },
           "not written on a little-endian");
    refuse(&(struct parts){ TEXT(system, "\x80\x02}.") }, "not written on a little-endian");
    refuse(&(struct parts){ TEXT(system, "\x80\x02].") }, "not written on a little-endian");
    refuse(&(struct parts){ TEXT(keys, "\x80\x02N.") }, "list of storages is missing");
    refuse(&(struct parts){ TEXT(keys, "\x80\x02](X\2\0\0\0"
                                       "12e.") },
           "storage '3' is not in");
    refuse(&(struct parts){ TEXT(keys, "\x80\x02](X\2\0\0\0"
                                       "12X\2\0\0\0"
                                       "12e.") },
           "twice");
    refuse(&(struct parts){ TEXT(keys, "\x80\x02](X\1\0\0\0"
                                       "9e.") },
           "no tensor uses it");
    refuse(&(struct parts){ TEXT(keys, "\x80\x02](K\1e.") }, "'?' is listed");
    refuse(&(struct parts){ .numel = { 101 } }, "has 101 elements, the pickle says 100");
    refuse(&(struct parts){ .numel = { UINT64_MAX } }, "the pickle says 100");
    refuse(&(struct parts){ TEXT(system, "\x80\x02"
                                         "cos\nsystem\n.") },
           "'os.system'");
#undef TEXT
}

static void test_truncated(void **state)
{
    (void)state;
    expect_ok(open_parts(&(struct parts){ 0 }));
    ldl_file_close(&file);
    for (size_t cut = 1; cut < whole.len; cut++) {
        remove(at("a.bin"));
        refuse(&(struct parts){ .cut = cut }, "");
    }
}

/* One storage under two types: whose length counts? */
static void test_two_types(void **state)
{
    (void)state;
    ldl_buf_reset(&whole);
    put(MAGIC, sizeof MAGIC - 1);
    ldl_buf_puts(&whole, "\x80\x02M\xe9\x03.");
    put("\x80\x02}X\x0d\0\0\0little_endian\x88s.", 24);
    pk_begin(2);
    PK("}");
    pk_text("f");
    put_tensor("FloatStorage", "12", 100, 10, &(struct parts){ 0 });
    PK("s");
    pk_text("l");
    put_tensor("LongStorage", "12", 100, 8, &(struct parts){ 0 });
    PK("s.");
    put(pk.text, pk.len);
    save_bytes("a.bin", whole.text, whole.len);
    expect_error(ldl_file_open(&file, at("a.bin"), &err), LDL_EINPUT, "two types or sizes");
}

int main(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37);
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_good),      WITH_ROOT(test_views),     WITH_ROOT(test_refused),
        WITH_ROOT(test_truncated), WITH_ROOT(test_two_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
