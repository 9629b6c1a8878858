/* SPDX-License-Identifier: BSD-2-Clause */
/* Has each field of the VMCS and VMCB that the kernel itself writes the right value: after the start, at an entry with each wish, and which tag? */
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "virt_sim.h"
#include "vmx_x86.h"

/* The guest stands before its entry. */
static void enter(struct guest *g, u32 dirty)
{
    guest_enter(g, dirty);
    assert_true(guest_inside(g));
    fixture_cpu(g->f, 0);
}

static void finish(struct guest *g)
{
    while (guest_inside(g))
        assert_true(guest_step(g));
}

/* ---- VMX ---- */

static void vmx_start_writes(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    fixture_cpu(g->f, 0);
    const struct mach_vmx_host h = mach_vmx_host();
    const struct { u32 field; u64 value; } rows[] = {
        { VMCS_PIN_CTRL, 0x3f }, { VMCS_PROC_CTRL, 0xa5186dfa }, { VMCS_PROC2_CTRL, 0x10ea }, { VMCS_EXIT_CTRL, 0x3f6fff }, { VMCS_ENTRY_CTRL, 0xd1ff },
        { VMCS_EPTP, g->v->space->ptab.root | 0x1e }, { VMCS_LINK_POINTER, ~0ul },
        { VMCS_CR0_MASK, CR0_NE | CR0_CD | CR0_NW }, { VMCS_CR4_MASK, CR4_VMXE | CR4_MCE | VIRT_CR4_UNSWITCHED },
        { VMCS_PF_ERROR_MASK, 0 }, { VMCS_PF_ERROR_MATCH, 0 }, { VMCS_CR3_TARGET_COUNT, 0 }, { VMCS_EXIT_MSR_STORE_COUNT, 0 },
        { VMCS_EXIT_MSR_LOAD_COUNT, 0 }, { VMCS_ENTRY_MSR_LOAD_COUNT, 0 }, { VMCS_ENTRY_INTR_INFO, 0 }, { VMCS_GUEST_DEBUGCTL, 0 },
        { VMCS_GUEST_ACTIVITY, 0 }, { VMCS_EXCEPTION_BITMAP, VIRT_EXCEPTIONS }, { VMCS_TSC_OFFSET, 0 },
        { VMCS_HOST_CS_SEL, h.cs }, { VMCS_HOST_SS_SEL, h.ss }, { VMCS_HOST_DS_SEL, h.ds }, { VMCS_HOST_ES_SEL, h.es }, { VMCS_HOST_FS_SEL, h.fs },
        { VMCS_HOST_GS_SEL, h.gs }, { VMCS_HOST_TR_SEL, h.tr }, { VMCS_HOST_RIP, h.rip }, { VMCS_HOST_RSP, h.rsp }, { VMCS_HOST_GDTR_BASE, h.gdtr_base },
        { VMCS_HOST_IDTR_BASE, h.idtr_base }, { VMCS_HOST_TR_BASE, h.tr_base }, { VMCS_HOST_GS_BASE, h.gs_base }, { VMCS_HOST_FS_BASE, h.fs_base },
        { VMCS_HOST_CR0, mach_cr0_read() | CR0_TS }, { VMCS_HOST_CR4, mach_cr4_read() }, { VMCS_HOST_EFER, mach_msr_read(MSR_EFER) },
        { VMCS_HOST_PAT, mach_msr_read(MSR_PAT) }, { VMCS_HOST_SYSENTER_CS, 0 }, { VMCS_HOST_SYSENTER_ESP, 0 }, { VMCS_HOST_SYSENTER_EIP, 0 },
        { VMCS_GUEST_RIP, 0xfff0 }, { VMCS_GUEST_RFLAGS, 2 }, { VMCS_GUEST_RSP, 0 }, { VMCS_GUEST_CR0, CR0_ET | CR0_NE }, { VMCS_GUEST_CR3, 0 },
        { VMCS_CR0_SHADOW, CR0_CD | CR0_NW | CR0_ET }, { VMCS_GUEST_CR4, CR4_VMXE | CR4_MCE }, { VMCS_CR4_SHADOW, 0 }, { VMCS_GUEST_EFER, 0 },
        { VMCS_GUEST_PAT, PAT_RESET }, { VMCS_GUEST_DR7, DR7_INIT }, { VMCS_GUEST_CS_SEL, 0xf000 }, { VMCS_GUEST_CS_BASE, 0xffff0000 },
        { VMCS_GUEST_CS_LIMIT, 0xffff }, { VMCS_GUEST_CS_AR, 0x9b }, { VMCS_GUEST_DS_AR, 0x93 }, { VMCS_GUEST_LDTR_AR, 0x82 }, { VMCS_GUEST_TR_AR, 0x8b },
        { VMCS_GUEST_GDTR_LIMIT, 0xffff }, { VMCS_GUEST_IDTR_LIMIT, 0xffff }, { VMCS_GUEST_INTERRUPTIBILITY, 0 }, { VMCS_GUEST_PENDING_DEBUG, 0 },
    };
    /* Memory that was something else before: no field is 0 by chance. */
    for (u32 i = 0; i < array_size(rows); i++)
        virt_sim_field(g->f->sim, 0, rows[i].field, ~rows[i].value);
    mach_cr0_write(mach_cr0_read() & ~CR0_TS);
    assert_true(mach_vmclear(g->v->hw_phys));   /* a second start is the test's idea */
    g->f->k->cpu[0]->virt.current = 0;
    g->v->valid = 0;
    virt_vmx.start(g->f->k->cpu[0], g->v);
    for (u32 i = 0; i < array_size(rows); i++) {
        if (mach_vmread(rows[i].field) != rows[i].value)
            print_message("field %x\n", rows[i].field);
        assert_int_equal(mach_vmread(rows[i].field), rows[i].value);
    }
    assert_int_equal(g->v->resume.kind, RESUME_GUEST_VMX);
    assert_int_equal(g->v->resume.guest, 0);
    guest_close(g);
}

