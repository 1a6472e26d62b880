/* test_zip.c -- directories of zip archives: 64-bit fields, comments, and lies in each field. What
 * becomes of whole archives is in test_torch_zip.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zip.h"
#include "unit/read_help.h"

#include <fcntl.h>

static struct ldl_zip z;
static struct ldl_buf b;
static int fd = -1;

static void put(uint64_t v, int width)
{
    for (int i = 0; i < width; i++)
        ldl_buf_put(&b, &(char){ (char)(i < 8 ? v >> (8 * i) : 0) }, 1);
}

/* Member "a/b" of 5 bytes at 0, its entry with 64-bit fields, both ends. */
struct fields {
    uint64_t bytes, packed, header; /* in the extra part, if not what is right */
    int extra_id, extra_bytes;      /* if not 1 and 24 */
    uint64_t entries, length, directory, end64;
    const char *locator, *end64_sign;
    const char *comment;
    int comment_bytes; /* as the end says, if not right */
};

static int read_fields(const struct fields *f)
{
    ldl_buf_reset(&b);
    ldl_buf_puts(&b, "PK\3\4");
    put(45, 2);
    put(0, 2 + 2 + 4 + 4);
    put(UINT32_MAX, 4);
    put(UINT32_MAX, 4);
    put(3, 2);
    put(4, 2); /* an extra part that the directory does not have */
    ldl_buf_puts(&b, "a/b");
    put(0x4646, 4);
    ldl_buf_puts(&b, "hello");
    uint64_t directory = b.len;
    ldl_buf_puts(&b, "PK\1\2");
    put(45, 2 + 2);
    put(0, 2 + 2 + 4 + 4);
    put(UINT32_MAX, 4);
    put(UINT32_MAX, 4);
    put(3, 2);
    put(4 + 2 + 28, 2);
    put(2, 2);
    put(0, 2 + 2 + 4);
    put(UINT32_MAX, 4);
    ldl_buf_puts(&b, "a/b");
    put(0x4646, 2); /* another extra part before */
    put(2, 2);
    put(0, 2);
    put((uint64_t)(f->extra_id ? f->extra_id : 1), 2);
    put((uint64_t)(f->extra_bytes ? f->extra_bytes : 24), 2);
    put(f->bytes ? f->bytes : 5, 8);
    put(f->packed ? f->packed : 5, 8);
    put(f->header, 8);
    ldl_buf_puts(&b, "!!");
    uint64_t end64 = b.len;
    ldl_buf_puts(&b, f->end64_sign ? f->end64_sign : "PK\6\6");
    put(44, 8);
    put(45, 2 + 2);
    put(0, 4);
    put(0, 4);
    put(1, 8);
    put(f->entries ? f->entries : 1, 8);
    put(f->length ? f->length : end64 - directory, 8);
    put(f->directory ? f->directory : directory, 8);
    ldl_buf_puts(&b, f->locator ? f->locator : "PK\6\7");
    put(0, 4);
    put(f->end64 ? f->end64 : end64, 8);
    put(1, 4);
    const char *comment = f->comment ? f->comment : "";
    ldl_buf_puts(&b, "PK\5\6");
    put(0, 4);
    put(UINT16_MAX, 2);
    put(UINT16_MAX, 2);
    put(UINT32_MAX, 4);
    put(UINT32_MAX, 4);
    put(f->comment_bytes ? (uint64_t)f->comment_bytes : strlen(comment), 2);
    ldl_buf_puts(&b, comment);
    save_bytes("z", b.text, b.len);
    if (fd >= 0)
        close(fd);
    fd = open(at("z"), O_RDONLY);
    return ldl_zip_read(&z, fd, "z", b.len, &err);
}

static void test_zip64(void **state)
{
    static const struct fields good[] = {
        { 0 },
        { .comment = "a comment" },
        { .comment = "PK\5\6 begins like an end, but ends elsewhere" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(good); i++) {
        expect_ok(read_fields(&good[i]));
        assert_int_equal(z.n, 1);
        assert_string_equal(z.member[0].name, "a/b");
        assert_int_equal(z.member[0].bytes, 5);
        expect_ok(ldl_zip_settle(&z, &z.member[0], fd, "z", &err));
        assert_memory_equal(b.text + z.member[0].offset, "hello", 5);
        ldl_zip_free(&z);
        ldl_zip_free(&z);
        ldl_zip_free(NULL);
    }
}

static void test_lies(void **state)
{
    static const struct {
        struct fields f;
        const char *error;
    } rows[] = {
        { { .extra_id = 2 }, "cannot be read" },
        { { .extra_bytes = 16 }, "cannot be read" },
        { { .extra_bytes = 25 }, "cannot be read" },
        { { .extra_bytes = 60000 }, "cannot be read" },
        { { .entries = 2 }, "cannot be read" },
        { { .entries = UINT64_MAX }, "cannot be read" },
        { { .length = 50 }, "cannot be read" },
        { { .length = 1 << 20 }, "not where the file says" },
        { { .length = UINT64_MAX }, "not where the file says" },
        { { .directory = 1 }, "cannot be read" },
        { { .directory = 1 << 20 }, "not where the file says" },
        { { .directory = UINT64_MAX }, "not where the file says" },
        { { .end64 = 1 }, "not where the file says" },
        { { .end64 = UINT64_MAX }, "not where the file says" },
        { { .end64_sign = "PK\6\5" }, "not where the file says" },
        { { .locator = "PK\6\5" }, "not where the file says" }, /* the fields are all ones */
        { { .comment_bytes = 7 }, "end of the zip archive is missing" },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_error(read_fields(&rows[i].f), LDL_EINPUT, rows[i].error);
        assert_null(z.member);
    }
}

static void test_lying_members(void **state)
{
    static const struct fields rows[] = {
        { .bytes = 6 },           { .bytes = 6, .packed = 6 },
        { .packed = 4 },          { .bytes = UINT64_MAX, .packed = UINT64_MAX },
        { .header = 1 },          { .header = 1 << 20 },
        { .header = UINT64_MAX },
    };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        expect_ok(read_fields(&rows[i]));
        expect_error(ldl_zip_settle(&z, &z.member[0], fd, "z", &err), LDL_EINPUT,
                     "z: member 'a/b' is not whole");
        ldl_zip_free(&z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_zip64),
        WITH_ROOT(test_lies),
        WITH_ROOT(test_lying_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
