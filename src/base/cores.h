/* cores.h -- how many threads make sense, and the floating-point state they run in. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_CORES_H
#define LDL_BASE_CORES_H

/* Processors this process may use: the affinity mask, cut down to the cgroup's CPU quota (a
 * container with --cpus=2 on 64 cores gets 2). At least 1. */
int ldl_cores(void);

/* Round to nearest, subnormals kept: a host program may have set something else, and then the
 * bits would differ. Call at the start of each worker thread. */
void ldl_float_state(void);

#endif
