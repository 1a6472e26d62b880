/* flags.c -- the words of a command line to values; see flags.h for the forms.
 *
 * A name is looked up in two rounds: as it is, then as a prefix. The candidates of a round are the
 * rows and, for booleans, their negations (no_X). Two names of one row are one candidate. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/flags.h"
#include "base/io.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* What a name means: a row, or the negation of a boolean row. */
struct hit {
    size_t index;
    int negated;
};
enum { MAX_HITS = 2 * LDL_MAX_FLAGS, MAX_NAME = 100 };

static size_t index_of(const struct ldl_flags *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->flag[i].param->name, name) == 0)
            return i;
    assert(!"a name that is in the table");
    return 0;
}

/* The row that holds the value: an alias has none of its own. */
static size_t home_of(const struct ldl_flags *f, size_t index)
{
    const char *alias_of = f->flag[index].alias_of;
    return alias_of ? index_of(f, alias_of) : index;
}

const struct ldl_value *ldl_args_find(const struct ldl_args *a, const char *name)
{
    const struct ldl_arg *arg = &a->arg[index_of(a->flags, name)];
    return arg->source == LDL_FROM_NOTHING ? NULL : &arg->value;
}

enum ldl_source ldl_args_source(const struct ldl_args *a, const char *name)
{
    return a->arg[index_of(a->flags, name)].source;
}

const char *ldl_flag_word(const struct ldl_value *v, char out[LDL_FLAG_WORD])
{
    const char *word = v->param->choices;
    for (int i = 0; i < (int)v->num; i++)
        word += strcspn(word, "|") + 1;
    snprintf(out, LDL_FLAG_WORD, "%.*s", (int)strcspn(word, "|"), word);
    return out;
}

/* ---- names ---- */

/* Does `name` begin with (exact: equal) the n characters at `word`? */
static int matches(const char *name, const char *word, size_t n, int exact)
{
    for (size_t i = 0; i < n; i++)
        if (!name[i] || name[i] != (word[i] == '-' ? '_' : word[i]))
            return 0;
    return !exact || !name[n];
}

static size_t add_hit(const struct ldl_flags *f, struct hit *hits, size_t n, struct hit one)
{
    for (size_t i = 0; i < n; i++)
        if (home_of(f, hits[i].index) == home_of(f, one.index) && hits[i].negated == one.negated)
            return n;
    hits[n] = one;
    return n + 1;
}

static void hit_name(const struct ldl_flags *f, struct hit h, char out[MAX_NAME])
{
    snprintf(out, MAX_NAME, "%s%s", h.negated ? "no_" : "", f->flag[h.index].param->name);
}

static size_t find_hits(const struct ldl_flags *f, const char *word, size_t len, int exact,
                        struct hit *hits)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        for (int negated = 0; negated <= (f->flag[i].param->type == LDL_T_BOOL); negated++) {
            char name[MAX_NAME];
            hit_name(f, (struct hit){ i, negated }, name);
            if (matches(name, word, len, exact))
                n = add_hit(f, hits, n, (struct hit){ i, negated });
        }
    }
    return n;
}

static int fail_unknown(const struct ldl_flags *f, const char *given, const char *word, size_t len,
                        struct ldl_err *err)
{
    const char *list[LDL_MAX_FLAGS], *near;
    char name[MAX_NAME];
    size_t n = 0, skip = len > 3 && matches("no_", word, 3, 0) ? 3 : 0;
    snprintf(name, sizeof name, "%.*s", (int)LDL_MIN(len - skip, (size_t)MAX_NAME - 1),
             word + skip);
    for (size_t i = 0; i < f->n; i++)
        if (!skip || f->flag[i].param->type == LDL_T_BOOL)
            list[n++] = f->flag[i].param->name;
    near = *name ? ldl_nearest(name, list, n) : NULL;
    if (near)
        return ldl_fail(err, LDL_EUSAGE,
                        "unknown flag '%s'; did you mean '--%s%s'? (--help lists all)", given,
                        skip ? "no_" : "", near);
    return ldl_fail(err, LDL_EUSAGE, "unknown flag '%s'; --help lists all", given);
}

static int fail_ambiguous(const struct ldl_flags *f, const char *given, const struct hit *hits,
                          size_t n, struct ldl_err *err)
{
    struct ldl_buf list = { 0 };
    for (size_t i = 0; i < n; i++) {
        char name[MAX_NAME];
        hit_name(f, hits[i], name);
        ldl_buf_printf(&list, "%s--%s", i ? ", " : "", name);
    }
    int rc = list.failed ? ldl_oom(err)
                         : ldl_fail(err, LDL_EUSAGE, "'%s' can mean each of %s; write which", given,
                                    list.text);
    ldl_buf_free(&list);
    return rc;
}

static int resolve(const struct ldl_flags *f, const char *given, struct hit *hit,
                   struct ldl_err *err)
{
    struct hit hits[MAX_HITS];
    size_t dashes = given[1] == '-' ? 2 : 1;
    const char *word = given + dashes;
    size_t len = strcspn(word, "=");
    if (dashes == 1 || len == 0)
        return fail_unknown(f, given, word, len, err);
    size_t n = find_hits(f, word, len, 1, hits);
    if (n == 0)
        n = find_hits(f, word, len, 0, hits);
    if (n == 0)
        return fail_unknown(f, given, word, len, err);
    if (n > 1)
        return fail_ambiguous(f, given, hits, n, err);
    *hit = hits[0];
    return 0;
}

