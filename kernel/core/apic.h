/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC as core sees it; kernel/x86/apic.c implements it over machine.h for xAPIC and x2APIC. */
#pragma once
#include "base.h"

struct cpu;

#define VECTOR_TIMER    0xf0u
#define VECTOR_IPI      0xf1u      /* one for all: look at the inbox, TLB requests, epochs, kicks */
#define VECTOR_SPURIOUS 0xffu

void apic_cpu_init(struct cpu *cpu);                     /* enable, mask all but the timer, read the id */
u32 apic_id(struct cpu *cpu);                            /* of the executing CPU; cpu may be NULL: asks the hardware alone */
void apic_eoi(struct cpu *cpu);
void apic_ipi(struct cpu *cpu, struct cpu *target);      /* VECTOR_IPI; everything stored before is visible to the target */
void apic_timer(struct cpu *cpu, u64 deadline_tsc);      /* 0: stop */
void apic_start_cpu(struct cpu *cpu, u32 target_apic_id, u32 vector);   /* INIT, SIPI; does not wait for the target */
