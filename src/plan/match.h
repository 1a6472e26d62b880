/* match.h -- the check that n models (the base last) can be merged. The error names the models, the
 * first tensor that does not fit, and how many more there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_PLAN_MATCH_H
#define LDL_PLAN_MATCH_H

#include <stdio.h>
#include "model/model.h"

int ldl_match(const struct ldl_model *model, size_t n, struct ldl_err *err);

#endif
