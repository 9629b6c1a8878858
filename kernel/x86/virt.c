/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of guest switching that is the same on VMX and SVM. Debug registers are switched only for a guest that uses them: until then
 * MOV DR exits, and the backend calls this file's rules. Home CPU only. */
#include "virt_x86.h"
#include "arch/x86.h"
#include "pd.h"

#define TAG_EPOCH_FIRST 1u

const struct virt_ops *virt_probe(void)
{
    if (vmx_probe())
        return &virt_vmx;
    return svm_probe() ? &virt_svm : NULL;
}

static const u32 msr_index[VIRT_MSRS] = { MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX };

void virt_cpu_init(struct cpu *cpu)
{
    struct virt_cpu *const c = &cpu->virt;
    c->has_tsc_aux = mach_cpuid(0x80000001u, 0).edx & CPUID_81_EDX_RDTSCP;
    for (u32 i = 0; i < VIRT_MSRS; i++) {
        if (msr_index[i] != MSR_TSC_AUX || c->has_tsc_aux)
            c->host_msr[i] = mach_msr_read(msr_index[i]);
    }
    c->tag_epoch = TAG_EPOCH_FIRST;
    c->tag_next = 1;
}

static void tsc_aux(struct cpu *cpu, struct virt_regs *r, bool guest)
{
    if (r->flags & VIRT_AUX)
        mach_msr_write(MSR_TSC_AUX, guest ? r->msr[VIRT_MSRS - 1] : cpu->virt.host_msr[VIRT_MSRS - 1]);
}

void virt_enter_switch(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    if (r->flags & VIRT_DR) {
        for (u32 i = 0; i < 4; i++)
            mach_dr_write(i, r->dr[i]);
    }
    tsc_aux(cpu, r, true);
}

void virt_leave_switch(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    tsc_aux(cpu, r, false);
    if (!(r->flags & VIRT_DR))
        return;
    for (u32 i = 0; i < 4; i++)
        r->dr[i] = mach_dr_read(i);
}

enum status virt_create(struct vcpu *v)
{
    void *p;
    const enum status s = mem_alloc(kern()->mem, &v->object.pd->quota, PAGE_SIZE, &p);
    if (s != OK)
        return s;
    v->hw = p;
    v->hw_phys = mach_virt_to_phys(p);
    return OK;
}

void virt_free(struct vcpu *v)
{
    if (v->hw)
        mem_free(kern()->mem, &v->object.pd->quota, v->hw, PAGE_SIZE);
}

bool virt_tag(struct cpu *cpu, struct vcpu *v)
{
    struct virt_cpu *const c = &cpu->virt;
    if (v->tag_epoch == c->tag_epoch)
        return false;
    if (c->tag_next > c->tag_limit) {
        c->tag_next = 1;
        c->tag_epoch++;
        c->tag_flush = true;
    }
    v->tag = c->tag_next++;
    v->tag_epoch = c->tag_epoch;
    return true;
}

static void reset_segments(struct vcpu_state *s)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        s->seg[i] = (struct vcpu_segment){ .limit = 0xffff, .attributes = 0x93 };
    s->seg[VCPU_SEG_CS] = (struct vcpu_segment){ .base = 0xffff0000, .limit = 0xffff, .attributes = 0x9b, .selector = 0xf000 };
    s->seg[VCPU_SEG_LDTR].attributes = 0x82;
    s->seg[VCPU_SEG_TR].attributes = 0x8b;
    s->gdtr.limit = s->idtr.limit = 0xffff;
}

void virt_reset(struct cpu *cpu, struct vcpu *v, virt_load_fn *load)
{
    struct vcpu_state *const s = v->copy;
    mach_zero(s, sizeof(*s));
    reset_segments(s);
    s->rip = 0xfff0;
    s->rflags = RFLAGS_ONE;
    s->gpr[RDX] = mach_cpuid(1, 0).eax;
    s->cr0 = CR0_CD | CR0_NW | CR0_ET;
    s->dr6 = DR6_INIT;
    s->dr7 = DR7_INIT;
    s->pat = PAT_RESET;
    load(cpu, v, s, cpu->kern->virt->groups & ~(VCPU_GROUP_FPU | VCPU_GROUP_INJECT));
}

/* Software events (INT n, INT3, INTO, INT1) that the guest raised itself are no pending events: RIP stands at the instruction, which raises
 * it again. One that the VMM injected has no instruction behind it: handed back as it came. */
