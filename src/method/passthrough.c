/* passthrough.c -- one model as it is: what `ladle convert` and a LoRA merge into its base do.
 *
 *   out = t_0                 bits as they are read; a NaN becomes the canonical one at the write */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

#include <string.h>

struct passthrough {
    int none; /* C has no empty structs */
};

static void solve(const void *params, size_t m, const double *sums, double *plain)
{
    (void)params;
    (void)m;
    (void)sums;
    (void)plain;
}

static void map(const struct ldl_kern *k, const void *params, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)k;
    (void)params;
    (void)m;
    (void)plain;
    memcpy(out, run->t[0], run->n * sizeof *out);
}

const struct ldl_combiner ldl_combiner_passthrough = {
    .name = "passthrough",
    .summary = "one model as it is",
    .reference = "none",
    .params_bytes = sizeof(struct passthrough),
    .min_models = 1,
    .max_models = 1,
    .identity = 1,
    .solve = solve,
    .map = map,
};
