/* plan.c -- see plan.h. In the order of ldl_plan_make(): open the models, match them, make the jobs,
 * lay out the shards, write the index, find the side files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"
#include "base/json.h"
#include "plan/match.h"

#include <stdio.h>
#include <string.h>

/* ---- models ---- */

static int open_models(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    size_t n = r->nmodels + (r->base != NULL);
    if (!(p->model = ldl_calloc(n, sizeof *p->model)))
        return ldl_oom(err);
    for (size_t i = 0; i < n; i++) {
        const char *asked = i < r->nmodels ? r->model[i] : r->base;
        int rc = ldl_model_open(&p->model[i], asked, r->prefix, err);
        if (rc)
            return rc;
        p->bytes_in += p->model[i].bytes;
    }
    p->nmodels = r->nmodels;
    p->base = r->base ? &p->model[n - 1] : NULL;
    return ldl_match(p->model, n, err);
}

static int note(struct ldl_plan *p, const char *text, struct ldl_err *err)
{
    return ldl_names_add(&p->recipe.note, text) ? ldl_oom(err) : 0;
}

/* ---- jobs ---- */

static enum ldl_dtype output_dtype(const struct ldl_plan *p, const struct ldl_job *j)
{
    enum ldl_dtype in = (j->base ? j->base : j->in[0])->dtype;
    if (!ldl_dtype_is_float(in) || p->recipe.dtype == LDL_DTYPES)
        return in;
    return p->recipe.dtype;
}

static int make_jobs(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *first = &p->model[0];
    size_t m = p->nmodels;
    p->njobs = first->nviews;
    p->job = ldl_calloc(p->njobs, sizeof *p->job);
    p->views = ldl_calloc(p->njobs * m, sizeof *p->views);
    if (!p->job || !p->views)
        return ldl_oom(err);
    int wide = 0;
    for (size_t t = 0; t < p->njobs; t++) {
        struct ldl_job *j = &p->job[t];
        j->in = p->views + t * m;
        j->in[0] = &first->view[t];
        for (size_t i = 1; i < m; i++)
            j->in[i] = ldl_model_find(&p->model[i], first->view[t].name);
        j->base = p->base ? ldl_model_find(p->base, first->view[t].name) : NULL;
        j->copy = !ldl_dtype_is_float(j->in[0]->dtype) || j->in[0]->n == 0;
        j->dtype = output_dtype(p, j);
        j->bytes = ldl_dtype_span(j->dtype, j->in[0]->n);
        if (!j->copy && j->in[0]->n > p->biggest)
            p->biggest = j->in[0]->n;
        for (size_t i = 0; i < m; i++)
            wide |= !j->copy && j->in[i]->dtype == LDL_F64;
    }
    return wide ? note(p, "float64 tensors are computed in float32, so they lose precision", err)
                : 0;
}

/* ---- shards ---- */

/* Where part i of n begins when m tensors are dealt out: the first m % n parts get one more. */
static size_t part_begin(size_t m, size_t n, size_t i)
{
    return i * (m / n) + LDL_MIN(i, m % n);
}

static int make_header(struct ldl_plan *p, size_t s, size_t from, size_t to,
                       const struct ldl_layout *how, struct ldl_err *err)
{
    struct ldl_shard *shard = &p->shard[s];
    struct ldl_entry *entry = ldl_calloc(to - from, sizeof *entry);
    if (!entry)
        return ldl_oom(err);
    for (size_t t = from; t < to; t++) {
        const struct ldl_job *j = &p->job[t];
        const struct ldl_view *v = j->in[0];
        entry[t - from] = (struct ldl_entry){ v->name, j->dtype, v->ndim, v->dim, j->bytes, 0 };
    }
    int rc = ldl_format_find("safetensors")
                 ->layout(&shard->header, entry, to - from, how, &shard->bytes, err);
    for (size_t t = from; rc == 0 && t < to; t++) {
        p->job[t].shard = s;
        p->job[t].offset = entry[t - from].offset;
    }
    ldl_free(entry);
    return rc;
}

