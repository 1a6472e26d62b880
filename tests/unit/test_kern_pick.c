/* test_kern_pick.c -- the kernels of kern_pick.h, and kern/row.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"
#include "kern/row.h"
#include "kern/tally.h"

static void ranked(void **state)
{
    static uint32_t draw[ROOM], rank2[ROOM], on[ROOM], bits[ROOM / 32 + 1], some[ROOM / 32 + 1];
    struct ldl_row_room room;
    (void)state;
    assert_int_equal(ldl_row_room_make(&room, ROOM), 0);
    for (int i = 0; i < ROOM; i++)
        draw[i] = next();
    EACH({
        if (n > 1100)
            continue; /* counting is quadratic */
        ldl_row_ranks(k, &room, rank2, x, n);
        for (size_t i = 0; i < n; i++) {
            size_t below = 0, equal = 0;
            for (size_t j = 0; j < n; j++) {
                float a = fabsf(x[i]), b = fabsf(x[j]);
                below += isnan(a) ? !isnan(b) : b < a;
                equal += isnan(a) ? isnan(b) != 0 : b == a;
            }
            assert_int_equal(rank2[i], 2 * below + equal - 1);
        }
        memcpy(got, x, n * 4);
        k->keep_ranked(got, on, draw, rank2, 0.2, 0.3 / (double)(n + 1), n);
        memset(bits, 0, sizeof bits);
        k->pack(some, on, n / 2); /* in two parts, which share a word */
        ldl_bits_set(bits, off, some, n / 2);
        k->pack(some, on + n / 2, n - n / 2);
        ldl_bits_set(bits, off + n / 2, some, n - n / 2);
        for (size_t i = 0; i < n; i++) {
            double p = 0.2 + 0.3 / (double)(n + 1) * rank2[i];
            int stays = (double)draw[i] < p * 4294967296.0;
            want[i] = stays ? x[i] : 0.0f;
            assert_int_equal(on[i], stays);
            assert_int_equal(bits[(off + i) / 32] >> (off + i) % 32 & 1, stays);
        }
        same(got, want, n, "keep_ranked", k->level);

        for (size_t i = 0; i < n / 32 + 1; i++)
            some[i] = next() << 16 ^ next() >> 3;
        memcpy(got, x, n * 4);
        k->keep_bits(got, some, 1.5f, n);
        for (size_t i = 0; i < n; i++)
            want[i] = some[i / 32] >> i % 32 & 1 ? x[i] * 1.5f : 0.0f;
        same(got, want, n, "keep_bits", k->level);
    })
    ldl_row_room_free(&room);
}

