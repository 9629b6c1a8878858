/* SPDX-License-Identifier: BSD-2-Clause */
/* VM exits to neutral ones (Intel SDM 3C 28.2). A row per basic exit reason says its neutral reason and what is read for it; reasons
 * without a row are OTHER. raw_reason, raw_info1 and raw_info2 are exit reason, qualification and guest-physical address. */
#include "arch/x86.h"
#include "vmx_x86.h"

#define LEN  0x1u   /* the instruction length is defined (28.2.5) */
#define QUAL 0x2u   /* so is the qualification */

struct reason {
    u8 neutral, reads;
    void (*fill)(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q);   /* q: qualification, if QUAL */
};

static void fill_io(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    e->u.io.port = (u16)IOQ_PORT(q);
    e->u.io.size = (u8)IOQ_SIZE(q);
    e->u.io.in = !!(q & IOQ_IN);
    e->u.io.string = !!(q & IOQ_STRING);
    e->u.io.rep = !!(q & IOQ_REP);
    const bool told = q & IOQ_STRING && cpu->virt.fixed[VMX_FIXED_IO_INFO];
    const u32 address_size = told ? IO_INFO_ADDRESS(mach_vmread(VMCS_EXIT_INSN_INFO)) : 0;
    e->u.io.address_size = (u8)address_size;
    e->u.io.count = virt_io_count(v, q & IOQ_REP, address_size);
}

static void fill_ept(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    e->raw_info2 = e->u.mmio.gpa = mach_vmread(VMCS_GUEST_PHYS_ADDR);
    e->u.mmio.access = (u32)(q & (EPTQ_READ | EPTQ_WRITE | EPTQ_FETCH));   /* the same bits as RIGHT_R, W, X */
    e->u.mmio.present = EPTQ_PRESENT(q);
    e->u.mmio.gva_valid = !!(q & EPTQ_GVA_VALID);
    e->u.mmio.gva = q & EPTQ_GVA_VALID ? mach_vmread(VMCS_GUEST_LINEAR_ADDR) : 0;
}

static void fill_misconfig(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    e->raw_info2 = mach_vmread(VMCS_GUEST_PHYS_ADDR);
}

static void fill_msr(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    e->u.msr.index = (u32)v->resume.gpr[RCX];
}

static void fill_cr(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    static const u8 kind[4] = { 0, 0, 1, 2 };   /* MOV to, MOV from, CLTS, LMSW */
    e->u.cr.number = CRQ_NUMBER(q);
    e->u.cr.gpr = CRQ_GPR(q);
    e->u.cr.write = CRQ_TYPE(q) != 1;
    e->u.cr.kind = kind[CRQ_TYPE(q)];
}

/* DR6 as the handler is to find it. The exit left it as it was (27.6.1.1); the qualification has what comes. INT1 has no cause. */
static u64 debug_status(struct vcpu *v, u64 info)
{
    const u64 dr6 = virt_regs(v)->dr6;
    return VMX_INTR_TYPE(info) == VMX_EVENT_PRIV ? dr6 : virt_dr6(dr6, mach_vmread(VMCS_EXIT_QUALIFICATION));
}

static void fill_exception(struct cpu *cpu, struct vcpu *v, struct vcpu_exit *e, u64 q)
{
    const u64 info = mach_vmread(VMCS_EXIT_INTR_INFO);
    const u32 vector = info & 0xff;
    e->u.exception.vector = vector;
    e->u.exception.error_valid = !!(info & VMX_INTR_ERROR);
    e->u.exception.error = info & VMX_INTR_ERROR ? (u32)mach_vmread(VMCS_EXIT_ERROR_CODE) : 0;
    e->u.exception.address = vector == VECTOR_DB ? debug_status(v, info) : q;
    if (VMX_INTR_TYPE(info) >= VMX_EVENT_PRIV)
        e->insn_len = (u32)mach_vmread(VMCS_EXIT_INSN_LEN);
}

