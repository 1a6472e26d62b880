/* progress.c -- one line on stderr while a merge runs:
 *
 *     120/290 tensors, 410 MB of 988 MB, 1.2 GB/s, 1 s left
 *
 * Only on a terminal that can erase a line. It is called from a thread of the library, which calls
 * it one at a time; it also hands over the wish of a signal to stop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void cli_progress_init(struct cli_progress *p, int quiet, const volatile int *stop)
{
    const char *term = getenv("TERM");
    *p = (struct cli_progress){ .stop = stop };
    p->on = !quiet && isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* A line as wide as the terminal would wrap, and then it cannot be rewritten. */
static size_t width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
        return 79;
    return size.ws_col - 1u;
}

static void time_left(char out[32], double seconds)
{
    if (seconds < 99.5)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 5970)
        snprintf(out, 32, "%.0f min", seconds / 60);
    else
        snprintf(out, 32, "%.1f h", seconds / 3600);
}

int cli_progress_step(void *ctx, const struct ladle_progress *now)
{
    struct cli_progress *p = ctx;
    char done[32], all[32], rate[32], left[32], line[256];
    if (*p->stop)
        return 1;
    if (!p->on)
        return 0;
    int n = snprintf(line, sizeof line, "%llu/%llu tensors, %s of %s",
                     (unsigned long long)now->tensors_done, (unsigned long long)now->tensors,
                     cli_human(done, (double)now->bytes_done), cli_human(all, (double)now->bytes));
    double per_second = now->seconds > 0 ? (double)now->bytes_done / now->seconds : 0;
    if (per_second > 0 && now->bytes_done <= now->bytes) {
        time_left(left, (double)(now->bytes - now->bytes_done) / per_second);
        snprintf(line + n, sizeof line - (size_t)n, ", %s/s, %s left", cli_human(rate, per_second),
                 left);
    }
    fprintf(stderr, "\r\033[K%.*s", (int)width(), line);
    fflush(stderr);
    p->drawn = 1;
    return 0;
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = 0;
}
