/* row.c -- see row.h.
 *
 * Magnitudes are counted in bins of 1/64 octave or less, for 16 octaves below the row's largest; 0 has a bin
 * of its own. The magnitudes of bf16 task vectors have few bits, so nearly every bin holds one
 * magnitude, and the counts before it are its rank: nothing is moved. Elements of bins that hold
 * several are sorted, each bin by itself.
 *
 * Where nearly all magnitudes are short (kern.h), bins are as wide as the lowest bit that one of these has, so
 * that short ones are alone by construction: what a rank means is made once for each bin, and the few others
 * are ranked one by one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/row.h"
#include "base/mem.h"

#include <string.h>

enum { BINS = 4096, DIGITS = 4, RADIX = 256, FEW = 48 };

struct ldl_row_bins {
    uint32_t count[BINS], end[BINS]; /* elements; where the next one goes among the keys */
    struct {
        uint32_t value, rank2; /* a magnitude that is in it; the rank, when it is the only one */
    } of[BINS];
    unsigned char mixed[BINS]; /* it is not the only one */
    /* Of rows of nearly none but short magnitudes: elements that are not short; the rank of those that are, then
     * their last draw. */
    uint32_t more[BINS], last[BINS];
};

int ldl_row_room_make(struct ldl_row_room *room, size_t n)
{
    *room = (struct ldl_row_room){ .bins = ldl_calloc(1, sizeof *room->bins),
                                   .bin = ldl_alloc(n * sizeof *room->bin),
                                   .key = ldl_alloc(n * sizeof *room->key),
                                   .tmp = ldl_alloc(n * sizeof *room->tmp) };
    if (room->bins && room->bin && room->key && room->tmp)
        return 0;
    ldl_row_room_free(room);
    return -1;
}

void ldl_row_room_free(struct ldl_row_room *room)
{
    ldl_free(room->bins);
    ldl_free(room->bin);
    ldl_free(room->key);
    ldl_free(room->tmp);
    *room = (struct ldl_row_room){ 0 };
}

uint64_t ldl_row_room_bytes(uint64_t n)
{
    return sizeof(struct ldl_row_bins) + n * (sizeof(uint16_t) + 2 * sizeof(uint64_t));
}

/* ---- a bin that holds several magnitudes: keys are (magnitude, index) ---- */

static void insertion_sort(uint64_t *key, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t v = key[i];
        size_t j = i;
        for (; j > 0 && key[j - 1] > v; j--)
            key[j] = key[j - 1];
        key[j] = v;
    }
}

static unsigned digit(uint64_t key, int d)
{
    return (unsigned)(key >> (32 + 8 * d)) & (RADIX - 1);
}

/* By the magnitude alone: the order of equals does not matter. */
static void radix_sort(uint64_t *key, uint64_t *tmp, size_t n)
{
    uint32_t count[DIGITS][RADIX] = { { 0 } };
    uint64_t *from = key, *to = tmp;
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++)
            count[d][digit(key[i], d)]++;
    for (int d = 0; d < DIGITS; d++) {
        uint32_t at = 0;
        if (count[d][digit(from[0], d)] == n)
            continue;
        for (int v = 0; v < RADIX; v++) {
            uint32_t c = count[d][v];
            count[d][v] = at;
            at += c;
        }
        for (size_t i = 0; i < n; i++)
            to[count[d][digit(from[i], d)]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != key)
        memcpy(key, from, n * sizeof *key);
}

/* The keys of one bin, which comes after `before` elements of the row. */
static void rank_bin(uint32_t *rank2, uint64_t *key, uint64_t *tmp, size_t n, size_t before)
{
    if (n <= FEW)
        insertion_sort(key, n);
    else
        radix_sort(key, tmp, n);
    for (size_t first = 0; first < n;) {
        size_t end = first + 1;
        while (end < n && key[end] >> 32 == key[first] >> 32)
            end++;
        for (size_t i = first; i < end; i++)
            rank2[(uint32_t)key[i]] = (uint32_t)(2 * before + first + end - 1);
        first = end;
    }
}

