/* test_sched.c -- what the scheduler tells about its progress, and how tensors that turn out to be hard
 * wait for memory. That every tile is done once, for any
 * number of threads, is shown by the merges of tests/invariance.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tile.h"
#include "unit/read_help.h"

#include <fcntl.h>

enum { BLOCKS = 16, BYTES = BLOCKS * LDL_BLOCK * 4 };

static struct ldl_plan plan;

static void save_models(void)
{
    static const char *const names[] = { "a", "b" };
    char header[200], file[32];
    snprintf(header, sizeof header,
             "{\"w\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%d]}}  ",
             BLOCKS * LDL_BLOCK, BYTES);
    for (int i = 0; i < 2; i++) {
        make_dirs(names[i]);
        snprintf(file, sizeof file, "%s/model.safetensors", names[i]);
        save_st(file, header, BYTES);
    }
}

static void make_plan(const char *method)
{
    struct ldl_recipe r;
    const char *words[] = { "--merge_method", method, "--model_path_list", at("a"), at("b"),
                            "--threads",      "1" };
    save_models();
    expect_ok(ldl_recipe_parse(&r, NULL, (int)LDL_COUNT(words), words, 0, &err));
    expect_ok(ldl_plan_make(&plan, &r, &err));
}

/* Runs the plan on this thread. Returns the bytes that were told before the first was written. */
static uint64_t run_plan(void)
{
    struct ldl_budget budget;
    struct ldl_sched s;
    struct ldl_worker w;
    struct ldl_claim c;
    const struct ldl_kern *k;
    int fd = open(at("out"), O_RDWR | O_CREAT, 0600);
    char name[] = "out", *path = name;
    uint64_t written, before = UINT64_MAX, last = 0;
    const struct ldl_device *cpu;
    expect_ok(ldl_device_find("cpu", &cpu, &err));
    expect_ok(cpu->kernels(&k, &err));
    expect_ok(ldl_budget_make(&budget, &plan, &err));
    expect_ok(ldl_sched_init(&s, &plan, &budget, k, &err));
    expect_ok(ldl_worker_init(&w, &s, 0, cpu, &err));
    w.shard_fd = &fd;
    w.shard_path = &path;
    while (ldl_sched_take(&s, 0, &c)) {
        if (c.what == LDL_CLAIM_OPEN) {
            ldl_sched_open(&s, &c);
            continue;
        }
        if (before == UINT64_MAX && c.slot->map)
            before = s.progress.bytes_done;
        expect_ok(ldl_worker_tile(&w, &c, &written, &err));
        ldl_sched_done(&s, &c, 0, written, &err);
        assert_true(s.progress.bytes_done >= last && s.progress.bytes_done <= s.progress.bytes);
        last = s.progress.bytes_done;
    }
    assert_int_equal(s.progress.bytes, BYTES);
    assert_int_equal(s.progress.bytes_done, BYTES);
    assert_int_equal(s.progress.jobs_done, 1);
    ldl_worker_free(&w);
    ldl_sched_free(&s);
    ldl_plan_free(&plan);
    close(fd);
    return before;
}

static void test_scans_count(void **state)
{
    (void)state;
    setenv("LADLE_TILE", "4096", 1);
    make_plan("linear");
    assert_int_equal(run_plan(), 0);
    make_plan("slerp");
    assert_int_equal(run_plan(), BYTES / 2);
    make_plan("ties");
    assert_in_range(run_plan(), BYTES / 4, BYTES / 2);
    make_plan("della");
    assert_in_range(run_plan(), BYTES / 4, BYTES / 2);
    unsetenv("LADLE_TILE");
}

/* ---- hard tensors ---- */

enum { HARD = 3, HARD_ELEMS = 1 << 18 };

/* Three tensors of numbers that are nearly all different. */
static void save_hard_models(void)
{
    static const char *const names[] = { "a", "b" };
    char file[32], header[400];
    size_t bytes = HARD_ELEMS * sizeof(float), len;
    uint32_t rng = 1;
    snprintf(header, sizeof header,
             "{\"t0\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%zu]},"
             "\"t1\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]},"
             "\"t2\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]}}  ",
             HARD_ELEMS, bytes, HARD_ELEMS, bytes, 2 * bytes, HARD_ELEMS, 2 * bytes, 3 * bytes);
    uint64_t length = len = strlen(header);
    char *all = malloc(8 + len + HARD * bytes);
    assert_non_null(all);
    memcpy(all, &length, 8);
    memcpy(all + 8, header, len);
    for (int m = 0; m < 2; m++) {
        for (size_t i = 0; i < (size_t)HARD * HARD_ELEMS; i++) {
            float x = (float)((rng = rng * 1664525u + 1013904223u) >> 8);
            memcpy(all + 8 + len + i * sizeof x, &x, sizeof x);
        }
        make_dirs(names[m]);
        snprintf(file, sizeof file, "%s/model.safetensors", names[m]);
        save_bytes(file, all, 8 + len + HARD * bytes);
    }
    free(all);
}

