/* fuzz_safetensors.c -- any bytes as a checkpoint file: opening it ends with one line of error, or
 * with tensors that lie inside the file, do not overlap and have the length their shape says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ldl_file f = { .fd = -1 };
    struct ldl_err err = { 0 };
    fuzz_container("model.safetensors", bytes, n);
    if (ldl_file_open(&f, fuzz_file("model.safetensors", bytes, n), &err))
        return 0;
    uint64_t end = 8;
    int known = strcmp(f.format->name, "safetensors") == 0;
    for (size_t i = 0; known && i < f.ntensors; i++) {
        FUZZ_CHECK(f.tensor[i].offset >= end);
        end = f.tensor[i].offset + f.tensor[i].bytes;
    }
    FUZZ_CHECK(!known || end == n || f.ntensors == 0);
    ldl_file_close(&f);
    return 0;
}
