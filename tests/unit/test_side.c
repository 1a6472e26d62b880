/* test_side.c -- the allow-list, the walk over a model's folder, and links that lead out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "unit/read_help.h"

static void test_allowed(void **state)
{
    static const char *const yes[] = {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "modules.json",
        "1_Pooling/config.json",
        "a/b/c/d/config.json",
        "tokenizer.model",
        "spiece.model",
        "qwen.tiktoken",
        "merges.txt",
        "vocab.txt",
        "chat_template.jinja",
        "modeling_x.py",
        "LICENSE",
        "LICENSE.md",
        "NOTICE",
        "x.vocab",
        "x.spm",
        "x.bpe",
        "preprocessor_config.json",
    };
    static const char *const no[] = {
        "",
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "model_state.pdparams",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "x.gguf",
        "x.ckpt",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
        "trainer_state.json",
        "training_args.json",
        "training_args.bin",
        "merge_config.json",
        "adapter_config.json",
        "lora_config.json",
        "all_results.json",
        "eval_results.json",
        "train_results.json",
        "optimizer.json",
        "scheduler.json",
        "requirements.txt",
        "README.md",
        ".gitattributes",
        ".config.json",
        ".git/config.json",
        ".cache/x.json",
        "checkpoint-500/config.json",
        "global_step10/x.json",
        "runs/x.json",
        "optimizer/x.json",
        "a/b/c/d/e/config.json",
        "a/.h/config.json",
        "/config.json",
        "a//config.json",
        "a/",
        "onnx/model.onnx",
        "LICENSE.safetensors",
        "NOTICE.bin",
        "tokenizer.JSON",
        "../config.json",
        "events.out.tfevents.1",
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(yes); i++)
        if (!ldl_side_allowed(yes[i]))
            fail_msg("'%s' should travel", yes[i]);
    for (size_t i = 0; i < LDL_COUNT(no); i++)
        if (ldl_side_allowed(no[i]))
            fail_msg("'%s' should stay", no[i]);
}

/* out: how many links lead out, which is said, since a model without them may not load. */
static void expect_list(const char *dir, const char *const *expected, size_t n, size_t out)
{
    struct ldl_names names, outside;
    expect_ok(ldl_side_list(dir, &names, &outside, &err));
    assert_int_equal(outside.n, out);
    ldl_names_free(&outside);
    for (size_t i = 0; i < n && i < names.n; i++)
        assert_string_equal(names.name[i], expected[i]);
    assert_int_equal(names.n, n);
    ldl_names_free(&names);
}

static void test_list(void **state)
{
    static const char *const expected[] = { "1_Pooling/config.json", "a/b/c/d/ok.json",
                                            "config.json", "in.json", "tokenizer.model" };
    (void)state;
    make_dirs("m/1_Pooling");
    make_dirs("m/a/b/c/d/e");
    make_dirs("m/.git");
    make_dirs("m/runs");
    make_dirs("m/checkpoint-1");
    make_dirs("m/dir.json");
    make_dirs("outside");
    save("m/config.json", "{}");
    save("m/tokenizer.model", "x");
    save("m/model.safetensors", "x");
    save("m/1_Pooling/config.json", "{}");
    save("m/a/b/c/d/ok.json", "{}");
    save("m/a/b/c/d/e/deep.json", "{}");
    save("m/.git/config.json", "{}");
    save("m/runs/x.json", "{}");
    save("m/checkpoint-1/config.json", "{}");
    save("outside/secret.json", "{}");
    save("m/huge.json", "");
    assert_int_equal(truncate(at("m/huge.json"), (off_t)(256 << 20) + 1), 0);
    assert_int_equal(mkfifo(at("m/pipe.json"), 0600), 0);
    assert_int_equal(symlink("config.json", at("m/in.json")), 0);
    assert_int_equal(symlink("../outside/secret.json", at("m/out.json")), 0);
    assert_int_equal(symlink(at("outside"), at("m/linked")), 0);
    assert_int_equal(symlink(".", at("m/circle")), 0);
    assert_int_equal(symlink("nowhere", at("m/broken.json")), 0);
    assert_int_equal(symlink("round.json", at("m/round.json")), 0);
    expect_list(at("m"), expected, LDL_COUNT(expected), 1);
    assert_int_equal(symlink("m", at("alias")), 0);
    expect_list(at("alias"), expected, LDL_COUNT(expected), 1);
    struct ldl_names names, outside;
    expect_error(ldl_side_list(at("absent"), &names, &outside, &err), LDL_EINPUT, "No such file");
    assert_null(names.name);
}

