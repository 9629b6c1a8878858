/* SPDX-License-Identifier: BSD-2-Clause */
/* What the controls let pass is executed: does it change what the manual says, and does RIP move behind it? And where it faults, is the exception the
 * guest's? Both vendors where both let it pass. */
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

#define RIP 0x1000u
static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static bool is_vmx(const struct world *w)
{
    return w->s->config.vendor == SIM_VMX;
}

static u64 rip(struct world *w)
{
    return is_vmx(w) ? world_field(w, VMCS_GUEST_RIP) : world_vmcb(w)->rip;
}

/* Run the event, then a CPUID that exits; the guest as it was then is in the model. */
static struct sim_guest *pass(struct world *w, const struct engine_event *e)
{
    world_script(w, 2, (struct script_step[]){ { .event = *e }, { .event = cpuid } });
    world_enter(w);
    if (w->finding)
        fail_msg("%s", w->finding);
    assert_int_equal(world_reason(w), is_vmx(w) ? (u32)VMX_REASON_CPUID : (u32)SVM_EXIT_CPUID);
    return is_vmx(w) ? &vmx_of(w->cpu)->guest : &svm_of(w->cpu)->guest;
}

static void set_gpr(struct world *w, u32 n, u64 value)
{
    w->resume.gpr[n] = value;
    if (n == RAX && !is_vmx(w))
        world_vmcb(w)->rax = value;
}

#define BOTH(w)                                                                                                        \
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)                                                \
        for (struct world *w = world_create(vendor); w; world_destroy(w), w = NULL)

static void mov_cr(void **state)
{
    static const struct {
        u32 number;
        u64 value;
        bool faults;
    } rows[] = {
        { 0, CR0_PE | CR0_NE | CR0_PG | CR0_TS, false },
        { 0, CR0_PE | CR0_NE | CR0_PG | bit(32), true },
        { 0, CR0_NE | CR0_PG, true },
        { 0, CR0_PE | CR0_NE | CR0_PG | CR0_NW, true },
        { 0, CR0_PE | CR0_NE, true },   /* leaves paging in 64-bit mode */
        { 2, 0x5555, false },
        { 3, 0x7000, false },
        { 3, bit(45), true },
        { 4, CR4_PAE | CR4_VMXE | CR4_PGE, false },
        { 4, CR4_VMXE, true },          /* PAE off in long mode */
        { 4, CR4_PAE | CR4_VMXE | CR4_LA57, true },
    };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++) {
            world_good(w, BASE_LONG);
            const u64 value = vendor == SIM_SVM ? rows[i].value & ~(rows[i].number == 4 ? CR4_VMXE : 0) : rows[i].value;
            set_gpr(w, RBX, value);
            const struct sim_guest *g = pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { rows[i].number, RBX, 1 } });
            const u64 now = rows[i].number == 0 ? g->cr0 : rows[i].number == 2 ? g->cr2 : rows[i].number == 3 ? g->cr3 : g->cr4;
            assert_int_equal(rip(w), rows[i].faults ? RIP : RIP + 3);
            assert_int_equal(w->delivered, rows[i].faults ? VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR : 0);
            if (!rows[i].faults)
                assert_int_equal(now, rows[i].number == 0 ? value | CR0_ET : value);
        }
    }
}

/* Paging on with EFER.LME set turns long mode on, and the VMCS's entry control follows. */
static void long_mode_on(void **state)
{
    BOTH(w) {
        world_good(w, BASE_REAL);
        if (vendor == SIM_VMX) {
            world_set(w, VMCS_GUEST_CR0, CR0_PE | CR0_NE);
            world_set(w, VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
            world_set(w, VMCS_GUEST_EFER, EFER_LME);
        } else {
            world_vmcb(w)->cr0 = CR0_PE;
            world_vmcb(w)->cr4 = CR4_PAE;
            world_vmcb(w)->efer |= EFER_LME;
        }
        set_gpr(w, RAX, CR0_PE | CR0_NE | CR0_PG);
        const struct sim_guest *g = pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 0, RAX, 1 } });
        assert_true(g->efer & EFER_LMA);
        if (vendor == SIM_VMX) {
            assert_true(world_field(w, VMCS_ENTRY_CTRL) & VMX_ENTRY_IA32E);
            assert_true(world_field(w, VMCS_GUEST_EFER) & EFER_LMA);
        } else {
            assert_true(world_vmcb(w)->efer & EFER_LMA);
        }
    }
}

