/* SPDX-License-Identifier: BSD-2-Clause */
/* Each reason and code of a manual's appendix, with every field filled: what does the VMM read of it, and what does it not? */
#include <string.h>
#include "abi/hypercall.h"
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "virt_sim.h"
#include "vmx_x86.h"

#define LEN   1u
#define QUAL  2u
#define NEXT  7u        /* bytes of the instruction */
#define Q     0x12345678ul

/* ---- VMX ---- */

static const struct vmx_row { u32 basic, neutral, has; } vmx_rows[] = {
    { 2, VCPU_EXIT_SHUTDOWN, 0 }, { 7, VCPU_EXIT_INTR_WINDOW, 0 }, { 8, VCPU_EXIT_NMI_WINDOW, 0 }, { 9, VCPU_EXIT_OTHER, QUAL },
    { 10, VCPU_EXIT_CPUID, LEN }, { 11, VCPU_EXIT_OTHER, LEN }, { 12, VCPU_EXIT_HLT, LEN }, { 13, VCPU_EXIT_OTHER, LEN },
    { 14, VCPU_EXIT_OTHER, LEN | QUAL }, { 15, VCPU_EXIT_OTHER, LEN }, { 16, VCPU_EXIT_OTHER, LEN }, { 18, VCPU_EXIT_HYPERCALL, LEN },
    { 19, VCPU_EXIT_OTHER, LEN | QUAL }, { 20, VCPU_EXIT_OTHER, LEN }, { 21, VCPU_EXIT_OTHER, LEN | QUAL }, { 22, VCPU_EXIT_OTHER, LEN | QUAL },
    { 23, VCPU_EXIT_OTHER, LEN | QUAL }, { 24, VCPU_EXIT_OTHER, LEN }, { 25, VCPU_EXIT_OTHER, LEN | QUAL }, { 26, VCPU_EXIT_OTHER, LEN },
    { 27, VCPU_EXIT_OTHER, LEN | QUAL }, { 28, VCPU_EXIT_CR, LEN | QUAL }, { 30, VCPU_EXIT_IO, LEN | QUAL }, { 31, VCPU_EXIT_MSR_READ, LEN },
    { 32, VCPU_EXIT_MSR_WRITE, LEN }, { 36, VCPU_EXIT_OTHER, LEN | QUAL }, { 39, VCPU_EXIT_OTHER, LEN }, { 48, VCPU_EXIT_MMIO, QUAL },
    { 49, VCPU_EXIT_OTHER, 0 }, { 50, VCPU_EXIT_OTHER, LEN | QUAL }, { 51, VCPU_EXIT_OTHER, LEN }, { 53, VCPU_EXIT_OTHER, LEN | QUAL },
    { 54, VCPU_EXIT_OTHER, LEN }, { 55, VCPU_EXIT_OTHER, LEN },
    { 56, VCPU_EXIT_OTHER, 0 }, { 69, VCPU_EXIT_OTHER, 0 }, { 74, VCPU_EXIT_OTHER, 0 }, { 0xffff, VCPU_EXIT_OTHER, 0 },   /* controls that nobody turns on */
};

static void set(struct guest *g, u32 field, u64 value)
{
    virt_sim_field(g->f->sim, 0, field, value);
}

static struct vcpu_exit leave(struct guest *g, u64 trap, u64 info, enum virt_exit what)
{
    struct vcpu_exit e = { 0 };
    assert_int_equal(g->f->k->virt->exit(fixture_cpu(g->f, 0), g->v, trap, info, &e), what);
    return e;
}

/* An exit that the processor would have stored so. */
static struct vcpu_exit vmx_leave_with(struct guest *g, u64 reason, u64 qualification, enum virt_exit what)
{
    set(g, VMCS_EXIT_REASON, reason);
    set(g, VMCS_EXIT_QUALIFICATION, qualification);
    set(g, VMCS_EXIT_INSN_LEN, NEXT);
    set(g, VMCS_GUEST_PHYS_ADDR, 0x9abc);
    set(g, VMCS_GUEST_LINEAR_ADDR, 0xdef0);
    g->v->resume.gpr[RCX] = 0x174;
    return leave(g, TRAP(TRAP_GUEST_EXIT, 0), 0, what);
}

static struct guest *inside(enum sim_vendor vendor)
{
    struct guest *g = guest_open(vendor);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    fixture_cpu(g->f, 0);
    return g;
}

