/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM entry failed on guest state (exit reason 33): which check was it? The processor does not say; this looks at the VMCS again, in the
 * order of Intel SDM 3C 26.3.1. Values that virt_check refuses at the load, and fields the kernel alone writes, are not looked at again.
 * An unrestricted guest is assumed throughout. */
#include "arch/x86.h"
#include "vmx_x86.h"

#define SEG_S 0x10u
#define SEG_P 0x80u
#define SEG_L 0x2000u
#define SEG_D 0x4000u
#define SEG_G 0x8000u

struct diagnosis {
    u64 cr0, cr4, efer, rflags, rip;
    bool ia32e, v86;
    struct vcpu_segment seg[VCPU_SEG_COUNT];
};

static u64 get(u32 field)
{
    return mach_vmread(field);
}

static bool usable(const struct vcpu_segment *s)
{
    return !(s->attributes & VCPU_SEG_UNUSABLE);
}

static u32 dpl(const struct vcpu_segment *s)
{
    return s->attributes >> 5 & 3;
}

static u32 control_registers(const struct diagnosis *d)
{
    if (d->cr0 & ~mach_msr_read(MSR_VMX_CR0_FIXED1))
        return VCPU_CHECK('G', 1);
    if (d->cr4 & ~mach_msr_read(MSR_VMX_CR4_FIXED1))
        return VCPU_CHECK('G', 3);
    if (d->ia32e && !(d->cr0 & CR0_PG))
        return VCPU_CHECK('G', 6);
    if (d->ia32e && !(d->cr4 & CR4_PAE))
        return VCPU_CHECK('G', 7);
    if (!d->ia32e && d->cr4 & CR4_PCIDE)
        return VCPU_CHECK('G', 8);
    if (get(VMCS_GUEST_CR3) >> (mach_cpuid(0x80000008u, 0).eax & 0xff))
        return VCPU_CHECK('G', 9);
    return d->cr0 & CR0_PG && !(d->efer & EFER_LMA) != !(d->efer & EFER_LME) ? VCPU_CHECK('G', 15) : 0;
}

static u32 virtual_8086(const struct diagnosis *d)
{
    for (u32 i = VCPU_SEG_ES; d->v86 && i <= VCPU_SEG_GS; i++) {
        if (d->seg[i].base != (u64)d->seg[i].selector << 4)
            return VCPU_CHECK('S', 4);
        if (d->seg[i].limit != 0xffff)
            return VCPU_CHECK('S', 5);
        if (d->seg[i].attributes != 0xf3)
            return VCPU_CHECK('S', 6);
    }
    return 0;
}

static u32 code(const struct diagnosis *d)
{
    const struct vcpu_segment *const cs = &d->seg[VCPU_SEG_CS], *const ss = &d->seg[VCPU_SEG_SS];
    const u32 type = cs->attributes & 0xf;
    if (d->v86)
        return 0;   /* virtual_8086 has asked for every bit */
    if (type != 3 && (type & 9) != 9)
        return VCPU_CHECK('S', 9);
    if (usable(ss) && (ss->attributes & 0xf) != 3 && (ss->attributes & 0xf) != 7)
        return VCPU_CHECK('S', 10);
    const bool conforming = type & 4 && type & 8;
    if (type == 3 ? dpl(cs) != 0 : conforming ? dpl(cs) > dpl(ss) : dpl(cs) != dpl(ss))
        return VCPU_CHECK('S', 14);
    if (dpl(ss) && (type == 3 || !(d->cr0 & CR0_PE)))
        return VCPU_CHECK('S', 15);
    return d->ia32e && cs->attributes & SEG_L && cs->attributes & SEG_D ? VCPU_CHECK('S', 19) : 0;
}

static bool granularity_wrong(const struct vcpu_segment *s)
{
    return s->attributes & SEG_G ? (s->limit & 0xfff) != 0xfff : s->limit >> 20;
}

static u32 attributes(const struct diagnosis *d)
{
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++) {
        const struct vcpu_segment *const s = &d->seg[i];
        if (!usable(s) && i != VCPU_SEG_CS)
            continue;
        if (i != VCPU_SEG_CS && i != VCPU_SEG_SS && !(s->attributes & 1))
            return VCPU_CHECK('S', 11);
        if (i != VCPU_SEG_CS && i != VCPU_SEG_SS && (s->attributes & 0xa) == 8)
            return VCPU_CHECK('S', 12);
        if (!(s->attributes & SEG_S))
            return VCPU_CHECK('S', 13);
        if (!(s->attributes & SEG_P))
            return VCPU_CHECK('S', 17);
        if (granularity_wrong(s))
            return VCPU_CHECK('S', 20);
    }
    return 0;
}

