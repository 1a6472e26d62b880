/* own.h -- the flags that are ladle's own, so that every input language of the command line has them:
 * how the output is written, and how the program runs. One table and one meaning for all. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_RECIPE_OWN_H
#define LDL_RECIPE_OWN_H

#include "recipe/flags.h"
#include "recipe/recipe.h"

/* A flag that is written down: its parameter, and what only a command line needs. */
struct ldl_row {
    struct ldl_param param;
    const char *metavar, *alias_of;
    int recorded;
};
/* clang-format off */
#define LDL_ROW_PARAM(name, type, lo, hi, fallback, choices, help) \
    { name, type, 0, lo, hi, fallback, choices, help }
#define LDL_ROW_TEXT(name, type, metavar, fallback, help) \
    { LDL_ROW_PARAM(name, type, 0, 0, fallback, NULL, help), metavar, NULL, 1 }
#define LDL_ROW_WORD(name, choices, fallback, help) \
    { LDL_ROW_PARAM(name, LDL_T_WORD, 0, 0, fallback, choices, help), NULL, NULL, 1 }
#define LDL_ROW_NUMBER(name, type, lo, hi, fallback, recorded, help) \
    { LDL_ROW_PARAM(name, type, lo, hi, fallback, NULL, help), NULL, NULL, recorded }
#define LDL_ROW_SWITCH(name, fallback, help) \
    { LDL_ROW_PARAM(name, LDL_T_BOOL, 0, 1, fallback, NULL, help), NULL, NULL, 0 }
/* clang-format on */

/* Appends rows to a table, all under one heading; the rows must outlive the table. */
void ldl_rows_add(struct ldl_flags *f, const char *group, const struct ldl_row *rows, size_t n);

/* Appends dtype, format, overwrite, fsync; threads, max_memory, quiet. */
void ldl_own_output(struct ldl_flags *f, const char *group);
void ldl_own_running(struct ldl_flags *f, const char *group);
/* Their values, defaults filled in, to the recipe. */
int ldl_own_take(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err);

#endif