/* A run with a worker for each tensor, of which this thread plays all. */
static struct {
    struct ldl_budget budget;
    struct ldl_sched s;
    struct ldl_worker w[HARD];
    struct ldl_claim c[HARD];
    int fd;
} game;
static char out_name[] = "out", *out_path[] = { out_name };

static void begin_game(void)
{
    const struct ldl_device *cpu;
    const struct ldl_kern *k;
    struct ldl_facts alone, more;
    struct ldl_recipe r;
    const char *words[] = { "--merge_method", "della", "--model_path_list", at("a"), at("b"),
                            "--threads",      "3" };
    save_hard_models();
    setenv("LADLE_TILE", "262144", 1); /* a tensor is a tile */
    expect_ok(ldl_recipe_parse(&r, NULL, (int)LDL_COUNT(words), words, 0, &err));
    expect_ok(ldl_plan_make(&plan, &r, &err));
    expect_ok(ldl_device_find("cpu", &cpu, &err));
    expect_ok(cpu->kernels(&k, &err));
    expect_ok(ldl_budget_make(&game.budget, &plan, &err));
    unsetenv("LADLE_TILE");
    ldl_budget_facts(&plan.job[0], game.budget.bits_bytes, &alone, &more);
    assert_true(alone.extra > 0);
    game.budget.usual_bytes = HARD * alone.usual;
    game.budget.facts_bytes = HARD * alone.usual + alone.extra; /* one may be hard */
    expect_ok(ldl_sched_init(&game.s, &plan, &game.budget, k, &err));
    game.fd = open(at("out"), O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < HARD; i++) {
        expect_ok(ldl_worker_init(&game.w[i], &game.s, i, cpu, &err));
        game.w[i].shard_fd = &game.fd;
        game.w[i].shard_path = out_path;
        assert_true(ldl_sched_take(&game.s, i, &game.c[i]));
        assert_true(game.c[i].what == LDL_CLAIM_OPEN);
        ldl_sched_open(&game.s, &game.c[i]);
        assert_true(ldl_sched_take(&game.s, i, &game.c[i]));
        assert_int_equal(game.c[i].slot->job, i);
    }
}

static void end_game(void)
{
    for (int i = 0; i < HARD; i++)
        ldl_worker_free(&game.w[i]);
    ldl_sched_free(&game.s);
    ldl_plan_free(&plan);
    close(game.fd);
}

static void finish_tile(int i)
{
    uint64_t written;
    expect_ok(ldl_worker_tile(&game.w[i], &game.c[i], &written, &err));
    ldl_sched_done(&game.s, &game.c[i], 0, written, &err);
    assert_true(game.s.facts.usual <= game.budget.usual_bytes);
    assert_true(game.s.facts.usual + game.s.facts.extra <= game.budget.facts_bytes);
}

/* All three turn out to be hard, and there is memory for one: they go on one after the other. */
static void test_hard_waits(void **state)
{
    size_t last = 0;
    (void)state;
    begin_game();
    for (int i = 0; i < HARD; i++) {
        assert_int_equal(game.s.facts.extra, 0);
        finish_tile(i);
        assert_true(game.c[i].slot->waits);
    }
    while (ldl_sched_take(&game.s, 0, &game.c[0])) {
        assert_true(game.c[0].slot->hard && game.c[0].slot->job >= last);
        last = game.c[0].slot->job;
        finish_tile(0);
    }
    assert_int_equal(game.s.progress.jobs_done, HARD);
    assert_int_equal(game.s.facts.usual + game.s.facts.extra, 0);
    end_game();
}

/* t2 has what t0 waits for when t1 fails. t2 is given up, so that t0 can go on and fail first. */
static void test_hard_after_failure(void **state)
{
    struct ldl_err broken = { 0 };
    (void)state;
    begin_game();
    finish_tile(2);
    assert_true(ldl_sched_take(&game.s, 2, &game.c[2]));
    assert_true(game.c[2].slot->job == 2 && game.c[2].slot->hard);
    finish_tile(2);
    finish_tile(0);
    assert_true(game.c[0].slot->waits);
    ldl_sched_done(&game.s, &game.c[1], LDL_EIO, 0, &broken);
    assert_true(ldl_sched_take(&game.s, 0, &game.c[0]));
    assert_int_equal(game.c[0].slot->job, 0);
    end_game();
}

