/* SPDX-License-Identifier: BSD-2-Clause */
/* VMRUN refused a VMCB: which check was it (AMD APM 2 15.5.1)? The processor only says "invalid"; this looks at the same state again, in the
 * order of the manual. Not covered: what the kernel itself writes, which is always legal. */
#include "arch/x86.h"
#include "svm_x86.h"

#define V(n) VCPU_CHECK('V', n)
#define CR4_KNOWN 0x1ff1ffful   /* every bit any processor has defined; which of them this one lacks it alone knows */

static u32 phys_bits(void)
{
    return mach_cpuid(0x80000008u, 0).eax & 0xff;
}

u32 svm_diagnose(const struct vcpu *v)
{
    const u64 cr0 = vmcb_get(v, VMCB(cr0)), cr3 = vmcb_get(v, VMCB(cr3)), cr4 = vmcb_get(v, VMCB(cr4)), efer = vmcb_get(v, VMCB(efer));
    const u32 cs = vmcb_get32(v, VMCB(cs)) >> 16;
    const bool paged_long = efer & EFER_LME && cr0 & CR0_PG;
    const struct {
        bool broken;
        u32 id;
    } rows[] = {
        { cr0 >> 32, V(8) },
        { cr0 & CR0_NW && !(cr0 & CR0_CD), V(7) },
        { cr3 >> phys_bits(), V(9) },
        { cr4 & ~CR4_KNOWN, V(10) },
        { vmcb_get(v, VMCB(dr6)) >> 32, V(11) },
        { vmcb_get(v, VMCB(dr7)) >> 32, V(12) },
        { paged_long && !(cr4 & CR4_PAE), V(13) },
        { paged_long && !(cr0 & CR0_PE), V(14) },
        { paged_long && cs & 0x200 && cs & 0x400, V(15) },   /* CS.L and CS.D */
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        if (rows[i].broken)
            return rows[i].id;
    }
    return 0;
}
