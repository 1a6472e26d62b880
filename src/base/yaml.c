/* yaml.c -- see yaml.h. Events of libfyaml, in the order of the file, become nodes of yaml_tree.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_scalar.h"
#include "base/yaml_tree.h"

#include <libfyaml.h>
#include <string.h>

static void locate(struct ldl_yaml_tree *rd, struct fy_token *token)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return;
    rd->line = (uint32_t)mark->line + 1;
    rd->column = (uint32_t)mark->column + 1;
    enum fy_token_type type = fy_token_get_type(token);
    enum fy_scalar_style style = type == FYTT_SCALAR ? fy_scalar_token_get_style(token) : FYSS_ANY;
    if (rd->column > 1 &&
        (type == FYTT_ALIAS || type == FYTT_ANCHOR || style == FYSS_SINGLE_QUOTED ||
         style == FYSS_DOUBLE_QUOTED)) /* these marks are after the star, the quote */
        rd->column--;
}

/* libfyaml ends a block scalar with a NUL or a line break that are not in the file, where the file
 * ends inside of it. */
static size_t mend_block(const struct ldl_yaml_tree *rd, struct fy_token *token, const char *text,
                         size_t n)
{
    const struct fy_mark *end = fy_token_end_mark(token);
    if (n && text[n - 1] == 0)
        return n - 1;
    return n && text[n - 1] == '\n' && end && end->input_pos >= rd->cut ? n - 1 : n;
}

static const char *text_of(struct ldl_yaml_tree *rd, struct fy_token *token)
{
    size_t n = 0;
    const char *text = token ? fy_token_get_text(token, &n) : NULL;
    if (text && fy_token_get_type(token) == FYTT_SCALAR &&
        fy_scalar_token_get_style(token) >= FYSS_LITERAL)
        n = mend_block(rd, token, text, n);
    if (text && n && memchr(text, 0, n)) {
        ldl_yaml_fail_here(rd, "a text may not hold a NUL character");
        return NULL;
    }
    return ldl_yaml_take_text(rd, text, text ? n : 0);
}

static int set_anchor(struct ldl_yaml_tree *rd, struct fy_token *token, struct ldl_yaml_node *node)
{
    if (!token)
        return 0;
    locate(rd, token);
    const char *name = text_of(rd, token);
    if (!name)
        return LDL_EIO;
    size_t at = ldl_yaml_pairs_find(&rd->anchor, name);
    if (at < rd->anchor.n)
        return ldl_yaml_fail_here(rd, "the anchor '%.200s' is in line %u too", name,
                                  rd->anchor.key[at].line);
    struct ldl_yaml_key key = { name, rd->line, rd->column };
    return ldl_yaml_pairs_add(&rd->anchor, key, node) ? ldl_oom(rd->err) : 0;
}

static int on_alias(struct ldl_yaml_tree *rd, struct fy_token *token)
{
    locate(rd, token);
    const char *name = text_of(rd, token);
    if (!name || ldl_yaml_count(rd, 1))
        return LDL_EIO;
    size_t at = ldl_yaml_pairs_find(&rd->anchor, name);
    if (at == rd->anchor.n)
        return ldl_yaml_fail_here(rd, "no anchor '&%.200s' comes before this alias", name);
    for (size_t d = 0; d < rd->depth; d++)
        if (rd->level[d].node == rd->anchor.item[at])
            return ldl_yaml_fail_here(rd, "the alias '*%.200s' is inside of what it stands for",
                                      name);
    return ldl_yaml_place(rd, rd->anchor.item[at], 0);
}

/* The kind that a tag asks for; *kind stays when there is none, or it is "!". */
static int read_tag(struct ldl_yaml_tree *rd, struct fy_token *token, enum ldl_yaml_kind *kind,
                    int *given)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const names[] = { "null", "bool", "int", "float", "str", "seq", "map" };
    *given = 0;
    if (!token)
        return 0;
    locate(rd, token);
    const char *tag = text_of(rd, token);
    if (!tag)
        return LDL_EIO;
    if (strcmp(tag, "!") == 0)
        return 0;
    int known = strncmp(tag, prefix, sizeof prefix - 1) == 0;
    const char *name = known ? tag + sizeof prefix - 1 : tag;
    *given = 1;
    for (size_t i = 0; known && i < LDL_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum ldl_yaml_kind)i;
            return 0;
        }
    return ldl_yaml_fail_here(rd, "the tag '%s%.200s' is not allowed", known ? "!!" : "", name);
}

