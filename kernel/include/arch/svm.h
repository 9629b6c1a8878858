/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD SVM: VMCB layout, intercept bits, exit codes, MSRs (AMD APM 2, chapter 15 and appendices B, C). Constants and layouts only: the
 * kernel's driver and the simulated processor both read them. */
#pragma once
#include "base.h"

/* A segment in the VMCB state save area. attributes: descriptor bits 55:52 and 47:40 packed: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9,
 * D/B 10, G 11 (15.5.1). */
struct vmcb_seg {
    u16 selector, attributes;
    u32 limit;
    u64 base;
};

struct vmcb {
    /* Control area, appendix B table B-1. */
    u16 intercept_cr_read, intercept_cr_write;
    u16 intercept_dr_read, intercept_dr_write;
    u32 intercept_exceptions;
    u32 intercept1;            /* SVM_ICEPT1_* */
    u32 intercept2;            /* SVM_ICEPT2_* */
    u32 intercept3;
    u8 reserved_018[0x03c - 0x018];
    u16 pause_threshold, pause_count;
    u64 iopm_base, msrpm_base, tsc_offset;
    u32 asid;
    u8 tlb_control, reserved_05d[3];
    u64 int_control;           /* V_TPR 7:0, V_IRQ 8, V_INTR_PRIO 19:16, V_IGN_TPR 20, V_INTR_MASKING 24, V_INTR_VECTOR 39:32 */
    u64 int_shadow;            /* bit 0: interrupt shadow; bit 1: the guest's RFLAGS.IF */
    u64 exit_code, exit_info1, exit_info2, exit_int_info;
    u64 np_control;            /* bit 0: NP_ENABLE */
    u64 avic_bar, ghcb;
    u64 event_inj;             /* SVM_EVENT_*, error code 63:32 */
    u64 n_cr3;
    u64 virt_ext;
    u32 clean, reserved_0c4;
    u64 next_rip;
    u8 fetched_bytes, insn_bytes[15];
    u64 avic_backing, reserved_0e8, avic_logical, avic_physical, reserved_100, vmsa;
    u8 reserved_110[0x400 - 0x110];
    /* State save area, table B-2. */
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    u8 reserved_4a0[0x4cb - 0x4a0];
    u8 cpl;
    u32 reserved_4cc;
    u64 efer;
    u8 reserved_4d8[0x548 - 0x4d8];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
    u8 reserved_580[0x5d8 - 0x580];
    u64 rsp, s_cet, ssp, isst, rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    u8 reserved_648[0x668 - 0x648];
    u64 g_pat, debugctl, br_from, br_to, last_excp_from, last_excp_to;
    u8 reserved_698[0x1000 - 0x698];
};
#define VMCB_AT(member, offset) static_assert(offset_of(struct vmcb, member) == (offset), "VMCB layout")
VMCB_AT(intercept_exceptions, 0x008);
VMCB_AT(intercept1, 0x00c);
VMCB_AT(intercept2, 0x010);
VMCB_AT(pause_threshold, 0x03c);
VMCB_AT(iopm_base, 0x040);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(asid, 0x058);
VMCB_AT(tlb_control, 0x05c);
VMCB_AT(int_control, 0x060);
VMCB_AT(int_shadow, 0x068);
VMCB_AT(exit_code, 0x070);
VMCB_AT(exit_int_info, 0x088);
VMCB_AT(np_control, 0x090);
VMCB_AT(event_inj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(clean, 0x0c0);
VMCB_AT(next_rip, 0x0c8);
VMCB_AT(fetched_bytes, 0x0d0);
VMCB_AT(avic_backing, 0x0e0);
VMCB_AT(es, 0x400);
VMCB_AT(gdtr, 0x460);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
static_assert(sizeof(struct vmcb) == PAGE_SIZE, "hardware format");

/* Intercepts, word at 0x00c. */
#define SVM_ICEPT1_INTR       0x00000001u
#define SVM_ICEPT1_NMI        0x00000002u
#define SVM_ICEPT1_SMI        0x00000004u
#define SVM_ICEPT1_INIT       0x00000008u
#define SVM_ICEPT1_VINTR      0x00000010u
#define SVM_ICEPT1_CR0_SEL    0x00000020u
#define SVM_ICEPT1_IDTR_READ  0x00000040u
#define SVM_ICEPT1_RDTSC      0x00004000u
#define SVM_ICEPT1_RDPMC      0x00008000u
#define SVM_ICEPT1_PUSHF      0x00010000u
#define SVM_ICEPT1_POPF       0x00020000u
#define SVM_ICEPT1_CPUID      0x00040000u
#define SVM_ICEPT1_RSM        0x00080000u
#define SVM_ICEPT1_IRET       0x00100000u
#define SVM_ICEPT1_INTN       0x00200000u
#define SVM_ICEPT1_INVD       0x00400000u
#define SVM_ICEPT1_PAUSE      0x00800000u
#define SVM_ICEPT1_HLT        0x01000000u
#define SVM_ICEPT1_INVLPG     0x02000000u
#define SVM_ICEPT1_INVLPGA    0x04000000u
#define SVM_ICEPT1_IO         0x08000000u
#define SVM_ICEPT1_MSR        0x10000000u
#define SVM_ICEPT1_TASK       0x20000000u
#define SVM_ICEPT1_FERR       0x40000000u
#define SVM_ICEPT1_SHUTDOWN   0x80000000u
/* Word at 0x010. */
#define SVM_ICEPT2_VMRUN      0x0001u
#define SVM_ICEPT2_VMMCALL    0x0002u
#define SVM_ICEPT2_VMLOAD     0x0004u
#define SVM_ICEPT2_VMSAVE     0x0008u
#define SVM_ICEPT2_STGI       0x0010u
#define SVM_ICEPT2_CLGI       0x0020u
#define SVM_ICEPT2_SKINIT     0x0040u
#define SVM_ICEPT2_RDTSCP     0x0080u
#define SVM_ICEPT2_ICEBP      0x0100u
#define SVM_ICEPT2_WBINVD     0x0200u
#define SVM_ICEPT2_MONITOR    0x0400u
#define SVM_ICEPT2_MWAIT      0x0800u
#define SVM_ICEPT2_MWAIT_COND 0x1000u
#define SVM_ICEPT2_XSETBV     0x2000u
#define SVM_ICEPT2_RDPRU      0x4000u

#define SVM_TLB_KEEP       0u
#define SVM_TLB_ALL        1u
#define SVM_TLB_ASID       3u
#define SVM_TLB_ASID_LOCAL 7u   /* non-global */

#define SVM_INT_V_TPR      0xfful
#define SVM_INT_V_IRQ      bit(8)
#define SVM_INT_PRIO(p)    ((u64)(p) << 16)
#define SVM_INT_PRIO_MASK  (0xful << 16)
#define SVM_INT_IGN_TPR    bit(20)
#define SVM_INT_MASKING    bit(24)
#define SVM_INT_VECTOR(v)  ((u64)(v) << 32)
#define SVM_NP_ENABLE      bit(0)
#define SVM_SHADOW         bit(0)

/* EVENTINJ and EXITINTINFO (15.20, 15.7.2): vector 7:0, type 10:8, error code valid 11, valid 31, error code 63:32. */
#define SVM_EVENT_VALID    0x80000000ul
#define SVM_EVENT_ERROR    0x800ul
#define SVM_EVENT_TYPE(e)  ((u32)((e) >> 8 & 7))
enum { SVM_EVENT_INTR = 0, SVM_EVENT_NMI = 2, SVM_EVENT_EXCEPTION = 3, SVM_EVENT_SOFT_INTR = 4 };

/* Exit codes (appendix C). Ranges: CR read + n, CR write + n, DR read + n, DR write + n, exception + vector. */
#define SVM_EXIT_CR_READ    0x000u
#define SVM_EXIT_CR_WRITE   0x010u
#define SVM_EXIT_DR_READ    0x020u
#define SVM_EXIT_DR_WRITE   0x030u
#define SVM_EXIT_EXCEPTION  0x040u
#define SVM_EXIT_CODE_LIST(X)                                                                                           \
    X(0x060, INTR) X(0x061, NMI) X(0x062, SMI) X(0x063, INIT) X(0x064, VINTR) X(0x065, CR0_SEL) X(0x066, IDTR_READ)     \
    X(0x067, GDTR_READ) X(0x068, LDTR_READ) X(0x069, TR_READ) X(0x06a, IDTR_WRITE) X(0x06b, GDTR_WRITE)                 \
    X(0x06c, LDTR_WRITE) X(0x06d, TR_WRITE) X(0x06e, RDTSC) X(0x06f, RDPMC) X(0x070, PUSHF) X(0x071, POPF)              \
    X(0x072, CPUID) X(0x073, RSM) X(0x074, IRET) X(0x075, INTN) X(0x076, INVD) X(0x077, PAUSE) X(0x078, HLT)            \
    X(0x079, INVLPG) X(0x07a, INVLPGA) X(0x07b, IO) X(0x07c, MSR) X(0x07d, TASK) X(0x07e, FERR) X(0x07f, SHUTDOWN)      \
    X(0x080, VMRUN) X(0x081, VMMCALL) X(0x082, VMLOAD) X(0x083, VMSAVE) X(0x084, STGI) X(0x085, CLGI) X(0x086, SKINIT)  \
    X(0x087, RDTSCP) X(0x088, ICEBP) X(0x089, WBINVD) X(0x08a, MONITOR) X(0x08b, MWAIT) X(0x08c, MWAIT_COND)            \
    X(0x08d, XSETBV) X(0x08e, RDPRU) X(0x400, NPF) X(0x401, AVIC_IPI) X(0x402, AVIC_NOACCEL) X(0x403, VMGEXIT)
enum svm_exit_code {
#define SVM_EXIT_ENUM(number, name) SVM_EXIT_##name = number,
    SVM_EXIT_CODE_LIST(SVM_EXIT_ENUM)
#undef SVM_EXIT_ENUM
};
#define SVM_EXIT_INVALID    (~0ul)   /* some implementations store it as 32 bits: compare the low half */

/* EXITINFO1 of IO (15.10.2). */
#define SVM_IO_IN          0x01ul
#define SVM_IO_STRING      0x04ul
#define SVM_IO_REP         0x08ul
#define SVM_IO_SIZE(i)     ((u32)((i) >> 4 & 7))   /* bytes: 1, 2 or 4 */
#define SVM_IO_ADDRESS(i)  ((u32)((i) >> 7 & 7))   /* bit 0: 16, 1: 32, 2: 64 bits */
#define SVM_IO_SEG(i)      ((u32)((i) >> 10 & 7))
#define SVM_IO_PORT(i)     ((u32)((i) >> 16 & 0xffff))
/* EXITINFO1 of MOV CR and MOV DR with decode assists (15.8.1): bit 63 MOV, 3:0 register. */
#define SVM_CR_MOV         bit(63)
/* EXITINFO1 of a nested page fault (15.25.6). */
#define SVM_NPF_PRESENT    0x01ul
#define SVM_NPF_WRITE      0x02ul
#define SVM_NPF_USER       0x04ul
#define SVM_NPF_RESERVED   0x08ul
#define SVM_NPF_FETCH      0x10ul
#define SVM_NPF_FINAL      bit(32)   /* the guest's final address */
#define SVM_NPF_TABLE      bit(33)   /* a guest page-table access */

/* Discovery. */
#define CPUID_SVM            0x8000000au
#define CPUID_SVM_NP         bit(0)    /* EDX */
#define CPUID_SVM_NRIP       bit(3)
#define CPUID_SVM_FLUSH_ASID bit(6)
#define CPUID_SVM_DECODE     bit(7)
#define MSR_VM_CR            0xc0010114u
#define MSR_VM_HSAVE_PA      0xc0010117u
#define VM_CR_SVMDIS         bit(4)
#define SVM_IOPM_BYTES       (3 * PAGE_SIZE)
#define SVM_MSRPM_BYTES      (2 * PAGE_SIZE)
