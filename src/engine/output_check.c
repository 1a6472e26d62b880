/* output_check.c -- all that is refused before anything is written, and whose files are whose.
 *
 * The rule for files (I3 of output.c): ladle could have written *.safetensors,
 * *.safetensors.index.json, model.gguf and merge_config.json in the folder itself, the side files of a
 * model (ldl_side_allowed()) in it and below, and the names of this run's copy list. A link, a device, all else is a stranger. An
 * empty folder is nobody's. .git is one stranger, however much is in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/output_check.h"
#include "engine/output_fs.h"
#include "model/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char ldl_output_work_inside[] = ".ladle.partial";
const char ldl_output_old_inside[] = ".ladle.old";

/* ---- whose files are these ---- */

/* Could ladle, or this run, have written a file of this name in its output? */
static int could_be_ours(const char *relative, const struct ldl_names *also)
{
    for (size_t i = 0; i < also->n; i++)
        if (strcmp(also->name[i], relative) == 0)
            return 1;
    if (!strchr(relative, '/') &&
        (ldl_has_suffix(relative, ".safetensors") ||
         ldl_has_suffix(relative, ".safetensors.index.json") ||
         strcmp(relative, "model.gguf") == 0 || strcmp(relative, "master_weights.gguf") == 0 ||
         strcmp(relative, "merge_config.json") == 0 ||
         strcmp(relative, "mergekit_config.yml") == 0))
        return 1;
    return ldl_side_allowed(relative);
}

/* Left-overs of `files` hold an output one level down: their names count from there. */
static const char *from_root(const char *relative)
{
    const char *const left[] = { ldl_output_work_inside, ldl_output_old_inside };
    for (size_t i = 0; i < LDL_COUNT(left); i++) {
        size_t n = strlen(left[i]);
        if (strncmp(relative, left[i], n) == 0 && relative[n] == '/')
            return relative + n + 1;
    }
    return relative;
}

int ldl_output_is_furniture(const char *name)
{
    return strcmp(name, "lost+found") == 0 || strcmp(name, ldl_output_work_inside) == 0;
}

struct census {
    const struct ldl_names *also;
    struct ldl_names *seen; /* all that is not strange, folders before their items; or NULL */
    char *stranger;         /* the first one */
    size_t strangers;
};

static int is_strange(enum ldl_visit what, const char *relative, const struct stat *st,
                      const struct ldl_names *also)
{
    if (what == LDL_VISIT_ENTER)
        return strcmp(ldl_path_base(relative), ".git") == 0;
    return !S_ISREG(st->st_mode) || !could_be_ours(from_root(relative), also);
}

static int count_item(void *ctx, enum ldl_visit what, const char *path, const char *relative,
                      const struct stat *st, struct ldl_err *err)
{
    struct census *c = ctx;
    (void)path;
    if (what == LDL_VISIT_LEAVE)
        return 0;
    if (what == LDL_VISIT_ENTER && ldl_output_is_furniture(relative))
        return LDL_VISIT_SKIP;
    if (!is_strange(what, relative, st, c->also))
        return c->seen && ldl_names_add(c->seen, relative) ? ldl_oom(err) : 0;
    if (c->strangers++ == 0 && !(c->stranger = ldl_strdup(relative)))
        return ldl_oom(err);
    return what == LDL_VISIT_ENTER ? LDL_VISIT_SKIP : 0;
}

/* Refuses a folder that holds what ladle would not write; tells what it holds when seen is given. */
static int refuse_strangers(const char *dir, const struct ldl_names *also, struct ldl_names *seen,
                            struct ldl_err *err)
{
    struct census c = { .also = also, .seen = seen };
    char more[40] = "";
    int status = ldl_walk(dir, count_item, &c, err);
    if (c.strangers > 1)
        snprintf(more, sizeof more, " and %zu more", c.strangers - 1);
    if (status == 0 && c.strangers)
        status = ldl_fail(err, LDL_EOUTPUT,
                          "%s: holds '%s'%s that ladle would not write, so it is not replaced; "
                          "move that away or choose another output_path",
                          dir, c.stranger, more);
    ldl_free(c.stranger);
    return status;
}

