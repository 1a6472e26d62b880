/* err.h -- one error, one line: what failed, where, what to do.
 *
 * Every function that can fail returns an `int` status (0 is success, else one of enum ldl_code)
 * and takes `struct ldl_err *` as its last parameter. The first failure writes the text; layers
 * above may put a context before it with ldl_context(). NULL is allowed: the status still tells.
 * The status is also the exit code of the program, so the numbers are part of the interface.
 * No thread shares an ldl_err with another. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_ERR_H
#define LDL_BASE_ERR_H

enum ldl_code {
    LDL_OK = 0,
    LDL_EIO = 1,     /* reading, writing or memory failed, or a bug of ours */
    LDL_EUSAGE = 2,  /* a flag or a recipe asks for something that is wrong */
    LDL_EDEVICE = 3, /* the device asked for is not there */
    LDL_EINPUT = 4,  /* an input checkpoint is missing, damaged or does not fit the others */
    LDL_EOUTPUT = 5, /* the output place is refused: not empty, in use, too small ... */
    LDL_EINTR = 130, /* stopped by a signal */
};

struct ldl_err {
    int code;
    char text[2048];
};

/* Records a failure (code, formatted text without a final newline) and returns the code. */
int ldl_fail(struct ldl_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As ldl_fail(), with ": " and the message of `errnum` after the text. */
int ldl_fail_errno(struct ldl_err *err, int code, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts a formatted context and ": " before the recorded text; returns the recorded code. */
int ldl_context(struct ldl_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The failure of an allocation: one wording everywhere. */
int ldl_oom(struct ldl_err *err);

#endif
