/* cli.h -- what the verbs of the program share. The program knows the library by <ladle/ladle.h>
 * only. A verb gets the words after its name and returns the exit status. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LADLE_CLI_H
#define LADLE_CLI_H

#include <ladle/ladle.h>

int cmd_merge(int argc, const char *const *argv);
int cmd_convert(int argc, const char *const *argv);
int cmd_plan(int argc, const char *const *argv);
int cmd_show(int argc, const char *const *argv);
int cmd_methods(int argc, const char *const *argv);
int cmd_doctor(int argc, const char *const *argv);

/* "ladle: TEXT" on stderr; returns the status. */
int cli_fail(const struct ladle_error *e);
/* The same for a mistake in the words; returns LADLE_EUSAGE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A ladle_sink to stdout. What it cannot write, cli_end() reports. */
void cli_print(void *ctx, const char *text, size_t n);
/* To be called last: status, or LADLE_EIO after a message when stdout took not everything. */
int cli_end(int status);

/* Was this word given? Then the verb prints help, or the version, and nothing else. */
int cli_has_word(int argc, const char *const *argv, const char *word);
int cli_version(void);

/* Options and operands of the verbs that do not take the settings of a merge, in any order. */
struct cli_option {
    const char *name; /* "--json" */
    int flag;         /* is set in *flags */
};
struct cli_words {
    const char *verb, *help;
    const struct cli_option *option; /* last has a NULL name */
    int max_operands;                /* 0 or 1 */
    int flags;
    const char *operand; /* NULL: none was given */
};
/* 1: go on. 0: done, *status is the exit status. */
int cli_parse(struct cli_words *w, int argc, const char *const *argv, int *status);

/* The word of the list (ends with NULL) that `word` was meant to be; NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *list);
/* "1.5 GB"; writes into out and returns it. */
const char *cli_human(char out[32], double bytes);

/* Runs the plan with progress, notes and summary; returns the status. */
int cli_run(ladle_plan *plan);
/* Prints the notes from *printed on, unless quiet, and counts them there. */
void cli_notes(const ladle_plan *plan, size_t *printed);

/* The progress line: on a terminal only, rewritten in place. */
struct cli_progress {
    int on, drawn;
    const volatile int *stop; /* nonzero: a signal asks for the end */
};
void cli_progress_init(struct cli_progress *p, int quiet, const volatile int *stop);
int cli_progress_step(void *ctx, const struct ladle_progress *now); /* a ladle_progress_fn */
void cli_progress_end(struct cli_progress *p);

#endif
