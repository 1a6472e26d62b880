/* param.c -- see param.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/param.h"
#include "base/io.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* strtod() reads the decimal point of the process's locale, which belongs to the host program.
 * uselocale() is per thread and costs nothing at this rate. */
int ldl_parse_double(const char *word, double *out)
{
    if (!*word || strchr(" \t\n\r\v\f", *word) || strpbrk(word, "xXpP"))
        return -1;
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t old = c ? uselocale(c) : (locale_t)0;
    char *end;
    *out = strtod(word, &end);
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    return *end ? -1 : 0;
}

int ldl_parse_int(const char *word, int64_t *out)
{
    char *end;
    if (!*word || strchr(" \t\n\r\v\f", *word))
        return -1;
    errno = 0;
    long long v = strtoll(word, &end, 10);
    if (*end || errno || end == word)
        return -1;
    *out = v;
    return 0;
}

int ldl_parse_bytes(const char *word, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    if (*word < '0' || *word > '9')
        return -1;
    errno = 0;
    unsigned long long v = strtoull(word, &end, 10);
    if (errno)
        return -1;
    if (*end) {
        const char *u = strchr(units, *end >= 'a' && *end <= 'z' ? *end - 32 : *end);
        if (!u || (end[1] && strcasecmp(end + 1, "iB") != 0 && strcasecmp(end + 1, "B") != 0))
            return -1;
        int shift = 10 * (int)(u - units + 1);
        if (v > UINT64_MAX >> shift)
            return -1;
        v <<= shift;
    }
    *out = v;
    return 0;
}

int ldl_parse_bool(const char *word, int *out)
{
    static const char *const yes[] = { "yes", "true", "t", "y", "1" };
    static const char *const no[] = { "no", "false", "f", "n", "0" };
    for (size_t i = 0; i < LDL_COUNT(yes); i++) {
        if (strcasecmp(word, yes[i]) == 0)
            return *out = 1, 0;
        if (strcasecmp(word, no[i]) == 0)
            return *out = 0, 0;
    }
    return -1;
}

int ldl_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);
    int number = 0;
    for (const char *at = choices; *at; number++) {
        size_t n = strcspn(at, "|");
        if (n == len && memcmp(at, word, n) == 0)
            return number;
        at += n + (at[n] == '|');
    }
    return -1;
}

const char *ldl_param_range(const struct ldl_param *p, char out[120])
{
    switch (p->type) {
    case LDL_T_BOOL: snprintf(out, 120, "true|false"); break;
    case LDL_T_WORD: snprintf(out, 120, "%s", p->choices); break;
    case LDL_T_TEXT: snprintf(out, 120, "text"); break;
    case LDL_T_TEXTS: snprintf(out, 120, "text ..."); break;
    case LDL_T_BYTES: snprintf(out, 120, "bytes, as 512M or 2G"); break;
    case LDL_T_INT:
    case LDL_T_DOUBLE:
    case LDL_T_DOUBLES:
        if (p->max > 1e17 && p->min < -1e17)
            snprintf(out, 120, p->type == LDL_T_INT ? "any integer" : "any number");
        else if (p->max > 1e17)
            snprintf(out, 120, "%.9g and above", p->min);
        else
            snprintf(out, 120, "%.9g..%.9g", p->min, p->max);
        if (p->type == LDL_T_DOUBLES)
            strncat(out, " ...", 119 - strlen(out));
        break;
    }
    return out;
}

static int fail_number(const struct ldl_param *p, const char *origin, const char *word,
                       const char *range, struct ldl_err *err)
{
    double number;
    const char *hint = p->type == LDL_T_DOUBLES && strchr(word, ',')
                           ? "; put blanks, not commas, between the numbers"
                           : "";
    if (p->min > -1e17 || p->max < 1e17)
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is not a number in the range %s%s", origin, word,
                        range, hint);
    if (ldl_parse_double(word, &number) == 0 && isfinite(number))
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is too large; numbers go from %g to %g", origin,
                        word, p->min, p->max);
    return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is not a finite number%s", origin, word, hint);
}

static int bad(struct ldl_err *err, const struct ldl_param *p, const char *word, const char *origin)
{
    char range[120];
    ldl_param_range(p, range);
    if (p->type == LDL_T_BOOL)
        return ldl_fail(err, LDL_EUSAGE,
                        "%s: '%s' is not a boolean; use one of yes/no, true/false, t/f, y/n, 1/0",
                        origin, word);
    if (p->type == LDL_T_WORD) {
        char copy[256];
        const char *list[16];
        size_t n = 0;
        snprintf(copy, sizeof copy, "%s", p->choices);
        char *rest = copy, *one;
        while ((one = strtok_r(rest, "|", &rest)) && n < LDL_COUNT(list))
            list[n++] = one;
        const char *near = ldl_nearest(word, list, n);
        if (near)
            return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is unknown; did you mean '%s'? (one of %s)",
                            origin, word, near, p->choices);
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is unknown; use one of %s", origin, word,
                        p->choices);
    }
    if (p->type == LDL_T_INT)
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is not an integer in the range %s", origin, word,
                        range);
    if (p->type == LDL_T_BYTES)
        return ldl_fail(err, LDL_EUSAGE, "%s: '%s' is not a size; write bytes, as 512M or 2G",
                        origin, word);
    return fail_number(p, origin, word, range, err);
}

static int parse_number(const struct ldl_param *p, const char *word, double *out)
{
    if (ldl_parse_double(word, out) || !isfinite(*out))
        return -1;
    return *out >= p->min && *out <= p->max ? 0 : -1;
}

