/* own.c -- see own.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/own.h"

#include <assert.h>
#include <string.h>

/* clang-format off */
static const struct ldl_row output[] = {
    LDL_ROW_TEXT("dtype", LDL_T_TEXT, "DTYPE", NULL,
         "float32, bfloat16, float16, float64, or fp8 (blocks of 128x128 with a scale); q8_0 with "
         "--format gguf; when not given: that of the base, or first, model"),
    LDL_ROW_WORD("format", "safetensors|gguf", "safetensors",
         "container of the output; gguf takes its metadata from the base, or first, model"),
    LDL_ROW_SWITCH("overwrite", "false", "replace an output directory that is not empty"),
    LDL_ROW_SWITCH("fsync", "true", "have the data on the disk before the output gets its name"),
};

static const struct ldl_row running[] = {
    LDL_ROW_NUMBER("threads", LDL_T_INT, 1, 1024, NULL, 0,
           "threads to work with; when not given: all cores"),
    LDL_ROW_NUMBER("max_memory", LDL_T_BYTES, 0, 0, NULL, 0, "memory to stay below, as 512M or 2G"),
    LDL_ROW_SWITCH("quiet", "false", "no notes, no progress, no summary"),
};
/* clang-format on */

void ldl_rows_add(struct ldl_flags *f, const char *group, const struct ldl_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert(f->n < LDL_MAX_FLAGS);
        f->flag[f->n++] = (struct ldl_flag){ .param = &rows[i].param,
                                             .group = group,
                                             .metavar = rows[i].metavar,
                                             .alias_of = rows[i].alias_of,
                                             .recorded = rows[i].recorded };
    }
}

void ldl_own_output(struct ldl_flags *f, const char *group)
{
    ldl_rows_add(f, group, output, LDL_COUNT(output));
}

void ldl_own_running(struct ldl_flags *f, const char *group)
{
    ldl_rows_add(f, group, running, LDL_COUNT(running));
}

static int take_dtype(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    const struct ldl_value *v = ldl_args_find(a, "dtype");
    r->dtype = v ? ldl_dtype_from_word(v->text[0]) : LDL_DTYPES;
    if (v && r->dtype == LDL_DTYPES)
        return ldl_fail(err, LDL_EUSAGE,
                        "%s: '%s' is unknown; use float32, bfloat16, float16, float64, fp8 or q8_0",
                        v->origin, v->text[0]);
    int gguf = strcmp(r->format, "gguf") == 0;
    if (r->dtype == LDL_Q8_0 && !gguf)
        return ldl_fail(err, LDL_EUSAGE, "%s: q8_0 is a type of GGUF files; add --format gguf",
                        v->origin);
    if (gguf && v && (r->dtype == LDL_F8_E4M3 || r->dtype == LDL_F64))
        return ldl_fail(
            err, LDL_EUSAGE,
            "%s: '%s' does not go with --format gguf; use float32, bfloat16, float16 or "
            "q8_0",
            v->origin, v->text[0]);
    return 0;
}

int ldl_own_take(struct ldl_recipe *r, const struct ldl_args *a, struct ldl_err *err)
{
    char word[LDL_FLAG_WORD];
    const struct ldl_value *threads = ldl_args_find(a, "threads");
    const struct ldl_value *memory = ldl_args_find(a, "max_memory");
    r->overwrite = ldl_args_find(a, "overwrite")->num != 0;
    r->durable = ldl_args_find(a, "fsync")->num != 0;
    r->quiet = ldl_args_find(a, "quiet")->num != 0;
    r->threads = threads ? threads->integer : 0;
    r->max_memory_bytes = memory ? (uint64_t)memory->integer : 0;
    if (memory && memory->integer == 0)
        return ldl_fail(err, LDL_EUSAGE, "%s: 0 is too little; write bytes, as 512M or 2G",
                        memory->origin);
    r->format = ldl_strdup(ldl_flag_word(ldl_args_find(a, "format"), word));
    return r->format ? take_dtype(r, a, err) : ldl_oom(err);
}
