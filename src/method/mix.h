/* mix.h -- the weighted sum of the models' runs, for members that begin with the first of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_METHOD_MIX_H
#define LDL_METHOD_MIX_H

#include "kern/kern.h"

/* out = sum f_i v_i: factors rounded to f32, in order, each step rounded; begins with f_0*v_0. Returns the
 * sum of the factors, made in the same way. vectors > 0. */
float ldl_mix(const struct ldl_kern *k, const double *factor, const float *const *v, size_t vectors,
              size_t n, float *out);

#endif
