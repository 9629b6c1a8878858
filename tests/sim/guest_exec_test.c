/* SPDX-License-Identifier: BSD-2-Clause */
/* What the controls let pass is executed: does it change what the manual says, and does RIP move behind it? And where it faults, is the exception the
 * guest's? Both vendors where both let it pass. */
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

#define RIP 0x1000u
static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static void msrs(void **state)
{
    static const struct {
        u32 msr;
        u64 value;
        bool faults;
    } rows[] = { { MSR_LSTAR, 0xffff800000001000, false }, { MSR_LSTAR, bit(50), true }, { MSR_FS_BASE, 0x7000, false }, { MSR_STAR, ~0ul, false },
                 { MSR_PAT, 2, true }, { MSR_EFER, 2, true }, { MSR_CSTAR, bit(50), true }, { MSR_KERNEL_GS_BASE, bit(50), true },
                 { MSR_GS_BASE, bit(50), true }, { MSR_FS_BASE, bit(50), true }, { MSR_SYSENTER_EIP, bit(50), true },
                 { MSR_SYSENTER_ESP, bit(50), true }, { MSR_EFER, EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE, false }, { MSR_EFER, EFER_SCE, true }, { MSR_TSC_AUX, bit(32), true }, { 0x1fff, 0, true } };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++)
            for (u32 write = 0; write < 2; write++) {
                world_good(w, BASE_LONG);
                world_gpr(w, RCX, rows[i].msr);
                world_gpr(w, RAX, rows[i].value & 0xffffffff);
                world_gpr(w, RDX, rows[i].value >> 32);
                const bool faults = write ? rows[i].faults : rows[i].msr == 0x1fff;
                world_pass(w, &(struct engine_event){ .kind = write ? EVENT_WRMSR : EVENT_RDMSR });
                assert_int_equal(world_rip(w), faults ? RIP : RIP + 2);
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
                world_gpr(w, RCX, indexes[i]);
                world_event(w, &(struct engine_event){ .kind = write ? EVENT_WRMSR : EVENT_RDMSR });
                world_enter(w);
                assert_null(w->finding);
                assert_int_equal(world_reason(w), vendor == SIM_SVM ? (u32)SVM_EXIT_MSR : write ? (u32)VMX_REASON_WRMSR : (u32)VMX_REASON_RDMSR);
            }
        /* Outside the ranges every access exits. */
        world_good(w, BASE_LONG);
        world_gpr(w, RCX, 0x40000000);
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
        world_pass(w, &(struct engine_event){ .kind = EVENT_IO, .io = { .port = 0x80, .size = 1 } });
        assert_int_equal(world_rip(w), RIP + 1);
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
        const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_RDTSC, .insn_len = 3 });
        assert_int_equal(g->gpr[RDX] >> 8, 1);
        assert_int_equal(g->gpr[RCX], 7);
        world_gpr(w, RCX, MSR_TSC);
        g = world_pass(w, &(struct engine_event){ .kind = EVENT_RDMSR });
        assert_int_equal(g->gpr[RDX] >> 8, 1);
        assert_int_equal(world_rip(w), RIP + 3 + 2);
    }
}

/* RDTSCP without its control is undefined (VMX). */
static void no_rdtscp(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_PROC2_CTRL, world_field(w, VMCS_PROC2_CTRL) & ~(u64)VMX_PROC2_RDTSCP);
    world_pass(w, &(struct engine_event){ .kind = EVENT_RDTSC, .insn_len = 3 });
    assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_UD));
    world_destroy(w);
}

static void debug_registers(void **state)
{
    BOTH(w) {
        world_gpr(w, RBX, 0x4321);
        world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 2, RBX, 1 } });
        assert_int_equal(w->cpu->dr[2], 0x4321);
        world_gpr(w, RBX, bit(32));
        world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 7, RBX, 1 } });
        assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR);
    }
}

/* Outside 64-bit mode RIP wraps at 4 GiB and registers have 32 bits; an executed instruction ends blocking by STI. */
static void narrow(void **state)
{
    BOTH(w) {
        world_good(w, BASE_PAE);
        if (vendor == SIM_VMX) {
            world_set(w, VMCS_GUEST_RIP, 0xffffffff);
            world_set(w, VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
            world_set(w, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCK_STI);
        } else {
            world_vmcb(w)->rip = 0xffffffff;
            world_vmcb(w)->int_shadow = SVM_SHADOW;
        }
        world_gpr(w, RSI, 0xabcd00000007);
        const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 2, RSI, 1 } });
        assert_int_equal(g->cr2, 7);
        assert_int_equal(world_rip(w), 2);
        assert_int_equal(g->interruptibility, 0);
    }
}

/* DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them undefined. */
static void debug_aliases(void **state)
{
    BOTH(w) {
        world_gpr(w, RBX, 0x401);
        const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 5, RBX, 1 } });
        assert_int_equal(g->dr7, 0x401);
        g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 7, RCX, 0 } });
        assert_int_equal(g->gpr[RCX], 0x401);
        if (vendor == SIM_VMX)
            world_set(w, VMCS_GUEST_CR4, world_field(w, VMCS_GUEST_CR4) | CR4_DE);
        else
            world_vmcb(w)->cr4 |= CR4_DE;
        world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 5, RBX, 1 } });
        assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_UD));
        world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_DR, .cr = { 7, RBX, 1 } });
        assert_int_equal(w->delivered, 0);
    }
}

/* IN from a real port that nobody answers: all ones, in as many bytes as it reads; only a 4-byte IN clears the high half of RAX. */
static void port_in(void **state)
{
    static const struct {
        u8 size;
        u64 rax;
    } rows[] = { { 1, 0x11223344556677ff }, { 2, 0x112233445566ffff }, { 4, 0xffffffff } };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++) {
            world_good(w, BASE_LONG);
            if (vendor == SIM_VMX)
                world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) & ~(u64)VMX_PROC_IO);
            world_gpr(w, RAX, 0x1122334455667788);
            const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_IO, .io = { .port = 0x1234, .size = rows[i].size, .in = 1 } });
            assert_int_equal(g->gpr[RAX], rows[i].rax);
        }
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
        assert_int_equal(world_rip(w), RIP + 1);
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
    assert_int_equal(world_rip(w), RIP + 2);
    world_destroy(w);
}

TEST_GROUP(sim_guest_exec, cmocka_unit_test(msrs), cmocka_unit_test(msr_bitmap), cmocka_unit_test(io_bitmap), cmocka_unit_test(tsc),
           cmocka_unit_test(no_rdtscp), cmocka_unit_test(debug_registers), cmocka_unit_test(narrow), cmocka_unit_test(debug_aliases), cmocka_unit_test(port_in),
           cmocka_unit_test(hlt), cmocka_unit_test(cpuid_passes));
