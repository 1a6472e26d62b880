/* test_torch_zip.c -- archives that torch.save could have written, archives that lie, and pickles
 * (of either of torch's forms) whose tensors lie. Recorded files of torch itself are in
 * tests/containers.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format.h"
#include "unit/pickle_help.h"

static struct ldl_file file;
static unsigned char data[4096];

/* The archive of `pk` with storages "0" of 400 bytes and "1" of 64. */
static int open_zip(void)
{
    zip_begin();
    zip_add("top/data.pkl", pk.text, pk.len);
    zip_add("top/byteorder", "little", 6);
    zip_add("top/data/0", data, 400);
    zip_add("top/data/1", data + 400, 64);
    zip_add("top/version", "3\n", 2);
    zip_end("a.pt");
    return ldl_file_open(&file, at("a.pt"), &err);
}

/* {"t": this tensor} */
static int open_tensor(const struct pk_tensor *t)
{
    pk_begin(2);
    PK("}");
    pk_text("t");
    pk_tensor(t);
    PK("s.");
    return open_zip();
}

static void expect_refused(int status, const char *part)
{
    expect_error(status, LDL_EINPUT, part);
    if (!strstr(err.text, "a.pt"))
        fail_msg("the file is not named: %s", err.text);
    assert_int_equal(file.fd, -1);
    assert_null(file.tensor);
}

/* ---- tensors ---- */

static void test_places(void **state)
{
    (void)state;
    expect_ok(open_tensor(&(struct pk_tensor){ .type = "HalfStorage",
                                               .key = "0",
                                               .elements = 200,
                                               .first = 10,
                                               .ndim = 2,
                                               .dim = { 3, 4 },
                                               .stride = { 4, 1 } }));
    const struct ldl_stored *t = file.tensor;
    assert_string_equal(file.format->name, "torch");
    assert_int_equal(file.ntensors, 1);
    assert_string_equal(t->name, "t");
    assert_int_equal(t->dtype, LDL_F16);
    assert_int_equal(t->n, 12);
    assert_int_equal(t->bytes, 24);
    assert_int_equal(t->strided, 0);
    const char *storage = memmem(zip.text, zip.len, data, 400);
    assert_int_equal(t->offset, (uint64_t)(storage - zip.text) + 20);
    ldl_file_close(&file);

    expect_ok(open_tensor(&(struct pk_tensor){ .type = "FloatStorage",
                                               .key = "0",
                                               .elements = 100,
                                               .ndim = 3,
                                               .dim = { 25, 1, 4 },
                                               .stride = { 1, 77777, 25 } }));
    assert_int_equal(file.tensor->strided, 1);
    assert_int_equal(file.tensor->stride[0], 1);
    assert_int_equal(file.tensor->stride[2], 25);
    ldl_file_close(&file);
    /* not strided: one index, or no element at all */
    expect_ok(open_tensor(&(struct pk_tensor){ .type = "FloatStorage",
                                               .key = "0",
                                               .elements = 100,
                                               .ndim = 2,
                                               .dim = { 1, 4 },
                                               .stride = { 0, 1 } }));
    assert_int_equal(file.tensor->strided, 0);
    ldl_file_close(&file);
    expect_ok(open_tensor(&(struct pk_tensor){ .type = "FloatStorage",
                                               .key = "0",
                                               .elements = 100,
                                               .first = 1000,
                                               .ndim = 2,
                                               .dim = { 0, 4 },
                                               .stride = { 9, 9 } }));
    assert_int_equal(file.tensor->strided, 0);
    assert_int_equal(file.tensor->n, 0);
    ldl_file_close(&file);
    /* expanded: more elements than the storage has */
    expect_ok(open_tensor(&(struct pk_tensor){ .type = "BoolStorage",
                                               .key = "1",
                                               .elements = 64,
                                               .first = 63,
                                               .ndim = 1,
                                               .dim = { 1000 },
                                               .stride = { 0 } }));
    assert_int_equal(file.tensor->strided, 1);
    assert_int_equal(file.tensor->n, 1000);
    ldl_file_close(&file);
}

