/* format.h -- the contract of a tensor container: safetensors, torch's two, pdparams, GGUF. Each is
 * one file and one line in list.def.
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
#include "base/io.h"
#include "base/mem.h"

enum { LDL_MAX_DIMS = 8 };

/* One tensor as stored: `n` elements of `dtype` in row-major order. In the usual case they follow
 * each other from `offset` on and are `bytes` long. Two containers have others:
 *   strided  torch saves views: element (i0, i1, ...) is i0*stride[0] + i1*stride[1] + ... elements
 *            after `offset`. Strides may be 0 (expanded); all elements are inside the file.
 *   mark     pickles of protocol 2 keep bytes as text: each byte b is the character U+00b in UTF-8,
 *            so from 0x80 on it takes two. mark[i] is the place in the file of the byte number
 *            i * LDL_MARK_BYTES of the tensor.
 * Tensors may share bytes (torch's tied weights); formats without that refuse it in open(). */
struct ldl_stored {
    char *name;
    enum ldl_dtype dtype;
    int ndim;
    uint64_t dim[LDL_MAX_DIMS];
    uint64_t n;      /* elements: product of dim; 1 for a 0-d tensor, 0 when a dim is 0 */
    uint64_t offset; /* bytes from the start of the file */
    uint64_t bytes;  /* of the n elements: ldl_dtype_span(dtype, n) */
    int strided;
    uint64_t stride[LDL_MAX_DIMS]; /* in elements; when strided */
    uint64_t *mark;                /* or NULL; owned */
};
enum { LDL_MARK_BYTES = 1 << 16 };

/* An open container: owns the descriptor, the names and the list. */
struct ldl_file {
    char *path;
    int fd; /* -1 when closed */
    uint64_t size;
    const struct ldl_format *format;
    struct ldl_stored
        *tensor; /* safetensors, gguf: by their offsets; else as the file lists them */
    size_t ntensors, cap;
    int numpy_tagged;      /* metadata says "format":"np": U16 may be bf16 (Paddle) */
    struct ldl_names note; /* lines for the user: what the file holds beside its tensors */
    struct ldl_meta {
        uint64_t offset, bytes, count; /* GGUF's key-value pairs, for a writer that copies them */
    } meta;
};

/* One tensor of a file that is to be written; layout() fills in the offset. */
struct ldl_entry {
    const char *name;
    enum ldl_dtype dtype;
    int ndim;
    const uint64_t *dim;
    uint64_t bytes;
    uint64_t offset; /* from the start of the file */
};
/* What else a writer may need. */
struct ldl_layout {
    const char *metadata_format;   /* safetensors: {"format": this} */
    const struct ldl_file *source; /* gguf: the file whose key-value pairs are copied */
    enum ldl_dtype dtype;          /* of most of the output; LDL_DTYPES: not one */
};

struct ldl_format {
    const char *name, *summary;
    /* Does this file look like ours? By the name's suffix; never reads data. */
    int (*claims)(const char *file_name);
    /* Does a file that begins with these bytes look like ours, whatever its name? NULL: never asked.
     * head[0..n) are the first bytes, n <= LDL_HEAD_BYTES. */
    int (*recognizes)(const unsigned char *head, size_t n);
    /* Reads and checks the directory of f->fd (path, fd, size are set) into f->tensor. */
    int (*open)(struct ldl_file *f, struct ldl_err *err);
    /* The container's own order of tensors means something (a dict's), so it is kept. */
    int ordered;
    /* For containers that can be written, else NULL: what stands before the data, and where in the
     * file each entry's data go, in the order given. *bytes: length of the whole file. Between
     * tensors there may be gaps, which are zeros. */
    int (*layout)(struct ldl_buf *header, struct ldl_entry *entry, size_t n,
                  const struct ldl_layout *how, uint64_t *bytes, struct ldl_err *err);
};
enum { LDL_HEAD_BYTES = 64 };

/* All formats in the order of list.def; the last entry is NULL. */
extern const struct ldl_format *const ldl_formats[];

/* Opens any known container: by its first bytes, else by its name. On failure *f is closed and empty. ldl_file_close() is NULL-safe on
 * a zeroed struct and idempotent. */
int ldl_file_open(struct ldl_file *f, const char *path, struct ldl_err *err);
void ldl_file_close(struct ldl_file *f);

/* By its name ("safetensors"); NULL when there is none. */
const struct ldl_format *ldl_format_find(const char *name);

#endif