static int by_mag(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* A staircase of the magnitudes of x, one to a cell. */
static void stairs_of(struct ldl_stairs *s, const float *x, size_t n)
{
    uint32_t cells = 0;
    for (size_t i = 0; i < n; i++)
        s->edge[i] = ldl_magnitude(x[i]);
    qsort(s->edge, n, sizeof *s->edge, by_mag);
    for (size_t i = 0; i < n; i++)
        if (!cells || s->edge[cells - 1] != s->edge[i])
            s->edge[cells++] = s->edge[i];
    s->cells = cells;
    ldl_stairs_index(s);
}

/* By table and by probability. One in `longs` keeps the bits that make it long; 1: all, 0: none. */
static void kept_by_table(void **state)
{
    static uint32_t edge[ROOM], start[LDL_STAIR_TOPS + 1], draw[ROOM];
    static struct ldl_keep keep[LDL_SHORTS];
    static const uint32_t longs[] = { 0, 1, 9, 500 };
    static double p[ROOM], each[ROOM];
    struct ldl_stairs s = { .edge = edge, .start = start };
    (void)state;
    for (int i = 0; i < ROOM; i++) {
        p[i] = i % 5 == 1 ? 1 : 0.25 + (double)(i % 97) / 200;
        draw[i] = i % 7 ? next() << 16 ^ next() : 0xffffffffu;
    }
    draw[1] = (uint32_t)(p[0] * 4294967296.0);
    draw[2] = draw[1] - 1;
    EACH({
        for (size_t way = 0; way < 8 && n; way++) {
            uint32_t one_in = longs[way / 2];
            struct ldl_keeper by = { keep, &s, p, (int)(way % 2) };
            for (size_t i = 0; i < n; i++)
                got[i] = one_in && next() / 64 % one_in == 0 ? x[i]
                                                             : from_bits(to_bits(x[i]) & ~0x7fffu);
            stairs_of(&s, got, n);
            assert_int_equal(ldl_keep_fill(keep, &s, p, by.rescale), 0);
            ldl_stairs_map(&s, p, each, got, n);
            memcpy(want, got, n * sizeof *got);
            k->keep_each(want, draw, each, by.rescale, n);
            ldl_keeper_apply(&by, k, got, draw, n);
            same(got, want, n, "keep_short", k->level);
        }
    })
    edge[0] = 0;
    s.cells = 1;
    p[0] = 0;
    assert_int_not_equal(ldl_keep_fill(keep, &s, p, 1), 0);
}

static void thinned(void **state)
{
    static uint32_t draw[ROOM], on[ROOM], bits[ROOM / 32 + 1];
    static const uint32_t lasts[] = { 0, 1u << 31, 0xfffffffeu };
    (void)state;
    for (int i = 0; i < ROOM; i++)
        draw[i] = i % 7 ? next() << 16 ^ next() : 0;
    EACH({
        for (size_t which = 0; which < 3; which++) {
            uint32_t last = lasts[which];
            double all, kept;
            memcpy(on, draw, n * 4);
            k->thin_sums(bits, x, on, last, &all, &kept, n);
            for (size_t i = 0; i < n; i++) {
                int stays = draw[i] <= last;
                got[i] = stays ? x[i] : 0.0f;
                assert_int_equal(bits[i / 32] >> i % 32 & 1, stays);
            }
            double want_all = k->sum_mags(x, n), want_kept = k->sum_mags(got, n);
            assert_true(all == want_all || (isnan(all) && isnan(want_all)));
            assert_true(kept == want_kept || (isnan(kept) && isnan(want_kept)));
        }
    })
}

/* Rows of one magnitude for each bin, of several (many of them in one), and of huge spread. */
static void ranks_by_bin(void **state)
{
    static uint32_t rank2[ROOM];
    static float x[4000];
    struct ldl_row_room room;
    const struct ldl_kern *k = ldl_kern_all()[0];
    (void)state;
    assert_int_equal(ldl_row_room_make(&room, 4000), 0);
    for (int kind = 0; kind < 10; kind++) {
        size_t n = kind < 5 ? 1200 : 4000;
        for (size_t i = 0; i < n; i++) {
            uint32_t u = next();
            float g = (float)(int32_t)u * 0x1p-31f;
            x[i] = kind % 5 == 0   ? (float)((int)(g * 90) * 0x1p-14)
                   : kind % 5 == 1 ? g
                   : kind % 5 == 2 ? from_bits(0x3c000000u + u % 500)
                   : kind % 5 == 3 ? ldexpf(g, -(int)(u % 120))
                                   : (u % 3 ? 0.0f : g * g * g);
        }
        ldl_row_ranks(k, &room, rank2, x, n);
        for (size_t i = 0; i < n; i++) {
            size_t below = 0, equal = 0;
            for (size_t j = 0; j < n; j++) {
                below += fabsf(x[j]) < fabsf(x[i]);
                equal += fabsf(x[j]) == fabsf(x[i]);
            }
            assert_int_equal(rank2[i], 2 * below + equal - 1);
        }
    }
    ldl_row_room_free(&room);
}

static void bin_numbers(void **state)
{
    static uint16_t bin[ROOM];
    (void)state;
    EACH({
        uint32_t lo = 0x3a000000u;
        k->mag_bins(bin, x, n, lo, 15, 1000);
        for (size_t i = 0; i < n; i++) {
            uint32_t mag = to_bits(x[i]) & 0x7fffffffu;
            uint32_t b = mag < lo ? 1 : 1 + ((mag - lo) >> 15);
            assert_int_equal(bin[i], !mag ? 0 : b < 1000 ? b : 1000);
        }
    })
}

static void bands(void **state)
{
    (void)state;
    EACH({
        const uint32_t edges[][2] = { { 0, 1 },
                                      { 0, 0x80000000u },
                                      { 0x7f800001u, 0x80000000u },
                                      { 0x3a000000u, 0x3d000000u },
                                      { to_bits(fabsf(x[1])), to_bits(fabsf(x[1])) + 1 },
                                      { 0x3a000000u, 0x3a000000u } };
        for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
            uint32_t from = edges[e][0], to = edges[e][1];
            size_t count = 0;
            memcpy(got, x, n * 4);
            k->band(got, from, to, 1.5f, n);
            for (size_t i = 0; i < n; i++) {
                uint32_t mag = to_bits(x[i]) & 0x7fffffffu;
                int inside = mag >= from && mag < to;
                want[i] = inside ? x[i] * 1.5f : 0.0f;
                if (inside && count % 37 == 0)
                    assert_int_equal(k->band_find(x, n, from, to, count), i);
                count += (size_t)inside;
            }
            same(got, want, n, "band", k->level);
            assert_int_equal(k->band_count(x, n, from, to), count);
            assert_int_equal(k->band_find(x, n, from, to, count), n);
        }
    })
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bands),       cmocka_unit_test(ranked),
        cmocka_unit_test(thinned),     cmocka_unit_test(ranks_by_bin),
        cmocka_unit_test(bin_numbers), cmocka_unit_test(kept_by_table),
    };
    return cmocka_run_group_tests_name("kern_pick", tests, fill, NULL);
}
