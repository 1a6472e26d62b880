/* result.c -- models that are not on disk: the results of a recipe's other documents.
 *
 *     name: stage1            a plan of its own, whose jobs are never written
 *     ---
 *     models: [stage1, ...]   a model with one view for each of these jobs
 *
 * Such a view merges when it is read: begin() does the passes that only look, read() the last one, block
 * by block, and rounds to the type that the document's output would have (to FP8 in blocks, too: then
 * begin() goes over the tensor once more, for the scales). So the bits are those of two merges one after
 * the other, and nothing is written in between. A job that is a copy is its input's view.
 * "stage1+ADAPTER" is the result with an adapter's update over its views. What one read costs multiplies
 * with each level, so the number of models behind a result is bounded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/work.h"
#include "model/adapter.h"
#include "model/fp8_out.h"
#include "plan/parts.h"

#include <string.h>

enum { COST_MAX = 1024, AUX_BYTES = 64 * 1024, WINDOW_BYTES = LDL_BLOCK * 8 };

/* ---- the view ---- */

/* What one thread works with: a window for each input, blocks. */
struct bench {
    struct ldl_reader *reader; /* one for each input, then their aux */
    float **t;
    float *base, *out;
    unsigned char *raw, *scratch, *memory;
};

struct state {
    struct ldl_work work;
    void **view;  /* states of the inputs */
    float *scale; /* of blocks, of a weight in FP8; else NULL */
};

static size_t bench_bytes(const struct ldl_job *j)
{
    size_t bytes = LDL_RUNS_SCRATCH + (j->m + 2) * LDL_BLOCK * sizeof(float) + WINDOW_BYTES;
    for (size_t i = 0; i < ldl_job_inputs(j); i++)
        bytes += WINDOW_BYTES + (ldl_job_input(j, i)->ops->wants_aux ? AUX_BYTES : 0);
    return bytes;
}

static void bench_free(struct bench *b)
{
    ldl_free(b->reader);
    ldl_free(b->t);
    ldl_free(b->memory);
}

static int bench_init(struct bench *b, const struct ldl_job *j, const struct state *st,
                      struct ldl_err *err)
{
    size_t n = ldl_job_inputs(j);
    *b = (struct bench){ .reader = ldl_calloc(2 * n, sizeof *b->reader),
                         .t = ldl_calloc(j->m + 1, sizeof *b->t),
                         .memory = ldl_alloc_aligned(bench_bytes(j)) };
    if (!b->reader || !b->t || !b->memory) {
        bench_free(b);
        return ldl_oom(err);
    }
    unsigned char *at = b->memory;
    for (size_t i = 0; i < j->m + 2; i++, at += LDL_BLOCK * sizeof(float))
        *(i < j->m ? &b->t[i] : i == j->m ? &b->base : &b->out) = (float *)(void *)at;
    for (size_t i = 0; i < n; i++, at += WINDOW_BYTES) {
        b->reader[i] = (struct ldl_reader){ .buf = at, .cap = WINDOW_BYTES, .state = st->view[i] };
        if (!ldl_job_input(j, i)->ops->wants_aux)
            continue;
        at += AUX_BYTES;
        b->reader[n + i] =
            (struct ldl_reader){ .buf = b->reader[i].buf + WINDOW_BYTES, .cap = AUX_BYTES };
        b->reader[i].aux = &b->reader[n + i];
    }
    b->raw = at;
    b->scratch = at + WINDOW_BYTES;
    return 0;
}

/* Reads the block of all inputs. */
static int read_block(const struct ldl_job *j, const struct ldl_kern *k, struct bench *b,
                      uint64_t first, struct ldl_block *block, struct ldl_err *err)
{
    size_t n = (size_t)LDL_MIN((uint64_t)LDL_BLOCK, j->n - first);
    int rc = 0;
    *block = (struct ldl_block){ first, n, b->t, j->base ? b->base : NULL, b->scratch };
    for (size_t i = 0; rc == 0 && i < ldl_job_inputs(j); i++) {
        b->reader[i].limit = first + n;
        rc = ldl_view_read(ldl_job_input(j, i), k, first, n, i < j->m ? b->t[i] : b->base,
                           &b->reader[i], err);
    }
    return rc;
}

