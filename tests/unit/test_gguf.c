/* test_gguf.c -- GGUF files that are right, that lie in every place, and the writer. Damaged files
 * end in one line that names the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "format/gguf.h"
#include "unit/read_help.h"

#include <fcntl.h>

static struct ldl_file file;
static struct ldl_buf g; /* the file that is being built */

static void num(uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        ldl_buf_put(&g, &(char){ i < 8 ? (char)(v >> (8 * i)) : 0 }, 1);
}
static void str(const char *s)
{
    num(strlen(s), 8);
    ldl_buf_puts(&g, s);
}
static void head(uint32_t version, uint64_t tensors, uint64_t pairs)
{
    ldl_buf_reset(&g);
    ldl_buf_puts(&g, "GGUF");
    num(version, 4);
    num(tensors, 8);
    num(pairs, 8);
}
static void pair_u32(const char *key, uint32_t v)
{
    str(key);
    num(4, 4);
    num(v, 4);
}
/* dims as they are in the file: fastest first */
static void info(const char *name, int ndim, uint64_t d0, uint64_t d1, uint32_t type,
                 uint64_t offset)
{
    str(name);
    num((uint64_t)ndim, 4);
    for (int i = 0; i < ndim; i++)
        num(i == 0 ? d0 : i == 1 ? d1 : 1, 8);
    num(type, 4);
    num(offset, 8);
}
static void data(size_t align, size_t n)
{
    while (g.len % align)
        num(0, 1);
    for (size_t i = 0; i < n; i++)
        num(i, 1);
}
static int load(const char *name)
{
    if (g.failed)
        abort();
    save_bytes(name, g.text, g.len);
    return ldl_file_open(&file, at(name), &err);
}
static void refused(const char *part)
{
    expect_error(load("bad.gguf"), LDL_EINPUT, part);
    if (!strstr(err.text, "bad.gguf"))
        fail_msg("the file is not named: %s", err.text);
    assert_int_equal(file.fd, -1);
    assert_null(file.tensor);
}

/* All kinds of pairs, arrays in arrays, two tensors not in the order of their places. */
static void good(uint32_t version)
{
    head(version, 4, 6);
    str("general.architecture"), num(8, 4), str("llama");
    pair_u32("general.file_type", 1);
    str("tokenizer.ggml.tokens"), num(9, 4), num(8, 4), num(3, 8), str("a"), str(""), str("ccc");
    str("x.f64"), num(12, 4), num(0, 8);
    str("x.nested"), num(9, 4), num(9, 4), num(2, 8);
    num(0, 4), num(5, 8), num(0, 5), num(8, 4), num(1, 8), str("s");
    pair_u32("general.alignment", 64);
    info("q.weight", 2, 64, 3, 8, 64);
    info("norm", 1, 5, 0, 0, 0);
    info("empty", 2, 0, 7, 30, 320);
    info("scalar", 0, 0, 0, 27, 320);
    data(64, 328);
}

static void test_good(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        good(version);
        expect_ok(load("no-suffix")); /* known by its first bytes */
        assert_string_equal(file.format->name, "gguf");
        assert_int_equal(file.ntensors, 4);
        const struct ldl_stored *t = file.tensor;
        uint64_t start = file.size - 328;
        assert_string_equal(t[0].name, "norm");
        assert_int_equal(t[0].offset, start);
        assert_int_equal(t[0].bytes, 20);
        assert_string_equal(t[1].name, "q.weight");
        assert_int_equal(t[1].dtype, LDL_Q8_0);
        assert_int_equal(t[1].ndim, 2);
        assert_int_equal(t[1].dim[0], 3);
        assert_int_equal(t[1].dim[1], 64);
        assert_int_equal(t[1].bytes, 6 * 34);
        assert_int_equal(t[1].offset, start + 64);
        assert_string_equal(t[2].name, "empty");
        assert_int_equal(t[2].n, 0);
        assert_string_equal(t[3].name, "scalar");
        assert_int_equal(t[3].ndim, 0);
        assert_int_equal(t[3].n, 1);
        assert_int_equal(file.meta.count, 6);
        assert_int_equal(file.meta.offset, 24);
        assert_memory_equal(g.text + 24 + file.meta.bytes + 8, "q.weight", 8);
        ldl_file_close(&file);
    }
    head(3, 0, 0); /* nothing in it, no padding */
    expect_ok(load("empty.gguf"));
    assert_int_equal(file.ntensors, 0);
    ldl_file_close(&file);
}

