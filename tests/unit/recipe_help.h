/* recipe_help.h -- what the tests of flags and recipes share: a line of words to a recipe, and
 * questions about it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_TESTS_RECIPE_HELP_H
#define LDL_TESTS_RECIPE_HELP_H

#include "recipe/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define UNUSED __attribute__((unused))
#define AB     "--model_path_list a b "

static struct ldl_recipe r;
static struct ldl_err err;
static char folder[] = "/tmp/ladle-recipe-XXXXXX";
static char json_path[64];

UNUSED static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(json_path, sizeof json_path, "%s/s.json", folder);
    return 0;
}

UNUSED static int remove_folder(void **state)
{
    (void)state;
    unlink(json_path);
    return rmdir(folder);
}

UNUSED static int forget(void **state)
{
    (void)state;
    ldl_recipe_free(&r);
    return 0;
}

/* Words with single blanks between; "JSON" stands for the file that write_json() made. */
UNUSED static int parse_line(const char *line, int need_output)
{
    static char copy[2048];
    const char *word[256];
    int n = 0;
    char *rest = copy, *one;
    ldl_recipe_free(&r);
    memset(&err, 0, sizeof err);
    snprintf(copy, sizeof copy, "%s", line);
    while ((one = strsep(&rest, " ")))
        if (*one)
            word[n++] = strcmp(one, "JSON") == 0 ? json_path : one;
    return ldl_recipe_parse(&r, NULL, n, word, need_output, &err);
}

UNUSED static void write_bytes(const char *text, size_t n)
{
    FILE *f = fopen(json_path, "w");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f))
        abort();
}

UNUSED static void write_json(const char *text)
{
    write_bytes(text, strlen(text));
}

UNUSED static void parses(const char *line)
{
    if (parse_line(line, 0))
        fail_msg("'%s': %s", line, err.text);
}

UNUSED static void has_text(const char *whole, const char *part)
{
    if (!strstr(whole, part))
        fail_msg("'%s' is not in '%s'", part, whole);
}

/* Fails as wrong usage, with these parts in the message, and leaves the recipe empty. */
UNUSED static void refuses(const char *line, const char *part, const char *part2)
{
    static const struct ldl_recipe nothing;
    int rc = parse_line(line, 0);
    if (rc == 0)
        fail_msg("'%s' was accepted", line);
    has_text(err.text, part);
    if (part2)
        has_text(err.text, part2);
    assert_int_equal(rc, LDL_EUSAGE);
    assert_int_equal(err.code, LDL_EUSAGE);
    assert_memory_equal(&r, &nothing, sizeof r);
}

/* What the settings say about a key, up to the end of the line: "\"seed\": 0" ... */
UNUSED static void config_has(const char *part)
{
    has_text(r.config.text, part);
}

UNUSED static void notes_are(size_t n, const char *part)
{
    char all[4096] = "";
    for (size_t i = 0; i < r.note.n; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s\n", r.note.name[i]);
    if (r.note.n != n)
        fail_msg("%zu notes instead of %zu: %s", r.note.n, n, all);
    if (part)
        has_text(all, part);
}

UNUSED static const struct ldl_value *value_of(const char *name)
{
    for (size_t i = 0; i < r.nvalues; i++)
        if (strcmp(r.value[i].param->name, name) == 0)
            return &r.value[i];
    fail_msg("no value %s", name);
    return NULL;
}

#endif
