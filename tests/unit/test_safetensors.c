/* test_safetensors.c -- headers that are right, headers that lie, and the writer of headers.
 * Each damaged header must end in one line that names the file and, where there is one, the
 * tensor. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "format/safetensors.h"
#include "unit/read_help.h"

#include <fcntl.h>

#define ENTRY(name, dtype, shape, from, to)                                                        \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]" \
    "}"

static struct ldl_file file;

static void test_good(void **state)
{
    (void)state;
    /* not in the order of their places; an odd entry key; blanks at the end */
    save_st("a.safetensors",
            "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"y\"},"
            "\"b\":{\"shape\":[2,3],\"extra\":[1,{}],\"data_offsets\":[4,16],\"dtype\":\"BF16\"},"
            " " ENTRY("z", "F32", "[]", "0", "4") "," ENTRY("e", "I64", "[0,5]", "16", "16") "}   ",
            16);
    expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
    assert_string_equal(file.format->name, "safetensors");
    assert_int_equal(file.ntensors, 3);
    assert_int_equal(file.numpy_tagged, 0);
    const struct ldl_stored *t = file.tensor;
    assert_string_equal(t[0].name, "z");
    assert_int_equal(t[0].ndim, 0);
    assert_int_equal(t[0].n, 1);
    assert_int_equal(t[0].bytes, 4);
    assert_int_equal(t[0].offset + 16, file.size);
    assert_string_equal(t[1].name, "b");
    assert_int_equal(t[1].dtype, LDL_BF16);
    assert_int_equal(t[1].ndim, 2);
    assert_int_equal(t[1].dim[0], 2);
    assert_int_equal(t[1].dim[1], 3);
    assert_int_equal(t[1].n, 6);
    assert_int_equal(t[1].offset, t[0].offset + 4);
    assert_string_equal(t[2].name, "e");
    assert_int_equal(t[2].n, 0);
    assert_int_equal(t[2].bytes, 0);
    ldl_file_close(&file);
    assert_int_equal(file.fd, -1);
    ldl_file_close(&file);
    ldl_file_close(NULL);
    struct ldl_file zeroed = { 0 };
    int stdin_flags = fcntl(0, F_GETFD);
    ldl_file_close(&zeroed);
    assert_int_equal(fcntl(0, F_GETFD), stdin_flags); /* 0 was not taken for its own */
}

/* Rows that must open: header, bytes of data, tensors, numpy tag. */
static void test_accepted(void **state)
{
    static const struct {
        const char *header;
        size_t data, tensors;
        int numpy;
    } rows[] = {
        { "{}", 0, 0, 0 },
        { "{\"__metadata__\":{}}", 0, 0, 0 },
        { "{\"__metadata__\":null}", 0, 0, 0 },
        { "{\"__metadata__\":{\"format\":\"np\"}}", 0, 0, 1 },
        { "{\"__metadata__\":{\"format\":7,\"a\":[]}}", 0, 0, 0 },
        { "{" ENTRY("", "U8", "[1]", "0", "1") "}", 1, 1, 0 }, /* an empty name is a name */
        { "{" ENTRY("a\\u0041\\n", "U8", "[1]", "0", "1") "}", 1, 1, 0 },
        { "{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1]", "0", "1") "}", 1, 1, 0 },
        { "{" ENTRY("e", "F32", "[0]", "0", "0") "}", 0, 1, 0 },
        { "{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("e", "F32", "[0]", "0", "0") "," ENTRY(
              "f", "F32", "[3,0]", "1", "1") "," ENTRY("g", "F32", "[0]", "2", "2") "}",
          2, 4, 0 },
        { "{" ENTRY("a", "F8_E4M3", "[2]", "0", "2") "," ENTRY("b", "BOOL", "[1]", "2", "3") "}", 3,
          2, 0 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        save_st("a.safetensors", rows[i].header, rows[i].data);
        expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
        assert_int_equal(file.ntensors, rows[i].tensors);
        assert_int_equal(file.numpy_tagged, rows[i].numpy);
        ldl_file_close(&file);
    }
}

static void expect_refused(const char *part)
{
    expect_error(ldl_file_open(&file, at("bad.safetensors"), &err), LDL_EINPUT, part);
    if (!strstr(err.text, "bad.safetensors"))
        fail_msg("the file is not named: %s", err.text);
    assert_int_equal(file.fd, -1);
    assert_null(file.tensor);
    assert_null(file.path);
}

