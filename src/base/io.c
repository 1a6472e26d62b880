/* io.c -- see io.h.
 *
 * Every system call that may be interrupted or come short is in a loop here and nowhere else.
 * Codes: what is missing or is no regular file is LDL_EINPUT (the user named it); what the system
 * refuses or fails to do is LDL_EIO. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* open() that retries; -1 with errno. */
static int open_file(const char *path, int flags, mode_t mode)
{
    int fd;
    if (ldl_fault(LDL_FAULT_OPEN)) {
        errno = EIO;
        return -1;
    }
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int fail_open(const char *path, int errnum, struct ldl_err *err)
{
    struct stat st;
    if (errnum == ENOENT && lstat(path, &st) == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: is a link that leads nowhere", path);
    if (errnum == EMFILE)
        return ldl_fail_errno(err, LDL_EIO, errnum, "%s: raise the limit with `ulimit -n`", path);
    int missing = errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP;
    return ldl_fail_errno(err, missing ? LDL_EINPUT : LDL_EIO, errnum, "%s: cannot open", path);
}

int ldl_open_read(const char *path, int *fd, uint64_t *size, struct ldl_err *err)
{
    struct stat st;
    int status = 0;
    /* O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever */
    int f = open_file(path, O_RDONLY | O_NONBLOCK, 0);
    if (f < 0)
        return fail_open(path, errno, err);
    if (fstat(f, &st) < 0)
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s", path);
    else if (S_ISDIR(st.st_mode))
        status = ldl_fail(err, LDL_EINPUT, "%s: is a directory, not a file", path);
    else if (!S_ISREG(st.st_mode))
        status = ldl_fail(err, LDL_EINPUT, "%s: is a device or a pipe, not a file", path);
    if (status) {
        close(f);
        return status;
    }
    *fd = f;
    *size = (uint64_t)st.st_size;
    return 0;
}

int ldl_pread(int fd, const char *path, void *to, size_t n, uint64_t offset, struct ldl_err *err)
{
    unsigned char *at = to;
    size_t left = n;
    uint64_t end;
    if (ldl_add(offset, n, &end) || end > INT64_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: no file is long enough for byte %llu", path,
                        (unsigned long long)offset);
    while (left) {
        ssize_t got = -1;
        if (ldl_fault(LDL_FAULT_READ))
            errno = EIO;
        else
            got = pread(fd, at, left, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot read", path);
        if (got == 0)
            return ldl_fail(err, LDL_EINPUT,
                            "%s: the file became shorter while it was read: %zu bytes are missing "
                            "at byte %llu",
                            path, left, (unsigned long long)offset);
        at += got;
        left -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

enum {
    AHEAD_PIECE = 1 << 20
}; /* Linux takes no more of one call, where a disk's read-ahead is short */

static int is_cached(int fd, uint64_t offset)
{
    char byte;
    struct iovec to = { &byte, 1 };
    return preadv2(fd, &to, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

void ldl_read_ahead(int fd, uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += AHEAD_PIECE) {
        uint64_t piece = LDL_MIN(bytes - at, (uint64_t)AHEAD_PIECE);
        if (!is_cached(fd, offset + at + piece - 1))
            (void)posix_fadvise(fd, (off_t)(offset + at), (off_t)piece, POSIX_FADV_WILLNEED);
    }
}

int ldl_pwrite(int fd, const char *path, const void *from, size_t n, uint64_t offset,
               struct ldl_err *err)
{
    const unsigned char *at = from;
    while (n) {
        ssize_t put = -1;
        if (ldl_fault(LDL_FAULT_WRITE))
            errno = ENOSPC;
        else
            put = pwrite(fd, at, n, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return ldl_fail_errno(err, LDL_EIO, put < 0 ? errno : EIO, "%s: cannot write", path);
        at += put;
        n -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

/* fsync or fdatasync, which share their ways to fail. */
static int sync_fd(int fd, const char *path, int (*call)(int), struct ldl_err *err)
{
    int failed;
    do {
        failed = -1;
        if (ldl_fault(LDL_FAULT_SYNC))
            errno = EIO;
        else
            failed = call(fd);
    } while (failed && errno == EINTR);
    if (failed)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot make the data durable", path);
    return 0;
}

int ldl_fdatasync(int fd, const char *path, struct ldl_err *err)
{
    return sync_fd(fd, path, fdatasync, err);
}

static int fsync_dir(int fd)
{
    /* EINVAL: this file system has no way to do it, and nothing is to be gained by failing */
    return fsync(fd) && errno != EINVAL ? -1 : 0;
}

int ldl_sync_dir(const char *path, struct ldl_err *err)
{
    int fd = open_file(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot open", path);
    int status = sync_fd(fd, path, fsync_dir, err);
    close(fd);
    return status;
}

int ldl_read_file(const char *path, uint64_t max_bytes, struct ldl_buf *out, struct ldl_err *err)
{
    int fd = -1;
    uint64_t size;
    ldl_buf_reset(out);
    int status = ldl_open_read(path, &fd, &size, err);
    if (status)
        return status;
    if (size > max_bytes || size >= SIZE_MAX)
        status = ldl_fail(err, LDL_EINPUT, "%s: %llu bytes long, more than the %llu allowed here",
                          path, (unsigned long long)size, (unsigned long long)max_bytes);
    else if (ldl_grow(&out->text, &out->cap, (size_t)size + 1, 1))
        status = ldl_oom(err);
    else
        status = ldl_pread(fd, path, out->text, (size_t)size, 0, err);
    if (status == 0) {
        out->len = (size_t)size;
        out->text[size] = 0;
    }
    close(fd);
    return status;
}

int ldl_write_file(const char *path, const void *bytes, size_t n, int durable, struct ldl_err *err)
{
    int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot create", path);
    int status = ldl_pwrite(fd, path, bytes, n, 0, err);
    if (status == 0 && durable)
        status = sync_fd(fd, path, fsync, err);
    if (close(fd) && status == 0) /* network file systems report a failed write here */
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot write", path);
    return status;
}

/* ---- paths ---- */

char *ldl_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name);
    int slash = n > 0 && dir[n - 1] != '/';
    char *path = ldl_alloc(n + (size_t)slash + m + 1);
    if (path) {
        memcpy(path, dir, n);
        if (slash)
            path[n] = '/';
        memcpy(path + n + slash, name, m + 1);
    }
    return path;
}

const char *ldl_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int ldl_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int ldl_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int ldl_name_is_plain(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

int ldl_has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

/* ---- names ---- */

int ldl_names_add(struct ldl_names *list, const char *name)
{
    if (ldl_grow(&list->name, &list->cap, list->n + 1, sizeof *list->name))
        return -1;
    if (!(list->name[list->n] = ldl_strdup(name)))
        return -1;
    list->n++;
    return 0;
}

void ldl_names_free(struct ldl_names *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->n; i++)
        ldl_free(list->name[i]);
    ldl_free(list->name);
    *list = (struct ldl_names){ 0 };
}

int ldl_list_dir(const char *path, struct ldl_names *out, struct ldl_err *err)
{
    int status = 0;
    *out = (struct ldl_names){ 0 };
    DIR *d = NULL;
    if (ldl_fault(LDL_FAULT_OPEN))
        errno = EIO;
    else
        d = opendir(path);
    if (!d)
        return fail_open(path, errno, err);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (ldl_names_add(out, entry->d_name)) {
            status = ldl_oom(err);
            goto out;
        }
    }
    if (errno)
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot list", path);
    else if (out->n)
        qsort(out->name, out->n, sizeof *out->name, ldl_by_text);
out:
    closedir(d);
    if (status)
        ldl_names_free(out);
    return status;
}

/* ---- the nearest word ---- */

enum { WORD_MAX = 64, BEGINNING = 4 };

static int folded(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 'a';
    return c == '-' ? '_' : c;
}

/* Edits (insert, delete, replace, swap of neighbours) that make b of a; three rows of the table. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int same = folded(a[i - 1]) == folded(b[j - 1]);
            size_t d = LDL_MIN(above[j], row[j - 1]) + 1;
            d = LDL_MIN(d, above[j - 1] + !same);
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                folded(a[i - 2]) == folded(b[j - 1]))
                d = LDL_MIN(d, before[j - 2] + 1);
            row[j] = d;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[m];
}

const char *ldl_nearest(const char *word, const char *const *list, size_t n)
{
    size_t len = strlen(word);
    size_t best = LDL_MAX(len / 3, (size_t)1) + 1;
    const char *found = NULL;
    if (len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]) > WORD_MAX)
            continue;
        size_t d = edit_distance(word, list[i]);
        if (d < best) {
            best = d;
            found = list[i];
        }
    }
    for (size_t i = 0; !found && len >= BEGINNING && i < n; i++)
        if (strncmp(list[i], word, len) == 0)
            found = list[i];
    return found;
}
