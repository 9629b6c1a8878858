/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel VMX: VMCS field encodings, control bits, capability MSRs, exit reasons, EPT and exit qualification bits (Intel SDM 3C, chapters
 * 25 to 29; 3D, appendices A to C). Constants only: the kernel's driver and the simulated processor both read them. */
#pragma once
#include "base.h"

/* VMCS fields. Encoding (25.11.2): access type 0 (1: high half), index 9:1, type 11:10 (0 control, 1 exit information, read-only,
 * 2 guest, 3 host), width 14:13 (0 16-bit, 1 64-bit, 2 32-bit, 3 natural). */
#define VMCS_FIELD_LIST(X)                                                                                              \
    /* 16-bit */                                                                                                        \
    X(0x0000, VPID) X(0x0002, POSTED_VECTOR) X(0x0004, EPTP_INDEX)                                                      \
    X(0x0800, GUEST_ES_SEL) X(0x0802, GUEST_CS_SEL) X(0x0804, GUEST_SS_SEL) X(0x0806, GUEST_DS_SEL)                     \
    X(0x0808, GUEST_FS_SEL) X(0x080a, GUEST_GS_SEL) X(0x080c, GUEST_LDTR_SEL) X(0x080e, GUEST_TR_SEL)                   \
    X(0x0810, GUEST_INTR_STATUS) X(0x0812, GUEST_PML_INDEX)                                                             \
    X(0x0c00, HOST_ES_SEL) X(0x0c02, HOST_CS_SEL) X(0x0c04, HOST_SS_SEL) X(0x0c06, HOST_DS_SEL)                         \
    X(0x0c08, HOST_FS_SEL) X(0x0c0a, HOST_GS_SEL) X(0x0c0c, HOST_TR_SEL)                                                \
    /* 64-bit */                                                                                                        \
    X(0x2000, IO_BITMAP_A) X(0x2002, IO_BITMAP_B) X(0x2004, MSR_BITMAP) X(0x2006, EXIT_MSR_STORE_ADDR)                  \
    X(0x2008, EXIT_MSR_LOAD_ADDR) X(0x200a, ENTRY_MSR_LOAD_ADDR) X(0x200c, EXECUTIVE_VMCS) X(0x200e, PML_ADDR)          \
    X(0x2010, TSC_OFFSET) X(0x2012, VIRTUAL_APIC_ADDR) X(0x2014, APIC_ACCESS_ADDR) X(0x2016, POSTED_DESC_ADDR)          \
    X(0x2018, VMFUNC_CTRL) X(0x201a, EPTP) X(0x201c, EOI_EXIT0) X(0x201e, EOI_EXIT1) X(0x2020, EOI_EXIT2)               \
    X(0x2022, EOI_EXIT3) X(0x2024, EPTP_LIST_ADDR) X(0x2026, VMREAD_BITMAP) X(0x2028, VMWRITE_BITMAP)                   \
    X(0x202a, VE_INFO_ADDR) X(0x202c, XSS_EXIT_BITMAP) X(0x202e, ENCLS_EXIT_BITMAP) X(0x2030, SPPTP)                    \
    X(0x2032, TSC_MULTIPLIER) X(0x2034, PROC3_CTRL) X(0x2036, ENCLV_EXIT_BITMAP) X(0x2044, EXIT2_CTRL)                  \
    X(0x2400, GUEST_PHYS_ADDR)                                                                                          \
    X(0x2800, LINK_POINTER) X(0x2802, GUEST_DEBUGCTL) X(0x2804, GUEST_PAT) X(0x2806, GUEST_EFER)                        \
    X(0x2808, GUEST_PERF_GLOBAL) X(0x280a, GUEST_PDPTE0) X(0x280c, GUEST_PDPTE1) X(0x280e, GUEST_PDPTE2)                \
    X(0x2810, GUEST_PDPTE3) X(0x2812, GUEST_BNDCFGS) X(0x2814, GUEST_RTIT_CTL) X(0x2816, GUEST_LBR_CTL)                 \
    X(0x2818, GUEST_PKRS)                                                                                               \
    X(0x2c00, HOST_PAT) X(0x2c02, HOST_EFER) X(0x2c04, HOST_PERF_GLOBAL) X(0x2c06, HOST_PKRS)                           \
    /* 32-bit */                                                                                                        \
    X(0x4000, PIN_CTRL) X(0x4002, PROC_CTRL) X(0x4004, EXCEPTION_BITMAP) X(0x4006, PF_ERROR_MASK)                       \
    X(0x4008, PF_ERROR_MATCH) X(0x400a, CR3_TARGET_COUNT) X(0x400c, EXIT_CTRL) X(0x400e, EXIT_MSR_STORE_COUNT)          \
    X(0x4010, EXIT_MSR_LOAD_COUNT) X(0x4012, ENTRY_CTRL) X(0x4014, ENTRY_MSR_LOAD_COUNT) X(0x4016, ENTRY_INTR_INFO)     \
    X(0x4018, ENTRY_ERROR_CODE) X(0x401a, ENTRY_INSN_LEN) X(0x401c, TPR_THRESHOLD) X(0x401e, PROC2_CTRL)                \
    X(0x4020, PLE_GAP) X(0x4022, PLE_WINDOW)                                                                            \
    X(0x4400, INSN_ERROR) X(0x4402, EXIT_REASON) X(0x4404, EXIT_INTR_INFO) X(0x4406, EXIT_ERROR_CODE)                   \
    X(0x4408, VECTORING_INFO) X(0x440a, VECTORING_ERROR) X(0x440c, EXIT_INSN_LEN) X(0x440e, EXIT_INSN_INFO)             \
    X(0x4800, GUEST_ES_LIMIT) X(0x4802, GUEST_CS_LIMIT) X(0x4804, GUEST_SS_LIMIT) X(0x4806, GUEST_DS_LIMIT)             \
    X(0x4808, GUEST_FS_LIMIT) X(0x480a, GUEST_GS_LIMIT) X(0x480c, GUEST_LDTR_LIMIT) X(0x480e, GUEST_TR_LIMIT)           \
    X(0x4810, GUEST_GDTR_LIMIT) X(0x4812, GUEST_IDTR_LIMIT)                                                             \
    X(0x4814, GUEST_ES_AR) X(0x4816, GUEST_CS_AR) X(0x4818, GUEST_SS_AR) X(0x481a, GUEST_DS_AR)                         \
    X(0x481c, GUEST_FS_AR) X(0x481e, GUEST_GS_AR) X(0x4820, GUEST_LDTR_AR) X(0x4822, GUEST_TR_AR)                       \
    X(0x4824, GUEST_INTERRUPTIBILITY) X(0x4826, GUEST_ACTIVITY) X(0x4828, GUEST_SMBASE) X(0x482a, GUEST_SYSENTER_CS)    \
    X(0x482e, PREEMPTION_TIMER) X(0x4c00, HOST_SYSENTER_CS)                                                             \
    /* natural width */                                                                                                 \
    X(0x6000, CR0_MASK) X(0x6002, CR4_MASK) X(0x6004, CR0_SHADOW) X(0x6006, CR4_SHADOW)                                 \
    X(0x6008, CR3_TARGET0) X(0x600a, CR3_TARGET1) X(0x600c, CR3_TARGET2) X(0x600e, CR3_TARGET3)                         \
    X(0x6400, EXIT_QUALIFICATION) X(0x6402, IO_RCX) X(0x6404, IO_RSI) X(0x6406, IO_RDI) X(0x6408, IO_RIP)               \
    X(0x640a, GUEST_LINEAR_ADDR)                                                                                        \
    X(0x6800, GUEST_CR0) X(0x6802, GUEST_CR3) X(0x6804, GUEST_CR4)                                                      \
    X(0x6806, GUEST_ES_BASE) X(0x6808, GUEST_CS_BASE) X(0x680a, GUEST_SS_BASE) X(0x680c, GUEST_DS_BASE)                 \
    X(0x680e, GUEST_FS_BASE) X(0x6810, GUEST_GS_BASE) X(0x6812, GUEST_LDTR_BASE) X(0x6814, GUEST_TR_BASE)               \
    X(0x6816, GUEST_GDTR_BASE) X(0x6818, GUEST_IDTR_BASE) X(0x681a, GUEST_DR7) X(0x681c, GUEST_RSP)                     \
    X(0x681e, GUEST_RIP) X(0x6820, GUEST_RFLAGS) X(0x6822, GUEST_PENDING_DEBUG) X(0x6824, GUEST_SYSENTER_ESP)           \
    X(0x6826, GUEST_SYSENTER_EIP) X(0x6828, GUEST_S_CET) X(0x682a, GUEST_SSP) X(0x682c, GUEST_ISST)                     \
    X(0x6c00, HOST_CR0) X(0x6c02, HOST_CR3) X(0x6c04, HOST_CR4) X(0x6c06, HOST_FS_BASE) X(0x6c08, HOST_GS_BASE)         \
    X(0x6c0a, HOST_TR_BASE) X(0x6c0c, HOST_GDTR_BASE) X(0x6c0e, HOST_IDTR_BASE) X(0x6c10, HOST_SYSENTER_ESP)            \
    X(0x6c12, HOST_SYSENTER_EIP) X(0x6c14, HOST_RSP) X(0x6c16, HOST_RIP) X(0x6c18, HOST_S_CET) X(0x6c1a, HOST_SSP)      \
    X(0x6c1c, HOST_ISST)
