/* kern_help.h -- inputs for the kernels: lengths around vectors and blocks, pointers off their alignment, and
 * numbers among which are NaN, infinities, zeros of both signs and subnormals. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_KERN_HELP_H
#define LDL_TESTS_KERN_HELP_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kern/kern.h"

#define UNUSED __attribute__((unused))

enum { N = 4096, ROOM = N + 32 };
static float xs[ROOM], ys[ROOM];
static const size_t lengths[] = { 0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 40, 1023, N };

static uint32_t rng = 12345;
static uint32_t next(void)
{
    return rng = rng * 1664525u + 1013904223u;
}
static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static int fill(void **state)
{
    static const uint32_t odd[] = { 0,           0x80000000u, 1,           0x80000001u,
                                    0x007fffffu, 0x00800000u, 0x7f800000u, 0xff800000u,
                                    0x7fc00000u, 0xffc12345u, 0x7f800001u, 0x7f7fffffu,
                                    0x3f800000u, 0x38800000u, 0x33000000u, 0x477ff000u };
    (void)state;
    for (int i = 0; i < ROOM; i++) {
        xs[i] = i % 7 == 3 ? from_bits(odd[next() % 16])
                           : ldexpf((float)(int32_t)next(), (int)(next() % 40) - 45);
        ys[i] = i % 11 == 5 ? from_bits(odd[next() % 16])
                            : ldexpf((float)(int32_t)next(), (int)(next() % 20) - 35);
    }
    return 0;
}

/* Runs body for each level, length and misalignment, with k, n, x, y set. */
#define EACH(...)                                                                                  \
    for (const struct ldl_kern *const *kk = ldl_kern_all(); *kk; kk++)                             \
        for (size_t li = 0; li < sizeof lengths / sizeof *lengths; li++)                           \
            for (size_t off = 0; off < 5; off += 2) {                                              \
                const struct ldl_kern *k = *kk;                                                    \
                size_t n = lengths[li];                                                            \
                const float *x = xs + off, *y = ys + off;                                          \
                (void)x, (void)y;                                                                  \
                __VA_ARGS__                                                                        \
            }

UNUSED static float got[ROOM], want[ROOM];
UNUSED static double dgot[ROOM], dwant[ROOM];

/* NaNs may differ in sign and payload before encode (operand order is the compiler's): compare
 * them as NaN, everything else by bits. */
UNUSED static void same(const float *a, const float *b, size_t n, const char *what,
                        const char *level)
{
    for (size_t i = 0; i < n; i++)
        if (to_bits(a[i]) != to_bits(b[i]) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s %s: element %zu: %a, expected %a", what, level, i, (double)a[i],
                     (double)b[i]);
}

#endif
