/* vocab_rows.c -- where each row of each model's tables comes from. The row of a token is,
 *
 *   of a model that has it    its own, but what a rule says that is forced
 *   of one that lacks it      what a rule says; else the row of the only model that has it; else the
 *                             base's; else the mean of all models' that have it; else zeros
 *
 * and a padding row is the mean of the model's rows of tokens. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/vocab.h"
#include "model/tied.h"

#include <string.h>

#define NO_ROW UINT64_MAX

/* ---- rules ---- */

static int fail_rule(const struct ldl_join *j, const struct ldl_token_rule *r, const char *what,
                     struct ldl_err *err)
{
    return ldl_fail(err, LDL_EUSAGE, "%s:%u:%u: token '%.100s': %.200s %s",
                    j->p->recipe.tokenizer.file, (unsigned)r->line, (unsigned)r->column, r->token,
                    r->model, what);
}

static int rule_word(const struct ldl_join *j, const struct ldl_token_rule *r, uint64_t *word,
                     struct ldl_err *err)
{
    const char *text = r->from_token ? r->from_token : r->token;
    size_t i = 0;
    *word = LDL_ROW(LDL_ROW_IN_ZEROS, 0);
    if (!r->model)
        return 0;
    while (i < j->n && strcmp(j->p->model[i].asked, r->model) != 0)
        i++;
    if (i == j->n)
        return fail_rule(j, r, "is none of the models that are merged", err);
    const struct ldl_party *party = &j->party[i];
    if (r->id >= 0 && (uint64_t)r->id >= party->rows)
        return fail_rule(j, r, "has no row of that token_id", err);
    if (r->id >= 0) {
        *word = LDL_ROW(i, r->id);
        return 0;
    }
    const struct ldl_token *t = ldl_vocab_find(party->vocab, text, strlen(text));
    if (!t || t->id >= party->limit)
        return fail_rule(j, r, "has no row for it", err);
    *word = LDL_ROW(i, t->id);
    return 0;
}

/* ---- one token ---- */

/* The word for models that lack it and have no rule; mean: all have to be looked at. */
static uint64_t default_word(const struct ldl_join *j, const uint64_t *own, int *mean)
{
    size_t have = 0, one = 0;
    *mean = 0;
    for (size_t i = 0; i < j->n; i++)
        if (own[i] != NO_ROW && !j->party[i].again && have++ == 0)
            one = i;
    if (have == 0)
        return LDL_ROW(LDL_ROW_IN_ZEROS, 0);
    if (have == 1)
        return LDL_ROW(one, own[one]);
    if (j->base != SIZE_MAX && own[j->base] != NO_ROW)
        return LDL_ROW(j->base, own[j->base]);
    *mean = 1;
    return 0;
}

static int put_mean(const struct ldl_join *j, const uint64_t *own, struct ldl_rowmap *map,
                    uint64_t *word, struct ldl_err *err)
{
    if (map->nmean > UINT32_MAX / 2 ||
        ldl_grow(&map->mean, &map->mean_cap, map->nmean + j->n + 1, sizeof *map->mean))
        return ldl_oom(err);
    size_t head = map->nmean++;
    *word = LDL_ROW(LDL_ROW_IN_MEAN, head);
    for (size_t i = 0; i < j->n; i++)
        if (own[i] != NO_ROW && !j->party[i].again)
            map->mean[map->nmean++] = LDL_ROW(i, own[i]);
    map->mean[head] = map->nmean - head - 1;
    return 0;
}

static void find_own(const struct ldl_join *j, const struct ldl_out_token *t, uint64_t *own)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct ldl_token *f =
            t->text ? ldl_vocab_find(j->party[i].vocab, t->text, t->len) : NULL;
        own[i] = f && f->id < j->party[i].limit ? f->id : NO_ROW;
    }
}

/* Token k in all maps. *unknown: no model has it, and no rule says otherwise. */
static int map_token(const struct ldl_join *j, uint64_t k, struct ldl_rowmap *const *map,
                     struct ldl_vocab_line *tally, int *unknown, struct ldl_err *err)
{
    const struct ldl_out_token *t = &j->token[k];
    uint64_t own[LDL_MAX_MODELS + 1], by_rule = 0;
    int mean, rc = t->rule ? rule_word(j, t->rule, &by_rule, err) : 0;
    find_own(j, t, own);
    uint64_t word = default_word(j, own, &mean);
    *unknown = !t->rule && LDL_ROW_TABLE(word) == LDL_ROW_IN_ZEROS && !mean;
    for (size_t i = 0; rc == 0 && i < j->n; i++) {
        uint64_t *to = &map[i]->row[k];
        if (own[i] != NO_ROW && !(t->rule && t->rule->force))
            *to = LDL_ROW(i, own[i]);
        else if (t->rule)
            *to = by_rule;
        else if (mean)
            rc = put_mean(j, own, map[i], to, err);
        else
            *to = word;
        tally[i].own += LDL_ROW_TABLE(*to) == i;
        tally[i].mean += LDL_ROW_TABLE(*to) == LDL_ROW_IN_MEAN;
        tally[i].zeros += LDL_ROW_TABLE(*to) == LDL_ROW_IN_ZEROS;
        tally[i].other += LDL_ROW_TABLE(*to) != i && LDL_ROW_TABLE(*to) < j->n;
    }
    return rc;
}

/* ---- tables ---- */

