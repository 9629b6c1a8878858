/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory as the CPUs of a simulated machine see it: for engines, for the VMX and SVM models, for programs and tests.
 * Every translation is a walk over the kernel's real tables, or a cached one if the chooser says so; A and D bits are set. */
#pragma once
#include "abi/hypercall.h"   /* RIGHT_* */
#include "sim.h"

struct sim_cpu;

/* Physical. A range outside RAM: NULL, false. */
u64 sim_ram_bytes(const struct sim *s);
void *sim_phys(struct sim *s, u64 phys, u64 bytes);
must_check bool sim_phys_read(struct sim *s, u64 phys, void *to, u64 bytes);
must_check bool sim_phys_write(struct sim *s, u64 phys, const void *from, u64 bytes);

/* Virtual, of the CPU's current CR3. access: one of RIGHT_R, RIGHT_W, RIGHT_X. user: CPL 3, else supervisor. */
struct sim_fault {
    u32 vector, error;   /* 14 and the #PF error code */
    u64 address;
};
struct sim_translation {
    u64 phys;            /* of the address asked for; may lie outside RAM */
    u32 rights;          /* RIGHT_* that need no other walk (W only if the dirty bit is set) */
    u32 level;           /* leaf: 0 4 KiB, 1 2 MiB, 2 1 GiB */
};
must_check bool sim_translate(struct sim_cpu *cpu, u64 address, u32 access, bool user, struct sim_translation *out, struct sim_fault *fault);
/* User mode. False: *fault says which #PF, nothing of the faulting page was moved. Sets no register; the caller raises the exception. */
must_check bool sim_user_load(struct sim_cpu *cpu, u64 address, void *to, u64 bytes, struct sim_fault *fault);
must_check bool sim_user_store(struct sim_cpu *cpu, u64 address, const void *from, u64 bytes, struct sim_fault *fault);
must_check bool sim_user_fetch(struct sim_cpu *cpu, u64 address, void *to, u64 bytes, struct sim_fault *fault);

/* For tests of what takes a right away: a finding (TLB-RIGHT) if one of these CPUs (a bit each) may still use one of these rights to these bytes,
 * by what its tables hold or by a translation it may have kept, under what it has loaded. */
void sim_unreachable(struct sim *s, u64 cpus, u64 phys, u64 bytes, u32 rights);

/* Guest-physical to physical. */
enum sim_nested_format { SIM_EPT, SIM_NPT };
struct sim_nested {
    enum sim_nested_format format;
    u64 root;            /* EPT: the EPTP, bit 6 switches A and D on. NPT: nCR3 */
    u32 tag;             /* NPT: ASID */
    bool nxe;            /* NPT: host EFER.NXE at VMRUN */
};
enum sim_nested_result {
    SIM_NESTED_OK,
    SIM_NESTED_VIOLATION,   /* not present or a right is missing */
    SIM_NESTED_MISCONFIG,   /* EPT misconfiguration; NPT reserved bit */
};
struct sim_nested_fault {
    u32 present;         /* RIGHT_* that all levels walked grant; NPT: not 0 if every level was present */
    u32 error;           /* NPT: the low bits of EXITINFO1 (P, W, U, RSV, I) */
};
/* access: one or more of RIGHT_*. table: the access is the guest's page walk (EPT with A and D: counts as a write). */
enum sim_nested_result sim_nested_translate(struct sim_cpu *cpu, const struct sim_nested *n, u64 gpa, u32 access, bool table,
                                            struct sim_translation *out, struct sim_nested_fault *fault);
