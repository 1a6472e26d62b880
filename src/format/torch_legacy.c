/* torch_legacy.c -- the reader of what torch.save wrote before 1.6 (and still does when asked to).
 *
 *     pickle   0x1950a86a20f9469cfc6c, the magic number
 *     pickle   1001, the version
 *     pickle   {"little_endian": True, ...}
 *     pickle   the object; storages are persistent ids (torch_dict.h)
 *     pickle   [KEY, ...]
 *     then for each KEY, in this order:  int64 elements | the elements
 *
 * How long an element is, only the persistent id tells; so they are collected before the walk over
 * the storages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_dict.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1001, LENGTH_BYTES = 8 };

struct storage {
    const char *key;
    uint64_t unit, n; /* bytes of an element, elements, as the persistent ids say */
    uint64_t offset;  /* of the elements; 0: not met yet */
};

struct legacy {
    struct ldl_file *f;
    struct ldl_pickle object;
    struct storage *storage; /* sorted by key */
    size_t n;
    uint64_t at; /* the next byte of the file */
};

/* ---- the pickles ---- */

static int next_pickle(struct legacy *l, struct ldl_pickle *p, struct ldl_err *err)
{
    struct ldl_pickle_source source = {
        .fd = l->f->fd,
        .path = l->f->path,
        .start = l->at,
        .limit = l->f->size,
        .known = ldl_torch_names,
        .why = ldl_torch_why,
    };
    int status = ldl_pickle_read(p, &source, err);
    if (status == 0)
        l->at = p->end;
    return status;
}

static int check_version(struct legacy *l, struct ldl_err *err)
{
    struct ldl_pickle p = { 0 };
    uint64_t version = 0;
    int status = next_pickle(l, &p, err);
    if (status == 0 && (ldl_pickle_u64(&p, p.root, &version) || version != VERSION))
        status = ldl_fail(err, LDL_EINPUT, "%s: torch's older form in version %llu, not %d",
                          l->f->path, (unsigned long long)version, VERSION);
    ldl_pickle_free(&p);
    return status;
}

static int check_system(struct legacy *l, struct ldl_err *err)
{
    struct ldl_pickle p = { 0 };
    struct ldl_pickle_entry *e = NULL;
    size_t n = 0;
    int little = 0, status = next_pickle(l, &p, err);
    if (status == 0 && ldl_pickle_at(&p, p.root)->kind == LDL_PY_DICT)
        status = ldl_pickle_entries(&p, p.root, &e, &n, err);
    for (size_t i = 0; i < n; i++)
        if (e[i].name && strcmp(e[i].name, "little_endian") == 0)
            little = ldl_pickle_at(&p, e[i].value)->kind == LDL_PY_BOOL &&
                     ldl_pickle_at(&p, e[i].value)->num;
    if (status == 0 && !little)
        status = ldl_fail(err, LDL_EINPUT,
                          "%s: was not written on a little-endian machine; load it in torch and "
                          "save it again",
                          l->f->path);
    ldl_free(e);
    ldl_pickle_free(&p);
    return status;
}

/* ---- the storages ---- */

