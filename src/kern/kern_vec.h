/* kern_vec.h -- vector types of each SIMD level, for the loops that no compiler makes good vectors of by itself; a part
 * of the kernels' body. Operators on them are GCC's and clang's, and each lane is computed as one number
 * would be: the same bits for every width. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern.h"

#include <string.h>

#if defined __AVX512F__
#include <immintrin.h>
enum { LDL_VEC = 64 };
#elif defined __AVX2__
#include <immintrin.h>
enum { LDL_VEC = 32 };
#elif defined __SSE4_1__
#include <smmintrin.h>
enum { LDL_VEC = 16 };
#else
enum { LDL_VEC = 16 };
#endif

/* Whole vectors; and half ones, with as many lanes as a whole one of 64 bits. */
typedef float ldl_f32s __attribute__((vector_size(LDL_VEC)));
typedef int32_t ldl_i32s __attribute__((vector_size(LDL_VEC)));
typedef uint32_t ldl_u32s __attribute__((vector_size(LDL_VEC)));
typedef double ldl_f64s __attribute__((vector_size(LDL_VEC)));
typedef int64_t ldl_i64s __attribute__((vector_size(LDL_VEC)));
typedef uint64_t ldl_u64s __attribute__((vector_size(LDL_VEC)));
typedef float ldl_f32h __attribute__((vector_size(LDL_VEC / 2)));
typedef int32_t ldl_i32h __attribute__((vector_size(LDL_VEC / 2)));
typedef uint32_t ldl_u32h __attribute__((vector_size(LDL_VEC / 2)));

enum { LDL_F32S = LDL_VEC / 4, LDL_F64S = LDL_VEC / 8 };

/* The first n floats from x; the other lanes are 0. */
static inline ldl_f32s load_f32s(const float *x, size_t n)
{
    ldl_f32s v = { 0 };
    memcpy(&v, x, n * sizeof *x);
    return v;
}

static inline ldl_f32h load_f32h(const float *x, size_t n)
{
    ldl_f32h v = { 0 };
    memcpy(&v, x, n * sizeof *x);
    return v;
}

/* Each lane as f64, and rounded back: __builtin_convertvector(), which GCC 12 makes in halves or through the
 * stack. */
static inline ldl_f64s widen(ldl_f32h v)
{
#if defined __AVX512F__
    return (ldl_f64s)_mm512_cvtps_pd((__m256)v);
#elif defined __AVX2__
    return (ldl_f64s)_mm256_cvtps_pd((__m128)v);
#elif defined __SSE4_1__
    double both;
    memcpy(&both, &v, sizeof both);
    return (ldl_f64s)_mm_cvtps_pd(_mm_castpd_ps(_mm_set_sd(both)));
#else
    return __builtin_convertvector(v, ldl_f64s);
#endif
}

static inline ldl_f32h narrow(ldl_f64s v)
{
#if defined __AVX512F__
    return (ldl_f32h)_mm512_cvtpd_ps((__m512d)v);
#elif defined __AVX2__
    return (ldl_f32h)_mm256_cvtpd_ps((__m256d)v);
#elif defined __SSE4_1__
    double both = _mm_cvtsd_f64(_mm_castps_pd(_mm_cvtpd_ps((__m128d)v)));
    ldl_f32h half;
    memcpy(&half, &both, sizeof half);
    return half;
#else
    return __builtin_convertvector(v, ldl_f32h);
#endif
}

/* All ones in 32 bits become all ones in 64. */
static inline ldl_i64s widen_mask(ldl_i32h mask)
{
#if defined __AVX512F__
    return (ldl_i64s)_mm512_cvtepi32_epi64((__m256i)mask);
#elif defined __AVX2__
    return (ldl_i64s)_mm256_cvtepi32_epi64((__m128i)mask);
#elif defined __SSE4_1__
    double both;
    memcpy(&both, &mask, sizeof both);
    __m128i m = _mm_castpd_si128(_mm_set_sd(both));
    return (ldl_i64s)_mm_unpacklo_epi32(m, m);
#else
    return __builtin_convertvector(mask, ldl_i64s);
#endif
}

