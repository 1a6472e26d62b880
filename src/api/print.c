/* print.c -- `ladle plan` and `ladle show` as text and as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <string.h>

static void json_pair(struct ldl_buf *b, const char *key, const char *text)
{
    ldl_buf_json(b, key);
    ldl_buf_puts(b, ": ");
    if (text)
        ldl_buf_json(b, text);
    else
        ldl_buf_puts(b, "null");
}

static void json_shape(struct ldl_buf *b, int ndim, const uint64_t *dim)
{
    ldl_buf_puts(b, "\"shape\": [");
    for (int d = 0; d < ndim; d++)
        ldl_buf_printf(b, "%s%llu", d ? ", " : "", (unsigned long long)dim[d]);
    ldl_buf_puts(b, "]");
}

/* How it is stored; of a tensor that is computed, the type that it has then. */
static enum ldl_dtype type_of(const struct ldl_view *v)
{
    return v->made_of ? v->dtype : v->stored->dtype;
}

/* "bfloat16" when all tensors agree, else "bfloat16 and 2 other types" */
static void put_types(struct ldl_buf *b, const struct ldl_model *m)
{
    size_t count[LDL_DTYPES] = { 0 }, kinds = 0;
    int most = 0;
    for (size_t i = 0; i < m->nviews; i++)
        kinds += count[type_of(&m->view[i])]++ == 0;
    for (int t = 1; t < LDL_DTYPES; t++)
        if (count[t] > count[most])
            most = t;
    if (m->nviews)
        ldl_buf_puts(b, ldl_dtype_name((enum ldl_dtype)most));
    if (kinds > 1)
        ldl_buf_printf(b, " and %zu other type%s", kinds - 1, kinds > 2 ? "s" : "");
}

/* ---- plan ---- */

static void put_models(struct ldl_buf *b, const struct ldl_plan *p)
{
    char size[32];
    for (size_t i = 0; i < p->nmodels + (p->base != NULL); i++) {
        const struct ldl_model *m = &p->model[i];
        ldl_buf_printf(b, "%-10s%s: %zu tensors, %s, ", i < p->nmodels ? "model" : "base", m->asked,
                       m->nviews, ldl_human(size, m->bytes));
        put_types(b, m);
        if (m->made_by)
            ldl_buf_puts(b, ", merged as it is read\n");
        else
            ldl_buf_printf(b, ", %zu file%s\n", m->nfiles, m->nfiles == 1 ? "" : "s");
    }
}

static const char *rounds(const struct ldl_plan *p)
{
    const struct ldl_sparsifier *s = p->recipe.method->sparsifier;
    return s ? s->rounds : "0";
}

static const char *combiner_rounds(const struct ldl_plan *p)
{
    const struct ldl_combiner *c = p->recipe.method->combiner;
    if (c->rounds)
        return c->rounds->rounds;
    return ldl_combiner_facts(c, p->nmodels) ? "1" : "0";
}

static size_t count_copies(const struct ldl_plan *p)
{
    size_t copies = 0;
    for (size_t t = 0; t < p->njobs; t++)
        copies += p->job[t].kind == LDL_JOB_COPY;
    return copies;
}

/* Every parameter of a part with the value it will have, and who said so. */
static void put_params(struct ldl_buf *b, const struct ldl_plan *p, const struct ldl_param *row,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ldl_value *given = NULL;
        for (size_t v = 0; v < p->recipe.nvalues; v++)
            if (strcmp(p->recipe.value[v].param->name, row[i].name) == 0)
                given = &p->recipe.value[v];
        ldl_buf_printf(b, "          %s = ", row[i].name);
        if (given)
            ldl_value_text(given, b);
        else
            ldl_buf_puts(b, row[i].fallback ? row[i].fallback : "none");
        ldl_buf_printf(b, " (%s)\n", given ? given->origin : "default");
    }
}

