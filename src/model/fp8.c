/* fp8.c -- see fp8.h. The composed view here, the search for what belongs together below.
 *
 * The scales are the view's state: few (one for 16,384 elements, or for a row), loaded as f32 when
 * the tensor's turn comes. The weight is read through the reader's window like any stored tensor
 * and multiplied in place, in segments that have one scale.
 *
 * A scale that is NaN, infinite or 0 is a number like others: it flows into the elements, where a
 * merge counts and reports what is not finite. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fp8.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 64 << 20, READ_WINDOW = 1 << 16 };

/* ---- the view ---- */

struct scaled {
    struct ldl_view weight, scale; /* both as they are stored */
    uint64_t cols;                 /* the weight's last dim */
    int ndim;
    /* Of each dim of the weight: elements that share a scale, and how far the next scale is. */
    uint64_t step[LDL_MAX_DIMS], stride[LDL_MAX_DIMS];
};

/* The scales of a row, which is counted over all dims but the last. */
static uint64_t scale_of_row(const struct scaled *s, uint64_t row)
{
    uint64_t at = 0;
    for (int d = s->ndim - 1; d-- > 0;) {
        uint64_t dim = s->weight.dim[d];
        at += row % dim / s->step[d] * s->stride[d];
        row /= dim;
    }
    return at;
}

static int read_scaled(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                       float *out, struct ldl_reader *r, struct ldl_err *err)
{
    const struct scaled *s = v->made_of;
    const float *scale = r->state;
    int status = ldl_view_read(&s->weight, k, first, n, out, r, err);
    if (status || n == 0)
        return status;
    if (s->scale.n == 1) {
        k->times(out, scale[0], n);
        return 0;
    }
    uint64_t row = first / s->cols, col = first % s->cols, step = s->step[s->ndim - 1];
    for (; n; row++, col = 0) {
        const float *of_row = scale + scale_of_row(s, row);
        for (; n && col < s->cols;) {
            size_t part = (size_t)LDL_MIN((uint64_t)n, LDL_MIN(step - col % step, s->cols - col));
            k->times(out, of_row[col / step * s->stride[s->ndim - 1]], part);
            out += part;
            col += part;
            n -= part;
        }
    }
    return 0;
}

static uint64_t state_bytes(const struct ldl_view *v)
{
    const struct scaled *s = v->made_of;
    return s->scale.n * sizeof(float) + READ_WINDOW;
}

static int begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                 struct ldl_err *err)
{
    const struct scaled *s = v->made_of;
    float *scale = ldl_calloc((size_t)s->scale.n, sizeof *scale);
    *state = NULL;
    if (!scale)
        return ldl_oom(err);
    int status = ldl_view_read_all(&s->scale, k, scale, err);
    if (status) {
        ldl_free(scale);
        return status;
    }
    *state = scale;
    return 0;
}

static void end(const struct ldl_view *v, void *state)
{
    (void)v;
    ldl_free(state);
}

static const struct ldl_view_ops ops = {
    .name = "fp8",
    .read = read_scaled,
    .state_bytes = state_bytes,
    .begin = begin,
    .end = end,
};

/* ---- do a weight and its scales fit? ---- */

static uint64_t blocks(uint64_t dim, uint64_t block)
{
    return dim / block + (dim % block != 0);
}

/* Fills in step and stride; 0 when the shapes do not fit. block: of the last two dims. */
static int fit(struct scaled *s, const uint64_t block[2])
{
    const struct ldl_view *w = &s->weight, *c = &s->scale;
    uint64_t stride = 1;
    s->ndim = w->ndim;
    if (c->n == 1 || w->ndim == 0)
        return c->n == 1;
    s->cols = w->dim[w->ndim - 1];
    if (c->ndim > w->ndim || c->n == 0)
        return 0;
    for (int d = w->ndim; d-- > 0;) {
        uint64_t dim = w->dim[d], have = d < c->ndim ? c->dim[d] : 1;
        uint64_t size = d == w->ndim - 1 ? block[1] : d == w->ndim - 2 ? block[0] : 0;
        if (have == 1)
            s->step[d] = LDL_MAX(dim, (uint64_t)1);
        else if (have == dim)
            s->step[d] = 1;
        else if (size && have == blocks(dim, size))
            s->step[d] = size;
        else
            return 0;
        s->stride[d] = stride;
        stride *= have;
    }
    return 1;
}

static int fail_fit(const struct scaled *s, const uint64_t block[2], struct ldl_err *err)
{
    char weight[200], scale[200];
    return ldl_fail(
        err, LDL_EINPUT,
        "%s: the scales '%.200s' %s do not fit '%.200s' %s, neither as one, nor by rows, "
        "nor in blocks of %llu x %llu (weight_block_size in config.json says another "
        "size)",
        s->scale.file->path, s->scale.name, ldl_shape_text(scale, s->scale.dim, s->scale.ndim),
        s->weight.name, ldl_shape_text(weight, s->weight.dim, s->weight.ndim),
        (unsigned long long)block[0], (unsigned long long)block[1]);
}

