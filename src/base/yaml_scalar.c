/* yaml_scalar.c -- see yaml_scalar.h. Each is_*() is one of PyYAML's regular expressions; each value
 * is computed as PyYAML's constructor does, in the same order of operations. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_scalar.h"
#include "base/param.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static const char digits[] = "0123456789", digits_[] = "0123456789_";

static const char *pass_sign(const char *p)
{
    return p + (*p == '-' || *p == '+');
}

/* In one of the casings word, Word, WORD. */
static int is_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    int upper = 1, lower = 1;
    if (strcasecmp(text, word) != 0)
        return 0;
    for (size_t i = 1; i < n; i++) {
        upper &= text[i] >= 'A' && text[i] <= 'Z';
        lower &= text[i] >= 'a' && text[i] <= 'z';
    }
    return lower || (upper && text[0] >= 'A' && text[0] <= 'Z');
}

static int is_null(const char *text)
{
    return !*text || strcmp(text, "~") == 0 || is_word(text, "null");
}

/* 1, 0, or -1: none. */
static int bool_value(const char *text)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
    for (size_t i = 0; i < LDL_COUNT(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return i % 2;
    return -1;
}

static int is_bool(const char *text)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
    for (size_t i = 0; i < LDL_COUNT(words); i++)
        if (is_word(text, words[i]))
            return 1;
    return 0;
}

/* (:[0-5]?[0-9])+, NULL when there is none. */
static const char *pass_sixties(const char *p)
{
    const char *start = p;
    while (*p == ':') {
        size_t n = strspn(p + 1, digits);
        if (n == 0 || n > 2 || (n == 2 && p[1] > '5'))
            return NULL;
        p += 1 + n;
    }
    return p == start ? NULL : p;
}

static int is_int(const char *text)
{
    const char *p = pass_sign(text), *end;
    size_t n = strspn(p, digits_);
    if (p[0] == '0' && (p[1] == 'b' || p[1] == 'x')) {
        n = strspn(p + 2, p[1] == 'b' ? "01_" : "0123456789abcdefABCDEF_");
        return n && !p[2 + n] && strspn(p + 2, "_") < n; /* 0x_ stops PyYAML */
    }
    if (p[0] == '0')
        return !p[1 + strspn(p + 1, "01234567_")];
    if (n == 0 || p[0] == '_')
        return 0;
    end = p[n] == ':' ? pass_sixties(p + n) : p + n;
    return end && !*end;
}

static int is_float(const char *text)
{
    const char *p = pass_sign(text);
    if (strcmp(p, ".inf") == 0 || strcmp(p, ".Inf") == 0 || strcmp(p, ".INF") == 0)
        return 1;
    if (strcmp(text, ".nan") == 0 || strcmp(text, ".NaN") == 0 || strcmp(text, ".NAN") == 0)
        return 1;
    if (*p != '.' && (*p < '0' || *p > '9'))
        return 0;
    if (*p == '.') {
        if (p != text || p[1] < '0' || p[1] > '9')
            return 0;
    } else {
        p += strspn(p, digits_);
    }
    if (*p == ':') {
        p = pass_sixties(p);
        return p && *p == '.' && !p[1 + strspn(p + 1, digits_)];
    }
    if (*p != '.')
        return 0;
    p += 1 + strspn(p + 1, digits_);
    if ((*p == 'e' || *p == 'E') && (p[1] == '-' || p[1] == '+') && p[2]) {
        p += 2;
        p += strspn(p, digits);
    }
    return !*p;
}

/* The text without '_'; NULL when there is no memory. */
static char *without_bars(const char *text)
{
    char *copy = ldl_strdup(text), *to = copy;
    if (!copy)
        return NULL;
    for (const char *p = text; *p; p++)
        if (*p != '_')
            *to++ = *p;
    *to = 0;
    return copy;
}

static unsigned digit_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Digits of a base, or numbers between colons (base 60); to 64 bits exactly, and as a double.
 * Nonzero when it is longer. */
static int whole_value(const char *p, unsigned base, uint64_t *out, double *num)
{
    uint64_t whole = 0;
    int over = 0;
    *num = 0;
    while (*p) {
        uint64_t part = digit_value(*p);
        double wide = (double)part;
        for (p++; base == 60 && *p && *p != ':'; p++) {
            over |= ldl_mul(part, 10, &part) || ldl_add(part, digit_value(*p), &part);
            wide = wide * 10 + digit_value(*p);
        }
        p += *p == ':';
        over |= ldl_mul(whole, base, &whole) || ldl_add(whole, part, &whole);
        *num = *num * base + wide;
    }
    *out = whole;
    if (!over)
        *num = (double)whole;
    return over;
}