enum vmcs_field {
#define VMCS_FIELD_ENUM(encoding, name) VMCS_##name = encoding,
    VMCS_FIELD_LIST(VMCS_FIELD_ENUM)
#undef VMCS_FIELD_ENUM
};
/* Fields of a segment lie two apart, in the order of enum VCPU_SEG_*. */
#define VMCS_SEG(first, n) ((u32)(first) + 2u * (u32)(n))

/* Pin-based controls (25.6.1). */
#define VMX_PIN_INTR         0x01u
#define VMX_PIN_NMI          0x08u
#define VMX_PIN_VIRTUAL_NMI  0x20u
#define VMX_PIN_TIMER        0x40u
#define VMX_PIN_POSTED       0x80u

/* Primary processor-based controls (25.6.2). */
#define VMX_PROC_INTR_WINDOW 0x00000004u
#define VMX_PROC_TSC_OFFSET  0x00000008u
#define VMX_PROC_HLT         0x00000080u
#define VMX_PROC_INVLPG      0x00000200u
#define VMX_PROC_MWAIT       0x00000400u
#define VMX_PROC_RDPMC       0x00000800u
#define VMX_PROC_RDTSC       0x00001000u
#define VMX_PROC_CR3_LOAD    0x00008000u
#define VMX_PROC_CR3_STORE   0x00010000u
#define VMX_PROC_TERTIARY    0x00020000u
#define VMX_PROC_CR8_LOAD    0x00080000u
#define VMX_PROC_CR8_STORE   0x00100000u
#define VMX_PROC_TPR_SHADOW  0x00200000u
#define VMX_PROC_NMI_WINDOW  0x00400000u
#define VMX_PROC_DR          0x00800000u
#define VMX_PROC_IO          0x01000000u
#define VMX_PROC_IO_BITMAPS  0x02000000u
#define VMX_PROC_MTF         0x08000000u
#define VMX_PROC_MSR_BITMAPS 0x10000000u
#define VMX_PROC_MONITOR     0x20000000u
#define VMX_PROC_PAUSE       0x40000000u
#define VMX_PROC_SECONDARY   0x80000000u