/* also NULL: all files. */
static int remove_item(void *ctx, enum ldl_visit what, const char *path, const char *relative,
                       const struct stat *st, struct ldl_err *err)
{
    const struct ldl_names *also = ctx;
    int failed = 0;
    if (what == LDL_VISIT_FILE) {
        if (!also || !is_strange(what, relative, st, also))
            failed = unlink(path);
    } else if (what == LDL_VISIT_LEAVE) {
        failed = rmdir(path) && errno != ENOTEMPTY && errno != EEXIST;
    }
    if (failed && errno != ENOENT)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot remove", path);
    return 0;
}

int ldl_output_clear(const char *dir, const struct ldl_names *also, struct ldl_err *err)
{
    return ldl_walk(dir, remove_item, (void *)also, err);
}

int ldl_output_remove(const char *dir, const struct ldl_names *also, struct ldl_err *err)
{
    int status = ldl_output_clear(dir, also, err);
    if (status == 0 && rmdir(dir) && errno != ENOENT)
        status = ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot remove", dir);
    return status;
}

/* Needs neither memory nor descriptors: it runs when it is too late to fail. */
int ldl_output_remove_seen(const char *dir, const struct ldl_names *seen, struct ldl_err *err)
{
    char path[PATH_MAX];
    for (size_t i = seen->n; i-- > 0;) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, seen->name[i]) >= sizeof path)
            return ldl_fail_errno(err, LDL_EIO, ENAMETOOLONG, "%s", dir);
        if (remove(path) && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
            return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot remove", path);
    }
    if (rmdir(dir) && errno != ENOENT)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s: cannot remove", dir);
    return 0;
}

/* ---- what can be refused before anything is written ---- */

static int check_related(const char *out, const char *input, struct ldl_err *err)
{
    struct stat in, st;
    int status = 0;
    char *real = NULL, *there = ldl_fs_existing(out);
    if (!there)
        return ldl_oom(err);
    if (stat(input, &in) == 0 && (status = ldl_fs_resolve(input, &real, err)) == 0) {
        if (stat(out, &st) == 0 && ldl_fs_same(&in, &st))
            status =
                ldl_fail(err, LDL_EOUTPUT, "%s: is also an input; choose another output_path", out);
        else if (ldl_fs_leads_to(there, &in))
            status = ldl_fail(err, LDL_EOUTPUT,
                              "%s: is inside the input %s; choose another output_path", out, input);
        else if (stat(out, &st) == 0 && ldl_fs_leads_to(real, &st))
            status =
                ldl_fail(err, LDL_EOUTPUT,
                         "%s: the input %s is inside it; choose another output_path", out, input);
    }
    ldl_free(there);
    ldl_free(real);
    return status;
}

static int check_writable(const struct ldl_output *o, int exists, struct ldl_err *err)
{
    int status = 0;
    char *up = exists ? ldl_fs_parent(o->path) : ldl_fs_existing(o->path);
    if (!up)
        return ldl_oom(err);
    if (!o->inside && !ldl_is_dir(up))
        status = ldl_fail(err, LDL_EOUTPUT, "%s: %s is a file, not a folder", o->path, up);
    else if (!o->inside && access(up, W_OK | X_OK))
        status = ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s: cannot write in %s", o->path, up);
    else if (exists && access(o->path, R_OK | W_OK | X_OK))
        status = ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s: cannot write in it", o->path);
    ldl_free(up);
    return status;
}

int ldl_output_content(const struct ldl_output *o, struct ldl_names *seen, struct ldl_err *err)
{
    struct ldl_names names;
    int filled = 0;
    int status = ldl_list_dir(o->path, &names, err);
    if (status)
        return status;
    for (size_t i = 0; i < names.n; i++)
        filled |= !ldl_output_is_furniture(names.name[i]);
    ldl_names_free(&names);
    if (filled && !o->overwrite)
        return ldl_fail(err, LDL_EOUTPUT,
                        "%s: is not empty; choose another output_path, or give --overwrite to "
                        "replace what ladle wrote there",
                        o->path);
    return filled ? refuse_strangers(o->path, &o->also, seen, err) : 0;
}

int ldl_output_fail_busy(const struct ldl_output *o, struct ldl_err *err)
{
    return ldl_fail(err, LDL_EOUTPUT,
                    "%s: another run is writing there (it holds %s); wait for it or choose another "
                    "output_path",
                    o->path, o->work);
}

