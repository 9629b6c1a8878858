/* SPDX-License-Identifier: BSD-2-Clause */
/* Cases for the checks on host state and on the guest's registers: H, G; and on the MSR-load list: M. */
#include "vmx_cases.h"

#define F(n, h, v) { VMCS_##n, h, v }
#define HOST_32                                                                                                        \
    { F_CPU_EFER, CLR, EFER_LMA | EFER_LME }, F(EXIT_CTRL, CLR, VMX_EXIT_HOST64), F(HOST_EFER, CLR, EFER_LMA | EFER_LME), \
            F(HOST_RIP, SET, 0x1000)
#define CET_ON     F(EXIT_CTRL, OR, VMX_EXIT_LOAD_CET)
#define SELECTOR(n) { 'H', 12, BASE_LONG, HASWELL, {}, { F(n, OR, 4) }, 0 }
#define BASE(n)     { 'H', 15, BASE_LONG, HASWELL, {}, { F(n, SET, BAD_ADDRESS) }, 0 }

const struct check_case vmx_cases_host[] = {
    { 'H', 1, BASE_LONG, HASWELL, {}, { F(HOST_CR0, CLR, CR0_NE) }, 0 },
    { 'H', 1, BASE_LONG, HASWELL, {}, { F(HOST_CR0, OR, bit(32)) }, 0 },
    { 'H', 2, BASE_LONG, HASWELL, {}, { F(HOST_CR4, CLR, CR4_VMXE) }, 0 },
    { 'H', 2, BASE_LONG, HASWELL, {}, { F(HOST_CR4, OR, CR4_PKS) }, 0 },
    { 'H', 3, BASE_LONG, HASWELL, {}, { F(HOST_CR3, OR, bit(40)) }, 0 },
    { 'H', 4, BASE_LONG, WIDE, { F(HOST_CR4, OR, CR4_CET) }, { F(HOST_CR0, CLR, CR0_WP) }, 0 },
    { 'H', 5, BASE_LONG, HASWELL, {}, { F(HOST_SYSENTER_ESP, SET, BAD_ADDRESS) }, 0 },
    { 'H', 5, BASE_LONG, HASWELL, {}, { F(HOST_SYSENTER_EIP, SET, BAD_ADDRESS) }, 0 },
    { 'H', 6, BASE_LONG, WIDE, { F(EXIT_CTRL, OR, VMX_EXIT_PERF_GLOBAL) }, { F(HOST_PERF_GLOBAL, SET, bit(4)) }, 0 },
    { 'H', 7, BASE_LONG, HASWELL, {}, { F(HOST_PAT, SET, 2) }, 0 },
    { 'H', 7, BASE_LONG, HASWELL, {}, { F(HOST_PAT, SET, 8ul << 56) }, 0 },
    { 'H', 8, BASE_LONG, HASWELL, {}, { F(HOST_EFER, OR, 2) }, 0 },
    { 'H', 9, BASE_LONG, HASWELL, {}, { F(HOST_EFER, CLR, EFER_LMA) }, 0 },
    { 'H', 9, BASE_LONG, HASWELL, {}, { F(HOST_EFER, CLR, EFER_LME) }, 0 },
    { 'H', 10, BASE_LONG, WIDE, { CET_ON }, { F(HOST_S_CET, SET, 0x40) }, 0 },
    { 'H', 10, BASE_LONG, WIDE, { CET_ON }, { F(HOST_S_CET, SET, BAD_ADDRESS) }, 0 },
    { 'H', 10, BASE_LONG, WIDE, { CET_ON }, { F(HOST_SSP, SET, 1) }, 0 },
    { 'H', 10, BASE_LONG, WIDE, { CET_ON }, { F(HOST_ISST, SET, BAD_ADDRESS) }, 0 },
    { 'H', 11, BASE_LONG, WIDE, { F(EXIT_CTRL, OR, VMX_EXIT_LOAD_PKRS) }, { F(HOST_PKRS, SET, bit(32)) }, 0 },
    SELECTOR(HOST_ES_SEL), SELECTOR(HOST_CS_SEL), SELECTOR(HOST_SS_SEL), SELECTOR(HOST_DS_SEL),
    SELECTOR(HOST_FS_SEL), SELECTOR(HOST_GS_SEL), SELECTOR(HOST_TR_SEL),
    { 'H', 12, BASE_LONG, HASWELL, {}, { F(HOST_DS_SEL, OR, 3) }, 0 },
    { 'H', 13, BASE_LONG, HASWELL, {}, { F(HOST_CS_SEL, SET, 0) }, 0 },
    { 'H', 13, BASE_LONG, HASWELL, {}, { F(HOST_TR_SEL, SET, 0) }, 0 },
    { 'H', 14, BASE_REAL, WIDE, { HOST_32 }, { F(HOST_SS_SEL, SET, 0) }, 0 },
    BASE(HOST_FS_BASE), BASE(HOST_GS_BASE), BASE(HOST_GDTR_BASE), BASE(HOST_IDTR_BASE), BASE(HOST_TR_BASE),
    { 'H', 16, BASE_REAL, WIDE, { HOST_32 }, { { F_CPU_EFER, OR, EFER_LMA | EFER_LME } }, 0 },
    { 'H', 16, BASE_LONG, WIDE, {}, { { F_CPU_EFER, CLR, EFER_LMA } }, 0 },
    { 'H', 17, BASE_REAL, WIDE, { HOST_32 }, { F(ENTRY_CTRL, OR, VMX_ENTRY_IA32E) }, 0 },
    { 'H', 18, BASE_REAL, WIDE, { HOST_32 }, { F(HOST_CR4, OR, CR4_PCIDE) }, 0 },
    { 'H', 18, BASE_REAL, WIDE, { HOST_32 }, { F(HOST_RIP, OR, bit(32)) }, 0 },
    { 'H', 19, BASE_LONG, HASWELL, {}, { F(HOST_CR4, CLR, CR4_PAE) }, 0 },
    { 'H', 19, BASE_LONG, HASWELL, {}, { F(HOST_RIP, SET, BAD_ADDRESS) }, 0 },
};
CASES_END(vmx_cases_host);

