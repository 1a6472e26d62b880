/* match.c -- do the models fit together? Same tensors, same shapes, types that can be merged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/match.h"

#include <string.h>

/* Names of a that b lacks: the first one, and how many. Both lists are sorted. */
static size_t count_missing(const struct ldl_model *a, const struct ldl_model *b,
                            const char **first)
{
    size_t missing = 0, j = 0;
    for (size_t i = 0; i < a->nviews; i++) {
        const char *name = a->by_name[i]->name;
        while (j < b->nviews && strcmp(b->by_name[j]->name, name) < 0)
            j++;
        if (j < b->nviews && strcmp(b->by_name[j]->name, name) == 0)
            continue;
        if (missing++ == 0)
            *first = name;
    }
    return missing;
}

static int fail_missing(const struct ldl_model *has, const struct ldl_model *lacks,
                        const char *name, size_t n, size_t other_way, struct ldl_err *err)
{
    char more[64] = "", other[96] = "";
    if (n > 1)
        snprintf(more, sizeof more, " (and %zu more)", n - 1);
    if (other_way)
        snprintf(other, sizeof other, ", and %zu the other way round", other_way);
    return ldl_fail(err, LDL_EINPUT,
                    "%s: tensor %s%s is missing, which %s has%s; all models must have the same "
                    "tensors",
                    lacks->asked, name, more, has->asked, other);
}

static int same_names(const struct ldl_model *a, const struct ldl_model *b, struct ldl_err *err)
{
    const char *of_a = NULL, *of_b = NULL;
    size_t b_lacks = count_missing(a, b, &of_a), a_lacks = count_missing(b, a, &of_b);
    if (b_lacks)
        return fail_missing(a, b, of_a, b_lacks, a_lacks, err);
    return a_lacks ? fail_missing(b, a, of_b, a_lacks, 0, err) : 0;
}

/* Whether two views of one name can be merged; text of the difference into why. */
static int differ(const struct ldl_view *a, const struct ldl_view *b, char *why, size_t size)
{
    char sa[200], sb[200];
    if (a->ndim != b->ndim || memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->ndim) != 0) {
        snprintf(why, size, "shape %s in %%s, but %s in %%s", ldl_shape_text(sa, a->dim, a->ndim),
                 ldl_shape_text(sb, b->dim, b->ndim));
        return 1;
    }
    int fa = ldl_dtype_is_float(a->dtype), fb = ldl_dtype_is_float(b->dtype);
    if ((fa && fb) || a->dtype == b->dtype)
        return 0;
    snprintf(why, size, "type %s in %%s, but %s in %%s", ldl_dtype_name(a->dtype),
             ldl_dtype_name(b->dtype));
    return 1;
}

static int same_tensors(const struct ldl_model *a, const struct ldl_model *b, struct ldl_err *err)
{
    char why[600], first[600] = "";
    const char *name = NULL;
    size_t n = 0;
    for (size_t i = 0; i < a->nviews; i++) {
        if (!differ(a->by_name[i], b->by_name[i], why, sizeof why))
            continue;
        if (n++ == 0) {
            name = a->by_name[i]->name;
            memcpy(first, why, sizeof first);
        }
    }
    if (n == 0)
        return 0;
    /* `first` holds two %s for the models' names, which may hold anything: fill them by hand. */
    char *one = strstr(first, "%s"), *two = strstr(one + 2, "%s"), more[64] = "";
    *one = *two = 0;
    if (n > 1)
        snprintf(more, sizeof more, " (%zu more tensor%s)", n - 1, n > 2 ? "s differ" : " differs");
    return ldl_fail(err, LDL_EINPUT,
                    "tensor %s: %s%s%s%s%s; models must have equal shapes and types", name, first,
                    a->asked, one + 2, b->asked, more);
}

int ldl_match_pair(const struct ldl_view *a, const struct ldl_model *of_a, const struct ldl_view *b,
                   const struct ldl_model *of_b, struct ldl_err *err)
{
    char why[600];
    if (!differ(a, b, why, sizeof why))
        return 0;
    char *one = strstr(why, "%s"), *two = strstr(one + 2, "%s");
    *one = *two = 0;
    return ldl_fail(err, LDL_EINPUT, "tensor %s: %s%s%s%s; models must have equal shapes and types",
                    a->name, why, of_a->asked, one + 2, of_b->asked);
}

int ldl_match(const struct ldl_model *model, size_t n, struct ldl_err *err)
{
    for (size_t i = 1; i < n; i++) {
        int rc = same_names(&model[0], &model[i], err);
        if (rc == 0)
            rc = same_tensors(&model[0], &model[i], err);
        if (rc)
            return rc;
    }
    return 0;
}
