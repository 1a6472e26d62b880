/* test_kern.c -- every SIMD level against a scalar reference written independently, by memcmp.
 *
 * Lengths 0..40, 1023 and 4096, pointers off their vector alignment, and inputs that hold NaN,
 * infinities, zeros of both signs and subnormals. The f16 and bf16 conversions are checked over all
 * 65536 codes, and encoding over every boundary between two codes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/kern_help.h"

/* The forms of mergekit, on the arrays of elementwise(). */
static void mergekits(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    k->near_swap(got, 0.01f, x, y, n);
    for (size_t i = 0; i < n; i++) {
        float away = fabsf(y[i] - x[i]);
        volatile float once = 1.0f / (away < 1e-6f ? 1e-6f : away), v = 0.01f * once;
        v = v < 0 ? 0.0f : v > 1 ? 1.0f : v;
        volatile float take = v * x[i], leave = (1.0f - v) * y[i];
        want[i] = take + leave;
    }
    same(got, want, n, "near_swap", k->level);
}

static void rams(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    static float c[ROOM], c_want[ROOM];
    const float eps = 0.01f;
    uint64_t alone = 3, shared = 4, alone_want = 3, shared_want = 4;
    memset(c, 0, n * 4);
    memset(c_want, 0, n * 4);
    k->touch(c, eps, x, n);
    k->touch(c, eps, y, n);
    for (size_t i = 0; i < n; i++)
        c_want[i] = (float)((fabsf(x[i]) > eps) + (fabsf(y[i]) > eps));
    same(c, c_want, n, "touch", k->level);

    memcpy(got, y, n * 4);
    k->add_touched(got, c, eps, 1.3f, x, n);
    k->count_touched(c, eps, x, n, &alone, &shared);
    for (size_t i = 0; i < n; i++) {
        int in = fabsf(x[i]) > eps;
        volatile float once = 1.3f * x[i], part = x[i] / 2;
        want[i] = y[i] + (isnan(x[i]) ? NAN : !in ? 0.0f : c_want[i] == 1 ? once : part);
        alone_want += in && c_want[i] == 1;
        shared_want += in && c_want[i] == 2;
    }
    for (size_t i = 0; i < n; i++) /* 0*x of a negative x is -0, which is only seen in -0 + -0 */
        if (got[i] == 0 && want[i] == 0)
            got[i] = want[i] = 0;
    same(got, want, n, "add_touched", k->level);
    assert_int_equal(alone, alone_want);
    assert_int_equal(shared, shared_want);
}

static void sces(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    static float v[ROOM], v_want[ROOM], a[ROOM], b[ROOM], c[ROOM];
    float *const three[] = { a, b, c };
    memcpy(a, x, n * 4);
    memcpy(b, y, n * 4);
    for (size_t i = 0; i < n; i++)
        c[i] = y[n - 1 - i];
    for (size_t m = 1; m <= 3; m++) {
        k->variance(v, three, m, n);
        for (size_t i = 0; i < n; i++) {
            volatile double mean = 0, square = 0;
            for (size_t j = 0; j < m; j++)
                mean += (double)three[j][i];
            mean /= (double)m;
            for (size_t j = 0; j < m; j++) {
                volatile double away = (double)three[j][i] - mean, more = away * away;
                square += more;
            }
            if (m == 2) {
                volatile double away = (double)a[i] - (double)b[i];
                square = away * away / 2;
            }
            v_want[i] = (float)(square / (double)m);
        }
        same(v, v_want, n, "variance", k->level);
    }

    memcpy(got, x, n * 4);
    k->keep_high(got, y, 0x3f000000u, n);
    for (size_t i = 0; i < n; i++)
        want[i] = fabsf(y[i]) < 0.5f ? 0.0f : x[i];
    same(got, want, n, "keep_high", k->level);

    static uint32_t index[ROOM];
    uint32_t at = n ? ldl_magnitude(y[n / 2]) : 0, sure = at < 0x3f000000u ? 0x3f000000u : at + 1;
    double high, on;
    k->squares_high(&high, &on, x, y, sure, at, n);
    for (size_t i = 0; i < n; i++) {
        a[i] = ldl_magnitude(y[i]) >= sure ? x[i] : 0.0f;
        b[i] = ldl_magnitude(y[i]) == at ? x[i] : 0.0f;
    }
    assert_true(high == k->sum_squares(a, n) || isnan(high));
    assert_int_equal(isnan(high), isnan(k->sum_squares(a, n)));
    assert_true(on == k->sum_squares(b, n) || isnan(on));
    assert_int_equal(isnan(on), isnan(k->sum_squares(b, n)));
    size_t count = k->between(index, y, 0x3e000000u, at, LDL_MAG_INF, n), seen = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t mag = ldl_magnitude(y[i]);
        if (mag > 0x3e000000u && mag < LDL_MAG_INF && mag != at)
            assert_int_equal(index[seen++], i);
    }
    assert_int_equal(count, seen);
    k->gather(got, index, x, count);
    for (size_t i = 0; i < count; i++)
        want[i] = x[index[i]];
    same(got, want, count, "gather", k->level);
}

