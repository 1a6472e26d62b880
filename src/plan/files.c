/* files.c -- the files that will hold the output's tensors: names, headers, places, and the index.
 *
 * Tensors are dealt to shards in job order: by count, as PaddleNLP does (the first m % n of n shards
 * get one more), or by size, as Hugging Face's tools do (a shard is closed before a tensor that
 * would make it too large). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- shards ---- */

/* Where part i of n begins when m tensors are dealt out: the first m % n parts get one more. */
static size_t part_begin(size_t m, size_t n, size_t i)
{
    return i * (m / n) + LDL_MIN(i, m % n);
}

/* The first job after the shard that begins with job `from`. */
static size_t shard_end(const struct ldl_plan *p, size_t s, size_t from)
{
    uint64_t most = p->recipe.shard_bytes, sum = 0;
    if (!most)
        return part_begin(p->njobs, (size_t)p->recipe.shards, s + 1);
    size_t t = from;
    do
        sum += p->job[t++].bytes;
    while (t < p->njobs && p->job[t].bytes <= most - LDL_MIN(sum, most));
    return t;
}

static size_t count_shards(const struct ldl_plan *p)
{
    size_t n = 0;
    if (!p->recipe.shard_bytes)
        return (size_t)p->recipe.shards;
    for (size_t t = 0; t < p->njobs; n++)
        t = shard_end(p, n, t);
    return LDL_MAX(n, (size_t)1);
}

static int name_shard(struct ldl_plan *p, size_t s, struct ldl_err *err)
{
    const char *prefix = p->recipe.shard_prefix, *suffix = p->container->name;
    size_t size = strlen(prefix) + strlen(suffix) + 64;
    char *name = p->shard[s].name = ldl_alloc(size);
    int one = p->nshards == 1 && (p->recipe.plain_names || strcmp(suffix, "safetensors") != 0);
    if (!name)
        return ldl_oom(err);
    if (one)
        snprintf(name, size, "%s.%s", prefix, suffix);
    else
        snprintf(name, size, "%s-%05zu-of-%05zu.%s", prefix, s + 1, p->nshards, suffix);
    p->has_index = !one;
    return 0;
}

static int make_header(struct ldl_plan *p, size_t s, size_t from, size_t to,
                       const struct ldl_layout *how, struct ldl_err *err)
{
    struct ldl_shard *shard = &p->shard[s];
    struct ldl_entry *entry = ldl_calloc(LDL_MAX(to - from, (size_t)1), sizeof *entry);
    if (!entry)
        return ldl_oom(err);
    for (size_t t = from; t < to; t++) {
        const struct ldl_job *j = &p->job[t];
        entry[t - from] = (struct ldl_entry){ j->name, j->dtype, j->ndim, j->dim, j->bytes, 0 };
    }
    int rc = p->container->layout(&shard->header, entry, to - from, how, &shard->bytes, err);
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

/* Diffusers' loaders look for another name than all others do. */
static int take_diffusers_name(struct ldl_plan *p, struct ldl_err *err)
{
    static const char name[] = "diffusion_pytorch_model";
    const struct ldl_model *m = ldl_plan_giver(p);
    while (m->made_by)
        m = ldl_plan_giver(m->made_by);
    char **prefix = &p->recipe.shard_prefix;
    if (!p->recipe.fill || !m->nfiles ||
        strncmp(ldl_path_base(m->file[0].path), name, strlen(name)) != 0)
        return 0;
    ldl_free(*prefix);
    *prefix = ldl_strdup(name);
    return *prefix ? 0 : ldl_oom(err);
}

/* The file whose metadata a GGUF output takes: of a result, that of its base or first model. */
static int find_source(const struct ldl_plan *p, const struct ldl_file **source,
                       struct ldl_err *err)
{
    const struct ldl_model *m = p->base ? p->base : &p->model[0];
    for (; m->made_by; m = m->made_by->base ? m->made_by->base : &m->made_by->model[0])
        if (m->made_by->new_vocabulary && strcmp(p->container->name, "gguf") == 0)
            return ldl_fail(err, LDL_EUSAGE,
                            "%s: a result with another vocabulary than its models, with --format "
                            "gguf, is not in this build",
                            m->asked);
    *source = m->file;
    return 0;
}

int ldl_plan_shards(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    int rc = take_diffusers_name(p, err);
    if (rc)
        return rc;
    if (!r->shard_bytes && (uint64_t)r->shards > LDL_MAX(p->njobs, (size_t)1))
        return ldl_fail(err, LDL_EUSAGE,
                        "--n_process %lld is more than the %zu tensors of the model; every output "
                        "file needs at least one",
                        (long long)r->shards, p->njobs);
    p->nshards = count_shards(p);
    if (!(p->shard = ldl_calloc(p->nshards, sizeof *p->shard)))
        return ldl_oom(err);
    struct ldl_layout how = { .metadata_format = metadata_format(p), .dtype = r->dtype };
    size_t from = 0;
    if ((rc = find_source(p, &how.source, err)))
        return rc;
    for (size_t s = 0; s < p->nshards; s++) {
        size_t to = p->njobs ? shard_end(p, s, from) : 0;
        rc = name_shard(p, s, err);
        if (rc == 0)
            rc = make_header(p, s, from, to, &how, err);
        if (rc)
            return rc;
        p->bytes_out += p->shard[s].bytes;
        from = to;
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

int ldl_plan_index(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_buf *b = &p->index;
    uint64_t total = 0;
    p->bytes_out += p->recipe.config.len + p->recipe.card.len;
    if (!p->has_index)
        return 0;
    for (size_t t = 0; t < p->njobs; t++)
        total += p->job[t].bytes;
    int rc = put_metadata(p, total, err);
    if (rc)
        return rc;
    ldl_buf_puts(b, "  \"weight_map\": {");
    for (size_t t = 0; t < p->njobs; t++) {
        ldl_buf_puts(b, t ? ",\n    " : "\n    ");
        ldl_buf_json(b, p->job[t].name);
        ldl_buf_puts(b, ": ");
        ldl_buf_json(b, p->shard[p->job[t].shard].name);
    }
    ldl_buf_puts(b, "\n  }\n}\n");
    const char *prefix = p->recipe.prefix ? p->recipe.prefix : p->recipe.shard_prefix;
    size_t size = strlen(prefix) + 32;
    if (b->failed || !(p->index_name = ldl_alloc(size)))
        return ldl_oom(err);
    snprintf(p->index_name, size, "%s.safetensors.index.json", prefix);
    p->bytes_out += b->len;
    return 0;
}
