/* test_fp8.c -- weights of 8 bits joined with their scales, by every form of scales; and what the
 * writer of FP8 needs. Weights are the codes 0, 1, 2 ..., scale number i is i + 0.5. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fp8_out.h"
#include "unit/read_help.h"

#include <math.h>

struct tensor {
    const char *name, *dtype;
    int ndim;
    uint64_t dim[4];
};

static size_t elems(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= (size_t)t->dim[i];
    return n;
}

/* No NaN among them, so that all can be compared; every code but two comes. */
static unsigned char code(size_t i)
{
    unsigned char c = (unsigned char)(i * 7 % 251);
    return (c & 0x7f) == 0x7f ? 0x30 : c;
}

static void put_data(struct ldl_buf *b, const struct tensor *t, float nan_scale)
{
    for (size_t i = 0; i < elems(t); i++) {
        float f = i == 1 && nan_scale != 0 ? nan_scale : (float)i + 0.5f;
        uint32_t u;
        memcpy(&u, &f, 4);
        if (strncmp(t->dtype, "F8", 2) == 0 || strcmp(t->dtype, "U8") == 0)
            ldl_buf_put(b, &(unsigned char){ code(i) }, 1);
        else if (strcmp(t->dtype, "BF16") == 0)
            ldl_buf_put(b, &(uint16_t){ (uint16_t)(u >> 16) }, 2);
        else
            ldl_buf_put(b, &u, 4);
    }
}

static void save_tensors(const char *path, const struct tensor *t, size_t n, float nan_scale)
{
    struct ldl_buf h = { 0 }, d = { 0 }, all = { 0 };
    ldl_buf_puts(&h, "{");
    for (size_t i = 0; i < n; i++) {
        char shape[200];
        size_t from = d.len;
        put_data(&d, &t[i], nan_scale);
        ldl_buf_printf(&h, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                       i ? "," : "", t[i].name, t[i].dtype,
                       ldl_shape_text(shape, t[i].dim, t[i].ndim), from, d.len);
    }
    ldl_buf_puts(&h, "}");
    for (int i = 0; i < 8; i++)
        ldl_buf_put(&all, &(char){ (char)((uint64_t)h.len >> (8 * i)) }, 1);
    ldl_buf_put(&all, h.text, h.len);
    ldl_buf_put(&all, d.text, d.len);
    if (h.failed || d.failed || all.failed)
        abort();
    save_bytes(path, all.text, all.len);
    ldl_buf_free(&h);
    ldl_buf_free(&d);
    ldl_buf_free(&all);
}

static struct ldl_model model;

static int load(const struct tensor *t, size_t n, const char *config)
{
    make_dirs("m");
    save_tensors("m/model.safetensors", t, n, 0);
    if (config)
        save("m/config.json", config);
    else
        remove(at("m/config.json"));
    return ldl_model_open(&model, at("m"), NULL, &err);
}

/* Reads all of it in runs of `run` elements through a small window. */
static void read_runs(const struct ldl_view *v, const void *state, size_t run, float *out)
{
    static unsigned char window[3000];
    struct ldl_reader r = { .buf = window, .cap = sizeof window, .state = state };
    const struct ldl_kern *k = ldl_kern_all()[0];
    for (uint64_t at_elem = 0; at_elem < v->n; at_elem += run)
        expect_ok(ldl_view_read(v, k, at_elem, (size_t)LDL_MIN((uint64_t)run, v->n - at_elem),
                                out + at_elem, &r, &err));
}

/* Every element is code * scale, the scale being the one of its row and column by division. */
static void expect_values(const struct ldl_view *v, enum ldl_dtype type, size_t experts_step,
                          size_t row_block, size_t col_block, size_t grid_cols)
{
    const struct ldl_kern *k = ldl_kern_all()[0];
    size_t cols = v->ndim ? (size_t)v->dim[v->ndim - 1] : 1, n = (size_t)v->n;
    size_t rows = v->ndim > 1 ? (size_t)v->dim[v->ndim - 2] : 1;
    static const size_t runs[] = { 1, 7, 128, 300, 2048, 3000 };
    float *got = ldl_calloc(n, sizeof *got);
    void *state;
    assert_true(ldl_view_state_bytes(v) > 0);
    expect_ok(ldl_view_begin(v, k, &state, &err));
    for (size_t i = 0; i < LDL_COUNT(runs); i++) {
        if (n > 20000 && runs[i] < 100)
            continue;
        read_runs(v, state, runs[i], got);
        for (size_t e = 0; e < n; e++) {
            size_t row = e / cols % rows, col = e % cols;
            size_t scale =
                e / cols / rows * experts_step + row / row_block * grid_cols + col / col_block;
            unsigned char c = code(e);
            float q;
            k->decode[type](&q, &c, 1);
            float want = q * ((float)scale + 0.5f);
            if (memcmp(&want, &got[e], 4) != 0)
                fail_msg("%s: element %zu is %a, expected %a", v->name, e, (double)got[e],
                         (double)want);
        }
    }
    ldl_view_end(v, state);
    ldl_free(got);
}

