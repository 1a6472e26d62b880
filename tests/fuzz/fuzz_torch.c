/* fuzz_torch.c -- any bytes as a file of torch's forms: zip and legacy: see container.h for what must hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_container("model.bin", bytes, n);
    return 0;
}
