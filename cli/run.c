/* run.c -- runs a plan for the user, one line at the end.
 *
 * Until the plan runs nothing is on the disk, and a signal may end the program as signals do. From
 * then on the first SIGINT, SIGTERM or SIGHUP asks the library to stop, which removes what it wrote;
 * the second ends the program at once. A signal that the caller had ignored (nohup) stays ignored. */
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
    if (r->models == 1)
        fprintf(stderr, "wrote %s: ", r->output);
    else
        fprintf(stderr, "merged %zu models into %s: ", r->models, r->output);
    fprintf(stderr, "%llu tensor%s, %s in %.2f s\n", (unsigned long long)r->tensors,
            r->tensors == 1 ? "" : "s", cli_human(size, (double)r->bytes_written), r->seconds);
}

int cli_run(ladle_plan *plan)
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
