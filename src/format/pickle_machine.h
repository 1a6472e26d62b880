/* pickle_machine.h -- the parts of pickle.c's machine below its opcodes: the file through a window,
 * the stacks, the nodes. Only pickle.c includes it.
 *
 * Every function that returns an int returns a status and has set the error. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_PICKLE_MACHINE_H
#define LDL_FORMAT_PICKLE_MACHINE_H

#include "format/pickle.h"

enum {
    LDL_MACHINE_VALUES = 1 << 23, /* nodes, values on a stack, places in the memo */
    LDL_MACHINE_CELLS = 1 << 24,
    LDL_MACHINE_TEXT = 64 << 20,
    LDL_MACHINE_LINE = 256,
    LDL_MACHINE_WINDOW = 1 << 16 /* bytes of the file in memory */
};

struct ldl_machine_stack {
    uint32_t *item;
    size_t n, cap;
};

struct ldl_machine {
    struct ldl_pickle *p;
    const struct ldl_pickle_source *s;
    struct ldl_err *err;
    int status;            /* why take() returned NULL */
    unsigned char *window; /* holds the file's bytes [at, at + len) */
    uint64_t at;
    size_t len;
    uint64_t pos, op; /* the next byte; the opcode at work */
    struct ldl_machine_stack value, mark, memo;
    size_t memo_used; /* places of the memo that hold something */
};

/* "PATH: byte N: TEXT" */
int ldl_machine_bad(struct ldl_machine *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The next n bytes, n <= LDL_MACHINE_WINDOW, good until the next call; NULL when reading failed or
 * the pickle ends before: then m->status is set. */
const unsigned char *ldl_machine_take(struct ldl_machine *m, size_t n);
/* A little-endian number of `width` bytes. */
int ldl_machine_take_number(struct ldl_machine *m, unsigned width, uint64_t *number);
/* A line of text, without its end, NUL-terminated. */
int ldl_machine_take_line(struct ldl_machine *m, char line[LDL_MACHINE_LINE]);

int ldl_machine_push_on(struct ldl_machine *m, struct ldl_machine_stack *s, uint32_t item);
int ldl_machine_push(struct ldl_machine *m, uint32_t node);
/* Values above the topmost mark, which is all that an opcode may touch. */
size_t ldl_machine_above_mark(const struct ldl_machine *m);
int ldl_machine_pop(struct ldl_machine *m, uint32_t *node);
/* The topmost value, which stays. */
int ldl_machine_top(struct ldl_machine *m, struct ldl_pickle_node **node);
/* Takes the topmost mark away; *n values are above it. */
int ldl_machine_unmark(struct ldl_machine *m, size_t *n);

int ldl_machine_new_node(struct ldl_machine *m, struct ldl_pickle_node node, uint32_t *made);
int ldl_machine_push_new(struct ldl_machine *m, struct ldl_pickle_node node);
/* Moves the topmost n values to the container, in the order in which they were pushed. */
int ldl_machine_move_items(struct ldl_machine *m, struct ldl_pickle_node *to, size_t n);

#endif
