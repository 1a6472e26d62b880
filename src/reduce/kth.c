/* kth.c -- see kth.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce/kth.h"
#include "kern/select.h"

#include <string.h>

enum { SAMPLE_LEAST = 1 << 15, SAMPLE_PART = 64, SPREAD = 64 };

/* Elements of a sample: enough that a bracket around a rank of theirs is narrow, few beside n. */
static uint64_t sample_elems(uint64_t n)
{
    return LDL_MIN(LDL_MAX(n / SAMPLE_PART, (uint64_t)SAMPLE_LEAST), (uint64_t)LDL_KTH_HOLD_MOST);
}

/* Elements that are held: the sample, then what is inside the bracket (some n / 32; see bracket_of). */
static uint64_t held_most(uint64_t n)
{
    uint64_t inside = LDL_MIN(LDL_MAX(n / 16, (uint64_t)LDL_KTH_HOLD), (uint64_t)LDL_KTH_HOLD_MOST);
    return n <= LDL_KTH_HOLD ? n : inside;
}

static int make_sums(struct ldl_kth *s)
{
    s->sum = ldl_calloc(s->blocks, sizeof *s->sum);
    s->sum_above = ldl_calloc(s->blocks, sizeof *s->sum_above);
    return s->sum && s->sum_above;
}

int ldl_kth_begin(struct ldl_kth *s, const struct ldl_kern *k, uint64_t n, uint64_t block,
                  uint64_t lo, uint64_t hi, int sums, struct ldl_err *err)
{
    *s = (struct ldl_kth){ .k = k, .n = n, .block = block, .lo = lo, .hi = hi };
    s->blocks = (n + block - 1) / block;
    s->cap = held_most(n);
    s->step = n <= LDL_KTH_HOLD ? LDL_KTH_ALL : LDL_KTH_SAMPLE;
    s->stride = s->step == LDL_KTH_ALL ? 1 : s->blocks / (sample_elems(n) / block);
    s->held = ldl_alloc(s->cap * sizeof *s->held);
    s->on_at = ldl_calloc(s->blocks, sizeof *s->on_at);
    if (!s->held || !s->on_at || (sums && !make_sums(s))) {
        ldl_kth_end(s);
        return ldl_oom(err);
    }
    return 0;
}

void ldl_kth_end(struct ldl_kth *s)
{
    ldl_free(s->held);
    ldl_free(s->on_at);
    ldl_free(s->sum);
    ldl_free(s->sum_above);
    ldl_free(s->count);
    s->sum = s->sum_above = NULL;
    s->count = NULL;
    s->held = s->on_at = NULL;
}

void ldl_kth_aim(struct ldl_kth *s, uint64_t lo, uint64_t hi)
{
    s->lo = lo;
    s->hi = hi;
}

uint64_t ldl_kth_stride(const struct ldl_kth *s)
{
    return s->step == LDL_KTH_DONE ? 0 : s->step == LDL_KTH_SAMPLE ? s->stride : 1;
}

/* ---- scanning ---- */

int ldl_kth_acc_begin(const struct ldl_kth *s, struct ldl_kth_acc *a, struct ldl_err *err)
{
    *a = (struct ldl_kth_acc){ .above_min = LDL_MAG_LAST + 1u };
    a->bracket = (struct ldl_bracket){ s->bracket.from, s->bracket.at, s->bracket.to, 0, 0, 0, 0 };
    if (s->step == LDL_KTH_NARROW && !(a->count = ldl_calloc(s->bins, sizeof *a->count)))
        return ldl_oom(err);
    if (s->step == LDL_KTH_BRACKET && !(a->inside = ldl_alloc(s->block * sizeof *a->inside)))
        return ldl_oom(err);
    return 0;
}

void ldl_kth_acc_end(struct ldl_kth_acc *a)
{
    ldl_free(a->count);
    ldl_free(a->inside);
    a->count = NULL;
    a->inside = NULL;
}

/* Threads take their places in what is held one after the other; its order does not matter. */
static void scan_bracket(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t block, const float *x,
                         size_t n)
{
    uint64_t before = a->bracket.on_at;
    size_t inside = s->k->bracket(&a->bracket, a->inside, x, n);
    s->on_at[block] = (uint32_t)(a->bracket.on_at - before);
    uint64_t at = __atomic_fetch_add(&s->nheld, inside, __ATOMIC_RELAXED);
    if (at + inside <= s->cap)
        memcpy(s->held + at, a->inside, inside * sizeof *a->inside);
}

