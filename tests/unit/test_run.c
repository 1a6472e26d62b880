/* test_run.c -- what happens to a merge from outside while it runs. The merges themselves are in the
 * Python tests; signals, full disks and failing calls in test_output_system.c and fault.py. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ladle/ladle.h"
#include "unit/read_help.h"

static void save_model(const char *name)
{
    char file[64];
    make_dirs(name);
    snprintf(file, sizeof file, "%s/model.safetensors", name);
    save_st(file, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}   ", 8);
}

/* Called at least once, when the tensors are done and before the output gets its name. */
static int remove_shard(void *ctx, const struct ladle_progress *now)
{
    (void)ctx, (void)now;
    unlink(at("out.partial/model-00001-of-00001.safetensors"));
    return 0;
}

static void test_shard_removed(void **state)
{
    (void)state;
    struct ladle_error e = { 0 };
    ladle_plan *plan;
    save_model("a");
    save_model("b");
    const char *words[] = { "--model_path_list", at("a"), at("b"), "--output_path", at("out") };
    assert_int_equal(ladle_plan_new(&plan, 5, words, LADLE_NEED_OUTPUT, &e), 0);
    assert_int_equal(ladle_plan_run(plan, remove_shard, NULL, &e), LADLE_EIO);
    assert_non_null(
        strstr(e.text, "model-00001-of-00001.safetensors: was removed while the merge"));
    assert_int_not_equal(access(at("out"), F_OK), 0);
    assert_int_not_equal(access(at("out.partial"), F_OK), 0);
    ladle_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_ROOT(test_shard_removed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
