/* output_fs.h -- what output.c asks of the file system: where a path leads, small trees, locks,
 * renames that can be taken back. Nothing here knows what an output is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_OUTPUT_FS_H
#define LDL_ENGINE_OUTPUT_FS_H

#include <sys/stat.h>
#include "base/io.h"

/* ---- paths; all returned paths are the caller's ---- */

/* Absolute, links resolved; the last components may not exist yet. */
int ldl_fs_resolve(const char *asked, char **path, struct ldl_err *err);
/* The folder that an absolute path without trailing slashes lies in; NULL: no memory. */
char *ldl_fs_parent(const char *path);
/* `path` itself when it exists, else the nearest folder above it that does. */
char *ldl_fs_existing(const char *path);
/* Is the existing absolute `path`, or a folder above it, the file that `st` describes? */
int ldl_fs_leads_to(const char *path, const struct stat *st);
int ldl_fs_same(const struct stat *a, const struct stat *b);
/* Is the folder the root of a mount? Bind mounts count; then it cannot be renamed. */
int ldl_fs_is_mount(const char *path);
/* Bytes that this user may still write below the folder; UINT64_MAX when the system cannot say. */
uint64_t ldl_fs_free_bytes(const char *path);

/* ---- trees; links are never followed ---- */

enum ldl_visit { LDL_VISIT_FILE, LDL_VISIT_ENTER, LDL_VISIT_LEAVE };
enum { LDL_VISIT_SKIP = -1, LDL_WALK_DEPTH = 16 };
/* Called for all that is no folder (FILE), before a folder's items (ENTER; LDL_VISIT_SKIP passes
 * it by) and after them (LEAVE). Another nonzero return ends the walk and is its result. */
typedef int (*ldl_visit_fn)(void *ctx, enum ldl_visit what, const char *path, const char *relative,
                            const struct stat *st, struct ldl_err *err);
/* The items of a folder in byte order; trees nested deeper than LDL_WALK_DEPTH are refused. */
int ldl_walk(const char *dir, ldl_visit_fn visit, void *ctx, struct ldl_err *err);
/* Makes all files below dir, the folders and dir itself durable. */
int ldl_tree_sync(const char *dir, struct ldl_err *err);
/* What the files below dir occupy; what cannot be read counts nothing. */
uint64_t ldl_tree_bytes(const char *dir);

/* ---- folders ---- */

/* A folder open for flock() and fchmod(); a link is refused. -1 with errno. */
int ldl_dir_open(const char *path);
enum ldl_lock { LDL_LOCKED, LDL_LOCK_BUSY, LDL_LOCK_UNKNOWN };
/* flock() without waiting; how is LOCK_SH or LOCK_EX. UNKNOWN: this file system has no locks. */
enum ldl_lock ldl_dir_lock(int fd, int how);
/* mkdir -p of dir; the folders that were not there are appended to made, outermost first. */
int ldl_dir_make(const char *dir, struct ldl_names *made, struct ldl_err *err);

/* ---- renames that can be taken back ---- */

struct ldl_moves {
    struct ldl_move *list; /* those that were done, in order */
    size_t n, cap;
};
/* Renames (exchange: both ways at once). 0, or an errno; then nothing was renamed. */
int ldl_move(struct ldl_moves *m, const char *from, const char *to, int exchange);
/* Takes back the last ones until `keep` are left; -1 when one could not be, and stops there. */
int ldl_moves_undo(struct ldl_moves *m, size_t keep);
void ldl_moves_free(struct ldl_moves *m);

#endif
