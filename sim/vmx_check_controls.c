/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the VM-execution controls (Intel SDM 3C 26.2.1.1): ids C01 to C41. A failure is VMfailValid(7).
 * The order inside the file is ours: the manual allows any. */
#include "vmx_model.h"

#define C(n) VCPU_CHECK('C', n)
#define EPT_SSS   bit(23)   /* IA32_VMX_EPT_VPID_CAP: supervisor shadow stack */
#define EPTP_SSS  bit(7)
#define PROC2_PT  VMX_PROC2_PT_GPA

/* Bits that must be 1, low half; bits that may be 1, high half. */
static bool needs(u64 cap, u64 value)
{
    return (cap & 0xffffffff) & ~value;
}
static bool exceeds(u64 cap, u64 value)
{
    return value & ~(cap >> 32);
}

static u32 check_allowed(const struct vmx_check *k)
{
    const struct vmx_profile *p = k->profile;
    if (needs(VMX_CAP(p, MSR_VMX_TRUE_PIN), k->pin))
        return C(1);
    if (exceeds(VMX_CAP(p, MSR_VMX_TRUE_PIN), k->pin))
        return C(2);
    if (needs(VMX_CAP(p, MSR_VMX_TRUE_PROC), k->proc))
        return C(3);
    if (exceeds(VMX_CAP(p, MSR_VMX_TRUE_PROC), k->proc))
        return C(4);
    if ((k->proc & VMX_PROC_SECONDARY) && needs(VMX_CAP(p, MSR_VMX_PROC2), k->proc2))
        return C(5);
    if (exceeds(VMX_CAP(p, MSR_VMX_PROC2), k->proc2))
        return C(6);
    if ((k->proc & VMX_PROC_TERTIARY) && (vmx_get(k, VMCS_PROC3_CTRL) & ~VMX_CAP(p, MSR_VMX_PROC3)))
        return C(7);
    if (vmx_get(k, VMCS_CR3_TARGET_COUNT) > VMX_MISC_CR3_TARGETS(VMX_CAP(p, MSR_VMX_MISC)))
        return C(8);
    return 0;
}

static u32 check_bitmaps(const struct vmx_check *k)
{
    if ((k->proc & VMX_PROC_IO_BITMAPS) && (vmx_bad_address(k, vmx_get(k, VMCS_IO_BITMAP_A), PAGE_SIZE) ||
                                            vmx_bad_address(k, vmx_get(k, VMCS_IO_BITMAP_B), PAGE_SIZE)))
        return C(9);
    if ((k->proc & VMX_PROC_MSR_BITMAPS) && vmx_bad_address(k, vmx_get(k, VMCS_MSR_BITMAP), PAGE_SIZE))
        return C(10);
    if ((k->proc2 & VMX_PROC2_SHADOW) && (vmx_bad_address(k, vmx_get(k, VMCS_VMREAD_BITMAP), PAGE_SIZE) ||
                                          vmx_bad_address(k, vmx_get(k, VMCS_VMWRITE_BITMAP), PAGE_SIZE)))
        return C(39);
    return 0;
}

static u32 check_tpr(const struct vmx_check *k)
{
    const u64 apic = VMX_PROC2_X2APIC | VMX_PROC2_APIC_REG | VMX_PROC2_VID;
    const u64 page = vmx_get(k, VMCS_VIRTUAL_APIC_ADDR), threshold = vmx_get(k, VMCS_TPR_THRESHOLD);
    if (!(k->proc & VMX_PROC_TPR_SHADOW))
        return k->proc2 & apic ? C(14) : 0;
    if (vmx_bad_address(k, page, PAGE_SIZE))
        return C(11);
    if (k->proc2 & VMX_PROC2_VID)
        return 0;
    if (threshold >> 4)
        return C(12);
    if (!(k->proc2 & VMX_PROC2_APIC_ACCESS) && threshold > (vmx_ram_read(k->cpu, page + 0x80, 4) >> 4 & 0xf))
        return C(13);
    return 0;
}