static void test_lying_tensors(void **state)
{
    static const struct {
        struct pk_tensor t;
        const char *error;
    } rows[] = {
        { { "FloatStorage", "0", 100, 0, 1, { 101 }, { 1 } }, "lead out of storage '0' (100 el" },
        { { "FloatStorage", "0", 100, 1, 1, { 100 }, { 1 } }, "lead out" },
        { { "FloatStorage", "0", 100, 100, 0, { 0 }, { 0 } }, "lead out" },
        { { "FloatStorage", "0", 100, 0, 2, { 2, 2 }, { 99, 1 } }, "lead out" },
        { { "FloatStorage", "0", 100, 0, 2, { 2, 2 }, { INT64_MAX, INT64_MAX } }, "lead out" },
        { { "FloatStorage", "0", 100, 0, 2, { 3, 3 }, { INT64_MAX, INT64_MAX } }, "lead out" },
        { { "FloatStorage", "0", 100, INT64_MAX, 1, { 2 }, { INT64_MAX } }, "lead out" },
        { { "FloatStorage", "0", 101, 0, 1, { 1 }, { 1 } },
          "should be 404 bytes long, but has 400" },
        { { "DoubleStorage", "0", 100, 0, 1, { 1 }, { 1 } }, "should be 800 bytes" },
        { { "FloatStorage", "0", INT64_MAX, 0, 1, { 1 }, { 1 } }, "sensible size" },
        { { "FloatStorage", "0", UINT64_MAX, 0, 1, { 1 }, { 1 } }, "sensible size" },
        { { "FloatStorage", "2", 100, 0, 1, { 1 }, { 1 } }, "'data/2' is not in the archive" },
        { { "FloatStorage", "", 100, 0, 1, { 1 }, { 1 } }, "is not in the archive" },
        { { "FloatStorage", "../data/0", 100, 0, 1, { 1 }, { 1 } }, "is not in the archive" },
        { { "FloatStorage", "0", 100, 0, 1, { 1ull << 62 }, { 0 } }, "larger than any file" },
        { { "FloatStorage", "0", 100, 0, 2, { 1ull << 40, 1ull << 40 }, { 0 } },
          "larger than any" },
        { { "FloatStorage", "0", 100, 0, 3, { 1ull << 40, 1ull << 40, 0 }, { 0 } }, "larger than" },
        { { "FloatStorage", "0", 100, 0, 1, { UINT64_MAX }, { 1 } }, "no numbers" }, /* -1 */
        { { "FloatStorage", "0", 100, UINT64_MAX, 1, { 1 }, { 1 } }, "no numbers" },
        { { "FloatStorage", "0", 100, 0, 1, { 2 }, { UINT64_MAX } }, "no numbers" },
        { { "FloatStorage", "0", 100, 0, 9, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, { 0 } },
          "more than 8 dimensions" },
        { { "ComplexFloatStorage", "0", 50, 0, 1, { 1 }, { 1 } }, "type ComplexFloatStorage" },
        { { "QInt8Storage", "0", 50, 0, 1, { 1 }, { 1 } }, "type QInt8Storage" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_refused(open_tensor(&rows[i].t), rows[i].error);
        if (!strstr(err.text, "tensor 't'"))
            fail_msg("the tensor is not named: %s", err.text);
    }
    expect_refused(open_tensor(&(struct pk_tensor){ .type = "NoStorage", .key = "0" }),
                   "wants to call 'torch.NoStorage'");
}

/* Calls around and in the place of a tensor. */
static void test_wrapped(void **state)
{
    (void)state;
    pk_begin(2);
    PK("}");
    pk_text("p");
    pk_global("torch._utils", "_rebuild_parameter");
    PK("(");
    pk_vector("0", 100, 100);
    PK("\x88)tR"); /* the hooks are not looked at */
    PK("s");
    pk_text("q");
    pk_global("torch._tensor", "_rebuild_from_type_v2");
    PK("(");
    pk_global("torch._utils", "_rebuild_tensor_v3");
    pk_global("torch.nn.parameter", "Parameter");
    PK("(");
    pk_storage("UntypedStorage", "1", 64);
    PK("K\2K\3\x85K\1\x85\x89)");
    pk_global("torch", "uint16");
    PK("t}tR");
    PK("s.");
    expect_ok(open_zip());
    assert_int_equal(file.ntensors, 2);
    assert_int_equal(file.tensor[0].dtype, LDL_F32);
    assert_int_equal(file.tensor[0].n, 100);
    assert_int_equal(file.tensor[1].dtype, LDL_U16);
    assert_int_equal(file.tensor[1].n, 3);
    ldl_file_close(&file);

    static const struct {
        const char *op;
        const char *error;
    } rows[] = {
        { "ctorch._utils\n_rebuild_parameter\n)R", "in a way that ladle does not know" },
        { "ctorch._utils\n_rebuild_parameter\nctorch._utils\n_rebuild_parameter\n)R\x85R", "way" },
        { "ctorch._utils\n_rebuild_tensor_v2\n)R", "has no storage" },
        { "ctorch._utils\n_rebuild_tensor_v2\n(NK\1))tR", "has no storage" },
        { "ctorch._utils\n_rebuild_tensor_v2\n(K\1QK\1))tR", "has no storage" },
        { "ctorch._utils\n_rebuild_sparse_tensor\n)R", "torch._utils._rebuild_sparse_tensor" },
        { "ctorch._utils\n_rebuild_qtensor\n(ctorch\nper_tensor_affine\ntR",
          "torch._utils._rebuild_qtensor" },
        { "ctorch._tensor\n_rebuild_from_type_v2\n)R", "in a way" },
        { "ctorch._tensor\n_rebuild_from_type_v2\nctorch._tensor\n_rebuild_from_type_v2\n"
          "ctorch\nTensor\n)\x87R",
          "in a way" },
        { "cnumpy.core.multiarray\n_reconstruct\n)R", "numpy.core.multiarray._reconstruct" },
    };
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        pk_begin(2);
        PK("}");
        pk_text("t");
        ldl_buf_puts(&pk, rows[i].op);
        PK("s.");
        expect_refused(open_zip(), rows[i].error);
    }
    pk_begin(2); /* a parameter of itself: args tuple that holds the call, by way of BUILD's memo */
    PK("}");
    pk_text("t");
    PK("]q\1");
    pk_global("torch._utils", "_rebuild_parameter");
    PK("h\1\x85Rq\2"
       "0h\2h\1h\2a0s.");
    assert_true(open_zip() != 0);
}

