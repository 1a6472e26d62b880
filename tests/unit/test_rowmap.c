/* test_rowmap.c -- rows of several tables, means, zeros and padding in a made order, by memcmp against
 * a scalar recomputation: read in runs of odd lengths through small windows, over tables of other
 * types and tables with a state of their own; maps that name rows which are not there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rowmap.h"
#include "unit/tensor_help.h"

enum { COLUMNS = 5, A_ROWS = 40, B_ROWS = 30, MOST = 4096 };

static struct ldl_file file;
static float a[A_ROWS * COLUMNS], b[B_ROWS * COLUMNS], want[MOST], got[MOST];
static struct ldl_view table[3]; /* a, nothing, b */

static int open_tables(void **state)
{
    if (make_root(state))
        return -1;
    fill_random(a, A_ROWS * COLUMNS, 1);
    fill_random(b, B_ROWS * COLUMNS, 2);
    const struct given t[] = { { "a", LDL_BF16, 2, { A_ROWS, COLUMNS }, a },
                               { "b", LDL_F64, 2, { B_ROWS, COLUMNS }, b },
                               { "i", LDL_I32, 2, { A_ROWS, COLUMNS }, NULL },
                               { "n", LDL_F32, 2, { A_ROWS, COLUMNS + 1 }, NULL } };
    save_tensors("a.safetensors", "pt", t, LDL_COUNT(t));
    memset(table, 0, sizeof table);
    if (ldl_file_open(&file, at("a.safetensors"), &err))
        return -1;
    for (size_t i = 0; i < file.ntensors; i++)
        if (strchr("ab", file.tensor[i].name[0]))
            ldl_view_stored(&table[file.tensor[i].name[0] == 'a' ? 0 : 2], &file, &file.tensor[i]);
    return 0;
}

static int close_tables(void **state)
{
    ldl_file_close(&file);
    return remove_root(state);
}

static const float *row_of(uint64_t word)
{
    return (LDL_ROW_TABLE(word) == 0 ? a : b) + LDL_ROW_NUMBER_OF(word) * COLUMNS;
}

static void expect_rows(const struct ldl_rowmap *map)
{
    volatile float sum[COLUMNS] = { 0 };
    for (uint64_t r = 0; r < map->rows; r++)
        for (size_t c = 0; c < COLUMNS; c++) {
            uint64_t word = map->row[r];
            volatile float x = 0;
            if (LDL_ROW_TABLE(word) == LDL_ROW_IN_MEAN) {
                const uint64_t *list = map->mean + LDL_ROW_NUMBER_OF(word);
                for (uint64_t i = 0; i < list[0]; i++)
                    x += row_of(list[1 + i])[c];
                x /= (float)list[0];
            } else if (LDL_ROW_TABLE(word) == LDL_ROW_IN_PADDING) {
                x = sum[c] / (float)map->real;
            } else if (LDL_ROW_TABLE(word) != LDL_ROW_IN_ZEROS) {
                x = row_of(word)[c];
            }
            if (r < map->real)
                sum[c] += x;
            want[r * COLUMNS + c] = x;
        }
}

static void expect_view(const struct ldl_view *v)
{
    static const size_t runs[] = { 1, 3, 7, 64, MOST };
    static unsigned char window[MOST * 8 + 1], aux_window[512];
    void *state;
    expect_ok(ldl_view_begin(v, best_kern(), &state, &err));
    assert_true(ldl_view_state_bytes(v) > 0);
    for (size_t t = 0; t < LDL_COUNT(runs); t++)
        for (size_t from = 0; from < 9; from += 4) {
            struct ldl_reader aux = { .buf = aux_window, .cap = sizeof aux_window };
            struct ldl_reader r = { .buf = window + 1,
                                    .cap = runs[t] * 8,
                                    .limit = t == 3 ? v->n - 1 : 0,
                                    .state = state,
                                    .aux = &aux };
            memset(got, 0xff, sizeof got);
            for (size_t at = from; at < v->n; at += runs[t]) {
                size_t n = LDL_MIN(runs[t], (size_t)v->n - at);
                expect_ok(ldl_view_read(v, best_kern(), at, n, got + at, &r, &err));
                assert_ptr_equal(r.state, state);
                assert_int_equal(r.limit, t == 3 ? v->n - 1 : 0);
            }
            for (size_t i = from; i < v->n; i++)
                if (memcmp(&got[i], &want[i], 4) != 0)
                    fail_msg("runs of %zu from %zu: element %zu is %a, expected %a", runs[t], from,
                             i, (double)got[i], (double)want[i]);
        }
    ldl_view_end(v, state);
}

