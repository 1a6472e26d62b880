/* kernels.c -- nanoseconds per element and GB/s of each kernel at each SIMD level that this processor
 * runs, on one block of 4096 elements that stays in the L1 and L2 caches: what a loop can do, without
 * the memory. The best of some repetitions counts, since noise only ever adds.
 *
 * usage: bench_kern [PART OF A NAME ...] */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 4096, REPEATS = 9, BINS = 4096, RANK = 16 };
#define LEAST_SECONDS 0.002

/* Everything that a kernel may want; x, y and z are plausible weights. */
static struct {
    float x[N], y[N], z[N], left[RANK], right[RANK * N];
    double d[N], p[N];
    uint32_t draw[N], last[N], bits[N / 32];
    uint16_t bin[N];
    uint64_t bins[BINS];
    float shorts[N], mixed[N]; /* bf16 differences are mostly short */
    struct ldl_keep keep[LDL_SHORTS];
    unsigned char raw[8 * N];
} m;
static volatile double sink;

#define CASE(name, call)                                                                           \
    static void run_##name(const struct ldl_kern *k)                                               \
    {                                                                                              \
        call;                                                                                      \
    }
static const uint32_t key[2] = { 1, 2 };
static uint64_t nans, infs;
static struct ldl_census census;
static struct ldl_bracket bracket = { 0x3b000000u, 0x3b010000u, 0x3b040000u, 0, 0, 0, 0 };

CASE(decode_bf16, k->decode[LDL_BF16](m.z, m.raw, N))
CASE(decode_f16, k->decode[LDL_F16](m.z, m.raw, N))
CASE(decode_f32, k->decode[LDL_F32](m.z, m.raw, N))
CASE(decode_f8_e4m3, k->decode[LDL_F8_E4M3](m.z, m.raw, N))
CASE(decode_f8_e5m2, k->decode[LDL_F8_E5M2](m.z, m.raw, N))
CASE(decode_q8_0, k->decode[LDL_Q8_0](m.z, m.raw, N))
CASE(decode_q4_0, k->decode[LDL_Q4_0](m.z, m.raw, N))
CASE(encode_bf16, k->encode[LDL_BF16](m.raw, m.x, N))
CASE(encode_f16, k->encode[LDL_F16](m.raw, m.x, N))
CASE(encode_f8_e4m3, k->encode[LDL_F8_E4M3](m.raw, m.x, N))
CASE(encode_f8_e5m2, k->encode[LDL_F8_E5M2](m.raw, m.x, N))
CASE(encode_q8_0, k->encode[LDL_Q8_0](m.raw, m.x, N))
CASE(count_odd, k->count_odd(m.x, N, &nans, &infs))
CASE(sub, k->sub(m.z, m.y, N))
CASE(axpy, k->axpy(m.z, 1e-9f, m.x, N))
CASE(mix, k->mix(m.z, 0.5f, m.x, 0.5f, m.y, N))
CASE(rank_update_16, k->rank_update(m.z, 1e-9f, m.left, m.right, N, RANK, N))
static float *const two[] = { m.x, m.y };
static const float *const eight[] = { m.x, m.y, m.z, m.x, m.y, m.z, m.x, m.y };
CASE(gram_2, k->gram(m.d, eight, 2, N))
CASE(gram_3, k->gram(m.d, eight, 3, N))
CASE(gram_4, k->gram(m.d, eight, 4, N))
CASE(gram_8, k->gram(m.d, eight, 8, N))
static const float w[] = { 0.4f, 0.6f };
static const double w64[] = { 0.4, 0.6 };
static const float half[] = { 0.5f, 0.5f };
static const struct ldl_elect pair = { 2, half, NULL, LDL_VOTE_SUM, LDL_SHARE_F32 };
CASE(elect_pair, k->elect(m.z, two, &pair, N))
static const struct ldl_elect f32 = { 2, w, NULL, LDL_VOTE_SUM, LDL_SHARE_F32 };
static const struct ldl_elect f64 = { 2, w, w64, LDL_VOTE_SUM, LDL_SHARE_F64 };
CASE(elect_f32, k->elect(m.z, two, &f32, N))
CASE(elect_f64, k->elect(m.z, two, &f64, N))
CASE(variance, k->variance(m.z, two, 2, N))
CASE(trim, k->trim(m.z, 0x30000000u, 1, N))
CASE(keep, k->keep(m.z, m.draw, 1ull << 32, 1, N))
CASE(keep_each, k->keep_each(m.z, m.draw, m.p, 1, N))
CASE(philox, k->philox(m.draw, 0, N, key, 3, 4))
CASE(mag_max, sink = k->mag_max(m.x, N))
CASE(sum_squares, sink = k->sum_squares(m.x, N))
CASE(census, k->census(&census, m.bins, m.x, N, 0x3a000000u, 0x3c000000u, 14))
CASE(bracket, sink = (double)k->bracket(&bracket, m.draw, m.x, N))
CASE(sum_mags, sink = k->sum_mags(m.x, N))
CASE(thin_sums, k->thin_sums(m.bits, m.x, m.draw, 1u << 31, m.d, m.d + 1, N))
static struct ldl_survey survey;
CASE(survey, k->survey(&survey, m.x, N))
CASE(longs, sink = (double)k->longs(m.last, m.mixed, N))
CASE(keep_short, k->keep_short(m.shorts, m.draw, m.keep, N))
CASE(short_bins, sink = (double)k->short_bins(m.bin, m.draw, m.x, N, 0, 20))
CASE(last_draws, k->last_draws(m.last, 0.5, 1e-10, N))
CASE(stay, sink = k->stay(m.bits, m.x, m.draw, m.last, N))
CASE(keep_bits, k->keep_bits(m.z, m.bits, 1, N))
CASE(keep_high, k->keep_high(m.z, m.x, 0x3b000000u, N))
CASE(squares_high, k->squares_high(m.d, m.d + 1, m.x, m.y, 0x3b040000u, 0x3b010000u, N))
CASE(between, sink = (double)k->between(m.draw, m.x, 0x3b000000u, 0x3b010000u, 0x3b040000u, N))
CASE(sums_above, k->sums_above(m.x, N, 0x3c000000u, m.d, m.d + 1))

