/* output_fs.c -- see output_fs.h.
 *
 * Invariants:
 *   F1. A walk never follows a link, so nothing outside the tree is synced, counted or removed.
 *   F2. A rename is written down before it is done: when memory is short nothing was renamed.
 *   F3. Kinship of paths is decided by device and inode, never by text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/output_fs.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- paths ---- */

/* Cuts the last component off `head` (which has no trailing slash) and returns it; head is empty
 * when there was one only. */
static char *cut_last(char *head)
{
    char *slash = strrchr(head, '/');
    if (!slash)
        return head;
    char *last = slash + 1;
    while (slash > head && slash[-1] == '/')
        slash--;
    *slash = 0;
    return last;
}

static void trim_slashes(char *path)
{
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
}

/* `last` before `tail` with a slash between them; frees tail. NULL: no memory. */
static char *prepend(const char *last, char *tail)
{
    char *joined = tail ? ldl_path_join(last, tail) : ldl_strdup(last);
    ldl_free(tail);
    return joined;
}

/* Moves the last component of *head to the front of *tail. */
static int shift_last(const char *asked, char *head, char **tail, struct ldl_err *err)
{
    char *last = cut_last(head);
    if (strcmp(last, "..") == 0)
        return ldl_fail(err, LDL_EOUTPUT, "%s: '..' of a folder that does not exist", asked);
    if (strcmp(last, ".") != 0 && !(*tail = prepend(last, *tail)))
        return ldl_oom(err);
    if (last == head)
        *head = 0;
    return 0;
}

int ldl_fs_resolve(const char *asked, char **path, struct ldl_err *err)
{
    int status = 0;
    char *real = NULL, *tail = NULL;
    char *head = ldl_strdup(asked);
    if (!head)
        return ldl_oom(err);
    trim_slashes(head);
    for (;;) {
        const char *place = *head ? head : *asked == '/' ? "/" : ".";
        real = realpath(place, NULL);
        if (real)
            break;
        if (errno != ENOENT || !*head)
            status = ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s: cannot be used", asked);
        else if (ldl_exists(place))
            status = ldl_fail(err, LDL_EOUTPUT, "%s: is a link that leads nowhere", place);
        else
            status = shift_last(asked, head, &tail, err);
        if (status)
            goto out;
    }
    *path = tail ? ldl_path_join(real, tail) : ldl_strdup(real);
    if (!*path)
        status = ldl_oom(err);
out:
    free(real); /* made by the C library, not by ldl_alloc() */
    ldl_free(tail);
    ldl_free(head);
    return status;
}

char *ldl_fs_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    return n ? ldl_strndup(path, n) : ldl_strdup("/");
}

char *ldl_fs_existing(const char *path)
{
    char *at = ldl_strdup(path);
    while (at && at[1] && !ldl_exists(at)) {
        char *up = ldl_fs_parent(at);
        ldl_free(at);
        at = up;
    }
    return at;
}

int ldl_fs_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int ldl_fs_leads_to(const char *path, const struct stat *st)
{
    char at[PATH_MAX];
    struct stat here;
    if ((size_t)snprintf(at, sizeof at, "%s", path) >= sizeof at)
        return 0; /* no such path exists */
    for (;;) {
        if (stat(at, &here) == 0 && ldl_fs_same(&here, st))
            return 1;
        char *slash = strrchr(at, '/');
        if (!slash || !at[1])
            return 0;
        slash[slash == at] = 0; /* the parent of "/x" is "/" */
    }
}