/* What a file would hold, as it is read again. */
static void round_block(const struct ldl_job *j, const struct ldl_kern *k, const struct state *st,
                        const struct ldl_block *block, struct bench *b)
{
    if (j->dtype == LDL_F32)
        return;
    if (st->scale)
        ldl_fp8_scale(k, block->first, block->n, j->dim[1], b->out, st->scale);
    k->encode[j->dtype](b->raw, b->out, block->n);
    k->decode[j->dtype](b->out, b->raw, block->n);
    if (st->scale)
        ldl_fp8_unscale(k, block->first, block->n, j->dim[1], b->out, st->scale);
}

static int read_result(const struct ldl_view *v, const struct ldl_kern *k, uint64_t first, size_t n,
                       float *out, struct ldl_reader *r, struct ldl_err *err)
{
    const struct ldl_job *j = v->made_of;
    const struct state *st = r->state;
    struct bench b;
    struct ldl_block block;
    int rc = bench_init(&b, j, st, err);
    if (rc)
        return rc;
    while (rc == 0 && n) {
        size_t skip = (size_t)(first % LDL_BLOCK), part = LDL_MIN(n, (size_t)LDL_BLOCK - skip);
        if ((rc = read_block(j, k, &b, first - skip, &block, err)))
            break;
        ldl_work_map(&st->work, &block, b.out);
        round_block(j, k, st, &block, &b);
        memcpy(out, b.out + skip, part * sizeof *out);
        out += part;
        first += part;
        n -= part;
    }
    bench_free(&b);
    return rc;
}

/* Any element may be read at any time, so all facts are held. And begin() goes through all passes at once, so
 * the memory of a hard tensor is there from the beginning. */
static struct ldl_shape shape_of(const struct ldl_job *j)
{
    return ldl_job_shape(j, UINT64_MAX, 1);
}

static uint64_t state_bytes(const struct ldl_view *v)
{
    const struct ldl_job *j = v->made_of;
    const struct ldl_shape shape = shape_of(j);
    return sizeof(struct state) + ldl_job_state_bytes(j, &shape) + ldl_job_acc_bytes(j, &shape) +
           2 * (uint64_t)bench_bytes(j);
}

static void end(const struct ldl_view *v, void *state)
{
    const struct ldl_job *j = v->made_of;
    struct state *st = state;
    if (!st)
        return;
    for (size_t i = 0; st->view && i < ldl_job_inputs(j); i++)
        ldl_view_end(ldl_job_input(j, i), st->view[i]);
    ldl_work_end(&st->work);
    ldl_free(st->scale);
    ldl_free(st->view);
    ldl_free(st);
}

/* One pass that only looks, over every stride-th block. */
static int scan(const struct ldl_job *j, const struct ldl_kern *k, struct state *st,
                struct bench *b, struct ldl_work_acc *acc, uint64_t stride, struct ldl_err *err)
{
    struct ldl_block block;
    int rc = ldl_work_acc_begin(&st->work, acc, err);
    for (uint64_t first = 0; rc == 0 && first < j->n && !ldl_work_settled(&st->work);
         first += stride * LDL_BLOCK)
        if ((rc = read_block(j, k, b, first, &block, err)) == 0)
            rc = ldl_work_scan(&st->work, acc, &block, err);
    return rc;
}

/* The scales of the blocks: from a pass of their own over the result. */
static int measure(const struct ldl_job *j, const struct ldl_kern *k, struct state *st,
                   struct bench *b, struct ldl_err *err)
{
    struct ldl_block block;
    size_t n = (size_t)j->scales->n;
    uint32_t *table = ldl_calloc(n, sizeof *table);
    int rc = table ? 0 : ldl_oom(err);
    st->scale = (float *)(void *)table; /* the same memory, as in the engine */
    for (uint64_t first = 0; rc == 0 && first < j->n; first += LDL_BLOCK) {
        if ((rc = read_block(j, k, b, first, &block, err)))
            break;
        ldl_work_map(&st->work, &block, b->out);
        ldl_fp8_amax(k, first, block.n, j->dim[1], b->out, table);
    }
    if (rc == 0)
        ldl_fp8_scales(table, n, st->scale);
    return rc;
}

