/* tokenizer.h -- the vocabulary of a model: which text has which number.
 *
 * Read from tokenizer.json (the model's vocab of BPE, WordPiece, WordLevel and Unigram, and
 * added_tokens); where there is none, from the files of a "slow" tokenizer (tokenizer_slow.c). And the
 * three files in which a tokenizer lists added tokens, edited by splicing: everything else stays byte
 * for byte. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_TOKENIZER_H
#define LDL_MODEL_TOKENIZER_H

#include "base/json.h"
#include "model/model.h"

/* Ids are below this, and so are the numbers of tokens; the largest vocabularies have 2^18. */
enum { LDL_VOCAB_MOST = 1 << 22 };

enum ldl_token_flags {
    LDL_TOKEN_SINGLE_WORD = 1,
    LDL_TOKEN_LSTRIP = 2,
    LDL_TOKEN_RSTRIP = 4,
    LDL_TOKEN_NORMALIZED = 8,
    LDL_TOKEN_SPECIAL = 16
};

struct ldl_token {
    const char *text; /* may hold any byte */
    size_t len;
    uint32_t id;
    unsigned char flags;    /* of an added token */
    unsigned char added;    /* it is in added_tokens, */
    unsigned char ordinary; /* it is in the vocabulary proper; both may be */
    size_t at;              /* while reading */
};
struct ldl_vocab {
    struct ldl_token *token; /* in the order of their texts, each text once */
    size_t n, cap;
    const struct ldl_token **by_id;
    uint64_t size; /* one more than the highest id */
    struct ldl_buf text;
    int slow; /* there is no tokenizer.json: it lists added tokens in the other two files */
};

enum ldl_vocab_kind {
    LDL_VOCAB_NONE,   /* the folder has no tokenizer */
    LDL_VOCAB_READ,   /* *v is filled in */
    LDL_VOCAB_UNREAD, /* it has one that is not read: of a kind whose numbers are made by its code */
};
/* On failure *v is empty; ldl_vocab_free() is idempotent. */
int ldl_vocab_read(struct ldl_vocab *v, const struct ldl_files *files, enum ldl_vocab_kind *kind,
                   struct ldl_err *err);
void ldl_vocab_free(struct ldl_vocab *v);
const struct ldl_token *ldl_vocab_find(const struct ldl_vocab *v, const char *text, size_t len);
/* config.json's vocab_size, or the one inside the config of its text ("text_config"), of models with
 * several parts; UINT64_MAX: it says none. */
int ldl_vocab_config_size(const struct ldl_files *files, uint64_t *size, struct ldl_err *err);

/* ---- files ---- */

/* All that may belong to a tokenizer; NULL at the end. */
extern const char *const ldl_tokenizer_files[];

enum ldl_tokenizer_file {
    LDL_TOKENIZER_JSON,   /* tokenizer.json: [{"id", "content", flags}, ...] */
    LDL_TOKENIZER_CONFIG, /* tokenizer_config.json: {"id": {"content", flags}, ...} */
    LDL_TOKENIZER_ADDED,  /* added_tokens.json: {"content": id, ...} */
};
/* The text with added tokens from id `limit` on left out and add[0 .. n) appended. *changed: 0 when it
 * has no such list (of tokenizer.json that is an error). Texts of add[] hold no NUL. cut: NULL; or the
 * vocabulary that tokenizer.json has, whose ordinary tokens from id `limit` on are left out too, with
 * the merges of BPE that take one or make one. */
int ldl_tokenizer_edit(enum ldl_tokenizer_file file, const struct ldl_buf *text, const char *name,
                       const struct ldl_token *add, size_t n, uint64_t limit,
                       const struct ldl_vocab *cut, struct ldl_buf *out, int *changed,
                       struct ldl_err *err);
/* Such a list by itself, {...}, of tokens without NUL; not of tokenizer.json. */
void ldl_tokenizer_list(enum ldl_tokenizer_file file, const struct ldl_token *token, size_t n,
                        struct ldl_buf *out);

/* ---- what the files that read vocabularies share ---- */

/* A token with the flags that *like has; the text is copied. */
int ldl_vocab_put(struct ldl_vocab *v, const char *text, size_t len, const struct ldl_token *like,
                  struct ldl_err *err);
/* {"text": id, ...} */
int ldl_vocab_read_ids(struct ldl_vocab *v, struct ldl_json *j, int added, struct ldl_err *err);
/* {"content": text, "lstrip": ...}, with "id" or the id given; UINT64_MAX: none is. */
int ldl_vocab_read_added(struct ldl_vocab *v, struct ldl_json *j, uint64_t id, struct ldl_err *err);
/* tokenizer_slow.c: the whole of a vocabulary, but its order. */
int ldl_vocab_read_slow(struct ldl_vocab *v, const struct ldl_files *files,
                        enum ldl_vocab_kind *kind, struct ldl_err *err);
/* When they are in order: which of its added tokens are special. */
int ldl_vocab_mark_special(struct ldl_vocab *v, const struct ldl_files *files, struct ldl_err *err);
/* pieces.c: the pieces of a sentencepiece model. *known: 0 when the text is none, but tiktoken's. */
int ldl_pieces_read(struct ldl_vocab *v, const struct ldl_buf *text, const char *path, int *known,
                    struct ldl_err *err);
/* The longest file that is read. */
#define LDL_VOCAB_FILE_MAX ((uint64_t)256 << 20)

#endif
