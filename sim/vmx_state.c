/* SPDX-License-Identifier: BSD-2-Clause */
/* VMCS to struct sim_guest and back, and the host state an exit loads (Intel SDM 3C 26.3.2, 27.3, 27.5). What no VMCS field holds (CR2, DR0-3,
 * DR6, XCR0, SYSCALL MSRs) is the CPU's own and shared with the guest, as on hardware. */
#include "guest_exec.h"
#include "translations.h"
#include "vmx_model.h"
#include "walk.h"

#define PENDING_BREAKPOINT bit(12)
#define PENDING_STEP       bit(14)   /* where DR6 has BS */

static void load_segments(struct sim_guest *g, const struct vmcs *v)
{
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++) {
        g->seg[n].base = vmcs_get(v, VMCS_SEG(VMCS_GUEST_ES_BASE, n));
        g->seg[n].limit = vmcs_get(v, VMCS_SEG(VMCS_GUEST_ES_LIMIT, n));
        g->seg[n].attributes = vmcs_get(v, VMCS_SEG(VMCS_GUEST_ES_AR, n));
        g->seg[n].selector = vmcs_get(v, VMCS_SEG(VMCS_GUEST_ES_SEL, n));
    }
    g->gdtr.base = vmcs_get(v, VMCS_GUEST_GDTR_BASE);
    g->gdtr.limit = vmcs_get(v, VMCS_GUEST_GDTR_LIMIT);
    g->idtr.base = vmcs_get(v, VMCS_GUEST_IDTR_BASE);
    g->idtr.limit = vmcs_get(v, VMCS_GUEST_IDTR_LIMIT);
}

static void store_segments(const struct sim_guest *g, struct vmcs *v)
{
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++) {
        vmcs_set(v, VMCS_SEG(VMCS_GUEST_ES_BASE, n), g->seg[n].base);
        vmcs_set(v, VMCS_SEG(VMCS_GUEST_ES_LIMIT, n), g->seg[n].limit);
        vmcs_set(v, VMCS_SEG(VMCS_GUEST_ES_AR, n), g->seg[n].attributes);
        vmcs_set(v, VMCS_SEG(VMCS_GUEST_ES_SEL, n), g->seg[n].selector);
    }
    vmcs_set(v, VMCS_GUEST_GDTR_BASE, g->gdtr.base);
    vmcs_set(v, VMCS_GUEST_GDTR_LIMIT, g->gdtr.limit);
    vmcs_set(v, VMCS_GUEST_IDTR_BASE, g->idtr.base);
    vmcs_set(v, VMCS_GUEST_IDTR_LIMIT, g->idtr.limit);
}

/* Shared with the guest: the CPU's own registers. */
static void load_shared(struct sim_cpu *cpu, struct sim_guest *g)
{
    g->cr2 = cpu->cr2;
    g->cr8 = cpu->apic.tpr >> 4 & 0xf;
    g->dr6 = cpu->dr[6];
    g->star = cpu->star;
    g->lstar = cpu->lstar;
    g->cstar = cpu->cstar;
    g->fmask = cpu->fmask;
    g->kernel_gs = cpu->kernel_gs;
    g->tsc_aux = cpu->tsc_aux;
    g->xcr0 = cpu->xcr0;
}

static void store_shared(struct sim_cpu *cpu, const struct sim_guest *g)
{
    cpu->cr2 = g->cr2;
    cpu->dr[6] = g->dr6;
    cpu->star = g->star;
    cpu->lstar = g->lstar;
    cpu->cstar = g->cstar;
    cpu->fmask = g->fmask;
    cpu->kernel_gs = g->kernel_gs;
    cpu->tsc_aux = g->tsc_aux;
    cpu->xcr0 = g->xcr0;
}

/* EFER: from its field, or the host's with LMA by mode and, if paging is on, LME too (26.3.2.1). */
static u64 guest_efer(struct sim_cpu *cpu, const struct vmcs *v)
{
    const u64 entry = vmcs_get(v, VMCS_ENTRY_CTRL);
    if (entry & VMX_ENTRY_LOAD_EFER)
        return vmcs_get(v, VMCS_GUEST_EFER);
    u64 efer = cpu->efer & ~EFER_LMA;
    if (vmcs_get(v, VMCS_GUEST_CR0) & CR0_PG)
        efer &= ~EFER_LME;
    return entry & VMX_ENTRY_IA32E ? efer | EFER_LMA | EFER_LME : efer;
}

