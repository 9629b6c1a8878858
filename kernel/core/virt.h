/* SPDX-License-Identifier: BSD-2-Clause */
/* What vcpu.c needs from VMX or SVM: one const table of functions each, in kernel/x86/vmx.c and svm.c.
 * Each function runs on the vCPU's CPU, but create. None waits, none but load reads the state page. */
#pragma once
#include "abi/status.h"
#include "abi/vcpu.h"
#include "machine.h"
#include "mem.h"

struct cpu;
struct vcpu;

#define VIRT_MSRS 6u           /* STAR LSTAR CSTAR FMASK KERNEL_GS TSC_AUX, in the order of struct vcpu_state */

/* What nearly every run moves: no value of these is refused. */
#define VIRT_HOT (VCPU_GROUP_GPR | VCPU_GROUP_RIP)

struct virt_cpu {
    u64 region;                /* physical: VMXON region or host save area; 0: not enabled on this CPU */
    u64 maps;                  /* SVM, physical: I/O and MSR permission maps, all ones */
    u64 current;               /* VMX: physical address of the current VMCS, 0: none */
    u64 fixed[8];              /* capability values read once, meaning private to the backend */
    u64 host_msr[VIRT_MSRS];   /* what the machine set up at boot */
    bool has_tsc_aux;
    bool tag_flush;            /* SVM: tags have wrapped, the next VMRUN flushes all */
    u32 tag_next;              /* next VPID or ASID */
    u32 tag_limit;             /* greatest one; 0: no VPIDs */
    u64 tag_epoch;             /* from 1; grows when tags wrap or all are to be dropped: older tags are stale */
};

/* What a trap out of a guest turned out to be. */
enum virt_exit {
    VIRT_EXIT_VMM,             /* a neutral exit: *exit is filled, its reason is in vcpu.reason, too */
    VIRT_EXIT_WINDOW,          /* a host interrupt may wait, or NMIs are blocked: open a window, then go on */
    VIRT_EXIT_AGAIN,           /* handled: enter the guest again */
};

struct virt_ops {
    const char *name;
    u32 vendor;                                              /* as in struct vcpu_state */
    u32 groups;                                              /* that it can transfer */
    const struct ptab_format *format;                        /* of guest memory */
    u32 (*leaf_level_max)(void);                             /* largest page of guest memory on this machine */
    enum status (*cpu_enable)(struct cpu *cpu);              /* VMXON, EFER.SVME: once per CPU */
    enum status (*create)(struct vcpu *v);                   /* allocate; any CPU */
    void (*destroy)(struct vcpu *v);
    void (*start)(struct cpu *cpu, struct vcpu *v);          /* first run: the reset state */
    /* Values that virt_check passed. s: a private copy; of the groups VIRT_HOT, which are read once, the state page itself. */
    void (*load)(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups);
    void (*store)(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups);
    u32 (*open)(struct cpu *cpu, struct vcpu *v);            /* VCPU_WINDOW_* that are open as the guest stands */
    struct resume *(*enter)(struct cpu *cpu, struct vcpu *v);               /* last steps before entry: current VMCS, tag, root, windows */
    /* exit: written, never read: it stands in the state page. vcpu.inject: the event that was not delivered, else 0. */
    enum virt_exit (*exit)(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *exit);
    /* Bytes of the instruction of the last exit, as abi/trace_words.h has them. NULL: never told. */
    void (*instruction)(const struct vcpu *v, u64 words[2]);
    void (*flush)(struct cpu *cpu);                          /* drop all nested translations of this CPU */
};
extern const struct virt_ops virt_vmx, virt_svm;

/* The backend of this machine or NULL; reads CPUID and MSRs only. */
const struct virt_ops *virt_probe(void);
/* What software can tell of values before they are loaded: 0, or the VCPU_CHECK id of the first that is illegal on either vendor. */
u32 virt_check(const struct vcpu_state *s, u32 groups);
