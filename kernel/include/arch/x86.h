/* SPDX-License-Identifier: BSD-2-Clause */
/* Architectural constants of the CPU: control registers, flags, MSRs, CPUID bits, exceptions, segment selectors, host page-table bits.
 * MSRs and bits that exist for VMX or SVM alone stand in vmx.h and svm.h.
 * Sources: Intel SDM 3A 2.5 (control registers), 4.5 (paging), 6.15 (exceptions), SDM 4 (MSRs), SDM 2A CPUID; AMD APM 2 3.1.7 (EFER). */
#pragma once
#include "base.h"

/* Control registers. */
#define CR0_PE         0x00000001ul
#define CR0_MP         0x00000002ul
#define CR0_EM         0x00000004ul
#define CR0_TS         0x00000008ul
#define CR0_ET         0x00000010ul
#define CR0_NE         0x00000020ul
#define CR0_WP         0x00010000ul
#define CR0_AM         0x00040000ul
#define CR0_NW         0x20000000ul
#define CR0_CD         0x40000000ul
#define CR0_PG         0x80000000ul

#define CR4_VME        0x00000001ul
#define CR4_PVI        0x00000002ul
#define CR4_TSD        0x00000004ul
#define CR4_DE         0x00000008ul
#define CR4_PSE        0x00000010ul
#define CR4_PAE        0x00000020ul
#define CR4_MCE        0x00000040ul
#define CR4_PGE        0x00000080ul
#define CR4_PCE        0x00000100ul
#define CR4_OSFXSR     0x00000200ul
#define CR4_OSXMMEXCPT 0x00000400ul
#define CR4_UMIP       0x00000800ul
#define CR4_LA57       0x00001000ul
#define CR4_VMXE       0x00002000ul
#define CR4_SMXE       0x00004000ul
#define CR4_FSGSBASE   0x00010000ul
#define CR4_PCIDE      0x00020000ul
#define CR4_OSXSAVE    0x00040000ul
#define CR4_SMEP       0x00100000ul
#define CR4_SMAP       0x00200000ul
#define CR4_PKE        0x00400000ul
#define CR4_CET        0x00800000ul
#define CR4_PKS        0x01000000ul
#define CR4_UINTR      0x02000000ul
#define CR4_FRED       0x0000000100000000ul

#define CR3_NO_FLUSH   bit(63)   /* with CR4.PCIDE: keep the translations of the new PCID */
#define CR3_PCID_MASK  0xffful

#define XCR0_X87       0x1ul
#define XCR0_SSE       0x2ul
#define XCR0_AVX       0x4ul
#define XCR0_AVX512    0xe0ul

/* RFLAGS. */
#define RFLAGS_CF   0x00000001ul
#define RFLAGS_ONE  0x00000002ul   /* always 1 */
#define RFLAGS_PF   0x00000004ul
#define RFLAGS_AF   0x00000010ul
#define RFLAGS_ZF   0x00000040ul
#define RFLAGS_SF   0x00000080ul
#define RFLAGS_TF   0x00000100ul
#define RFLAGS_IF   0x00000200ul
#define RFLAGS_DF   0x00000400ul
#define RFLAGS_OF   0x00000800ul
#define RFLAGS_IOPL 0x00003000ul
#define RFLAGS_NT   0x00004000ul
#define RFLAGS_RF   0x00010000ul
#define RFLAGS_VM   0x00020000ul
#define RFLAGS_AC   0x00040000ul
#define RFLAGS_VIF  0x00080000ul
#define RFLAGS_VIP  0x00100000ul
#define RFLAGS_ID   0x00200000ul

/* What user mode may set for itself; the machine forces the rest: IF and bit 1 set, all else clear. */
#define RFLAGS_USER                                                                                                    \
    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_DF | RFLAGS_OF | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID)

/* Debug registers (Intel SDM 3B 17.2): reset values; causes in DR6, of which BLD and RTM are 0 if they apply; GD in DR7. */
#define DR6_INIT   0xffff0ff0ul
#define DR6_B      0x0000000ful
#define DR6_BLD    0x00000800ul   /* bus lock */
#define DR6_BD     0x00002000ul   /* DR7.GD: access to a debug register */
#define DR6_BS     0x00004000ul   /* single step */
#define DR6_RTM    0x00010000ul   /* inside a transaction */
#define DR6_ZERO   (DR6_BLD | DR6_RTM)
#define DR7_INIT   0x00000400ul
#define DR7_GD     0x00002000ul