static void test_limit_of_size(void **state)
{
    static const char *const expected[] = { "large.json" };
    (void)state;
    make_dirs("m");
    save("m/large.json", "");
    assert_int_equal(truncate(at("m/large.json"), (off_t)(256 << 20)), 0);
    expect_list(at("m"), expected, 1, 0);
}

static void test_hugging_face(void **state)
{
    static const char *const expected[] = { "1_Pooling/config.json", "config.json" };
    const char *snapshot = "models--o--n/snapshots/abc";
    char path[200];
    (void)state;
    make_dirs("models--o--n/blobs");
    make_dirs("models--o--other/blobs");
    make_dirs("models--o--n/snapshots/abc/1_Pooling");
    save("models--o--n/blobs/11", "{}");
    save("models--o--other/blobs/22", "{}");
    save("models--o--n/secret", "{}");
    snprintf(path, sizeof path, "%s/config.json", snapshot);
    assert_int_equal(symlink("../../blobs/11", at(path)), 0);
    snprintf(path, sizeof path, "%s/1_Pooling/config.json", snapshot);
    assert_int_equal(symlink("../../../blobs/11", at(path)), 0);
    snprintf(path, sizeof path, "%s/other.json", snapshot);
    assert_int_equal(symlink("../../../models--o--other/blobs/22", at(path)), 0);
    snprintf(path, sizeof path, "%s/secret.json", snapshot);
    assert_int_equal(symlink("../../secret", at(path)), 0);
    expect_list(at(snapshot), expected, 2, 2);
    assert_int_equal(ldl_side_check(at(snapshot), "config.json", &err), 1);
    expect_error(-ldl_side_check(at(snapshot), "other.json", &err), LDL_EINPUT, "leads out");
    expect_error(-ldl_side_check(at(snapshot), "secret.json", &err), LDL_EINPUT, "leads out");
}

/* The exception is for the cache's own layout only. */
static void test_blobs_elsewhere(void **state)
{
    (void)state;
    make_dirs("repo/blobs");
    make_dirs("repo/snapshots/abc");
    save("repo/blobs/11", "{}");
    assert_int_equal(symlink("../../blobs/11", at("repo/snapshots/abc/config.json")), 0);
    expect_list(at("repo/snapshots/abc"), NULL, 0, 1);
}

static void test_check(void **state)
{
    static const char *const refused[] = { "", "/etc/passwd", "../x", "a/../../x", "a/..", ".." };
    (void)state;
    make_dirs("m/sub");
    make_dirs("mm");
    save("mm/x", "x");
    save("m/any.thing", "x");
    save("m/sub/x", "x");
    assert_int_equal(symlink("../mm/x", at("m/sibling")), 0); /* "m" is a prefix of "mm" */
    assert_int_equal(ldl_side_check(at("m"), "any.thing", &err), 1);
    assert_int_equal(ldl_side_check(at("m"), "sub/x", &err), 1);
    assert_int_equal(ldl_side_check(at("m"), "absent", &err), 0);
    assert_int_equal(ldl_side_check(at("m"), "any.thing/x", &err), 0);
    assert_int_equal(ldl_side_check(at("m"), "..x", &err), 0);
    for (size_t i = 0; i < LDL_COUNT(refused); i++)
        expect_error(-ldl_side_check(at("m"), refused[i], &err), LDL_EUSAGE,
                     "named by its path inside the model");
    expect_error(-ldl_side_check(at("m"), "sub", &err), LDL_EINPUT, "sub: is not a file");
    expect_error(-ldl_side_check(at("m"), "sibling", &err), LDL_EINPUT,
                 "is a link that leads out of the model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),  WITH_ROOT(test_list),
        WITH_ROOT(test_limit_of_size),   WITH_ROOT(test_hugging_face),
        WITH_ROOT(test_blobs_elsewhere), WITH_ROOT(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
