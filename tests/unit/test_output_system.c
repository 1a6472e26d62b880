/* test_output_system.c -- the output directory where the system does not help: mount points, full
 * disks, folders of others, no exchange of names, and each call failing in turn. What needs root,
 * mounts, seccomp or the fault hooks says "skipped" where it cannot run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/output_fs.h"
#include "unit/output_help.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- no exchange of names ---- */

/* For this process: renameat2() answers EINVAL, as many network file systems do. */
static int refuse_exchange(void)
{
    struct sock_filter rows[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof rows / sizeof rows[0], rows };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int overwrite_without_exchange(const void *unused)
{
    (void)unused;
    return refuse_exchange() ? 77 : run_to("out", 1);
}

static void test_no_exchange(void **state)
{
    (void)state;
    make_old("out");
    int rc = in_child(overwrite_without_exchange, NULL);
    if (rc == 77) {
        print_message("skipped: no seccomp here\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_true(is_new("out"));
    assert_false(there("out.partial"));
    struct ldl_names names;
    assert_int_equal(ldl_list_dir(root, &names, &err), 0);
    assert_int_equal(names.n, 1); /* out.old-PID is gone, too */
    ldl_names_free(&names);
}

/* ---- mounts ---- */

static int mounted(const char *name, const char *options)
{
    mkdir(at(name), 0755);
    if (geteuid() == 0 && mount("none", at(name), "tmpfs", 0, options) == 0)
        return 1;
    print_message("skipped: cannot mount a tmpfs here\n");
    return 0;
}

static void expect_written_inside(const char *dir)
{
    struct stat before, after;
    char path[128];
    assert_int_equal(stat(at(dir), &before), 0);
    assert_int_equal(run_to(dir, 0), 0);
    assert_true(is_new(dir));
    snprintf(path, sizeof path, "%s/1_Pooling", dir);
    mkdir(at(path), 0755);
    make_old(dir);
    assert_int_equal(run_to(dir, 1), 0);
    assert_true(is_new(dir));
    assert_int_equal(stat(at(dir), &after), 0);
    assert_true(ldl_fs_same(&before, &after));
    assert_false(there(path));
    static const char *const gone[] = { ".ladle.partial", ".ladle.old", "../out.partial" };
    for (size_t i = 0; i < LDL_COUNT(gone); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, gone[i]);
        assert_false(there(path));
    }
}

static void test_mount_point(void **state)
{
    (void)state;
    if (!mounted("out", "size=1m"))
        skip();
    mkdir(at("out/lost+found"), 0700);
    expect_written_inside("out");
    assert_true(there("out/lost+found"));
    make_old("out/.ladle.old"); /* of a run that was cut while it moved the files */
    assert_int_equal(run_to("out", 1), 0);
    assert_true(is_new("out"));
    assert_false(there("out/.ladle.old"));
    save("out/.ladle.old", "mine");
    struct ldl_output_spec spec = spec_for(at("out"), 1);
    expect_refused(&spec, LDL_EOUTPUT, "holds '.ladle.old' that");
    umount(at("out"));
}

/* The same device as around it, so st_dev does not tell. */
static void test_bind_mount(void **state)
{
    (void)state;
    mkdir(at("from"), 0755);
    mkdir(at("out"), 0755);
    if (geteuid() != 0 || mount(at("from"), at("out"), NULL, MS_BIND, NULL)) {
        print_message("skipped: cannot bind-mount here\n");
        skip();
    }
    assert_true(ldl_fs_is_mount(at("out")));
    expect_written_inside("out");
    const char *input[] = { at("from") }; /* the same folder by another path */
    struct ldl_output_spec spec = spec_for(at("out/below"), 1);
    spec.input = input;
    spec.ninputs = 1;
    expect_refused(&spec, LDL_EOUTPUT, "is inside the input");
    umount(at("out"));
}

static void test_full_disk(void **state)
{
    struct ldl_output o;
    int fd;
    (void)state;
    if (!mounted("disk", "size=1m"))
        skip();
    struct ldl_output_spec spec = spec_for(at("disk/out"), 0);
    spec.bytes = 2 << 20;
    expect_refused(&spec, LDL_EOUTPUT, "not enough disk space: 2.1 MB are needed");
    spec.bytes = 0; /* the disk fills up after the check */
    assert_int_equal(ldl_output_begin(&o, &spec, &err), 0);
    assert_int_equal(ldl_output_create(&o, "x.safetensors", 2 << 20, &fd, &err), LDL_EIO);
    expect_text("x.safetensors: cannot reserve 2.1 MB: No space left on device");
    assert_int_equal(fd, -1);
    ldl_output_abort(&o);
    assert_false(there("disk/out.partial"));

    mkdir(at("disk/out.partial"), 0755); /* what a left-over holds counts as free */
    sh("head -c 700000 /dev/zero > '%s/x.safetensors'", at("disk/out.partial"));
    spec.bytes = 900000;
    assert_int_equal(ldl_output_check(&spec, &err), 0);
    assert_int_equal(run(&spec), 0);
    assert_true(is_new("disk/out"));
    umount(at("disk"));
}

/* A test that failed left its mount: nothing may be removed through it. */
static int teardown_mounts(void **state)
{
    umount2(at("out"), MNT_DETACH);
    umount2(at("disk"), MNT_DETACH);
    return teardown(state);
}

/* ---- folders of others ---- */

static int as_nobody(const void *arg)
{
    const struct ldl_output_spec *spec = arg;
    struct ldl_err why = { 0 };
    if (setgid(65534) || setuid(65534))
        return 99;
    int status = run(spec);
    if (ldl_output_check(spec, &why) == LDL_EOUTPUT && !strstr(why.text, "cannot write in") &&
        !strstr(why.text, "is not empty"))
        return 98;
    return status;
}

static void test_parent_of_another_user(void **state)
{
    struct stat st;
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: not root\n");
        skip();
    }
    struct ldl_output_spec spec = spec_for(at("out"), 0);
    assert_int_equal(in_child(as_nobody, &spec), LDL_EOUTPUT); /* absent: cannot be made */
    mkdir(at("out"), 0755);
    assert_int_equal(in_child(as_nobody, &spec), LDL_EOUTPUT); /* not theirs */
    assert_int_equal(chown(at("out"), 65534, 65534), 0);
    assert_int_equal(in_child(as_nobody, &spec), 0); /* written inside */
    assert_true(is_new("out"));
    assert_int_equal(stat(at("out"), &st), 0);
    assert_int_equal(st.st_uid, 65534);

    /* sticky, as /tmp is: the exchange is refused at the very end, the files can still move */
    mkdir(at("shared"), 0777);
    chmod(at("shared"), 01777);
    mkdir(at("shared/out"), 0777);
    chmod(at("shared/out"), 0777);
    spec = spec_for(at("shared/out"), 0);
    assert_int_equal(in_child(as_nobody, &spec), 0);
    assert_true(is_new("shared/out"));
    assert_int_equal(stat(at("shared/out"), &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_false(there("shared/out.partial"));
}

/* ---- each call failing in turn ---- */

#ifdef LDL_FAULTS
struct torture {
    const char *kind;
    int nth;
    const char *path; /* "." means inside */
    int aside;
};

static int run_with_fault(const void *arg)
{
    const struct torture *t = arg;
    char spec_text[40];
    struct ldl_output_spec spec = spec_for(t->path ? t->path : at("out"), 1);
    if (t->path && chdir(at("out")))
        return 99;
    if (t->aside && refuse_exchange())
        return 77;
    snprintf(spec_text, sizeof spec_text, "%s:%d", t->kind, t->nth);
    setenv("LADLE_FAULT", spec_text, 1);
    int status = run(&spec);
    if (status && !*err.text)
        return 98;
    return status;
}

/* Returns 0 when the run went well: no nth call, or one whose failure does not matter. */
static int survives(struct torture t)
{
    make_old("out");
    int rc = in_child(run_with_fault, &t);
    if (rc == 77) {
        print_message("skipped: no seccomp here\n");
        return 0;
    }
    if (rc == 0) {
        if (!is_new("out"))
            fail_msg("%s:%d: not the new output, rc %d", t.kind, t.nth, rc);
    } else {
        if (rc != LDL_EIO && rc != LDL_EOUTPUT && rc != LDL_EINPUT)
            fail_msg("%s:%d: rc %d", t.kind, t.nth, rc);
        if (!is_old("out"))
            fail_msg("%s:%d: not the old output", t.kind, t.nth);
    }
    if (there("out.partial") || there("out/.ladle.partial") || there("out/.ladle.old"))
        fail_msg("%s:%d: something is left, rc %d", t.kind, t.nth, rc);
    sh("rm -rf '%s'/out*", root);
    return rc != 0;
}

static void test_faults(void **state)
{
    static const char *const kinds[] = { "rename", "sync", "write", "open", "alloc" };
    (void)state;
    for (int way = 0; way < 3; way++) /* swap, inside, aside */
        for (size_t k = 0; k < LDL_COUNT(kinds); k++) {
            int n = 0, failures = 0;
            for (int good = 0; good < 3; n++) { /* three in a row: there are no more calls */
                int failed =
                    survives((struct torture){ kinds[k], n + 1, way == 1 ? "." : NULL, way == 2 });
                failures += failed;
                good = failed ? 0 : good + 1;
            }
            print_message("%s: %d of %d failed\n", kinds[k], failures, n);
            assert_true(failures > 0);
        }
}
#else
static void test_faults(void **state)
{
    (void)state;
    print_message("skipped: built without LADLE_FAULTS\n");
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_exchange, setup, teardown_mounts),
        cmocka_unit_test_setup_teardown(test_mount_point, setup, teardown_mounts),
        cmocka_unit_test_setup_teardown(test_bind_mount, setup, teardown_mounts),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown_mounts),
        cmocka_unit_test_setup_teardown(test_parent_of_another_user, setup, teardown_mounts),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown_mounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
