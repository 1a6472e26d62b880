/* test_output.c -- the output directory in every state: absent, empty, full, in use, left over, and
 * all that is refused. Mounts, full disks and failing calls are in test_output_system.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/output_fs.h"
#include "unit/output_help.h"

/* ---- the way that goes well ---- */

static void test_absent(void **state)
{
    (void)state;
    struct ldl_output_spec spec = spec_for(at("a/b/out//"), 0);
    assert_int_equal(ldl_output_check(&spec, &err), 0);
    assert_false(there("a"));
    assert_int_equal(run(&spec), 0);
    assert_true(is_new("a/b/out"));
    assert_false(there("a/b/out.partial"));
}

static void test_abort_leaves_nothing(void **state)
{
    (void)state;
    struct ldl_output o;
    struct ldl_output_spec spec = spec_for(at("a/b/out"), 0);
    assert_int_equal(ldl_output_begin(&o, &spec, &err), 0);
    assert_int_equal(fill(&o), 0);
    assert_true(there("a/b/out.partial/merge_config.json"));
    assert_false(there("a/b/out"));
    ldl_output_abort(&o);
    assert_false(there("a"));
    ldl_output_abort(&o);
    ldl_output_abort(NULL);
    o = (struct ldl_output){ 0 };
    ldl_output_abort(&o);
    assert_true(fcntl(0, F_GETFD) >= 0 || errno == EBADF); /* descriptor 0 was not closed by it */

    assert_int_equal(ldl_output_begin(&o, &spec, &err), 0);
    save("a/mine.txt", "x"); /* somebody else's file keeps the folder */
    ldl_output_abort(&o);
    assert_true(there("a/mine.txt"));
    assert_false(there("a/b"));
}

