/* mergekit.h -- what the files of the language of mergekit's recipes share:
 *
 *   mergekit.c        what follows from the recipe as a whole
 *   mergekit_options.c  the command line
 *   mergekit_read.c   the recipe's text: models, slices, method
 *   mergekit_names.c  names that nobody knows
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

/* mergekit_options.c: the table of options; argv with mergekit's short options as long ones (*words is the
 * caller's); what the options say, into r; notes about those that have no effect. */
struct ldl_flags;
struct ldl_args;
/* A command line: options with what belongs to them, and the other words in their order. strange: an option
 * before the first of those is not in the table. The words are borrowed. */
struct ldl_mk_words {
    const char **option, **place;
    int noptions, nplaces, strange;
};
void ldl_mk_table(struct ldl_flags *f);
int ldl_mk_split(const struct ldl_flags *table, int argc, const char *const *argv,
                 struct ldl_mk_words *w, struct ldl_err *err);
void ldl_mk_words_free(struct ldl_mk_words *w);
int ldl_mk_options(struct ldl_recipe *r, const struct ldl_mk *mk, const struct ldl_args *a,
                   struct ldl_err *err);
int ldl_mk_note_idle(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err);

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
/* mergekit_names.c: keys of a map, parameters of a method, that are not known. */
int ldl_mk_check_keys(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *map,
                      const char *const *known, size_t n);
int ldl_mk_check_params(const struct ldl_mk_reader *rd, const struct ldl_yaml_node *params);
/* `name` is missing: LDL_EUSAGE at a key of the map that was meant for it, 0 when there is none. And: at
 * `name` itself in a map that it does not belong to. */
int ldl_mk_blame(const struct ldl_mk *mk, const struct ldl_yaml_node *map, const char *name,
                 struct ldl_err *err);
int ldl_mk_blame_outside(const struct ldl_mk *mk, const struct ldl_yaml_node *map, const char *name,
                         struct ldl_err *err);
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