void ldl_kth_scan(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t first, const float *x,
                  size_t n)
{
    uint64_t block = first / s->block;
    struct ldl_census c = { .above_min = LDL_MAG_LAST + 1u };
    switch (s->step) {
    case LDL_KTH_BRACKET: scan_bracket(s, a, block, x, n); break;
    case LDL_KTH_NARROW:
        s->k->census(&c, a->count, x, n, s->from, s->to, s->shift);
        a->below += c.below;
        a->above_min = LDL_MIN(a->above_min, c.above_min);
        break;
    default:
        if (block / s->stride * s->block + n <= s->cap)
            s->k->magnitudes(s->held + block / s->stride * s->block, x, n);
    }
    uint32_t to = s->step == LDL_KTH_BRACKET ? s->bracket.to : s->to;
    if (s->sum && s->step == LDL_KTH_ALL)
        s->sum[block] = s->k->sum_mags(x, n);
    else if (s->sum && s->step != LDL_KTH_SAMPLE)
        s->k->sums_above(x, n, to, &s->sum[block], &s->sum_above[block]);
}

/* ---- from one step to the next ---- */

static void narrow_to(struct ldl_kth *s, uint32_t from, uint32_t to)
{
    s->step = LDL_KTH_NARROW;
    s->from = from;
    s->to = to;
    s->shift = 0;
    while (((uint64_t)(to - from) >> s->shift) + 1 > LDL_KTH_BINS)
        s->shift++;
    s->bins = ((uint64_t)(to - from) >> s->shift) + 1;
}

/* The sample's magnitudes at the wanted rank, and at ranks around it: much farther than chance puts
 * them, but not so far that what is between cannot be held of the whole tensor. The sample's last block
 * may be short, and is not looked at. */
static void bracket_of(struct ldl_kth *s)
{
    uint64_t sampled = (s->blocks + s->stride - 1) / s->stride;
    uint64_t n = (LDL_MIN(sampled, s->cap / s->block) - 1) * s->block;
    double held = (double)s->cap / (4 * (double)s->n);
    uint64_t spread = (uint64_t)((double)n * LDL_MIN(held, 1.0 / SPREAD));
    uint64_t at = LDL_MIN((uint64_t)((double)s->lo / (double)s->n * (double)n), n - 1);
    uint64_t rank[3] = { at > spread ? at - spread : 0, at, LDL_MIN(at + spread, n - 1) };
    uint32_t mag[3];
    ldl_select(s->held, n, rank, 3, mag);
    if (at <= spread)
        mag[0] = 0;
    if (at + spread >= n - 1)
        mag[2] = LDL_MAG_NAN;
    s->bracket = (struct ldl_bracket){ mag[0], mag[1], mag[2], 0, 0, 0, 0 };
    s->step = LDL_KTH_BRACKET;
}

static void finish(struct ldl_kth *s)
{
    s->total = 0;
    for (uint64_t b = 0; s->sum && b < s->blocks; b++)
        s->total += s->sum[b];
    s->step = LDL_KTH_DONE;
}

static void finish_all(struct ldl_kth *s)
{
    uint64_t rank[2] = { s->lo, s->hi };
    uint32_t mag[2];
    s->nheld = s->n;
    ldl_select(s->held, s->n, rank, 2, mag);
    ldl_select_count(s->held, s->n, mag[0], &s->below_lo, &s->on_lo);
    s->mag_lo = mag[0];
    s->mag_hi = mag[1];
    finish(s);
}

/* ---- the bracket's answer ---- */

/* The three points of the bracket, each with the number of elements on it; equal points count once. */
static void points_of(const struct ldl_bracket *b, uint32_t point[3], uint64_t on[3])
{
    point[0] = b->from;
    point[1] = b->at;
    point[2] = b->to;
    on[0] = b->on_from;
    on[1] = b->at == b->from ? 0 : b->on_at;
    on[2] = b->to == b->at ? 0 : b->on_to;
}

/* The magnitude of a rank among what is in the bracket. */
static uint32_t in_bracket(struct ldl_kth *s, uint64_t rank)
{
    uint32_t point[3], mag;
    uint64_t on[3], low, equal, skipped = 0;
    points_of(&s->bracket, point, on);
    ldl_select_count(s->held, s->nheld, s->bracket.at, &low, &equal);
    const uint64_t between[3] = { 0, low, s->nheld - low };
    for (int i = 0; i < 3; i++) {
        if (rank < between[i]) {
            rank += skipped;
            ldl_select(s->held, s->nheld, &rank, 1, &mag);
            return mag;
        }
        rank -= between[i];
        skipped += between[i];
        if (rank < on[i])
            return point[i];
        rank -= on[i];
    }
    return s->bracket.to; /* not reached: the caller has checked the rank */
}

