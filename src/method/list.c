/* list.c -- the tables of combiners and of named methods, made from list.def and named.def. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

#include <string.h>

#define LDL_COMBINER(member) extern const struct ldl_combiner ldl_combiner_##member;
#include "method/list.def"
#undef LDL_COMBINER
#define LDL_SPARSIFIER(member) extern const struct ldl_sparsifier ldl_sparsifier_##member;
#include "sparsify/list.def"
#undef LDL_SPARSIFIER

#define LDL_COMBINER(member) &ldl_combiner_##member,
const struct ldl_combiner *const ldl_combiners[] = {
#include "method/list.def"
    NULL
};
#undef LDL_COMBINER

#define LDL_PLAIN(lang, nm, c, text) { #lang, #nm, text, NULL, &ldl_combiner_##c, NULL },
#define LDL_SPARSE(lang, nm, s, c, text)                                                           \
    { #lang, #nm, text, &ldl_sparsifier_##s, &ldl_combiner_##c, NULL },
#define LDL_SPARSE_WITH(lang, nm, s, c, defaults, text)                                            \
    { #lang, #nm, text, &ldl_sparsifier_##s, &ldl_combiner_##c, defaults },
const struct ldl_method ldl_methods[] = {
#include "method/named.def"
    { 0 }
};
#undef LDL_PLAIN
#undef LDL_SPARSE
#undef LDL_SPARSE_WITH

const struct ldl_combiner *ldl_combiner_find(const char *name)
{
    for (size_t i = 0; ldl_combiners[i]; i++)
        if (strcmp(ldl_combiners[i]->name, name) == 0)
            return ldl_combiners[i];
    return NULL;
}

const struct ldl_method *ldl_method_find(const char *language, const char *name)
{
    for (const struct ldl_method *m = ldl_methods; m->name; m++)
        if (strcmp(m->language, language) == 0 && strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

const struct ldl_method *ldl_method_of_parts(const char *language, const struct ldl_sparsifier *s,
                                             const struct ldl_combiner *c)
{
    for (const struct ldl_method *m = ldl_methods; m->name; m++)
        if (strcmp(m->language, language) == 0 && m->sparsifier == s && m->combiner == c)
            return m;
    return NULL;
}