/* Secondary processor-based controls. */
#define VMX_PROC2_APIC_ACCESS  0x00000001u
#define VMX_PROC2_EPT          0x00000002u
#define VMX_PROC2_DTABLE       0x00000004u
#define VMX_PROC2_RDTSCP       0x00000008u
#define VMX_PROC2_X2APIC       0x00000010u
#define VMX_PROC2_VPID         0x00000020u
#define VMX_PROC2_WBINVD       0x00000040u
#define VMX_PROC2_UNRESTRICTED 0x00000080u
#define VMX_PROC2_APIC_REG     0x00000100u
#define VMX_PROC2_VID          0x00000200u
#define VMX_PROC2_PLE          0x00000400u
#define VMX_PROC2_RDRAND       0x00000800u
#define VMX_PROC2_INVPCID      0x00001000u
#define VMX_PROC2_VMFUNC       0x00002000u
#define VMX_PROC2_SHADOW       0x00004000u
#define VMX_PROC2_ENCLS        0x00008000u
#define VMX_PROC2_RDSEED       0x00010000u
#define VMX_PROC2_PML          0x00020000u
#define VMX_PROC2_VE           0x00040000u
#define VMX_PROC2_XSAVES       0x00100000u
#define VMX_PROC2_MBE          0x00400000u
#define VMX_PROC2_SPP          0x00800000u
#define VMX_PROC2_PT_GPA       0x01000000u
#define VMX_PROC2_TSC_SCALING  0x02000000u
#define VMX_PROC2_USER_WAIT    0x04000000u

