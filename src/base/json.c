/* json.c -- see json.h.
 *
 * The reader is a cursor and a stack of open brackets. `used[level]` tells whether an item of that
 * level was read, so that commas are demanded exactly between items. On failure `at` stays at the
 * offending byte, from which line and column are counted only then.
 *
 * Two depths of checking: a value that is passed over (skip) must be well-formed text; a string
 * that is handed out must besides be a sequence of characters, so half a surrogate pair, which
 * Python writes and reads, is refused there and accepted here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/param.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void pass_blanks(struct ldl_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\n' || *j->at == '\t' || *j->at == '\r'))
        j->at++;
}

void ldl_json_open(struct ldl_json *j, const char *text, size_t len, const char *name)
{
    *j = (struct ldl_json){ .name = name };
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    j->begin = j->at = text;
    j->end = text + len;
}

int ldl_json_fail(struct ldl_json *j, struct ldl_err *err, const char *fmt, ...)
{
    char what[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    size_t line = 1, column = 1;
    for (const char *p = j->begin; p < j->at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) { /* characters, not bytes */
            column++;
        }
    }
    return ldl_fail(err, LDL_EINPUT, "%s:%zu:%zu: %s", j->name, line, column, what);
}

/* "expected X, found Y"; what comes next in a person's words. */
static int fail_expected(struct ldl_json *j, struct ldl_err *err, const char *expected)
{
    char byte[16];
    const char *found = byte;
    pass_blanks(j);
    int c = j->at < j->end ? (unsigned char)*j->at : -1;
    if (c < 0)
        found = "the end of the text";
    else if (c == '{')
        found = "an object";
    else if (c == '[')
        found = "a list";
    else if (c == '"')
        found = "a string";
    else if (c == '-' || is_digit((char)c) || c == 'N' || c == 'I')
        found = "a number";
    else if (c == 't' || c == 'f')
        found = "a boolean";
    else if (c == 'n')
        found = "null";
    else
        snprintf(byte, sizeof byte, c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    return ldl_json_fail(j, err, "expected %s, found %s", expected, found);
}

int ldl_json_close(struct ldl_json *j, struct ldl_err *err)
{
    assert(j->depth == 0);
    pass_blanks(j);
    return j->at == j->end ? 0 : fail_expected(j, err, "the end of the text");
}

int ldl_json_peek(struct ldl_json *j)
{
    pass_blanks(j);
    return j->at < j->end ? (unsigned char)*j->at : 0;
}

/* ---- strings ---- */

static int take_hex4(struct ldl_json *j, uint32_t *out, struct ldl_err *err)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = j->at + i < j->end ? j->at[i] : 0;
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return ldl_json_fail(j, err, "\\u wants four hexadecimal digits");
        v = v << 4 | (uint32_t)digit;
    }
    j->at += 4;
    *out = v;
    return 0;
}

static void put_utf8(struct ldl_buf *out, uint32_t c)
{
    unsigned char s[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };
    for (size_t i = n; i-- > 1; c >>= 6)
        s[i] = (unsigned char)(0x80 | (c & 0x3f));
    s[0] = (unsigned char)(lead[n] | c);
    ldl_buf_put(out, s, n);
}

/* After "\u". */
static int take_unicode(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    const char *start = j->at - 2;
    uint32_t c, low;
    int status = take_hex4(j, &c, err);
    if (status || !out)
        return status;
    if (c >= 0xd800 && c < 0xdc00 && j->end - j->at >= 2 && memcmp(j->at, "\\u", 2) == 0) {
        j->at += 2;
        if ((status = take_hex4(j, &low, err)))
            return status;
        if (low >= 0xdc00 && low < 0xe000)
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c >= 0xd800 && c < 0xe000) {
        j->at = start;
        return ldl_json_fail(j, err, "\\u%04x is half of a surrogate pair", c);
    }
    put_utf8(out, c);
    return 0;
}