int ldl_output_left_over(const struct ldl_output *o, struct ldl_err *err)
{
    struct stat st;
    if (lstat(o->work, &st))
        return errno == ENOENT ? 0 : ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s", o->work);
    if (!S_ISDIR(st.st_mode))
        return ldl_fail(err, LDL_EOUTPUT,
                        "%s: is in the way (ladle writes in a folder of that name); move it away",
                        o->work);
    return refuse_strangers(o->work, &o->also, NULL, err);
}

/* A shared lock that is given back at once, so that two checks do not see each other. */
static int check_lock(const struct ldl_output *o, struct ldl_err *err)
{
    int fd = ldl_dir_open(o->work);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return 0; /* what is no folder ldl_output_left_over() refuses */
    if (fd < 0)
        return ldl_fail_errno(err, LDL_EOUTPUT, errno, "%s: cannot open this folder", o->work);
    enum ldl_lock lock = ldl_dir_lock(fd, LOCK_SH);
    close(fd);
    return lock == LDL_LOCK_BUSY ? ldl_output_fail_busy(o, err) : 0;
}

static int check_space(const struct ldl_output *o, uint64_t bytes, struct ldl_err *err)
{
    char need[32], have[32];
    char *there = ldl_fs_existing(o->path);
    if (!there)
        return ldl_oom(err);
    uint64_t room = ldl_fs_free_bytes(there);
    ldl_free(there);
    if (ldl_add(room, ldl_tree_bytes(o->work), &room) || room >= bytes)
        return 0;
    return ldl_fail(err, LDL_EOUTPUT,
                    "%s: not enough disk space: %s are needed, %s are free; make room or choose "
                    "another output_path",
                    o->path, ldl_human(need, bytes), ldl_human(have, room));
}

/* OUT that exists but whose own name cannot be given to another folder. The current directory
 * could be renamed, but the user's shell would be left in a folder that is gone. */
static int is_pinned(const char *path)
{
    struct stat st, cwd;
    char *up = ldl_fs_parent(path);
    int closed = up && access(up, W_OK | X_OK) != 0;
    ldl_free(up);
    return closed || ldl_fs_is_mount(path) ||
           (stat(path, &st) == 0 && stat(".", &cwd) == 0 && ldl_fs_same(&st, &cwd));
}

static int fill_in(struct ldl_output *o, const struct ldl_output_spec *spec, struct ldl_err *err)
{
    struct ldl_buf work = { 0 };
    o->overwrite = spec->overwrite;
    o->durable = spec->durable;
    o->inside = ldl_exists(o->path) && is_pinned(o->path);
    ldl_buf_puts(&work, o->path);
    ldl_buf_puts(&work, o->inside ? "/" : ".partial");
    ldl_buf_puts(&work, o->inside ? ldl_output_work_inside : "");
    if (work.failed) {
        ldl_buf_free(&work);
        return ldl_oom(err);
    }
    o->work = work.text;
    if (spec->index_name && !(o->index_name = ldl_strdup(spec->index_name)))
        return ldl_oom(err);
    for (size_t i = 0; i < spec->nalso; i++)
        if (ldl_names_add(&o->also, spec->also[i]))
            return ldl_oom(err);
    return 0;
}

int ldl_output_survey(struct ldl_output *o, const struct ldl_output_spec *spec, struct ldl_err *err)
{
    if (!spec->path || !*spec->path)
        return ldl_fail(err, LDL_EUSAGE, "output_path: is empty; name the folder to write");
    int status = ldl_fs_resolve(spec->path, &o->path, err);
    if (status)
        return status;
    int exists = ldl_exists(o->path);
    if (exists && !ldl_is_dir(o->path))
        return ldl_fail(err, LDL_EOUTPUT, "%s: is a file; output_path names a folder", o->path);
    status = fill_in(o, spec, err);
    for (size_t i = 0; status == 0 && i < spec->ninputs; i++) {
        status = check_related(o->path, spec->input[i], err);
        if (status == 0)
            status = check_related(o->work, spec->input[i], err);
    }
    if (status == 0)
        status = check_writable(o, exists, err);
    if (status == 0)
        status = check_lock(o, err);
    if (status == 0 && exists)
        status = ldl_output_content(o, NULL, err);
    if (status == 0)
        status = ldl_output_left_over(o, err);
    return status ? status : check_space(o, spec->bytes, err);
}