static void test_refused_headers(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        const char *error;
    } rows[] = {
        /* places */
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[4]", "2", "6") "}", 6,
          "tensors 'a' and 'b' overlap" },
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[4]", "0", "4") "}", 4,
          "tensors 'a' and 'b' overlap" },
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[4]", "5", "9") "}", 9,
          "1 bytes before tensor 'b' belong to none" },
        { "{" ENTRY("a", "U8", "[4]", "3", "7") "}", 7, "3 bytes before tensor 'a'" },
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "}", 3, "truncated: 1 bytes are missing" },
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "}", 0, "truncated: 4 bytes are missing" },
        { "{" ENTRY("a", "U8", "[4]", "0", "4") "}", 6, "2 bytes after the last tensor" },
        { "{}", 5, "5 bytes after the last tensor" },
        { "{" ENTRY("a", "U8", "[4]", "4", "0") "}", 4, "tensor 'a': " },
        { "{" ENTRY("a", "U8", "[4]", "4", "0") "}", 4, "end before they begin" },
        { "{" ENTRY("e", "U8", "[0]", "9", "9") "}", 0,
          "tensor 'e': data_offsets are past the end" },
        { "{" ENTRY("e", "U8", "[0]", "18446744073709551615", "18446744073709551615") "}", 0,
          "past the end" },
        { "{" ENTRY("a", "U8", "[4]", "18446744073709551611", "18446744073709551615") "}", 4,
          "before tensor 'a' belong to none" },
        /* sizes */
        { "{" ENTRY("a", "F32", "[2]", "0", "4") "}", 4,
          "shape and dtype need 8 bytes, data_offsets give 4" },
        { "{" ENTRY("a", "F32", "[]", "0", "0") "}", 0, "need 4 bytes, data_offsets give 0" },
        { "{" ENTRY("a", "F32", "[0]", "0", "4") "}", 4, "need 0 bytes, data_offsets give 4" },
        { "{" ENTRY("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0,
          "larger than any file" },
        { "{" ENTRY("a", "U8", "[9223372036854775808]", "0", "9223372036854775808") "}", 0,
          "larger than any file" },
        { "{" ENTRY("a", "F64", "[2305843009213693952]", "0", "0") "}", 0, "larger than any file" },
        { "{" ENTRY("a", "U8", "[0,4294967296,4294967296]", "0", "0") "}", 0,
          "larger than any file" },
        { "{" ENTRY("a", "U8", "[18446744073709551616]", "0", "0") "}", 0, "not fit in 64 bits" },
        { "{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "more than 8 dimensions" },
        /* fields */
        { "{" ENTRY("a", "F4", "[1]", "0", "1") "}", 1, "unknown dtype 'F4'" },
        { "{" ENTRY("a", "f32", "[1]", "0", "4") "}", 4, "tensor 'a'" },
        { "{" ENTRY("a", "F32\\u0000", "[1]", "0", "4") "}", 4, "unknown dtype" },
        { "{" ENTRY("a", "U8", "[-1]", "0", "1") "}", 1, "whole number that is not negative" },
        { "{" ENTRY("a", "U8", "[1.0]", "0", "1") "}", 1, "whole number" },
        { "{" ENTRY("a", "U8", "[1]", "0", "1e0") "}", 1, "whole number" },
        { "{" ENTRY("a", "U8", "[NaN]", "0", "1") "}", 1, "tensor 'a'" },
        { "{" ENTRY("a", "U8", "1", "0", "1") "}", 1, "expected a list, found a number" },
        { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype is missing" },
        { "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "shape is missing" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets is missing" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "needs two numbers" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[]}}", 1, "needs two numbers" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, "more than two" },
        { "{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "expected a string" },
        { "{\"a\":[]}", 0, "expected an object, found a list" },
        { "{\"a\":null}", 0, "tensor 'a'" },
        /* twice */
        { "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("a", "U8", "[1]", "1", "2") "}", 2,
          "tensor 'a' is in the header twice" },
        { "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("\\u0061", "U8", "[1]", "1", "2") "}", 2,
          "tensor 'a' is in the header twice" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ is given twice" },
        { "{\"__metadata__\":{\"format\":\"pt\",\"format\":\"np\"}}", 0, "format is given twice" },
        { "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
          "dtype is given twice" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
          "shape is given twice" },
        /* text */
        { "", 9, "no JSON object" },
        { "[]", 0, "no JSON object" },
        { " {}", 0, "no JSON object" },
        { "{", 0, "header:1:2: expected a key" },
        { "{} x", 0, "expected the end of the text" },
        { "{\"a\":{\"dtype\":\"U8\",}}", 0, "expected a key" },
        { "{\"\xff\":{}}", 0, "not UTF-8" },
        { "{\"\\ud800\":{}}", 0, "half of a surrogate pair" },
        { "{\"a\\u0000b\":{}}", 0, "a tensor name has a NUL" },
        { "{\"\\q\":{}}", 0, "unknown escape" },
        { "{\"a\nb\":{}}", 0, "control character" },
        { "{\"__metadata__\":{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
          "[[["
          "[[[[[[[[[[[[",
          0, "nested deeper than 64" },
        { "{\"a\\nb\":7}", 0, "tensor 'a?b'" }, /* one line, whatever a name holds */
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        save_st("bad.safetensors", rows[i].header, rows[i].data);
        expect_refused(rows[i].error);
    }
}

