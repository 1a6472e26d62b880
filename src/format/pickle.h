/* pickle.h -- a machine that reads Python's pickles and calls nothing.
 *
 * A pickle is a program for a stack machine, and part of what Python's own machine can do is to call
 * any function of any module. This one knows the opcodes that real checkpoints contain and builds a
 * graph of nodes; "call f(args)" becomes a node {f, args}. Every name that the pickle mentions must
 * be in the reader's table, else reading ends there, naming it. What the nodes mean is the reader's
 * business.
 *
 * Whatever the file says, time is linear in its length and memory is bounded: long texts and byte
 * strings stay in the file (a node has their place), and there is a limit to the nodes (pickle.c).
 *
 * The graph may share nodes and may be cyclic: never walk it without a bound on depth or visits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_PICKLE_H
#define LDL_FORMAT_PICKLE_H

#include "base/err.h"
#include "base/mem.h"

enum ldl_pickle_kind {
    LDL_PY_NOTHING, /* node 0; never a value */
    LDL_PY_NONE,
    LDL_PY_BOOL,
    LDL_PY_INT,
    LDL_PY_BIG, /* an integer that 64 bits do not hold: its bytes, little-endian */
    LDL_PY_REAL,
    LDL_PY_TEXT,   /* in UTF-8 */
    LDL_PY_STRING, /* Python 2's str: raw bytes */
    LDL_PY_BYTES,
    LDL_PY_LIST,
    LDL_PY_TUPLE,
    LDL_PY_SET,
    LDL_PY_DICT,
    LDL_PY_GLOBAL, /* a name of the table */
    LDL_PY_CALL,   /* what a function would return or an object of a class; may have items too */
    LDL_PY_PERSID, /* "persistent id": what torch puts in the place of a storage */
};

struct ldl_pickle_node {
    enum ldl_pickle_kind kind;
    union {
        uint32_t kept;     /* TEXT, STRING, BIG: where it begins in `text`, plus 1; 0: too long */
        uint32_t row;      /* GLOBAL: of the table */
        uint32_t callable; /* CALL: a GLOBAL node */
    };
    union {
        int64_t num; /* BOOL, INT */
        double real;
        uint64_t offset; /* TEXT, STRING, BYTES, BIG: bytes from the start of the file */
        struct {
            uint32_t first,
                last; /* LIST, TUPLE, SET, DICT, CALL: cells; of a dict key, value, ... */
        };
    };
    uint64_t n;           /* items (of a dict: keys and values), or bytes */
    uint32_t args, state; /* CALL, and PERSID's args; 0: none */
};

struct ldl_pickle_cell {
    uint32_t value, next; /* a node; a cell, 0 at the end */
};

/* A name that may stand in the pickle; id is the reader's. The table ends with a NULL module. */
struct ldl_pickle_name {
    const char *module, *name;
    int id;
};

struct ldl_pickle_source {
    int fd;
    const char *path;
    uint64_t start, limit; /* the pickle begins at start and ends before limit */
    const struct ldl_pickle_name *known;
    /* Says why a name that is not known is refused, or NULL for the usual words. May be NULL. */
    const char *(*why)(const char *module, const char *name);
};

struct ldl_pickle {
    const struct ldl_pickle_name *known;
    struct ldl_pickle_node *node;
    size_t nnodes, node_cap;
    struct ldl_pickle_cell *cell; /* cell 0 is not used */
    size_t ncells, cell_cap;
    struct ldl_buf text; /* short texts, each with a NUL behind */
    uint32_t root;
    uint64_t end; /* where the next byte after the pickle is */
};

enum { LDL_PICKLE_KEPT_BYTES = 4096 }; /* longer texts stay in the file */

/* On failure *p is empty. */
int ldl_pickle_read(struct ldl_pickle *p, const struct ldl_pickle_source *s, struct ldl_err *err);
void ldl_pickle_free(struct ldl_pickle *p); /* NULL-safe, idempotent */

/* The node; node 0 for 0. */
static inline const struct ldl_pickle_node *ldl_pickle_at(const struct ldl_pickle *p, uint32_t node)
{
    return &p->node[node];
}
/* The text of a TEXT or STRING that was kept, is UTF-8 and has no NUL in it, else NULL. */
const char *ldl_pickle_text(const struct ldl_pickle *p, uint32_t node);
/* The table's id of a GLOBAL, or of what a CALL calls; -1 for anything else. */
int ldl_pickle_id(const struct ldl_pickle *p, uint32_t node);
int ldl_pickle_call_id(const struct ldl_pickle *p, uint32_t node);
/* The first `max` items of a LIST or TUPLE into item[] (the rest 0). Returns how many it has in
 * all; 0 also for another kind. */
uint64_t ldl_pickle_items(const struct ldl_pickle *p, uint32_t node, uint32_t *item, size_t max);
/* An INT that is not negative. Returns 0, or -1. */
int ldl_pickle_u64(const struct ldl_pickle *p, uint32_t node, uint64_t *value);
/* The entries of a DICT, or of a CALL of a class of dicts (OrderedDict: what it was called with and
 * what was added later), as Python has them: a text key that occurs twice is in the first one's place, with the last one's value. Keys that are no kept
 * text are all in. *entry is new memory for the caller. */
struct ldl_pickle_entry {
    uint32_t key, value;
    const char *name; /* ldl_pickle_text(key) */
};
int ldl_pickle_entries(const struct ldl_pickle *p, uint32_t node, struct ldl_pickle_entry **entry,
                       size_t *n, struct ldl_err *err);

/* Is there a node of some kind anywhere below another? Each node is looked at once, however often
 * one asks: what an earlier search went through without finding anything is not searched again
 * (after one that found something, ldl_pickle_search_again() begins anew). */
struct ldl_pickle_search {
    const struct ldl_pickle *p;
    int (*wanted)(const struct ldl_pickle *p, uint32_t node);
    unsigned char *seen; /* one for each node */
    uint32_t *todo;      /* room for each node once */
};
int ldl_pickle_search_open(struct ldl_pickle_search *s, const struct ldl_pickle *p,
                           int (*wanted)(const struct ldl_pickle *p, uint32_t node),
                           struct ldl_err *err);
void ldl_pickle_search_close(struct ldl_pickle_search *s);
int ldl_pickle_search(struct ldl_pickle_search *s, uint32_t node); /* 1: yes, node itself counts */
void ldl_pickle_search_again(struct ldl_pickle_search *s);

#endif
