/* parts.h -- the steps of ldl_plan_make() that have files of their own, in their order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_PLAN_PARTS_H
#define LDL_PLAN_PARTS_H

#include "plan/plan.h"

/* jobs.c: what is done to each tensor. */
int ldl_plan_jobs(struct ldl_plan *p, struct ldl_err *err);
/* One more job, for which there must be room: in[0 .. m), which the plan keeps, and what is decided
 * about parameters and types. */
int ldl_plan_add_job(struct ldl_plan *p, const struct ldl_view **in, const size_t *from, size_t m,
                     const struct ldl_view *base, const struct ldl_place *at, struct ldl_err *err);
/* whole.c, slices.c: which tensors make which, for whole models and for slices. */
int ldl_plan_whole(struct ldl_plan *p, struct ldl_err *err);
int ldl_plan_slices(struct ldl_plan *p, struct ldl_err *err);
/* Room for jobs of `tensors` tensors (each may get scales). */
int ldl_plan_room(struct ldl_plan *p, size_t tensors, struct ldl_err *err);
/* 0 at the first of n layers, 1 at the last; of one layer 1. */
double ldl_gradient_at(uint64_t k, uint64_t n);
/* Of the tensor in its stack, of which n models know; 0 when it is in none. */
double ldl_gradient_in(const struct ldl_stacks *s, size_t n, const char *name);
/* modules.c: which tensors are of which module, and which stack its slices are of. */
int ldl_plan_modules(struct ldl_plan *p, struct ldl_err *err);
/* The number of the module; SIZE_MAX: of none. */
size_t ldl_plan_module_of(const struct ldl_plan *p, const char *name);
/* The model that says which tensors a module has: the first source of its first slice. */
const struct ldl_model *ldl_plan_lead(const struct ldl_plan *p, size_t module);
/* Layers that the module's stack has in the model. */
uint64_t ldl_plan_layers_in(const struct ldl_plan *p, size_t module, const struct ldl_model *m);
/* files.c: shards with their headers, each job's place in them; then the index, if there is one. */
int ldl_plan_shards(struct ldl_plan *p, struct ldl_err *err);
int ldl_plan_index(struct ldl_plan *p, struct ldl_err *err);
/* fit.c: small differences between models that are one thing: prefixes, rows of embeddings. */
int ldl_plan_fit(struct ldl_plan *p, struct ldl_err *err);
/* fit_text.c: a model that is only text, beside one where text is a part. */
int ldl_plan_fit_text(struct ldl_plan *p, struct ldl_err *err);
/* Leaves out what not all models have. */
int ldl_plan_common(struct ldl_plan *p, struct ldl_err *err);
/* plan.c: everything up to the jobs, which is all that a result needs. */
int ldl_plan_begin(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_results *results,
                   struct ldl_err *err);
/* result.c: a model by its name, that of a result or on disk. */
int ldl_plan_open(struct ldl_plan *p, struct ldl_model *m, const char *asked, const char *lora,
                  struct ldl_err *err);
/* The plan of the result of that name; NULL: there is none. */
int ldl_plan_made(struct ldl_plan *p, const char *asked, const struct ldl_plan **made,
                  struct ldl_err *err);
/* A model's files: those beside the weights, and those of its tokenizer. */
struct ldl_files ldl_plan_files(const struct ldl_model *m);
struct ldl_files ldl_plan_tokenizer_files(const struct ldl_model *m);
/* Of a result, its tokenizer's. */
struct ldl_files ldl_plan_made_files(const struct ldl_plan *made);
int ldl_results_new(struct ldl_plan *p, struct ldl_err *err);
void ldl_results_free(struct ldl_results *x);
/* vocab.c: one vocabulary for all, with the rows that go with it. *mapped: 0 when there was nothing
 * to do, since the tokenizers are not read, and the same. */
int ldl_plan_vocab(struct ldl_plan *p, int *mapped, struct ldl_err *err);
/* side.c: refuses tokenizers that are not the same bytes. */
int ldl_plan_same_tokenizers(struct ldl_plan *p, struct ldl_err *err);
/* side.c: what comes along, and config.json as it will be. */
int ldl_plan_side(struct ldl_plan *p, struct ldl_err *err);
/* The model that gives the side files. */
const struct ldl_model *ldl_plan_giver(const struct ldl_plan *p);
/* The text of a side file as it is now: edited, or as the giver has it. */
int ldl_plan_read_side(const struct ldl_plan *p, const char *name, uint64_t max_bytes,
                       struct ldl_buf *text, struct ldl_err *err);
/* config.c: config.json as it will be; *out stays empty when nothing changes. Leaves notes. */
int ldl_plan_config(struct ldl_plan *p, const struct ldl_model *from, const struct ldl_buf *text,
                    const char *path, struct ldl_buf *out, struct ldl_err *err);
/* per_layer.c: config.json's lists about layers, as the slices of the module make them. all: the stacks of
 * the model. */
struct ldl_layer_lists {
    struct ldl_names key;
    struct ldl_buf value[8]; /* JSON text */
    size_t n;
};
int ldl_plan_layer_lists(const struct ldl_plan *p, size_t module, const struct ldl_stacks *all,
                         const char *json, size_t len, const char *name,
                         struct ldl_layer_lists *out, struct ldl_err *err);
void ldl_layer_lists_free(struct ldl_layer_lists *x);
/* chat.c: the template, after the side files are known. */
int ldl_plan_chat(struct ldl_plan *p, struct ldl_err *err);
/* Room for the text of a side file that is edited or new. */
struct ldl_buf *ldl_plan_edit(struct ldl_plan *p, const char *name);
/* Appends a line for the user. */
int ldl_plan_note(struct ldl_plan *p, const char *text, struct ldl_err *err);

#endif
