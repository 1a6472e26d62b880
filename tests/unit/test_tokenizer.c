/* test_tokenizer.c -- vocabularies in the forms they come in, hostile ones too; and the lists of added
 * tokens spliced: what stays, stays byte for byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"
#include "unit/read_help.h"

static struct ldl_vocab v;
static enum ldl_vocab_kind kind;

static void expect_token(const char *text, size_t len, uint32_t id, int ordinary, int added,
                         unsigned flags)
{
    const struct ldl_token *t = ldl_vocab_find(&v, text, len);
    if (!t)
        fail_msg("no token '%s'", text);
    assert_int_equal(t->id, id);
    assert_int_equal(t->ordinary, ordinary);
    assert_int_equal(t->added, added);
    assert_int_equal(t->flags, flags);
}

static void reads_bpe(void **state)
{
    (void)state;
    save("tokenizer.json",
         "{\"added_tokens\": [{\"id\": 2, \"content\": \"<s>\", \"special\": true, \"lstrip\": "
         "true},"
         " {\"id\": 7, \"content\": \"c\\u0000d\", \"normalized\": true, \"x\": [1]}],"
         " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"<s>\": 2, \"\": 3, "
         "\"a\": 4},"
         " \"merges\": [\"a b\"]}, \"x\": null}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_READ);
    assert_int_equal(v.n, 5);
    assert_int_equal(v.size, 8);
    expect_token("a", 1, 4, 1, 0, 0); /* of equal keys the last */
    expect_token("<s>", 3, 2, 1, 1, LDL_TOKEN_SPECIAL | LDL_TOKEN_LSTRIP);
    expect_token("c\0d", 3, 7, 0, 1, LDL_TOKEN_NORMALIZED);
    expect_token("", 0, 3, 1, 0, 0);
    assert_null(ldl_vocab_find(&v, "c", 1));
    for (size_t i = 1; i < v.n; i++)
        assert_true(v.by_id[i - 1]->id < v.by_id[i]->id);
    ldl_vocab_free(&v);
}

