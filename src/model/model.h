/* model.h -- a checkpoint: its tensors as views, the order they come in, its other files.
 *
 * A model is named by a directory (find.c says what is looked for in it), a single container file, or
 * org/name[@revision] in the local Hugging Face cache. MODEL+ADAPTER is that model with a LoRA
 * adapter applied (adapter.h), MODEL+ADAPTER+ADAPTER with two.
 * Opening reads headers only and checks them completely; nothing is loaded. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_MODEL_H
#define LDL_MODEL_MODEL_H

#include "base/io.h"
#include "model/view.h"

struct ldl_plan;
struct ldl_model {
    const struct ldl_plan *made_by; /* NULL; or it is the result of this plan (plan/result.c) */
    char *asked;                    /* as the user wrote it */
    char *dir;    /* the directory it resolved to (of the file, when a file was named) */
    int lone;     /* a file was named, not a directory */
    char *prefix; /* "model" or "master_weights" */
    struct ldl_file *file;
    size_t nfiles;
    /* Tensors in the checkpoint's own order: of the index's weight_map, of a pickled dict, else
     * sorted by name. */
    struct ldl_view *view;
    size_t nviews;
    struct ldl_view **by_name; /* the same, sorted by bytes of the name */
    uint64_t bytes;            /* of all tensors */
    int sharded;               /* an index was read */
    char *index_metadata;      /* JSON text of the index's "metadata" object, or NULL */
    char *dtype_word;          /* config.json's "dtype" or "torch_dtype", or NULL */
    int fp8;                   /* weights were 8-bit floats with scales (fp8.h) */
    int has_config;
    int tied;   /* config.json's tie_word_embeddings: 1, 0, -1 when it does not say */
    int untied; /* head and embedding differ, after an adapter or in a merge: the output's says 0 */
    struct ldl_names also_dir; /* other directories that are read: adapters */
    struct ldl_names note;     /* lines for the user */
    struct ldl_owned *owned;   /* what composed views are made of */
    size_t nowned, owned_cap;
};

/* Something that goes when the model does. */
struct ldl_owned {
    void *p;
    void (*free)(void *p);
};

/* prefix: "model" or "master_weights" (NULL: "model", then "master_weights"). On failure *m is
 * empty. ldl_model_close() is idempotent and safe on a zeroed struct. */
int ldl_model_open(struct ldl_model *m, const char *asked, const char *prefix, struct ldl_err *err);
/* The same with one more adapter applied (NULL: none). */
int ldl_model_open_adapted(struct ldl_model *m, const char *asked, const char *adapter,
                           const char *prefix, struct ldl_err *err);
void ldl_model_close(struct ldl_model *m);
/* Hands p over to the model; when that fails it is freed at once. */
int ldl_model_own(struct ldl_model *m, void *p, void (*release)(void *p), struct ldl_err *err);
/* Keeps the views view[i] with keep[i] nonzero, in their order. Pointers to views are void after. */
void ldl_model_filter(struct ldl_model *m, const unsigned char *keep);
/* Views have got other names, which must outlive the model. */
void ldl_model_renamed(struct ldl_model *m);
/* Appends n views, whose names must be new and outlive the model. Pointers to views are void after. */
int ldl_model_append(struct ldl_model *m, const struct ldl_view *v, size_t n, struct ldl_err *err);
const struct ldl_view *ldl_model_find(const struct ldl_model *m, const char *name);

/* Splits MODEL+ADAPTER+ADAPTER ... at the plus signs, from the right, until the rest exists or has
 * none. A word that exists as a whole is a model whatever it holds. *base is the caller's. */
int ldl_split_adapters(const char *asked, char **base, struct ldl_names *adapters,
                       struct ldl_err *err);
/* Turns what the user wrote into a path: an existing file or directory as it is, else
 * org/name[@revision] in the local Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub,
 * ~/.cache/huggingface/hub; refs and snapshots). *path is the caller's (ldl_free). The error says
 * what was looked for and where. */
int ldl_resolve(const char *asked, char **path, struct ldl_err *err);

/* ---- side files: what travels with the weights ---- */

/* True for a path relative to the model ("tokenizer.json", "1_Pooling/config.json") that belongs
 * to a model and holds no weights: the allow-list. */
int ldl_side_allowed(const char *relative);
/* All side files below m->dir, relative paths, sorted; sub-folders included (depth <= 4). Those that
 * are links to files outside the model are in `outside` instead (but a link of a Hugging Face
 * snapshot into its own repository's blobs is followed). Both lists are the caller's; on failure
 * they are empty. */
int ldl_side_list(const char *dir, struct ldl_names *out, struct ldl_names *outside,
                  struct ldl_err *err);
/* May dir/relative be copied out (exists, regular, does not lead out)? For copy_file_list.
 * 1 yes, 0 absent, negative: -ldl_code with err (leads out, a directory ...). */
int ldl_side_check(const char *dir, const char *relative, struct ldl_err *err);

/* The files of a folder, some of which have another text than the one that is there. */
struct ldl_edited {
    const char *name;
    struct ldl_buf text; /* empty: as it is there */
};
struct ldl_files {
    const char *dir;
    const struct ldl_edited *edited;
    size_t nedited;
};
/* The text of one of them, when it is *there. *path is the caller's in any case (ldl_free), for
 * messages. */
int ldl_files_read(const struct ldl_files *files, const char *name, uint64_t max_bytes,
                   struct ldl_buf *text, char **path, int *there, struct ldl_err *err);
/* The same for one of JSON: read(to, ...) walks over its one value, after which it must end. */
struct ldl_json;
int ldl_files_json(const struct ldl_files *files, const char *name, uint64_t max_bytes,
                   int (*read)(void *to, struct ldl_json *j, struct ldl_err *err), void *to,
                   int *there, struct ldl_err *err);

/* The value of config.json's top-level "dtype", else "torch_dtype", when it is a string: *word is
 * the caller's (ldl_free), NULL when there is none. */
int ldl_config_get_dtype(const char *json, size_t len, const char *name, char **word,
                         struct ldl_err *err);
/* Does it say "tie_word_embeddings", at its top or, for models of several parts, in the config of its
 * text ("text_config")? *tied: 1, 0, or -1 when it does not say. */
int ldl_config_get_tied(const char *json, size_t len, const char *name, int *tied,
                        struct ldl_err *err);
/* One change of a top-level member. value: JSON text, or NULL: the member goes. add: when it is not
 * there it is put at the end, in the file's own spacing. A key that is there twice is changed
 * twice. */
struct ldl_edit {
    const char *key, *value;
    int add;
};
enum { LDL_CONFIG_EDITS = 64 };
/* config.json's bytes with n (at most LDL_CONFIG_EDITS) changes; everything else byte for byte. */
int ldl_config_edit(const char *json, size_t len, const char *name, const struct ldl_edit *edit,
                    size_t n, struct ldl_buf *out, struct ldl_err *err);
/* The value of the top-level member `key`, as it is written: *value points into json. *n is 0 when there is
 * none. */
int ldl_config_find(const char *json, size_t len, const char *name, const char *key,
                    const char **value, size_t *n, struct ldl_err *err);
/* Is there a quantization_config (or the older compression_config), and what block size does it
 * name (0, 0: none)? */
int ldl_config_get_quantization(const char *json, size_t len, const char *name, int *there,
                                uint64_t block[2], struct ldl_err *err);

#endif