static void rank_mixed(struct ldl_row_room *room, uint32_t bins, uint32_t *rank2, const float *x,
                       size_t n)
{
    struct ldl_row_bins *b = room->bins;
    for (size_t i = 0; i < n; i++)
        b->mixed[room->bin[i]] |= b->of[room->bin[i]].value != ldl_magnitude(x[i]);
    for (size_t bin = 0; bin < bins; bin++) /* where the bin's first element goes */
        b->end[bin] = (b->of[bin].rank2 + 1 - b->count[bin]) / 2;
    for (size_t i = 0; i < n; i++) {
        uint32_t bin = room->bin[i];
        if (b->mixed[bin])
            room->key[b->end[bin]++] = (uint64_t)ldl_magnitude(x[i]) << 32 | i;
    }
    for (size_t bin = 0; bin < bins; bin++) {
        size_t count = b->count[bin], first = b->end[bin] - count;
        if (b->mixed[bin])
            rank_bin(rank2, room->key + first, room->tmp, count, first);
        b->mixed[bin] = 0;
    }
}

/* ---- the row ---- */

/* How many bins, and how wide: clearing and adding them up must not cost more than the elements. */
struct grid {
    uint32_t bins;
    int shift;
};

static struct grid grid_of(size_t n)
{
    if (n < 2048)
        return (struct grid){ 512, 18 };
    return n < 16384 ? (struct grid){ 1024, 17 } : (struct grid){ BINS, 15 };
}

/* Neighbours are counted apart: many are equal, and a count must not wait for the one before. */
static void count_bins(struct ldl_row_bins *b, uint32_t bins, const uint16_t *bin,
                       const uint32_t *mag, size_t n)
{
    uint32_t before = 0;
    size_t i = 0;
    memset(b->count, 0, bins * sizeof *b->count);
    memset(b->end, 0, bins * sizeof *b->end);
    for (; i + 2 <= n; i += 2) {
        b->count[bin[i]]++;
        b->end[bin[i + 1]]++;
        b->of[bin[i]].value = mag[i];
        b->of[bin[i + 1]].value = mag[i + 1];
    }
    if (i < n) {
        b->count[bin[i]]++;
        b->of[bin[i]].value = mag[i];
    }
    for (size_t at = 0; at < bins; at++) {
        uint32_t count = b->count[at] += b->end[at];
        b->of[at].rank2 = 2 * before + count - 1;
        before += count;
    }
}

/* rank2 holds the magnitudes first. */
void ldl_row_ranks(const struct ldl_kern *k, struct ldl_row_room *room, uint32_t *rank2,
                   const float *x, size_t n)
{
    struct ldl_row_bins *b = room->bins;
    struct grid g = grid_of(n);
    uint32_t most = k->mag_max(x, n), span = (g.bins - 1) << g.shift, mixed = 0;
    k->mag_bins(room->bin, x, n, most >= span ? most - span + 1 : 1, g.shift, g.bins - 1);
    k->magnitudes(rank2, x, n);
    count_bins(b, g.bins, room->bin, rank2, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t bin = room->bin[i];
        mixed |= b->of[bin].value ^ rank2[i];
        rank2[i] = b->of[bin].rank2;
    }
    if (mixed)
        rank_mixed(room, g.bins, rank2, x, n);
}

/* ---- the row, as draws ---- */

/* How magnitudes of which nearly all are short are told apart by bins. */
struct short_grid {
    uint32_t bins, first;
    int shift;
};

/* Nonzero: counting so pays. */
static int short_grid_of(struct short_grid *g, const struct ldl_kern *k, const float *x, size_t n)
{
    struct ldl_survey s;
    k->survey(&s, x, n);
    g->shift = s.bits ? __builtin_ctz(s.bits) : LDL_SHORT_SHIFT;
    g->first = s.least >> g->shift;
    g->bins = LDL_ZERO_BINS;
    if (s.most)
        g->bins += (s.most >> g->shift) - g->first + 1;
    return s.others <= n / 16 && g->bins <= BINS && g->bins <= 5 * n;
}

/* One load for four. */
static inline uint64_t four_bins(const uint16_t *bin)
{
    uint64_t four;
    memcpy(&four, bin, sizeof four);
    return four;
}

static void look_up(uint32_t *to, const uint32_t *of, const uint16_t *bin, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t four = four_bins(bin + i);
        to[i] = of[(uint16_t)four];
        to[i + 1] = of[(uint16_t)(four >> 16)];
        to[i + 2] = of[(uint16_t)(four >> 32)];
        to[i + 3] = of[four >> 48];
    }
    for (; i < n; i++)
        to[i] = of[bin[i]];
}