static int on_collection(struct ldl_yaml_tree *rd, enum ldl_yaml_kind kind, struct fy_token *start,
                         struct fy_token *tag, struct fy_token *anchor)
{
    enum ldl_yaml_kind want = kind;
    int given, rc = read_tag(rd, tag, &want, &given);
    locate(rd, start);
    struct ldl_yaml_node *node = rc == 0 ? ldl_yaml_new_node(rd, kind) : NULL;
    if (!node)
        return LDL_EIO;
    if (want != kind)
        return ldl_yaml_fail_here(rd, "the tag does not fit: this is %s", ldl_yaml_kind_name(node));
    rc = set_anchor(rd, anchor, node);
    return rc ? rc : ldl_yaml_begin(rd, node);
}

static int on_scalar(struct ldl_yaml_tree *rd, const struct fy_event *e)
{
    enum ldl_yaml_kind want = LDL_YAML_TEXT;
    struct fy_token *value = e->scalar.value;
    int given, rc = read_tag(rd, e->scalar.tag, &want, &given);
    int plain = !value || fy_scalar_token_get_style(value) == FYSS_PLAIN;
    if (rc)
        return rc;
    locate(rd, e->scalar.anchor);
    locate(rd, value);
    struct ldl_yaml_node *node = ldl_yaml_new_node(rd, LDL_YAML_TEXT);
    if (!node || !(node->text = text_of(rd, value)))
        return LDL_EIO;
    if (given && (want == LDL_YAML_SEQ || want == LDL_YAML_MAP))
        return ldl_yaml_fail_here(rd, "the tag does not fit: this is a scalar");
    if (given)
        rc = ldl_yaml_convert(node, want);
    else if (plain || e->scalar.tag)
        rc = ldl_yaml_resolve(node);
    if (rc < 0)
        return ldl_oom(rd->err);
    if (rc)
        return ldl_yaml_fail_here(rd, "'%.200s' is not %s", node->text, ldl_yaml_kind_name(node));
    int is_merge = plain && !given && strcmp(node->text, "<<") == 0;
    rc = set_anchor(rd, e->scalar.anchor, node);
    locate(rd, value);
    return rc ? rc : ldl_yaml_place(rd, node, is_merge);
}

static int on_event(struct ldl_yaml_tree *rd, const struct fy_event *e)
{
    switch (e->type) {
    case FYET_DOCUMENT_START:
        ldl_yaml_pairs_reset(&rd->anchor);
        locate(rd, e->document_start.document_start);
        return 0;
    case FYET_SCALAR: return on_scalar(rd, e);
    case FYET_ALIAS: return on_alias(rd, e->alias.anchor);
    case FYET_SEQUENCE_START:
        return on_collection(rd, LDL_YAML_SEQ, e->sequence_start.sequence_start,
                             e->sequence_start.tag, e->sequence_start.anchor);
    case FYET_MAPPING_START:
        return on_collection(rd, LDL_YAML_MAP, e->mapping_start.mapping_start, e->mapping_start.tag,
                             e->mapping_start.anchor);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END: return ldl_yaml_end(rd);
    default: return 0;
    }
}

/* ---- the whole text ---- */

