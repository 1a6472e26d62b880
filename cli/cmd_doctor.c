/* cmd_doctor.c -- ladle doctor: the machine and the build, for a bug report or a slow merge. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static const char help[] =
    "usage: ladle doctor [--json]\n\n"
    "Prints the processor's level, threads, devices, memory limits and how ladle was built.\n\n"
    "  --json    print as JSON\n";

static const struct cli_option options[] = {
    { "--json", LADLE_JSON },
    { 0 },
};

int cmd_doctor(int argc, const char *const *argv)
{
    struct cli_words w = { .verb = "doctor", .help = help, .option = options, .max_operands = 0 };
    struct ladle_error e;
    int status;
    if (!cli_parse(&w, argc, argv, &status))
        return status;
    return ladle_doctor(w.flags, cli_print, NULL, &e) ? cli_fail(&e) : 0;
}
