/* row.c -- see row.h. A key is (magnitude, index), so that sorted keys say where each element is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/row.h"
#include "kern/kern.h"

#include <string.h>

enum { DIGITS = 4, RADIX = 256, FEW = 48 };

static void make_keys(uint64_t *key, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        u &= 0x7fffffffu;
        u = u < LDL_MAG_NAN ? u : LDL_MAG_NAN;
        key[i] = (uint64_t)u << 32 | i;
    }
}

static void insertion_sort(uint64_t *key, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t v = key[i];
        size_t j = i;
        for (; j > 0 && key[j - 1] > v; j--)
            key[j] = key[j - 1];
        key[j] = v;
    }
}

static unsigned digit(uint64_t key, int d)
{
    return (unsigned)(key >> (32 + 8 * d)) & (RADIX - 1);
}

/* Keys come in the order of their index, and each step is stable: only the magnitude is looked at. */
static void radix_sort(uint64_t *key, uint64_t *tmp, size_t n)
{
    uint32_t count[DIGITS][RADIX] = { { 0 } };
    uint64_t *from = key, *to = tmp;
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++)
            count[d][digit(key[i], d)]++;
    for (int d = 0; d < DIGITS; d++) {
        uint32_t at = 0;
        if (count[d][digit(from[0], d)] == n)
            continue;
        for (int v = 0; v < RADIX; v++) {
            uint32_t c = count[d][v];
            count[d][v] = at;
            at += c;
        }
        for (size_t i = 0; i < n; i++)
            to[count[d][digit(from[i], d)]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != key)
        memcpy(key, from, n * sizeof *key);
}

void ldl_row_ranks(uint32_t *rank2, uint64_t *key, uint64_t *tmp, const float *x, size_t n)
{
    make_keys(key, x, n);
    if (n <= FEW)
        insertion_sort(key, n);
    else
        radix_sort(key, tmp, n);
    for (size_t first = 0; first < n;) {
        size_t end = first + 1;
        while (end < n && key[end] >> 32 == key[first] >> 32)
            end++;
        for (size_t i = first; i < end; i++)
            rank2[(uint32_t)key[i]] = (uint32_t)(first + end - 1);
        first = end;
    }
}

void ldl_bits_set(uint32_t *bits, uint64_t first, const uint32_t *on, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned at = (unsigned)((first + i) % 32);
        size_t run = n - i < 32 - at ? n - i : 32 - at;
        uint32_t word = 0;
        for (size_t l = 0; l < run; l++)
            word |= on[i + l] << (at + l);
        if (word)
            __atomic_fetch_or(&bits[(first + i) / 32], word, __ATOMIC_RELAXED);
        i += run;
    }
}
