/* adapter_config.c -- the settings of an adapter: adapter_config.json and lora_config.json.
 *
 * Read are the numbers of the formula. Settings of training (dropout, target_modules ...) do not
 * change what a merge gives and are passed over, as are keys that nobody here knows: tensors
 * of an unknown kind are errors in any case. Settings that change the result in a way that is not
 * supported are refused by name.
 *
 *     s = alpha / r                rslora: s = alpha / sqrt(r)
 *
 * rank_pattern and alpha_pattern give r and alpha for single modules. A key matches a module's name
 * as PEFT matches it: as a regular expression for the whole name, or for its end after a dot; the
 * first key that matches counts. Names without other signs than dots are compared as they are. Of
 * Python's expressions those are taken that POSIX writes alike and that cannot take unbounded
 * time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "model/adapter.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 16 << 20, REGEX_MAX_BYTES = 256, PATTERNS_MAX = 100000 };

enum kind {
    COUNT,    /* a whole number above 0 */
    NUMBER,   /* any number */
    FLAG,     /* true or false */
    PATTERNS, /* an object of numbers */
    TYPE,     /* the word LORA */
    INIT,     /* how training began */
    REFUSED,  /* must be null, false or empty */
};

struct key {
    const char *name;
    enum kind kind;
    size_t at; /* in struct ldl_adapter_config */
};

#define AT(field) offsetof(struct ldl_adapter_config, field)
static const struct key peft_keys[] = {
    { "peft_type", TYPE, 0 },
    { "r", COUNT, AT(rank) },
    { "lora_alpha", NUMBER, AT(alpha) },
    { "use_rslora", FLAG, AT(rslora) },
    { "use_dora", FLAG, AT(dora) },
    { "fan_in_fan_out", FLAG, AT(fan_in_fan_out) },
    { "rank_pattern", PATTERNS, AT(ranks) },
    { "alpha_pattern", PATTERNS, AT(alphas) },
    { "init_lora_weights", INIT, 0 },
    { "layer_replication", REFUSED, 0 },
    { "trainable_token_indices", REFUSED, 0 },
    { "target_parameters", REFUSED, 0 },
    { "use_qalora", REFUSED, 0 },
    { "use_bdlora", REFUSED, 0 },
    { "megatron_config", REFUSED, 0 },
    { "alora_invocation_tokens", REFUSED, 0 },
    { "arrow_config", REFUSED, 0 },
    { "kasa_config", REFUSED, 0 },
    { "monteclora_config", REFUSED, 0 },
    { NULL, 0, 0 },
};
static const struct key paddle_keys[] = {
    { "r", COUNT, AT(rank) },         { "lora_alpha", NUMBER, AT(alpha) },
    { "rslora", FLAG, AT(rslora) },   { "enable_lora_list", REFUSED, 0 },
    { "lora_use_mixer", REFUSED, 0 }, { NULL, 0, 0 },
};
#undef AT

/* A finite number. Python's JSON may hold NaN, which would make every element of the model one. */
static int read_number(struct ldl_json *j, double *out, struct ldl_err *err)
{
    int status = ldl_json_double(j, out, err);
    if (status == 0 && !isfinite(*out))
        status = ldl_json_fail(j, err, "the number is not finite");
    return status;
}

/* ---- patterns ---- */

static int is_plain(const char *key)
{
    for (; *key; key++)
        if (!strchr("._-", *key) && !(*key >= '0' && *key <= '9') &&
            !(*key >= 'a' && *key <= 'z') && !(*key >= 'A' && *key <= 'Z'))
            return 0;
    return 1;
}

/* Python's key as a POSIX extended expression into *out. 0 when it has something that POSIX lacks or
 * means otherwise, or that may take long: braces, repeats of groups (a nest of them takes for ever),
 * back references, groups with '?', lazy repeats. */
static int translate(const char *key, struct ldl_buf *out)
{
    int in_set = 0;
    if (strlen(key) > REGEX_MAX_BYTES)
        return 0;
    ldl_buf_puts(out, "^(.*\\.)?(");
    for (const char *p = key; *p; p++) {
        if (in_set && strchr("\\[", *p)) /* means something else in a POSIX set */
            return 0;
        in_set = (in_set && *p != ']') || *p == '[';
        if (strchr("{}", *p) || (strchr("*+?", *p) && p[1] && strchr("*+?", p[1])) ||
            (*p == '(' && p[1] == '?') || (*p == ')' && p[1] && strchr("*+?", p[1])) ||
            (unsigned char)*p >= 0x80)
            return 0;
        if (*p != '\\') {
            ldl_buf_put(out, p, 1);
        } else if (*++p == 'd') {
            ldl_buf_puts(out, "[0-9]");
        } else {
            if (!*p || !strchr(".-_^$*+?()[]|\\/", *p))
                return 0;
            ldl_buf_put(out, p - 1, 2);
        }
    }
    ldl_buf_puts(out, ")$");
    return 1;
}

