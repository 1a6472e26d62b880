/* fault.c -- see fault.h. The counters are atomic, so the Nth call is one call in any thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#ifdef LDL_FAULTS
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "alloc", "open", "read", "write", "sync", "rename", "thread" };
static atomic_long counted;

int ldl_fault(enum ldl_fault_kind kind)
{
    const char *spec = getenv("LADLE_FAULT");
    if (!spec)
        return 0;
    const char *colon = strchr(spec, ':');
    if (!colon || strlen(names[kind]) != (size_t)(colon - spec) ||
        strncmp(spec, names[kind], (size_t)(colon - spec)) != 0)
        return 0;
    return atomic_fetch_add(&counted, 1) + 1 == atol(colon + 1);
}
#else
typedef int ldl_fault_is_not_built; /* ISO C wants something in every file */
#endif
