/* output.c -- see output.h.
 *
 *   (zeroed) --begin--> WORKING --commit--> (zeroed, OUT is the new one)
 *                          | \--commit fails: still WORKING, OUT as it was
 *                          \--abort--> (zeroed, OUT as it was)
 *
 * How commit() brings the new files to OUT's name, each as a list of renames that is taken back
 * when one of them, or the flush after them, fails:
 *   absent   OUT.partial -> OUT
 *   swap     OUT.partial <-> OUT                                  the old one is now OUT.partial
 *   aside    OUT -> OUT.old-PID, OUT.partial -> OUT               file system without exchange
 *   files    OUT/x -> OUT/.ladle.old/x, index first, for all x;   OUT itself cannot be renamed
 *            work/y -> OUT/y, index last, for all y
 *
 * Invariants:
 *   I1. WORKING is `work_fd >= 0`: it holds the lock of `work`, and all in that folder is ours.
 *   I2. Until the renames OUT is not touched, and before them the data is durable (if asked).
 *   I3. Nothing is removed from OUT, or from a left-over of an earlier run, whose name ladle or
 *       this run's copy list would not write. That is looked at again right before the renames,
 *       and what was seen then is removed and nothing else.
 *   I4. The old files are removed only after the new ones stand, durably, under OUT's name.
 *   I5. A crash leaves at most: a work folder (cleared by the next run, since its lock is gone),
 *       the old files in it, in OUT.old-PID or OUT/.ladle.old; `files` may also be cut in the
 *       middle, but there is no index in OUT before all the files it names are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/output.h"
#include "base/fault.h"
#include "engine/output_check.h"
#include "engine/output_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Forgets without touching the disk. */
static void forget(struct ldl_output *o)
{
    ldl_free(o->path);
    ldl_free(o->work);
    ldl_free(o->index_name);
    ldl_names_free(&o->also);
    ldl_names_free(&o->made);
    *o = (struct ldl_output){ .work_fd = -1 };
}

int ldl_output_check(const struct ldl_output_spec *spec, struct ldl_err *err)
{
    struct ldl_output o = { .work_fd = -1 };
    int status = ldl_output_survey(&o, spec, err);
    forget(&o);
    return status;
}

/* ---- begin ---- */

/* The work folder's lock: makes the folder when it is absent. The inode is looked at again after
 * locking, since a run that ends may rename the folder between our open() and our flock().
 * On success work_fd is the lock and *fresh tells whether the folder was made here. */
static int try_lock(struct ldl_output *o, int *fresh, int *busy, struct ldl_err *err)
{
    struct stat mine, there;
    *busy = 0;
    *fresh = mkdir(o->work, 0777) == 0;
    if (!*fresh && errno != EEXIST)
        return ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s: cannot make this folder", o->work);
    int fd = ldl_dir_open(o->work);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0) {
        int why = errno;
        if (*fresh)
            rmdir(o->work);
        return ldl_fail_errno(err, LDL_EOUTPUT, why, "%s: cannot open this folder", o->work);
    }
    enum ldl_lock lock = ldl_dir_lock(fd, LOCK_EX);
    *busy = lock == LDL_LOCK_BUSY;
    if (!*busy && fstat(fd, &mine) == 0 && lstat(o->work, &there) == 0 &&
        ldl_fs_same(&mine, &there)) {
        o->work_fd = fd;
        if (lock == LDL_LOCKED || *fresh)
            return 0;
        close(fd);
        o->work_fd = -1;
        return ldl_fail(err, LDL_EOUTPUT,
                        "%s: is in use or left over, and this file system has no locks to tell; "
                        "remove it if no other run is writing there",
                        o->work);
    }
    close(fd);
    return 0;
}

static int acquire(struct ldl_output *o, int *fresh, struct ldl_err *err)
{
    enum { TRIES = 20 };
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    for (int i = 0; i < TRIES; i++) {
        int busy;
        int status = try_lock(o, fresh, &busy, err);
        if (status || o->work_fd >= 0)
            return status;
        nanosleep(&pause, NULL); /* a check of another run holds it for a moment only */
    }
    return ldl_output_fail_busy(o, err);
}

