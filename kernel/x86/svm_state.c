/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest state in the VMCB, by groups: a row per field that is copied as it is, a function for what is not.
 * What SVM lacks: pending debug exceptions (virt_check refuses them), PDPTEs (read from guest memory), a difference between the shadows of
 * STI and MOV SS (reported as STI's), NMI blocking (kept in VIRT_NMI_BLOCKED). */
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "svm_x86.h"

#define ROW(field, member) VIRT_ROW(VMCB(field), member)

static const struct virt_row row_table[] = { ROW(gdtr.base, gdtr.base), ROW(idtr.base, idtr.base) };
static const struct virt_row row_cr[] = { ROW(cr0, cr0), ROW(cr2, cr2), ROW(cr3, cr3), ROW(cr4, cr4) };
static const struct virt_row row_dr[] = { ROW(dr6, dr6), ROW(dr7, dr7) };
static const struct virt_row row_efer[] = { ROW(efer, efer), ROW(g_pat, pat) };
static const struct virt_row row_sysenter[] = { ROW(sysenter_cs, sysenter_cs), ROW(sysenter_esp, sysenter_esp), ROW(sysenter_eip, sysenter_eip) };
static const struct virt_row row_syscall[] = { ROW(star, star), ROW(lstar, lstar), ROW(cstar, cstar), ROW(sfmask, fmask), ROW(kernel_gs_base, kernel_gs) };
static const struct virt_row row_tsc[] = { ROW(tsc_offset, tsc_offset) };

static const struct virt_rows rows[VCPU_GROUP_COUNT] = {
    VIRT_ROWS(TABLE, row_table), VIRT_ROWS(CR, row_cr), VIRT_ROWS(DR, row_dr),
    VIRT_ROWS(EFER, row_efer), VIRT_ROWS(SYSENTER, row_sysenter), VIRT_ROWS(SYSCALL, row_syscall), VIRT_ROWS(TSC, row_tsc),
};

/* ---- Segments ---- */

static const u16 seg_offset[VCPU_SEG_COUNT] = {
    [VCPU_SEG_ES] = offset_of(struct vmcb, es), [VCPU_SEG_CS] = offset_of(struct vmcb, cs),     [VCPU_SEG_SS] = offset_of(struct vmcb, ss),
    [VCPU_SEG_DS] = offset_of(struct vmcb, ds), [VCPU_SEG_FS] = offset_of(struct vmcb, fs),     [VCPU_SEG_GS] = offset_of(struct vmcb, gs),
    [VCPU_SEG_LDTR] = offset_of(struct vmcb, ldtr), [VCPU_SEG_TR] = offset_of(struct vmcb, tr),
};
#define SEG_P  0x80u
#define SEG_DPL 0x60u
#define SEG_G  0x8000u
#define CPL_SHIFT 24   /* byte 0x4cb of the word at 0x4c8 */

/* Unusable is "not present" here; descriptor bits 15:12 stand at 11:8 (APM 2 15.5.1). */
static void seg_load(struct vcpu *v, const struct vcpu_state *s)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        const struct vcpu_segment *const g = &s->seg[i];
        u32 a = (g->attributes & 0xff) | (g->attributes >> 4 & 0xf00);
        if (g->attributes & VCPU_SEG_UNUSABLE)
            a &= ~SEG_P;
        vmcb_set(v, seg_offset[i], g->selector | (u64)a << 16 | (u64)g->limit << 32);
        vmcb_set(v, seg_offset[i] + offset_of(struct vmcb_seg, base), g->base);
    }
    vmcb_set32(v, VMCB(cpl) - 3, (s->seg[VCPU_SEG_SS].attributes & SEG_DPL) >> 5 << CPL_SHIFT);
}

/* G is not kept by all processors: it follows from the limit where that leaves no choice. */
static u32 granularity(u32 attributes, u32 limit)
{
    if (limit >> 20)
        return attributes | SEG_G;
    return (limit & 0xfff) == 0xfff ? attributes : attributes & ~SEG_G;
}

static void seg_store(const struct vcpu *v, struct vcpu_state *s)
{
    /* The CPL stands in a field of its own; the neutral form has it in SS.DPL, as VMX does. */
    const u32 cpl = vmcb_get32(v, VMCB(cpl) - 3) >> CPL_SHIFT & 3;
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        const u64 word = vmcb_get(v, seg_offset[i]);
        const u32 raw = word >> 16 & 0xfff, a = i == VCPU_SEG_SS ? (raw & ~SEG_DPL) | cpl << 5 : raw, limit = word >> 32;
        s->seg[i] = (struct vcpu_segment){ .base = vmcb_get(v, seg_offset[i] + offset_of(struct vmcb_seg, base)),
                                           .limit = limit,
                                           .attributes = granularity((a & 0xff) | (a & 0xf00) << 4 | (a & SEG_P ? 0 : VCPU_SEG_UNUSABLE), limit),
                                           .selector = (u16)word };
    }
}

/* ---- The rest ---- */

static void activity_load(struct vcpu *v, const struct vcpu_state *s)
{
    struct virt_regs *const r = virt_regs(v);
    vmcb_set(v, VMCB(int_shadow), s->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS) ? SVM_SHADOW : 0);
    r->flags = s->interruptibility & VCPU_BLOCKED_NMI ? r->flags | VIRT_NMI_BLOCKED : r->flags & ~VIRT_NMI_BLOCKED;
}

