/* list.c -- the table of sparsifiers, made from list.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"

#include <string.h>

#define LDL_SPARSIFIER(member) extern const struct ldl_sparsifier ldl_sparsifier_##member;
#include "sparsify/list.def"
#undef LDL_SPARSIFIER

#define LDL_SPARSIFIER(member) &ldl_sparsifier_##member,
const struct ldl_sparsifier *const ldl_sparsifiers[] = {
#include "sparsify/list.def"
    NULL
};
#undef LDL_SPARSIFIER

const struct ldl_sparsifier *ldl_sparsifier_find(const char *name)
{
    for (size_t i = 0; ldl_sparsifiers[i]; i++)
        if (strcmp(ldl_sparsifiers[i]->name, name) == 0)
            return ldl_sparsifiers[i];
    return NULL;
}
