/* json.h -- a pull reader for JSON text in memory: the caller walks, nothing is built.
 *
 * Why not a library's tree: a safetensors header may be 100 MB, and a tree of it gigabytes;
 * Python writes NaN and Infinity, which strict parsers refuse; messages want line:column; and
 * config.json is edited by splicing bytes, so the place of a value must be known.
 *
 * Format: RFC 8259 plus NaN, Infinity, -Infinity. UTF-8, an optional byte-order mark. Depth is
 * limited to 64. Duplicate keys are the caller's affair (it knows which objects matter).
 *
 *     ldl_json_open(&j, text, len, "config.json");
 *     ldl_json_enter(&j, '{', &err);
 *     while (ldl_json_member(&j, &key, &err) > 0) { ... read or skip exactly one value ... }
 *     ldl_json_close(&j, &err);                       // nothing but blanks may follow
 *
 * All functions return 0, or an ldl_code with err filled "NAME:line:column: what". */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_JSON_H
#define LDL_BASE_JSON_H

#include "base/err.h"
#include "base/mem.h"

enum { LDL_JSON_DEPTH = 64 };

struct ldl_json {
    const char *begin, *at, *end;
    const char *name; /* for messages; must outlive the reader */
    int depth;
    char open[LDL_JSON_DEPTH];          /* '{' or '[' for each open level */
    unsigned char used[LDL_JSON_DEPTH]; /* a first item was read: a comma is due */
};

void ldl_json_open(struct ldl_json *j, const char *text, size_t len, const char *name);
int ldl_json_close(struct ldl_json *j, struct ldl_err *err);

/* First byte of the next value: one of { [ " - 0-9 t f n N I, or 0 at the end. Reads nothing. */
int ldl_json_peek(struct ldl_json *j);

/* Enters an object ('{') or an array ('['); an error when the next value is something else. */
int ldl_json_enter(struct ldl_json *j, char bracket, struct ldl_err *err);
/* 1: a key was read into *key (emptied first; owned by the caller), its value comes next.
 * 0: the object ended. Negative: -ldl_code. */
int ldl_json_member(struct ldl_json *j, struct ldl_buf *key, struct ldl_err *err);
/* 1: an item comes next. 0: the array ended. Negative: -ldl_code. */
int ldl_json_item(struct ldl_json *j, struct ldl_err *err);

int ldl_json_string(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err);
int ldl_json_u64(struct ldl_json *j, uint64_t *out, struct ldl_err *err); /* digits only */
int ldl_json_double(struct ldl_json *j, double *out, struct ldl_err *err);
int ldl_json_bool(struct ldl_json *j, int *out, struct ldl_err *err);
/* Checks and passes over one value; [*from, *to) are its bytes when the pointers are given. */
int ldl_json_skip(struct ldl_json *j, const char **from, const char **to, struct ldl_err *err);

/* A failure at the reader's place, in the reader's form. */
int ldl_json_fail(struct ldl_json *j, struct ldl_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
