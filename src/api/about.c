/* about.c -- `ladle methods` and `ladle doctor`: what this program can do, from its own tables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"
#include "base/cores.h"

#include <string.h>

/* ---- methods ---- */

typedef void (*param_fn)(struct ldl_buf *b, const struct ldl_param *p, const char *part, int first);

/* All parameters of a method's two parts. */
static void each_param(struct ldl_buf *b, const struct ldl_method *m, param_fn fn)
{
    const struct ldl_sparsifier *s = m->sparsifier;
    const struct ldl_combiner *c = m->combiner;
    int first = 1;
    for (size_t i = 0; s && i < s->nparams; i++, first = 0)
        fn(b, &s->param[i], s->name, first);
    for (size_t i = 0; i < c->nparams; i++, first = 0)
        fn(b, &c->param[i], c->name, first);
}

static void param_text(struct ldl_buf *b, const struct ldl_param *p, const char *part, int first)
{
    char range[120];
    (void)first;
    ldl_buf_printf(b, "  %-20s  %-18s  default %-8s  %s (%s)\n", p->name, ldl_param_range(p, range),
                   p->fallback ? p->fallback : "none", p->help, part);
}

static void param_json(struct ldl_buf *b, const struct ldl_param *p, const char *part, int first)
{
    char range[120];
    ldl_buf_puts(b, first ? "\n      {\"name\": " : ",\n      {\"name\": ");
    ldl_buf_json(b, p->name);
    ldl_buf_puts(b, ", \"part\": ");
    ldl_buf_json(b, part);
    ldl_buf_puts(b, ", \"range\": ");
    ldl_buf_json(b, ldl_param_range(p, range));
    ldl_buf_puts(b, ", \"default\": ");
    if (p->fallback)
        ldl_buf_json(b, p->fallback);
    else
        ldl_buf_puts(b, "null");
    ldl_buf_puts(b, ", \"help\": ");
    ldl_buf_json(b, p->help);
    ldl_buf_puts(b, "}");
}

/* Where a method is named: by a flag, in a recipe, or by a verb of its own. */
static const char *place_of(const struct ldl_method *m)
{
    return strcmp(m->language, "mergekit") == 0 ? "recipes"
           : strcmp(m->language, "paddle") == 0 ? "flags"
                                                : "convert, lora_model_path";
}

static const char *base_text(const struct ldl_combiner *c)
{
    return c->needs_base     ? "beside the base model"
           : c->ignores_base ? ""
                             : ", with or without a base model";
}

static void method_text(struct ldl_buf *b, const struct ldl_method *m)
{
    const struct ldl_sparsifier *s = m->sparsifier;
    const struct ldl_combiner *c = m->combiner;
    ldl_buf_printf(b, "%s (%s): %s\n", m->name, place_of(m), m->summary);
    if (s)
        ldl_buf_printf(b, "  first %s: %s (%s)\n", s->name, s->summary, s->reference);
    ldl_buf_printf(b, "  %s %s: %s (%s)\n", s ? "then" : "does", c->name, c->summary, c->reference);
    if (c->min_models == c->max_models)
        ldl_buf_printf(b, "  exactly %zu model%s%s%s\n", c->min_models,
                       c->min_models == 1 ? "" : "s", c->needs_base ? " " : "", base_text(c));
    else
        ldl_buf_printf(b, "  %zu to %zu models%s%s\n", c->min_models, c->max_models,
                       c->needs_base ? " " : "", base_text(c));
    if (m->defaults)
        ldl_buf_printf(b, "  defaults of its own: %s\n", m->defaults);
    each_param(b, m, param_text);
}

static void method_json(struct ldl_buf *b, const struct ldl_method *m, int first)
{
    const struct ldl_sparsifier *s = m->sparsifier;
    const struct ldl_combiner *c = m->combiner;
    ldl_buf_printf(b,
                   "%s\n  {\n    \"name\": \"%s\",\n    \"language\": \"%s\",\n    \"summary\": ",
                   first ? "" : ",", m->name, m->language);
    ldl_buf_json(b, m->summary);
    ldl_buf_printf(b, ",\n    \"sparsifier\": %s%s%s", s ? "\"" : "", s ? s->name : "null",
                   s ? "\"" : "");
    ldl_buf_puts(b, ",\n    \"sparsifier_reference\": ");
    if (s)
        ldl_buf_json(b, s->reference);
    else
        ldl_buf_puts(b, "null");
    ldl_buf_printf(b, ",\n    \"combiner\": \"%s\",\n    \"combiner_reference\": ", c->name);
    ldl_buf_json(b, c->reference);
    ldl_buf_printf(b,
                   ",\n    \"min_models\": %zu,\n    \"max_models\": %zu,\n    \"parameters\": [",
                   c->min_models, c->max_models);
    each_param(b, m, param_json);
    ldl_buf_puts(b, "\n    ]\n  }");
}

