/* api.h -- what the files of the public interface share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_API_API_H
#define LDL_API_API_H

#include <ladle/ladle.h>
#include "device/device.h"
#include "engine/engine.h"

struct ladle_plan {
    struct ldl_plan plan;
    struct ldl_budget budget;
    struct ladle_result result;
};

/* Sends the text to the sink when rc is 0, frees it, hands err to the caller; returns the status. */
int ldl_api_send(struct ldl_buf *b, ladle_sink sink, void *ctx, struct ladle_error *error, int rc,
                 struct ldl_err *err);

#endif