#define W(type, ...)                                                                               \
    {                                                                                              \
        "l.weight", type, __VA_ARGS__                                                              \
    }
#define S(name, ...)                                                                               \
    {                                                                                              \
        "l.weight" name, "F32", __VA_ARGS__                                                        \
    }
#define ALL ((size_t)1 << 40)

static void test_forms(void **state)
{
    static const struct {
        struct tensor t[2];
        const char *config;
        size_t experts_step, row_block, col_block, grid_cols;
    } rows[] = {
        { { W("F8_E4M3", 2, { 200, 300 }), S("_scale_inv", 2, { 2, 3 }) }, NULL, 0, 128, 128, 3 },
        { { W("F8_E5M2", 2, { 200, 300 }), S("_scale", 2, { 2, 3 }) }, "{}", 0, 128, 128, 3 },
        { { W("F8_E4M3", 2, { 200, 300 }), S("_scale_inv", 2, { 7, 5 }) },
          "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[32,64]}}",
          0,
          32,
          64,
          5 },
        { { W("F8_E4M3", 2, { 256, 128 }), S("_scale_inv", 2, { 2, 1 }) }, NULL, 0, 128, 128, 1 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale_inv", 2, { 1, 1 }) }, NULL, 0, ALL, ALL, 1 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 0, { 0 }) }, NULL, 0, ALL, ALL, 1 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 1, { 1 }) }, NULL, 0, ALL, ALL, 1 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 1, { 10 }) }, NULL, 0, 1, ALL, 1 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 2, { 10, 1 }) }, NULL, 0, 1, ALL, 1 },
        { { W("F8_E4M3", 2, { 10, 300 }), S("_scale", 2, { 10, 3 }) }, NULL, 0, 1, 128, 3 },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 2, { 1, 30 }) }, NULL, 0, ALL, 1, 30 },
        { { W("F8_E4M3", 1, { 30 }), S("_scale", 1, { 1 }) }, NULL, 0, ALL, ALL, 1 },
        { { W("F8_E4M3", 0, { 0 }), S("_scale", 0, { 0 }) }, NULL, 0, ALL, ALL, 1 },
        { { W("F8_E4M3", 3, { 3, 130, 140 }), S("_scale_inv", 3, { 3, 2, 2 }) },
          NULL,
          4,
          128,
          128,
          2 },
        { { W("F8_E4M3", 3, { 3, 10, 14 }), S("_scale", 3, { 3, 10, 1 }) }, NULL, 10, 1, ALL, 1 },
        { { W("F8_E4M3", 3, { 3, 10, 14 }), S("_scale", 2, { 3, 10 }) }, NULL, 10, 1, ALL, 1 },
        { { W("F8_E4M3", 3, { 3, 10, 14 }), S("_scale", 1, { 3 }) }, NULL, 1, ALL, ALL, 1 },
        { { W("F8_E4M3", 3, { 3, 10, 14 }), S("_scale", 3, { 3, 1, 14 }) }, NULL, 14, ALL, 1, 14 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(load(rows[i].t, 2, rows[i].config));
        assert_int_equal(model.nviews, 1);
        assert_true(model.fp8);
        const struct ldl_view *v = ldl_model_find(&model, "l.weight");
        assert_ptr_equal(v, model.view);
        assert_int_equal(v->dtype, LDL_BF16);
        assert_int_equal(v->raw, 0);
        assert_null(v->ops->fetch);
        assert_true(ldl_fp8_is(v));
        assert_int_equal(model.bytes, v->n);
        expect_values(v, v->stored->dtype, rows[i].experts_step, rows[i].row_block,
                      rows[i].col_block, rows[i].grid_cols);
        ldl_model_close(&model);
    }
}

