/* list.c -- the table of devices, made from list.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <string.h>

#define LDL_DEVICE(member) extern const struct ldl_device ldl_device_##member;
#include "device/list.def"
#undef LDL_DEVICE

#define LDL_DEVICE(member) &ldl_device_##member,
const struct ldl_device *const ldl_devices[] = {
#include "device/list.def"
    NULL
};
#undef LDL_DEVICE

int ldl_device_find(const char *word, const struct ldl_device **out, struct ldl_err *err)
{
    for (size_t i = 0; ldl_devices[i]; i++)
        if (strcmp(ldl_devices[i]->name, word) == 0) {
            *out = ldl_devices[i];
            return 0;
        }
    return ldl_fail(err, LDL_EDEVICE,
                    "--device %s: this build of ladle has no GPU support; use --device cpu", word);
}