/* MSRs. */
#define MSR_TSC                0x10u
#define MSR_APIC_BASE          0x1bu
#define MSR_TSC_ADJUST         0x3bu
#define MSR_SPEC_CTRL          0x48u
#define MSR_PRED_CMD           0x49u
#define PRED_CMD_IBPB          0x1ul
#define MSR_MTRRCAP            0xfeu
#define MSR_ARCH_CAPABILITIES  0x10au   /* CPUID_7_EDX_ARCH_CAP; what this processor does not suffer from (Intel SDM 4) */
#define ARCH_CAP_RDCL_NO       bit(0)
#define ARCH_CAP_SKIP_L1D      bit(3)
#define ARCH_CAP_MDS_NO        bit(5)
#define ARCH_CAP_TAA_NO        bit(8)
#define ARCH_CAP_RFDS_NO       bit(27)
#define ARCH_CAP_RFDS_CLEAR    bit(28)
#define MSR_FLUSH_CMD          0x10bu
#define FLUSH_CMD_L1D          0x1ul
#define MSR_SYSENTER_CS        0x174u
#define MSR_SYSENTER_ESP       0x175u
#define MSR_SYSENTER_EIP       0x176u
#define MSR_MCG_CAP            0x179u
#define MSR_MCG_STATUS         0x17au
#define MCG_STATUS_RIPV        0x1ul
#define MSR_MISC_ENABLE        0x1a0u
#define MSR_DEBUGCTL           0x1d9u
#define MSR_PAT                0x277u
#define MSR_MTRR_DEF_TYPE      0x2ffu
#define MSR_PERF_GLOBAL_CTRL   0x38fu
#define MSR_TSC_DEADLINE       0x6e0u
#define MSR_X2APIC(reg)        (0x800u + ((reg) >> 4))   /* reg: xAPIC offset; apic.h */
#define MSR_XSS                0xda0u
#define MSR_EFER               0xc0000080u
#define MSR_STAR               0xc0000081u
#define MSR_LSTAR              0xc0000082u
#define MSR_CSTAR              0xc0000083u
#define MSR_FMASK              0xc0000084u
#define MSR_FS_BASE            0xc0000100u
#define MSR_GS_BASE            0xc0000101u
#define MSR_KERNEL_GS_BASE     0xc0000102u
#define MSR_TSC_AUX            0xc0000103u

#define EFER_SCE   0x0001ul
#define EFER_LME   0x0100ul
#define EFER_LMA   0x0400ul
#define EFER_NXE   0x0800ul
#define EFER_SVME  0x1000ul
#define EFER_LMSLE 0x2000ul
#define EFER_FFXSR 0x4000ul
#define EFER_TCE   0x8000ul

#define PAT_RESET 0x0007040600070406ul   /* Intel SDM 3A 11.12.4 */

