/* pickle.c -- see pickle.h. The opcodes of protocols 2 to 5 that checkpoints contain.
 *
 *     file:   | PROTO | opcode, argument | opcode, argument | ... | STOP |
 *     stack:  nodes; MARK notes its height on a stack of its own
 *     memo:   nodes by number (BINPUT, MEMOIZE), to be pushed again (BINGET)
 *
 * A row of the table at the end is a function and a small number for it. An opcode that has no row is
 * refused. Lists and dicts are chains of cells, so that appending needs no copy. A node is made by at
 * least one byte of the file and a cell by at least one push: so time is linear. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"
#include "format/pickle_machine.h"

#include <string.h>

enum { NODE_NONE = 1, NODE_TRUE, NODE_FALSE }; /* made before anything else */

/* ---- values ---- */

static int op_proto(struct ldl_machine *m, unsigned arg)
{
    uint64_t protocol;
    int status = ldl_machine_take_number(m, 1, &protocol);
    (void)arg;
    if (status == 0 && (protocol < 2 || protocol > 5))
        status = ldl_machine_bad(m, "a pickle of protocol %d; 2 to 5 are known", (int)protocol);
    return status;
}

/* A frame only tells how much to read at once. */
static int op_frame(struct ldl_machine *m, unsigned arg)
{
    uint64_t length;
    int status = ldl_machine_take_number(m, 8, &length);
    (void)arg;
    if (status == 0 && length > m->s->limit - m->pos)
        status = ldl_machine_bad(m, "a frame of %llu bytes, more than are left: truncated?",
                                 (unsigned long long)length);
    return status;
}

static int op_known(struct ldl_machine *m, unsigned node)
{
    return ldl_machine_push(m, node);
}

static int op_int(struct ldl_machine *m, unsigned width)
{
    uint64_t v;
    int status = ldl_machine_take_number(m, width, &v);
    if (status)
        return status;
    int64_t num = width == 4 ? (int64_t)(int32_t)(uint32_t)v : (int64_t)v;
    return ldl_machine_push_new(m, (struct ldl_pickle_node){ .kind = LDL_PY_INT, .num = num });
}

/* Python 2 writes integers of more than 32 bits as a line of digits. */
static int op_int_line(struct ldl_machine *m, unsigned arg)
{
    char line[LDL_MACHINE_LINE], *digit = line;
    uint64_t v = 0;
    int status = ldl_machine_take_line(m, line);
    (void)arg;
    if (status)
        return status;
    int minus = *digit == '-';
    digit += minus;
    if (!*digit)
        return ldl_machine_bad(m, "an integer without digits");
    for (; *digit >= '0' && *digit <= '9'; digit++)
        if (ldl_mul(v, 10, &v) || ldl_add(v, (uint64_t)(*digit - '0'), &v) || v > INT64_MAX)
            return ldl_machine_bad(m, "an integer that does not fit in 64 bits");
    if (*digit)
        return ldl_machine_bad(m, "an integer with something else in it than digits");
    return ldl_machine_push_new(
        m, (struct ldl_pickle_node){ .kind = LDL_PY_INT, .num = minus ? -(int64_t)v : (int64_t)v });
}

/* Short ones are copied to p->text. */
static int push_chars(struct ldl_machine *m, enum ldl_pickle_kind kind, uint64_t n)
{
    struct ldl_pickle_node node = { .kind = kind, .offset = m->pos, .n = n };
    if (n > m->s->limit - m->pos)
        return ldl_machine_bad(m, "%llu bytes are announced, %llu are left: truncated?",
                               (unsigned long long)n, (unsigned long long)(m->s->limit - m->pos));
    if (kind == LDL_PY_BYTES || n > LDL_PICKLE_KEPT_BYTES) {
        m->pos += n;
        return ldl_machine_push_new(m, node);
    }
    const unsigned char *text = ldl_machine_take(m, (size_t)n);
    if (!text)
        return m->status;
    if (m->p->text.len + n >= LDL_MACHINE_TEXT)
        return ldl_machine_bad(m, "more than %d MB of names; that is no checkpoint",
                               LDL_MACHINE_TEXT >> 20);
    node.kept = (uint32_t)m->p->text.len + 1;
    ldl_buf_put(&m->p->text, text, (size_t)n);
    ldl_buf_put(&m->p->text, "", 1);
    return m->p->text.failed ? ldl_oom(m->err) : ldl_machine_push_new(m, node);
}

