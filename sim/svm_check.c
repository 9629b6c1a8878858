/* SPDX-License-Identifier: BSD-2-Clause */
/* VMRUN checks (AMD APM 2 15.5.1, 15.16, 15.20, 15.25): ids V02 to V27; V01 is in svm_run.c, V28 in svm_state.c. A failure is #VMEXIT with
 * VMEXIT_INVALID. Where the manual leaves a value reserved without saying what happens (V25) the model refuses it. Features that no profile has
 * (AVIC, SEV, LBR virtualization) are refused too, as V18 or V27. */
#include "svm_model.h"

#define V(n) VCPU_CHECK('V', n)
#define EFER_LEGAL (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_LMSLE | EFER_FFXSR | EFER_TCE)
#define PHYS_BAD   (~(bit(SIM_PHYS_BITS) - 1))
#define ATTR_L     0x200u
#define ATTR_D     0x400u

static u32 check_control(const struct svm_cpu *c, const struct vmcb *b)
{
    if (!(b->intercept2 & SVM_ICEPT2_VMRUN))
        return V(2);
    if (!b->asid)
        return V(3);
    /* The tables end before the highest physical address; bits 11:0 are ignored (15.10.1, 15.11). */
    if (((b->msrpm_base & ~PAGE_MASK) + SVM_MSRPM_BYTES - 1) & PHYS_BAD)
        return V(16);
    if (((b->iopm_base & ~PAGE_MASK) + SVM_IOPM_BYTES - 1) & PHYS_BAD)
        return V(17);
    const u8 flush = b->tlb_control;
    const bool by_asid = flush == SVM_TLB_ASID || flush == SVM_TLB_ASID_LOCAL;
    if (flush > SVM_TLB_ALL && (!by_asid || !svm_has(c, CPUID_SVM_FLUSH_ASID)))
        return V(25);
    return b->virt_ext || (b->int_control & bit(31)) ? V(27) : 0;
}

static u32 check_efer(const struct svm_cpu *c, const struct vmcb *b)
{
    if (!(b->efer & EFER_SVME))
        return V(4);
    if (b->efer & ~EFER_LEGAL)
        return V(5);
    return (b->efer & (EFER_LME | EFER_LMA)) && !c->profile->long_mode ? V(6) : 0;
}

static u32 check_registers(const struct svm_cpu *c, const struct vmcb *b)
{
    const bool long_paging = (b->efer & EFER_LME) && (b->cr0 & CR0_PG);
    if (!(b->cr0 & CR0_CD) && (b->cr0 & CR0_NW))
        return V(7);
    if (b->cr0 >> 32)
        return V(8);
    if (long_paging && (b->cr3 & PHYS_BAD))
        return V(9);
    if (b->cr4 & ~c->profile->cr4_valid)
        return V(10);
    if (b->dr6 >> 32)
        return V(11);
    if (b->dr7 >> 32)
        return V(12);
    if (long_paging && !(b->cr4 & CR4_PAE))
        return V(13);
    if (long_paging && !(b->cr0 & CR0_PE))
        return V(14);
    if (long_paging && (b->cs.attributes & ATTR_L) && (b->cs.attributes & ATTR_D))
        return V(15);
    return (b->cr4 & CR4_CET) && !(b->cr0 & CR0_WP) ? V(26) : 0;
}

static bool pat_bad(u64 pat)
{
    for (u32 i = 0; i < 64; i += 8)
        if ((pat >> i & 0xf8) || (pat >> i & 7) == 2 || (pat >> i & 7) == 3)
            return true;
    return false;
}

static bool pdptes_bad(struct sim_cpu *cpu, const struct vmcb *b)
{
    const bool pae = (b->cr0 & CR0_PG) && (b->cr4 & CR4_PAE) && !(b->efer & EFER_LME);
    for (u32 i = 0; pae && i < 4; i++) {
        u64 entry = 0;
        if (!sim_phys_read(cpu->sim, (b->cr3 & 0xffffffe0) + 8 * i, &entry, sizeof(entry)) ||
            ((entry & 1) && (entry & (0x1e6 | PHYS_BAD))))
            return true;
    }
    return false;
}

