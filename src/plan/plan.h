/* plan.h -- recipe x models -> jobs: everything is decided here, before the first output byte.
 *
 * A plan reads headers, never tensor data, and starts no thread. It has one job for each output
 * tensor, in output order, with plain numbers only: which views, which bytes of which shard. It
 * knows what will be written and can be printed, so what `ladle plan` shows is what `merge` does. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_PLAN_PLAN_H
#define LDL_PLAN_PLAN_H

#include "method/work.h"
#include "model/model.h"
#include "model/stacks.h"
#include "recipe/recipe.h"

enum ldl_job_kind {
    LDL_JOB_MERGE,
    LDL_JOB_COPY,  /* no arithmetic: inputs agree, their bytes are the output's */
    LDL_JOB_SCALES /* nothing to do: the job before it, a weight written as FP8, writes this too */
};

/* One tensor of the output. */
struct ldl_job {
    enum ldl_job_kind kind;
    const char *name; /* borrowed from a view, or from the plan's names */
    int ndim;
    uint64_t dim[LDL_MAX_DIMS], n;
    size_t m;                      /* models that take part */
    const struct ldl_view **in;    /* one for each */
    const size_t *from;            /* which of the plan's models each input is; NULL: 0 .. m-1 */
    const struct ldl_view *base;   /* or NULL */
    const struct ldl_job *scales;  /* of a weight written as FP8 in blocks; else NULL */
    enum ldl_dtype dtype;          /* of the output */
    const struct ldl_merge *merge; /* of a merge job */
    size_t shard;
    uint64_t offset, bytes; /* in the shard file, data only (header included in offset) */
};

struct ldl_shard {
    char *name;
    struct ldl_buf header;
    uint64_t bytes; /* whole file */
};

/* Side files whose text is ours. */
enum { LDL_EDITED = 8 };

/* What became of a model's rows where a recipe asks for a vocabulary. */
struct ldl_vocab_line {
    uint64_t rows, spare, dropped; /* the model's: of no token; of tokens that the output lacks */
    uint64_t own, other, mean, zeros; /* where the output's rows of tokens come from */
};
struct ldl_vocab_table {
    uint64_t tokens, rows;       /* of the output; the last rows - tokens are padding */
    struct ldl_vocab_line *line; /* of each of the plan's inputs; NULL: there is no such table */
};

/* The results of a recipe's other documents, which all its plans share. */
struct ldl_results {
    const struct ldl_part *part;
    struct ldl_plan *plan; /* of each part, when somebody asked for it */
    unsigned char *begun;
    size_t n;
};

/* A module of the recipe (of that number), as the models have it. */
struct ldl_plan_module {
    enum ldl_module_rule {
        LDL_MODULE_ALL,
        LDL_MODULE_REST,  /* what no other module has */
        LDL_MODULE_TOWER, /* `tower` */
        LDL_MODULE_PART   /* those with the module's name in theirs; anchored: at its beginning */
    } rule;
    enum ldl_tower tower;
    int anchored;
    struct ldl_stacks stacks;      /* in the model that leads */
    const struct ldl_stack *stack; /* that is cut into slices; NULL: none is */
    uint64_t layers;               /* of the output */
    int is_odd;                    /* its layer odd_layer has other tensors than that of this number
                                    * in the model that gives config.json */
    uint64_t odd_layer, odd_from;  /* and comes from that layer */
};

struct ldl_plan {
    struct ldl_recipe recipe; /* owned; moved in by ldl_plan_make */
    struct ldl_merge *merge;  /* what is done to tensors; jobs share one where they can */
    size_t nmerges;
    struct ldl_model *model;      /* recipe.nmodels, then the base if there is one */
    size_t nmodels;               /* without the base */
    size_t most_inputs;           /* models of one job, at most; a slice may have one twice */
    const struct ldl_model *base; /* or NULL */
    struct ldl_job *job;
    size_t njobs;
    const struct ldl_view **views; /* storage of the jobs' in[] */
    size_t *from;                  /* and of their from[] */
    uint64_t rows;                 /* of embeddings that were cut; 0: none was */
    struct ldl_vocab_table vocabulary;
    int new_vocabulary;             /* rows of embeddings are of another one than before */
    struct ldl_plan_module *module; /* recipe.nmodules */
    struct ldl_model donor;         /* of recipe.donor */
    struct ldl_names made_names;    /* of tensors that no model has */
    struct ldl_shard *shard;
    size_t nshards;
    const struct ldl_format *container; /* of the output */
    int has_index;
    char *index_name;                     /* NULL: no index */
    struct ldl_buf index;                 /* its text */
    const char *side_dir;                 /* where side files come from */
    struct ldl_names side;                /* relative paths */
    struct ldl_edited edited[LDL_EDITED]; /* of those, the ones that are not copied */
    size_t nedited;
    char *tokenizer_dir;                 /* where the tokenizer's files come from; NULL: side_dir */
    const struct ldl_plan *tokenizer_of; /* the result of which they are; or NULL */
    struct ldl_results *results;
    int owns_results;
    uint64_t cost;      /* models that are read for it, those behind results counted each time */
    uint64_t bytes_in;  /* of one read of all inputs */
    uint64_t bytes_out; /* all files that are written */
};

/* Takes the recipe over (it is emptied, also on failure). On failure *p is empty. */
int ldl_plan_make(struct ldl_plan *p, struct ldl_recipe *recipe, struct ldl_err *err);
void ldl_plan_free(struct ldl_plan *p);
/* The audit, as JSON (report.c). */
int ldl_plan_report(const struct ldl_plan *p, struct ldl_buf *b, struct ldl_err *err);
/* The text of a side file, or NULL: it is copied. */
const struct ldl_buf *ldl_plan_edited(const struct ldl_plan *p, const char *name);
/* Where a side file comes from. */
const char *ldl_plan_side_dir(const struct ldl_plan *p, const char *name);
/* Elements of a row: all of a tensor with one dimension, else of what hangs on one index of dim 0. */
static inline uint64_t ldl_job_cols(const struct ldl_job *j)
{
    return j->ndim > 1 && j->dim[0] ? j->n / j->dim[0] : j->n;
}
/* Elements of the last axis. */
static inline uint64_t ldl_job_last(const struct ldl_job *j)
{
    return j->ndim ? j->dim[j->ndim - 1] : 1;
}
/* The job's inputs: its models' views, then the base's. */
static inline size_t ldl_job_inputs(const struct ldl_job *j)
{
    return j->m + (j->base != NULL);
}
static inline const struct ldl_view *ldl_job_input(const struct ldl_job *j, size_t i)
{
    return i < j->m ? j->in[i] : j->base;
}
/* Of which of the plan's models it is. */
static inline size_t ldl_job_model(const struct ldl_plan *p, const struct ldl_job *j, size_t i)
{
    return j->from ? j->from[i] : i < j->m ? i : p->nmodels;
}
/* Models that are open. */
static inline size_t ldl_plan_inputs(const struct ldl_plan *p)
{
    return p->nmodels + (p->base != NULL);
}
/* What ldl_work_begin() and the next two are to know of the tensor. */
struct ldl_shape ldl_job_shape(const struct ldl_job *j, uint64_t bits_bytes, int hard);
/* Most bytes that the job's facts take while it is in work (views' and the method's), without
 * accumulators. */
uint64_t ldl_job_state_bytes(const struct ldl_job *j, const struct ldl_shape *shape);
/* Of one thread's accumulator in a scan pass. */
uint64_t ldl_job_acc_bytes(const struct ldl_job *j, const struct ldl_shape *shape);

#endif
