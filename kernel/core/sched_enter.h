/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a trap after which another EC may run: current's space, vCPU and FPU registers. Inline: on every short path, once. */
#pragma once
#include "cpu.h"
#include "ec.h"
#include "pd.h"
#include "protect.h"

struct resume *sched_enter_more(struct cpu *cpu);   /* current runs a vCPU, somebody's FPU registers are on or wanted, protect.h */

static inline struct resume *sched_enter(struct cpu *cpu)
{
    struct ec *const ec = cpu->current;
    struct space_mem *const space = &ec->pd->memory;
    if (cpu->space != space) {
        tlb_switch(cpu, space);
        if (unlikely(cpu->protect))
            protect_switch(cpu);
    }
    if (unlikely((u64)ec->vcpu | (u64)ec->fpu | cpu->fpu | cpu->protect))
        return sched_enter_more(cpu);
    return &ec->resume;
}
