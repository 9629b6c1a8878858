/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include "irq.h"
#include "svm_model.h"
#include "vmx_model.h"

struct resume;
void guest_sim_engine(struct sim *s, struct engine *e);
u64 guest_sim_enter(struct sim *s, u32 cpu, struct resume *r, u64 *info);
void guest_sim_interrupt(struct sim *s, u32 cpu, u32 vector);
void guest_sim_nmi(struct sim *s, u32 cpu);
u64 guest_sim_register(struct sim *s, u32 cpu, u32 which);
u32 guest_sim_last_check(struct sim *s, u32 cpu);
void guest_sim_svm_plain(struct sim *s);

void guest_sim_engine(struct sim *s, struct engine *e)
{
    s->config.guest = e;
}

u64 guest_sim_enter(struct sim *s, u32 cpu, struct resume *r, u64 *info)
{
    sim_unit_cpu(s, cpu);
    s->cpu[cpu].state = CPU_GUEST;
    const u64 trap = s->virt->enter(&s->cpu[cpu], r, info);
    s->cpu[cpu].state = CPU_KERNEL;
    return trap;
}

void guest_sim_interrupt(struct sim *s, u32 cpu, u32 vector)
{
    irq_raise(&s->cpu[cpu], vector);
}

void guest_sim_nmi(struct sim *s, u32 cpu)
{
    s->cpu[cpu].nmi = true;
}

u64 guest_sim_register(struct sim *s, u32 cpu, u32 which)
{
    const struct sim_cpu *c = &s->cpu[cpu];
    const u64 values[] = { c->dr[0], c->xcr0, c->lstar, c->kernel_gs, c->tsc_aux, c->cr0 };
    return values[which];
}

u32 guest_sim_last_check(struct sim *s, u32 cpu)
{
    return s->config.vendor == SIM_VMX ? vmx_of(&s->cpu[cpu])->last_check : svm_of(&s->cpu[cpu])->last_check;
}

void guest_sim_svm_plain(struct sim *s)
{
    for (u32 i = 0; i < s->cpu_count; i++)
        svm_of(&s->cpu[i])->profile = &svm_plain;
}
