/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting CPUs: INIT, start-up IPIs, and what a CPU does from then on (cpu.c). */
#pragma once
#include "cpu.h"

#define START_VECTOR 8u   /* the machine's start-up code is at this page below 1 MiB */

void start_registers(struct sim_cpu *cpu);          /* as the machine's boot code leaves them: long mode, boot tables */
void start_init(struct sim_cpu *cpu);
void start_up(struct sim_cpu *cpu, u32 vector);     /* SIPI: ignored unless the CPU waits for one */
void start_run(struct sim_cpu *cpu, struct resume *r) __attribute__((noreturn));   /* resume this, trap, resume what the kernel returns ... */
void start_fiber(struct sim_cpu *cpu, void (*entry)(void *cpu));   /* the CPU begins there, on its empty stack */
void start_boot(struct sim_cpu *cpu);               /* the boot CPU */
