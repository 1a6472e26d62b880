/* test_gather.c -- elements that do not lie side by side: every run of strided tensors against a
 * plain loop, and text against the bytes that it stands for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gather.h"
#include "unit/read_help.h"

#include <fcntl.h>

enum { FILE_BYTES = 1 << 19, TO_BYTES = 1 << 18 };
static struct ldl_file file = { .fd = -1 };
static unsigned char content[FILE_BYTES], got[TO_BYTES + 8], want[TO_BYTES];

/* A file of bytes that do not repeat with any stride. */
static int open_file(void **state)
{
    uint32_t x = 1;
    if (make_root(state))
        return -1;
    for (size_t i = 0; i < FILE_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        content[i] = (unsigned char)(x >> 24);
    }
    save_bytes("f", content, FILE_BYTES);
    file = (struct ldl_file){ .path = (char *)"f", .size = FILE_BYTES };
    file.fd = open(at("f"), O_RDONLY);
    return file.fd < 0;
}

static int close_file(void **state)
{
    close(file.fd);
    return remove_root(state);
}

/* Element number i of t, by the definition. */
static const unsigned char *element(const struct ldl_stored *t, uint64_t i, size_t size)
{
    uint64_t place = 0;
    for (int d = t->ndim; d-- > 0; i /= t->dim[d])
        place += i % t->dim[d] * t->stride[d];
    return content + t->offset + place * size;
}

static void expect_run(const struct ldl_stored *t, uint64_t first, uint64_t n)
{
    size_t size = ldl_dtype_unit_bytes(t->dtype);
    assert_true(n * size <= TO_BYTES);
    for (uint64_t i = 0; i < n; i++)
        memcpy(want + i * size, element(t, first + i, size), size);
    memset(got, 0xee, sizeof got);
    expect_ok(ldl_gather_strided(&file, t, first, n, got, &err));
    if (memcmp(got, want, n * size) != 0)
        fail_msg("elements %d + %d differ", (int)first, (int)n);
    assert_int_equal(got[n * size], 0xee);
}

static const struct ldl_stored shapes[] = {
#define DIMS(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define T(type, n, dims, strides)                                                                  \
    {                                                                                              \
        .dtype = type, .ndim = n, .dim = dims, .stride = strides                                   \
    }
    T(LDL_F32, 2, DIMS(50, 70), DIMS(1, 50)),                    /* transposed */
    T(LDL_BF16, 2, DIMS(300, 400), DIMS(1, 300)),                /* wider than a span */
    T(LDL_F32, 4, DIMS(3, 4, 5, 7), DIMS(140, 1, 28, 4)),        /* channels last */
    T(LDL_BF16, 4, DIMS(8, 16, 20, 20), DIMS(6400, 1, 320, 16)), /* the same, large */
    T(LDL_F32, 2, DIMS(6, 9), DIMS(0, 1)),                       /* expanded */
    T(LDL_F64, 3, DIMS(2, 3, 4), DIMS(0, 0, 0)),                 /* one element, expanded */
    T(LDL_U8, 3, DIMS(5, 6, 7), DIMS(1000, 90, 3)),              /* a slice with steps */
    T(LDL_F32, 1, DIMS(900), DIMS(100)),                         /* a column */
    T(LDL_F32, 3, DIMS(1, 30, 1), DIMS(0, 7, 0)),                /* dims of one index */
    T(LDL_F32, 3, DIMS(4, 1, 6), DIMS(1, 999999999, 4)),
    T(LDL_F16, 2, DIMS(40, 30), DIMS(1, 1)), /* elements used many times */
    T(LDL_I64, 8, DIMS(2, 1, 2, 3, 1, 2, 2, 2), DIMS(1, 0, 2, 4, 0, 12, 24, 48)),
    T(LDL_F32, 0, DIMS(0), DIMS(0)), /* a number */
#undef T
#undef DIMS
};

static void test_strided(void **state)
{
    (void)state;
    for (size_t s = 0; s < LDL_COUNT(shapes); s++) {
        struct ldl_stored t = shapes[s];
        uint32_t x = 7;
        t.offset = 3;
        t.strided = 1;
        t.n = 1;
        for (int d = 0; d < t.ndim; d++)
            t.n *= t.dim[d];
        expect_run(&t, 0, t.n);
        expect_run(&t, t.n - 1, 1);
        expect_run(&t, 0, 0);
        for (int i = 0; i < 200; i++) {
            x = x * 1664525 + 1013904223;
            uint64_t first = x % t.n;
            x = x * 1664525 + 1013904223;
            expect_run(&t, first, x % (LDL_MIN(t.n - first, (uint64_t)3000) + 1));
        }
    }
}

