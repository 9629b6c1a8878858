/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the exit and entry controls and on the host state (Intel SDM 3C 26.2.1.2 to 26.2.4): ids X, N (VMfailValid(7)) and H
 * (VMfailValid(8)). */
#include "vmx_model.h"

#define X(n) VCPU_CHECK('X', n)
#define N(n) VCPU_CHECK('N', n)
#define H(n) VCPU_CHECK('H', n)
#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define PERF_GLOBAL_VALID 0x70000000ful   /* three fixed and four programmable counters */

/* 1: bad start, 2: bad end, 0: good or empty. */
static u32 bad_list(const struct vmx_check *k, u32 count_field, u32 address_field)
{
    const u64 count = vmx_get(k, count_field), address = vmx_get(k, address_field);
    if (!count)
        return 0;
    if (vmx_bad_address(k, address, 16))
        return 1;
    return (address + count * 16 - 1) & k->phys_mask ? 2 : 0;
}

static u32 check_exit(const struct vmx_check *k)
{
    const u64 cap = VMX_CAP(k->profile, MSR_VMX_TRUE_EXIT);
    if ((cap & 0xffffffff) & ~k->exit)
        return X(1);
    if (k->exit & ~(cap >> 32))
        return X(2);
    if ((k->exit & VMX_EXIT_SECONDARY) && (vmx_get(k, VMCS_EXIT2_CTRL) & ~VMX_CAP(k->profile, MSR_VMX_EXIT2)))
        return X(3);
    if ((k->exit & VMX_EXIT_SAVE_TIMER) && !(k->pin & VMX_PIN_TIMER))
        return X(4);
    const u32 store = bad_list(k, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDR);
    if (store)
        return X(4 + store);
    const u32 load = bad_list(k, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDR);
    return load ? X(6 + load) : 0;
}

/* Does this injection have to push an error code? Only exceptions in protected mode do (26.2.1.3). */
static bool wants_error(const struct vmx_check *k)
{
    const bool protected_mode = !k->unrestricted || (k->cr0 & CR0_PE);
    return protected_mode && VMX_INTR_TYPE(k->event) == VMX_EVENT_EXCEPTION &&
           (VECTORS_WITH_ERROR & ~(1u << VECTOR_CP)) >> (k->event & 31) & 1;
}

static u32 check_event(const struct vmx_check *k)
{
    const u32 type = VMX_INTR_TYPE(k->event), vector = k->event & 0xff;
    const bool trap_flag = VMX_CAP(k->profile, MSR_VMX_TRUE_PROC) >> 32 & VMX_PROC_MTF;
    if (type == 1 || (type == VMX_EVENT_OTHER && !trap_flag))
        return N(3);
    if (type == VMX_EVENT_NMI && vector != VECTOR_NMI)
        return N(4);
    if (type == VMX_EVENT_EXCEPTION && vector > 31)
        return N(5);
    if (type == VMX_EVENT_OTHER && vector)
        return N(6);
    if (!!(k->event & VMX_INTR_ERROR) != wants_error(k))
        return N(7);
    if (k->event & 0x7ffff000)
        return N(8);
    if ((k->event & VMX_INTR_ERROR) && vmx_get(k, VMCS_ENTRY_ERROR_CODE) >> 16)
        return N(9);
    const bool software = type == VMX_EVENT_SOFT_INTR || type == VMX_EVENT_PRIV || type == VMX_EVENT_SOFT;
    const u64 length = vmx_get(k, VMCS_ENTRY_INSN_LEN);
    const bool zero_ok = VMX_CAP(k->profile, MSR_VMX_MISC) & VMX_MISC_INSN_LEN_0;
    return software && (length > 15 || (!length && !zero_ok)) ? N(10) : 0;
}

static u32 check_entry(const struct vmx_check *k)
{
    const u64 cap = VMX_CAP(k->profile, MSR_VMX_TRUE_ENTRY);
    if ((cap & 0xffffffff) & ~k->entry)
        return N(1);
    if (k->entry & ~(cap >> 32))
        return N(2);
    if (k->entry & (VMX_ENTRY_SMM | VMX_ENTRY_DUAL_MONITOR))
        return N(13);   /* this machine has no SMM to be in */
    const u32 event = k->event_valid ? check_event(k) : 0;
    if (event)
        return event;
    const u32 load = bad_list(k, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDR);
    return load ? N(10 + load) : 0;
}

u32 vmx_check_exit_entry(const struct vmx_check *k)
{
    const u32 id = check_exit(k);
    return id ? id : check_entry(k);
}

