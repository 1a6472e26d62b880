/* work_help.h -- drives a struct ldl_work over a tensor in memory as the engine does: blocks in order or
 * backwards, each on one of some accumulators, with the stride that is asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "method/work.h"

enum { HELP_ACCS = 3, HELP_MODELS = 4 };

/* A tensor of m models; base may be NULL. */
struct work_case {
    const struct ldl_merge *g;
    uint64_t n, cols, last;
    const float *model[HELP_MODELS], *base;
    float *got;
};

static uint64_t help_bits = UINT64_MAX; /* bits_bytes of the tensors to come */
static int help_hard;                   /* the last tensor was a hard one */

static void help_block(struct ldl_work *w, struct ldl_work_acc *acc, const struct work_case *c,
                       size_t at, int map)
{
    static float room[HELP_MODELS + 1][LDL_BLOCK];
    static _Alignas(64) char scratch[LDL_RUNS_SCRATCH];
    float *const t[HELP_MODELS] = { room[0], room[1], room[2], room[3] };
    struct ldl_block b = { at, LDL_MIN(c->n - at, (uint64_t)LDL_BLOCK), t,
                           c->base ? room[HELP_MODELS] : NULL, scratch };
    for (size_t m = 0; m < c->g->m; m++)
        memcpy(t[m], c->model[m] + at, b.n * sizeof(float));
    if (c->base)
        memcpy(room[HELP_MODELS], c->base + at, b.n * sizeof(float));
    if (map)
        ldl_work_map(w, &b, c->got + at);
    else
        assert_int_equal(ldl_work_scan(w, acc, &b, NULL), 0);
}

/* The number of passes, the last included. */
static unsigned help_run(const struct work_case *c, const struct ldl_kern *k, int backwards)
{
    struct ldl_work w;
    struct ldl_work_acc acc[HELP_ACCS] = { { NULL } }, *accs[HELP_ACCS];
    struct ldl_pass pass = { 0 };
    const struct ldl_shape shape = { c->n, c->cols, c->last, help_bits, 0 };
    unsigned passes = 0;
    size_t naccs = 0;
    assert_int_equal(ldl_work_begin(&w, c->g, k, "t", &shape, NULL), 0);
    for (; !pass.last; passes++) {
        assert_int_equal(ldl_work_next(&w, accs, naccs, &pass, NULL), 0);
        for (size_t a = 0; a < naccs; a++)
            ldl_work_acc_end(&w, accs[a]);
        for (naccs = 0; !pass.map && naccs < HELP_ACCS; naccs++)
            assert_int_equal(ldl_work_acc_begin(&w, accs[naccs] = &acc[naccs], NULL), 0);
        for (uint64_t i = pass.first; i < pass.end; i += pass.stride) {
            uint64_t last = (pass.end - 1 - pass.first) / pass.stride * pass.stride + pass.first;
            uint64_t b = backwards ? last - (i - pass.first) : i;
            help_block(&w, &acc[i % HELP_ACCS], c, b * LDL_BLOCK, pass.map);
        }
    }
    help_hard = ldl_work_is_hard(&w);
    ldl_work_end(&w);
    return passes;
}

/* The rows' numbers in their order, as recipes give them; a list has one for each model. */
struct help_settings {
    struct ldl_settings settings;
    const double *num;
};

static int help_fill(const struct ldl_settings *settings, const struct ldl_param *rows,
                     size_t nrows, size_t of, size_t m, void *into, double *room,
                     struct ldl_err *err)
{
    const double *num = ((const struct help_settings *)settings)->num;
    (void)of, (void)err;
    for (size_t i = 0; i < nrows; i++) {
        void *at = (char *)into + rows[i].offset;
        int on = 0;
        struct ldl_list list = { .n = m, .num = room };
        if (rows[i].type == LDL_T_DOUBLES) {
            memcpy(room, num, m * sizeof *num);
            memcpy(at, &list, sizeof list);
            room += m;
            num += m;
        } else if (rows[i].type == LDL_T_BOOL) {
            on = *num++ != 0;
            memcpy(at, &on, sizeof on);
        } else {
            memcpy(at, num++, sizeof *num);
        }
    }
    return 0;
}

static void help_init(struct ldl_merge *g, const char *method, size_t m, const double *num)
{
    struct help_settings s = { { help_fill }, num };
    assert_int_equal(
        ldl_merge_init(g, ldl_method_find("mergekit", method), m, 0, &s.settings, NULL), 0);
}
