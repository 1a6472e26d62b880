/* container.h -- what holds for any file that a format opened: each tensor's elements are inside the
 * file and can be read. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_FUZZ_CONTAINER_H
#define LDL_TESTS_FUZZ_CONTAINER_H

#include "fuzz/fuzz.h"

#include "model/view.h"

enum { FUZZ_READ_ELEMS = 4096 };

/* The shape and the byte count agree, and the farthest element ends inside the file. */
static inline void fuzz_check_tensor(const struct ldl_stored *t, uint64_t size)
{
    uint64_t n = 1, last = 0;
    FUZZ_CHECK(t->ndim >= 0 && t->ndim <= LDL_MAX_DIMS && t->dtype < LDL_DTYPES && t->name);
    for (int d = 0; d < t->ndim; d++)
        FUZZ_CHECK(!ldl_mul(n, t->dim[d], &n));
    FUZZ_CHECK(n == t->n && n % ldl_dtype_unit(t->dtype) == 0);
    FUZZ_CHECK(t->bytes == ldl_dtype_span(t->dtype, n));
    if (n == 0 || t->mark)
        return;
    for (int d = 0; t->strided && d < t->ndim; d++)
        last += (t->dim[d] - 1) * t->stride[d];
    uint64_t span = t->strided ? (last + 1) * ldl_dtype_unit_bytes(t->dtype) : t->bytes;
    FUZZ_CHECK(t->offset <= size && span <= size - t->offset);
}

/* Its first and last elements, as f32 or as they are. */
static inline void fuzz_read_tensor(const struct ldl_file *f, const struct ldl_stored *t,
                                    const struct ldl_kern *k)
{
    static unsigned char window[FUZZ_READ_ELEMS * 8];
    static float out[FUZZ_READ_ELEMS];
    struct ldl_reader r = { .buf = window, .cap = sizeof window };
    struct ldl_view v;
    const unsigned char *raw;
    ldl_view_stored(&v, f, t);
    size_t n = (size_t)LDL_MIN(t->n, (uint64_t)FUZZ_READ_ELEMS);
    for (int end = 0; end < 2; end++) {
        struct ldl_err err = { 0 };
        uint64_t first = end ? t->n - n : 0;
        int rc = ldl_dtype_is_float(t->dtype) ? ldl_view_read(&v, k, first, n, out, &r, &err)
                                              : v.ops->fetch(&v, first, n, &r, &raw, &err);
        if (rc)
            fuzz_check_error(&err);
    }
}

/* Opens bytes as a file of this name. */
static inline void fuzz_container(const char *name, const uint8_t *bytes, size_t n)
{
    struct ldl_file f = { .fd = -1 };
    struct ldl_err err = { 0 };
    const struct ldl_kern *k;
    const char *path = fuzz_file(name, bytes, n);
    FUZZ_CHECK(ldl_kern_get(&k, &err) == 0);
    if (ldl_file_open(&f, path, &err)) {
        fuzz_check_error(&err);
        FUZZ_CHECK(!f.tensor && f.fd == -1);
        return;
    }
    for (size_t i = 0; i < f.ntensors; i++) {
        fuzz_check_tensor(&f.tensor[i], n);
        fuzz_read_tensor(&f, &f.tensor[i], k);
    }
    ldl_file_close(&f);
}

#endif