/* arg: the kind times 16 plus the width of the length. */
static int op_chars(struct ldl_machine *m, unsigned arg)
{
    uint64_t n;
    int status = ldl_machine_take_number(m, arg % 16, &n);
    return status ? status : push_chars(m, (enum ldl_pickle_kind)(arg / 16), n);
}

static int op_long(struct ldl_machine *m, unsigned width)
{
    uint64_t n, v = 0;
    int status = ldl_machine_take_number(m, width, &n);
    if (status || n > 8)
        return status ? status : push_chars(m, LDL_PY_BIG, n);
    const unsigned char *b = ldl_machine_take(m, (size_t)n);
    if (!b)
        return m->status;
    for (size_t i = 0; i < 8; i++) /* the last byte has the sign */
        v |= (uint64_t)(i < n ? b[i] : n && b[n - 1] & 0x80 ? 0xff : 0) << (8 * i);
    return ldl_machine_push_new(m,
                                (struct ldl_pickle_node){ .kind = LDL_PY_INT, .num = (int64_t)v });
}

static int op_real(struct ldl_machine *m, unsigned arg)
{
    struct ldl_pickle_node node = { .kind = LDL_PY_REAL };
    const unsigned char *b = ldl_machine_take(m, 8);
    uint64_t bits = 0;
    (void)arg;
    if (!b)
        return m->status;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | b[i];
    memcpy(&node.real, &bits, sizeof bits);
    return ldl_machine_push_new(m, node);
}

/* ---- containers ---- */

static int op_mark(struct ldl_machine *m, unsigned arg)
{
    (void)arg;
    return ldl_machine_push_on(m, &m->mark, (uint32_t)m->value.n);
}

/* The topmost value, or an empty mark. */
static int op_pop(struct ldl_machine *m, unsigned arg)
{
    uint32_t node;
    (void)arg;
    if (m->mark.n && ldl_machine_above_mark(m) == 0) {
        m->mark.n--;
        return 0;
    }
    return ldl_machine_pop(m, &node);
}

static int op_pop_mark(struct ldl_machine *m, unsigned arg)
{
    size_t n;
    int status = ldl_machine_unmark(m, &n);
    (void)arg;
    if (status == 0)
        m->value.n -= n;
    return status;
}

static int op_dup(struct ldl_machine *m, unsigned arg)
{
    uint32_t node;
    int status = ldl_machine_pop(m, &node);
    (void)arg;
    if (status == 0 && (status = ldl_machine_push(m, node)) == 0)
        status = ldl_machine_push(m, node);
    return status;
}

static int op_empty(struct ldl_machine *m, unsigned kind)
{
    return ldl_machine_push_new(m, (struct ldl_pickle_node){ .kind = (enum ldl_pickle_kind)kind });
}

static int push_filled(struct ldl_machine *m, enum ldl_pickle_kind kind, size_t n)
{
    struct ldl_pickle_node node = { .kind = kind };
    int status = ldl_machine_move_items(m, &node, n);
    return status ? status : ldl_machine_push_new(m, node);
}

static int op_marked(struct ldl_machine *m, unsigned kind)
{
    size_t n;
    int status = ldl_machine_unmark(m, &n);
    return status ? status : push_filled(m, (enum ldl_pickle_kind)kind, n);
}

