/* test_model.c -- opening whole checkpoints: one file, shards with an index, broken sets, folders
 * with something else in them, the recorded models, and a model of 700 shards. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "unit/read_help.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#define U8(name, from, to)                                                                         \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" from "," to "]}"
#define INDEX "m/model.safetensors.index.json"

static struct ldl_model m;

static void expect_refused(const char *asked, const char *prefix, const char *part)
{
    expect_error(ldl_model_open(&m, asked, prefix, &err), LDL_EINPUT, part);
    if (!strstr(err.text, root))
        fail_msg("'%s' does not say where", err.text);
    assert_null(m.view);
    assert_null(m.file);
    assert_null(m.asked);
}

/* Two shards: c, a in the first, b in the second; the index orders them b, c, a. */
static void make_sharded(void)
{
    make_dirs("m");
    save_st("m/model-1.safetensors", "{" U8("c", "0", "1") "," U8("a", "1", "2") "}", 2);
    save_st("m/model-2.safetensors", "{" U8("b", "0", "1") "}", 1);
    save(INDEX,
         "{\"metadata\": {\"total_size\": 3, \"x\":[1 ]}, \"weight_map\": {\"b\":"
         "\"model-2.safetensors\",\"c\":\"model-1.safetensors\",\"a\":\"model-1.safetensors\"},"
         "\"more\":{}}\n");
}

static void save_map(const char *map)
{
    char text[1000];
    snprintf(text, sizeof text, "{\"weight_map\":{%s}}", map);
    save(INDEX, text);
}

static void test_single(void **state)
{
    (void)state;
    make_dirs("m");
    save_st("m/model.safetensors", "{" U8("b", "0", "1") "," U8("a", "1", "2") "}", 2);
    expect_ok(ldl_model_open(&m, at("m"), "model", &err));
    assert_string_equal(m.asked, at("m"));
    assert_string_equal(m.dir, at("m"));
    assert_string_equal(m.prefix, "model");
    assert_int_equal(m.nfiles, 1);
    assert_int_equal(m.nviews, 2);
    assert_int_equal(m.sharded, 0);
    assert_int_equal(m.bytes, 2);
    assert_null(m.index_metadata);
    assert_null(m.dtype_word);
    assert_string_equal(m.view[0].name, "a"); /* sorted, not in the file's order */
    assert_string_equal(m.view[1].name, "b");
    assert_ptr_equal(ldl_model_find(&m, "b"), &m.view[1]);
    assert_null(ldl_model_find(&m, "c"));
    assert_null(ldl_model_find(&m, ""));
    ldl_model_close(&m);
    ldl_model_close(&m);
    ldl_model_close(NULL);
}

static void test_named_file(void **state)
{
    (void)state;
    make_dirs("m");
    save_st("m/x.safetensors", "{" U8("b", "0", "1") "}", 1);
    save("m/config.json", "{\"torch_dtype\":\"float16\"}");
    save(INDEX, "damaged"); /* not looked at */
    expect_ok(ldl_model_open(&m, at("m/x.safetensors"), NULL, &err));
    assert_string_equal(m.dir, at("m"));
    assert_string_equal(m.dtype_word, "float16");
    assert_int_equal(m.nviews, 1);
    ldl_model_close(&m);
    assert_int_equal(chdir(at("m")), 0);
    expect_ok(ldl_model_open(&m, "x.safetensors", NULL, &err));
    assert_string_equal(m.dir, ".");
    assert_string_equal(m.prefix, "model");
    ldl_model_close(&m);
    assert_int_equal(chdir("/"), 0);
    expect_refused(at("m/config.json"), NULL, "not a kind of weights file");
}

