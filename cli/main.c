/* main.c -- the program: finds the verb and hands it the words after it.
 *
 *     ladle VERB [WORDS]        exit status: 0 done, 1 reading, writing or memory failed, 2 wrong
 *                               usage, 3 device not there, 4 bad input checkpoint, 5 output
 *                               refused, 130 stopped by a signal (enum ladle_status) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct verb {
    const char *name, *summary;
    int (*run)(int argc, const char *const *argv);
};

static int cmd_help(int argc, const char *const *argv);

static int cmd_version(int argc, const char *const *argv)
{
    if (argc && strcmp(argv[0], "--help") == 0) {
        puts("usage: ladle version");
        return 0;
    }
    return argc ? cli_usage("version: '%s' is one word too many", argv[0]) : cli_version();
}

static const struct verb verbs[] = {
    { "merge", "merge models into a new one", cmd_merge },
    { "convert", "write a model in another container or type", cmd_convert },
    { "plan", "print what a merge would do, and write nothing", cmd_plan },
    { "show", "print the tensors of a checkpoint", cmd_show },
    { "methods", "list the merge methods, or one's parameters", cmd_methods },
    { "doctor", "print the machine and the build", cmd_doctor },
    { "help", "print help on a verb", cmd_help },
    { "version", "print the version", cmd_version },
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static const char usage[] = "usage: ladle VERB ...\n";
static const char example[] =
    "\nexample: ladle merge --merge_method ties --model_path_list A B --base_model_path BASE \\\n"
    "                     --output_path OUT\n";

static void print_help(void)
{
    printf("ladle merges the weights of several fine-tuned models into one, without training.\n\n"
           "%s\n",
           usage);
    for (size_t i = 0; i < VERBS; i++)
        printf("  %-10s%s\n", verbs[i].name, verbs[i].summary);
    printf("\n'ladle VERB --help' says more.\n%s", example);
}

static int fail_verb(const char *word)
{
    const char *names[VERBS + 1] = { NULL };
    for (size_t i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    const char *near = cli_nearest(word, names);
    if (near)
        return cli_usage("unknown verb '%s'; did you mean '%s'?", word, near);
    return cli_usage("unknown verb '%s'; 'ladle help' lists them", word);
}

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, word) == 0)
            return &verbs[i];
    return NULL;
}

static int cmd_help(int argc, const char *const *argv)
{
    static const char *const ask = "--help";
    if (argc > 1)
        return cli_usage("help: '%s' is one word too many", argv[1]);
    if (argc == 1 && strcmp(argv[0], "help") != 0 && argv[0][0] != '-') {
        const struct verb *v = find_verb(argv[0]);
        return v ? v->run(1, &ask) : fail_verb(argv[0]);
    }
    print_help();
    return 0;
}

/* A closed descriptor 0, 1 or 2 would become the next file that is opened, and a message written
 * to stderr would land in a shard. Opened for reading, so that writing still fails. */
static int open_standard_files(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

/* Left alone, glibc raises the size from which a block is a mapping of its own as such blocks are
 * freed; then those that a thread frees stay in that thread's heap, and with many threads the
 * process gets twice as large as the plan said. A size that is set stays. */
static void keep_memory_promise(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
}

static int dispatch(int argc, const char *const *argv)
{
    if (argc < 1) {
        fprintf(stderr, "%s%s\n'ladle help' lists the verbs.\n", usage, example);
        return LADLE_EUSAGE;
    }
    if (strcmp(argv[0], "--version") == 0)
        return cmd_version(argc - 1, argv + 1);
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return cmd_help(argc - 1, argv + 1);
    const struct verb *v = find_verb(argv[0]);
    return v ? v->run(argc - 1, argv + 1) : fail_verb(argv[0]);
}

int main(int argc, char **argv)
{
    if (open_standard_files()) {
        fprintf(stderr, "ladle: /dev/null: %s\n", strerror(errno));
        return LADLE_EIO;
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write: see cli_end() */
    signal(SIGXFSZ, SIG_IGN); /* ulimit -f: likewise a failed write, after which we clean up */
    keep_memory_promise();
    int words = argc > 1 ? argc - 1 : 0;
    return cli_end(dispatch(words, (const char *const *)argv + (argc > 0)));
}
