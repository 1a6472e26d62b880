/* torch_zip.c -- the reader of what torch.save writes since 1.6: a zip archive whose members are
 * stored, not compressed.
 *
 *     TOP/data.pkl       a pickle: the names, and tensors as (storage key, offset, size, stride)
 *     TOP/byteorder      "little"
 *     TOP/data/KEY ...   the storages' bytes
 *     the zip's directory, at the end of the file
 *
 * TOP is any one folder; the order of the members does not matter. zip.c reads the directory once;
 * afterwards data is read in place. Members that are used must be stored, not encrypted, inside the
 * file and without overlap. Nobody reads whole storages here, so CRCs are not checked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_dict.h"
#include "format/zip.h"

#include <stdlib.h>
#include <string.h>

struct storage {
    const char *key; /* the part of the name after TOP/data/; "" for the pickle */
    const struct ldl_zip_member *member;
};

struct archive {
    struct ldl_file *f;
    struct ldl_zip zip;
    struct storage *storage; /* sorted by key */
    size_t n;
};

/* TOP/data.pkl, where TOP is one folder. */
static int find_pickle(const struct archive *a, struct ldl_zip_member **found, struct ldl_err *err)
{
    *found = NULL;
    for (size_t i = 0; i < a->zip.n; i++) {
        struct ldl_zip_member *m = &a->zip.member[i];
        const char *slash = strchr(m->name, '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0)
            continue;
        if (*found)
            return ldl_fail(err, LDL_EINPUT, "%s: has two pickles, '%.100s' and '%.100s'",
                            a->f->path, (*found)->name, m->name);
        *found = m;
    }
    if (*found)
        return 0;
    return ldl_fail(err, LDL_EINPUT,
                    "%s: a zip archive, but not one of torch.save: it has no data.pkl", a->f->path);
}

static int check_byteorder(struct archive *a, struct ldl_zip_member *m, struct ldl_err *err)
{
    char text[16] = "";
    int status = ldl_zip_settle(&a->zip, m, a->f->fd, a->f->path, err);
    if (status == 0 && m->bytes < sizeof text)
        status = ldl_pread(a->f->fd, a->f->path, text, (size_t)m->bytes, m->offset, err);
    if (status == 0 && strcmp(text, "little") != 0)
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: byteorder '%s', not 'little'; load it in torch and save it again on "
                          "another machine",
                          a->f->path, text);
    return status;
}

static int use(struct archive *a, struct ldl_zip_member *m, const char *key, struct ldl_err *err)
{
    a->storage[a->n++] = (struct storage){ .key = key, .member = m };
    return ldl_zip_settle(&a->zip, m, a->f->fd, a->f->path, err);
}

/* Looks at what stands beside the pickle: collects the storages, refuses what is no checkpoint. */
static int collect(struct archive *a, struct ldl_zip_member *pickle, struct ldl_err *err)
{
    size_t top = strlen(pickle->name) - strlen("data.pkl");
    int status = use(a, pickle, "", err);
    for (size_t i = 0; i < a->zip.n && status == 0; i++) {
        struct ldl_zip_member *m = &a->zip.member[i];
        const char *rest = m->name + top;
        if (strncmp(m->name, pickle->name, top) != 0)
            continue;
        if (strcmp(rest, "constants.pkl") == 0 || strncmp(rest, "code/", 5) == 0)
            return ldl_fail(err, LDL_EINPUT,
                            "%s: a TorchScript archive (a program), not a checkpoint; save its "
                            "state_dict with torch.save",
                            a->f->path);
        if (strcmp(rest, "byteorder") == 0)
            status = check_byteorder(a, m, err);
        else if (strncmp(rest, "data/", 5) == 0 && rest[5])
            status = use(a, m, rest + 5, err);
    }
    return status;
}

/* ---- the storages ---- */

