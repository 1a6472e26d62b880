/* zip.h -- the directory of a zip archive, and where its members' bytes are. Nothing is unpacked. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_ZIP_H
#define LDL_FORMAT_ZIP_H

#include "base/io.h"

struct ldl_zip_member {
    const char *name;
    size_t name_at;         /* where it is in ldl_zip.names */
    uint64_t header;        /* where the header before its data is */
    uint64_t offset;        /* of the data; after ldl_zip_settle() */
    uint64_t bytes, packed; /* of the data, and as they are stored */
    unsigned method, flags; /* method 0: stored; bit 0 of the flags: encrypted */
};

struct ldl_zip {
    struct ldl_zip_member *member; /* as the directory has them */
    size_t n, cap;
    struct ldl_buf names;
    uint64_t directory; /* where it begins; all members are before it */
};

/* Reads the directory of the file of `size` bytes. On failure *z is empty. */
int ldl_zip_read(struct ldl_zip *z, int fd, const char *path, uint64_t size, struct ldl_err *err);
void ldl_zip_free(struct ldl_zip *z); /* NULL-safe, idempotent */
/* Finds the member's data by the header before them. Refuses what cannot be read in place:
 * compressed or encrypted members, and those that are not whole. */
int ldl_zip_settle(const struct ldl_zip *z, struct ldl_zip_member *m, int fd, const char *path,
                   struct ldl_err *err);

#endif
