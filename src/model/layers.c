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

uint64_t ldl_layer_count_in(const struct ldl_model *m, const char *name, size_t at)
{
    struct ldl_layer layer;
    uint64_t n = 0;
    for (size_t i = 0; i < m->nviews; i++)
        if (strncmp(m->view[i].name, name, at) == 0 && ldl_layer_of(m->view[i].name, &layer) &&
            layer.number >= n && (at == 0 || layer.at == at))
            n = layer.number + 1;
    return n;
}

uint64_t ldl_layer_count(const struct ldl_model *m)
{
    return ldl_layer_count_in(m, "", 0);
}

int ldl_layer_stacks(const struct ldl_model *m, const char *name[2])
{
    struct ldl_layer layer, first = { 0 };
    name[0] = name[1] = NULL;
    for (size_t i = 0; i < m->nviews && !name[1]; i++) {
        const char *one = m->view[i].name;
        if (!ldl_layer_of(one, &layer))
            continue;
        if (!name[0]) {
            name[0] = one;
            first = layer;
        } else if (layer.at != first.at || strncmp(one, name[0], layer.at) != 0) {
            name[1] = one;
        }
    }
    return name[1] != NULL;
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
