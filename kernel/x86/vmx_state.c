/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest state in the VMCS, by groups: a row per field that is copied as it is, a function for what is not.
 * CR0 and CR4: bits that VMX fixes, CR4.MCE, which stays on, VIRT_CR4_UNSWITCHED, and CR0.CD and NW, which entries do not load but MOV to CR0
 * would set for real (Intel SDM 3C 26.3.2.1), belong to the host: mask 1, the guest sees the shadow, and a MOV that would change one exits. */
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "vmx_x86.h"

#define ROW(field, member) VIRT_ROW(VMCS_##field, member)

static const struct virt_row row_table[] = { ROW(GUEST_GDTR_BASE, gdtr.base), ROW(GUEST_GDTR_LIMIT, gdtr.limit), ROW(GUEST_IDTR_BASE, idtr.base),
                                        ROW(GUEST_IDTR_LIMIT, idtr.limit) };
static const struct virt_row row_cr[] = { ROW(GUEST_CR3, cr3) };
static const struct virt_row row_dr[] = { ROW(GUEST_DR7, dr7) };
static const struct virt_row row_efer[] = { ROW(GUEST_EFER, efer), ROW(GUEST_PAT, pat) };
static const struct virt_row row_sysenter[] = { ROW(GUEST_SYSENTER_CS, sysenter_cs), ROW(GUEST_SYSENTER_ESP, sysenter_esp),
                                           ROW(GUEST_SYSENTER_EIP, sysenter_eip) };
static const struct virt_row row_tsc[] = { ROW(TSC_OFFSET, tsc_offset) };
static const struct virt_row row_pdpte[] = { ROW(GUEST_PDPTE0, pdpte[0]), ROW(GUEST_PDPTE1, pdpte[1]), ROW(GUEST_PDPTE2, pdpte[2]),
                                        ROW(GUEST_PDPTE3, pdpte[3]) };
static const struct virt_row row_activity[] = { ROW(GUEST_INTERRUPTIBILITY, interruptibility), ROW(GUEST_PENDING_DEBUG, pending_debug) };

static const struct virt_rows rows[VCPU_GROUP_COUNT] = {
    VIRT_ROWS(TABLE, row_table), VIRT_ROWS(CR, row_cr), VIRT_ROWS(DR, row_dr),
    VIRT_ROWS(EFER, row_efer), VIRT_ROWS(SYSENTER, row_sysenter), VIRT_ROWS(TSC, row_tsc), VIRT_ROWS(PDPTE, row_pdpte),
    VIRT_ROWS(ACTIVITY, row_activity),
};

static void field_set(struct vcpu *v, u32 field, u64 value)
{
    mach_vmwrite(field, value);
}

static u64 field_get(const struct vcpu *v, u32 field)
{
    return mach_vmread(field);
}

/* ---- Segments ---- */

#define SEG_KNOWN 0x1f0ffu   /* what the processor stores for an unusable segment is undefined beyond bit 16 */

static void seg_load(const struct vcpu_state *s)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        mach_vmwrite(VMCS_SEG(VMCS_GUEST_ES_SEL, i), s->seg[i].selector);
        mach_vmwrite(VMCS_SEG(VMCS_GUEST_ES_BASE, i), s->seg[i].base);
        mach_vmwrite(VMCS_SEG(VMCS_GUEST_ES_LIMIT, i), s->seg[i].limit);
        mach_vmwrite(VMCS_SEG(VMCS_GUEST_ES_AR, i), s->seg[i].attributes);
    }
}

static void seg_store(struct vcpu_state *s)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        s->seg[i] = (struct vcpu_segment){ .base = mach_vmread(VMCS_SEG(VMCS_GUEST_ES_BASE, i)),
                                           .limit = (u32)mach_vmread(VMCS_SEG(VMCS_GUEST_ES_LIMIT, i)),
                                           .attributes = (u32)mach_vmread(VMCS_SEG(VMCS_GUEST_ES_AR, i)) & SEG_KNOWN,
                                           .selector = (u16)mach_vmread(VMCS_SEG(VMCS_GUEST_ES_SEL, i)) };
    }
}

/* ---- Control registers ---- */

