/* dtype.h -- the element types of tensors, by the names safetensors uses.
 *
 * Elements are stored in units: one element of some bytes, or (GGUF's Q types) a block of 32 that
 * share a scale. Offsets and counts of a type with larger units are whole units. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_DTYPE_H
#define LDL_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

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
    LDL_F8_E4M3, /* float8_e4m3fn: no infinity */
    LDL_F8_E5M2,
    LDL_Q8_0, /* GGUF only: f16 scale, 32 int8 */
    LDL_Q4_0, /* GGUF only, never written: f16 scale, 32 nibbles less 8 */
    LDL_DTYPES
};

/* The tag in a safetensors header ("BF16"); LDL_U16_BF16 gives "U16". */
const char *ldl_dtype_tag(enum ldl_dtype t);
/* What a person calls it ("bfloat16", "bfloat16 tagged U16"). */
const char *ldl_dtype_name(enum ldl_dtype t);
/* Elements and bytes of one unit: 1 and 2 for bf16, 32 and 34 for Q8_0. */
size_t ldl_dtype_unit(enum ldl_dtype t);
size_t ldl_dtype_unit_bytes(enum ldl_dtype t);
/* Bytes of n elements, n being whole units. The caller has checked that it does not overflow. */
static inline uint64_t ldl_dtype_span(enum ldl_dtype t, uint64_t n)
{
    return n / ldl_dtype_unit(t) * ldl_dtype_unit_bytes(t);
}
/* Can it be decoded to f32 and merged? (not integers and booleans) */
int ldl_dtype_is_float(enum ldl_dtype t);
/* From a safetensors tag; LDL_DTYPES when unknown, or when safetensors does not know the type.
 * "U16" gives LDL_U16. */
enum ldl_dtype ldl_dtype_from_tag(const char *tag);
/* From a user's word: float32, fp32, f32, bfloat16, bf16, float16, fp16, f16, half, float64,
 * fp64, f64, float8_e4m3fn, fp8, q8_0, any case, optional prefix "torch."; LDL_DTYPES when
 * unknown. */
enum ldl_dtype ldl_dtype_from_word(const char *word);

#endif
