/* test_tied.c -- heads that are embeddings: dropped, supplied, or left alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tied.h"
#include "unit/read_help.h"

static struct ldl_err err;
static struct ldl_file file;

static struct ldl_stored stored(const char *name, uint64_t offset, uint64_t rows)
{
    return (struct ldl_stored){ .name = (char *)name,
                                .dtype = LDL_F32,
                                .ndim = 2,
                                .dim = { rows, 2 },
                                .n = 2 * rows,
                                .offset = offset,
                                .bytes = 8 * rows };
}

/* A model of these n tensors. */
static struct ldl_model model(const struct ldl_stored *t, size_t n, int has_config, int tied)
{
    struct ldl_model m = { .has_config = has_config, .tied = tied };
    m.view = ldl_calloc(n, sizeof *m.view);
    m.by_name = ldl_calloc(n, sizeof *m.by_name);
    assert_true(m.view && m.by_name);
    m.nviews = n;
    unsigned char keep[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    for (size_t i = 0; i < n; i++)
        ldl_view_stored(&m.view[i], &file, &t[i]);
    ldl_model_filter(&m, keep); /* sorts the names */
    return m;
}

static void test_dropped(void **state)
{
    static const struct {
        uint64_t offset, rows;
        int has_config, tied;
        size_t left;
    } rows[] = {
        { 0, 5, 1, 1, 2 },  { 0, 5, 1, -1, 2 }, { 0, 5, 1, 0, 3 },
        { 0, 5, 0, -1, 3 }, { 40, 5, 1, 1, 3 }, { 0, 4, 1, 1, 3 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        const struct ldl_stored t[] = {
            stored("lm_head.weight", rows[i].offset, rows[i].rows),
            stored("model.embed_tokens.weight", 0, 5),
            stored("model.norm.weight", 0, 5), /* shares bytes too, and stays */
        };
        struct ldl_model m = model(t, 3, rows[i].has_config, rows[i].tied);
        expect_ok(ldl_model_drop_tied(&m, &err));
        assert_int_equal(m.nviews, rows[i].left);
        assert_non_null(ldl_model_find(&m, "model.embed_tokens.weight"));
        assert_non_null(ldl_model_find(&m, "model.norm.weight"));
        assert_int_equal(ldl_model_find(&m, "lm_head.weight") != NULL, rows[i].left == 3);
        ldl_model_close(&m);
    }
}

static void test_supplied(void **state)
{
    const struct ldl_stored with[] = { stored("lm_head.weight", 100, 5),
                                       stored("model.embed_tokens.weight", 0, 5) };
    const struct ldl_stored two[] = { stored("decoder.embed_tokens.weight", 0, 5),
                                      stored("encoder.embed_tokens.weight", 40, 5),
                                      stored("shared.weight", 80, 5) };
    (void)state;
    for (int tied = -1; tied <= 1; tied++) {
        struct ldl_model m[2] = { model(with, 2, 1, 0), model(with + 1, 1, 1, tied) };
        expect_ok(ldl_models_tie(m, 2, &err));
        assert_int_equal(m[0].nviews, 2);
        assert_int_equal(m[1].nviews, tied ? 2 : 1);
        const struct ldl_view *head = ldl_model_find(&m[1], "lm_head.weight");
        assert_int_equal(head != NULL, tied != 0);
        if (head)
            assert_ptr_equal(head->stored, &with[1]);
        ldl_model_close(&m[0]);
        ldl_model_close(&m[1]);
    }
    struct ldl_model m[2] = { model(with, 1, 1, 0), model(two, 3, 1, 1) };
    expect_ok(ldl_models_tie(m, 2, &err)); /* the common matrix is meant */
    assert_ptr_equal(ldl_model_find(&m[1], "lm_head.weight")->stored, &two[2]);
    ldl_model_close(&m[1]);
    m[1] = model(two, 2, 1, 1);
    expect_ok(ldl_models_tie(m, 2, &err)); /* either could be */
    assert_null(ldl_model_find(&m[1], "lm_head.weight"));
    ldl_model_close(&m[0]);
    ldl_model_close(&m[1]);
}

/* As transformers' and torch.save's forms of an encoder-decoder and of a head with a bias. */
static void test_parts(void **state)
{
    const struct ldl_stored t[] = {
        stored("decoder.embed_tokens.weight", 0, 5),
        stored("encoder.embed_tokens.weight", 0, 5),
        stored("lm_head.decoder.weight", 0, 5),
        stored("shared.weight", 0, 5),
        stored("model.decoder.embed_tokens.weight", 80, 5),
    };
    (void)state;
    struct ldl_model m = model(t, 4, 1, 1);
    expect_ok(ldl_model_drop_tied(&m, &err));
    assert_int_equal(m.nviews, 1);
    assert_non_null(ldl_model_find(&m, "shared.weight"));
    ldl_model_close(&m);
    m = model(t + 4, 1, 1, 1); /* itself an embedding, of nothing else */
    expect_ok(ldl_model_drop_tied(&m, &err));
    assert_int_equal(m.nviews, 1);
    ldl_model_close(&m);
}

/* One model tells by its bytes what the other's one name stands for. */
static void test_twins(void **state)
{
    const struct ldl_stored both[] = { stored("a.bias", 200, 3), stored("b.bias", 200, 3),
                                       stored("c.bias", 0, 3) };
    const struct ldl_stored one = stored("b.bias", 400, 3), other = stored("b.bias", 400, 4);
    (void)state;
    struct ldl_model m[2] = { model(&one, 1, 1, 0), model(both, 3, 1, 0) };
    expect_ok(ldl_models_tie(m, 2, &err));
    assert_int_equal(m[0].nviews, 2); /* nothing tells what c would be */
    assert_int_equal(m[1].nviews, 3);
    assert_ptr_equal(ldl_model_find(&m[0], "a.bias")->stored, &one);
    ldl_model_close(&m[0]);
    m[0] = model(&other, 1, 1, 0);
    expect_ok(ldl_models_tie(m, 2, &err));
    assert_int_equal(m[0].nviews, 1);
    ldl_model_close(&m[0]);
    ldl_model_close(&m[1]);
}

static void test_config(void **state)
{
    static const struct {
        const char *json;
        int tied;
    } rows[] = {
        { "{}", -1 },
        { "{\"tie_word_embeddings\": true}", 1 },
        { "{\"tie_word_embeddings\": false, \"x\": NaN}", 0 },
        { "{\"tie_word_embeddings\": null}", -1 },
        { "{\"text_config\": {\"tie_word_embeddings\": false}}", 0 },
        { "{\"text_config\": {\"tie_word_embeddings\": false}, \"tie_word_embeddings\": true}", 1 },
        { "{\"vision\": {\"tie_word_embeddings\": true}}", -1 },
    };
    int tied;
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(ldl_config_get_tied(rows[i].json, strlen(rows[i].json), "c", &tied, &err));
        assert_int_equal(tied, rows[i].tied);
    }
    expect_error(ldl_config_get_tied("{\"a\": }", 7, "c", &tied, &err), LDL_EINPUT, "c:1:7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_supplied),
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_twins),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