/* transformers wants "pt"; U16 means bf16 only where the file says "np" (SEMANTICS section 0). */
static const char *metadata_format(const struct ldl_plan *p)
{
    for (size_t t = 0; t < p->njobs; t++)
        if (p->job[t].dtype == LDL_U16_BF16)
            return "np";
    return "pt";
}

static int make_shards(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    if ((uint64_t)r->shards > p->njobs)
        return ldl_fail(err, LDL_EUSAGE,
                        "--n_process %lld is more than the %zu tensors of the model; every output "
                        "file needs at least one",
                        (long long)r->shards, p->njobs);
    p->nshards = (size_t)r->shards;
    if (!(p->shard = ldl_calloc(p->nshards, sizeof *p->shard)))
        return ldl_oom(err);
    struct ldl_layout how = { .metadata_format = metadata_format(p), .dtype = r->dtype };
    for (size_t s = 0; s < p->nshards; s++) {
        size_t size = strlen(r->shard_prefix) + 64;
        if (!(p->shard[s].name = ldl_alloc(size)))
            return ldl_oom(err);
        snprintf(p->shard[s].name, size, "%s-%05zu-of-%05zu.safetensors", r->shard_prefix, s + 1,
                 p->nshards);
        int rc = make_header(p, s, part_begin(p->njobs, p->nshards, s),
                             part_begin(p->njobs, p->nshards, s + 1), &how, err);
        if (rc)
            return rc;
        p->bytes_out += p->shard[s].bytes;
    }
    return 0;
}

/* ---- the index ---- */

/* The metadata of model 0's index with the true total_size; everything else as it was. */
static int put_metadata(struct ldl_plan *p, uint64_t total, struct ldl_err *err)
{
    struct ldl_buf *b = &p->index, key = { 0 };
    struct ldl_json j;
    const char *text = p->model[0].index_metadata;
    int rc = 0, more, said = 0;
    ldl_buf_puts(b, "{\n  \"metadata\": {");
    const char *comma = "\n";
    if (text) {
        ldl_json_open(&j, text, strlen(text), "index metadata");
        rc = ldl_json_enter(&j, '{', err);
        while (rc == 0 && (more = ldl_json_member(&j, &key, err)) != 0) {
            const char *from, *to;
            if ((rc = more < 0 ? -more : ldl_json_skip(&j, &from, &to, err)))
                break;
            int is_size = strcmp(key.text, "total_size") == 0;
            ldl_buf_printf(b, "%s    ", comma);
            ldl_buf_json(b, key.text);
            ldl_buf_puts(b, ": ");
            if (is_size)
                ldl_buf_printf(b, "%llu", (unsigned long long)total);
            else
                ldl_buf_put(b, from, (size_t)(to - from));
            said |= is_size;
            comma = ",\n";
        }
    }
    ldl_buf_free(&key);
    if (!said)
        ldl_buf_printf(b, "%s    \"total_size\": %llu", comma, (unsigned long long)total);
    ldl_buf_puts(b, "\n  },\n");
    return rc;
}

static int make_index(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_buf *b = &p->index;
    uint64_t total = 0;
    for (size_t t = 0; t < p->njobs; t++)
        total += p->job[t].bytes;
    int rc = put_metadata(p, total, err);
    if (rc)
        return rc;
    ldl_buf_puts(b, "  \"weight_map\": {");
    for (size_t t = 0; t < p->njobs; t++) {
        ldl_buf_puts(b, t ? ",\n    " : "\n    ");
        ldl_buf_json(b, ldl_job_name(&p->job[t]));
        ldl_buf_puts(b, ": ");
        ldl_buf_json(b, p->shard[p->job[t].shard].name);
    }
    ldl_buf_puts(b, "\n  }\n}\n");
    size_t size = strlen(p->recipe.prefix) + 32;
    if (b->failed || !(p->index_name = ldl_alloc(size)))
        return ldl_oom(err);
    snprintf(p->index_name, size, "%s.safetensors.index.json", p->recipe.prefix);
    p->bytes_out += b->len + p->recipe.config.len;
    return 0;
}

