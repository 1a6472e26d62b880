/* kern_level.c -- the kernel table of one SIMD level. Compiled once per level with its own -march
 * and -DLDL_LEVEL=v2 (v3, v4, base); kern.c chooses among the tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_small.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b)  PASTE2(a, b)
#define TEXT2(a)     #a
#define TEXT(a)      TEXT2(a)

extern const struct ldl_kern PASTE(ldl_kern_, LDL_LEVEL);
const struct ldl_kern PASTE(ldl_kern_, LDL_LEVEL) = {
    .level = TEXT(LDL_LEVEL),
    .decode = { [LDL_F64] = decode_f64,
                [LDL_F32] = decode_f32,
                [LDL_F16] = decode_f16,
                [LDL_BF16] = decode_bf16,
                [LDL_U16_BF16] = decode_bf16,
                [LDL_F8_E4M3] = decode_e4m3,
                [LDL_F8_E5M2] = decode_e5m2,
                [LDL_Q8_0] = decode_q8_0,
                [LDL_Q4_0] = decode_q4_0 },
    .encode = { [LDL_F64] = encode_f64,
                [LDL_F32] = encode_f32,
                [LDL_F16] = encode_f16,
                [LDL_BF16] = encode_bf16,
                [LDL_U16_BF16] = encode_bf16,
                [LDL_F8_E4M3] = encode_e4m3,
                [LDL_F8_E5M2] = encode_e5m2,
                [LDL_Q8_0] = encode_q8_0 },
    .count_odd = count_odd,
    .sub = sub,
    .add = add,
    .zero = zero,
    .axpy = axpy,
    .mix = mix,
    .times = times,
    .over = over,
    .mul = mul,
    .rank_update = rank_update,
    .transpose = transpose,
    .add_squares = add_squares,
    .vote_count = vote_count,
    .agree = agree,
    .divide = divide,
    .concur = concur,
    .divide_by = divide_by,
    .near_swap = near_swap,
    .touch = touch,
    .add_touched = add_touched,
    .count_touched = count_touched,
    .welford = welford,
    .variance = variance,
    .keep_where = keep_where,
    .divide_least = divide_least,
    .trim = trim,
    .band = band,
    .keep = keep,
    .keep_each = keep_each,
    .philox = philox,
    .mag_max = mag_max,
    .band_count = band_count,
    .band_find = band_find,
    .sum_squares = sum_squares,
    .sum_mags = sum_mags,
    .dot = dot,
    .census = census,
};
