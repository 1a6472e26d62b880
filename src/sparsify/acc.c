/* acc.c -- making and freeing accumulators, of sparsifiers and of combiners' rounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sparsify/sparsify.h"

int ldl_acc_new(const struct ldl_acc_kind *kind, void *state, void **acc, struct ldl_err *err)
{
    /* A member without one has a byte: that it is there says that the thread takes part in the round. */
    *acc = ldl_calloc(1, LDL_MAX(kind->bytes, (size_t)1));
    int rc = !*acc ? ldl_oom(err) : kind->begin ? kind->begin(state, *acc, err) : 0;
    if (rc) {
        ldl_acc_free(kind, *acc);
        *acc = NULL;
    }
    return rc;
}

void ldl_acc_free(const struct ldl_acc_kind *kind, void *acc)
{
    if (acc && kind->end)
        kind->end(acc);
    ldl_free(acc);
}
