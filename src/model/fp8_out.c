/* fp8_out.c -- see fp8_out.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fp8_out.h"

#include <string.h>

/* ---- which tensors ---- */

/* Is a part of the name a number: "model.layers.12.mlp..."? */
static int in_numbered_layer(const char *name)
{
    for (const char *p = strchr(name, '.'); p; p = strchr(p + 1, '.')) {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits && p[1 + digits] == '.')
            return 1;
    }
    return 0;
}

/* Norms, embeddings, the head, and what chooses experts: small, and harmed most by few bits. */
static int is_delicate(const char *name)
{
    static const char *const words[] = { "norm", "embed", "lm_head", "router", ".gate.weight" };
    for (size_t i = 0; i < LDL_COUNT(words); i++)
        if (strstr(name, words[i]))
            return 1;
    return 0;
}

int ldl_fp8_takes(const char *name, int ndim, const uint64_t *dim, int was_fp8)
{
    if (ndim != 2 || !ldl_has_suffix(name, ".weight") || dim[0] == 0 || dim[1] == 0)
        return 0;
    if (was_fp8)
        return 1;
    return dim[0] >= LDL_FP8_BLOCK && dim[1] >= LDL_FP8_BLOCK && in_numbered_layer(name) &&
           !is_delicate(name);
}

/* ---- blocks ---- */

/* A piece of a run that lies in one block: its length, and the block's place in the table. */
static size_t next_piece(uint64_t at, size_t n, uint64_t cols, uint64_t *block)
{
    uint64_t row = at / cols, col = at % cols;
    uint64_t to_edge = LDL_FP8_BLOCK - col % LDL_FP8_BLOCK;
    *block = row / LDL_FP8_BLOCK * ldl_fp8_blocks(cols) + col / LDL_FP8_BLOCK;
    return (size_t)LDL_MIN((uint64_t)n, LDL_MIN(to_edge, cols - col));
}

static void raise_to(uint32_t *entry, uint32_t v)
{
    uint32_t have = __atomic_load_n(entry, __ATOMIC_RELAXED);
    while (have < v &&
           !__atomic_compare_exchange_n(entry, &have, v, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

void ldl_fp8_amax(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, const float *x,
                  uint32_t *table)
{
    for (size_t part; n; first += part, x += part, n -= part) {
        uint64_t block;
        part = next_piece(first, n, cols, &block);
        raise_to(&table[block], k->mag_max(x, part));
    }
}

void ldl_fp8_scales(const uint32_t *table, size_t n, float *scale)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = table[i];
        float max, s;
        memcpy(&max, &bits, sizeof max);
        s = max / 448.0f;
        s = bits == 0 ? 1.0f : s < 0x1p-126f ? 0x1p-126f : s;
        memcpy(&scale[i], &s, sizeof s);
    }
}

static void by_block(void (*apply)(float *x, float s, size_t n), uint64_t first, size_t n,
                     uint64_t cols, float *x, const float *scale)
{
    for (size_t part; n; first += part, x += part, n -= part) {
        uint64_t block;
        part = next_piece(first, n, cols, &block);
        apply(x, scale[block], part);
    }
}

void ldl_fp8_scale(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, float *x,
                   const float *scale)
{
    by_block(k->over, first, n, cols, x, scale);
}

void ldl_fp8_unscale(const struct ldl_kern *k, uint64_t first, size_t n, uint64_t cols, float *x,
                     const float *scale)
{
    by_block(k->times, first, n, cols, x, scale);
}

/* ---- config.json ---- */

void ldl_fp8_config_begin(struct ldl_fp8_config *c, struct ldl_buf *out)
{
    *c = (struct ldl_fp8_config){ .out = out };
    ldl_buf_printf(out,
                   "{\"quant_method\": \"fp8\", \"activation_scheme\": \"dynamic\", \"fmt\": "
                   "\"e4m3\", \"weight_block_size\": [%d, %d], \"modules_to_not_convert\": [",
                   LDL_FP8_BLOCK, LDL_FP8_BLOCK);
}

/* A module that holds a matrix could be a linear layer, so the loader must be told. */
void ldl_fp8_config_skip(struct ldl_fp8_config *c, const char *name, int ndim)
{
    char *module;
    if (ndim != 2 || !ldl_has_suffix(name, ".weight"))
        return;
    if (!(module = ldl_strndup(name, strlen(name) - strlen(".weight")))) {
        c->out->failed = 1;
        return;
    }
    if (c->skipped++)
        ldl_buf_puts(c->out, ", ");
    ldl_buf_json(c->out, module);
    ldl_free(module);
}

void ldl_fp8_config_end(struct ldl_fp8_config *c)
{
    ldl_buf_puts(c->out, "]}");
}