static int add_pattern(struct ldl_patterns *p, struct ldl_json *j, const char *key, double value,
                       struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    if (p->n >= PATTERNS_MAX)
        return ldl_json_fail(j, err, "more than %d patterns", PATTERNS_MAX);
    if (ldl_grow(&p->item, &p->cap, p->n + 1, sizeof *p->item))
        return ldl_oom(err);
    struct ldl_pattern *one = &p->item[p->n];
    *one = (struct ldl_pattern){ .value = value };
    if (!(one->key = ldl_strdup(key)))
        return ldl_oom(err);
    p->n++;
    if (is_plain(key[0] == '^' ? key + 1 : key))
        return 0;
    int known = translate(key, &text), status = 0;
    if (text.failed)
        status = ldl_oom(err);
    else if (!known || regcomp(&one->regex, text.text, REG_EXTENDED | REG_NOSUB))
        status = ldl_json_fail(j, err,
                               "the pattern '%.100s' is a regular expression of a kind that is not "
                               "read; write the modules' names instead",
                               key);
    else
        one->is_regex = 1;
    ldl_buf_free(&text);
    return status;
}

static int read_patterns(struct ldl_patterns *p, struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf key = { 0 };
    double value;
    int status = ldl_json_enter(j, '{', err);
    if (status)
        return status;
    while ((status = ldl_json_member(j, &key, err)) > 0)
        if ((status = read_number(j, &value, err)) ||
            (status = add_pattern(p, j, key.text, value, err)))
            goto out;
    status = -status;
out:
    ldl_buf_free(&key);
    return status;
}

/* The one sign that plain keys have: a dot stands for any character. */
static int same_but_dots(const char *key, const char *text)
{
    for (; *key && *text; key++, text++)
        if (*key != *text && *key != '.')
            return 0;
    return *key == *text;
}

/* A plain key is the name or its end after a dot; ^key is the name. */
static int matches(const struct ldl_pattern *p, const char *module)
{
    if (p->is_regex)
        return regexec(&p->regex, module, 0, NULL, 0) == 0;
    if (p->key[0] == '^')
        return same_but_dots(p->key + 1, module);
    size_t name = strlen(module), end = strlen(p->key);
    return end <= name && same_but_dots(p->key, module + name - end) &&
           (end == name || module[name - end - 1] == '.');
}

static double lookup(const struct ldl_patterns *p, const char *module, double otherwise)
{
    for (size_t i = 0; i < p->n; i++)
        if (matches(&p->item[i], module))
            return p->item[i].value;
    return otherwise;
}

static void free_patterns(struct ldl_patterns *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->item[i].is_regex)
            regfree(&p->item[i].regex);
        ldl_free(p->item[i].key);
    }
    ldl_free(p->item);
}

/* ---- the file ---- */

static int refuse_if_set(struct ldl_json *j, const char *name, struct ldl_err *err)
{
    const char *from, *to;
    int status = ldl_json_skip(j, &from, &to, err);
    if (status)
        return status;
    size_t n = (size_t)(to - from);
    int unset =
        (n == 4 && memcmp(from, "null", 4) == 0) || (n == 5 && memcmp(from, "false", 5) == 0);
    if (*from == '[' || *from == '{') /* empty? */
        unset = 1 + strspn(from + 1, " \t\r\n") + 1 == n;
    return unset ? 0
                 : ldl_json_fail(j, err,
                                 "%s is set, which is not supported; merge this adapter with the "
                                 "tool that trained it",
                                 name);
}

static int read_type(struct ldl_json *j, struct ldl_err *err)
{
    struct ldl_buf word = { 0 };
    int status = ldl_json_string(j, &word, err);
    if (status == 0 && strcmp(word.text, "LORA") != 0)
        status = ldl_json_fail(j, err, "peft_type '%.64s' is not supported; LORA is", word.text);
    ldl_buf_free(&word);
    return status;
}

/* These begin with a change of the base's own weights. An adapter that was saved converted says true
 * here, so this one was not. */