/* Everything at once: runs, single rows, both tables, means, zeros, padding. */
static uint64_t rows[64], means[8];
static struct ldl_rowmap make_map(size_t real, size_t padding)
{
    struct ldl_rowmap map = { .row = rows, .rows = real + padding, .real = real, .mean = means };
    means[0] = 2;
    means[1] = LDL_ROW(0, 3);
    means[2] = LDL_ROW(2, 29);
    means[3] = 3;
    means[4] = LDL_ROW(2, 0);
    means[5] = LDL_ROW(0, 39);
    means[6] = LDL_ROW(0, 39);
    map.nmean = 7;
    for (size_t r = 0; r < real; r++)
        rows[r] = r < 10    ? LDL_ROW(0, r)
                  : r < 20  ? LDL_ROW(2, 29 - r)
                  : r < 30  ? LDL_ROW(2, r - 20)
                  : r == 30 ? LDL_ROW(LDL_ROW_IN_ZEROS, 0)
                  : r == 31 ? LDL_ROW(LDL_ROW_IN_MEAN, 0)
                  : r == 32 ? LDL_ROW(LDL_ROW_IN_MEAN, 3)
                            : LDL_ROW(0, (r * 17) % A_ROWS);
    for (size_t r = real; r < real + padding; r++)
        rows[r] = LDL_ROW(LDL_ROW_IN_PADDING, 0);
    return map;
}

static void reads_mapped_rows(void **state)
{
    (void)state;
    static const size_t sizes[][2] = { { 1, 0 }, { 10, 3 }, { 33, 0 }, { 45, 0 }, { 45, 19 } };
    for (size_t i = 0; i < LDL_COUNT(sizes); i++) {
        struct ldl_rowmap map = make_map(sizes[i][0], sizes[i][1]);
        struct ldl_view v = table[0];
        void *made;
        expect_ok(ldl_rowmap_view(&v, &map, table, 3, &made, &err));
        assert_int_equal(v.dim[0], map.rows);
        assert_int_equal(v.n, map.rows * COLUMNS);
        assert_false(v.raw);
        expect_rows(&map);
        expect_view(&v);
        ldl_rowmap_view_free(made);
    }
}

/* A map over a map: the state of what is inside is its own. */
static void nests(void **state)
{
    (void)state;
    struct ldl_rowmap map = make_map(33, 2), turned = { .rows = 35, .real = 35 };
    uint64_t back[35];
    struct ldl_view v = table[0], outer;
    void *made, *made_outer;
    expect_ok(ldl_rowmap_view(&v, &map, table, 3, &made, &err));
    expect_rows(&map);
    for (size_t r = 0; r < 35; r++) {
        back[r] = LDL_ROW(0, 34 - r);
        memcpy(got + r * COLUMNS, want + (34 - r) * COLUMNS, COLUMNS * sizeof *got);
    }
    memcpy(want, got, sizeof want);
    turned.row = back;
    outer = v;
    expect_ok(ldl_rowmap_view(&outer, &turned, &v, 1, &made_outer, &err));
    expect_view(&outer);
    ldl_rowmap_view_free(made_outer);
    ldl_rowmap_view_free(made);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct ldl_rowmap map = make_map(2, 0);
    struct ldl_view v = table[0], bad[2] = { table[0], table[2] };
    void *made;
    rows[1] = LDL_ROW(0, A_ROWS);
    expect_error(ldl_rowmap_view(&v, &map, table, 3, &made, &err), LDL_EINPUT, "row 40");
    assert_null(made);
    rows[1] = LDL_ROW(1, 0); /* no such table */
    expect_error(ldl_rowmap_view(&v, &map, table, 3, &made, &err), LDL_EINPUT, "lacks the tensor");
    rows[1] = LDL_ROW(1, 0);
    for (size_t i = 0; i < file.ntensors; i++) {
        if (!strchr("in", file.tensor[i].name[0]))
            continue;
        ldl_view_stored(&bad[1], &file, &file.tensor[i]); /* integers; other columns */
        expect_error(ldl_rowmap_view(&v, &map, bad, 2, &made, &err), LDL_EINPUT, "cannot stand");
    }
    map.rows = UINT64_MAX / 8;
    expect_error(ldl_rowmap_view(&v, &map, table, 3, &made, &err), LDL_EINPUT, "too large");
    assert_ptr_equal(v.ops, table[0].ops);
}

#define WITH_TABLES(test) cmocka_unit_test_setup_teardown(test, open_tables, close_tables)

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_TABLES(reads_mapped_rows), WITH_TABLES(nests),
                                        WITH_TABLES(refuses_what_does_not_fit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
