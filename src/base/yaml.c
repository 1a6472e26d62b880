/* yaml.c -- see yaml.h.
 *
 * A stack of open collections; an event adds a node to the innermost, in place(). A collection's
 * pairs are collected in its level of the stack and copied to the tree when it ends. Heights and
 * visits are sums over finished nodes only, for which an alias to an open one is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"
#include "base/yaml_pairs.h"
#include "base/yaml_scalar.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

/* Nodes and texts live in blocks that are freed at once. */
struct ldl_yaml_block {
    struct ldl_yaml_block *next;
    size_t used, size;
    max_align_t bytes[];
};

enum { BLOCK_BYTES = 16384 };

struct level {
    struct ldl_yaml_node *node;
    struct ldl_yaml_pairs own;    /* SEQ: only the items are used */
    struct ldl_yaml_pairs merged; /* what << brings */
    struct ldl_yaml_key key;      /* of the value that comes next */
    int has_key, is_merge;
};

struct reader {
    struct ldl_yaml *y;
    struct ldl_err *err;
    struct level level[LDL_YAML_DEPTH];
    size_t depth, nodes, cap_documents;
    struct ldl_yaml_pairs anchor; /* of this document */
    uint32_t line, column;        /* of the event, or of the last one that had a place */
    size_t cut; /* length of a text whose last line is not blank and has no end, else SIZE_MAX */
};

static void *take(struct reader *rd, size_t bytes)
{
    struct ldl_yaml_block *b = rd->y->block;
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!b || b->size - b->used < bytes) {
        size_t size = LDL_MAX(bytes, (size_t)BLOCK_BYTES);
        if (!(b = ldl_alloc(sizeof *b + size))) {
            ldl_oom(rd->err);
            return NULL;
        }
        *b = (struct ldl_yaml_block){ .next = rd->y->block, .size = size };
        rd->y->block = b;
    }
    void *p = (char *)b->bytes + b->used;
    b->used += bytes;
    return p;
}

static const void *take_copy(struct reader *rd, const void *from, size_t bytes)
{
    void *to = take(rd, bytes);
    if (to && bytes)
        memcpy(to, from, bytes);
    return to;
}

static const char *take_text(struct reader *rd, const char *text, size_t n)
{
    char *to = take(rd, n + 1);
    if (!to)
        return NULL;
    if (n)
        memcpy(to, text, n);
    to[n] = 0;
    return to;
}

