/* param.h -- typed parameter tables: the single place where a parameter's name, type, range,
 * default and help are written. Flag parsing, recipe checking, --help, `ladle methods`, the man
 * page and docs/ are all made from these rows.
 *
 * A part (sparsifier, combiner) declares a plain struct for its parameters and a table:
 *
 *     struct trim { double reserve_p; int rescale; };
 *     static const struct ldl_param rows[] = {
 *         LDL_PARAM_DOUBLE(struct trim, reserve_p, 0, 1, 0.7, "share of elements that is kept"), */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_PARAM_H
#define LDL_BASE_PARAM_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/mem.h"

enum ldl_type {
    LDL_T_BOOL,    /* int */
    LDL_T_INT,     /* int64_t */
    LDL_T_DOUBLE,  /* double; never NaN or infinite unless max is */
    LDL_T_WORD,    /* int: number of the word in `choices` */
    LDL_T_TEXT,    /* const char * */
    LDL_T_TEXTS,   /* struct ldl_list of const char * */
    LDL_T_DOUBLES, /* struct ldl_list of double */
    LDL_T_BYTES,   /* uint64_t; written 512M, 2G, 1048576 */
};

struct ldl_param {
    const char *name;
    enum ldl_type type;
    size_t offset;        /* in the part's struct */
    double min, max;      /* inclusive; for numbers */
    const char *fallback; /* default as text, NULL: none (not given) */
    const char *choices;  /* LDL_T_WORD: "sum|count" */
    const char *help;     /* one line, no final stop */
};

/* n items; text for LDL_T_TEXTS, num for LDL_T_DOUBLES. Borrowed from the recipe. */
struct ldl_list {
    size_t n;
    const char *const *text;
    const double *num;
};

#define LDL_PARAM_DOUBLE(s, f, lo, hi, def, text)                                                  \
    {                                                                                              \
#f, LDL_T_DOUBLE, offsetof(s, f), lo, hi, #def, NULL, text                                 \
    }
#define LDL_PARAM_BOOL(s, f, def, text)                                                            \
    {                                                                                              \
#f, LDL_T_BOOL, offsetof(s, f), 0, 1, #def, NULL, text                                     \
    }
#define LDL_PARAM_WORD(s, f, words, def, text)                                                     \
    {                                                                                              \
#f, LDL_T_WORD, offsetof(s, f), 0, 0, def, words, text                                     \
    }
#define LDL_PARAM_DOUBLES(s, f, lo, hi, text)                                                      \
    {                                                                                              \
#f, LDL_T_DOUBLES, offsetof(s, f), lo, hi, NULL, NULL, text                                \
    }

/* One value as the user gave it, already of the row's type and in its range. */
struct ldl_value {
    const struct ldl_param *param;
    char *origin;    /* "--reserve_p", "merge.json:3:16: reserve_p"; owned */
    double num;      /* BOOL, DOUBLE, WORD's number */
    int64_t integer; /* INT, BYTES */
    char **text;     /* TEXT (one), TEXTS; owned */
    double *nums;    /* DOUBLES; owned */
    size_t n;        /* items in text or nums */
};

/* Makes a value of row `p` from words ("0.7", or several for the list types). Errors name
 * `origin`, say what is wrong and what would be right. *v is empty on failure. */
int ldl_value_parse(struct ldl_value *v, const struct ldl_param *p, const char *const *words,
                    size_t n, const char *origin, struct ldl_err *err);
void ldl_value_free(struct ldl_value *v);
/* The value as a user would write it ("0.7", "true", "sum", "0.5 0.5"), appended to out. */
void ldl_value_text(const struct ldl_value *v, struct ldl_buf *out);
/* Writes every row's value into the struct at `into`: the one in `values` whose parameter has the
 * row's name, else the row's fallback. Lists stay borrowed from `values`. */
int ldl_params_fill(const struct ldl_param *rows, size_t nrows, void *into,
                    const struct ldl_value *values, size_t nvalues, struct ldl_err *err);
/* Text to number, whole word, locale-independent, no blanks: 0, or -1. Accepts nan and inf. */
int ldl_parse_double(const char *word, double *out);
int ldl_parse_int(const char *word, int64_t *out);    /* 12, -3, 1e3 is refused */
int ldl_parse_bytes(const char *word, uint64_t *out); /* 512M = 512 * 2^20; K M G T, iB allowed */
/* yes/true/t/y/1 and no/false/f/n/0 in any case: 0, or -1. */
int ldl_parse_bool(const char *word, int *out);
/* The i-th word of "a|b|c" compared with `word`; its number, or -1. */
int ldl_choice(const char *choices, const char *word);
/* "0..1", "sum|count", "true|false" for help; writes into out and returns it. */
const char *ldl_param_range(const struct ldl_param *p, char out[120]);

#endif
