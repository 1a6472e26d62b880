/* vocab.h -- joining the vocabularies of models:
 *
 *   vocab.c        who takes part; the tokens of the output
 *   vocab_rows.c   where each row of each model's tables comes from
 *   vocab_files.c  the tokenizer's files as they will be */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_PLAN_VOCAB_H
#define LDL_PLAN_VOCAB_H

#include "model/rowmap.h"
#include "model/tokenizer.h"
#include "plan/parts.h"

/* One model. */
struct ldl_party {
    struct ldl_vocab read;
    const struct ldl_vocab *vocab; /* its own, or the base's where it has none */
    uint64_t rows;                 /* that all its tables have */
    uint64_t limit;                /* tokens from this id on have no row */
    struct ldl_view *table;        /* copies, from before anything is mapped */
    size_t ntables;
    int again; /* an earlier one is the same model */
};
/* A token of the output, at the place of its id. */
struct ldl_out_token {
    const char *text; /* NULL: no token has this id */
    size_t len;
    unsigned char flags;
    unsigned char
        made_added; /* it is ordinary where the output begins, and added in another model */
    const struct ldl_token_rule *rule;
};
struct ldl_join {
    struct ldl_plan *p;
    struct ldl_party *party; /* ldl_plan_inputs() */
    size_t n;
    size_t base; /* the party that is the base; SIZE_MAX: none */
    struct ldl_vocab base_read, of_read;
    const struct ldl_vocab *first; /* the vocabulary that the output begins with, */
    uint64_t first_limit;          /* up to this id, */
    const char *asked;             /* the model of which it is, as the user wrote it, */
    struct ldl_files files;        /* its files, */
    char *dir;                     /* which are in another folder than the base's; or NULL */
    const struct ldl_plan *of;     /* and a result's that is not the base; or NULL */
    size_t dropped;                /* tokens of it that were left out, */
    size_t cut;                    /* and ordinary ones among them */
    size_t made_added;
    struct ldl_out_token *token;
    uint64_t ntokens, began; /* those from `began` on were appended */
    size_t tokens_cap;
    uint64_t rows; /* of the output's tables */
    int changed;   /* a table is not as it was */
};

/* The tables of a model whose rows are tokens. */
int ldl_join_is_table(const struct ldl_view *v);
int ldl_join_rows(struct ldl_join *j, struct ldl_err *err);
int ldl_join_files(struct ldl_join *j, struct ldl_err *err);

#endif