__attribute__((format(printf, 2, 3))) static int fail_here(struct reader *rd, const char *fmt, ...)
{
    char what[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ldl_fail(rd->err, LDL_EINPUT, "%s:%u:%u: %s", rd->y->name, rd->line, rd->column, what);
}

/* Each node costs: those of the file, aliases, and what merging copies. */
static int count(struct reader *rd, size_t n)
{
    rd->nodes += n;
    return rd->nodes <= LDL_YAML_MAX_NODES
               ? 0
               : fail_here(rd, "more than %d values", LDL_YAML_MAX_NODES);
}

static struct ldl_yaml_node *new_node(struct reader *rd, enum ldl_yaml_kind kind)
{
    struct ldl_yaml_node *node = count(rd, 1) ? NULL : take(rd, sizeof *node);
    if (node)
        *node = (struct ldl_yaml_node){
            .kind = kind, .line = rd->line, .column = rd->column, .text = "", .visits = 1
        };
    return node;
}

/* ---- into the tree ---- */

static int is_collection(const struct ldl_yaml_node *node)
{
    return node->kind == LDL_YAML_SEQ || node->kind == LDL_YAML_MAP;
}

static int put(struct reader *rd, struct ldl_yaml_pairs *to, struct ldl_yaml_key key,
               struct ldl_yaml_node *item)
{
    return ldl_yaml_pairs_put(to, key, item) ? ldl_oom(rd->err) : 0;
}

static int merge_one(struct reader *rd, struct ldl_yaml_pairs *to, const struct ldl_yaml_node *from)
{
    if (from->kind != LDL_YAML_MAP)
        return fail_here(rd, "'<<' wants a mapping or a list of mappings, and this is %s",
                         ldl_yaml_kind_name(from));
    int rc = count(rd, from->n);
    for (size_t i = 0; rc == 0 && i < from->n; i++)
        rc = put(rd, to, from->key[i], from->item[i]);
    return rc;
}

/* Of a list, the earlier mapping wins; of two << in one mapping, the later, as in PyYAML. */
static int merge(struct reader *rd, struct level *top, const struct ldl_yaml_node *value)
{
    if (value->kind != LDL_YAML_SEQ)
        return merge_one(rd, &top->merged, value);
    int rc = 0;
    for (size_t i = value->n; rc == 0 && i-- > 0;)
        rc = merge_one(rd, &top->merged, value->item[i]);
    return rc;
}

static int warn_twice(struct reader *rd, const struct ldl_yaml_key *now,
                      const struct ldl_yaml_key *before)
{
    char text[1024];
    if (rd->y->warning.n >= LDL_YAML_MAX_WARNINGS)
        return 0;
    snprintf(text, sizeof text,
             "%.400s:%u:%u: the key '%.200s' was given in line %u too; this one counts",
             rd->y->name, now->line, now->column, now->text, before->line);
    return ldl_names_add(&rd->y->warning, text) ? ldl_oom(rd->err) : 0;
}

static int place_key(struct reader *rd, struct level *top, const struct ldl_yaml_node *node,
                     int is_merge)
{
    if (is_collection(node))
        return fail_here(rd, "a key may not be %s", ldl_yaml_kind_name(node));
    top->key = (struct ldl_yaml_key){ node->text, rd->line, rd->column };
    top->has_key = 1;
    top->is_merge = is_merge;
    return 0;
}

static int place_value(struct reader *rd, struct level *top, struct ldl_yaml_node *node)
{
    top->has_key = 0;
    if (top->is_merge)
        return merge(rd, top, node);
    size_t at = ldl_yaml_pairs_find(&top->own, top->key.text);
    int rc = at < top->own.n ? warn_twice(rd, &top->key, &top->own.key[at]) : 0;
    return rc ? rc : put(rd, &top->own, top->key, node);
}

static int place_document(struct reader *rd, struct ldl_yaml_node *node)
{
    struct ldl_yaml *y = rd->y;
    if (ldl_grow(&y->document, &rd->cap_documents, y->ndocuments + 1, sizeof *y->document))
        return ldl_oom(rd->err);
    y->document[y->ndocuments++] = node;
    return 0;
}

/* A finished node goes where the file has it. is_merge: it is a plain <<. */
static int place(struct reader *rd, struct ldl_yaml_node *node, int is_merge)
{
    if (rd->depth == 0)
        return place_document(rd, node);
    struct level *top = &rd->level[rd->depth - 1];
    if (rd->depth + node->height > LDL_YAML_DEPTH)
        return fail_here(rd, "nested deeper than %d levels", LDL_YAML_DEPTH);
    if (top->node->kind == LDL_YAML_MAP)
        return top->has_key ? place_value(rd, top, node) : place_key(rd, top, node, is_merge);
    struct ldl_yaml_pairs *p = &top->own;
    if (ldl_grow(&p->item, &p->item_cap, p->n + 1, sizeof *p->item))
        return ldl_oom(rd->err);
    p->item[p->n++] = node;
    return 0;
}

static int begin(struct reader *rd, struct ldl_yaml_node *node)
{
    if (rd->depth == LDL_YAML_DEPTH)
        return fail_here(rd, "nested deeper than %d levels", LDL_YAML_DEPTH);
    struct level *top = rd->depth ? &rd->level[rd->depth - 1] : NULL;
    if (top && top->node->kind == LDL_YAML_MAP && !top->has_key)
        return fail_here(rd, "a key may not be %s", ldl_yaml_kind_name(node));
    top = &rd->level[rd->depth++];
    top->node = node;
    top->has_key = 0;
    ldl_yaml_pairs_reset(&top->own);
    ldl_yaml_pairs_reset(&top->merged);
    return 0;
}

static int end(struct reader *rd)
{
    struct level *top = &rd->level[--rd->depth];
    struct ldl_yaml_node *node = top->node;
    struct ldl_yaml_pairs *all = &top->own;
    if (top->merged.n) {
        all = &top->merged;
        for (size_t i = 0; i < top->own.n; i++)
            if (put(rd, all, top->own.key[i], top->own.item[i]))
                return LDL_EIO;
    }
    node->n = all->n;
    node->item = (struct ldl_yaml_node **)take_copy(rd, all->item, all->n * sizeof *all->item);
    if (node->item && node->kind == LDL_YAML_MAP)
        node->key = (struct ldl_yaml_key *)take_copy(rd, all->key, all->n * sizeof *all->key);
    if (!node->item || (node->kind == LDL_YAML_MAP && !node->key))
        return LDL_EIO;
    for (size_t i = 0; i < node->n; i++) {
        node->height = LDL_MAX(node->height, node->item[i]->height + 1);
        if (__builtin_add_overflow(node->visits, node->item[i]->visits, &node->visits))
            node->visits = UINT64_MAX;
    }
    if (node->n == 0)
        node->height = 1;
    return place(rd, node, 0);
}

/* ---- events ---- */

static void locate(struct reader *rd, struct fy_token *token)
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
static size_t mend_block(const struct reader *rd, struct fy_token *token, const char *text,
                         size_t n)
{
    const struct fy_mark *end = fy_token_end_mark(token);
    if (n && text[n - 1] == 0)
        return n - 1;
    return n && text[n - 1] == '\n' && end && end->input_pos >= rd->cut ? n - 1 : n;
}

static const char *text_of(struct reader *rd, struct fy_token *token)
{
    size_t n = 0;
    const char *text = token ? fy_token_get_text(token, &n) : NULL;
    if (text && fy_token_get_type(token) == FYTT_SCALAR &&
        fy_scalar_token_get_style(token) >= FYSS_LITERAL)
        n = mend_block(rd, token, text, n);
    if (text && n && memchr(text, 0, n)) {
        fail_here(rd, "a text may not hold a NUL character");
        return NULL;
    }
    return take_text(rd, text, text ? n : 0);
}

static int set_anchor(struct reader *rd, struct fy_token *token, struct ldl_yaml_node *node)
{
    if (!token)
        return 0;
    locate(rd, token);
    const char *name = text_of(rd, token);
    if (!name)
        return LDL_EIO;
    size_t at = ldl_yaml_pairs_find(&rd->anchor, name);
    if (at < rd->anchor.n)
        return fail_here(rd, "the anchor '%.200s' is in line %u too", name,
                         rd->anchor.key[at].line);
    struct ldl_yaml_key key = { name, rd->line, rd->column };
    return ldl_yaml_pairs_add(&rd->anchor, key, node) ? ldl_oom(rd->err) : 0;
}

static int on_alias(struct reader *rd, struct fy_token *token)
{
    locate(rd, token);
    const char *name = text_of(rd, token);
    if (!name || count(rd, 1))
        return LDL_EIO;
    size_t at = ldl_yaml_pairs_find(&rd->anchor, name);
    if (at == rd->anchor.n)
        return fail_here(rd, "no anchor '&%.200s' comes before this alias", name);
    for (size_t d = 0; d < rd->depth; d++)
        if (rd->level[d].node == rd->anchor.item[at])
            return fail_here(rd, "the alias '*%.200s' is inside of what it stands for", name);
    return place(rd, rd->anchor.item[at], 0);
}

/* The kind that a tag asks for; *kind stays when there is none, or it is "!". */
static int read_tag(struct reader *rd, struct fy_token *token, enum ldl_yaml_kind *kind, int *given)
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
    return fail_here(rd, "the tag '%s%.200s' is not allowed", known ? "!!" : "", name);
}

