/* adapter.h -- a LoRA adapter: a directory beside the base that it was trained on.
 *
 *     PEFT     adapter_config.json, adapter_model.safetensors (or .bin)
 *     Paddle   lora_config.json, peft_model.safetensors.index.json with its shards, or
 *              peft_model.safetensors, or lora_model_state.pdparams
 *
 * ldl_adapter_apply() puts composed views (lora.h) in the place of the model's views. Every tensor of
 * the adapter is used, or it is an error that names the first one left. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_MODEL_ADAPTER_H
#define LDL_MODEL_ADAPTER_H

#include <regex.h>

#include "model/lora.h"
#include "model/model.h"

/* Applies the adapter named `asked` (a directory, or org/name[@revision] in the Hugging Face cache)
 * to the open model. After a failure *m is good for ldl_model_close() only. */
int ldl_adapter_apply(struct ldl_model *m, const char *asked, struct ldl_err *err);

/* ---- its settings (adapter_config.c) ---- */

/* A key of rank_pattern or alpha_pattern: a number for the modules whose name it matches. */
struct ldl_pattern {
    char *key;
    double value;
    int is_regex;
    regex_t regex;
};
struct ldl_patterns {
    struct ldl_pattern *item;
    size_t n, cap;
};

struct ldl_adapter_config {
    char *path;
    uint64_t rank;
    double alpha;
    int rslora, fan_in_fan_out, dora;
    struct ldl_patterns ranks, alphas;
    struct ldl_names note; /* lines for the user */
};

/* Refuses settings that change the result and are not supported. On failure *c is empty. */
int ldl_adapter_config_read(struct ldl_adapter_config *c, const char *path, int paddle,
                            struct ldl_err *err);
void ldl_adapter_config_free(struct ldl_adapter_config *c);
/* s of a module whose factors have this rank, which the settings must say too (0: no factors). */
int ldl_adapter_config_scale(const struct ldl_adapter_config *c, const char *module, uint64_t rank,
                             double *scale, struct ldl_err *err);

/* ---- its names (adapter_names.c) ---- */

enum ldl_role {
    LDL_ROLE_WHOLE, /* takes the place of the base's tensor */
    LDL_ROLE_A,
    LDL_ROLE_B,
    LDL_ROLE_EMBEDDING_A,
    LDL_ROLE_EMBEDDING_B,
    LDL_ROLE_MAGNITUDE,
    LDL_ROLE_BIAS, /* of the update */
    LDL_ROLES,
    LDL_ROLE_UNUSED, /* a copy of what the base has */
};

/* What an adapter's tensor is: its role, and the name of the tensor it belongs to as the adapter
 * calls that ("model.layers.0.mlp.up_proj.weight") in *target. */
int ldl_adapter_name(const char *name, int paddle, enum ldl_role *role, struct ldl_buf *target,
                     struct ldl_err *err);

/* The names of a model for finding one of them by another prefix. */
struct ldl_base_names {
    const struct ldl_model *m;
    const struct ldl_view **reversed; /* sorted from the last byte on; made when first needed */
};
/* The view called `name`; else the only one whose name is the other's end, at a dot. NULL: none. Two
 * or more are an error. */
int ldl_base_find(struct ldl_base_names *b, const char *name, const struct ldl_view **view,
                  struct ldl_err *err);

#endif
