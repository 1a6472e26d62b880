/* fault.h -- makes the Nth allocation, read, write ... fail, for the fault tests.
 *
 * Built only with -DLDL_FAULTS (the sanitizer builds have it): then LADLE_FAULT=kind:N, for
 * example LADLE_FAULT=write:3, makes the third such call fail as if the system had refused it.
 * Without the define the check is a constant 0 and costs nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_FAULT_H
#define LDL_BASE_FAULT_H

enum ldl_fault_kind {
    LDL_FAULT_ALLOC,
    LDL_FAULT_OPEN,
    LDL_FAULT_READ,
    LDL_FAULT_WRITE,
    LDL_FAULT_SYNC,
    LDL_FAULT_RENAME,
    LDL_FAULT_THREAD
};

#ifdef LDL_FAULTS
int ldl_fault(enum ldl_fault_kind kind);
#else
static inline int ldl_fault(enum ldl_fault_kind kind)
{
    (void)kind;
    return 0;
}
#endif

#endif