int ldl_output_begin(struct ldl_output *o, const struct ldl_output_spec *spec, struct ldl_err *err)
{
    int fresh = 0;
    char *up = NULL;
    *o = (struct ldl_output){ .work_fd = -1 };
    int status = ldl_output_survey(o, spec, err);
    if (status)
        goto out;
    up = ldl_fs_parent(o->path);
    status = up ? ldl_dir_make(up, &o->made, err) : ldl_oom(err);
    if (status == 0)
        status = acquire(o, &fresh, err);
    if (status == 0 && !fresh) {
        status = ldl_output_left_over(o, err);
        if (status == 0)
            status = ldl_output_clear(o->work, &o->also, err);
    }
out:
    ldl_free(up);
    if (status) {
        if (!fresh && o->work_fd >= 0) { /* not ours to remove */
            close(o->work_fd);
            o->work_fd = -1;
        }
        ldl_output_abort(o);
    }
    return status;
}

/* ---- files ---- */

static int is_safe_relative(const char *relative)
{
    for (const char *at = relative;; at++) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return 0;
        at += n;
        if (!*at)
            return 1;
    }
}

/* work/relative in new memory, its folders made. */
static int place_for(const struct ldl_output *o, const char *relative, char **path,
                     struct ldl_err *err)
{
    struct ldl_names made = { 0 };
    int status = 0;
    *path = NULL;
    if (!is_safe_relative(relative))
        return ldl_fail(err, LDL_EUSAGE, "'%s': is no name of a file inside the output", relative);
    char *up = NULL, *joined = ldl_path_join(o->work, relative);
    if (!joined || !(up = ldl_fs_parent(joined)))
        status = ldl_oom(err);
    else
        status = ldl_dir_make(up, &made, err);
    ldl_names_free(&made);
    ldl_free(up);
    if (status)
        ldl_free(joined);
    else
        *path = joined;
    return status;
}

static int create_file(const char *path, int *fd, struct ldl_err *err)
{
    *fd = -1;
    if (ldl_fault(LDL_FAULT_OPEN))
        errno = EIO;
    else
        *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (*fd >= 0)
        return 0;
    if (errno == EEXIST)
        return ldl_fail(err, LDL_EUSAGE,
                        "%s: the output has a file of that name already; leave "
                        "one of the two out",
                        path);
    return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot create", path);
}

/* Room for all bytes now, so that a full disk ends the merge before its first tensor. */
static int reserve(int fd, const char *path, uint64_t bytes, struct ldl_err *err)
{
    char size[32];
    int failed = -1;
    if (bytes == 0)
        return 0;
    if (bytes > INT64_MAX)
        return ldl_fail(err, LDL_EIO, "%s: no file can be so long", path);
    if (ldl_fault(LDL_FAULT_WRITE))
        errno = ENOSPC;
    else
        do
            failed = fallocate(fd, 0, 0, (off_t)bytes);
        while (failed && errno == EINTR);
    if (failed && (errno == EOPNOTSUPP || errno == ENOSYS))
        failed = ftruncate(fd, (off_t)bytes);
    if (failed)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot reserve %s", path,
                              ldl_human(size, bytes));
    return 0;
}

int ldl_output_create(struct ldl_output *o, const char *name, uint64_t bytes, int *fd,
                      struct ldl_err *err)
{
    char *path;
    int status = place_for(o, name, &path, err);
    *fd = -1;
    if (status)
        return status;
    status = create_file(path, fd, err);
    if (status == 0 && (status = reserve(*fd, path, bytes, err)) != 0) {
        close(*fd);
        *fd = -1;
    }
    ldl_free(path);
    return status;
}

int ldl_output_put(struct ldl_output *o, const char *relative, const void *bytes, size_t n,
                   struct ldl_err *err)
{
    char *path;
    int status = place_for(o, relative, &path, err);
    if (status)
        return status;
    status = ldl_write_file(path, bytes, n, 0, err);
    ldl_free(path);
    return status;
}

static int copy_bytes(int from, const char *from_path, int to, const char *to_path, uint64_t size,
                      struct ldl_err *err)
{
    enum { CHUNK_BYTES = 256 << 10 };
    int status = 0;
    void *chunk = ldl_alloc(CHUNK_BYTES);
    if (!chunk)
        return ldl_oom(err);
    for (uint64_t at = 0; status == 0 && at < size;) {
        size_t n = (size_t)LDL_MIN(size - at, (uint64_t)CHUNK_BYTES);
        status = ldl_pread(from, from_path, chunk, n, at, err);
        if (status == 0)
            status = ldl_pwrite(to, to_path, chunk, n, at, err);
        at += n;
    }
    ldl_free(chunk);
    return status;
}

