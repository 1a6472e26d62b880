/* cpu.c -- the processor: the SIMD level that kern/ chose, memory from the heap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"
#include "base/mem.h"

const struct ldl_device ldl_device_cpu = {
    .name = "cpu",
    .summary = "all cores, SIMD level chosen at run time",
    .kernels = ldl_kern_get,
    .alloc = ldl_alloc_aligned,
    .free = ldl_free,
};
