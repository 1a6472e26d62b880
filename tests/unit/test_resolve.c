/* test_resolve.c -- paths and names: what exists is taken as it is, names are looked up in a cache
 * made here, and no word leads out of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"
#include "unit/read_help.h"

#define HASH  "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"

static char *path;

/* The cache is root/hub; the working directory is root. */
static int make_cache(void **state)
{
    if (make_root(state) || chdir(root))
        return -1;
    make_dirs("hub/models--org--name/refs/refs/pr");
    make_dirs("hub/models--org--name/snapshots/" HASH);
    make_dirs("hub/models--org--name/snapshots/" OTHER);
    make_dirs("hub/models--gpt2/refs");
    make_dirs("hub/models--gpt2/snapshots/" OTHER);
    save("hub/models--org--name/refs/main", HASH "\n");
    save("hub/models--org--name/refs/v1", OTHER);
    save("hub/models--org--name/refs/refs/pr/1", OTHER);
    save("hub/models--org--name/refs/gone", "1111111111111111111111111111111111111111");
    save("hub/models--org--name/refs/evil", "../../..");
    save("hub/models--org--name/refs/blank", "");
    save("hub/models--gpt2/refs/main", OTHER);
    setenv("HF_HUB_CACHE", at("hub"), 1);
    unsetenv("HF_HOME");
    setenv("HOME", "/nowhere", 1);
    return 0;
}

static int drop_cache(void **state)
{
    return chdir("/") || remove_root(state);
}

static void expect_path(const char *asked, const char *expected)
{
    expect_ok(ldl_resolve(asked, &path, &err));
    assert_string_equal(path, expected);
    ldl_free(path);
}

static void expect_none(const char *asked, const char *part)
{
    expect_error(ldl_resolve(asked, &path, &err), LDL_EINPUT, part);
    assert_null(path);
    if (*asked && !strstr(err.text, asked))
        fail_msg("'%s' does not name '%s'", err.text, asked);
}

static void test_paths(void **state)
{
    (void)state;
    save("file", "");
    expect_path("file", "file");
    expect_path(root, root);
    expect_path("hub/", "hub/");
    make_dirs("org/name"); /* a directory is stronger than the cache */
    expect_path("org/name", "org/name");
    assert_int_equal(symlink("nowhere", at("link")), 0);
    expect_none("link", "is a link that leads nowhere");
    expect_none("", "path is empty");
}

static void test_names(void **state)
{
    const char *snapshots = "hub/models--org--name/snapshots/";
    char one[600], two[600];
    (void)state;
    snprintf(one, sizeof one, "%s%s", at(snapshots), HASH);
    snprintf(two, sizeof two, "%s%s", at(snapshots), OTHER);
    expect_path("org/name", one);
    expect_path("org/name@main", one);
    expect_path("org/name@v1", two);
    expect_path("org/name@refs/pr/1", two);
    expect_path("org/name@" HASH, one);
    expect_path("gpt2", at("hub/models--gpt2/snapshots/" OTHER));
}

static void test_where_the_cache_is(void **state)
{
    (void)state;
    unsetenv("HF_HUB_CACHE");
    expect_none("org/name", "looked for /nowhere/.cache/huggingface/hub/models--org--name");
    setenv("HF_HUB_CACHE", "", 1); /* empty is not given */
    setenv("HF_HOME", root, 1);
    expect_path("gpt2", at("hub/models--gpt2/snapshots/" OTHER));
    unsetenv("HF_HOME");
    unsetenv("HOME");
    expect_none("org/name", "neither a file nor a directory");
}

static void test_absent(void **state)
{
    (void)state;
    expect_none("org/other", "neither a file nor a directory, and not in the Hugging Face cache");
    assert_non_null(strstr(err.text, at("hub/models--org--other")));
    expect_none("org/name@v9", "revision 'v9' is not in the Hugging Face cache");
    expect_none("org/name@gone", "revision 'gone' is not in");
    expect_none("org/name@refs", "revision 'refs' is not in");
    expect_none("org/name@blank", "does not hold a revision's hash");
    expect_none("/abs/ent", "only a name like org/name[@revision] is looked up");
    assert_non_null(strstr(err.text, at("hub")));
}

static void test_no_way_out(void **state)
{
    static const char *const words[] = { "../name",       "org/..",        "org/.",
                                         "org//name",     "a/b/c",         "org/name@",
                                         "org/name@..",   "org/name@a/..", "org/name@a//b",
                                         "org/name@/etc", "@main",         "org/@main",
                                         "/@x",           ".hidden/x",     "./x" };
    (void)state;
    for (size_t i = 0; i < LDL_COUNT(words); i++)
        expect_none(words[i], "only a name like org/name[@revision]");
    expect_none("org/name@evil", "does not hold a revision's hash");
    make_dirs("hub/models--org--name/snapshots/refs/pr");
    expect_none("org/name@refs/pr", "revision 'refs/pr' is not in");
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, make_cache, drop_cache)

int main(void)
{
    const struct CMUnitTest tests[] = { WITH_CACHE(test_paths), WITH_CACHE(test_names),
                                        WITH_CACHE(test_where_the_cache_is),
                                        WITH_CACHE(test_absent), WITH_CACHE(test_no_way_out) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
