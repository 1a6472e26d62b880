/* test_reduce.c -- k-th magnitude and ranks against a plain sort, for distributions that are kind
 * and unkind, with one accumulator and with several. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reduce/cut.h"
#include "reduce/draw.h"
#include "reduce/kth.h"
#include "reduce/ranks.h"

enum { BLOCK = 64, ACCS = 3 };

static uint32_t rng = 1;
static uint32_t next(void)
{
    return rng = rng * 1664525u + 1013904223u;
}
static double uniform(void)
{
    return (next() >> 8) / 16777216.0;
}
static uint32_t mag_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return isnan(f) ? LDL_MAG_NAN : u & 0x7fffffffu;
}
static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* MISLED: what a sample of every k-th block sees is not what the others are. FEW: bf16 task vectors, with
 * a good part on each of some magnitudes. SHORT: magnitudes of 16 bits, all there are. MIXED: of 16 bits in long
 * stretches, and between them others too. PLACES: differences of f32 tensors, many of them equal multiples of units
 * in the last place. */
enum {
    GAUSS,
    UNIFORM,
    TIES,
    ZEROS,
    CONSTANT,
    ROWS,
    SORTED,
    EXTREME,
    NANS,
    MISLED,
    FEW,
    SHORT,
    MIXED,
    PLACES,
    KINDS
};

static float *make(int kind, size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        double g = sqrt(-2 * log(uniform() + 1e-9)) * cos(6.283185307 * uniform());
        switch (kind) {
        case GAUSS: x[i] = (float)g; break;
        case UNIFORM: x[i] = (float)(uniform() - 0.5); break;
        case TIES: x[i] = (float)(int)(g * 3) * 0.25f; break;
        case ZEROS: x[i] = next() % 10 < 7 ? -0.0f : (float)g; break;
        case CONSTANT: x[i] = -2.5f; break;
        case ROWS: x[i] = (float)ldexp(g, (int)(i * 60 / n) - 30); break;
        case SORTED: x[i] = (float)i; break;
        case EXTREME: x[i] = float_of(next()); break;
        case NANS: x[i] = next() % 3 ? float_of(0x7fc00000u | next() % 999) : (float)g; break;
        case MISLED: x[i] = (float)(i / BLOCK % 2 ? 100 + g : g); break;
        case SHORT: x[i] = float_of(next() & 0xffff8000u); break;
        case MIXED:
            x[i] = float_of(next() >> 7 << 15 | (i / 100 % 3 || next() % 8 ? 0 : next() >> 30));
            break;
        case PLACES: {
            float from = (float)(0.04 * g), to = (float)(from * (1 + 0.01 * (uniform() - 0.5)));
            x[i] = to - from;
            break;
        }
        case FEW: x[i] = (float)((int)(g * 40) * 0x1p-12); break;
        }
        if (kind == EXTREME && isnan(x[i]))
            x[i] = INFINITY;
    }
    return x;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t *sorted_mags(const float *x, size_t n)
{
    uint32_t *s = malloc(n * sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++)
        s[i] = mag_of(x[i]);
    qsort(s, n, sizeof *s, by_value);
    return s;
}

static int run_kth(struct ldl_kth *s, const float *x, size_t n)
{
    int rounds = 0;
    for (uint64_t stride; (stride = ldl_kth_stride(s)) != 0; rounds++) {
        struct ldl_kth_acc acc[ACCS], *list[ACCS];
        for (int a = 0; a < ACCS; a++) {
            assert_int_equal(ldl_kth_acc_begin(s, &acc[a], NULL), 0);
            list[a] = &acc[a];
        }
        for (uint64_t b = 0; b * BLOCK < n; b += stride)
            ldl_kth_scan(s, &acc[b % ACCS], b * BLOCK, x + b * BLOCK,
                         LDL_MIN((size_t)BLOCK, n - b * BLOCK));
        assert_int_equal(ldl_kth_solve(s, list, ACCS, NULL), 0);
        for (int a = 0; a < ACCS; a++)
            ldl_kth_acc_end(&acc[a]);
        assert_true(rounds < 6);
    }
    return rounds;
}

