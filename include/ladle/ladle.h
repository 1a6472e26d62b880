/* ladle.h -- the public interface of libladle: merging model weights without training data.
 *
 *     struct ladle_error e;
 *     ladle_plan *p;
 *     const char *args[] = { "--merge_method", "ties", "--model_path_list", "A", "B",
 *                            "--base_model_path", "BASE", "--output_path", "OUT" };
 *     if (ladle_plan_new(&p, 9, args, LADLE_NEED_OUTPUT, &e) == 0 &&
 *         ladle_plan_run(p, NULL, NULL, &e) == 0)
 *         puts("done");
 *     else
 *         fprintf(stderr, "%s\n", e.text);
 *     ladle_plan_free(p);
 *
 * The library never prints, never exits, installs no signal handler. Text for people goes to the
 * sink that the caller gives. A plan belongs to one thread at a time; different plans are
 * independent. C99 and C++. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LADLE_LADLE_H
#define LADLE_LADLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LADLE_VERSION "0.1.0"
#define LADLE_API     __attribute__((visibility("default")))

/* Status of every call, and the exit status of the program. */
enum ladle_status {
    LADLE_OK = 0,
    LADLE_EIO = 1,     /* reading, writing or memory failed */
    LADLE_EUSAGE = 2,  /* an argument or a recipe is wrong */
    LADLE_EDEVICE = 3, /* the device asked for is not in this build or machine */
    LADLE_EINPUT = 4,  /* an input checkpoint is missing, damaged or does not fit the others */
    LADLE_EOUTPUT = 5, /* the output place is refused */
    LADLE_EINTR = 130  /* ladle_progress said stop */
};

/* One line, no newline: what failed, where, what to do. */
struct ladle_error {
    int code;
    char text[2048];
};

/* Receives text; `n` bytes, not NUL-terminated. */
typedef void (*ladle_sink)(void *ctx, const char *text, size_t n);

typedef struct ladle_plan ladle_plan;

enum {
    LADLE_NEED_OUTPUT = 1, /* output_path must be given */
    LADLE_JSON = 2,        /* print as JSON */
    LADLE_DIFFABLE = 4,    /* print without what differs between equal checkpoints (paths, files) */
    LADLE_CONVERT = 8      /* the words are those after `ladle convert` */
};

/* Reads the settings (the words after `ladle merge` or `ladle convert`), opens the models' headers
 * and checks everything that can be checked without reading weights or writing. flags:
 * LADLE_NEED_OUTPUT, LADLE_CONVERT.
 * *plan is the caller's, NULL on failure; release with ladle_plan_free (NULL is fine). */
LADLE_API int ladle_plan_new(ladle_plan **plan, int argc, const char *const *argv, int flags,
                             struct ladle_error *error);
LADLE_API void ladle_plan_free(ladle_plan *plan);
/* What would be read and written, passes, memory, decisions. flags: LADLE_JSON. */
LADLE_API int ladle_plan_print(const ladle_plan *plan, int flags, ladle_sink sink, void *ctx,
                               struct ladle_error *error);
/* The notes of the plan (what was accepted and has no effect, ...), one per call; NULL at the end. */
LADLE_API const char *ladle_plan_note(const ladle_plan *plan, size_t i);
/* Was --quiet given? */
LADLE_API int ladle_plan_quiet(const ladle_plan *plan);

/* State of a running merge. Called often (about every 0.1 s) from one of the library's threads; a
 * nonzero return stops the merge (LADLE_EINTR, nothing is left behind). */
struct ladle_progress {
    uint64_t tensors_done, tensors;
    uint64_t bytes_done, bytes; /* of output; looking at a tensor first counts for a share of it */
    double seconds;
};
typedef int (*ladle_progress_fn)(void *ctx, const struct ladle_progress *now);

/* What a merge did. notes: lines for the user (NaN found, ...), owned by the plan. */
struct ladle_result {
    size_t models;
    const char *output; /* the directory, as it was given */
    uint64_t tensors, bytes_read, bytes_written;
    uint64_t nans_in, infs_in, nans_out, infs_out;
    double seconds;
    int threads;
};
/* Runs the merge. progress may be NULL. result may be NULL. */
LADLE_API int ladle_plan_run(ladle_plan *plan, ladle_progress_fn progress, void *ctx,
                             struct ladle_error *error);
LADLE_API const struct ladle_result *ladle_plan_result(const ladle_plan *plan);

/* Tensors, dtypes, shapes and sizes of a checkpoint. flags: LADLE_JSON, LADLE_DIFFABLE. */
LADLE_API int ladle_show(const char *model, int flags, ladle_sink sink, void *ctx,
                         struct ladle_error *error);
/* The merge methods and their parameters; name NULL: the list. flags: LADLE_JSON. */
LADLE_API int ladle_methods(const char *name, int flags, ladle_sink sink, void *ctx,
                            struct ladle_error *error);
/* The machine and the build: SIMD level, threads, devices, limits. flags: LADLE_JSON. */
LADLE_API int ladle_doctor(int flags, ladle_sink sink, void *ctx, struct ladle_error *error);
/* Help on the settings of `merge` and `plan`, or, with LADLE_CONVERT, of `convert`. */
LADLE_API void ladle_help(int flags, ladle_sink sink, void *ctx);
LADLE_API const char *ladle_version(void);

#ifdef __cplusplus
}
#endif
#endif
