/* select.c -- see select.h. A magnitude has three digits: exponent and 3 bits of the fraction, 11 bits, 9
 * bits. The first digit tells in which part of the array all wanted ranks are; the rest looks there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/select.h"

#include <math.h>
#include <string.h>

enum { TOP = 20, MIDDLE = 9, DIGITS = 2048 };

/* The digit in which the rank falls; *rank becomes the rank among the elements with that digit. */
static uint32_t digit_of(const uint32_t count[DIGITS], uint64_t *rank)
{
    uint32_t d = 0;
    while (d < DIGITS - 1 && *rank >= count[d])
        *rank -= count[d++];
    return d;
}

/* Counts the digit at `shift` of the elements whose bits above it are `prefix`. */
static void count_digit(uint32_t count[DIGITS], const uint32_t *mag, size_t n, uint32_t prefix,
                        int above, int shift)
{
    memset(count, 0, DIGITS * sizeof *count);
    for (size_t i = 0; i < n; i++)
        if (mag[i] >> above == prefix)
            count[(mag[i] >> shift) & ((1u << (above - shift)) - 1)]++;
}

static uint32_t select_one(const uint32_t *mag, size_t n, uint32_t top, uint64_t rank)
{
    uint32_t count[DIGITS];
    count_digit(count, mag, n, top, TOP, MIDDLE);
    uint32_t prefix = top << (TOP - MIDDLE) | digit_of(count, &rank);
    count_digit(count, mag, n, prefix, MIDDLE, 0);
    return prefix << MIDDLE | digit_of(count, &rank);
}

/* Moves the elements with a first digit in [from, to] to the front; their number. Each changes places with the
 * first that is not there, wanted or not: so nothing is guessed, and no step waits for the one before. */
static size_t move_together(uint32_t *mag, size_t n, uint32_t from, uint32_t to)
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = mag[i];
        mag[i] = mag[have];
        mag[have] = v;
        have += (v >> TOP) - from <= to - from;
    }
    return have;
}

void ldl_select(uint32_t *mag, size_t n, const uint64_t *rank, size_t nranks, uint32_t *out)
{
    uint32_t count[DIGITS] = { 0 }, top[LDL_SELECT_MOST] = { 0 };
    uint64_t rest[LDL_SELECT_MOST];
    for (size_t i = 0; i < n; i++)
        count[mag[i] >> TOP]++;
    for (size_t r = 0; r < nranks; r++) {
        rest[r] = rank[r];
        top[r] = digit_of(count, &rest[r]);
    }
    size_t part = move_together(mag, n, top[0], top[nranks - 1]);
    for (size_t r = 0; r < nranks; r++)
        out[r] = select_one(mag, part, top[r], rest[r]);
}

void ldl_select_count(const uint32_t *mag, size_t n, uint32_t at, uint64_t *below, uint64_t *equal)
{
    *below = *equal = 0;
    for (size_t i = 0; i < n; i++) {
        *below += mag[i] < at;
        *equal += mag[i] == at;
    }
}

/* Whole numbers of each exponent's unit add up without rounding. */
double ldl_select_sum(const uint32_t *mag, size_t n, uint32_t least)
{
    uint64_t units[256] = { 0 };
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t exponent = mag[i] >> 23, fraction = mag[i] & 0x7fffffu;
        if (mag[i] >= least)
            units[exponent] += exponent ? fraction | 0x800000u : fraction;
    }
    if (units[255])
        return INFINITY;
    for (int e = 0; e < 255; e++)
        sum += ldexp((double)units[e], (e ? e : 1) - 150);
    return sum;
}