/* VM-exit controls (25.7.1). */
#define VMX_EXIT_SAVE_DEBUG  0x00000004u
#define VMX_EXIT_HOST64      0x00000200u
#define VMX_EXIT_PERF_GLOBAL 0x00001000u
#define VMX_EXIT_ACK_INTR    0x00008000u
#define VMX_EXIT_SAVE_PAT    0x00040000u
#define VMX_EXIT_LOAD_PAT    0x00080000u
#define VMX_EXIT_SAVE_EFER   0x00100000u
#define VMX_EXIT_LOAD_EFER   0x00200000u
#define VMX_EXIT_SAVE_TIMER  0x00400000u
#define VMX_EXIT_BNDCFGS     0x00800000u
#define VMX_EXIT_LOAD_CET    0x10000000u
#define VMX_EXIT_LOAD_PKRS   0x20000000u
#define VMX_EXIT_SECONDARY   0x80000000u

/* VM-entry controls (25.8.1). */
#define VMX_ENTRY_LOAD_DEBUG      0x00000004u
#define VMX_ENTRY_IA32E           0x00000200u
#define VMX_ENTRY_SMM             0x00000400u
#define VMX_ENTRY_DUAL_MONITOR    0x00000800u
#define VMX_ENTRY_PERF_GLOBAL     0x00002000u
#define VMX_ENTRY_LOAD_PAT        0x00004000u
#define VMX_ENTRY_LOAD_EFER       0x00008000u
#define VMX_ENTRY_BNDCFGS         0x00010000u
#define VMX_ENTRY_RTIT            0x00040000u
#define VMX_ENTRY_LOAD_CET        0x00100000u
#define VMX_ENTRY_LBR             0x00200000u
#define VMX_ENTRY_LOAD_PKRS       0x00400000u

/* Interruption information (25.8.3, 25.9.2): vector 7:0, type 10:8, error code 11, NMI unblocking by IRET 12 (exits only), valid 31. */
#define VMX_INTR_VALID    0x80000000u
#define VMX_INTR_ERROR    0x00000800u
#define VMX_INTR_UNBLOCK  0x00001000u
#define VMX_INTR_TYPE(i)  ((u32)(i) >> 8 & 7)
enum { VMX_EVENT_INTR = 0, VMX_EVENT_NMI = 2, VMX_EVENT_EXCEPTION = 3, VMX_EVENT_SOFT_INTR = 4, VMX_EVENT_PRIV = 5, VMX_EVENT_SOFT = 6,
       VMX_EVENT_OTHER = 7 };

/* Basic exit reasons (appendix C). Bit 31 of the reason: the entry failed. */
#define VMX_EXIT_REASON_LIST(X)                                                                                         \
    X(0, EXCEPTION) X(1, INTR) X(2, TRIPLE) X(3, INIT) X(4, SIPI) X(5, IO_SMI) X(6, SMI) X(7, INTR_WINDOW)              \
    X(8, NMI_WINDOW) X(9, TASK_SWITCH) X(10, CPUID) X(11, GETSEC) X(12, HLT) X(13, INVD) X(14, INVLPG) X(15, RDPMC)     \
    X(16, RDTSC) X(17, RSM) X(18, VMCALL) X(19, VMCLEAR) X(20, VMLAUNCH) X(21, VMPTRLD) X(22, VMPTRST) X(23, VMREAD)    \
    X(24, VMRESUME) X(25, VMWRITE) X(26, VMXOFF) X(27, VMXON) X(28, CR) X(29, DR) X(30, IO) X(31, RDMSR) X(32, WRMSR)   \
    X(33, FAIL_STATE) X(34, FAIL_MSR) X(36, MWAIT) X(37, MTF) X(39, MONITOR) X(40, PAUSE) X(41, FAIL_MCE)               \
    X(43, TPR) X(44, APIC_ACCESS) X(45, EOI) X(46, GDTR_IDTR) X(47, LDTR_TR) X(48, EPT_VIOLATION) X(49, EPT_MISCONFIG)  \
    X(50, INVEPT) X(51, RDTSCP) X(52, TIMER) X(53, INVVPID) X(54, WBINVD) X(55, XSETBV) X(56, APIC_WRITE) X(57, RDRAND) \
    X(58, INVPCID) X(59, VMFUNC) X(60, ENCLS) X(61, RDSEED) X(62, PML_FULL) X(63, XSAVES) X(64, XRSTORS) X(66, SPP)     \
    X(67, UMWAIT) X(68, TPAUSE) X(69, LOADIWKEY)