static int on_collection(struct reader *rd, enum ldl_yaml_kind kind, struct fy_token *start,
                         struct fy_token *tag, struct fy_token *anchor)
{
    enum ldl_yaml_kind want = kind;
    int given, rc = read_tag(rd, tag, &want, &given);
    locate(rd, start);
    struct ldl_yaml_node *node = rc == 0 ? new_node(rd, kind) : NULL;
    if (!node)
        return LDL_EIO;
    if (want != kind)
        return fail_here(rd, "the tag does not fit: this is %s", ldl_yaml_kind_name(node));
    rc = set_anchor(rd, anchor, node);
    return rc ? rc : begin(rd, node);
}

static int on_scalar(struct reader *rd, const struct fy_event *e)
{
    enum ldl_yaml_kind want = LDL_YAML_TEXT;
    struct fy_token *value = e->scalar.value;
    int given, rc = read_tag(rd, e->scalar.tag, &want, &given);
    int plain = !value || fy_scalar_token_get_style(value) == FYSS_PLAIN;
    if (rc)
        return rc;
    locate(rd, e->scalar.anchor);
    locate(rd, value);
    struct ldl_yaml_node *node = new_node(rd, LDL_YAML_TEXT);
    if (!node || !(node->text = text_of(rd, value)))
        return LDL_EIO;
    if (given && (want == LDL_YAML_SEQ || want == LDL_YAML_MAP))
        return fail_here(rd, "the tag does not fit: this is a scalar");
    if (given)
        rc = ldl_yaml_convert(node, want);
    else if (plain || e->scalar.tag)
        rc = ldl_yaml_resolve(node);
    if (rc < 0)
        return ldl_oom(rd->err);
    if (rc)
        return fail_here(rd, "'%.200s' is not %s", node->text, ldl_yaml_kind_name(node));
    int is_merge = plain && !given && strcmp(node->text, "<<") == 0;
    rc = set_anchor(rd, e->scalar.anchor, node);
    locate(rd, value);
    return rc ? rc : place(rd, node, is_merge);
}