static void put_method(struct ldl_buf *b, const struct ldl_plan *p)
{
    const struct ldl_method *m = p->recipe.method;
    ldl_buf_printf(b, "method    %s = %s x %s; %zu model%s%s\n", m->name,
                   m->sparsifier ? m->sparsifier->name : "no sparsifier", m->combiner->name,
                   p->nmodels, p->nmodels == 1 ? "" : "s",
                   p->base ? ", task vectors against the base" : ", no base");
    if (m->sparsifier && !p->recipe.fill)
        put_params(b, p, m->sparsifier->param, m->sparsifier->nparams);
    if (p->recipe.fill)
        ldl_buf_puts(b, "          parameters by model and tensor, as the recipe says\n");
    else
        put_params(b, p, m->combiner->param, m->combiner->nparams);
    if (m->sparsifier && m->sparsifier->random)
        ldl_buf_printf(b, "          random numbers from seed %llu\n",
                       (unsigned long long)p->recipe.seed);
}

static void put_output(struct ldl_buf *b, const struct ldl_plan *p)
{
    char size[32];
    size_t copies = count_copies(p);
    ldl_buf_printf(b, "output    %s: %zu tensors (%zu merged, %zu copied), %s\n",
                   p->recipe.output ? p->recipe.output : "(no output_path given)", p->njobs,
                   p->njobs - copies, copies, ldl_human(size, p->bytes_out));
    for (size_t s = 0; s < p->nshards; s++)
        ldl_buf_printf(b, "  %s, %s\n", p->shard[s].name, ldl_human(size, p->shard[s].bytes));
    if (p->has_index)
        ldl_buf_printf(b, "  %s\n", p->index_name);
    if (p->recipe.config.len)
        ldl_buf_printf(b, "  %s\n", p->recipe.config_name);
    if (p->recipe.card.len)
        ldl_buf_puts(b, "  README.md\n");
    for (size_t i = 0; i < p->side.n; i++)
        ldl_buf_printf(b, "  %s (from %s%s)\n", p->side.name[i],
                       ldl_plan_side_dir(p, p->side.name[i]),
                       ldl_plan_edited(p, p->side.name[i]) ? ", edited" : "");
}

/* ---- vocabularies ---- */

static void put_vocabulary(struct ldl_buf *b, const struct ldl_plan *p, const char *name)
{
    const struct ldl_vocab_table *v = &p->vocabulary;
    if (!v->line)
        return;
    ldl_buf_printf(b, "tokens    %llu; embeddings have %llu rows, %llu of them padding",
                   (unsigned long long)v->tokens, (unsigned long long)v->rows,
                   (unsigned long long)(v->rows - v->tokens));
    if (name)
        ldl_buf_printf(b, " (recipe '%s')", name);
    ldl_buf_puts(b, "\n  rows in the model            rows of the output\n"
                    "     all   spare dropped |     own   other    mean   zeros padding\n");
    for (size_t i = 0; i < ldl_plan_inputs(p); i++) {
        const struct ldl_vocab_line *l = &v->line[i];
        const uint64_t n[] = { l->rows,  l->spare, l->dropped, l->own,
                               l->other, l->mean,  l->zeros,   v->rows - v->tokens };
        for (size_t k = 0; k < LDL_COUNT(n); k++)
            ldl_buf_printf(b, "%s%8llu", k == 3 ? " |" : "", (unsigned long long)n[k]);
        ldl_buf_printf(b, "  %s\n", p->model[i].asked);
    }
}

static void put_vocabularies(struct ldl_buf *b, const struct ldl_plan *p)
{
    int any = p->vocabulary.line != NULL;
    put_vocabulary(b, p, NULL);
    for (size_t i = 0; p->results && i < p->results->n; i++) {
        any |= p->results->plan[i].vocabulary.line != NULL;
        put_vocabulary(b, &p->results->plan[i], p->results->part[i].name);
    }
    if (any)
        ldl_buf_puts(b, "  (spare: of no token; dropped: of tokens that the output has not; other: "
                        "another model's;\n   padding: the mean of the rows before)\n");
}

