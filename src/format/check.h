/* check.h -- what every container checks in the same way. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_CHECK_H
#define LDL_FORMAT_CHECK_H

#include "format/format.h"

/* No two tensors of the file have one name. */
int ldl_check_names(const struct ldl_file *f, struct ldl_err *err);
/* For qsort: by offset; of those without bytes, which may share a place, by name. */
int ldl_stored_by_place(const void *a, const void *b);

#endif
