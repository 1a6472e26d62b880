/* side.c -- side files: what travels with the weights (configuration, tokenizer, code, licence).
 *
 * An allow-list, because the opposite leaks: a training folder holds optimizer state, logs, other
 * weights and whole git clones. What this keeps:
 *   - no weights and no training state leave by this way, whatever they are called;
 *   - no link copies a file from outside the model. One exception, since it is how the Hugging Face
 *     cache is built: models--X/snapshots/HASH/FILE may be a link into models--X/blobs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "base/json.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 4 };
static const off_t side_max_bytes = 256 << 20;

/* Refused first, then allowed; matched against the file's name. */
static const char *const refused_files[] = {
    "*.index.json",
    "trainer_state.json",
    "training_args.json",
    "merge_config.json",
    "adapter_config.json",
    "lora_config.json",
    "all_results.json",
    "eval_results.json",
    "train_results.json",
    "optimizer*",
    "scheduler*",
    "rng_state*",
    "requirements.txt",
    "*.safetensors",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pdparams",
    "*.pdopt",
    "*.pdiparams",
    "*.gguf",
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "*.npz",
    "*.npy",
    "*.pkl",
    "*.tflite",
};
static const char *const allowed_files[] = {
    "*.json",  "*.model", "*.tiktoken", "*.txt",    "*.jinja", "*.py",
    "*.vocab", "*.spm",   "*.bpe",      "LICENSE*", "NOTICE*",
};
static const char *const refused_folders[] = { "checkpoint-*", "global_step*", "runs",
                                               "optimizer" };

static int matches(const char *name, const char *const *pattern, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fnmatch(pattern[i], name, 0) == 0)
            return 1;
    return 0;
}

static int folder_allowed(const char *name)
{
    return name[0] != '.' && !matches(name, refused_folders, LDL_COUNT(refused_folders));
}

int ldl_side_allowed(const char *relative)
{
    char folder[NAME_MAX + 1];
    const char *slash;
    int depth = 0;
    for (; (slash = strchr(relative, '/')) != NULL; relative = slash + 1) {
        size_t n = (size_t)(slash - relative);
        if (n == 0 || n > NAME_MAX || ++depth > DEPTH_MAX)
            return 0;
        memcpy(folder, relative, n);
        folder[n] = 0;
        if (!folder_allowed(folder))
            return 0;
    }
    return *relative && relative[0] != '.' &&
           !matches(relative, refused_files, LDL_COUNT(refused_files)) &&
           matches(relative, allowed_files, LDL_COUNT(allowed_files));
}

/* ---- where a link leads ---- */

static int is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (n && dir[n - 1] == '/') /* the root folder */
        return strncmp(path, dir, n) == 0;
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Cuts the last component off; returns it. */
static char *cut_base(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return path;
    *slash = 0;
    return slash + 1;
}

/* dir (resolved) is .../models--X/snapshots/HASH and target is below .../models--X/blobs. */
static int is_own_blob(const char *dir, const char *target)
{
    char repo[PATH_MAX];
    size_t n = strlen(dir);
    if (n >= sizeof repo)
        return 0;
    memcpy(repo, dir, n + 1);
    cut_base(repo);
    if (strcmp(cut_base(repo), "snapshots") != 0 ||
        strncmp(ldl_path_base(repo), "models--", 8) != 0)
        return 0;
    n = strlen(repo);
    return strncmp(target, repo, n) == 0 && is_below(target + n, "/blobs");
}

/* The part of ldl_side_check after the text of `relative` is known to be harmless; st gets the
 * file's. */
static int check_place(const char *dir, const char *relative, struct stat *st, struct ldl_err *err)
{
    char root[PATH_MAX], target[PATH_MAX];
    char *path = ldl_path_join(dir, relative);
    int answer = 1;
    if (!path)
        return -ldl_oom(err);
    if (!realpath(dir, root))
        answer = -ldl_fail_errno(err, LDL_EIO, errno, "%s", dir);
    else if (!realpath(path, target) || stat(target, st) < 0)
        answer = errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                     ? 0
                     : -ldl_fail_errno(err, LDL_EIO, errno, "%s", path);
    else if (!S_ISREG(st->st_mode))
        answer =
            -ldl_fail(err, LDL_EINPUT, "%s: is not a file, so it cannot be copied along", path);
    else if (access(target, R_OK))
        answer = -ldl_fail_errno(err, LDL_EIO, errno, "%s", path);
    else if (!is_below(target, root) && !is_own_blob(root, target))
        answer = -ldl_fail(err, LDL_EINPUT,
                           "%s: is a link that leads out of the model (to %s), so it is not copied",
                           path, target);
    ldl_free(path);
    return answer;
}

