/* stored.h -- arithmetic on a tensor's shape and strides that several containers need. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_STORED_H
#define LDL_FORMAT_STORED_H

#include "format/format.h"

/* t->n and t->bytes from dtype and shape. Without file and name in the message. */
int ldl_stored_extent(struct ldl_stored *t, struct ldl_err *err);
/* Do the strides say row-major without gaps? Dimensions of one index may have any; they get 0.
 * After ldl_stored_extent(). */
int ldl_stored_is_plain(struct ldl_stored *t);

#endif
