/* test_adapter.c -- adapters on models: names, settings, orientations, what is refused; and the
 * merges that mergekit and PaddleNLP recorded, where those files are on this machine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"
#include "unit/tensor_help.h"

#include <math.h>

static struct ldl_model model;

static int close_model(void **state)
{
    ldl_model_close(&model);
    return remove_root(state);
}
#define CASE(test) cmocka_unit_test_setup_teardown(test, make_root, close_model)

/* ---- reading a composed view ---- */

static float *read_view(const struct ldl_view *v)
{
    static unsigned char window[1 << 16], aux_window[1 << 16];
    struct ldl_reader aux = { .buf = aux_window, .cap = sizeof aux_window };
    struct ldl_reader r = { .buf = window, .cap = sizeof window, .aux = &aux };
    float *out = ldl_alloc((size_t)v->n * 4 + 4);
    void *state;
    expect_ok(ldl_view_begin(v, best_kern(), &state, &err));
    r.state = state;
    for (uint64_t at = 0; at < v->n; at += 1000)
        expect_ok(ldl_view_read(v, best_kern(), at, (size_t)LDL_MIN(v->n - at, (uint64_t)1000),
                                out + at, &r, &err));
    ldl_view_end(v, state);
    return out;
}

static const struct ldl_view *view(const char *name)
{
    const struct ldl_view *v = ldl_model_find(&model, name);
    if (!v)
        fail_msg("no tensor %s", name);
    return v;
}

/* Elements 0, 1 and the last. */
static void expect_elems(const char *name, float e0, float e1, float last)
{
    const struct ldl_view *v = view(name);
    float *x = read_view(v);
    if (x[0] != e0 || x[1] != e1 || x[v->n - 1] != last)
        fail_msg("%s: %g %g ... %g, expected %g %g ... %g", name, (double)x[0], (double)x[1],
                 (double)x[v->n - 1], (double)e0, (double)e1, (double)last);
    ldl_free(x);
}

/* ---- small models: every weight is 1, every bias 2 ---- */

static const float ones[64] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
static const float twos[8] = { 2, 2, 2, 2, 2, 2, 2, 2 };

static void save_base(void)
{
    const struct given t[] = {
        { "model.embed.weight", LDL_F32, 2, { 5, 3 }, ones },
        { "model.h.0.q.weight", LDL_F32, 2, { 4, 3 }, ones },
        { "model.h.0.q.bias", LDL_F32, 1, { 4 }, twos },
        { "model.h.1.q.weight", LDL_BF16, 2, { 4, 3 }, ones },
        { "model.h.1.sq.weight", LDL_F32, 2, { 3, 3 }, ones },
        { "model.norm.weight", LDL_F32, 1, { 3 }, ones },
        { "lm_head.weight", LDL_F32, 2, { 5, 3 }, ones },
        { "model.count", LDL_I64, 1, { 1 }, ones },
    };
    make_dirs("base");
    save_tensors("base/model.safetensors", "pt", t, LDL_COUNT(t));
}

static void save_adapter(const char *settings, const struct given *t, size_t n)
{
    make_dirs("ad");
    save("ad/adapter_config.json", settings);
    save_tensors("ad/adapter_model.safetensors", "pt", t, n);
}

static int open_both(void)
{
    char word[512];
    ldl_model_close(&model);
    memset(&err, 0, sizeof err);
    snprintf(word, sizeof word, "%s/base+%s/ad", root, root);
    return ldl_model_open(&model, word, NULL, &err);
}

/* The usual pair: A = [[1, 2, 3]], B = [1, 1, 1, 1], so B @ A has rows 1 2 3. */
static const float a123[4] = { 1, 2, 3, 0 };
#define P  "base_model.model."
#define Q0 P "model.h.0.q."
#define PAIR                                                                                       \
    { Q0 "lora_A.weight", LDL_F32, 2, { 1, 3 }, a123 },                                            \
    {                                                                                              \
        Q0 "lora_B.weight", LDL_F32, 2, { 4, 1 }, ones                                             \
    }
#define SET "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": 2"