static void json_vocabulary(struct ldl_buf *b, const struct ldl_plan *p, const char *name,
                            const char *comma)
{
    static const char *const key[] = {
        "rows", "spare", "dropped", "own", "other", "mean", "zeros"
    };
    const struct ldl_vocab_table *v = &p->vocabulary;
    ldl_buf_printf(b, "%s\n    {", comma);
    json_pair(b, "recipe", name);
    ldl_buf_printf(b, ", \"tokens\": %llu, \"rows\": %llu, \"models\": [",
                   (unsigned long long)v->tokens, (unsigned long long)v->rows);
    for (size_t i = 0; i < ldl_plan_inputs(p); i++) {
        const struct ldl_vocab_line *l = &v->line[i];
        const uint64_t n[] = { l->rows, l->spare, l->dropped, l->own, l->other, l->mean, l->zeros };
        ldl_buf_printf(b, "%s\n      {", i ? "," : "");
        json_pair(b, "model", p->model[i].asked);
        for (size_t k = 0; k < LDL_COUNT(n); k++)
            ldl_buf_printf(b, ", \"%s\": %llu", key[k], (unsigned long long)n[k]);
        ldl_buf_puts(b, "}");
    }
    ldl_buf_puts(b, "]}");
}

static void json_vocabularies(struct ldl_buf *b, const struct ldl_plan *p)
{
    const char *comma = "";
    size_t n = p->results ? p->results->n : 0;
    ldl_buf_puts(b, "  \"vocabularies\": [");
    for (size_t i = 0; i <= n; i++) {
        const struct ldl_plan *of = i ? &p->results->plan[i - 1] : p;
        if (!of->vocabulary.line)
            continue;
        json_vocabulary(b, of, i ? p->results->part[i - 1].name : NULL, comma);
        comma = ",";
    }
    ldl_buf_puts(b, "],\n");
}

/* ---- all of it ---- */

static void plan_text(struct ldl_buf *b, const ladle_plan *plan)
{
    const struct ldl_plan *p = &plan->plan;
    char size[32];
    put_method(b, p);
    put_models(b, p);
    put_output(b, p);
    put_vocabularies(b, p);
    ldl_buf_printf(b, "reading   %s for each pass over all inputs\n", ldl_human(size, p->bytes_in));
    ldl_buf_printf(b,
                   "passes    1 that writes, after %s by the sparsifier and %s by the combiner\n",
                   rounds(p), combiner_rounds(p));
    ldl_buf_printf(b, "memory    at most about %s, %d thread%s, tiles of %zu elements\n",
                   ldl_human(size, plan->budget.peak_bytes), plan->budget.threads,
                   plan->budget.threads == 1 ? "" : "s", plan->budget.tile_elems);
    for (size_t i = 0; i < p->recipe.note.n; i++)
        ldl_buf_printf(b, "note      %s\n", p->recipe.note.name[i]);
}

static void json_models(struct ldl_buf *b, const struct ldl_plan *p)
{
    ldl_buf_puts(b, "  \"models\": [");
    for (size_t i = 0; i < p->nmodels + (p->base != NULL); i++) {
        const struct ldl_model *m = &p->model[i];
        ldl_buf_printf(b, "%s\n    {\"role\": \"%s\", ", i ? "," : "",
                       i < p->nmodels ? "model" : "base");
        json_pair(b, "path", m->asked);
        ldl_buf_printf(b, ", \"tensors\": %zu, \"bytes\": %llu, \"files\": %zu}", m->nviews,
                       (unsigned long long)m->bytes, m->nfiles);
    }
    ldl_buf_puts(b, "\n  ],\n");
}

static const char *const actions[] = { "merge", "copy", "scales" };

static void json_jobs(struct ldl_buf *b, const struct ldl_plan *p)
{
    ldl_buf_puts(b, "  \"tensors\": [");
    for (size_t t = 0; t < p->njobs; t++) {
        const struct ldl_job *j = &p->job[t];
        ldl_buf_printf(b, "%s\n    {", t ? "," : "");
        json_pair(b, "name", j->name);
        ldl_buf_printf(b, ", \"action\": \"%s\", \"dtype\": \"%s\", ", actions[j->kind],
                       ldl_dtype_tag(j->dtype));
        json_shape(b, j->ndim, j->dim);
        ldl_buf_puts(b, ", ");
        json_pair(b, "file", p->shard[j->shard].name);
        ldl_buf_printf(b, ", \"offset\": %llu, \"bytes\": %llu}", (unsigned long long)j->offset,
                       (unsigned long long)j->bytes);
    }
    ldl_buf_puts(b, "\n  ],\n");
}

