/* safetensors.h -- what safetensors.c (reading) and st_write.c (writing) share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_FORMAT_SAFETENSORS_H
#define LDL_FORMAT_SAFETENSORS_H

#include "format/format.h"

/* The header of a safetensors file that holds the entries in this order, data back to back,
 * metadata {"format": how->metadata_format}, padded with blanks so that data starts at a multiple of
 * 8. See ldl_format.layout. */
int ldl_safetensors_layout(struct ldl_buf *header, struct ldl_entry *entry, size_t n,
                           const struct ldl_layout *how, uint64_t *bytes, struct ldl_err *err);

#endif