/* UTF-8, and only characters that YAML allows: libfyaml lets some by. */
static int check_text(struct ldl_yaml_tree *rd, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    rd->line = rd->column = 1;
    for (size_t i = 0, n; i < len; i += n) {
        if ((n = ldl_utf8_len(s + i, len - i)) == 0)
            return ldl_yaml_fail_here(rd, "the text is not UTF-8");
        if ((s[i] < 0x20 && s[i] != '\t' && s[i] != '\n' && s[i] != '\r') || s[i] == 0x7f ||
            (s[i] == 0xc2 && s[i + 1] < 0xa0 && s[i + 1] != 0x85) ||
            (n == 3 && s[i] == 0xef && s[i + 1] == 0xbf && s[i + 2] >= 0xbe))
            return ldl_yaml_fail_here(rd, "a control character (byte 0x%02x)", s[i + n - 1]);
        if (s[i] == '\n' || (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n'))) {
            rd->line++;
            rd->column = 1;
        } else {
            rd->column++;
        }
    }
    rd->line = rd->column = 1;
    size_t last = len; /* of the characters that are not blank */
    while (last && (text[last - 1] == ' ' || text[last - 1] == '\t'))
        last--;
    rd->cut = last && text[last - 1] != '\n' && text[last - 1] != '\r' ? len : SIZE_MAX;
    return 0;
}

/* The first message of libfyaml, in our form. */
static int fail_scan(struct ldl_yaml_tree *rd, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (e && e->line > 0 && e->column > 0) {
        rd->line = (uint32_t)e->line;
        rd->column = (uint32_t)e->column;
    }
    return ldl_yaml_fail_here(rd, "%s", e && e->msg ? e->msg : "this is not YAML");
}

static int scan(struct ldl_yaml_tree *rd, const char *text, size_t len)
{
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL; /* it would be stderr */
    quiet.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&quiet);
    /* sloppy: a closing bracket may stand as far left as the key, which PyYAML takes */
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_1 | FYPCF_SLOPPY_FLOW_INDENTATION,
        .diag = diag,
    };
    struct fy_parser *parser = diag ? fy_parser_create(&cfg) : NULL;
    int rc = 0;
    if (diag)
        fy_diag_set_collect_errors(diag, true);
    if (!parser || fy_parser_set_string(parser, text, len))
        rc = ldl_oom(rd->err);
    for (struct fy_event *e; rc == 0 && (e = fy_parser_parse(parser));) {
        rc = on_event(rd, e);
        fy_parser_event_free(parser, e);
    }
    if (rc == 0 && fy_parser_get_stream_error(parser))
        rc = fail_scan(rd, diag);
    if (parser)
        fy_parser_destroy(parser);
    if (diag)
        fy_diag_destroy(diag);
    return rc;
}

int ldl_yaml_parse(struct ldl_yaml *y, const char *text, size_t len, const char *name,
                   struct ldl_err *err)
{
    struct ldl_err own;
    *y = (struct ldl_yaml){ 0 };
    struct ldl_yaml_tree *rd = ldl_calloc(1, sizeof *rd);
    if (!rd)
        return ldl_oom(err);
    rd->y = y;
    rd->err = err ? err : &own;
    int rc = (y->name = ldl_yaml_take_text(rd, name, strlen(name))) ? 0 : LDL_EIO;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    rd->line = rd->column = 1;
    if (rc == 0 && len > LDL_YAML_MAX_BYTES)
        rc = ldl_yaml_fail_here(rd, "more than %d bytes", LDL_YAML_MAX_BYTES);
    if (rc == 0)
        rc = check_text(rd, text, len);
    char *copy = rc == 0 ? ldl_strndup(text, len) : NULL; /* libfyaml looks one byte past the end */
    if (rc == 0)
        rc = copy ? scan(rd, copy, len) : ldl_oom(rd->err);
    ldl_free(copy);
    if (rc) {
        rc = rd->err->code; /* of what failed first; some say only that something did */
        ldl_yaml_free(y);
    }
    ldl_yaml_tree_free(rd);
    return rc;
}

int ldl_yaml_read(struct ldl_yaml *y, const char *path, struct ldl_err *err)
{
    struct ldl_buf text = { 0 };
    *y = (struct ldl_yaml){ 0 };
    int rc = ldl_read_file(path, LDL_YAML_MAX_BYTES, &text, err);
    if (rc == 0)
        rc = ldl_yaml_parse(y, text.text, text.len, path, err);
    ldl_buf_free(&text);
    return rc;
}

void ldl_yaml_free(struct ldl_yaml *y)
{
    if (!y)
        return;
    ldl_yaml_free_blocks(y);
    ldl_free(y->document);
    ldl_names_free(&y->warning);
    *y = (struct ldl_yaml){ 0 };
}