/* ---- the dict ---- */

static void put_vector(const char *name)
{
    pk_text(name);
    pk_vector("0", 100, 5);
    PK("s");
}

static void expect_names(const char *names)
{
    struct ldl_buf b = { 0 };
    expect_ok(open_zip());
    for (size_t i = 0; i < file.ntensors; i++)
        ldl_buf_printf(&b, "%s%s", i ? " " : "", file.tensor[i].name);
    assert_string_equal(b.text, names);
    ldl_buf_free(&b);
}

static void test_dicts(void **state)
{
    (void)state;
    pk_begin(2); /* order kept, the last of twins wins, what is no tensor is skipped */
    PK("}");
    put_vector("z");
    put_vector("a");
    pk_text("n");
    PK("K\1s");
    pk_text("_metadata");
    PK("}s");
    put_vector("z");
    pk_text("none");
    PK("NsK\5Ns.");
    expect_names("z a");
    assert_int_equal(file.note.n, 0);
    ldl_file_close(&file);

    pk_begin(2); /* an OrderedDict with a state */
    pk_global("collections", "OrderedDict");
    PK(")R");
    put_vector("w");
    PK("}");
    pk_text("_metadata");
    PK("}sb.");
    expect_names("w");
    ldl_file_close(&file);

    pk_begin(2); /* down two dicts; what is beside is told */
    PK("}");
    pk_text("epoch");
    PK("K\3s");
    pk_text("model");
    PK("}");
    pk_text("module");
    PK("}");
    put_vector("w");
    PK("ss");
    put_vector("loss\n");
    pk.text[pk.len - 1] = 's';
    pk_text("optimizer");
    PK("]s.");
    expect_refused(open_zip(), "tensors are both at the top ('loss?') and in 'model'");
    pk_begin(2);
    PK("}");
    pk_text("epoch\x1b");
    PK("K\3s");
    pk_text("model");
    PK("}");
    pk_text("module");
    PK("}");
    put_vector("w");
    PK("ss");
    pk_text("optimizer");
    PK("}");
    put_vector("m");
    PK("s.");
    expect_names("w");
    assert_int_equal(file.note.n, 1);
    assert_string_equal(file.note.name[0],
                        "entries beside 'model' are not merged: epoch?, optimizer");
    ldl_file_close(&file);
}

