/* gather.h -- bytes of stored tensors that do not lie side by side in the file (format.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_GATHER_H
#define LDL_MODEL_GATHER_H

#include "format/format.h"

/* Elements [first, first + n) of the strided tensor t, in row-major order, into to. */
int ldl_gather_strided(const struct ldl_file *f, const struct ldl_stored *t, uint64_t first,
                       uint64_t n, unsigned char *to, struct ldl_err *err);
/* Bytes [first, first + n) of the tensor t, which is kept as text with marks, into to. Text that is
 * not what it was when the marks were made is LDL_EINPUT. */
int ldl_gather_text(const struct ldl_file *f, const struct ldl_stored *t, uint64_t first, size_t n,
                    unsigned char *to, struct ldl_err *err);

#endif