static int take_escape(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->at + 1 < j->end ? j->at[1] : 0;
    const char *found = c ? strchr(from, c) : NULL;
    if (!found && c != 'u')
        return ldl_json_fail(j, err, "unknown escape in a string");
    j->at += 2;
    if (c == 'u')
        return take_unicode(j, out, err);
    if (out)
        ldl_buf_put(out, &to[found - from], 1);
    return 0;
}

/* Passes over what needs no decoding. */
static void pass_plain(struct ldl_json *j)
{
    while (j->at < j->end) {
        unsigned char c = (unsigned char)*j->at;
        size_t n = 1;
        if (c < 0x20 || c == '"' || c == '\\')
            return;
        if (c >= 0x80)
            n = ldl_utf8_len((const unsigned char *)j->at, (size_t)(j->end - j->at));
        if (n == 0)
            return;
        j->at += n;
    }
}

/* out NULL: check only. */
static int take_string(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    if (ldl_json_peek(j) != '"')
        return fail_expected(j, err, "a string");
    const char *quote = j->at++;
    for (;;) {
        const char *run = j->at;
        pass_plain(j);
        if (out)
            ldl_buf_put(out, run, (size_t)(j->at - run));
        if (j->at == j->end) {
            j->at = quote;
            return ldl_json_fail(j, err, "the string has no end");
        }
        if (*j->at == '"')
            break;
        if (*j->at != '\\')
            return ldl_json_fail(j, err,
                                 (unsigned char)*j->at < 0x20 ? "a control character in a string"
                                                              : "the text is not UTF-8");
        int status = take_escape(j, out, err);
        if (status)
            return status;
    }
    j->at++;
    return out && out->failed ? ldl_oom(err) : 0;
}

int ldl_json_string(struct ldl_json *j, struct ldl_buf *out, struct ldl_err *err)
{
    ldl_buf_reset(out);
    ldl_buf_put(out, "", 0); /* an empty string is text too, not NULL */
    return take_string(j, out, err);
}

/* ---- objects and lists ---- */

int ldl_json_enter(struct ldl_json *j, char bracket, struct ldl_err *err)
{
    if (ldl_json_peek(j) != bracket)
        return fail_expected(j, err, bracket == '{' ? "an object" : "a list");
    if (j->depth == LDL_JSON_DEPTH)
        return ldl_json_fail(j, err, "nested deeper than %d levels", LDL_JSON_DEPTH);
    j->at++;
    j->open[j->depth] = bracket;
    j->used[j->depth] = 0;
    j->depth++;
    return 0;
}

/* Stands on the next item of the innermost level: 1, or 0 when the level ended. */
static int next_item(struct ldl_json *j, char bracket, struct ldl_err *err)
{
    assert(j->depth > 0 && j->open[j->depth - 1] == bracket);
    char closing = bracket == '{' ? '}' : ']';
    int c = ldl_json_peek(j);
    if (c == closing) {
        j->at++;
        j->depth--;
        return 0;
    }
    if (!j->used[j->depth - 1]) {
        j->used[j->depth - 1] = 1;
        return 1;
    }
    if (c != ',')
        return -fail_expected(j, err, bracket == '{' ? "',' or '}'" : "',' or ']'");
    j->at++;
    return 1;
}

int ldl_json_item(struct ldl_json *j, struct ldl_err *err)
{
    return next_item(j, '[', err);
}

static int next_member(struct ldl_json *j, struct ldl_buf *key, struct ldl_err *err)
{
    int status = next_item(j, '{', err);
    if (status <= 0)
        return status;
    if (ldl_json_peek(j) != '"')
        return -fail_expected(j, err, "a key in double quotes");
    status = key ? ldl_json_string(j, key, err) : take_string(j, NULL, err);
    if (status)
        return -status;
    if (ldl_json_peek(j) != ':')
        return -fail_expected(j, err, "':'");
    j->at++;
    return 1;
}

int ldl_json_member(struct ldl_json *j, struct ldl_buf *key, struct ldl_err *err)
{
    return next_member(j, key, err);
}

/* ---- numbers and words ---- */