static void vmx_enter_writes(void **state)
{
    static const struct { u32 windows, flags; u64 inject; u32 len, proc, info, error, insn; } rows[] = {
        { 0, 0, 0, 0, 0x800000, 0, 0, 0 },
        { VCPU_WINDOW_INTR, 0, 0, 0, 0x800004, 0, 0, 0 },
        { VCPU_WINDOW_NMI, 0, 0, 0, 0xc00000, 0, 0, 0 },
        { 0, VIRT_RDTSC, 0, 0, 0x801000, 0, 0, 0 },
        { 0, VIRT_DR, 0, 0, 0, 0, 0, 0 },
        { VCPU_WINDOW_INTR | VCPU_WINDOW_NMI, VIRT_RDTSC | VIRT_DR, 0, 0, 0x401004, 0, 0, 0 },
        { 0, 0, VCPU_EVENT_INTERRUPT(0x30), 9, 0x800000, 0x80000030, 0, 0 },
        { 0, 0, VCPU_EVENT_NMI, 9, 0x800000, 0x80000202, 0, 0 },
        { 0, 0, VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 0x50ul << 32, 9, 0x800000, 0x80000b0d, 0x50, 0 },
        { 0, 0, VCPU_EVENT_VALID | 0x480, 2, 0x800000, 0x80000480, 0, 2 },
        { 0, 0, VCPU_EVENT_VALID | 0x501, 1, 0x800000, 0x80000501, 0, 1 },
        { 0, 0, VCPU_EVENT_VALID | 0x603, 3, 0x800000, 0x80000603, 0, 3 },
    };
    struct guest *g = guest_open(SIM_VMX);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    for (u32 i = 0; i < array_size(rows); i++) {
        g->v->windows = rows[i].windows;
        g->v->inject = rows[i].inject;
        g->v->inject_insn_len = rows[i].len;
        virt_regs(g->v)->flags = VIRT_STARTED | rows[i].flags;
        virt_regs(g->v)->host_cr3 = 0;
        mach_vmwrite(VMCS_ENTRY_INTR_INFO, 0);
        mach_vmwrite(VMCS_ENTRY_ERROR_CODE, 0);
        mach_vmwrite(VMCS_ENTRY_INSN_LEN, 0);
        mach_vmwrite(VMCS_HOST_CR3, 0);
        assert_ptr_equal(virt_vmx.enter(cpu, g->v), &g->v->resume);
        assert_int_equal(mach_vmread(VMCS_PROC_CTRL), 0xa5186dfa | rows[i].proc);
        assert_int_equal(mach_vmread(VMCS_ENTRY_INTR_INFO), rows[i].info);
        assert_int_equal(mach_vmread(VMCS_ENTRY_ERROR_CODE), rows[i].error);
        assert_int_equal(mach_vmread(VMCS_ENTRY_INSN_LEN), rows[i].insn);
        assert_int_equal(mach_vmread(VMCS_HOST_CR3), mach_cr3_read());
        assert_int_equal(mach_vmread(VMCS_VPID), g->v->tag);
    }
    guest_close(g);
}

