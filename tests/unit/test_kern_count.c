/* test_kern_count.c -- the kernels that count magnitudes at every SIMD level, and what is told of an array
 * of magnitudes by their digits, against plain loops and a sort. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"
#include "kern/select.h"

static uint32_t mag_of(float x)
{
    return isnan(x) ? LDL_MAG_NAN : to_bits(x) & 0x7fffffffu;
}

static void magnitudes(void **state)
{
    static uint32_t mags[ROOM];
    (void)state;
    EACH({
        k->magnitudes(mags, x, n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(mags[i], mag_of(x[i]));
    })
}

static void sums_above(void **state)
{
    (void)state;
    EACH({
        uint32_t to = 0x3b000000u;
        double all[16] = { 0 };
        double above[16] = { 0 };
        double all_got = 1;
        double above_got = 2;
        k->sums_above(x, n, to, &all_got, &above_got);
        for (size_t i = 0; i < n; i++) {
            all[i % 16] += (double)fabsf(x[i]);
            above[i % 16] += (to_bits(x[i]) & 0x7fffffffu) > to ? (double)fabsf(x[i]) : 0.0;
        }
        for (int width = 8; width; width /= 2)
            for (int l = 0; l < width; l++) {
                all[l] += all[l + width];
                above[l] += above[l + width];
            }
        assert_true(all_got == all[0] || (isnan(all_got) && isnan(all[0])));
        assert_true(above_got == above[0] || (isnan(above_got) && isnan(above[0])));
    })
}

/* Wide, narrow, of one magnitude, of one or two that the inputs have, and of all of them. */
static void bracket(void **state)
{
    static const uint32_t limits[][3] = { { 0x3a000000u, 0x3b000000u, 0x3c000000u },
                                          { 0, 0, LDL_MAG_NAN },
                                          { 0, 1, 1 },
                                          { LDL_MAG_INF, LDL_MAG_INF, LDL_MAG_NAN },
                                          { 0x38800000u, 0x38800000u, 0x38800000u },
                                          { 0x38800000u, 0x3a000000u, 0x3a000000u },
                                          { 0x33000000u, 0x38800000u, 0x3f800000u },
                                          { LDL_MAG_NAN, LDL_MAG_NAN, LDL_MAG_NAN } };
    static uint32_t inside[ROOM];
    (void)state;
    for (size_t c = 0; c < sizeof limits / sizeof *limits; c++)
        EACH({
            struct ldl_bracket b = { limits[c][0], limits[c][1], limits[c][2], 1, 2, 3, 4 };
            size_t at = 0;
            size_t have = k->bracket(&b, inside, x, n);
            uint64_t counts[4] = { 1, 2, 3, 4 };
            for (size_t i = 0; i < n; i++) {
                uint32_t mag = mag_of(x[i]);
                counts[0] += mag < b.from;
                counts[1] += mag == b.from;
                counts[2] += mag == b.at;
                counts[3] += mag == b.to;
                if (mag > b.from && mag < b.to && mag != b.at)
                    assert_int_equal(inside[at++], mag);
            }
            assert_int_equal(have, at);
            assert_int_equal(b.below, counts[0]);
            assert_int_equal(b.on_from, counts[1]);
            assert_int_equal(b.on_at, counts[2]);
            assert_int_equal(b.on_to, counts[3]);
        })
}

static void census(void **state)
{
    static uint64_t bins[1 << 12], expected[1 << 12];
    (void)state;
    EACH({
        uint32_t from = 0x3a000000u;
        uint32_t to = from + (1u << 24) - 1;
        struct ldl_census c = { .below = 3, .above_min = 0x80000000u };
        uint64_t below = 3;
        uint32_t above_min = 0x80000000u;
        memset(bins, 0, sizeof bins);
        memset(expected, 0, sizeof expected);
        k->census(&c, bins, x, n, from, to, 12);
        for (size_t i = 0; i < n; i++) {
            uint32_t mag = mag_of(x[i]);
            below += mag < from;
            if (mag > to && mag < above_min)
                above_min = mag;
            if (mag >= from && mag <= to)
                expected[(mag - from) >> 12]++;
        }
        assert_int_equal(c.below, below);
        assert_int_equal(c.above_min, above_min);
        assert_memory_equal(bins, expected, sizeof bins);
    })
}

/* ---- select.h ---- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void check_select(uint32_t *mag, uint32_t *sorted, size_t n)
{
    uint64_t rank[LDL_SELECT_MOST] = { 0, n / 3, n / 3, n - 1 }, below, equal;
    uint32_t out[LDL_SELECT_MOST];
    memcpy(sorted, mag, n * sizeof *mag);
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < LDL_SELECT_MOST; i++) {
        ldl_select(mag, n, rank + i, LDL_SELECT_MOST - i, out);
        for (size_t r = 0; r < LDL_SELECT_MOST - i; r++)
            assert_int_equal(out[r], sorted[rank[i + r]]);
    }
    ldl_select_count(mag, n, out[0], &below, &equal);
    assert_true(below < n && sorted[below] == out[0] && (below == 0 || sorted[below - 1] < out[0]));
    assert_true(below + equal == n || sorted[below + equal] > out[0]);
    assert_int_equal(sorted[below + equal - 1], out[0]);
    qsort(mag, n, sizeof *mag, by_value); /* nothing was lost */
    assert_memory_equal(mag, sorted, n * sizeof *mag);
}

static void select_ranks(void **state)
{
    static uint32_t mag[5000], sorted[5000];
    static const size_t sizes[] = { 1, 2, 3, 100, 5000 };
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            for (size_t i = 0; i < sizes[z]; i++)
                mag[i] = kind == 0   ? next() & 0x7fffffffu
                         : kind == 1 ? 0x3c000000u + next() % 5 * 0x10000u
                         : kind == 2 ? 7
                                     : next() >> next() % 31 & 0x7fffffffu;
            check_select(mag, sorted, sizes[z]);
        }
}

static void select_sum(void **state)
{
    (void)state;
    uint32_t few[] = { 0x3f800000u, 1, 0x00800000u, 0x4b000001u, 0x3f800000u };
    assert_true(ldl_select_sum(few, 5, 0) == 8388609.0 + 2 + 0x1p-126 + 0x1p-149);
    assert_true(ldl_select_sum(few, 5, 0x3f800000u) == 8388611.0);
    assert_true(ldl_select_sum(few, 5, 0x4b000002u) == 0);
    assert_true(ldl_select_sum(few, 0, 0) == 0);
    few[1] = LDL_MAG_INF;
    assert_true(isinf(ldl_select_sum(few, 5, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(magnitudes), cmocka_unit_test(sums_above),   cmocka_unit_test(bracket),
        cmocka_unit_test(census),     cmocka_unit_test(select_ranks), cmocka_unit_test(select_sum),
    };
    return cmocka_run_group_tests_name("kern_count", tests, fill, NULL);
}
