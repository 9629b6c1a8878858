/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPU interface: a blocking run, neutral exits, one state page. The same on VMX and SVM.
 *
 * The rules:
 *  1. The state pages belong to the VMM only between the return of one vcpu_run and the next.
 *  2. The unit of transfer is the group. `dirty` names the groups the VMM wrote, every member valid; a dirty group this machine lacks
 *     is refused (STATUS_FEATURE from vcpu_run, nothing run). `valid` names the groups the kernel wrote at the last exit: those the exit
 *     reason always brings (VCPU_EXIT_GROUPS) and those in `want`; vcpu_fetch brings more.
 *  3. Exits are neutral. A spurious VCPU_EXIT_KICKED is legal.
 *  4. An injection is a request with a result: after each run `pending` holds the event that was not delivered, whatever the reason, or 0.
 *  5. Windows (`windows`) are levels, asked for on each run.
 *  6. To halt, do not run; a kick wakes. The end of the vCPU ends its run: STATUS_ABORT, without an exit.
 *  7. The TSC offset is absolute: guest TSC = host TSC + tsc_offset.
 *  8. Segment attributes: struct vcpu_segment.
 *  9. Unmap is exact and synchronous (revoke).
 * 10. An EC inside a run is not callable (STATUS_BUSY) and never helped; a run on a donated SC is refused (STATUS_BUSY); the
 *     end of a budget is no exit.
 * 11. Garbage in the pages gives VCPU_EXIT_ENTRY_FAILED with the id of the check, never a fault in the kernel. The kernel never
 *     reads guest instruction bytes: insn_len 0 means "unknown", the VMM decodes. */
#pragma once
#include "base.h"

#define VCPU_STATE_PAGES   2u
#define VCPU_STATE_VERSION 1u

/* Groups: bit, name, what it holds. */
#define VCPU_GROUP_LIST(X)                                                                            \
    X(0, GPR, "general-purpose registers, RSP included")                                              \
    X(1, RIP, "RIP and RFLAGS")                                                                       \
    X(2, SEG, "ES CS SS DS FS GS LDTR TR")                                                            \
    X(3, TABLE, "GDTR and IDTR")                                                                      \
    X(4, CR, "CR0 CR2 CR3 CR4 CR8")                                                                   \
    X(5, DR, "DR0-DR3 DR6 DR7")                                                                       \
    X(6, EFER, "EFER and PAT")                                                                        \
    X(7, SYSENTER, "SYSENTER CS ESP EIP")                                                             \
    X(8, SYSCALL, "STAR LSTAR CSTAR FMASK KERNEL_GS TSC_AUX")                                         \
    X(9, TSC, "TSC offset")                                                                           \
    X(10, FPU, "XCR0 and the FPU image in the second page")                                           \
    X(11, PDPTE, "the four PAE page-directory pointers")                                              \
    X(12, ACTIVITY, "activity, interruptibility, pending debug exceptions")                           \
    X(13, INJECT, "event to inject at this entry; windows wanted")                                    \
    X(14, CONTROL, "intercepts")
enum vcpu_group {
#define VCPU_GROUP_ENUM(number, name, text) VCPU_GROUP_##name = 1u << number,
    VCPU_GROUP_LIST(VCPU_GROUP_ENUM)
#undef VCPU_GROUP_ENUM
            VCPU_GROUP_ALL = 0x7fffu,
};

/* Exit reasons: number, name, groups it always brings (beside those in `want`). */
#define VCPU_EXIT_LIST(X)                                                                                                    \
    X(0, STARTUP, VCPU_GROUP_ALL & ~VCPU_GROUP_FPU, "first run of a vCPU: the reset state, nothing has run")                 \
    X(1, KICKED, 0, "vcpu_kick, or for no reason")                                                                           \
    X(2, IO, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "IN, OUT, INS, OUTS")                                                          \
    X(3, MMIO, VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_CR | VCPU_GROUP_EFER, "nested page fault")      \
    X(4, MSR_READ, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "RDMSR")                                                                 \
    X(5, MSR_WRITE, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "WRMSR")                                                                \
    X(6, CPUID, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "CPUID")                                                                    \
    X(7, HLT, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY, "HLT")                                                                   \
    X(8, CR, VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_CR | VCPU_GROUP_EFER, "control register access")                   \
    X(9, EXCEPTION, VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_CR, "an intercepted exception")                             \
    X(10, INTR_WINDOW, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY, "the guest can take an interrupt now")                          \
    X(11, NMI_WINDOW, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY, "the guest can take an NMI now")                                 \
    X(12, SHUTDOWN, VCPU_GROUP_RIP, "triple fault")                                                                          \
    X(13, HYPERCALL, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "VMCALL or VMMCALL")                                                   \
    X(14, ENTRY_FAILED, 0, "the state was refused; u.entry_failed says which check")                                         \
    X(15, OTHER, VCPU_GROUP_GPR | VCPU_GROUP_RIP, "raw reason below")
enum vcpu_exit_reason {
#define VCPU_EXIT_ENUM(number, name, groups, text) VCPU_EXIT_##name = number,
    VCPU_EXIT_LIST(VCPU_EXIT_ENUM)
#undef VCPU_EXIT_ENUM
            VCPU_EXIT_COUNT,
};

/* Attributes of a segment: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16; 11:8 zero (Intel SDM 3C 25.4.1). */
struct vcpu_segment {
    u64 base;
    u32 limit;       /* bytes - 1, scaled by G already */
    u32 attributes;
    u16 selector;
    u16 reserved[3];
};
enum { VCPU_SEG_ES, VCPU_SEG_CS, VCPU_SEG_SS, VCPU_SEG_DS, VCPU_SEG_FS, VCPU_SEG_GS, VCPU_SEG_LDTR, VCPU_SEG_TR, VCPU_SEG_COUNT };
#define VCPU_SEG_UNUSABLE 0x10000u

