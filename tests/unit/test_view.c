/* test_view.c -- reading a stored tensor in windows: the right elements, and not one byte more than
 * the caller and the tensor allow. The kernels are a table of this file's own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "model/view.h"
#include "unit/read_help.h"

/* A byte is its number. */
static void decode_u16(float *dst, const void *src, size_t n)
{
    const unsigned char *s = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)(s[2 * i] + 256 * s[2 * i + 1]);
}

static const struct ldl_kern kern = { .level = "test", .decode = { [LDL_BF16] = decode_u16 } };
static struct ldl_file file;
static struct ldl_view view[2];
static unsigned char window[64];

/* Tensor a: 3 elements at an odd offset; b: 100 elements, element i of value i. */
static int open_two(void **state)
{
    if (make_root(state))
        return -1;
    unsigned char bytes[8 + 160 + 206];
    char header[161];
    memset(header, ' ', sizeof header);
    int n = snprintf(header, sizeof header,
                     "{\"a\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                     "\"b\":{\"dtype\":\"BF16\",\"shape\":[10,10],\"data_offsets\":[6,206]}}");
    bytes[0] = (unsigned char)n; /* the data begin right behind: at an odd place or an even one */
    memset(bytes + 1, 0, 7);
    memcpy(bytes + 8, header, (size_t)n);
    for (int i = 0; i < 103; i++) {
        bytes[8 + n + 2 * i] = (unsigned char)(i < 3 ? 200 + i : i - 3);
        bytes[8 + n + 2 * i + 1] = 0;
    }
    save_bytes("v.safetensors", bytes, (size_t)(8 + n + 206));
    if (ldl_file_open(&file, at("v.safetensors"), &err))
        return -1;
    for (int i = 0; i < 2; i++)
        ldl_view_stored(&view[i], &file, &file.tensor[i]);
    return 0;
}

static int close_two(void **state)
{
    ldl_file_close(&file);
    return remove_root(state);
}

static void expect_read(struct ldl_reader *r, const struct ldl_view *v, uint64_t first, size_t n)
{
    float out[64];
    expect_ok(ldl_view_read(v, &kern, first, n, out, r, &err));
    for (size_t i = 0; i < n; i++)
        assert_true(out[i] == (float)(first + i + (v == &view[0] ? 200 : 0)));
}

static void test_facts(void **state)
{
    (void)state;
    assert_string_equal(view[1].name, "b");
    assert_int_equal(view[1].dtype, LDL_BF16);
    assert_int_equal(view[1].n, 100);
    assert_int_equal(view[1].ndim, 2);
    assert_int_equal(view[1].dim[1], 10);
    assert_true(view[1].raw);
    assert_ptr_equal(view[1].stored, &file.tensor[1]);
    assert_ptr_equal(view[1].file, &file);
}

static void test_windows(void **state)
{
    struct ldl_reader r = { .buf = window + 1, .cap = 41 }; /* 20 elements, unaligned */
    (void)state;
    expect_read(&r, &view[1], 5, 4);
    assert_int_equal(r.first, 5);
    assert_int_equal(r.n, 20);
    expect_read(&r, &view[1], 24, 1); /* the last of the window */
    assert_int_equal(r.first, 5);
    expect_read(&r, &view[1], 24, 2); /* half out of it: from there anew */
    assert_int_equal(r.first, 24);
    expect_read(&r, &view[1], 23, 2); /* before it */
    assert_int_equal(r.first, 23);
    expect_read(&r, &view[1], 95, 5); /* not beyond the tensor's end */
    assert_int_equal(r.n, 5);
    expect_read(&r, &view[1], 80, 20); /* all that fits */
    expect_read(&r, &view[0], 0, 3);   /* another tensor: the window is not its own */
    assert_int_equal(r.n, 3);
    expect_read(&r, &view[1], 0, 3);
    r.limit = 30; /* the caller stops there */
    expect_read(&r, &view[1], 25, 2);
    assert_int_equal(r.n, 5);
    expect_read(&r, &view[1], 29, 4); /* or asks for more all the same */
    assert_int_equal(r.n, 4);
}

static void test_nothing(void **state)
{
    struct ldl_reader r = { .buf = window, .cap = 40 };
    (void)state;
    expect_ok(ldl_view_read(&view[1], &kern, 100, 0, NULL, &r, &err));
    expect_ok(ldl_view_read(&view[1], &kern, 7, 0, NULL, &r, &err));
    assert_null(r.source);
}

static void test_vanishing_file(void **state)
{
    struct ldl_reader r = { .buf = window, .cap = 40 };
    float out[20];
    (void)state;
    assert_int_equal(truncate(at("v.safetensors"), (off_t)file.size - 50), 0);
    expect_read(&r, &view[1], 0, 20);
    int status = ldl_view_read(&view[1], &kern, 70, 20, out, &r, &err);
    expect_error(status, LDL_EINPUT, "the file became shorter");
    assert_non_null(strstr(err.text, "tensor 'b'"));
    assert_non_null(strstr(err.text, "v.safetensors"));
    assert_null(r.source); /* what is in the window now is nothing's */
    expect_read(&r, &view[1], 0, 20);
}

static void test_shape_text(void **state)
{
    char out[200];
    uint64_t dim[LDL_MAX_DIMS] = { 32, 96 };
    (void)state;
    assert_string_equal(ldl_shape_text(out, dim, 2), "[32, 96]");
    assert_string_equal(ldl_shape_text(out, dim, 1), "[32]");
    assert_string_equal(ldl_shape_text(out, dim, 0), "[]");
    for (int i = 0; i < LDL_MAX_DIMS; i++)
        dim[i] = UINT64_MAX;
    assert_int_equal(strlen(ldl_shape_text(out, dim, LDL_MAX_DIMS)), 8 * 20 + 7 * 2 + 2);
}

#define WITH_TWO(test) cmocka_unit_test_setup_teardown(test, open_two, close_two)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TWO(test_facts),
        WITH_TWO(test_windows),
        WITH_TWO(test_nothing),
        WITH_TWO(test_vanishing_file),
        cmocka_unit_test(test_shape_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
