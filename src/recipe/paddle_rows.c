/* paddle_rows.c -- the table of flags of the paddle language: the general flags, written here,
 * around the parameters of the parts, which are the parts' own rows.
 *
 * A part belongs to the language when a named method of the language uses it, so a part that is
 * added for another language adds no flag here. Parts that share a parameter share its name, type,
 * range and default (a test holds them to it); its row is then taken from the first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/paddle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct row {
    struct ldl_param param;
    const char *metavar, *alias_of;
    int recorded;
};

/* clang-format off */
#define PARAM(name, type, lo, hi, fallback, choices, help) \
    { name, type, 0, lo, hi, fallback, choices, help }
#define TEXT(name, type, metavar, fallback, help) \
    { PARAM(name, type, 0, 0, fallback, NULL, help), metavar, NULL, 1 }
#define WORD(name, choices, fallback, help) \
    { PARAM(name, LDL_T_WORD, 0, 0, fallback, choices, help), NULL, NULL, 1 }
#define NUMBER(name, type, lo, hi, fallback, recorded, help) \
    { PARAM(name, type, lo, hi, fallback, NULL, help), NULL, NULL, recorded }
#define SWITCH(name, fallback, help) \
    { PARAM(name, LDL_T_BOOL, 0, 1, fallback, NULL, help), NULL, NULL, 0 }

static const struct row models[] = {
    TEXT("model_path_list", LDL_T_TEXTS, "MODEL ...", NULL,
         "the models, two or more: directories, or names in the local Hugging Face cache"),
    TEXT("model_path_str", LDL_T_TEXT, "A,B,...", NULL,
         "the same with commas between; takes the place of model_path_list"),
    TEXT("base_model_path", LDL_T_TEXT, "MODEL", NULL,
         "the model that all of them were tuned from; what is merged then is the change from it"),
    TEXT("lora_model_path", LDL_T_TEXT, "MODEL", NULL,
         "a LoRA adapter; refused, this build does not apply adapters yet"),
    TEXT("merge_prefix", LDL_T_TEXT, "WORD", "model",
         "weights to read: model, or master_weights (any other word reads these too and names the "
         "output); also accepted as merge_preifx"),
    { PARAM("merge_preifx", LDL_T_TEXT, 0, 0, NULL, NULL, "see merge_prefix"), NULL,
      "merge_prefix", 0 },
};

/* The choices of the first three are filled in: names of methods, combiners, sparsifiers. */
static const struct row methods[] = {
    WORD("merge_method", NULL, NULL,
         "how to merge; when not given, merge_type and sparsify_type say it"),
    WORD("merge_type", NULL, "linear",
         "how the models are combined; beside merge_method it is ignored"),
    WORD("sparsify_type", NULL, NULL,
         "what is dropped from each model's change first, nothing when not given; beside "
         "merge_method it is ignored"),
    WORD("tensor_type", "np|pd", "np", "accepted; the results of both are the same here"),
};
enum { NAMED = 3 };

static const struct row output[] = {
    TEXT("output_path", LDL_T_TEXT, "DIR", NULL,
         "the directory to make; must not exist, or be empty"),
    NUMBER("n_process", LDL_T_INT, 1, 99999, "1", 1, "number of output shards"),
    TEXT("copy_file_list", LDL_T_TEXTS, "FILE ...", NULL,
         "files to copy from the base, or first, model; when not given: configuration, tokenizer "
         "and the like"),
    TEXT("dtype", LDL_T_TEXT, "DTYPE", NULL,
         "float32, bfloat16, float16 or float64; when not given: that of the base, or first, "
         "model"),
    SWITCH("overwrite", "false", "replace an output directory that is not empty"),
    SWITCH("fsync", "true", "have the data on the disk before the output gets its name"),
};

