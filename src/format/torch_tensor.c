/* torch_tensor.c -- a tensor's node to what format.h wants; see torch_dict.h.
 *
 * Element (i0, i1, ...) of a tensor is element offset + i0*stride[0] + i1*stride[1] + ... of its
 * storage. The farthest of them is checked against the storage, and the storage against its place
 * in the file, with sums that cannot wrap. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/stored.h"
#include "format/torch_dict.h"

#include <string.h>

enum { WRAPPERS_MAX = 4, ARGS = 8 };

/* ---- storages ---- */

/* The legacy form may say (key, first, elements): a storage that is a part of another. */
static int read_view(const struct ldl_pickle *p, uint32_t view, struct ldl_torch_storage *s,
                     struct ldl_err *err)
{
    uint32_t item[3];
    if (ldl_pickle_at(p, view)->kind <= LDL_PY_NONE)
        return 0;
    if (ldl_pickle_items(p, view, item, 3) != 3 || ldl_pickle_u64(p, item[1], &s->first) ||
        ldl_pickle_u64(p, item[2], &s->n) || s->first > s->root || s->n > s->root - s->first)
        return ldl_fail(err, LDL_EINPUT, "its storage is a view of '%.40s' that leads out of it",
                        s->key);
    return 0;
}

int ldl_torch_storage_read(const struct ldl_pickle *p, uint32_t persid, struct ldl_torch_storage *s,
                           struct ldl_err *err)
{
    uint32_t item[6];
    const struct ldl_pickle_node *id = ldl_pickle_at(p, persid);
    if (id->kind != LDL_PY_PERSID || ldl_pickle_items(p, id->args, item, 6) < 5)
        return ldl_fail(err, LDL_EINPUT, "has no storage; the file is damaged");
    const char *kind = ldl_pickle_text(p, item[0]);
    if (!kind || strcmp(kind, "storage") != 0)
        return ldl_fail(err, LDL_EINPUT, "has a '%.40s' in the place of its storage",
                        kind ? kind : "?");
    int type = ldl_pickle_id(p, item[1]);
    if (LDL_TORCH_ID_CLASS(type) != LDL_TORCH_STORAGE)
        return ldl_fail(err, LDL_EINPUT, "has a storage without a type; the file is damaged");
    *s = (struct ldl_torch_storage){
        .key = ldl_pickle_text(p, item[2]),
        .type = p->known[ldl_pickle_at(p, item[1])->row].name,
        .dtype = LDL_TORCH_ID_DTYPE(type),
        .unit = LDL_TORCH_ID_UNIT(type),
    };
    if (!s->key || ldl_pickle_u64(p, item[4], &s->root) || s->root > INT64_MAX / s->unit)
        return ldl_fail(err, LDL_EINPUT,
                        "has a storage without a name or a sensible size; the file is damaged");
    s->n = s->root;
    return read_view(p, item[5], s, err);
}

/* ---- the call that makes a tensor ---- */

/* Looks through Parameter(...) and _rebuild_from_type_v2(f, class, args, state) until a function
 * that makes a tensor of a storage is left, with its arguments. */
static int unwrap(const struct ldl_pickle *p, uint32_t node, int *class, uint32_t *args,
                  struct ldl_err *err)
{
    uint32_t item[3];
    int id = ldl_pickle_call_id(p, node);
    *args = ldl_pickle_at(p, node)->args;
    for (int i = 0; i < WRAPPERS_MAX; i++) {
        *class = LDL_TORCH_ID_CLASS(id);
        ldl_pickle_items(p, *args, item, 3);
        if (*class == LDL_TORCH_TENSOR || *class == LDL_TORCH_TENSOR_V3)
            return 0;
        if (*class == LDL_TORCH_OTHER)
            return ldl_fail(
                err, LDL_EINPUT, "is made by '%s.%s', which ladle cannot merge",
                p->known[ldl_pickle_at(p, ldl_pickle_at(p, node)->callable)->row].module,
                p->known[ldl_pickle_at(p, ldl_pickle_at(p, node)->callable)->row].name);
        if (*class == LDL_TORCH_PARAMETER) {
            node = item[0];
            id = ldl_pickle_call_id(p, node);
            *args = ldl_pickle_at(p, node)->args;
        } else if (*class == LDL_TORCH_FROM_TYPE &&
                   LDL_TORCH_ID_CLASS(ldl_pickle_id(p, item[1])) == LDL_TORCH_CLASS) {
            id = ldl_pickle_id(p, item[0]);
            *args = item[2];
        } else {
            break;
        }
    }
    return ldl_fail(err, LDL_EINPUT, "is made in a way that ladle does not know");
}

