/* fuzz_yaml.c -- any bytes as a YAML file: reading ends with one line of error, or with a tree whose
 * levels are bounded, whose counts are right and whose places are in the file. A walk is cut off
 * after some visits: aliases can make it endless. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "base/yaml.h"

static size_t left; /* visits */

static void walk(const struct ldl_yaml_node *node, size_t level, size_t bytes)
{
    double number;
    uint64_t visits = 1;
    uint32_t height = 0;
    if (left == 0)
        return;
    left--;
    FUZZ_CHECK(node->line >= 1 && node->line <= bytes + 1 && node->column >= 1);
    FUZZ_CHECK(node->column <= bytes + 1 && level + node->height <= LDL_YAML_DEPTH);
    FUZZ_CHECK(node->text && *ldl_yaml_kind_name(node));
    if (node->kind < LDL_YAML_SEQ) {
        FUZZ_CHECK(node->n == 0 && node->height == 0 && node->visits == 1);
        int rc = ldl_yaml_number(node, &number);
        FUZZ_CHECK(rc == 0 || (node->kind != LDL_YAML_BOOL && node->kind != LDL_YAML_FLOAT));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        height = LDL_MAX(height, node->item[i]->height);
        if (ldl_add(visits, node->item[i]->visits, &visits))
            visits = UINT64_MAX;
        if (node->kind == LDL_YAML_MAP && i < 16)
            FUZZ_CHECK(ldl_yaml_find(node, node->key[i].text) == node->item[i]);
        walk(node->item[i], level + 1, bytes);
    }
    FUZZ_CHECK(node->height == height + 1 && node->visits == visits);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ldl_yaml y;
    struct ldl_err err = { 0 };
    const char *path = fuzz_file("r.yml", bytes, n);
    if (ldl_yaml_read(&y, path, &err)) {
        fuzz_check_error(&err);
        FUZZ_CHECK(err.code == LDL_EINPUT && strncmp(err.text, path, strlen(path)) == 0);
        FUZZ_CHECK(!y.document && !y.block && !y.warning.name);
        return 0;
    }
    left = 20000;
    for (size_t i = 0; i < y.ndocuments; i++)
        walk(y.document[i], 0, n);
    for (size_t i = 0; i < y.warning.n; i++)
        FUZZ_CHECK(strncmp(y.warning.name[i], path, strlen(path)) == 0);
    ldl_yaml_free(&y);
    return 0;
}
