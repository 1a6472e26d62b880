/* output.h -- the output directory: absent, the old one, or complete; never half.
 *
 *      check ----> begin ----> create / put / copy ----> commit      OUT is the new one
 *        |           |               |                     |
 *      refused     refused         failed               failed  --> abort: OUT as it was
 *
 * Files are written in OUT.partial (beside OUT, same file system, flock()ed so that a second run
 * is refused; a left-over one that nobody holds is cleared when it holds only files that ladle
 * writes). commit() flushes the data, renames OUT.partial to OUT, flushes the parent.
 * OUT that exists: an empty directory is replaced; a non-empty one needs `overwrite`, and then only
 * when all that is in it could have been written by ladle (else it is refused, naming a stranger):
 * the two are swapped with RENAME_EXCHANGE (where that is not known: moved aside) and the old one
 * removed. OUT that cannot be renamed (a mount point, the current directory, in a folder where this
 * user may not write): written in OUT/.ladle.partial, then renamed file by file, the index last.
 * A symbolic link to a directory is followed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_OUTPUT_H
#define LDL_ENGINE_OUTPUT_H

#include "base/io.h"

struct ldl_output_spec {
    const char *path; /* OUT as the user wrote it */
    int overwrite, durable;
    const char *const *input; /* resolved paths of input model directories (or single files) */
    size_t ninputs;
    const char *const *also; /* copy_file_list: names that this run writes, too */
    size_t nalso;
    uint64_t bytes;         /* that will be written, all files */
    const char *index_name; /* renamed last where OUT itself cannot be; may be NULL */
};

struct ldl_output {
    char *path;  /* OUT, links resolved, without trailing slashes */
    char *work;  /* where files are written until commit() */
    int work_fd; /* the work directory, locked; -1 when there is nothing to remove */
    int inside;  /* OUT itself cannot be renamed: work is inside it */
    int overwrite, durable;
    char *index_name;
    struct ldl_names also;
    struct ldl_names made; /* parent directories made for OUT, outermost first */
};

/* All that can be refused without writing anything: OUT is an input, inside one or around one
 * (by device and inode), not empty, not a directory, held by another run, parent not writable,
 * disk too small. Same checks as begin(). */
int ldl_output_check(const struct ldl_output_spec *spec, struct ldl_err *err);
/* On failure *o is empty and nothing is left behind. */
int ldl_output_begin(struct ldl_output *o, const struct ldl_output_spec *spec, struct ldl_err *err);
/* A data file of exactly `bytes` (space reserved with fallocate where the system can); *fd is the
 * caller's, open for pwrite. name is a plain name, not yet used. */
int ldl_output_create(struct ldl_output *o, const char *name, uint64_t bytes, int *fd,
                      struct ldl_err *err);
/* A small file with these bytes; relative may have sub-folders, which are made. A file of that
 * name that copy() brought is replaced. */
int ldl_output_put(struct ldl_output *o, const char *relative, const void *bytes, size_t n,
                   struct ldl_err *err);
/* Copies dir/relative; permissions 0666 less umask; links followed; not over another file. */
int ldl_output_copy(struct ldl_output *o, const char *dir, const char *relative,
                    struct ldl_err *err);
/* On failure abort() is still to be called. One failure comes after the new OUT stands: that the
 * old one could not be removed; its text says so. */
int ldl_output_commit(struct ldl_output *o, struct ldl_err *err);
/* Removes what was written; NULL-safe, idempotent, safe on a zeroed struct; after commit() it only
 * frees memory. */
void ldl_output_abort(struct ldl_output *o);

#endif