/* ---- which tensors belong together ---- */

struct joiner {
    struct ldl_model *m;
    struct ldl_err *err;
    unsigned char *keep; /* of each view: it stays in the list */
    uint64_t block[2];   /* as config.json says, else 128 x 128 */
    int quantized;       /* config.json has a quantization_config */
    enum ldl_dtype dtype;
    size_t joined;
    const struct ldl_view *bare; /* the first FP8 tensor without scales */
    struct ldl_buf name;
};

static const char *const scale_suffixes[] = { "_scale_inv", "_scale" };
/* Of activations and caches; they mean nothing to weights that are no FP8 any more. */
static const char *const activation_suffixes[] = {
    ".input_scale", ".activation_scale", ".output_scale", ".q_scale",       ".k_scale",
    ".v_scale",     ".kv_scale",         ".prob_scale",   ".input_scale_ub"
};

static struct ldl_view *find(const struct ldl_model *m, const char *name)
{
    const struct ldl_view *v = ldl_model_find(m, name);
    return v ? &m->view[v - m->view] : NULL;
}

/* The scales of the weight v, or NULL. */
static int find_scale(struct joiner *j, const struct ldl_view *v, struct ldl_view **scale)
{
    *scale = NULL;
    for (size_t i = 0; i < LDL_COUNT(scale_suffixes); i++) {
        ldl_buf_reset(&j->name);
        ldl_buf_printf(&j->name, "%s%s", v->name, scale_suffixes[i]);
        if (j->name.failed)
            return ldl_oom(j->err);
        struct ldl_view *found = find(j->m, j->name.text);
        if (found && *scale)
            return ldl_fail(j->err, LDL_EINPUT,
                            "%s: '%.200s' has two scales, '%.200s' and '%.200s'", v->file->path,
                            v->name, (*scale)->name, found->name);
        if (found)
            *scale = found;
    }
    if (*scale && !ldl_dtype_is_float((*scale)->stored->dtype))
        return ldl_fail(
            j->err, LDL_EINPUT, "%s: the scales '%.200s' are %s, which is no float type",
            (*scale)->file->path, (*scale)->name, ldl_dtype_name((*scale)->stored->dtype));
    return 0;
}

static int compose(struct joiner *j, struct ldl_view *v, const struct ldl_view *scale)
{
    struct scaled *s = ldl_calloc(1, sizeof *s);
    if (!s)
        return ldl_oom(j->err);
    ldl_view_stored(&s->weight, v->file, v->stored);
    ldl_view_stored(&s->scale, scale->file, scale->stored);
    if (!fit(s, j->block)) {
        int status = fail_fit(s, j->block, j->err);
        ldl_free(s);
        return status;
    }
    int status = ldl_model_own(j->m, s, ldl_free, j->err);
    if (status)
        return status;
    v->ops = &ops;
    v->dtype = j->dtype;
    v->made_of = s;
    v->raw = 0;
    return 0;
}

static int join_weights(struct joiner *j)
{
    struct ldl_model *m = j->m;
    for (size_t i = 0; i < m->nviews; i++) {
        struct ldl_view *v = m->by_name[i], *scale;
        int status;
        if (!ldl_fp8_is(v) || !j->keep[v - m->view])
            continue;
        if ((status = find_scale(j, v, &scale)))
            return status;
        if (!scale) {
            if (!j->bare)
                j->bare = v;
            continue;
        }
        if ((status = compose(j, v, scale)))
            return status;
        j->keep[scale - m->view] = 0;
        j->joined++;
    }
    return 0;
}

/* ---- what is left ---- */

static int fail_orphan(const struct joiner *j, const struct ldl_view *v, const char *weight)
{
    const struct ldl_view *w = ldl_model_find(j->m, weight);
    if (!w)
        return ldl_fail(j->err, LDL_EINPUT, "%s: '%.200s' has no weight; '%.200s' is missing",
                        v->file->path, v->name, weight);
    return ldl_fail(j->err, LDL_EINPUT,
                    "%s: '%.200s' stands beside '%.200s', which is %s and not FP8", v->file->path,
                    v->name, weight, ldl_dtype_name(w->stored->dtype));
}