static void columns(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    static uint32_t most[ROOM];
    static uint64_t sum[ROOM];
    static double p[ROOM], q[ROOM];
    memset(most, 0, n * sizeof *most);
    k->raise_mags(most, x, n);
    k->raise_mags(most, y, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t a = to_bits(fabsf(x[i])), b = to_bits(fabsf(y[i]));
        assert_int_equal(most[i], a > b ? a : b);
        p[i] = isfinite(x[i]) ? ldexp(1, 22 - ilogb(x[i] == 0 ? 1 : x[i])) : 0;
        q[i] = isfinite(y[i]) ? ldexp(1, (int)(i % 24) - ilogb(y[i] == 0 ? 1 : y[i])) : 0;
        sum[i] = 5;
    }
    k->add_products(sum, x, p, y, q, n);
    k->add_products(sum, x, p, x, p, n);
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]) && isfinite(y[i])) {
            long long xy = llrint(x[i] * p[i] * (y[i] * q[i]));
            long long xx = llrint(x[i] * p[i] * (x[i] * p[i]));
            assert_int_equal(sum[i], (uint64_t)(5 + xy + xx));
        }
}

static void close_to(double a, double b, double size, const char *what, const char *level)
{
    if (!(fabs(a - b) <= size) && !(isnan(a) && isnan(b)))
        fail_msg("%s %s: %a, expected %a", what, level, a, b);
}

/* exp and log against libm's; that levels agree to the bit is in exponentials(). */
static void fusions(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    float most = -INFINITY;
    double sum = 0, kl = 0;
    for (size_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    assert_true(k->largest(x, n) == most);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)most);
    close_to(k->sum_exp(x, most, n), sum, 1e-12 * sum, "sum_exp", k->level);

    struct ldl_softmax p = { most, 0.5 }, q = { 3, 1e-3 };
    for (size_t i = 0; i < n; i++) {
        float v = y[i] > 3 ? 3 : y[i];
        double a = exp(fmax((double)x[i] - (double)most, -700)) * 0.5 + 1e-8;
        double b = exp(fmax((double)v - 3, -700)) * 1e-3 + 1e-8;
        got[i] = v;
        kl += isnan(x[i]) || isnan(v) || isinf(most) ? NAN : a * log(a / b);
    }
    close_to(k->divergence(x, &p, got, &q, n), kl, 1e-10, "divergence", k->level);

    k->away_times(got, 0.3f, x, y, n);
    for (size_t i = 0; i < n; i++) {
        volatile float away = x[i] - y[i];
        want[i] = fabsf(away) * 0.3f;
    }
    same(got, want, n, "away_times", k->level);
    memcpy(got, x, n * 4);
    k->take_above(got, y, want, 0.1f, n);
    for (size_t i = 0; i < n; i++)
        want[i] = want[i] >= 0.1f ? x[i] : y[i];
    same(got, want, n, "take_above", k->level);
}

