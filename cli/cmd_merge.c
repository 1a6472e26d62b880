/* cmd_merge.c -- ladle merge: settings to a plan, and run it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

int cmd_merge(int argc, const char *const *argv)
{
    struct ladle_error e;
    ladle_plan *plan;
    if (cli_has_word(argc, argv, "--help") || cli_has_word(argc, argv, "-h")) {
        ladle_help(0, cli_print, NULL);
        return 0;
    }
    if (cli_has_word(argc, argv, "--version"))
        return cli_version();
    if (ladle_plan_new(&plan, argc, argv, LADLE_NEED_OUTPUT, &e))
        return cli_fail(&e);
    int status = cli_run(plan);
    ladle_plan_free(plan);
    return status;
}
