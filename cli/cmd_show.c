/* cmd_show.c -- ladle show MODEL: the tensors of a checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

static const char help[] =
    "usage: ladle show MODEL [--json] [--diffable]\n\n"
    "Prints the tensors of a checkpoint: names, dtypes, shapes, sizes. MODEL is a directory, a\n"
    "file of weights, or a name in the local Hugging Face cache. Only headers are read.\n\n"
    "  --json        print as JSON\n"
    "  --diffable    leave out what differs between equal checkpoints: paths, files, sizes\n";

static const struct cli_option options[] = {
    { "--json", LADLE_JSON },
    { "--diffable", LADLE_DIFFABLE },
    { 0 },
};

int cmd_show(int argc, const char *const *argv)
{
    struct cli_words w = { .verb = "show", .help = help, .option = options, .max_operands = 1 };
    struct ladle_error e;
    int status;
    if (!cli_parse(&w, argc, argv, &status))
        return status;
    if (!w.operand)
        return cli_usage("show: name a model, as in 'ladle show MODEL'");
    return ladle_show(w.operand, w.flags, cli_print, NULL, &e) ? cli_fail(&e) : 0;
}