static void test_refused(void **state)
{
    static const struct {
        struct tensor t[3];
        const char *config, *error;
    } rows[] = {
        { { W("F8_E4M3", 2, { 200, 300 }), S("_scale_inv", 2, { 3, 2 }) },
          NULL,
          "the scales 'l.weight_scale_inv' [3, 2] do not fit 'l.weight' [200, 300]" },
        { { W("F8_E4M3", 2, { 200, 300 }), S("_scale_inv", 2, { 4, 5 }) },
          NULL,
          "blocks of 128 x 128" },
        { { W("F8_E4M3", 2, { 200, 300 }), S("_scale_inv", 2, { 2, 3 }) },
          "{\"quantization_config\":{\"weight_block_size\":[64,64]}}",
          "blocks of 64 x 64" },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 1, { 30 }) }, NULL, "do not fit" },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 3, { 10, 1, 1 }) }, NULL, "do not fit" },
        { { W("F8_E4M3", 2, { 10, 30 }), S("_scale", 1, { 0 }) }, NULL, "do not fit" },
        { { W("F8_E4M3", 3, { 3, 10, 30 }), S("_scale", 2, { 10, 1 }) }, NULL, "do not fit" },
        { { W("F8_E4M3", 2, { 2, 2 }), { "l.weight_scale", "I32", 0, { 0 } } },
          NULL,
          "'l.weight_scale' are int32" },
        { { W("F8_E4M3", 2, { 2, 2 }), S("_scale", 0, { 0 }), S("_scale_inv", 0, { 0 }) },
          NULL,
          "two scales, 'l.weight_scale_inv' and 'l.weight_scale'" },
        { { W("F8_E4M3", 2, { 2, 2 }), { "k.weight_scale", "F32", 0, { 0 } } },
          NULL,
          "'k.weight_scale' has no weight; 'k.weight' is missing" },
        { { { "l.weight_scale", "F8_E4M3", 2, { 2, 2 } }, { "l.weight", "U8", 2, { 2, 16 } } },
          NULL,
          "'l.weight_scale' stands beside 'l.weight', which is uint8 and not FP8" },
        { { W("F8_E4M3", 2, { 2, 2 }), { "l.scale_weight", "F32", 0, { 0 } } },
          NULL,
          "'l.scale_weight' stands beside 'l.weight'" },
        { { W("F8_E4M3", 2, { 2, 2 }), S("_scale", 0, { 0 }), S("_zero_point", 0, { 0 }) },
          NULL,
          "'l.weight_zero_point' stands beside 'l.weight'" },
        { { W("F8_E4M3", 2, { 2, 2 }), S("_scale", 0, { 0 }), { "k.weight", "F8_E5M2", 1, { 3 } } },
          "{\"quantization_config\":{\"quant_method\":\"fp8\"}}",
          "'k.weight' is float8_e5m2 but has no scales" },
        { { W("F8_E4M3", 2, { 2, 2 }), S("_scale", 0, { 0 }) },
          "{\"quantization_config\":{\"weight_block_size\":[0,1]}}",
          "config.json:1:" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        size_t n = rows[i].t[2].name ? 3 : 2;
        expect_error(load(rows[i].t, n, rows[i].config), LDL_EINPUT, rows[i].error);
        assert_null(model.view);
    }
}

/* The list of views: scales and those of activations are gone, the order stays, the rest is as it
 * was. */
static void test_list(void **state)
{
    static const struct tensor t[] = {
        { "a.input_scale", "F32", 0, { 0 } },   { "a.k_scale", "F32", 1, { 1 } },
        { "a.weight", "F8_E4M3", 2, { 4, 4 } }, { "a.weight_scale", "BF16", 2, { 4, 1 } },
        { "b.weight", "BF16", 1, { 4 } },       { "c.weight", "F8_E4M3", 1, { 5 } },
        { "d.scale", "F32", 1, { 3 } },
    };
    static const char *const words[] = { "{\"torch_dtype\":\"float16\"}", "{\"dtype\":\"float32\"}",
                                         "{\"dtype\":\"float8_e4m3fn\"}", "{\"dtype\":\"int8\"}" };
    static const enum ldl_dtype types[] = { LDL_F16, LDL_F32, LDL_BF16, LDL_BF16 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(words); i++) {
        expect_ok(load(t, LDL_COUNT(t), words[i]));
        assert_int_equal(model.nviews, 4);
        assert_string_equal(model.view[0].name, "a.weight");
        assert_string_equal(model.view[1].name, "b.weight");
        assert_string_equal(model.view[2].name, "c.weight");
        assert_string_equal(model.view[3].name, "d.scale");
        assert_int_equal(model.view[0].dtype, types[i]);
        assert_int_equal(model.view[2].dtype, LDL_F8_E4M3);
        assert_true(model.view[2].raw);
        for (size_t v = 0; v < 4; v++)
            assert_ptr_equal(ldl_model_find(&model, model.view[v].name), &model.view[v]);
        assert_null(ldl_model_find(&model, "a.weight_scale"));
        expect_values(&model.view[0], LDL_F8_E4M3, 0, 1, ALL, 1);
        ldl_model_close(&model);
    }
    /* without FP8 weights these names are tensors as others */
    expect_ok(load(t, 2, NULL));
    assert_int_equal(model.nviews, 2);
    assert_false(model.fp8);
    ldl_model_close(&model);
    /* FP8 without any scales is FP8 and no more, whatever config.json says */
    expect_ok(load(t + 5, 1, "{\"quantization_config\":{\"quant_method\":\"fp8\"}}"));
    assert_false(model.fp8);
    assert_int_equal(model.view[0].dtype, LDL_F8_E4M3);
    ldl_model_close(&model);
}