static void test_linear(void **state)
{
    const struct given t[] = { PAIR };
    (void)state;
    save_base();
    save_adapter(SET "}", t, 2);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 3, 5, 7); /* 1 + 2 * 1 2 3 */
    expect_elems("model.h.1.q.weight", 1, 1, 1);
    assert_true(view("model.h.1.q.weight")->raw);
    assert_false(view("model.h.0.q.weight")->raw);
    assert_int_equal(view("model.h.0.q.weight")->dtype, LDL_F32);
    assert_int_equal(model.nviews, 8);
    assert_int_equal(model.also_dir.n, 1);
    assert_string_equal(model.also_dir.name[0], at("ad"));
    assert_string_equal(model.dir, at("base"));
    assert_non_null(strchr(model.asked, '+'));
    assert_int_equal(model.note.n, 0);
}

/* rslora, patterns, and what is null or unknown. */
static void test_scale(void **state)
{
    static const float b2[8] = { 1, 0, 1, 0, 1, 0, 1, 0 };
    static const float a2[6] = { 1, 2, 3, 0, 0, 0 };
    const struct given t[] = {
        PAIR,
        { P "model.h.1.q.lora_A.default.weight", LDL_F32, 2, { 2, 3 }, a2 },
        { P "model.h.1.q.lora_B.default.weight", LDL_F32, 2, { 4, 2 }, b2 },
    };
    static const struct {
        const char *settings;
        float first0, first1;
    } rows[] = {
        { "\"rank_pattern\": {\"h.1.q\": 2}", 3, 2 },
        { "\"rank_pattern\": {\"^model.h.1.q\": 2, \"m.del.h.0.q\": 1}, \"new_key\": [1, {}]", 3,
          2 },
        { "\"rank_pattern\": {\"h\\\\.\\\\d\\\\.q\": 1, \"q\": 2}, \"bias\": \"none\"", 3, -1 },
        { "\"rank_pattern\": {\".*1.*\": 2}, \"alpha_pattern\": {\"q\": 4}", 5, 3 },
        { "\"rank_pattern\": {\"model.h.(1|3).[qk]\": 2}, \"alpha_pattern\": null", 3, 2 },
        { "\"rank_pattern\": {\"h.1.q\": 2}, \"alpha_pattern\": {\"1.q\": 8, \"q\": 16}", 17, 5 },
        { "\"r\": null, \"r\": 2, \"rank_pattern\": {\"h.0.q\": 1}, \"use_dora\": false", 3, 2 },
        { "\"rank_pattern\": {\".q\": 1, \"1.q\": 2}", 3, 2 }, /* not at a dot: no match */
    };
    (void)state;
    save_base();
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char text[400];
        snprintf(text, sizeof text, SET ", %s}", rows[i].settings);
        save_adapter(text, t, 4);
        if (rows[i].first1 < 0) {
            expect_error(open_both(), LDL_EINPUT,
                         "r is 1 for module 'model.h.1.q', whose tensors have rank 2");
            continue;
        }
        expect_ok(open_both());
        expect_elems("model.h.0.q.weight", rows[i].first0, 1 + (rows[i].first0 - 1) * 2,
                     1 + (rows[i].first0 - 1) * 3);
        expect_elems("model.h.1.q.weight", rows[i].first1, 1 + (rows[i].first1 - 1) * 2,
                     1 + (rows[i].first1 - 1) * 3);
    }
    save_adapter(SET ", \"use_rslora\": true, \"lora_alpha\": 0.5, \"rank_pattern\": {\"1.q\": 2}}",
                 t, 4);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 1.5f, 2, 2.5f);
    float s = (float)(0.5 / sqrt(2));
    expect_elems("model.h.1.q.weight", 1 + s, 1 + s * 2, 1 + s * 3);
}

/* W of 4 x 3 with the factors of a Conv1D of 4 inputs and 3 outputs; flag right, and wrong. */
static void test_fan_in_fan_out(void **state)
{
    const struct given t[] = {
        { Q0 "lora_A.weight", LDL_BF16, 2, { 1, 4 }, ones },
        { Q0 "lora_B.weight", LDL_BF16, 2, { 3, 1 }, a123 },
        { P "model.h.1.sq.lora_A.weight", LDL_F32, 2, { 1, 3 }, ones },
        { P "model.h.1.sq.lora_B.weight", LDL_F32, 2, { 3, 1 }, a123 },
    };
    (void)state;
    save_base();
    save_adapter(SET ", \"fan_in_fan_out\": true}", t, 4);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 3, 5, 7);
    expect_elems("model.h.1.sq.weight", 3, 5, 7); /* square: the flag alone says it */
    save_adapter(SET "}", t, 4);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 3, 5, 7);
    expect_elems("model.h.1.sq.weight", 3, 3, 7);
}