/* Those that are not short were counted as if they were. */
static void count_shorts(struct ldl_row_bins *b, uint32_t bins, const uint16_t *bin, size_t n,
                         const uint32_t *others, size_t nothers)
{
    size_t i = 0;
    memset(b->count, 0, bins * sizeof *b->count);
    memset(b->end, 0, bins * sizeof *b->end);
    memset(b->more, 0, bins * sizeof *b->more);
    for (; i + 4 <= n; i += 4) {
        uint64_t four = four_bins(bin + i);
        b->count[(uint16_t)four]++;
        b->end[(uint16_t)(four >> 16)]++;
        b->count[(uint16_t)(four >> 32)]++;
        b->end[four >> 48]++;
    }
    for (; i < n; i++)
        b->count[bin[i]]++;
    for (i = 0; i < nothers; i++) {
        b->count[bin[others[i]]]--;
        b->more[bin[others[i]]]++;
    }
}

/* The short ones of a bin are equal; those that are not short are larger, and come after them: at end[]. */
static void rank_shorts(struct ldl_row_bins *b, uint32_t bins)
{
    uint32_t before = 0;
    for (size_t at = 0; at < LDL_ZERO_BINS; at++)
        before += b->count[at] + b->end[at];
    for (size_t at = 0; at < LDL_ZERO_BINS; at++)
        b->last[at] = before - 1;
    for (size_t at = LDL_ZERO_BINS; at < bins; at++) {
        uint32_t count = b->count[at] + b->end[at];
        b->last[at] = 2 * before + count - 1;
        b->end[at] = before + count;
        before += count + b->more[at];
    }
}

/* Of those that are not short. */
static void last_of_others(const struct ldl_kern *k, struct ldl_row_room *room, uint32_t *last,
                           size_t n, double p, double step)
{
    uint64_t *key = room->key;
    size_t in_bin = 0; /* the first of the same bin */
    if (n <= FEW)
        insertion_sort(key, n);
    else
        radix_sort(key, room->tmp, n);
    for (size_t first = 0, end; first < n; first = end) {
        uint32_t bin = room->bin[(uint32_t)key[first]];
        for (end = first + 1; end < n && key[end] >> 32 == key[first] >> 32;)
            end++;
        if (room->bin[(uint32_t)key[in_bin]] != bin)
            in_bin = first;
        uint32_t before = room->bins->end[bin] + (uint32_t)(first - in_bin);
        uint32_t draw = 2 * before + (uint32_t)(end - first) - 1;
        k->last_draws(&draw, p, step, 1);
        for (size_t i = first; i < end; i++)
            last[(uint32_t)key[i]] = draw;
    }
}

void ldl_row_last(const struct ldl_kern *k, struct ldl_row_room *room, uint32_t *last,
                  const float *x, size_t n, double p, double step)
{
    struct ldl_row_bins *b = room->bins;
    uint32_t *others = (uint32_t *)room->tmp;
    struct short_grid g;
    if (!short_grid_of(&g, k, x, n)) {
        ldl_row_ranks(k, room, last, x, n);
        k->last_draws(last, p, step, n);
        return;
    }
    size_t nothers = k->short_bins(room->bin, others, x, n, g.first, g.shift);
    count_shorts(b, g.bins, room->bin, n, others, nothers);
    rank_shorts(b, g.bins);
    k->last_draws(b->last, p, step, g.bins);
    look_up(last, b->last, room->bin, n);
    for (size_t i = 0; i < nothers; i++)
        room->key[i] = (uint64_t)ldl_magnitude(x[others[i]]) << 32 | others[i];
    if (nothers)
        last_of_others(k, room, last, nothers, p, step);
}

/* ---- bits ---- */

/* Words at the ends may be those of other rows, too. */
static void bits_or(uint32_t *bits, uint32_t word)
{
    if (word)
        __atomic_fetch_or(bits, word, __ATOMIC_RELAXED);
}

void ldl_bits_set(uint32_t *bits, uint64_t first, const uint32_t *from, size_t n)
{
    unsigned shift = first % 32;
    size_t words = (n + 31) / 32,
           whole = (shift + n) / 32; /* to[1] .. to[whole-1] are the run's own */
    uint32_t *to = bits + first / 32;
    if (!n)
        return;
    bits_or(&to[0], from[0] << shift);
    for (size_t i = 1; i < whole; i++)
        to[i] = (uint32_t)(((uint64_t)from[i] << 32 | from[i - 1]) >> (32 - shift));
    for (size_t i = LDL_MAX(whole, (size_t)1); i <= words; i++) {
        uint32_t high = i < words ? from[i] << shift : 0;
        bits_or(&to[i], shift ? high | from[i - 1] >> (32 - shift) : high);
    }
}
