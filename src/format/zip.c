/* zip.c -- see zip.h.
 *
 *     header | name | extra | data      for each member, in any order
 *     entry | name | extra | comment    the directory, an entry for each member
 *     [zip64 end] [zip64 locator]       when a count or an offset does not fit
 *     end                               22 bytes and a comment, up to the end of the file
 *
 *     end:      "PK\5\6"  disks 2+2  entries 2+2  directory: bytes 4, offset 4  comment's length 2
 *     locator:  "PK\6\7"  disk 4  offset of zip64 end 8  disks 4
 *     zip64:    "PK\6\6"  length 8  versions 2+2  disks 4+4  entries 8+8  directory: bytes 8, offset 8
 *     entry:    "PK\1\2"  versions 2+2  flags 2  method 2  time 4  CRC 4  packed 4  bytes 4
 *               lengths of name, extra, comment 2+2+2  disk 2  attributes 2+4  offset of header 4
 *     header:   "PK\3\4"  version 2  flags 2  method 2  time 4  CRC 4  packed 4  bytes 4
 *               lengths of name, extra 2+2
 *
 * A field of an entry that is all ones is in its extra part of type 1, 8 bytes long, in the order
 * bytes, packed, offset. (Debian's minizip 1.1 does not look there on 64-bit machines, and so cannot
 * read an archive of more than 4 GiB; hence this file.) The header's lengths are believed for where
 * the data begin, as the directory does not tell; its sizes are not looked at. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/zip.h"

#include <string.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    ENTRY_BYTES = 46,
    HEADER_BYTES = 30,
    NAME_BYTES = 1024, /* members of longer names are passed over */
    COMMENT_MAX = 65535,
    DIRECTORY_MAX = 128 << 20
};

struct source {
    int fd;
    const char *path;
    uint64_t size;
};

/* The directory, as the end of the file tells. */
struct place {
    uint64_t entries, bytes, offset;
};

static uint64_t number(const unsigned char *b, unsigned width)
{
    uint64_t v = 0;
    for (unsigned i = width; i-- > 0;)
        v = v << 8 | b[i];
    return v;
}

static int damaged(const char *path, const char *what, struct ldl_err *err)
{
    return ldl_fail(err, LDL_EINPUT, "%s: %s; the file is damaged or truncated: fetch it again",
                    path, what);
}

/* ---- the end of the file ---- */

static int read_end64(const struct source *s, uint64_t end, struct place *p, struct ldl_err *err)
{
    unsigned char b[END64_BYTES];
    if (end < LOCATOR_BYTES)
        return 0;
    int status = ldl_pread(s->fd, s->path, b, LOCATOR_BYTES, end - LOCATOR_BYTES, err);
    if (status || memcmp(b, "PK\6\7", 4) != 0)
        return status;
    uint64_t at = number(b + 8, 8);
    if (end < END64_BYTES || at > end - END64_BYTES)
        return damaged(s->path, "the zip directory is not where the file says", err);
    if ((status = ldl_pread(s->fd, s->path, b, END64_BYTES, at, err)))
        return status;
    if (memcmp(b, "PK\6\6", 4) != 0)
        return damaged(s->path, "the zip directory is not where the file says", err);
    *p = (struct place){ number(b + 32, 8), number(b + 40, 8), number(b + 48, 8) };
    return 0;
}

/* The last END whose comment ends with the file. */
static int find_end(const struct source *s, struct place *p, struct ldl_err *err)
{
    size_t len = (size_t)LDL_MIN(s->size, (uint64_t)END_BYTES + COMMENT_MAX);
    uint64_t start = s->size - len;
    unsigned char *tail = ldl_alloc(len);
    int status = tail ? ldl_pread(s->fd, s->path, tail, len, start, err) : ldl_oom(err);
    for (size_t i = len < END_BYTES ? 0 : len - END_BYTES + 1; status == 0 && i-- > 0;) {
        const unsigned char *b = tail + i;
        if (memcmp(b, "PK\5\6", 4) != 0 || number(b + 20, 2) != len - i - END_BYTES)
            continue;
        *p = (struct place){ number(b + 10, 2), number(b + 12, 4), number(b + 16, 4) };
        status = read_end64(s, start + i, p, err);
        if (status == 0 && (p->offset > start + i || p->bytes > start + i - p->offset))
            status = damaged(s->path, "the zip directory is not where the file says", err);
        ldl_free(tail);
        return status;
    }
    ldl_free(tail);
    return status ? status : damaged(s->path, "the end of the zip archive is missing", err);
}

/* ---- the directory ---- */

