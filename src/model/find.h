/* find.h -- where a directory keeps its weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_FIND_H
#define LDL_MODEL_FIND_H

#include "base/io.h"

struct ldl_found {
    char *path;   /* of the index, or of the one file of weights; owned */
    char *prefix; /* "model" or "master_weights"; owned */
    int is_index;
};

/* The weights in `dir` (asked: how the user named it, for messages). prefix: as for
 * ldl_model_open(). On failure *out is empty. */
int ldl_find_weights(struct ldl_found *out, const char *dir, const char *asked, const char *prefix,
                     struct ldl_err *err);
void ldl_found_free(struct ldl_found *found);
/* The prefix that a file of this name has: "model" or "master_weights". */
const char *ldl_find_prefix(const char *name);

#endif
