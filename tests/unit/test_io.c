/* test_io.c -- whole reads and writes, what is refused, paths, lists, the nearest word. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "unit/read_help.h"

#include <fcntl.h>

static void test_open(void **state)
{
    int fd = -1;
    uint64_t size = 0;
    (void)state;
    save("f", "hello");
    expect_ok(ldl_open_read(at("f"), &fd, &size, &err));
    assert_int_equal(size, 5);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    expect_error(ldl_open_read(root, &fd, &size, &err), LDL_EINPUT, "is a directory");
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    expect_error(ldl_open_read(at("pipe"), &fd, &size, &err), LDL_EINPUT, "device or a pipe");
    expect_error(ldl_open_read("/dev/null", &fd, &size, &err), LDL_EINPUT, "device or a pipe");
    expect_error(ldl_open_read(at("absent"), &fd, &size, &err), LDL_EINPUT,
                 "absent: cannot open: No such file");
    assert_int_equal(symlink("nowhere", at("link")), 0);
    expect_error(ldl_open_read(at("link"), &fd, &size, &err), LDL_EINPUT, "leads nowhere");
    assert_int_equal(symlink("round", at("round")), 0);
    expect_error(ldl_open_read(at("round"), &fd, &size, &err), LDL_EINPUT, "cannot open");
}

static void test_pread(void **state)
{
    char to[8];
    int fd;
    uint64_t size;
    (void)state;
    save("f", "0123456789");
    expect_ok(ldl_open_read(at("f"), &fd, &size, &err));
    expect_ok(ldl_pread(fd, "f", to, 3, 7, &err));
    assert_memory_equal(to, "789", 3);
    expect_ok(ldl_pread(fd, "f", to, 0, 99, &err));
    expect_error(ldl_pread(fd, "f", to, 4, 7, &err), LDL_EINPUT,
                 "f: the file became shorter while it was read: 1 bytes are missing at byte 10");
    expect_error(ldl_pread(fd, "f", to, 4, UINT64_MAX - 2, &err), LDL_EINPUT, "no file is long");
    expect_error(ldl_pread(fd, "f", to, 4, (uint64_t)1 << 63, &err), LDL_EINPUT, "no file is long");
    close(fd);
    expect_error(ldl_pread(-1, "f", to, 1, 0, &err), LDL_EIO, "f: cannot read: Bad file");
}

static void test_write(void **state)
{
    struct ldl_buf got = { 0 };
    (void)state;
    expect_ok(ldl_write_file(at("f"), "abcdef", 6, 1, &err));
    expect_ok(ldl_write_file(at("f"), "xyz", 3, 0, &err)); /* shorter: the old end goes */
    expect_ok(ldl_read_file(at("f"), 3, &got, &err));
    assert_string_equal(got.text, "xyz");
    int fd = open(at("f"), O_RDWR);
    expect_ok(ldl_pwrite(fd, "f", "QQ", 2, 5, &err));
    expect_ok(ldl_fdatasync(fd, "f", &err));
    close(fd);
    expect_ok(ldl_read_file(at("f"), 100, &got, &err));
    assert_int_equal(got.len, 7);
    assert_memory_equal(got.text, "xyz\0\0QQ", 8);
    expect_error(ldl_read_file(at("f"), 6, &got, &err), LDL_EINPUT,
                 "7 bytes long, more than the 6");
    expect_error(ldl_write_file(at("no/f"), "", 0, 0, &err), LDL_EIO, "no/f: cannot create");
    expect_error(ldl_write_file("/dev/full", "x", 1, 0, &err), LDL_EIO, "No space left");
    expect_error(ldl_pwrite(-1, "f", "x", 1, 0, &err), LDL_EIO, "f: cannot write");
    expect_error(ldl_fdatasync(-1, "f", &err), LDL_EIO, "f: cannot make the data durable");
    expect_ok(ldl_sync_dir(root, &err));
    expect_error(ldl_sync_dir(at("f"), &err), LDL_EIO, "Not a directory");
    ldl_write_file(at("empty"), "", 0, 0, &err);
    expect_ok(ldl_read_file(at("empty"), 0, &got, &err));
    assert_string_equal(got.text, "");
    ldl_buf_free(&got);
}