static int do_passes(const struct ldl_job *j, const struct ldl_kern *k, struct state *st,
                     struct ldl_err *err)
{
    struct bench b;
    struct ldl_work_acc acc = { 0 }, *accs[] = { &acc };
    struct ldl_pass pass;
    int rc = bench_init(&b, j, st, err);
    if (rc)
        return rc;
    while ((rc = ldl_work_next(&st->work, accs, acc.acc != NULL, &pass, err)) == 0) {
        ldl_work_acc_end(&st->work, &acc);
        if (pass.map || (rc = scan(j, k, st, &b, &acc, pass.stride, err)))
            break;
    }
    ldl_work_acc_end(&st->work, &acc);
    if (rc == 0 && j->scales)
        rc = measure(j, k, st, &b, err);
    bench_free(&b);
    return rc;
}

static int begin(const struct ldl_view *v, const struct ldl_kern *k, void **state,
                 struct ldl_err *err)
{
    const struct ldl_job *j = v->made_of;
    struct state *st = ldl_calloc(1, sizeof *st);
    *state = NULL;
    if (!st)
        return ldl_oom(err);
    const struct ldl_shape shape = shape_of(j);
    int rc = ldl_work_begin(&st->work, j->merge, k, j->name, &shape, err);
    if (rc) {
        ldl_free(st);
        return rc;
    }
    if (!(st->view = ldl_calloc(ldl_job_inputs(j) + 1, sizeof *st->view)))
        rc = ldl_oom(err);
    for (size_t i = 0; rc == 0 && i < ldl_job_inputs(j); i++)
        rc = ldl_view_begin(ldl_job_input(j, i), k, &st->view[i], err);
    if (rc == 0)
        rc = do_passes(j, k, st, err);
    if (rc)
        end(v, st);
    else
        *state = st;
    return rc;
}

static const struct ldl_view_ops result_ops = {
    .name = "result",
    .read = read_result,
    .state_bytes = state_bytes,
    .begin = begin,
    .end = end,
};

/* The job's view. *t is for what would be stored; dtype: of what is kept as FP8. */
static void make_view(struct ldl_view *v, const struct ldl_job *j, struct ldl_stored *t,
                      enum ldl_dtype dtype)
{
    *v = *j->in[0];
    v->name = j->name;
    if (j->kind == LDL_JOB_COPY)
        return;
    *t = (struct ldl_stored){ .name = (char *)j->name, .dtype = j->dtype, .ndim = j->ndim };
    memcpy(t->dim, j->dim, sizeof t->dim);
    t->n = j->n;
    t->bytes = j->bytes;
    v->ops = &result_ops;
    v->made_of = j;
    v->dtype = j->scales ? dtype : j->dtype;
    v->stored = t;
    v->raw = 0;
}

/* ---- the model ---- */

/* The folders and files that are read for it. */
static int take_dirs(struct ldl_model *m, const struct ldl_model *from, struct ldl_err *err)
{
    const char *own = from->lone && from->nfiles ? from->file[0].path : from->dir;
    if (!from->made_by && ldl_names_add(&m->also_dir, own))
        return ldl_oom(err);
    for (size_t k = 0; k < from->also_dir.n; k++)
        if (ldl_names_add(&m->also_dir, from->also_dir.name[k]))
            return ldl_oom(err);
    return 0;
}

static int take_all_dirs(struct ldl_model *m, const struct ldl_plan *made, struct ldl_err *err)
{
    int rc = made->donor.dir ? take_dirs(m, &made->donor, err) : 0;
    for (size_t i = 0; rc == 0 && i < ldl_plan_inputs(made); i++) {
        rc = take_dirs(m, &made->model[i], err);
        if (made->model[i].untied)
            m->tied = 0;
    }
    if (rc == 0 && made->tokenizer_dir && ldl_names_add(&m->also_dir, made->tokenizer_dir))
        rc = ldl_oom(err);
    return rc;
}

