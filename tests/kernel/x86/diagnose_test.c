/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each broken rule of a guest's state named, alone and in the modes where it holds; is a state that breaks none not accused; and which of two is
 * named? The simulated processor, which has its own list, must give the same answer. */
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "vmx_x86.h"

/* ---- States that are legal ---- */

enum base { LONG, FLAT, V86 };

static struct vcpu_segment segment(u32 attributes, u16 selector, u32 limit)
{
    return (struct vcpu_segment){ .limit = limit, .attributes = attributes, .selector = selector };
}

static void legal(struct vcpu_state *s, enum base base)
{
    *s = (struct vcpu_state){ .cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG, .cr3 = 0x5000, .cr4 = CR4_PAE, .rip = 0x1000, .rflags = 0x202, .pat = PAT_RESET,
                              .dr7 = DR7_INIT, .dr6 = DR6_INIT };
    if (base == LONG)
        s->efer = EFER_LME | EFER_LMA;
    else
        s->cr4 = 0;
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        s->seg[i] = base == V86 ? segment(0xf3, 0, 0xffff) : segment(0xc093, 16, ~0u);
    if (base == V86)
        s->rflags |= RFLAGS_VM;
    else
        s->seg[VCPU_SEG_CS] = segment(base == LONG ? 0xa09b : 0xc09b, 8, ~0u);
    s->seg[VCPU_SEG_TR] = segment(0x8b, 0x28, 0x67);
    s->seg[VCPU_SEG_LDTR] = segment(0x82, 0x30, 0x67);
}
#define STATE (VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_ACTIVITY | VCPU_GROUP_DR)

static void load(struct guest *g, enum base base)
{
    static struct vcpu_state s;
    legal(&s, base);
    const u32 groups = STATE & g->s->capabilities;
    g->v->valid = 0;   /* the VMCS was changed behind its back */
    g->f->k->virt->load(fixture_cpu(g->f, 0), g->v, &s, groups);
}

/* ---- VMX ---- */

struct change { u32 field; u64 value; };
struct vmx_fault {
    enum base base;
    u32 id;
    struct change c[3];
};
#define AR(name, value)  { VMCS_GUEST_##name##_AR, value }
#define F(name, value)   { VMCS_GUEST_##name, value }
#define LONG_CR0 (CR0_PE | CR0_NE | CR0_ET | CR0_PG)
#define LONG_CR4 (CR4_PAE | CR4_VMXE | CR4_MCE)

