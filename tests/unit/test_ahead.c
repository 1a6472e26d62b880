/* test_ahead.c -- which tensors are asked for ahead of their turn: each once, in order, and about 256 MiB of
 * them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "engine/ahead.h"

enum { JOBS = 40 };

/* Jobs of two inputs and a base, of 10 MiB each; but one of 400 MiB. */
static void in_order(void **state)
{
    struct ldl_stored small = { .bytes = 10 << 20 }, big = { .bytes = 400 << 20 };
    struct ldl_view view[2] = { { .stored = &small }, { .stored = &big } };
    const struct ldl_view *in[2][2] = { { &view[0], &view[0] }, { &view[1], &view[1] } };
    struct ldl_job job[JOBS];
    struct ldl_plan plan = { .job = job, .njobs = JOBS };
    struct ldl_ahead a = { 0 };
    size_t asked = 0, from, to;
    (void)state;
    for (size_t t = 0; t < JOBS; t++)
        job[t] = (struct ldl_job){ .in = in[t == 20], .m = 2, .base = &view[t == 20] };
    for (size_t opened = 1; opened <= JOBS; opened++) {
        ldl_ahead_next(&a, &plan, opened, &from, &to);
        assert_true(from >= asked && from <= LDL_MAX(asked, opened));
        asked = to;
        uint64_t bytes = 0;
        for (size_t t = opened; t < asked; t++)
            bytes += 3 * in[t == 20][0]->stored->bytes;
        assert_int_equal(a.bytes, bytes);
        assert_true(asked == JOBS || bytes >= (uint64_t)256 << 20);
        assert_true(asked == opened ||
                    bytes - 3 * in[asked - 1 == 20][0]->stored->bytes < (uint64_t)256 << 20);
    }
    assert_int_equal(asked, JOBS);
    ldl_ahead_ask(&plan, 0, JOBS); /* no files: nothing to ask */
}

/* A hint that cannot be followed does no harm. */
static void hints(void **state)
{
    (void)state;
    ldl_read_ahead(-1, 0, 1 << 20);
    int fd = open("/dev/null", O_RDONLY);
    ldl_read_ahead(fd, (uint64_t)1 << 40, 3 << 20);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_order), cmocka_unit_test(hints) };
    return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
