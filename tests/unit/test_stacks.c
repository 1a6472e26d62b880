/* test_stacks.c -- towers and stacks of layers found in names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/stacks.h"
#include "unit/read_help.h"

enum { MOST = 16 };

static void test_towers(void **state)
{
    static const struct {
        const char *name;
        enum ldl_tower tower;
        int text;
    } rows[] = {
        { "model.layers.0.mlp.up_proj.weight", LDL_TOWER_TEXT, 0 },
        { "language_model.model.layers.0.w", LDL_TOWER_TEXT, 1 },
        { "model.layers.0.vision_expert.w", LDL_TOWER_TEXT, 0 }, /* after the number */
        { "visual.blocks.0.attn.proj.weight", LDL_TOWER_VISION, 0 },
        { "visual.merger.mlp.0.weight", LDL_TOWER_PROJECTOR, 0 },
        { "multi_modal_projector.linear_1.weight", LDL_TOWER_PROJECTOR, 0 },
        { "model.image_newline", LDL_TOWER_VISION, 0 },
        { "thinker.audio_tower.layers.0.w", LDL_TOWER_AUDIO, 0 },
        { "vit.encoder.layer.0.w", LDL_TOWER_VISION, 0 },
        { "gravity.w", LDL_TOWER_TEXT, 0 },
        { "text_config", LDL_TOWER_TEXT, 1 },
        { "llm_config", LDL_TOWER_TEXT, 1 },
        { "vision_config", LDL_TOWER_VISION, 0 },
        { "mlp1.0.weight", LDL_TOWER_PROJECTOR, 0 },
        { "", LDL_TOWER_TEXT, 0 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        assert_int_equal(ldl_tower_of(rows[i].name), rows[i].tower);
        assert_int_equal(ldl_tower_says_text(rows[i].name), rows[i].text);
    }
}

static void test_parts(void **state)
{
    (void)state;
    assert_int_equal(ldl_name_has("encoder.block.0.w", "encoder"), 1);
    assert_int_equal(ldl_name_has("model.encoder.layers.0.w", "encoder"), 2);
    assert_int_equal(ldl_name_has("model.encoder.layers.0.w", "encoder.layers"), 2);
    assert_int_equal(ldl_name_has("model.layers.0.encoder.w", "encoder"), 0);
    assert_int_equal(ldl_name_has("model.encoders.w", "encoder"), 0);
    assert_int_equal(ldl_name_has("shared", "shared"), 1);
    assert_int_equal(ldl_name_has("shared", ""), 0);
    assert_int_equal(ldl_name_has("", "x"), 0);
}

/* Each row: names, ended by NULL; then the stack that slices are of, and how many there are. */
static const struct {
    const char *name[MOST], *main;
    size_t n;
    uint64_t layers;
} models[] = {
    { { "model.layers.0.w", "model.layers.1.w", "model.norm.w" }, "model.layers", 1, 2 },
    { { "model.layers.0.w", "visual.blocks.0.w", "visual.merger.mlp.0.w" }, "model.layers", 3, 1 },
    { { "encoder.block.0.w", "encoder.block.1.w", "decoder.block.0.w" }, "decoder.block", 2, 1 },
    { { "w.encoder.layers.0.w", "w.extractor.conv_layers.0.w" }, "w.encoder.layers", 2, 1 },
    { { "model.layers.0.w", "mtp.layers.0.w" }, "model.layers", 2, 1 },
    { { "visual.blocks.0.w", "visual.blocks.1.w" }, "visual.blocks", 1, 2 },
    { { "h.0.w", "classifier.0.w", "classifier.3.w" }, "h", 2, 1 },
    { { "model.layers.0.w", "model.altup.0.w", "model.altup.1.w" }, "model.layers", 2, 1 },
    { { "layers.3.w", "layers.10.w" }, "layers", 1, 11 }, /* with holes, but alone */
    { { "a.0.w", "a.b.0.w", "a.0b.1.w", "a.1.w" }, NULL, 3, 0 },
    { { "down_blocks.0.w", "up_blocks.0.w", "mid_block.attentions.0.w" }, NULL, 3, 0 },
    { { "x.w", "y.w" }, NULL, 0, 0 },
    { { NULL }, NULL, 0, 0 },
};

static void test_main(void **state)
{
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(models); i++) {
        struct ldl_view view[MOST] = { { 0 } }, *by_name[MOST];
        struct ldl_model m = { .view = view, .by_name = by_name };
        struct ldl_stacks s;
        struct ldl_layer layer;
        for (; models[i].name[m.nviews]; m.nviews++) {
            view[m.nviews].name = models[i].name[m.nviews];
            by_name[m.nviews] = &view[m.nviews];
        }
        expect_ok(ldl_stacks_read(&s, &m, NULL, &err));
        assert_int_equal(s.n, models[i].n);
        const struct ldl_stack *found = ldl_stacks_main(&s);
        assert_int_equal(found != NULL, models[i].main != NULL);
        if (found) {
            assert_int_equal(found->len, strlen(models[i].main));
            assert_memory_equal(found->name, models[i].main, found->len);
            assert_int_equal(found->layers, models[i].layers);
        }
        for (size_t t = 0; t < m.nviews; t++) {
            const struct ldl_stack *of = ldl_stacks_find(&s, view[t].name, &layer);
            assert_int_equal(of != NULL, ldl_layer_of(view[t].name, &layer));
            if (of)
                assert_true(ldl_stack_has(of, view[t].name, &layer));
        }
        ldl_stacks_free(&s);
    }
}

static void test_words(void **state)
{
    const struct ldl_stack s = { .name = "a.single_blocks.0.w", .len = 15 };
    (void)state;
    assert_true(ldl_stack_says(&s, "a"));
    assert_true(ldl_stack_says(&s, "single_blocks"));
    assert_false(ldl_stack_says(&s, "single"));
    assert_false(ldl_stack_says(&s, "0"));
    assert_true(ldl_stack_has_word(&s, "single", 6));
    assert_true(ldl_stack_has_word(&s, "blocks", 6));
    assert_false(ldl_stack_has_word(&s, "block", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_towers),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_main),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