static void reads_unigram(void **state)
{
    (void)state;
    save("tokenizer.json",
         "{\"model\": {\"vocab\": [[\"<unk>\", 0.0], [\"x\", -1.5], [\"y\", -2]]}}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(v.n, 3);
    expect_token("y", 1, 2, 1, 0, 0);
    ldl_vocab_free(&v);
}

static void reads_two_files(void **state)
{
    (void)state;
    save("added_tokens.json", "{\"<new>\": 2}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_NONE);
    save("vocab.json", "{\"a\": 0, \"b\": 1}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_READ);
    assert_int_equal(v.n, 3);
    expect_token("<new>", 5, 2, 0, 1, LDL_TOKEN_NORMALIZED);
    ldl_vocab_free(&v);
    remove(at("vocab.json"));
    save("tokenizer.model", "IQ== 0\n");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_UNREAD);
    ldl_vocab_free(&v);
}

/* A field of bytes, shorter than 128. */
#define PIECE(n, text_n, text) "\x0a" n "\x0a" text_n text

static void reads_pieces(void **state)
{
    (void)state;
    save("tokenizer.model",
         PIECE("\x09", "\x05", "<unk>") "\x18\x02" PIECE("\x03", "\x01", "a")
             PIECE("\x05", "\x01", "b") "\x18\x04"
                                        "\x12\x03\x18\x05\x20"
                                        "\x1d"
                                        "abcd"
                                        "\x21"
                                        "abcdefgh"
                                        "\x28\xff\xff\x03" PIECE("\x03", "\x01", "c"));
    save("tokenizer_config.json",
         "{\"tokenizer_class\": \"T5Tokenizer\", \"added_tokens_decoder\": "
         "{\"4\": {\"content\": \"<x>\", \"id\": \"no number\", "
         "\"special\": true}, \"9\": {\"content\": \"c\"}}}");
    save("added_tokens.json", "{\"not read\": 4}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_READ);
    assert_true(v.slow);
    assert_int_equal(v.n, 5);
    assert_int_equal(v.size, 10);
    expect_token("<unk>", 5, 0, 1, 1, LDL_TOKEN_SPECIAL);
    expect_token("a", 1, 1, 1, 0, 0);
    expect_token("b", 1, 2, 1, 1, 0);
    expect_token("<x>", 3, 4, 0, 1, LDL_TOKEN_SPECIAL);
    expect_token("c", 1, 9, 1, 1, 0); /* the list's number, not the piece's */
    ldl_vocab_free(&v);
    save("tokenizer_config.json", "{\"tokenizer_class\": \"T5Tokenizer\"}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(kind, LDL_VOCAB_UNREAD);
    assert_null(v.token);
}

static void reads_lines(void **state)
{
    (void)state;
    save("vocab.txt", "[PAD]\n\na b\r\nc\rd");
    save("added_tokens.json", "{\"<1>\": 5, \"<2>\": 6}");
    save("special_tokens_map.json", "{\"x\": [{\"content\": \"<2>\"}, 3], \"y\": \"c\"}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    assert_int_equal(v.n, 7);
    expect_token("", 0, 1, 1, 0, 0);
    expect_token("a b", 3, 2, 1, 0, 0);
    expect_token("c", 1, 3, 1, 0, 0);
    expect_token("d", 1, 4, 1, 0, 0);
    expect_token("<1>", 3, 5, 0, 1, LDL_TOKEN_NORMALIZED);
    expect_token("<2>", 3, 6, 0, 1, LDL_TOKEN_SPECIAL);
    ldl_vocab_free(&v);
}

/* Texts that are not those of the folder. */
static void reads_edited(void **state)
{
    (void)state;
    struct ldl_edited e[] = { { "vocab.json", { 0 } }, { "added_tokens.json", { 0 } } };
    save("vocab.json", "{\"a\": 0}");
    save("added_tokens.json", "{\"b\": 1}");
    ldl_buf_puts(&e[0].text, "{\"c\": 0}");
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ root, e, 2 }, &kind, &err));
    assert_int_equal(v.n, 2);
    expect_token("c", 1, 0, 1, 0, 0);
    expect_token("b", 1, 1, 0, 1, LDL_TOKEN_NORMALIZED);
    ldl_vocab_free(&v);
    ldl_buf_free(&e[0].text);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "", ":1:1: expected an object" },
        { "[]", ":1:1: expected an object" },
        { "{}", "without model.vocab" },
        { "{\"model\": {\"vocab\": 3}}", "without model.vocab" },
        { "{\"model\": {\"vocab\": {\"a\": -1}}}", "tokenizer.json:1:27: expected a whole number" },
        { "{\"model\": {\"vocab\": {\"a\": 4194304}}}", "at most" },
        { "{\"model\": {\"vocab\": {\"a\": 99999999999999999999}}}", "64 bits" },
        { "{\"model\": {\"vocab\": {\"a\": \"0\"}}}", "expected a whole number" },
        { "{\"model\": {\"vocab\": [[]]}}", "a token and its score" },
        { "{\"model\": {\"vocab\": [[1, 2]]}}", "expected a string" },
        { "{\"model\": {\"vocab\": [[\"a\", 1], ]}}", "expected" },
        { "{\"model\": {\"vocab\": [[\"a\" 1]]}}", "','" },
        { "{\"model\": {\"vocab\": {\"a\": 0", "" },
        { "{\"model\": {\"vocab\": {\"a\": 0}}} x", "end of the text" },
        { "{\"added_tokens\": [{\"id\": 1}], \"model\": {\"vocab\": {}}}",
          "without id or content" },
        { "{\"added_tokens\": [{\"id\": 1, \"content\": 1}]}", "expected a string" },
        { "{\"added_tokens\": [3]}", "expected an object" },
    };
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        save("tokenizer.json", bad[i][0]);
        expect_error(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err),
                     LDL_EINPUT, bad[i][1]);
        assert_null(v.token);
        assert_null(v.text.text);
    }
}

static void reads_sizes(void **state)
{
    (void)state;
    uint64_t size;
    const struct ldl_files files = { .dir = root };
    expect_ok(ldl_vocab_config_size(&files, &size, &err));
    assert_true(size == UINT64_MAX);
    save("config.json", "{\"text_config\": {\"vocab_size\": 7}, \"vocab_size\": null}");
    expect_ok(ldl_vocab_config_size(&files, &size, &err));
    assert_int_equal(size, 7);
    save("config.json",
         "{\"vision_config\": {\"vocab_size\": 8}, \"llm_config\": {\"vocab_size\": 6}}");
    expect_ok(ldl_vocab_config_size(&files, &size, &err));
    assert_int_equal(size, 6);
    save("config.json", "{\"vocab_size\": 9, \"text_config\": {\"vocab_size\": 7}}");
    expect_ok(ldl_vocab_config_size(&files, &size, &err));
    assert_int_equal(size, 9);
}

