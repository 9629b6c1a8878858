/* SPDX-License-Identifier: BSD-2-Clause */
/* What an instruction of a guest does when the controls let it pass: the engines report it, neither vendor's model exits, so the model executes it.
 * Small on purpose: only what struct sim_guest holds changes. */
#pragma once
#include "abi/hypercall.h"   /* RIGHT_* */
#include "virt_model.h"

/* Bits that the vendor or the profile fixes. */
struct guest_rules {
    u64 cr0_ones, cr4_ones;   /* must be 1, besides what the mode asks */
    u64 cr4_valid;
    bool loads_pdptes;        /* VMX with EPT: MOV CR reads the PDPTEs (SDM 3A 4.4.1) */
};
enum guest_done {
    GUEST_DONE,     /* executed, RIP behind it; or an exception is in g->event */
    GUEST_NESTED,   /* a nested fault came first: *e describes it now */
};

u32 guest_insn_len(const struct engine_event *e);                      /* as reported, else the usual encoding's */
void guest_skip(struct sim_guest *g, const struct engine_event *e);    /* RIP behind it; ends blocking by STI and MOV SS */
void guest_fault(struct sim_guest *g, u32 vector, bool has_error, u32 error);
void guest_exception(struct sim_guest *g, const struct engine_event *e);   /* one that is not intercepted */
void guest_debug(struct sim_guest *g, const struct engine_event *e);   /* what a #DB that is delivered leaves in DR6, DR7 and RIP */
bool guest_wide(const struct sim_guest *g);                            /* 64-bit mode */
u64 guest_gpr(const struct sim_guest *g, u32 n);                       /* as MOV CR or MOV DR reads it */
void guest_set_gpr(struct sim_guest *g, u32 n, u64 value);
enum guest_done guest_cr_write(struct sim_cpu *cpu, struct sim_guest *g, const struct guest_rules *r, u32 number, u64 value,
                               struct engine_event *e);
void guest_mov_dr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e);
bool guest_msr_read(struct sim_cpu *cpu, struct sim_guest *g, u32 msr, u64 *value);   /* false: #GP */
bool guest_msr_write(struct sim_cpu *cpu, struct sim_guest *g, u32 msr, u64 value);
void guest_rdmsr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e);
void guest_wrmsr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e);
void guest_rdtsc(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e);
void guest_io(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e);