static const char *pass_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* Is the word here, and not the beginning of a longer one? */
static int take_word(struct ldl_json *j, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, word, n) != 0)
        return 0;
    char after = (size_t)(j->end - j->at) > n ? j->at[n] : ' ';
    if (is_digit(after) || after == '_' || (after >= 'a' && after <= 'z') ||
        (after >= 'A' && after <= 'Z'))
        return 0;
    j->at += n;
    return 1;
}

static int take_number(struct ldl_json *j, struct ldl_err *err)
{
    if (take_word(j, "NaN") || take_word(j, "Infinity") || take_word(j, "-Infinity"))
        return 0;
    const char *p = j->at, *end = j->end, *was;
    if (p < end && *p == '-')
        p++;
    was = p;
    p = pass_digits(p, end);
    if (p == was)
        return fail_expected(j, err, "a number");
    if (*was == '0' && p - was > 1)
        return ldl_json_fail(j, err, "a number may not begin with 0");
    if (p < end && *p == '.') {
        was = ++p;
        p = pass_digits(p, end);
        if (p == was)
            return ldl_json_fail(j, err, "a number needs digits after the point");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        was = p;
        p = pass_digits(p, end);
        if (p == was)
            return ldl_json_fail(j, err, "a number needs digits in its exponent");
    }
    j->at = p;
    return 0;
}

int ldl_json_u64(struct ldl_json *j, uint64_t *out, struct ldl_err *err)
{
    ldl_json_peek(j);
    const char *p = j->at, *stop = pass_digits(p, j->end);
    if (stop == p || (*p == '0' && stop - p > 1) ||
        (stop < j->end && (*stop == '.' || *stop == 'e' || *stop == 'E')))
        return ldl_json_fail(j, err, "expected a whole number that is not negative");
    uint64_t v = 0;
    for (; p < stop; p++)
        if (ldl_mul(v, 10, &v) || ldl_add(v, (uint64_t)(*p - '0'), &v))
            return ldl_json_fail(j, err, "the number does not fit in 64 bits");
    j->at = stop;
    *out = v;
    return 0;
}

int ldl_json_double(struct ldl_json *j, double *out, struct ldl_err *err)
{
    ldl_json_peek(j);
    const char *from = j->at;
    int status = take_number(j, err);
    if (status)
        return status;
    char *word = ldl_strndup(from, (size_t)(j->at - from));
    if (!word)
        return ldl_oom(err);
    if (ldl_parse_double(word, out))
        status = ldl_json_fail(j, err, "expected a number");
    ldl_free(word);
    return status;
}

int ldl_json_bool(struct ldl_json *j, int *out, struct ldl_err *err)
{
    ldl_json_peek(j);
    if (take_word(j, "true"))
        *out = 1;
    else if (take_word(j, "false"))
        *out = 0;
    else
        return fail_expected(j, err, "true or false");
    return 0;
}

/* ---- passing over ---- */

/* Recursion is at most LDL_JSON_DEPTH deep: enter() refuses more. */
static int skip_value(struct ldl_json *j, struct ldl_err *err)
{
    int c = ldl_json_peek(j), status;
    if (c == '"')
        return take_string(j, NULL, err);
    if (c == '{' || c == '[') {
        if ((status = ldl_json_enter(j, (char)c, err)))
            return status;
        while ((status = c == '{' ? next_member(j, NULL, err) : ldl_json_item(j, err)) > 0)
            if ((status = skip_value(j, err)))
                return status;
        return -status;
    }
    if (c == '-' || is_digit((char)c) || c == 'N' || c == 'I')
        return take_number(j, err);
    if (take_word(j, "true") || take_word(j, "false") || take_word(j, "null"))
        return 0;
    return fail_expected(j, err, "a value");
}

int ldl_json_skip(struct ldl_json *j, const char **from, const char **to, struct ldl_err *err)
{
    ldl_json_peek(j);
    const char *start = j->at;
    int status = skip_value(j, err);
    if (status)
        return status;
    if (from)
        *from = start;
    if (to)
        *to = j->at;
    return 0;
}
