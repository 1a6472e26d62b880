/* match.h -- the check that n models (the base last) can be merged. The error names the models, the
 * first tensor that does not fit, and how many more there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_PLAN_MATCH_H
#define LDL_PLAN_MATCH_H

#include <stdio.h>
#include "model/model.h"

/* The same for two views that become one tensor. */
int ldl_match_pair(const struct ldl_view *a, const struct ldl_model *of_a, const struct ldl_view *b,
                   const struct ldl_model *of_b, struct ldl_err *err);
int ldl_match(const struct ldl_model *model, size_t n, struct ldl_err *err);

#endif