/* ---- side files ---- */

/* Names that the merge itself writes cannot be copied over. */
static int is_ours(const struct ldl_plan *p, const char *name)
{
    if (strcmp(name, p->index_name) == 0 || strcmp(name, "merge_config.json") == 0)
        return 1;
    for (size_t s = 0; s < p->nshards; s++)
        if (strcmp(name, p->shard[s].name) == 0)
            return 1;
    return 0;
}

static int take_asked_files(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    for (size_t i = 0; i < r->ncopy_files; i++) {
        const char *name = r->copy_file[i];
        if (is_ours(p, name))
            return ldl_fail(err, LDL_EUSAGE,
                            "--copy_file_list: %s is written by the merge itself; leave it out",
                            name);
        int there = ldl_side_check(p->side_dir, name, err);
        if (there < 0)
            return -there;
        if (there == 0) {
            char text[1024];
            snprintf(text, sizeof text, "--copy_file_list: %s is not in %s; it is left out", name,
                     p->side_dir);
            int rc = note(p, text, err);
            if (rc)
                return rc;
        } else if (ldl_names_add(&p->side, name)) {
            return ldl_oom(err);
        }
    }
    return 0;
}

static int edit_config(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    char *path = NULL;
    int rc = 0, found = 0;
    for (size_t i = 0; i < p->side.n; i++)
        found |= strcmp(p->side.name[i], "config.json") == 0;
    if (!found || p->recipe.dtype == LDL_DTYPES)
        return 0;
    if (!(path = ldl_path_join(p->side_dir, "config.json")))
        return ldl_oom(err);
    rc = ldl_read_file(path, 64 << 20, &text, err);
    if (rc == 0)
        rc = ldl_config_set_dtype(text.text, text.len, path, ldl_dtype_name(p->recipe.dtype),
                                  &p->config, err);
    ldl_buf_free(&text);
    ldl_free(path);
    return rc;
}

static int find_side_files(struct ldl_plan *p, struct ldl_err *err)
{
    p->side_dir = (p->base ? p->base : &p->model[0])->dir;
    int rc =
        p->recipe.copy_given ? take_asked_files(p, err) : ldl_side_list(p->side_dir, &p->side, err);
    return rc ? rc : edit_config(p, err);
}

/* ---- all of it ---- */

int ldl_plan_make(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_err *err)
{
    *p = (struct ldl_plan){ .recipe = *recipe };
    *recipe = (struct ldl_recipe){ 0 };
    struct ldl_recipe *r = &p->recipe;
    if (r->method == &recipe->own_method) /* the row lived inside the recipe that moved */
        r->method = &r->own_method;
    int rc = ldl_merge_init(&p->merge, r->method, r->nmodels, r->seed, r->value, r->nvalues, err);
    if (rc == 0)
        rc = open_models(p, err);
    if (rc == 0)
        rc = make_jobs(p, err);
    if (rc == 0)
        rc = make_shards(p, err);
    if (rc == 0)
        rc = make_index(p, err);
    if (rc == 0)
        rc = find_side_files(p, err);
    if (rc)
        ldl_plan_free(p);
    return rc;
}

void ldl_plan_free(struct ldl_plan *p)
{
    size_t n = p->model ? p->recipe.nmodels + (p->recipe.base != NULL) : 0;
    for (size_t i = 0; i < n; i++)
        ldl_model_close(&p->model[i]);
    ldl_free(p->model);
    for (size_t s = 0; p->shard && s < p->nshards; s++) {
        ldl_free(p->shard[s].name);
        ldl_buf_free(&p->shard[s].header);
    }
    ldl_free(p->shard);
    ldl_free(p->job);
    ldl_free(p->views);
    ldl_free(p->index_name);
    ldl_buf_free(&p->index);
    ldl_buf_free(&p->config);
    ldl_names_free(&p->side);
    ldl_merge_free(&p->merge);
    ldl_recipe_free(&p->recipe);
    *p = (struct ldl_plan){ 0 };
}
