/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPU: a passive object; vcpu_run makes the calling EC be it until the next neutral exit. Owns its state pages and the rules of
 * abi/vcpu.h that are the same on both vendors. Invariant: only the EC in `runner` runs it, on its home CPU, and does not keep it from
 * being destroyed; `kick` is sticky until a run has returned KICKED. Lock: none but atomics: home CPU only, except kick. */
#pragma once
#include "abi/vcpu.h"
#include "object.h"
#include "virt.h"

struct ec;
struct pd;
struct space_mem;

struct vcpu {
    struct object object;          /* object.pd: whose guest memory it runs on */
    struct resume resume;          /* GPRs of the guest and how to enter it */
    struct vcpu_state *state;      /* the two state pages; shared with the VMM: every word read once */
    struct vcpu_state *copy;       /* private: what was read of them */
    struct pd *vmm;                /* the creating PD, which has the state pages mapped; one reference */
    u64 state_page;                /* where, as a page number */
    struct space_mem *space;       /* the guest memory space of object.pd */

    /* Home CPU. */
    struct ec *runner;             /* the EC inside vcpu_run or NULL */
    u32 id;                        /* in order of creation; for traces */
    bool started;                  /* STARTUP was delivered */
    u32 want, valid;               /* groups asked for by this run; groups that stand in the state page */
    u32 reason;                    /* of the last neutral exit */
    void *hw;                      /* VMCS or VMCB page */
    u64 hw_phys;
    u64 tag, tag_epoch;            /* VPID or ASID and the epoch it is from; epoch 0: needs a fresh one */
    u64 inject, inject_insn_len;   /* event for the next entry; stays if a run is abandoned */
    u32 windows;
    void *fpu;                     /* FPU image, 64-byte aligned; never one that XRSTOR refuses */
    u32 fpu_bytes;
    u64 xcr0;
    u64 backend[32];               /* private to kernel/x86: values that live in no VMCS or VMCB field */

    /* Any CPU. */
    atomic_u64 kick;
    atomic_u64 running;            /* 1 inside a run: a kick sends an IPI */
};

/* The state pages appear at state_page in the PD of the calling EC. STATUS_FEATURE: no VMX, no SVM. STATUS_CPU: no such CPU.
 * STATUS_EXISTS: something is mapped there. */
must_check enum status vcpu_create(struct cpu *cpu, struct pd *owner, u32 home, u64 state_page, struct vcpu **out);
void vcpu_destroy(struct cpu *cpu, struct vcpu *v);
/* STATUS_SWITCH: the EC is inside; OK: already back with an exit. STATUS_BUSY, STATUS_CPU, STATUS_FEATURE: nothing ran. */
must_check enum status vcpu_run(struct cpu *cpu, struct ec *ec, struct vcpu *v);
void vcpu_kick(struct cpu *cpu, struct vcpu *v);
must_check enum status vcpu_fetch(struct cpu *cpu, struct vcpu *v, u32 groups);
/* The EC inside a run is current: what to resume. May complete the run instead (kick) and return the EC's own registers. */
struct resume *vcpu_resume(struct cpu *cpu, struct ec *ec);
/* A trap out of the guest. Completes the run or goes on. */
out_of_line struct resume *vcpu_trap(struct cpu *cpu, u64 trap, u64 info);
/* The run ends without an exit, as the EC or the vCPU does: the vCPU stands where it is and can be run by another EC. Home CPU. */
void vcpu_abandon(struct ec *ec);