static void test_lying_lengths(void **state)
{
    static const uint64_t lengths[] = {
        3,         4, 100, 1 << 20, 100000001, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX - 8,
        UINT64_MAX
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(lengths); i++) {
        save_st_length("bad.safetensors", "{}", lengths[i], 0);
        expect_refused("longer than the file (10 bytes)");
    }
    save_st_length("bad.safetensors", "{}", 1, 0);
    expect_refused("expected a key");
    save_st_length("bad.safetensors", "{}", 0, 0);
    expect_refused("no JSON object");
    save("bad.safetensors", "");
    expect_refused("0 bytes long, too short");
    save("bad.safetensors", "1234567");
    expect_refused("7 bytes long, too short");
    save("bad.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    expect_refused("a Git LFS pointer");
    /* a file that really is that long (sparse), with a header beyond what is allowed */
    save_st_length("bad.safetensors", "{}", 100000001, 0);
    assert_int_equal(truncate(at("bad.safetensors"), 200000000), 0);
    expect_refused("a header of 100000001 bytes; at most 100000000");
}

/* Cut anywhere, the file is refused; the bytes that are missing at its end are counted. */
static void test_every_truncation(void **state)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"}," ENTRY(
        "a", "F32", "[2]", "0", "8") "," ENTRY("b", "BF16", "[1,3]", "8", "14") "}";
    size_t start = 8 + strlen(header), whole = start + 14;
    char message[80];
    (void)state;
    for (size_t n = 0; n < whole; n++) {
        save_st("bad.safetensors", header, 14);
        assert_int_equal(truncate(at("bad.safetensors"), (off_t)n), 0);
        snprintf(message, sizeof message, "truncated: %zu bytes are missing", whole - n);
        expect_refused(n < 8 ? "too short" : n < start ? "longer than the file" : message);
    }
}

/* Every byte of a header changed to other bytes: opens or is refused, never anything else. */
static void test_every_byte_changed(void **state)
{
    static const char good[] = "{\"__metadata__\":{\"format\":\"np\"}," ENTRY(
        "a", "F32", "[2]", "0", "8") "," ENTRY("b", "U16", "[1,3]", "8", "14") "}";
    static const char others[] = "\"{}[]:,0917e.-\\u \n\x80";
    char header[sizeof good];
    (void)state;
    for (size_t i = 0; i < strlen(good); i++) {
        for (size_t c = 0; c < strlen(others); c++) {
            memcpy(header, good, sizeof good);
            header[i] = others[c];
            save_st("bad.safetensors", header, 14);
            int status = ldl_file_open(&file, at("bad.safetensors"), &err);
            if (status)
                expect_error(status, LDL_EINPUT, "bad.safetensors");
            ldl_file_close(&file);
        }
    }
}

static void test_not_ours(void **state)
{
    (void)state;
    save("a.bin", "x");
    expect_error(ldl_file_open(&file, at("a.bin"), &err), LDL_EINPUT,
                 "neither a zip archive nor the older form of torch.save");
    expect_error(ldl_file_open(&file, at("no.safetensors"), &err), LDL_EINPUT, "No such file");
    make_dirs("d.safetensors");
    expect_error(ldl_file_open(&file, at("d.safetensors"), &err), LDL_EINPUT, "is a directory");
    assert_int_equal(mkfifo(at("p.safetensors"), 0600), 0);
    expect_error(ldl_file_open(&file, at("p.safetensors"), &err), LDL_EINPUT, "a pipe");
}