static void test_refused_dicts(void **state)
{
    static const struct {
        const char *before, *after, *error;
    } rows[] = {
        { "", ".", "holds one tensor without a name" },
        { "(", "l.", "holds a list" },
        { "(", "t.", "holds a list" },
        { "}X\3\0\0\0foo}X\1\0\0\0a", "ss.", "the tensors are inside 'foo'" },
        { "}X\3\0\0\0foo", "0Ns.", "there are no tensors in it" },
        { "}K\5", "s.", "key is no text" },
        { "}U\2\xff\xfe", "s.", "key is no text" },
        { "}X\3\0\0\0l[]", "as.", "" },
    };
    (void)state;
    for (size_t i = 0; i + 1 < LDL_COUNT(rows); i++) {
        /* the rows hold NULs, so each is taken to its last letter */
        static const size_t before[] = { 0, 1, 1, 16, 9, 3, 5 };
        pk_begin(2);
        ldl_buf_put(&pk, rows[i].before, before[i]);
        pk_vector("0", 100, 5);
        ldl_buf_puts(&pk, rows[i].after);
        expect_refused(open_zip(), rows[i].error);
    }
    pk_begin(2); /* a list of tensors beside tensors */
    PK("}");
    put_vector("w");
    pk_text("l");
    PK("]");
    pk_vector("0", 100, 5);
    PK("as.");
    expect_refused(open_zip(), "'l' holds tensors inside a list or dict");
    pk_begin(2); /* a bare storage */
    PK("}");
    put_vector("w");
    pk_text("s");
    pk_storage("FloatStorage", "0", 100);
    PK("s.");
    expect_refused(open_zip(), "'s' holds tensors");
    pk_begin(2); /* model in model in model ... */
    PK("}q\1");
    pk_text("model");
    PK("h\1s");
    put_vector("w");
    PK(".");
    expect_refused(open_zip(), "both at the top");
    pk_begin(2);
    PK("cposix\nsystem\n(X\4\0\0\0truetR.");
    expect_refused(open_zip(), "wants to call 'posix.system'");
    pk_begin(2);
    PK("c__torch__.net\nNet\n)R.");
    expect_refused(open_zip(), "a TorchScript archive (a program)");
    pk_begin(2);
    PK("ctorch.nn.modules.linear\nLinear\n)R.");
    expect_refused(open_zip(), "a whole module");
}

/* ---- archives ---- */

static void good_pickle(void)
{
    pk_begin(2);
    PK("}");
    pk_text("t");
    pk_vector("0", 100, 100);
    PK("s.");
}

static int open_members(const struct zip_member *m, size_t n)
{
    zip_begin();
    for (size_t i = 0; i < n; i++)
        if (m[i].name)
            zip_put(&m[i]);
    zip_end("a.pt");
    return ldl_file_open(&file, at("a.pt"), &err);
}

