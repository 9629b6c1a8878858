/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that a core has translated and that are overwritten. The library watches a core's own stores to pages that are executed, at
 * a price for each store to any page; here the cores watch each other, and stores to pages that nobody executes are free: a frame
 * has either cores that execute it or cores that may write it unseen, as a cache line does.
 * Not handled: code written by the kernel itself, which never writes to memory that user level executes. */
#pragma once
#include "core.h"

#define CORES_MAX 16u

struct coherence {
    struct core *core[CORES_MAX];
    u64 frames;
    u16 *executes;   /* per frame: cores with translated instructions of it */
    u16 *writes;     /* per frame: cores that may hold a writable translation of it */
};

bool coherence_init(struct coherence *k, u64 frames);
void coherence_free(struct coherence *k);
void coherence_execute(struct coherence *k, struct core *c, u64 frame);
void coherence_write(struct coherence *k, struct core *c, u64 frame);
bool coherence_executes(const struct coherence *k, const struct core *c, u64 frame);