static void vmx_reasons(void **state)
{
    struct guest *g = inside(SIM_VMX);
    for (u32 i = 0; i < array_size(vmx_rows); i++) {
        const struct vmx_row *const r = &vmx_rows[i];
        const u64 raw = r->basic | bit(27);   /* bits above 15 are no part of the basic reason */
        const struct vcpu_exit e = vmx_leave_with(g, raw, Q, VIRT_EXIT_VMM);
        if (e.reason != r->neutral || e.insn_len != (r->has & LEN ? NEXT : 0))
            print_message("reason %u\n", r->basic);
        assert_int_equal(e.reason, r->neutral);
        assert_int_equal(e.raw_reason, raw);
        assert_int_equal(e.insn_len, r->has & LEN ? NEXT : 0);
        assert_int_equal(e.raw_info1, r->has & QUAL ? Q : 0);
        assert_int_equal(e.raw_info2, r->basic == 48 || r->basic == 49 ? 0x9abc : 0);
        assert_int_equal(e.u.msr.index, r->basic == 31 || r->basic == 32 ? 0x174 : e.u.msr.index);
        assert_int_equal(g->v->resume.guest, 1);
    }
    guest_close(g);
}

static void vmx_handled(void **state)
{
    static const struct { u32 reason; enum virt_exit what; } rows[] = {
        { 1, VIRT_EXIT_WINDOW }, { 3, VIRT_EXIT_AGAIN }, { 4, VIRT_EXIT_AGAIN }, { 5, VIRT_EXIT_AGAIN }, { 6, VIRT_EXIT_AGAIN }, { 29, VIRT_EXIT_AGAIN },
    };
    struct guest *g = inside(SIM_VMX);
    for (u32 i = 0; i < array_size(rows); i++) {
        vmx_leave_with(g, rows[i].reason, Q, rows[i].what);
        assert_int_equal(!!(virt_regs(g->v)->flags & VIRT_DR), rows[i].reason == 29);
    }
    guest_close(g);
}

static void vmx_cr_accesses(void **state)
{
    static const struct { u32 type, kind, write; } rows[] = { { 0, 0, 1 }, { 1, 0, 0 }, { 2, 1, 1 }, { 3, 2, 1 } };   /* table 28-3 */
    struct guest *g = inside(SIM_VMX);
    for (u32 n = 0; n < 16; n++) {
        const u32 gpr = 15 - n;
        for (u32 i = 0; i < array_size(rows); i++) {
            const struct vcpu_exit e = vmx_leave_with(g, VMX_REASON_CR, n | rows[i].type << 4 | gpr << 8 | 0xabcdul << 16, VIRT_EXIT_VMM);
            assert_int_equal(e.u.cr.number, n);
            assert_int_equal(e.u.cr.gpr, gpr);
            assert_int_equal(e.u.cr.kind, rows[i].kind);
            assert_int_equal(e.u.cr.write, rows[i].write);
        }
    }
    guest_close(g);
}

static void vmx_ports(void **state)
{
    static const struct { u64 q; u32 size, in, string, rep; } rows[] = {
        { 0, 1, 0, 0, 0 }, { 1, 2, 0, 0, 0 }, { 3, 4, 0, 0, 0 }, { 0x08, 1, 1, 0, 0 }, { 0x10, 1, 0, 1, 0 }, { 0x30, 1, 0, 1, 1 }, { 0x43, 4, 0, 0, 0 },
    };
    struct guest *g = inside(SIM_VMX);
    u64 *const info = &g->f->k->cpu[0]->virt.fixed[VMX_FIXED_IO_INFO];
    set(g, VMCS_EXIT_INSN_INFO, 1u << 7 | 3u << 15);
    for (u32 i = 0; i < 2 * array_size(rows); i++) {
        const u32 n = i / 2;
        *info = i & 1;
        const struct vcpu_exit e = vmx_leave_with(g, VMX_REASON_IO, rows[n].q | 0xabcdul << 16, VIRT_EXIT_VMM);
        assert_int_equal(e.u.io.port, 0xabcd);
        assert_int_equal(e.u.io.size, rows[n].size);
        assert_int_equal(e.u.io.in, rows[n].in);
        assert_int_equal(e.u.io.string, rows[n].string);
        assert_int_equal(e.u.io.rep, rows[n].rep);
        assert_int_equal(e.u.io.address_size, rows[n].string && *info ? 4 : 0);
        assert_int_equal(e.u.io.count, rows[n].rep ? 0x174 : 1);
    }
    guest_close(g);
}

