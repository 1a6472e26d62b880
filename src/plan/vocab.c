/* vocab.c -- the vocabulary of the output, as mergekit joins them.
 *
 *   base    the base's tokens
 *   MODEL   that model's tokens, all of them
 *   union   the base's with their ids; then those of the other models, model after model, by id: first
 *           the ordinary ones, then the added ones. All that is appended is an added token.
 *   then    tokens that rules name and nobody has
 *
 * Tokens whose id is not below vocab_size (and the rows that a model's tables have) have no row: they are
 * left out of the base and of a union, and count as missing elsewhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/vocab.h"
#include "model/layers.h"
#include "model/tied.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- who takes part ---- */

int ldl_join_is_table(const struct ldl_view *v)
{
    struct ldl_layer layer;
    if (ldl_layer_of(v->name, &layer) || v->n == 0)
        return 0;
    return (v->ndim == 2 && (ldl_tied_is_head(v->name) || ldl_tied_is_embedding(v->name))) ||
           (v->ndim == 1 && ldl_has_suffix(v->name, "lm_head.bias"));
}

static int open_vocab(struct ldl_vocab *v, const struct ldl_model *m, enum ldl_vocab_kind *kind,
                      struct ldl_err *err)
{
    *kind = LDL_VOCAB_NONE;
    if (m->lone && !m->has_config) /* what lies beside it may be anybody's */
        return 0;
    return ldl_vocab_read(v, m->dir, kind, err);
}

/* Rows of all tables, and up to where tokens have one. */
static int measure(const struct ldl_model *m, uint64_t *rows, uint64_t *limit, struct ldl_err *err)
{
    uint64_t inner;
    *rows = *limit = UINT64_MAX;
    for (size_t i = 0; i < m->nviews; i++)
        if (ldl_join_is_table(&m->view[i]))
            *rows = LDL_MIN(*rows, m->view[i].dim[0]);
    int rc = m->has_config ? ldl_vocab_config_size(m->dir, limit, &inner, err) : 0;
    *limit = LDL_MIN(*limit, *rows);
    return rc;
}

static int copy_tables(struct ldl_party *party, const struct ldl_model *m, struct ldl_err *err)
{
    if (!(party->table = ldl_calloc(LDL_MAX(m->nviews, (size_t)1), sizeof *party->table)))
        return ldl_oom(err);
    for (size_t i = 0; i < m->nviews; i++)
        if (ldl_join_is_table(&m->view[i]))
            party->table[party->ntables++] = m->view[i];
    if (party->ntables)
        return 0;
    return ldl_fail(
        err, LDL_EINPUT,
        "%s: no embedding is found in it; joining tokenizers for such a model is not in "
        "this build",
        m->asked);
}

/* *ready: 0 when its vocabulary is not read. */
static int open_party(struct ldl_join *j, size_t i, int *ready, struct ldl_err *err)
{
    struct ldl_party *party = &j->party[i];
    const struct ldl_model *m = &j->p->model[i];
    enum ldl_vocab_kind kind;
    int rc = open_vocab(&party->read, m, &kind, err);
    if (rc)
        return rc;
    for (size_t k = 0; k < i; k++)
        party->again |= strcmp(j->p->model[k].asked, m->asked) == 0;
    party->vocab = kind == LDL_VOCAB_READ ? &party->read : &j->base_read;
    *ready &= kind != LDL_VOCAB_UNREAD;
    return measure(m, &party->rows, &party->limit, err);
}

/* The vocabulary that the output begins with. */
static int open_first(struct ldl_join *j, const struct ldl_model *base, int *ready,
                      struct ldl_err *err)
{
    const struct ldl_tokenizer *t = &j->p->recipe.tokenizer;
    enum ldl_vocab_kind kind;
    uint64_t rows;
    int rc = open_vocab(&j->base_read, base, &kind, err);
    *ready = kind == LDL_VOCAB_READ;
    j->first = &j->base_read;
    if (rc == 0)
        rc = measure(base, &rows, &j->first_limit, err);
    if (rc || t->kind != LDL_TOKENIZER_OF)
        return rc || (j->dir = ldl_strdup(base->dir)) ? rc : ldl_oom(err);
    if ((rc = ldl_resolve(t->model, &j->dir, err)))
        return rc;
    rc = ldl_vocab_read(&j->of_read, j->dir, &kind, err);
    *ready &= rc == 0 && kind == LDL_VOCAB_READ;
    j->first = &j->of_read;
    j->first_limit = UINT64_MAX;
    return rc;
}

static int open_all(struct ldl_join *j, int *ready, struct ldl_err *err)
{
    struct ldl_plan *p = j->p;
    const struct ldl_model *base = ldl_plan_giver(p);
    int rc = open_first(j, base, ready, err);
    if (!(j->party = ldl_calloc(j->n, sizeof *j->party)))
        return rc ? rc : ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        rc = open_party(j, i, ready, err);
    for (size_t i = 0; rc == 0 && *ready && i < j->n; i++)
        rc = copy_tables(&j->party[i], &p->model[i], err);
    j->base = p->base ? p->nmodels : SIZE_MAX;
    for (size_t i = p->nmodels; p->recipe.donor && i-- > 0;)
        if (strcmp(p->model[i].asked, p->recipe.donor) == 0)
            j->base = i;
    return rc;
}

