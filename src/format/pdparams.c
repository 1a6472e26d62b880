/* pdparams.c -- the reader of what paddle.save writes for a model: one pickle.
 *
 *     {"linear.weight": ndarray, ..., "StructuredToParameterName@@": {...}}
 *
 *     ndarray, protocol 2 to 4:  _reconstruct(ndarray, (0,), b"b") with the state
 *                                (1, shape, dtype, in Fortran's order?, bytes)
 *     ndarray, protocol 5:       _frombuffer(bytes, dtype, shape, "C" or "F")
 *     dtype:                     dtype("f4", False, True) with the state (3, "<", ...)
 *     bytes, protocol 3 to 5:    bytes, used in place
 *     bytes, protocol 2:         encode(text, "latin1"): the bytes as characters, in UTF-8. The text
 *                                is read once here, to prove that it is such text and to note where
 *                                every 64 Ki bytes of the tensor begin (`mark` in format.h)
 *
 * uint16 is bf16: numpy has no such type, and Paddle uses uint16 for nothing else. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pickle.h"
#include "format/stored.h"

#include <string.h>

enum {
    RECONSTRUCT,
    FROMBUFFER,
    DTYPE,
    ENCODE,
    BYTES,
    TUPLE,
    DICT,
    INERT,
    MARKS_MAX = 1 << 23, /* of all tensors: 512 GiB of text */
    TEXT_BYTES = 1 << 16
};

#define BUILTIN(name, id)                                                                          \
    { "builtins", name, id },                                                                      \
    {                                                                                              \
        "__builtin__", name, id                                                                    \
    }

static const struct ldl_pickle_name known[] = {
    { "numpy.core.multiarray", "_reconstruct", RECONSTRUCT },
    { "numpy._core.multiarray", "_reconstruct", RECONSTRUCT },
    { "numpy.core.numeric", "_frombuffer", FROMBUFFER },
    { "numpy._core.numeric", "_frombuffer", FROMBUFFER },
    { "numpy", "dtype", DTYPE },
    { "numpy", "ndarray", INERT },
    { "numpy.core.multiarray", "scalar", INERT },
    { "numpy._core.multiarray", "scalar", INERT },
    { "_codecs", "encode", ENCODE },
    BUILTIN("bytes", BYTES),
    BUILTIN("bytearray", BYTES),
    BUILTIN("tuple", TUPLE),
    BUILTIN("dict", DICT),
    BUILTIN("list", INERT),
    BUILTIN("set", INERT),
    { "collections", "OrderedDict", DICT },
    { "collections", "defaultdict", DICT },
    { NULL, NULL, 0 },
};

struct reader {
    struct ldl_file *f;
    struct ldl_pickle p;
    struct ldl_pickle_search deep;
    uint32_t *owner; /* for each node that is text of a tensor: which, plus 1; or NULL */
    size_t marks;
};

/* An array, as its node tells. */
struct array {
    uint32_t shape, dtype, data;
    int fortran;
};

/* ---- nodes ---- */

static int is_array(const struct ldl_pickle *p, uint32_t node)
{
    int id = ldl_pickle_call_id(p, node);
    return id == RECONSTRUCT || id == FROMBUFFER;
}

/* paddle.save of a single Tensor keeps it as tuple((name, array)): gives the array's node. */
static uint32_t unpack(const struct ldl_pickle *p, uint32_t node)
{
    uint32_t item[2];
    if (ldl_pickle_call_id(p, node) == TUPLE &&
        ldl_pickle_items(p, ldl_pickle_at(p, node)->args, item, 1) == 1)
        node = item[0];
    if (ldl_pickle_at(p, node)->kind == LDL_PY_TUPLE && ldl_pickle_items(p, node, item, 2) == 2 &&
        ldl_pickle_text(p, item[0]) && is_array(p, item[1]))
        return item[1];
    return node;
}

