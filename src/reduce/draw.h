/* draw.h -- the random number of an element: counter-based, never a stream.
 *
 *     key     = XXH64(tensor name, seed), low and high half
 *     g, r    = element / 512, element % 512;    b = 64*g + r%64
 *     counter = { b low, b high, model number, 0 }
 *     draw    = word r/64 % 4 of Philox4x32-10(counter, key), uniform in 0 .. 2^32-1;
 *               rotated by 16 bits where r >= 256
 *
 * Each word makes two draws, so they cost half. Both are uniform; the two know of each other only what
 * lies in the low halves, which decides about one comparison in 2^16. Words are laid out as vectors
 * make them.
 *
 * So element 12345 of a tensor gets the same draw on any machine, for any thread count, in any
 * order. This is a stable format: changing it changes what published merges come out as. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_REDUCE_DRAW_H
#define LDL_REDUCE_DRAW_H

#include "kern/kern.h"

struct ldl_draw {
    uint32_t key[2], model;
};

void ldl_draw_init(struct ldl_draw *d, uint64_t seed, const char *tensor, uint32_t model);

/* Draws of runs that follow each other, each made once: of the last run's group those of the next one are kept.
 * Zeroed it is ready; all runs are of one ldl_draw and of at most LDL_DRAWS elements. */
enum { LDL_DRAW_GROUP = 512, LDL_DRAWS = 4096 };
struct ldl_draws {
    uint64_t first, end; /* elements whose draws are here: whole groups */
    uint32_t draw[LDL_DRAWS + LDL_DRAW_GROUP];
};
const uint32_t *ldl_draws_of(struct ldl_draws *s, const struct ldl_draw *d,
                             const struct ldl_kern *k, uint64_t first, size_t n);

static inline void ldl_draw(const struct ldl_draw *d, const struct ldl_kern *k, uint32_t *out,
                            uint64_t first, size_t n)
{
    k->philox(out, first, n, d->key, d->model, 0);
}

#endif