/* A tuple, a list or a torch.Size of numbers that are not negative; returns how many, or -1. */
static int read_numbers(const struct ldl_pickle *p, uint32_t node, uint64_t *number)
{
    uint32_t item[LDL_MAX_DIMS];
    if (LDL_TORCH_ID_CLASS(ldl_pickle_call_id(p, node)) == LDL_TORCH_SIZE &&
        ldl_pickle_items(p, ldl_pickle_at(p, node)->args, item, 1) == 1)
        node = item[0];
    enum ldl_pickle_kind kind = ldl_pickle_at(p, node)->kind;
    uint64_t n = ldl_pickle_items(p, node, item, LDL_MAX_DIMS);
    if ((kind != LDL_PY_TUPLE && kind != LDL_PY_LIST) || n > LDL_MAX_DIMS)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (ldl_pickle_u64(p, item[i], &number[i]))
            return -1;
    return (int)n;
}

/* The place of the last element, counted from `offset`; nonzero when it does not fit 64 bits. */
static int farthest(const struct ldl_stored *t, uint64_t offset, uint64_t *last)
{
    uint64_t reach;
    *last = offset;
    for (int d = 0; d < t->ndim; d++)
        if (ldl_mul(t->dim[d] - 1, t->stride[d], &reach) || ldl_add(*last, reach, last))
            return -1;
    return 0;
}

/* Where the tensor's elements are, given its storage and the first element's place there. */
static int place_tensor(struct ldl_stored *t, uint64_t first, const struct ldl_torch_storage *s,
                        const struct ldl_torch_locator *where, struct ldl_err *err)
{
    struct ldl_torch_place place;
    uint64_t last, size = ldl_dtype_unit_bytes(t->dtype), bytes = s->n * s->unit;
    uint64_t skip = s->first * s->unit;
    int status = where->locate(where->context, s, &place, err);
    if (status)
        return status;
    if (s->root * s->unit > place.bytes)
        return ldl_fail(err, LDL_EINPUT, "storage '%.40s' should be %llu bytes long, but has %llu",
                        s->key, (unsigned long long)(s->root * s->unit),
                        (unsigned long long)place.bytes);
    if (t->n == 0) {
        t->offset = place.offset;
        return 0;
    }
    if (farthest(t, first, &last) || last >= bytes / size)
        return ldl_fail(err, LDL_EINPUT,
                        "its shape, strides and offset lead out of storage '%.40s' (%llu elements)",
                        s->key, (unsigned long long)(bytes / size));
    t->offset = place.offset + skip + first * size;
    t->strided = !ldl_stored_is_plain(t);
    return 0;
}

int ldl_torch_tensor_read(const struct ldl_pickle *p, uint32_t node,
                          const struct ldl_torch_locator *where, struct ldl_stored *t,
                          struct ldl_err *err)
{
    struct ldl_torch_storage s = { 0 };
    uint32_t args, item[ARGS];
    uint64_t first = 0;
    int class, status = unwrap(p, node, &class, &args, err);
    if (status)
        return status;
    ldl_pickle_items(p, args, item, ARGS);
    if ((status = ldl_torch_storage_read(p, item[0], &s, err)))
        return status;
    int v3 = class == LDL_TORCH_TENSOR_V3, id = v3 ? ldl_pickle_id(p, item[6]) : 0;
    if (v3 && LDL_TORCH_ID_CLASS(id) != LDL_TORCH_DTYPE)
        return ldl_fail(err, LDL_EINPUT, "has no dtype; the file is damaged");
    t->dtype = v3 ? LDL_TORCH_ID_DTYPE(id) : s.dtype;
    if (t->dtype == LDL_DTYPES)
        return ldl_fail(err, LDL_EINPUT, "elements of type %s cannot be merged",
                        v3 ? p->known[ldl_pickle_at(p, item[6])->row].name : s.type);
    if (ldl_pickle_at(p, item[v3 ? 7 : 6])->n)
        return ldl_fail(err, LDL_EINPUT, "is a negated or conjugated view; save a copy of it");
    int n = read_numbers(p, item[2], t->dim), m = read_numbers(p, item[3], t->stride);
    if (n < 0 || n != m || ldl_pickle_u64(p, item[1], &first))
        return ldl_fail(err, LDL_EINPUT,
                        "shape, strides or offset are no numbers, or more than %d dimensions",
                        LDL_MAX_DIMS);
    t->ndim = n;
    status = ldl_stored_extent(t, err);
    return status ? status : place_tensor(t, first, &s, where, err);
}