static const struct row {
    const char *name;
    void (*run)(const struct ldl_kern *k);
    double bytes; /* read and written for each element */
} rows[] = {
    { "decode bf16", run_decode_bf16, 6 },
    { "decode f16", run_decode_f16, 6 },
    { "decode f32", run_decode_f32, 8 },
    { "decode f8_e4m3", run_decode_f8_e4m3, 5 },
    { "decode f8_e5m2", run_decode_f8_e5m2, 5 },
    { "decode q8_0", run_decode_q8_0, 5.0625 },
    { "decode q4_0", run_decode_q4_0, 4.5625 },
    { "encode bf16", run_encode_bf16, 6 },
    { "encode f16", run_encode_f16, 6 },
    { "encode f8_e4m3", run_encode_f8_e4m3, 5 },
    { "encode f8_e5m2", run_encode_f8_e5m2, 5 },
    { "encode q8_0", run_encode_q8_0, 5.0625 },
    { "count_odd", run_count_odd, 4 },
    { "sub", run_sub, 12 },
    { "axpy", run_axpy, 12 },
    { "mix", run_mix, 12 },
    { "rank_update 16", run_rank_update_16, 12 + 4 * RANK },
    { "elect f32", run_elect_f32, 12 },
    { "elect f64", run_elect_f64, 12 },
    { "elect pair", run_elect_pair, 12 },
    { "variance", run_variance, 12 },
    { "trim", run_trim, 8 },
    { "keep", run_keep, 12 },
    { "keep_each", run_keep_each, 20 },
    { "philox", run_philox, 4 },
    { "mag_max", run_mag_max, 4 },
    { "sum_squares", run_sum_squares, 4 },
    { "gram 2", run_gram_2, 8 },
    { "gram 3", run_gram_3, 12 },
    { "gram 4", run_gram_4, 16 },
    { "gram 8", run_gram_8, 32 },
    { "census", run_census, 4 },
    { "bracket", run_bracket, 4 },
    { "sum_mags", run_sum_mags, 4 },
    { "thin_sums", run_thin_sums, 8 },
    { "survey", run_survey, 4 },
    { "longs", run_longs, 4 },
    { "keep_short", run_keep_short, 12 },
    { "short_bins", run_short_bins, 6 },
    { "last_draws", run_last_draws, 8 },
    { "stay", run_stay, 12 },
    { "keep_bits", run_keep_bits, 4 },
    { "keep_high", run_keep_high, 12 },
    { "squares_high", run_squares_high, 8 },
    { "between", run_between, 4 },
    { "sums_above", run_sums_above, 4 },
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Weights whose magnitudes spread over some octaves, the same in every run. */
static void fill(const struct ldl_kern *k)
{
    k->philox(m.draw, 0, N, key, 0, 0);
    for (size_t i = 0; i < N; i++) {
        uint32_t u = m.draw[i];
        float v = (float)((int32_t)u) * 0x1p-31f;
        m.x[i] = v * v * v * 0.05f;
        m.y[i] = m.x[N - 1 - i];
        m.z[i] = 0;
        m.p[i] = 0.5;
        m.d[i] = 1;
    }
    for (uint32_t i = 0; i < LDL_SHORTS; i++) { /* all are kept, as they are */
        uint32_t mag = i << LDL_SHORT_SHIFT;
        m.keep[i].last = UINT32_MAX;
        memcpy(&m.keep[i].scaled, &mag, sizeof mag);
    }
    for (size_t i = 0; i < RANK; i++) {
        m.left[i] = 0.01f;
        memcpy(m.right + i * N, m.x, sizeof m.x);
    }
    k->encode[LDL_BF16](m.raw, m.x, N);
    k->decode[LDL_BF16](m.shorts, m.raw, N);
    for (size_t i = 0; i < N; i++)
        m.mixed[i] = i % 50 ? m.shorts[i] : m.x[i];
    k->encode[LDL_BF16](m.raw + 2 * N, m.x, N);
}

/* Nanoseconds per element: the best repetition. */
static double measure(const struct row *r, const struct ldl_kern *k)
{
    double best = 1e9;
    size_t calls = 1;
    for (int i = 0; i < REPEATS;) {
        double start = now();
        for (size_t c = 0; c < calls; c++)
            r->run(k);
        double took = now() - start;
        if (took < LEAST_SECONDS) {
            calls *= 2;
            continue;
        }
        double ns = took * 1e9 / (double)calls / N;
        best = ns < best ? ns : best;
        i++;
    }
    return best;
}

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i]))
            return 1;
    return argc < 2;
}

int main(int argc, char **argv)
{
    const struct ldl_kern *const *all = ldl_kern_all();
    if (!all[0]) {
        fprintf(stderr, "bench_kern: this processor runs no level of this build\n");
        return 3;
    }
    printf("%-16s", "ns/element, GB/s");
    for (size_t l = 0; all[l]; l++)
        printf("  %15s", all[l]->level);
    printf("\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!wanted(rows[i].name, argc, argv))
            continue;
        printf("%-16s", rows[i].name);
        for (size_t l = 0; all[l]; l++) {
            fill(all[l]);
            double ns = measure(&rows[i], all[l]);
            printf("  %7.3f %7.1f", ns, rows[i].bytes / ns);
            fflush(stdout);
        }
        printf("\n");
    }
    return 0;
}
