/* cmd_convert.c -- ladle convert: one model in another container, type, or size of shards. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

int cmd_convert(int argc, const char *const *argv)
{
    struct ladle_error e;
    ladle_plan *plan;
    if (cli_has_word(argc, argv, "--help") || cli_has_word(argc, argv, "-h")) {
        ladle_help(LADLE_CONVERT, cli_print, NULL);
        return 0;
    }
    if (cli_has_word(argc, argv, "--version"))
        return cli_version();
    if (ladle_plan_new(&plan, argc, argv, LADLE_NEED_OUTPUT | LADLE_CONVERT, &e))
        return cli_fail(&e);
    int status = cli_run(plan);
    ladle_plan_free(plan);
    return status;
}