/* Numbers of all sizes, without NaN and infinities. */
static void exponentials(void **state)
{
    static float a[N], b[N];
    double first[2], now[2];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        a[i] = -ldexpf((float)(next() % 1000000), (int)(next() % 30) - 29);
        b[i] = -ldexpf((float)(next() % 1000000), (int)(next() % 30) - 29);
    }
    for (const struct ldl_kern *const *kk = ldl_kern_all(); *kk; kk++) {
        struct ldl_softmax p = { 0, 1 };
        now[0] = (*kk)->sum_exp(a, 0, N);
        now[1] = (*kk)->divergence(a, &p, b, &p, N);
        if (kk == ldl_kern_all())
            memcpy(first, now, sizeof now);
        assert_memory_equal(first, now, sizeof now);
        for (size_t i = 0; i < N; i++) {
            double x = exp(fmax(a[i], -700)), y = exp(fmax(b[i], -700));
            close_to((*kk)->sum_exp(a + i, 0, 1), x, 0x1p-50 * x, "exp", (*kk)->level);
            double kl = (x + 1e-8) * log((x + 1e-8) / (y + 1e-8));
            close_to((*kk)->divergence(a + i, &p, b + i, &p, 1), kl, 1e-14, "KL", (*kk)->level);
        }
        assert_true((*kk)->divergence(a, &p, a, &p, N) == 0);
    }
}

static void elementwise(void **state)
{
    (void)state;
    EACH({
        memcpy(got, x, n * 4);
        k->sub(got, y, n);
        for (size_t i = 0; i < n; i++)
            want[i] = x[i] - y[i];
        same(got, want, n, "sub", k->level);

        memcpy(got, x, n * 4);
        k->add(got, y, n);
        for (size_t i = 0; i < n; i++)
            want[i] = x[i] + y[i];
        same(got, want, n, "add", k->level);

        memcpy(got, x, n * 4);
        k->axpy(got, 0.3f, y, n);
        for (size_t i = 0; i < n; i++) {
            volatile float product = 0.3f * y[i]; /* rounded before the addition */
            want[i] = x[i] + product;
        }
        same(got, want, n, "axpy", k->level);

        k->mix(got, 0.7f, x, -1.3f, y, n);
        for (size_t i = 0; i < n; i++) {
            volatile float a = 0.7f * x[i];
            volatile float b = -1.3f * y[i];
            want[i] = a + b;
        }
        same(got, want, n, "mix", k->level);
    })
}

static void scaling(void **state)
{
    (void)state;
    EACH({
        memcpy(got, x, n * 4);
        k->mul(got, y, n);
        for (size_t i = 0; i < n; i++)
            want[i] = x[i] * y[i];
        same(got, want, n, "mul", k->level);

        size_t rows = n / 3;
        k->transpose(got, rows + 1, x, rows, 3);
        for (size_t i = 0; i < rows * 3; i++)
            assert_memory_equal(&got[i % 3 * (rows + 1) + i / 3], &x[i], sizeof *x);

        for (size_t i = 0; i < n; i++)
            dgot[i] = dwant[i] = (double)i / 3;
        k->add_squares(dgot, x, n);
        for (size_t i = 0; i < n; i++)
            dwant[i] += (double)x[i] * (double)x[i];
        for (size_t i = 0; i < n; i++)
            assert_true(dgot[i] == dwant[i] || (isnan(dgot[i]) && isnan(dwant[i])));
    })
}

static void rank_update(void **state)
{
    static const size_t ranks[] = { 1, 2, 5, 16 };
    (void)state;
    EACH({
        for (size_t t = 0; t < 4; t++) {
            size_t rank = ranks[t], stride = n + 3;
            if (stride * rank > N) /* the rows of R are in ys */
                continue;
            const float *l = x + N - 40; /* NaN and infinities among them */
            memcpy(got, x, n * 4);
            k->rank_update(got, 0.7f, l, y, stride, rank, n);
            for (size_t j = 0; j < n; j++) {
                volatile float acc = 0;
                for (size_t i = 0; i < rank; i++) {
                    volatile float product = l[i] * y[i * stride + j];
                    acc = acc + product;
                }
                volatile float step = 0.7f * acc;
                want[j] = x[j] + step;
            }
            same(got, want, n, "rank_update", k->level);
        }
    })
}

