/* recipe.h -- what the user asked for, whatever language it was written in.
 *
 * Each input language (PaddleNLP's flags and JSON today; mergekit's YAML next) is one file and one
 * line in list.def that turns its text into this one tree. Nothing in a recipe depends on files on
 * disk: models are still names. Every value remembers where it was written (`origin`), so that a
 * later check can point there. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_RECIPE_RECIPE_H
#define LDL_RECIPE_RECIPE_H

#include "base/io.h"
#include "base/param.h"
#include "method/method.h"

/* One model's part in a slice: its layers first .. end-1. */
struct ldl_slice_source {
    size_t model; /* number in ldl_recipe.model; nmodels: the base */
    size_t entry; /* the language's own number of it, for ldl_place.from */
    int64_t first, end;
    int is_base; /* whatever model it is, it is the base here */
};
/* A run of output layers: layer k is made of layer first + k of each source. Without slices a recipe
 * is about whole models. */
struct ldl_slice {
    struct ldl_slice_source *source;
    size_t n;
    int whole; /* all layers, whatever their number: a module of models */
    int as_is; /* one source, which is taken as it is whatever the method is */
};
/* A part of the models that has slices of its own: a tower, an encoder. Tensors of no module are the
 * base's (rest_model's), as they are. */
struct ldl_module {
    const char *name; /* borrowed from ldl_recipe.text; NULL: slices without a module, of all */
    size_t first, n;  /* its slices */
    const char *file; /* where it is written */
    uint32_t line, column;
};
/* Tensors that not all models have. */
enum ldl_names_rule {
    LDL_NAMES_EQUAL,  /* are an error */
    LDL_NAMES_COMMON, /* are left out */
    LDL_NAMES_ALL     /* are made of the models that have them */
};
/* The tensor for which parameters are wanted. */
struct ldl_place {
    size_t slice;
    const char *name;      /* of the output */
    const char *const *in; /* of the input tensor of each model that takes part */
    const size_t *from;    /* their entries (of slices), or NULL: 0, 1, ... */
    int as_is;             /* nothing is done to it, whatever the method is */
    double t; /* place in a gradient: 0 at the first layer of the slice, 1 at its last */
};

/* A document beside the recipe itself, whose result can be a model. */
struct ldl_part {
    char *name;
    struct ldl_recipe *recipe;
};
/* The row of a token for models that lack it; with force, for all. */
struct ldl_token_rule {
    const char *token;
    const char *model;      /* of which it is the row; NULL: zeros */
    const char *from_token; /* the row of this token there; NULL: of number id, */
    int64_t id;             /* or, when that is negative, of the token itself */
    int force;
    uint32_t line, column; /* where it is written, in the file of ldl_tokenizer */
};
/* The vocabulary of the output. Texts are borrowed from ldl_recipe.text. */
struct ldl_tokenizer {
    enum ldl_tokenizer_kind {
        LDL_TOKENIZER_COPIED, /* the base's files as they are; rows stay where they are */
        LDL_TOKENIZER_BASE,
        LDL_TOKENIZER_UNION,
        LDL_TOKENIZER_OF /* `model`, which need not be merged */
    } kind;
    const char *model, *file;
    struct ldl_token_rule *rule; /* owned */
    size_t nrules;
    uint64_t multiple; /* rows are padded to a multiple of it; 0: not */
};

struct ldl_recipe {
    const struct ldl_language *language;
    const struct ldl_method
        *method;                  /* a named row, or one made of the two types (see own_method) */
    struct ldl_method own_method; /* merge_type x sparsify_type without a name of its own; who
                                        moves a recipe points `method` here again */
    char *own_name;               /* its name, "trim+linear"; owned */

    /* Values of the parameters of the method's parts, for ldl_params_fill(). */
    struct ldl_value *value;
    size_t nvalues, values_cap;

    /* For languages whose parameters differ by model and tensor, in the place of value[]: as fill() of
     * struct ldl_settings. NULL: value[]. */
    int (*fill)(const struct ldl_recipe *r, const struct ldl_place *at,
                const struct ldl_param *rows, size_t nrows, size_t model, size_t m, void *into,
                double *room, struct ldl_err *err);
    void *text; /* what fill() reads; freed by text_free */
    void (*text_free)(void *text);
    struct ldl_slice *slice;
    size_t nslices;
    struct ldl_module *module; /* with slices one or more */
    size_t nmodules;
    size_t rest_model; /* as ldl_slice_source.model */

    struct ldl_part *part;
    size_t nparts;

    char **model; /* as the user wrote them, in order; at least one */
    size_t nmodels;
    char *base;         /* NULL: none */
    char *donor;        /* a model that gives side files only; NULL: the base, or the first model */
    char *lora;         /* a LoRA adapter that is applied to model[0]; NULL: none */
    char *output;       /* NULL only when the caller did not ask for one to be present */
    char *prefix;       /* "model" or "master_weights": the weights to look for */
    char *shard_prefix; /* how output shards are called */
    int64_t shards;     /* number of output shards (n_process), >= 1 */
    uint64_t shard_bytes; /* 0; or shards are cut by size instead: at most this, or one tensor */
    int plain_names;      /* one shard is called P.safetensors and has no index */
    char *format;         /* container of the output, "safetensors" or "gguf" */
    char **copy_file;     /* copy_file_list; NULL: the allow-list decides */
    size_t ncopy_files;
    int copy_given;

    char *device;         /* "cpu", "gpu", "low_gpu_mem" */
    enum ldl_dtype dtype; /* of the output; LDL_DTYPES: as the inputs; LDL_F8_E4M3: in blocks */
    uint64_t seed;
    int64_t threads;           /* 0: all cores */
    uint64_t max_memory_bytes; /* 0: the default budget */
    int overwrite, quiet, durable;

    struct ldl_names note;   /* lines for the user: what was accepted and has no effect ... */
    struct ldl_buf config;   /* the settings, to be used again; empty: they are not written */
    const char *config_name; /* "merge_config.json" */
    struct ldl_buf card;     /* README.md; empty: none */
    struct ldl_tokenizer tokenizer;
    char *chat_template; /* a Jinja text; NULL: as the donor has it, */
    int chat_auto;       /* or as most models have it */
    enum ldl_names_rule names_rule;
    char *report; /* where the audit is written; NULL: nowhere */
    int sorted;   /* tensors are written in the order of their names */
};

struct ldl_language {
    const char *name, *summary;
    const char
        *verb; /* NULL: of merge and plan; else of this verb alone, and never asked claims() */
    /* Does this command line (words after the verb) look like this language? */
    int (*claims)(int argc, const char *const *argv);
    /* The command line to a recipe. need_output: an output_path must be given (merge) or not (plan). */
    int (*parse)(struct ldl_recipe *r, int argc, const char *const *argv, int need_output,
                 struct ldl_err *err);
    /* The help text of the verbs that take this language, made from the parameter tables. */
    void (*help)(struct ldl_buf *out);
};

extern const struct ldl_language *const ldl_languages[]; /* list.def order, last is NULL */

/* verb: NULL for merge and plan, else the verb whose own language it is ("convert"). On failure *r is
 * empty. ldl_recipe_free() is idempotent, safe on a zeroed struct. */
int ldl_recipe_parse(struct ldl_recipe *r, const char *verb, int argc, const char *const *argv,
                     int need_output, struct ldl_err *err);
void ldl_recipe_free(struct ldl_recipe *r);
/* *to = a copy of from, NULL of NULL: for the recipe's texts, which ldl_recipe_free() releases. */
int ldl_recipe_text(char **to, const char *from, struct ldl_err *err);

#endif