static void test_embedding_and_saved(void **state)
{
    static const float nines[16] = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5 };
    const struct given t[] = {
        { P "model.embed.lora_embedding_A", LDL_F32, 2, { 1, 5 }, ones },
        { P "model.embed.lora_embedding_B", LDL_F32, 2, { 3, 1 }, a123 },
        { P "model.embed.base_layer.weight", LDL_BF16, 2, { 5, 3 }, nines },
        { P "lm_head.weight", LDL_F32, 2, { 5, 3 }, ones },
        { P "lm_head.modules_to_save.default.weight", LDL_F32, 2, { 5, 3 }, nines },
        { P "lm_head.original_module.weight", LDL_F32, 2, { 9, 9 }, NULL },
        { P "model.h.0.q.bias", LDL_BF16, 1, { 4 }, a123 },
    };
    (void)state;
    save_base();
    save_adapter(SET "}", t, 7);
    expect_ok(open_both());
    expect_elems("model.embed.weight", 9 + 2, 8 + 4, 5 + 6);
    expect_elems("lm_head.weight", 9, 8, 5);
    expect_elems("model.h.0.q.bias", 1, 2, 0);
    assert_int_equal(view("model.h.0.q.bias")->dtype, LDL_F32); /* the base's */
    assert_false(view("model.h.0.q.bias")->raw);
    assert_true(view("lm_head.weight")->raw);
    assert_string_equal(view("lm_head.weight")->name, "lm_head.weight");
}

static void test_dora_and_bias(void **state)
{
    static const float m[4] = { 3, 3, 3, 3 };
    const struct given t[] = {
        PAIR,
        { Q0 "lora_magnitude_vector", LDL_F32, 1, { 4 }, m },
        { Q0 "lora_B.bias", LDL_F32, 1, { 4 }, ones },
        { P "model.h.1.sq.lora_A.weight", LDL_F32, 2, { 1, 3 }, ones },
        { P "model.h.1.sq.lora_B.weight", LDL_F32, 2, { 3, 1 }, a123 },
        { P "model.h.1.sq.lora_magnitude_vector.default.weight", LDL_F32, 1, { 3 }, m },
    };
    (void)state;
    save_base();
    save_adapter(SET ", \"use_dora\": true, \"lora_bias\": true}", t, 7);
    expect_ok(open_both());
    float f = (float)(3 / sqrt(9 + 25 + 49));
    expect_elems("model.h.0.q.weight", f * 3, f * 5, f * 7);
    expect_elems("model.h.0.q.bias", 4, 4, 4);
    f = (float)(3 / sqrt(27)); /* rows are 3 3 3, 5 5 5, 7 7 7 */
    expect_elems("model.h.1.sq.weight", f * 3, f * 3, (float)(3 / sqrt(147)) * 7);
    save_adapter(SET ", \"use_dora\": true, \"fan_in_fan_out\": true}", t + 4, 3);
    expect_ok(open_both());
    f = (float)(3 / sqrt(27)); /* columns are now 3, 5, 7 */
    expect_elems("model.h.1.sq.weight", f * 3, (float)(3 / sqrt(75)) * 5,
                 (float)(3 / sqrt(147)) * 7);
}