/* ---- tokens of the output ---- */

static int in_first(const struct ldl_join *j, const struct ldl_token *t)
{
    const struct ldl_token *f = ldl_vocab_find(j->first, t->text, t->len);
    return f && f->id < j->first_limit;
}

static int take_first(struct ldl_join *j, struct ldl_err *err)
{
    const struct ldl_vocab *v = j->first;
    uint64_t n = LDL_MIN(v->size, j->first_limit);
    if (n == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: its tokenizer has no tokens", j->dir);
    if (ldl_grow(&j->token, &j->tokens_cap, (size_t)n, sizeof *j->token))
        return ldl_oom(err);
    memset(j->token, 0, (size_t)n * sizeof *j->token);
    for (size_t i = 0; i < v->n; i++) {
        const struct ldl_token *t = v->by_id[i];
        if (t->id < n) {
            j->token[t->id] = (struct ldl_out_token){ .text = t->text, .len = t->len };
            j->ntokens = (uint64_t)t->id + 1;
            continue;
        }
        j->dropped++;
        if (t->ordinary)
            return ldl_fail(err, LDL_EINPUT,
                            "%s: token %u of its vocabulary is beyond the %llu rows of the model; "
                            "cutting a vocabulary is not in this build",
                            j->dir, (unsigned)t->id, (unsigned long long)n);
    }
    j->began = j->ntokens;
    return 0;
}

static int append(struct ldl_join *j, const char *text, size_t len, unsigned flags,
                  struct ldl_err *err)
{
    if (j->ntokens >= LDL_VOCAB_MOST)
        return ldl_fail(err, LDL_EINPUT, "the tokenizers have more than %d tokens together",
                        (int)LDL_VOCAB_MOST);
    if (len == 0 || memchr(text, 0, len))
        return ldl_fail(err, LDL_EINPUT,
                        "a token without text, or with a NUL in it, would have to be added to the "
                        "tokenizer; that is not in this build");
    if (ldl_grow(&j->token, &j->tokens_cap, (size_t)j->ntokens + 1, sizeof *j->token))
        return ldl_oom(err);
    j->token[j->ntokens++] =
        (struct ldl_out_token){ .text = text, .len = len, .flags = (unsigned char)flags };
    return 0;
}

/* Does one of the first n models have it: as an added token, or in any way? */
static int had(const struct ldl_join *j, size_t n, const struct ldl_token *t, int as_added)
{
    for (size_t i = 0; i < n; i++) {
        const struct ldl_token *f = ldl_vocab_find(j->party[i].vocab, t->text, t->len);
        if (f && f->id < j->party[i].limit && (f->added || !as_added))
            return 1;
    }
    return 0;
}

static int take_others(struct ldl_join *j, int added, struct ldl_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < j->n; i++) {
        const struct ldl_party *party = &j->party[i];
        for (size_t k = 0; k < party->vocab->n && rc == 0; k++) {
            const struct ldl_token *t = party->vocab->by_id[k];
            if (t->id >= party->limit || in_first(j, t) || t->added != added)
                continue;
            if (had(j, i, t, added) || (!added && had(j, j->n, t, 1)))
                continue;
            rc = append(j, t->text, t->len, added ? t->flags : LDL_TOKEN_NORMALIZED, err);
        }
    }
    return rc;
}

static int by_text(const void *a, const void *b)
{
    const struct ldl_out_token *x = *(struct ldl_out_token *const *)a;
    const struct ldl_out_token *y = *(struct ldl_out_token *const *)b;
    size_t n = LDL_MIN(x->len, y->len);
    int order = memcmp(x->text, y->text, n);
    return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

/* How the first model that has it as an added token has it. */
static unsigned flags_of(const struct ldl_join *j, const char *text)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct ldl_token *f = ldl_vocab_find(j->party[i].vocab, text, strlen(text));
        if (f && f->added)
            return f->flags;
    }
    return LDL_TOKEN_NORMALIZED;
}

