/* tied.c -- see tied.h.
 *
 * A tied model has one matrix for two uses. How that looks depends on who wrote the file: transformers
 * leaves the second name out, torch.save stores both names over one storage, others store it twice.
 * Names that loaders tie by themselves are left out here too. Other tensors that share bytes stay
 * tensors of their own, since a loader that was not told would miss them; but that they share tells
 * what a model means that has only one of the two names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tied.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How many names of the same bytes, and how many heads, are looked at: each is a search, and a hostile
 * file may hold any number. */
enum { TWINS_MAX = 16, HEADS_MAX = 16 };

static const char *const heads[] = { "lm_head.weight",         "embed_out.weight",
                                     "output.weight",          "predictions.decoder.weight",
                                     "lm_head.decoder.weight", "proj_out.weight",
                                     "vocab_projector.weight" };
/* The first that is there wins, so that an encoder-decoder's common matrix comes before its parts. */
static const char *const embeddings[] = {
    "shared.weight",          "embed_tokens.weight", "wte.weight",
    "word_embeddings.weight", "embed_in.weight",     "token_embd.weight",
    "tok_embeddings.weight",  "embeddings.weight"
};
/* Of an encoder-decoder: the common matrix, embeddings[0], under its parts' names. */
static const char *const parts[] = { "encoder.embed_tokens.weight", "decoder.embed_tokens.weight" };

/* Is `name`, of len bytes, the tail, or does it end with it after a dot? */
static int has_tail(const char *name, size_t len, const char *tail)
{
    size_t t = strlen(tail);
    return len >= t && memcmp(name + len - t, tail, t) == 0 &&
           (len == t || name[len - t - 1] == '.');
}

static int ends_with(const char *name, const char *tail)
{
    return has_tail(name, strlen(name), tail);
}

static int is_one_of(const char *name, const char *const *tail, size_t n)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (has_tail(name, len, tail[i]))
            return 1;
    return 0;
}

static int same_shape(const struct ldl_view *a, const struct ldl_view *b)
{
    return a->ndim == b->ndim && memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->ndim) == 0;
}

static int same_bytes(const struct ldl_view *a, const struct ldl_view *b)
{
    const struct ldl_stored *x = a->stored, *y = b->stored;
    if (a->made_of || b->made_of) /* an adapter may have changed one of the two */
        return 0;
    return a->file == b->file && x->offset == y->offset && x->dtype == y->dtype &&
           x->strided == y->strided && same_shape(a, b) &&
           memcmp(x->stride, y->stride, sizeof x->stride) == 0;
}

/* The embedding of the head's shape (head NULL: of any) among the first `most` names; NULL when there
 * is none, or two that could be meant. */
static const struct ldl_view *find_embedding(const struct ldl_model *m, const struct ldl_view *head,
                                             size_t most)
{
    for (size_t e = 0; e < most; e++) {
        const struct ldl_view *found = NULL;
        size_t n = 0;
        for (size_t i = 0; i < m->nviews; i++)
            if (ends_with(m->view[i].name, embeddings[e]) &&
                (!head || same_shape(&m->view[i], head)) && !n++)
                found = &m->view[i];
        if (n)
            return n == 1 ? found : NULL;
    }
    return NULL;
}

/* A head, or a part of an encoder-decoder? Gives how many of the embeddings' names may be meant. */
static size_t is_tied_name(const char *name)
{
    return is_one_of(name, heads, LDL_COUNT(heads))   ? LDL_COUNT(embeddings)
           : is_one_of(name, parts, LDL_COUNT(parts)) ? 1
                                                      : 0;
}

/* What a loader makes of the embedding by itself. */
static int is_copy(const struct ldl_model *m, const struct ldl_view *v, size_t *looked)
{
    size_t most = v->n ? is_tied_name(v->name) : 0;
    if (!most || ++*looked > HEADS_MAX)
        return 0;
    const struct ldl_view *embedding = find_embedding(m, v, most);
    return embedding && embedding != v && same_bytes(v, embedding);
}

int ldl_model_drop_tied(struct ldl_model *m, struct ldl_err *err)
{
    if (!m->has_config || m->tied == 0 || m->nviews == 0)
        return 0;
    unsigned char *keep = ldl_alloc(m->nviews);
    if (!keep)
        return ldl_oom(err);
    size_t looked = 0;
    for (size_t i = 0; i < m->nviews; i++)
        keep[i] = !is_copy(m, &m->view[i], &looked);
    ldl_model_filter(m, keep);
    ldl_free(keep);
    return 0;
}

/* ---- names that some models have and others lack ---- */

/* A model's stored tensors in the order of their places. */
struct places {
    const struct ldl_view **view;
    size_t n;
};

static int by_place(const void *a, const void *b)
{
    const struct ldl_view *x = *(const struct ldl_view *const *)a;
    const struct ldl_view *y = *(const struct ldl_view *const *)b;
    if (x->file != y->file)
        return (uintptr_t)x->file < (uintptr_t)y->file ? -1 : 1;
    if (x->stored->offset != y->stored->offset)
        return x->stored->offset < y->stored->offset ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int sort_places(struct places *p, const struct ldl_model *m, struct ldl_err *err)
{
    if (p->view || m->nviews == 0)
        return 0;
    if (!(p->view = ldl_calloc(m->nviews, sizeof *p->view)))
        return ldl_oom(err);
    for (size_t i = 0; i < m->nviews; i++)
        if (!m->view[i].made_of && m->view[i].n)
            p->view[p->n++] = &m->view[i];
    qsort(p->view, p->n, sizeof *p->view, by_place);
    return 0;
}

/* m's tensor whose name the other model (of the places p) has for the very bytes of v. */
static const struct ldl_view *find_twin(const struct ldl_model *m, const struct places *p,
                                        const struct ldl_view *v)
{
    size_t lo = 0, hi = p->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct ldl_view *at = p->view[mid];
        int before = at->file != v->file ? (uintptr_t)at->file < (uintptr_t)v->file
                                         : at->stored->offset < v->stored->offset;
        if (before)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i < p->n && i - lo < TWINS_MAX; i++) {
        const struct ldl_view *found;
        if (v->made_of || !v->n || !same_bytes(v, p->view[i]))
            continue;
        if ((found = ldl_model_find(m, p->view[i]->name)) && same_shape(found, v))
            return found;
    }
    return NULL;
}