enum vmx_exit_reason {
#define VMX_REASON_ENUM(number, name) VMX_REASON_##name = number,
    VMX_EXIT_REASON_LIST(VMX_REASON_ENUM)
#undef VMX_REASON_ENUM
};
#define VMX_REASON_BASIC(r)  ((u32)(r)&0xffff)
#define VMX_REASON_FAILED    0x80000000u

/* VM-instruction errors (31.4). */
enum { VMX_ERROR_VMCALL = 1, VMX_ERROR_VMCLEAR_ADDR = 2, VMX_ERROR_VMCLEAR_VMXON = 3, VMX_ERROR_LAUNCH_NOT_CLEAR = 4,
       VMX_ERROR_RESUME_NOT_LAUNCHED = 5, VMX_ERROR_RESUME_AFTER_VMXOFF = 6, VMX_ERROR_CONTROLS = 7, VMX_ERROR_HOST = 8,
       VMX_ERROR_VMPTRLD_ADDR = 9, VMX_ERROR_VMPTRLD_VMXON = 10, VMX_ERROR_VMPTRLD_REVISION = 11, VMX_ERROR_FIELD = 12,
       VMX_ERROR_READ_ONLY = 13, VMX_ERROR_VMXON = 15, VMX_ERROR_MOV_SS = 26, VMX_ERROR_INVALIDATE = 28 };

/* Capability MSRs (appendix A). */
#define MSR_FEATURE_CONTROL        0x3au
#define MSR_VMX_BASIC              0x480u
#define MSR_VMX_PIN                0x481u
#define MSR_VMX_PROC               0x482u
#define MSR_VMX_EXIT               0x483u
#define MSR_VMX_ENTRY              0x484u
#define MSR_VMX_MISC               0x485u
#define MSR_VMX_CR0_FIXED0         0x486u
#define MSR_VMX_CR0_FIXED1         0x487u
#define MSR_VMX_CR4_FIXED0         0x488u
#define MSR_VMX_CR4_FIXED1         0x489u
#define MSR_VMX_VMCS_ENUM          0x48au
#define MSR_VMX_PROC2              0x48bu
#define MSR_VMX_EPT_VPID           0x48cu
#define MSR_VMX_TRUE_PIN           0x48du
#define MSR_VMX_TRUE_PROC          0x48eu
#define MSR_VMX_TRUE_EXIT          0x48fu
#define MSR_VMX_TRUE_ENTRY         0x490u
#define MSR_VMX_VMFUNC             0x491u
#define MSR_VMX_PROC3              0x492u
#define FEATURE_CONTROL_LOCK       0x1ul
#define FEATURE_CONTROL_VMX        0x4ul      /* VMXON outside SMX */
#define VMX_BASIC_REVISION(v)      ((u32)(v)&0x7fffffffu)
#define VMX_BASIC_32BIT            bit(48)    /* VMXON region and VMCS addresses have 32 bits */
#define VMX_BASIC_TRUE             bit(55)    /* the TRUE capability MSRs exist */
#define VMX_BASIC_NO_ERROR_OK      bit(56)    /* exceptions may be injected with or without error code */
#define VMX_MISC_SAVE_LMA          bit(5)
#define VMX_MISC_HLT               bit(6)     /* activity states that may be entered */
#define VMX_MISC_SHUTDOWN          bit(7)
#define VMX_MISC_WAIT_SIPI         bit(8)
#define VMX_MISC_CR3_TARGETS(v)    ((u32)((v) >> 16 & 0x1ff))
#define VMX_MISC_INSN_LEN_0        bit(30)
#define VMX_EPT_EXEC_ONLY          bit(0)
#define VMX_EPT_WALK4              bit(6)
#define VMX_EPT_UC                 bit(8)
#define VMX_EPT_WB                 bit(14)
#define VMX_EPT_2M                 bit(16)
#define VMX_EPT_1G                 bit(17)
#define VMX_EPT_INVEPT             bit(20)
#define VMX_EPT_AD                 bit(21)
#define VMX_EPT_EXIT_INFO          bit(22)    /* advanced exit information for EPT violations */
#define VMX_EPT_INVEPT_SINGLE      bit(25)
#define VMX_EPT_INVEPT_ALL         bit(26)
#define VMX_VPID_INVVPID           bit(32)
#define VMX_VPID_ADDRESS           bit(40)
#define VMX_VPID_SINGLE            bit(41)
#define VMX_VPID_ALL               bit(42)
#define VMX_VPID_SINGLE_KEEP       bit(43)

