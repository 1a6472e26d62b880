/* dtype.h -- the element types of tensors, by the names safetensors uses. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_DTYPE_H
#define LDL_BASE_DTYPE_H

#include <stddef.h>

enum ldl_dtype {
    LDL_F64,
    LDL_F32,
    LDL_F16,
    LDL_BF16,
    LDL_U16_BF16, /* bf16 bits under the tag U16: how Paddle stores bf16 */
    LDL_I64,
    LDL_I32,
    LDL_I16,
    LDL_I8,
    LDL_U64,
    LDL_U32,
    LDL_U16,
    LDL_U8,
    LDL_BOOL,
    LDL_F8_E4M3,
    LDL_F8_E5M2, /* listed and copied; arithmetic on them is not in this build */
    LDL_DTYPES
};

/* The tag in a safetensors header ("BF16"); LDL_U16_BF16 gives "U16". */
const char *ldl_dtype_tag(enum ldl_dtype t);
/* What a person calls it ("bfloat16", "bfloat16 tagged U16"). */
const char *ldl_dtype_name(enum ldl_dtype t);
size_t ldl_dtype_bytes(enum ldl_dtype t);
/* Can it be decoded to f32 and merged? (F64, F32, F16, BF16 under both tags) */
int ldl_dtype_is_float(enum ldl_dtype t);
/* From a safetensors tag; LDL_DTYPES when unknown. "U16" gives LDL_U16. */
enum ldl_dtype ldl_dtype_from_tag(const char *tag);
/* From a user's word: float32, fp32, f32, bfloat16, bf16, float16, fp16, f16, half, float64,
 * fp64, f64, any case, optional prefix "torch."; LDL_DTYPES when unknown. */
enum ldl_dtype ldl_dtype_from_word(const char *word);

#endif