/* Cut at every byte: each is refused, none crashes. */
static void test_truncated(void **state)
{
    (void)state;
    good(3);
    size_t whole = g.len;
    for (size_t n = 0; n < whole; n++) {
        g.len = n;
        refused(n < 24 ? "" : "truncated");
    }
}

static void test_headers(void **state)
{
    (void)state;
    head(3, 0, 0);
    g.text[3] = 'g';
    refused("does not begin with GGUF");
    head(1, 0, 0);
    refused("GGUF version 1; this build reads 2 and 3");
    head(0x03000000, 0, 0);
    refused("big-endian");
    head(3, (uint64_t)1 << 63, 0);
    refused("9223372036854775808 tensors; at most");
    head(3, 1 << 20, 0);
    refused("truncated");
    head(3, 0, UINT64_MAX);
    refused("truncated");
}

static void test_pairs(void **state)
{
    static const uint64_t lies[] = {
        100, (uint64_t)1 << 32, (uint64_t)1 << 61, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(lies); i++) {
        head(3, 0, 1), num(lies[i], 8), num(0, 40); /* a key */
        refused("truncated");
        head(3, 0, 1), str("k"), num(8, 4), num(lies[i], 8), num(0, 40); /* a string */
        refused("truncated");
        for (uint32_t item = 0; item < 13; item++) { /* an array */
            head(3, 0, 1), str("k"), num(9, 4), num(item, 4), num(lies[i], 8);
            num(0, 40);
            refused("metadata 'k': ");
        }
    }
    head(3, 0, 1), str("k"), num(13, 4), num(0, 8);
    refused("metadata 'k': ");
    refused("unknown type 13");
    head(3, 0, 1), str("k"), num(9, 4), num(99, 4), num(0, 8);
    refused("unknown type 99");
    head(3, 0, 1), str("k"), num(9, 4); /* arrays in arrays in arrays ... */
    for (int i = 0; i < 1000; i++)
        num(9, 4), num(1, 8);
    refused("nested deeper than 4");
    head(3, 0, 1), str("k"), num(9, 4); /* wide instead of deep */
    for (int i = 0; i < 3; i++)
        num(9, 4), num((uint64_t)1 << 60, 8);
    num(0, 4096);
    refused("truncated");
    head(3, 0, 1), num(70000, 8);
    for (int i = 0; i < 70010; i++)
        num('k', 1);
    refused("a name of 70000 bytes; at most 65535");
    head(3, 0, 1), str("split.count"), num(2, 4), num(3, 2);
    refused("one of 3 files that a model was split into");
    head(3, 0, 1), str("split.count"), num(2, 4), num(1, 2);
    expect_ok(load("one.gguf"));
    ldl_file_close(&file);
}

static void test_alignment(void **state)
{
    static const uint32_t wrong[] = { 0, 3, 33, 1u << 31, UINT32_MAX, 1u << 21 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(wrong); i++) {
        head(3, 0, 1), pair_u32("general.alignment", wrong[i]);
        refused("general.alignment is");
    }
    head(3, 0, 1), str("general.alignment"), num(10, 4), num(32, 8);
    refused("must be a u32");
    head(3, 0, 2), pair_u32("general.alignment", 32), pair_u32("general.alignment", 32);
    refused("given twice");
    head(3, 1, 1), pair_u32("general.alignment", 1), info("a", 1, 3, 0, 24, 0), data(1, 3);
    expect_ok(load("one.gguf"));
    assert_int_equal(file.tensor[0].offset + 3, file.size);
    ldl_file_close(&file);
    head(3, 1, 0), info("a", 1, 3, 0, 24, 16), data(32, 64);
    refused("tensor 'a': ");
    refused("its offset is no multiple of the alignment, 32");
}