static void expect_join(const char *dir, const char *name, const char *joined)
{
    char *path = ldl_path_join(dir, name);
    assert_string_equal(path, joined);
    ldl_free(path);
}

static void test_paths(void **state)
{
    (void)state;
    expect_join("a", "b", "a/b");
    expect_join("a/", "b", "a/b");
    expect_join("", "b", "b");
    expect_join("/", "b", "/b");
    assert_string_equal(ldl_path_base("a/b"), "b");
    assert_string_equal(ldl_path_base("b"), "b");
    assert_string_equal(ldl_path_base("a/"), "");
    assert_true(ldl_is_dir(root));
    assert_false(ldl_is_dir(at("x")));
    assert_false(ldl_exists(at("x")));
    assert_int_equal(symlink("nowhere", at("x")), 0);
    assert_true(ldl_exists(at("x")));
    assert_true(ldl_name_is_plain("a..b"));
    assert_true(ldl_name_is_plain("..."));
    assert_false(ldl_name_is_plain(""));
    assert_false(ldl_name_is_plain("."));
    assert_false(ldl_name_is_plain(".."));
    assert_false(ldl_name_is_plain("a/b"));
    assert_true(ldl_has_suffix("a.json", ".json"));
    assert_false(ldl_has_suffix("json", ".json"));
}

static void test_list(void **state)
{
    struct ldl_names names;
    (void)state;
    save("b", "");
    save("B", "");
    save("\xc3\xa9", "");
    save(".h", "");
    make_dirs("a");
    expect_ok(ldl_list_dir(root, &names, &err));
    assert_int_equal(names.n, 5);
    assert_string_equal(names.name[0], ".h");
    assert_string_equal(names.name[1], "B");
    assert_string_equal(names.name[2], "a");
    assert_string_equal(names.name[3], "b");
    assert_string_equal(names.name[4], "\xc3\xa9");
    ldl_names_free(&names);
    ldl_names_free(&names);
    ldl_names_free(NULL);
    expect_error(ldl_list_dir(at("absent"), &names, &err), LDL_EINPUT, "No such file");
    assert_null(names.name);
}

static void test_nearest(void **state)
{
    static const char *const methods[] = { "linear",       "slerp",       "ties",     "della",
                                           "della_linear", "dare_linear", "dare_ties" };
    static const struct {
        const char *word, *near;
    } rows[] = {
        { "linaer", "linear" }, /* a swap is one edit */
        { "tie", "ties" },
        { "TIES", "ties" },
        { "dare-ties", "dare_ties" },
        { "dareties", "dare_ties" },
        { "delta_linear", "della_linear" },
        { "selrp", "slerp" },
        { "task_arithmetic", NULL },
        { "", NULL },
        { "xyz", NULL },
        { "sl", NULL },
        { "dare", "dare_linear" }, /* its beginning */
    };
    char longest[300];
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(rows); i++) {
        const char *near = ldl_nearest(rows[i].word, methods, LDL_COUNT(methods));
        if (rows[i].near ? !near || strcmp(near, rows[i].near) != 0 : near != NULL)
            fail_msg("'%s' gave '%s'", rows[i].word, near ? near : "nothing");
    }
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(ldl_nearest(longest, methods, LDL_COUNT(methods)));
    assert_null(ldl_nearest("ties", (const char *const[]){ longest }, 1));
    assert_null(ldl_nearest("ties", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_open),  WITH_ROOT(test_pread), WITH_ROOT(test_write),
        WITH_ROOT(test_paths), WITH_ROOT(test_list),  cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