static inline ldl_f64s load_f64s(const float *x, size_t n)
{
    return widen(load_f32h(x, n));
}

/* s + a*b, whose bits are the same when it is fused: the product of two f32 is exact in f64, so the sum's rounding
 * is the only one. */
#if defined __AVX512F__
#define LDL_ADD_PRODUCT(s, a, b)                                                                   \
    ((ldl_f64s)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(s)))
#elif defined __AVX2__ && defined __FMA__
#define LDL_ADD_PRODUCT(s, a, b)                                                                   \
    ((ldl_f64s)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(s)))
#else
#define LDL_ADD_PRODUCT(s, a, b) ((s) + (a) * (b))
#endif

#if defined __AVX512F__
/* Moves the chosen lanes to `to`, which has room for all; their number. Whether there are any is not asked: that is
 * a guess which fails too often. */
static inline size_t put_lanes(uint32_t *to, uint32_t chosen, __m512i v)
{
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)chosen, v));
    return (size_t)__builtin_popcount(chosen);
}
#endif

/* What is true of some lanes of a whole vector. With AVX-512 each half has a mask of its own: clang 14 moves the upper
 * part of a whole one through memory. */
#if defined __AVX512F__
typedef struct {
    __mmask8 half[2];
} ldl_where;
#define LDL_LOW(v)  _mm512_castsi512_si256((__m512i)(v))
#define LDL_HIGH(v) _mm512_extracti64x4_epi64((__m512i)(v), 1)
#else
typedef ldl_i32s ldl_where;
#endif

static inline ldl_where at_most(ldl_u32s a, ldl_u32s b)
{
#if defined __AVX512F__
    return (ldl_where){ { _mm256_cmple_epu32_mask(LDL_LOW(a), LDL_LOW(b)),
                          _mm256_cmple_epu32_mask(LDL_HIGH(a), LDL_HIGH(b)) } };
#else
    return (ldl_where)(a <= b);
#endif
}

static inline ldl_where equal(ldl_u32s a, ldl_u32s b)
{
#if defined __AVX512F__
    return (ldl_where){ { _mm256_cmpeq_epi32_mask(LDL_LOW(a), LDL_LOW(b)),
                          _mm256_cmpeq_epi32_mask(LDL_HIGH(a), LDL_HIGH(b)) } };
#else
    return (ldl_where)(a == b);
#endif
}

static inline ldl_u32s smaller(ldl_u32s a, ldl_u32s b)
{
#if defined __AVX512F__
    return (ldl_u32s)_mm512_min_epu32((__m512i)a, (__m512i)b);
#elif defined __AVX2__
    return (ldl_u32s)_mm256_min_epu32((__m256i)a, (__m256i)b);
#elif defined __SSE4_1__
    return (ldl_u32s)_mm_min_epu32((__m128i)a, (__m128i)b);
#else
    ldl_u32s first = (ldl_u32s)(a < b);
    return (a & first) | (b & ~first);
#endif
}

/* Bit i for lane i. */
static inline uint32_t bits_where(ldl_where on)
{
#if defined __AVX512F__
    return on.half[0] | (uint32_t)on.half[1] << 8;
#elif defined __AVX2__
    return (uint32_t)_mm256_movemask_ps((__m256)on);
#elif defined __SSE4_1__
    return (uint32_t)_mm_movemask_ps((__m128)on);
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < LDL_F32S; i++)
        bits |= (uint32_t)(on[i] & 1) << i;
    return bits;
#endif
}

/* s[] += v[] in those lanes, of which half are in s[0] and v[0]. */
static inline void add_where(ldl_f64s s[2], ldl_where on, const ldl_f64s v[2])
{
#if defined __AVX512F__
    for (int i = 0; i < 2; i++)
        s[i] =
            (ldl_f64s)_mm512_mask_add_pd((__m512d)s[i], on.half[i], (__m512d)s[i], (__m512d)v[i]);
#else
    ldl_i32h half[2];
    memcpy(half, &on, sizeof half);
    for (int i = 0; i < 2; i++)
        s[i] += (ldl_f64s)(widen_mask(half[i]) & (ldl_i64s)v[i]);
#endif
}
