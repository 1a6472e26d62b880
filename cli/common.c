/* common.c -- errors, output, options: what the verbs share. See cli.h.
 *
 * stdout is for results and stderr for people. stdio remembers a failed write in its error flag
 * and cli_end() looks at it once, so that a full disk or a closed pipe is never a success. A reader
 * that has seen enough (`ladle show A | head`) is no error to tell of, though: only the exit code
 * shows it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int write_errno;

int cli_fail(const struct ladle_error *e)
{
    fprintf(stderr, "ladle: %s\n", e->text);
    return e->code;
}

int cli_usage(const char *fmt, ...)
{
    struct ladle_error e = { .code = LADLE_EUSAGE };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    for (char *p = e.text; *p; p++) /* words may hold anything: keep it one harmless line */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return cli_fail(&e);
}

void cli_print(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    if (fwrite(text, 1, n, stdout) != n && !write_errno)
        write_errno = errno;
}

int cli_end(int status)
{
    int failed = ferror(stdout);
    if (fclose(stdout) && !write_errno)
        write_errno = errno;
    if (!failed && !write_errno)
        return status;
    if (write_errno != EPIPE)
        fprintf(stderr, "ladle: cannot write to standard output: %s\n",
                strerror(write_errno ? write_errno : EIO));
    return status ? status : LADLE_EIO;
}

int cli_has_word(int argc, const char *const *argv, const char *word)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return 1;
    return 0;
}

int cli_version(void)
{
    printf("ladle %s\n", ladle_version());
    return 0;
}

/* Notes hold names from files; as in errors, they stay one harmless line. */
static void print_note(const char *note)
{
    fputs("note: ", stderr);
    for (; *note; note++)
        putc((unsigned char)*note < 0x20 || *note == 0x7f ? '?' : *note, stderr);
    putc('\n', stderr);
}

void cli_notes(const ladle_plan *plan, size_t *printed)
{
    const char *note;
    for (; (note = ladle_plan_note(plan, *printed)); ++*printed)
        if (!ladle_plan_quiet(plan))
            print_note(note);
}

const char *cli_human(char out[32], double bytes)
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
    size_t u = 0;
    for (; bytes >= 999.5 && u + 1 < sizeof units / sizeof units[0]; u++)
        bytes /= 1000;
    snprintf(out, 32, "%.*f %s", u && bytes < 9.95 ? 1 : 0, bytes, units[u]);
    return out;
}

/* Edits (insert, delete, replace) that make b of a; both are shorter than the row. */
static size_t distance(const char *a, const char *b)
{
    size_t row[40], m = strlen(b);
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < m; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (diagonal + 1 < best)
                best = diagonal + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const char *const *list)
{
    const char *found = NULL;
    size_t best = 3;
    for (; *list; list++) {
        if (strlen(word) >= 32 || strlen(*list) >= 32)
            continue;
        size_t d = distance(word, *list);
        if (d < best && d < strlen(*list)) {
            best = d;
            found = *list;
        }
    }
    return found;
}

static int take_option(struct cli_words *w, const char *word)
{
    const char *names[8] = { "--help", "--version" }, *near;
    size_t n = 2;
    for (const struct cli_option *o = w->option; o->name; o++) {
        if (strcmp(o->name, word) == 0) {
            w->flags |= o->flag;
            return 0;
        }
        if (n + 1 < sizeof names / sizeof names[0])
            names[n++] = o->name;
    }
    if ((near = cli_nearest(word, names)))
        return cli_usage("%s: unknown option '%s'; did you mean '%s'?", w->verb, word, near);
    return cli_usage("%s: unknown option '%s'; 'ladle %s --help' lists them", w->verb, word,
                     w->verb);
}

int cli_parse(struct cli_words *w, int argc, const char *const *argv, int *status)
{
    int options = 1, operands = 0;
    *status = 0;
    if (cli_has_word(argc, argv, "--help") || cli_has_word(argc, argv, "-h")) {
        fputs(w->help, stdout);
        return 0;
    }
    if (cli_has_word(argc, argv, "--version")) {
        *status = cli_version();
        return 0;
    }
    for (int i = 0; i < argc && *status == 0; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = 0;
        else if (options && argv[i][0] == '-')
            *status = take_option(w, argv[i]);
        else if (operands++ < w->max_operands)
            w->operand = argv[i];
        else
            *status = cli_usage("%s: '%s' is one word too many", w->verb, argv[i]);
    }
    return *status == 0;
}