u64 virt_pending(const struct vcpu *v, u64 event)
{
    if (!(event & VCPU_EVENT_VALID))
        return 0;
    const u32 type = event >> 8 & 7, vector = event & 0xff, asked = v->inject >> 8 & 7;
    /* SVM reports types 5 and 6 as exceptions. */
    if (asked >= 4 && (v->inject & 0xff) == vector && (type == asked || (type == 3 && asked >= 5)))
        return v->inject;
    if (type >= 4 || (type == 3 && (vector == VECTOR_BP || vector == VECTOR_OF)))
        return 0;
    return event & VCPU_EVENT_ERROR ? event : event & 0xffffffff;
}

/* An exception that comes while another event is delivered replaces it, as on the processor (Intel SDM 3A table 6-5: both are benign): exceptions
 * and instructions are raised again when the guest is back at its instruction. Not so interrupts, and what the VMM injected: the VMM decides. */
bool virt_reflects(struct vcpu *v, u32 vector, u64 first)
{
    if (!(VIRT_EXCEPTIONS >> vector & 1) || virt_regs(v)->exceptions >> vector & 1)
        return false;
    const u64 lost = virt_pending(v, first);
    return !lost || (lost >> 8 & 7) == 3;
}

enum virt_exit virt_reflect(struct vcpu *v, u64 event)
{
    struct virt_regs *const r = virt_regs(v);
    r->reflect = event;
    r->flags |= VIRT_REFLECT;
    return VIRT_EXIT_WINDOW;
}

u64 virt_dr6(u64 dr6, u64 causes)
{
    const u64 ones = causes & (DR6_B | DR6_BD | DR6_BS), zeros = causes & DR6_ZERO;
    return ((dr6 & ~DR6_B) | DR6_RTM | ones) & ~zeros;
}

/* flag follows fact. */
static void flag(struct virt_regs *r, u64 bits, bool fact)
{
    r->flags = (r->flags & ~bits) | (fact ? bits : 0);
}

void virt_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    struct virt_regs *const r = virt_regs(v);
    if (groups & VCPU_GROUP_CR) {
        r->cr2 = s->cr2;
        r->cr8 = s->cr8;
    }
    if (groups & VCPU_GROUP_DR) {
        mach_copy(r->dr, &s->dr0, sizeof(r->dr));
        r->dr6 = s->dr6;
        flag(r, VIRT_DR, s->dr7 & VIRT_DR7_ENABLED);
    }
    if (groups & VCPU_GROUP_EFER) {
        flag(r, VIRT_SCE, s->efer & EFER_SCE);
        flag(r, VIRT_LME, s->efer & EFER_LME);
    }
    if (groups & VCPU_GROUP_SYSCALL) {
        mach_copy(r->msr, &s->star, sizeof(r->msr));
        flag(r, VIRT_AUX, cpu->virt.has_tsc_aux && s->tsc_aux != cpu->virt.host_msr[VIRT_MSRS - 1]);
    }
    if (groups & VCPU_GROUP_CONTROL) {
        flag(r, VIRT_RDTSC, s->control_flags & VCPU_CONTROL_RDTSC);
        r->exceptions = s->exceptions & ~(1u << VECTOR_MC);
    }
}

void virt_store(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    const struct virt_regs *const r = virt_regs(v);
    if (groups & VCPU_GROUP_CR) {
        s->cr2 = r->cr2;
        s->cr8 = r->cr8;
    }
    if (groups & VCPU_GROUP_DR) {
        mach_copy(&s->dr0, r->dr, sizeof(r->dr));
        s->dr6 = r->dr6;
    }
    if (groups & VCPU_GROUP_SYSCALL)
        mach_copy(&s->star, r->msr, sizeof(r->msr));
    if (groups & VCPU_GROUP_CONTROL) {
        s->control_flags = r->flags & VIRT_RDTSC ? VCPU_CONTROL_RDTSC : 0;
        s->exceptions = (u32)r->exceptions;
        s->control_reserved[0] = s->control_reserved[1] = 0;
    }
}

u64 virt_io_count(const struct vcpu *v, bool rep, u32 address_size)
{
    const u64 rcx = v->resume.gpr[RCX];
    if (!rep)
        return 1;
    return address_size == 2 ? rcx & 0xffff : address_size == 4 ? rcx & 0xffffffff : rcx;
}