/* PAE paging: the model reads the pointers from guest memory; a nested fault there exits. */
static void pdptes(void **state)
{
    struct world *w = world_create(SIM_VMX);
    static const struct {
        u64 cr3, entry;
        u32 reason;
    } rows[] = { { 0x3000, 0x9001, VMX_REASON_CPUID }, { 0x3000, 0x9003, 0 }, { GPA_ABSENT, 0, VMX_REASON_EPT_VIOLATION } };
    for (size_t i = 0; i < array_size(rows); i++) {
        world_good(w, BASE_PAE);
        *(u64 *)sim_phys(w->s, AT_GUEST + 0x3000 + 16, 8) = rows[i].entry;
        set_gpr(w, RCX, rows[i].cr3);
        world_script(w, 2, (struct script_step[]){ { .event = { .kind = EVENT_MOV_CR, .cr = { 3, RCX, 1 } } }, { .event = cpuid } });
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(world_reason(w), rows[i].reason ? rows[i].reason : VMX_REASON_CPUID);
        if (i == 0)
            assert_int_equal(world_field(w, VMCS_GUEST_PDPTE2), 0x9001);
        if (i == 1)
            assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR);
        if (i == 2)
            assert_int_equal(world_field(w, VMCS_GUEST_PHYS_ADDR), GPA_ABSENT);
        assert_int_equal(world_field(w, VMCS_GUEST_CR3), i == 0 ? 0x3000 : 0x1000);
    }
    world_destroy(w);
}

/* Host-owned bits read as the shadow, keep their value when the guest writes what the shadow says, and exit otherwise. */
static void masks(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_CR4_MASK, CR4_VMXE | CR4_PGE);
    world_set(w, VMCS_CR4_SHADOW, CR4_PGE);
    struct sim_guest *g = pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RDI, 0 } });
    assert_int_equal(g->gpr[RDI], CR4_PAE | CR4_PGE);
    world_set(w, VMCS_GUEST_RIP, RIP);
    set_gpr(w, RSI, CR4_PAE | CR4_PGE | CR4_DE);
    g = pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RSI, 1 } });
    assert_int_equal(g->cr4, CR4_PAE | CR4_VMXE | CR4_DE);
    set_gpr(w, RSI, CR4_PAE);
    world_event(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RSI, 1 } });
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_CR);
    /* A CR3 target does not exit. */
    world_good(w, BASE_LONG);
    world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_CR3_LOAD);
    world_set(w, VMCS_CR3_TARGET_COUNT, 2);
    world_set(w, VMCS_CR3_TARGET1, 0x8000);
    set_gpr(w, RSI, 0x8000);
    g = pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 3, RSI, 1 } });
    assert_int_equal(g->cr3, 0x8000);
    world_destroy(w);
}

static void clts_lmsw(void **state)
{
    BOTH(w) {
        if (vendor == SIM_VMX)
            world_set(w, VMCS_GUEST_CR0, world_field(w, VMCS_GUEST_CR0) | CR0_TS);
        else
            world_vmcb(w)->cr0 |= CR0_TS;
        const struct sim_guest *g = pass(w, &(struct engine_event){ .kind = EVENT_CLTS });
        assert_int_equal(g->cr0 & CR0_TS, 0);
        assert_int_equal(rip(w), RIP + 2);
        g = pass(w, &(struct engine_event){ .kind = EVENT_LMSW, .info = CR0_TS });
        assert_int_equal(g->cr0 & (CR0_TS | CR0_PE), CR0_TS | CR0_PE);   /* LMSW does not clear PE */
    }
}

