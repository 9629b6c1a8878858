/* SPDX-License-Identifier: BSD-2-Clause */
/* What vcpu.c needs from VMX or SVM: one const table of functions each, in kernel/x86/vmx.c and svm.c.
 * Each function runs on the vCPU's CPU. None waits, none trusts the state page: load copies each value once. */
#pragma once
#include "abi/status.h"
#include "abi/vcpu.h"
#include "machine.h"
#include "mem.h"

struct cpu;
struct vcpu;

struct virt_cpu {
    u64 region;                /* physical: VMXON region or host save area */
    u64 current;               /* VMX: physical address of the current VMCS, 0: none */
    u64 fixed[8];              /* capability values read once, meaning private to the backend */
    u32 tag_next;              /* next VPID or ASID */
    u32 tag_limit;
    u64 tag_epoch;             /* grows when tags wrap: older tags are stale */
};

/* What a trap out of a guest turned out to be. */
enum virt_exit {
    VIRT_EXIT_VMM,             /* a neutral exit: *exit is filled */
    VIRT_EXIT_WINDOW,          /* a host interrupt is pending: open a window, then go on */
    VIRT_EXIT_AGAIN,           /* handled: enter the guest again */
};

struct virt_ops {
    const char *name;
    u32 vendor;                                              /* as in struct vcpu_state */
    const struct ptab_format *format;                        /* of guest memory */
    enum status (*cpu_enable)(struct cpu *cpu);              /* VMXON, EFER.SVME: once per CPU */
    enum status (*create)(struct vcpu *v);                   /* allocate and set to the reset state */
    void (*destroy)(struct vcpu *v);
    u32 (*load)(struct vcpu *v, const struct vcpu_state *s, u32 groups);    /* 0, or VCPU_CHECK id of what a copy cannot express */
    void (*store)(struct vcpu *v, struct vcpu_state *s, u32 groups);
    struct resume *(*enter)(struct cpu *cpu, struct vcpu *v);               /* last steps before entry: current VMCS, tag, root, windows */
    enum virt_exit (*exit)(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *exit);
    u64 (*pending)(struct vcpu *v);                          /* the injected event if it was not delivered, else 0 */
    void (*flush)(struct cpu *cpu);                          /* drop all nested translations of this CPU */
};
extern const struct virt_ops virt_vmx, virt_svm;

/* The backend of this machine or NULL; reads CPUID and MSRs only. */
const struct virt_ops *virt_probe(void);
