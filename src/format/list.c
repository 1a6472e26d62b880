/* list.c -- the table of containers, made from list.def, and the one way to open any of them.
 *
 * A file belongs to the first format that claims its name. Whatever a format's open() leaves
 * behind when it fails is released here, so that members have one way out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/format.h"
#include "base/io.h"

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

int ldl_file_open(struct ldl_file *f, const char *path, struct ldl_err *err)
{
    *f = (struct ldl_file){ .fd = -1 };
    for (size_t i = 0; ldl_formats[i] && !f->format; i++)
        if (ldl_formats[i]->claims(ldl_path_base(path)))
            f->format = ldl_formats[i];
    if (!f->format)
        return fail_unknown(path, err);
    int status = 0;
    if (!(f->path = ldl_strdup(path)))
        status = ldl_oom(err);
    if (status == 0)
        status = ldl_open_read(path, &f->fd, &f->size, err);
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
    for (size_t i = 0; i < f->ntensors; i++)
        ldl_free(f->tensor[i].name);
    ldl_free(f->tensor);
    ldl_free(f->path);
    *f = (struct ldl_file){ .fd = -1 };
}
