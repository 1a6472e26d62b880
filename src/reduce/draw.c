/* draw.c -- see draw.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/draw.h"
#include "base/mem.h"

#include <string.h>
#include <xxhash.h>

void ldl_draw_init(struct ldl_draw *d, uint64_t seed, const char *tensor, uint32_t model)
{
    uint64_t hash = XXH64(tensor, strlen(tensor), seed);
    d->key[0] = (uint32_t)hash;
    d->key[1] = (uint32_t)(hash >> 32);
    d->model = model;
}

const uint32_t *ldl_draws_of(struct ldl_draws *s, const struct ldl_draw *d,
                             const struct ldl_kern *k, uint64_t first, size_t n)
{
    uint64_t from = first / LDL_DRAW_GROUP * LDL_DRAW_GROUP, end = s->end;
    uint64_t want = (first + n + LDL_DRAW_GROUP - 1) / LDL_DRAW_GROUP * LDL_DRAW_GROUP;
    if (from < s->first || from >= end)
        end = from;
    end = LDL_MIN(end, want);
    if (from > s->first && end > from)
        memmove(s->draw, s->draw + (from - s->first), (size_t)(end - from) * sizeof *s->draw);
    if (end < want)
        ldl_draw(d, k, s->draw + (end - from), end, (size_t)(want - end));
    s->first = from;
    s->end = want;
    return s->draw + (first - from);
}