/* Each rule to its token; tokens of rules that nobody has are appended. */
static int take_rules(struct ldl_join *j, struct ldl_err *err)
{
    const struct ldl_tokenizer *t = &j->p->recipe.tokenizer;
    size_t n = 0;
    uint64_t *id = ldl_calloc(t->nrules + 1, sizeof *id);
    struct ldl_out_token **sorted = ldl_calloc((size_t)j->ntokens, sizeof *sorted);
    int rc = sorted && id ? 0 : ldl_oom(err);
    for (uint64_t k = 0; rc == 0 && k < j->ntokens; k++)
        if (j->token[k].text)
            sorted[n++] = &j->token[k];
    if (n && rc == 0)
        qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; rc == 0 && i < t->nrules; i++) { /* appending may move the tokens */
        struct ldl_out_token key = { .text = t->rule[i].token, .len = strlen(t->rule[i].token) };
        struct ldl_out_token *k = &key, **found = bsearch(&k, sorted, n, sizeof *sorted, by_text);
        id[i] = found ? (uint64_t)(*found - j->token) : UINT64_MAX;
    }
    for (size_t i = 0; rc == 0 && i < t->nrules; i++) {
        const char *text = t->rule[i].token;
        if (id[i] == UINT64_MAX) {
            id[i] = j->ntokens;
            rc = append(j, text, strlen(text), flags_of(j, text), err);
        }
        if (rc == 0)
            j->token[id[i]].rule = &t->rule[i];
    }
    ldl_free(sorted);
    ldl_free(id);
    return rc;
}

static int take_tokens(struct ldl_join *j, struct ldl_err *err)
{
    const struct ldl_tokenizer *t = &j->p->recipe.tokenizer;
    int rc = take_first(j, err);
    if (rc == 0 && t->kind == LDL_TOKENIZER_UNION && (rc = take_others(j, 0, err)) == 0)
        rc = take_others(j, 1, err);
    if (rc == 0 && t->nrules)
        rc = take_rules(j, err);
    uint64_t multiple = LDL_MAX(t->multiple, (uint64_t)1);
    j->rows = (j->ntokens + multiple - 1) / multiple * multiple;
    return rc;
}

/* ---- all of it ---- */

static void release(struct ldl_join *j)
{
    for (size_t i = 0; j->party && i < j->n; i++) {
        ldl_vocab_free(&j->party[i].read);
        ldl_free(j->party[i].table);
    }
    ldl_free(j->party);
    ldl_vocab_free(&j->base_read);
    ldl_vocab_free(&j->of_read);
    ldl_free(j->dir);
    ldl_free(j->token);
}

static int note_tokens(const struct ldl_join *j, struct ldl_err *err)
{
    char text[1024];
    unsigned long long first = j->began, more = j->ntokens - j->began;
    snprintf(text, sizeof text,
             "tokenizer: %llu tokens of %.300s and %llu that are added to it; embeddings have %llu "
             "rows, %llu of them padding",
             first, j->dir, more, (unsigned long long)j->rows,
             (unsigned long long)(j->rows - j->ntokens));
    int rc = ldl_plan_note(j->p, text, err);
    if (rc || !j->dropped)
        return rc;
    snprintf(text, sizeof text,
             "tokenizer: %zu added tokens of %.300s have no row in the model, so they are left out",
             j->dropped, j->dir);
    return ldl_plan_note(j->p, text, err);
}

/* Where vocabularies are not read: nothing is to do if all are one. */
static int check_unread(const struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_tokenizer *t = &p->recipe.tokenizer;
    int rc = ldl_plan_same_tokenizers(p, err);
    if (rc == 0 && (t->nrules || t->multiple))
        rc = ldl_fail(err, LDL_EUSAGE,
                      "%s: there is no tokenizer.json, and tokens or pad_to_multiple_of without "
                      "it are not in this build",
                      t->file);
    return rc;
}

/* What the rest of the plan cannot do with another vocabulary. */
static int check_change(const struct ldl_join *j, struct ldl_err *err)
{
    if (j->changed && strcmp(j->p->container->name, "gguf") == 0)
        return ldl_fail(err, LDL_EUSAGE,
                        "another vocabulary than the models have, with --format gguf, is not in "
                        "this build");
    return 0;
}

/* Rows of a result are made while they are read: nothing could be mapped under them. */
static int check_results(const struct ldl_plan *p, struct ldl_err *err)
{
    for (size_t i = 0; i < ldl_plan_inputs(p); i++)
        if (p->model[i].made_by)
            return ldl_fail(err, LDL_EUSAGE,
                            "%s: a tokenizer_source, where a model is another recipe's result, is "
                            "not in this build; write the result with a merge of its own first",
                            p->model[i].asked);
    return 0;
}

int ldl_plan_vocab(struct ldl_plan *p, int *mapped, struct ldl_err *err)
{
    struct ldl_join j = { .p = p, .n = ldl_plan_inputs(p) };
    int ready = 1, rc = check_results(p, err);
    if (rc)
        return rc;
    rc = open_all(&j, &ready, err);
    *mapped = rc == 0 && ready;
    if (rc == 0 && !ready)
        rc = check_unread(p, err);
    if (rc || !ready)
        goto out;
    if ((rc = take_tokens(&j, err)) || (rc = ldl_join_rows(&j, err)))
        goto out;
    if ((j.changed || j.began < j.ntokens || j.dropped) && (rc = note_tokens(&j, err)))
        goto out;
    if ((rc = check_change(&j, err)))
        goto out;
    p->rows = j.rows;
    rc = ldl_join_files(&j, err);
out:
    release(&j);
    return rc;
}