static int op_tuple(struct ldl_machine *m, unsigned n)
{
    if (ldl_machine_above_mark(m) < n)
        return ldl_machine_bad(m, "a tuple of values that were never made; the file is damaged");
    return push_filled(m, LDL_PY_TUPLE, n);
}

/* Adds the topmost n values to the container below them. Objects may take items too. */
static int add_items(struct ldl_machine *m, enum ldl_pickle_kind kind, size_t n)
{
    if (ldl_machine_above_mark(m) < n + 1)
        return ldl_machine_bad(m, "items for a container that was never made; the file is damaged");
    struct ldl_pickle_node *to = &m->p->node[m->value.item[m->value.n - n - 1]];
    if (to->kind != kind && (to->kind != LDL_PY_CALL || kind == LDL_PY_SET))
        return ldl_machine_bad(m, "items for a value that takes none; the file is damaged");
    if (kind == LDL_PY_DICT && n % 2)
        return ldl_machine_bad(m, "a key without a value; the file is damaged");
    return ldl_machine_move_items(m, to, n);
}

/* arg: the kind. */
static int op_add_marked(struct ldl_machine *m, unsigned kind)
{
    size_t n;
    int status = ldl_machine_unmark(m, &n);
    return status ? status : add_items(m, (enum ldl_pickle_kind)kind, n);
}

static int op_add(struct ldl_machine *m, unsigned kind)
{
    return add_items(m, (enum ldl_pickle_kind)kind, kind == LDL_PY_DICT ? 2 : 1);
}

/* ---- the memo ---- */

static int memo_put(struct ldl_machine *m, uint64_t place)
{
    struct ldl_pickle_node *node;
    int status = ldl_machine_top(m, &node);
    if (status)
        return status;
    if (place >= LDL_MACHINE_VALUES)
        return ldl_machine_bad(m, "memo number %llu; that is no checkpoint",
                               (unsigned long long)place);
    if (place >= m->memo.n) {
        if (ldl_grow(&m->memo.item, &m->memo.cap, (size_t)place + 1, sizeof *m->memo.item))
            return ldl_oom(m->err);
        memset(m->memo.item + m->memo.n, 0, ((size_t)place + 1 - m->memo.n) * sizeof(uint32_t));
        m->memo.n = (size_t)place + 1;
    }
    m->memo_used += m->memo.item[place] == 0;
    m->memo.item[place] = (uint32_t)(node - m->p->node);
    return 0;
}

static int op_put(struct ldl_machine *m, unsigned width)
{
    uint64_t place = m->memo_used;
    int status = width ? ldl_machine_take_number(m, width, &place) : 0;
    return status ? status : memo_put(m, place);
}

static int op_get(struct ldl_machine *m, unsigned width)
{
    uint64_t place;
    int status = ldl_machine_take_number(m, width, &place);
    if (status)
        return status;
    if (place >= m->memo.n || m->memo.item[place] == 0)
        return ldl_machine_bad(m, "memo number %llu was never put; the file is damaged",
                               (unsigned long long)place);
    return ldl_machine_push(m, m->memo.item[place]);
}

/* ---- what Python would call ---- */

static int push_global(struct ldl_machine *m, const char *module, const char *name)
{
    const struct ldl_pickle_name *known = m->s->known;
    for (uint32_t i = 0; known[i].module; i++)
        if (strcmp(known[i].module, module) == 0 && strcmp(known[i].name, name) == 0)
            return ldl_machine_push_new(
                m, (struct ldl_pickle_node){ .kind = LDL_PY_GLOBAL, .row = i });
    const char *why = m->s->why ? m->s->why(module, name) : NULL;
    return ldl_machine_bad(
        m, "the pickle wants to call '%s.%s', which is not a part of any checkpoint; refused%s%s",
        module, name, why ? ": " : "", why ? why : "");
}

