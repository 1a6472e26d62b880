/* test_sched.c -- what the scheduler tells about its progress. That every tile is done once, for any
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

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_ROOT(test_scans_count) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
