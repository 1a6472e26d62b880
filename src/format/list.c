/* list.c -- the table of containers, made from list.def, and the one way to open any of them.
 *
 * A file belongs to the first format that recognizes its first bytes; when none does, to the first
 * that claims its name, so that what is wrong with it is said in that format's words. Whatever a format's open() leaves
 * behind when it fails is released here, so that members have one way out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format.h"

#include <string.h>
#include <unistd.h>

#define LDL_FORMAT(member) extern const struct ldl_format ldl_format_##member;
#include "format/list.def"
#undef LDL_FORMAT

#define LDL_FORMAT(member) &ldl_format_##member,
const struct ldl_format *const ldl_formats[] = {
#include "format/list.def"
    NULL
};
#undef LDL_FORMAT

static int fail_unknown(const char *path, struct ldl_err *err)
{
    struct ldl_buf known = { 0 };
    for (size_t i = 0; ldl_formats[i]; i++)
        ldl_buf_printf(&known, "%s%s", i ? ", " : "", ldl_formats[i]->name);
    int status =
        known.failed
            ? ldl_oom(err)
            : ldl_fail(err, LDL_EINPUT, "%s: not a kind of weights file that this build reads (%s)",
                       path, known.text);
    ldl_buf_free(&known);
    return status;
}

const struct ldl_format *ldl_format_find(const char *name)
{
    for (size_t i = 0; ldl_formats[i]; i++)
        if (strcmp(ldl_formats[i]->name, name) == 0)
            return ldl_formats[i];
    return NULL;
}

static int choose_format(struct ldl_file *f, struct ldl_err *err)
{
    unsigned char head[LDL_HEAD_BYTES];
    size_t n = (size_t)LDL_MIN(f->size, (uint64_t)sizeof head);
    int status = ldl_pread(f->fd, f->path, head, n, 0, err);
    if (status)
        return status;
    for (size_t i = 0; ldl_formats[i] && !f->format; i++)
        if (ldl_formats[i]->recognizes && ldl_formats[i]->recognizes(head, n))
            f->format = ldl_formats[i];
    for (size_t i = 0; ldl_formats[i] && !f->format; i++)
        if (ldl_formats[i]->claims(ldl_path_base(f->path)))
            f->format = ldl_formats[i];
    return f->format ? 0 : fail_unknown(f->path, err);
}

int ldl_file_open(struct ldl_file *f, const char *path, struct ldl_err *err)
{
    *f = (struct ldl_file){ .fd = -1 };
    int status = 0;
    if (!(f->path = ldl_strdup(path)))
        status = ldl_oom(err);
    if (status == 0)
        status = ldl_open_read(path, &f->fd, &f->size, err);
    if (status == 0)
        status = choose_format(f, err);
    if (status == 0)
        status = f->format->open(f, err);
    if (status)
        ldl_file_close(f);
    return status;
}

void ldl_file_close(struct ldl_file *f)
{
    if (!f)
        return;
    /* a zeroed struct was never opened: its 0 is not a descriptor */
    if (f->path && f->fd >= 0)
        close(f->fd);
    for (size_t i = 0; i < f->ntensors; i++) {
        ldl_free(f->tensor[i].name);
        ldl_free(f->tensor[i].mark);
    }
    ldl_free(f->tensor);
    ldl_names_free(&f->note);
    ldl_free(f->path);
    *f = (struct ldl_file){ .fd = -1 };
}
