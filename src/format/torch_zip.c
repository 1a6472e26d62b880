/* torch_zip.c -- the reader of what torch.save writes since 1.6: a zip archive whose members are
 * stored, not compressed.
 *
 *     TOP/data.pkl       a pickle: the names, and tensors as (storage key, offset, size, stride)
 *     TOP/byteorder      "little"
 *     TOP/data/KEY ...   the storages' bytes
 *     the zip's directory, at the end of the file
 *
 * TOP is any one folder; the order of the members does not matter. minizip reads the directory (zip64
 * too) through callbacks on our own descriptor, once; afterwards data is read in place. Where a
 * member's data begin is told by the header before it, not by the directory, so each is looked at.
 * Members that are used must be stored, not encrypted, inside the file and without overlap. Nobody
 * reads whole storages here, so the CRCs of their bytes are not checked. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_dict.h"

#include <minizip/unzip.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024, MEMBERS_MAX = 1 << 22, NAMES_MAX = 256 << 20, WINDOW = 4096 };

struct member {
    size_t name;                 /* where it begins in archive.names */
    const char *key;             /* of a storage: the part after TOP/data/ */
    unz64_file_pos entry;        /* in the directory */
    uint64_t offset, bytes;      /* of the data */
    uint64_t packed;             /* bytes as the directory says they are stored */
    unsigned long method, flags; /* 0 is stored; bit 0 is encrypted */
};

/* The descriptor as minizip sees it. minizip reads byte by byte, hence the window. */
struct stream {
    struct ldl_file *f;
    struct ldl_err *err;
    int status; /* of the first read that failed */
    int ended;  /* a read met the file's end */
    uint64_t pos, at;
    size_t len;
    unsigned char window[WINDOW];
};

struct archive {
    struct ldl_file *f;
    struct stream io;
    unzFile zip;
    struct ldl_buf names;
    struct member *member;
    size_t nmembers, cap;
    struct member **storage; /* sorted by key */
    size_t nstorages;
};

/* ---- minizip's callbacks ---- */

static voidpf io_open(voidpf opaque, const void *name, int mode)
{
    (void)name, (void)mode;
    return opaque;
}

static uLong io_read(voidpf opaque, voidpf stream, void *to, uLong n)
{
    struct stream *io = stream;
    uLong done = 0;
    (void)opaque;
    while (done < n && io->pos < io->f->size && io->status == 0) {
        if (io->pos < io->at || io->pos - io->at >= io->len) {
            io->len = (size_t)LDL_MIN((uint64_t)WINDOW, io->f->size - io->pos);
            io->at = io->pos;
            io->status = ldl_pread(io->f->fd, io->f->path, io->window, io->len, io->at, io->err);
            if (io->status) {
                io->len = 0;
                break;
            }
        }
        size_t from = (size_t)(io->pos - io->at), part = LDL_MIN(io->len - from, n - done);
        memcpy((char *)to + done, io->window + from, part);
        io->pos += part;
        done += part;
    }
    io->ended |= done < n;
    return done;
}

static ZPOS64_T io_tell(voidpf opaque, voidpf stream)
{
    (void)opaque;
    return ((struct stream *)stream)->pos;
}

static long io_seek(voidpf opaque, voidpf stream, ZPOS64_T offset, int origin)
{
    struct stream *io = stream;
    uint64_t from = origin == ZLIB_FILEFUNC_SEEK_CUR   ? io->pos
                    : origin == ZLIB_FILEFUNC_SEEK_END ? io->f->size
                                                       : 0;
    uint64_t to;
    (void)opaque;
    if (ldl_add(from, offset, &to) || to > io->f->size)
        return -1;
    io->pos = to;
    return 0;
}

static int io_close(voidpf opaque, voidpf stream)
{
    (void)opaque, (void)stream;
    return 0; /* the descriptor is the file's */
}

static int io_error(voidpf opaque, voidpf stream)
{
    const struct stream *io = stream;
    (void)opaque;
    return io->status || io->ended; /* minizip takes the end of the file for success */
}

/* minizip failed: the reason is a read of ours, or the file. */
static int fail_zip(const struct archive *a, const char *what, struct ldl_err *err)
{
    if (a->io.status)
        return a->io.status;
    return ldl_fail(err, LDL_EINPUT, "%s: %s; the file is damaged or truncated: fetch it again",
                    a->f->path, what);
}

/* ---- the directory ---- */

static const char *name_of(const struct archive *a, const struct member *m)
{
    return a->names.text + m->name;
}

