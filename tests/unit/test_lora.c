/* test_lora.c -- the composed view W + s*L*R against a scalar recomputation, by memcmp: every
 * orientation and type of the factors, DoRA by rows and by columns, a convolution, a view inside
 * that has a state of its own, one adapter on another; read in pieces of odd lengths through small
 * windows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lora.h"
#include "unit/tensor_help.h"

#include <math.h>

enum { MOST = 8192 };

static struct ldl_file file;
static float w[MOST], left[MOST], right[MOST], m[128], want[MOST], got[MOST];

static int open_nothing(void **state)
{
    return make_root(state);
}

static int close_all(void **state)
{
    ldl_file_close(&file);
    return remove_root(state);
}

static const struct ldl_stored *find(const char *name)
{
    for (size_t i = 0; i < file.ntensors; i++)
        if (strcmp(file.tensor[i].name, name) == 0)
            return &file.tensor[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* ---- a view with a state of its own: twice what is stored ---- */

static uint64_t twice_bytes(const struct ldl_view *v)
{
    (void)v;
    return 100;
}

static int twice_begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                       struct ldl_err *e)
{
    (void)v, (void)k, (void)e;
    float *two = ldl_alloc(sizeof *two);
    *two = 2;
    *state = two;
    return 0;
}

static void twice_end(const struct ldl_view *v, void *state)
{
    (void)v;
    ldl_free(state);
}

static int twice_read(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                      float *out, struct ldl_reader *r, struct ldl_err *e)
{
    struct ldl_view plain;
    ldl_view_stored(&plain, v->file, v->stored);
    int status = ldl_view_read(&plain, k, first, n, out, r, e);
    k->times(out, *(const float *)r->state, n);
    return status;
}

static const struct ldl_view_ops twice = { .name = "twice",
                                           .read = twice_read,
                                           .state_bytes = twice_bytes,
                                           .begin = twice_begin,
                                           .end = twice_end };

/* ---- the reference ---- */

static void expect_update(float *x, size_t rows, size_t columns, size_t rank, float s)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            volatile float acc = 0;
            for (size_t k = 0; k < rank; k++) {
                volatile float product = left[i * rank + k] * right[k * columns + j];
                acc = acc + product;
            }
            volatile float step = s * acc;
            x[i * columns + j] += step;
        }
}

