/* passthrough.c -- one model as it is, or scaled. What `ladle convert` and a LoRA merge into its
 * base do.
 *
 *   out = scale * x           f32; without a scale the bits as they are read
 *
 * A NaN becomes the canonical one at the write, unless bytes are copied. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

#include <string.h>

struct passthrough {
    struct ldl_list scale;
};

static const struct ldl_param params[] = {
    LDL_PARAM_DOUBLES(struct passthrough, scale, -1e18, 1e18, "factor; not given: none"),
};

static double factor(const void *params_in)
{
    const struct passthrough *p = params_in;
    return p->scale.n ? p->scale.num[0] : 1;
}

static int is_identity(const void *params_in)
{
    return factor(params_in) == 1;
}

static void solve(const void *params_in, size_t m, const double *sums, double *plain)
{
    (void)m;
    (void)sums;
    plain[0] = factor(params_in);
}

static void map(const struct ldl_kern *k, const void *params_in, size_t m, const double *plain,
                const struct ldl_runs *run, float *out)
{
    (void)params_in;
    (void)m;
    memcpy(out, run->t[0], run->n * sizeof *out);
    if (plain[0] != 1)
        k->times(out, (float)plain[0], run->n);
}

const struct ldl_combiner ldl_combiner_passthrough = {
    .name = "passthrough",
    .summary = "one model as it is",
    .reference = "none",
    .param = params,
    .nparams = LDL_COUNT(params),
    .params_bytes = sizeof(struct passthrough),
    .min_models = 1,
    .max_models = 1,
    .base_is_input = 1,
    .ignores_base = 1,
    .is_identity = is_identity,
    .solve = solve,
    .map = map,
};
