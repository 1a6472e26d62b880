/* test_layers.c -- layers found in names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layers.h"
#include "unit/read_help.h"

static void test_names(void **state)
{
    static const struct {
        const char *name;
        int number; /* -1: of no layer */
    } rows[] = {
        { "model.layers.12.mlp.up_proj.weight", 12 },
        { "transformer.h.0.attn.c_attn.bias", 0 },
        { "layers.007.w", 7 },
        { "block_sparse.experts.3.w1", 3 },
        { "model.layers.3.mlp.experts.11.w1.weight", 3 },
        { "model.norm.weight", -1 },
        { "lm_head.weight", -1 },
        { "layer.12", -1 },  /* the number is the tensor's own name */
        { "12.weight", -1 }, /* and here there is nothing before it */
        { "a.1b.w", -1 },
        { "a.99999999999.w", -1 },
        { "", -1 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        struct ldl_layer layer;
        int found = ldl_layer_of(rows[i].name, &layer);
        assert_int_equal(found, rows[i].number >= 0);
        if (found) {
            assert_int_equal(layer.number, rows[i].number);
            assert_int_equal(strtoul(rows[i].name + layer.at, NULL, 10), layer.number);
            assert_int_equal(rows[i].name[layer.at + layer.len], '.');
        }
    }
}

static void test_before(void **state)
{
    (void)state;
    assert_true(ldl_layer_is_before("model.embed_tokens.weight"));
    assert_true(ldl_layer_is_before("transformer.wte.weight"));
    assert_true(ldl_layer_is_before("transformer.wpe.weight"));
    assert_false(ldl_layer_is_before("embed_out.weight"));
    assert_false(ldl_layer_is_before("model.norm.weight"));
    assert_false(ldl_layer_is_before("lm_head.weight"));
}

static void test_stacks(void **state)
{
    static const char *const names[] = { "model.layers.0.up", "model.layers.2.up", "lm_head.weight",
                                         "model.layers.1.experts.7.up", "visual.blocks.4.up" };
    struct ldl_view view[LDL_COUNT(names)];
    struct ldl_model m = { .view = view };
    const char *two[2];
    (void)state;
    memset(view, 0, sizeof view);
    for (size_t i = 0; i < LDL_COUNT(names); i++)
        view[i].name = (char *)names[i];
    assert_false(ldl_layer_stacks(&m, two));
    m.nviews = 4;
    assert_false(ldl_layer_stacks(&m, two)); /* experts are no stack */
    assert_int_equal(ldl_layer_count(&m), 3);
    m.nviews = 5;
    assert_true(ldl_layer_stacks(&m, two));
    assert_string_equal(two[0], names[0]);
    assert_string_equal(two[1], names[4]);
    assert_int_equal(ldl_layer_count(&m), 5);
    assert_int_equal(ldl_layer_count_in(&m, names[0], strlen("model.layers.")), 3);
    assert_int_equal(ldl_layer_count_in(&m, names[4], strlen("visual.blocks.")), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_before),
        cmocka_unit_test(test_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