static void test_prefixes(void **state)
{
    const struct given longer[] = {
        { P P "outer.model.h.0.q.lora_A.weight", LDL_F32, 2, { 1, 3 }, a123 },
        { P P "outer.model.h.0.q.lora_B.weight", LDL_F32, 2, { 4, 1 }, ones },
    };
    const struct given shorter[] = {
        { P "h.0.q.lora_A.weight", LDL_F32, 2, { 1, 3 }, a123 },
        { P "h.0.q.lora_B.weight", LDL_F32, 2, { 4, 1 }, ones },
    };
    const struct given either[] = {
        { P "q.lora_A.weight", LDL_F32, 2, { 1, 3 }, a123 },
        { P "q.lora_B.weight", LDL_F32, 2, { 4, 1 }, ones },
    };
    (void)state;
    save_base();
    save_adapter(SET "}", longer, 2);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 3, 5, 7);
    save_adapter(SET "}", shorter, 2);
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 3, 5, 7);
    save_adapter(SET "}", either, 2);
    expect_error(open_both(), LDL_EINPUT,
                 "'q.weight' may mean the base's 'model.h.0.q.weight' or "
                 "'model.h.1.q.weight'");
}

static void refuse(const char *settings, const struct given *t, size_t n, const char *part)
{
    save_adapter(settings, t, n);
    expect_error(open_both(), LDL_EINPUT, part);
    static const struct ldl_model nothing;
    assert_memory_equal(&model, &nothing, sizeof model);
}

static void test_tensors_refused(void **state)
{
    const struct given pair[] = { PAIR, { Q0 "lora_B.bias", LDL_F32, 1, { 3 }, ones } };
    const struct given unknown[] = {
        PAIR,
        { P "model.h.7.q.lora_A.weight", LDL_F32, 2, { 1, 3 }, a123 },
        { P "model.h.7.q.lora_B.weight", LDL_F32, 2, { 4, 1 }, ones },
        { P "model.h.0.q.lora_E", LDL_F32, 2, { 4, 1 }, ones },
    };
    const struct given twice[] = { PAIR, { Q0 "lora_A.other.weight", LDL_F32, 2, { 1, 3 }, a123 } };
    const struct given both[] = { { P "model.embed.lora_embedding_A", LDL_F32, 2, { 1, 5 }, ones },
                                  { P "model.embed.lora_embedding_B", LDL_F32, 2, { 3, 1 }, ones },
                                  { P "model.embed.lora_A.weight", LDL_F32, 2, { 1, 3 }, ones },
                                  { P "model.embed.lora_B.weight", LDL_F32, 2, { 5, 1 }, ones } };
    const struct given magnitude[] = {
        PAIR,
        { Q0 "lora_magnitude_vector", LDL_F32, 1, { 4 }, ones },
        { P "model.h.1.q.lora_magnitude_vector", LDL_F32, 1, { 4 }, ones },
    };
    const struct given shape[] = { { Q0 "lora_A.weight", LDL_F32, 2, { 1, 5 }, ones },
                                   { Q0 "lora_B.weight", LDL_F32, 2, { 4, 1 }, ones } };
    const struct given head[] = { { P "lm_head.weight", LDL_F32, 2, { 6, 3 }, ones } };
    const struct given count[] = { { P "model.count", LDL_F32, 1, { 1 }, ones } };
    (void)state;
    save_base();
    refuse(SET "}", unknown, 5,
           "adapter tensor '" P "model.h.7.q.lora_A.weight' (and 2 more) belongs to no tensor");
    refuse(SET "}", unknown, 3, "'" P "model.h.7.q.lora_A.weight' belongs to no tensor");
    refuse(SET "}", pair, 1, "'" Q0 "lora_A.weight' lacks its other half");
    refuse(SET "}", pair + 1, 1, "'" Q0 "lora_B.weight' lacks its other half");
    refuse(SET "}", pair, 3, "'" Q0 "lora_B.bias' float32 [3] does not fit");
    refuse(SET "}", twice, 3, "both belong to 'model.h.0.q.weight'");
    refuse(SET "}", both, 4, "two updates of tensor 'model.embed.weight'");
    refuse(SET "}", magnitude, 3, "has no use_dora in the settings");
    refuse(SET ", \"use_dora\": true}", magnitude, 2, "has no magnitude vector");
    refuse(SET ", \"use_dora\": true}", magnitude, 4, "lora_magnitude_vector' has no update");
    refuse(SET "}", shape, 2, "do not fit tensor 'model.h.0.q.weight' [4, 3]");
    refuse(SET "}", head, 1, "'" P "lm_head.weight' float32 [6, 3] cannot take the place");
    refuse(SET "}", count, 1, "cannot take the place of tensor 'model.count' int64 [1]");
    refuse(SET ", \"r\": 4}", pair, 2, "r is 4 for module 'model.h.0.q'");
}

