/* mergekit_chat.c -- chat_template: auto, a format by its name, or a template as it is.
 *
 * The templates are Jinja as transformers runs it (a line break after a block goes, blanks before one
 * too). Each follows the public description of its format; where a format has no place for a system
 * message, it goes before the next message of the user. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "recipe/mergekit.h"

#include <string.h>

enum { SHORTEST = 20 }; /* characters of a template; mergekit's bound */

/* clang-format off */
static const struct {
    const char *name, *text;
} formats[] = {
    { "alpaca",
      "{{ bos_token }}{% for m in messages %}"
      "{% if m['role'] == 'user' %}{{ '### Instruction:\\n' ~ m['content'] ~ '\\n\\n' }}"
      "{% elif m['role'] == 'assistant' %}{{ '### Response:\\n' ~ m['content'] ~ eos_token ~ '\\n\\n' }}"
      "{% else %}{{ m['content'] ~ '\\n\\n' }}{% endif %}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}\n" },
    { "chatml",
      "{% for m in messages %}"
      "{{ '<|im_start|>' ~ m['role'] ~ '\\n' ~ m['content'] ~ '<|im_end|>\\n' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\n" },
    { "exaone",
      "{% for m in messages %}"
      "{% if loop.first and m['role'] != 'system' %}{{ '[|system|][|endofturn|]\\n' }}{% endif %}"
      "{{ '[|' ~ m['role'] ~ '|]' ~ m['content'] }}"
      "{{ '\\n' if m['role'] == 'user' else '[|endofturn|]\\n' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}\n" },
    { "llama3",
      "{{ bos_token }}{% for m in messages %}"
      "{{ '<|start_header_id|>' ~ m['role'] ~ '<|end_header_id|>\\n\\n' }}"
      "{{ m['content'] | trim ~ '<|eot_id|>' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}"
      "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}\n" },
    { "mistral",
      "{{ bos_token }}{% set held = namespace(text='') %}{% for m in messages %}"
      "{% if m['role'] == 'user' %}{{ '[INST] ' ~ held.text ~ m['content'] ~ ' [/INST]' }}"
      "{% set held.text = '' %}"
      "{% elif m['role'] == 'assistant' %}{{ ' ' ~ m['content'] | trim ~ eos_token }}"
      "{% else %}{% set held.text = held.text ~ m['content'] ~ '\\n\\n' %}{% endif %}"
      "{% endfor %}\n" },
};
/* clang-format on */

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int fail_template(const struct ldl_mk *mk, const struct ldl_yaml_node *node,
                         struct ldl_err *err)
{
    const char *names[LDL_COUNT(formats) + 1] = { "auto" };
    for (size_t i = 0; i < LDL_COUNT(formats); i++)
        names[i + 1] = formats[i].name;
    const char *near = ldl_nearest(node->text, names, LDL_COUNT(names));
    if (near)
        return ldl_yaml_fail(&mk->yaml, node, err, LDL_EUSAGE,
                             "chat_template: '%s' is unknown; did you mean '%s'?", node->text,
                             near);
    return ldl_yaml_fail(&mk->yaml, node, err, LDL_EUSAGE,
                         "chat_template: auto, alpaca, chatml, exaone, llama3, mistral or a Jinja "
                         "template (%d characters or more, with a '{') is expected",
                         SHORTEST);
}

int ldl_mk_chat(const struct ldl_mk *mk, struct ldl_recipe *r, struct ldl_err *err)
{
    const struct ldl_yaml_node *node = ldl_yaml_find(mk->root, "chat_template");
    const char *text = node ? node->text : NULL;
    if (!node || node->kind == LDL_YAML_NULL)
        return 0;
    if (node->kind != LDL_YAML_TEXT)
        return fail_template(mk, node, err);
    if ((r->chat_auto = strcmp(text, "auto") == 0))
        return 0;
    size_t i = 0;
    while (i < LDL_COUNT(formats) && strcmp(formats[i].name, text) != 0)
        i++;
    if (i < LDL_COUNT(formats))
        text = formats[i].text;
    else if (characters(text) < SHORTEST || !strchr(text, '{'))
        return fail_template(mk, node, err);
    return (r->chat_template = ldl_strdup(text)) ? 0 : ldl_oom(err);
}
