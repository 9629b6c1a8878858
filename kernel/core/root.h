/* SPDX-License-Identifier: BSD-2-Clause */
/* The root PD: what user level starts with (abi/info.h). */
#pragma once

struct cpu;

/* Builds root from the boot bundle and gives it time. Once, on the boot CPU. Boot input without sense ends in mach_panic. */
void root_create(struct cpu *cpu);
