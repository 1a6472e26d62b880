/* err.c -- see err.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A file name may hold a newline or an escape: what reaches the user stays one harmless line. */
static void sanitize(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

static void record(struct ldl_err *err, int code, const char *fmt, va_list ap)
{
    err->code = code;
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    sanitize(err->text);
}

int ldl_fail(struct ldl_err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        record(err, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

int ldl_fail_errno(struct ldl_err *err, int code, int errnum, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        record(err, code, fmt, ap);
        va_end(ap);
        size_t at = strlen(err->text);
        char why[128];
        /* glibc's strerror_r may return a constant instead of filling the buffer */
        const char *text = strerror_r(errnum, why, sizeof why);
        snprintf(err->text + at, sizeof err->text - at, ": %s", text);
    }
    return code;
}

int ldl_context(struct ldl_err *err, const char *fmt, ...)
{
    if (!err)
        return LDL_EIO;
    char head[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    sanitize(head);
    char whole[sizeof head + sizeof err->text + 4];
    snprintf(whole, sizeof whole, "%s: %s", head, err->text);
    memcpy(err->text, whole, sizeof err->text - 1);
    err->text[sizeof err->text - 1] = 0;
    return err->code;
}

int ldl_oom(struct ldl_err *err)
{
    return ldl_fail(err, LDL_EIO, "out of memory; free some, or lower --threads or --max_memory");
}