/* CPUID bits: CPUID_<leaf>_<register>_<name>; 81 is leaf 0x80000001. */
#define CPUID_1_ECX_VMX          bit(5)
#define CPUID_1_ECX_PCID         bit(17)
#define CPUID_1_ECX_X2APIC       bit(21)
#define CPUID_1_ECX_TSC_DEADLINE bit(24)
#define CPUID_1_ECX_XSAVE        bit(26)
#define CPUID_1_ECX_OSXSAVE      bit(27)
#define CPUID_1_ECX_AVX          bit(28)
#define CPUID_1_ECX_HYPERVISOR   bit(31)
#define CPUID_1_EDX_FPU          bit(0)
#define CPUID_1_EDX_PSE          bit(3)
#define CPUID_1_EDX_MSR          bit(5)
#define CPUID_1_EDX_PAE          bit(6)
#define CPUID_1_EDX_MCE          bit(7)
#define CPUID_1_EDX_APIC         bit(9)
#define CPUID_1_EDX_MCA          bit(14)
#define CPUID_1_EDX_PGE          bit(13)
#define CPUID_1_EDX_PAT          bit(16)
#define CPUID_1_EDX_FXSR         bit(24)
#define CPUID_1_EDX_SSE2         bit(26)
#define CPUID_7_EBX_FSGSBASE     bit(0)
#define CPUID_7_EBX_TSC_ADJUST   bit(1)
#define CPUID_7_EBX_SMEP         bit(7)
#define CPUID_7_EBX_INVPCID      bit(10)
#define CPUID_7_EBX_RTM          bit(11)
#define CPUID_7_EBX_SMAP         bit(20)
#define CPUID_7_ECX_UMIP         bit(2)
#define CPUID_7_ECX_PKU          bit(3)
#define CPUID_7_ECX_CET_SS       bit(7)
#define CPUID_7_ECX_PKS          bit(31)
#define CPUID_7_ECX_LA57         bit(16)
#define CPUID_7_EDX_MD_CLEAR     bit(10)
#define CPUID_7_EDX_IBPB         bit(26)
#define CPUID_7_EDX_L1D_FLUSH    bit(28)
#define CPUID_7_EDX_ARCH_CAP     bit(29)
#define CPUID_D1_EAX_XSAVEOPT    bit(0)
#define CPUID_D1_EAX_XSAVEC      bit(1)
#define CPUID_D1_EAX_XSAVES      bit(3)
#define CPUID_81_ECX_SVM         bit(2)
#define CPUID_81_EDX_SYSCALL     bit(11)
#define CPUID_81_EDX_NX          bit(20)
#define CPUID_81_EDX_FFXSR       bit(25)
#define CPUID_81_EDX_1G          bit(26)
#define CPUID_81_EDX_RDTSCP      bit(27)
#define CPUID_81_EDX_LM          bit(29)
#define CPUID_87_EDX_INVARIANT   bit(8)    /* leaf 0x80000007: invariant TSC */

#define CPUID_88_EBX_IBPB        bit(12)   /* leaf 0x80000008, AMD */

/* Exceptions. */
#define VECTOR_DE  0u
#define VECTOR_DB  1u
#define VECTOR_NMI 2u
#define VECTOR_BP  3u
#define VECTOR_OF  4u
#define VECTOR_BR  5u
#define VECTOR_UD  6u
#define VECTOR_NM  7u
#define VECTOR_DF  8u
#define VECTOR_TS  10u
#define VECTOR_NP  11u
#define VECTOR_SS  12u
#define VECTOR_GP  13u
#define VECTOR_PF  14u
#define VECTOR_MF  16u
#define VECTOR_AC  17u
#define VECTOR_MC  18u
#define VECTOR_XM  19u
#define VECTOR_VE  20u
#define VECTOR_CP  21u
#define VECTORS_WITH_ERROR                                                                                             \
    (1u << VECTOR_DF | 1u << VECTOR_TS | 1u << VECTOR_NP | 1u << VECTOR_SS | 1u << VECTOR_GP | 1u << VECTOR_PF | 1u << VECTOR_AC | 1u << VECTOR_CP)

#define PF_PRESENT  0x01u
#define PF_WRITE    0x02u
#define PF_USER     0x04u
#define PF_RESERVED 0x08u
#define PF_FETCH    0x10u

/* Selectors of the machine's GDT. The order user data, user code is SYSRET's (Intel SDM 2B SYSRET: SS = STAR[63:48] + 8, CS = + 16);
 * there is no 32-bit user code segment. The TSS descriptor takes two slots. */
#define SEL_KERNEL_CODE 0x08
#define SEL_KERNEL_DATA 0x10
#define SEL_USER_DATA   0x1b
#define SEL_USER_CODE   0x23
#define SEL_TSS         0x28
#define GDT_BYTES       0x38

/* Host page tables (Intel SDM 3A 4.5). */
#define PTE_P         0x001ul
#define PTE_W         0x002ul
#define PTE_U         0x004ul
#define PTE_PWT       0x008ul
#define PTE_PCD       0x010ul
#define PTE_A         0x020ul
#define PTE_D         0x040ul
#define PTE_PS        0x080ul
#define PTE_G         0x100ul
#define PTE_NX        bit(63)
#define PTE_PHYS_MASK 0x000ffffffffff000ul