/* ---- the writer ---- */

static const struct ldl_layout np = { .metadata_format = "np" }, pt = { .metadata_format = "pt" };

static void test_header_text(void **state)
{
    static const uint64_t dim[] = { 2, 3 };
    struct ldl_entry entries[] = {
        { "a\"\n", LDL_U16_BF16, 2, dim, 12, 0 },
        { "e", LDL_I64, 0, NULL, 8, 0 },
    };
    struct ldl_buf out = { 0 };
    uint64_t bytes;
    (void)state;
    expect_ok(ldl_safetensors_layout(&out, entries, 2, &np, &bytes, &err));
    assert_int_equal(bytes, out.len + 20);
    assert_int_equal(entries[1].offset, out.len + 12);
    assert_int_equal(out.len % 8, 0);
    assert_int_equal((unsigned char)out.text[0] + 256 * (unsigned char)out.text[1] + 8, out.len);
    assert_memory_equal(out.text + 2, "\0\0\0\0\0\0", 6);
    static const char text[] =
        "{\"__metadata__\":{\"format\":\"np\"},"
        "\"a\\\"\\n\":{\"dtype\":\"U16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
        "\"e\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[12,20]}}";
    assert_memory_equal(out.text + 8, text, strlen(text));
    for (const char *p = out.text + 8 + strlen(text); p < out.text + out.len; p++)
        assert_int_equal(*p, ' ');
    struct ldl_entry huge[] = { { "a", LDL_U8, 0, NULL, (uint64_t)1 << 62, 0 },
                                { "b", LDL_U8, 0, NULL, (uint64_t)1 << 62, 0 } };
    expect_error(ldl_safetensors_layout(&out, huge, 2, &pt, &bytes, &err), LDL_EOUTPUT,
                 "tensor 'b'");
    huge[0].name = "__metadata__"; /* which a torch file may hold */
    expect_error(ldl_safetensors_layout(&out, huge, 1, &pt, &bytes, &err), LDL_EINPUT,
                 "keeps for itself");
    ldl_buf_free(&out);
}

static void test_round_trip(void **state)
{
    enum { N = 200 };
    struct ldl_entry entry[N];
    uint64_t dim[N][2];
    char name[N][32];
    struct ldl_buf out = { 0 };
    uint64_t total = 0, bytes;
    (void)state;
    for (size_t i = 0; i < N; i++) {
        enum ldl_dtype t = (enum ldl_dtype)(i % LDL_Q8_0); /* the types after are GGUF's */
        snprintf(name[i], sizeof name[i], "t\xe4\xb8\xad.%zu", i);
        dim[i][0] = i % 7;
        dim[i][1] = i;
        entry[i] = (struct ldl_entry){ name[i], t, 2, dim[i], ldl_dtype_span(t, i % 7 * i), 0 };
        total += entry[i].bytes;
    }
    expect_ok(ldl_safetensors_layout(&out, entry, N, &pt, &bytes, &err));
    save_bytes("w.safetensors", out.text, out.len);
    assert_int_equal(truncate(at("w.safetensors"), (off_t)(out.len + total)), 0);
    expect_ok(ldl_file_open(&file, at("w.safetensors"), &err));
    assert_int_equal(file.ntensors, N);
    for (size_t i = 0; i < N; i++) {
        size_t k;
        for (k = 0; k < N && strcmp(name[k], file.tensor[i].name) != 0; k++)
            ;
        assert_true(k < N);
        assert_int_equal(file.tensor[i].bytes, entry[k].bytes);
        assert_string_equal(ldl_dtype_tag(file.tensor[i].dtype), ldl_dtype_tag(entry[k].dtype));
    }
    ldl_file_close(&file);
    ldl_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_good),
        WITH_ROOT(test_accepted),
        WITH_ROOT(test_refused_headers),
        WITH_ROOT(test_lying_lengths),
        WITH_ROOT(test_every_truncation),
        WITH_ROOT(test_every_byte_changed),
        WITH_ROOT(test_not_ours),
        cmocka_unit_test(test_header_text),
        WITH_ROOT(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