static double sum_16(const float *x, size_t n)
{
    double lane[16] = { 0 };
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += (double)x[i] * (double)x[i];
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

static void expect_dora(float *x, size_t rows, size_t columns, int by_column)
{
    for (size_t f = 0; f < (by_column ? columns : rows); f++) {
        double sum = 0;
        for (size_t i = 0; i < rows && by_column; i++)
            sum += (double)x[i * columns + f] * (double)x[i * columns + f];
        if (!by_column)
            sum = sum_16(x + f * columns, columns);
        volatile float factor = (float)((double)m[f] / sqrt(sum));
        if (by_column)
            for (size_t i = 0; i < rows; i++)
                x[i * columns + f] *= factor;
        else
            for (size_t j = 0; j < columns; j++)
                x[f * columns + j] *= factor;
    }
}

/* ---- reading in every way ---- */

static void expect_view(const struct ldl_view *v, const float *expected)
{
    static const size_t runs[] = { 1, 3, 7, 64, MOST };
    static unsigned char window[MOST * 8 + 1], aux_window[512 + 1];
    void *state;
    expect_ok(ldl_view_begin(v, best_kern(), &state, &err));
    assert_true(ldl_view_state_bytes(v) > 0);
    for (size_t t = 0; t < LDL_COUNT(runs); t++)
        for (size_t from = 0; from < 5 && from < v->n; from += 2) {
            if (runs[t] < 7 && v->n > 2000)
                continue;
            struct ldl_reader aux = { .buf = aux_window + 1, .cap = t < 2 ? 8 : 512 };
            struct ldl_reader r = { .buf = window + 1,
                                    .cap = runs[t] * 8,
                                    .limit = t == 3 ? v->n - 1 : 0,
                                    .state = state,
                                    .aux = &aux };
            memset(got, 0xff, sizeof got);
            for (size_t at = from; at < v->n; at += runs[t]) {
                size_t n = LDL_MIN(runs[t], (size_t)v->n - at);
                expect_ok(ldl_view_read(v, best_kern(), at, n, got + at, &r, &err));
                assert_ptr_equal(r.state, state);
            }
            for (size_t i = from; i < v->n; i++)
                if (memcmp(&got[i], &expected[i], 4) != 0)
                    fail_msg("runs of %zu from %zu: element %zu is %a, expected %a", runs[t], from,
                             i, (double)got[i], (double)expected[i]);
        }
    ldl_view_end(v, state);
}

struct shape {
    size_t rows, columns, rank;
    int left_transposed, right_transposed;
    enum ldl_dtype dtype;
    int dora; /* 1: by rows, 2: by columns */
    int inside;
};

/* The factors as they are stored: turned round where they are transposed. */
static const float *stored_as(const float *x, size_t rows, size_t columns, int transposed,
                              float *room)
{
    for (size_t i = 0; i < rows && transposed; i++)
        for (size_t j = 0; j < columns; j++)
            room[j * rows + i] = x[i * columns + j];
    return transposed ? room : x;
}

static void save_case(const struct shape *c)
{
    static float room[2][MOST];
    uint64_t l0 = c->rows, l1 = c->rank, r0 = c->rank, r1 = c->columns;
    fill_random(w, c->rows * c->columns, 1);
    fill_random(left, c->rows * c->rank, 2);
    fill_random(right, c->rank * c->columns, 3);
    fill_random(m, 128, 4);
    const struct given t[] = {
        { "w", LDL_F32, 2, { c->rows, c->columns }, w },
        { "l",
          c->dtype,
          2,
          { c->left_transposed ? l1 : l0, c->left_transposed ? l0 : l1 },
          stored_as(left, c->rows, c->rank, c->left_transposed, room[0]) },
        { "r",
          c->dtype,
          2,
          { c->right_transposed ? r1 : r0, c->right_transposed ? r0 : r1 },
          stored_as(right, c->rank, c->columns, c->right_transposed, room[1]) },
        { "m", LDL_F32, 1, { c->dora == 2 ? c->columns : c->rows }, m },
    };
    save_tensors("a.safetensors", "pt", t, LDL_COUNT(t));
    ldl_file_close(&file);
    expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
}

static struct ldl_lora_parts parts_of(const struct shape *c)
{
    return (struct ldl_lora_parts){
        .left = { &file, find("l"), c->left_transposed },
        .right = { &file, find("r"), c->right_transposed },
        .magnitude = { &file, c->dora ? find("m") : NULL, 0 },
        .by_column = c->dora == 2,
        .scale = 0.7,
    };
}

static void check_case(const struct shape *c)
{
    struct ldl_view v;
    void *made;
    save_case(c);
    struct ldl_lora_parts p = parts_of(c);
    ldl_view_stored(&v, &file, find("w"));
    if (c->inside)
        v.ops = &twice;
    expect_ok(ldl_lora_view(&v, &p, &made, &err));
    assert_false(v.raw);
    assert_true(v.ops->wants_aux);
    assert_string_equal(v.name, "w");
    for (size_t i = 0; i < c->rows * c->columns; i++)
        want[i] = c->inside ? 2 * w[i] : w[i];
    expect_update(want, c->rows, c->columns, c->rank, 0.7f);
    if (c->dora)
        expect_dora(want, c->rows, c->columns, c->dora == 2);
    expect_view(&v, want);
    ldl_free(made);
}

static void test_orientations(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        check_case(&(struct shape){ 11, 37, 5, i & 1, i >> 1, LDL_F32, 0, 0 });
}

static void test_types(void **state)
{
    static const enum ldl_dtype types[] = { LDL_F64, LDL_F32, LDL_F16, LDL_BF16 };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(types); i++)
        for (int t = 0; t < 2; t++)
            check_case(&(struct shape){ 9, 33, 4, t, t, types[i], 0, 0 });
}