/* Event format of `inject`, `pending`: vector 7:0, type 10:8 (0 external interrupt, 2 NMI, 3 exception, 4 software interrupt,
 * 5 privileged software exception (INT1), 6 software exception (INT3, INTO)), error code valid 11, valid 31, error code 63:32;
 * for types 4..6 the instruction length stands in inject_insn_len. */
#define VCPU_EVENT_VALID        0x80000000ul
#define VCPU_EVENT_ERROR        0x800ul
#define VCPU_EVENT_INTERRUPT(v) (VCPU_EVENT_VALID | (u64)(v))
#define VCPU_EVENT_NMI          (VCPU_EVENT_VALID | 0x200ul | 2ul)
#define VCPU_EVENT_EXCEPTION(v) (VCPU_EVENT_VALID | 0x300ul | (u64)(v))
#define VCPU_WINDOW_INTR        0x1u
#define VCPU_WINDOW_NMI         0x2u

#define VCPU_ACTIVITY_ACTIVE 0u
#define VCPU_BLOCKED_STI     0x1u   /* interruptibility */
#define VCPU_BLOCKED_MOV_SS  0x2u
#define VCPU_BLOCKED_NMI     0x8u

struct vcpu_exit {
    u32 reason;     /* enum vcpu_exit_reason */
    u32 insn_len;   /* bytes; 0: unknown */
    union {
        struct { u16 port; u8 size; u8 in, string, rep, address_size; u8 reserved; u32 reserved2; u64 count; } io;   /* sizes in bytes; address_size 0: unknown */
        struct { u64 gpa; u32 access; u32 present; u64 gva; u32 gva_valid; } mmio;   /* access: RIGHT_ bits asked; present: RIGHT_ bits there */
        struct { u32 index; } msr;
        struct { u32 number, gpr, write, kind; } cr;           /* kind: 0 mov, 1 clts, 2 lmsw, 3 unknown: VMM decodes */
        struct { u32 vector, error_valid, error; u32 reserved; u64 address; } exception;   /* address: #PF: CR2; #DB: DR6 as its handler
                                                                       is to find it, whoever delivers it loads that; else undefined */
        struct { u32 check; u32 vmx_error; u64 qualification; } entry_failed;   /* check: VCPU_CHECK(letter, number), 0: machine gives none */
        u64 words[6];
    } u;
    u64 raw_reason, raw_info1, raw_info2;   /* vendor's own, for reports and traces: exit reason or code; qualification or EXITINFO1; guest-physical address or EXITINFO2 */
};
#define VCPU_CHECK(letter, number) ((u32)(letter) << 8 | (u32)(number))   /* the documented id of an entry check, such as 'G', 2 */

struct vcpu_state {
    /* Page 0. Control words. */
    u32 version;        /* VCPU_STATE_VERSION, kernel writes */
    u32 capabilities;   /* groups this machine can transfer; VCPU_TRACED */
    u32 valid, dirty, want;
    u32 vendor;         /* 1 VMX, 2 SVM: for reports only */
    struct vcpu_exit exit;
    u64 pending;        /* rule 4 */
    /* Group INJECT. */
    u64 inject;
    u32 inject_insn_len, windows;
    /* Group CONTROL. */
    u32 exceptions;     /* bitmap of intercepted exception vectors. 1 and 17 that are not in it still exit, as a guest can raise them without
                           end, and go back to the guest unseen; but if one broke the delivery of an interrupt, an NMI or an injected
                           instruction, it is reported, with that event in `pending` */
    u32 control_flags;  /* VCPU_CONTROL_* */
    u64 control_reserved[2];
    /* Group RIP, GPR. */
    u64 rip, rflags;
    u64 gpr[16];        /* x86 encoding order, RSP at 4 */
    struct vcpu_segment seg[VCPU_SEG_COUNT];
    struct { u64 base; u32 limit; u32 reserved; } gdtr, idtr;
    u64 cr0, cr2, cr3, cr4, cr8;   /* CR4.PKE, CET, PKS, UINTR and FRED are refused: their state is not switched. VCPU_EXIT_CR for CR4: on VMX a
                                      MOV that would change one of them, MCE or VMXE; on SVM every MOV to CR4, if the processor has any of them */
    u64 dr0, dr1, dr2, dr3, dr6, dr7;
    u64 efer, pat;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 star, lstar, cstar, fmask, kernel_gs, tsc_aux;
    u64 tsc_offset;
    u64 xcr0;
    u32 fpu_bytes;      /* size of the image the kernel wrote or expects; 0: no FPU group */
    u32 fpu_reserved;
    u64 pdpte[4];
    u32 activity, interruptibility;
    u64 pending_debug;
    u8 page_rest[3328];
    /* Page 1: FPU image in XSAVE standard format, or FXSAVE format (512 bytes) where the machine has no XSAVE. */
    u8 fpu[PAGE_SIZE];
};
#define VCPU_CONTROL_RDTSC 0x1u   /* intercept RDTSC and RDTSCP */
#define VCPU_TRACED bit(31)       /* a trace is written: a VMM tells it what it takes from outside (hypercalls clock, trace) */

static_assert(sizeof(struct vcpu_segment) == 24, "ABI");
static_assert(sizeof(struct vcpu_exit) == 80, "ABI");
static_assert(offset_of(struct vcpu_state, fpu) == PAGE_SIZE, "page 1 is the FPU image");
static_assert(sizeof(struct vcpu_state) == VCPU_STATE_PAGES * PAGE_SIZE, "ABI");