static void vmx_violations(void **state)
{
    struct guest *g = inside(SIM_VMX);
    for (u32 q = 0; q < 0x100; q++) {
        const struct vcpu_exit e = vmx_leave_with(g, VMX_REASON_EPT_VIOLATION, q, VIRT_EXIT_VMM);
        assert_int_equal(e.u.mmio.gpa, 0x9abc);
        assert_int_equal(e.u.mmio.access, q & 7);
        assert_int_equal(e.u.mmio.present, q >> 3 & 7);
        assert_int_equal(e.u.mmio.gva_valid, q >> 7);
        assert_int_equal(e.u.mmio.gva, q >> 7 ? 0xdef0 : 0);
    }
    guest_close(g);
}

/* Software exceptions have RIP at the instruction, and a length; others do not. */
static void vmx_exceptions(void **state)
{
    static const struct { u32 info, error, len; } rows[] = {
        { 0x80000306, 0, 0 }, { 0x80000b0d, 0x50, 0 }, { 0x80000b0e, 0x50, 0 }, { 0x80000603, 0, NEXT }, { 0x80000604, 0, NEXT }, { 0x80000501, 0, NEXT },
    };
    struct guest *g = inside(SIM_VMX);
    virt_regs(g->v)->exceptions = ~0u;
    set(g, VMCS_EXIT_ERROR_CODE, 0x50);
    for (u32 i = 0; i < array_size(rows); i++) {
        set(g, VMCS_EXIT_INTR_INFO, rows[i].info);
        const struct vcpu_exit e = vmx_leave_with(g, VMX_REASON_EXCEPTION, Q, VIRT_EXIT_VMM);
        assert_int_equal(e.reason, VCPU_EXIT_EXCEPTION);
        assert_int_equal(e.u.exception.vector, rows[i].info & 0xff);
        assert_int_equal(e.u.exception.error_valid, rows[i].error != 0);
        assert_int_equal(e.u.exception.error, rows[i].error);
        assert_int_equal(e.insn_len, rows[i].len);
        assert_int_equal(e.u.exception.address, (rows[i].info & 0xff) == VECTOR_DB ? DR6_INIT : Q);
        assert_int_equal(e.raw_info1, Q);
    }
    guest_close(g);
}

/* ---- VMX: entries that failed ---- */

#define FAILED(reason) (VMX_REASON_FAILED | (reason))

static void vmx_failures(void **state)
{
    static const struct { u64 trap, info, reason, qualification, error, inject; u32 check; } rows[] = {
        { TRAP_GUEST_EXIT, 0, FAILED(33), 0, 0, 0, 0 },
        { TRAP_GUEST_EXIT, 0, FAILED(33), 2, 0, 0, VCPU_CHECK('A', 25) },
        { TRAP_GUEST_EXIT, 0, FAILED(33), 3, 0, 0, VCPU_CHECK('A', 12) },
        { TRAP_GUEST_EXIT, 0, FAILED(33), 4, 0, 0, VCPU_CHECK('A', 20) },
        { TRAP_GUEST_EXIT, 0, FAILED(34), 2, 0, 0, 0 },   /* the second MSR */
        { TRAP_GUEST_EXIT, 0, FAILED(34), 5, 0, VCPU_EVENT_NMI, 0 },
        { TRAP_GUEST_EXIT, 0, FAILED(41), 0, 0, 0, 0 },
        { TRAP_GUEST_FAILED, 2, 0, 0, 7, 0, 0 },
        { TRAP_GUEST_FAILED, 2, 0, 0, 7, VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR, VCPU_CHECK('N', 7) },
        { TRAP_GUEST_FAILED, 2, 0, 0, 8, VCPU_EVENT_NMI, 0 },
        { TRAP_GUEST_FAILED, 2, 0, 0, 5, 0, 0 },
        { TRAP_GUEST_FAILED, 1, 0, 0, 0, 0, 0 },   /* VMfailInvalid: no error number */
    };
    struct guest *g = inside(SIM_VMX);
    for (u32 i = 0; i < array_size(rows); i++) {
        g->v->resume.guest = i & 1;
        g->v->inject = rows[i].inject;
        mach_vmwrite(VMCS_ENTRY_INTR_INFO, VCPU_EVENT_NMI);
        set(g, VMCS_INSN_ERROR, rows[i].error);
        set(g, VMCS_EXIT_REASON, rows[i].reason);
        set(g, VMCS_EXIT_QUALIFICATION, rows[i].trap == TRAP_GUEST_FAILED ? Q : rows[i].qualification);   /* VMfail leaves an old one there */
        if (rows[i].reason == FAILED(33))
            mach_vmwrite(VMCS_ENTRY_INTR_INFO, 0);
        const struct vcpu_exit e = leave(g, TRAP(rows[i].trap, 0), rows[i].info, VIRT_EXIT_VMM);
        assert_int_equal(e.reason, VCPU_EXIT_ENTRY_FAILED);
        assert_int_equal(e.raw_reason, rows[i].reason);
        assert_int_equal(e.raw_info1, rows[i].qualification);
        assert_int_equal(e.u.entry_failed.qualification, rows[i].qualification);
        assert_int_equal(e.u.entry_failed.vmx_error, rows[i].error);
        if (e.u.entry_failed.check != rows[i].check)
            print_message("row %u\n", i);
        assert_int_equal(e.u.entry_failed.check, rows[i].check);
        assert_int_equal(mach_vmread(VMCS_ENTRY_INTR_INFO), 0);
        assert_int_equal(g->v->resume.guest, i & 1);   /* neither launched nor not */
        assert_int_equal(g->v->inject, rows[i].inject);
    }
    guest_close(g);
}

