/* modules.c -- the modules of a recipe, found in the names of the models' tensors.
 *
 *     default                    everything; beside other modules, what they leave
 *     text_decoder, language_model, text_model, llm ...   (a word for text) what is of no other tower
 *     vision_tower, model.visual, encoder, transformer_blocks ...   tensors with this in their name before
 *                                the first number: those that begin with it, else those that have it
 *                                further on; and where there are none, the tower that the name says
 *
 * A tensor that several have is the projector's, else of the one with the longer name. A head that no
 * name fits goes with `shared` or `decoder`, where an encoder-decoder has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tied.h"
#include "plan/parts.h"

#include <stdio.h>
#include <string.h>

const struct ldl_model *ldl_plan_lead(const struct ldl_plan *p, size_t module)
{
    const struct ldl_module *m = &p->recipe.module[module];
    return &p->model[p->recipe.slice[m->first].source[0].model];
}

/* ---- whose is a tensor ---- */

/* How well the module fits the name; 0: not. */
static size_t fit(const struct ldl_plan *p, size_t i, const char *name)
{
    const struct ldl_plan_module *m = &p->module[i];
    const char *part = p->recipe.module[i].name;
    int has;
    switch (m->rule) {
    case LDL_MODULE_ALL: return 1;
    case LDL_MODULE_REST: return 0;
    case LDL_MODULE_TOWER:
        return ldl_tower_of(name) != m->tower ? 0 : m->tower == LDL_TOWER_PROJECTOR ? SIZE_MAX : 1;
    case LDL_MODULE_PART: break;
    }
    has = ldl_name_has(name, part);
    return has && (has == 1 || !m->anchored) ? 1 + strlen(part) : 0;
}

size_t ldl_plan_module_of(const struct ldl_plan *p, const char *name)
{
    static const char *const of_heads[] = { "shared", "decoder" };
    size_t best = 0, found = SIZE_MAX, n = p->recipe.nmodules;
    for (size_t i = 0; i < n; i++) {
        size_t f = fit(p, i, name);
        if (f > best) {
            best = f;
            found = i;
        }
    }
    for (size_t k = 0; found == SIZE_MAX && k < LDL_COUNT(of_heads) && ldl_tied_is_head(name); k++)
        for (size_t i = 0; i < n; i++)
            if (p->module[i].rule == LDL_MODULE_PART &&
                strcmp(p->recipe.module[i].name, of_heads[k]) == 0)
                found = i;
    for (size_t i = 0; found == SIZE_MAX && i < n; i++)
        if (p->module[i].rule == LDL_MODULE_REST)
            found = i;
    return found;
}

uint64_t ldl_plan_layers_in(const struct ldl_plan *p, size_t module, const struct ldl_model *m)
{
    const struct ldl_stack *s = p->module[module].stack;
    struct ldl_layer layer;
    uint64_t n = 0;
    for (size_t i = 0; s && i < m->nviews; i++)
        if (ldl_stack_has(s, m->view[i].name, &layer))
            n = LDL_MAX(n, layer.number + 1);
    return n;
}

/* ---- what the recipe's names mean ---- */

static void understand(struct ldl_plan *p, size_t i)
{
    const char *name = p->recipe.module[i].name;
    const struct ldl_model *lead = ldl_plan_lead(p, i);
    struct ldl_plan_module *m = &p->module[i];
    int has = 0;
    if (!name || (strcmp(name, "default") == 0 && p->recipe.nmodules == 1))
        return; /* LDL_MODULE_ALL */
    m->rule = LDL_MODULE_REST;
    if (strcmp(name, "default") == 0)
        return;
    for (size_t t = 0; t < lead->nviews; t++) {
        int here = ldl_name_has(lead->view[t].name, name);
        m->anchored |= here == 1;
        has |= here;
    }
    m->tower = ldl_tower_of(name);
    int is_text = m->tower == LDL_TOWER_TEXT && ldl_tower_says_text(name) && !strchr(name, '.');
    int is_tower = is_text || (!has && m->tower != LDL_TOWER_TEXT);
    m->rule = is_tower ? LDL_MODULE_TOWER : LDL_MODULE_PART;
}

/* The names that modules of these models can have, for messages. */
static void put_names(struct ldl_buf *b, const struct ldl_model *m, const struct ldl_stacks *s)
{
    int tower[LDL_TOWERS] = { 0 }, towers = 0, encoder = 0, decoder = 0;
    for (size_t t = 0; t < m->nviews; t++)
        tower[ldl_tower_of(m->view[t].name)] = 1;
    for (size_t t = 0; t < LDL_TOWERS; t++)
        towers += tower[t];
    for (size_t t = 0; t < LDL_TOWERS && towers > 1; t++)
        if (tower[t])
            ldl_buf_printf(b, "%s%s", b->len ? ", " : "", ldl_tower_name[t]);
    for (size_t i = 0; i < s->n; i++) {
        encoder |= ldl_stack_says(&s->stack[i], "encoder");
        decoder |= ldl_stack_says(&s->stack[i], "decoder");
    }
    if (encoder && decoder)
        ldl_buf_printf(b, "%sencoder, decoder", b->len ? ", " : "");
    for (size_t i = 0; i < s->n && i < 8 && towers < 2 && !(encoder && decoder); i++)
        ldl_buf_printf(b, "%s%.*s", b->len ? ", " : "", (int)LDL_MIN(s->stack[i].len, (size_t)100),
                       s->stack[i].name);
    ldl_buf_printf(b, "%sdefault", b->len ? ", " : "");
}