static void finish_bracket(struct ldl_kth *s)
{
    uint32_t point[3];
    uint64_t on[3];
    points_of(&s->bracket, point, on);
    s->mag_lo = in_bracket(s, s->lo - s->bracket.below);
    s->mag_hi = s->hi == s->lo ? s->mag_lo : in_bracket(s, s->hi - s->bracket.below);
    ldl_select_count(s->held, s->nheld, s->mag_lo, &s->below_lo, &s->on_lo);
    s->below_lo += s->bracket.below;
    for (int i = 0; i < 3; i++) {
        s->below_lo += point[i] < s->mag_lo ? on[i] : 0;
        s->on_lo += point[i] == s->mag_lo ? on[i] : 0;
    }
    finish(s);
}

static void solve_bracket(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n)
{
    struct ldl_bracket *b = &s->bracket;
    uint32_t point[3];
    uint64_t on[3];
    for (size_t i = 0; i < n; i++) {
        b->below += acc[i]->bracket.below;
        b->on_from += acc[i]->bracket.on_from;
        b->on_at += acc[i]->bracket.on_at;
        b->on_to += acc[i]->bracket.on_to;
    }
    points_of(b, point, on);
    uint64_t end = b->below + on[0] + on[1] + on[2] + s->nheld;
    if (s->lo < b->below) {
        narrow_to(s, 0, b->from - 1);
    } else if (s->hi >= end) {
        narrow_to(s, s->lo < end ? b->from : b->to + 1, LDL_MAG_NAN);
    } else if (s->nheld > s->cap) {
        narrow_to(s, b->from, b->to);
    } else {
        finish_bracket(s);
        return;
    }
    s->nheld = 0;
    *b = (struct ldl_bracket){ 0 };
}

/* ---- the last resort ---- */

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

static void finish_narrow(struct ldl_kth *s, struct ldl_kth_acc *a, uint64_t bin, uint64_t below)
{
    uint64_t before = a->below, bin_hi = bin_of_rank(s, a->count, s->hi, &before);
    s->mag_lo = s->from + (uint32_t)bin;
    s->below_lo = below;
    s->on_lo = a->count[bin];
    s->mag_hi = bin_hi < s->bins ? s->from + (uint32_t)bin_hi : a->above_min;
    s->count = a->count; /* sum_from() needs the counts */
    a->count = NULL;
    finish(s);
}

static void solve_narrow(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n)
{
    struct ldl_kth_acc *a = acc[0];
    for (size_t i = 1; i < n; i++) {
        a->below += acc[i]->below;
        a->above_min = LDL_MIN(a->above_min, acc[i]->above_min);
        for (uint64_t b = 0; b < s->bins; b++)
            a->count[b] += acc[i]->count[b];
    }
    uint64_t before = a->below, bin = bin_of_rank(s, a->count, s->lo, &before);
    if (s->shift == 0) {
        finish_narrow(s, a, bin, before);
        return;
    }
    uint32_t from = s->from + (uint32_t)(bin << s->shift);
    narrow_to(s, from, LDL_MIN(from + ((1u << s->shift) - 1), s->to));
}

int ldl_kth_solve(struct ldl_kth *s, struct ldl_kth_acc *const *acc, size_t n, struct ldl_err *err)
{
    (void)err;
    switch (s->step) {
    case LDL_KTH_SAMPLE: bracket_of(s); break;
    case LDL_KTH_ALL: finish_all(s); break;
    case LDL_KTH_BRACKET: solve_bracket(s, acc, n); break;
    default: solve_narrow(s, acc, n);
    }
    return 0;
}

/* ---- what else is known ---- */

static double times_value(uint64_t count, uint32_t mag)
{
    float value;
    memcpy(&value, &mag, sizeof value);
    return count ? (double)count * (double)value : 0;
}

double ldl_kth_sum_from(const struct ldl_kth *s, uint32_t mag)
{
    uint32_t point[3];
    uint64_t on[3];
    double sum = ldl_select_sum(s->held, s->nheld, mag);
    points_of(&s->bracket, point, on);
    for (uint64_t b = 0; b < s->blocks; b++)
        sum += s->sum_above[b];
    for (int i = 2; i >= 0; i--)
        sum += point[i] >= mag ? times_value(on[i], point[i]) : 0;
    for (uint64_t b = s->count ? s->bins : 0; b > 0 && s->from + b > mag; b--)
        sum += times_value(s->count[b - 1], s->from + (uint32_t)b - 1);
    return sum;
}

const uint32_t *ldl_kth_on_lo(const struct ldl_kth *s)
{
    return s->bracket.on_at && s->mag_lo == s->bracket.at ? s->on_at : NULL;
}

uint64_t ldl_kth_state_bytes(uint64_t n, uint64_t block)
{
    return (n / block + 1) * (2 * sizeof(double) + sizeof(uint32_t)) +
           held_most(n) * sizeof(uint32_t);
}

uint64_t ldl_kth_acc_bytes(uint64_t n)
{
    return n <= LDL_KTH_HOLD ? 0 : LDL_KTH_BINS * sizeof(uint64_t);
}
