/* fuzz_index.c -- any bytes as an index of shards: reading it ends with one line of error, or with
 * entries sorted by tensor, none twice, whose files are plain names beside the index. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "model/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ldl_index x;
    struct ldl_err err = { 0 };
    if (ldl_index_read(&x, fuzz_file("model.safetensors.index.json", bytes, n), &err)) {
        fuzz_check_error(&err);
        FUZZ_CHECK(!x.entry && !x.shard);
        return 0;
    }
    for (size_t i = 0; i < x.n; i++) {
        FUZZ_CHECK(i == 0 || strcmp(x.entry[i - 1].tensor, x.entry[i].tensor) < 0);
        FUZZ_CHECK(ldl_name_is_plain(x.entry[i].file) && x.entry[i].place < x.n);
        FUZZ_CHECK(x.entry[i].shard < x.nshards);
        FUZZ_CHECK(strcmp(x.shard[x.entry[i].shard], x.entry[i].file) == 0);
    }
    ldl_index_free(&x);
    return 0;
}