#define GUEST_CET F(ENTRY_CTRL, OR, VMX_ENTRY_LOAD_CET)
#define LIST(index, value)                                                                                             \
    F(ENTRY_MSR_LOAD_COUNT, SET, 1), F(ENTRY_MSR_LOAD_ADDR, SET, AT_LIST), { F_RAM | AT_LIST, SET, index },            \
            { F_RAM | (AT_LIST + 8), SET, value }

const struct check_case vmx_cases_guest[] = {
    { 'G', 1, BASE_LONG, HASWELL, {}, { F(GUEST_CR0, CLR, CR0_NE) }, 0 },
    { 'G', 1, BASE_LONG, HASWELL, {}, { F(GUEST_CR0, OR, bit(32)) }, 0 },
    { 'G', 1, BASE_PAE, HASWELL, {}, { F(GUEST_CR0, CLR, CR0_PG) }, 0 },
    { 'G', 2, BASE_REAL, HASWELL, {}, { F(GUEST_CR0, OR, CR0_PG) }, 0 },
    { 'G', 3, BASE_LONG, HASWELL, {}, { F(GUEST_CR4, CLR, CR4_VMXE) }, 0 },
    { 'G', 3, BASE_LONG, HASWELL, {}, { F(GUEST_CR4, OR, CR4_CET) }, 0 },
    { 'G', 4, BASE_LONG, WIDE, { F(GUEST_CR4, OR, CR4_CET) }, { F(GUEST_CR0, CLR, CR0_WP) }, 0 },
    { 'G', 5, BASE_LONG, HASWELL, {}, { F(GUEST_DEBUGCTL, OR, 4) }, 0 },
    { 'G', 6, BASE_LONG, HASWELL, {}, { F(GUEST_CR0, CLR, CR0_PG) }, 0 },
    { 'G', 7, BASE_LONG, HASWELL, {}, { F(GUEST_CR4, CLR, CR4_PAE) }, 0 },
    { 'G', 8, BASE_REAL, HASWELL, {}, { F(GUEST_CR4, OR, CR4_PCIDE) }, 0 },
    { 'G', 9, BASE_LONG, HASWELL, {}, { F(GUEST_CR3, OR, bit(40)) }, 0 },
    { 'G', 10, BASE_LONG, HASWELL, {}, { F(GUEST_DR7, OR, bit(32)) }, 0 },
    { 'G', 11, BASE_LONG, HASWELL, {}, { F(GUEST_SYSENTER_ESP, SET, BAD_ADDRESS) }, 0 },
    { 'G', 11, BASE_LONG, HASWELL, {}, { F(GUEST_SYSENTER_EIP, SET, BAD_ADDRESS) }, 0 },
    { 'G', 12, BASE_LONG, WIDE, { F(ENTRY_CTRL, OR, VMX_ENTRY_PERF_GLOBAL) }, { F(GUEST_PERF_GLOBAL, SET, bit(35)) }, 0 },
    { 'G', 13, BASE_LONG, HASWELL, {}, { F(GUEST_PAT, SET, 3) }, 0 },
    { 'G', 14, BASE_LONG, HASWELL, {}, { F(GUEST_EFER, OR, EFER_SVME) }, 0 },
    { 'G', 15, BASE_LONG, HASWELL, {}, { F(GUEST_EFER, CLR, EFER_LMA) }, 0 },
    { 'G', 15, BASE_LONG, HASWELL, {}, { F(GUEST_EFER, CLR, EFER_LME) }, 0 },
    { 'G', 16, BASE_LONG, WIDE, { F(ENTRY_CTRL, OR, VMX_ENTRY_BNDCFGS) }, { F(GUEST_BNDCFGS, SET, 4) }, 0 },
    { 'G', 16, BASE_LONG, WIDE, { F(ENTRY_CTRL, OR, VMX_ENTRY_BNDCFGS) }, { F(GUEST_BNDCFGS, SET, BAD_ADDRESS) }, 0 },
    { 'G', 17, BASE_LONG, WIDE, { GUEST_CET }, { F(GUEST_S_CET, SET, 0xc00) }, 0 },
    { 'G', 17, BASE_LONG, WIDE, { GUEST_CET }, { F(GUEST_S_CET, SET, BAD_ADDRESS) }, 0 },
    { 'G', 17, BASE_LONG, WIDE, { GUEST_CET }, { F(GUEST_SSP, SET, 2) }, 0 },
    { 'G', 17, BASE_LONG, WIDE, { GUEST_CET }, { F(GUEST_ISST, SET, BAD_ADDRESS) }, 0 },
    { 'G', 18, BASE_LONG, WIDE, { F(ENTRY_CTRL, OR, VMX_ENTRY_LOAD_PKRS) }, { F(GUEST_PKRS, SET, bit(32)) }, 0 },

    { 'M', 1, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5) }, { F(ENTRY_MSR_LOAD_COUNT, SET, 513) }, 513 },
    { 'M', 2, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5) }, { { F_RAM | AT_LIST, OR, bit(32) } }, 1 },
    { 'M', 3, BASE_LONG, HASWELL, { LIST(MSR_LSTAR, 5) }, { { F_RAM | AT_LIST, SET, MSR_FS_BASE } }, 1 },
    { 'M', 3, BASE_LONG, HASWELL, { LIST(MSR_LSTAR, 5) }, { { F_RAM | AT_LIST, SET, MSR_GS_BASE } }, 1 },
    { 'M', 4, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5), { F_APIC_BASE, OR, bit(10) } }, { { F_RAM | AT_LIST, SET, 0x830 } }, 1 },
    { 'M', 5, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5) }, { { F_RAM | AT_LIST, SET, 0x9b } }, 1 },
    { 'M', 5, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5) }, { { F_RAM | AT_LIST, SET, 0x79 } }, 1 },
    { 'M', 6, BASE_LONG, HASWELL, { LIST(MSR_LSTAR, 5) }, { { F_RAM | (AT_LIST + 8), SET, BAD_ADDRESS } }, 1 },
    { 'M', 6, BASE_LONG, HASWELL, { LIST(MSR_EFER, EFER_LMA | EFER_LME) }, { { F_RAM | (AT_LIST + 8), SET, 2 } }, 1 },
    { 'M', 7, BASE_LONG, HASWELL, { LIST(MSR_STAR, 5) }, { F(ENTRY_MSR_LOAD_ADDR, SET, 0x30000000) }, 1 },
};
CASES_END(vmx_cases_guest);
