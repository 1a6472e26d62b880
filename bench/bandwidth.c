/* bandwidth.c -- what this machine can move: memory, and files that are in the page cache, for one
 * thread and for all cores. The best of some repetitions counts, since noise only ever adds.
 *
 *   read    sum of a buffer larger than the caches                 bytes read
 *   copy    memcpy from one such buffer to another                 bytes read and written
 *   pread   FILE into a window of 256 KiB, as a merge reads        bytes read
 *   pwrite  such a window over a new file beside FILE, removed     bytes written
 *
 * usage: bench_bandwidth FILE
 * A line for each: what, threads, GB/s. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cores.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REPEATS = 5, MOST_THREADS = 64 };
#define MEMORY_BYTES ((size_t)512 << 20) /* both halves of a copy */
#define FILE_BYTES   ((size_t)1 << 30)   /* at most so much of FILE */
#define WINDOW_BYTES ((size_t)256 << 10)

static struct {
    unsigned char *memory;
    size_t file_bytes;
    int in, out;
} m;
static volatile uint64_t sink;

struct part { /* of the buffer or of the file */
    pthread_t thread;
    void (*run)(struct part *p);
    size_t first, bytes;
    unsigned char *window;
    int failed;
};

static void run_read(struct part *p)
{
    const uint64_t *at = (const uint64_t *)(const void *)(m.memory + p->first);
    uint64_t s[8] = { 0 };
    for (size_t i = 0; i + 8 <= p->bytes / 8; i += 8)
        for (size_t l = 0; l < 8; l++)
            s[l] += at[i + l];
    sink = s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

static void run_copy(struct part *p)
{
    size_t half = MEMORY_BYTES / 2;
    memcpy(m.memory + half + p->first / 2, m.memory + p->first / 2, p->bytes / 2);
}

static void over_file(struct part *p, int writes)
{
    for (size_t done = 0; done < p->bytes && !p->failed;) {
        size_t n = p->bytes - done < WINDOW_BYTES ? p->bytes - done : WINDOW_BYTES;
        off_t at = (off_t)(p->first + done);
        ssize_t got = writes ? pwrite(m.out, p->window, n, at) : pread(m.in, p->window, n, at);
        p->failed = got <= 0;
        done += got > 0 ? (size_t)got : 0;
    }
}

static void run_pread(struct part *p)
{
    over_file(p, 0);
}

static void run_pwrite(struct part *p)
{
    over_file(p, 1);
}

static void *start(void *part)
{
    struct part *p = part;
    p->run(p);
    return NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one repetition on so many threads; below 0: a call failed. */
static double once(struct part *part, int threads, void (*run)(struct part *), size_t bytes)
{
    double begin = now();
    int failed = 0;
    for (int i = 0; i < threads; i++) {
        struct part *p = &part[i];
        size_t share = bytes / (size_t)threads / 4096 * 4096;
        p->run = run;
        p->failed = 0;
        p->first = share * (size_t)i;
        p->bytes = i + 1 < threads ? share : bytes - p->first;
        if (pthread_create(&p->thread, NULL, start, p))
            abort();
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(part[i].thread, NULL);
        failed |= part[i].failed;
    }
    return failed ? -1 : now() - begin;
}

static int measure(const char *what, const char *path, int threads, void (*run)(struct part *),
                   size_t bytes)
{
    static struct part part[MOST_THREADS];
    double best = 1e9;
    for (int i = 0; i < threads; i++)
        if (!part[i].window && !(part[i].window = calloc(1, WINDOW_BYTES)))
            return 1;
    for (int i = 0; i <= REPEATS; i++) {
        if (run == run_pwrite) { /* as a merge does: new pages, and room for all of them first */
            m.out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (m.out < 0 ||
                (fallocate(m.out, 0, 0, (off_t)bytes) && ftruncate(m.out, (off_t)bytes)))
                return 1;
        }
        double took = once(part, threads, run, bytes);
        if (run == run_pwrite) {
            close(m.out);
            unlink(path);
        }
        if (took < 0)
            return 1;
        if (i && took < best) /* the first one warms */
            best = took;
    }
    printf("%-6s %2d %6.2f\n", what, threads, (double)bytes / best * 1e-9);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct stat st;
    if (argc != 2 || (m.in = open(argv[1], O_RDONLY | O_CLOEXEC)) < 0 || fstat(m.in, &st) ||
        snprintf(path, sizeof path, "%s.bandwidth", argv[1]) >= (int)sizeof path ||
        !(m.memory = malloc(MEMORY_BYTES))) {
        fprintf(stderr, "usage: bench_bandwidth FILE\n");
        return 3;
    }
    memset(m.memory, 1, MEMORY_BYTES);
    m.file_bytes = (size_t)st.st_size < FILE_BYTES ? (size_t)st.st_size : FILE_BYTES;
    int all = ldl_cores() < MOST_THREADS ? ldl_cores() : MOST_THREADS;
    int rc = 0;
    for (int threads = 1; rc == 0; threads = all) {
        rc = measure("read", path, threads, run_read, MEMORY_BYTES) ||
             measure("copy", path, threads, run_copy, MEMORY_BYTES) ||
             measure("pread", path, threads, run_pread, m.file_bytes) ||
             measure("pwrite", path, threads, run_pwrite, m.file_bytes);
        if (threads == all)
            break;
    }
    if (rc)
        fprintf(stderr, "bench_bandwidth: cannot read, write or remember\n");
    return rc ? 6 : 0;
}
