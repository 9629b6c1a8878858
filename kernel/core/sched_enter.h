/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a trap: current's space, vCPU and FPU registers. Inline: on every short path, once. What is seldom due is asked for in one word. */
#pragma once
#include "cpu.h"
#include "ec.h"
#include "pd.h"

struct resume *sched_enter(struct cpu *cpu);   /* current, with all that belongs to it */
struct resume *sched_more(struct cpu *cpu);    /* something is due: sched_resume or sched_enter */

/* current, with nothing but its space and its registers. */
static inline struct resume *sched_enter_bare(struct cpu *cpu, struct ec *ec)
{
    struct space_mem *const space = &ec->pd->memory;
    if (cpu->space != space)
        tlb_switch(cpu, space);
    return &ec->resume;
}

/* Another EC may be current than at the beginning of the trap, or one that runs a vCPU. */
static inline struct resume *sched_go_on(struct cpu *cpu)
{
    if (unlikely(cpu->due))
        return sched_more(cpu);
    struct ec *const ec = cpu->current;
    return likely(!((u64)ec->vcpu | (u64)ec->fpu)) ? sched_enter_bare(cpu, ec) : sched_enter(cpu);
}

/* The same one is, and it does not run a vCPU. */
static inline struct resume *sched_stay(struct cpu *cpu, struct ec *ec)
{
    return likely(!(cpu->due & ~(DUE_FPU | DUE_XCR0 | DUE_FOLLOW))) ? &ec->resume : sched_more(cpu);
}
