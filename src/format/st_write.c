/* st_write.c -- the header of a safetensors file that is about to be written.
 *
 * The layout is safetensors.c's. The data follow each other in the order of the entries without
 * gaps; the JSON is padded with blanks so that they begin at a multiple of 8, as the format's
 * own writer does. The same entries give the same bytes, on any machine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/safetensors.h"

#include <string.h>

enum { HEADER_MAX = 100000000, LENGTH_BYTES = 8, ALIGN = 8 };

static void put_entry(struct ldl_buf *out, const struct ldl_entry *e, uint64_t begin, uint64_t end)
{
    ldl_buf_puts(out, ",");
    ldl_buf_json(out, e->name);
    ldl_buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", ldl_dtype_tag(e->dtype));
    for (int i = 0; i < e->ndim; i++)
        ldl_buf_printf(out, "%s%llu", i ? "," : "", (unsigned long long)e->dim[i]);
    ldl_buf_printf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                   (unsigned long long)end);
}

int ldl_safetensors_layout(struct ldl_buf *out, struct ldl_entry *entry, size_t n,
                           const struct ldl_layout *how, uint64_t *bytes, struct ldl_err *err)
{
    uint64_t begin = 0, end;
    ldl_buf_reset(out);
    ldl_buf_put(out, "\0\0\0\0\0\0\0\0", LENGTH_BYTES);
    ldl_buf_puts(out, "{\"__metadata__\":{\"format\":");
    ldl_buf_json(out, how->metadata_format);
    ldl_buf_puts(out, "}");
    for (size_t i = 0; i < n; i++, begin = end) {
        if (strcmp(entry[i].name, "__metadata__") == 0)
            return ldl_fail(err, LDL_EINPUT,
                            "a tensor is called '__metadata__', which safetensors keeps for "
                            "itself; give it another name");
        if (ldl_add(begin, entry[i].bytes, &end) || end > INT64_MAX)
            return ldl_fail(err, LDL_EOUTPUT, "tensor '%.200s': the file would be too large",
                            entry[i].name);
        entry[i].offset = begin;
        put_entry(out, &entry[i], begin, end);
    }
    ldl_buf_puts(out, "}");
    while (!out->failed && out->len % ALIGN)
        ldl_buf_puts(out, " ");
    if (out->failed)
        return ldl_oom(err);
    if (out->len - LENGTH_BYTES > HEADER_MAX)
        return ldl_fail(err, LDL_EOUTPUT,
                        "the header of one output file would be %zu bytes, at most %d are allowed; "
                        "write more files",
                        out->len - LENGTH_BYTES, HEADER_MAX);
    for (int i = 0; i < LENGTH_BYTES; i++)
        out->text[i] = (char)((uint64_t)(out->len - LENGTH_BYTES) >> (8 * i));
    for (size_t i = 0; i < n; i++)
        entry[i].offset += out->len;
    *bytes = out->len + begin;
    return 0;
}