bool vmx_pat_valid(u64 pat)
{
    for (u32 i = 0; i < 8; i++) {
        const u64 type = pat >> (8 * i) & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static u32 check_registers(const struct vmx_check *k)
{
    const struct vmx_profile *p = k->profile;
    const u64 cr0 = vmx_get(k, VMCS_HOST_CR0), cr4 = vmx_get(k, VMCS_HOST_CR4);
    if ((VMX_CAP(p, MSR_VMX_CR0_FIXED0) & ~cr0) || (cr0 & ~VMX_CAP(p, MSR_VMX_CR0_FIXED1)))
        return H(1);
    if ((VMX_CAP(p, MSR_VMX_CR4_FIXED0) & ~cr4) || (cr4 & ~VMX_CAP(p, MSR_VMX_CR4_FIXED1)))
        return H(2);
    if (vmx_get(k, VMCS_HOST_CR3) & k->phys_mask)
        return H(3);
    if ((cr4 & CR4_CET) && !(cr0 & CR0_WP))
        return H(4);
    if (!vmx_canonical(vmx_get(k, VMCS_HOST_SYSENTER_ESP)) || !vmx_canonical(vmx_get(k, VMCS_HOST_SYSENTER_EIP)))
        return H(5);
    if ((k->exit & VMX_EXIT_PERF_GLOBAL) && (vmx_get(k, VMCS_HOST_PERF_GLOBAL) & ~PERF_GLOBAL_VALID))
        return H(6);
    if ((k->exit & VMX_EXIT_LOAD_PAT) && !vmx_pat_valid(vmx_get(k, VMCS_HOST_PAT)))
        return H(7);
    return 0;
}

static u32 check_efer_cet(const struct vmx_check *k)
{
    const u64 efer = vmx_get(k, VMCS_HOST_EFER), s_cet = vmx_get(k, VMCS_HOST_S_CET), ssp = vmx_get(k, VMCS_HOST_SSP);
    const bool wide = k->exit & VMX_EXIT_HOST64;
    if (k->exit & VMX_EXIT_LOAD_EFER) {
        if (efer & ~EFER_VALID)
            return H(8);
        if (!!(efer & EFER_LMA) != wide || !!(efer & EFER_LME) != wide)
            return H(9);
    }
    if ((k->exit & VMX_EXIT_LOAD_CET) &&
        ((s_cet & 0x3c0) || (s_cet & 0xc00) == 0xc00 || !vmx_canonical(s_cet) || !vmx_canonical(ssp) || (ssp & 3) ||
         !vmx_canonical(vmx_get(k, VMCS_HOST_ISST))))
        return H(10);
    return (k->exit & VMX_EXIT_LOAD_PKRS) && vmx_get(k, VMCS_HOST_PKRS) >> 32 ? H(11) : 0;
}

static u32 check_host_segments(const struct vmx_check *k)
{
    static const u32 bases[] = { VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE, VMCS_HOST_TR_BASE, VMCS_HOST_GDTR_BASE,
                                 VMCS_HOST_IDTR_BASE };
    for (u32 field = VMCS_HOST_ES_SEL; field <= VMCS_HOST_TR_SEL; field += 2)
        if (vmx_get(k, field) & 7)
            return H(12);
    if (!vmx_get(k, VMCS_HOST_CS_SEL) || !vmx_get(k, VMCS_HOST_TR_SEL))
        return H(13);
    if (!(k->exit & VMX_EXIT_HOST64) && !vmx_get(k, VMCS_HOST_SS_SEL))
        return H(14);
    for (size_t i = 0; i < array_size(bases); i++)
        if (!vmx_canonical(vmx_get(k, bases[i])))
            return H(15);
    return 0;
}

static u32 check_address_space(const struct vmx_check *k)
{
    const bool wide = k->exit & VMX_EXIT_HOST64;
    const u64 cr4 = vmx_get(k, VMCS_HOST_CR4), rip = vmx_get(k, VMCS_HOST_RIP);
    if (wide != !!(k->cpu->efer & EFER_LMA))
        return H(16);
    if (!wide && (k->entry & VMX_ENTRY_IA32E))
        return H(17);
    if (!wide && ((cr4 & CR4_PCIDE) || rip >> 32))
        return H(18);
    return wide && (!(cr4 & CR4_PAE) || !vmx_canonical(rip)) ? H(19) : 0;
}

u32 vmx_check_host(const struct vmx_check *k)
{
    static u32 (*const parts[])(const struct vmx_check *) = { check_address_space, check_registers, check_efer_cet,
                                                              check_host_segments };
    for (size_t i = 0; i < array_size(parts); i++) {
        const u32 id = parts[i](k);
        if (id)
            return id;
    }
    return 0;
}
