/* fuzz_pdparams.c -- any bytes as a file of Paddle's pickles: see container.h for what must hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_container("model.pdparams", bytes, n);
    return 0;
}
