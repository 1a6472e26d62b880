/* layers.c -- see layers.h. No list of architectures: their tensors are named alike where it counts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/layers.h"

#include <string.h>

enum { DIGITS_MAX = 9 };

int ldl_layer_of(const char *name, struct ldl_layer *layer)
{
    for (const char *p = name; (p = strchr(p, '.')) != NULL;) {
        size_t digits = strspn(++p, "0123456789");
        if (digits == 0 || digits > DIGITS_MAX || p[digits] != '.')
            continue;
        layer->number = 0;
        for (size_t i = 0; i < digits; i++)
            layer->number = 10 * layer->number + (uint64_t)(p[i] - '0');
        layer->at = (size_t)(p - name);
        layer->len = digits;
        return 1;
    }
    return 0;
}

int ldl_layer_is_before(const char *name)
{
    static const char *const words[] = { "embed", "wte", "wpe", "word_embeddings",
                                         "shared.weight" };
    for (size_t i = 0; i < LDL_COUNT(words); i++)
        if (strstr(name, words[i]) && !strstr(name, "embed_out"))
            return 1;
    return 0;
}
