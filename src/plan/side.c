/* side.c -- the files that come along with the weights, and the edits of config.json. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

/* Names that the merge itself writes cannot be copied over. */
static int is_ours(const struct ldl_plan *p, const char *name)
{
    if (p->index_name && strcmp(name, p->index_name) == 0)
        return 1;
    if (p->recipe.config.len && strcmp(name, "merge_config.json") == 0)
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
            int rc = ldl_plan_note(p, text, err);
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

/* A file that was named by itself may lie among strangers (a downloads folder): what is beside it
 * belongs to it only if a config.json says that this is a model's folder. */
static int take_usual_files(struct ldl_plan *p, const struct ldl_model *from, struct ldl_err *err)
{
    if (from->lone && !from->has_config)
        return 0;
    return ldl_side_list(p->side_dir, &p->side, err);
}

int ldl_plan_side(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_model *from = p->base ? p->base : &p->model[0];
    p->side_dir = from->dir;
    int rc = p->recipe.copy_given ? take_asked_files(p, err) : take_usual_files(p, from, err);
    return rc ? rc : edit_config(p, err);
}