/* ---- editing ---- */

static void expect_edit(enum ldl_tokenizer_file file, const char *from, uint64_t limit, size_t n,
                        const char *expected)
{
    static const struct ldl_token add[] = {
        { .text = "<\"x\">", .len = 5, .id = 5, .flags = LDL_TOKEN_SPECIAL },
        { .text = "y", .len = 1, .id = 6, .flags = LDL_TOKEN_NORMALIZED | LDL_TOKEN_RSTRIP },
    };
    struct ldl_buf text = { 0 }, out = { 0 };
    int changed;
    ldl_buf_puts(&text, from);
    expect_ok(ldl_tokenizer_edit(file, &text, "t.json", add, n, limit, NULL, &out, &changed, &err));
    assert_int_equal(changed, strcmp(from, expected) != 0);
    assert_string_equal(out.text, expected);
    ldl_buf_free(&text);
    ldl_buf_free(&out);
}

static void splices(void **state)
{
    (void)state;
    expect_edit(
        LDL_TOKENIZER_JSON,
        "{ \"a\":1,\n  \"added_tokens\": [\n    {\"id\": 4, \"content\": \"q\"}\n  ],\n \"z\": "
        "1e999}\n",
        UINT64_MAX, 1,
        "{ \"a\":1,\n  \"added_tokens\": [\n    {\"id\": 4, \"content\": \"q\"},\n    {\n"
        "      \"id\": 5,\n      \"content\": \"<\\\"x\\\">\",\n      \"single_word\": false,\n"
        "      \"lstrip\": false,\n      \"rstrip\": false,\n      \"normalized\": false,\n"
        "      \"special\": true\n    }\n  ],\n \"z\": 1e999}\n");
    expect_edit(LDL_TOKENIZER_JSON, "{\"added_tokens\":[{\"id\":4},{\"id\":9}, {\"id\":1}]}", 4, 0,
                "{\"added_tokens\":[ {\"id\":1}]}");
    expect_edit(
        LDL_TOKENIZER_JSON, "{\"added_tokens\":[]}", 4, 2,
        "{\"added_tokens\":[{\"id\": 5, \"content\": \"<\\\"x\\\">\", \"single_word\": false, "
        "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}, "
        "{\"id\": 6, \"content\": \"y\", \"single_word\": false, \"lstrip\": false, "
        "\"rstrip\": true, \"normalized\": true, \"special\": false}]}");
    expect_edit(
        LDL_TOKENIZER_CONFIG,
        "{\"added_tokens_decoder\": {\"7\": {\"content\": \"b\"},\"x\":1,\"0\":2}, \"b\": 1}", 5, 1,
        "{\"added_tokens_decoder\": {\"x\":1,\"0\":2, \"5\": {\"content\": \"<\\\"x\\\">\", "
        "\"lstrip\": false, \"normalized\": false, \"rstrip\": false, \"single_word\": false, "
        "\"special\": true}}, \"b\": 1}");
    expect_edit(LDL_TOKENIZER_CONFIG, "{\"b\": [1, 2]} ", 5, 2, "{\"b\": [1, 2]} ");
    expect_edit(LDL_TOKENIZER_ADDED, "{\n  \"a\": 4,\n  \"b\": 5\n}\n", 5, 2,
                "{\n  \"a\": 4,\n  \"<\\\"x\\\">\": 5,\n  \"y\": 6\n}\n");
}

static void makes_lists(void **state)
{
    (void)state;
    static const struct ldl_token add[] = {
        { .text = "<\"x\">", .len = 5, .id = 5, .flags = LDL_TOKEN_SPECIAL },
        { .text = "y", .len = 1, .id = 6 },
    };
    struct ldl_buf out = { 0 };
    ldl_tokenizer_list(LDL_TOKENIZER_ADDED, add, 2, &out);
    assert_string_equal(out.text, "{\n  \"<\\\"x\\\">\": 5,\n  \"y\": 6\n}");
    ldl_buf_reset(&out);
    ldl_tokenizer_list(LDL_TOKENIZER_CONFIG, add, 1, &out);
    assert_string_equal(out.text,
                        "{\n    \"5\": {\n      \"content\": \"<\\\"x\\\">\",\n      "
                        "\"lstrip\": false,\n      \"normalized\": false,\n      \"rstrip\": "
                        "false,\n      \"single_word\": false,\n      \"special\": true\n    "
                        "}\n  }");
    ldl_buf_reset(&out);
    ldl_tokenizer_list(LDL_TOKENIZER_ADDED, add, 0, &out);
    assert_string_equal(out.text, "{}");
    ldl_buf_free(&out);
}