/* ---- SVM ---- */

static struct vcpu_exit svm_leave_with(struct guest *g, u32 code, u64 info1, u64 info2, enum virt_exit what)
{
    vmcb_set(g->v, VMCB(exit_code), code);
    vmcb_set(g->v, VMCB(exit_info1), info1);
    vmcb_set(g->v, VMCB(exit_info2), info2);
    vmcb_set(g->v, VMCB(exit_int_info), 0);
    vmcb_set(g->v, VMCB(rip), 0x1000);
    vmcb_set(g->v, VMCB(next_rip), 0x1000 + NEXT);
    g->v->resume.gpr[RCX] = 0x174;
    return leave(g, TRAP(TRAP_GUEST_EXIT, 0), 0, what);
}

/* Appendix C; the ranges and what is handled stand below. */
static u32 svm_neutral(u32 code)
{
    switch (code) {
    case 0x064: return VCPU_EXIT_INTR_WINDOW;
    case 0x072: return VCPU_EXIT_CPUID;
    case 0x078: return VCPU_EXIT_HLT;
    case 0x07b: return VCPU_EXIT_IO;
    case 0x07c: return VCPU_EXIT_MSR_WRITE;
    case 0x07f: return VCPU_EXIT_SHUTDOWN;
    case 0x081: return VCPU_EXIT_HYPERCALL;
    case 0x400: return VCPU_EXIT_MMIO;
    default: return code < 0x20 ? VCPU_EXIT_CR : code >= 0x40 && code < 0x60 ? VCPU_EXIT_EXCEPTION : VCPU_EXIT_OTHER;
    }
}

static enum virt_exit svm_what(u32 code)
{
    if (code == 0x060)
        return VIRT_EXIT_WINDOW;
    const bool again = (code >= 0x20 && code < 0x40) || (code >= 0x061 && code <= 0x063) || code == 0x074 || code == 0x052;
    return again ? VIRT_EXIT_AGAIN : VIRT_EXIT_VMM;
}

static void svm_codes(void **state)
{
    struct guest *g = inside(SIM_SVM);
    virt_regs(g->v)->exceptions = ~0u;
    for (u32 code = 0; code <= 0x404; code = code == 0x8f ? 0x3ff : code + 1) {
        const u32 neutral = svm_neutral(code);
        const bool len = neutral != VCPU_EXIT_MMIO && neutral != VCPU_EXIT_INTR_WINDOW && neutral != VCPU_EXIT_SHUTDOWN && neutral != VCPU_EXIT_EXCEPTION;
        const u64 info1 = 0x12345671, info2 = 0x1000 + NEXT;
        virt_regs(g->v)->flags &= ~VIRT_DR;
        const struct vcpu_exit e = svm_leave_with(g, code, info1, info2, svm_what(code));
        assert_int_equal(!!(virt_regs(g->v)->flags & VIRT_DR), code >= 0x20 && code < 0x40);
        if (svm_what(code) != VIRT_EXIT_VMM)
            continue;
        if (e.reason != neutral || e.insn_len != (len ? NEXT : 0))
            print_message("code %x\n", code);
        assert_int_equal(e.reason, neutral);
        assert_int_equal(e.insn_len, len ? NEXT : 0);
        assert_int_equal(e.raw_reason, code);
        assert_int_equal(e.raw_info1, info1);
        assert_int_equal(e.raw_info2, info2);
    }
    guest_close(g);
}

static void svm_cr_accesses(void **state)
{
    struct guest *g = inside(SIM_SVM);
    for (u32 code = 0; code < 0x20; code++) {
        for (u32 i = 0; i < 2; i++) {
            const u32 gpr = 15 - (code & 15);
            const struct vcpu_exit e = svm_leave_with(g, code, (i ? bit(63) : 0) | gpr, 0, VIRT_EXIT_VMM);
            assert_int_equal(e.u.cr.number, code & 15);
            assert_int_equal(e.u.cr.write, code >> 4);
            assert_int_equal(e.u.cr.kind, i ? 0 : 3);
            assert_int_equal(e.u.cr.gpr, i ? gpr : 0);
        }
    }
    guest_close(g);
}