/* ---- SVM ---- */

static void svm_start_writes(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    const struct virt_cpu *const c = &g->f->k->cpu[0]->virt;
    enter(g, 0);
    const struct { u32 offset; u64 value; } rows[] = {
        { VMCB(iopm_base), c->maps }, { VMCB(msrpm_base), c->maps + 3 * PAGE_SIZE }, { VMCB(np_control), 1 }, { VMCB(n_cr3), g->v->space->ptab.root },
        { VMCB(rip), 0xfff0 }, { VMCB(rflags), 2 }, { VMCB(rsp), 0 }, { VMCB(rax), 0 }, { VMCB(cr0), CR0_CD | CR0_NW | CR0_ET }, { VMCB(cr3), 0 },
        { VMCB(cr4), 0 }, { VMCB(efer), EFER_SVME }, { VMCB(g_pat), PAT_RESET }, { VMCB(dr6), DR6_INIT }, { VMCB(dr7), DR7_INIT },
        { VMCB(cs), 0xffff009bf000 }, { VMCB(cs.base), 0xffff0000 }, { VMCB(ds), 0xffff00930000 }, { VMCB(tr), 0xffff008b0000 },
        { VMCB(ldtr), 0xffff00820000 }, { VMCB(int_shadow), 0 }, { VMCB(event_inj), 0 }, { VMCB(tsc_offset), 0 }, { VMCB(clean), 0 }, { VMCB(virt_ext), 0 },
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        if (vmcb_get(g->v, rows[i].offset) != rows[i].value)
            print_message("offset %x: %lx\n", rows[i].offset, vmcb_get(g->v, rows[i].offset));
        assert_int_equal(vmcb_get(g->v, rows[i].offset), rows[i].value);
    }
    assert_int_equal(g->v->resume.kind, RESUME_GUEST_SVM);
    assert_int_equal(g->v->resume.guest, g->v->hw_phys);
    finish(g);
    guest_close(g);
}

