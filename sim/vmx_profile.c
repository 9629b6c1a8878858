/* SPDX-License-Identifier: BSD-2-Clause */
/* Capability MSRs of the simulated processors (Intel SDM 3D, appendix A).
 *
 * vmx_haswell runs guests: what a fourth-generation Core offers, less what the model does not do (preemption timer, TPR shadow and APIC
 * virtualization, monitor trap flag, PAUSE and descriptor-table exits, VM functions, VMCS shadowing): those bits may not be set, so
 * asking for one fails the entry with C02, C04 or C06. vmx_wide allows nearly everything the entry checks know, to test those. */
#include "vmx_model.h"

#define REVISION 0x4f5252ul
#define BASIC    (REVISION | 0x1000ul << 32 | 6ul << 50 | bit(54) | VMX_BASIC_TRUE)
#define EPT_CAP                                                                                                        \
    (VMX_EPT_EXEC_ONLY | VMX_EPT_WALK4 | VMX_EPT_UC | VMX_EPT_WB | VMX_EPT_2M | VMX_EPT_1G | VMX_EPT_INVEPT |          \
     VMX_EPT_INVEPT_SINGLE | VMX_EPT_INVEPT_ALL | VMX_VPID_INVVPID | VMX_VPID_ADDRESS | VMX_VPID_SINGLE |              \
     VMX_VPID_ALL | VMX_VPID_SINGLE_KEEP)
#define PAIR(zero, one) ((u64)(one) << 32 | (zero))   /* bits that must be 1; bits that may be */
#define AT(msr)         [(msr)-MSR_VMX_BASIC]

const struct vmx_profile vmx_haswell = {
    .name = "haswell",
    .runs = true,
    .caps = {
        AT(MSR_VMX_BASIC) = BASIC,
        AT(MSR_VMX_PIN) = PAIR(0x16, 0x3f),
        AT(MSR_VMX_TRUE_PIN) = PAIR(0x16, 0x3f),
        AT(MSR_VMX_PROC) = PAIR(0x0401e172, 0xb7d9fffe),
        AT(MSR_VMX_TRUE_PROC) = PAIR(0x04006172, 0xb7d9fffe),
        AT(MSR_VMX_EXIT) = PAIR(0x00036dff, 0x003fefff),
        AT(MSR_VMX_TRUE_EXIT) = PAIR(0x00036dfb, 0x003fefff),
        AT(MSR_VMX_ENTRY) = PAIR(0x000011ff, 0x0000dfff),
        AT(MSR_VMX_TRUE_ENTRY) = PAIR(0x000011fb, 0x0000dfff),
        AT(MSR_VMX_MISC) = 5 | VMX_MISC_SAVE_LMA | VMX_MISC_HLT | VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_SIPI | 4 << 16,
        AT(MSR_VMX_CR0_FIXED0) = CR0_PE | CR0_NE | CR0_PG,
        AT(MSR_VMX_CR0_FIXED1) = 0xffffffff,
        AT(MSR_VMX_CR4_FIXED0) = CR4_VMXE,
        AT(MSR_VMX_CR4_FIXED1) = 0x1727ff,
        AT(MSR_VMX_VMCS_ENUM) = 0x2e,
        AT(MSR_VMX_PROC2) = PAIR(0, VMX_PROC2_EPT | VMX_PROC2_RDTSCP | VMX_PROC2_VPID | VMX_PROC2_WBINVD |
                                            VMX_PROC2_UNRESTRICTED | VMX_PROC2_INVPCID),
        AT(MSR_VMX_EPT_VPID) = EPT_CAP | VMX_EPT_AD,
    },
};

const struct vmx_profile vmx_wide = {
    .name = "wide",
    .nmi_checks_sti = true,
    .caps = {
        AT(MSR_VMX_BASIC) = BASIC,
        AT(MSR_VMX_PIN) = PAIR(0x16, 0xff),
        AT(MSR_VMX_TRUE_PIN) = PAIR(0x16, 0xff),
        AT(MSR_VMX_PROC) = PAIR(0x0401e172, 0xfffbfffe),
        AT(MSR_VMX_TRUE_PROC) = PAIR(0x04006172, 0xfffbfffe),
        AT(MSR_VMX_EXIT) = PAIR(0x00036dff, 0xb2ffffff),
        AT(MSR_VMX_TRUE_EXIT) = PAIR(0x00036dfb, 0xb2ffffff),
        AT(MSR_VMX_ENTRY) = PAIR(0x000011ff, 0x0055ffff),
        AT(MSR_VMX_TRUE_ENTRY) = PAIR(0x000011fb, 0x0055ffff),
        AT(MSR_VMX_MISC) = 5 | VMX_MISC_SAVE_LMA | VMX_MISC_HLT | VMX_MISC_SHUTDOWN | VMX_MISC_WAIT_SIPI | 4 << 16,
        AT(MSR_VMX_CR0_FIXED0) = CR0_PE | CR0_NE | CR0_PG,
        AT(MSR_VMX_CR0_FIXED1) = 0xffffffff,
        AT(MSR_VMX_CR4_FIXED0) = CR4_VMXE,
        AT(MSR_VMX_CR4_FIXED1) = 0x1f72fff,
        AT(MSR_VMX_VMCS_ENUM) = 0x44,
        AT(MSR_VMX_PROC2) = PAIR(0, 0x03ffffff),
        AT(MSR_VMX_EPT_VPID) = EPT_CAP,
        AT(MSR_VMX_VMFUNC) = 1,
        AT(MSR_VMX_PROC3) = 1,
    },
};
