/* cmd_merge.c -- ladle merge: plan, run, one line at the end.
 *
 * Until the merge starts nothing is on the disk, and a signal may end the program as signals do.
 * From then on the first SIGINT, SIGTERM or SIGHUP asks the library to stop, which removes what it
 * wrote; the second ends the program at once. A signal that the caller had ignored (nohup) stays
 * ignored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction ours = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND }, old;
    sigemptyset(&ours.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &ours, NULL);
}

static void print_summary(const struct ladle_result *r)
{
    char size[32];
    fprintf(stderr, "merged %zu models into %s: %llu tensor%s, %s in %.2f s\n", r->models,
            r->output, (unsigned long long)r->tensors, r->tensors == 1 ? "" : "s",
            cli_human(size, (double)r->bytes_written), r->seconds);
}

static int run(ladle_plan *plan)
{
    struct ladle_error e;
    struct cli_progress progress;
    int quiet = ladle_plan_quiet(plan);
    size_t notes = 0;
    cli_notes(plan, &notes);
    cli_progress_init(&progress, quiet, &stop);
    catch_signals();
    int status = ladle_plan_run(plan, cli_progress_step, &progress, &e);
    cli_progress_end(&progress);
    cli_notes(plan, &notes);
    if (status)
        return cli_fail(&e);
    if (!quiet)
        print_summary(ladle_plan_result(plan));
    return 0;
}

int cmd_merge(int argc, const char *const *argv)
{
    struct ladle_error e;
    ladle_plan *plan;
    if (cli_has_word(argc, argv, "--help") || cli_has_word(argc, argv, "-h")) {
        ladle_merge_help(cli_print, NULL);
        return 0;
    }
    if (cli_has_word(argc, argv, "--version"))
        return cli_version();
    if (ladle_plan_new(&plan, argc, argv, LADLE_NEED_OUTPUT, &e))
        return cli_fail(&e);
    int status = run(plan);
    ladle_plan_free(plan);
    return status;
}