static void svm_ports(void **state)
{
    static const struct { u64 info; u32 size, in, string, rep, address; } rows[] = {
        { 0x10, 1, 0, 0, 0, 0 }, { 0x21, 2, 1, 0, 0, 0 }, { 0x40, 4, 0, 0, 0, 0 }, { 0x94, 1, 0, 1, 0, 2 }, { 0x11c, 1, 0, 1, 1, 4 }, { 0x214, 1, 0, 1, 0, 8 },
        { 0x14, 1, 0, 1, 0, 0 }, { 0x90, 1, 0, 0, 0, 0 },
    };
    struct guest *g = inside(SIM_SVM);
    for (u32 i = 0; i < array_size(rows); i++) {
        const struct vcpu_exit e = svm_leave_with(g, SVM_EXIT_IO, rows[i].info | 0xabcdul << 16, 0x1002, VIRT_EXIT_VMM);
        assert_int_equal(e.u.io.port, 0xabcd);
        assert_int_equal(e.u.io.size, rows[i].size);
        assert_int_equal(e.u.io.in, rows[i].in);
        assert_int_equal(e.u.io.string, rows[i].string);
        assert_int_equal(e.u.io.rep, rows[i].rep);
        assert_int_equal(e.u.io.address_size, rows[i].address);
        assert_int_equal(e.u.io.count, rows[i].rep ? 0x174 : 1);
        assert_int_equal(e.insn_len, 2);   /* EXITINFO2, not the next RIP */
    }
    guest_close(g);
}

static void svm_faults(void **state)
{
    struct guest *g = inside(SIM_SVM);
    for (u32 i = 0; i < 0x20; i++) {
        const struct vcpu_exit e = svm_leave_with(g, SVM_EXIT_NPF, i | bit(32), 0x9abc, VIRT_EXIT_VMM);
        assert_int_equal(e.u.mmio.gpa, 0x9abc);
        assert_int_equal(e.u.mmio.access, i & 0x10 ? RIGHT_X : i & 2 ? RIGHT_W : RIGHT_R);
        assert_int_equal(e.u.mmio.present, i & 1 ? RIGHT_R : 0);
    }
    for (u32 i = 0; i < 2; i++) {
        const struct vcpu_exit e = svm_leave_with(g, SVM_EXIT_MSR, i, 0, VIRT_EXIT_VMM);
        assert_int_equal(e.reason, i ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ);
        assert_int_equal(e.u.msr.index, 0x174);
    }
    guest_close(g);
}

/* An instruction has 1 to 15 bytes: anything else is not believed. */
static void svm_lengths(void **state)
{
    static const struct { u64 next; u32 len; } rows[] = { { 0x1001, 1 }, { 0x100f, 15 }, { 0x1010, 0 }, { 0xfff, 0 }, { 0x1000, 0 } };
    struct guest *g = inside(SIM_SVM);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    for (u32 i = 0; i < 2 * array_size(rows); i++) {
        struct vcpu_exit e = { 0 };
        svm_leave_with(g, SVM_EXIT_CPUID, 0, 0, VIRT_EXIT_VMM);
        vmcb_set(g->v, VMCB(next_rip), rows[i / 2].next);
        cpu->virt.fixed[SVM_FIXED_FEATURES] = i & 1 ? ~CPUID_SVM_NRIP : CPUID_SVM_NRIP;
        assert_int_equal(virt_svm.exit(cpu, g->v, TRAP(TRAP_GUEST_EXIT, 0), 0, &e), VIRT_EXIT_VMM);
        assert_int_equal(e.insn_len, i & 1 ? 0 : rows[i / 2].len);
    }
    guest_close(g);
}

TEST_GROUP(exit_fields, cmocka_unit_test(vmx_reasons), cmocka_unit_test(vmx_handled), cmocka_unit_test(vmx_cr_accesses), cmocka_unit_test(vmx_ports),
           cmocka_unit_test(vmx_violations), cmocka_unit_test(vmx_exceptions), cmocka_unit_test(vmx_failures), cmocka_unit_test(svm_codes),
           cmocka_unit_test(svm_cr_accesses), cmocka_unit_test(svm_ports),
           cmocka_unit_test(svm_faults), cmocka_unit_test(svm_lengths));
