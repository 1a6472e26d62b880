/* fuzz_safetensors.c -- any bytes as a checkpoint file: opening it ends with one line of error, or
 * with tensors that lie inside the file, do not overlap and have the length their shape says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "format/format.h"

static void check_tensor(const struct ldl_stored *t, uint64_t before, uint64_t size)
{
    uint64_t n = 1;
    FUZZ_CHECK(t->ndim >= 0 && t->ndim <= LDL_MAX_DIMS && t->dtype < LDL_DTYPES);
    for (int d = 0; d < t->ndim; d++)
        FUZZ_CHECK(!ldl_mul(n, t->dim[d], &n));
    FUZZ_CHECK(n == t->n && t->bytes == ldl_dtype_span(t->dtype, n));
    FUZZ_CHECK(t->offset >= before && t->offset <= size && t->bytes <= size - t->offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ldl_file f = { .fd = -1 };
    struct ldl_err err = { 0 };
    const char *path = fuzz_file("model.safetensors", bytes, n);
    if (ldl_file_open(&f, path, &err)) {
        fuzz_check_error(&err);
        FUZZ_CHECK(!f.tensor && f.fd == -1);
        return 0;
    }
    uint64_t end = 8;
    for (size_t i = 0; i < f.ntensors; i++) {
        check_tensor(&f.tensor[i], end, n);
        end = f.tensor[i].offset + f.tensor[i].bytes;
    }
    FUZZ_CHECK(end == n || f.ntensors == 0);
    ldl_file_close(&f);
    return 0;
}