static int leads_up(const char *relative)
{
    for (const char *p = relative;; p++) {
        size_t n = strcspn(p, "/");
        if (n == 2 && memcmp(p, "..", 2) == 0)
            return 1;
        p += n;
        if (!*p)
            return 0;
    }
}

int ldl_side_check(const char *dir, const char *relative, struct ldl_err *err)
{
    struct stat st;
    if (!*relative || relative[0] == '/' || leads_up(relative))
        return -ldl_fail(err, LDL_EUSAGE,
                         "'%s': a file that is copied along is named by its path inside the model",
                         relative);
    return check_place(dir, relative, &st, err);
}

/* ---- the list ---- */

/* What a walk over a model's folder finds. */
struct found {
    const char *dir;
    struct ldl_names *out, *outside;
};

/* Takes the entry when it is a side file. One that is no file, or a link that leads nowhere, is left
 * out quietly: nobody asked for it by name. */
static int take_file(const struct found *f, const char *relative, struct ldl_err *err)
{
    struct stat st;
    if (!ldl_side_allowed(relative))
        return 0;
    int answer = check_place(f->dir, relative, &st, err);
    if (answer == -LDL_EIO)
        return LDL_EIO;
    if (answer == -LDL_EINPUT && S_ISREG(st.st_mode))
        return ldl_names_add(f->outside, relative) ? ldl_oom(err) : 0;
    if (answer != 1 || st.st_size > side_max_bytes)
        return 0;
    return ldl_names_add(f->out, relative) ? ldl_oom(err) : 0;
}

/* Lists dir/below ("" for dir itself). Linked folders are not entered: they may lead out, or
 * round in a circle. */
static int walk(const struct found *f, const char *below, int depth, struct ldl_err *err)
{
    struct ldl_names names = { 0 };
    char *here = ldl_path_join(f->dir, below);
    int status = here ? ldl_list_dir(here, &names, err) : ldl_oom(err);
    for (size_t i = 0; i < names.n && status == 0; i++) {
        struct stat st;
        char *relative = *below ? ldl_path_join(below, names.name[i]) : ldl_strdup(names.name[i]);
        char *path = relative ? ldl_path_join(f->dir, relative) : NULL;
        if (!path)
            status = ldl_oom(err);
        else if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            if (depth < DEPTH_MAX && folder_allowed(names.name[i]))
                status = walk(f, relative, depth + 1, err);
        } else {
            status = take_file(f, relative, err);
        }
        ldl_free(path);
        ldl_free(relative);
    }
    ldl_names_free(&names);
    ldl_free(here);
    return status;
}

int ldl_side_list(const char *dir, struct ldl_names *out, struct ldl_names *outside,
                  struct ldl_err *err)
{
    *out = *outside = (struct ldl_names){ 0 };
    const struct found f = { dir, out, outside };
    int status = walk(&f, "", 0, err);
    if (status) {
        ldl_names_free(out);
        ldl_names_free(outside);
    } else if (out->n) {
        qsort(out->name, out->n, sizeof *out->name, ldl_by_text);
    }
    return status;
}

int ldl_files_read(const struct ldl_files *files, const char *name, uint64_t max_bytes,
                   struct ldl_buf *text, char **path, int *there, struct ldl_err *err)
{
    *there = 0;
    ldl_buf_reset(text);
    if (!(*path = ldl_path_join(files->dir, name)))
        return ldl_oom(err);
    for (size_t i = 0; i < files->nedited && !*there; i++) {
        const struct ldl_edited *e = &files->edited[i];
        if (!e->text.text || strcmp(e->name, name) != 0)
            continue;
        *there = 1;
        ldl_buf_put(text, e->text.text, e->text.len);
    }
    if (*there)
        return text->failed ? ldl_oom(err) : 0;
    *there = ldl_exists(*path);
    return *there ? ldl_read_file(*path, max_bytes, text, err) : 0;
}

int ldl_files_json(const struct ldl_files *files, const char *name, uint64_t max_bytes,
                   int (*read)(void *to, struct ldl_json *j, struct ldl_err *err), void *to,
                   int *there, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    struct ldl_json j;
    char *path;
    int rc = ldl_files_read(files, name, max_bytes, &text, &path, there, err);
    if (rc == 0 && *there) {
        ldl_json_open(&j, text.text, text.len, path);
        rc = read(to, &j, err);
        if (rc == 0)
            rc = ldl_json_close(&j, err);
    }
    ldl_buf_free(&text);
    ldl_free(path);
    return rc;
}
