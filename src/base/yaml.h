/* yaml.h -- one YAML file as a tree, with the values that PyYAML 6 (YAML 1.1, SafeLoader) gives them.
 *
 * libfyaml scans; its events become our tree, never its documents: those expand aliases (nine
 * levels of them are gigabytes) and refuse duplicate keys. Here
 *   - an alias is one more pointer to the anchored node, so the tree is a DAG without cycles: at
 *     most LDL_YAML_DEPTH levels on any path, but a walk may pass `visits` nodes, a number that can
 *     be astronomical: look at it before walking, or count while walking;
 *   - of equal keys (by their text) the last counts, and a warning says so;
 *   - `<<: *x` is resolved: the mapping's own keys win, then the earlier mapping of a list.
 * Plain scalars are null, boolean, whole number, float or text by PyYAML's regular expressions
 * (yaml_scalar.h): `1e-5` and dates are text. Tags other than those of the kinds below are errors,
 * so are keys that are no scalars, anchors given twice, a NUL in a text, and text that is not UTF-8.
 *
 * libfyaml is stricter than PyYAML in a few places (its own message says where): an empty item of a
 * list that is not indented below its key, `]#` without a blank, a quoted text whose next
 * line is not indented, `-` alone inside of [ ]. It takes some text that PyYAML refuses: a tab
 * before a value, an empty key, a second document without `---`. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_YAML_H
#define LDL_BASE_YAML_H

#include "base/err.h"
#include "base/io.h"

enum {
    LDL_YAML_MAX_BYTES = 1000000,
    LDL_YAML_MAX_NODES = 200000, /* scalars, collections, aliases, and keys that merging adds */
    LDL_YAML_DEPTH = 64,         /* collections inside each other, aliases followed */
    LDL_YAML_MAX_WARNINGS = 100,
};

enum ldl_yaml_kind {
    LDL_YAML_NULL,
    LDL_YAML_BOOL,
    LDL_YAML_INT,
    LDL_YAML_FLOAT,
    LDL_YAML_TEXT,
    LDL_YAML_SEQ,
    LDL_YAML_MAP,
};

struct ldl_yaml_key {
    const char *text;
    uint32_t line, column;
};

struct ldl_yaml_node {
    enum ldl_yaml_kind kind;
    uint32_t line, column; /* from 1, in characters */
    const char *text;      /* of a scalar, as the file has it but for quotes and escapes; else "" */
    double num;            /* BOOL: 0 or 1; INT; FLOAT */
    int64_t integer;       /* BOOL, INT; the nearest one where it does not fit (see num) */
    size_t n;              /* SEQ: items, MAP: keys */
    struct ldl_yaml_node **item; /* SEQ: items, MAP: values */
    struct ldl_yaml_key *key;    /* MAP: in the file's order, those merged in first */
    uint32_t height;             /* levels below; 0 for scalars */
    uint64_t visits;             /* nodes that a walk from here passes; UINT64_MAX or more: that */
};

struct ldl_yaml {
    const char *name;                /* for messages; a copy */
    struct ldl_yaml_node **document; /* none for an empty file */
    size_t ndocuments;
    struct ldl_names warning; /* "NAME:line:column: what" */
    struct ldl_yaml_block *block;
};

/* 0, or an ldl_code with err filled "NAME:line:column: what" and *y empty; ldl_yaml_free() either
 * way does no harm. The text need not outlive the call. */
int ldl_yaml_read(struct ldl_yaml *y, const char *path, struct ldl_err *err);
int ldl_yaml_parse(struct ldl_yaml *y, const char *text, size_t len, const char *name,
                   struct ldl_err *err);
void ldl_yaml_free(struct ldl_yaml *y);

/* The value of a key, NULL when it is not there or `map` is no mapping (or NULL). */
const struct ldl_yaml_node *ldl_yaml_find(const struct ldl_yaml_node *map, const char *key);
/* The key's own place, NULL likewise. */
const struct ldl_yaml_key *ldl_yaml_find_key(const struct ldl_yaml_node *map, const char *key);

/* "a mapping", "a list", "a whole number" ... for messages. */
const char *ldl_yaml_kind_name(const struct ldl_yaml_node *node);

/* What Python's float() makes of the value: true is 1, and text counts when it is a number for
 * float(): "0.5", "1e-5", " 1_000 ", "inf", "nan". Returns 0, or -1: no number (or no memory). */
int ldl_yaml_number(const struct ldl_yaml_node *node, double *out);

/* Records "NAME:line:column: ..." with the node's or the key's place, returns the code. */
int ldl_yaml_fail(const struct ldl_yaml *y, const struct ldl_yaml_node *node, struct ldl_err *err,
                  int code, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
int ldl_yaml_fail_key(const struct ldl_yaml *y, const struct ldl_yaml_key *key, struct ldl_err *err,
                      int code, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
