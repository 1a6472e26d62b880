/* output_help.h -- what the two test programs of the output directory share: a folder of their own,
 * an old output, a new one, a whole run, a body in a child process. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_OUTPUT_HELP_H
#define LDL_TESTS_OUTPUT_HELP_H

#include "engine/output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define UNUSED __attribute__((unused))

static char root[] = "/tmp/ladle-output-XXXXXX"; /* made anew for each test */
static struct ldl_err err;

/* root/name; good for the next 63 calls */
UNUSED static const char *at(const char *name)
{
    static char path[64][512];
    static int turn;
    turn = (turn + 1) % 64;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

UNUSED static void save(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        abort();
}

UNUSED static int holds(const char *name, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(at(name), "r");
    if (!f)
        return 0;
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    return strlen(text) == n && memcmp(got, text, n) == 0;
}

UNUSED static int there(const char *name)
{
    return ldl_exists(at(name));
}

/* An output of an earlier run, with a sub-folder. */
UNUSED static void make_old(const char *dir)
{
    char name[128];
    static const char *const files[] = { "model-00001-of-00001.safetensors", "tokenizer.json",
                                         "model.safetensors.index.json", "merge_config.json",
                                         "1_Pooling/config.json" };
    mkdir(at(dir), 0755);
    snprintf(name, sizeof name, "%s/1_Pooling", dir);
    mkdir(at(name), 0755);
    for (size_t i = 0; i < LDL_COUNT(files); i++) {
        snprintf(name, sizeof name, "%s/%s", dir, files[i]);
        save(name, "old");
    }
}

UNUSED static int is_old(const char *dir)
{
    char a[128], b[128];
    snprintf(a, sizeof a, "%s/merge_config.json", dir);
    snprintf(b, sizeof b, "%s/1_Pooling/config.json", dir);
    return holds(a, "old") && holds(b, "old");
}

UNUSED static int is_new(const char *dir)
{
    char a[128], b[128], c[128], d[128];
    snprintf(a, sizeof a, "%s/merge_config.json", dir);
    snprintf(b, sizeof b, "%s/model-00001-of-00002.safetensors", dir);
    snprintf(c, sizeof c, "%s/sub/vocab.txt", dir);
    snprintf(d, sizeof d, "%s/tokenizer.json", dir);
    return holds(a, "new") && holds(b, "data") && holds(c, "new") && !there(d);
}

UNUSED static struct ldl_output_spec spec_for(const char *path, int overwrite)
{
    return (struct ldl_output_spec){ .path = path,
                                     .overwrite = overwrite,
                                     .durable = 1,
                                     .bytes = 100,
                                     .index_name = "model.safetensors.index.json" };
}

UNUSED static int fill(struct ldl_output *o)
{
    int fd;
    int status = ldl_output_create(o, "model-00001-of-00002.safetensors", 4, &fd, &err);
    if (status)
        return status;
    status = ldl_pwrite(fd, "data file", "data", 4, 0, &err);
    close(fd);
    if (status == 0)
        status = ldl_output_put(o, "sub/vocab.txt", "new", 3, &err);
    if (status == 0)
        status = ldl_output_put(o, "model.safetensors.index.json", "new", 3, &err);
    return status ? status : ldl_output_put(o, "merge_config.json", "new", 3, &err);
}

/* A whole run. */
UNUSED static int run(const struct ldl_output_spec *spec)
{
    struct ldl_output o;
    memset(&err, 0, sizeof err);
    int status = ldl_output_begin(&o, spec, &err);
    if (status == 0)
        status = fill(&o);
    if (status == 0)
        status = ldl_output_commit(&o, &err);
    ldl_output_abort(&o);
    return status;
}

UNUSED static int run_to(const char *name, int overwrite)
{
    struct ldl_output_spec spec = spec_for(at(name), overwrite);
    return run(&spec);
}

UNUSED static void expect_text(const char *part)
{
    if (!strstr(err.text, part))
        fail_msg("'%s' is not in: %s", part, err.text);
}

/* check() and begin() both refuse, saying so, and leave nothing. */
UNUSED static void expect_refused(const struct ldl_output_spec *spec, int code, const char *part)
{
    struct ldl_output o;
    memset(&err, 0, sizeof err);
    assert_int_equal(ldl_output_check(spec, &err), code);
    expect_text(part);
    memset(&err, 0, sizeof err);
    assert_int_equal(ldl_output_begin(&o, spec, &err), code);
    expect_text(part);
    assert_null(o.path);
    ldl_output_abort(&o);
}

UNUSED static int in_child(int (*body)(const void *), const void *arg)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

UNUSED static void sh(const char *fmt, const char *path)
{
    char command[1024];
    snprintf(command, sizeof command, fmt, path, path);
    if (system(command) != 0)
        fail_msg("%s", command);
}

UNUSED static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ladle-output-XXXXXX");
    return mkdtemp(root) && chmod(root, 0755) == 0 ? 0 : -1;
}

UNUSED static int teardown(void **state)
{
    (void)state;
    sh("cd / && chmod -R u+rwX '%s' && rm -rf '%s'", root);
    return 0;
}

#endif
