/* SPDX-License-Identifier: BSD-2-Clause */
/* #VMEXIT codes to neutral exits (AMD APM 2 15.9 to 15.14, appendix C). raw_reason, raw_info1 and raw_info2 are EXITCODE, EXITINFO1 and
 * EXITINFO2. The next RIP is believed only where CPUID promises it, but for I/O, where EXITINFO2 has always had it. */
#include "abi/hypercall.h"
#include "arch/x86.h"
#include "svm_x86.h"

static inline u32 insn_len(const struct cpu *cpu, const struct vcpu *v, u32 code, u64 info2)
{
    const bool io = code == SVM_EXIT_IO;
    if (!io && !(cpu->virt.fixed[SVM_FIXED_FEATURES] & CPUID_SVM_NRIP))
        return 0;
    const u64 bytes = (io ? info2 : vmcb_get(v, VMCB(next_rip))) - vmcb_get(v, VMCB(rip));
    return bytes <= 15 ? (u32)bytes : 0;
}

static void fill_io(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2)
{
    const u64 i = info1;
    const u32 address_size = i & SVM_IO_STRING ? SVM_IO_ADDRESS(i) * 2 : 0;   /* bits 1, 2, 4 of 16-bit words; 0: not said */
    e->u.io.port = (u16)SVM_IO_PORT(i);
    e->u.io.size = (u8)SVM_IO_SIZE(i);
    e->u.io.in = !!(i & SVM_IO_IN);
    e->u.io.string = !!(i & SVM_IO_STRING);
    e->u.io.rep = !!(i & SVM_IO_REP);
    e->u.io.address_size = (u8)address_size;
    e->u.io.count = virt_io_count(v, i & SVM_IO_REP, address_size);
}

static void fill_npf(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2)
{
    const u64 i = info1;
    e->u.mmio.gpa = info2;
    e->u.mmio.access = i & SVM_NPF_FETCH ? RIGHT_X : i & SVM_NPF_WRITE ? RIGHT_W : RIGHT_R;
    e->u.mmio.present = i & SVM_NPF_PRESENT ? RIGHT_R : 0;
}

static void fill_msr(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2)
{
    e->u.msr.index = (u32)v->resume.gpr[RCX];
    e->reason = v->reason = info1 & 1 ? VCPU_EXIT_MSR_WRITE : VCPU_EXIT_MSR_READ;
}

static void fill_cr(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2)
{
    e->u.cr.number = code & 0xf;
    e->u.cr.write = code >= SVM_EXIT_CR_WRITE;
    e->u.cr.kind = info1 & SVM_CR_MOV ? 0 : 3;   /* without decode assists nothing is said */
    e->u.cr.gpr = info1 & SVM_CR_MOV ? (u32)info1 & 0xf : 0;
}

static void fill_exception(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2)
{
    const u32 vector = code - SVM_EXIT_EXCEPTION;
    const bool error = VECTORS_WITH_ERROR >> vector & 1;
    e->u.exception.vector = vector;
    e->u.exception.error_valid = error;
    e->u.exception.error = error ? (u32)info1 : 0;
    e->u.exception.address = vector == VECTOR_PF ? info2 : vector == VECTOR_DB ? vmcb_get(v, VMCB(dr6)) : 0;
}

/* insn: the exit is an instruction's, whose length may be told. */
enum { ROW_NONE, ROW_CR, ROW_EXCEPTION, ROW_NPF, ROW_IO, ROW_CPUID, ROW_MSR, ROW_HLT, ROW_VINTR, ROW_VMMCALL, ROW_SHUTDOWN, ROW_OTHER };
static const struct {
    u8 reason, insn;
    void (*fill)(struct vcpu *v, struct vcpu_exit *e, u32 code, u64 info1, u64 info2);
} rows[] = {
    [ROW_CR] = { VCPU_EXIT_CR, true, fill_cr },
    [ROW_EXCEPTION] = { VCPU_EXIT_EXCEPTION, false, fill_exception },
    [ROW_NPF] = { VCPU_EXIT_MMIO, false, fill_npf },
    [ROW_IO] = { VCPU_EXIT_IO, true, fill_io },
    [ROW_CPUID] = { VCPU_EXIT_CPUID, true, NULL },
    [ROW_MSR] = { VCPU_EXIT_MSR_READ, true, fill_msr },
    [ROW_HLT] = { VCPU_EXIT_HLT, true, NULL },
    [ROW_VINTR] = { VCPU_EXIT_INTR_WINDOW, false, NULL },
    [ROW_VMMCALL] = { VCPU_EXIT_HYPERCALL, true, NULL },
    [ROW_SHUTDOWN] = { VCPU_EXIT_SHUTDOWN, false, NULL },
    [ROW_OTHER] = { VCPU_EXIT_OTHER, true, NULL },
};