/* ---- stretches ---- */

enum { LONG_ROWS = 600, LONG_COLS = 5000, LONG = LONG_ROWS * LONG_COLS };

static void make_long_plan(void)
{
    static const char *const names[] = { "base", "a", "b" };
    char header[200], file[40], recipe[1024];
    struct ldl_recipe r;
    snprintf(header, sizeof header,
             "{\"w\":{\"dtype\":\"BF16\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}  ", LONG_ROWS,
             LONG_COLS, 2 * LONG);
    for (size_t m = 0; m < LDL_COUNT(names); m++) {
        snprintf(file, sizeof file, "%s/model.safetensors", names[m]);
        make_dirs(names[m]);
        save_st(file, header, 2 * LONG);
        char *bytes =
            malloc(2 * LONG); /* numbers of about the same size, other ones in each model */
        assert_non_null(bytes);
        for (int i = 0; i < 2 * LONG; i++)
            bytes[i] =
                (char)(i % 2 ? 0x3c + (i / 2 * (int)(m + 7) / 11) % 3 : i * (int)(m + 3) / 5);
        FILE *f = fopen(at(file), "r+");
        assert_non_null(f);
        assert_int_equal(fseek(f, -2 * LONG, SEEK_END), 0);
        assert_int_equal(fwrite(bytes, 2 * LONG, 1, f), 1);
        assert_int_equal(fclose(f), 0);
        free(bytes);
    }
    snprintf(recipe, sizeof recipe,
             "merge_method: della\nbase_model: %s\nmodels:\n"
             "- model: %s\n  parameters: {weight: 0.5, density: 0.5}\n"
             "- model: %s\n  parameters: {weight: 0.5, density: 0.4}\n",
             at("base"), at("a"), at("b"));
    save("r.yml", recipe);
    const char *words[] = { at("r.yml"), "--threads", "1" };
    expect_ok(ldl_recipe_parse(&r, NULL, (int)LDL_COUNT(words), words, 0, &err));
    expect_ok(ldl_plan_make(&plan, &r, &err));
}

/* The output's bytes; freed by the caller. Returns the number of map passes. */
static int run_long(uint64_t bits_bytes, unsigned char **got)
{
    const struct ldl_device *cpu;
    const struct ldl_kern *k;
    struct ldl_claim c;
    uint64_t written;
    int maps = 0;
    make_long_plan();
    expect_ok(ldl_device_find("cpu", &cpu, &err));
    expect_ok(cpu->kernels(&k, &err));
    expect_ok(ldl_budget_make(&game.budget, &plan, &err));
    game.budget.bits_bytes = bits_bytes;
    expect_ok(ldl_sched_init(&game.s, &plan, &game.budget, k, &err));
    expect_ok(ldl_worker_init(&game.w[0], &game.s, 0, cpu, &err));
    game.w[0].shard_fd = &game.fd;
    game.w[0].shard_path = out_path;
    game.fd = open(at("out"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int was_map = 0; ldl_sched_take(&game.s, 0, &c);) {
        if (c.what == LDL_CLAIM_OPEN) {
            ldl_sched_open(&game.s, &c);
            continue;
        }
        maps += c.slot->map && !was_map;
        was_map = c.slot->map;
        expect_ok(ldl_worker_tile(&game.w[0], &c, &written, &err));
        ldl_sched_done(&game.s, &c, 0, written, &err);
    }
    assert_int_equal(game.s.progress.bytes_done, 2 * LONG);
    assert_non_null(*got = malloc(2 * LONG));
    assert_int_equal(pread(game.fd, *got, 2 * LONG, (off_t)plan.job[0].offset), 2 * LONG);
    ldl_worker_free(&game.w[0]);
    ldl_sched_free(&game.s);
    ldl_plan_free(&plan);
    close(game.fd);
    return maps;
}

static void test_stretches(void **state)
{
    unsigned char *whole, *parts;
    (void)state;
    assert_int_equal(run_long(UINT64_MAX, &whole), 1);
    assert_int_equal(run_long(0, &parts), 3);
    assert_memory_equal(whole, parts, 2 * LONG);
    free(whole);
    free(parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_ROOT(test_scans_count), WITH_ROOT(test_hard_waits),
                                        WITH_ROOT(test_hard_after_failure),
                                        WITH_ROOT(test_stretches) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