static int read_init(struct ldl_adapter_config *c, struct ldl_json *j, struct ldl_err *err)
{
    static const char *const changing[] = { "pissa", "olora", "corda", "loftq", "lora_ga" };
    struct ldl_buf word = { 0 }, note = { 0 };
    if (ldl_json_peek(j) != '"')
        return ldl_json_skip(j, NULL, NULL, err);
    int status = ldl_json_string(j, &word, err);
    for (size_t i = 0; i < LDL_COUNT(changing) && status == 0; i++) {
        if (strncmp(word.text, changing[i], strlen(changing[i])) != 0)
            continue;
        ldl_buf_printf(
            &note,
            "%s: init_lora_weights '%.64s' changed the base before training; the merge is "
            "right only on a base that was changed in the same way",
            c->path, word.text);
        if (note.failed || ldl_names_add(&c->note, note.text))
            status = ldl_oom(err);
    }
    ldl_buf_free(&word);
    ldl_buf_free(&note);
    return status;
}

static int read_value(struct ldl_adapter_config *c, const struct key *k, struct ldl_json *j,
                      struct ldl_err *err)
{
    void *to = (char *)c + k->at;
    int status = 0;
    if (k->kind == REFUSED)
        return refuse_if_set(j, k->name, err);
    if (ldl_json_peek(j) == 'n')
        return ldl_json_skip(j, NULL, NULL, err);
    switch (k->kind) {
    case COUNT:
        if ((status = ldl_json_u64(j, to, err)) == 0 && *(uint64_t *)to == 0)
            status = ldl_json_fail(j, err, "%s is 0", k->name);
        return status;
    case NUMBER:
        if ((status = read_number(j, to, err)))
            ldl_context(err, "%s", k->name);
        return status;
    case FLAG: return ldl_json_bool(j, to, err);
    case PATTERNS: return read_patterns(to, j, err);
    case TYPE: return read_type(j, err);
    default: return read_init(c, j, err);
    }
}

static int read_text(struct ldl_adapter_config *c, const struct key *keys,
                     const struct ldl_buf *text, struct ldl_err *err)
{
    struct ldl_json j;
    struct ldl_buf name = { 0 };
    ldl_json_open(&j, text->text, text->len, c->path);
    int status = ldl_json_enter(&j, '{', err);
    if (status)
        return status;
    while ((status = ldl_json_member(&j, &name, err)) > 0) {
        const struct key *k = keys;
        while (k->name && strcmp(k->name, name.text) != 0)
            k++;
        if (k->kind == PATTERNS && k->name && ((struct ldl_patterns *)((char *)c + k->at))->n)
            status = ldl_json_fail(&j, err, "%s is given twice", k->name);
        else
            status = k->name ? read_value(c, k, &j, err) : ldl_json_skip(&j, NULL, NULL, err);
        if (status) {
            ldl_buf_free(&name);
            return status;
        }
    }
    ldl_buf_free(&name);
    return status ? -status : ldl_json_close(&j, err);
}

int ldl_adapter_config_read(struct ldl_adapter_config *c, const char *path, int paddle,
                            struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    *c = (struct ldl_adapter_config){ .rank = 8, .alpha = 8 }; /* the defaults of both */
    int status = (c->path = ldl_strdup(path)) ? 0 : ldl_oom(err);
    if (status == 0)
        status = ldl_read_file(path, CONFIG_MAX_BYTES, &text, err);
    if (status == 0)
        status = read_text(c, paddle ? paddle_keys : peft_keys, &text, err);
    ldl_buf_free(&text);
    if (status)
        ldl_adapter_config_free(c);
    return status;
}

void ldl_adapter_config_free(struct ldl_adapter_config *c)
{
    if (!c)
        return;
    ldl_free(c->path);
    free_patterns(&c->ranks);
    free_patterns(&c->alphas);
    ldl_names_free(&c->note);
    *c = (struct ldl_adapter_config){ 0 };
}

int ldl_adapter_config_scale(const struct ldl_adapter_config *c, const char *module, uint64_t rank,
                             double *scale, struct ldl_err *err)
{
    double r = lookup(&c->ranks, module, (double)c->rank);
    double alpha = lookup(&c->alphas, module, c->alpha);
    if (rank && r != (double)rank)
        return ldl_fail(err, LDL_EINPUT,
                        "%s: r is %.17g for module '%.200s', whose tensors have rank %llu", c->path,
                        r, module, (unsigned long long)rank);
    *scale = c->rslora ? alpha / sqrt(r) : alpha / r;
    return 0;
}
