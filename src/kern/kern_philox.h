/* kern_philox.h -- random numbers; a part of the kernels' body.
 *
 * Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011. What it costs is
 * the product of two 32-bit numbers in 64 bits, which vectors have as one instruction that gcc 12 does not
 * find in plain C: 0.66, 0.74 and 0.39 ns a draw at v2, v3 and v4, and with it 0.56, 0.36 and 0.19. So this
 * is an intrinsic. A lane holds a 32-bit word in 64 bits, of which the upper half may be anything. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_count.h"

/* The product of the low halves of the lanes. */
#if defined __AVX512F__
#define LDL_TIMES(a, m) ((ldl_u64s)_mm512_mul_epu32((__m512i)(a), (__m512i)(m)))
#elif defined __AVX2__
#define LDL_TIMES(a, m) ((ldl_u64s)_mm256_mul_epu32((__m256i)(a), (__m256i)(m)))
#elif defined __SSE4_1__
#define LDL_TIMES(a, m) ((ldl_u64s)_mm_mul_epu32((__m128i)(a), (__m128i)(m)))
#else
#define LDL_TIMES(a, m) (((a)&0xffffffffu) * (m))
#endif

enum { PHILOX_BLOCKS = 64, PHILOX_GROUP = 8 * PHILOX_BLOCKS };
/* CHAINS vectors of four words, as many as there are registers for. */
enum { WORDS = LDL_F64S, ROUNDS = 10, CHAINS = LDL_VEC == 64 ? 4 : 2 };

/* Some blocks of a group, from the i-th on: several vectors at once, so that one computes while another
 * waits for its product. */
static inline void philox_words(uint32_t *out, uint64_t block, const uint64_t key[2 * ROUNDS],
                                uint32_t c2, uint32_t c3)
{
    const ldl_u64s zero = { 0 }, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;
    ldl_u64s w[4][CHAINS], lane = { 0 };
    for (size_t l = 0; l < WORDS; l++)
        lane[l] = l;
    for (size_t v = 0; v < CHAINS; v++) {
        w[0][v] = lane + (block + v * WORDS);
        w[1][v] = w[0][v] >> 32;
        w[2][v] = zero + c2;
        w[3][v] = zero + c3;
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t v = 0; v < CHAINS; v++) {
            ldl_u64s p0 = LDL_TIMES(w[0][v], m0), p1 = LDL_TIMES(w[2][v], m1);
            w[0][v] = (p1 >> 32) ^ w[1][v] ^ key[2 * round];
            w[2][v] = (p0 >> 32) ^ w[3][v] ^ key[2 * round + 1];
            w[1][v] = p1;
            w[3][v] = p0;
        }
    }
    for (size_t i = 0; i < 4; i++)
        for (size_t v = 0; v < CHAINS; v++) {
            ldl_u32h low = __builtin_convertvector(w[i][v], ldl_u32h);
            memcpy(out + i * PHILOX_BLOCKS + v * WORDS, &low, sizeof low);
        }
}

/* Words are laid out as vectors make them, and the second half costs a rotation: see reduce/draw.h. */
static void philox(uint32_t *out, uint64_t first, size_t n, const uint32_t key[2], uint32_t c2,
                   uint32_t c3)
{
    uint64_t keys[2 * ROUNDS];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        keys[2 * round] = key[0] + round * 0x9E3779B9u;
        keys[2 * round + 1] = key[1] + round * 0xBB67AE85u;
    }
    uint64_t block = first / PHILOX_GROUP * PHILOX_BLOCKS;
    size_t skip = first % PHILOX_GROUP;
    while (n) {
        uint32_t draws[PHILOX_GROUP];
        size_t take = PHILOX_GROUP - skip < n ? PHILOX_GROUP - skip : n;
        uint32_t *to = take == PHILOX_GROUP ? out : draws;
        for (size_t i = 0; i < PHILOX_BLOCKS; i += CHAINS * WORDS)
            philox_words(to + i, block + i, keys, c2, c3);
        for (size_t i = 0; i < PHILOX_GROUP / 2; i++)
            to[PHILOX_GROUP / 2 + i] = to[i] << 16 | to[i] >> 16;
        if (to == draws)
            memcpy(out, draws + skip, take * sizeof *out);
        out += take;
        n -= take;
        block += PHILOX_BLOCKS;
        skip = 0;
    }
}