static int add_member(struct archive *a, struct ldl_err *err)
{
    char name[NAME_BYTES];
    unz_file_info64 info;
    struct member m = { .name = a->names.len };
    if (unzGetCurrentFileInfo64(a->zip, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK ||
        unzGetFilePos64(a->zip, &m.entry) != UNZ_OK)
        return fail_zip(a, "the zip directory cannot be read", err);
    if (info.size_filename >= sizeof name || strlen(name) != info.size_filename)
        return 0; /* not one of torch's */
    m.bytes = info.uncompressed_size;
    m.packed = info.compressed_size;
    m.method = info.compression_method;
    m.flags = info.flag;
    if (a->nmembers == MEMBERS_MAX || a->names.len > NAMES_MAX)
        return ldl_fail(err, LDL_EINPUT, "%s: more than %d members; that is no checkpoint",
                        a->f->path, MEMBERS_MAX);
    ldl_buf_put(&a->names, name, info.size_filename + 1);
    if (a->names.failed || ldl_grow(&a->member, &a->cap, a->nmembers + 1, sizeof *a->member))
        return ldl_oom(err);
    a->member[a->nmembers++] = m;
    return 0;
}

static int read_directory(struct archive *a, struct ldl_err *err)
{
    int status = 0, zip = unzGoToFirstFile(a->zip);
    while (zip == UNZ_OK && status == 0) {
        status = add_member(a, err);
        if (status == 0)
            zip = unzGoToNextFile(a->zip);
    }
    if (status == 0 && zip != UNZ_END_OF_LIST_OF_FILE)
        status = fail_zip(a, "the zip directory cannot be read", err);
    return status;
}

/* TOP/data.pkl: where TOP is one folder. */
static int find_pickle(const struct archive *a, struct member **found, struct ldl_err *err)
{
    *found = NULL;
    for (size_t i = 0; i < a->nmembers; i++) {
        const char *slash = strchr(name_of(a, &a->member[i]), '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0)
            continue;
        if (*found)
            return ldl_fail(err, LDL_EINPUT, "%s: has two pickles, '%.100s' and '%.100s'",
                            a->f->path, name_of(a, *found), name_of(a, &a->member[i]));
        *found = &a->member[i];
    }
    if (*found)
        return 0;
    return ldl_fail(err, LDL_EINPUT,
                    "%s: a zip archive, but not one of torch.save: it has no data.pkl", a->f->path);
}

/* Where the member's data are. */
static int settle(struct archive *a, struct member *m, struct ldl_err *err)
{
    int method;
    const char *name = name_of(a, m);
    if (m->flags & 1)
        return ldl_fail(err, LDL_EINPUT, "%s: member '%.100s' is encrypted", a->f->path, name);
    if (m->method != 0)
        return ldl_fail(
            err, LDL_EINPUT,
            "%s: member '%.100s' is compressed, which torch.save never does; load it in "
            "torch and save it again",
            a->f->path, name);
    if (unzGoToFilePos64(a->zip, &m->entry) != UNZ_OK ||
        unzOpenCurrentFile2(a->zip, &method, NULL, 1) != UNZ_OK)
        return fail_zip(a, "a member's header is not what the zip directory says", err);
    m->offset = unzGetCurrentFileZStreamPos64(a->zip);
    unzCloseCurrentFile(a->zip);
    if (m->packed == m->bytes && m->offset <= a->f->size && m->bytes <= a->f->size - m->offset)
        return 0;
    return ldl_fail(err, LDL_EINPUT,
                    "%s: member '%.100s' of %llu bytes is not whole; the file is damaged or "
                    "truncated: fetch it again",
                    a->f->path, name, (unsigned long long)m->bytes);
}

/* ---- the members that are used ---- */

static int by_key(const void *a, const void *b)
{
    struct member *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static int by_offset(const void *a, const void *b)
{
    struct member *const *x = a, *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* The pickle and the storages, which are in a->storage for the time being, in any order. */
static int check_overlap(struct archive *a, struct ldl_err *err)
{
    const struct member *before = NULL;
    qsort(a->storage, a->nstorages, sizeof(struct member *), by_offset);
    for (size_t i = 0; i < a->nstorages; i++) {
        const struct member *m = a->storage[i];
        if (m->bytes == 0)
            continue;
        if (before && before->offset + before->bytes > m->offset)
            return ldl_fail(err, LDL_EINPUT, "%s: members '%.100s' and '%.100s' overlap",
                            a->f->path, name_of(a, before), name_of(a, m));
        before = m;
    }
    return 0;
}

static int check_byteorder(struct archive *a, struct member *m, struct ldl_err *err)
{
    char text[16] = "";
    int status = settle(a, m, err);
    if (status == 0 && m->bytes < sizeof text)
        status = ldl_pread(a->f->fd, a->f->path, text, (size_t)m->bytes, m->offset, err);
    if (status == 0 && strcmp(text, "little") != 0)
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: byteorder '%s', not 'little'; load it in torch and save it again on "
                          "another machine",
                          a->f->path, text);
    return status;
}

/* Looks at what stands beside the pickle: collects the storages, refuses what is no checkpoint. */
static int collect(struct archive *a, struct member *pickle, struct ldl_err *err)
{
    const char *folder = name_of(a, pickle);
    size_t top = strlen(folder) - strlen("data.pkl");
    int status = 0;
    for (size_t i = 0; i < a->nmembers && status == 0; i++) {
        struct member *m = &a->member[i];
        const char *name = name_of(a, m), *rest = name + top;
        if (strncmp(name, folder, top) != 0)
            continue;
        if (strcmp(rest, "constants.pkl") == 0 || strncmp(rest, "code/", 5) == 0)
            return ldl_fail(err, LDL_EINPUT,
                            "%s: a TorchScript archive (a program), not a checkpoint; save its "
                            "state_dict with torch.save",
                            a->f->path);
        if (strcmp(rest, "byteorder") == 0)
            status = check_byteorder(a, m, err);
        if (strncmp(rest, "data/", 5) != 0 || !rest[5])
            continue;
        m->key = rest + 5;
        a->storage[a->nstorages++] = m;
        status = settle(a, m, err);
    }
    pickle->key = "";
    a->storage[a->nstorages++] = pickle;
    return status ? status : settle(a, pickle, err);
}

static int sort_storages(struct archive *a, struct ldl_err *err)
{
    int status = check_overlap(a, err);
    qsort(a->storage, a->nstorages, sizeof(struct member *), by_key);
    for (size_t i = 1; i < a->nstorages && status == 0; i++)
        if (strcmp(a->storage[i - 1]->key, a->storage[i]->key) == 0)
            status = ldl_fail(err, LDL_EINPUT, "%s: member '%.100s' is there twice", a->f->path,
                              name_of(a, a->storage[i]));
    return status;
}

static int locate(void *context, const struct ldl_torch_storage *s, struct ldl_torch_place *place,
                  struct ldl_err *err)
{
    const struct archive *a = context;
    struct member wanted = { .key = s->key }, *key = &wanted, **found = NULL;
    if (*s->key) /* the pickle's */
        found = bsearch(&key, a->storage, a->nstorages, sizeof(struct member *), by_key);
    if (!found)
        return ldl_fail(err, LDL_EINPUT, "its storage 'data/%.100s' is not in the archive", s->key);
    *place = (struct ldl_torch_place){ .offset = (*found)->offset, .bytes = (*found)->bytes };
    return 0;
}

/* ---- the file ---- */

static int read_archive(struct archive *a, struct ldl_err *err)
{
    struct member *pickle;
    struct ldl_pickle p = { 0 };
    int status = read_directory(a, err);
    if (status || (status = find_pickle(a, &pickle, err)))
        return status;
    if (!(a->storage = ldl_calloc(a->nmembers + 1, sizeof(struct member *))))
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
    zlib_filefunc64_def calls = { .zopen64_file = io_open,
                                  .zread_file = io_read,
                                  .ztell64_file = io_tell,
                                  .zseek64_file = io_seek,
                                  .zclose_file = io_close,
                                  .zerror_file = io_error };
    int status = ldl_pread(f->fd, f->path, head, (size_t)LDL_MIN(f->size, (uint64_t)4), 0, err);
    if (status)
        return status;
    if (!is_zip(head, sizeof head))
        return fail_other(f, err);
    struct archive *a = ldl_calloc(1, sizeof *a);
    if (!a)
        return ldl_oom(err);
    a->f = f;
    a->io.f = f;
    a->io.err = err;
    calls.opaque = &a->io;
    a->zip = unzOpen2_64(f->path, &calls);
    status = a->zip ? read_archive(a, err)
                    : fail_zip(a, "the directory at the end of the zip archive is missing", err);
    if (a->zip)
        unzClose(a->zip);
    ldl_buf_free(&a->names);
    ldl_free(a->member);
    ldl_free(a->storage);
    ldl_free(a);
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