static int op_global(struct ldl_machine *m, unsigned arg)
{
    char module[LDL_MACHINE_LINE], name[LDL_MACHINE_LINE];
    int status = ldl_machine_take_line(m, module);
    (void)arg;
    if (status == 0)
        status = ldl_machine_take_line(m, name);
    return status ? status : push_global(m, module, name);
}

static int op_stack_global(struct ldl_machine *m, unsigned arg)
{
    uint32_t module, name;
    int status = ldl_machine_pop(m, &name);
    (void)arg;
    if (status || (status = ldl_machine_pop(m, &module)))
        return status;
    const char *module_text = ldl_pickle_text(m->p, module);
    const char *name_text = ldl_pickle_text(m->p, name);
    if (!module_text || !name_text)
        return ldl_machine_bad(m, "what the pickle wants to call has no name; refused");
    return push_global(m, module_text, name_text);
}

/* arg: values above the callable, the first of which are the arguments. */
static int op_call(struct ldl_machine *m, unsigned n)
{
    uint32_t value[3];
    for (unsigned i = n + 1; i-- > 0;) {
        int status = ldl_machine_pop(m, &value[i]);
        if (status)
            return status;
    }
    if (ldl_pickle_at(m->p, value[0])->kind != LDL_PY_GLOBAL)
        return ldl_machine_bad(m, "the pickle calls a value that is no function; refused");
    if (ldl_pickle_at(m->p, value[1])->kind != LDL_PY_TUPLE)
        return ldl_machine_bad(m, "the arguments of a call are no tuple; the file is damaged");
    return ldl_machine_push_new(m, (struct ldl_pickle_node){ .kind = LDL_PY_CALL,
                                                             .callable = value[0],
                                                             .args = value[1],
                                                             .state = n == 2 ? value[2] : 0 });
}

static int op_build(struct ldl_machine *m, unsigned arg)
{
    struct ldl_pickle_node *node;
    uint32_t state;
    int status = ldl_machine_pop(m, &state);
    (void)arg;
    if (status || (status = ldl_machine_top(m, &node)))
        return status;
    if (node->kind != LDL_PY_CALL)
        return ldl_machine_bad(m, "a state for a value that is no object; the file is damaged");
    node->state = state;
    return 0;
}

static int op_persid(struct ldl_machine *m, unsigned arg)
{
    uint32_t id;
    int status = ldl_machine_pop(m, &id);
    (void)arg;
    return status ? status
                  : ldl_machine_push_new(
                        m, (struct ldl_pickle_node){ .kind = LDL_PY_PERSID, .args = id });
}

/* ---- the table ---- */

struct op {
    int (*run)(struct ldl_machine *m, unsigned arg);
    unsigned arg;
};

#define CHARS(kind, width) op_chars, (unsigned)(kind)*16 + (width)

