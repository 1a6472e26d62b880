/* fuzz_adapter.c -- any bytes as an adapter's settings, and their lines as names of tensors: reading
 * ends with one line of error, or with patterns that can be asked about any module. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "model/adapter.h"

/* Each line is also a name of a tensor and of a module. */
static void ask(const struct ldl_adapter_config *c, int paddle, const uint8_t *bytes, size_t n)
{
    struct ldl_buf target = { 0 };
    struct ldl_err err = { 0 };
    enum ldl_role role;
    double scale;
    for (size_t at = 0, lines = 0; at < n && lines < 20; lines++) {
        const uint8_t *end = memchr(bytes + at, '\n', n - at);
        size_t len = end ? (size_t)(end - bytes) - at : n - at;
        char *line = ldl_strndup((const char *)bytes + at, len > 2000 ? 2000 : len);
        FUZZ_CHECK(line && ldl_adapter_name(line, paddle, &role, &target, &err) == 0);
        FUZZ_CHECK(role != LDL_ROLES && target.text);
        FUZZ_CHECK(ldl_adapter_config_scale(c, line, 0, &scale, &err) == 0);
        ldl_free(line);
        at += len + 1;
    }
    ldl_buf_free(&target);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ldl_adapter_config c;
    const char *path = fuzz_file("adapter_config.json", bytes, n);
    for (int paddle = 0; paddle < 2; paddle++) {
        struct ldl_err err = { 0 };
        if (ldl_adapter_config_read(&c, path, paddle, &err)) {
            fuzz_check_error(&err);
            FUZZ_CHECK(!c.path && !c.ranks.n && !c.alphas.n);
            continue;
        }
        ask(&c, paddle, bytes, n);
        ldl_adapter_config_free(&c);
    }
    return 0;
}