static void json_list(struct ldl_buf *b, const char *key, char *const *text, size_t n)
{
    ldl_buf_puts(b, "  ");
    ldl_buf_json(b, key);
    ldl_buf_puts(b, ": [");
    for (size_t i = 0; i < n; i++) {
        ldl_buf_puts(b, i ? ", " : "");
        ldl_buf_json(b, text[i]);
    }
    ldl_buf_puts(b, "]");
}

/* All settings as merge_config.json will have them: every parameter's value after all rules. A
 * recipe is its text. */
static void json_settings(struct ldl_buf *b, const struct ldl_plan *p)
{
    const struct ldl_buf *config = &p->recipe.config;
    ldl_buf_puts(b, "  \"settings\": ");
    if (p->recipe.fill) {
        ldl_buf_json(b, config->text ? config->text : "");
        ldl_buf_puts(b, ",\n");
        return;
    }
    for (size_t i = 0; i + 1 < config->len; i++) { /* without its last newline */
        ldl_buf_put(b, &config->text[i], 1);
        if (config->text[i] == '\n')
            ldl_buf_puts(b, "  ");
    }
    ldl_buf_puts(b, ",\n");
}

static void plan_json(struct ldl_buf *b, const ladle_plan *plan)
{
    const struct ldl_plan *p = &plan->plan;
    const struct ldl_method *m = p->recipe.method;
    ldl_buf_puts(b, "{\n  ");
    json_pair(b, "method", m->name);
    ldl_buf_puts(b, ",\n  ");
    json_pair(b, "sparsifier", m->sparsifier ? m->sparsifier->name : NULL);
    ldl_buf_puts(b, ",\n  ");
    json_pair(b, "combiner", m->combiner->name);
    ldl_buf_puts(b, ",\n  ");
    json_pair(b, "output", p->recipe.output);
    ldl_buf_printf(
        b, ",\n  \"seed\": %llu,\n  \"bytes_per_pass\": %llu,\n  \"bytes_written\": %llu,\n",
        (unsigned long long)p->recipe.seed, (unsigned long long)p->bytes_in,
        (unsigned long long)p->bytes_out);
    ldl_buf_puts(b, "  ");
    json_pair(b, "passes_before_the_last", rounds(p));
    ldl_buf_printf(b,
                   ",\n  \"combiner_passes\": %d,\n  \"threads\": %d,\n  \"tile_elements\": %zu,\n",
                   ldl_combiner_facts(m->combiner, p->nmodels) != 0, plan->budget.threads,
                   plan->budget.tile_elems);
    ldl_buf_printf(b, "  \"peak_memory_bytes\": %llu,\n",
                   (unsigned long long)plan->budget.peak_bytes);
    json_settings(b, p);
    json_models(b, p);
    if (p->recipe.fill)
        json_vocabularies(b, p);
    json_jobs(b, p);
    json_list(b, "side_files", p->side.name, p->side.n);
    ldl_buf_puts(b, ",\n");
    json_list(b, "notes", p->recipe.note.name, p->recipe.note.n);
    ldl_buf_puts(b, "\n}\n");
}

int ladle_plan_print(const ladle_plan *plan, int flags, ladle_sink sink, void *ctx,
                     struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct ldl_buf b = { 0 };
    int rc = plan->plan.recipe.output ? ldl_engine_check(&plan->plan, &err) : 0;
    if (rc == 0 && (flags & LADLE_JSON))
        plan_json(&b, plan);
    else if (rc == 0)
        plan_text(&b, plan);
    return ldl_api_send(&b, sink, ctx, error, rc, &err);
}

/* ---- show ---- */

