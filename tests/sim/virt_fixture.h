/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine with one VMX or SVM guest in a state known to be good, and an engine that plays a script: for the tests of the two models. */
#pragma once
#include "arch/apic.h"
#include "irq.h"
#include "svm_model.h"
#include "vmx_model.h"

/* Physical addresses. */
enum {
    AT_VMXON = 0x400000, AT_VMCS = 0x401000, AT_OTHER = 0x402000, AT_LIST = 0x403000, AT_MSR_MAP = 0x404000, AT_IO_MAP = 0x406000,
    AT_VMCB = 0x40a000, AT_SAVE = 0x40b000, AT_APIC_PAGE = 0x40c000, AT_PDPTES = 0x40d000, AT_NESTED = 0x410000, AT_GUEST = 0x500000,
};
/* Guest-physical pages 0 to 15 are mapped to AT_GUEST on, but for these. */
enum { GPA_ABSENT = 0x5000, GPA_READ_ONLY = 0x6000, GPA_WRONG = 0x7000 };

enum world_base {
    BASE_LONG,        /* 64-bit */
    BASE_REAL,        /* real mode, unrestricted */
    BASE_PAE,         /* 32-bit, PAE paging, not unrestricted */
    BASE_V86,         /* virtual-8086 mode, not unrestricted */
    BASE_COUNT,
};

#define SCRIPT_MAX 8u
struct script_step {
    struct engine_event event;
    bool keeps_event;                          /* the injected event is not delivered in this slice */
    void (*before)(struct sim_guest *g);       /* what the guest's instructions do first */
};

struct world {
    struct sim *s;
    struct sim_cpu *cpu;
    struct vmcs *vmcs;
    struct resume resume;
    struct engine engine;
    struct script_step script[SCRIPT_MAX];
    u32 steps, next, flushes;
    u32 raise_after;                           /* this many slices, then a host interrupt 0x60 comes; 0: none */
    struct sim_guest seen;                     /* the guest as the engine found it at the first slice */
    u64 delivered;                             /* the last event the engine delivered */
    u64 trap, info;
    const char *finding;                       /* of the last entry; NULL: none */
};

struct world *world_create(enum sim_vendor vendor);
void world_destroy(struct world *w);
void world_good(struct world *w, enum world_base base);          /* the VMCS or VMCB, and the CPU, in their good state */
struct vmcb *world_vmcb(struct world *w);
void world_script(struct world *w, u32 count, const struct script_step *steps);
void world_event(struct world *w, const struct engine_event *e); /* a script of one */
void world_enter(struct world *w);
u64 world_field(const struct world *w, u32 field);
void world_set(struct world *w, u32 field, u64 value);
void world_gpr(struct world *w, u32 n, u64 value);               /* of the guest at the next entry */
u64 world_rip(const struct world *w);
/* Run the event, which must pass, then a CPUID that exits; the guest as it was then. */
const struct sim_guest *world_pass(struct world *w, const struct engine_event *e);
/* A block that runs once per vendor. */
#define BOTH(w)                                                                                                        \
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)                                                \
        for (struct world *w = world_create(vendor); w; world_destroy(w), w = NULL)
u32 world_reason(const struct world *w);                         /* exit reason or code, low 32 bits */
