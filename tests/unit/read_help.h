/* read_help.h -- what the tests of the reading side share: a folder of their own, files in it, and
 * safetensors files made from a header's text, so that a header can lie. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_READ_HELP_H
#define LDL_TESTS_READ_HELP_H

#include "base/err.h"
#include "base/mem.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define UNUSED __attribute__((unused))

static char root[64]; /* made anew for each test */
static struct ldl_err err;

UNUSED static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ladle-read-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    return remove(path);
}

UNUSED static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

/* root/name; good for the next 63 calls */
UNUSED static const char *at(const char *name)
{
    static char path[64][512];
    static int turn;
    turn = (turn + 1) % 64;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

UNUSED static void make_dirs(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s", at(name));
    for (char *p = path + strlen(root) + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        mkdir(path, 0755);
        *p = '/';
    }
    mkdir(path, 0755);
}

UNUSED static void save_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(at(name), "w");
    if (!f || (n && fwrite(bytes, n, 1, f) != 1) || fclose(f))
        abort();
}

UNUSED static void save(const char *name, const char *text)
{
    save_bytes(name, text, strlen(text));
}

/* A safetensors file: this header with this length before it, then `data` bytes 0, 1, 2 ... */
UNUSED static void save_st_length(const char *name, const char *header, uint64_t length,
                                  size_t data)
{
    struct ldl_buf b = { 0 };
    for (int i = 0; i < 8; i++)
        ldl_buf_put(&b, &(char){ (char)(length >> (8 * i)) }, 1);
    ldl_buf_puts(&b, header);
    for (size_t i = 0; i < data; i++)
        ldl_buf_put(&b, &(char){ (char)i }, 1);
    if (b.failed)
        abort();
    save_bytes(name, b.text, b.len);
    ldl_buf_free(&b);
}

UNUSED static void save_st(const char *name, const char *header, size_t data)
{
    save_st_length(name, header, strlen(header), data);
}

/* The last error has this code and this text in it, and is one line. */
UNUSED static void expect_error(int status, int code, const char *part)
{
    if (status != code || err.code != code || !strstr(err.text, part) || strchr(err.text, '\n'))
        fail_msg("status %d, error %d '%s'; expected %d with '%s'", status, err.code, err.text,
                 code, part);
}

UNUSED static void expect_ok(int status)
{
    if (status)
        fail_msg("status %d: %s", status, err.text);
}

#define GOLDEN_MODELS "/work/shared/golden/paddle_models"
/* The recorded models, where this machine has them; the test is skipped, visibly, elsewhere. */
UNUSED static const char *golden(const char *name)
{
    static char path[256];
    const char *dir = getenv("LADLE_GOLDEN_MODELS");
    snprintf(path, sizeof path, "%s/%s", dir ? dir : GOLDEN_MODELS, name);
    if (access(path, R_OK)) {
        print_message("  skipped: %s is not on this machine\n", path);
        skip();
    }
    return path;
}

#endif
