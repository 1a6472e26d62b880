/* mix.c -- the weighted sum of the models' runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/mix.h"

#include <string.h>

float ldl_mix(const struct ldl_kern *k, const double *factor, const float *const *v, size_t vectors,
              size_t n, float *out)
{
    float sum = (float)factor[0];
    memcpy(out, v[0], n * sizeof *out);
    k->times(out, (float)factor[0], n);
    for (size_t i = 1; i < vectors; i++) {
        k->axpy(out, (float)factor[i], v[i], n);
        sum += (float)factor[i];
    }
    return sum;
}