static void test_sharded(void **state)
{
    (void)state;
    make_sharded();
    save_st("m/model.safetensors", "{}", 0); /* the index is stronger */
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
    assert_int_equal(m.sharded, 1);
    assert_int_equal(m.nfiles, 2);
    assert_int_equal(m.nviews, 3);
    assert_string_equal(m.view[0].name, "b");
    assert_string_equal(m.view[1].name, "c");
    assert_string_equal(m.view[2].name, "a");
    assert_string_equal(m.by_name[0]->name, "a");
    assert_ptr_equal(m.by_name[1], &m.view[0]);
    assert_ptr_equal(ldl_model_find(&m, "c"), &m.view[1]);
    assert_string_equal(ldl_path_base(m.view[0].file->path), "model-2.safetensors");
    assert_string_equal(m.index_metadata, "{\"total_size\": 3, \"x\":[1 ]}");
    ldl_model_close(&m);
}

static void test_broken_sets(void **state)
{
    static const char one[] = "\"b\":\"model-2.safetensors\",", two[] =
                                                                    "\"c\":\"model-1.safetensors\","
                                                                    "\"a\":\"model-1.safetensors\"";
    static const struct {
        const char *more, *error;
    } rows[] = {
        { ",\"d\":\"model-1.safetensors\"", "tensor 'd' is not in model-1.safetensors" },
        { ",\"d\":\"gone.safetensors\"", "gone.safetensors: cannot open: No such file" },
        { ",\"a\":\"model-1.safetensors\"", "tensor 'a' is in weight_map twice" },
        { ",\"d\":\"../x.safetensors\"", "'../x.safetensors' is not a plain file name" },
        { ",\"d\":\"/etc/passwd\"", "tensor 'd': '/etc/passwd' is not a plain file name" },
        { ",\"d\":\"\"", "'' is not a plain file name" },
        { ",\"d\":\"..\"", "is not a plain file name" },
        { ",\"d\":\"model-1.safetensors\\u0000\"", "is not a plain file name" },
        { ",\"d\\u0000\":\"model-1.safetensors\"", "a NUL character" },
        { ",\"d\":\"model-1.bin\"", "model-1.bin: cannot open" },
        { ",\"d\":7", "expected a string, found a number" },
        { ",", "model.safetensors.index.json:1:" },
    };
    char map[400];
    (void)state;
    make_sharded();
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        snprintf(map, sizeof map, "%s%s%s", one, two, rows[i].more);
        save_map(map);
        expect_refused(at("m"), NULL, rows[i].error);
    }
    save_map("\"b\":\"model-1.safetensors\",\"c\":\"model-1.safetensors\",\"a\":\"model-2."
             "safetensors\"");
    expect_refused(at("m"), NULL,
                   "tensor 'a' is not in model-2.safetensors but in model-1.safetensors");
    save_map("\"b\":\"model-2.safetensors\",\"c\":\"model-1.safetensors\"");
    expect_refused(at("m"), NULL, "weight_map does not list tensor 'a' of model-1.safetensors");
    assert_null(strstr(err.text, "more"));
    save_st("m/model-1.safetensors",
            "{" U8("c", "0", "1") "," U8("a", "1", "2") "," U8("b", "2", "3") "}", 3);
    save_map("\"b\":\"model-2.safetensors\",\"c\":\"model-1.safetensors\"");
    expect_refused(at("m"), NULL, "tensor 'b' is in two shards, model-1.safetensors and model-2");
    save_map("\"c\":\"model-1.safetensors\"");
    expect_refused(at("m"), NULL, "does not list tensor 'a' of model-1.safetensors and 1 more");
}

static void test_broken_index(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "expected an object" },
        { "[]", "expected an object, found a list" },
        { "{}", "weight_map is missing" },
        { "{\"weight_map\":[]}", "expected an object, found a list" },
        { "{\"weight_map\":{},\"weight_map\":{}}", "weight_map is given twice" },
        { "{\"metadata\":{},\"metadata\":{},\"weight_map\":{}}", "metadata is given twice" },
        { "{\"weight_map\":{}} x", "expected the end of the text" },
    };
    (void)state;
    make_sharded();
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        save(INDEX, rows[i].text);
        expect_refused(at("m"), NULL, rows[i].error);
        assert_non_null(strstr(err.text, "model.safetensors.index.json"));
    }
    save(INDEX, "{\"weight_map\":{}}");
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err)); /* nothing is nothing's fault */
    assert_int_equal(m.nviews, 0);
    assert_null(ldl_model_find(&m, "a"));
    ldl_model_close(&m);
}