/* What its config.json would say of types. */
static int take_type(struct ldl_model *m, const struct ldl_plan *made, const struct ldl_model *from,
                     struct ldl_err *err)
{
    enum ldl_dtype asked = made->recipe.dtype;
    const char *word = from->dtype_word;
    if (word && asked != LDL_DTYPES && asked != LDL_F8_E4M3)
        word = ldl_dtype_name(asked);
    return !word || (m->dtype_word = ldl_strdup(word)) ? 0 : ldl_oom(err);
}

static int make_views(struct ldl_model *m, const struct ldl_plan *made, struct ldl_err *err)
{
    size_t n = 0;
    struct ldl_view *view = ldl_calloc(made->njobs + 1, sizeof *view);
    struct ldl_stored *stored = ldl_calloc(made->njobs + 1, sizeof *stored);
    int rc = view && stored ? 0 : ldl_oom(err);
    for (size_t t = 0; rc == 0 && t < made->njobs; t++) {
        const struct ldl_job *j = &made->job[t];
        if (j->kind == LDL_JOB_SCALES)
            continue;
        make_view(&view[n], j, &stored[n], ldl_fp8_unpacked(m));
        m->fp8 |= j->scales != NULL;
        m->bytes += view[n++].stored->bytes;
    }
    if (rc == 0)
        rc = ldl_model_append(m, view, n, err);
    ldl_free(view);
    if (rc == 0)
        return ldl_model_own(m, stored, ldl_free, err);
    ldl_free(stored);
    return rc;
}

/* The result as a model. */
static int open_result(struct ldl_model *m, const char *asked, const struct ldl_plan *made,
                       struct ldl_err *err)
{
    const struct ldl_model *from = ldl_plan_giver(made);
    *m = (struct ldl_model){
        .made_by = made, .lone = from->lone, .has_config = from->has_config, .tied = from->tied
    };
    m->asked = ldl_strdup(asked);
    m->dir = ldl_strdup(from->dir);
    m->prefix = ldl_strdup("model");
    int rc = !m->asked || !m->dir || !m->prefix ? ldl_oom(err) : 0;
    if (rc == 0)
        rc = take_type(m, made, from, err);
    if (rc == 0)
        rc = make_views(m, made, err);
    if (rc == 0)
        rc = take_all_dirs(m, made, err);
    if (rc)
        ldl_model_close(m);
    return rc;
}

/* ---- the documents ---- */

int ldl_results_new(struct ldl_plan *p, struct ldl_err *err)
{
    struct ldl_results *x = ldl_calloc(1, sizeof *x);
    size_t n = p->recipe.nparts;
    if (!x)
        return ldl_oom(err);
    p->results = x;
    p->owns_results = 1;
    x->plan = ldl_calloc(n, sizeof *x->plan);
    x->begun = ldl_calloc(n, 1);
    x->part = p->recipe.part;
    x->n = n;
    return x->plan && x->begun ? 0 : ldl_oom(err);
}

void ldl_results_free(struct ldl_results *x)
{
    if (!x)
        return;
    for (size_t i = 0; x->plan && i < x->n; i++)
        ldl_plan_free(&x->plan[i]);
    ldl_free(x->plan);
    ldl_free(x->begun);
    ldl_free(x);
}

static int make_result(struct ldl_plan *p, struct ldl_results *x, size_t i, struct ldl_err *err)
{
    struct ldl_plan *made = &x->plan[i];
    x->begun[i] = 1;
    int rc = ldl_plan_begin(made, x->part[i].recipe, x, err);
    if (rc == 0)
        rc = ldl_plan_side(made, err);
    if (rc)
        return ldl_context(err, "recipe '%s'", x->part[i].name);
    for (size_t k = 0; rc == 0 && k < made->recipe.note.n; k++)
        rc = ldl_plan_note(p, made->recipe.note.name[k], err);
    return rc;
}