/* The table of that name in party i; of a model without a head of its own, the embedding. */
static const struct ldl_view *find_table(const struct ldl_join *j, size_t i, const char *name)
{
    const struct ldl_party *party = &j->party[i];
    for (size_t t = 0; t < party->ntables; t++)
        if (strcmp(party->table[t].name, name) == 0)
            return &party->table[t];
    for (size_t t = 0; t < party->ntables && ldl_tied_is_head(name); t++)
        if (j->p->model[i].tied != 0 && ldl_tied_is_embedding(party->table[t].name))
            return &party->table[t];
    return NULL;
}

static int is_identity(const struct ldl_rowmap *map, size_t i)
{
    for (uint64_t r = 0; r < map->rows; r++)
        if (map->row[r] != LDL_ROW(i, r))
            return 0;
    return 1;
}

static int map_table(struct ldl_join *j, size_t i, struct ldl_view *v, const struct ldl_rowmap *map,
                     struct ldl_err *err)
{
    struct ldl_view table[LDL_MAX_MODELS + 1] = { 0 };
    void *made;
    for (size_t k = 0; k < j->n; k++) {
        const struct ldl_view *found = find_table(j, k, v->name);
        if (found)
            table[k] = *found;
    }
    int rc = ldl_rowmap_view(v, map, table, j->n, &made, err);
    if (rc)
        return ldl_context(err, "%s", j->p->model[i].asked);
    return ldl_model_own(&j->p->model[i], made, ldl_rowmap_view_free, err);
}

static int map_model(struct ldl_join *j, size_t i, const struct ldl_rowmap *map,
                     struct ldl_err *err)
{
    struct ldl_model *m = &j->p->model[i];
    int same = is_identity(map, i), rc = 0;
    for (size_t t = 0; rc == 0 && t < m->nviews; t++) {
        struct ldl_view *v = &m->view[t];
        if (!ldl_join_is_table(v) || (same && v->dim[0] == map->rows))
            continue;
        j->changed = 1;
        if (same) { /* the first rows are a beginning */
            v->n = v->n / v->dim[0] * map->rows;
            v->dim[0] = map->rows;
        } else {
            rc = map_table(j, i, v, map, err);
        }
    }
    return rc;
}

/* ---- all of it ---- */

/* What the model has, and what of it the output has not. */
static void count_rows(const struct ldl_join *j, size_t i, struct ldl_vocab_line *line)
{
    const struct ldl_party *party = &j->party[i];
    uint64_t tokens = 0, last = UINT64_MAX, used = 0;
    for (size_t k = 0; k < party->vocab->n; k++) { /* two texts may have one number */
        uint64_t id = party->vocab->by_id[k]->id;
        tokens += id < party->limit && id != last;
        last = id;
    }
    for (uint64_t k = 0; k < j->ntokens; k++) {
        const struct ldl_out_token *t = &j->token[k];
        const struct ldl_token *f = t->text ? ldl_vocab_find(party->vocab, t->text, t->len) : NULL;
        used += f && f->id < party->limit;
    }
    line->rows = party->rows;
    line->spare = party->rows - tokens;
    line->dropped = tokens - LDL_MIN(used, tokens);
}

static int note_unknown(const struct ldl_join *j, uint64_t n, uint64_t first, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    const struct ldl_out_token *t = &j->token[first];
    if (n == 0)
        return 0;
    char *token = ldl_strndup(t->text ? t->text : "", LDL_MIN(t->len, (size_t)100));
    ldl_buf_printf(&text,
                   "tokenizer: %llu tokens have no row in any model and get zeros, the first is "
                   "number %llu, ",
                   (unsigned long long)n, (unsigned long long)first);
    ldl_buf_json(&text, token ? token : ""); /* it may hold anything */
    int rc = !token || text.failed ? ldl_oom(err) : ldl_plan_note(j->p, text.text, err);
    ldl_free(token);
    ldl_buf_free(&text);
    return rc;
}

static int make_map(struct ldl_join *j, size_t i, struct ldl_rowmap **map, struct ldl_err *err)
{
    struct ldl_rowmap *m = *map = ldl_calloc(1, sizeof *m);
    if (!m)
        return ldl_oom(err);
    int rc = ldl_model_own(&j->p->model[i], m, ldl_rowmap_free, err);
    if (rc)
        return rc;
    m->rows = j->rows;
    m->real = j->ntokens;
    if (!(m->row = ldl_calloc((size_t)m->rows, sizeof *m->row)))
        return ldl_oom(err);
    for (uint64_t r = m->real; r < m->rows; r++)
        m->row[r] = LDL_ROW(LDL_ROW_IN_PADDING, 0);
    return 0;
}

int ldl_join_rows(struct ldl_join *j, struct ldl_err *err)
{
    struct ldl_rowmap *map[LDL_MAX_MODELS + 1];
    struct ldl_vocab_line *line = ldl_calloc(j->n, sizeof *line);
    uint64_t unknown = 0, first = 0;
    int rc = line ? 0 : ldl_oom(err), none;
    j->p->vocabulary = (struct ldl_vocab_table){ j->ntokens, j->rows, line };
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        rc = make_map(j, i, &map[i], err);
    for (uint64_t k = 0; rc == 0 && k < j->ntokens; k++) {
        rc = map_token(j, k, map, line, &none, err);
        if (rc == 0 && none && unknown++ == 0)
            first = k;
    }
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        rc = map_model(j, i, map[i], err);
    for (size_t i = 0; rc == 0 && i < j->n; i++)
        count_rows(j, i, &line[i]);
    return rc ? rc : note_unknown(j, unknown, first, err);
}