static void test_shapes(void **state)
{
    (void)state;
    check_case(&(struct shape){ 1, 1, 1, 0, 0, LDL_F32, 0, 0 });
    check_case(&(struct shape){ 1, 100, 1, 0, 1, LDL_F32, 0, 0 });
    check_case(&(struct shape){ 100, 1, 3, 1, 0, LDL_F32, 0, 0 });
    check_case(&(struct shape){ 64, 64, 64, 0, 0, LDL_F32, 0, 0 });
    check_case(&(struct shape){ 2, 2500, 3, 1, 1, LDL_F32, 0, 0 }); /* R in two pieces */
    check_case(&(struct shape){ 3, 4, 300, 0, 1, LDL_BF16, 0, 0 }); /* rank above all */
}

static void test_dora(void **state)
{
    (void)state;
    for (int dora = 1; dora <= 2; dora++)
        for (int inside = 0; inside < 2; inside++)
            check_case(&(struct shape){ 13, 29, 4, 0, 0, LDL_F32, dora, inside });
    check_case(&(struct shape){ 40, 20, 2, 1, 1, LDL_BF16, 2, 0 });
}

static void test_state_inside(void **state)
{
    (void)state;
    check_case(&(struct shape){ 8, 50, 6, 0, 0, LDL_F32, 0, 1 });
}

/* One adapter on another: states nest twice, and both use the second window. */
static void test_stacked(void **state)
{
    const struct shape c = { 12, 31, 3, 0, 1, LDL_F32, 0, 0 };
    struct ldl_view v;
    void *made[2];
    (void)state;
    save_case(&c);
    struct ldl_lora_parts p = parts_of(&c);
    ldl_view_stored(&v, &file, find("w"));
    expect_ok(ldl_lora_view(&v, &p, &made[0], &err));
    p.scale = -1.5;
    expect_ok(ldl_lora_view(&v, &p, &made[1], &err));
    memcpy(want, w, sizeof want);
    expect_update(want, c.rows, c.columns, c.rank, 0.7f);
    expect_update(want, c.rows, c.columns, c.rank, -1.5f);
    expect_view(&v, want);
    ldl_free(made[0]);
    ldl_free(made[1]);
}

static void test_convolution(void **state)
{
    struct ldl_view v;
    void *made;
    (void)state;
    fill_random(w, 6 * 5 * 9, 1);
    fill_random(left, 6 * 2, 2);
    fill_random(right, 2 * 5 * 9, 3);
    fill_random(m, 6, 4);
    const struct given t[] = { { "w", LDL_F32, 4, { 6, 5, 3, 3 }, w },
                               { "l", LDL_F32, 4, { 6, 2, 1, 1 }, left },
                               { "r", LDL_F32, 4, { 2, 5, 3, 3 }, right },
                               { "m", LDL_F32, 4, { 1, 6, 1, 1 }, m } };
    save_tensors("a.safetensors", "pt", t, LDL_COUNT(t));
    expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
    struct ldl_lora_parts p = parts_of(&(struct shape){ .dora = 1 });
    ldl_view_stored(&v, &file, find("w"));
    expect_ok(ldl_lora_view(&v, &p, &made, &err));
    memcpy(want, w, sizeof want);
    expect_update(want, 6, 45, 2, 0.7f);
    expect_dora(want, 6, 45, 0);
    expect_view(&v, want);
    ldl_free(made);
}

