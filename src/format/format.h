/* format.h -- the contract of a tensor container (safetensors today; torch zip, pdparams, GGUF ...
 * are one file and one line in list.def each).
 *
 * A container file is opened once, its directory is read and checked completely, and every tensor
 * in it is described by where its elements are. Nothing is mapped; data is read later by offset.
 * Whatever the file says, open() ends in bounded time and memory and either succeeds or gives a
 * one-line error naming the file and the tensor. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_FORMAT_H
#define LDL_FORMAT_FORMAT_H

#include "base/dtype.h"
#include "base/err.h"
#include "base/mem.h"

enum { LDL_MAX_DIMS = 8 };

/* One tensor as stored: row-major, contiguous, `n` elements of `dtype` from `offset` of the file. */
struct ldl_stored {
    char *name;
    enum ldl_dtype dtype;
    int ndim;
    uint64_t dim[LDL_MAX_DIMS];
    uint64_t n;      /* elements: product of dim; 1 for a 0-d tensor, 0 when a dim is 0 */
    uint64_t offset; /* bytes from the start of the file */
    uint64_t bytes;
};

/* An open container: owns the descriptor, the names and the list. */
struct ldl_file {
    char *path;
    int fd; /* -1 when closed */
    uint64_t size;
    const struct ldl_format *format;
    struct ldl_stored *tensor; /* in the order of their offsets */
    size_t ntensors, cap;
    int numpy_tagged; /* metadata says "format":"np": U16 may be bf16 (Paddle) */
};

struct ldl_format {
    const char *name, *summary;
    /* Does this file look like ours? By the name's suffix; never reads data. */
    int (*claims)(const char *file_name);
    /* Reads and checks the directory of f->fd (path, fd, size are set) into f->tensor. */
    int (*open)(struct ldl_file *f, struct ldl_err *err);
};

/* All formats in the order of list.def; the last entry is NULL. */
extern const struct ldl_format *const ldl_formats[];

/* Opens any known container. On failure *f is closed and empty. ldl_file_close() is NULL-safe on
 * a zeroed struct and idempotent. */
int ldl_file_open(struct ldl_file *f, const char *path, struct ldl_err *err);
void ldl_file_close(struct ldl_file *f);

/* ---- writing safetensors (the only container that is written) ---- */

struct ldl_st_entry {
    const char *name;
    enum ldl_dtype dtype;
    int ndim;
    const uint64_t *dim;
    uint64_t bytes;
};
/* The header of a safetensors file that holds the entries in this order, data back to back,
 * metadata {"format": metadata_format}, padded with blanks so that data starts at a multiple of 8.
 * *out gets all bytes before the data (the 8-byte length included). */
int ldl_st_header(struct ldl_buf *out, const struct ldl_st_entry *entry, size_t n,
                  const char *metadata_format, struct ldl_err *err);

#endif
