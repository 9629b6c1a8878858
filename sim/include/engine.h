/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines: what a simulated CPU does outside the kernel. Program fibers and Unicorn run user mode; Unicorn and recorded exits run guests.
 * An engine executes until something the machine must handle, and says what, in terms of neither vendor: the VMX and SVM models turn
 * guest events into exits of theirs. An engine never touches kernel state; memory only through sim_mem.h. */
#pragma once
#include "abi/vcpu.h"
#include "machine.h"

struct sim_cpu;

enum engine_event_kind {
    EVENT_SLICE,         /* `steps` are used up, or the engine chose to stop between two instructions */
    EVENT_SYSCALL,       /* user: SYSCALL; RIP after it, RCX and R11 set */
    EVENT_EXCEPTION,     /* vector, error, address; RIP at the instruction (after it for traps). #DB of a guest: info is what DR6 gets, which is not
                            in DR6 yet, causes that DR6 shows as 0 as 1; insn_len > 0 is INT1 with RIP at it */
    EVENT_WAIT,          /* nothing to do: others first; in worlds: until an interrupt */
    EVENT_END,           /* this engine has nothing more to run (recorded exits: trace finished) */
    /* Guest only; RIP at the instruction, nothing executed; insn_len if known. */
    EVENT_CPUID, EVENT_HLT, EVENT_IO, EVENT_RDMSR, EVENT_WRMSR, EVENT_HYPERCALL /* info: 0 VMCALL, 1 VMMCALL */, EVENT_RDTSC,
    EVENT_MOV_CR, EVENT_MOV_DR, EVENT_CLTS, EVENT_LMSW /* info: operand */, EVENT_INVLPG /* address */, EVENT_WBINVD, EVENT_XSETBV,
    EVENT_NESTED_FAULT,  /* gpa, access, gva: no translation or missing right; info 1: met by the guest's page walk */
    EVENT_TRIPLE_FAULT,
    EVENT_INTR_WINDOW,   /* the guest became interruptible while `want_window` was set */
    EVENT_OTHER_INSN,    /* an instruction that always exits on one vendor; info: 0x0f01c1-style opcode bytes */
};

struct engine_event {
    enum engine_event_kind kind;
    u32 vector, error, insn_len;
    bool error_valid;
    u64 address;         /* CR2; MSR index stands in RCX */
    u64 info;
    struct { u16 port; u8 size, in, string, rep, address_size, seg; } io;
    struct { u32 number, gpr, write; } cr;
    u64 gpa, gva;
    u32 access;          /* RIGHT_* */
    bool gva_valid;
    u64 steps;           /* instructions executed before this event */
    u8 fetched[15], fetched_bytes;   /* data fault of an instruction: its bytes and what follows, as far as they can be fetched; 0: none, or not told */
};

/* Architectural state of a guest, loaded from VMCS or VMCB by the model, stored back by it. */
struct sim_guest {
    u64 gpr[16], rip, rflags;
    struct vcpu_segment seg[VCPU_SEG_COUNT];
    struct { u64 base; u32 limit; } gdtr, idtr;
    u64 cr0, cr2, cr3, cr4, cr8, efer, pat, dr6, dr7;
    u64 sysenter_cs, sysenter_esp, sysenter_eip, star, lstar, cstar, fmask, kernel_gs, tsc_aux;
    u64 tsc_offset, xcr0, pdpte[4];
    u32 interruptibility;   /* VCPU_BLOCKED_* */
    u32 activity;
    u64 event;           /* event being injected, format of abi/vcpu.h; the engine delivers it through the guest's IDT before the first
                            instruction and clears it; still set after an event: it was not delivered */
    u32 exceptions;      /* bitmap of intercepted vectors: report instead of deliver */
    bool want_window;
    bool intercept_hlt, intercept_rdtsc, intercept_invlpg;   /* CPUID, IO, MSR, hypercalls are always reported */
    u64 nested_root;     /* NPT: physical address of the top table; EPT: the EPTP, low bits included */
    u32 nested_tag;      /* VPID or ASID */
};

struct engine {
    const char *name;
    bool (*user)(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out);
    bool (*guest)(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out);
    void (*flush)(struct engine *e, struct sim_cpu *cpu);    /* cached translations of the engine's own must go */
    void (*destroy)(struct engine *e);
};   /* user, guest: false = the engine cannot (a clear message was printed): the run ends */

/* For engines that see no more of a CPU than this: its number, and what stays the same for one EC or vCPU across its resumes. */
u32 sim_cpu_id(const struct sim_cpu *cpu);
u64 sim_user_tsc(struct sim_cpu *cpu, u64 executed);   /* RDTSC in user mode, so many instructions into the slice */
u64 sim_cpu_context(const struct sim_cpu *cpu);