static u32 system_segments(const struct diagnosis *d)
{
    const struct vcpu_segment *const tr = &d->seg[VCPU_SEG_TR], *const ldtr = &d->seg[VCPU_SEG_LDTR];
    const u32 type = tr->attributes & 0xf;
    if (tr->selector & 4)
        return VCPU_CHECK('S', 1);
    if (usable(ldtr) && ldtr->selector & 4)
        return VCPU_CHECK('S', 2);
    if (!usable(tr) || (type != 11 && (type != 3 || d->ia32e)) || (tr->attributes & (SEG_S | SEG_P)) != SEG_P || granularity_wrong(tr))
        return VCPU_CHECK('S', 21);
    if (usable(ldtr) && ((ldtr->attributes & 0xf) != 2 || (ldtr->attributes & (SEG_S | SEG_P)) != SEG_P || granularity_wrong(ldtr)))
        return VCPU_CHECK('S', 22);
    return 0;
}

static u32 rip_rflags(const struct diagnosis *d)
{
    const bool long_code = d->ia32e && d->seg[VCPU_SEG_CS].attributes & SEG_L;
    if (!long_code && d->rip >> 32)
        return VCPU_CHECK('R', 1);
    if (long_code && !virt_canonical(d->rip))
        return VCPU_CHECK('R', 2);
    if (d->rflags & 0xffffffffffc08028ul)
        return VCPU_CHECK('R', 3);
    if (!(d->rflags & RFLAGS_ONE))
        return VCPU_CHECK('R', 4);
    if (d->v86 && d->ia32e)
        return VCPU_CHECK('R', 5);
    if (d->v86 && !(d->cr0 & CR0_PE))
        return VCPU_CHECK('R', 6);
    const u64 event = get(VMCS_ENTRY_INTR_INFO);
    return event & VMX_INTR_VALID && VMX_INTR_TYPE(event) == VMX_EVENT_INTR && !(d->rflags & RFLAGS_IF) ? VCPU_CHECK('R', 7) : 0;
}

static u32 other(const struct diagnosis *d)
{
    const u64 blocked = get(VMCS_GUEST_INTERRUPTIBILITY), event = get(VMCS_ENTRY_INTR_INFO);
    const bool shadow = blocked & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS), valid = event & VMX_INTR_VALID;
    if (blocked & VMX_BLOCK_STI && !(d->rflags & RFLAGS_IF))
        return VCPU_CHECK('A', 10);
    if (valid && VMX_INTR_TYPE(event) == VMX_EVENT_INTR && shadow)
        return VCPU_CHECK('A', 11);
    if (valid && VMX_INTR_TYPE(event) == VMX_EVENT_NMI)
        return blocked & VMX_BLOCK_MOV_SS ? VCPU_CHECK('A', 12) : blocked & VMX_BLOCK_NMI ? VCPU_CHECK('A', 15) : 0;
    const bool step = get(VMCS_GUEST_PENDING_DEBUG) & bit(14);
    return shadow && step != !!(d->rflags & RFLAGS_TF) ? VCPU_CHECK('A', 18) : 0;
}

u32 vmx_diagnose(void)
{
    static u32 (*const parts[])(const struct diagnosis *) = { control_registers, virtual_8086, code, attributes, system_segments, rip_rflags, other };
    struct diagnosis d = { .cr0 = get(VMCS_GUEST_CR0), .cr4 = get(VMCS_GUEST_CR4), .efer = get(VMCS_GUEST_EFER),
                           .rflags = get(VMCS_GUEST_RFLAGS), .rip = get(VMCS_GUEST_RIP) };
    d.ia32e = get(VMCS_ENTRY_CTRL) & VMX_ENTRY_IA32E;
    d.v86 = d.rflags & RFLAGS_VM;
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        d.seg[i].base = get(VMCS_SEG(VMCS_GUEST_ES_BASE, i));
        d.seg[i].limit = (u32)get(VMCS_SEG(VMCS_GUEST_ES_LIMIT, i));
        d.seg[i].attributes = (u32)get(VMCS_SEG(VMCS_GUEST_ES_AR, i));
        d.seg[i].selector = (u16)get(VMCS_SEG(VMCS_GUEST_ES_SEL, i));
    }
    u32 id = 0;
    for (u32 i = 0; i < array_size(parts) && !id; i++)
        id = parts[i](&d);
    return id;
}
