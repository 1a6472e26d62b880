/* find.c -- see find.h.
 *
 * The names that training frameworks give to weights are looked for in the order of the table: for
 * one name the index comes before the single file, safetensors before pickles, as PaddleNLP and
 * transformers do. A directory with none of them but with one file of weights alone (x.gguf,
 * consolidated.pth) means that file. Everything else is an error that says what is there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/find.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const struct name {
    const char *prefix, *single; /* the index is called SINGLE.index.json */
} names_of_weights[] = {
    { "model", "model.safetensors" },
    { "model", "pytorch_model.bin" },
    { "model", "model_state.pdparams" },
    { "model", "diffusion_pytorch_model.safetensors" },
    { "model", "diffusion_pytorch_model.bin" },
    { "master_weights", "master_weights.safetensors" },
    { "master_weights", "master_weights.pdparams" },
};
static const char *const endings[] = { "*.safetensors", "*.gguf", "*.bin",     "*.pt",
                                       "*.pth",         "*.ckpt", "*.pdparams" };

const char *ldl_find_prefix(const char *name)
{
    static const char master[] = "master_weights";
    return strncmp(name, master, sizeof master - 1) == 0 ? master : "model";
}

/* ---- the names of the table ---- */

/* Is dir/single, or its index, there? 1, 0, or -1: no memory. */
static int look(struct ldl_found *out, const char *dir, const struct name *n)
{
    struct ldl_buf index = { 0 };
    ldl_buf_printf(&index, "%s.index.json", n->single);
    for (int i = 1; i >= 0 && !index.failed; i--) {
        out->path = ldl_path_join(dir, i ? index.text : n->single);
        out->is_index = i;
        if (!out->path || ldl_exists(out->path))
            break;
        ldl_free(out->path);
        out->path = NULL;
    }
    int failed = index.failed;
    ldl_buf_free(&index);
    if (failed || !out->path)
        return failed ? -1 : 0;
    out->prefix = ldl_strdup(n->prefix);
    return out->prefix ? 1 : -1;
}

/* ---- a directory with other names ---- */

static int is_training_state(const char *name)
{
    return strncmp(name, "optimizer", 9) == 0 || strncmp(name, "scheduler", 9) == 0 ||
           strncmp(name, "rng_state", 9) == 0 || strncmp(name, "training_args", 13) == 0 ||
           strncmp(name, "random_states", 13) == 0;
}

/* A shard of several: "x-00001-of-00003.safetensors". */
static int is_shard(const char *name)
{
    const char *of = strstr(name, "-of-");
    return of && fnmatch("*-[0-9][0-9]*-of-[0-9]*", name, 0) == 0 && strspn(of + 4, "0") > 0 &&
           strncmp(of + 4, "00001.", 6) != 0;
}

static int is_adapter(const char *name)
{
    return strncmp(name, "adapter_model", 13) == 0 || strncmp(name, "lora_model_state", 16) == 0 ||
           strncmp(name, "peft_model", 10) == 0;
}

static int is_weights(const char *name)
{
    for (size_t i = 0; i < LDL_COUNT(endings); i++)
        if (fnmatch(endings[i], name, 0) == 0)
            return !is_training_state(name);
    return 0;
}

/* What the names in a folder tell. */
struct contents {
    const char *shard, *adapter, *lone, *second, *other_prefix;
    size_t lone_count;
};

static struct contents sort_names(const struct ldl_names *names, const char *prefix)
{
    struct contents c = { 0 };
    for (size_t i = 0; i < names->n; i++) {
        const char *name = names->name[i];
        if (!is_weights(name) && !ldl_has_suffix(name, ".index.json"))
            continue;
        if (is_adapter(name))
            c.adapter = name;
        else if (prefix && strcmp(ldl_find_prefix(name), prefix) != 0)
            c.other_prefix = c.other_prefix ? c.other_prefix : name;
        else if (is_weights(name) && is_shard(name))
            c.shard = c.shard ? c.shard : name;
        else if (is_weights(name) && c.lone_count++)
            c.second = c.second ? c.second : name;
        else if (is_weights(name))
            c.lone = name;
    }
    return c;
}

static void put_looked_for(struct ldl_buf *text, const char *prefix)
{
    const char *comma = "";
    ldl_buf_puts(text, "; looked for");
    for (size_t i = 0; i < LDL_COUNT(names_of_weights); i++) {
        if (prefix && strcmp(prefix, names_of_weights[i].prefix) != 0)
            continue;
        ldl_buf_printf(text, "%s %s", comma, names_of_weights[i].single);
        comma = ",";
    }
    ldl_buf_puts(text, ", their indexes, and one other file of weights");
}

static int fail_no_weights(const char *asked, const char *prefix, const struct contents *c,
                           struct ldl_err *err)
{
    const char *other = prefix && strcmp(prefix, "model") == 0 ? "master_weights" : "model";
    struct ldl_buf text = { 0 };
    ldl_buf_printf(&text, "no %sweights are there",
                   prefix && strcmp(prefix, "model") != 0 ? "master " : "");
    if (c->shard)
        ldl_buf_printf(&text, "; %s is, but the index that belongs to the shards is missing",
                       c->shard);
    else if (c->lone_count > 1)
        ldl_buf_printf(&text, " under a usual name, but %s and %s%s: name one file to read it",
                       c->lone, c->second, c->lone_count > 2 ? " and more" : "");
    else if (c->other_prefix)
        ldl_buf_printf(&text, "; it has %s weights (%s): give --merge_prefix %s", other,
                       c->other_prefix, other);
    else if (c->adapter)
        ldl_buf_printf(&text, ", but an adapter is (%s): name it with its base model, as BASE+%s",
                       c->adapter, asked);
    else
        put_looked_for(&text, prefix);
    int status = text.failed ? ldl_oom(err) : ldl_fail(err, LDL_EINPUT, "%s: %s", asked, text.text);
    ldl_buf_free(&text);
    return status;
}

static int find_lone(struct ldl_found *out, const char *dir, const char *asked, const char *prefix,
                     struct ldl_err *err)
{
    struct ldl_names names = { 0 };
    int status = ldl_list_dir(dir, &names, err);
    if (status)
        return status;
    struct contents c = sort_names(&names, prefix);
    if (c.lone_count == 1 && !c.shard) {
        out->path = ldl_path_join(dir, c.lone);
        out->prefix = ldl_strdup(ldl_find_prefix(c.lone));
        status = out->path && out->prefix ? 0 : ldl_oom(err);
    } else {
        status = fail_no_weights(asked, prefix, &c, err);
    }
    ldl_names_free(&names);
    return status;
}

/* ---- all of it ---- */

int ldl_find_weights(struct ldl_found *out, const char *dir, const char *asked, const char *prefix,
                     struct ldl_err *err)
{
    int found = 0;
    *out = (struct ldl_found){ 0 };
    for (size_t i = 0; i < LDL_COUNT(names_of_weights) && found == 0; i++)
        if (!prefix || strcmp(prefix, names_of_weights[i].prefix) == 0)
            found = look(out, dir, &names_of_weights[i]);
    int status = found > 0 ? 0 : found < 0 ? ldl_oom(err) : find_lone(out, dir, asked, prefix, err);
    if (status)
        ldl_found_free(out);
    return status;
}

void ldl_found_free(struct ldl_found *found)
{
    ldl_free(found->path);
    ldl_free(found->prefix);
    *found = (struct ldl_found){ 0 };
}