int ldl_fs_is_mount(const char *path)
{
    struct stat st, up;
    struct statx x;
    if (statx(AT_FDCWD, path, 0, 0, &x) == 0 &&
        (x.stx_attributes_mask & x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return 1;
    char *above = ldl_path_join(path, "..");
    int differs = above && stat(path, &st) == 0 && stat(above, &up) == 0 && st.st_dev != up.st_dev;
    ldl_free(above);
    return differs || !path[1];
}

uint64_t ldl_fs_free_bytes(const char *path)
{
    struct statvfs v;
    uint64_t bytes;
    if (statvfs(path, &v) || v.f_blocks == 0) /* some network file systems know no sizes */
        return UINT64_MAX;
    return ldl_mul(v.f_bavail, v.f_frsize, &bytes) ? UINT64_MAX : bytes;
}

/* ---- trees ---- */

struct walk {
    ldl_visit_fn visit;
    void *ctx;
};

static int walk_dir(const struct walk *w, const char *dir, const char *relative, int depth,
                    struct ldl_err *err);

static int walk_item(const struct walk *w, const char *path, const char *relative, int depth,
                     struct ldl_err *err)
{
    struct stat st;
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : ldl_fail_errno(err, LDL_EIO, errno, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return w->visit(w->ctx, LDL_VISIT_FILE, path, relative, &st, err);
    int status = w->visit(w->ctx, LDL_VISIT_ENTER, path, relative, &st, err);
    if (status)
        return status == LDL_VISIT_SKIP ? 0 : status;
    status = walk_dir(w, path, relative, depth + 1, err);
    return status ? status : w->visit(w->ctx, LDL_VISIT_LEAVE, path, relative, &st, err);
}

static int walk_dir(const struct walk *w, const char *dir, const char *relative, int depth,
                    struct ldl_err *err)
{
    struct ldl_names names = { 0 };
    if (depth > LDL_WALK_DEPTH)
        return ldl_fail(err, LDL_EOUTPUT, "%s: folders are nested too deep here", dir);
    int status = ldl_list_dir(dir, &names, err);
    for (size_t i = 0; status == 0 && i < names.n; i++) {
        char *path = ldl_path_join(dir, names.name[i]);
        char *below =
            *relative ? ldl_path_join(relative, names.name[i]) : ldl_strdup(names.name[i]);
        status = path && below ? walk_item(w, path, below, depth, err) : ldl_oom(err);
        ldl_free(path);
        ldl_free(below);
    }
    ldl_names_free(&names);
    return status;
}

int ldl_walk(const char *dir, ldl_visit_fn visit, void *ctx, struct ldl_err *err)
{
    struct walk w = { visit, ctx };
    struct stat st;
    if (lstat(dir, &st))
        return ldl_fail_errno(err, LDL_EIO, errno, "%s", dir);
    if (!S_ISDIR(st.st_mode))
        return ldl_fail(err, LDL_EOUTPUT, "%s: is no folder", dir);
    return walk_dir(&w, dir, "", 0, err);
}

static int sync_item(void *ctx, enum ldl_visit what, const char *path, const char *relative,
                     const struct stat *st, struct ldl_err *err)
{
    int fd;
    uint64_t size;
    (void)ctx, (void)relative;
    if (what == LDL_VISIT_LEAVE)
        return ldl_sync_dir(path, err);
    if (what == LDL_VISIT_ENTER || !S_ISREG(st->st_mode))
        return 0;
    int status = ldl_open_read(path, &fd, &size, err);
    if (status)
        return status;
    status = ldl_fdatasync(fd, path, err);
    close(fd);
    return status;
}

int ldl_tree_sync(const char *dir, struct ldl_err *err)
{
    int status = ldl_walk(dir, sync_item, NULL, err);
    return status ? status : ldl_sync_dir(dir, err);
}

static int add_bytes(void *ctx, enum ldl_visit what, const char *path, const char *relative,
                     const struct stat *st, struct ldl_err *err)
{
    (void)path, (void)relative, (void)err;
    if (what == LDL_VISIT_FILE)
        *(uint64_t *)ctx += (uint64_t)st->st_blocks * 512;
    return 0;
}

uint64_t ldl_tree_bytes(const char *dir)
{
    uint64_t bytes = 0;
    ldl_walk(dir, add_bytes, &bytes, NULL);
    return bytes;
}

/* ---- folders ---- */

int ldl_dir_open(const char *path)
{
    if (ldl_fault(LDL_FAULT_OPEN)) {
        errno = EIO;
        return -1;
    }
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum ldl_lock ldl_dir_lock(int fd, int how)
{
    int failed;
    do
        failed = flock(fd, how | LOCK_NB);
    while (failed && errno == EINTR);
    if (!failed)
        return LDL_LOCKED;
    return errno == EWOULDBLOCK ? LDL_LOCK_BUSY : LDL_LOCK_UNKNOWN;
}

int ldl_dir_make(const char *dir, struct ldl_names *made, struct ldl_err *err)
{
    int status = 0;
    if (ldl_is_dir(dir))
        return 0;
    char *up = ldl_fs_parent(dir);
    if (!up)
        return ldl_oom(err);
    if (strcmp(up, dir) != 0)
        status = ldl_dir_make(up, made, err);
    ldl_free(up);
    if (status)
        return status;
    /* the name first: a folder that is made is always one that can be removed again */
    if (ldl_names_add(made, dir))
        return ldl_oom(err);
    if (mkdir(dir, 0777) == 0)
        return 0;
    int why = errno;
    ldl_free(made->name[--made->n]);
    if (why == EEXIST && ldl_is_dir(dir)) /* somebody was faster; so it is not ours */
        return 0;
    return ldl_fail_errno(err, LDL_EOUTPUT, why, "%s: cannot make this folder", dir);
}

/* ---- renames that can be taken back ---- */

struct ldl_move {
    char *from, *to;
    int exchange;
};

static int rename_one(const char *from, const char *to, int exchange)
{
    if (ldl_fault(LDL_FAULT_RENAME))
        return EIO;
    if (exchange)
        return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) ? errno : 0;
    return rename(from, to) ? errno : 0;
}

int ldl_move(struct ldl_moves *m, const char *from, const char *to, int exchange)
{
    if (ldl_grow(&m->list, &m->cap, m->n + 1, sizeof *m->list))
        return ENOMEM;
    struct ldl_move *move = &m->list[m->n];
    *move = (struct ldl_move){ ldl_strdup(from), ldl_strdup(to), exchange };
    int why = move->from && move->to ? rename_one(from, to, exchange) : ENOMEM;
    if (why == 0) {
        m->n++;
        return 0;
    }
    ldl_free(move->from);
    ldl_free(move->to);
    return why;
}

int ldl_moves_undo(struct ldl_moves *m, size_t keep)
{
    for (; m->n > keep; m->n--) {
        struct ldl_move *last = &m->list[m->n - 1];
        if (rename_one(last->to, last->from, last->exchange))
            return -1;
        ldl_free(last->from);
        ldl_free(last->to);
    }
    return 0;
}

void ldl_moves_free(struct ldl_moves *m)
{
    for (size_t i = 0; i < m->n; i++) {
        ldl_free(m->list[i].from);
        ldl_free(m->list[i].to);
    }
    ldl_free(m->list);
    *m = (struct ldl_moves){ 0 };
}
