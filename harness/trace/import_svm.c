/* SPDX-License-Identifier: BSD-2-Clause */
/* What SVM says of an exit, as a neutral one (AMD APM 2 15.9 to 15.14): see import_vmx.c. The next RIP is known of I/O only. */
#include "trace/import.h"
#include <string.h>
#include "abi/hypercall.h"
#include "arch/svm.h"
#include "arch/x86.h"

static u32 reason_of(u64 code, u64 info1)
{
    switch (code) {
    case SVM_EXIT_INTR:
    case SVM_EXIT_NMI:
    case SVM_EXIT_SMI:
        return VCPU_EXIT_KICKED;
    case SVM_EXIT_VINTR:
        return VCPU_EXIT_INTR_WINDOW;
    case SVM_EXIT_CR0_SEL:
        return VCPU_EXIT_CR;
    case SVM_EXIT_CPUID:
        return VCPU_EXIT_CPUID;
    case SVM_EXIT_HLT:
        return VCPU_EXIT_HLT;
    case SVM_EXIT_IO:
        return VCPU_EXIT_IO;
    case SVM_EXIT_MSR:
        return info1 & 1 ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ;
    case SVM_EXIT_SHUTDOWN:
        return VCPU_EXIT_SHUTDOWN;
    case SVM_EXIT_VMMCALL:
        return VCPU_EXIT_HYPERCALL;
    case SVM_EXIT_NPF:
        return VCPU_EXIT_MMIO;
    case SVM_EXIT_INVALID:
        return VCPU_EXIT_ENTRY_FAILED;
    }
    return code < SVM_EXIT_CR_WRITE + 16 ? VCPU_EXIT_CR : code - SVM_EXIT_EXCEPTION < 32 ? VCPU_EXIT_EXCEPTION : VCPU_EXIT_OTHER;
}

static void fill_io(u64 info1, u64 info2, const struct import_vcpu *v, struct vcpu_exit *e)
{
    const u64 length = info2 - v->word[TRACE_WORD_rip], rcx = v->word[TRACE_WORD_rcx];
    e->insn_len = length <= 15 ? (u32)length : 0;
    e->u.io.port = (u16)SVM_IO_PORT(info1);
    e->u.io.size = (u8)SVM_IO_SIZE(info1);
    e->u.io.in = !!(info1 & SVM_IO_IN);
    e->u.io.string = !!(info1 & SVM_IO_STRING);
    e->u.io.rep = !!(info1 & SVM_IO_REP);
    e->u.io.address_size = info1 & SVM_IO_STRING ? (u8)(SVM_IO_ADDRESS(info1) * 2) : 0;
    e->u.io.count = !e->u.io.rep ? 1 : e->u.io.address_size == 2 ? rcx & 0xffff : e->u.io.address_size == 4 ? rcx & 0xffffffff : rcx;
}

static void fill_cr(u64 code, u64 info1, struct vcpu_exit *e)
{
    e->u.cr.number = code == SVM_EXIT_CR0_SEL ? 0 : code & 0xf;
    e->u.cr.write = code >= SVM_EXIT_CR_WRITE;
    e->u.cr.kind = info1 & SVM_CR_MOV ? 0 : 3;
    e->u.cr.gpr = info1 & SVM_CR_MOV ? (u32)info1 & 0xf : 0;
}

static void fill_exception(u64 code, u64 info1, u64 info2, const struct import_vcpu *v, struct vcpu_exit *e)
{
    const u32 vector = (u32)code - SVM_EXIT_EXCEPTION;
    e->u.exception.vector = vector;
    e->u.exception.error_valid = VECTORS_WITH_ERROR >> vector & 1;
    e->u.exception.error = e->u.exception.error_valid ? (u32)info1 : 0;
    e->u.exception.address = vector == VECTOR_PF ? info2 : vector == VECTOR_DB ? v->word[TRACE_WORD_dr6] : 0;
}

static void fill_npf(u64 info1, u64 info2, struct vcpu_exit *e)
{
    e->u.mmio.gpa = info2;
    e->u.mmio.access = info1 & SVM_NPF_FETCH ? RIGHT_X : info1 & SVM_NPF_WRITE ? RIGHT_W : RIGHT_R;
    e->u.mmio.present = info1 & SVM_NPF_PRESENT ? RIGHT_R : 0;
}

void import_svm_exit(u64 code, u64 info1, u64 info2, struct import_vcpu *v)
{
    struct vcpu_exit *const e = import_exit_of(v);
    memset(e, 0, sizeof(*e));
    e->reason = reason_of(code, info1);
    e->raw_reason = code;
    e->raw_info1 = info1;
    e->raw_info2 = info2;
    switch (e->reason) {
    case VCPU_EXIT_IO:
        fill_io(info1, info2, v, e);
        break;
    case VCPU_EXIT_CR:
        fill_cr(code, info1, e);
        break;
    case VCPU_EXIT_EXCEPTION:
        fill_exception(code, info1, info2, v, e);
        break;
    case VCPU_EXIT_MMIO:
        fill_npf(info1, info2, e);
        break;
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE:
        e->u.msr.index = (u32)v->word[TRACE_WORD_rcx];
        break;
    }
}
