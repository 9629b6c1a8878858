/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest between VM entry and VM exit: events at instruction boundaries and their priority (Intel SDM 3A 6.9, 3C 26.7, 25.6.2).
 * Bounded by the run's step budget: each turn is a slice of the engine or a wait. */
#include "irq.h"
#include "vmx_model.h"

static bool blocked(const struct sim_guest *g, u32 what)
{
    return g->interruptibility & what;
}

/* An event that is due before the next instruction and exits. Higher priority first. */
static bool boundary_exit(struct sim_cpu *cpu, const struct vmcs *v, struct vmx_exit *x)
{
    struct vmx_cpu *c = vmx_of(cpu);
    const struct sim_guest *g = &c->guest;
    const u64 pin = vmcs_get(v, VMCS_PIN_CTRL), proc = vmcs_get(v, VMCS_PROC_CTRL);
    if (c->pending_debug) {
        x->reason = VMX_REASON_EXCEPTION;
        x->event = VMX_INTR_VALID | VMX_EVENT_EXCEPTION << 8 | VECTOR_DB;
        x->qualification = c->pending_debug;
        return true;
    }
    if ((proc & VMX_PROC_NMI_WINDOW) && !blocked(g, VMX_BLOCK_NMI | VMX_BLOCK_MOV_SS | VMX_BLOCK_STI)) {
        x->reason = VMX_REASON_NMI_WINDOW;
        return true;
    }
    if (cpu->nmi) {
        if (!(pin & VMX_PIN_NMI))
            sim_broken(RULE_VMX_INTR, "an NMI would be delivered to the guest: NMI exiting is off");
        cpu->nmi = false;
        cpu->in_nmi = true;   /* until the host executes an IRET (28.5.5) */
        x->reason = VMX_REASON_EXCEPTION;
        x->event = VMX_INTR_VALID | VMX_EVENT_NMI << 8 | VECTOR_NMI;
        return true;
    }
    if (g->activity > VMX_ACTIVITY_HLT)
        return false;   /* shutdown and wait-for-SIPI see no interrupt */
    if ((proc & VMX_PROC_INTR_WINDOW) && (g->rflags & RFLAGS_IF) && !blocked(g, VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)) {
        x->reason = VMX_REASON_INTR_WINDOW;
        return true;
    }
    if (!sim_irq_pending(cpu))
        return false;
    if (!(pin & VMX_PIN_INTR))
        sim_broken(RULE_VMX_INTR, "a host interrupt would be delivered through the guest's IDT: external-interrupt exiting is off");
    x->reason = VMX_REASON_INTR;
    if (vmcs_get(v, VMCS_EXIT_CTRL) & VMX_EXIT_ACK_INTR)
        x->event = VMX_INTR_VALID | sim_irq_accept(cpu);
    return true;
}

void vmx_run(struct sim_cpu *cpu, struct vmcs *v, struct vmx_exit *x)
{
    struct vmx_cpu *c = vmx_of(cpu);
    struct sim_guest *g = &c->guest;
    for (;;) {
        const bool delivering = g->event & VCPU_EVENT_VALID;
        if (!delivering && boundary_exit(cpu, v, x))
            return;
        if (g->activity != VMX_ACTIVITY_ACTIVE) {
            irq_held(cpu) ? sim_yield(cpu) : sim_wait(cpu);
            continue;
        }
        struct engine_event e = { 0 };
        g->want_window = vmcs_get(v, VMCS_PROC_CTRL) & VMX_PROC_INTR_WINDOW;
        sim_guest_slice(cpu, g, &e);
        if (!(g->event & VCPU_EVENT_VALID))
            c->software_length = 0;
        if (e.kind == EVENT_INTR_WINDOW && (!(g->rflags & RFLAGS_IF) || blocked(g, VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)))
            sim_broken(RULE_MACHINE_ENGINE, "the engine reports an open window at RIP %lx, but the guest is not interruptible", g->rip);
        if (e.kind == EVENT_SLICE || e.kind == EVENT_WAIT || e.kind == EVENT_INTR_WINDOW)
            continue;
        if (vmx_event_exits(cpu, v, &e, x))
            return;
    }
}