/* Has m this name? For names in their order: *at is the walk through m's, from 0. */
static int has_next(const struct ldl_model *m, size_t *at, const char *name)
{
    int order = 1;
    while (*at < m->nviews && (order = strcmp(m->by_name[*at]->name, name)) < 0)
        ++*at;
    return *at < m->nviews && order == 0;
}

/* The views that m lacks and that `other` tells how to make, into made[*n]. */
static int make_lacking(const struct ldl_model *m, const struct ldl_model *other,
                        struct ldl_view *made, size_t *n, struct ldl_err *err)
{
    struct places p = { 0 };
    size_t looked = 0, at = 0;
    int status = 0;
    for (size_t i = 0; i < other->nviews && status == 0; i++) {
        const struct ldl_view *v = other->by_name[i], *from = NULL;
        if (has_next(m, &at, v->name) || (status = sort_places(&p, other, err)))
            continue;
        size_t most = is_tied_name(v->name);
        if (most && m->tied != 0 && ++looked <= HEADS_MAX)
            from = find_embedding(m, v, most);
        if (!from && most != LDL_COUNT(embeddings)) /* a head is as the config says */
            from = find_twin(m, &p, v);
        if (!from)
            continue;
        made[*n] = *from;
        made[(*n)++].name = v->name; /* the other model's, which is open as long as this one */
    }
    ldl_free(p.view);
    return status;
}

static int tie_pair(struct ldl_model *m, const struct ldl_model *other, struct ldl_err *err)
{
    size_t n = 0;
    struct ldl_view *made = ldl_calloc(LDL_MAX(other->nviews, (size_t)1), sizeof *made);
    int status = made ? make_lacking(m, other, made, &n, err) : ldl_oom(err);
    if (status == 0 && n)
        status = ldl_model_append(m, made, n, err);
    for (size_t i = 0; i < n; i++) /* a head of its own there, so one in the output, too */
        m->untied |= other->tied == 0 && ldl_tied_is_head(made[i].name);
    ldl_free(made);
    return status;
}

int ldl_models_tie(struct ldl_model *model, size_t n, struct ldl_err *err)
{
    int status = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n && status == 0; j++)
            if (j != i)
                status = tie_pair(&model[i], &model[j], err);
    return status;
}

/* ---- for adapters ---- */

int ldl_tied_is_head(const char *name)
{
    return is_one_of(name, heads, LDL_COUNT(heads)) && !strpbrk(name, "0123456789");
}

int ldl_tied_is_embedding(const char *name)
{
    return is_one_of(name, embeddings, LDL_COUNT(embeddings));
}

const char *ldl_tied_head_of(const struct ldl_model *m, const struct ldl_view *v)
{
    static const char *const pair[][2] = {
        { "model.embed_tokens.weight", "lm_head.weight" }, /* Llama, Qwen, Gemma, Mistral ... */
        { "model.decoder.embed_tokens.weight", "lm_head.weight" }, /* OPT */
        { "transformer.wte.weight", "lm_head.weight" },
        { "gpt_neox.embed_in.weight", "embed_out.weight" },
    };
    for (size_t i = 0; i < LDL_COUNT(pair) && m->has_config && m->tied == 1; i++)
        if (strcmp(v->name, pair[i][0]) == 0)
            return pair[i][1];
    return NULL;
}

int ldl_model_untie(struct ldl_model *m, const char *name, struct ldl_err *err)
{
    const struct ldl_view *embedding =
        m->has_config && m->tied != 0 ? find_embedding(m, NULL, LDL_COUNT(embeddings)) : NULL;
    if (!embedding)
        return 0;
    struct ldl_view head = *embedding;
    char *own = ldl_strdup(name);
    int status = own ? ldl_model_own(m, own, ldl_free, err) : ldl_oom(err);
    head.name = own;
    return status ? status : ldl_model_append(m, &head, 1, err);
}

static const struct ldl_view *find_head(const struct ldl_model *m, const struct ldl_view *embedding)
{
    for (size_t i = 0; i < m->nviews; i++)
        if (ldl_tied_is_head(m->view[i].name) && same_shape(&m->view[i], embedding))
            return &m->view[i];
    return NULL;
}

int ldl_model_changed(struct ldl_model *m, const struct ldl_view *v, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    if (!m->has_config || m->tied == 0)
        return 0;
    if (ldl_tied_is_head(v->name)) {
        m->untied |= find_embedding(m, v, LDL_COUNT(embeddings)) != NULL;
        return 0;
    }
    if (!is_one_of(v->name, embeddings, LDL_COUNT(embeddings)) ||
        v != find_embedding(m, v, LDL_COUNT(embeddings)))
        return 0;
    m->untied |= find_head(m, v) != NULL;
    if (m->untied || m->tied != 1)
        return 0;
    ldl_buf_printf(
        &text,
        "%s: the adapter changes '%.200s', and config.json ties the output's head to it: "
        "the head changes with it",
        m->asked, v->name);
    int failed = text.failed || ldl_names_add(&m->note, text.text);
    ldl_buf_free(&text);
    return failed ? ldl_oom(err) : 0;
}
