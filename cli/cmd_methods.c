/* cmd_methods.c -- ladle methods [NAME]: the merge methods and their parameters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static const char help[] =
    "usage: ladle methods [NAME] [--json]\n\n"
    "Lists the merge methods; with a name, that method's parameters, ranges and defaults.\n\n"
    "  --json    print as JSON\n";

static const struct cli_option options[] = {
    { "--json", LADLE_JSON },
    { 0 },
};

int cmd_methods(int argc, const char *const *argv)
{
    struct cli_words w = { .verb = "methods", .help = help, .option = options, .max_operands = 1 };
    struct ladle_error e;
    int status;
    if (!cli_parse(&w, argc, argv, &status))
        return status;
    return ladle_methods(w.operand, w.flags, cli_print, NULL, &e) ? cli_fail(&e) : 0;
}