static int parse_scalar(struct ldl_value *v, const char *word)
{
    const struct ldl_param *p = v->param;
    int flag;
    uint64_t bytes;
    switch (p->type) {
    case LDL_T_BOOL:
        if (ldl_parse_bool(word, &flag))
            return -1;
        v->num = flag;
        return 0;
    case LDL_T_WORD: v->num = ldl_choice(p->choices, word); return v->num < 0 ? -1 : 0;
    case LDL_T_DOUBLE: return parse_number(p, word, &v->num);
    case LDL_T_INT:
        if (ldl_parse_int(word, &v->integer))
            return -1;
        return (double)v->integer >= p->min && (double)v->integer <= p->max ? 0 : -1;
    case LDL_T_BYTES:
        if (ldl_parse_bytes(word, &bytes) || bytes > INT64_MAX)
            return -1;
        v->integer = (int64_t)bytes;
        return 0;
    default: return -1;
    }
}

static int parse_list(struct ldl_value *v, const char *const *words, size_t n, struct ldl_err *err)
{
    if (v->param->type == LDL_T_DOUBLES) {
        if (!(v->nums = ldl_calloc(n, sizeof *v->nums)))
            return ldl_oom(err);
        for (v->n = 0; v->n < n; v->n++)
            if (parse_number(v->param, words[v->n], &v->nums[v->n]))
                return bad(err, v->param, words[v->n], v->origin);
        return 0;
    }
    if (!(v->text = ldl_calloc(n, sizeof *v->text)))
        return ldl_oom(err);
    for (v->n = 0; v->n < n; v->n++)
        if (!(v->text[v->n] = ldl_strdup(words[v->n])))
            return ldl_oom(err);
    return 0;
}

int ldl_value_parse(struct ldl_value *v, const struct ldl_param *p, const char *const *words,
                    size_t n, const char *origin, struct ldl_err *err)
{
    *v = (struct ldl_value){ .param = p, .origin = ldl_strdup(origin) };
    int rc = 0, list = p->type == LDL_T_TEXTS || p->type == LDL_T_DOUBLES;
    if (!v->origin)
        rc = ldl_oom(err);
    else if (n == 0)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: a value is missing", origin);
    else if (n > 1 && !list)
        rc = ldl_fail(err, LDL_EUSAGE, "%s: one value is expected, '%s' is one too many", origin,
                      words[1]);
    else if (list || p->type == LDL_T_TEXT)
        rc = parse_list(v, words, n, err);
    else if (parse_scalar(v, words[0]))
        rc = bad(err, p, words[0], origin);
    if (rc)
        ldl_value_free(v);
    return rc;
}

void ldl_value_free(struct ldl_value *v)
{
    if (!v)
        return;
    for (size_t i = 0; v->text && i < v->n; i++)
        ldl_free(v->text[i]);
    ldl_free(v->text);
    ldl_free(v->nums);
    ldl_free(v->origin);
    *v = (struct ldl_value){ 0 };
}

static void put_number(struct ldl_buf *out, double v)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", v);
    ldl_buf_puts(out, text);
}

static void put_choice(struct ldl_buf *out, const char *choices, int number)
{
    while (number-- > 0)
        choices += strcspn(choices, "|") + 1;
    ldl_buf_put(out, choices, strcspn(choices, "|"));
}

void ldl_value_text(const struct ldl_value *v, struct ldl_buf *out)
{
    switch (v->param->type) {
    case LDL_T_BOOL: ldl_buf_puts(out, v->num != 0 ? "true" : "false"); break;
    case LDL_T_WORD: put_choice(out, v->param->choices, (int)v->num); break;
    case LDL_T_INT:
    case LDL_T_BYTES: ldl_buf_printf(out, "%lld", (long long)v->integer); break;
    case LDL_T_DOUBLE: put_number(out, v->num); break;
    default:
        for (size_t i = 0; i < v->n; i++) {
            ldl_buf_puts(out, i ? " " : "");
            if (v->text)
                ldl_buf_puts(out, v->text[i]);
            else
                put_number(out, v->nums[i]);
        }
    }
}

static void store(const struct ldl_param *p, void *into, const struct ldl_value *v)
{
    void *at = (char *)into + p->offset;
    switch (p->type) {
    case LDL_T_BOOL:
    case LDL_T_WORD: *(int *)at = (int)v->num; break;
    case LDL_T_INT: *(int64_t *)at = v->integer; break;
    case LDL_T_BYTES: *(uint64_t *)at = (uint64_t)v->integer; break;
    case LDL_T_DOUBLE: *(double *)at = v->num; break;
    case LDL_T_TEXT: *(const char **)at = v->text[0]; break;
    case LDL_T_TEXTS:
        *(struct ldl_list *)at =
            (struct ldl_list){ .n = v->n, .text = (const char *const *)v->text };
        break;
    case LDL_T_DOUBLES:
        *(struct ldl_list *)at = (struct ldl_list){ .n = v->n, .num = v->nums };
        break;
    }
}

int ldl_params_fill(const struct ldl_param *rows, size_t nrows, void *into,
                    const struct ldl_value *values, size_t nvalues, struct ldl_err *err)
{
    for (size_t r = 0; r < nrows; r++) {
        const struct ldl_value *given = NULL;
        for (size_t i = 0; i < nvalues; i++)
            if (strcmp(values[i].param->name, rows[r].name) == 0)
                given = &values[i];
        if (given) {
            store(&rows[r], into, given);
        } else if (rows[r].fallback && rows[r].type != LDL_T_TEXT) {
            struct ldl_value v;
            int rc = ldl_value_parse(&v, &rows[r], &rows[r].fallback, 1, rows[r].name, err);
            if (rc)
                return rc;
            store(&rows[r], into, &v);
            ldl_value_free(&v);
        } else if (rows[r].fallback) {
            *(const char **)((char *)into + rows[r].offset) = rows[r].fallback;
        }
    }
    return 0;
}
