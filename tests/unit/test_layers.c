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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
