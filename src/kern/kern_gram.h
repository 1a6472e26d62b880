/* kern_gram.h -- the dot products of all pairs of several vectors; a part of the kernels' body. To make an f64
 * of each factor takes longer than the product does, so tiles of up to 4x4 pairs share their factors; and the
 * vectors go by in steps that stay in the L1 cache until the last tile has read them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_elect.h"

/* Elements in a step: 16 KB of eight vectors. A tile has up to ROWS x COLUMNS sums, or the lower half of ROWS x ROWS;
 * where these are few, several parts of their lanes at once, up to SUMS registers. */
enum { GRAM_STEP = 512, PARTS = LANES / LDL_F64S, TILE_ROWS = 4 };
#if defined __AVX512F__
enum { TILE_COLUMNS = 4, TILE_SUMS = 24 };
#else
enum { TILE_COLUMNS = 2, TILE_SUMS = 12 };
#endif

/* The vectors x and the lanes of their pairs, and the elements that are next. */
struct ldl_gram {
    const float *const *x;
    double (*lane)[LANES];
    size_t from, to;
};

static inline double *lanes_of(const struct ldl_gram *g, size_t row, size_t column)
{
    return g->lane[row * (row + 1) / 2 + column];
}

/* How many of a tile's sums are in one row: those up to the diagonal, where it is part of the tile. */
static inline size_t width_of(size_t columns, size_t row)
{
    return columns ? columns : row + 1;
}

/* Some parts of the lanes, from `part` on, of the tile of these rows and columns; columns = 0: the diagonal's. Its
 * numbers are constants, so that the sums stay in registers. */
static inline __attribute__((always_inline)) void gram_lanes(const struct ldl_gram *g, size_t row,
                                                             size_t rows, size_t column,
                                                             size_t columns, size_t part,
                                                             size_t parts)
{
    ldl_f64s sum[TILE_ROWS][TILE_ROWS][PARTS], with[TILE_ROWS];
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width_of(columns, r); c++)
            for (size_t p = 0; p < parts; p++)
                memcpy(&sum[r][c][p], lanes_of(g, row + r, column + c) + (part + p) * LDL_F64S,
                       sizeof sum[r][c][p]);
    for (size_t i = g->from + part * LDL_F64S; i < g->to; i += LANES)
        for (size_t p = 0; p < parts; p++) {
            size_t at = i + p * LDL_F64S;
            for (size_t c = 0; c < columns; c++)
                with[c] = load_f64s(g->x[column + c] + at, LDL_F64S);
            for (size_t r = 0; r < rows; r++) {
                ldl_f64s v = load_f64s(g->x[row + r] + at, LDL_F64S);
                if (!columns)
                    with[r] = v;
                for (size_t c = 0; c < width_of(columns, r); c++)
                    sum[r][c][p] = LDL_ADD_PRODUCT(sum[r][c][p], v, with[c]);
            }
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < width_of(columns, r); c++)
            for (size_t p = 0; p < parts; p++)
                memcpy(lanes_of(g, row + r, column + c) + (part + p) * LDL_F64S, &sum[r][c][p],
                       sizeof sum[r][c][p]);
}

/* All lanes of a tile: as many at once as there are registers for. */
static inline __attribute__((always_inline)) void gram_tile(const struct ldl_gram *g, size_t row,
                                                            size_t rows, size_t column,
                                                            size_t columns)
{
    const size_t sums = columns ? rows * columns : rows * (rows + 1) / 2;
    const size_t fit = sums * 4 <= TILE_SUMS ? 4 : sums * 2 <= TILE_SUMS ? 2 : 1;
    const size_t parts = fit < PARTS ? fit : PARTS;
    for (size_t part = 0; part < PARTS; part += parts)
        gram_lanes(g, row, rows, column, columns, part, parts);
}

#define LDL_TILE(rows)                                                                             \
    static void gram_tiles_##rows(const struct ldl_gram *g, size_t row)                            \
    {                                                                                              \
        for (size_t column = 0; column < row; column += TILE_COLUMNS)                              \
            gram_tile(g, row, rows, column, TILE_COLUMNS);                                         \
        gram_tile(g, row, rows, row, 0);                                                           \
    }
LDL_TILE(1)
LDL_TILE(2)
LDL_TILE(3)
LDL_TILE(4)

static void gram_step(const struct ldl_gram *g, size_t m)
{
    static void (*const tiles[])(const struct ldl_gram *g,
                                 size_t row) = { gram_tiles_1, gram_tiles_2, gram_tiles_3,
                                                 gram_tiles_4 };
    for (size_t row = 0; row < m; row += TILE_ROWS)
        tiles[(m - row < TILE_ROWS ? m - row : TILE_ROWS) - 1](g, row);
}

static void gram(double *out, const float *const *x, size_t m, size_t n)
{
    _Alignas(LDL_VEC) double lane[LDL_GRAM_MOST * (LDL_GRAM_MOST + 1) / 2][LANES];
    struct ldl_gram g = { .x = x, .lane = lane };
    const size_t pairs = m * (m + 1) / 2, whole = n - n % LANES;
    memset(lane, 0, pairs * sizeof lane[0]);
    for (; g.from < whole; g.from = g.to) {
        g.to = g.from + GRAM_STEP < whole ? g.from + GRAM_STEP : whole;
        gram_step(&g, m);
    }
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i <= j; i++, out++) {
            double *last = lanes_of(&g, j, i);
            for (size_t l = 0; whole + l < n; l++)
                last[l] += (double)x[j][whole + l] * (double)x[i][whole + l];
            *out = fold(last);
        }
}

static double sum_squares(const float *x, size_t n)
{
    double sum;
    gram(&sum, &x, 1, n);
    return sum;
}