static int by_key(const void *a, const void *b)
{
    const struct storage *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static int by_place(const void *a, const void *b)
{
    const struct storage *x = a, *y = b;
    return x->member->header < y->member->header ? -1 : x->member->header > y->member->header;
}

/* No byte belongs to two members, and no name to two either. */
static int sort_storages(struct archive *a, struct ldl_err *err)
{
    struct storage *s = a->storage;
    qsort(s, a->n, sizeof *s, by_place);
    for (size_t i = 1; i < a->n; i++)
        if (s[i - 1].member->offset + s[i - 1].member->bytes > s[i].member->header)
            return ldl_fail(err, LDL_EINPUT, "%s: members '%.100s' and '%.100s' overlap",
                            a->f->path, s[i - 1].member->name, s[i].member->name);
    qsort(s, a->n, sizeof *s, by_key);
    for (size_t i = 1; i < a->n; i++)
        if (strcmp(s[i - 1].key, s[i].key) == 0)
            return ldl_fail(err, LDL_EINPUT, "%s: member '%.100s' is there twice", a->f->path,
                            s[i].member->name);
    return 0;
}

static int locate(void *context, const struct ldl_torch_storage *s, struct ldl_torch_place *place,
                  struct ldl_err *err)
{
    const struct archive *a = context;
    struct storage wanted = { .key = s->key }, *found = NULL;
    if (*s->key) /* else it is the pickle's */
        found = bsearch(&wanted, a->storage, a->n, sizeof wanted, by_key);
    if (!found)
        return ldl_fail(err, LDL_EINPUT, "its storage 'data/%.100s' is not in the archive", s->key);
    *place = (struct ldl_torch_place){ found->member->offset, found->member->bytes };
    return 0;
}

/* ---- the file ---- */

static int read_archive(struct archive *a, struct ldl_err *err)
{
    struct ldl_zip_member *pickle;
    struct ldl_pickle p = { 0 };
    int status = find_pickle(a, &pickle, err);
    if (status)
        return status;
    if (!(a->storage = ldl_calloc(a->zip.n + 1, sizeof *a->storage)))
        return ldl_oom(err);
    if ((status = collect(a, pickle, err)) || (status = sort_storages(a, err)))
        return status;
    struct ldl_pickle_source source = {
        .fd = a->f->fd,
        .path = a->f->path,
        .start = pickle->offset,
        .limit = pickle->offset + pickle->bytes,
        .known = ldl_torch_names,
        .why = ldl_torch_why,
    };
    struct ldl_torch_locator where = { .context = a, .locate = locate };
    if ((status = ldl_pickle_read(&p, &source, err)) == 0)
        status = ldl_torch_dict_read(a->f, &p, &where, err);
    ldl_pickle_free(&p);
    return status;
}

/* A file of torch's suffix that is no zip: what is often met there gets a message of its own. */
static int fail_other(const struct ldl_file *f, struct ldl_err *err)
{
    char head[512] = "";
    int status =
        ldl_pread(f->fd, f->path, head, (size_t)LDL_MIN(f->size, (uint64_t)sizeof head), 0, err);
    if (status)
        return status;
    if (f->size == 0)
        return ldl_fail(err, LDL_EINPUT, "%s: is empty", f->path);
    if (memcmp(head, "version https://git-lfs", 23) == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a Git LFS pointer, not the weights; run `git lfs pull`", f->path);
    if (memcmp(head + 257, "ustar", 5) == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a tar archive, as torch wrote before 2017; load it in torch and save "
                        "it again",
                        f->path);
    if ((unsigned char)head[0] == 0x80)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a pickle, but not one that torch.save wrote (Paddle's are read under "
                        "the suffix .pdparams)",
                        f->path);
    return ldl_fail(err, LDL_EINPUT, "%s: neither a zip archive nor the older form of torch.save",
                    f->path);
}

static int is_zip(const unsigned char *head, size_t n)
{
    return n >= 4 && memcmp(head, "PK\3\4", 4) == 0;
}

static int open_zip(struct ldl_file *f, struct ldl_err *err)
{
    unsigned char head[4] = { 0 };
    struct archive a = { .f = f };
    int status = ldl_pread(f->fd, f->path, head, (size_t)LDL_MIN(f->size, (uint64_t)4), 0, err);
    if (status == 0 && !is_zip(head, sizeof head))
        status = fail_other(f, err);
    if (status || (status = ldl_zip_read(&a.zip, f->fd, f->path, f->size, err)))
        return status;
    status = read_archive(&a, err);
    ldl_zip_free(&a.zip);
    ldl_free(a.storage);
    return status;
}

const struct ldl_format ldl_format_torch_zip = {
    .name = "torch",
    .summary = "what torch.save writes: a zip archive of a pickle and storages",
    .claims = ldl_torch_claims,
    .recognizes = is_zip,
    .open = open_zip,
    .ordered = 1,
};