static void test_settings_refused(void **state)
{
    static const char *const rows[][2] = {
        { "\"peft_type\": \"LOHA\"", "peft_type 'LOHA' is not supported" },
        { "\"layer_replication\": [[0, 2], [1, 3]]", "layer_replication is set" },
        { "\"trainable_token_indices\": {\"embed\": [1]}", "trainable_token_indices is set" },
        { "\"target_parameters\": [\"x\"]", "target_parameters is set" },
        { "\"use_qalora\": true", "use_qalora is set" },
        { "\"use_bdlora\": {\"nblocks\": 2}", "use_bdlora is set" },
        { "\"megatron_config\": {\"a\": 1}", "megatron_config is set" },
        { "\"alora_invocation_tokens\": [1]", "alora_invocation_tokens is set" },
        { "\"arrow_config\": {\"a\": 1}", "arrow_config is set" },
        { "\"kasa_config\": {\"a\": 1}", "kasa_config is set" },
        { "\"r\": 0", "r is 0" },
        { "\"r\": -4", "adapter_config.json:1:" },
        { "\"r\": \"4\"", "adapter_config.json:1:" },
        { "\"lora_alpha\": []", "adapter_config.json:1:" },
        { "\"rank_pattern\": {\"q{2,}\": 3}", "'q{2,}' is a regular expression" },
        { "\"rank_pattern\": {\"(?:q)\": 3}", "'(?:q)' is a regular expression" },
        { "\"rank_pattern\": {\"(q)\\\\1\": 3}", "is a regular expression" },
        { "\"rank_pattern\": {\"q.*?\": 3}", "is a regular expression" },
        { "\"rank_pattern\": {\"[\\\\d]\": 3}", "is a regular expression" },
        { "\"rank_pattern\": {\"(((a*)*)*)*q\": 3}", "is a regular expression" },
        { "\"rank_pattern\": {\"q(\": 3}", "is a regular expression" },
        { "\"rank_pattern\": {\"q\": 1}, \"rank_pattern\": {\"q\": 1}", "is given twice" },
        { "\"rank_pattern\": 3", "adapter_config.json:1:" },
        { "\"rank_pattern\": {\"q\": 1}", NULL },
        { "\"layer_replication\": [ ], \"megatron_config\": { }, \"use_qalora\": null", NULL },
    };
    const struct given t[] = { PAIR };
    (void)state;
    save_base();
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char text[300];
        snprintf(text, sizeof text, SET ", %s}", rows[i][0]);
        save_adapter(text, t, 2);
        if (rows[i][1])
            refuse(text, t, 2, rows[i][1]);
        else
            expect_ok(open_both());
    }
    save_adapter(SET ", \"init_lora_weights\": \"pissa_niter_4\"}", t, 2);
    expect_ok(open_both());
    assert_int_equal(model.note.n, 1);
    assert_non_null(strstr(model.note.name[0], "init_lora_weights 'pissa_niter_4'"));
}

static void test_places(void **state)
{
    const struct given t[] = { PAIR };
    (void)state;
    save_base();
    save_adapter(SET "}", t, 2);
    unlink(at("ad/adapter_model.safetensors"));
    expect_error(open_both(), LDL_EINPUT, "no adapter_model.safetensors or adapter_model.bin");
    unlink(at("ad/adapter_config.json"));
    expect_error(open_both(), LDL_EINPUT, "neither adapter_config.json (PEFT) nor");
    rmdir(at("ad"));
    expect_error(open_both(), LDL_EINPUT, "/ad: neither a file nor a directory");
    save("ad", "x");
    expect_error(open_both(), LDL_EINPUT, "an adapter is a directory");
    unlink(at("ad"));
    save_adapter(SET "}", t, 2);
    expect_error(ldl_model_open(&model, at("ad"), NULL, &err), LDL_EINPUT,
                 "name it with its base model, as BASE+");
}