/* One element of elect(), step by step. */
static float elected(const struct ldl_elect *how, float *const *x, size_t at)
{
    volatile float vote = 0, sum = 0, weight = 0;
    double share = 0;
    for (size_t i = 0; i < how->m; i++) {
        volatile float v = how->w[i] * x[i][at];
        float sign = v > 0 ? 1.0f : v < 0 ? -1.0f : 0.0f;
        vote += how->vote == LDL_VOTE_COUNT ? sign : how->vote == LDL_VOTE_PLAIN ? x[i][at] : v;
    }
    for (size_t i = 0; i < how->m; i++) {
        volatile float v = how->w[i] * x[i][at];
        int agrees = vote >= 0 ? v > 0 : v < 0;
        volatile float masked = (agrees ? 1.0f : 0.0f) * v;
        sum += masked;
        weight += agrees ? how->w[i] : 0.0f;
        share += agrees && how->w64 ? how->w64[i] : 0.0;
    }
    switch (how->share) {
    case LDL_SHARE_F32: return sum / (weight == 0 ? 1.0f : weight);
    case LDL_SHARE_LEAST: return sum / (weight < 1e-6f ? 1e-6f : weight);
    case LDL_SHARE_F64: return (float)((double)sum / (fabs(share) < 1e-8 ? 1.0 : share));
    default: return sum;
    }
}

static void elections(const struct ldl_kern *k, const float *x, const float *y, size_t n)
{
    static float a[ROOM], b[ROOM], c[ROOM];
    static const float weights[][3] = {
        { 0.5f, 0.5f, 0.5f }, { 0.3f, -0.7f, 1.1f }, { 1e-9f, -1e-9f, 2 }, { -2, 2, 1 }
    };
    float *const three[] = { a, b, c };
    for (size_t i = 0; i < n; i++) {
        a[i] = x[i];
        b[i] = i % 3 ? y[i] : -x[i];
        c[i] = i % 5 ? x[n - 1 - i] : 0.0f;
    }
    for (size_t w = 0; w < 4; w++)
        for (int mode = 0; mode < 30; mode++) {
            static const enum ldl_vote votes[] = { LDL_VOTE_SUM,   LDL_VOTE_PLAIN, LDL_VOTE_SUM,
                                                   LDL_VOTE_PLAIN, LDL_VOTE_SUM,   LDL_VOTE_PLAIN,
                                                   LDL_VOTE_SUM,   LDL_VOTE_COUNT, LDL_VOTE_SUM,
                                                   LDL_VOTE_COUNT };
            static const enum ldl_share shares[] = { LDL_SHARE_NONE, LDL_SHARE_F32, LDL_SHARE_LEAST,
                                                     LDL_SHARE_NONE, LDL_SHARE_F64 };
            const double exact[] = { weights[w][0], w % 3 ? weights[w][1] + 1e-10 : weights[w][1],
                                     weights[w][2] };
            int of = mode % 10;
            const struct ldl_elect how = { 1 + (size_t)mode / 10, weights[w], of < 6 ? NULL : exact,
                                           votes[of], shares[of / 2] };
            k->elect(got, three, &how, n);
            for (size_t i = 0; i < n; i++)
                want[i] = elected(&how, three, i);
            same(got, want, n, "elect", k->level);
        }
}

static void voting(void **state)
{
    (void)state;
    EACH({
        elections(k, x, y, n);
        mergekits(k, x, y, n);
        rams(k, x, y, n);
        sces(k, x, y, n);
        columns(k, x, y, n);
        fusions(k, x, y, n);
    })
}

static void sparsifiers(void **state)
{
    static uint32_t draw[ROOM];
    (void)state;
    for (int i = 0; i < ROOM; i++)
        draw[i] = i % 9 == 0 ? 0x80000000u : i % 9 == 1 ? 0x7fffffffu : next();
    EACH({
        uint32_t threshold = to_bits(fabsf(x[0]));
        memcpy(got, x, n * 4);
        k->trim(got, threshold, 1.5f, n);
        for (size_t i = 0; i < n; i++)
            want[i] = (to_bits(x[i]) & 0x7fffffffu) < threshold ? 0.0f : x[i] * 1.5f;
        same(got, want, n, "trim", k->level);

        static const uint64_t keeps[] = { 0, 1, 0x80000000u, 0xffffffffu, (uint64_t)1 << 32 };
        for (size_t t = 0; t < 5; t++) {
            memcpy(got, x, n * 4);
            k->keep(got, draw + off, keeps[t], 0.7f, n);
            for (size_t i = 0; i < n; i++)
                want[i] = draw[off + i] < keeps[t] ? x[i] / 0.7f : 0.0f;
            same(got, want, n, "keep", k->level);
        }

        for (size_t i = 0; i < n; i++)
            dgot[i] = 0.25 + (double)(i % 97) / 200;
        for (int rescale = 0; rescale < 2; rescale++) {
            memcpy(got, x, n * 4);
            k->keep_each(got, draw + off, dgot, rescale, n);
            for (size_t i = 0; i < n; i++) {
                float v = rescale ? (float)((double)x[i] / dgot[i]) : x[i];
                want[i] = (double)draw[off + i] < dgot[i] * 4294967296.0 ? v : 0.0f;
            }
            same(got, want, n, "keep_each", k->level);
        }
    })
}