static int read_array(const struct ldl_pickle *p, uint32_t node, struct array *a,
                      struct ldl_err *err)
{
    uint32_t item[5];
    const struct ldl_pickle_node *call = ldl_pickle_at(p, node);
    if (ldl_pickle_call_id(p, node) == RECONSTRUCT) {
        if (ldl_pickle_items(p, call->state, item, 5) != 5)
            return ldl_fail(err, LDL_EINPUT,
                            "an array without its five parts; the file is damaged");
        const struct ldl_pickle_node *order = ldl_pickle_at(p, item[3]);
        *a = (struct array){ .shape = item[1], .dtype = item[2], .data = item[4] };
        a->fortran = (order->kind == LDL_PY_BOOL || order->kind == LDL_PY_INT) && order->num;
        return 0;
    }
    if (ldl_pickle_items(p, call->args, item, 4) != 4)
        return ldl_fail(err, LDL_EINPUT, "an array without its four parts; the file is damaged");
    const char *order = ldl_pickle_text(p, item[3]);
    *a = (struct array){ .data = item[0], .dtype = item[1], .shape = item[2] };
    a->fortran = order && strcmp(order, "F") == 0;
    return 0;
}

static int read_dtype(const struct ldl_pickle *p, uint32_t node, enum ldl_dtype *t,
                      struct ldl_err *err)
{
    static const struct {
        const char *name;
        enum ldl_dtype dtype;
    } types[] = { { "f4", LDL_F32 }, { "u2", LDL_BF16 }, { "f2", LDL_F16 }, { "f8", LDL_F64 },
                  { "i8", LDL_I64 }, { "i4", LDL_I32 },  { "i2", LDL_I16 }, { "i1", LDL_I8 },
                  { "u8", LDL_U64 }, { "u4", LDL_U32 },  { "u1", LDL_U8 },  { "b1", LDL_BOOL } };
    uint32_t item[2] = { 0 };
    const char *name = NULL, *order = NULL;
    if (ldl_pickle_call_id(p, node) == DTYPE) {
        ldl_pickle_items(p, ldl_pickle_at(p, node)->args, item, 1);
        name = ldl_pickle_text(p, item[0]);
        ldl_pickle_items(p, ldl_pickle_at(p, node)->state, item, 2);
        order = ldl_pickle_text(p, item[1]);
    }
    if (!name)
        return ldl_fail(err, LDL_EINPUT, "an array without a type; the file is damaged");
    if (order && strcmp(order, ">") == 0)
        return ldl_fail(err, LDL_EINPUT, "big-endian elements; save it again on another machine");
    for (size_t i = 0; i < LDL_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            *t = types[i].dtype;
            return 0;
        }
    return ldl_fail(err, LDL_EINPUT, "elements of numpy's type '%.40s' cannot be merged", name);
}

static int read_shape(const struct ldl_pickle *p, uint32_t node, struct ldl_stored *t,
                      struct ldl_err *err)
{
    uint32_t item[LDL_MAX_DIMS];
    uint64_t n = ldl_pickle_items(p, node, item, LDL_MAX_DIMS);
    if (ldl_pickle_at(p, node)->kind != LDL_PY_TUPLE || n > LDL_MAX_DIMS)
        return ldl_fail(err, LDL_EINPUT, "the shape is no tuple of at most %d numbers",
                        LDL_MAX_DIMS);
    for (uint64_t i = 0; i < n; i++)
        if (ldl_pickle_u64(p, item[i], &t->dim[i]))
            return ldl_fail(err, LDL_EINPUT, "the shape holds something else than numbers");
    t->ndim = (int)n;
    return ldl_stored_extent(t, err);
}

/* ---- bytes as text ---- */

/* Goes through a piece of the text; *used tells how much of it (not a character that is cut off).
 * *done counts the tensor's bytes. Nonzero: a character that is no byte, or more than `want`. */
static int skim_piece(const unsigned char *text, size_t len, uint64_t at, uint64_t want,
                      uint64_t *mark, uint64_t *done, size_t *used)
{
    size_t i = 0;
    while (i < len) {
        size_t width = text[i] < 0x80 ? 1 : 2;
        if (i + width > len)
            break;
        if (*done == want ||
            (width == 2 && ((text[i] & 0xfe) != 0xc2 || (text[i + 1] & 0xc0) != 0x80)))
            return -1;
        if (*done % LDL_MARK_BYTES == 0)
            mark[*done / LDL_MARK_BYTES] = at + i;
        ++*done;
        i += width;
    }
    *used = i;
    return 0;
}

