/* tied.c -- see tied.h.
 *
 * A tied model has one matrix for two uses. How that looks depends on who wrote the file: transformers
 * leaves the head out, torch.save stores both names over one storage, others store it twice. This is
 * about the pair that loaders tie by themselves; other tensors that share bytes stay tensors of their
 * own, since a loader that was not told would miss them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tied.h"

#include <string.h>

static const char *const heads[] = { "lm_head.weight", "embed_out.weight", "output.weight",
                                     "cls.predictions.decoder.weight" };
/* The first that is there wins, so that an encoder-decoder's common matrix comes before its parts. */
static const char *const embeddings[] = { "shared.weight",        "embed_tokens.weight",
                                          "wte.weight",           "word_embeddings.weight",
                                          "embed_in.weight",      "token_embd.weight",
                                          "tok_embeddings.weight" };

/* Is `name` the tail, or does it end with it after a dot? */
static int ends_with(const char *name, const char *tail)
{
    size_t n = strlen(name), t = strlen(tail);
    return n >= t && strcmp(name + n - t, tail) == 0 && (n == t || name[n - t - 1] == '.');
}

static int is_head(const char *name)
{
    for (size_t i = 0; i < LDL_COUNT(heads); i++)
        if (ends_with(name, heads[i]))
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

/* The embedding of this shape; NULL when there is none, or two that could be meant. */
static const struct ldl_view *find_embedding(const struct ldl_model *m, const struct ldl_view *head)
{
    for (size_t e = 0; e < LDL_COUNT(embeddings); e++) {
        const struct ldl_view *found = NULL;
        size_t n = 0;
        for (size_t i = 0; i < m->nviews; i++)
            if (ends_with(m->view[i].name, embeddings[e]) && same_shape(&m->view[i], head) && !n++)
                found = &m->view[i];
        if (n)
            return n == 1 ? found : NULL;
    }
    return NULL;
}

int ldl_model_drop_tied(struct ldl_model *m, struct ldl_err *err)
{
    const struct ldl_view *head = NULL;
    if (!m->has_config || m->tied == 0)
        return 0;
    for (size_t i = 0; i < m->nviews && !head; i++) {
        const struct ldl_view *v = &m->view[i];
        const struct ldl_view *embedding = is_head(v->name) ? find_embedding(m, v) : NULL;
        if (embedding && v->n && same_bytes(v, embedding))
            head = v;
    }
    if (!head)
        return 0;
    unsigned char *keep = ldl_alloc(m->nviews);
    if (!keep)
        return ldl_oom(err);
    memset(keep, 1, m->nviews);
    keep[head - m->view] = 0;
    ldl_model_filter(m, keep);
    ldl_free(keep);
    return 0;
}

/* A head that some model has and m lacks. */
static const struct ldl_view *lacking_head(const struct ldl_model *model, size_t n,
                                           const struct ldl_model *m)
{
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < model[i].nviews; t++) {
            const struct ldl_view *v = &model[i].view[t];
            if (is_head(v->name) && !ldl_model_find(m, v->name))
                return v;
        }
    return NULL;
}

int ldl_models_tie(struct ldl_model *model, size_t n, struct ldl_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct ldl_view *head = model[i].tied != 0 ? lacking_head(model, n, &model[i]) : NULL;
        const struct ldl_view *embedding = head ? find_embedding(&model[i], head) : NULL;
        if (!embedding)
            continue;
        struct ldl_view v = *embedding;
        v.name = head->name; /* the other model's, which is open as long as this one */
        int status = ldl_model_append(&model[i], &v, err);
        if (status)
            return status;
    }
    return 0;
}