static void check_kth(const float *x, const uint32_t *sorted, size_t n, uint64_t lo)
{
    struct ldl_kth s;
    uint64_t hi = LDL_MIN(lo + 1, n - 1);
    assert_int_equal(ldl_kth_begin(&s, ldl_kern_all()[0], n, BLOCK, lo, hi, 1, NULL), 0);
    run_kth(&s, x, n);
    assert_int_equal(s.mag_lo, sorted[lo]);
    assert_int_equal(s.mag_hi, sorted[hi]);
    uint64_t below = 0, on = 0, of_blocks = 0;
    for (size_t i = 0; i < n; i++) {
        below += sorted[i] < sorted[lo];
        on += sorted[i] == sorted[lo];
    }
    assert_int_equal(s.below_lo, below);
    assert_int_equal(s.on_lo, on);
    for (uint64_t b = 0; ldl_kth_on_lo(&s) && b < s.blocks; b++)
        of_blocks += ldl_kth_on_lo(&s)[b];
    assert_true(!ldl_kth_on_lo(&s) || of_blocks == on);
    double all = 0, kept = 0;
    for (size_t i = 0; i < n; i++) {
        all += (double)float_of(sorted[i]);
        kept += sorted[i] >= s.mag_hi ? (double)float_of(sorted[i]) : 0;
    }
    if (isfinite(all)) {
        assert_true(fabs(s.total - all) <= 1e-12 * all);
        assert_true(fabs(ldl_kth_sum_from(&s, s.mag_hi) - kept) <= 1e-12 * all);
    }
    ldl_kth_end(&s);
}

static void kth(void **state)
{
    static const size_t sizes[] = { 1, 2, 3, 63, 64, 65, 1000, 65536, 65537, 200001 };
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            size_t n = sizes[z];
            float *x = make(kind, n);
            uint32_t *sorted = sorted_mags(x, n);
            uint64_t ranks[] = { 0, n / 10, n / 3, n / 2, n - 1 - n / 20, n - 1 };
            for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++)
                check_kth(x, sorted, n, ranks[r]);
            free(sorted);
            free(x);
        }
}

/* The sample must do its work: one look at all of the tensor is enough. And where it misleads, the
 * answer is found all the same. */
static void kth_is_quick(void **state)
{
    static const struct {
        int kind, least, most;
    } cases[] = { { GAUSS, 2, 2 }, { FEW, 2, 2 }, { ZEROS, 2, 2 }, { MISLED, 3, 5 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 1 << 20;
        float *x = make(cases[i].kind, n);
        struct ldl_kth s;
        assert_int_equal(ldl_kth_begin(&s, ldl_kern_all()[0], n, BLOCK, n / 3, n / 3 + 1, 0, NULL),
                         0);
        int rounds = run_kth(&s, x, n);
        assert_in_range(rounds, cases[i].least, cases[i].most);
        ldl_kth_end(&s);
        free(x);
    }
}

/* The low elements are those that come first in a stable sort; `at` and `to` as cut.h has them. */
static void check_cut(const float *x, size_t n, uint64_t rank, enum ldl_cut_ties order, int open)
{
    struct ldl_cut c;
    uint64_t low = 0;
    const struct ldl_kern *k = ldl_kern_all()[0];
    int told = !open;
    assert_int_equal(open ? ldl_cut_begin_open(&c, k, n, BLOCK, order, NULL)
                          : ldl_cut_begin(&c, k, n, BLOCK, rank, order, NULL),
                     0);
    for (uint64_t stride; (stride = ldl_cut_stride(&c)) != 0;) {
        struct ldl_kth_acc acc, *list[1] = { &acc };
        assert_int_equal(ldl_cut_acc_begin(&c, &acc, NULL), 0);
        for (uint64_t b = 0; b * BLOCK < n; b += stride)
            ldl_cut_scan(&c, &acc, b * BLOCK, x + b * BLOCK, LDL_MIN((size_t)BLOCK, n - b * BLOCK));
        if (!told) /* the sample gets a bad guess */
            ldl_cut_aim(&c, stride > 1 ? n - rank : rank);
        told |= stride == 1;
        assert_int_equal(ldl_cut_solve(&c, list, 1, NULL), 0);
        ldl_kth_acc_end(&acc);
    }
    int was_high = 0, was_low = 0;
    for (uint64_t first = 0; first < n; first += BLOCK) {
        size_t m = LDL_MIN((size_t)BLOCK, n - first), at = ldl_cut_place(&c, first, x + first, m);
        for (size_t i = 0; i < m; i++) {
            uint32_t mag = mag_of(x[first + i]);
            int is_low = mag < ldl_cut_high(&c, i < at);
            low += is_low;
            if (mag < c.from || mag >= c.to)
                assert_int_equal(is_low, mag < c.from);
            else if (is_low) /* of equals, one kind comes first */
                assert_true(order == LDL_CUT_LOWER_HIGH || !was_high), was_low = 1;
            else
                assert_true(order == LDL_CUT_LOWER_LOW || !was_low), was_high = 1;
        }
    }
    assert_int_equal(low, rank);
    ldl_cut_end(&c);
}

static void cuts(void **state)
{
    static const size_t sizes[] = { 1, 65, 1000, 65537, 200001 };
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            size_t n = sizes[z];
            float *x = make(kind, n);
            uint64_t ranks[] = { 0, 1, n / 10, n / 2, n - n / 50, n };
            for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++) {
                check_cut(x, n, ranks[r], LDL_CUT_LOWER_LOW, 0);
                check_cut(x, n, ranks[r], LDL_CUT_LOWER_HIGH, 0);
                check_cut(x, n, ranks[r], LDL_CUT_LOWER_HIGH, 1);
            }
            free(x);
        }
}

