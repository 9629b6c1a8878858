/* SPDX-License-Identifier: BSD-2-Clause */
/* What the processor itself does for the kernel against user level: no execution and no access of user pages by the kernel, no look at descriptor
 * tables by user level. In kernel/x86. */
#pragma once

struct cpu;

/* This CPU, before it runs anything else. Panics without NX: rights could not be kept. */
void protect_cpu_init(struct cpu *cpu);