static void test_strided_beyond(void **state)
{
    struct ldl_stored t = shapes[0];
    (void)state;
    t.offset = FILE_BYTES - 50;
    expect_error(ldl_gather_strided(&file, &t, 0, 100, got, &err), LDL_EINPUT, "became shorter");
}

/* ---- text ---- */

enum { PLAIN = 3 * LDL_MARK_BYTES + 1234, LEAD = 11 };
static uint64_t mark[4];

/* `content`'s first PLAIN bytes as text, behind LEAD others. Returns the text's length. */
static size_t save_text(void)
{
    static unsigned char text[LEAD + 2 * PLAIN];
    size_t n = LEAD;
    for (size_t i = 0; i < PLAIN; i++) {
        unsigned char c = content[i];
        if (i % LDL_MARK_BYTES == 0)
            mark[i / LDL_MARK_BYTES] = n;
        if (c >= 0x80)
            text[n++] = (unsigned char)(0xc0 | c >> 6);
        text[n++] = c < 0x80 ? c : (unsigned char)(0x80 | (c & 0x3f));
    }
    save_bytes("f", text, n);
    file.size = n;
    return n;
}

static void expect_text(const struct ldl_stored *t, uint64_t first, size_t n)
{
    memset(got, 0xee, sizeof got);
    expect_ok(ldl_gather_text(&file, t, first, n, got, &err));
    if (memcmp(got, content + first, n) != 0)
        fail_msg("bytes %d + %d differ", (int)first, (int)n);
    assert_int_equal(got[n], 0xee);
}

static void test_text(void **state)
{
    struct ldl_stored t = { .dtype = LDL_U8, .ndim = 1, .bytes = PLAIN, .n = PLAIN, .mark = mark };
    uint32_t x = 3;
    (void)state;
    save_text();
    expect_text(&t, 0, PLAIN);
    expect_text(&t, 0, 0);
    expect_text(&t, PLAIN - 1, 1);
    for (uint64_t border = LDL_MARK_BYTES; border < PLAIN; border += LDL_MARK_BYTES)
        for (uint64_t back = 0; back < 3; back++) {
            expect_text(&t, border - back, 1);
            expect_text(&t, border - back, 5);
            expect_text(&t, border - back, LDL_MIN(PLAIN - border, (uint64_t)70000));
        }
    for (int i = 0; i < 200; i++) {
        x = x * 1664525 + 1013904223;
        uint64_t first = x % PLAIN;
        x = x * 1664525 + 1013904223;
        expect_text(&t, first, x % LDL_MIN(PLAIN - first, (uint64_t)40000));
    }
}

/* The file is another one since the marks were made. */
static void test_text_changed(void **state)
{
    struct ldl_stored t = { .dtype = LDL_U8, .ndim = 1, .bytes = PLAIN, .n = PLAIN, .mark = mark };
    static unsigned char text[4 * PLAIN];
    (void)state;
    size_t n = save_text();
    memset(text, 0xc4, sizeof text); /* U+0100 and up */
    save_bytes("f", text, n);
    expect_error(ldl_gather_text(&file, &t, 0, 5, got, &err), LDL_EINPUT, "changed while");
    memset(text, 0xff, sizeof text);
    save_bytes("f", text, n);
    expect_error(ldl_gather_text(&file, &t, 0, 5, got, &err), LDL_EINPUT, "changed while");
    memset(text, 'a', sizeof text); /* too short for its marks */
    save_bytes("f", text, LEAD + 20);
    file.size = LEAD + 20;
    expect_error(ldl_gather_text(&file, &t, 0, 100, got, &err), LDL_EINPUT, "changed while");
    expect_error(ldl_gather_text(&file, &t, 70000, 1, got, &err), LDL_EINPUT, "changed while");
    memset(text, 0xc2, sizeof text); /* ends in the middle of a character */
    save_bytes("f", text, LEAD + 1);
    file.size = LEAD + 1;
    expect_error(ldl_gather_text(&file, &t, 0, 1, got, &err), LDL_EINPUT, "changed while");
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, open_file, close_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_strided),
        WITH_FILE(test_strided_beyond),
        WITH_FILE(test_text),
        WITH_FILE(test_text_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