/* In the order of Intel SDM 3C 26.3.1 as vmx_diagnose walks it. */
static const struct vmx_fault faults[] = {
    { LONG, 0, { { 0 } } }, { FLAT, 0, { { 0 } } }, { V86, 0, { { 0 } } },
    { LONG, VCPU_CHECK('G', 1), { F(CR0, LONG_CR0 | bit(40)) } },
    { LONG, VCPU_CHECK('G', 3), { F(CR4, LONG_CR4 | bit(11)) } },
    { LONG, VCPU_CHECK('G', 6), { F(CR0, CR0_PE | CR0_NE | CR0_ET) } },
    { LONG, VCPU_CHECK('G', 7), { F(CR4, CR4_VMXE | CR4_MCE) } },
    { FLAT, VCPU_CHECK('G', 8), { F(CR4, LONG_CR4 | CR4_PCIDE) } },
    { LONG, 0, { F(CR4, LONG_CR4 | CR4_PCIDE) } },
    { LONG, VCPU_CHECK('G', 9), { F(CR3, bit(51)) } },
    { LONG, VCPU_CHECK('G', 15), { F(EFER, EFER_LMA) } },
    { FLAT, VCPU_CHECK('G', 15), { F(EFER, EFER_LME) } },
    { V86, VCPU_CHECK('S', 4), { F(DS_BASE, 0x10) } },
    { V86, VCPU_CHECK('S', 4), { F(ES_SEL, 1) } },
    { V86, VCPU_CHECK('S', 5), { F(GS_LIMIT, 0xfffff) } },
    { V86, VCPU_CHECK('S', 5), { F(FS_LIMIT, 0xfffe) } },
    { V86, VCPU_CHECK('S', 6), { AR(SS, 0x93) } },
    { V86, VCPU_CHECK('S', 6), { AR(CS, 0xfb) } },
    { V86, 0, { F(CS_BASE, 0x12340), F(CS_SEL, 0x1234) } },
    { LONG, VCPU_CHECK('S', 9), { AR(CS, 0xa098) } },
    { LONG, VCPU_CHECK('S', 9), { AR(CS, 0xa097) } },
    { LONG, 0, { AR(CS, 0xc093) } },                                  /* a data segment: unrestricted guests may */
    { LONG, VCPU_CHECK('S', 10), { AR(SS, 0xc091) } },
    { LONG, 0, { AR(SS, 0xc097) } }, { LONG, 0, { AR(SS, 0x10000) } },
    { LONG, VCPU_CHECK('S', 14), { AR(CS, 0xc0b3) } },                /* data: DPL 0 */
    { LONG, VCPU_CHECK('S', 14), { AR(CS, 0xa0fb) } },                /* code: that of SS */
    { LONG, VCPU_CHECK('S', 14), { AR(CS, 0xa0bf) } },                /* conforming: at most that of SS */
    { LONG, 0, { AR(CS, 0xa0bf), AR(SS, 0xc0f3) } }, { LONG, 0, { AR(CS, 0xa09f) } },
    { LONG, VCPU_CHECK('S', 15), { AR(CS, 0xc093), AR(SS, 0xc0f3) } },
    { FLAT, VCPU_CHECK('S', 15), { F(CR0, CR0_NE | CR0_ET), AR(CS, 0xc0fb), AR(SS, 0xc0f3) } },
    { LONG, VCPU_CHECK('S', 19), { AR(CS, 0xe09b) } }, { FLAT, 0, { AR(CS, 0xe09b) } },
    { LONG, VCPU_CHECK('S', 11), { AR(ES, 0xc092) } }, { LONG, VCPU_CHECK('S', 11), { AR(GS, 0xc09a) } },
    { LONG, VCPU_CHECK('S', 12), { AR(FS, 0xc099) } }, { LONG, 0, { AR(FS, 0xc09b) } }, { LONG, 0, { AR(DS, 0x1c092) } },
    { LONG, VCPU_CHECK('S', 13), { AR(CS, 0xa08b) } }, { LONG, VCPU_CHECK('S', 13), { AR(SS, 0xc083) } }, { LONG, VCPU_CHECK('S', 13), { AR(DS, 0xc083) } },
    { LONG, VCPU_CHECK('S', 17), { AR(CS, 0xa01b) } }, { LONG, VCPU_CHECK('S', 17), { AR(GS, 0xc013) } },
    { LONG, VCPU_CHECK('S', 20), { F(DS_LIMIT, 0xffffeffe) } }, { LONG, VCPU_CHECK('S', 20), { AR(ES, 0x4093) } },
    { LONG, 0, { AR(ES, 0x4093), F(ES_LIMIT, 0xfffff) } }, { LONG, VCPU_CHECK('S', 20), { AR(ES, 0x4093), F(ES_LIMIT, 0x100000) } },
    { LONG, VCPU_CHECK('S', 1), { F(TR_SEL, 0x2c) } },
    { LONG, VCPU_CHECK('S', 2), { F(LDTR_SEL, 0x34) } }, { LONG, 0, { F(LDTR_SEL, 0x34), AR(LDTR, 0x10082) } },
    { LONG, VCPU_CHECK('S', 21), { AR(TR, 0x83) } }, { FLAT, 0, { AR(TR, 0x83) } }, { FLAT, VCPU_CHECK('S', 21), { AR(TR, 0x89) } },
    { LONG, VCPU_CHECK('S', 21), { AR(TR, 0x1008b) } }, { LONG, VCPU_CHECK('S', 21), { AR(TR, 0x9b) } }, { LONG, VCPU_CHECK('S', 21), { AR(TR, 0x0b) } },
    { LONG, VCPU_CHECK('S', 21), { AR(TR, 0x808b) } }, { V86, VCPU_CHECK('S', 21), { AR(TR, 0x89) } },
    { LONG, VCPU_CHECK('S', 22), { AR(LDTR, 0x83) } }, { LONG, VCPU_CHECK('S', 22), { AR(LDTR, 0x92) } }, { LONG, VCPU_CHECK('S', 22), { AR(LDTR, 0x02) } },
    { LONG, VCPU_CHECK('S', 22), { AR(LDTR, 0x8082) } }, { LONG, 0, { AR(LDTR, 0x18083) } },
    { FLAT, VCPU_CHECK('R', 1), { F(RIP, bit(32)) } }, { LONG, VCPU_CHECK('R', 1), { AR(CS, 0xc09b), F(RIP, bit(32)) } },
    { V86, VCPU_CHECK('R', 1), { F(RIP, bit(32)) } },
    { LONG, 0, { F(RIP, bit(32)) } }, { LONG, VCPU_CHECK('R', 2), { F(RIP, bit(47)) } }, { LONG, 0, { F(RIP, ~0ul << 47) } },
    { LONG, VCPU_CHECK('R', 3), { F(RFLAGS, 0x20a) } }, { LONG, VCPU_CHECK('R', 3), { F(RFLAGS, 0x222) } }, { LONG, VCPU_CHECK('R', 3), { F(RFLAGS, 0x8202) } },
    { LONG, VCPU_CHECK('R', 3), { F(RFLAGS, bit(22) | 2) } }, { LONG, VCPU_CHECK('R', 3), { F(RFLAGS, bit(63) | 2) } },
    { LONG, 0, { F(RFLAGS, 0x3d7fd7) } },
    { LONG, VCPU_CHECK('R', 4), { F(RFLAGS, 0x200) } },
    { V86, VCPU_CHECK('R', 6), { F(CR0, CR0_NE | CR0_ET) } },
    { LONG, VCPU_CHECK('R', 7), { F(RFLAGS, 2), { VMCS_ENTRY_INTR_INFO, VCPU_EVENT_INTERRUPT(0x30) } } },
    { LONG, VCPU_CHECK('A', 10), { F(INTERRUPTIBILITY, 1), F(RFLAGS, 2) } },
    { LONG, VCPU_CHECK('A', 11), { F(INTERRUPTIBILITY, 1), { VMCS_ENTRY_INTR_INFO, VCPU_EVENT_INTERRUPT(0x30) } } },
    { LONG, VCPU_CHECK('A', 11), { F(INTERRUPTIBILITY, 2), { VMCS_ENTRY_INTR_INFO, VCPU_EVENT_INTERRUPT(0x30) } } },
    { LONG, VCPU_CHECK('A', 12), { F(INTERRUPTIBILITY, 2), { VMCS_ENTRY_INTR_INFO, VCPU_EVENT_NMI } } },
    { LONG, VCPU_CHECK('A', 15), { F(INTERRUPTIBILITY, 8), { VMCS_ENTRY_INTR_INFO, VCPU_EVENT_NMI } } },
    { LONG, VCPU_CHECK('A', 18), { F(INTERRUPTIBILITY, 1), F(RFLAGS, 0x302) } },
    { LONG, VCPU_CHECK('A', 18), { F(INTERRUPTIBILITY, 2), F(PENDING_DEBUG, bit(14)) } },
    { LONG, 0, { F(INTERRUPTIBILITY, 2), F(PENDING_DEBUG, bit(14)), F(RFLAGS, 0x302) } },
};

