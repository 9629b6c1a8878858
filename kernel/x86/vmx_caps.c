/* SPDX-License-Identifier: BSD-2-Clause */
/* What this processor's VMX can do: the probe, and the control words. A control is a wish; the capability MSR says which bits must be 1
 * (low half) and which may be (high half), Intel SDM 3D A.3 to A.5. A machine that lacks a needed bit has no VMX for us. */
#include "arch/x86.h"
#include "vmx_x86.h"

/* IO: every port access exits. No MSR bitmaps: every RDMSR and WRMSR exits. CR8 exits as no TPR is virtualized. */
#define PIN_NEED    (VMX_PIN_INTR | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI)
#define PROC_NEED                                                                                                                           \
    (VMX_PROC_TSC_OFFSET | VMX_PROC_HLT | VMX_PROC_MWAIT | VMX_PROC_RDPMC | VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE | VMX_PROC_IO |           \
     VMX_PROC_MONITOR | VMX_PROC_SECONDARY)
/* Must be off whatever the old capability MSRs wish: with EPT the guest's CR3 is its own. */
#define PROC_OFF    (VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE | VMX_PROC_INVLPG)
#define PROC2_NEED  (VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED)
#define PROC2_WISH  (VMX_PROC2_VPID | VMX_PROC2_RDTSCP | VMX_PROC2_INVPCID | VMX_PROC2_WBINVD)
#define EXIT_NEED   (VMX_EXIT_HOST64 | VMX_EXIT_SAVE_DEBUG | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER)
#define ENTRY_NEED  (VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER)
#define EPT_NEED    (VMX_EPT_WALK4 | VMX_EPT_WB | VMX_EPT_INVEPT | VMX_EPT_INVEPT_ALL)
#define VPID_NEED   (VMX_VPID_INVVPID | VMX_VPID_ALL)

static bool true_msrs(void)
{
    return mach_msr_read(MSR_VMX_BASIC) & VMX_BASIC_TRUE;
}

static u64 capability(u32 msr)
{
    return mach_msr_read(true_msrs() && msr <= MSR_VMX_ENTRY ? msr - MSR_VMX_PIN + MSR_VMX_TRUE_PIN : msr);
}

static u32 adjust(u32 msr, u32 wish)
{
    const u64 c = capability(msr);
    return (wish | (u32)c) & (u32)(c >> 32);
}

static bool offers(u32 msr, u32 need)
{
    return (adjust(msr, need) & need) == need;
}

static bool may_enable(void)
{
    const u64 f = mach_msr_read(MSR_FEATURE_CONTROL);
    return f & FEATURE_CONTROL_VMX || !(f & FEATURE_CONTROL_LOCK);
}

bool vmx_probe(void)
{
    if (!(mach_cpuid(1, 0).ecx & CPUID_1_ECX_VMX) || !may_enable())
        return false;
    if (!offers(MSR_VMX_PIN, PIN_NEED) || !offers(MSR_VMX_PROC, PROC_NEED) || adjust(MSR_VMX_PROC, 0) & PROC_OFF)
        return false;
    if (!offers(MSR_VMX_PROC2, PROC2_NEED) || !offers(MSR_VMX_EXIT, EXIT_NEED) || !offers(MSR_VMX_ENTRY, ENTRY_NEED))
        return false;
    return (mach_msr_read(MSR_VMX_EPT_VPID) & EPT_NEED) == EPT_NEED;
}

static u32 proc2(void)
{
    const bool vpid = (mach_msr_read(MSR_VMX_EPT_VPID) & VPID_NEED) == VPID_NEED;
    return adjust(MSR_VMX_PROC2, PROC2_NEED | (PROC2_WISH & ~(vpid ? 0 : VMX_PROC2_VPID)));
}

void vmx_caps(struct cpu *cpu)
{
    u64 *const f = cpu->virt.fixed;
    f[VMX_FIXED_PIN] = adjust(MSR_VMX_PIN, PIN_NEED);
    f[VMX_FIXED_PROC] = adjust(MSR_VMX_PROC, PROC_NEED);
    f[VMX_FIXED_PROC2] = proc2();
    f[VMX_FIXED_EXIT] = adjust(MSR_VMX_EXIT, EXIT_NEED);
    f[VMX_FIXED_ENTRY] = adjust(MSR_VMX_ENTRY, ENTRY_NEED) & ~VMX_ENTRY_IA32E;
    f[VMX_FIXED_CR0] = mach_msr_read(MSR_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG);   /* unrestricted guest frees these two */
    /* With CR4.MCE = 0 a machine check is a shutdown of the processor, intercepted or not (Intel SDM 3A 6.15, interrupt 18). */
    f[VMX_FIXED_CR4] = mach_msr_read(MSR_VMX_CR4_FIXED0) | (mach_msr_read(MSR_VMX_CR4_FIXED1) & CR4_MCE);
    f[VMX_FIXED_IO_INFO] = mach_msr_read(MSR_VMX_BASIC) & bit(54);               /* instruction information of INS and OUTS */
}
