/* tile.h -- one thread's buffers, and what it does with a tile: read, let the method work, write. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_TILE_H
#define LDL_ENGINE_TILE_H

#include "device/device.h"
#include "engine/sched.h"

struct ldl_worker {
    int number;
    struct ldl_sched *sched;
    const struct ldl_device *device;
    const int *shard_fd; /* of the output shards */
    char *const *shard_path;
    struct ldl_reader *reader; /* one for each model, then the base; then their aux readers */
    unsigned char *memory;     /* all buffers, one allocation */
    float **t;                 /* a block of each model as f32 */
    float *base, *out;
    void *scratch;
    unsigned char *raw_out; /* a tile of output */
    /* what it saw */
    uint64_t bytes_read, nans_in, infs_in, nans_out, infs_out;
    size_t odd_job, odd_model;
    pthread_t thread;
};

int ldl_worker_init(struct ldl_worker *w, struct ldl_sched *s, int number,
                    const struct ldl_device *device, struct ldl_err *err);
void ldl_worker_free(struct ldl_worker *w);
/* Does the tile; *written gets the bytes of output. */
int ldl_worker_tile(struct ldl_worker *w, const struct ldl_claim *c, uint64_t *written,
                    struct ldl_err *err);

#endif