static void expect_split(const char *word, const char *base, size_t n, const char *first)
{
    struct ldl_names list = { 0 };
    char *got;
    expect_ok(ldl_split_adapters(word, &got, &list, &err));
    assert_string_equal(got, base);
    assert_int_equal(list.n, n);
    if (n)
        assert_string_equal(list.name[0], first);
    ldl_free(got);
    ldl_names_free(&list);
}

static void test_split(void **state)
{
    char word[600], part[300];
    struct ldl_names list = { 0 };
    (void)state;
    expect_split("a", "a", 0, NULL);
    expect_split("a+b", "a", 1, "b");
    expect_split("a+b+c", "a", 2, "b");
    expect_split("a+", "a+", 0, NULL);
    expect_split("+a", "+a", 0, NULL);
    expect_split("org/a@main+org/b@x", "org/a@main", 1, "org/b@x");
    make_dirs("x+y");
    make_dirs("ad+1");
    expect_split(at("x+y"), at("x+y"), 0, NULL);
    snprintf(word, sizeof word, "%s+z", at("x+y"));
    expect_split(word, at("x+y"), 1, "z");
    snprintf(word, sizeof word, "base+%s", at("ad+1"));
    expect_split(word, "base", 1, at("ad+1"));
    char *base;
    snprintf(part, sizeof part, "a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r");
    expect_error(ldl_split_adapters(part, &base, &list, &err), LDL_EINPUT, "more than 16");
    ldl_free(base);
    ldl_names_free(&list);
}

static void test_stacked(void **state)
{
    const struct given t[] = { PAIR };
    char word[600];
    (void)state;
    save_base();
    save_adapter(SET "}", t, 2);
    snprintf(word, sizeof word, "%s/base+%s/ad+%s/ad", root, root, root);
    expect_ok(ldl_model_open(&model, word, NULL, &err));
    expect_elems("model.h.0.q.weight", 5, 9, 13);
    assert_int_equal(model.also_dir.n, 2);
}

/* ---- Paddle ---- */

static void save_paddle(const char *settings, const char *map)
{
    const struct given t[] = {
        { "model.h.0.q.lora_A", LDL_F32, 2, { 4, 1 }, ones },
        { "model.h.0.q.lora_B", LDL_F32, 2, { 1, 3 }, a123 },
    };
    const struct given t2[] = { { "model.norm.weight", LDL_F32, 1, { 3 }, a123 } };
    make_dirs("ad");
    save("ad/lora_config.json", settings);
    save("ad/peft_model.safetensors.index.json", map);
    save_tensors("ad/peft_model-1.safetensors", "np", t, 2);
    save_tensors("ad/peft_model-2.safetensors", "np", t2, 1);
}

#define MAP(n)                                                                                     \
    "{\"weight_map\": {\"model.h.0.q.lora_A\": \"peft_model-1.safetensors\", "                     \
    "\"model.h.0.q.lora_B\": \"peft_model-1.safetensors\", "                                       \
    "\"model.norm.weight\": \"peft_model-" n ".safetensors\"}}"

static void test_paddle(void **state)
{
    (void)state;
    save_base();
    save_paddle("{\"r\": 1, \"lora_alpha\": 3, \"rslora\": true, \"scaling\": 99, \"x\": null}",
                MAP("2"));
    expect_ok(open_both());
    expect_elems("model.h.0.q.weight", 4, 7, 10);
    expect_elems("model.norm.weight", 1, 2, 3);
    save_paddle("{\"r\": 2, \"lora_alpha\": 3}", MAP("2"));
    expect_error(open_both(), LDL_EINPUT, "lora_config.json: r is 2 for module 'model.h.0.q'");
    save_paddle("{\"r\": 1, \"enable_lora_list\": [true]}", MAP("2"));
    expect_error(open_both(), LDL_EINPUT, "enable_lora_list is set");
    save_paddle("{\"r\": 1}", MAP("1"));
    expect_error(open_both(), LDL_EINPUT, "weight_map lists 3 tensors, and the files have 2");
    save_paddle("{\"r\": 1}", "{\"weight_map\": {\"model.norm.weight\": "
                              "\"peft_model-1.safetensors\"}}");
    expect_error(open_both(), LDL_EINPUT, "does not list tensor 'model.h.0.q.lora_A'");
}

/* ---- recorded merges ---- */