static void test_bias(void **state)
{
    struct ldl_view v;
    void *made;
    (void)state;
    fill_random(w, 100, 1);
    fill_random(left, 100, 2);
    const struct given t[] = { { "b", LDL_F32, 1, { 100 }, w },
                               { "d", LDL_BF16, 1, { 100 }, left },
                               { "short", LDL_F32, 1, { 99 }, NULL } };
    save_tensors("a.safetensors", "pt", t, LDL_COUNT(t));
    expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
    struct ldl_factor d = { &file, find("d"), 0 }, other = { &file, find("short"), 0 };
    ldl_view_stored(&v, &file, find("b"));
    expect_error(ldl_lora_bias_view(&v, &other, 1, &made, &err), LDL_EINPUT,
                 "'short' float32 [99] does not fit tensor 'b' [100]");
    v.ops = &twice;
    expect_ok(ldl_lora_bias_view(&v, &d, 0.3, &made, &err));
    for (size_t i = 0; i < 100; i++) {
        volatile float step = 0.3f * left[i];
        want[i] = 2 * w[i] + step;
    }
    expect_view(&v, want);
    ldl_free(made);
}

static void refuse(const char *name, const struct ldl_lora_parts *p, const char *part)
{
    struct ldl_view v;
    void *made;
    ldl_view_stored(&v, &file, find(name));
    expect_error(ldl_lora_view(&v, p, &made, &err), LDL_EINPUT, part);
    assert_null(made);
    assert_null(v.made_of);
    assert_true(v.raw);
}

static void test_refusals(void **state)
{
    const struct given t[] = {
        { "w", LDL_F32, 2, { 4, 6 }, NULL },        { "i", LDL_I32, 2, { 4, 6 }, NULL },
        { "l", LDL_F32, 2, { 4, 2 }, NULL },        { "r", LDL_F32, 2, { 2, 6 }, NULL },
        { "r3", LDL_F32, 2, { 3, 6 }, NULL },       { "ri", LDL_I32, 2, { 2, 6 }, NULL },
        { "m", LDL_F32, 1, { 5 }, NULL },           { "line", LDL_F32, 1, { 24 }, NULL },
        { "l0", LDL_F32, 2, { 4, 0 }, NULL },       { "big", LDL_BF16, 2, { 4, 16385 }, NULL },
        { "rig", LDL_BF16, 2, { 16385, 6 }, NULL }, { "c", LDL_F32, 3, { 2, 3, 2 }, NULL },
    };
    (void)state;
    save_tensors("a.safetensors", "pt", t, LDL_COUNT(t));
    expect_ok(ldl_file_open(&file, at("a.safetensors"), &err));
    struct ldl_lora_parts ok = { { &file, find("l"), 0 }, { &file, find("r"), 0 }, { 0 }, 0, 1 };
    struct ldl_lora_parts p = ok;
    refuse("line", &p, "'l' float32 [4, 2], 'r' float32 [2, 6] do not fit tensor 'line' [24]");
    refuse("i", &p, "do not fit tensor 'i'");
    p.right.tensor = find("r3");
    refuse("w", &p, "'r3' float32 [3, 6]");
    p.right.tensor = find("ri");
    refuse("w", &p, "'ri' int32");
    p = ok;
    p.left.transposed = 1;
    refuse("w", &p, "do not fit");
    p = ok;
    p.left.tensor = find("l0");
    refuse("w", &p, "'l0' float32 [4, 0]");
    p.left.tensor = find("big");
    p.right.tensor = find("rig");
    refuse("w", &p, "ranks are 1 to 16384");
    p = ok;
    p.magnitude = (struct ldl_factor){ &file, find("m"), 0 };
    refuse("w", &p, ", 'm' [5] do not fit");
    p = ok;
    p.right = (struct ldl_factor){ &file, find("c"), 1 }; /* only a matrix can be turned round */
    refuse("w", &p, "'c' float32 [2, 3, 2]");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_nothing, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_orientations), CASE(test_types),        CASE(test_shapes),
        CASE(test_dora),         CASE(test_state_inside), CASE(test_stacked),
        CASE(test_convolution),  CASE(test_bias),         CASE(test_refusals),
    };
    return cmocka_run_group_tests_name("lora", tests, NULL, NULL);
}