static int by_key(const void *a, const void *b)
{
    const struct storage *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static struct storage *find(const struct legacy *l, const char *key)
{
    struct storage wanted = { .key = key };
    return l->n ? bsearch(&wanted, l->storage, l->n, sizeof wanted, by_key) : NULL;
}

/* The storages that the object's persistent ids name, each once. */
static int collect(struct legacy *l, struct ldl_err *err)
{
    size_t kept = 0, cap = 0;
    for (size_t i = 0; i < l->object.nnodes; i++) {
        struct ldl_torch_storage s;
        if (ldl_pickle_at(&l->object, (uint32_t)i)->kind != LDL_PY_PERSID)
            continue;
        int status = ldl_torch_storage_read(&l->object, (uint32_t)i, &s, err);
        if (status) {
            ldl_context(err, "%s: a tensor", l->f->path);
            return status;
        }
        if (ldl_grow(&l->storage, &cap, l->n + 1, sizeof *l->storage))
            return ldl_oom(err);
        l->storage[l->n++] = (struct storage){ .key = s.key, .unit = s.unit, .n = s.root };
    }
    if (l->n)
        qsort(l->storage, l->n, sizeof *l->storage, by_key);
    for (size_t i = 0; i < l->n; i++) {
        const struct storage *s = &l->storage[i], *before = kept ? &l->storage[kept - 1] : NULL;
        if (!before || strcmp(before->key, s->key) != 0)
            l->storage[kept++] = *s;
        else if (before->unit != s->unit || before->n != s->n)
            return ldl_fail(err, LDL_EINPUT, "%s: storage '%.40s' has two types or sizes",
                            l->f->path, s->key);
    }
    l->n = kept;
    return 0;
}

/* The storage at l->at. */
static int walk_one(struct legacy *l, const char *key, struct ldl_err *err)
{
    unsigned char raw[LENGTH_BYTES];
    uint64_t n = 0, left = l->f->size - l->at;
    struct storage *s = key ? find(l, key) : NULL;
    if (!s || s->offset)
        return ldl_fail(err, LDL_EINPUT, "%s: storage '%.40s' is %s", l->f->path, key ? key : "?",
                        s ? "there twice" : "listed, but no tensor uses it");
    if (left < sizeof raw || s->n * s->unit > left - sizeof raw)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: truncated: storage '%.40s' of %llu bytes is not whole; fetch or copy "
                        "it again",
                        l->f->path, key, (unsigned long long)(s->n * s->unit));
    int status = ldl_pread(l->f->fd, l->f->path, raw, sizeof raw, l->at, err);
    for (int i = LENGTH_BYTES; i-- > 0;)
        n = n << 8 | raw[i];
    if (status == 0 && n != s->n)
        status =
            ldl_fail(err, LDL_EINPUT, "%s: storage '%.40s' has %llu elements, the pickle says %llu",
                     l->f->path, key, (unsigned long long)n, (unsigned long long)s->n);
    s->offset = l->at + sizeof raw;
    l->at = s->offset + s->n * s->unit;
    return status;
}

static int walk_storages(struct legacy *l, struct ldl_err *err)
{
    struct ldl_pickle keys = { 0 };
    int status = next_pickle(l, &keys, err);
    if (status)
        return status;
    const struct ldl_pickle_node *list = ldl_pickle_at(&keys, keys.root);
    if (list->kind != LDL_PY_LIST)
        status = ldl_fail(err, LDL_EINPUT, "%s: the list of storages is missing", l->f->path);
    for (uint32_t c = status == 0 && list->n ? list->first : 0; c && status == 0;
         c = keys.cell[c].next)
        status = walk_one(l, ldl_pickle_text(&keys, keys.cell[c].value), err);
    ldl_pickle_free(&keys);
    return status;
}

static int locate(void *context, const struct ldl_torch_storage *s, struct ldl_torch_place *place,
                  struct ldl_err *err)
{
    const struct storage *found = find(context, s->key);
    if (!found || !found->offset)
        return ldl_fail(err, LDL_EINPUT, "its storage '%.100s' is not in the file", s->key);
    *place = (struct ldl_torch_place){ .offset = found->offset, .bytes = found->n * found->unit };
    return 0;
}

/* ---- the file ---- */

/* It is known by its first bytes; a name alone is torch_zip's, which knows what else to say. */
static int claims(const char *file_name)
{
    (void)file_name;
    return 0;
}

static int open_legacy(struct ldl_file *f, struct ldl_err *err)
{
    struct legacy l = { .f = f };
    struct ldl_pickle magic = { 0 };
    struct ldl_torch_locator where = { .context = &l, .locate = locate };
    int status = next_pickle(&l, &magic, err);
    ldl_pickle_free(&magic);
    if (status == 0 && (status = check_version(&l, err)) == 0 &&
        (status = check_system(&l, err)) == 0 && (status = next_pickle(&l, &l.object, err)) == 0 &&
        (status = collect(&l, err)) == 0 && (status = walk_storages(&l, err)) == 0)
        status = ldl_torch_dict_read(f, &l.object, &where, err);
    ldl_pickle_free(&l.object);
    ldl_free(l.storage);
    return status;
}

const struct ldl_format ldl_format_torch_legacy = {
    .name = "torch_legacy",
    .summary = "what torch.save wrote before 1.6: pickles, then storages",
    .claims = claims,
    .recognizes = ldl_torch_is_legacy,
    .open = open_legacy,
    .ordered = 1,
};
