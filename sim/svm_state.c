/* SPDX-License-Identifier: BSD-2-Clause */
/* VMCB to struct sim_guest and back (AMD APM 2 15.5, 15.6), with what VMLOAD and VMSAVE around VMRUN move. What no VMCB field holds (DR0-3, XCR0,
 * TSC_AUX) is the CPU's own and shared with the guest. V28: bases are made canonical, silently, as hardware does. */
#include "svm_model.h"

static u64 canonical(u64 base)
{
    return (u64)((s64)(base << 16) >> 16);
}

/* VMCB attributes have no gap at 11:8 and no unusable bit: a segment that is not present is unusable. */
static struct vcpu_segment from_vmcb(const struct vmcb_seg *s, bool wide_base, bool may_be_absent)
{
    const u32 attributes = (s->attributes & 0xffu) | (u32)(s->attributes & 0xf00) << 4;
    return (struct vcpu_segment){ .base = wide_base ? canonical(s->base) : s->base & 0xffffffff,
                                  .limit = s->limit,
                                  .attributes = attributes | (may_be_absent && !(attributes & 0x80) ? VCPU_SEG_UNUSABLE : 0),
                                  .selector = s->selector };
}

static void to_vmcb(struct vmcb_seg *s, const struct vcpu_segment *v)
{
    s->base = v->base;
    s->limit = v->limit;
    s->selector = v->selector;
    s->attributes = (v->attributes & 0xff) | (v->attributes >> 4 & 0xf00);
    if (v->attributes & VCPU_SEG_UNUSABLE)
        s->attributes &= (u16)~0x80;
}

static void load_segments(struct sim_guest *g, const struct vmcb *b)
{
    g->seg[VCPU_SEG_ES] = from_vmcb(&b->es, false, true);
    g->seg[VCPU_SEG_CS] = from_vmcb(&b->cs, false, false);
    g->seg[VCPU_SEG_SS] = from_vmcb(&b->ss, false, true);
    g->seg[VCPU_SEG_DS] = from_vmcb(&b->ds, false, true);
    g->seg[VCPU_SEG_FS] = from_vmcb(&b->fs, true, true);
    g->seg[VCPU_SEG_GS] = from_vmcb(&b->gs, true, true);
    g->seg[VCPU_SEG_LDTR] = from_vmcb(&b->ldtr, true, true);
    g->seg[VCPU_SEG_TR] = from_vmcb(&b->tr, true, false);
    g->gdtr.base = canonical(b->gdtr.base);
    g->gdtr.limit = b->gdtr.limit & 0xffff;
    g->idtr.base = canonical(b->idtr.base);
    g->idtr.limit = b->idtr.limit & 0xffff;
    /* CPL is a field of its own; engines read it as SS.DPL. Real mode: 0, virtual-8086 mode: 3 (15.5.1). */
    const u32 cpl = !(b->cr0 & CR0_PE) ? 0 : b->rflags & RFLAGS_VM ? 3 : b->cpl & 3;
    g->seg[VCPU_SEG_SS].attributes = (g->seg[VCPU_SEG_SS].attributes & ~0x60u) | cpl << 5;
}

static void store_segments(const struct sim_guest *g, struct vmcb *b)
{
    to_vmcb(&b->es, &g->seg[VCPU_SEG_ES]);
    to_vmcb(&b->cs, &g->seg[VCPU_SEG_CS]);
    to_vmcb(&b->ss, &g->seg[VCPU_SEG_SS]);
    to_vmcb(&b->ds, &g->seg[VCPU_SEG_DS]);
    to_vmcb(&b->fs, &g->seg[VCPU_SEG_FS]);
    to_vmcb(&b->gs, &g->seg[VCPU_SEG_GS]);
    to_vmcb(&b->ldtr, &g->seg[VCPU_SEG_LDTR]);
    to_vmcb(&b->tr, &g->seg[VCPU_SEG_TR]);
    b->gdtr.base = g->gdtr.base;
    b->gdtr.limit = g->gdtr.limit;
    b->idtr.base = g->idtr.base;
    b->idtr.limit = g->idtr.limit;
    b->cpl = g->seg[VCPU_SEG_SS].attributes >> 5 & 3;
}

/* An injected software interrupt returns behind its instruction: next RIP where the processor saves it (15.20). */
static void load_event(struct svm_cpu *c)
{
    struct sim_guest *g = &c->guest;
    const struct vmcb *b = &c->vmcb;
    g->event = b->event_inj & SVM_EVENT_VALID ? b->event_inj : 0;
    c->rip_back = 0;
    if (!g->event)
        return;
    if (!(g->event & SVM_EVENT_ERROR))
        g->event &= 0xffffffff;
    if (SVM_EVENT_TYPE(g->event) == SVM_EVENT_NMI)
        g->interruptibility |= VCPU_BLOCKED_NMI;
    if (SVM_EVENT_TYPE(g->event) == SVM_EVENT_SOFT_INTR && svm_has(c, CPUID_SVM_NRIP) && b->next_rip) {
        c->rip_back = g->rip;
        g->rip = b->next_rip;
    }
}