/* Each row is a folder of its own with these files. */
static void test_no_weights(void **state)
{
    static const struct {
        const char *file[2], *prefix, *part;
    } rows[] = {
        { { "README" },
          "model",
          "no weights are there; looked for model.safetensors, pytorch_mod" },
        { { "README" }, NULL, "master_weights.pdparams, their indexes, and one other file" },
        { { "README" },
          "master_weights",
          "no master weights are there; looked for master_weights" },
        { { "optimizer.pt", "training_args.bin" }, "model", "no weights are there; looked for" },
        { { "x.gguf", "zz.ckpt" }, "model", "x.gguf and zz.ckpt: name one file to read it" },
        { { "adapter_model.safetensors" }, "model", "an adapter is (adapter_model.safetensors)" },
        { { "model-00001-of-00002.safetensors" },
          "model",
          "model-00001-of-00002.safetensors is, but the index that belongs to the shards" },
        { { "x-00002-of-00003.bin", "y.bin" }, NULL, "x-00002-of-00003.bin is, but the index" },
        { { "master_weights.safetensors" }, "model", "give --merge_prefix master_weights" },
        { { "model.safetensors" }, "master_weights", "model weights (model.safetensors): give " },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char dir[32], name[100];
        snprintf(dir, sizeof dir, "m%zu", i);
        make_dirs(dir);
        for (int f = 0; f < 2 && rows[i].file[f]; f++) {
            snprintf(name, sizeof name, "%s/%s", dir, rows[i].file[f]);
            save(name, "");
        }
        expect_refused(at(dir), rows[i].prefix, rows[i].part);
        assert_non_null(strstr(err.text, at(dir)));
    }
    expect_refused(at("absent"), NULL, "neither a file nor a directory");
}

/* One file of weights under any name is the model. */
static void test_lone_file(void **state)
{
    (void)state;
    make_dirs("m");
    save_st("m/consolidated.safetensors", "{" U8("a", "0", "1") "}", 1);
    save("m/optimizer.bin", "not looked at");
    save("m/adapter_model.bin", "not looked at");
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
    assert_string_equal(m.view[0].name, "a");
    assert_string_equal(m.prefix, "model");
    ldl_model_close(&m);
    expect_refused(at("m"), "master_weights", "give --merge_prefix model");
}

static void test_both_prefixes(void **state)
{
    (void)state;
    make_dirs("m");
    save_st("m/master_weights.safetensors", "{" U8("a", "0", "1") "}", 1);
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
    assert_string_equal(m.prefix, "master_weights");
    ldl_model_close(&m);
    save_st("m/model.safetensors", "{" U8("b", "0", "1") "}", 1);
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
    assert_string_equal(m.view[0].name, "b");
    ldl_model_close(&m);
    expect_ok(ldl_model_open(&m, at("m"), "master_weights", &err));
    assert_string_equal(m.view[0].name, "a");
    ldl_model_close(&m);
}

static void test_broken_config(void **state)
{
    (void)state;
    make_dirs("m");
    save_st("m/model.safetensors", "{" U8("b", "0", "1") "}", 1);
    save("m/config.json", "{\"dtype\":\n}");
    expect_refused(at("m"), NULL, "config.json:2:1: expected a value");
}

