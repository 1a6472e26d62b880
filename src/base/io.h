/* io.h -- files: whole reads and writes, paths, small helpers. Every call retries EINTR and
 * short counts, passes the fault hooks and reports "PATH: what" in one line. Thread-safe. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_IO_H
#define LDL_BASE_IO_H

#include <sys/types.h>
#include "base/err.h"
#include "base/mem.h"

/* Opens a regular file for reading, O_CLOEXEC; *fd is the caller's. Directories, devices and
 * pipes are refused (a FIFO would hang). *size is its length in bytes. */
int ldl_open_read(const char *path, int *fd, uint64_t *size, struct ldl_err *err);
/* Exactly n bytes at the offset; end of file before that is LDL_EINPUT ("file became shorter"). */
int ldl_pread(int fd, const char *path, void *to, size_t n, uint64_t offset, struct ldl_err *err);
/* Asks the system to read bytes that are not in its cache, and does not wait for it. A hint. */
void ldl_read_ahead(int fd, uint64_t offset, uint64_t bytes);
int ldl_pwrite(int fd, const char *path, const void *from, size_t n, uint64_t offset,
               struct ldl_err *err);
int ldl_fdatasync(int fd, const char *path, struct ldl_err *err);
/* fsync of a directory, so that the names in it are durable. */
int ldl_sync_dir(const char *path, struct ldl_err *err);
/* The whole file, NUL-terminated, into out (emptied first). Longer than max_bytes: LDL_EINPUT. */
int ldl_read_file(const char *path, uint64_t max_bytes, struct ldl_buf *out, struct ldl_err *err);
/* Creates or truncates a file (mode 0666 less umask) and writes it; fsync when durable. */
int ldl_write_file(const char *path, const void *bytes, size_t n, int durable, struct ldl_err *err);

/* "dir/name" in new memory (NULL: no memory). */
char *ldl_path_join(const char *dir, const char *name);
/* The part after the last slash; points into path. */
const char *ldl_path_base(const char *path);
int ldl_is_dir(const char *path);
int ldl_exists(const char *path); /* also a broken link */
/* True when name is a single plain component: not empty, ".", ".." and without '/'. */
int ldl_name_is_plain(const char *name);
int ldl_has_suffix(const char *text, const char *suffix);

/* Names in a directory (without . and ..), sorted by bytes. ldl_names_free() when done. */
struct ldl_names {
    char **name;
    size_t n, cap;
};
int ldl_list_dir(const char *path, struct ldl_names *out, struct ldl_err *err);
int ldl_names_add(struct ldl_names *list, const char *name);
void ldl_names_free(struct ldl_names *list);

/* The name of `list` (n words) nearest to `word` by edit distance, else the first that `word` is the
 * beginning of; NULL when none is near. */
const char *ldl_nearest(const char *word, const char *const *list, size_t n);

#endif
