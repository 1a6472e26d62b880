/* paddle_rows.c -- the table of flags of the paddle language: the general flags, written here,
 * around the parameters of the parts, which are the parts' own rows, and ladle's own (own.c).
 *
 * A part belongs to the language when a named method of the language uses it, so a part that is
 * added for another language adds no flag here. Parts that share a parameter share its name, type,
 * range and default (a test holds them to it); its row is then taken from the first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/paddle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct ldl_row models[] = {
    LDL_ROW_TEXT("model_path_list", LDL_T_TEXTS, "MODEL ...", NULL,
         "the models, two or more: directories, or names in the local Hugging Face cache"),
    LDL_ROW_TEXT("model_path_str", LDL_T_TEXT, "A,B,...", NULL,
         "the same with commas between; takes the place of model_path_list"),
    LDL_ROW_TEXT("base_model_path", LDL_T_TEXT, "MODEL", NULL,
         "the model that all of them were tuned from; what is merged then is the change from it"),
    LDL_ROW_TEXT("lora_model_path", LDL_T_TEXT, "ADAPTER", NULL,
         "a LoRA adapter, merged into base_model_path; no other models are merged then"),
    LDL_ROW_TEXT("merge_prefix", LDL_T_TEXT, "WORD", "model",
         "weights to read: model, or master_weights (any other word reads these too and names the "
         "output); also accepted as merge_preifx"),
    { LDL_ROW_PARAM("merge_preifx", LDL_T_TEXT, 0, 0, NULL, NULL, "see merge_prefix"), NULL,
      "merge_prefix", 0 },
};

/* The choices of the first three are filled in: names of methods, combiners, sparsifiers. */
static const struct ldl_row methods[] = {
    LDL_ROW_WORD("merge_method", NULL, NULL,
         "how to merge; when not given, merge_type and sparsify_type say it"),
    LDL_ROW_WORD("merge_type", NULL, "linear",
         "how the models are combined; beside merge_method it is ignored"),
    LDL_ROW_WORD("sparsify_type", NULL, NULL,
         "what is dropped from each model's change first, nothing when not given; beside "
         "merge_method it is ignored"),
    LDL_ROW_WORD("tensor_type", "np|pd", "np", "accepted; the results of both are the same here"),
};
enum { NAMED = 3 };

static const struct ldl_row output[] = {
    LDL_ROW_TEXT("output_path", LDL_T_TEXT, "DIR", NULL,
         "the directory to make; must not exist, or be empty"),
    LDL_ROW_NUMBER("n_process", LDL_T_INT, 1, 99999, "1", 1, "number of output shards"),
    LDL_ROW_TEXT("copy_file_list", LDL_T_TEXTS, "FILE ...", NULL,
         "files to copy from the base, or first, model; when not given: configuration, tokenizer "
         "and the like"),
};

static const struct ldl_row running[] = {
    LDL_ROW_WORD("device", "cpu|gpu|low_gpu_mem", "cpu", "where to compute"),
    LDL_ROW_NUMBER("seed", LDL_T_INT, 0, 0x1p63, "0", 1, "of the methods that draw random numbers"),
    LDL_ROW_NUMBER("split_pieces", LDL_T_INT, 1, 0x1p62, "8", 1, "accepted; never changes a result here"),
    LDL_ROW_NUMBER("max_tensor_mem", LDL_T_DOUBLE, 0, 1e18, "0.5", 1,
           "accepted; never changes a result here"),
};
/* clang-format on */

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
        assert(f->n < LDL_MAX_FLAGS);
        f->flag[f->n++] = (struct ldl_flag){ .param = p, .group = t->heading[i], .recorded = 1 };
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
    ldl_rows_add(&t->flags, "Models", models, LDL_COUNT(models));
    ldl_rows_add(&t->flags, "Method", methods, LDL_COUNT(methods));
    for (size_t i = 0; i < NAMED; i++)
        t->flags.flag[t->flags.n - LDL_COUNT(methods) + i].param = &t->named[i];
    add_parts(t);
    ldl_rows_add(&t->flags, "Output", output, LDL_COUNT(output));
    ldl_own_output(&t->flags, "Output");
    ldl_rows_add(&t->flags, "Running", running, LDL_COUNT(running));
    ldl_own_running(&t->flags, "Running");
}
