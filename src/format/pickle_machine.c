/* pickle_machine.c -- see pickle_machine.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle_machine.h"
#include "base/io.h"

#include <stdarg.h>
#include <stdio.h>

int ldl_machine_bad(struct ldl_machine *m, const char *fmt, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return ldl_fail(m->err, LDL_EINPUT, "%s: byte %llu: %s", m->s->path, (unsigned long long)m->op,
                    text);
}

/* ---- the file ---- */

const unsigned char *ldl_machine_take(struct ldl_machine *m, size_t n)
{
    if (n > m->s->limit - m->pos) {
        m->status = ldl_machine_bad(m, "the pickle ends in the middle of something: truncated?");
        return NULL;
    }
    if (m->pos < m->at || m->pos - m->at > m->len || n > m->len - (size_t)(m->pos - m->at)) {
        size_t len = (size_t)LDL_MIN((uint64_t)LDL_MACHINE_WINDOW, m->s->limit - m->pos);
        m->len = 0;
        m->status = ldl_pread(m->s->fd, m->s->path, m->window, len, m->pos, m->err);
        if (m->status)
            return NULL;
        m->at = m->pos;
        m->len = len;
    }
    const unsigned char *bytes = m->window + (m->pos - m->at);
    m->pos += n;
    return bytes;
}

int ldl_machine_take_number(struct ldl_machine *m, unsigned width, uint64_t *number)
{
    const unsigned char *b = ldl_machine_take(m, width);
    if (!b)
        return m->status;
    *number = 0;
    for (unsigned i = width; i-- > 0;)
        *number = *number << 8 | b[i];
    return 0;
}

int ldl_machine_take_line(struct ldl_machine *m, char line[LDL_MACHINE_LINE])
{
    for (size_t n = 0; n < LDL_MACHINE_LINE; n++) {
        const unsigned char *b = ldl_machine_take(m, 1);
        if (!b)
            return m->status;
        line[n] = *b == '\n' ? 0 : (char)*b;
        if (*b == '\n')
            return 0;
        if (*b == 0)
            break;
    }
    return ldl_machine_bad(m, "a name that is longer than %d bytes or has a NUL in it",
                           LDL_MACHINE_LINE);
}

/* ---- nodes and stacks ---- */

int ldl_machine_push_on(struct ldl_machine *m, struct ldl_machine_stack *s, uint32_t item)
{
    if (s->n >= LDL_MACHINE_VALUES)
        return ldl_machine_bad(m, "more than %d values at once; that is no checkpoint",
                               LDL_MACHINE_VALUES);
    if (ldl_grow(&s->item, &s->cap, s->n + 1, sizeof *s->item))
        return ldl_oom(m->err);
    s->item[s->n++] = item;
    return 0;
}

int ldl_machine_push(struct ldl_machine *m, uint32_t node)
{
    return ldl_machine_push_on(m, &m->value, node);
}

size_t ldl_machine_above_mark(const struct ldl_machine *m)
{
    return m->value.n - (m->mark.n ? m->mark.item[m->mark.n - 1] : 0);
}

int ldl_machine_pop(struct ldl_machine *m, uint32_t *node)
{
    if (ldl_machine_above_mark(m) == 0)
        return ldl_machine_bad(m,
                               "the pickle takes a value that it never made; the file is damaged");
    *node = m->value.item[--m->value.n];
    return 0;
}

int ldl_machine_top(struct ldl_machine *m, struct ldl_pickle_node **node)
{
    if (ldl_machine_above_mark(m) == 0)
        return ldl_machine_bad(
            m, "the pickle changes a value that it never made; the file is damaged");
    *node = &m->p->node[m->value.item[m->value.n - 1]];
    return 0;
}

int ldl_machine_unmark(struct ldl_machine *m, size_t *n)
{
    if (m->mark.n == 0)
        return ldl_machine_bad(m, "the pickle closes what it never opened; the file is damaged");
    *n = ldl_machine_above_mark(m);
    m->mark.n--;
    return 0;
}

int ldl_machine_new_node(struct ldl_machine *m, struct ldl_pickle_node node, uint32_t *made)
{
    struct ldl_pickle *p = m->p;
    if (p->nnodes >= LDL_MACHINE_VALUES)
        return ldl_machine_bad(m, "the pickle holds more than %d values; that is no checkpoint",
                               LDL_MACHINE_VALUES);
    if (ldl_grow(&p->node, &p->node_cap, p->nnodes + 1, sizeof *p->node))
        return ldl_oom(m->err);
    *made = (uint32_t)p->nnodes;
    p->node[p->nnodes++] = node;
    return 0;
}

int ldl_machine_push_new(struct ldl_machine *m, struct ldl_pickle_node node)
{
    uint32_t made = 0;
    int status = ldl_machine_new_node(m, node, &made);
    return status ? status : ldl_machine_push(m, made);
}

int ldl_machine_move_items(struct ldl_machine *m, struct ldl_pickle_node *to, size_t n)
{
    struct ldl_pickle *p = m->p;
    if (n == 0) /* the stack may have no memory yet */
        return 0;
    if (n > LDL_MACHINE_CELLS - p->ncells)
        return ldl_machine_bad(m,
                               "the pickle's lists hold more than %d values; that is no checkpoint",
                               LDL_MACHINE_CELLS);
    if (ldl_grow(&p->cell, &p->cell_cap, p->ncells + n, sizeof *p->cell))
        return ldl_oom(m->err);
    const uint32_t *from = m->value.item + (m->value.n - n);
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint32_t)p->ncells++;
        p->cell[c] = (struct ldl_pickle_cell){ .value = from[i] };
        if (to->n++)
            p->cell[to->last].next = c;
        else
            to->first = c;
        to->last = c;
    }
    m->value.n -= n;
    return 0;
}