/* Fields that are all ones, from the extra part. Nonzero: they are not there. */
static int read_extra(struct ldl_zip_member *m, const unsigned char *extra, size_t n)
{
    uint64_t *field[] = { &m->bytes, &m->packed, &m->header };
    while (n >= 4) {
        size_t id = (size_t)number(extra, 2), len = (size_t)number(extra + 2, 2);
        const unsigned char *b = extra + 4;
        if (len > n - 4)
            break;
        for (size_t i = 0, left = len; i < LDL_COUNT(field) && id == 1; i++) {
            if (*field[i] != UINT32_MAX)
                continue;
            if (left < 8)
                return -1;
            *field[i] = number(b, 8);
            b += 8;
            left -= 8;
        }
        if (id == 1)
            return 0;
        extra += 4 + len;
        n -= 4 + len;
    }
    return m->bytes == UINT32_MAX || m->packed == UINT32_MAX || m->header == UINT32_MAX;
}

/* The entry at b; *used is its length. */
static int read_entry(struct ldl_zip *z, const struct source *s, const unsigned char *b,
                      size_t left, size_t *used, struct ldl_err *err)
{
    if (left < ENTRY_BYTES || memcmp(b, "PK\1\2", 4) != 0)
        return damaged(s->path, "the zip directory cannot be read", err);
    size_t name = (size_t)number(b + 28, 2), extra = (size_t)number(b + 30, 2);
    struct ldl_zip_member m = {
        .name_at = z->names.len,
        .flags = (unsigned)number(b + 8, 2),
        .method = (unsigned)number(b + 10, 2),
        .packed = number(b + 20, 4),
        .bytes = number(b + 24, 4),
        .header = number(b + 42, 4),
    };
    *used = ENTRY_BYTES + name + extra + (size_t)number(b + 32, 2);
    if (*used > left || read_extra(&m, b + ENTRY_BYTES + name, extra))
        return damaged(s->path, "the zip directory cannot be read", err);
    if (name > NAME_BYTES || memchr(b + ENTRY_BYTES, 0, name))
        return 0;
    ldl_buf_put(&z->names, b + ENTRY_BYTES, name);
    ldl_buf_put(&z->names, "", 1);
    if (z->names.failed || ldl_grow(&z->member, &z->cap, z->n + 1, sizeof *z->member))
        return ldl_oom(err);
    z->member[z->n++] = m;
    return 0;
}

static int read_directory(struct ldl_zip *z, const struct source *s, const struct place *p,
                          struct ldl_err *err)
{
    if (p->bytes > DIRECTORY_MAX)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a zip directory of more than %d MB; that is no checkpoint", s->path,
                        DIRECTORY_MAX >> 20);
    size_t len = (size_t)p->bytes, at = 0, used = 0;
    unsigned char *b = ldl_alloc(len);
    int status = b ? ldl_pread(s->fd, s->path, b, len, p->offset, err) : ldl_oom(err);
    for (uint64_t i = 0; i < p->entries && status == 0; i++, at += used)
        status = read_entry(z, s, b + at, len - at, &used, err);
    ldl_free(b);
    for (size_t i = 0; i < z->n; i++) /* the text no longer moves */
        z->member[i].name = z->names.text + z->member[i].name_at;
    z->directory = p->offset;
    return status;
}

int ldl_zip_read(struct ldl_zip *z, int fd, const char *path, uint64_t size, struct ldl_err *err)
{
    struct source s = { fd, path, size };
    struct place p = { 0 };
    *z = (struct ldl_zip){ 0 };
    int status = find_end(&s, &p, err);
    if (status == 0)
        status = read_directory(z, &s, &p, err);
    if (status)
        ldl_zip_free(z);
    return status;
}

void ldl_zip_free(struct ldl_zip *z)
{
    if (!z)
        return;
    ldl_free(z->member);
    ldl_buf_free(&z->names);
    *z = (struct ldl_zip){ 0 };
}

/* ---- one member ---- */

static int fail_member(const struct ldl_zip_member *m, const char *path, const char *what,
                       struct ldl_err *err)
{
    return ldl_fail(err, LDL_EINPUT, "%s: member '%.100s' %s", path, m->name, what);
}

int ldl_zip_settle(const struct ldl_zip *z, struct ldl_zip_member *m, int fd, const char *path,
                   struct ldl_err *err)
{
    static const char *const torn = "is not whole, or not where the zip directory says; the file "
                                    "is damaged or truncated: fetch it again";
    unsigned char b[HEADER_BYTES + NAME_BYTES];
    size_t name = strlen(m->name);
    if (m->flags & 1)
        return fail_member(m, path, "is encrypted", err);
    if (m->method != 0)
        return fail_member(
            m, path,
            "is compressed, which torch.save never does; load it in torch and save it again", err);
    if (m->header > z->directory || HEADER_BYTES + name > z->directory - m->header)
        return fail_member(m, path, torn, err);
    int status = ldl_pread(fd, path, b, HEADER_BYTES + name, m->header, err);
    if (status)
        return status;
    m->offset = m->header + HEADER_BYTES + name + number(b + 28, 2);
    if (memcmp(b, "PK\3\4", 4) != 0 || number(b + 8, 2) != m->method || number(b + 26, 2) != name ||
        memcmp(b + HEADER_BYTES, m->name, name) != 0 || m->packed != m->bytes ||
        m->offset > z->directory || m->bytes > z->directory - m->offset)
        return fail_member(m, path, torn, err);
    return 0;
}