static int on_event(struct reader *rd, const struct fy_event *e)
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
    case FYET_MAPPING_END: return end(rd);
    default: return 0;
    }
}

/* ---- the whole text ---- */

/* UTF-8, and only characters that YAML allows: libfyaml lets some by. */
static int check_text(struct reader *rd, const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    rd->line = rd->column = 1;
    for (size_t i = 0, n; i < len; i += n) {
        if ((n = ldl_utf8_len(s + i, len - i)) == 0)
            return fail_here(rd, "the text is not UTF-8");
        if ((s[i] < 0x20 && s[i] != '\t' && s[i] != '\n' && s[i] != '\r') || s[i] == 0x7f ||
            (s[i] == 0xc2 && s[i + 1] < 0xa0 && s[i + 1] != 0x85) ||
            (n == 3 && s[i] == 0xef && s[i + 1] == 0xbf && s[i + 2] >= 0xbe))
            return fail_here(rd, "a control character (byte 0x%02x)", s[i + n - 1]);
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
static int fail_scan(struct reader *rd, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (e && e->line > 0 && e->column > 0) {
        rd->line = (uint32_t)e->line;
        rd->column = (uint32_t)e->column;
    }
    return fail_here(rd, "%s", e && e->msg ? e->msg : "this is not YAML");
}

static int scan(struct reader *rd, const char *text, size_t len)
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
    struct reader *rd = ldl_calloc(1, sizeof *rd);
    if (!rd)
        return ldl_oom(err);
    rd->y = y;
    rd->err = err ? err : &own;
    int rc = (y->name = take_text(rd, name, strlen(name))) ? 0 : LDL_EIO;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    rd->line = rd->column = 1;
    if (rc == 0 && len > LDL_YAML_MAX_BYTES)
        rc = fail_here(rd, "more than %d bytes", LDL_YAML_MAX_BYTES);
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
    for (size_t d = 0; d < LDL_YAML_DEPTH; d++) {
        ldl_yaml_pairs_free(&rd->level[d].own);
        ldl_yaml_pairs_free(&rd->level[d].merged);
    }
    ldl_yaml_pairs_free(&rd->anchor);
    ldl_free(rd);
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
    for (struct ldl_yaml_block *b = y->block, *next; b; b = next) {
        next = b->next;
        ldl_free(b);
    }
    ldl_free(y->document);
    ldl_names_free(&y->warning);
    *y = (struct ldl_yaml){ 0 };
}