static void change(const struct vmx_fault *f)
{
    for (u32 i = 0; i < array_size(f->c) && f->c[i].field; i++)
        mach_vmwrite(f->c[i].field, f->c[i].value);
}

static bool touches(const struct vmx_fault *a, u32 field)
{
    for (u32 i = 0; i < array_size(a->c); i++)
        if (a->c[i].field == field)
            return true;
    return false;
}

static void begin(struct guest *g, enum base base)
{
    load(g, base);
    mach_vmwrite(VMCS_ENTRY_INTR_INFO, 0);
}

static void a_vmx_fault_is_named(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    u64 info = 0;
    guest_enter(g, 0);
    fixture_cpu(g->f, 0);
    for (u32 i = 0; i < array_size(faults); i++) {
        begin(g, faults[i].base);
        change(&faults[i]);
        const u32 id = vmx_diagnose();
        if (id != faults[i].id)
            print_message("row %u: %c%02u, not %c%02u\n", i, id >> 8, id & 0xff, faults[i].id >> 8, faults[i].id & 0xff);
        assert_int_equal(id, faults[i].id);
        if (!id && touches(&faults[i], VMCS_GUEST_PENDING_DEBUG))
            continue;   /* legal, but the model cannot hold it back */
        guest_sim_enter(g->f->sim, 0, &g->v->resume, &info);
        if (guest_sim_last_check(g->f->sim, 0) != id)
            print_message("row %u\n", i);
        assert_int_equal(guest_sim_last_check(g->f->sim, 0), id);
        if (!id)
            g->v->resume.guest = 1;   /* launched */
    }
    guest_close(g);
}

