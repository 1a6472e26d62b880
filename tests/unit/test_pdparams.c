/* test_pdparams.c -- Paddle's pickles of arrays, right and lying. Whole files of numpy's own making
 * are in tests/containers.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format.h"
#include "model/gather.h"
#include "unit/pickle_help.h"

static struct ldl_file file;

/* An array of protocol 2 to 4; `data` are the opcodes that make the bytes. */
struct array {
    const char *type, *order; /* "f4", "<" */
    int ndim;
    uint64_t dim[9];
    const char *data;
    size_t data_bytes;
    int fortran;
};
#define DATA(text) .data = text, .data_bytes = sizeof(text) - 1

static void put_array(const struct array *a)
{
    pk_global("numpy.core.multiarray", "_reconstruct");
    pk_global("numpy", "ndarray");
    PK("K\0\x85"
       "C\1b\x87R(K\1");
    pk_numbers(a->ndim, a->dim);
    pk_global("numpy", "dtype");
    pk_text(a->type);
    PK("\x89\x88\x87R(K\3");
    pk_text(a->order ? a->order : "<");
    PK("NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb");
    if (a->fortran)
        PK("\x88");
    else
        PK("\x89");
    ldl_buf_put(&pk, a->data, a->data_bytes);
    PK("tb");
}

static int open_pk(void)
{
    if (pk.failed)
        abort();
    save_bytes("a.pdparams", pk.text, pk.len);
    return ldl_file_open(&file, at("a.pdparams"), &err);
}

static int open_array(const struct array *a)
{
    pk_begin(4);
    PK("}");
    pk_text("w");
    put_array(a);
    PK("s.");
    return open_pk();
}

static void expect_refused(int status, const char *part)
{
    expect_error(status, LDL_EINPUT, part);
    if (!strstr(err.text, "a.pdparams"))
        fail_msg("the file is not named: %s", err.text);
    assert_int_equal(file.fd, -1);
    assert_null(file.tensor);
}

