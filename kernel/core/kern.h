/* SPDX-License-Identifier: BSD-2-Clause */
/* The root of all kernel state. There are no globals: mach_kern() points here, each CPU's structure points here.
 * Written during boot by the boot CPU, read-only afterwards but for the fields marked. */
#pragma once
#include "abi/info.h"
#include "boot_info.h"
#include "lock.h"
#include "mem.h"
#include "range.h"
#include "virt.h"

#define CPU_MAX 64u

struct cpu;
struct pd;
struct ec;

struct kern {
    struct boot_info boot;              /* what firmware and boot loader said */
    struct ranges user;                 /* memory that goes to root */
    struct mem *mem;
    struct quota quota;                 /* what the kernel itself uses and what root was given */
    const struct virt_ops *virt;        /* NULL: no VMX, no SVM */
    struct pd *root_pd;
    struct mach_clock clock;
    u32 cpu_count;
    u32 vcpu_capabilities;
    u32 host_leaf_level;                /* largest page of host tables on this machine */
    u64 boot_deadline;                  /* boot CPU only: it waits for the others until then; 0: root has been started */
    struct cpu *cpu[CPU_MAX];

    /* Any CPU. */
    atomic_u64 cpus_online;             /* bitmap */
    atomic_u64 epoch;                   /* see epoch.h */
    atomic_u64 tlb_generation;          /* see tlb.h */
    atomic_u64 trace_sequence;
    atomic_u64 vcpu_count;
    atomic_u64 tag_next;
    struct lock derive_lock;            /* the derivation tree, all spaces */
    struct lock tlb_lock;               /* tlb_waiters */
    struct lock trace_end_lock;         /* the end of all rings */
    struct lock trace_lock;             /* the trace stream: packets of several CPUs, each whole */
    struct ec *tlb_waiters;
};

static inline struct kern *kern(void)
{
    return mach_kern();
}
