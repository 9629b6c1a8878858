/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the guest's control registers, debug registers and MSRs (Intel SDM 3C 26.3.1.1): ids G01 to G18. A failure is the exit
 * "entry failure, guest state" (33). Not modelled: user interrupts, RTIT, LBR, FRED (G19 to G21): no profile has them. */
#include "vmx_model.h"

#define G(n) VCPU_CHECK('G', n)
#define DEBUGCTL_VALID 0xffc3ul   /* bits 0, 1, 6 to 15 (SDM 3B 17.4.1) */
#define PERF_GLOBAL_VALID 0x70000000ful

static u32 check_cr0_cr4(const struct vmx_check *k)
{
    const struct vmx_profile *p = k->profile;
    const u64 exempt = k->unrestricted ? CR0_PE | CR0_PG : 0;
    if ((VMX_CAP(p, MSR_VMX_CR0_FIXED0) & ~exempt & ~k->cr0) || (k->cr0 & ~VMX_CAP(p, MSR_VMX_CR0_FIXED1)))
        return G(1);
    if ((k->cr0 & CR0_PG) && !(k->cr0 & CR0_PE))
        return G(2);
    if ((VMX_CAP(p, MSR_VMX_CR4_FIXED0) & ~k->cr4) || (k->cr4 & ~VMX_CAP(p, MSR_VMX_CR4_FIXED1)))
        return G(3);
    if ((k->cr4 & CR4_CET) && !(k->cr0 & CR0_WP))
        return G(4);
    if (k->ia32e && !(k->cr0 & CR0_PG))
        return G(6);
    if (k->ia32e && !(k->cr4 & CR4_PAE))
        return G(7);
    if (!k->ia32e && (k->cr4 & CR4_PCIDE))
        return G(8);
    return vmx_get(k, VMCS_GUEST_CR3) & k->phys_mask ? G(9) : 0;
}

static u32 check_debug_msrs(const struct vmx_check *k)
{
    if ((k->entry & VMX_ENTRY_LOAD_DEBUG) && (vmx_get(k, VMCS_GUEST_DEBUGCTL) & ~DEBUGCTL_VALID))
        return G(5);
    if ((k->entry & VMX_ENTRY_LOAD_DEBUG) && vmx_get(k, VMCS_GUEST_DR7) >> 32)
        return G(10);
    if (!vmx_canonical(vmx_get(k, VMCS_GUEST_SYSENTER_ESP)) || !vmx_canonical(vmx_get(k, VMCS_GUEST_SYSENTER_EIP)))
        return G(11);
    if ((k->entry & VMX_ENTRY_PERF_GLOBAL) && (vmx_get(k, VMCS_GUEST_PERF_GLOBAL) & ~PERF_GLOBAL_VALID))
        return G(12);
    if ((k->entry & VMX_ENTRY_LOAD_PAT) && !vmx_pat_valid(vmx_get(k, VMCS_GUEST_PAT)))
        return G(13);
    return 0;
}

static u32 check_efer(const struct vmx_check *k)
{
    const u64 efer = vmx_get(k, VMCS_GUEST_EFER);
    if (!(k->entry & VMX_ENTRY_LOAD_EFER))
        return 0;
    if (efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return G(14);
    if (!!(efer & EFER_LMA) != k->ia32e)
        return G(15);
    return (k->cr0 & CR0_PG) && !(efer & EFER_LMA) != !(efer & EFER_LME) ? G(15) : 0;
}

static u32 check_extensions(const struct vmx_check *k)
{
    const u64 bounds = vmx_get(k, VMCS_GUEST_BNDCFGS), s_cet = vmx_get(k, VMCS_GUEST_S_CET), ssp = vmx_get(k, VMCS_GUEST_SSP);
    if ((k->entry & VMX_ENTRY_BNDCFGS) && ((bounds & 0xffc) || !vmx_canonical(bounds & ~PAGE_MASK)))
        return G(16);
    if ((k->entry & VMX_ENTRY_LOAD_CET) &&
        ((s_cet & 0x3c0) || (s_cet & 0xc00) == 0xc00 || !vmx_canonical(s_cet) || !vmx_canonical(ssp) || (ssp & 3) ||
         !vmx_canonical(vmx_get(k, VMCS_GUEST_ISST))))
        return G(17);
    return (k->entry & VMX_ENTRY_LOAD_PKRS) && vmx_get(k, VMCS_GUEST_PKRS) >> 32 ? G(18) : 0;
}

u32 vmx_check_guest(const struct vmx_check *k)
{
    static u32 (*const parts[])(const struct vmx_check *) = { check_cr0_cr4, check_debug_msrs, check_efer, check_extensions };
    for (size_t i = 0; i < array_size(parts); i++) {
        const u32 id = parts[i](k);
        if (id)
            return id;
    }
    return 0;
}
