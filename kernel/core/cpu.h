/* SPDX-License-Identifier: BSD-2-Clause */
/* Per-CPU state: the first argument of kern_trap. Fields are grouped by who may touch them. */
#pragma once
#include "epoch.h"
#include "kern.h"
#include "sched.h"
#include "timeout.h"
#include "tlb.h"
#include "trace.h"
#include "virt.h"

struct ec;
struct sc;
struct vcpu;
struct space_mem;

/* Why the end of a trap has more to do than to resume current: bits of cpu.due. */
#define DUE_CHOICE  0x1u           /* choose anew who runs */
#define DUE_RELEASE 0x2u           /* something waits here for its epoch */
#define DUE_PROTECT 0x4u           /* something is done against speculation: protect.h. Constant after boot */
#define DUE_FPU     0x8u           /* CR0.TS is clear */
#define DUE_FOLLOW  0x10u          /* current runs on behalf of an EC_HELPING one: whoever runs after it must be looked for */
#define DUE_XCR0    0x20u          /* XCR0 is that of the guest that ran last */
#define DUE_STAYS   (DUE_FPU | DUE_FOLLOW | DUE_XCR0)   /* nothing to the EC that is current, if it stays so */

struct cpu {
    /* This CPU only. */
    struct ec *current;            /* whose registers a trap saved; the idle CPU has none */
    u32 due;                       /* DUE_* */
    struct sc *current_sc;         /* whose time is used */
    struct space_mem *space;       /* host memory space that is loaded */
    struct resume idle;            /* RESUME_IDLE and RESUME_WINDOW */
    struct kern *kern;
    u32 id;                        /* 0 .. cpu_count - 1 */
    u32 apic_id;
    u64 self;                      /* bit(id) */
    struct sched sched;
    struct timeouts timeouts;
    struct epoch_cpu epoch;
    struct virt_cpu virt;
    struct vcpu *vcpu;             /* the vCPU whose hardware state is on this CPU */
    void *fpu_owner;               /* whose FPU state the registers hold: an EC or a vCPU, see fpu.h */
    u64 xcr0;                      /* what fpu.c set; 0: no XSAVE */
    u64 xcr0_now;                  /* what XCR0 is; 1: no XSAVE */
    u32 protect;                   /* PROTECT_*: what is done against speculation here */
    u64 protect_vcpu;              /* the vCPU that was entered last: its id + 1 */
    bool x2apic, tsc_deadline;     /* what the local APIC is and its timer can: apic.c */
    struct trace_ring *trace;      /* NULL: off */

    /* Any CPU; atomic. */
    struct tlb_cpu tlb aligned_to(64);
    atomic_u64 inbox;              /* struct ec * list of ECs woken by other CPUs, newest first */
    atomic_u64 released;           /* struct epoch_item * list to be released here */
    atomic_u64 nmi;                /* bitmap of what kern_nmi saw */
};
