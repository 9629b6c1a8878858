/* SPDX-License-Identifier: BSD-2-Clause */
/* Store buffers: x86 TSO (Intel SDM 3A 8.2.2). A CPU's atomic stores may reach memory later than its next loads, in order, and it sees its own
 * at once. Whether one waits is a choice (DRAIN); one that waits leaves when its flusher, an agent of its own, is chosen, or when the CPU cannot
 * go on without. Invariant: without a chooser every buffer is empty, and no buffer holds anything while its CPU runs user or guest code. */
#pragma once
#include "cpu.h"

void store_write(struct sim_cpu *cpu, void *address, u64 value, u32 bytes, u64 carried);
u64 store_read(const struct sim_cpu *cpu, const void *address, u32 bytes, bool *own);   /* own buffer first, newest first */
void store_flush(struct sim_cpu *cpu);       /* the oldest entry: a step of the flusher */
static inline void store_drain(struct sim_cpu *cpu);   /* all of it: before a fence, a locked operation, an uncached store */

void sim_drain(struct sim_cpu *cpu);
static inline void store_drain(struct sim_cpu *cpu)
{
    if (unlikely(cpu->store_count != 0))
        sim_drain(cpu);
}
