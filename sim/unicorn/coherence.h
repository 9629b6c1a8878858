/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that one core has translated and another core overwrites. A core watches only its own stores; here the cores watch each
 * other's: a frame has either cores that execute it or another core that may write it, as a cache line does.
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
