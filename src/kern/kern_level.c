/* kern_level.c -- the kernel table of one SIMD level. Compiled once per level with its own -march
 * and -DLDL_LEVEL=v2 (v3, v4, base); kern.c chooses among the tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_body.h"

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
                [LDL_U16_BF16] = decode_bf16 },
    .encode = { [LDL_F64] = encode_f64,
                [LDL_F32] = encode_f32,
                [LDL_F16] = encode_f16,
                [LDL_BF16] = encode_bf16,
                [LDL_U16_BF16] = encode_bf16 },
    .count_odd = count_odd,
    .sub = sub,
    .add = add,
    .zero = zero,
    .axpy = axpy,
    .mix = mix,
    .scale = scale,
    .mul = mul,
    .rank_update = rank_update,
    .transpose = transpose,
    .add_squares = add_squares,
    .vote_count = vote_count,
    .agree = agree,
    .divide = divide,
    .trim = trim,
    .keep = keep,
    .keep_each = keep_each,
    .philox = philox,
    .sum_squares = sum_squares,
    .dot = dot,
    .census = census,
};
