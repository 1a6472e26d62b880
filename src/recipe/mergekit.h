/* mergekit.h -- what the files of the language of mergekit's recipes share:
 *
 *   mergekit.c        the command line, and what follows from the recipe as a whole
 *   mergekit_read.c   the recipe's text: models, slices, method
 *   mergekit_models.c the models, slices and modules in numbers; the base
 *   mergekit_fill.c   the value of a parameter for a model and a tensor
 *   mergekit_chat.c   the chat template
 *   mergekit_tokenizer.c  the vocabulary */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_RECIPE_MERGEKIT_H
#define LDL_RECIPE_MERGEKIT_H

#include "base/yaml.h"
#include "recipe/recipe.h"

#define LDL_MERGEKIT "mergekit"

/* One item of `models` or `sources`. */
struct ldl_mk_entry {
    const struct ldl_yaml_node *node, *params; /* params: NULL when there are none */
    const char *model;
    int64_t first, end; /* layer_range */
};
/* A slice; for `models` there is one, of whole models. */
struct ldl_mk_slice {
    const char *base; /* instead of the recipe's; NULL: that one */
    int whole;        /* models, not a range of layers */
    const struct ldl_yaml_node *params, *module_params;
    struct ldl_mk_entry *entry;
    size_t n;
};
/* A recipe as it is written. ldl_recipe.text of this language. */
struct ldl_mk {
    struct ldl_yaml yaml;
    const struct ldl_yaml_node *root, *params;
    const struct ldl_method *method;
    const char *base, *dtype;
    int whole; /* models, not slices, and of no module with a name */
    struct ldl_mk_slice *slice;
    size_t nslices, slices_cap;
    struct ldl_module *module; /* their slices are numbered as slice[] */
    size_t nmodules;
    int named; /* a module other than the one called default */
    /* Entries in the order of ldl_place.from: those that are not the base. */
    const struct ldl_mk_entry **input;
    size_t ninputs, inputs_cap;
};

/* Reads and checks the text of a document; leaves notes in r. strict: unknown keys and parameters are errors. */
int ldl_mk_read(struct ldl_mk *mk, struct ldl_recipe *r, const char *path, size_t document,
                int strict, struct ldl_err *err);
/* The documents of a file. names: of each, "" for the one that has none, which is number *main. */
int ldl_mk_documents(const char *path, struct ldl_names *names, size_t *main, struct ldl_err *err);
/* What has been read, into r: models, base, slices, modules. */
int ldl_mk_take_models(struct ldl_recipe *r, struct ldl_mk *mk, struct ldl_err *err);
/* What the steps of reading share. strict: what is not known is an error, else a note. */
struct ldl_mk_reader {
    struct ldl_mk *mk;
    struct ldl_recipe *r;
    int strict;
    struct ldl_err *err;
};
/* LDL_EUSAGE at the node's place. */
int ldl_mk_fail(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *node, const char *what);
/* Keys of a map that are not known. */
int ldl_mk_check_keys(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *map,
                      const char *const *known, size_t n);
/* mergekit_tokenizer.c: tokenizer_source and tokenizer, into r->tokenizer. */
int ldl_mk_take_tokenizer(const struct ldl_mk_reader *rd);
/* chat_template: into r. */
int ldl_mk_chat(const struct ldl_mk *mk, struct ldl_recipe *r, struct ldl_err *err);
void ldl_mk_free(void *mk); /* and the struct itself */
/* ldl_recipe.fill. */
int ldl_mk_fill(const struct ldl_recipe *r, const struct ldl_place *at,
                const struct ldl_param *rows, size_t nrows, size_t model, size_t m, void *into,
                double *room, struct ldl_err *err);

#endif