static const struct reason reasons[] = {
    [VMX_REASON_EXCEPTION] = { VCPU_EXIT_EXCEPTION, QUAL, fill_exception },
    [VMX_REASON_TRIPLE] = { VCPU_EXIT_SHUTDOWN, 0, NULL },
    [VMX_REASON_INTR_WINDOW] = { VCPU_EXIT_INTR_WINDOW, 0, NULL },
    [VMX_REASON_NMI_WINDOW] = { VCPU_EXIT_NMI_WINDOW, 0, NULL },
    [VMX_REASON_TASK_SWITCH] = { VCPU_EXIT_OTHER, QUAL, NULL },
    [VMX_REASON_CPUID] = { VCPU_EXIT_CPUID, LEN, NULL },
    [VMX_REASON_GETSEC] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_HLT] = { VCPU_EXIT_HLT, LEN, NULL },
    [VMX_REASON_INVD] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_INVLPG] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_RDPMC] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_RDTSC] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_VMCALL] = { VCPU_EXIT_HYPERCALL, LEN, NULL },
    [VMX_REASON_VMCLEAR] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_VMLAUNCH] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_VMPTRLD] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_VMPTRST] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_VMREAD] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_VMRESUME] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_VMWRITE] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_VMXOFF] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_VMXON] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_CR] = { VCPU_EXIT_CR, LEN | QUAL, fill_cr },
    [VMX_REASON_IO] = { VCPU_EXIT_IO, LEN | QUAL, fill_io },
    [VMX_REASON_RDMSR] = { VCPU_EXIT_MSR_READ, LEN, fill_msr },
    [VMX_REASON_WRMSR] = { VCPU_EXIT_MSR_WRITE, LEN, fill_msr },
    [VMX_REASON_MWAIT] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_MONITOR] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_EPT_VIOLATION] = { VCPU_EXIT_MMIO, QUAL, fill_ept },
    [VMX_REASON_EPT_MISCONFIG] = { VCPU_EXIT_OTHER, 0, fill_misconfig },
    [VMX_REASON_INVEPT] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_RDTSCP] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_INVVPID] = { VCPU_EXIT_OTHER, LEN | QUAL, NULL },
    [VMX_REASON_WBINVD] = { VCPU_EXIT_OTHER, LEN, NULL },
    [VMX_REASON_XSETBV] = { VCPU_EXIT_OTHER, LEN, NULL },
};

/* ---- Entries that failed ---- */

/* Nothing else an event can break is left unchecked when it was loaded, but an error code in real mode. */
static u32 failed_check(const struct vcpu *v, u32 basic, u32 error, u64 qualification)
{
    if (error == VMX_ERROR_CONTROLS)
        return v->inject & VCPU_EVENT_VALID ? VCPU_CHECK('N', 7) : 0;
    if (basic != VMX_REASON_FAIL_STATE)
        return 0;
    switch (qualification) {
    case VMX_QUAL_PDPTE:
        return VCPU_CHECK('A', 25);
    case VMX_QUAL_NMI:
        return VCPU_CHECK('A', 12);
    case VMX_QUAL_LINK:
        return VCPU_CHECK('A', 20);
    }
    return vmx_diagnose();
}

static seldom enum virt_exit failed(struct vcpu *v, u64 reason, u32 error, struct vcpu_exit *e)
{
    const u64 qualification = reason & VMX_REASON_FAILED ? mach_vmread(VMCS_EXIT_QUALIFICATION) : 0;   /* VMfail leaves an old one there */
    virt_exit_write(v, e, VCPU_EXIT_ENTRY_FAILED, 0, reason, qualification, 0);
    e->u.entry_failed.check = failed_check(v, VMX_REASON_BASIC(reason), error, qualification);
    e->u.entry_failed.vmx_error = error;
    e->u.entry_failed.qualification = qualification;
    mach_vmwrite(VMCS_ENTRY_INTR_INFO, 0);   /* a failed entry does not clear it */
    virt_regs(v)->flags |= VIRT_FAILED;
    return VIRT_EXIT_VMM;
}

/* ---- Exits the kernel handles itself ---- */