int ldl_output_copy(struct ldl_output *o, const char *dir, const char *relative,
                    struct ldl_err *err)
{
    int from = -1, to = -1;
    uint64_t size;
    char *to_path = NULL, *from_path = ldl_path_join(dir, relative);
    int status = from_path ? ldl_open_read(from_path, &from, &size, err) : ldl_oom(err);
    if (status)
        goto out;
    status = place_for(o, relative, &to_path, err);
    if (status == 0)
        status = create_file(to_path, &to, err);
    if (status == 0)
        status = copy_bytes(from, from_path, to, to_path, size, err);
    /* network file systems report a failed write here */
    if (to >= 0 && close(to) && status == 0)
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot write", to_path);
out:
    if (from >= 0)
        close(from);
    ldl_free(from_path);
    ldl_free(to_path);
    return status;
}

/* ---- commit ---- */

struct landing {
    struct ldl_moves moves;
    char *old;             /* where the old files wait to be removed; NULL: there were none */
    struct ldl_names seen; /* those files, relative */
    int old_fd;            /* keeps others from taking the old folder for a left-over; or -1 */
    int by_file;           /* OUT kept its inode, its items were renamed */
};

static int fail_move(const struct ldl_output *o, int why, struct ldl_err *err)
{
    if (why == ENOTEMPTY || why == EEXIST || why == ENOTDIR)
        return ldl_fail(err, LDL_EOUTPUT,
                        "%s: came to be while the merge ran; nothing was replaced", o->path);
    return ldl_fail_errno(err, LDL_EIO, why, "%s: cannot give the finished %s this name", o->path,
                          o->work);
}

/* swap, or aside where the file system cannot exchange. 0 or an errno. */
static int land_whole(struct ldl_output *o, struct landing *l)
{
    struct stat st;
    struct ldl_buf name = { 0 };
    l->old_fd = ldl_dir_open(o->path);
    if (l->old_fd >= 0) {
        ldl_dir_lock(l->old_fd, LOCK_EX);
        if (fstat(l->old_fd, &st) == 0)
            fchmod(o->work_fd, st.st_mode & 07777); /* a shared folder stays shared */
    }
    int why = ldl_move(&l->moves, o->work, o->path, 1);
    if (why == 0)
        ldl_buf_puts(&name, o->work);
    if (why == EINVAL || why == ENOSYS) {
        ldl_buf_printf(&name, "%s.old-%ld", o->path, (long)getpid());
        why = name.failed ? ENOMEM : ldl_move(&l->moves, o->path, name.text, 0);
        if (why == 0)
            why = ldl_move(&l->moves, o->work, o->path, 0);
    }
    if (why == 0 && name.failed)
        why = ENOMEM;
    if (why == 0)
        l->old = name.text;
    else
        ldl_buf_free(&name);
    return why;
}

/* Renames the items of one folder into another, the index files first or last. */
static int move_items(struct ldl_output *o, struct landing *l, const char *from, const char *to,
                      int index_first, struct ldl_err *err)
{
    struct ldl_names names;
    int status = ldl_list_dir(from, &names, err);
    if (status)
        return status;
    for (size_t i = 0; status == 0 && i < 2 * names.n; i++) {
        const char *name = names.name[i % names.n];
        int is_index = ldl_has_suffix(name, ".index.json") ||
                       (o->index_name && strcmp(name, o->index_name) == 0);
        int turn = (i < names.n) == index_first;
        if (is_index != turn || ldl_output_is_furniture(name) ||
            strcmp(name, ldl_output_old_inside) == 0)
            continue;
        char *a = ldl_path_join(from, name), *b = ldl_path_join(to, name);
        int why = a && b ? ldl_move(&l->moves, a, b, 0) : ENOMEM;
        if (why)
            status = ldl_fail_errno(err, LDL_EIO, why, "%s: cannot move to %s", a ? a : name, to);
        ldl_free(a);
        ldl_free(b);
    }
    ldl_names_free(&names);
    return status;
}