static u32 check_interrupts(const struct vmx_check *k)
{
    if (!(k->pin & VMX_PIN_NMI) && (k->pin & VMX_PIN_VIRTUAL_NMI))
        return C(15);
    if (!(k->pin & VMX_PIN_VIRTUAL_NMI) && (k->proc & VMX_PROC_NMI_WINDOW))
        return C(16);
    if ((k->proc2 & VMX_PROC2_APIC_ACCESS) && vmx_bad_address(k, vmx_get(k, VMCS_APIC_ACCESS_ADDR), PAGE_SIZE))
        return C(17);
    if ((k->proc2 & VMX_PROC2_X2APIC) && (k->proc2 & VMX_PROC2_APIC_ACCESS))
        return C(18);
    if ((k->proc2 & VMX_PROC2_VID) && !(k->pin & VMX_PIN_INTR))
        return C(19);
    if (!(k->pin & VMX_PIN_POSTED))
        return 0;
    if (!(k->proc2 & VMX_PROC2_VID))
        return C(20);
    if (!(k->exit & VMX_EXIT_ACK_INTR))
        return C(21);
    if (vmx_get(k, VMCS_POSTED_VECTOR) > 255)
        return C(22);
    return vmx_bad_address(k, vmx_get(k, VMCS_POSTED_DESC_ADDR), 64) ? C(23) : 0;
}

u32 vmx_check_eptp(const struct vmx_check *k, u64 eptp)
{
    const u64 cap = VMX_CAP(k->profile, MSR_VMX_EPT_VPID), type = eptp & 7;
    if (!(type == 0 && (cap & VMX_EPT_UC)) && !(type == 6 && (cap & VMX_EPT_WB)))
        return C(25);
    if ((eptp >> 3 & 7) != 3 || !(cap & VMX_EPT_WALK4))
        return C(26);
    if ((eptp & EPTP_AD) && !(cap & VMX_EPT_AD))
        return C(27);
    if ((eptp & EPTP_SSS) && !(cap & EPT_SSS))
        return C(29);
    return (eptp & 0xf00) || (eptp & k->phys_mask) ? C(28) : 0;
}

static u32 check_ept(const struct vmx_check *k)
{
    const bool ept = k->proc2 & VMX_PROC2_EPT;
    if ((k->proc2 & VMX_PROC2_VPID) && !vmx_get(k, VMCS_VPID))
        return C(24);
    const u32 eptp = ept ? vmx_check_eptp(k, vmx_get(k, VMCS_EPTP)) : 0;
    if (eptp)
        return eptp;
    if (!ept && (k->proc2 & VMX_PROC2_PML))
        return C(30);
    if ((k->proc2 & VMX_PROC2_PML) && vmx_bad_address(k, vmx_get(k, VMCS_PML_ADDR), PAGE_SIZE))
        return C(31);
    if (!ept && (k->proc2 & VMX_PROC2_UNRESTRICTED))
        return C(32);
    if (!ept && (k->proc2 & VMX_PROC2_MBE))
        return C(33);
    if (!ept && (k->proc2 & VMX_PROC2_SPP))
        return C(34);
    if ((k->proc2 & VMX_PROC2_SPP) && vmx_bad_address(k, vmx_get(k, VMCS_SPPTP), PAGE_SIZE))
        return C(35);
    return 0;
}

/* "Intel PT uses guest physical addresses" wants its two companions; bit 18 of the entry, bit 25 of the exit controls. */
static bool pt_alone(const struct vmx_check *k)
{
    return (k->proc2 & PROC2_PT) &&
           (!(k->proc2 & VMX_PROC2_EPT) || !(k->entry & VMX_ENTRY_RTIT) || !(k->exit & bit(25)));
}

static u32 check_functions(const struct vmx_check *k)
{
    const u64 functions = k->proc2 & VMX_PROC2_VMFUNC ? vmx_get(k, VMCS_VMFUNC_CTRL) : 0;
    if (functions & ~VMX_CAP(k->profile, MSR_VMX_VMFUNC))
        return C(36);
    if ((functions & 1) && !(k->proc2 & VMX_PROC2_EPT))
        return C(37);
    if ((functions & 1) && vmx_bad_address(k, vmx_get(k, VMCS_EPTP_LIST_ADDR), PAGE_SIZE))
        return C(38);
    if ((k->proc2 & VMX_PROC2_VE) && vmx_bad_address(k, vmx_get(k, VMCS_VE_INFO_ADDR), PAGE_SIZE))
        return C(40);
    if ((k->proc2 & VMX_PROC2_TSC_SCALING) && !vmx_get(k, VMCS_TSC_MULTIPLIER))
        return C(41);
    return pt_alone(k) ? C(42) : 0;
}

u32 vmx_check_controls(const struct vmx_check *k)
{
    static u32 (*const parts[])(const struct vmx_check *) = { check_allowed,    check_bitmaps, check_tpr,
                                                              check_interrupts, check_ept,     check_functions };
    for (size_t i = 0; i < array_size(parts); i++) {
        const u32 id = parts[i](k);
        if (id)
            return id;
    }
    return 0;
}
