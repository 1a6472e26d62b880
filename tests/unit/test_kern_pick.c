/* test_kern_pick.c -- the kernels of kern_pick.h, and kern/row.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"
#include "kern/row.h"

static void ranked(void **state)
{
    static uint32_t draw[ROOM], rank2[ROOM], on[ROOM], bits[ROOM / 32 + 1], some[ROOM / 32 + 1];
    static uint64_t key[ROOM], tmp[ROOM];
    (void)state;
    for (int i = 0; i < ROOM; i++)
        draw[i] = next();
    EACH({
        if (n > 1100)
            continue; /* counting is quadratic */
        ldl_row_ranks(rank2, key, tmp, x, n);
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
        ldl_bits_set(bits, off, on, n / 2); /* in two parts, which share a word */
        ldl_bits_set(bits, off + n / 2, on + n / 2, n - n / 2);
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
        cmocka_unit_test(bands),
        cmocka_unit_test(ranked),
    };
    return cmocka_run_group_tests_name("kern_pick", tests, fill, NULL);
}
