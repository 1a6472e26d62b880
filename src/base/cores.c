/* cores.c -- see cores.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cores.h"

#include <fenv.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* cpu.max of cgroup v2 ("200000 100000", "max 100000"); 0 when there is no limit to be read. */
static int quota_v2(void)
{
    char line[256], path[320] = "";
    long long quota, period;
    int cores = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "0::", 3) == 0)
            snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/cpu.max", (int)strcspn(line + 3, "\n"),
                     line + 3);
    if (f)
        fclose(f);
    f = fopen(path[0] ? path : "/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f && fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
        cores = (int)((quota + period - 1) / period);
    if (f)
        fclose(f);
    return cores;
}

static int quota_v1(void)
{
    long long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
    if (f && fscanf(f, "%lld", &quota) != 1)
        quota = 0;
    if (f)
        fclose(f);
    f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
    if (f && fscanf(f, "%lld", &period) != 1)
        period = 0;
    if (f)
        fclose(f);
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int ldl_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                        : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = quota_v2();
    if (!quota)
        quota = quota_v1();
    if (quota && quota < n)
        n = quota;
    return n < 1 ? 1 : n;
}

void ldl_float_state(void)
{
    fesetround(FE_TONEAREST);
#if defined(__x86_64__)
    _mm_setcsr(0x1f80); /* the state a process starts with: all masked, no flush to zero */
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" ::"r"(0L));
#endif
}