/* Proves that the text is t->bytes bytes, and marks them. */
static int skim(struct ldl_file *f, const struct ldl_pickle_node *text, struct ldl_stored *t,
                struct ldl_err *err)
{
    uint64_t at = text->offset, end = at + text->n, done = 0;
    unsigned char *piece = ldl_alloc(TEXT_BYTES);
    int status = piece ? 0 : ldl_oom(err);
    while (status == 0 && at < end) {
        size_t len = (size_t)LDL_MIN((uint64_t)TEXT_BYTES, end - at), used = 0;
        status = ldl_pread(f->fd, f->path, piece, len, at, err);
        if (status == 0 && (skim_piece(piece, len, at, t->bytes, t->mark, &done, &used) || !used))
            status = ldl_fail(err, LDL_EINPUT,
                              "its bytes, kept as text, are no bytes or too many; the file is "
                              "damaged");
        at += used;
    }
    ldl_free(piece);
    if (status == 0 && done != t->bytes)
        status = ldl_fail(err, LDL_EINPUT, "shape and type need %llu bytes, there are %llu",
                          (unsigned long long)t->bytes, (unsigned long long)done);
    return status;
}

/* One text may serve several names (tied weights): it is gone through once. */
static int place_text(struct reader *r, uint32_t node, struct ldl_stored *t, struct ldl_err *err)
{
    const struct ldl_pickle_node *text = ldl_pickle_at(&r->p, node);
    size_t n = (size_t)(t->bytes / LDL_MARK_BYTES) + 1;
    if (text->kind != LDL_PY_TEXT || t->bytes > text->n)
        return ldl_fail(err, LDL_EINPUT, "shape and type need %llu bytes, there are fewer",
                        (unsigned long long)t->bytes);
    if (t->strided)
        return ldl_fail(err, LDL_EINPUT,
                        "is in Fortran's order and kept as text; save it with protocol 4");
    if (n > MARKS_MAX - r->marks)
        return ldl_fail(err, LDL_EINPUT, "more than 512 GiB kept as text; save it with protocol 4");
    r->marks += n;
    if (!r->owner && !(r->owner = ldl_calloc(r->p.nnodes, sizeof *r->owner)))
        return ldl_oom(err);
    if (!(t->mark = ldl_calloc(n, sizeof *t->mark)))
        return ldl_oom(err);
    t->offset = text->offset;
    const struct ldl_stored *first = r->owner[node] ? &r->f->tensor[r->owner[node] - 1] : NULL;
    if (first && first->bytes == t->bytes) {
        memcpy(t->mark, first->mark, n * sizeof *t->mark);
        return 0;
    }
    if (first)
        return ldl_fail(err, LDL_EINPUT, "shares the bytes of '%.200s' in another size",
                        first->name);
    r->owner[node] = (uint32_t)r->f->ntensors + 1;
    return skim(r->f, text, t, err);
}

/* ---- tensors ---- */

static int place(struct reader *r, uint32_t data, struct ldl_stored *t, struct ldl_err *err)
{
    uint32_t item[2];
    const struct ldl_pickle_node *node = ldl_pickle_at(&r->p, data);
    int id = ldl_pickle_call_id(&r->p, data);
    if (id == ENCODE && ldl_pickle_items(&r->p, node->args, item, 2) == 2) {
        const char *code = ldl_pickle_text(&r->p, item[1]);
        if (code && (strcmp(code, "latin1") == 0 || strcmp(code, "latin-1") == 0))
            return t->bytes ? place_text(r, item[0], t, err) : 0;
    }
    if (id == BYTES && ldl_pickle_items(&r->p, node->args, item, 1) == 0 && t->bytes == 0)
        return 0;
    if (node->kind != LDL_PY_BYTES && node->kind != LDL_PY_STRING)
        return ldl_fail(err, LDL_EINPUT, "its elements are no bytes; ladle cannot merge it");
    if (node->n != t->bytes)
        return ldl_fail(err, LDL_EINPUT, "shape and type need %llu bytes, there are %llu",
                        (unsigned long long)t->bytes, (unsigned long long)node->n);
    t->offset = node->offset;
    return 0;
}

static int read_tensor(struct reader *r, uint32_t node, struct ldl_stored *t, struct ldl_err *err)
{
    struct array a = { 0 };
    uint64_t step = 1;
    int status;
    if ((status = read_array(&r->p, node, &a, err)) ||
        (status = read_dtype(&r->p, a.dtype, &t->dtype, err)) ||
        (status = read_shape(&r->p, a.shape, t, err)))
        return status;
    for (int d = 0; d < t->ndim && a.fortran; step *= t->dim[d++])
        t->stride[d] = step;
    t->strided = a.fortran && !ldl_stored_is_plain(t);
    return place(r, a.data, t, err);
}

