/* test_kern_pick.c -- the kernels of kern_pick.h, and kern/row.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"
#include "base/mem.h"
#include "kern/row.h"
#include "kern/tally.h"

static void ranked(void **state)
{
    static uint32_t draw[ROOM], rank2[ROOM], last[ROOM], bits[ROOM / 32 + 2], some[ROOM / 32 + 2];
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
        double step = 0.3 / (double)(n + 1);
        memcpy(last, rank2, n * 4);
        k->last_draws(last, 0.2, step, n);
        for (size_t i = 0; i < n; i += 3) /* those that decide */
            draw[i] = last[i] + (uint32_t)(i % 2);
        memset(bits, 0, sizeof bits);
        k->stay(some, x, draw, last, n / 2); /* in two parts, which share a word */
        ldl_bits_set(bits, off, some, n / 2);
        k->stay(some, x + n / 2, draw + n / 2, last + n / 2, n - n / 2);
        ldl_bits_set(bits, off + n / 2, some, n - n / 2);
        for (size_t i = 0; i < n; i++) {
            int stays = (double)draw[i] < (0.2 + step * rank2[i]) * 4294967296.0;
            got[i] = stays ? x[i] : 0.0f;
            assert_int_equal(bits[(off + i) / 32] >> (off + i) % 32 & 1, stays);
        }
        double sum = k->stay(some, x, draw, last, n), want_sum = k->sum_mags(got, n);
        assert_true(sum == want_sum || (isnan(sum) && isnan(want_sum)));

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

static void longs_found(void **state)
{
    static const uint32_t one_in[] = { 1, 3, 100, 1u << 20 };
    static uint32_t index[ROOM];
    (void)state;
    EACH({
        for (size_t way = 0; way < 4; way++) {
            size_t want_count = 0;
            for (size_t i = 0; i < n; i++) {
                uint32_t low = next() / 64 % one_in[way] ? 0 : 1u << next() % 15;
                got[i] = from_bits((to_bits(x[i]) & ~0x7fffu) | low);
            }
            size_t count = k->longs(index, got, n);
            for (size_t i = 0; i < n; i++)
                if (to_bits(got[i]) & 0x7fffu)
                    assert_int_equal(index[want_count++], i);
            assert_int_equal(count, want_count);
        }
    })
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

/* Probabilities at both ends, and those that make whole numbers of draws. */
static void last_draws(void **state)
{
    static const double ps[] = { 0x1p-40, 0x1p-32, 0x1p-31, 0.25, 0.3, 1 - 0x1p-53, 1 };
    static const double steps[] = { 0, 0x1p-34, 1e-7 };
    static uint32_t r[ROOM];
    (void)state;
    EACH({
        for (size_t t = 0; t < 3 * LDL_COUNT(ps); t++) {
            double p = ps[t / 3], step = steps[t % 3];
            for (size_t i = 0; i < n; i++)
                r[i] = (uint32_t)(i + off);
            k->last_draws(r, p, step, n);
            for (size_t i = 0; i < n; i++) {
                double below = (p + step * (double)(i + off)) * 4294967296.0;
                assert_true((double)r[i] < below);
                assert_true(r[i] == 0xffffffffu || !((double)r[i] + 1 < below));
            }
        }
    })
}

/* Rows of short magnitudes, with none and some that are not; kind 5: all 0; 6: NaN and infinities. */
static float short_row(int kind, size_t i)
{
    float g = (float)(int32_t)next() * 0x1p-31f, fine = (float)((int)(g * 90)) * 0x1p-14f;
    uint32_t other = next() >> 16;
    switch (kind) {
    case 0: return fine;
    case 1: return other % 40 ? fine : from_bits(to_bits(fine) + other % 7 * 100);
    case 2: return other % 20 ? ldexpf(fine, -(int)(i % 6)) : g * 0.01f;
    case 3: return other % 3 ? 0.0f : ldexpf(fine, (int)(i % 9));
    case 4: return from_bits(0x3c000000u + other % 500);
    case 5: return other % 2 ? 0.0f : -0.0f;
    default: return other % 30 ? fine : other % 4 ? INFINITY : from_bits(0xffc00000u + other);
    }
}

static void last_by_bin(void **state)
{
    static const size_t sizes[] = { 1, 2, 7, 33, 896, 4000 };
    static uint32_t got_last[4000], want_last[4000];
    static float x[4000];
    struct ldl_row_room room;
    (void)state;
    assert_int_equal(ldl_row_room_make(&room, 4000), 0);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t t = 0; t < 7 * LDL_COUNT(sizes); t++) {
            size_t n = sizes[t / 7];
            double step = 0.3 / (double)(n + 1);
            for (size_t i = 0; i < n; i++)
                x[i] = short_row((int)(t % 7), i);
            ldl_row_ranks(*k, &room, want_last, x, n);
            (*k)->last_draws(want_last, 0.2, step, n);
            ldl_row_last(*k, &room, got_last, x, n, 0.2, step);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(got_last[i], want_last[i]);
        }
    ldl_row_room_free(&room);
}

static void surveyed(void **state)
{
    static uint32_t others[ROOM];
    static uint16_t bin[ROOM];
    (void)state;
    EACH({
        struct ldl_survey s;
        uint32_t bits = 0;
        uint32_t least = LDL_MAG_LAST;
        uint32_t most = 0;
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            got[i] = i % 5 ? from_bits(to_bits(x[i]) & ~0x7fffu) : x[i];
            uint32_t mag = ldl_magnitude(got[i]);
            bits |= mag & 0x7fff ? 0 : mag;
            least = mag && mag < least ? mag : least;
            most = mag > most ? mag : most;
        }
        k->survey(&s, got, n);
        size_t have = k->short_bins(bin, others, got, n, least >> 16, 16);
        for (size_t i = 0; i < n; i++) {
            uint32_t mag = ldl_magnitude(got[i]);
            uint32_t b = LDL_ZERO_BINS + (mag >> 16) - (least >> 16);
            if (mag & 0x7fff)
                assert_int_equal(others[count++], i);
            assert_int_equal(bin[i], mag ? b : i % LDL_ZERO_BINS);
        }
        assert_int_equal(have, count);
        assert_int_equal(s.others, count);
        assert_int_equal(s.bits, bits);
        assert_int_equal(s.least, least);
        assert_int_equal(s.most, most);
    })
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
        cmocka_unit_test(bands),         cmocka_unit_test(ranked),
        cmocka_unit_test(longs_found),   cmocka_unit_test(thinned),
        cmocka_unit_test(ranks_by_bin),  cmocka_unit_test(bin_numbers),
        cmocka_unit_test(kept_by_table), cmocka_unit_test(last_draws),
        cmocka_unit_test(last_by_bin),   cmocka_unit_test(surveyed),
    };
    return cmocka_run_group_tests_name("kern_pick", tests, fill, NULL);
}
