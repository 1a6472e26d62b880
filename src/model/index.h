/* index.h -- P.safetensors.index.json: which tensor is in which shard. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_INDEX_H
#define LDL_MODEL_INDEX_H

#include "base/io.h"

struct ldl_index_entry {
    char *tensor, *file; /* file: a plain name, no path */
    size_t place;        /* in the order of weight_map */
    size_t shard;        /* file == index.shard[shard] */
};

struct ldl_index {
    struct ldl_index_entry *entry; /* sorted by bytes of the tensor's name; no name twice */
    size_t n, cap;
    char **shard; /* the different files, sorted; they point into the entries */
    size_t nshards;
    char *metadata; /* JSON text of the object "metadata", or NULL */
};

/* Reads and checks the text of the index; opens no shard. On failure *x is empty. */
int ldl_index_read(struct ldl_index *x, const char *path, struct ldl_err *err);
void ldl_index_free(struct ldl_index *x);

#endif
