/* dtype.c -- see dtype.h. One row per type; everything else looks here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *tag, *name;
    unsigned char unit_bytes, unit, is_float, gguf_only;
} rows[LDL_DTYPES] = {
    [LDL_F64] = { "F64", "float64", 8, 1, 1, 0 },
    [LDL_F32] = { "F32", "float32", 4, 1, 1, 0 },
    [LDL_F16] = { "F16", "float16", 2, 1, 1, 0 },
    [LDL_BF16] = { "BF16", "bfloat16", 2, 1, 1, 0 },
    [LDL_U16_BF16] = { "U16", "bfloat16 tagged U16", 2, 1, 1, 0 },
    [LDL_I64] = { "I64", "int64", 8, 1, 0, 0 },
    [LDL_I32] = { "I32", "int32", 4, 1, 0, 0 },
    [LDL_I16] = { "I16", "int16", 2, 1, 0, 0 },
    [LDL_I8] = { "I8", "int8", 1, 1, 0, 0 },
    [LDL_U64] = { "U64", "uint64", 8, 1, 0, 0 },
    [LDL_U32] = { "U32", "uint32", 4, 1, 0, 0 },
    [LDL_U16] = { "U16", "uint16", 2, 1, 0, 0 },
    [LDL_U8] = { "U8", "uint8", 1, 1, 0, 0 },
    [LDL_BOOL] = { "BOOL", "bool", 1, 1, 0, 0 },
    [LDL_F8_E4M3] = { "F8_E4M3", "float8_e4m3fn", 1, 1, 1, 0 },
    [LDL_F8_E5M2] = { "F8_E5M2", "float8_e5m2", 1, 1, 1, 0 },
    [LDL_Q8_0] = { "Q8_0", "q8_0", 34, 32, 1, 1 },
    [LDL_Q4_0] = { "Q4_0", "q4_0", 18, 32, 1, 1 },
};

static const struct {
    const char *word;
    enum ldl_dtype dtype;
} words[] = {
    { "float64", LDL_F64 }, { "fp64", LDL_F64 },
    { "f64", LDL_F64 },     { "double", LDL_F64 },
    { "float32", LDL_F32 }, { "fp32", LDL_F32 },
    { "f32", LDL_F32 },     { "float", LDL_F32 },
    { "float16", LDL_F16 }, { "fp16", LDL_F16 },
    { "f16", LDL_F16 },     { "half", LDL_F16 },
    { "bf16", LDL_BF16 },   { "bfloat16", LDL_BF16 },
    { "fp8", LDL_F8_E4M3 }, { "float8_e4m3fn", LDL_F8_E4M3 },
    { "q8_0", LDL_Q8_0 },
};

const char *ldl_dtype_tag(enum ldl_dtype t)
{
    return rows[t].tag;
}

const char *ldl_dtype_name(enum ldl_dtype t)
{
    return rows[t].name;
}

size_t ldl_dtype_unit(enum ldl_dtype t)
{
    return rows[t].unit;
}

size_t ldl_dtype_unit_bytes(enum ldl_dtype t)
{
    return rows[t].unit_bytes;
}

int ldl_dtype_is_float(enum ldl_dtype t)
{
    return rows[t].is_float;
}

enum ldl_dtype ldl_dtype_from_tag(const char *tag)
{
    for (int t = 0; t < LDL_DTYPES; t++)
        if (t != LDL_U16_BF16 && !rows[t].gguf_only && strcmp(rows[t].tag, tag) == 0)
            return (enum ldl_dtype)t;
    return LDL_DTYPES;
}

enum ldl_dtype ldl_dtype_from_word(const char *word)
{
    if (strncasecmp(word, "torch.", 6) == 0)
        word += 6;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i].word, word) == 0)
            return words[i].dtype;
    return LDL_DTYPES;
}