/* The exit left DR6 and DR7 as they were, and delivery by an entry will too (26.1, 27.6.1.1). INT1 has RIP at it. */
static void reflect_debug(struct vcpu *v, u64 info)
{
    virt_regs(v)->dr6 = debug_status(v, info);
    if (VMX_INTR_TYPE(info) == VMX_EVENT_PRIV) {
        const u64 next = mach_vmread(VMCS_GUEST_RIP) + mach_vmread(VMCS_EXIT_INSN_LEN);
        const bool wide = mach_vmread(VMCS_ENTRY_CTRL) & VMX_ENTRY_IA32E && mach_vmread(VMCS_GUEST_CS_AR) & VMX_AR_L;
        mach_vmwrite(VMCS_GUEST_RIP, wide ? next : next & 0xffffffff);
    }
    mach_vmwrite(VMCS_GUEST_DR7, mach_vmread(VMCS_GUEST_DR7) & ~DR7_GD);
}

/* Delivery ends blocking by STI and MOV SS, which with RFLAGS.TF would ask for a pending single step (27.3.1.5). RFLAGS.RF is as it would be
 * pushed (28.3.3). NMIs that a faulting IRET unblocked stay so: the guest's handler runs. */
static enum virt_exit reflect(struct vcpu *v, u64 info)
{
    const u32 vector = info & 0xff;
    const u64 blocked = mach_vmread(VMCS_GUEST_INTERRUPTIBILITY);
    u64 event = VCPU_EVENT_EXCEPTION(vector);
    if (vector == VECTOR_DB)
        reflect_debug(v, info);
    if (info & VMX_INTR_ERROR)
        event |= VCPU_EVENT_ERROR | mach_vmread(VMCS_EXIT_ERROR_CODE) << 32;
    mach_vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocked & ~(u64)(VMX_BLOCK_STI | VMX_BLOCK_MOV_SS));
    return virt_reflect(v, event);
}

static u64 vectoring_event(void)
{
    u64 event = mach_vmread(VMCS_VECTORING_INFO);
    if (!(event & VMX_INTR_VALID))
        return 0;
    if (event & VMX_INTR_ERROR)
        event |= mach_vmread(VMCS_VECTORING_ERROR) << 32;
    return event & ~(u64)VMX_INTR_UNBLOCK;   /* here it is undefined */
}

static bool exception_handled(struct cpu *cpu, struct vcpu *v, enum virt_exit *what)
{
    const u64 info = mach_vmread(VMCS_EXIT_INTR_INFO);
    const u32 vector = info & 0xff;
    if (vector == VECTOR_NMI || vector == VECTOR_MC) {
        kern_nmi(cpu, vector);   /* the exit took the event: the machine will not deliver it */
        *what = VIRT_EXIT_WINDOW;   /* and left NMIs blocked (28.5.5) */
        return true;
    }
    if (!virt_reflects(v, vector, vectoring_event()))
        return false;
    *what = reflect(v, info);
    return true;
}

/* An IRET that faulted had already unblocked NMIs: they are blocked again, as it will be executed again (28.2.3). */
static void nmi_unblocked(u64 reason, u64 qualification)
{
    const u32 basic = VMX_REASON_BASIC(reason);
    const bool ept = basic == VMX_REASON_EPT_VIOLATION && qualification & EPTQ_NMI_UNBLOCK;
    if (likely(!ept && basic != VMX_REASON_EXCEPTION))
        return;
    if (!ept && !(mach_vmread(VMCS_EXIT_INTR_INFO) & VMX_INTR_UNBLOCK))
        return;
    if (!(mach_vmread(VMCS_VECTORING_INFO) & VMX_INTR_VALID))
        mach_vmwrite(VMCS_GUEST_INTERRUPTIBILITY, mach_vmread(VMCS_GUEST_INTERRUPTIBILITY) | VMX_BLOCK_NMI);
}