static int fail_unknown(const struct ldl_plan *p, size_t i, struct ldl_err *err)
{
    const struct ldl_module *of = &p->recipe.module[i];
    const struct ldl_model *lead = ldl_plan_lead(p, i);
    struct ldl_stacks s = { 0 };
    struct ldl_buf b = { 0 };
    int rc = ldl_stacks_read(&s, lead, NULL, err);
    if (rc == 0)
        put_names(&b, lead, &s);
    if (rc == 0)
        rc = b.failed ? ldl_oom(err)
                      : ldl_fail(err, LDL_EUSAGE,
                                 "%s:%u:%u: no tensor of %s is of a module '%.100s'; its modules "
                                 "are %s",
                                 of->file, of->line, of->column, lead->asked, of->name, b.text);
    ldl_stacks_free(&s);
    ldl_buf_free(&b);
    return rc;
}

static int fail_which(const struct ldl_plan *p, size_t i, struct ldl_err *err)
{
    const struct ldl_module *of = &p->recipe.module[i];
    const struct ldl_stacks *s = &p->module[i].stacks;
    struct ldl_buf b = { 0 };
    for (size_t k = 0; k < s->n && k < 8; k++)
        ldl_buf_printf(&b, "%s%.*s (%llu)", k ? ", " : "",
                       (int)LDL_MIN(s->stack[k].len, (size_t)100), s->stack[k].name,
                       (unsigned long long)s->stack[k].layers);
    int rc = b.failed ? ldl_oom(err)
                      : ldl_fail(err, LDL_EUSAGE,
                                 "%s:%u:%u: slices: which layers are meant? %s has %s%s; write "
                                 "modules: {%.*s: {slices: ...}}, or another of them",
                                 of->file, of->line, of->column, ldl_plan_lead(p, i)->asked, b.text,
                                 s->n > 8 ? " ..." : "", (int)LDL_MIN(s->stack[0].len, (size_t)100),
                                 s->stack[0].name);
    ldl_buf_free(&b);
    return rc;
}

/* ---- notes ---- */

/* Slices that do not say of which layers they are, where there are several kinds. */
static int note_stack(struct ldl_plan *p, size_t i, struct ldl_err *err)
{
    const struct ldl_plan_module *m = &p->module[i];
    char text[700];
    size_t others = 0;
    const struct ldl_stack *other = NULL;
    for (size_t k = 0; k < m->stacks.n; k++)
        if (&m->stacks.stack[k] != m->stack && !m->stacks.stack[k].holes &&
            m->stacks.stack[k].layers > 1 && !others++)
            other = &m->stacks.stack[k];
    if (!other)
        return 0;
    snprintf(text, sizeof text,
             "slices: the layers are those of %.*s; those of %.*s%s are merged by name, from the "
             "models of the first slice",
             (int)LDL_MIN(m->stack->len, (size_t)200), m->stack->name,
             (int)LDL_MIN(other->len, (size_t)200), other->name, others > 1 ? " ..." : "");
    return ldl_plan_note(p, text, err);
}

/* ---- all of it ---- */

static int read_stacks(struct ldl_plan *p, size_t i, size_t *tensors, struct ldl_err *err)
{
    const struct ldl_model *lead = ldl_plan_lead(p, i);
    unsigned char *keep = ldl_calloc(lead->nviews + 1, 1);
    if (!keep)
        return ldl_oom(err);
    for (size_t t = 0; t < lead->nviews; t++) {
        keep[t] = ldl_plan_module_of(p, lead->by_name[t]->name) == i;
        *tensors += keep[t];
    }
    int rc = ldl_stacks_read(&p->module[i].stacks, lead, keep, err);
    ldl_free(keep);
    return rc;
}

static int find_stack(struct ldl_plan *p, size_t i, struct ldl_err *err)
{
    struct ldl_plan_module *m = &p->module[i];
    m->stack = ldl_stacks_main(&m->stacks);
    if (m->stack)
        return note_stack(p, i, err);
    if (m->stacks.n)
        return fail_which(p, i, err);
    return ldl_fail(err, LDL_EINPUT,
                    "%s:%u:%u: slices: %s has no numbered layers there; write models instead",
                    p->recipe.module[i].file, p->recipe.module[i].line, p->recipe.module[i].column,
                    ldl_plan_lead(p, i)->asked);
}

int ldl_plan_modules(struct ldl_plan *p, struct ldl_err *err)
{
    const struct ldl_recipe *r = &p->recipe;
    if (!(p->module = ldl_calloc(r->nmodules + 1, sizeof *p->module)))
        return ldl_oom(err);
    for (size_t i = 0; i < r->nmodules; i++)
        understand(p, i);
    for (size_t i = 0; i < r->nmodules; i++) {
        size_t tensors = 0;
        int rc = read_stacks(p, i, &tensors, err);
        if (rc == 0 && tensors == 0)
            rc = fail_unknown(p, i, err);
        if (rc == 0 && !r->slice[r->module[i].first].whole)
            rc = find_stack(p, i, err);
        if (rc)
            return rc;
    }
    return 0;
}