static void cuts(void **state)
{
    (void)state;
    static const char from[] =
        "{\"added_tokens\": [{\"id\": 5, \"content\": \"<s>\"}],\n \"model\": {\"type\": "
        "\"BPE\",\n  "
        "\"vocab\": {\n   \"a\": 0,\n   \"ab\": 3,\n   \"b\": 1,\n   \"abb\": 4,\n   \"bb\": 2\n  "
        "},"
        "\n  \"merges\": [\"a b\", [\"b\", \"b\"],\n  \"ab b\"]}, \"z\": 1e999}";
    static const char to[] =
        "{\"added_tokens\": [],\n \"model\": {\"type\": \"BPE\",\n  \"vocab\": {\n   \"a\": 0,\n   "
        "\"b\": 1,\n   \"bb\": 2\n  },\n  \"merges\": [ [\"b\", \"b\"]]}, \"z\": 1e999}";
    struct ldl_buf text = { 0 }, out = { 0 };
    int changed;
    save("tokenizer.json", from);
    expect_ok(ldl_vocab_read(&v, &(struct ldl_files){ .dir = root }, &kind, &err));
    ldl_buf_puts(&text, from);
    expect_ok(ldl_tokenizer_edit(LDL_TOKENIZER_JSON, &text, "t.json", NULL, 0, 3, &v, &out,
                                 &changed, &err));
    assert_string_equal(out.text, to);
    static const char *const bad[] = { "{\"vocab\": [[\"a\", 0]]}",
                                       "{\"vocab\": {}, \"merges\": [\"a\"]}",
                                       "{\"vocab\": {}, \"merges\": [\"a b c\"]}",
                                       "{\"vocab\": {}, \"merges\": [[\"a\"]]}",
                                       "{\"vocab\": {}, \"merges\": [[\"a\", \"b\", \"c\"]]}",
                                       "{\"vocab\": {}, \"merges\": [1]}",
                                       "{\"vocab\": {}, \"merges\": [[]]}",
                                       "{\"vocab\": {}, \"continuing_subword_prefix\": \"##\"}" };
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        ldl_buf_reset(&text);
        ldl_buf_printf(&text, "{\"added_tokens\": [], \"model\": %s}", bad[i]);
        expect_error(ldl_tokenizer_edit(LDL_TOKENIZER_JSON, &text, "t.json", NULL, 0, 3, &v, &out,
                                        &changed, &err),
                     LDL_EINPUT, "t.json:1:");
    }
    ldl_vocab_free(&v);
    ldl_buf_free(&text);
    ldl_buf_free(&out);
}

static void refuses_to_edit(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "[]",
                                       "{\"added_tokens\": [{]}",
                                       "{\"added_tokens\": [1 2]}",
                                       "{\"added_tokens\": [",
                                       "{\"added_tokens\": [1,",
                                       "{\"added_tokens\": []} x",
                                       "{\"added_tokens\": {}}",
                                       "{}" };
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        struct ldl_buf text = { 0 }, out = { 0 };
        int changed;
        ldl_buf_puts(&text, bad[i]);
        expect_error(ldl_tokenizer_edit(LDL_TOKENIZER_JSON, &text, "t.json", NULL, 0, 9, NULL, &out,
                                        &changed, &err),
                     LDL_EINPUT, "t.json:1:");
        ldl_buf_free(&text);
        ldl_buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_ROOT(reads_bpe),
                                        WITH_ROOT(reads_unigram),
                                        WITH_ROOT(reads_two_files),
                                        WITH_ROOT(reads_pieces),
                                        WITH_ROOT(reads_lines),
                                        WITH_ROOT(reads_edited),
                                        WITH_ROOT(refuses),
                                        WITH_ROOT(reads_sizes),
                                        cmocka_unit_test(splices),
                                        cmocka_unit_test(makes_lists),
                                        WITH_ROOT(cuts),
                                        cmocka_unit_test(refuses_to_edit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