/* Of a text for which is_int() holds. */
static int set_int(struct ldl_yaml_node *node)
{
    char *copy = without_bars(node->text);
    if (!copy)
        return -1;
    const char *p = pass_sign(copy);
    unsigned base = strchr(p, ':') ? 60 : 10;
    if (p[0] == '0' && p[1]) {
        base = p[1] == 'b' ? 2 : p[1] == 'x' ? 16 : 8;
        p += base == 8 ? 1 : 2;
    }
    uint64_t whole;
    int minus = copy[0] == '-', over = whole_value(p, base, &whole, &node->num);
    if (over && base == 10)
        ldl_parse_double(p, &node->num); /* rounded once */
    uint64_t limit = (uint64_t)INT64_MAX + (uint64_t)minus;
    if (over || whole > limit)
        whole = limit;
    node->integer = minus ? (int64_t)(0 - whole) : (int64_t)whole;
    if (minus)
        node->num = -node->num;
    if (node->num == 0)
        node->num = 0; /* Python's -0 is 0 */
    node->kind = LDL_YAML_INT;
    ldl_free(copy);
    return 0;
}

/* What Python's float() takes, without blanks around it and '_'. */
static int parse_float(const char *text, double *out)
{
    return strchr(text, '(') ? -1 : ldl_parse_double(text, out);
}

/* a:b:c.d, from the right as PyYAML adds it up; writes on the text. */
static int sixties_value(char *text, double *out)
{
    double base = 1, sum = 0, part;
    for (char *colon;; base *= 60) {
        colon = strrchr(text, ':');
        if (parse_float(colon ? colon + 1 : text, &part))
            return -1;
        sum += part * base;
        if (!colon)
            break;
        *colon = 0;
    }
    *out = sum;
    return 0;
}

/* 0, 1: not a number, -1: no memory. */
static int set_float(struct ldl_yaml_node *node)
{
    char *copy = without_bars(node->text);
    if (!copy)
        return -1;
    char *p = copy + (pass_sign(copy) - copy);
    int status = 0;
    if (strcasecmp(p, ".inf") == 0)
        node->num = INFINITY;
    else if (strcasecmp(p, ".nan") == 0)
        node->num = NAN;
    else
        status = strchr(p, ':') ? sixties_value(p, &node->num) : parse_float(p, &node->num);
    if (copy[0] == '-')
        node->num = -node->num;
    node->kind = LDL_YAML_FLOAT;
    ldl_free(copy);
    return status ? 1 : 0;
}

static void set_bool(struct ldl_yaml_node *node)
{
    node->kind = LDL_YAML_BOOL;
    node->integer = bool_value(node->text);
    node->num = (double)node->integer;
}

int ldl_yaml_resolve(struct ldl_yaml_node *node)
{
    const char *text = node->text;
    node->kind = LDL_YAML_TEXT;
    if (is_null(text))
        node->kind = LDL_YAML_NULL;
    else if (is_bool(text))
        set_bool(node);
    else if (is_float(text))
        return set_float(node) < 0 ? -1 : 0;
    else if (is_int(text))
        return set_int(node);
    return 0;
}

int ldl_yaml_convert(struct ldl_yaml_node *node, enum ldl_yaml_kind kind)
{
    node->kind = kind;
    switch (kind) {
    case LDL_YAML_BOOL:
        if (bool_value(node->text) < 0)
            return 1;
        set_bool(node);
        return 0;
    case LDL_YAML_INT: return is_int(node->text) ? set_int(node) : 1;
    case LDL_YAML_FLOAT: return set_float(node);
    default: return 0;
    }
}

/* Python's float() of a text: blanks around, '_' only between two digits. */
static int number_of_text(const char *text, double *out)
{
    static const char blanks[] = " \t\n\r\v\f\x1c\x1d\x1e\x1f";
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n && strchr(blanks, text[n - 1]))
        n--;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '_' &&
            (i == 0 || i + 1 == n || !strchr(digits, text[i - 1]) || !strchr(digits, text[i + 1])))
            return -1;
    char *word = ldl_strndup(text, n);
    char *bare = word ? without_bars(word) : NULL;
    int status = bare ? parse_float(bare, out) : -1;
    ldl_free(word);
    ldl_free(bare);
    return status;
}

int ldl_yaml_number(const struct ldl_yaml_node *node, double *out)
{
    switch (node->kind) {
    case LDL_YAML_INT:
        if (isinf(node->num)) /* OverflowError */
            return -1;
        *out = node->num;
        return 0;
    case LDL_YAML_BOOL:
    case LDL_YAML_FLOAT: *out = node->num; return 0;
    case LDL_YAML_TEXT: return number_of_text(node->text, out);
    default: return -1;
    }
}
