/* fuzz_tokenizer.c -- any bytes as one of a tokenizer's files: reading ends with one line of error, or with a
 * vocabulary whose order and numbers hold; a token that is then put into its lists is read again.
 * The first byte chooses the file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include "model/tokenizer.h"

static const char *const names[] = { "tokenizer.json",         "vocab.json",
                                     "tokenizer.model",        "vocab.txt",
                                     "tokenizer_config.json",  "added_tokens.json",
                                     "special_tokens_map.json" };
enum { TOKENIZER, CONFIG = 4, ADDED };
#define NEW_TOKEN "<a token that is \"new\">"

static void check(const struct ldl_vocab *v)
{
    FUZZ_CHECK(v->n == 0 || v->size <= LDL_VOCAB_MOST);
    for (size_t i = 0; i < v->n; i++) {
        const struct ldl_token *t = &v->token[i];
        FUZZ_CHECK(t->id < v->size && (t->added || t->ordinary));
        FUZZ_CHECK(ldl_vocab_find(v, t->text, t->len) == t);
        FUZZ_CHECK(i == 0 || v->by_id[i - 1]->id <= v->by_id[i]->id);
    }
}

static int read_vocab(struct ldl_vocab *v, const struct ldl_files *files)
{
    struct ldl_err err = { 0 };
    enum ldl_vocab_kind kind;
    uint64_t size;
    if (ldl_vocab_config_size(files, &size, &err))
        fuzz_check_error(&err);
    if (ldl_vocab_read(v, files, &kind, &err)) {
        fuzz_check_error(&err);
        FUZZ_CHECK(!v->token && !v->text.text);
        return 0;
    }
    FUZZ_CHECK(kind == LDL_VOCAB_READ || !v->token);
    check(v);
    return kind == LDL_VOCAB_READ;
}

/* The file with one more token in its list, read again. */
static void edit(const struct ldl_vocab *v, struct ldl_files *files, struct ldl_edited *e,
                 enum ldl_tokenizer_file file, uint64_t limit)
{
    const struct ldl_token add = { .text = NEW_TOKEN,
                                   .len = strlen(NEW_TOKEN),
                                   .id = (uint32_t)v->size,
                                   .flags = LDL_TOKEN_SPECIAL };
    struct ldl_err err = { 0 };
    struct ldl_buf out = { 0 }, was = e->text;
    struct ldl_vocab again;
    const struct ldl_token *t;
    int changed;
    if (ldl_tokenizer_edit(file, &e->text, e->name, &add, 1, limit, NULL, &out, &changed, &err)) {
        fuzz_check_error(&err);
    } else if (changed && limit >= v->size && v->size < LDL_VOCAB_MOST) {
        e->text = out;
        FUZZ_CHECK(read_vocab(&again, files));
        FUZZ_CHECK((t = ldl_vocab_find(&again, add.text, add.len)) && t->added);
        FUZZ_CHECK(ldl_vocab_find(v, add.text, add.len) || t->id == add.id);
        ldl_vocab_free(&again);
        e->text = was;
    }
    ldl_buf_free(&out);
}

/* tokenizer.json with half of its numbers, read again. */
static void cut(const struct ldl_vocab *v, struct ldl_files *files, struct ldl_edited *e)
{
    struct ldl_err err = { 0 };
    struct ldl_buf out = { 0 }, was = e->text;
    struct ldl_vocab again;
    uint64_t limit = v->size / 2;
    int changed;
    if (ldl_tokenizer_edit(LDL_TOKENIZER_JSON, &e->text, e->name, NULL, 0, limit, v, &out, &changed,
                           &err)) {
        fuzz_check_error(&err);
    } else {
        e->text = out;
        FUZZ_CHECK(read_vocab(&again, files) && again.size <= limit);
        for (size_t i = 0; i < again.n; i++)
            FUZZ_CHECK(ldl_vocab_find(v, again.token[i].text, again.token[i].len));
        ldl_vocab_free(&again);
        e->text = was;
    }
    ldl_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char words[] = "{\"a\": 0, \"b\": 1}";
    if (n == 0)
        return 0;
    size_t which = bytes[0] % LDL_COUNT(names);
    struct ldl_edited e[2] = { { names[which], { 0 } }, { "vocab.json", { 0 } } };
    struct ldl_files files = { "/nowhere", e, which >= CONFIG ? 2 : 1 };
    struct ldl_vocab v;
    ldl_buf_put(&e[0].text, bytes + 1, n - 1);
    ldl_buf_puts(&e[1].text, words);
    FUZZ_CHECK(!e[0].text.failed && !e[1].text.failed);
    if (read_vocab(&v, &files)) {
        enum ldl_tokenizer_file file = which == TOKENIZER ? LDL_TOKENIZER_JSON
                                       : which == CONFIG  ? LDL_TOKENIZER_CONFIG
                                                          : LDL_TOKENIZER_ADDED;
        if (which == TOKENIZER || which == CONFIG || which == ADDED) {
            edit(&v, &files, &e[0], file, v.size);
            edit(&v, &files, &e[0], file, v.size / 2);
        }
        if (which == TOKENIZER)
            cut(&v, &files, &e[0]);
        ldl_vocab_free(&v);
    }
    ldl_buf_free(&e[0].text);
    ldl_buf_free(&e[1].text);
    return 0;
}