static const struct op ops[256] = {
    [0x80] = { op_proto, 0 },
    [0x95] = { op_frame, 0 },
    ['N'] = { op_known, NODE_NONE },
    [0x88] = { op_known, NODE_TRUE },
    [0x89] = { op_known, NODE_FALSE },
    ['K'] = { op_int, 1 },
    ['M'] = { op_int, 2 },
    ['J'] = { op_int, 4 },
    ['I'] = { op_int_line, 0 },
    [0x8a] = { op_long, 1 },
    [0x8b] = { op_long, 4 },
    ['G'] = { op_real, 0 },
    [0x8c] = { CHARS(LDL_PY_TEXT, 1) },
    ['X'] = { CHARS(LDL_PY_TEXT, 4) },
    [0x8d] = { CHARS(LDL_PY_TEXT, 8) },
    ['U'] = { CHARS(LDL_PY_STRING, 1) },
    ['T'] = { CHARS(LDL_PY_STRING, 4) },
    ['C'] = { CHARS(LDL_PY_BYTES, 1) },
    ['B'] = { CHARS(LDL_PY_BYTES, 4) },
    [0x8e] = { CHARS(LDL_PY_BYTES, 8) },
    [0x96] = { CHARS(LDL_PY_BYTES, 8) }, /* bytearray */
    ['('] = { op_mark, 0 },
    ['0'] = { op_pop, 0 },
    ['1'] = { op_pop_mark, 0 },
    ['2'] = { op_dup, 0 },
    [')'] = { op_tuple, 0 },
    [0x85] = { op_tuple, 1 },
    [0x86] = { op_tuple, 2 },
    [0x87] = { op_tuple, 3 },
    ['t'] = { op_marked, LDL_PY_TUPLE },
    ['l'] = { op_marked, LDL_PY_LIST },
    [0x91] = { op_marked, LDL_PY_SET },
    [']'] = { op_empty, LDL_PY_LIST },
    ['}'] = { op_empty, LDL_PY_DICT },
    [0x8f] = { op_empty, LDL_PY_SET },
    ['a'] = { op_add, LDL_PY_LIST },
    ['e'] = { op_add_marked, LDL_PY_LIST },
    ['s'] = { op_add, LDL_PY_DICT },
    ['u'] = { op_add_marked, LDL_PY_DICT },
    [0x90] = { op_add_marked, LDL_PY_SET },
    ['q'] = { op_put, 1 },
    ['r'] = { op_put, 4 },
    [0x94] = { op_put, 0 },
    ['h'] = { op_get, 1 },
    ['j'] = { op_get, 4 },
    ['c'] = { op_global, 0 },
    [0x93] = { op_stack_global, 0 },
    ['R'] = { op_call, 1 },
    [0x81] = { op_call, 1 },
    [0x92] = { op_call, 2 },
    ['b'] = { op_build, 0 },
    ['Q'] = { op_persid, 0 },
};

static int run(struct ldl_machine *m)
{
    int status = 0;
    while (status == 0) {
        m->op = m->pos;
        const unsigned char *code = ldl_machine_take(m, 1);
        if (!code)
            return m->status;
        if (*code == '.')
            return ldl_machine_pop(m, &m->p->root);
        const struct op *op = &ops[*code];
        status = op->run ? op->run(m, op->arg)
                         : ldl_machine_bad(m,
                                           "a pickle opcode 0x%02x, which checkpoints do not have: "
                                           "damaged, or no pickle",
                                           *code);
    }
    return status;
}

/* Node 0 is nobody's value, cell 0 ends chains. */
static int make_constants(struct ldl_machine *m)
{
    static const struct ldl_pickle_node constants[] = {
        { .kind = LDL_PY_NOTHING },
        { .kind = LDL_PY_NONE },
        { .kind = LDL_PY_BOOL, .num = 1 },
        { .kind = LDL_PY_BOOL, .num = 0 },
    };
    uint32_t made;
    int status = 0;
    for (size_t i = 0; i < LDL_COUNT(constants) && status == 0; i++)
        status = ldl_machine_new_node(m, constants[i], &made);
    if (status == 0 && ldl_grow(&m->p->cell, &m->p->cell_cap, 1, sizeof *m->p->cell))
        status = ldl_oom(m->err);
    m->p->ncells = 1;
    return status;
}

int ldl_pickle_read(struct ldl_pickle *p, const struct ldl_pickle_source *s, struct ldl_err *err)
{
    struct ldl_machine m = { .p = p, .s = s, .err = err, .pos = s->start, .op = s->start };
    *p = (struct ldl_pickle){ .known = s->known };
    m.window = ldl_alloc(LDL_MACHINE_WINDOW);
    int status = m.window ? make_constants(&m) : ldl_oom(err);
    if (status == 0)
        status = run(&m);
    p->end = m.pos;
    ldl_free(m.window);
    ldl_free(m.value.item);
    ldl_free(m.mark.item);
    ldl_free(m.memo.item);
    if (status)
        ldl_pickle_free(p);
    return status;
}