static void nan_shows_in_the_sum(void **state)
{
    (void)state;
    float x[100];
    struct ldl_kth s;
    for (int i = 0; i < 100; i++)
        x[i] = (float)i;
    x[17] = NAN;
    assert_int_equal(ldl_kth_begin(&s, ldl_kern_all()[0], 100, BLOCK, 30, 31, 1, NULL), 0);
    run_kth(&s, x, 100);
    assert_true(isnan(s.total));
    ldl_kth_end(&s);
}

/* How many rounds it takes. */
static int run_ranks(struct ldl_ranks *r, const float *x, size_t n, size_t accs)
{
    int round;
    for (round = 0; !r->done; round++) {
        struct ldl_ranks_acc acc[ACCS], *list[ACCS];
        for (size_t a = 0; a < accs; a++) {
            assert_int_equal(ldl_ranks_acc_begin(r, &acc[a], NULL), 0);
            list[a] = &acc[a];
        }
        for (size_t at = 0; at < n; at += 4096)
            assert_int_equal(ldl_ranks_scan(r, &acc[at / 4096 % accs], x + at,
                                            LDL_MIN((size_t)4096, n - at), NULL),
                             0);
        assert_int_equal(ldl_ranks_solve(r, list, accs, NULL), 0);
        for (size_t a = 0; a < accs; a++)
            ldl_ranks_acc_end(&acc[a]);
        assert_true(round < 20);
    }
    return round;
}

/* Mean rank, counted from the largest, of what equals sorted[i]. */
static double mean_rank(const uint32_t *sorted, size_t n, size_t i)
{
    size_t from = i, to = i;
    while (from > 0 && sorted[from - 1] == sorted[i])
        from--;
    while (to + 1 < n && sorted[to + 1] == sorted[i])
        to++;
    return (double)(n - 1) - (double)(from + to) / 2;
}

/* How many rounds it takes. */
static int check_ranks(const float *x, size_t n, double allowed)
{
    int most = 0;
    uint32_t *sorted = sorted_mags(x, n);
    for (size_t accs = 1; accs <= ACCS; accs += 2) {
        struct ldl_ranks r;
        ldl_ranks_begin(&r, ldl_kern_all()[0], n);
        int rounds = run_ranks(&r, x, n, accs);
        most = LDL_MAX(most, rounds);
        for (size_t i = 0; i < n; i += 1 + n / 5000) {
            float v = float_of(sorted[i]);
            double got;
            ldl_stairs_map(&r.stairs, r.rank, &got, &v, 1);
            assert_true(fabs(got - mean_rank(sorted, n, i)) <= allowed);
        }
        ldl_ranks_end(&r);
    }
    free(sorted);
    return most;
}

static void ranks_exact(void **state)
{
    static const size_t sizes[] = { 1, 2, 5, 1000, 70001 };
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            float *x = make(kind, sizes[z]);
            check_ranks(x, sizes[z], 0);
            free(x);
        }
}