/* Of two that have nothing to do with each other the first. */
static void the_first_vmx_fault_is_named(void **state)
{
    static const u8 parts[] = { 'G', 'S', 'R', 'A' };
    struct guest *g = guest_open(SIM_VMX);
    u32 pairs = 0;
    guest_enter(g, 0);
    fixture_cpu(g->f, 0);
    for (u32 i = 0; i < array_size(faults); i++) {
        for (u32 j = 0; j < array_size(faults); j++) {
            const struct vmx_fault *const a = &faults[i], *const b = &faults[j];
            const u8 *const pa = memchr(parts, (int)(a->id >> 8), 4), *const pb = memchr(parts, (int)(b->id >> 8), 4);
            bool apart = a->id && b->id && a->base == b->base && pa < pb && !touches(a, VMCS_GUEST_CR0) && !touches(b, VMCS_GUEST_CR0);
            for (u32 n = 0; n < array_size(b->c) && apart; n++)
                apart = !b->c[n].field || !touches(a, b->c[n].field);
            if (!apart)
                continue;
            begin(g, a->base);
            change(b);
            change(a);
            assert_int_equal(vmx_diagnose(), a->id);
            pairs++;
        }
    }
    assert_true(pairs > 500);
    guest_close(g);
}

/* ---- SVM ---- */

static const struct svm_fault {
    enum base base;
    u32 id, field;
    u64 value;
} svm_faults[] = {
    { LONG, 0, VMCB(rip), 0 }, { FLAT, 0, VMCB(rip), 0 }, { V86, 0, VMCB(rip), 0 },
    { LONG, VCPU_CHECK('V', 8), VMCB(cr0), LONG_CR0 | bit(32) },
    { LONG, VCPU_CHECK('V', 7), VMCB(cr0), LONG_CR0 | CR0_NW }, { LONG, 0, VMCB(cr0), LONG_CR0 | CR0_NW | CR0_CD },
    { LONG, VCPU_CHECK('V', 9), VMCB(cr3), bit(51) },
    { LONG, VCPU_CHECK('V', 10), VMCB(cr4), CR4_PAE | bit(40) }, { LONG, VCPU_CHECK('V', 10), VMCB(cr4), CR4_PAE | bit(15) },
    { LONG, VCPU_CHECK('V', 11), VMCB(dr6), bit(32) },
    { LONG, VCPU_CHECK('V', 12), VMCB(dr7), bit(63) },
    { LONG, VCPU_CHECK('V', 13), VMCB(cr4), CR4_PGE }, { FLAT, 0, VMCB(cr4), CR4_PGE },
    { LONG, VCPU_CHECK('V', 14), VMCB(cr0), CR0_PG | CR0_ET }, { LONG, 0, VMCB(cr0), CR0_ET },
    { LONG, VCPU_CHECK('V', 15), VMCB(cs), 0xffffffff00000000 | 0x69bul << 16 | 8 }, { FLAT, 0, VMCB(cs), 0xffffffff00000000 | 0x69bul << 16 | 8 },
};

static void an_svm_fault_is_named(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    u64 info = 0;
    guest_enter(g, 0);
    for (u32 i = 0; i < array_size(svm_faults); i++) {
        load(g, svm_faults[i].base);
        vmcb_set(g->v, svm_faults[i].field, svm_faults[i].value);
        if (svm_diagnose(g->v) != svm_faults[i].id)
            print_message("row %u\n", i);
        assert_int_equal(svm_diagnose(g->v), svm_faults[i].id);
        guest_sim_enter(g->f->sim, 0, &g->v->resume, &info);
        assert_int_equal(guest_sim_last_check(g->f->sim, 0), svm_faults[i].id);
    }
    guest_close(g);
}

static void the_first_svm_fault_is_named(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    for (u32 i = 0; i < array_size(svm_faults); i++) {
        for (u32 j = i + 1; j < array_size(svm_faults); j++) {
            const struct svm_fault *const a = &svm_faults[i], *const b = &svm_faults[j];
            if (!a->id || !b->id || a->field == b->field || a->id == b->id)
                continue;
            load(g, LONG);
            vmcb_set(g->v, b->field, b->value);
            vmcb_set(g->v, a->field, a->value);
            assert_int_equal(svm_diagnose(g->v), a->id);
        }
    }
    guest_close(g);
}

TEST_GROUP(diagnose, cmocka_unit_test(a_vmx_fault_is_named), cmocka_unit_test(the_first_vmx_fault_is_named), cmocka_unit_test(an_svm_fault_is_named),
           cmocka_unit_test(the_first_svm_fault_is_named));
