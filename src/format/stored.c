/* stored.c -- see stored.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/stored.h"

/* Empty dimensions are left out of the product, so that no product of a few dimensions overflows
 * later either. */
int ldl_stored_extent(struct ldl_stored *t, struct ldl_err *err)
{
    uint64_t product = 1;
    int empty = 0;
    for (int d = 0; d < t->ndim; d++) {
        if (t->dim[d] == 0)
            empty = 1;
        else if (ldl_mul(product, t->dim[d], &product))
            return ldl_fail(err, LDL_EINPUT, "the shape is larger than any file");
    }
    if (product > INT64_MAX / ldl_dtype_unit_bytes(t->dtype))
        return ldl_fail(err, LDL_EINPUT, "the shape is larger than any file");
    t->n = empty ? 0 : product;
    t->bytes = ldl_dtype_span(t->dtype, t->n);
    return 0;
}

int ldl_stored_is_plain(struct ldl_stored *t)
{
    uint64_t step = 1;
    int plain = 1;
    for (int d = t->ndim; d-- > 0;) {
        if (t->dim[d] == 1)
            t->stride[d] = 0;
        else if (t->stride[d] != step)
            plain = 0;
        step *= t->dim[d];
    }
    return plain || t->n == 0;
}