/* U16 is Paddle's bf16 when the file is numpy's and the config does not say otherwise. */
static void test_u16(void **state)
{
    static const struct {
        const char *format, *config;
        enum ldl_dtype dtype;
    } rows[] = {
        { "np", NULL, LDL_U16_BF16 },
        { "np", "{}", LDL_U16_BF16 },
        { "np", "{\"dtype\":\"bfloat16\"}", LDL_U16_BF16 },
        { "np", "{\"torch_dtype\":\"torch.bfloat16\"}", LDL_U16_BF16 },
        { "np", "{\"dtype\":\"float32\"}", LDL_U16 },
        { "pt", "{\"dtype\":\"bfloat16\"}", LDL_U16 },
        { "pt", NULL, LDL_U16 },
    };
    (void)state;
    make_dirs("m");
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char header[200];
        snprintf(header, sizeof header,
                 "{\"__metadata__\":{\"format\":\"%s\"},\"a\":{\"dtype\":\"U16\",\"shape\":[1],"
                 "\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"I16\",\"shape\":[1],"
                 "\"data_offsets\":[2,4]}}",
                 rows[i].format);
        save_st("m/model.safetensors", header, 4);
        unlink(at("m/config.json"));
        if (rows[i].config)
            save("m/config.json", rows[i].config);
        expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
        assert_int_equal(m.view[0].dtype, rows[i].dtype);
        assert_int_equal(m.view[0].stored->dtype, rows[i].dtype);
        assert_int_equal(m.view[1].dtype, LDL_I16);
        ldl_model_close(&m);
    }
}

static void test_sparse_giants(void **state)
{
    char header[300];
    (void)state;
    make_dirs("m");
    /* each shard really has that length, as a file system that keeps holes allows */
    static const char *const shard[] = { "m/1.safetensors", "m/2.safetensors", "m/3.safetensors" };
    static const unsigned long long bytes = 8ull << 40;
    for (int i = 0; i < 3; i++) {
        int n = snprintf(header, sizeof header,
                         "{\"t%d\":{\"dtype\":\"U8\",\"shape\":[%llu],\"data_offsets\":[0,%llu]}}",
                         i, bytes, bytes);
        save_st(shard[i], header, 0);
        if (truncate(at(shard[i]), (off_t)(8 + (unsigned long long)n + bytes))) {
            print_message("  skipped: no file of 8 TiB here\n");
            skip();
        }
    }
    save_map("\"t0\":\"1.safetensors\",\"t1\":\"2.safetensors\",\"t2\":\"3.safetensors\"");
    expect_ok(ldl_model_open(&m, at("m"), NULL, &err));
    assert_true(m.bytes == 3 * bytes);
    ldl_model_close(&m);
}

/* ---- many ---- */

enum { SHARDS = 700, PER_SHARD = 143 };

static void make_many(void)
{
    struct ldl_buf map = { 0 }, header = { 0 };
    make_dirs("m");
    ldl_buf_puts(&map, "{\"weight_map\":{");
    for (int s = 0; s < SHARDS; s++) {
        char name[64];
        ldl_buf_reset(&header);
        for (int t = 0; t < PER_SHARD; t++) {
            /* neighbours in the index are in different shards and not in the names' order */
            int id = (s * PER_SHARD + t) * 7919 % (SHARDS * PER_SHARD);
            ldl_buf_printf(&header,
                           "%s\"model.layers.%d.experts.weight\":{\"dtype\":\"U8\","
                           "\"shape\":[1],\"data_offsets\":[%d,%d]}",
                           t ? "," : "{", id, t, t + 1);
            ldl_buf_printf(&map, "%s\"model.layers.%d.experts.weight\":\"model-%05d.safetensors\"",
                           s || t ? "," : "", id, s);
        }
        ldl_buf_puts(&header, "}");
        snprintf(name, sizeof name, "m/model-%05d.safetensors", s);
        save_st(name, header.text, PER_SHARD);
    }
    ldl_buf_puts(&map, "}}");
    save(INDEX, map.text);
    ldl_buf_free(&map);
    ldl_buf_free(&header);
}

