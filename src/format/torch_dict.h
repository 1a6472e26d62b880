/* torch_dict.h -- what a pickle of torch.save means, shared by torch's two containers.
 *
 *     {"layer.weight": _rebuild_tensor_v2(STORAGE, offset, size, stride, ...), ...}
 *     STORAGE: persistent id ("storage", torch.FloatStorage, key, location, elements [, view])
 *
 * The container knows where the bytes of a storage are by its key; all else is here. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_TORCH_DICT_H
#define LDL_FORMAT_TORCH_DICT_H

#include "format/format.h"
#include "format/pickle.h"

/* Every name that may stand in such a pickle; an id is one of these, plus for STORAGE and DTYPE the
 * element type and its size in bytes. */
enum ldl_torch_class {
    LDL_TORCH_INERT, /* objects that a training run keeps beside its tensors */
    LDL_TORCH_DICT,
    LDL_TORCH_TENSOR,    /* _rebuild_tensor, _rebuild_tensor_v2 */
    LDL_TORCH_TENSOR_V3, /* names its dtype itself */
    LDL_TORCH_PARAMETER, /* around a tensor */
    LDL_TORCH_FROM_TYPE, /* one of the functions above, for a class */
    LDL_TORCH_CLASS,     /* torch.Tensor and its like, for FROM_TYPE */
    LDL_TORCH_SIZE,
    LDL_TORCH_OTHER, /* tensors that cannot be merged: sparse, quantized, of numpy ... */
    LDL_TORCH_STORAGE,
    LDL_TORCH_DTYPE,
};
#define LDL_TORCH_ID(class, dtype, unit) ((class) | (dtype) << 8 | (unit) << 16)
#define LDL_TORCH_ID_CLASS(id)           ((id) < 0 ? -1 : (id)&0xff)
#define LDL_TORCH_ID_DTYPE(id)           ((enum ldl_dtype)((id) >> 8 & 0xff)) /* or LDL_DTYPES */
#define LDL_TORCH_ID_UNIT(id)            ((unsigned)(id) >> 16)

extern const struct ldl_pickle_name ldl_torch_names[];
const char *ldl_torch_why(const char *module, const char *name); /* of ldl_pickle_source */

/* A persistent id, read. */
struct ldl_torch_storage {
    const char *key, *type; /* type: "FloatStorage" */
    enum ldl_dtype dtype;   /* LDL_DTYPES: one that ladle does not know */
    uint64_t unit, root;    /* bytes of an element; elements that the file has under the key */
    uint64_t first, n;      /* the part of them that is this storage (the legacy form has views) */
};
/* Without the file's name in the message. */
int ldl_torch_storage_read(const struct ldl_pickle *p, uint32_t persid, struct ldl_torch_storage *s,
                           struct ldl_err *err);

/* Where a storage's bytes are in the file; inside it. */
struct ldl_torch_place {
    uint64_t offset, bytes;
};
struct ldl_torch_locator {
    void *context;
    int (*locate)(void *context, const struct ldl_torch_storage *s, struct ldl_torch_place *place,
                  struct ldl_err *err);
};

/* What the node is as a tensor (t->name is not touched). Without file and name in the message. */
int ldl_torch_tensor_read(const struct ldl_pickle *p, uint32_t node,
                          const struct ldl_torch_locator *where, struct ldl_stored *t,
                          struct ldl_err *err);

/* Finds the state dict in the pickle and puts its tensors into f->tensor. */
int ldl_torch_dict_read(struct ldl_file *f, const struct ldl_pickle *p,
                        const struct ldl_torch_locator *where, struct ldl_err *err);

/* A suffix under which torch's files are found. */
int ldl_torch_claims(const char *file_name);
/* Is it the legacy form, by its first bytes? */
int ldl_torch_is_legacy(const unsigned char *head, size_t n);

#endif
