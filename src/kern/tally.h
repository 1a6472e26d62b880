/* tally.h -- counting kernels that are look-ups, not vectors: compiled once.
 *
 * A tally counts how often each distinct magnitude occurs, as long as there are few of them. (The
 * difference of two bf16 tensors has some ten thousand distinct magnitudes, however big it is.)
 * A staircase is a sorted table of cells over all magnitudes; cell c holds edge[c] .. edge[c+1]-1.
 *
 * Nearly all of those differences are short (kern.h): they go through tables, and take no search. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_KERN_TALLY_H
#define LDL_KERN_TALLY_H

#include "kern/kern.h"

enum { LDL_TALLY_MOST = 1 << 17 }; /* distinct magnitudes */

struct ldl_tally {
    uint32_t *key; /* open addressing; LDL_TALLY_EMPTY marks a free slot */
    uint64_t *count;
    uint32_t slots, used; /* slots: a power of two, at most half are used */
    int hash_shift;
    int full; /* more than LDL_TALLY_MOST distinct magnitudes: counts are incomplete */
    /* Two counts for each short magnitude; NULL: all are counted above. Neighbours are counted apart: many
     * are equal, and a count must not wait for the one before. */
    uint32_t (*shorts)[2];
};
#define LDL_TALLY_EMPTY 0xffffffffu

/* From here on short magnitudes go into a table. It is for tensors of fewer than 2^32 elements, and pays when they
 * are not small. 0, or nonzero when memory is short. */
int ldl_tally_shorts(struct ldl_tally *t);
/* 0, or nonzero when memory is short. A zeroed tally is empty and ready. */
int ldl_tally_add(struct ldl_tally *t, const struct ldl_kern *k, const float *x, size_t n);
/* Moves all counts of from's table into that of t; both have one, or none has. */
void ldl_tally_join_shorts(struct ldl_tally *t, struct ldl_tally *from);
/* The magnitudes and how often they occur, in any order; how many pairs. NaN may be there more than once, and is
 * then as many times in ldl_tally_distinct(), which is that number. */
size_t ldl_tally_distinct(const struct ldl_tally *t);
size_t ldl_tally_pairs(const struct ldl_tally *t, uint32_t *key, uint64_t *count);
void ldl_tally_free(struct ldl_tally *t);
/* What a tally of so many distinct magnitudes takes without its table, and half of that more while it grows. */
uint64_t ldl_tally_bytes(uint64_t distinct);

enum { LDL_STAIR_TOPS = 1 << 16, LDL_STAIR_SHIFT = 15 };

struct ldl_stairs {
    uint32_t *edge; /* cells entries, ascending; no element is below edge[0] */
    uint32_t cells;
    uint32_t *start; /* LDL_STAIR_TOPS + 1: the cell of the first magnitude with these top bits */
    int steps;       /* of a search among the cells with the same top bits */
};
/* Fills start[] and steps from edge[]. */
void ldl_stairs_index(struct ldl_stairs *s);
/* count[cell of |x[i]|]++; when one is 2^32 again, over[that cell]++, which may be NULL for fewer elements. */
void ldl_stairs_count(const struct ldl_stairs *s, uint32_t *count, uint32_t *over, const float *x,
                      size_t n);
/* out[i] = value[cell of |x[i]|] */
void ldl_stairs_map(const struct ldl_stairs *s, const double *value, double *out, const float *x,
                    size_t n);

/* Fills the LDL_SHORTS entries of `keep` of those short magnitudes that begin a cell; 0, or nonzero when there
 * is a probability that no `last` stands for. */
int ldl_keep_fill(struct ldl_keep *keep, const struct ldl_stairs *s, const double *p, int rescale);
struct ldl_keeper {
    const struct ldl_keep *keep; /* every short magnitude among the elements begins a cell */
    const struct ldl_stairs *stairs;
    const double *p;
    int rescale;
};
/* What k->keep_each() does with p[cell of |x[i]|]. */
void ldl_keeper_apply(const struct ldl_keeper *by, const struct ldl_kern *k, float *x,
                      const uint32_t *draw, size_t n);

/* Sorts n keys with their counts, ascending; tmp_* hold n items each. The result is in key/count. */
void ldl_radix_pairs(uint32_t *key, uint64_t *count, uint32_t *tmp_key, uint64_t *tmp_count,
                     size_t n);

#endif