/* The weight in one file, its scales in another; the index's order is kept. */
static void test_shards(void **state)
{
    static const struct tensor t[] = { { "b.weight", "F8_E4M3", 2, { 3, 3 } },
                                       { "a.weight", "BF16", 1, { 2 } },
                                       { "b.weight_scale_inv", "F32", 1, { 1 } } };
    (void)state;
    make_dirs("s");
    save_tensors("s/model-1.safetensors", t, 2, 0);
    save_tensors("s/model-2.safetensors", t + 2, 1, 0);
    save("s/model.safetensors.index.json",
         "{\"metadata\":{},\"weight_map\":{\"b.weight_scale_inv\":\"model-2.safetensors\",\"b."
         "weight\":"
         "\"model-1.safetensors\",\"a.weight\":\"model-1.safetensors\"}}");
    expect_ok(ldl_model_open(&model, at("s"), NULL, &err));
    assert_int_equal(model.nviews, 2);
    assert_string_equal(model.view[0].name, "b.weight");
    assert_string_equal(model.view[1].name, "a.weight");
    assert_ptr_equal(model.by_name[0], &model.view[1]);
    expect_values(&model.view[0], LDL_F8_E4M3, 0, ALL, ALL, 1);
    ldl_model_close(&model);
}

static void test_odd_scales(void **state)
{
    static const struct tensor t[] = { W("F8_E4M3", 2, { 3, 4 }), S("_scale", 1, { 3 }) };
    const float odd[] = { NAN, INFINITY, -2.0f };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(odd); i++) {
        float got[12];
        void *facts;
        make_dirs("m");
        save_tensors("m/model.safetensors", t, 2, odd[i]);
        expect_ok(ldl_model_open(&model, at("m"), NULL, &err));
        expect_ok(ldl_view_begin(model.view, ldl_kern_all()[0], &facts, &err));
        read_runs(model.view, facts, 12, got);
        for (size_t e = 0; e < 12; e++)
            assert_int_equal(isfinite(got[e]) != 0, e / 4 != 1 || i == 2);
        ldl_view_end(model.view, facts);
        ldl_model_close(&model);
    }
}

/* ---- writing ---- */

