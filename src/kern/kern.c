/* kern.c -- which SIMD level runs. The levels are those of the x86-64 psABI (v2: SSE4.2,
 * v3: AVX2, v4: AVX-512); other processors have one level, "base".
 *
 * LADLE_CPU=v2 masks what is above. It is for tests and for bug reports: the bits are the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

extern const struct ldl_kern ldl_kern_v2, ldl_kern_v3, ldl_kern_v4;
static const struct ldl_kern *const levels[] = { &ldl_kern_v2, &ldl_kern_v3, &ldl_kern_v4 };

static int has_v2(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("ssse3");
}

/* All that -march=x86-64-v3 lets the compiler use; the builtin also asks the system whether it
 * saves the wide registers. */
static int has_v3(void)
{
    unsigned a, b, c, d, c1 = 0, c8 = 0;
    if (__get_cpuid(1, &a, &b, &c, &d))
        c1 = c;
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d))
        c8 = c;
    int f16c = (c1 >> 29) & 1, movbe = (c1 >> 22) & 1, lzcnt = (c8 >> 5) & 1;
    return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma") && f16c && movbe &&
           lzcnt;
}

static int has_v4(void)
{
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static size_t level_count(void)
{
    return has_v4() ? 3 : has_v3() ? 2 : has_v2() ? 1 : 0;
}
#else
extern const struct ldl_kern ldl_kern_base;
static const struct ldl_kern *const levels[] = { &ldl_kern_base };

static size_t level_count(void)
{
    return 1;
}
#endif

const struct ldl_kern *const *ldl_kern_all(void)
{
    static const struct ldl_kern *usable[LDL_COUNT(levels) + 1];
    size_t n = level_count(); /* every caller writes the same: no race that matters */
    for (size_t i = 0; i < n; i++)
        __atomic_store_n(&usable[i], levels[i], __ATOMIC_RELAXED);
    return usable;
}

int ldl_kern_get(const struct ldl_kern **out, struct ldl_err *err)
{
    const struct ldl_kern *const *all = ldl_kern_all();
    const char *mask = getenv("LADLE_CPU");
    *out = NULL;
    for (size_t i = 0; all[i]; i++) {
        *out = all[i];
        if (mask && strcmp(all[i]->level, mask) == 0)
            return 0;
    }
    if (!*out)
        return ldl_fail(err, LDL_EDEVICE, "this processor lacks SSE4.2, which this build needs");
    if (mask && *mask)
        return ldl_fail(err, LDL_EUSAGE,
                        "LADLE_CPU: '%s' is not a level of this processor; the highest is %s", mask,
                        (*out)->level);
    return 0;
}