static int add_tensor(struct reader *r, const char *name, uint32_t node, struct ldl_err *err)
{
    struct ldl_file *f = r->f;
    struct ldl_stored t = { 0 };
    int status = read_tensor(r, node, &t, err);
    if (status)
        ldl_context(err, "%s: tensor '%.200s'", f->path, name);
    else if (ldl_grow(&f->tensor, &f->cap, f->ntensors + 1, sizeof *f->tensor) ||
             !(t.name = ldl_strdup(name)))
        status = ldl_oom(err);
    if (status)
        ldl_free(t.mark);
    else
        f->tensor[f->ntensors++] = t;
    return status;
}

static int read_entry(struct reader *r, const struct ldl_pickle_entry *e, struct ldl_err *err)
{
    uint32_t value = unpack(&r->p, e->value);
    const char *name = e->name ? e->name : "(no text)", *path = r->f->path;
    if (strcmp(name, "StructuredToParameterName@@") == 0)
        return 0;
    if (strcmp(name, "UnpackBigParamInfor@@") == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: its large tensors were cut in pieces, as protocols 2 and 3 need; save "
                        "it with paddle.save(..., protocol=4)",
                        path);
    if (is_array(&r->p, value) && e->name)
        return add_tensor(r, e->name, value, err);
    if (!ldl_pickle_search(&r->deep, value))
        return 0;
    if (!e->name)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: an array's key is no text (UTF-8, at most %d bytes, no NUL)", path,
                        LDL_PICKLE_KEPT_BYTES);
    return ldl_fail(
        err, LDL_EINPUT,
        "%s: '%.200s' holds arrays inside a list or dict (an optimizer's state?); ladle "
        "merges flat {name: array} files",
        path, name);
}

static int read_entries(struct reader *r, struct ldl_err *err)
{
    struct ldl_pickle_entry *e = NULL;
    const struct ldl_pickle *p = &r->p;
    size_t n = 0;
    if (ldl_pickle_at(p, p->root)->kind != LDL_PY_DICT && ldl_pickle_call_id(p, p->root) != DICT)
        return ldl_fail(err, LDL_EINPUT, "%s: holds no dict; ladle merges {name: array} files",
                        r->f->path);
    int status = ldl_pickle_entries(p, p->root, &e, &n, err);
    if (status)
        ldl_context(err, "%s", r->f->path);
    for (size_t i = 0; i < n && status == 0; i++)
        status = read_entry(r, &e[i], err);
    if (status == 0 && r->f->ntensors == 0)
        status = ldl_fail(err, LDL_EINPUT, "%s: there are no arrays in it", r->f->path);
    ldl_free(e);
    return status;
}

/* ---- the file ---- */

static int claims(const char *file_name)
{
    return ldl_has_suffix(file_name, ".pdparams");
}

static int check_head(const struct ldl_file *f, struct ldl_err *err)
{
    unsigned char head[8] = { 0 };
    int status = ldl_pread(f->fd, f->path, head, (size_t)LDL_MIN(f->size, (uint64_t)8), 0, err);
    if (status || head[0] == 0x80)
        return status;
    if (memcmp(head, "version ", 8) == 0)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: a Git LFS pointer, not the weights; run `git lfs pull`", f->path);
    return ldl_fail(err, LDL_EINPUT, "%s: not a pickle of protocol 2 to 5, as paddle.save writes",
                    f->path);
}

static int open_pdparams(struct ldl_file *f, struct ldl_err *err)
{
    struct reader r = { .f = f };
    struct ldl_pickle_source source = {
        .fd = f->fd, .path = f->path, .limit = f->size, .known = known
    };
    int status = check_head(f, err);
    if (status || (status = ldl_pickle_read(&r.p, &source, err)))
        return status;
    if ((status = ldl_pickle_search_open(&r.deep, &r.p, is_array, err)) == 0)
        status = read_entries(&r, err);
    ldl_pickle_search_close(&r.deep);
    ldl_free(r.owner);
    ldl_pickle_free(&r.p);
    return status;
}

const struct ldl_format ldl_format_pdparams = {
    .name = "pdparams",
    .summary = "what paddle.save writes: a pickle of numpy arrays",
    .claims = claims,
    .open = open_pdparams,
    .ordered = 1,
};