static const struct row running[] = {
    WORD("device", "cpu|gpu|low_gpu_mem", "cpu", "where to compute"),
    NUMBER("threads", LDL_T_INT, 1, 1024, NULL, 0,
           "threads to work with; when not given: all cores"),
    NUMBER("max_memory", LDL_T_BYTES, 0, 0, NULL, 0, "memory to stay below, as 512M or 2G"),
    NUMBER("seed", LDL_T_INT, 0, 0x1p63, "0", 1, "of the methods that draw random numbers"),
    SWITCH("quiet", "false", "no notes, no progress, no summary"),
    NUMBER("split_pieces", LDL_T_INT, 1, 0x1p62, "8", 1, "accepted; never changes a result here"),
    NUMBER("max_tensor_mem", LDL_T_DOUBLE, 0, 1e18, "0.5", 1,
           "accepted; never changes a result here"),
};
/* clang-format on */

static void add(struct ldl_flags *f, struct ldl_flag flag)
{
    assert(f->n < LDL_MAX_FLAGS);
    f->flag[f->n++] = flag;
}

static void add_rows(struct ldl_flags *f, const char *group, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(f, (struct ldl_flag){ .param = &rows[i].param,
                                  .group = group,
                                  .metavar = rows[i].metavar,
                                  .alias_of = rows[i].alias_of,
                                  .recorded = rows[i].recorded });
}

/* ---- names of methods and parts ---- */

/* Appends a name to "a|b", unless it is there. */
static void add_word(char list[LDL_PADDLE_CHOICES], const char *separator, const char *word)
{
    size_t len = strlen(list);
    if (ldl_choice(list, word) < 0)
        snprintf(list + len, LDL_PADDLE_CHOICES - len, "%s%s", len ? separator : "", word);
}

static void name_choices(struct ldl_paddle_table *t)
{
    for (const struct ldl_method *m = ldl_methods; m->name; m++) {
        if (strcmp(m->language, LDL_PADDLE) != 0)
            continue;
        add_word(t->choices[0], "|", m->name);
        add_word(t->choices[1], "|", m->combiner->name);
        if (m->sparsifier)
            add_word(t->choices[2], "|", m->sparsifier->name);
    }
    for (size_t i = 0; i < NAMED; i++) {
        t->named[i] = methods[i].param;
        t->named[i].choices = t->choices[i];
    }
}

/* ---- the parts' parameters ---- */

static void add_param(struct ldl_paddle_table *t, const struct ldl_param *p, const char *part)
{
    struct ldl_flags *f = &t->flags;
    size_t i = t->first_part;
    while (i < f->n && strcmp(f->flag[i].param->name, p->name) != 0)
        i++;
    if (i == f->n) {
        snprintf(t->heading[i], sizeof t->heading[i], "Parameters of %s", part);
        add(f, (struct ldl_flag){ .param = p, .group = t->heading[i], .recorded = 1 });
    } else {
        size_t len = strlen(t->heading[i]);
        snprintf(t->heading[i] + len, sizeof t->heading[i] - len, ", %s", part);
    }
}

static void add_parts(struct ldl_paddle_table *t)
{
    t->first_part = t->flags.n;
    for (size_t c = 0; ldl_combiners[c]; c++)
        for (size_t i = 0; i < ldl_combiners[c]->nparams; i++)
            if (ldl_choice(t->choices[1], ldl_combiners[c]->name) >= 0)
                add_param(t, &ldl_combiners[c]->param[i], ldl_combiners[c]->name);
    for (size_t s = 0; ldl_sparsifiers[s]; s++)
        for (size_t i = 0; i < ldl_sparsifiers[s]->nparams; i++)
            if (ldl_choice(t->choices[2], ldl_sparsifiers[s]->name) >= 0)
                add_param(t, &ldl_sparsifiers[s]->param[i], ldl_sparsifiers[s]->name);
    t->end_part = t->flags.n;
}

void ldl_paddle_table(struct ldl_paddle_table *t)
{
    memset(t, 0, sizeof *t);
    name_choices(t);
    add_rows(&t->flags, "Models", models, LDL_COUNT(models));
    add_rows(&t->flags, "Method", methods, LDL_COUNT(methods));
    for (size_t i = 0; i < NAMED; i++)
        t->flags.flag[t->flags.n - LDL_COUNT(methods) + i].param = &t->named[i];
    add_parts(t);
    add_rows(&t->flags, "Output", output, LDL_COUNT(output));
    add_rows(&t->flags, "Running", running, LDL_COUNT(running));
}
