/* flags_help.c -- the help text of a table of flags: headings, then one entry for each flag.
 *
 *     HEADING
 *       --name METAVAR              help text, wrapped (range, default X)
 *
 * An alias has no entry of its own; its row's help says what it is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/flags.h"

#include <string.h>

enum { COLUMNS = 100, INDENT = 32 };

static const char *metavar(const struct ldl_flag *flag)
{
    if (flag->metavar)
        return flag->metavar;
    switch (flag->param->type) {
    case LDL_T_BOOL: return "[BOOL]";
    case LDL_T_INT: return "N";
    case LDL_T_DOUBLE: return "X";
    case LDL_T_WORD: return flag->param->choices;
    case LDL_T_TEXT: return "TEXT";
    case LDL_T_TEXTS: return "TEXT ...";
    case LDL_T_DOUBLES: return "X X ...";
    case LDL_T_BYTES: return "BYTES";
    }
    return "";
}

/* "(0..1; default 0.7)"; the range where it says more than the placeholder does. */
static void put_facts(struct ldl_buf *b, const struct ldl_param *p)
{
    char range[120];
    const char *sep = " (";
    int number = p->type == LDL_T_INT || p->type == LDL_T_DOUBLE || p->type == LDL_T_DOUBLES;
    if (number && !(p->min < -1e17 && p->max > 1e17)) {
        ldl_buf_printf(b, "%s%s", sep, ldl_param_range(p, range));
        sep = "; ";
    }
    if (p->fallback) {
        ldl_buf_printf(b, "%sdefault %s", sep, p->fallback);
        sep = "; ";
    }
    if (p->type == LDL_T_BOOL) {
        ldl_buf_printf(b, "%s--no_%s", sep, p->name);
        sep = "; ";
    }
    if (*sep == ';')
        ldl_buf_puts(b, ")");
}

/* Words of `text` from column `at` on, broken before COLUMNS. */
static void put_wrapped(struct ldl_buf *out, const char *text, size_t at)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        if (at > INDENT && at + 1 + n > COLUMNS) {
            ldl_buf_printf(out, "\n%*s", INDENT, "");
            at = INDENT;
        } else if (at > INDENT) {
            ldl_buf_puts(out, " ");
            at++;
        }
        ldl_buf_put(out, text, n);
        at += n;
        text += n + (text[n] == ' ');
    }
    ldl_buf_puts(out, "\n");
}

static void put_flag(struct ldl_buf *out, const struct ldl_flag *flag)
{
    struct ldl_buf help = { 0 };
    size_t start = out->len;
    ldl_buf_puts(&help, flag->param->help);
    put_facts(&help, flag->param);
    ldl_buf_printf(out, "  --%s %s", flag->param->name, metavar(flag));
    size_t width = out->len - start;
    if (width + 2 > INDENT)
        ldl_buf_printf(out, "\n%*s", INDENT, "");
    else
        ldl_buf_printf(out, "%*s", (int)(INDENT - width), "");
    put_wrapped(out, help.failed ? "" : help.text, INDENT);
    out->failed |= help.failed;
    ldl_buf_free(&help);
}

void ldl_flags_help(const struct ldl_flags *flags, struct ldl_buf *out)
{
    const char *group = "";
    for (size_t i = 0; i < flags->n; i++) {
        const struct ldl_flag *flag = &flags->flag[i];
        if (flag->alias_of)
            continue;
        if (strcmp(group, flag->group) != 0)
            ldl_buf_printf(out, "\n%s\n", flag->group);
        group = flag->group;
        put_flag(out, flag);
    }
}
