/* merge.c -- a merge from a C program: print the notes and progress, stop after a time limit.
 *
 *     merge SECONDS FLAGS-OF-LADLE-MERGE
 *     merge 60 --merge_method ties --model_path_list A B --base_model_path BASE --output_path OUT
 *
 * The library prints nothing, never exits and installs no signal handler: all of that is here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ladle/ladle.h>
#include <stdio.h>
#include <stdlib.h>

static int progress(void *ctx, const struct ladle_progress *now)
{
    const double *limit = ctx;
    fprintf(stderr, "\r%llu of %llu tensors", (unsigned long long)now->tensors_done,
            (unsigned long long)now->tensors);
    return now->seconds > *limit; /* nonzero stops the merge and removes what it wrote */
}

static void print_notes(const ladle_plan *plan)
{
    const char *note;
    for (size_t i = 0; (note = ladle_plan_note(plan, i)); i++)
        fprintf(stderr, "note: %s\n", note);
}

int main(int argc, char **argv)
{
    struct ladle_error error;
    ladle_plan *plan;
    if (argc < 2) {
        fprintf(stderr, "usage: merge SECONDS FLAGS-OF-LADLE-MERGE\n");
        return LADLE_EUSAGE;
    }
    double limit = atof(argv[1]);
    int status =
        ladle_plan_new(&plan, argc - 2, (const char *const *)argv + 2, LADLE_NEED_OUTPUT, &error);
    if (status == 0)
        status = ladle_plan_run(plan, progress, &limit, &error);
    fputc('\n', stderr);
    if (status) {
        fprintf(stderr, "merge: %s\n", error.text);
    } else {
        const struct ladle_result *done = ladle_plan_result(plan);
        print_notes(plan);
        printf("%llu tensors, %llu bytes, %d threads, %.2f s\n", (unsigned long long)done->tensors,
               (unsigned long long)done->bytes_written, done->threads, done->seconds);
    }
    ladle_plan_free(plan);
    return status;
}
