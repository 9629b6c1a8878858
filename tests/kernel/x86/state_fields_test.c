/* SPDX-License-Identifier: BSD-2-Clause */
/* Does each member of a group land in its own field of the VMCS or VMCB, and come back from there? Every member has a value of its own, so that two
 * that are swapped are seen; only the group under test is moved. */
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "virt_sim.h"
#include "vmx_x86.h"

/* A member, where VMX and SVM keep it, and two legal values: what is loaded; what the guest made of it. */
struct field_row {
    u32 group;
    u16 offset, bytes;
    u32 vmcs, vmcb;
    u8 vmcb_bytes;
    u64 loaded, stored;
};
#define NONE ~0u
#define MEMBER(member) offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member)
#define ROW(name, member, vmcs, field, loaded, stored) \
    { VCPU_GROUP_##name, MEMBER(member), vmcs, VMCB(field), sizeof(((struct vmcb *)0)->field), loaded, stored }
#define ROW_VMX(name, member, vmcs, loaded, stored) { VCPU_GROUP_##name, MEMBER(member), vmcs, NONE, 8, loaded, stored }
#define ROW_SVM(name, member, field, loaded, stored) { VCPU_GROUP_##name, MEMBER(member), NONE, VMCB(field), 8, loaded, stored }
#define SEG(name, field, n)                                                                                                       \
    ROW(SEG, seg[VCPU_SEG_##name].base, VMCS_GUEST_##name##_BASE, field.base, 0x1000 + n, 0x2000 + n),                          \
    ROW(SEG, seg[VCPU_SEG_##name].limit, VMCS_GUEST_##name##_LIMIT, field.limit, 0x300 + n, 0x400 + n),                         \
    ROW(SEG, seg[VCPU_SEG_##name].selector, VMCS_GUEST_##name##_SEL, field.selector, 0x500 + n, 0x600 + n)

static const struct field_row rows[] = {
    ROW(GPR, gpr[RSP], VMCS_GUEST_RSP, rsp, 0x11, 0x12), ROW_SVM(GPR, gpr[RAX], rax, 0x13, 0x14),
    ROW(RIP, rip, VMCS_GUEST_RIP, rip, 0x21, 0x22), ROW(RIP, rflags, VMCS_GUEST_RFLAGS, rflags, 0x246, 0x893),
    SEG(ES, es, 1), SEG(CS, cs, 2), SEG(SS, ss, 3), SEG(DS, ds, 4), SEG(FS, fs, 5), SEG(GS, gs, 6), SEG(LDTR, ldtr, 7), SEG(TR, tr, 8),
    ROW(TABLE, gdtr.base, VMCS_GUEST_GDTR_BASE, gdtr.base, 0x31, 0x32), ROW(TABLE, gdtr.limit, VMCS_GUEST_GDTR_LIMIT, gdtr.limit, 0x33, 0x34),
    ROW(TABLE, idtr.base, VMCS_GUEST_IDTR_BASE, idtr.base, 0x35, 0x36), ROW(TABLE, idtr.limit, VMCS_GUEST_IDTR_LIMIT, idtr.limit, 0x37, 0x38),
    ROW_SVM(CR, cr0, cr0, CR0_PE | CR0_ET | CR0_NE, CR0_ET), ROW_SVM(CR, cr2, cr2, 0x41, 0x42), ROW(CR, cr3, VMCS_GUEST_CR3, cr3, 0x43000, 0x44000),
    ROW_SVM(CR, cr4, cr4, CR4_PAE, CR4_PSE),
    ROW_SVM(DR, dr6, dr6, DR6_INIT | 1, DR6_INIT | 2), ROW(DR, dr7, VMCS_GUEST_DR7, dr7, 0x400, 0x2400),
    ROW_VMX(EFER, efer, VMCS_GUEST_EFER, EFER_NXE, EFER_SCE), ROW(EFER, pat, VMCS_GUEST_PAT, g_pat, 0x0007040600070405, 0x0007040600070401),
    ROW(SYSENTER, sysenter_cs, VMCS_GUEST_SYSENTER_CS, sysenter_cs, 0x51, 0x52),
    ROW(SYSENTER, sysenter_esp, VMCS_GUEST_SYSENTER_ESP, sysenter_esp, 0x53, 0x54),
    ROW(SYSENTER, sysenter_eip, VMCS_GUEST_SYSENTER_EIP, sysenter_eip, 0x55, 0x56),
    ROW_SVM(SYSCALL, star, star, 0x61, 0x62), ROW_SVM(SYSCALL, lstar, lstar, 0x63, 0x64), ROW_SVM(SYSCALL, cstar, cstar, 0x65, 0x66),
    ROW_SVM(SYSCALL, fmask, sfmask, 0x67, 0x68), ROW_SVM(SYSCALL, kernel_gs, kernel_gs_base, 0x69, 0x6a),
    ROW(TSC, tsc_offset, VMCS_TSC_OFFSET, tsc_offset, 0x71, 0x72),
    ROW_VMX(PDPTE, pdpte[0], VMCS_GUEST_PDPTE0, 0x81, 0x82), ROW_VMX(PDPTE, pdpte[1], VMCS_GUEST_PDPTE1, 0x83, 0x84),
    ROW_VMX(PDPTE, pdpte[2], VMCS_GUEST_PDPTE2, 0x85, 0x86), ROW_VMX(PDPTE, pdpte[3], VMCS_GUEST_PDPTE3, 0x87, 0x88),
    ROW_VMX(ACTIVITY, interruptibility, VMCS_GUEST_INTERRUPTIBILITY, 8, 2), ROW_VMX(ACTIVITY, pending_debug, VMCS_GUEST_PENDING_DEBUG, 0x4000, 1),
};

static struct vcpu_state page;   /* two pages */

static u32 hw_field(const struct guest *g, const struct field_row *r)
{
    return g->vendor == SIM_VMX ? r->vmcs : r->vmcb;
}

static u64 hw_get(struct guest *g, const struct field_row *r)
{
    u64 value = 0;
    if (g->vendor == SIM_VMX)
        return mach_vmread(r->vmcs);
    memcpy(&value, (const u8 *)g->v->hw + r->vmcb, r->vmcb_bytes);
    return value;
}

static void hw_set(struct guest *g, const struct field_row *r, u64 value)
{
    if (g->vendor == SIM_VMX)
        mach_vmwrite(r->vmcs, value);
    else
        memcpy((u8 *)g->v->hw + r->vmcb, &value, r->vmcb_bytes);
}

static u64 member_get(const struct field_row *r)
{
    u64 value = 0;
    memcpy(&value, (const u8 *)&page + r->offset, r->bytes);
    return value;
}

/* Every member of every group holds its value; moved are `groups`. */
static void load(struct guest *g, u32 groups)
{
    memset(&page, 0, sizeof(page));
    for (u32 i = 0; i < array_size(rows); i++)
        memcpy((u8 *)&page + rows[i].offset, &rows[i].loaded, rows[i].bytes);
    g->f->k->virt->load(fixture_cpu(g->f, 0), g->v, &page, groups);
}

static void store(struct guest *g, u32 groups)
{
    memset(&page, 0, sizeof(page));
    g->f->k->virt->store(fixture_cpu(g->f, 0), g->v, &page, groups);
}

static void members_are_loaded(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    fixture_cpu(g->f, 0);
    for (u32 b = 0; b < VCPU_GROUP_COUNT; b++) {
        for (u32 i = 0; i < array_size(rows); i++)
            if (hw_field(g, &rows[i]) != NONE)
                hw_set(g, &rows[i], rows[i].stored);
        load(g, 1u << b & g->s->capabilities & ~(VCPU_GROUP_FPU | VCPU_GROUP_INJECT));
        for (u32 i = 0; i < array_size(rows); i++) {
            if (hw_field(g, &rows[i]) == NONE)
                continue;
            const u64 expected = rows[i].group == 1u << b ? rows[i].loaded : rows[i].stored;
            if (hw_get(g, &rows[i]) != expected)
                print_message("group %u row %u\n", b, i);
            assert_int_equal(hw_get(g, &rows[i]), expected);
        }
    }
    guest_close(g);
}

static void members_are_stored(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    fixture_cpu(g->f, 0);
    for (u32 i = 0; i < array_size(rows); i++)
        if (hw_field(g, &rows[i]) != NONE)
            hw_set(g, &rows[i], rows[i].stored);
    for (u32 b = 0; b < VCPU_GROUP_COUNT; b++) {
        store(g, 1u << b & g->s->capabilities & ~(VCPU_GROUP_FPU | VCPU_GROUP_INJECT));
        for (u32 i = 0; i < array_size(rows); i++) {
            if (hw_field(g, &rows[i]) == NONE)
                continue;
            const u64 expected = rows[i].group == 1u << b ? rows[i].stored : 0;
            if (member_get(&rows[i]) != expected)
                print_message("group %u row %u\n", b, i);
            assert_int_equal(member_get(&rows[i]), expected);
        }
    }
    guest_close(g);
}

/* ---- What stands in no field: it goes through struct virt_regs, and comes back as it was ---- */

#define KEPT (VCPU_GROUP_GPR | VCPU_GROUP_CR | VCPU_GROUP_DR | VCPU_GROUP_SYSCALL | VCPU_GROUP_CONTROL | VCPU_GROUP_ACTIVITY)

static void members_come_back(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct vcpu_state in = { .cr0 = CR0_ET, .cr2 = 0x1, .cr8 = 2, .dr0 = 3, .dr1 = 4, .dr2 = 5, .dr3 = 6, .dr6 = DR6_INIT, .dr7 = DR7_INIT,
                             .star = 7, .lstar = 8, .cstar = 9, .fmask = 10, .kernel_gs = 11, .tsc_aux = 12, .exceptions = 0x4040,
                             .control_flags = VCPU_CONTROL_RDTSC, .interruptibility = VCPU_BLOCKED_NMI };
    for (u32 i = 0; i < 16; i++)
        in.gpr[i] = 0x100 + i;
    g->f->k->virt->load(fixture_cpu(g->f, 0), g->v, &in, KEPT);
    memset(&page, 0xee, sizeof(page));
    store(g, KEPT);
    for (u32 b = 0; b < VCPU_GROUP_COUNT; b++) {
        const struct vcpu_group_range *const r = &vcpu_group_range[b];
        if (1u << b & KEPT)
            assert_memory_equal((u8 *)&page + r->offset, (u8 *)&in + r->offset, r->bytes);
    }
    in.interruptibility = in.control_flags = in.exceptions = 0;
    g->f->k->virt->load(g->f->k->cpu[0], g->v, &in, KEPT);
    store(g, KEPT);
    assert_int_equal(page.interruptibility, 0);
    assert_int_equal(page.control_flags, 0);
    assert_int_equal(page.exceptions, 0);
    guest_close(g);
}

/* ---- Fields that are made of more, or less, than a member ---- */

static void vmx_made_fields(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    struct vcpu_state in = { .cr0 = CR0_PE | CR0_ET | CR0_CD | CR0_NW, .cr4 = CR4_PSE, .efer = EFER_LME | EFER_LMA, .exceptions = 0x40 };
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        in.seg[i].attributes = 0x10000 | 0x8000 >> (i & 3) | 0x90 | i;
    virt_vmx.load(cpu, g->v, &in, VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_SEG | VCPU_GROUP_CONTROL);
    assert_int_equal(mach_vmread(VMCS_GUEST_CR0), CR0_PE | CR0_ET | CR0_NE);
    assert_int_equal(mach_vmread(VMCS_CR0_SHADOW), in.cr0);
    assert_int_equal(mach_vmread(VMCS_GUEST_CR4), CR4_PSE | CR4_VMXE | CR4_MCE);
    assert_int_equal(mach_vmread(VMCS_CR4_SHADOW), CR4_PSE);
    assert_int_equal(mach_vmread(VMCS_ENTRY_CTRL) & VMX_ENTRY_IA32E, VMX_ENTRY_IA32E);
    assert_int_equal(mach_vmread(VMCS_EXCEPTION_BITMAP), 0x40 | bit(1) | bit(17) | bit(18));
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        assert_int_equal(mach_vmread(VMCS_SEG(VMCS_GUEST_ES_AR, i)), in.seg[i].attributes);
        mach_vmwrite(VMCS_SEG(VMCS_GUEST_ES_AR, i), ~0u);   /* bits that are undefined are not the VMM's */
    }
    in.efer = 0;
    virt_vmx.load(cpu, g->v, &in, VCPU_GROUP_EFER);
    assert_int_equal(mach_vmread(VMCS_ENTRY_CTRL), 0xd1ff);
    mach_vmwrite(VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_TS);   /* the guest's own bits win, the host's are the shadow's */
    mach_vmwrite(VMCS_GUEST_CR4, CR4_VMXE | CR4_MCE | CR4_PAE);
    store(g, VCPU_GROUP_CR | VCPU_GROUP_SEG);
    assert_int_equal(page.cr0, CR0_PE | CR0_PG | CR0_ET | CR0_TS | CR0_CD | CR0_NW);
    assert_int_equal(page.cr4, CR4_PAE);
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        assert_int_equal(page.seg[i].attributes, 0x1f0ff);
    guest_close(g);
}

static void svm_made_fields(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    const struct vmcb *const b = g->v->hw;
    const struct vmcb_seg *const segs[] = { &b->es, &b->cs, &b->ss, &b->ds, &b->fs, &b->gs, &b->ldtr, &b->tr };
    struct vcpu_state in = { .efer = EFER_LME, .exceptions = 0x40, .interruptibility = VCPU_BLOCKED_STI | VCPU_BLOCKED_NMI };
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        in.seg[i] = (struct vcpu_segment){ .limit = 0x12fff, .attributes = 0x1000u << (i & 3) | 0x90 | i };
    in.seg[VCPU_SEG_SS].attributes |= 0x60;
    in.seg[VCPU_SEG_DS].attributes |= VCPU_SEG_UNUSABLE;
    virt_svm.load(cpu, g->v, &in, VCPU_GROUP_EFER | VCPU_GROUP_SEG | VCPU_GROUP_CONTROL | VCPU_GROUP_ACTIVITY);
    assert_int_equal(b->efer, EFER_LME | EFER_SVME);
    assert_int_equal(b->intercept_exceptions, 0x40 | bit(1) | bit(17) | bit(18));
    assert_int_equal(b->int_shadow, 1);
    assert_int_equal(b->cpl, 3);
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        const u32 low = i == VCPU_SEG_SS ? 0xf2 : i == VCPU_SEG_DS ? 0x13 : 0x90 | i;
        assert_int_equal(segs[i]->attributes, 0x100u << (i & 3) | low);
    }
    store(g, VCPU_GROUP_EFER | VCPU_GROUP_SEG | VCPU_GROUP_ACTIVITY);
    assert_int_equal(page.efer, EFER_LME);
    assert_int_equal(page.interruptibility, VCPU_BLOCKED_STI | VCPU_BLOCKED_NMI);
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        assert_int_equal(page.seg[i].attributes, i == VCPU_SEG_DS ? 0x18013 : in.seg[i].attributes);
    in.interruptibility = VCPU_BLOCKED_MOV_SS;
    virt_svm.load(cpu, g->v, &in, VCPU_GROUP_ACTIVITY);
    assert_int_equal(b->int_shadow, 1);
    in.interruptibility = 0;
    virt_svm.load(cpu, g->v, &in, VCPU_GROUP_ACTIVITY);
    assert_int_equal(b->int_shadow, 0);
    guest_close(g);
}

/* G as the limit wants it; the CPL is the DPL of SS; limits of tables have 16 bits. */
static void svm_what_processors_store(void **state)
{
    static const struct { u32 limit, attributes; u32 stored; } granular[] = {
        { 0xfffff, 0x093, 0x0093 }, { 0xfffff, 0x893, 0x8093 }, { 0x100000, 0x093, 0x8093 }, { 0x12345, 0x893, 0x0093 }, { 0x67, 0x08b, 0x008b },
    };
    struct guest *g = guest_open(SIM_SVM);
    struct vmcb *const b = g->v->hw;
    for (u32 i = 0; i < array_size(granular); i++) {
        b->tr.limit = granular[i].limit;
        b->tr.attributes = (u16)granular[i].attributes;
        b->gdtr.limit = b->idtr.limit = 0xabcd1234 + i;
        b->ss.attributes = 0x93;
        b->cpl = (u8)(i & 3);
        store(g, VCPU_GROUP_SEG | VCPU_GROUP_TABLE);
        assert_int_equal(page.seg[VCPU_SEG_TR].attributes, granular[i].stored);
        assert_int_equal(page.gdtr.limit, 0x1234 + i);
        assert_int_equal(page.idtr.limit, 0x1234 + i);
        assert_int_equal(page.seg[VCPU_SEG_SS].attributes >> 5 & 3, i & 3);
    }
    guest_close(g);
}

/* What makes cached translations of the guest's own tables stale takes a fresh tag; nothing else does. */
static void tags_are_dropped(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const u32 stale = VCPU_GROUP_CR | VCPU_GROUP_EFER | (g->vendor == SIM_VMX ? VCPU_GROUP_PDPTE : 0);
    for (u32 b = 0; b < VCPU_GROUP_COUNT; b++) {
        if (!(1u << b & g->s->capabilities & ~(VCPU_GROUP_FPU | VCPU_GROUP_INJECT)))
            continue;
        g->v->tag_epoch = 5;
        load(g, 1u << b);
        assert_int_equal(g->v->tag_epoch, 1u << b & stale ? 0 : 5);
    }
    guest_close(g);
}

GUEST_GROUP(state_fields, GUEST_TEST(members_are_loaded), GUEST_TEST(members_are_stored), GUEST_TEST(members_come_back), GUEST_TEST(tags_are_dropped));
TEST_GROUP(state_fields_vendor, cmocka_unit_test(vmx_made_fields), cmocka_unit_test(svm_made_fields), cmocka_unit_test(svm_what_processors_store));