static void load_controls(struct vmx_cpu *c, const struct vmcs *v)
{
    struct sim_guest *g = &c->guest;
    const u64 proc = vmcs_get(v, VMCS_PROC_CTRL), info = vmcs_get(v, VMCS_ENTRY_INTR_INFO);
    const u64 proc2 = proc & VMX_PROC_SECONDARY ? vmcs_get(v, VMCS_PROC2_CTRL) : 0;
    g->tsc_offset = proc & VMX_PROC_TSC_OFFSET ? vmcs_get(v, VMCS_TSC_OFFSET) : 0;
    g->exceptions = vmcs_get(v, VMCS_EXCEPTION_BITMAP);
    if (vmcs_get(v, VMCS_PF_ERROR_MASK) || vmcs_get(v, VMCS_PF_ERROR_MATCH))
        g->exceptions |= 1u << VECTOR_PF;   /* decided by error code, when it comes */
    g->intercept_hlt = true;
    g->intercept_rdtsc = proc & VMX_PROC_RDTSC;
    g->intercept_invlpg = proc & VMX_PROC_INVLPG;
    g->nested_root = proc2 & VMX_PROC2_EPT ? vmcs_get(v, VMCS_EPTP) : 0;
    g->nested_tag = proc2 & VMX_PROC2_VPID ? vmcs_get(v, VMCS_VPID) : 0;
    g->interruptibility = vmcs_get(v, VMCS_GUEST_INTERRUPTIBILITY);
    g->activity = vmcs_get(v, VMCS_GUEST_ACTIVITY);
    g->event = 0;
    c->software_length = 0;
    if (!(info & VMX_INTR_VALID))
        return;
    g->event = info & (VMX_INTR_VALID | 0xfff);
    if (info & VMX_INTR_ERROR)
        g->event |= vmcs_get(v, VMCS_ENTRY_ERROR_CODE) << 32;
    if (VMX_INTR_TYPE(info) >= VMX_EVENT_SOFT_INTR) {
        c->software_length = vmcs_get(v, VMCS_ENTRY_INSN_LEN);
        g->rip += c->software_length;
    }
    g->activity = VMX_ACTIVITY_ACTIVE;
    if (VMX_INTR_TYPE(info) == VMX_EVENT_NMI)
        g->interruptibility |= VMX_BLOCK_NMI;
}

/* Debug exceptions that were pending: delivered before the first instruction (26.7.3), or an exit. Held back ones are not modelled. */
static void load_pending(struct vmx_cpu *c, const struct vmcs *v)
{
    struct sim_guest *g = &c->guest;
    const u64 pending = vmcs_get(v, VMCS_GUEST_PENDING_DEBUG);
    c->pending_debug = 0;
    if (!(pending & (PENDING_BREAKPOINT | PENDING_STEP)) || (g->event & VCPU_EVENT_VALID))
        return;   /* an injected event comes first and ends them */
    if (g->interruptibility & VMX_BLOCK_MOV_SS)
        sim_broken(RULE_MACHINE_MODEL, "pending debug exceptions %lx while held back are not modelled", pending);
    const struct engine_event e = { .info = (pending & 0xf) | (pending & PENDING_STEP) };
    if (g->exceptions >> VECTOR_DB & 1) {
        c->pending_debug = e.info;
        return;
    }
    guest_debug(g, &e);
    g->event = VCPU_EVENT_EXCEPTION(VECTOR_DB);
}

void vmx_load_guest(struct sim_cpu *cpu, struct vmcs *v, const struct resume *resume)
{
    struct vmx_cpu *c = vmx_of(cpu);
    struct sim_guest *g = &c->guest;
    *g = (struct sim_guest){ 0 };
    for (u32 i = 0; i < array_size(g->gpr); i++)
        g->gpr[i] = resume->gpr[i];
    g->gpr[RSP] = vmcs_get(v, VMCS_GUEST_RSP);
    g->rip = vmcs_get(v, VMCS_GUEST_RIP);
    g->rflags = vmcs_get(v, VMCS_GUEST_RFLAGS);
    g->cr0 = vmcs_get(v, VMCS_GUEST_CR0);
    g->cr3 = vmcs_get(v, VMCS_GUEST_CR3);
    g->cr4 = vmcs_get(v, VMCS_GUEST_CR4);
    g->efer = guest_efer(cpu, v);
    g->pat = vmcs_get(v, VMCS_ENTRY_CTRL) & VMX_ENTRY_LOAD_PAT ? vmcs_get(v, VMCS_GUEST_PAT) : cpu->pat;
    const bool debug = vmcs_get(v, VMCS_ENTRY_CTRL) & VMX_ENTRY_LOAD_DEBUG;
    g->dr7 = debug ? vmcs_get(v, VMCS_GUEST_DR7) : cpu->dr[7];
    c->debugctl = debug ? vmcs_get(v, VMCS_GUEST_DEBUGCTL) : c->debugctl;
    g->sysenter_cs = vmcs_get(v, VMCS_GUEST_SYSENTER_CS);
    g->sysenter_esp = vmcs_get(v, VMCS_GUEST_SYSENTER_ESP);
    g->sysenter_eip = vmcs_get(v, VMCS_GUEST_SYSENTER_EIP);
    for (u32 i = 0; i < 4; i++)
        g->pdpte[i] = vmcs_get(v, VMCS_GUEST_PDPTE0 + 2 * i);
    load_segments(g, v);
    load_shared(cpu, g);
    load_controls(c, v);
    load_pending(c, v);
    const struct walk_root root = { .kind = g->nested_root ? WALK_EPT : WALK_NONE, .tag = g->nested_root & PTE_PHYS_MASK, .root = g->nested_root };
    translations_enter(cpu, &root, g->nested_tag, v->phys);
}