/* Of the two words of intercepts from SVM_EXIT_INTR on. */
static inline u32 row_intercepted(u32 code)
{
    static const u8 row[] = {
#define AT(code) [(code) - SVM_EXIT_INTR]
        AT(SVM_EXIT_IO) = ROW_IO, AT(SVM_EXIT_CPUID) = ROW_CPUID, AT(SVM_EXIT_MSR) = ROW_MSR, AT(SVM_EXIT_HLT) = ROW_HLT,
        AT(SVM_EXIT_VINTR) = ROW_VINTR, AT(SVM_EXIT_VMMCALL) = ROW_VMMCALL, AT(SVM_EXIT_SHUTDOWN) = ROW_SHUTDOWN,
    };
    const u32 i = code - SVM_EXIT_INTR;
    return likely(i < array_size(row)) ? row[i] : ROW_NONE;
}

static u32 row_of(u32 code)
{
    const u32 row = row_intercepted(code);
    if (row)
        return row;
    if (code == SVM_EXIT_NPF)
        return ROW_NPF;
    return code < SVM_EXIT_CR_WRITE + 16 ? ROW_CR : code - SVM_EXIT_EXCEPTION < 32 ? ROW_EXCEPTION : ROW_OTHER;
}

static inline void neutral(struct cpu *cpu, struct vcpu *v, u32 code, u32 row, struct vcpu_exit *e)
{
    const u64 info1 = vmcb_get(v, VMCB(exit_info1)), info2 = vmcb_get(v, VMCB(exit_info2));
    virt_exit_write(v, e, rows[row].reason, rows[row].insn ? insn_len(cpu, v, code, info2) : 0, code, info1, info2);
    if (rows[row].fill)
        rows[row].fill(v, e, code, info1, info2);
}

/* Some implementations leave the host's state in the save area when VMRUN refuses it (QEMU 7.2 does, RIP to DR7, and drops V_IRQ): put back what
 * stood there. A copy exists only of a state that can be refused: one that no VMRUN has accepted since a checked part of it was loaded. */
static seldom enum virt_exit failed(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e)
{
    struct virt_regs *const r = virt_regs(v);
    if (r->flags & VIRT_UNPROVEN)
        svm_put_back(v);
    r->control = VIRT_WISHES_NONE;   /* intercepts: made again */
    virt_exit_write(v, e, VCPU_EXIT_ENTRY_FAILED, 0, SVM_EXIT_INVALID, 0, 0);
    e->u.entry_failed.check = svm_diagnose(v);
    r->flags |= VIRT_FAILED;
    cpu->virt.tag_flush |= v->tag_epoch == cpu->virt.tag_epoch;   /* if this VMRUN was to flush, it may not have */
    return VIRT_EXIT_VMM;
}

/* DR6 and DR7 are as the handler is to find them, RIP is behind an INT1 (15.12.2). EVENTINJ pushes RFLAGS as they stand: a fault has RF
 * there. Delivery ends the interrupt shadow. */
static bool reflected(struct vcpu *v, u32 code, enum virt_exit *what)
{
    const u32 vector = code - SVM_EXIT_EXCEPTION;
    const bool error = VECTORS_WITH_ERROR >> vector & 1 && vmcb_get(v, VMCB(cr0)) & CR0_PE;
    if (!virt_reflects(v, vector, vmcb_get(v, VMCB(exit_int_info))))
        return false;
    if (vector != VECTOR_DB)
        vmcb_set(v, VMCB(rflags), vmcb_get(v, VMCB(rflags)) | RFLAGS_RF);
    vmcb_set(v, VMCB(int_shadow), vmcb_get(v, VMCB(int_shadow)) & ~SVM_SHADOW);
    *what = virt_reflect(v, VCPU_EVENT_EXCEPTION(vector) | (error ? VCPU_EVENT_ERROR | vmcb_get(v, VMCB(exit_info1)) << 32 : 0));
    return true;
}

