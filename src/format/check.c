/* check.c -- see check.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/check.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const struct ldl_stored *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

int ldl_check_names(const struct ldl_file *f, struct ldl_err *err)
{
    int status = 0;
    if (f->ntensors < 2)
        return 0;
    const struct ldl_stored **sorted = ldl_calloc(f->ntensors, sizeof *sorted);
    if (!sorted)
        return ldl_oom(err);
    for (size_t i = 0; i < f->ntensors; i++)
        sorted[i] = &f->tensor[i];
    qsort(sorted, f->ntensors, sizeof *sorted, by_name);
    for (size_t i = 1; i < f->ntensors && status == 0; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = ldl_fail(err, LDL_EINPUT, "%s: tensor '%.200s' is in the header twice",
                              f->path, sorted[i]->name);
    ldl_free(sorted);
    return status;
}

int ldl_stored_by_place(const void *a, const void *b)
{
    const struct ldl_stored *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}
