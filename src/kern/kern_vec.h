/* kern_vec.h -- vector types of each SIMD level, for the few loops that no compiler makes vectors of by itself;
 * the sixth part of the kernels' body. Operators on them are GCC's and clang's, and each lane is computed as
 * one number would be: the same bits for every width. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_count.h"

#if defined __AVX512F__
#include <immintrin.h>
enum { LDL_VEC = 64 };
#elif defined __AVX2__
#include <immintrin.h>
enum { LDL_VEC = 32 };
#elif defined __SSE2__
#include <emmintrin.h>
enum { LDL_VEC = 16 };
#else
enum { LDL_VEC = 16 };
#endif

/* Whole vectors; and half ones, with as many lanes as a whole one of 64 bits. */
typedef float ldl_f32s __attribute__((vector_size(LDL_VEC)));
typedef int32_t ldl_i32s __attribute__((vector_size(LDL_VEC)));
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

/* The same, as f64. */
static inline ldl_f64s load_f64s(const float *x, size_t n)
{
    return __builtin_convertvector(load_f32h(x, n), ldl_f64s);
}