static void reductions(void **state)
{
    (void)state;
    EACH({
        double mags[16] = { 0 };
        for (size_t i = 0; i < n; i++)
            mags[i % 16] += (double)fabsf(x[i]);
        for (int width = 8; width; width /= 2)
            for (int l = 0; l < width; l++)
                mags[l] += mags[l + width];
        double sm = k->sum_mags(x, n);
        assert_true(memcmp(&sm, mags, sizeof sm) == 0 || (isnan(sm) && isnan(mags[0])));

        uint64_t nans = 5, infs = 7, wn = 5, wi = 7;
        k->count_odd(x, n, &nans, &infs);
        for (size_t i = 0; i < n; i++) {
            wn += isnan(x[i]) != 0;
            wi += isinf(x[i]) != 0;
        }
        assert_int_equal(nans, wn);
        assert_int_equal(infs, wi);
    })
}

/* The value of an f16 code, by the definition of the format. */
static float f16_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    float v = e == 31 ? (m ? NAN : INFINITY)
              : e     ? ldexpf((float)(m + 1024), e - 25)
                      : ldexpf((float)m, -24);
    return h & 0x8000 ? -v : v;
}

static void decode_all_codes(void **state)
{
    static uint16_t code[65536];
    static float f[65536];
    (void)state;
    for (int i = 0; i < 65536; i++)
        code[i] = (uint16_t)i;
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++) {
        (*k)->decode[LDL_F16](f, code, 65536);
        for (int i = 0; i < 65536; i++) {
            float v = f16_value((uint16_t)i);
            assert_true(isnan(v) ? isnan(f[i]) : to_bits(v) == to_bits(f[i]));
        }
        (*k)->decode[LDL_BF16](f, code, 65536);
        for (int i = 0; i < 65536; i++)
            assert_int_equal(to_bits(f[i]), (uint32_t)i << 16);
    }
}

/* Between two neighbouring codes the middle goes to the even one, and what is next to the middle to
 * the nearer one. */
static void encode_16(enum ldl_dtype type, uint16_t last_finite)
{
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (uint32_t h = 0; h < last_finite; h++) {
            uint16_t pair[2] = { (uint16_t)h, (uint16_t)(h + 1) }, out[6];
            float v[2], in[6];
            (*k)->decode[type](v, pair, 2);
            float middle = (float)(((double)v[0] + (double)v[1]) / 2);
            in[0] = v[0];
            in[1] = nextafterf(middle, 0);
            in[2] = middle;
            in[3] = nextafterf(middle, INFINITY);
            in[4] = v[1];
            in[5] = -middle;
            (*k)->encode[type](out, in, 6);
            uint16_t even = pair[h & 1];
            uint16_t expected[6] = { pair[0], pair[0], even,
                                     pair[1], pair[1], (uint16_t)(even | 0x8000) };
            assert_memory_equal(out, expected, sizeof out);
        }
}

static void encode_boundaries(void **state)
{
    (void)state;
    encode_16(LDL_F16, 0x7bff);
    encode_16(LDL_BF16, 0x7f7e); /* the last middle is no f32 number */
}