static void msrs(void **state)
{
    static const struct {
        u32 msr;
        u64 value;
        bool faults;
    } rows[] = { { MSR_LSTAR, 0xffff800000001000, false }, { MSR_LSTAR, bit(50), true }, { MSR_FS_BASE, 0x7000, false }, { MSR_STAR, ~0ul, false },
                 { MSR_PAT, 2, true }, { MSR_EFER, 2, true }, { MSR_TSC_AUX, bit(32), true }, { 0x1fff, 0, true } };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++)
            for (u32 write = 0; write < 2; write++) {
                world_good(w, BASE_LONG);
                set_gpr(w, RCX, rows[i].msr);
                set_gpr(w, RAX, rows[i].value & 0xffffffff);
                set_gpr(w, RDX, rows[i].value >> 32);
                const bool faults = write ? rows[i].faults : rows[i].msr == 0x1fff;
                pass(w, &(struct engine_event){ .kind = write ? EVENT_WRMSR : EVENT_RDMSR });
                assert_int_equal(rip(w), faults ? RIP : RIP + 2);
                assert_int_equal(w->delivered, faults ? VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR : 0);
            }
    }
}

/* The bitmaps: one bit per MSR and direction. */
static void msr_bitmap(void **state)
{
    static const u32 indexes[] = { 0, 0x10, 0x1fff, 0xc0000080, 0xc0001fff };
    BOTH(w) {
        for (size_t i = 0; i < array_size(indexes); i++)
            for (u32 write = 0; write < 2; write++) {
                const u32 low = indexes[i] & 0x1fff;
                const u32 vmx_bit = (write ? 16384 : 0) + (indexes[i] >> 31 ? 8192 : 0) + low;
                const u32 svm_bit = (indexes[i] >> 31 ? 0x800 * 8 : 0) + low * 2 + write;
                const u32 b = vendor == SIM_VMX ? vmx_bit : svm_bit;
                world_good(w, BASE_LONG);
                *(u8 *)sim_phys(w->s, AT_MSR_MAP + b / 8, 1) = (u8)(1u << b % 8);
                set_gpr(w, RCX, indexes[i]);
                world_event(w, &(struct engine_event){ .kind = write ? EVENT_WRMSR : EVENT_RDMSR });
                world_enter(w);
                assert_null(w->finding);
                assert_int_equal(world_reason(w), vendor == SIM_SVM ? (u32)SVM_EXIT_MSR : write ? (u32)VMX_REASON_WRMSR : (u32)VMX_REASON_RDMSR);
            }
        /* Outside the ranges every access exits. */
        world_good(w, BASE_LONG);
        set_gpr(w, RCX, 0x40000000);
        world_event(w, &(struct engine_event){ .kind = EVENT_RDMSR });
        world_enter(w);
        assert_int_equal(world_reason(w), vendor == SIM_SVM ? (u32)SVM_EXIT_MSR : (u32)VMX_REASON_RDMSR);
    }
}

/* I/O bitmaps: any of the ports of an access. */
static void io_bitmap(void **state)
{
    static const struct {
        u32 port, size, marked;
        bool exits;
    } rows[] = { { 0x60, 1, 0x60, true }, { 0x60, 4, 0x63, true }, { 0x7ffe, 4, 0x8001, true }, { 0xffff, 2, 0, true }, { 0x64, 1, 0x64, true } };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++) {
            world_good(w, BASE_LONG);
            if (vendor == SIM_VMX)
                world_set(w, VMCS_PROC_CTRL, (world_field(w, VMCS_PROC_CTRL) | VMX_PROC_IO_BITMAPS) & ~(u64)VMX_PROC_IO);
            u8 *const map = sim_phys(w->s, AT_IO_MAP, SVM_IOPM_BYTES);
            map[2 * PAGE_SIZE] = 1;   /* SVM: the bits past port 0xffff */
            map[rows[i].marked / 8] |= (u8)(1u << rows[i].marked % 8);
            world_event(w, &(struct engine_event){ .kind = EVENT_IO, .io = { .port = (u16)rows[i].port, .size = (u8)rows[i].size } });
            world_enter(w);
            assert_null(w->finding);
            assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_IO : (u32)SVM_EXIT_IO);
        }
        /* Not marked: the real port. Port 0x80 is nobody's. */
        world_good(w, BASE_LONG);
        if (vendor == SIM_VMX)
            world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) & ~(u64)VMX_PROC_IO);
        pass(w, &(struct engine_event){ .kind = EVENT_IO, .io = { .port = 0x80, .size = 1 } });
        assert_int_equal(rip(w), RIP + 1);
    }
}