static void load_controls(struct svm_cpu *c)
{
    struct sim_guest *g = &c->guest;
    const struct vmcb *b = &c->vmcb;
    g->tsc_offset = b->tsc_offset;
    g->exceptions = b->intercept_exceptions;
    g->intercept_hlt = true;
    g->intercept_rdtsc = b->intercept1 & SVM_ICEPT1_RDTSC;
    g->intercept_invlpg = b->intercept1 & SVM_ICEPT1_INVLPG;
    g->nested_root = b->np_control & SVM_NP_ENABLE ? b->n_cr3 & ~PAGE_MASK : 0;
    g->nested_tag = b->asid;
    g->interruptibility = b->int_shadow & SVM_SHADOW ? VCPU_BLOCKED_STI : 0;
    g->activity = VCPU_ACTIVITY_ACTIVE;
}

void svm_load_guest(struct sim_cpu *cpu, const struct resume *resume)
{
    struct svm_cpu *c = svm_of(cpu);
    const struct vmcb *b = &c->vmcb;
    struct sim_guest *g = &c->guest;
    *g = (struct sim_guest){ .rip = b->rip, .rflags = b->rflags | RFLAGS_ONE, .cr0 = b->cr0, .cr2 = b->cr2, .cr3 = b->cr3,
                             .cr4 = b->cr4, .efer = b->efer, .pat = b->g_pat, .dr6 = b->dr6, .dr7 = b->dr7,
                             .sysenter_cs = b->sysenter_cs, .sysenter_esp = b->sysenter_esp,
                             .sysenter_eip = b->sysenter_eip, .star = b->star, .lstar = b->lstar, .cstar = b->cstar,
                             .fmask = b->sfmask, .kernel_gs = b->kernel_gs_base, .tsc_aux = cpu->tsc_aux,
                             .xcr0 = cpu->xcr0, .cr8 = b->int_control & 0xf };
    for (u32 i = 0; i < array_size(g->gpr); i++)
        g->gpr[i] = resume->gpr[i];
    g->gpr[RAX] = b->rax;
    g->gpr[RSP] = b->rsp;
    if ((g->efer & EFER_LME) && (g->cr0 & CR0_PG))
        g->efer |= EFER_LMA;
    else
        g->efer &= ~EFER_LMA;
    load_segments(g, b);
    load_controls(c);
    load_event(c);
}

void svm_store_guest(struct sim_cpu *cpu, struct resume *resume)
{
    struct svm_cpu *c = svm_of(cpu);
    struct vmcb *b = &c->vmcb;
    struct sim_guest *g = &c->guest;
    for (u32 i = 0; i < array_size(g->gpr); i++)
        if (i != RSP && i != RAX)
            resume->gpr[i] = g->gpr[i];
    const bool undelivered = g->event & SVM_EVENT_VALID;
    if (undelivered && c->rip_back)
        g->rip = c->rip_back;
    b->exit_int_info = undelivered ? g->event : 0;
    b->event_inj = 0;
    b->rax = g->gpr[RAX];
    b->rsp = g->gpr[RSP];
    b->rip = g->rip;
    b->rflags = g->rflags;
    b->cr0 = g->cr0;
    b->cr2 = g->cr2;
    b->cr3 = g->cr3;
    b->cr4 = g->cr4;
    b->efer = g->efer;
    b->g_pat = b->np_control & SVM_NP_ENABLE ? g->pat : b->g_pat;
    b->dr6 = g->dr6;
    b->dr7 = g->dr7;
    b->sysenter_cs = g->sysenter_cs;
    b->sysenter_esp = g->sysenter_esp;
    b->sysenter_eip = g->sysenter_eip;
    b->star = g->star;
    b->lstar = g->lstar;
    b->cstar = g->cstar;
    b->sfmask = g->fmask;
    b->kernel_gs_base = g->kernel_gs;
    b->int_shadow = g->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS) ? SVM_SHADOW : 0;
    b->int_control = (b->int_control & ~0xful) | (g->cr8 & 0xf);
    store_segments(g, b);
    /* Not in the host's save area: the guest's stay (15.6). */
    cpu->cr2 = g->cr2;
    cpu->dr[6] = g->dr6;
    cpu->dr[7] = DR7_INIT;
    cpu->tsc_aux = g->tsc_aux;
    cpu->xcr0 = g->xcr0;
}
