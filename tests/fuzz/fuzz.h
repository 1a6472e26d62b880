/* fuzz.h -- what the harnesses share. A harness is one LLVMFuzzerTestOneInput(); libFuzzer calls it
 * (./dev fuzz), or replay.c with the files of its folder (the normal test run). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_FUZZ_H
#define LDL_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Unlike assert(), also in a release build. */
#define FUZZ_CHECK(ok)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #ok);                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A folder of this process, in memory where there is such a place: a harness writes a file for each
 * input. */
static inline void fuzz_folder(char *out, size_t size)
{
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(out, size, "%s/ladle-fuzz-%ld", root, (long)getpid());
}

/* A file of that name with these bytes, in a folder of this process; the path is good until the
 * next call. */
static inline const char *fuzz_file(const char *name, const uint8_t *bytes, size_t n)
{
    static char path[128];
    struct ldl_err err;
    fuzz_folder(path, sizeof path);
    mkdir(path, 0700);
    size_t at = strlen(path);
    snprintf(path + at, sizeof path - at, "/%s", name);
    FUZZ_CHECK(ldl_write_file(path, bytes, n, 0, &err) == 0);
    return path;
}

/* One line that says something. */
static inline void fuzz_check_error(const struct ldl_err *err)
{
    FUZZ_CHECK(err->code > 0 && err->text[0] && !strpbrk(err->text, "\n\r\x1b"));
}

#endif
