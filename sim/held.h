/* SPDX-License-Identifier: BSD-2-Clause */
/* RBX, RSP, RBP, R12 .. R15 of user mode between a SYSCALL and the next resume: machine.h, TRAP_SYSCALL. */
#pragma once
#include "machine.h"

struct sim_cpu;

void held_begin(struct sim_cpu *cpu, struct resume *r);   /* before kern_trap */
void held_end(struct sim_cpu *cpu);                       /* after it; nothing if there was no held_begin */
