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
bool guest_sim_nmi_blocked(struct sim *s, u32 cpu);
void guest_sim_window(struct sim *s, u32 cpu);
u64 guest_sim_register(struct sim *s, u32 cpu, u32 which);
u32 guest_sim_last_check(struct sim *s, u32 cpu);
void guest_sim_svm_plain(struct sim *s);
u8 *guest_sim_fpu(struct sim *s, u32 cpu);
bool guest_sim_vmcs_active(struct sim *s, u64 phys);
void guest_sim_iret_faulted(struct sim *s, u32 cpu);
void guest_sim_trace(struct sim *s, void (*sink)(void *arg, const void *bytes, u32 count), void *arg);
void guest_sim_trace_live(struct sim *s);
void guest_sim_trace_off(struct sim *s);

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

bool guest_sim_nmi_blocked(struct sim *s, u32 cpu)
{
    return s->cpu[cpu].in_nmi;
}

void guest_sim_window(struct sim *s, u32 cpu)
{
    s->cpu[cpu].in_nmi = false;
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

void guest_sim_trace(struct sim *s, void (*sink)(void *arg, const void *bytes, u32 count), void *arg)
{
    s->config.trace = MACH_TRACE_ON;
    s->config.trace_sink = sink;
    s->config.arg = arg;
}

void guest_sim_trace_live(struct sim *s)
{
    s->config.trace = MACH_TRACE_LIVE;
}

void guest_sim_trace_off(struct sim *s)
{
    s->config.trace = MACH_TRACE_OFF;
}

u8 *guest_sim_fpu(struct sim *s, u32 cpu)
{
    return s->cpu[cpu].fpu;
}

bool guest_sim_vmcs_active(struct sim *s, u64 phys)
{
    const struct vmcs *v = vmx_of(&s->cpu[0])->machine->all;
    while (v && v->phys != phys)
        v = v->next;
    return v && v->active;
}

void guest_sim_iret_faulted(struct sim *s, u32 cpu)
{
    struct vmcs *v = vmx_of(&s->cpu[cpu])->current;
    vmcs_set(v, VMCS_EXIT_QUALIFICATION, vmcs_get(v, VMCS_EXIT_QUALIFICATION) | EPTQ_NMI_UNBLOCK);
}