static void test_types(void **state)
{
    static const struct {
        const char *type, *order;
        enum ldl_dtype want;
        uint64_t n;
    } rows[] = {
        { "f4", "<", LDL_F32, 4 }, { "u2", "<", LDL_BF16, 8 }, { "f2", "=", LDL_F16, 8 },
        { "f8", "<", LDL_F64, 2 }, { "i8", "<", LDL_I64, 2 },  { "i4", "<", LDL_I32, 4 },
        { "i2", "<", LDL_I16, 8 }, { "i1", "|", LDL_I8, 16 },  { "u8", "<", LDL_U64, 2 },
        { "u4", "<", LDL_U32, 4 }, { "u1", "|", LDL_U8, 16 },  { "b1", "|", LDL_BOOL, 16 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(open_array(&(struct array){ rows[i].type,
                                              rows[i].order,
                                              1,
                                              { rows[i].n },
                                              DATA("C\x10"
                                                   "0123456789abcdef") }));
        assert_string_equal(file.format->name, "pdparams");
        assert_int_equal(file.ntensors, 1);
        assert_string_equal(file.tensor->name, "w");
        assert_int_equal(file.tensor->dtype, rows[i].want);
        assert_int_equal(file.tensor->bytes, 16);
        assert_memory_equal(pk.text + file.tensor->offset, "0123456789abcdef", 16);
        assert_null(file.tensor->mark);
        ldl_file_close(&file);
    }
}

static void test_shapes(void **state)
{
    (void)state;
    expect_ok(open_array(&(struct array){ "u1", "|", 2, { 2, 3 }, DATA("B\6\0\0\0abcdef"), 1 }));
    assert_int_equal(file.tensor->strided, 1);
    assert_int_equal(file.tensor->stride[0], 1);
    assert_int_equal(file.tensor->stride[1], 2);
    ldl_file_close(&file);
    expect_ok(open_array(&(struct array){ "u1", "|", 2, { 1, 3 }, DATA("U\3abc"), 1 }));
    assert_int_equal(file.tensor->strided, 0);
    ldl_file_close(&file);
    expect_ok(open_array(&(struct array){ "f4", "<", 0, { 0 }, DATA("C\4abcd") }));
    assert_int_equal(file.tensor->n, 1);
    ldl_file_close(&file);
    expect_ok(open_array(&(struct array){ "f4", "<", 2, { 0, 7 }, DATA("C\0") }));
    assert_int_equal(file.tensor->n, 0);
    ldl_file_close(&file);
    expect_ok(
        open_array(&(struct array){ "f4", "<", 2, { 0, 7 }, DATA("c__builtin__\nbytes\n)R") }));
    ldl_file_close(&file);
    pk_begin(5); /* protocol 5 */
    PK("}");
    pk_text("w");
    pk_global("numpy._core.numeric", "_frombuffer");
    PK("(\x96\4\0\0\0\0\0\0\0abcd");
    pk_global("numpy", "dtype");
    pk_text("u2");
    PK("\x89\x88\x87R(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb");
    PK("K\1K\2\x86X\1\0\0\0CtRs.");
    expect_ok(open_pk());
    assert_int_equal(file.tensor->dtype, LDL_BF16);
    assert_int_equal(file.tensor->ndim, 2);
    ldl_file_close(&file);
}

static void test_lying_arrays(void **state)
{
    static const struct {
        struct array a;
        const char *error;
    } rows[] = {
        { { "f4", "<", 1, { 4 }, DATA("C\3abc") }, "need 16 bytes, there are 3" },
        { { "f4", "<", 1, { 0 }, DATA("C\3abc") }, "need 0 bytes, there are 3" },
        { { "f4", "<", 1, { 1ull << 62 }, DATA("C\0") }, "larger than any file" },
        { { "f4", "<", 3, { 1ull << 40, 1ull << 40, 0 }, DATA("C\0") }, "larger than any file" },
        { { "f4", "<", 1, { UINT64_MAX }, DATA("C\0") }, "something else than numbers" },
        { { "f4", "<", 9, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, DATA("C\4abcd") }, "at most 8" },
        { { "f4", ">", 1, { 1 }, DATA("C\4abcd") }, "big-endian" },
        { { "V8", "<", 1, { 1 }, DATA("C\4abcd") }, "type 'V8'" },
        { { "O8", "|", 1, { 1 }, DATA("(K\1l") }, "type 'O8'" },
        { { "c8", "<", 1, { 1 }, DATA("C\4abcd") }, "type 'c8'" },
        { { "f4", "<", 1, { 1 }, DATA("(K\1l") }, "elements are no bytes" },
        { { "f4", "<", 1, { 1 }, DATA("X\4\0\0\0abcd") }, "elements are no bytes" },
        { { "f4", "<", 1, { 1 }, DATA("c__builtin__\nbytes\n)R") }, "elements are no bytes" },
#define ENCODED(length, text)                                                                      \
    DATA("c_codecs\nencode\nX" length "\0\0\0" text "X\6\0\0\0latin1\x86R")
        { { "u1", "|", 1, { 4 }, ENCODED("\3", "abc") }, "there are fewer" },
        { { "u1", "|", 1, { 4 }, ENCODED("\4", "a\xc3\xa9z") }, "need 4 bytes, there are 3" },
        { { "u1", "|", 1, { 2 }, ENCODED("\3", "abc") }, "no bytes or too many" },
        { { "u1", "|", 1, { 1 }, ENCODED("\2", "\xc4\x80") }, "no bytes or too many" },
        { { "u1", "|", 1, { 1 }, ENCODED("\2", "\xc3z") }, "no bytes or too many" },
        { { "u1", "|", 1, { 1 }, ENCODED("\1", "\xc3") }, "no bytes or too many" },
        { { "u1", "|", 1, { 1 }, ENCODED("\1", "\xff") }, "no bytes or too many" },
        { { "u1", "|", 1, { 1 }, ENCODED("\3", "\xe2\x82\xac") }, "no bytes or too many" },
        { { "u1", "|", 2, { 2, 2 }, ENCODED("\4", "abcd"), 1 },
          "Fortran's order and kept as text" },
        { { "u1", "|", 1, { 1 }, DATA("c_codecs\nencode\nX\1\0\0\0aX\4\0\0\0utf8\x86R") },
          "elements are no bytes" },
        { { "u1", "|", 1, { 1 }, DATA("c_codecs\nencode\nK\1X\6\0\0\0latin1\x86R") }, "fewer" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_refused(open_array(&rows[i].a), rows[i].error);
        if (!strstr(err.text, "tensor 'w'"))
            fail_msg("the tensor is not named: %s", err.text);
    }
    pk_begin(2);
    PK("}");
    pk_text("w");
    pk_global("numpy.core.multiarray", "_reconstruct");
    PK(")Rs.");
    expect_refused(open_pk(), "without its five parts");
}

/* Text over several marks and pieces, twice: tied weights. */
static void test_text(void **state)
{
    enum { N = 2 * LDL_MARK_BYTES + 77 };
    static unsigned char bytes[N], got[N];
    (void)state;
    struct ldl_buf text = { 0 };
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (unsigned char)(i * 31 + (i >> 7));
        if (bytes[i] >= 0x80)
            put_number(&text, 0xc0u | bytes[i] >> 6, 1);
        put_number(&text, bytes[i] < 0x80 ? bytes[i] : 0x80u | (bytes[i] & 0x3f), 1);
    }
    struct ldl_buf data = { 0 };
    ldl_buf_puts(&data, "c_codecs\nencode\nX");
    put_number(&data, text.len, 4);
    ldl_buf_put(&data, text.text, text.len);
    ldl_buf_put(&data, "q\7X\6\0\0\0latin1\x86R", 15);
    pk_begin(2);
    PK("}");
    pk_text("a");
    put_array(&(struct array){ "u1", "|", 1, { N }, data.text, data.len, 0 });
    PK("s");
    pk_text("b");
    put_array(
        &(struct array){ "i1", "|", 1, { N }, DATA("c_codecs\nencode\nh\7X\6\0\0\0latin1\x86R") });
    PK("s.");
    expect_ok(open_pk());
    assert_int_equal(file.ntensors, 2);
    for (size_t t = 0; t < 2; t++) {
        assert_non_null(file.tensor[t].mark);
        for (size_t i = 0; i < N; i += LDL_MARK_BYTES) {
            size_t n = LDL_MIN(N - i, (size_t)LDL_MARK_BYTES);
            expect_ok(ldl_gather_text(&file, &file.tensor[t], i, n, got + i, &err));
        }
        assert_memory_equal(got, bytes, N);
    }
    ldl_file_close(&file);
    pk.len--; /* the same text as something smaller: no */
    pk_text("c");
    put_array(
        &(struct array){ "i1", "|", 1, { 5 }, DATA("c_codecs\nencode\nh\7X\6\0\0\0latin1\x86R") });
    PK("s.");
    expect_refused(open_pk(), "shares the bytes of 'a' in another size");
    ldl_buf_free(&text);
    ldl_buf_free(&data);
}

static void test_entries(void **state)
{
    const struct array two = { "u1", "|", 1, { 2 }, DATA("C\2ab") };
    (void)state;
    pk_begin(4);
    PK("}");
    pk_text("z");
    put_array(&two);
    PK("s");
    pk_text("StructuredToParameterName@@");
    PK("}");
    pk_text("z");
    pk_text("linear_0.w_0");
    PK("ss");
    pk_text("tuple"); /* (name, array), as paddle.save keeps a Tensor */
    pk_global("builtins", "tuple");
    pk_text("linear_0.b_0");
    put_array(&two);
    PK("\x86\x85R");
    PK("s");
    pk_text("pair");
    pk_text("p");
    put_array(&two);
    PK("\x86s");
    pk_text("lr");
    PK("G\x3f\xf0\0\0\0\0\0\0s");
    pk_text("list");
    PK("]s.");
    expect_ok(open_pk());
    assert_int_equal(file.ntensors, 3);
    assert_string_equal(file.tensor[0].name, "z");
    assert_string_equal(file.tensor[1].name, "tuple");
    assert_string_equal(file.tensor[2].name, "pair");
    ldl_file_close(&file);
}

static void refuse_entry(const char *key, const char *before, const char *after, const char *part)
{
    const struct array two = { "u1", "|", 1, { 2 }, DATA("C\2ab") };
    pk_begin(4);
    PK("}");
    if (key)
        pk_text(key);
    else
        PK("K\1");
    ldl_buf_puts(&pk, before);
    put_array(&two);
    ldl_buf_puts(&pk, after);
    expect_refused(open_pk(), part);
}

static void test_refused(void **state)
{
    (void)state;
    refuse_entry("master_weights", "}N", "ss.", "'master_weights' holds arrays inside");
    refuse_entry("l", "]", "as.", "'l' holds arrays inside a list");
    refuse_entry("UnpackBigParamInfor@@", "", "s.", "cut in pieces");
    refuse_entry(NULL, "", "s.", "key is no text");
    pk_begin(4);
    PK("}.");
    expect_refused(open_pk(), "no arrays in it");
    pk_begin(4);
    PK("].");
    expect_refused(open_pk(), "holds no dict");
    pk_begin(4);
    PK("\x8c\2os\x8c\6system\x93.");
    expect_refused(open_pk(), "wants to call 'os.system'");
    pk_begin(4);
    pk_global("builtins", "eval");
    expect_refused(open_pk(), "wants to call 'builtins.eval'");
    ldl_buf_reset(&pk);
    PK("version https://git-lfs.github.com/spec/v1\n");
    expect_refused(open_pk(), "git lfs pull");
    ldl_buf_reset(&pk);
    PK("(dp0\n.");
    expect_refused(open_pk(), "not a pickle of protocol 2 to 5");
    ldl_buf_reset(&pk);
    ldl_buf_puts(&pk, "");
    expect_refused(open_pk(), "not a pickle of protocol 2 to 5");
}

static void test_truncated(void **state)
{
    (void)state;
    expect_ok(open_array(&(struct array){ "u1", "|", 1, { 2 }, ENCODED("\2", "ab") }));
    ldl_file_close(&file);
    while (pk.len > 1) {
        pk.len--;
        remove(at("a.pdparams"));
        expect_refused(open_pk(), "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_types),     WITH_ROOT(test_shapes),  WITH_ROOT(test_lying_arrays),
        WITH_ROOT(test_text),      WITH_ROOT(test_entries), WITH_ROOT(test_refused),
        WITH_ROOT(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
