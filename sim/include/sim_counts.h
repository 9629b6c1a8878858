/* SPDX-License-Identifier: BSD-2-Clause */
/* How often the kernel has done what is dear on hardware, counted where each is modelled: a short path of dear instructions is no fast one. Of the
 * whole machine, growing from boot; no part of its state: not hashed, not put back with a snapshot.
 * Not counted: what the machine's entry and exit code does itself (SYSCALL, SWAPGS, IRET, VMRUN and the VMLOAD, VMSAVE around it), cache misses. */
#pragma once
#include "base.h"

#define SIM_COUNT_LIST(X)                                        \
    X(VMREAD, "vmread")                                          \
    X(VMWRITE, "vmwrite")                                        \
    X(WRMSR, "wrmsr")        /* x2APIC registers among them */   \
    X(CR3, "cr3")            /* loads */                         \
    X(CR0, "cr0")            /* loads of CR0 and CR4 */          \
    X(INVALIDATE, "inv")     /* INVLPG, INVLPGA, INVEPT, ... */   \
    X(LOCK, "lock")          /* locked operations */             \
    X(FENCE, "fence")                                            \
    X(XSAVE, "xsave")        /* or FXSAVE */                     \
    X(XRSTOR, "xrstor")      /* or FXRSTOR */                    \
    X(IPI, "ipi")
enum sim_count {
#define SIM_COUNT_ENUM(name, text) SIM_COUNT_##name,
    SIM_COUNT_LIST(SIM_COUNT_ENUM)
#undef SIM_COUNT_ENUM
            SIM_COUNTS,
};

struct sim_counts {
    u64 of[SIM_COUNTS];
};