/* EPTP (25.6.11): memory type 2:0, walk length - 1 5:3, accessed and dirty flags 6. */
#define EPTP_WB    6ul
#define EPTP_WALK4 (3ul << 3)
#define EPTP_AD    bit(6)
#define INVEPT_SINGLE  1u
#define INVEPT_ALL     2u
#define INVVPID_ADDRESS 0u
#define INVVPID_SINGLE  1u
#define INVVPID_ALL     2u

/* Exit qualifications (28.2.1). */
#define EPTQ_READ          0x001ul
#define EPTQ_WRITE         0x002ul
#define EPTQ_FETCH         0x004ul
#define EPTQ_PRESENT(q)    ((u32)((q) >> 3 & 7))   /* rights there: R W X */
#define EPTQ_GVA_VALID     0x080ul
#define EPTQ_FINAL         0x100ul                 /* 0: the access was to a paging-structure entry */
#define EPTQ_NMI_UNBLOCK   0x1000ul
#define CRQ_NUMBER(q)      ((u32)((q)&0xf))
#define CRQ_TYPE(q)        ((u32)((q) >> 4 & 3))   /* 0 MOV to, 1 MOV from, 2 CLTS, 3 LMSW */
#define CRQ_GPR(q)         ((u32)((q) >> 8 & 0xf))
#define CRQ_LMSW_MEM(q)    ((u32)((q) >> 6 & 1))
#define CRQ_LMSW(q)        ((u32)((q) >> 16 & 0xffff))
#define IOQ_SIZE(q)        ((u32)((q)&7) + 1)
#define IOQ_IN             0x08ul
#define IOQ_STRING         0x10ul
#define IOQ_REP            0x20ul
#define IOQ_IMMEDIATE      0x40ul
#define IOQ_PORT(q)        ((u32)((q) >> 16 & 0xffff))
#define IO_INFO_ADDRESS(i) (2u << ((u32)(i) >> 7 & 7))   /* bytes; instruction information of INS and OUTS */
#define IO_INFO_SEG(i)     ((u32)(i) >> 15 & 7)

/* Guest state. */
#define VMX_AR_L               0x2000u   /* access rights of CS: 64-bit code */
#define VMX_ACTIVITY_ACTIVE    0u
#define VMX_ACTIVITY_HLT       1u
#define VMX_ACTIVITY_SHUTDOWN  2u
#define VMX_ACTIVITY_WAIT_SIPI 3u
#define VMX_BLOCK_STI          0x01u
#define VMX_BLOCK_MOV_SS       0x02u
#define VMX_BLOCK_SMI          0x04u
#define VMX_BLOCK_NMI          0x08u
#define VMX_BLOCK_ENCLAVE      0x10u
#define VMX_QUAL_PDPTE         2u   /* qualification of a failed entry (27.8) */
#define VMX_QUAL_NMI           3u
#define VMX_QUAL_LINK          4u

/* One entry of an MSR-load or MSR-store area (25.8.2). */
struct vmx_msr_entry {
    u32 index, reserved;
    u64 value;
};
static_assert(sizeof(struct vmx_msr_entry) == 16, "hardware format");
