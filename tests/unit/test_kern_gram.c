/* test_kern_gram.c -- sums of products at every SIMD level, by bits, against 16 lanes that a scalar loop adds to: any
 * number of vectors, and lengths around the kernel's vectors and steps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"

enum { PAIRS = LDL_GRAM_MOST * (LDL_GRAM_MOST + 1) / 2 };

static double product_sum(const float *x, const float *y, size_t n)
{
    double lane[16] = { 0 };
    for (size_t i = 0; i < n; i++) {
        volatile double product = (double)x[i] * (double)y[i];
        lane[i % 16] += product;
    }
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

/* v[i], which are all different, of finite numbers; where `odd`, the last has NaN and infinities. Their pairs. */
static void vectors(const float *v[LDL_GRAM_MOST], double *pairs, size_t off, size_t n, int odd)
{
    static float finite[2][ROOM];
    for (size_t i = 0; i < ROOM; i++) {
        finite[0][i] = isfinite(xs[i]) ? xs[i] : -0.0f;
        finite[1][i] = isfinite(ys[i]) ? ys[i] : 0x1p-149f;
    }
    for (size_t i = 0; i < LDL_GRAM_MOST; i++)
        v[i] = finite[i % 3 == 1] + off + i % 28;
    if (odd)
        v[LDL_GRAM_MOST - 1] = xs + off;
    for (size_t j = 0; j < LDL_GRAM_MOST; j++)
        for (size_t i = 0; i <= j; i++)
            *pairs++ = product_sum(v[i], v[j], n);
}

static void same_sum(double made, double right, size_t at, size_t m, size_t n, const char *level)
{
    if (memcmp(&made, &right, sizeof made) != 0 && !(isnan(made) && isnan(right)))
        fail_msg("gram %s: pair %zu of %zu vectors of %zu: %a, expected %a", level, at, m, n, made,
                 right);
}

/* The pairs of m vectors are the first of those of more. */
static void any_count(size_t off, size_t n, int odd)
{
    const float *v[LDL_GRAM_MOST];
    static double right[PAIRS], made[PAIRS + 1];
    vectors(v, right, off, n, odd);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++) {
        for (size_t m = 0; m <= LDL_GRAM_MOST; m++) {
            size_t pairs = m * (m + 1) / 2;
            made[pairs] = 7;
            (*k)->gram(made, v, m, n);
            for (size_t at = 0; at < pairs; at++)
                same_sum(made[at], right[at], at, m, n, (*k)->level);
            assert_true(made[pairs] == 7);
        }
        for (size_t j = 0; j < LDL_GRAM_MOST; j++)
            same_sum((*k)->sum_squares(v[j], n), right[j * (j + 3) / 2], j, 1, n, (*k)->level);
    }
}

static void grams(void **state)
{
    static const size_t more[] = { 511, 512, 513, 1040, 1551 };
    (void)state;
    for (int odd = 0; odd < 2; odd++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            any_count(i % 4, lengths[i], odd);
        for (size_t i = 0; i < sizeof more / sizeof *more; i++)
            any_count(i % 4, more[i], odd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(grams) };
    return cmocka_run_group_tests_name("kern_gram", tests, fill, NULL);
}