int ldl_flag_wants(const struct ldl_flags *flags, const char *word)
{
    struct hit hit;
    if (resolve(flags, word, &hit, NULL))
        return -1;
    return flags->flag[hit.index].param->type != LDL_T_BOOL && !strchr(word, '=');
}

/* ---- values ---- */

static int fail_alias(const struct ldl_arg *old, const struct ldl_value *v, const char *name,
                      struct ldl_err *err)
{
    return ldl_fail(err, LDL_EUSAGE,
                    "%s is '%s' but %s, another name of the same, is '%s'; give one of them",
                    old->name, old->value.text[0], name, v->text[0]);
}

int ldl_args_set(struct ldl_args *a, size_t index, enum ldl_source source, const char *const *words,
                 size_t n, const char *origin, struct ldl_err *err)
{
    struct ldl_arg *arg = &a->arg[home_of(a->flags, index)];
    const struct ldl_param *p = a->flags->flag[index].param;
    struct ldl_value v;
    int rc = ldl_value_parse(&v, p, words, n, origin, err);
    if (rc)
        return rc;
    for (size_t i = 0; v.text && i < v.n; i++)
        if (!*v.text[i])
            rc = ldl_fail(err, LDL_EUSAGE, "%s: the value is empty", origin);
    if (rc == 0 && p->type == LDL_T_TEXT && arg->source == source && arg->name != p->name &&
        strcmp(arg->value.text[0], v.text[0]) != 0)
        rc = fail_alias(arg, &v, p->name, err);
    if (rc) {
        ldl_value_free(&v);
        return rc;
    }
    ldl_value_free(&arg->value);
    *arg = (struct ldl_arg){ .value = v, .source = source, .name = p->name };
    return 0;
}

int ldl_args_decide(struct ldl_args *a, const char *name, const char *const *words, size_t n,
                    struct ldl_err *err)
{
    size_t index = index_of(a->flags, name);
    ldl_value_free(&a->arg[index].value);
    a->arg[index] = (struct ldl_arg){ 0 };
    return n ? ldl_args_set(a, index, LDL_FROM_DEFAULT, words, n, name, err) : 0;
}

int ldl_args_defaults(struct ldl_args *a, struct ldl_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->flags->n; i++) {
        const struct ldl_param *p = a->flags->flag[i].param;
        if (a->arg[i].source == LDL_FROM_NOTHING && p->fallback)
            rc = ldl_args_set(a, i, LDL_FROM_DEFAULT, &p->fallback, 1, p->name, err);
    }
    return rc;
}

void ldl_args_free(struct ldl_args *a)
{
    for (size_t i = 0; i < LDL_MAX_FLAGS; i++) {
        ldl_value_free(&a->arg[i].value);
        a->arg[i] = (struct ldl_arg){ 0 };
    }
}

/* ---- words ---- */

static int is_flag(const char *word)
{
    double number;
    if (word[0] != '-' || !word[1] || strchr("0123456789.", word[1]))
        return 0;
    return ldl_parse_double(word, &number) != 0;
}

/* --name=V: V, then the words that follow. */
static int set_inline(struct ldl_args *a, size_t index, const char *first, const char *const *words,
                      size_t n, const char *origin, struct ldl_err *err)
{
    const char **all = ldl_calloc(n + 1, sizeof *all);
    if (!all)
        return ldl_oom(err);
    all[0] = first;
    for (size_t i = 0; i < n; i++)
        all[i + 1] = words[i];
    int rc = ldl_args_set(a, index, LDL_FROM_WORDS, all, n + 1, origin, err);
    ldl_free(all);
    return rc;
}

static int take_flag(struct ldl_args *a, const char *given, const char *const *words, size_t n,
                     struct ldl_err *err)
{
    static const char *const yes = "true", *const no = "false";
    struct hit hit = { 0 };
    char name[MAX_NAME], origin[MAX_NAME + 2];
    const char *equals = strchr(given, '=');
    int rc = resolve(a->flags, given, &hit, err);
    if (rc)
        return rc;
    hit_name(a->flags, hit, name);
    snprintf(origin, sizeof origin, "--%s", name);
    if (hit.negated && (n || equals))
        return ldl_fail(err, LDL_EUSAGE, "%s takes no value; '%s' is one too many", origin,
                        equals ? equals + 1 : words[0]);
    if (hit.negated)
        return ldl_args_set(a, hit.index, LDL_FROM_WORDS, &no, 1, origin, err);
    if (equals)
        return set_inline(a, hit.index, equals + 1, words, n, origin, err);
    if (n == 0 && a->flags->flag[hit.index].param->type == LDL_T_BOOL)
        return ldl_args_set(a, hit.index, LDL_FROM_WORDS, &yes, 1, origin, err);
    return ldl_args_set(a, hit.index, LDL_FROM_WORDS, words, n, origin, err);
}

int ldl_args_words(struct ldl_args *a, int argc, const char *const *argv, struct ldl_err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < argc;) {
        int next = i + 1;
        if (!is_flag(argv[i]))
            return ldl_fail(err, LDL_EUSAGE, "'%s' is not a flag; flags begin with '--'", argv[i]);
        while (next < argc && !is_flag(argv[next]))
            next++;
        rc = take_flag(a, argv[i], argv + i + 1, (size_t)(next - i - 1), err);
        i = next;
    }
    return rc;
}
