/* replay.c -- a harness without libFuzzer: every file of the given folder, then each of them cut at
 * every length and with each byte changed in a few ways. The same inputs in every run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

enum { CHANGE_MAX_BYTES = 600 };

static void replay(const uint8_t *bytes, size_t n)
{
    static const uint8_t with[] = { 0xff, 0x00, '"', '}', '9', '-', '\n' };
    LLVMFuzzerTestOneInput(bytes, n);
    size_t some = LDL_MIN(n, (size_t)CHANGE_MAX_BYTES);
    uint8_t *copy = malloc(n + 1);
    FUZZ_CHECK(copy);
    for (size_t i = 0; i < some; i++) {
        memcpy(copy, bytes, n);
        LLVMFuzzerTestOneInput(copy, i);
        for (size_t w = 0; w < sizeof with; w++) {
            copy[i] = with[w];
            LLVMFuzzerTestOneInput(copy, n);
        }
    }
    free(copy);
}

int main(int argc, char **argv)
{
    struct ldl_err err;
    struct ldl_names names;
    struct ldl_buf text = { 0 };
    FUZZ_CHECK(argc == 2 && ldl_list_dir(argv[1], &names, &err) == 0 && names.n > 0);
    for (size_t i = 0; i < names.n; i++) {
        char *path = ldl_path_join(argv[1], names.name[i]);
        FUZZ_CHECK(path && ldl_read_file(path, 1 << 20, &text, &err) == 0);
        replay((const uint8_t *)text.text, text.len);
        ldl_free(path);
    }
    printf("%zu files replayed\n", names.n);
    ldl_names_free(&names);
    ldl_buf_free(&text);
    char folder[64];
    fuzz_folder(folder, sizeof folder);
    if (!ldl_is_dir(folder)) /* the harness works in memory */
        return 0;
    FUZZ_CHECK(ldl_list_dir(folder, &names, &err) == 0);
    for (size_t i = 0; i < names.n; i++) {
        char *path = ldl_path_join(folder, names.name[i]);
        FUZZ_CHECK(path && unlink(path) == 0);
        ldl_free(path);
    }
    ldl_names_free(&names);
    return rmdir(folder) ? 1 : 0;
}