static void compare(const char *expected, double factor, const char *base_path, double rtol,
                    double atol, int bf16)
{
    struct ldl_file want = { 0 }, base = { 0 };
    expect_ok(ldl_file_open(&want, expected, &err));
    expect_ok(ldl_file_open(&base, base_path, &err));
    assert_int_equal(want.ntensors, model.nviews);
    for (size_t i = 0; i < want.ntensors; i++) {
        struct ldl_view w, b;
        ldl_view_stored(&w, &want, &want.tensor[i]);
        const struct ldl_view *v = view(w.name);
        float *x = read_view(v), *y = read_view(&w), *z = NULL;
        for (size_t j = 0; j < base.ntensors; j++)
            if (strcmp(base.tensor[j].name, w.name) == 0) {
                ldl_view_stored(&b, &base, &base.tensor[j]);
                z = read_view(&b);
            }
        uint16_t half;
        for (uint64_t j = 0; j < v->n; j++) {
            float got = z && factor != 1 ? (float)(z[j] + factor * (x[j] - z[j])) : x[j];
            if (bf16) {
                best_kern()->encode[LDL_BF16](&half, &got, 1);
                best_kern()->decode[LDL_BF16](&got, &half, 1);
            }
            if (!(fabs((double)got - y[j]) <= atol + rtol * fabs((double)y[j])))
                fail_msg("%s: element %llu is %.9g, recorded %.9g", w.name, (unsigned long long)j,
                         (double)got, (double)y[j]);
        }
        ldl_free(x);
        ldl_free(y);
        ldl_free(z);
    }
    ldl_file_close(&want);
    ldl_file_close(&base);
}

static void test_recorded(void **state)
{
    static const struct {
        const char *base, *file, *adapter, *expected;
        double factor, rtol, atol;
        int bf16;
    } rows[] = {
        { "models/llama_base", "model", "models/lora_a", "mergekit/lora_linear", 1, 1e-5, 1e-6, 0 },
        { "models/llama_base", "model", "models/lora_a", "mergekit/lora_bf16", 1, 0.008, 1e-5, 1 },
        { "models/gpt2_a", "model", "models/lora_fan", "mergekit/lora_fan_in_fan_out", 1, 1e-5,
          1e-6, 0 },
        { "models/llama_base", "model", "models/lora_save", "mergekit/lora_modules_to_save", 1,
          1e-5, 1e-6, 0 },
        { "models/llama_base", "model", "models/lora_rs", "mergekit/lora_rs", 0.5, 1e-5, 1e-6, 0 },
        { "paddle_models/f32_base", "model", "paddle_models/lora_f32", "paddle/lora_f32", 1, 1e-6,
          2e-8, 0 },
        { "paddle_models/bf16_base", "model", "paddle_models/lora_bf16_rs",
          "paddle/lora_bf16_rslora", 1, 0.0078125, 2e-8, 1 },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        char word[600], expected[300], base[300];
        snprintf(base, sizeof base, "%s/%s.safetensors", rows[i].base, rows[i].file);
        snprintf(word, sizeof word, "../%s", rows[i].base);
        snprintf(word, sizeof word, "%s", golden(word));
        size_t n = strlen(word);
        snprintf(word + n, sizeof word - n, "+%s/../%s", golden("."), rows[i].adapter);
        snprintf(base, sizeof base, "../%s/model.safetensors", rows[i].base);
        snprintf(base, sizeof base, "%s", golden(base));
        snprintf(expected, sizeof expected, "../%s/expected.safetensors", rows[i].expected);
        snprintf(expected, sizeof expected, "%s", golden(expected));
        ldl_model_close(&model);
        expect_ok(ldl_model_open(&model, word, NULL, &err));
        compare(expected, rows[i].factor, base, rows[i].rtol, rows[i].atol, rows[i].bf16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_linear),          CASE(test_scale),
        CASE(test_fan_in_fan_out),  CASE(test_embedding_and_saved),
        CASE(test_dora_and_bias),   CASE(test_prefixes),
        CASE(test_tensors_refused), CASE(test_settings_refused),
        CASE(test_places),          CASE(test_split),
        CASE(test_stacked),         CASE(test_paddle),
        CASE(test_recorded),
    };
    return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