static void test_empty_is_replaced(void **state)
{
    struct stat st;
    (void)state;
    mkdir(at("out"), 0);
    chmod(at("out"), 02770);
    assert_int_equal(run_to("out", 0), 0);
    assert_true(is_new("out"));
    assert_false(there("out.partial"));
    assert_int_equal(stat(at("out"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
}

static void test_overwrite(void **state)
{
    (void)state;
    make_old("out");
    struct ldl_output_spec spec = spec_for(at("out"), 0);
    expect_refused(&spec, LDL_EOUTPUT, "is not empty; choose another output_path, or give --over");
    assert_int_equal(run_to("out", 1), 0);
    assert_true(is_new("out"));
    assert_false(there("out/1_Pooling"));
    assert_false(there("out.partial"));
}

static void test_link_is_followed(void **state)
{
    struct stat st;
    (void)state;
    make_old("real");
    assert_int_equal(symlink("real", at("out")), 0);
    assert_int_equal(run_to("out", 1), 0);
    assert_true(is_new("real"));
    assert_int_equal(lstat(at("out"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static int overwrite_here(const void *unused)
{
    struct ldl_output_spec spec = spec_for(".", 1);
    (void)unused;
    return chdir(at("out")) ? 99 : run(&spec);
}

/* The user's shell must not be left in a folder that is gone: same inode afterwards. */
static void test_current_directory(void **state)
{
    struct stat before, after;
    (void)state;
    make_old("out");
    assert_int_equal(stat(at("out"), &before), 0);
    assert_int_equal(in_child(overwrite_here, NULL), 0);
    assert_int_equal(stat(at("out"), &after), 0);
    assert_true(ldl_fs_same(&before, &after));
    assert_true(is_new("out"));
    assert_false(there("out/.ladle.partial") || there("out/.ladle.old") || there("out/1_Pooling"));
}

/* ---- files ---- */

static void test_files(void **state)
{
    struct ldl_output o;
    struct stat st;
    int fd;
    (void)state;
    mkdir(at("in"), 0755);
    mkdir(at("in/sub"), 0755);
    save("in/a.json", "side");
    save("in/sub/b.json", "side");
    chmod(at("in/a.json"), 0400);
    struct ldl_output_spec spec = spec_for(at("out"), 0);
    assert_int_equal(ldl_output_begin(&o, &spec, &err), 0);
    assert_int_equal(ldl_output_create(&o, "x.safetensors", 12345, &fd, &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 12345);
    close(fd);
    assert_int_equal(ldl_output_create(&o, "x.safetensors", 1, &fd, &err), LDL_EUSAGE);
    expect_text("x.safetensors: the output has a file of that name already");
    assert_int_equal(ldl_output_create(&o, "empty.safetensors", 0, &fd, &err), 0);
    close(fd);
    assert_int_equal(ldl_output_create(&o, "y.safetensors", UINT64_MAX, &fd, &err), LDL_EIO);
    assert_int_equal(fd, -1);
    assert_int_equal(ldl_output_copy(&o, at("in"), "a.json", &err), 0);
    assert_int_equal(ldl_output_copy(&o, at("in"), "sub/b.json", &err), 0);
    assert_int_equal(ldl_output_copy(&o, at("in"), "a.json", &err), LDL_EUSAGE);
    assert_int_equal(ldl_output_copy(&o, at("in"), "none.json", &err), LDL_EINPUT);
    expect_text("none.json");
    assert_int_equal(ldl_output_put(&o, "sub/b.json", "put wins", 8, &err), 0);
    static const char *const bad[] = { "../x", "/etc/x", "a//b", "", ".", "a/.", "a/" };
    for (size_t i = 0; i < LDL_COUNT(bad); i++) {
        assert_int_equal(ldl_output_put(&o, bad[i], "", 0, &err), LDL_EUSAGE);
        expect_text("is no name of a file inside the output");
    }
    assert_int_equal(ldl_output_commit(&o, &err), 0);
    ldl_output_abort(&o);
    assert_true(holds("out/a.json", "side") && holds("out/sub/b.json", "put wins"));
    assert_true(there("out/empty.safetensors"));
    assert_int_equal(stat(at("out/a.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
}

/* ---- refused ---- */

static void test_strangers(void **state)
{
    (void)state;
    const char *also[] = { "notes.md" };
    struct ldl_output_spec spec = spec_for(at("out"), 1);
    make_old("out");
    save("out/notes.md", "mine");
    expect_refused(&spec, LDL_EOUTPUT, "holds 'notes.md' that ladle would not write");
    spec.also = also;
    spec.nalso = 1;
    assert_int_equal(ldl_output_check(&spec, &err), 0); /* this run copies such a file, too */
    save("out/model.gguf", "x"); /* as --format gguf writes it; other names are not ladle's */
    assert_int_equal(ldl_output_check(&spec, &err), 0);
    save("out/x.gguf", "x");
    expect_refused(&spec, LDL_EOUTPUT, "holds 'x.gguf' that");
    unlink(at("out/model.gguf"));
    unlink(at("out/x.gguf"));
    save("out/pytorch_model.bin", "x");
    save("out/1_Pooling/x.safetensors", "x");
    expect_refused(&spec, LDL_EOUTPUT, "holds '1_Pooling/x.safetensors' and 1 more that");
    unlink(at("out/pytorch_model.bin"));
    unlink(at("out/1_Pooling/x.safetensors"));
    mkdir(at("out/.git"), 0755);
    save("out/.git/config", "x");
    save("out/.git/index", "x");
    expect_refused(&spec, LDL_EOUTPUT, "holds '.git' that");
    sh("rm -r '%s/.git'", at("out"));
    assert_int_equal(symlink("tokenizer.json", at("out/config.json")), 0);
    expect_refused(&spec, LDL_EOUTPUT, "holds 'config.json' that");
    assert_true(is_old("out") && holds("out/notes.md", "mine"));
    assert_false(there("out.partial"));
}

static void test_stranger_comes_late(void **state)
{
    struct ldl_output o;
    (void)state;
    make_old("out");
    struct ldl_output_spec spec = spec_for(at("out"), 1);
    assert_int_equal(ldl_output_begin(&o, &spec, &err), 0);
    assert_int_equal(fill(&o), 0);
    save("out/thesis.tex", "years of work");
    assert_int_equal(ldl_output_commit(&o, &err), LDL_EOUTPUT);
    expect_text("thesis.tex");
    ldl_output_abort(&o);
    assert_true(is_old("out") && holds("out/thesis.tex", "years of work"));
    assert_false(there("out.partial"));

    struct ldl_output_spec absent = spec_for(at("b"), 0);
    assert_int_equal(ldl_output_begin(&o, &absent, &err), 0);
    save("b", "a file");
    assert_int_equal(ldl_output_commit(&o, &err), LDL_EOUTPUT);
    expect_text("b: came to be while the merge ran");
    ldl_output_abort(&o);
    assert_true(holds("b", "a file"));
    assert_false(there("b.partial"));
}

static void test_bad_paths(void **state)
{
    (void)state;
    save("file", "x");
    assert_int_equal(symlink("nowhere", at("link")), 0);
    struct ldl_output_spec spec = spec_for(at("file"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "is a file; output_path names a folder");
    spec = spec_for(at("file/below"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "Not a directory");
    spec = spec_for(at("link"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "is a link that leads nowhere");
    spec = spec_for(at("absent/../out"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "'..' of a folder that does not exist");
    spec = spec_for("", 0);
    expect_refused(&spec, LDL_EUSAGE, "output_path: is empty");
    save("out.partial", "mine");
    spec = spec_for(at("out"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "out.partial: is in the way");
    assert_true(holds("out.partial", "mine"));
}

static void test_related_to_an_input(void **state)
{
    const char *input[1];
    (void)state;
    mkdir(at("top"), 0755);
    make_old("top/in");
    assert_int_equal(symlink("top/in", at("alias")), 0);
    struct ldl_output_spec spec = spec_for(at("top/in/"), 1);
    spec.input = input;
    spec.ninputs = 1;
    input[0] = at("alias");
    expect_refused(&spec, LDL_EOUTPUT, "is also an input");
    spec.path = at("alias/below/deeper");
    input[0] = at("top/in");
    expect_refused(&spec, LDL_EOUTPUT, "is inside the input");
    spec.path = at("top");
    expect_refused(&spec, LDL_EOUTPUT, "is inside it; choose another");
    make_old("out.partial");
    spec.path = at("out");
    input[0] = at("out.partial");
    expect_refused(&spec, LDL_EOUTPUT, "out.partial: is also an input");
    input[0] = at("top/in/tokenizer.json"); /* a single file does not own its folder */
    spec.path = at("top/other");
    assert_int_equal(ldl_output_check(&spec, &err), 0);
    assert_true(is_old("top/in") && is_old("out.partial"));
}

static void test_space(void **state)
{
    (void)state;
    struct ldl_output_spec spec = spec_for(at("a/out"), 0);
    spec.bytes = UINT64_MAX / 2;
    expect_refused(&spec, LDL_EOUTPUT, "not enough disk space");
    assert_false(there("a"));
}

/* ---- two runs ---- */

/* A run that dies in the middle, holding the lock until `arg` (a pipe) is closed. */
static int hold(const void *arg)
{
    const int *pipes = arg;
    struct ldl_output o;
    struct ldl_output_spec spec = spec_for(at("out"), 0);
    char byte = 0;
    if (ldl_output_begin(&o, &spec, &err) || fill(&o) || write(pipes[1], "r", 1) != 1)
        return 1;
    close(pipes[3]);
    return read(pipes[2], &byte, 1) == 0 ? 0 : 2;
}

static void test_lock_and_left_over(void **state)
{
    int pipes[4], status;
    char byte;
    (void)state;
    assert_int_equal(pipe(pipes) | pipe(pipes + 2), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(hold(pipes));
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    struct ldl_output_spec spec = spec_for(at("out"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "another run is writing there");
    assert_true(there("out.partial/merge_config.json"));
    for (int i = 0; i < 4; i++)
        close(pipes[i]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    save("out.partial/notes.md", "mine");
    expect_refused(&spec, LDL_EOUTPUT, "out.partial: holds 'notes.md' that");
    assert_true(there("out.partial/merge_config.json"));
    unlink(at("out.partial/notes.md"));
    save("out.partial/tokenizer.json", "left over");
    assert_int_equal(run_to("out", 0), 0);
    assert_true(is_new("out")); /* which has no tokenizer.json */
    assert_false(there("out.partial"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overwrite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_link_is_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_current_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stranger_comes_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_related_to_an_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_space, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lock_and_left_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