void vmx_store_guest(struct sim_cpu *cpu, struct vmcs *v, struct resume *resume)
{
    struct vmx_cpu *c = vmx_of(cpu);
    struct sim_guest *g = &c->guest;
    const u64 exit = vmcs_get(v, VMCS_EXIT_CTRL);
    u64 entry = vmcs_get(v, VMCS_ENTRY_CTRL) & ~(u64)VMX_ENTRY_IA32E;
    for (u32 i = 0; i < array_size(g->gpr); i++)
        if (i != RSP)
            resume->gpr[i] = g->gpr[i];
    if (g->event & VCPU_EVENT_VALID)
        g->rip -= c->software_length;
    vmcs_set(v, VMCS_GUEST_RSP, g->gpr[RSP]);
    vmcs_set(v, VMCS_GUEST_RIP, g->rip);
    vmcs_set(v, VMCS_GUEST_RFLAGS, g->rflags);
    vmcs_set(v, VMCS_GUEST_CR0, g->cr0);
    vmcs_set(v, VMCS_GUEST_CR3, g->cr3);
    vmcs_set(v, VMCS_GUEST_CR4, g->cr4);
    vmcs_set(v, VMCS_ENTRY_CTRL, g->efer & EFER_LMA ? entry | VMX_ENTRY_IA32E : entry);
    if (exit & VMX_EXIT_SAVE_EFER)
        vmcs_set(v, VMCS_GUEST_EFER, g->efer);
    if (exit & VMX_EXIT_SAVE_PAT)
        vmcs_set(v, VMCS_GUEST_PAT, g->pat);
    if (exit & VMX_EXIT_SAVE_DEBUG) {
        vmcs_set(v, VMCS_GUEST_DR7, g->dr7);
        vmcs_set(v, VMCS_GUEST_DEBUGCTL, c->debugctl);
    }
    vmcs_set(v, VMCS_GUEST_SYSENTER_CS, g->sysenter_cs);
    vmcs_set(v, VMCS_GUEST_SYSENTER_ESP, g->sysenter_esp);
    vmcs_set(v, VMCS_GUEST_SYSENTER_EIP, g->sysenter_eip);
    for (u32 i = 0; g->nested_root && i < 4; i++)
        vmcs_set(v, VMCS_GUEST_PDPTE0 + 2 * i, g->pdpte[i]);
    vmcs_set(v, VMCS_GUEST_INTERRUPTIBILITY, g->interruptibility);
    vmcs_set(v, VMCS_GUEST_ACTIVITY, g->activity);
    vmcs_set(v, VMCS_GUEST_PENDING_DEBUG, 0);
    store_segments(g, v);
    store_shared(cpu, g);
}

/* CR0 keeps ET, CD, NW and reserved bits (27.5.1). */
void vmx_load_host(struct sim_cpu *cpu, const struct vmcs *v)
{
    const u64 exit = vmcs_get(v, VMCS_EXIT_CTRL), keep = CR0_ET | CR0_CD | CR0_NW;
    cpu->cr0 = (vmcs_get(v, VMCS_HOST_CR0) & ~keep) | (cpu->cr0 & keep);
    cpu->cr3 = vmcs_get(v, VMCS_HOST_CR3);
    cpu->cr4 = vmcs_get(v, VMCS_HOST_CR4);
    translations_leave(cpu, vmx_of(cpu)->guest.nested_tag);
    cpu->dr[7] = DR7_INIT;
    vmx_of(cpu)->debugctl = 0;
    cpu->sysenter_cs = vmcs_get(v, VMCS_HOST_SYSENTER_CS);
    cpu->sysenter_esp = vmcs_get(v, VMCS_HOST_SYSENTER_ESP);
    cpu->sysenter_eip = vmcs_get(v, VMCS_HOST_SYSENTER_EIP);
    cpu->fs_base = vmcs_get(v, VMCS_HOST_FS_BASE);
    cpu->gs_base = vmcs_get(v, VMCS_HOST_GS_BASE);
    if (exit & VMX_EXIT_LOAD_EFER)
        cpu->efer = vmcs_get(v, VMCS_HOST_EFER);
    if (exit & VMX_EXIT_LOAD_PAT)
        cpu->pat = vmcs_get(v, VMCS_HOST_PAT);
}
