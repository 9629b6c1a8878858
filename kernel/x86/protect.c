/* SPDX-License-Identifier: BSD-2-Clause */
/* The protections of CR4 (Intel SDM 3A 2.5, 4.6), each where CPUID offers it. The kernel reaches user memory through its own addresses only, so SMAP
 * needs no exception. NX is in use since the machine's boot tables: it is asked for, not switched on. */
#include "protect.h"
#include "arch/x86.h"
#include "machine.h"

static struct mach_cpuid leaf_7(void)
{
    return mach_cpuid(0, 0).eax >= 7 ? mach_cpuid(7, 0) : (struct mach_cpuid){ 0 };
}

void protect_cpu_init(struct cpu *cpu)
{
    const struct mach_cpuid offered = leaf_7();
    if (!(mach_cpuid(0x80000001u, 0).edx & CPUID_81_EDX_NX))
        mach_panic("protect: the processor has no NX");
    mach_cr4_write(mach_cr4_read() | (offered.ebx & CPUID_7_EBX_SMEP ? CR4_SMEP : 0) | (offered.ebx & CPUID_7_EBX_SMAP ? CR4_SMAP : 0) |
                   (offered.ecx & CPUID_7_ECX_UMIP ? CR4_UMIP : 0));
}