static void test_many_shards(void **state)
{
    struct rlimit limit;
    struct timespec from, to;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < SHARDS + 50) {
        print_message("  skipped: the hard limit of open files is %llu\n",
                      (unsigned long long)limit.rlim_max);
        skip();
    }
    make_many();
    struct rlimit low = { 200, limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    int status = ldl_model_open(&m, at("m"), NULL, &err);
    clock_gettime(CLOCK_MONOTONIC, &to);
    expect_ok(status);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
    print_message("  %d tensors in %d shards: %.3f s\n", SHARDS * PER_SHARD, SHARDS, seconds);
    assert_int_equal(m.nviews, SHARDS * PER_SHARD);
    assert_string_equal(m.view[0].name, "model.layers.0.experts.weight");
    assert_string_equal(m.view[1].name, "model.layers.7919.experts.weight");
    assert_true(seconds < 10); /* a search per tensor would take minutes, even in slow builds */
    ldl_model_close(&m);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_too_few_descriptors(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    make_sharded();
    struct rlimit low = { 0, limit.rlim_max };
    low.rlim_cur = (rlim_t)dup(0); /* the next descriptor is one too many */
    close((int)low.rlim_cur);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int status = ldl_model_open(&m, at("m"), NULL, &err);
    setrlimit(RLIMIT_NOFILE, &limit);
    expect_error(status, LDL_EIO, "raise the limit with `ulimit -n`");
}

/* ---- the recorded models ---- */

static void test_golden_sharded(void **state)
{
    (void)state;
    expect_ok(ldl_model_open(&m, golden("bf16s_a"), "model", &err));
    assert_int_equal(m.nfiles, 3);
    assert_string_equal(m.view[0].name, "model.embed_tokens.weight");
    assert_int_equal(m.view[0].dtype, LDL_BF16);
    assert_int_equal(m.bytes, 59278);
    assert_string_equal(m.dtype_word, "bfloat16");
    size_t n = m.nviews;
    ldl_model_close(&m);
    expect_ok(ldl_model_open(&m, golden("bf16_a"), "model", &err)); /* the same, in one file */
    assert_int_equal(m.nviews, n);
    assert_int_equal(m.bytes, 59278);
    assert_string_equal(m.view[0].name, "lm_head.weight");
    ldl_model_close(&m);
}

static void test_golden_kinds(void **state)
{
    static const struct {
        const char *name, *prefix;
        enum ldl_dtype dtype;
    } rows[] = { { "f32_a", "model", LDL_F32 },     { "f16_base", "model", LDL_F16 },
                 { "bf16_c", "model", LDL_BF16 },   { "u16_a", "model", LDL_U16_BF16 },
                 { "bf16s_b", "model", LDL_BF16 },  { "master_a", "master_weights", LDL_F32 },
                 { "bad_size", "model", LDL_BF16 }, { "bad_keys", "model", LDL_BF16 } };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(ldl_model_open(&m, golden(rows[i].name), rows[i].prefix, &err));
        const struct ldl_view *v = ldl_model_find(&m, "model.embed_tokens.weight");
        assert_non_null(v);
        assert_int_equal(v->dtype, rows[i].dtype);
        assert_int_equal(v->dim[0], 96);
        ldl_model_close(&m);
    }
}

static void test_golden_refused(void **state)
{
    static const struct {
        const char *name, *part;
    } rows[] = { { "empty", "no weights are there" },
                 { "master_a", "give --merge_prefix master_weights" } };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        const char *path = golden(rows[i].name);
        expect_error(ldl_model_open(&m, path, "model", &err), LDL_EINPUT, rows[i].part);
        assert_non_null(strstr(err.text, path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_single),
        WITH_ROOT(test_named_file),
        WITH_ROOT(test_sharded),
        WITH_ROOT(test_broken_sets),
        WITH_ROOT(test_broken_index),
        WITH_ROOT(test_no_weights),
        WITH_ROOT(test_lone_file),
        WITH_ROOT(test_both_prefixes),
        WITH_ROOT(test_broken_config),
        WITH_ROOT(test_u16),
        WITH_ROOT(test_sparse_giants),
        WITH_ROOT(test_many_shards),
        WITH_ROOT(test_too_few_descriptors),
        cmocka_unit_test(test_golden_sharded),
        cmocka_unit_test(test_golden_kinds),
        cmocka_unit_test(test_golden_refused),
    };
    setenv("HF_HUB_CACHE", "/nowhere", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
