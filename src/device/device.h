/* device.h -- where tiles run. A device is a kernel table plus memory for tiles; methods are
 * written once and never see which one it is. `cpu` is the one in this build; a GPU is one more
 * file and one more line in list.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_DEVICE_DEVICE_H
#define LDL_DEVICE_DEVICE_H

#include "base/err.h"
#include "kern/kern.h"

struct ldl_device {
    const char *name, *summary;
    /* The kernels to run with; an error says why this machine cannot. */
    int (*kernels)(const struct ldl_kern **out, struct ldl_err *err);
    /* Memory for tiles, 64-byte aligned; NULL when short. */
    void *(*alloc)(size_t bytes);
    void (*free)(void *p);
};

extern const struct ldl_device *const ldl_devices[]; /* list.def order, last is NULL */

/* By the documented words cpu, gpu, low_gpu_mem. One that is not in this build is LDL_EDEVICE:
 * never a silent fallback. */
int ldl_device_find(const char *word, const struct ldl_device **out, struct ldl_err *err);

#endif