static int land_by_file(struct ldl_output *o, struct landing *l, struct ldl_err *err)
{
    int status = 0;
    char *old = ldl_path_join(o->path, ldl_output_old_inside);
    if (!old)
        return ldl_oom(err);
    l->by_file = 1;
    if (ldl_is_dir(old)) /* of a run that was cut; ldl_output_content() saw what is in it */
        status = ldl_output_remove(old, &o->also, err);
    if (status == 0 && mkdir(old, 0777))
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot make this folder", old);
    if (status) {
        ldl_free(old);
        return status;
    }
    l->old = old;
    status = move_items(o, l, o->path, old, 1, err);
    return status ? status : move_items(o, l, o->work, o->path, 0, err);
}

static int land(struct ldl_output *o, struct landing *l, struct ldl_err *err)
{
    int why;
    struct stat st;
    if (lstat(o->path, &st) || !S_ISDIR(st.st_mode)) { /* rename() refuses what is no folder */
        why = ldl_move(&l->moves, o->work, o->path, 0);
        return why ? fail_move(o, why, err) : 0;
    }
    int status = ldl_output_content(o, &l->seen, err);
    if (status || o->inside)
        return status ? status : land_by_file(o, l, err);
    why = land_whole(o, l);
    if (why == 0)
        return 0;
    /* a mount that could not be told, a container's lower layer, a sticky folder */
    int pinned = why == EBUSY || why == EXDEV || why == EPERM || why == EACCES;
    if (pinned && ldl_moves_undo(&l->moves, 0) == 0)
        return land_by_file(o, l, err);
    return fail_move(o, why, err);
}

/* The names are durable: OUT's own, its items', and those of the folders made for it. */
static int flush_names(const struct ldl_output *o, const struct landing *l, struct ldl_err *err)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i <= o->made.n; i++) {
        const char *path = i < o->made.n ? o->made.name[i] : o->path;
        char *up = ldl_fs_parent(path);
        status = up ? ldl_sync_dir(up, err) : ldl_oom(err);
        ldl_free(up);
    }
    return status == 0 && l->by_file ? ldl_sync_dir(o->path, err) : status;
}

/* The new files stand: what is left is litter. */
static int clean_up(struct ldl_output *o, struct landing *l, struct ldl_err *err)
{
    int status = 0;
    if (l->by_file && rmdir(o->work))
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot remove", o->work);
    if (l->old && status == 0)
        status = ldl_output_remove_seen(l->old, &l->seen, err);
    if (status)
        ldl_context(err, "%s: is complete, but the old files are not all removed", o->path);
    return status;
}

/* A failure: OUT as it was. Where that is impossible nothing is removed any more, ever. */
static void take_back(struct ldl_output *o, struct landing *l, struct ldl_err *err)
{
    if (ldl_moves_undo(&l->moves, 0)) {
        ldl_context(err, "%s: half replaced, old and new files are in %s and %s", o->path,
                    l->old ? l->old : o->path, o->work);
        close(o->work_fd);
        o->work_fd = -1;
    } else if (l->by_file && l->old) {
        rmdir(l->old);
    }
}

int ldl_output_commit(struct ldl_output *o, struct ldl_err *err)
{
    struct landing l = { .old_fd = -1 };
    int status = o->durable ? ldl_tree_sync(o->work, err) : 0;
    if (status == 0)
        status = land(o, &l, err);
    if (status == 0 && o->durable)
        status = flush_names(o, &l, err);
    if (status) {
        take_back(o, &l, err);
    } else {
        status = clean_up(o, &l, err);
        close(o->work_fd);
        o->work_fd = -1;
        ldl_names_free(&o->made);
    }
    if (l.old_fd >= 0)
        close(l.old_fd);
    ldl_free(l.old);
    ldl_names_free(&l.seen);
    ldl_moves_free(&l.moves);
    return status;
}

void ldl_output_abort(struct ldl_output *o)
{
    if (!o)
        return;
    if (o->work && o->work_fd >= 0) {
        ldl_output_remove(o->work, NULL, NULL);
        close(o->work_fd);
    }
    for (size_t i = o->made.n; i-- > 0;)
        rmdir(o->made.name[i]); /* fails, rightly, when somebody put something in */
    forget(o);
}
