/* SPDX-License-Identifier: BSD-2-Clause */
/* What VMX says of an exit, as a neutral one (Intel SDM 3C 28.2): what this kernel would have told its VMM. What the hypervisor's own host caused
 * (interrupts, NMIs, its timer) is KICKED. */
#include "trace/import.h"
#include <string.h>
#include "arch/vmx.h"
#include "arch/x86.h"

static const u8 neutral[] = {
    [VMX_REASON_EXCEPTION] = VCPU_EXIT_EXCEPTION, [VMX_REASON_INTR] = VCPU_EXIT_KICKED, [VMX_REASON_TRIPLE] = VCPU_EXIT_SHUTDOWN,
    [VMX_REASON_INTR_WINDOW] = VCPU_EXIT_INTR_WINDOW, [VMX_REASON_NMI_WINDOW] = VCPU_EXIT_NMI_WINDOW, [VMX_REASON_CPUID] = VCPU_EXIT_CPUID,
    [VMX_REASON_HLT] = VCPU_EXIT_HLT, [VMX_REASON_VMCALL] = VCPU_EXIT_HYPERCALL, [VMX_REASON_CR] = VCPU_EXIT_CR, [VMX_REASON_IO] = VCPU_EXIT_IO,
    [VMX_REASON_RDMSR] = VCPU_EXIT_MSR_READ, [VMX_REASON_WRMSR] = VCPU_EXIT_MSR_WRITE, [VMX_REASON_FAIL_STATE] = VCPU_EXIT_ENTRY_FAILED,
    [VMX_REASON_FAIL_MSR] = VCPU_EXIT_ENTRY_FAILED, [VMX_REASON_FAIL_MCE] = VCPU_EXIT_ENTRY_FAILED, [VMX_REASON_EPT_VIOLATION] = VCPU_EXIT_MMIO,
    [VMX_REASON_TIMER] = VCPU_EXIT_KICKED,
};

static u32 reason_of(const struct import_vmx *x)
{
    const u32 basic = VMX_REASON_BASIC(x->reason), vector = x->intr_info & 0xff;
    if (x->reason & VMX_REASON_FAILED)
        return VCPU_EXIT_ENTRY_FAILED;
    if (basic == VMX_REASON_EXCEPTION && (VMX_INTR_TYPE(x->intr_info) == VMX_EVENT_NMI || vector == VECTOR_MC))
        return VCPU_EXIT_KICKED;
    return basic < array_size(neutral) && neutral[basic] ? neutral[basic] : VCPU_EXIT_OTHER;
}

static void fill_io(const struct import_vmx *x, const struct import_vcpu *v, struct vcpu_exit *e)
{
    const u64 q = x->qualification, rcx = v->word[TRACE_WORD_rcx];
    e->u.io.port = (u16)IOQ_PORT(q);
    e->u.io.size = (u8)IOQ_SIZE(q);
    e->u.io.in = !!(q & IOQ_IN);
    e->u.io.string = !!(q & IOQ_STRING);
    e->u.io.rep = !!(q & IOQ_REP);
    e->u.io.address_size = q & IOQ_STRING && x->has_insn_info ? (u8)IO_INFO_ADDRESS(x->insn_info) : 0;
    e->u.io.count = !(q & IOQ_REP) ? 1 : e->u.io.address_size == 2 ? rcx & 0xffff : e->u.io.address_size == 4 ? rcx & 0xffffffff : rcx;
}

static void fill_cr(const struct import_vmx *x, struct vcpu_exit *e)
{
    static const u8 kind[4] = { 0, 0, 1, 2 };   /* MOV to, MOV from, CLTS, LMSW */
    e->u.cr.number = CRQ_NUMBER(x->qualification);
    e->u.cr.gpr = CRQ_GPR(x->qualification);
    e->u.cr.write = CRQ_TYPE(x->qualification) != 1;
    e->u.cr.kind = kind[CRQ_TYPE(x->qualification)];
}

static void fill_exception(const struct import_vmx *x, const struct import_vcpu *v, struct vcpu_exit *e)
{
    const u32 vector = x->intr_info & 0xff;
    e->u.exception.vector = vector;
    e->u.exception.error_valid = !!(x->intr_info & VMX_INTR_ERROR);
    e->u.exception.error = x->intr_info & VMX_INTR_ERROR ? (u32)x->error : 0;
    e->u.exception.address = vector == VECTOR_DB ? (v->word[TRACE_WORD_dr6] & ~0xful) | (x->qualification & 0x600f) : x->qualification;
}

static void fill_mmio(const struct import_vmx *x, struct vcpu_exit *e)
{
    const u64 q = x->qualification;
    e->u.mmio.gpa = x->gpa;
    e->u.mmio.access = (u32)(q & (EPTQ_READ | EPTQ_WRITE | EPTQ_FETCH));   /* the same bits as RIGHT_R, W, X */
    e->u.mmio.present = EPTQ_PRESENT(q);
    e->u.mmio.gva_valid = !!(q & EPTQ_GVA_VALID);
    e->u.mmio.gva = q & EPTQ_GVA_VALID ? x->gva : 0;
}

void import_vmx_exit(const struct import_vmx *x, struct import_vcpu *v)
{
    struct vcpu_exit *const e = import_exit_of(v);
    memset(e, 0, sizeof(*e));
    e->reason = reason_of(x);
    e->insn_len = e->reason != VCPU_EXIT_KICKED && x->insn_len <= 15 ? (u32)x->insn_len : 0;
    e->raw_reason = x->reason;
    e->raw_info1 = x->qualification;
    e->raw_info2 = x->gpa;
    switch (e->reason) {
    case VCPU_EXIT_IO:
        fill_io(x, v, e);
        break;
    case VCPU_EXIT_CR:
        fill_cr(x, e);
        break;
    case VCPU_EXIT_EXCEPTION:
        fill_exception(x, v, e);
        break;
    case VCPU_EXIT_MMIO:
        fill_mmio(x, e);
        break;
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE:
        e->u.msr.index = (u32)v->word[TRACE_WORD_rcx];
        break;
    case VCPU_EXIT_ENTRY_FAILED:
        e->u.entry_failed.qualification = x->qualification;
        break;
    }
}
