/* cmd_plan.c -- ladle plan: what a merge would read, write and decide. It takes the words of
 * `ladle merge`, of which output_path may be missing, and --json, which is taken out here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: ladle plan [--json] SETTINGS-OF-MERGE\n\n"
    "Prints what a merge would read and write, its passes, memory and decisions, and writes\n"
    "nothing. It takes the settings of 'ladle merge'; output_path may be missing.\n\n"
    "  --json    print as JSON\n\n";

static int print_plan(int argc, const char *const *argv, int flags)
{
    struct ladle_error e;
    ladle_plan *plan;
    if (ladle_plan_new(&plan, argc, argv, 0, &e))
        return cli_fail(&e);
    int status = ladle_plan_print(plan, flags, cli_print, NULL, &e);
    if (status)
        cli_fail(&e);
    ladle_plan_free(plan);
    return status;
}

int cmd_plan(int argc, const char *const *argv)
{
    int n = 0, flags = 0;
    if (cli_has_word(argc, argv, "--help") || cli_has_word(argc, argv, "-h")) {
        fputs(help, stdout);
        ladle_help(0, cli_print, NULL);
        return 0;
    }
    if (cli_has_word(argc, argv, "--version"))
        return cli_version();
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    if (!rest) {
        struct ladle_error e = { LADLE_EIO, "out of memory" };
        return cli_fail(&e);
    }
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            flags |= LADLE_JSON;
        else
            rest[n++] = argv[i];
    }
    int status = print_plan(n, rest, flags);
    free(rest);
    return status;
}