static void encode_odd(void **state)
{
    const float in[] = { from_bits(0x7f800001u),
                         from_bits(0xffffffffu),
                         INFINITY,
                         -INFINITY,
                         65519.996f,
                         65520.0f,
                         -65520.0f,
                         3.4e38f,
                         -0.0f };
    static const uint16_t f16[] = { 0x7e00, 0x7e00, 0x7c00, 0xfc00, 0x7bff,
                                    0x7c00, 0xfc00, 0x7c00, 0x8000 };
    uint16_t out[9];
    uint32_t wide[9];
    double dbl[9];
    (void)state;
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++) {
        (*k)->encode[LDL_F16](out, in, 9);
        assert_memory_equal(out, f16, sizeof out);
        (*k)->encode[LDL_BF16](out, in, 9);
        assert_int_equal(out[0], 0x7fc0);
        assert_int_equal(out[1], 0x7fc0);
        assert_int_equal(out[2], 0x7f80);
        assert_int_equal(out[8], 0x8000);
        (*k)->encode[LDL_F32](wide, in, 9);
        assert_int_equal(wide[0], 0x7fc00000);
        assert_int_equal(wide[1], 0x7fc00000);
        assert_int_equal(wide[8], 0x80000000u);
        (*k)->encode[LDL_F64](dbl, in, 9);
        uint64_t nan;
        memcpy(&nan, &dbl[1], 8);
        assert_true(nan == 0x7ff8000000000000u);
        assert_true(dbl[4] == (double)in[4] && dbl[2] == INFINITY);
        float back[2];
        double halfway[2] = { 1.0 + 0x1p-24, 1.0 + 3 * 0x1p-24 };
        (*k)->decode[LDL_F64](back, halfway, 2);
        assert_true(back[0] == 1.0f && back[1] == 1.0f + 0x1p-22f);
    }
}

/* The all-zero vector of the Random123 distribution; and its pi vector with the second counter word
 * cut to 0x05a308d3, since an element's number has 64 bits (computed by a program that gives all
 * three published vectors). */
static void philox_vectors(void **state)
{
    static const uint32_t zero_key[2] = { 0, 0 }, pi_key[2] = { 0xa4093822u, 0x299f31d0u };
    static const uint32_t zeros[4] = { 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u };
    static const uint32_t pi[4] = { 0x2fe11a02u, 0x572a2f27u, 0x2f88763bu, 0x78d5e325u };
    static const uint64_t pi_block = 0x05a308d3243f6a88u;
    uint32_t out[512];
    (void)state;
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++)
        for (size_t w = 0; w < 4; w++) {
            (*k)->philox(out, 0, 512, zero_key, 0, 0);
            assert_int_equal(out[64 * w], zeros[w]);
            assert_int_equal(out[64 * w + 256], zeros[w] << 16 | zeros[w] >> 16);
            (*k)->philox(out, pi_block / 64 * 512, 512, pi_key, 0x13198a2eu, 0x03707344u);
            assert_int_equal(out[64 * w + pi_block % 64], pi[w]);
            assert_int_equal(out[64 * w + pi_block % 64 + 256], pi[w] << 16 | pi[w] >> 16);
        }
}

static void philox_any_start(void **state)
{
    static const uint32_t key[2] = { 7, 9 };
    static uint32_t whole[2000], part[200], first[2000];
    (void)state;
    ldl_kern_all()[0]->philox(first, 0, 2000, key, 3, 0);
    for (const struct ldl_kern *const *k = ldl_kern_all(); *k; k++) {
        (*k)->philox(whole, 0, 2000, key, 3, 0);
        assert_memory_equal(whole, first, sizeof whole);
        for (size_t from = 0; from < 1800; from += from < 70 ? 1 : 61) {
            (*k)->philox(part, from, 200, key, 3, 0);
            assert_memory_equal(part, whole + from, 200 * sizeof *part);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),      cmocka_unit_test(scaling),
        cmocka_unit_test(rank_update),      cmocka_unit_test(voting),
        cmocka_unit_test(sparsifiers),      cmocka_unit_test(reductions),
        cmocka_unit_test(decode_all_codes), cmocka_unit_test(encode_boundaries),
        cmocka_unit_test(encode_odd),       cmocka_unit_test(philox_vectors),
        cmocka_unit_test(philox_any_start), cmocka_unit_test(exponentials),
    };
    return cmocka_run_group_tests_name("kern", tests, fill, NULL);
}
