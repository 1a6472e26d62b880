/* draw.c -- see draw.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/draw.h"

#include <string.h>
#include <xxhash.h>

void ldl_draw_init(struct ldl_draw *d, uint64_t seed, const char *tensor, uint32_t model)
{
    uint64_t hash = XXH64(tensor, strlen(tensor), seed);
    d->key[0] = (uint32_t)hash;
    d->key[1] = (uint32_t)(hash >> 32);
    d->model = model;
}