static u32 check_paging(struct sim_cpu *cpu, const struct vmcb *b)
{
    const bool nested = b->np_control & SVM_NP_ENABLE;
    if ((b->np_control & ~SVM_NP_ENABLE) || (nested && (!svm_has(svm_of(cpu), CPUID_SVM_NP) || !(cpu->cr0 & CR0_PG))))
        return V(18);
    if (nested && (b->n_cr3 & PHYS_BAD))
        return V(19);
    if (nested && pat_bad(b->g_pat))
        return V(20);
    return !nested && pdptes_bad(cpu, b) ? V(24) : 0;
}

static u32 check_event(const struct vmcb *b)
{
    const u32 type = SVM_EVENT_TYPE(b->event_inj), vector = b->event_inj & 0xff;
    const bool wide = (b->efer & EFER_LME) && (b->cr0 & CR0_PG) && (b->cs.attributes & ATTR_L);
    if (!(b->event_inj & SVM_EVENT_VALID))
        return 0;
    if ((b->event_inj & 0x7ffff000) || type == 1 || type > SVM_EVENT_SOFT_INTR)
        return V(21);
    if (type != SVM_EVENT_EXCEPTION)
        return 0;
    if (vector == VECTOR_NMI || vector > 31)
        return V(22);
    /* INTO and BOUND do not exist in 64-bit mode. */
    return wide && (vector == VECTOR_OF || vector == VECTOR_BR) ? V(23) : 0;
}

u32 svm_check(struct sim_cpu *cpu, const struct vmcb *b)
{
    const struct svm_cpu *c = svm_of(cpu);
    u32 id = check_control(c, b);
    if (!id)
        id = check_efer(c, b);
    if (!id)
        id = check_registers(c, b);
    if (!id)
        id = check_paging(cpu, b);
    return id ? id : check_event(b);
}

/* Clean bits (15.15.3): a set bit says the group is as the last #VMEXIT of this CPU left it. */
static const struct clean_group {
    u32 bit;
    u16 from, to;
    const char *name;
} clean_groups[] = {
    { 0, 0x000, 0x040, "intercepts" },  { 0, 0x050, 0x058, "TSC offset" },  { 1, 0x040, 0x050, "permission maps" },
    { 2, 0x058, 0x05c, "ASID" },        { 3, 0x060, 0x068, "virtual interrupt control" },
    { 4, 0x090, 0x098, "nested paging" }, { 4, 0x0b0, 0x0b8, "nCR3" },      { 4, 0x668, 0x670, "PAT" },
    { 5, 0x548, 0x560, "CR4, CR3 or CR0" }, { 5, 0x4d0, 0x4d8, "EFER" },    { 6, 0x560, 0x570, "DR7 or DR6" },
    { 7, 0x460, 0x470, "GDTR" },        { 7, 0x480, 0x490, "IDTR" },        { 8, 0x400, 0x440, "a segment" },
    { 8, 0x4cb, 0x4cc, "CPL" },         { 9, 0x640, 0x648, "CR2" },
};

void svm_check_clean(const struct svm_cpu *c, const struct vmcb *now)
{
    if (!svm_has(c, SVM_FEATURE_CLEAN) || !c->cached)
        return;   /* the processor has nothing cached of this VMCB: it loads all */
    for (size_t i = 0; i < array_size(clean_groups); i++) {
        const struct clean_group *g = &clean_groups[i];
        if (!(now->clean >> g->bit & 1))
            continue;
        for (u32 at = g->from; at < g->to; at++)
            if (((const u8 *)now)[at] != ((const u8 *)&c->vmcb)[at])
                sim_broken(RULE_SVM_CLEAN, "VMCB clean bit %u is set, but %s changed at offset %x: the old value may be used (APM 2 15.15)", g->bit,
                           g->name, at);
    }
}
