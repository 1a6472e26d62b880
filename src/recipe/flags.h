/* flags.h -- a command line, or a JSON file of settings, to typed values, by one table of flags.
 *
 * A table row is a struct ldl_param (base/param.h) and what only a command line needs: a heading
 * and a placeholder for the help. The same table parses words, parses JSON, writes the settings
 * back as JSON and writes the help, so that no two of them can disagree.
 *
 *     --name V   --name=V   --na-me V   --nam V   --list V V V   --bool   --bool V   --no_bool
 *
 * `-` and `_` are one character in a name. An exact name wins over a prefix, and a prefix must mean
 * one flag. A word that begins with '-' is a flag unless a digit or a point follows (-0.5) or it is
 * a number as a whole (-inf). A flag takes all words up to the next flag. Of equal flags the last
 * wins, and words win over JSON, which is therefore read first. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_RECIPE_FLAGS_H
#define LDL_RECIPE_FLAGS_H

#include "base/param.h"

enum { LDL_MAX_FLAGS = 64, LDL_FLAG_WORD = 64 };

struct ldl_flag {
    const struct ldl_param *param;
    const char *group;    /* heading in the help; equal ones stand together in the table */
    const char *metavar;  /* stands for the value in the help; NULL: by the type */
    const char *alias_of; /* this row is another name of that earlier row; NULL: it is not */
    int recorded;         /* belongs to the settings that ldl_args_write() writes */
};

/* Borrowed by struct ldl_args; the params must outlive the values that are parsed. */
struct ldl_flags {
    struct ldl_flag flag[LDL_MAX_FLAGS];
    size_t n;
};

enum ldl_source { LDL_FROM_NOTHING, LDL_FROM_DEFAULT, LDL_FROM_JSON, LDL_FROM_WORDS };

struct ldl_arg {
    struct ldl_value value; /* owned; empty when the source is LDL_FROM_NOTHING */
    enum ldl_source source;
    const char *name; /* the row's own or an alias, whichever was used */
};

/* arg[i] belongs to flags->flag[i]; the value of an alias is at the row that it stands for. */
struct ldl_args {
    const struct ldl_flags *flags;
    struct ldl_arg arg[LDL_MAX_FLAGS];
};

/* All failures are LDL_EUSAGE (LDL_EIO: memory, or the file cannot be read); values parsed until
 * then stay in *a. Safe on a zeroed struct with `flags` set; ldl_args_free() is idempotent. */
int ldl_args_words(struct ldl_args *a, int argc, const char *const *argv, struct ldl_err *err);
int ldl_args_read(struct ldl_args *a, const char *json_path, struct ldl_err *err);
/* Gives every row without a value its fallback. */
int ldl_args_defaults(struct ldl_args *a, struct ldl_err *err);
/* Sets row `index` as if it had been given in that way. */
int ldl_args_set(struct ldl_args *a, size_t index, enum ldl_source source, const char *const *words,
                 size_t n, const char *origin, struct ldl_err *err);
/* Replaces a value by what a rule decided; n 0: the row has no value then. */
int ldl_args_decide(struct ldl_args *a, const char *name, const char *const *words, size_t n,
                    struct ldl_err *err);
void ldl_args_free(struct ldl_args *a);

/* The row's value, NULL when it has none; the name must be in the table. */
const struct ldl_value *ldl_args_find(const struct ldl_args *a, const char *name);
/* LDL_FROM_NOTHING when the row has no value. */
enum ldl_source ldl_args_source(const struct ldl_args *a, const char *name);

/* Does this word, a flag of the table, take its value from the words behind it? 0: it has one (=), or is a
 * boolean; -1: it is no flag of the table. */
int ldl_flag_wants(const struct ldl_flags *flags, const char *word);

/* The word of an LDL_T_WORD value. Writes into out and returns it. */
const char *ldl_flag_word(const struct ldl_value *v, char out[LDL_FLAG_WORD]);

/* The recorded rows as a JSON object, keys sorted, as Python's json.dump(indent=2, sort_keys=True)
 * lays it out; null for a row without a value. */
void ldl_args_write(const struct ldl_args *a, struct ldl_buf *out);
/* Headings and one entry for each flag; no line is longer than 100 columns. */
void ldl_flags_help(const struct ldl_flags *flags, struct ldl_buf *out);

#endif
