/* gguf.h -- what gguf.c (the directory), gguf_pairs.c (metadata) and gguf_write.c share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_GGUF_H
#define LDL_FORMAT_GGUF_H

#include "format/format.h"

enum {
    LDL_GGUF_HEADER_BYTES = 24,
    LDL_GGUF_ALIGNMENT = 32,            /* where general.alignment does not say another */
    LDL_GGUF_DIRECTORY_MAX = 100000000, /* bytes before the data: as safetensors' header */
};

/* A place in the file that moves forward; reads are of a window. Whatever ends beyond `end` is the
 * error "truncated", or that the directory is too long. */
struct ldl_gguf_in {
    const struct ldl_file *f;
    uint64_t at, end;
    uint64_t first; /* window[0..n) are the bytes from here on */
    size_t n;
    unsigned char window[8192];
};

void ldl_gguf_start(struct ldl_gguf_in *in, const struct ldl_file *f, uint64_t at);
int ldl_gguf_take(struct ldl_gguf_in *in, void *to, size_t n, struct ldl_err *err);
int ldl_gguf_u32(struct ldl_gguf_in *in, uint32_t *out, struct ldl_err *err);
int ldl_gguf_u64(struct ldl_gguf_in *in, uint64_t *out, struct ldl_err *err);
/* A length and so many bytes, at most `max` of them, into out (emptied first). */
int ldl_gguf_string(struct ldl_gguf_in *in, struct ldl_buf *out, size_t max, struct ldl_err *err);

/* What matters here of the key-value pairs. */
struct ldl_gguf_facts {
    uint32_t alignment;
    uint64_t parts;     /* of a model that was split into files: split.count, else 0 */
    uint64_t file_type; /* where in the file the u32 of general.file_type is, or 0 */
};
/* Passes over `count` pairs and checks them. */
int ldl_gguf_pairs(struct ldl_gguf_in *in, uint64_t count, struct ldl_gguf_facts *facts,
                   struct ldl_err *err);

/* The number of a type in a GGUF file; -1 when GGUF has none for it. */
int ldl_gguf_type(enum ldl_dtype t);

/* See ldl_format.layout. */
int ldl_gguf_layout(struct ldl_buf *header, struct ldl_entry *entry, size_t n,
                    const struct ldl_layout *how, uint64_t *bytes, struct ldl_err *err);

#endif
