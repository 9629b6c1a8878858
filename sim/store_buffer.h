/* SPDX-License-Identifier: BSD-2-Clause */
/* Store buffers: x86 TSO (Intel SDM 3A 8.2.2). A CPU's atomic stores may reach memory later than its next loads, in order, and it sees its own
 * at once. Invariant: without a chooser every buffer is empty, and no buffer holds anything while its CPU is outside the kernel. */
#pragma once
#include "cpu.h"

void store_write(struct sim_cpu *cpu, void *address, u64 value, u32 bytes);
u64 store_read(const struct sim_cpu *cpu, const void *address, u32 bytes);   /* own buffer first, newest first */
void store_drain(struct sim_cpu *cpu);                                       /* all of it: a fence, a locked operation, an uncached store */