static int unknown_method(const char *name, struct ldl_err *err)
{
    const char *list[64];
    size_t n = 0;
    for (const struct ldl_method *m = ldl_methods; m->name && n < LDL_COUNT(list); m++)
        list[n++] = m->name;
    const char *near = ldl_nearest(name, list, n);
    if (near)
        return ldl_fail(err, LDL_EUSAGE, "'%s' is not a merge method; did you mean '%s'?", name,
                        near);
    return ldl_fail(err, LDL_EUSAGE, "'%s' is not a merge method; `ladle methods` lists them",
                    name);
}

int ladle_methods(const char *name, int flags, ladle_sink sink, void *ctx,
                  struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct ldl_buf b = { 0 };
    size_t shown = 0;
    int json = flags & LADLE_JSON;
    if (json)
        ldl_buf_puts(&b, "[");
    for (const struct ldl_method *m = ldl_methods; m->name; m++) {
        if (name && strcmp(name, m->name) != 0)
            continue;
        if (json)
            method_json(&b, m, shown == 0);
        else if (name)
            method_text(&b, m);
        else if (shown == 0 || strcmp(m->language, m[-1].language) != 0)
            ldl_buf_printf(&b, "%s%s\n", shown ? "\n" : "", place_of(m));
        if (!json && !name)
            ldl_buf_printf(&b, "  %-16s %s\n", m->name, m->summary);
        shown++;
    }
    if (json)
        ldl_buf_puts(&b, "\n]\n");
    else if (!name)
        ldl_buf_puts(&b, "`ladle methods NAME` shows a method's parameters.\n");
    int rc = shown ? 0 : unknown_method(name, &err);
    return ldl_api_send(&b, sink, ctx, error, rc, &err);
}

/* ---- doctor ---- */

static const char *compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

struct report {
    struct ldl_buf out, value;
    int json, lines;
};

/* One line: the key and what was gathered in r->value, which is emptied. */
static void fact(struct report *r, const char *key)
{
    if (r->json) {
        ldl_buf_printf(&r->out, "%s\n  \"%s\": ", r->lines ? "," : "{", key);
        ldl_buf_json(&r->out, r->value.text ? r->value.text : "");
    } else {
        ldl_buf_printf(&r->out, "%-9s %s\n", key, r->value.text ? r->value.text : "");
    }
    r->lines++;
    r->out.failed |= r->value.failed;
    ldl_buf_reset(&r->value);
}

static void put_levels(struct ldl_buf *b)
{
    struct ldl_err err = { 0 };
    const struct ldl_kern *k;
    if (ldl_kern_get(&k, &err)) {
        ldl_buf_puts(b, err.text);
        return;
    }
    ldl_buf_printf(b, "%s in use; this processor runs", k->level);
    for (const struct ldl_kern *const *all = ldl_kern_all(); *all; all++)
        ldl_buf_printf(b, " %s", (*all)->level);
}

int ladle_doctor(int flags, ladle_sink sink, void *ctx, struct ladle_error *error)
{
    struct ldl_err err = { 0 };
    struct report r = { .json = flags & LADLE_JSON };
    ldl_buf_printf(&r.value, "%s, built with %s", LADLE_VERSION, compiler());
    fact(&r, "version");
    ldl_buf_puts(&r.value, LDL_BUILD);
    fact(&r, "build");
    put_levels(&r.value);
    fact(&r, "simd");
    ldl_buf_printf(&r.value, "%d (affinity mask and cgroup quota)", ldl_cores());
    fact(&r, "threads");
    for (size_t i = 0; ldl_devices[i]; i++)
        ldl_buf_printf(&r.value, "%s%s (%s)", i ? ", " : "", ldl_devices[i]->name,
                       ldl_devices[i]->summary);
    ldl_buf_puts(&r.value, "; no GPU support in this build");
    fact(&r, "devices");
    for (size_t i = 0; ldl_formats[i]; i++)
        ldl_buf_printf(&r.value, "%s%s (%s)", i ? ", " : "", ldl_formats[i]->name,
                       ldl_formats[i]->summary);
    fact(&r, "formats");
    ldl_buf_printf(&r.value, "%d models, %d dimensions, safetensors headers of 100 MB",
                   LDL_MAX_MODELS, LDL_MAX_DIMS);
    fact(&r, "limits");
    if (r.json)
        ldl_buf_puts(&r.out, "\n}\n");
    ldl_buf_free(&r.value);
    return ldl_api_send(&r.out, sink, ctx, error, 0, &err);
}
