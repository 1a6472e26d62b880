/* resolve.c -- from what the user wrote to a path on this machine.
 *
 * What exists is taken as it is. Else the word may be the name of a model in the local cache of
 * huggingface_hub, which looks like this (nothing is ever downloaded):
 *
 *     CACHE/models--ORG--NAME/refs/REVISION      a text file: the hash that a branch or tag means
 *     CACHE/models--ORG--NAME/snapshots/HASH/    the model; its files are links into ../../blobs
 *
 * CACHE is $HF_HUB_CACHE, else $HF_HOME/hub, else $HOME/.cache/huggingface/hub. REVISION is "main"
 * unless the word says ORG/NAME@REVISION; it may also be a hash. Names become paths here, so every
 * part must be a plain component: no word leads out of the cache. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { REF_MAX_BYTES = 1024 };

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The cache's folder, empty when no variable names one. */
static int cache_dir(struct ldl_buf *out, struct ldl_err *err)
{
    const char *dir = env("HF_HUB_CACHE"), *tail = "";
    if (!dir && (dir = env("HF_HOME")))
        tail = "/hub";
    if (!dir && (dir = env("HOME")))
        tail = "/.cache/huggingface/hub";
    if (!dir)
        dir = "";
    ldl_buf_printf(out, "%s%s", dir, tail);
    return out->failed ? ldl_oom(err) : 0;
}

/* Splits org/name[@revision] into the repository's folder name and the revision. 0 when the word
 * has that form, 1 when not, -1 when memory is short. A name without an organisation ("gpt2") is
 * one too. */
static int split_name(const char *asked, struct ldl_buf *repo, struct ldl_buf *revision)
{
    size_t len = strcspn(asked, "@");
    const char *slash = memchr(asked, '/', len);
    size_t org = slash ? (size_t)(slash - asked) : 0;
    ldl_buf_puts(repo, "models--");
    if (slash) {
        ldl_buf_put(repo, asked, org);
        ldl_buf_puts(repo, "--");
    }
    const char *name = slash ? slash + 1 : asked;
    ldl_buf_put(repo, name, len - (size_t)(name - asked));
    ldl_buf_puts(revision, asked[len] ? asked + len + 1 : "main");
    if (repo->failed || revision->failed)
        return -1;
    int bad_org = slash && (org == 0 || asked[0] == '.');
    int bad_name =
        name == asked + len || *name == '.' || memchr(name, '/', len - (size_t)(name - asked));
    return bad_org || bad_name;
}

/* Is every part between slashes plain? ("refs/pr/1" is a revision.) */
static int parts_are_plain(const char *text)
{
    for (;;) {
        size_t n = strcspn(text, "/");
        if (n == 0 || (n == 1 && text[0] == '.') || (n == 2 && memcmp(text, "..", 2) == 0))
            return 0;
        if (!text[n])
            return 1;
        text += n + 1;
    }
}

/* The snapshot's hash: what the ref says, else the revision itself. */
static int read_ref(const char *repo, struct ldl_buf *revision, struct ldl_err *err)
{
    struct ldl_buf path = { 0 }, ref = { 0 };
    int status = 0;
    ldl_buf_printf(&path, "%s/refs/%s", repo, revision->text);
    if (path.failed)
        status = ldl_oom(err);
    else if (ldl_exists(path.text) && !ldl_is_dir(path.text)) {
        status = ldl_read_file(path.text, REF_MAX_BYTES, &ref, err);
        if (status == 0) {
            ldl_buf_reset(revision);
            ldl_buf_put(revision, ref.text, strcspn(ref.text, " \t\r\n"));
            if (revision->failed)
                status = ldl_oom(err);
            else if (!ldl_name_is_plain(revision->text))
                status =
                    ldl_fail(err, LDL_EINPUT, "%s: does not hold a revision's hash", path.text);
        }
    }
    ldl_buf_free(&path);
    ldl_buf_free(&ref);
    return status;
}

