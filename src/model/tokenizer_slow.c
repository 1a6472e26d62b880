/* tokenizer_slow.c -- vocabularies of folders without tokenizer.json, as the "slow" tokenizers of
 * transformers read them:
 *
 *   vocab.json                        {"text": id, ...}                  (with merges.txt: BPE)
 *   tokenizer.model, spiece.model     a sentencepiece model: a piece's id is its place
 *   vocab.txt                         a token is a line, its id the line's number from 0 on
 *
 * and beside it the added tokens: added_tokens_decoder in tokenizer_config.json; where that is not there,
 * added_tokens.json, of which those are special that special_tokens_map.json names.
 *
 * Some classes shift these numbers, or have tokens that no file lists: such a vocabulary counts as
 * not read, and nothing is guessed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

#include <string.h>
#include <strings.h>

enum { CONFIG_MAX_BYTES = 64 << 20, CLASS_MAX = 100 };

/* What tokenizer_config.json says. */
struct config {
    char class[CLASS_MAX]; /* tokenizer_class; else, of config.json, model_type */
    int lists;             /* it has an added_tokens_decoder */
};

/* ---- vocab.txt ---- */

/* Lines as Python's text files have them: \n, \r\n and \r end one. */
static int read_lines(struct ldl_vocab *v, const struct ldl_buf *text, const char *path,
                      struct ldl_err *err)
{
    const char *at = text->len ? text->text : "", *end = at + text->len;
    for (size_t line = 0; at < end; line++) {
        const char *to = at;
        for (size_t n = 1; to < end && *to != '\n' && *to != '\r'; to += n)
            if ((n = ldl_utf8_len((const unsigned char *)to, (size_t)(end - to))) == 0)
                return ldl_fail(err, LDL_EINPUT, "%s:%zu: a token that is not UTF-8", path,
                                line + 1);
        if (line >= LDL_VOCAB_MOST)
            return ldl_fail(err, LDL_EINPUT, "%s: more than %d tokens", path, (int)LDL_VOCAB_MOST);
        const struct ldl_token like = { .id = (uint32_t)line, .ordinary = 1 };
        int rc = ldl_vocab_put(v, at, (size_t)(to - at), &like, err);
        if (rc)
            return rc;
        to += to < end && *to == '\r' && to + 1 < end && to[1] == '\n';
        at = to + (to < end);
    }
    if (v->n == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: it has no tokens", path);
    return 0;
}

/* ---- added tokens ---- */

/* {"id": {"content": ...}, ...} */
static int read_decoder(struct ldl_vocab *v, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        uint64_t id = 0;
        size_t n = strspn(key.text, "0123456789");
        for (size_t i = 0; i < n && id < LDL_VOCAB_MOST; i++)
            id = 10 * id + (uint64_t)(key.text[i] - '0');
        rc = n == 0 || n != key.len || id >= LDL_VOCAB_MOST
                 ? ldl_json_fail(j, err, "added_tokens_decoder: '%.40s' is no number below %d",
                                 key.text, (int)LDL_VOCAB_MOST)
                 : ldl_vocab_read_added(v, j, id, err);
    }
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

/* What is asked of a config; v NULL: the class alone. */
struct asked {
    struct ldl_vocab *v;
    const char *class;
    struct config *c;
};

static int read_config(void *to, struct ldl_json *j, struct ldl_err *err)
{
    struct asked *a = to;
    struct ldl_buf key = { 0 }, word = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0) {
        int next = ldl_json_peek(j);
        if (strcmp(key.text, a->class) == 0 && next == '"') {
            if ((rc = ldl_json_string(j, &word, err)) == 0)
                strncpy(a->c->class, word.text, CLASS_MAX - 1);
        } else if (a->v && strcmp(key.text, "added_tokens_decoder") == 0 && next == '{') {
            a->c->lists = 1;
            rc = read_decoder(a->v, j, err);
        } else {
            rc = ldl_json_skip(j, NULL, NULL, err);
        }
    }
    ldl_buf_free(&key);
    ldl_buf_free(&word);
    return rc < 0 ? -rc : rc;
}

static int read_added_ids(void *v, struct ldl_json *j, struct ldl_err *err)
{
    return ldl_vocab_read_ids(v, j, 1, err);
}

/* ---- which of them are special ---- */

static void mark(struct ldl_vocab *v, const struct ldl_buf *text)
{
    struct ldl_token *t = (struct ldl_token *)ldl_vocab_find(v, text->text, text->len);
    if (t && t->added && !t->ordinary)
        t->flags = LDL_TOKEN_SPECIAL;
}

/* "text", {"content": "text"}, or a list of such; deeper levels are checked and passed over. */
static int mark_value(struct ldl_vocab *v, struct ldl_json *j, int level, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    int rc, c = ldl_json_peek(j);
    if (c == '"') {
        if ((rc = ldl_json_string(j, &text, err)) == 0)
            mark(v, &text);
    } else if (c == '{') {
        rc = ldl_json_enter(j, '{', err);
        while (rc == 0 && (rc = ldl_json_member(j, &text, err)) > 0)
            rc = strcmp(text.text, "content") == 0 && ldl_json_peek(j) == '"'
                     ? mark_value(v, j, level + 1, err)
                     : ldl_json_skip(j, NULL, NULL, err);
    } else if (c == '[' && level == 0) {
        rc = ldl_json_enter(j, '[', err);
        while (rc == 0 && (rc = ldl_json_item(j, err)) > 0)
            rc = mark_value(v, j, level + 1, err);
    } else {
        rc = ldl_json_skip(j, NULL, NULL, err);
    }
    ldl_buf_free(&text);
    return rc < 0 ? -rc : rc;
}