static void test_infos(void **state)
{
    static const struct {
        int ndim;
        uint64_t d0, d1;
        uint32_t type;
        uint64_t offset;
        const char *error;
    } rows[] = {
        { 9, 1, 1, 0, 0, "9 dimensions; at most 8" },
        { 1 << 30, 1, 1, 0, 0, "dimensions; at most 8" },
        { 2, 256, 1, 12, 0, "the type is Q4_K, and this build reads F32, F16, BF16, Q8_0, Q4_0" },
        { 2, 256, 1, 39, 0, "the type is MXFP4" },
        { 2, 256, 1, 4, 0, "the type is number 4, which is unknown" },
        { 2, 256, 1, UINT32_MAX, 0, "is number 4294967295" },
        { 2, 33, 32, 8, 0, "rows of 33 elements are not whole blocks of Q8_0" },
        { 0, 0, 0, 2, 0, "rows of 1 elements are not whole blocks of Q4_0" },
        { 1, (uint64_t)1 << 63, 0, 24, 0, "larger than any file" },
        { 2, (uint64_t)1 << 32, (uint64_t)1 << 32, 24, 0, "larger than any file" },
        { 2, (uint64_t)1 << 40, (uint64_t)1 << 21, 0, 0, "larger than any file" },
        { 2, UINT64_MAX, 0, 0, 0, "larger than any file" },
        { 1, (uint64_t)1 << 50, 0, 0, 0, "truncated: tensor 'a' is not wholly inside" },
        { 1, 1, 0, 0, (uint64_t)1 << 62, "truncated: tensor 'a' is not wholly inside" },
        { 1, 1, 0, 0, UINT64_MAX - 31, "truncated: tensor 'a' is not wholly inside" },
        { 1, 17, 0, 0, 0, "truncated: tensor 'a' is not wholly inside" },
        { 1, 0, 0, 0, 96, "truncated: tensor 'a' is not wholly inside" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        int ndim = rows[i].ndim;
        head(3, 1, 0);
        str("a"), num((uint64_t)ndim, 4);
        for (int d = 0; d < ndim && d < 20; d++)
            num(d == 0 ? rows[i].d0 : d == 1 ? rows[i].d1 : 1, 8);
        num(rows[i].type, 4), num(rows[i].offset, 8);
        data(32, 64);
        refused(rows[i].error);
        refused("tensor 'a'");
    }
}

static void test_together(void **state)
{
    (void)state;
    head(3, 2, 0), info("a", 1, 16, 0, 0, 0), info("b", 1, 8, 0, 0, 32), data(32, 64);
    refused("tensors 'a' and 'b' overlap");
    head(3, 2, 0), info("b", 1, 8, 0, 0, 0), info("a", 1, 8, 0, 0, 0), data(32, 64);
    refused("tensors 'a' and 'b' overlap");
    head(3, 2, 0), info("a", 1, 8, 0, 0, 0), info("a", 1, 8, 0, 0, 32), data(32, 64);
    refused("tensor 'a' is in the header twice");
    head(3, 1, 0), info("a\xff", 1, 8, 0, 0, 0), data(32, 64);
    refused("the name of a tensor is no text");
    head(3, 1, 0), num(2, 8), num('a', 2), num(1, 4), num(8, 8), num(0, 4), num(0, 8), data(32, 64);
    refused("the name of a tensor is no text");
    head(3, 1, 0), num(5000, 8), num(0, 6000);
    refused("a name of 5000 bytes; at most 4096");
    /* a gap and a tail are nobody's, and harm nobody */
    head(3, 2, 0), info("a", 1, 8, 0, 0, 0), info("b", 1, 8, 0, 0, 64), data(32, 200);
    expect_ok(load("gap.gguf"));
    ldl_file_close(&file);
}

/* Whatever byte is wrong, opening ends, and what it accepts lies inside the file. */
static void test_flipped(void **state)
{
    (void)state;
    good(3);
    size_t directory = g.len - 328;
    for (size_t i = 0; i < directory; i++)
        for (int bit = 0; bit < 8; bit++) {
            g.text[i] = (char)(g.text[i] ^ 1 << bit);
            if (load("flip.gguf") == 0)
                for (size_t t = 0; t < file.ntensors; t++)
                    assert_true(file.tensor[t].offset + file.tensor[t].bytes <= file.size);
            ldl_file_close(&file);
            g.text[i] = (char)(g.text[i] ^ 1 << bit);
        }
}

/* ---- the writer ---- */

static const uint64_t dims[4][2] = { { 5 }, { 3, 64 }, { 0, 7 }, { 0 } };

static void entries(struct ldl_entry e[4])
{
    e[0] = (struct ldl_entry){ "q.weight", LDL_Q8_0, 2, dims[1], 204, 0 };
    e[1] = (struct ldl_entry){ "norm", LDL_F32, 1, dims[0], 20, 0 };
    e[2] = (struct ldl_entry){ "empty", LDL_BF16, 2, dims[2], 0, 0 };
    e[3] = (struct ldl_entry){ "scalar", LDL_I64, 0, dims[3], 8, 0 };
}

static void test_layout(void **state)
{
    static const struct {
        enum ldl_dtype dtype;
        int file_type;
    } rows[] = {
        { LDL_F32, 0 }, { LDL_F16, 1 }, { LDL_Q8_0, 7 }, { LDL_BF16, 32 }, { LDL_DTYPES, 1 }
    };
    struct ldl_file source;
    struct ldl_entry e[4];
    struct ldl_buf out = { 0 };
    uint64_t bytes;
    (void)state;
    good(2);
    expect_ok(load("source.gguf"));
    source = file;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        struct ldl_layout how = { .source = &source, .dtype = rows[i].dtype };
        entries(e);
        expect_ok(ldl_gguf_layout(&out, e, 4, &how, &bytes, &err));
        assert_int_equal(out.len % 64, 0);
        assert_int_equal(e[0].offset, out.len);
        assert_int_equal(e[1].offset, out.len + 256);
        assert_int_equal(e[3].offset, out.len + 320);
        assert_int_equal(bytes, out.len + 384);
        /* the metadata are the source's, but for one number */
        size_t place = 24 + (8 + 20) + 4 + (8 + 5) + (8 + 17) + 4;
        assert_int_equal(out.text[place], rows[i].file_type);
        out.text[place] = 1;
        assert_memory_equal(out.text + 24, g.text + 24, source.meta.bytes);
        assert_int_equal(out.text[4], 3);
        /* and it is a file that the reader takes */
        while (out.len < bytes)
            ldl_buf_put(&out, "", 1);
        save_bytes("out.gguf", out.text, out.len);
        expect_ok(ldl_file_open(&file, at("out.gguf"), &err));
        assert_int_equal(file.ntensors, 4);
        assert_string_equal(file.tensor[0].name, "q.weight");
        for (size_t t = 0; t < 4; t++)
            assert_int_equal(file.tensor[t].offset, e[t].offset);
        assert_int_equal(file.tensor[0].dim[0], 3);
        assert_int_equal(file.tensor[0].dtype, LDL_Q8_0);
        assert_int_equal(file.tensor[2].dim[1], 7);
        ldl_file_close(&file);
    }
    ldl_buf_free(&out);
    ldl_file_close(&source);
}