static void cr_load(struct cpu *cpu, const struct vcpu_state *s)
{
    mach_vmwrite(VMCS_GUEST_CR0, (s->cr0 & ~(CR0_CD | CR0_NW)) | cpu->virt.fixed[VMX_FIXED_CR0]);
    mach_vmwrite(VMCS_CR0_SHADOW, s->cr0);
    mach_vmwrite(VMCS_GUEST_CR4, s->cr4 | cpu->virt.fixed[VMX_FIXED_CR4]);
    mach_vmwrite(VMCS_CR4_SHADOW, s->cr4);
}

static void cr_store(struct vcpu_state *s)
{
    const u64 mask0 = mach_vmread(VMCS_CR0_MASK), mask4 = mach_vmread(VMCS_CR4_MASK);
    s->cr0 = (mach_vmread(VMCS_GUEST_CR0) & ~mask0) | (mach_vmread(VMCS_CR0_SHADOW) & mask0);
    s->cr4 = (mach_vmread(VMCS_GUEST_CR4) & ~mask4) | (mach_vmread(VMCS_CR4_SHADOW) & mask4);
}

/* The entry control "IA-32e mode guest" must equal EFER.LMA (26.3.1.1); entries and exits keep it so from then on. */
static void efer_load(const struct vcpu_state *s)
{
    const u64 entry = mach_vmread(VMCS_ENTRY_CTRL) & ~(u64)VMX_ENTRY_IA32E;
    mach_vmwrite(VMCS_ENTRY_CTRL, entry | (s->efer & EFER_LMA ? VMX_ENTRY_IA32E : 0));
}

/* What nearly every run moves, without tables. Most VMMs move RIP and leave RSP and RFLAGS as they were. */
static inline void hot_load(struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    const struct virt_regs *const r = virt_regs(v);
    if (likely(groups & VCPU_GROUP_GPR)) {
        mach_copy(v->resume.gpr, s->gpr, sizeof(s->gpr));
        if (unlikely(!(v->valid & VCPU_GROUP_GPR) || v->resume.gpr[RSP] != r->rsp))
            mach_vmwrite(VMCS_GUEST_RSP, v->resume.gpr[RSP]);
    }
    if (likely(groups & VCPU_GROUP_RIP)) {
        const u64 rflags = s->rflags;
        mach_vmwrite(VMCS_GUEST_RIP, s->rip);
        if (unlikely(!(v->valid & VCPU_GROUP_RIP) || rflags != r->rflags))
            mach_vmwrite(VMCS_GUEST_RFLAGS, rflags);
    }
}

static inline void hot_store(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    struct virt_regs *const r = virt_regs(v);
    if (likely(groups & VCPU_GROUP_GPR)) {
        r->rsp = v->resume.gpr[RSP] = mach_vmread(VMCS_GUEST_RSP);
        mach_copy(s->gpr, v->resume.gpr, sizeof(s->gpr));
    }
    if (likely(groups & VCPU_GROUP_RIP)) {
        r->rflags = s->rflags = mach_vmread(VMCS_GUEST_RFLAGS);
        s->rip = mach_vmread(VMCS_GUEST_RIP);
    }
}

static seldom void load_rest(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    virt_load(cpu, v, s, groups);
    virt_rows_load(rows, v, s, groups, field_set);
    if (groups & VCPU_GROUP_SEG)
        seg_load(s);
    if (groups & VCPU_GROUP_CR)
        cr_load(cpu, s);
    if (groups & VCPU_GROUP_EFER)
        efer_load(s);
    if (groups & VCPU_GROUP_CONTROL)
        mach_vmwrite(VMCS_EXCEPTION_BITMAP, s->exceptions | VIRT_EXCEPTIONS);
    if (groups & (VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_PDPTE))
        v->tag_epoch = 0;   /* what the guest's own tables translated to is stale: a fresh tag */
}

void vmx_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    vmx_current(cpu, v);
    hot_load(v, s, groups);
    if (unlikely(groups & ~VIRT_HOT))
        load_rest(cpu, v, s, groups & ~VIRT_HOT);
}

static seldom void store_rest(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    virt_store(v, s, groups);
    virt_rows_store(rows, v, s, groups, field_get);
    if (groups & VCPU_GROUP_SEG)
        seg_store(s);
    if (groups & VCPU_GROUP_CR)
        cr_store(s);
    if (groups & VCPU_GROUP_ACTIVITY)
        s->activity = VCPU_ACTIVITY_ACTIVE;
}

void vmx_store(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    vmx_current(cpu, v);
    hot_store(v, s, groups);
    if (unlikely(groups & ~VIRT_HOT))
        store_rest(cpu, v, s, groups & ~VIRT_HOT);
}