static void test_takes(void **state)
{
    static const struct {
        const char *name;
        int ndim;
        uint64_t dim[3];
        int was, takes;
    } rows[] = {
        { "model.layers.0.mlp.up_proj.weight", 2, { 256, 128 }, 0, 1 },
        { "model.layers.0.mlp.experts.7.gate_proj.weight", 2, { 128, 129 }, 0, 1 },
        { "h.3.w.weight", 2, { 300, 300 }, 0, 1 },
        { "model.layers.0.mlp.up_proj.weight", 2, { 256, 127 }, 0, 0 },
        { "model.layers.0.mlp.up_proj.weight", 2, { 256, 127 }, 1, 1 },
        { "model.layers.0.mlp.up_proj.bias", 2, { 256, 128 }, 0, 0 },
        { "model.layers.0.mlp.up_proj.weight", 1, { 256 }, 1, 0 },
        { "model.layers.0.mlp.up_proj.weight", 3, { 2, 256, 256 }, 0, 0 },
        { "model.layers.0.input_layernorm.weight", 2, { 256, 256 }, 0, 0 },
        { "model.layers.0.mlp.gate.weight", 2, { 256, 256 }, 0, 0 },
        { "model.layers.0.router.weight", 2, { 256, 256 }, 0, 0 },
        { "model.embed_tokens.weight", 2, { 256, 256 }, 0, 0 },
        { "model.layers.61.embed_tokens.weight", 2, { 256, 256 }, 0, 0 },
        { "lm_head.weight", 2, { 256, 256 }, 0, 0 },
        { "lm_head.weight", 2, { 256, 256 }, 1, 1 },
        { "model.layers.weight", 2, { 256, 256 }, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++)
        if (ldl_fp8_takes(rows[i].name, rows[i].ndim, rows[i].dim, rows[i].was) != rows[i].takes)
            fail_msg("%s, was FP8: %d", rows[i].name, rows[i].was);
}

/* Runs of any cut give one table; x / scale encodes, and comes back within half a step. */
static void test_blocks(void **state)
{
    enum { R = 300, C = 200, N = R * C };
    static float x[N], y[N], back[N], scale[6];
    static unsigned char q[N];
    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = (float)((int)(i * 2654435761u >> 8 & 0xffff) - 32768) * (i < N / 2 ? 1e-7f : 10.0f);
    for (size_t i = 0; i < N; i++) /* the last block: zeros */
        if (i / C >= 256 && i % C >= 128)
            x[i] = 0;
    x[5] = NAN;
    x[130] = -INFINITY;
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t run = 1; run <= N; run = run * 5 + 3) {
            uint32_t table[6] = { 0 };
            memcpy(y, x, sizeof x);
            for (size_t i = 0; i < N; i += run)
                ldl_fp8_amax(*k, i, LDL_MIN(run, N - i), C, x + i, table);
            ldl_fp8_scales(table, 6, scale);
            for (size_t b = 0; b < 6; b++) {
                float max = 0;
                for (size_t i = 0; i < N; i++)
                    if (i / C / 128 * 2 + i % C / 128 == b && isfinite(x[i]))
                        max = fmaxf(max, fabsf(x[i]));
                assert_true(scale[b] == (max > 0 ? max / 448.0f : 1.0f));
            }
            for (size_t i = 0; i < N; i += run)
                ldl_fp8_scale(*k, i, LDL_MIN(run, N - i), C, y + i, scale);
            (*k)->encode[LDL_F8_E4M3](q, y, N);
            (*k)->decode[LDL_F8_E4M3](back, q, N);
            for (size_t i = 0; i < N; i++) {
                float s = scale[i / C / 128 * 2 + i % C / 128];
                if (!isfinite(x[i]))
                    assert_int_equal(q[i], 0x7f);
                else
                    assert_true(fabsf(back[i] * s - x[i]) <= fabsf(x[i]) / 15 + s * 0x1p-10f);
            }
        }
}

static void test_small_scales(void **state)
{
    const uint32_t table[] = { 0, 1, 600, 0x00800000, 0x7f7fffff };
    float scale[5];
    (void)state;
    ldl_fp8_scales(table, 5, scale);
    assert_true(scale[0] == 1.0f && scale[1] == 0x1p-126f && scale[2] == 0x1p-126f);
    assert_true(scale[3] == 0x1p-126f && scale[4] == 0x1.fffffep127f / 448.0f);
}

static void test_config(void **state)
{
    struct ldl_buf out = { 0 };
    struct ldl_fp8_config c;
    uint64_t block[2];
    int there;
    (void)state;
    ldl_fp8_config_begin(&c, &out);
    ldl_fp8_config_skip(&c, "lm_head.weight", 2);
    ldl_fp8_config_skip(&c, "model.norm.weight", 1);
    ldl_fp8_config_skip(&c, "model.layers.0.mlp.gate.weight", 2);
    ldl_fp8_config_skip(&c, "model.layers.0.x.bias", 2);
    ldl_fp8_config_end(&c);
    assert_string_equal(
        out.text,
        "{\"quant_method\": \"fp8\", \"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\", "
        "\"weight_block_size\": [128, 128], \"modules_to_not_convert\": [\"lm_head\", "
        "\"model.layers.0.mlp.gate\"]}");
    struct ldl_edit edit = { "quantization_config", out.text, 1 };
    struct ldl_buf json = { 0 };
    expect_ok(ldl_config_edit("{}", 2, "c", &edit, 1, &json, &err));
    expect_ok(ldl_config_get_quantization(json.text, json.len, "c", &there, block, &err));
    assert_true(there && block[0] == 128 && block[1] == 128);
    ldl_buf_free(&out);
    ldl_buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_forms),         WITH_ROOT(test_refused),
        WITH_ROOT(test_list),          WITH_ROOT(test_shards),
        WITH_ROOT(test_odd_scales),    cmocka_unit_test(test_takes),
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_small_scales),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests_name("fp8", tests, NULL, NULL);
}
