/* kth.c -- see kth.h.
 *
 * Invariants: (1) every element of rank <= hi that is not yet excluded lies in [from, to] or is
 * accounted for in `below`; (2) rounds strictly shrink [from, to] or swap to the side that holds
 * the rank, so there are at most five; (3) only `count[0 .. bins)` is ever read or cleared. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/kth.h"

#include <string.h>

/* Small tensors get few bins: clearing them must not cost more than the elements. */
static uint64_t most_bins(uint64_t n)
{
    uint64_t bins = 1024;
    while (bins < LDL_KTH_BINS && bins < n / 2)
        bins *= 2;
    return bins;
}

static void set_interval(struct ldl_kth *s, uint32_t from, uint32_t to)
{
    uint64_t most = most_bins(s->n);
    s->from = from;
    s->to = to;
    s->shift = 0;
    while (((uint64_t)(to - from) >> s->shift) + 1 > most)
        s->shift++;
    s->bins = ((uint64_t)(to - from) >> s->shift) + 1;
}

int ldl_kth_begin(struct ldl_kth *s, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t lo, uint64_t hi, struct ldl_err *err)
{
    *s = (struct ldl_kth){ .k = k, .n = n, .block = block, .lo = lo, .hi = hi };
    s->blocks = (n + block - 1) / block;
    s->sampling = s->blocks >= 4 * LDL_KTH_SAMPLE_BLOCKS;
    set_interval(s, 0, LDL_MAG_LAST);
    s->sum = ldl_calloc(s->blocks, sizeof *s->sum);
    s->sum_above = ldl_calloc(s->blocks, sizeof *s->sum_above);
    if (!s->sum || !s->sum_above) {
        ldl_kth_end(s);
        return ldl_oom(err);
    }
    return 0;
}

void ldl_kth_end(struct ldl_kth *s)
{
    ldl_free(s->sum);
    ldl_free(s->sum_above);
    ldl_free(s->count);
    s->sum = s->sum_above = NULL;
    s->count = NULL;
}

uint64_t ldl_kth_stride(const struct ldl_kth *s)
{
    if (s->done)
        return 0;
    return s->sampling ? s->blocks / LDL_KTH_SAMPLE_BLOCKS : 1;
}

int ldl_kth_acc_begin(const struct ldl_kth *s, struct ldl_kth_acc *a, struct ldl_err *err)
{
    *a = (struct ldl_kth_acc){ .above_min = LDL_MAG_LAST + 1u };
    a->count = ldl_calloc(s->bins, sizeof *a->count);
    return a->count ? 0 : ldl_oom(err);
}

void ldl_kth_acc_end(struct ldl_kth_acc *a)
{
    ldl_free(a->count);
    a->count = NULL;
}

void ldl_kth_scan(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n)
{
    struct ldl_census c = { .above_min = LDL_MAG_LAST + 1u };
    s->k->census(&c, a->count, x, n, s->from, s->to, s->shift);
    a->below += c.below;
    a->seen += n;
    a->above_min = LDL_MIN(a->above_min, c.above_min);
    s->sum[first / s->block] = c.sum;
    s->sum_above[first / s->block] = c.sum_above;
}

/* Number of the bin in which the element of this rank lies, given how many come before bin 0;
 * s->bins when it lies beyond the interval. *before gets the elements ahead of that bin. */
static uint64_t bin_of_rank(const struct ldl_kth *s, const uint64_t *count, uint64_t rank,
                            uint64_t *before)
{
    uint64_t b = 0;
    while (b < s->bins && *before + count[b] <= rank)
        *before += count[b++];
    return b;
}

/* The sample is over: count one by one the magnitudes around its estimate. */
static void aim(struct ldl_kth *s, const struct ldl_kth_acc *a)
{
    double share = (double)s->lo / (double)s->n;
    uint64_t before = 0;
    uint64_t bin = bin_of_rank(s, a->count, (uint64_t)(share * (double)a->seen), &before);
    uint64_t guess = LDL_MIN((bin << s->shift) + ((1u << s->shift) >> 1), LDL_MAG_LAST);
    uint64_t half = most_bins(s->n) / 2;
    uint64_t from = guess > half ? guess - half : 0;
    uint64_t to = LDL_MIN(from + 2 * half - 1, LDL_MAG_LAST);
    s->sampling = 0;
    set_interval(s, (uint32_t)from, (uint32_t)to);
}

static void finish(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t bin_lo, uint64_t below_lo)
{
    uint64_t before = a->below, bin_hi = bin_of_rank(s, a->count, s->hi, &before);
    s->mag_lo = s->from + (uint32_t)bin_lo;
    s->below_lo = below_lo;
    s->mag_hi = bin_hi < s->bins ? s->from + (uint32_t)bin_hi : a->above_min;
    s->total = s->total_above = 0;
    for (uint64_t b = 0; b < s->blocks; b++) {
        s->total += s->sum[b];
        s->total_above += s->sum_above[b];
    }
    s->count = a->count; /* sum_from() needs the counts */
    s->count_cap = s->bins;
    a->count = NULL;
    s->done = 1;
}

int ldl_kth_solve(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err)
{
    struct ldl_kth_acc *a = acc[0];
    (void)err;
    for (size_t i = 1; i < n; i++) {
        a->below += acc[i]->below;
        a->seen += acc[i]->seen;
        a->above_min = LDL_MIN(a->above_min, acc[i]->above_min);
        for (uint64_t b = 0; b < s->bins; b++)
            a->count[b] += acc[i]->count[b];
    }
    if (s->sampling) {
        aim(s, a);
        return 0;
    }
    if (s->lo < a->below) {
        set_interval(s, 0, s->from - 1);
        return 0;
    }
    uint64_t before = a->below, bin = bin_of_rank(s, a->count, s->lo, &before);
    if (bin == s->bins) {
        set_interval(s, s->to + 1, LDL_MAG_LAST);
    } else if (s->shift == 0) {
        finish(s, a, bin, before);
    } else {
        uint64_t from = s->from + (bin << s->shift);
        uint64_t to = LDL_MIN(from + ((uint64_t)1 << s->shift) - 1, s->to);
        set_interval(s, (uint32_t)from, (uint32_t)to);
    }
    return 0;
}

double ldl_kth_sum_from(const struct ldl_kth *s, uint32_t mag)
{
    double sum = s->total_above;
    for (uint64_t b = s->count_cap; b-- > 0;) {
        uint32_t at = s->from + (uint32_t)b;
        float value;
        if (at < mag)
            break;
        memcpy(&value, &at, sizeof value);
        if (s->count[b])
            sum += (double)s->count[b] * (double)value;
    }
    return sum;
}

uint64_t ldl_kth_state_bytes(uint64_t n, uint64_t block)
{
    return (n / block + 1) * 2 * sizeof(double) + ldl_kth_acc_bytes(n);
}

uint64_t ldl_kth_acc_bytes(uint64_t n)
{
    return most_bins(n) * sizeof(uint64_t);
}