static void activity_store(struct vcpu *v, struct vcpu_state *s)
{
    s->activity = VCPU_ACTIVITY_ACTIVE;
    s->pending_debug = 0;
    s->interruptibility = (vmcb_get(v, VMCB(int_shadow)) & SVM_SHADOW ? VCPU_BLOCKED_STI : 0) |
                          (virt_regs(v)->flags & VIRT_NMI_BLOCKED ? VCPU_BLOCKED_NMI : 0);
}

/* What nearly every run moves, without tables. */
/* What the checks of VMRUN look at (15.5.1), generously; a guest that runs cannot make any of it illegal. */
#define CHECKED_GROUPS (VCPU_GROUP_SEG | VCPU_GROUP_TABLE | VCPU_GROUP_CR | VCPU_GROUP_DR | VCPU_GROUP_EFER)

static inline void hot_load(struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    void *const hw = v->hw;
    if (likely(groups & VCPU_GROUP_GPR)) {
        mach_copy(v->resume.gpr, s->gpr, sizeof(s->gpr));
        vmcb_write(hw, VMCB(rsp), v->resume.gpr[RSP]);
        vmcb_write(hw, VMCB(rax), v->resume.gpr[RAX]);
    }
    if (likely(groups & VCPU_GROUP_RIP)) {
        vmcb_write(hw, VMCB(rip), s->rip);
        vmcb_write(hw, VMCB(rflags), s->rflags);
    }
}

static inline void hot_store(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    const void *const hw = v->hw;
    if (likely(groups & VCPU_GROUP_GPR)) {
        v->resume.gpr[RSP] = vmcb_read(hw, VMCB(rsp));
        v->resume.gpr[RAX] = vmcb_read(hw, VMCB(rax));
        mach_copy(s->gpr, v->resume.gpr, sizeof(s->gpr));
    }
    if (likely(groups & VCPU_GROUP_RIP)) {
        s->rip = vmcb_read(hw, VMCB(rip));
        s->rflags = vmcb_read(hw, VMCB(rflags));
    }
}

/* ---- For refused entries ---- */

#define SAVE_WORDS ((VMCB(reserved_698) - VMCB(es)) / 8)

/* | int_shadow | save area |, in the part of the private copy that no group has; the other half is trace_vcpu.c's. */
static u64 *kept(struct vcpu *v)
{
    static_assert((SAVE_WORDS + 1) * 8 <= sizeof(v->copy->page_rest) / 2 && offset_of(struct vcpu_state, page_rest) % 8 == 0, "fits");
    return (u64 *)(void *)v->copy->page_rest;
}

void svm_keep(struct vcpu *v)
{
    u64 *const to = kept(v);
    to[0] = vmcb_get(v, VMCB(int_shadow));
    for (u32 i = 0; i < SAVE_WORDS; i++)
        to[1 + i] = vmcb_get(v, VMCB(es) + 8 * i);
}

void svm_put_back(struct vcpu *v)
{
    const u64 *const from = kept(v);
    vmcb_set(v, VMCB(int_shadow), from[0]);
    for (u32 i = 0; i < SAVE_WORDS; i++)
        vmcb_set(v, VMCB(es) + 8 * i, from[1 + i]);
}

static seldom void load_rest(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    if (groups & CHECKED_GROUPS)
        virt_regs(v)->flags |= VIRT_UNPROVEN;
    virt_load(cpu, v, s, groups);
    virt_rows_load(rows, v, s, groups, vmcb_set);
    if (groups & VCPU_GROUP_SEG)
        seg_load(v, s);
    if (groups & VCPU_GROUP_TABLE) {
        vmcb_set32(v, VMCB(gdtr.limit), s->gdtr.limit);
        vmcb_set32(v, VMCB(idtr.limit), s->idtr.limit);
    }
    if (groups & VCPU_GROUP_EFER)
        vmcb_set(v, VMCB(efer), s->efer | EFER_SVME);   /* VMRUN refuses a guest without it (APM 2 15.5.1) */
    if (groups & VCPU_GROUP_ACTIVITY)
        activity_load(v, s);
    if (groups & VCPU_GROUP_CONTROL)
        vmcb_set32(v, VMCB(intercept_exceptions), s->exceptions | VIRT_EXCEPTIONS);
    if (groups & (VCPU_GROUP_CR | VCPU_GROUP_EFER))
        v->tag_epoch = 0;   /* what the guest's own tables translated to is stale: a fresh ASID */
}

void svm_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
    hot_load(v, s, groups);
    if (unlikely(groups & ~VIRT_HOT))
        load_rest(cpu, v, s, groups & ~VIRT_HOT);
}

static seldom void store_rest(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    virt_store(v, s, groups);
    virt_rows_store(rows, v, s, groups, vmcb_get);
    if (groups & VCPU_GROUP_SEG)
        seg_store(v, s);
    if (groups & VCPU_GROUP_TABLE) {
        s->gdtr.limit = vmcb_get32(v, VMCB(gdtr.limit)) & 0xffff;
        s->idtr.limit = vmcb_get32(v, VMCB(idtr.limit)) & 0xffff;
    }
    if (groups & VCPU_GROUP_EFER)
        s->efer = vmcb_get(v, VMCB(efer)) & ~EFER_SVME;
    if (groups & VCPU_GROUP_ACTIVITY)
        activity_store(v, s);
}

void svm_store(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups)
{
    hot_store(v, s, groups);
    if (unlikely(groups & ~VIRT_HOT))
        store_rest(cpu, v, s, groups & ~VIRT_HOT);
}