static void tsc(void **state)
{
    BOTH(w) {
        if (vendor == SIM_VMX)
            world_set(w, VMCS_TSC_OFFSET, 1ul << 40);
        else
            world_vmcb(w)->tsc_offset = 1ul << 40;
        w->cpu->tsc_aux = 7;
        const struct sim_guest *g = pass(w, &(struct engine_event){ .kind = EVENT_RDTSC, .insn_len = 3 });
        assert_int_equal(g->gpr[RDX] >> 8, 1);
        assert_int_equal(g->gpr[RCX], 7);
        assert_int_equal(rip(w), RIP + 3);
    }
}

/* RDTSCP without its control is undefined (VMX). */
static void no_rdtscp(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_PROC2_CTRL, world_field(w, VMCS_PROC2_CTRL) & ~(u64)VMX_PROC2_RDTSCP);
    pass(w, &(struct engine_event){ .kind = EVENT_RDTSC, .insn_len = 3 });
    assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_UD));
    world_destroy(w);
}

static void debug_registers(void **state)
{
    BOTH(w) {
        set_gpr(w, RBX, 0x4321);
        pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 2, RBX, 1 } });
        assert_int_equal(w->cpu->dr[2], 0x4321);
        set_gpr(w, RBX, bit(32));
        pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 7, RBX, 1 } });
        assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR);
    }
}

/* A guest's HLT that does not exit: halted, until a host interrupt ends the guest's turn. */
static void hlt(void **state)
{
    BOTH(w) {
        if (vendor == SIM_VMX)
            world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) & ~(u64)VMX_PROC_HLT);
        else
            world_vmcb(w)->intercept1 &= ~SVM_ICEPT1_HLT;
        world_script(w, 1, &(struct script_step){ .event = { .kind = EVENT_HLT }, .before = NULL });
        w->raise_after = 1;
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_INTR : (u32)SVM_EXIT_INTR);
        assert_int_equal(rip(w), RIP + 1);
        if (vendor == SIM_VMX)
            assert_int_equal(world_field(w, VMCS_GUEST_ACTIVITY), VMX_ACTIVITY_HLT);
    }
}

/* A CPUID of a guest that SVM does not intercept sees the machine's. */
static void cpuid_passes(void **state)
{
    struct world *w = world_create(SIM_SVM);
    world_vmcb(w)->intercept1 &= ~SVM_ICEPT1_CPUID;
    world_script(w, 2, (struct script_step[]){ { .event = cpuid }, { .event = { .kind = EVENT_HLT } } });
    world_enter(w);
    assert_int_equal(world_reason(w), SVM_EXIT_HLT);
    assert_int_equal(w->resume.gpr[RBX], sim_cpuid(w->cpu, 0, 0).ebx);
    assert_int_equal(rip(w), RIP + 2);
    world_destroy(w);
}

/* CR8 of a guest is the virtual TPR with V_INTR_MASKING; else it would be the host's: found. */
static void cr8(void **state)
{
    struct world *w = world_create(SIM_SVM);
    set_gpr(w, RBX, 9);
    pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
    assert_int_equal(world_vmcb(w)->int_control & 0xff, 9);
    world_vmcb(w)->int_control = 0;
    world_event(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
    world_enter(w);
    assert_non_null(strstr(w->finding, "CR8"));
    world_destroy(w);
}

TEST_GROUP(sim_guest_exec, cmocka_unit_test(mov_cr), cmocka_unit_test(long_mode_on), cmocka_unit_test(pdptes), cmocka_unit_test(masks),
           cmocka_unit_test(clts_lmsw), cmocka_unit_test(msrs), cmocka_unit_test(msr_bitmap), cmocka_unit_test(io_bitmap),
           cmocka_unit_test(tsc), cmocka_unit_test(no_rdtscp), cmocka_unit_test(debug_registers), cmocka_unit_test(hlt),
           cmocka_unit_test(cpuid_passes), cmocka_unit_test(cr8));