static void show_json(struct ldl_buf *b, const struct ldl_model *m, int diffable)
{
    ldl_buf_puts(b, "{\n  ");
    if (!diffable) {
        json_pair(b, "model", m->asked);
        ldl_buf_printf(b, ",\n  \"files\": %zu,\n  ", m->nfiles);
    }
    ldl_buf_printf(b, "\"bytes\": %llu,\n  \"tensors\": [", (unsigned long long)m->bytes);
    for (size_t i = 0; i < m->nviews; i++) {
        const struct ldl_view *v = diffable ? m->by_name[i] : &m->view[i];
        ldl_buf_printf(b, "%s\n    {", i ? "," : "");
        json_pair(b, "name", v->name);
        ldl_buf_printf(b, ", \"dtype\": \"%s\", ", ldl_dtype_tag(type_of(v)));
        if (v->made_of)
            ldl_buf_printf(b, "\"made_by\": \"%s\", \"stored_dtype\": \"%s\", ", v->ops->name,
                           ldl_dtype_tag(v->stored->dtype));
        json_shape(b, v->ndim, v->dim);
        ldl_buf_printf(b, ", \"bytes\": %llu", (unsigned long long)(v->stored->bytes));
        if (!diffable) {
            ldl_buf_puts(b, ", ");
            json_pair(b, "file", ldl_path_base(v->file->path));
            ldl_buf_printf(b, ", \"offset\": %llu", (unsigned long long)v->stored->offset);
        }
        ldl_buf_puts(b, "}");
    }
    ldl_buf_puts(b, "\n  ]\n}\n");
}

/* A name from a file may hold a newline, or an escape for the terminal: it stays a part of its
 * line. JSON has escapes of its own. */
static void put_name(struct ldl_buf *b, const char *name, size_t width)
{
    size_t n = 0;
    for (; name[n]; n++) {
        unsigned char c = (unsigned char)name[n];
        ldl_buf_put(b, c < 0x20 || c == 0x7f ? "?" : &name[n], 1);
    }
    for (; n < width; n++)
        ldl_buf_puts(b, " ");
}

static void show_text(struct ldl_buf *b, const struct ldl_model *m, int diffable)
{
    char shape[200], size[32];
    size_t width = 20;
    uint64_t elems = 0;
    for (size_t i = 0; i < m->nviews; i++) {
        width = LDL_MAX(width, strlen(m->view[i].name));
        elems += m->view[i].n;
    }
    width = LDL_MIN(width, (size_t)80);
    for (size_t i = 0; i < m->nviews; i++) {
        const struct ldl_view *v = diffable ? m->by_name[i] : &m->view[i];
        ldl_shape_text(shape, v->dim, v->ndim);
        put_name(b, v->name, diffable ? 0 : width);
        if (diffable)
            ldl_buf_printf(b, " %s %s\n", ldl_dtype_tag(type_of(v)), shape);
        else
            ldl_buf_printf(b, "  %-7s  %-20s  %8s  %s%s%s\n", ldl_dtype_tag(type_of(v)), shape,
                           ldl_human(size, v->stored->bytes), ldl_path_base(v->file->path),
                           v->made_of ? ", " : "", v->made_of ? v->ops->name : "");
    }
    if (diffable)
        return;
    ldl_buf_printf(b, "%zu tensor%s, %llu element%s, %s, ", m->nviews, m->nviews == 1 ? "" : "s",
                   (unsigned long long)elems, elems == 1 ? "" : "s", ldl_human(size, m->bytes));
    put_types(b, m);
    ldl_buf_printf(b, ", %zu file%s\n", m->nfiles, m->nfiles == 1 ? "" : "s");
}

int ladle_show(const char *model, int flags, ladle_sink sink, void *ctx, struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct ldl_buf b = { 0 };
    struct ldl_model m = { 0 };
    int rc = ldl_model_open(&m, model, NULL, &err);
    if (rc == 0 && (flags & LADLE_JSON))
        show_json(&b, &m, flags & LADLE_DIFFABLE);
    else if (rc == 0)
        show_text(&b, &m, flags & LADLE_DIFFABLE);
    ldl_model_close(&m);
    return ldl_api_send(&b, sink, ctx, error, rc, &err);
}