/* x holds `distinct` magnitudes: as many short ones as there are without NaN, then others. */
static void fill_distinct(float *x, size_t n, uint32_t distinct)
{
    const uint32_t shorts = (LDL_MAG_INF >> LDL_SHORT_SHIFT) + 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)(i * 7919 % distinct), sign = i % 3 ? 0 : 0x80000000u;
        x[i] =
            float_of(sign | (v < shorts ? v << LDL_SHORT_SHIFT : 0x3f000001u + 2 * (v - shorts)));
    }
}

/* How many magnitudes are ranked exactly, tables or not. */
static void most_exact(void **state)
{
    size_t n = 400000;
    float *x = malloc(n * sizeof *x);
    (void)state;
    assert_non_null(x);
    for (uint32_t more = 0; more < 2; more++) {
        fill_distinct(x, n, LDL_TALLY_MOST + more);
        for (size_t accs = 1; accs <= ACCS; accs += 2) {
            struct ldl_ranks r;
            ldl_ranks_begin(&r, ldl_kern_all()[0], n);
            run_ranks(&r, x, n, accs);
            assert_int_equal(r.refining, more);
            ldl_ranks_end(&r);
        }
        check_ranks(x, n, 0);
    }
    free(x);
}

/* Above 2^20 distinct magnitudes: off by less than n / 2^20. */
static void ranks_of_many(void **state)
{
    static const int kinds[] = { GAUSS, SORTED, EXTREME, PLACES };
    size_t n = 1500000;
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        float *x = make(kinds[i], n);
        for (size_t t = 0; kinds[i] == GAUSS && t < n; t += 3)
            x[t] = 0.125f; /* a third are equal: their rank must be exact */
        int rounds = check_ranks(x, n, (double)n / (1 << 20) + 0.5);
        assert_in_range(rounds, 2, kinds[i] == PLACES ? 4 : 9);
        free(x);
    }
}

/* A count that is full goes on in another. */
static void counts_beyond_32_bits(void **state)
{
    static uint32_t edge[] = { 0, 0x3f800000u, 0x40000000u }, start[LDL_STAIR_TOPS + 1];
    struct ldl_stairs s = { .edge = edge, .cells = 3, .start = start };
    uint32_t count[] = { UINT32_MAX - 20, UINT32_MAX, 7 }, over[3] = { 0 };
    float x[40];
    (void)state;
    ldl_stairs_index(&s);
    for (int i = 0; i < 40; i++)
        x[i] = i % 2 ? -0.5f : 1.5f;
    x[39] = NAN;
    ldl_stairs_count(&s, count, over, x, 40);
    assert_int_equal(count[0], UINT32_MAX - 1);
    assert_int_equal(count[1], 19);
    assert_int_equal(count[2], 8);
    assert_int_equal(over[0], 0);
    assert_int_equal(over[1], 1);
    assert_int_equal(over[2], 0);
}

/* Runs that follow each other, overlap, go back, and are far apart. */
static void draws_of_runs(void **state)
{
    static const size_t lengths[] = { 1, 896, 4096, 511, 512, 513, 3, 4096 };
    static struct ldl_draws draws;
    static uint32_t want[LDL_DRAWS];
    const struct ldl_kern *k = ldl_kern_all()[0];
    struct ldl_draw draw;
    uint64_t at = 0;
    (void)state;
    ldl_draw_init(&draw, 77, "a.weight", 2);
    for (size_t i = 0; i < 300; i++) {
        size_t n = lengths[next() >> 8 & 7];
        ldl_draw(&draw, k, want, at, n);
        assert_memory_equal(ldl_draws_of(&draws, &draw, k, at, n), want, n * sizeof *want);
        at += i % 7 ? n : next() >> 12;
        at -= i % 11 == 5 ? LDL_MIN(at, (uint64_t)700) : 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kth),           cmocka_unit_test(kth_is_quick),
        cmocka_unit_test(ranks_exact),   cmocka_unit_test(nan_shows_in_the_sum),
        cmocka_unit_test(ranks_of_many), cmocka_unit_test(counts_beyond_32_bits),
        cmocka_unit_test(cuts),          cmocka_unit_test(most_exact),
        cmocka_unit_test(draws_of_runs),
    };
    return cmocka_run_group_tests_name("reduce", tests, NULL, NULL);
}