/* next: the processor has the field; else RIP is moved. */
static void svm_enter_injects(void **state)
{
    static const struct { u64 inject; u32 len; u64 event, next; } rows[] = {
        { 0, 9, 0, 0 }, { VCPU_EVENT_INTERRUPT(0x30), 9, 0x80000030, 0 }, { VCPU_EVENT_NMI, 9, 0x80000202, 0 },
        { VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 0x50ul << 32, 9, 0x5080000b0d, 0 },
        { VCPU_EVENT_VALID | 0x480, 2, 0x80000480, 0x1002 }, { VCPU_EVENT_VALID | 0x501, 1, 0x80000301, 0x1001 },
        { VCPU_EVENT_VALID | 0x603, 3, 0x80000303, 0x1003 },
    };
    struct guest *g = guest_open(SIM_SVM);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    for (u32 i = 0; i < 2 * array_size(rows); i++) {
        const bool nrip = i & 1;
        cpu->virt.fixed[SVM_FIXED_FEATURES] = nrip ? CPUID_SVM_NRIP : 0;
        g->v->inject = rows[i / 2].inject;
        g->v->inject_insn_len = rows[i / 2].len;
        virt_regs(g->v)->flags = VIRT_STARTED;
        vmcb_set(g->v, VMCB(rip), 0x1000);
        vmcb_set(g->v, VMCB(next_rip), 0);
        virt_svm.enter(cpu, g->v);
        const u64 next = rows[i / 2].next;
        assert_int_equal(vmcb_get(g->v, VMCB(event_inj)), rows[i / 2].event);
        assert_int_equal(vmcb_get(g->v, VMCB(next_rip)), nrip ? next : 0);
        assert_int_equal(vmcb_get(g->v, VMCB(rip)), next && !nrip ? next : 0x1000);
        assert_int_equal(!!(virt_regs(g->v)->flags & VIRT_RIP_ADVANCED), next && !nrip);
        assert_int_equal(!!(virt_regs(g->v)->flags & VIRT_NMI_BLOCKED), rows[i / 2].event == 0x80000202);
    }
    guest_close(g);
}

/* ---- Tags ---- */

static u64 hw_tag(struct guest *g)
{
    return g->vendor == SIM_VMX ? mach_vmread(VMCS_VPID) : vmcb_get32(g->v, VMCB(asid));
}

/* Each is used once between two flushes, from 1 to the last; then the epoch grows, and the entry flushes. */
static void tags_go_round(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    struct virt_cpu *const c = &cpu->virt;
    c->tag_limit = 3;
    c->tag_next = 1;
    c->tag_epoch = 1;
    c->tag_flush = false;
    for (u32 i = 0; i < 9; i++) {
        g->v->tag_epoch = 0;
        const u32 flushes = g->flushes;
        g->f->k->virt->enter(cpu, g->v);
        const bool wraps = i && i % 3 == 0;
        assert_int_equal(hw_tag(g), i % 3 + 1);
        assert_int_equal(g->v->tag, i % 3 + 1);
        assert_int_equal(c->tag_epoch, 1 + i / 3);
        assert_int_equal(g->v->tag_epoch, c->tag_epoch);
        assert_false(c->tag_flush);
        if (g->vendor == SIM_VMX)
            assert_int_equal(g->flushes - flushes, wraps);
        else
            assert_int_equal(vmcb_get(g->v, VMCB(asid)) >> 32, wraps ? SVM_TLB_ALL : SVM_TLB_KEEP);
        g->f->k->virt->enter(cpu, g->v);   /* current: stays */
        assert_int_equal(hw_tag(g), i % 3 + 1);
    }
    guest_close(g);
}

/* VMX drops translations itself; SVM makes all ASIDs stale. */
static void a_flush_drops_all(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    const u64 epoch = cpu->virt.tag_epoch;
    const u32 flushes = g->flushes;
    g->f->k->virt->flush(cpu);
    assert_int_equal(cpu->virt.tag_epoch, epoch + (g->vendor == SIM_SVM));
    assert_int_equal(g->flushes - flushes, g->vendor == SIM_VMX);
    guest_close(g);
}

GUEST_GROUP(enter_fields, GUEST_TEST(tags_go_round), GUEST_TEST(a_flush_drops_all));
TEST_GROUP(enter_fields_vendor, cmocka_unit_test(vmx_start_writes), cmocka_unit_test(vmx_enter_writes), cmocka_unit_test(svm_start_writes),
           cmocka_unit_test(svm_enter_injects));