static void test_layout_refused(void **state)
{
    static const uint64_t five[5] = { 1, 1, 1, 1, 32 };
    struct ldl_file source;
    struct ldl_buf out = { 0 };
    struct ldl_layout how = { 0 };
    struct ldl_entry e = { "t", LDL_F32, 1, dims[0], 20, 0 };
    uint64_t bytes;
    (void)state;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE, "which is no GGUF");
    save_st("a.safetensors", "{}", 0);
    expect_ok(ldl_file_open(&source, at("a.safetensors"), &err));
    how.source = &source;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE,
                 "--format gguf takes its metadata from the base or first model");
    ldl_file_close(&source);
    good(3);
    expect_ok(load("source.gguf"));
    source = file;
    e.dtype = LDL_U8;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE,
                 "tensor 't': a GGUF file cannot hold the type uint8");
    e.dtype = LDL_F8_E4M3;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE, "float8_e4m3fn");
    e.dtype = LDL_Q4_0;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE, "not written");
    e.dtype = LDL_Q8_0;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE,
                 "rows are no multiple of 32 elements, so it cannot be q8_0");
    e.dtype = LDL_F32;
    e.dim = five;
    e.ndim = 5;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EUSAGE, "5 dimensions");
    e.ndim = 4;
    e.bytes = UINT64_MAX - 3;
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EOUTPUT, "too large");
    /* the source became shorter since it was opened */
    e.bytes = 4;
    if (truncate(at("source.gguf"), 60))
        abort();
    expect_error(ldl_gguf_layout(&out, &e, 1, &how, &bytes, &err), LDL_EINPUT, "source.gguf");
    ldl_buf_free(&out);
    ldl_file_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_good),           WITH_ROOT(test_truncated), WITH_ROOT(test_headers),
        WITH_ROOT(test_pairs),          WITH_ROOT(test_alignment), WITH_ROOT(test_infos),
        WITH_ROOT(test_together),       WITH_ROOT(test_flipped),   WITH_ROOT(test_layout),
        WITH_ROOT(test_layout_refused),
    };
    int failed = cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
    ldl_buf_free(&g);
    return failed;
}
