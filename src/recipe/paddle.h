/* paddle.h -- what paddle.c (the rules) and paddle_rows.c (the table of flags) share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_RECIPE_PADDLE_H
#define LDL_RECIPE_PADDLE_H

#include "recipe/own.h"

#define LDL_PADDLE "paddle"
enum { LDL_PADDLE_CHOICES = 256 };

/* All flags of the language. Not to be copied: rows point into it. */
struct ldl_paddle_table {
    struct ldl_flags flags;
    size_t first_part, end_part; /* the parts' parameters are flag[first_part .. end_part) */
    /* The rows whose words are names of methods and parts, made from their tables. */
    struct ldl_param named[3];
    char choices[3][LDL_PADDLE_CHOICES];
    char heading[LDL_MAX_FLAGS][LDL_PADDLE_CHOICES]; /* of the parts' parameters */
};
void ldl_paddle_table(struct ldl_paddle_table *t);

#endif