/* Scales that no weight took, and scales of activations. */
static int check_rest(struct joiner *j)
{
    const struct ldl_model *m = j->m;
    for (size_t i = 0; i < m->nviews; i++) {
        const struct ldl_view *v = m->by_name[i];
        unsigned char *keep = &j->keep[v - m->view];
        for (size_t a = 0; a < LDL_COUNT(activation_suffixes) && j->joined; a++)
            if (ldl_has_suffix(v->name, activation_suffixes[a]))
                *keep = 0;
        for (size_t a = 0; a < LDL_COUNT(scale_suffixes) && *keep; a++) {
            size_t len = strlen(v->name), cut = strlen(scale_suffixes[a]);
            if (!ldl_has_suffix(v->name, scale_suffixes[a]))
                continue;
            ldl_buf_reset(&j->name);
            ldl_buf_put(&j->name, v->name, len - cut);
            if (j->name.failed)
                return ldl_oom(j->err);
            if (ldl_has_suffix(j->name.text, ".weight"))
                return fail_orphan(j, v, j->name.text);
        }
    }
    if (j->bare && j->joined && j->quantized)
        return ldl_fail(j->err, LDL_EINPUT,
                        "%s: '%.200s' is %s but has no scales, while other tensors have; the "
                        "checkpoint is incomplete",
                        j->bare->file->path, j->bare->name, ldl_dtype_name(j->bare->dtype));
    return 0;
}

/* By the name's module: what is before its last dot, the dot included. */
static size_t module_len(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot + 1 - name) : 0;
}

static int by_module(const void *a, const void *b)
{
    const struct ldl_view *const *x = a, *const *y = b;
    size_t n = module_len((*x)->name), m = module_len((*y)->name);
    int order = memcmp((*x)->name, (*y)->name, LDL_MIN(n, m));
    return order ? order : n < m ? -1 : n > m;
}

/* A tensor beside an FP8 weight that looks like scales or zero points, but in no form that is
 * known: without it the numbers would be wrong, and nobody would see that. */
static int check_neighbours(struct joiner *j)
{
    const struct ldl_model *m = j->m;
    const struct ldl_view **fp8 = ldl_calloc(m->nviews, sizeof *fp8);
    size_t n = 0;
    int status = 0;
    if (!fp8)
        return ldl_oom(j->err);
    for (size_t i = 0; i < m->nviews; i++)
        if (ldl_fp8_is(&m->view[i]) && module_len(m->view[i].name))
            fp8[n++] = &m->view[i];
    qsort(fp8, n, sizeof *fp8, by_module);
    for (size_t i = 0; i < m->nviews && status == 0; i++) {
        const struct ldl_view *v = m->by_name[i], **beside;
        const char *last = v->name + module_len(v->name);
        if (ldl_fp8_is(v) || !j->keep[v - m->view] ||
            !(strstr(last, "scale") || strstr(last, "zero_point")))
            continue;
        if ((beside = bsearch(&v, fp8, n, sizeof *fp8, by_module)))
            status =
                ldl_fail(j->err, LDL_EINPUT,
                         "%s: '%.200s' stands beside '%.200s', which is FP8; what it means for it "
                         "is not known here",
                         v->file->path, v->name, (*beside)->name);
    }
    ldl_free(fp8);
    return status;
}

/* ---- config.json ---- */

static int read_config(struct joiner *j)
{
    struct ldl_buf text = { 0 };
    uint64_t block[2] = { 0, 0 };
    char *path = ldl_path_join(j->m->dir, "config.json");
    int status = 0;
    if (!path)
        status = ldl_oom(j->err);
    else if (ldl_exists(path)) {
        status = ldl_read_file(path, CONFIG_MAX_BYTES, &text, j->err);
        if (status == 0)
            status = ldl_config_get_quantization(text.text, text.len, path, &j->quantized, block,
                                                 j->err);
    }
    j->block[0] = block[0] ? block[0] : LDL_FP8_BLOCK;
    j->block[1] = block[1] ? block[1] : LDL_FP8_BLOCK;
    ldl_buf_free(&text);
    ldl_free(path);
    return status;
}

enum ldl_dtype ldl_fp8_unpacked(const struct ldl_model *m)
{
    enum ldl_dtype t = m->dtype_word ? ldl_dtype_from_word(m->dtype_word) : LDL_DTYPES;
    int wide = t == LDL_F64 || t == LDL_F32 || t == LDL_F16 || t == LDL_BF16;
    return wide ? t : LDL_BF16;
}

static int join(struct joiner *j)
{
    int status;
    if ((status = read_config(j)) || (status = join_weights(j)) || (status = check_rest(j)) ||
        (status = check_neighbours(j)))
        return status;
    ldl_model_filter(j->m, j->keep);
    j->m->fp8 = j->joined > 0;
    return 0;
}

int ldl_fp8_join(struct ldl_model *m, struct ldl_err *err)
{
    struct joiner j = { .m = m, .err = err, .dtype = ldl_fp8_unpacked(m) };
    size_t i = 0;
    while (i < m->nviews && !ldl_fp8_is(&m->view[i]))
        i++;
    if (i == m->nviews)
        return 0;
    if (!(j.keep = ldl_alloc(m->nviews)))
        return ldl_oom(err);
    memset(j.keep, 1, m->nviews);
    int status = join(&j);
    ldl_free(j.keep);
    ldl_buf_free(&j.name);
    return status;
}