static bool handled(struct cpu *cpu, struct vcpu *v, u32 code, enum virt_exit *what)
{
    struct virt_regs *const r = virt_regs(v);
    *what = VIRT_EXIT_AGAIN;
    if (code >= SVM_EXIT_DR_READ && code < SVM_EXIT_EXCEPTION) {
        r->flags |= VIRT_DR;   /* executed again, with its own debug registers */
        return true;
    }
    switch (code) {
    case SVM_EXIT_INTR:
        *what = VIRT_EXIT_WINDOW;   /* still pending */
        return true;
    case SVM_EXIT_NMI:              /* still pending: delivered to the machine when it sets GIF */
    case SVM_EXIT_SMI:
    case SVM_EXIT_INIT:
        return true;
    case SVM_EXIT_IRET:
        r->flags |= VIRT_IRET;   /* executed next; NMIs are blocked until then */
        return true;
    case SVM_EXIT_EXCEPTION + VECTOR_MC:
        kern_nmi(cpu, VECTOR_MC);   /* the exit took the event: the machine will not deliver it */
        return true;
    }
    return code - SVM_EXIT_EXCEPTION < 32 && reflected(v, code, what);
}

/* After an exit: the event that was not delivered. */
static u64 pending(struct vcpu *v, u64 info)
{
    struct virt_regs *const r = virt_regs(v);
    const bool failed = r->flags & VIRT_FAILED, advanced = r->flags & VIRT_RIP_ADVANCED;
    r->flags &= ~VIRT_RIP_ADVANCED;
    if (r->flags & VIRT_REFLECT)
        return r->reflect;   /* that one was delivered */
    const u64 event = failed ? v->inject : virt_pending(v, info & SVM_EVENT_VALID ? info : 0);
    if (event && advanced && !failed)
        vmcb_set(v, VMCB(rip), r->rip);   /* moved over the instruction of an event that was not delivered: back */
    if ((event & (VCPU_EVENT_VALID | 0x700)) == (VCPU_EVENT_VALID | 0x200))
        r->flags &= ~VIRT_NMI_BLOCKED;
    return event;
}

static enum virt_exit left(struct cpu *cpu, struct vcpu *v, u32 code, struct vcpu_exit *e)
{
    struct virt_regs *const r = virt_regs(v);
    enum virt_exit what;
    if (code == (u32)SVM_EXIT_INVALID)
        return failed(cpu, v, e);
    r->flags = code == SVM_EXIT_SHUTDOWN ? r->flags | VIRT_UNPROVEN : r->flags & ~VIRT_UNPROVEN;   /* it leaves anything (15.14.3) */
    if (r->flags & VIRT_IRET && vmcb_get(v, VMCB(rip)) != r->rip)
        r->flags &= ~(VIRT_IRET | VIRT_NMI_BLOCKED);   /* the IRET was executed */
    if (handled(cpu, v, code, &what))
        return what;
    neutral(cpu, v, code, row_of(code), e);
    return VIRT_EXIT_VMM;
}

static seldom enum virt_exit exit_any(struct cpu *cpu, struct vcpu *v, u32 code, struct vcpu_exit *e)
{
    struct virt_regs *const r = virt_regs(v);
    if (r->flags & VIRT_SWITCHED)
        virt_leave_switch(cpu, v);
    if (r->flags & VIRT_DR && !(vmcb_get(v, VMCB(dr7)) & VIRT_DR7_ENABLED))
        r->flags &= ~VIRT_DR;   /* saved; until the guest touches them again nothing is switched */
    r->flags &= ~(VIRT_FAILED | VIRT_REFLECT);
    const enum virt_exit what = left(cpu, v, code, e);
    v->inject = pending(v, vmcb_get(v, VMCB(exit_int_info)));
    return what;
}

/* The short way: an instruction, which no delivery of an event is (15.7.2), and nothing else to be seen to. */
#define SEEN_TO (VIRT_SWITCHED | VIRT_UNPROVEN | VIRT_IRET)   /* whose RIP was advanced is unproven */

enum virt_exit svm_exit(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *e)
{
    const u32 code = (u32)vmcb_get(v, VMCB(exit_code)), row = row_intercepted(code);
    if (unlikely(!rows[row].insn || virt_regs(v)->flags & SEEN_TO))
        return exit_any(cpu, v, code, e);
    v->inject = 0;
    neutral(cpu, v, code, row, e);
    return VIRT_EXIT_VMM;
}

/* With decode assists, at #PF and nested faults (15.8.4). Other exits clear the count, but those that the kernel makes itself do not come from there. */
seldom void svm_instruction(const struct vcpu *v, u64 words[2])
{
    const u64 raw[2] = { vmcb_get(v, VMCB(fetched_bytes)), vmcb_get(v, VMCB(fetched_bytes) + 8) };
    const u32 count = v->reason == VCPU_EXIT_MMIO || v->reason == VCPU_EXIT_EXCEPTION ? raw[0] & 0xf : 0;
    words[0] = 0;
    words[1] = (u64)count << 56;
    for (u32 i = 0; i < count; i++)
        words[i / 8] |= (u64)((const u8 *)raw)[1 + i] << i % 8 * 8;
}