static bool handled(struct cpu *cpu, struct vcpu *v, u64 reason, enum virt_exit *what)
{
    *what = VIRT_EXIT_AGAIN;
    switch (VMX_REASON_BASIC(reason)) {
    case VMX_REASON_INTR:
        *what = VIRT_EXIT_WINDOW;   /* not acknowledged: still pending */
        return true;
    case VMX_REASON_INIT:
    case VMX_REASON_SIPI:
    case VMX_REASON_SMI:
    case VMX_REASON_IO_SMI:
        return true;
    case VMX_REASON_DR:
        virt_regs(v)->flags |= VIRT_DR;   /* executed again, with its own debug registers */
        return true;
    case VMX_REASON_EXCEPTION:
        return exception_handled(cpu, v, what);
    }
    return false;
}

/* After it the event that was not delivered. */
static u64 vmx_pending(struct vcpu *v)
{
    const struct virt_regs *const r = virt_regs(v);
    if (r->flags & (VIRT_FAILED | VIRT_REFLECT))
        return r->flags & VIRT_FAILED ? v->inject : r->reflect;
    const u64 event = vectoring_event();
    /* Its delivery may have blocked NMIs; an NMI can be injected only while they are not (26.3.1.5). */
    if (event && VMX_INTR_TYPE(event) == VMX_EVENT_NMI)
        mach_vmwrite(VMCS_GUEST_INTERRUPTIBILITY, mach_vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(u64)VMX_BLOCK_NMI);
    return virt_pending(v, event);
}

/* Reasons beside instructions that exit: for these the valid bit of the vectoring information is 0 (28.2.4). */
static enum virt_exit other(struct cpu *cpu, struct vcpu *v, u64 raw, struct vcpu_exit *e)
{
    enum virt_exit what;
    if (handled(cpu, v, raw, &what))
        return what;
    const u32 basic = VMX_REASON_BASIC(raw);
    const struct reason *const r = basic < array_size(reasons) ? &reasons[basic] : &reasons[VMX_REASON_INTR];   /* which has no row */
    const u64 q = r->reads & QUAL ? mach_vmread(VMCS_EXIT_QUALIFICATION) : 0;
    virt_exit_write(v, e, r->neutral ? r->neutral : VCPU_EXIT_OTHER, 0, raw, q, 0);
    if (r->fill)
        r->fill(cpu, v, e, q);
    nmi_unblocked(raw, q);
    return VIRT_EXIT_VMM;
}

static seldom enum virt_exit no_instruction(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, u64 raw, struct vcpu_exit *e)
{
    enum virt_exit what;
    virt_regs(v)->flags &= ~(VIRT_FAILED | VIRT_REFLECT);
    if (TRAP_KIND(trap) == TRAP_GUEST_FAILED)
        what = failed(v, 0, info == 2 ? (u32)mach_vmread(VMCS_INSN_ERROR) : 0, e);
    else
        what = raw & VMX_REASON_FAILED ? failed(v, raw, 0, e) : other(cpu, v, raw, e);
    v->inject = vmx_pending(v);
    return what;
}

enum virt_exit vmx_exit(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *e)
{
    vmx_leave(cpu, v);
    const u64 raw = likely(TRAP_KIND(trap) == TRAP_GUEST_EXIT) ? mach_vmread(VMCS_EXIT_REASON) : VMX_REASON_FAILED;
    const u32 basic = VMX_REASON_BASIC(raw);
    if (likely(!(raw & VMX_REASON_FAILED)))
        v->resume.guest = 1;   /* launched */
    if (unlikely(raw & VMX_REASON_FAILED || basic >= array_size(reasons) || !(reasons[basic].reads & LEN)))
        return no_instruction(cpu, v, trap, info, raw, e);
    const struct reason *const r = &reasons[basic];
    const u64 q = unlikely(r->reads & QUAL) ? mach_vmread(VMCS_EXIT_QUALIFICATION) : 0;
    v->inject = 0;
    virt_exit_write(v, e, r->neutral, (u32)mach_vmread(VMCS_EXIT_INSN_LEN), raw, q, 0);
    if (r->fill)
        r->fill(cpu, v, e, q);
    return VIRT_EXIT_VMM;
}