/* The result number i, made when it is first asked for. */
static int need_result(struct ldl_plan *p, size_t i, struct ldl_err *err)
{
    struct ldl_results *x = p->results;
    const char *name = x->part[i].name;
    int rc = 0;
    if (!x->begun[i])
        rc = make_result(p, x, i, err);
    else if (x->plan[i].njobs == 0) /* it is being made */
        rc = ldl_fail(err, LDL_EUSAGE, "recipe '%s' is made from its own result", name);
    p->cost += x->plan[i].cost;
    if (rc == 0 && p->cost > COST_MAX)
        rc = ldl_fail(err, LDL_EUSAGE,
                      "recipe '%s': it is made from results that are made from results ..., more "
                      "than %d models in all; merge in steps",
                      name, COST_MAX);
    return rc;
}

/* The part of that name; x->n: none. */
static size_t find_part(const struct ldl_results *x, const char *name, size_t len)
{
    size_t i = 0;
    while (i < x->n && (strlen(x->part[i].name) != len || memcmp(x->part[i].name, name, len) != 0))
        i++;
    return i;
}

int ldl_plan_made(struct ldl_plan *p, const char *asked, const struct ldl_plan **made,
                  struct ldl_err *err)
{
    struct ldl_results *x = p->results;
    size_t i = x ? find_part(x, asked, strlen(asked)) : 0;
    *made = NULL;
    if (!x || i == x->n)
        return 0;
    *made = &x->plan[i];
    return need_result(p, i, err);
}

/* NAME+ADAPTER+ADAPTER: the longest name of a part before a plus sign, of a word that is no model on
 * disk. *name: its length. */
static size_t find_adapted(const struct ldl_results *x, const char *asked, size_t *name)
{
    size_t found = x->n;
    *name = 0;
    for (const char *p = strchr(asked, '+'); p && !ldl_exists(asked); p = strchr(p + 1, '+')) {
        size_t i = find_part(x, asked, (size_t)(p - asked));
        if (i == x->n || !p[1])
            continue;
        found = i;
        *name = (size_t)(p - asked);
    }
    return found;
}

/* first, and what else the words behind a result's name are. */
static int apply_adapters(struct ldl_model *m, const char *words, struct ldl_err *err)
{
    struct ldl_names more = { 0 };
    char *first = NULL;
    int rc = ldl_split_adapters(words, &first, &more, err);
    if (rc == 0)
        rc = ldl_adapter_apply(m, first, err);
    for (size_t i = 0; rc == 0 && i < more.n; i++)
        rc = ldl_adapter_apply(m, more.name[i], err);
    ldl_free(first);
    ldl_names_free(&more);
    if (rc)
        ldl_model_close(m);
    return rc;
}

int ldl_plan_open(struct ldl_plan *p, struct ldl_model *m, const char *asked, const char *lora,
                  struct ldl_err *err)
{
    struct ldl_results *x = p->results;
    size_t len = strlen(asked), i = x ? find_part(x, asked, len) : 0;
    if (x && i == x->n)
        i = find_adapted(x, asked, &len);
    if (!x || i == x->n) {
        p->cost++;
        return ldl_model_open_adapted(m, asked, lora, p->recipe.prefix, err);
    }
    int rc = need_result(p, i, err);
    if (rc == 0)
        rc = open_result(m, asked, &x->plan[i], err);
    return rc == 0 && asked[len] ? apply_adapters(m, asked + len + 1, err) : rc;
}

/* ---- their files ---- */

struct ldl_files ldl_plan_made_files(const struct ldl_plan *made)
{
    const char *dir = ldl_plan_side_dir(made, "tokenizer.json");
    return (struct ldl_files){ dir, made->edited, made->nedited };
}

struct ldl_files ldl_plan_files(const struct ldl_model *m)
{
    const struct ldl_plan *made = m->made_by;
    return (struct ldl_files){ m->dir, made ? made->edited : NULL, made ? made->nedited : 0 };
}

struct ldl_files ldl_plan_tokenizer_files(const struct ldl_model *m)
{
    return m->made_by ? ldl_plan_made_files(m->made_by) : ldl_plan_files(m);
}
