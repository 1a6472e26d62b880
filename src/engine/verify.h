/* verify.h -- tensors without arithmetic (integers, booleans ...) must be the same in all models:
 * compared before the output is begun, so that a difference is found in the first second. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_VERIFY_H
#define LDL_ENGINE_VERIFY_H

#include "plan/plan.h"

int ldl_verify_copies(const struct ldl_plan *p, struct ldl_err *err);

#endif