/* asked in the repository's folder `repo`, which exists. */
static int find_snapshot(const char *asked, const char *repo, struct ldl_buf *revision, char **path,
                         struct ldl_err *err)
{
    struct ldl_buf dir = { 0 };
    char *wanted = ldl_strdup(revision->text);
    int status = wanted ? read_ref(repo, revision, err) : ldl_oom(err);
    if (status)
        ldl_context(err, "%s", asked);
    if (status == 0) {
        ldl_buf_printf(&dir, "%s/snapshots/%s", repo, revision->text);
        if (dir.failed)
            status = ldl_oom(err);
        else if (!strchr(revision->text, '/') && ldl_is_dir(dir.text)) {
            *path = dir.text;
            dir = (struct ldl_buf){ 0 };
        } else
            status = ldl_fail(err, LDL_EINPUT,
                              "%s: revision '%s' is not in the Hugging Face cache (looked in %s); "
                              "download it first, or name a directory",
                              asked, wanted, repo);
    }
    ldl_free(wanted);
    ldl_buf_free(&dir);
    return status;
}

static int find_in_cache(const char *asked, char **path, struct ldl_err *err)
{
    struct ldl_buf cache = { 0 }, repo = { 0 }, name = { 0 }, revision = { 0 };
    int status = cache_dir(&cache, err);
    if (status)
        goto out;
    int form = split_name(asked, &name, &revision);
    if (form < 0) {
        status = ldl_oom(err);
        goto out;
    }
    if (form || !parts_are_plain(revision.text) || !cache.len) {
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: neither a file nor a directory (only a name like "
                          "org/name[@revision] is looked up in the Hugging Face cache, %s)",
                          asked, cache.len ? cache.text : "which HF_HUB_CACHE would name");
        goto out;
    }
    ldl_buf_printf(&repo, "%s/%s", cache.text, name.text);
    if (repo.failed)
        status = ldl_oom(err);
    else if (!ldl_is_dir(repo.text))
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: neither a file nor a directory, and not in the Hugging Face cache "
                          "(looked for %s; nothing is downloaded)",
                          asked, repo.text);
    else
        status = find_snapshot(asked, repo.text, &revision, path, err);
out:
    ldl_buf_free(&cache);
    ldl_buf_free(&repo);
    ldl_buf_free(&name);
    ldl_buf_free(&revision);
    return status;
}

int ldl_resolve(const char *asked, char **path, struct ldl_err *err)
{
    struct stat st;
    *path = NULL;
    if (!*asked)
        return ldl_fail(err, LDL_EINPUT, "a model's path is empty");
    if (stat(asked, &st) == 0) {
        *path = ldl_strdup(asked);
        return *path ? 0 : ldl_oom(err);
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return ldl_fail_errno(err, LDL_EIO, errno, "%s", asked);
    if (lstat(asked, &st) == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: is a link that leads nowhere", asked);
    return find_in_cache(asked, path, err);
}

/* ---- MODEL+ADAPTER ---- */

enum { MAX_ADAPTERS = 16 };

/* The last plus sign with text on both sides, rather one before a word that exists; NULL: none. */
static char *last_plus(char *word)
{
    char *fallback = NULL;
    for (char *p = word + strlen(word); p-- > word + 1;) {
        if (*p != '+' || !p[1])
            continue;
        if (ldl_exists(p + 1))
            return p;
        if (!fallback)
            fallback = p;
    }
    return fallback;
}

int ldl_split_adapters(const char *asked, char **base, struct ldl_names *adapters,
                       struct ldl_err *err)
{
    char *plus, *found[MAX_ADAPTERS];
    size_t n = 0;
    int status = 0;
    if (!(*base = ldl_strdup(asked)))
        return ldl_oom(err);
    while (!ldl_exists(*base) && (plus = last_plus(*base))) {
        if (n == MAX_ADAPTERS)
            return ldl_fail(err, LDL_EINPUT, "%.200s: more than %d adapters", asked, MAX_ADAPTERS);
        *plus = 0;
        found[n++] = plus + 1;
    }
    while (n && status == 0)
        if (ldl_names_add(adapters, found[--n]))
            status = ldl_oom(err);
    return status;
}