static void test_archives(void **state)
{
    (void)state;
    good_pickle();
    const struct zip_member pickle = { .name = "x/data.pkl", .data = pk.text, .n = pk.len };
    const struct zip_member zero = { .name = "x/data/0", .data = data, .n = 400 };
    const struct {
        struct zip_member m[4];
        const char *error; /* NULL: it opens */
    } rows[] = {
        { { zero, pickle }, NULL },
        { { pickle,
            zero,
            { .name = "x/data/" },
            { .name = "y/other", .data = "1", .n = 1, .method = 8 } },
          NULL },
        { { zero, pickle, { .name = "x/byteorder", .data = "little", .n = 6 } }, NULL },
        { { zero, pickle, { .name = "x/byteorder", .data = "big", .n = 3 } }, "byteorder 'big'" },
        { { zero }, "no data.pkl" },
        { { zero, { .name = "data.pkl", .data = pk.text, .n = pk.len } }, "no data.pkl" },
        { { zero, { .name = "x/y/data.pkl", .data = pk.text, .n = pk.len } }, "no data.pkl" },
        { { zero, pickle, { .name = "y/data.pkl", .data = pk.text, .n = pk.len } }, "two pickles" },
        { { pickle }, "tensor 't': its storage 'data/0' is not in the archive" },
        { { pickle, { .name = "y/data/0", .data = data, .n = 400 } }, "is not in the archive" },
        { { pickle, { .name = "x/data/0", .data = data, .n = 399 } }, "but has 399" },
        { { pickle, { .name = "x/data/0", .data = data, .n = 400, .method = 8 } },
          "is compressed" },
        { { pickle, { .name = "x/data/0", .data = data, .n = 400, .method = 99 } },
          "is compressed" },
        { { pickle, { .name = "x/data/0", .data = data, .n = 400, .flags = 1 } }, "is encrypted" },
        { { zero, { .name = "x/data.pkl", .data = pk.text, .n = pk.len, .method = 8 } },
          "compressed" },
        { { zero, { .name = "x/data.pkl", .data = pk.text, .n = pk.len - 1 } },
          "ends in the middle" },
        { { zero, { .name = "x/data.pkl", .data = pk.text, .n = 0 } }, "ends in the middle" },
        { { pickle, zero, zero }, "'x/data/0' is there twice" },
        { { pickle, { .name = "x/data/0", .data = data, .n = 400, .claimed = 100000 } },
          "not whole" },
        { { pickle,
            { .name = "x/data/0", .data = data, .n = 400, .claimed = 440 },
            { .name = "x/data/1", .n = 4, .data = data } },
          "overlap" },
        { { zero, pickle, { .name = "x/data/1", .n = 400, .at = 1 } },
          "not where the zip directory says" },
        { { zero, pickle, { .name = "x/data/1", .n = 400, .at = 7 } },
          "not where the zip directory says" },
        { { zero, pickle, { .name = "x/data/1", .n = 400, .at = 1 << 30 } },
          "not where the zip directory says" },
        { { zero, pickle, { .name = "x/data/0", .n = 400, .at = 1 } }, "overlap" },
        { { zero, pickle, { .name = "x/constants.pkl" } }, "a TorchScript archive (a program)" },
        { { zero, pickle, { .name = "x/code/__torch__.py" } }, "a TorchScript archive" },
    };
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        int status = open_members(rows[i].m, 4);
        if (rows[i].error) {
            expect_refused(status, rows[i].error);
            continue;
        }
        expect_ok(status);
        assert_int_equal(file.ntensors, 1);
        assert_memory_equal(zip.text + file.tensor->offset, data, 400);
        ldl_file_close(&file);
    }
}

/* Cut anywhere, or with any one byte changed: an error or a file whose tensors are inside. */
static void test_damaged(void **state)
{
    (void)state;
    good_pickle();
    expect_ok(open_zip());
    ldl_file_close(&file);
    size_t n = zip.len;
    for (size_t cut = 1; cut <= n; cut++) {
        remove(at("a.pt")); /* some file systems flush a file that is written anew */
        save_bytes("a.pt", zip.text, n - cut);
        int status = ldl_file_open(&file, at("a.pt"), &err);
        if (status == 0 || !err.text[0] || strchr(err.text, '\n'))
            fail_msg("cut by %zu: status %d %s", cut, status, err.text);
    }
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            zip.text[i] ^= (char)(1 << bit);
            remove(at("a.pt"));
            save_bytes("a.pt", zip.text, n);
            zip.text[i] ^= (char)(1 << bit);
            if (ldl_file_open(&file, at("a.pt"), &err))
                continue;
            for (size_t t = 0; t < file.ntensors; t++)
                assert_true(file.tensor[t].strided ||
                            (file.tensor[t].offset <= n &&
                             file.tensor[t].bytes <= n - file.tensor[t].offset));
            ldl_file_close(&file);
        }
}

static void test_no_archive(void **state)
{
    static char tar[600];
    (void)state;
    memcpy(tar + 257, "ustar", 5);
    save_bytes("a.pt", tar, sizeof tar);
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "a tar archive");
    save("a.pt", "");
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "is empty");
    save("a.pt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "git lfs pull");
    save("a.pt", "hello");
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "neither a zip archive nor");
    save("a.pt", "\x80\x04K\1.");
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "a pickle, but not one that torch.save");
    save("a.pt", "PK\3\4");
    expect_refused(ldl_file_open(&file, at("a.pt"), &err), "end of the zip archive is missing");
    good_pickle();
    expect_ok(open_zip());
    ldl_file_close(&file);
    save_bytes("weights", zip.text, zip.len); /* by its first bytes, whatever its name */
    expect_ok(ldl_file_open(&file, at("weights"), &err));
    ldl_file_close(&file);
}

int main(void)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + (i >> 8));
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_places),  WITH_ROOT(test_lying_tensors), WITH_ROOT(test_wrapped),
        WITH_ROOT(test_dicts),   WITH_ROOT(test_refused_dicts), WITH_ROOT(test_archives),
        WITH_ROOT(test_damaged), WITH_ROOT(test_no_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