static int mark_values(void *v, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    int rc = ldl_json_enter(j, '{', err);
    while (rc == 0 && (rc = ldl_json_member(j, &key, err)) > 0)
        rc = mark_value(v, j, 0, err);
    ldl_buf_free(&key);
    return rc < 0 ? -rc : rc;
}

int ldl_vocab_mark_special(struct ldl_vocab *v, const struct ldl_files *files, struct ldl_err *err)
{
    int there;
    return ldl_files_json(files, "special_tokens_map.json", CONFIG_MAX_BYTES, mark_values, v,
                          &there, err);
}

/* ---- all of it ---- */

/* Do the class's numbers differ from the file's? Pegasus puts 103 tokens first, M2M100 its languages last,
 * PhoBERT and BERTweet read pairs; T5 has 100 tokens <extra_id_N> behind the pieces, which newer
 * files list and older ones do not. */
static int is_shifted(const struct config *c)
{
    static const char *const always[] = { "pegasus", "m2m", "phobert", "bertweet" };
    static const char *const unlisted[] = { "t5", "mt5", "umt5" };
    for (size_t i = 0; i < LDL_COUNT(always); i++)
        if (strncasecmp(c->class, always[i], strlen(always[i])) == 0)
            return 1;
    for (size_t i = 0; i < LDL_COUNT(unlisted) && !c->lists; i++)
        if (strncasecmp(c->class, unlisted[i], strlen(unlisted[i])) == 0)
            return 1;
    return 0;
}

static int has_other(const char *dir)
{
    static const char *const names[] = { "sentencepiece.bpe.model", "spm.model", "source.spm",
                                         "tekken.json", "qwen.tiktoken" };
    int found = 0;
    for (size_t i = 0; i < LDL_COUNT(names) && !found; i++) {
        char *path = ldl_path_join(dir, names[i]);
        found = path && ldl_exists(path);
        ldl_free(path);
    }
    return found;
}

static int read_ids(void *v, struct ldl_json *j, struct ldl_err *err)
{
    return ldl_vocab_read_ids(v, j, 0, err);
}

static int read_text(struct ldl_vocab *v, const struct ldl_files *files, const char *name,
                     int *there, int *known, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    char *path;
    int rc = ldl_files_read(files, name, LDL_VOCAB_FILE_MAX, &text, &path, there, err);
    if (rc == 0 && *there)
        rc = ldl_has_suffix(name, ".txt") ? read_lines(v, &text, path, err)
                                          : ldl_pieces_read(v, &text, path, known, err);
    ldl_buf_free(&text);
    ldl_free(path);
    return rc;
}

/* The vocabulary proper, when the folder has such a file. */
static int read_file(struct ldl_vocab *v, const struct ldl_files *files, const char *name,
                     enum ldl_vocab_kind *kind, struct ldl_err *err)
{
    int known = 1, there;
    int rc = ldl_has_suffix(name, ".json")
                 ? ldl_files_json(files, name, LDL_VOCAB_FILE_MAX, read_ids, v, &there, err)
                 : read_text(v, files, name, &there, &known, err);
    if (there)
        *kind = known ? LDL_VOCAB_READ : LDL_VOCAB_UNREAD;
    return rc;
}

/* What the configs say. */
static int ask(struct ldl_vocab *v, const struct ldl_files *files, const char *name,
               const char *class, struct config *c, struct ldl_err *err)
{
    int there;
    struct asked a = { v, class, c };
    return ldl_files_json(files, name, CONFIG_MAX_BYTES, read_config, &a, &there, err);
}

int ldl_vocab_read_slow(struct ldl_vocab *v, const struct ldl_files *files,
                        enum ldl_vocab_kind *kind, struct ldl_err *err)
{
    static const char *const names[] = { "vocab.json", "tokenizer.model", "spiece.model",
                                         "vocab.txt" };
    struct config c = { 0 };
    int there, rc = 0;
    *kind = LDL_VOCAB_NONE;
    for (size_t i = 0; rc == 0 && *kind == LDL_VOCAB_NONE && i < LDL_COUNT(names); i++)
        rc = read_file(v, files, names[i], kind, err);
    if (*kind == LDL_VOCAB_NONE && has_other(files->dir))
        *kind = LDL_VOCAB_UNREAD;
    if (rc || *kind != LDL_VOCAB_READ)
        return rc;
    rc = ask(v, files, "tokenizer_config.json", "tokenizer_class", &c, err);
    if (rc == 0 && !c.class[0])
        rc = ask(NULL, files, "config.json", "model_type", &c, err);
    if (rc == 0 && is_shifted(&c))
        *kind = LDL_VOCAB_UNREAD;
    if (rc || c.lists || *kind != LDL_VOCAB_READ)
        return rc;
    return ldl_files_json(files, "added_tokens.json", LDL_VOCAB_FILE_MAX, read_added_ids, v, &there,
                          err);
}
