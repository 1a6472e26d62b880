/* rowmap.h -- a table of rows (an embedding, a head) in the order of another vocabulary.
 *
 * Row r of the view is one of: a row of a table (the model's own, or another model's of the same
 * name), the mean of rows of several tables, zeros, or the mean of the view's own real rows, which
 * is what padding rows are. Nothing is moved: the map is 8 bytes a row, shared by all tables of
 * the model, and rows are read where they are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_ROWMAP_H
#define LDL_MODEL_ROWMAP_H

#include "model/view.h"

/* Where a row comes from: the number of a table and its row, or one of the words below. */
#define LDL_ROW(table, row)     ((uint64_t)(table) << 32 | (uint64_t)(row))
#define LDL_ROW_TABLE(word)     ((size_t)((word) >> 32))
#define LDL_ROW_NUMBER_OF(word) ((word)&0xffffffffu)
enum {
    LDL_ROW_MOST_TABLES = 1 << 16,
    LDL_ROW_IN_MEAN, /* in the place of a table; the number is a place in mean[] */
    LDL_ROW_IN_ZEROS,
    LDL_ROW_IN_PADDING
};

struct ldl_rowmap {
    uint64_t *row;       /* `rows` words, the last rows - real of them LDL_ROW_IN_PADDING */
    uint64_t rows, real; /* 1 <= real <= rows */
    uint64_t *mean;      /* lists: how many words follow, and these; they name rows of tables */
    size_t nmean, mean_cap;
};
void ldl_rowmap_free(void *map); /* and the struct itself */

/* *v, one table of a model, is read through the map from here on. table[0 .. n): the tables of all
 * models for this name, copied; those that the map does not name may be empty. *made is what v needs,
 * to be released with ldl_rowmap_view_free. The map must outlive it. */
int ldl_rowmap_view(struct ldl_view *v, const struct ldl_rowmap *map, const struct ldl_view *table,
                    size_t n, void **made, struct ldl_err *err);
void ldl_rowmap_view_free(void *made);

#endif
