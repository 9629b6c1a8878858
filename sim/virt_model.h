/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machine needs from a model of VMX or SVM: one const table each. The table is for one vendor; functions the vendor lacks stay NULL
 * and the machine reports their use. All run on the CPU's fiber; the machine has made the schedule point before the call. */
#pragma once
#include "cpu.h"
#include "machine_model.h"

enum msr_answer {
    MSR_DONE,       /* *value is read, or value is written */
    MSR_GP,         /* the MSR is the model's, the access faults */
    MSR_NOT_MINE,   /* not an MSR of the model: the machine goes on */
};

struct virt_model {
    const char *name;
    enum sim_vendor vendor;
    bool (*cpu_create)(struct sim_cpu *cpu);    /* allocates cpu->virt; false: no memory */
    void (*cpu_destroy)(struct sim_cpu *cpu);
    void (*cpu_reset)(struct sim_cpu *cpu);     /* INIT */
    /* RESUME_GUEST_VMX or RESUME_GUEST_SVM: check, enter, run slices until an exit (see sim_guest_slice); registers are stored to
     * resume->gpr. Returns TRAP(TRAP_GUEST_EXIT or TRAP_GUEST_FAILED, 0). */
    u64 (*enter)(struct sim_cpu *cpu, struct resume *resume, u64 *info);
    void (*cpuid)(struct sim_cpu *cpu, u32 leaf, u32 subleaf, struct mach_cpuid *regs);   /* regs: filled by the machine, add your bits */
    enum msr_answer (*msr_read)(struct sim_cpu *cpu, u32 msr, u64 *value);
    enum msr_answer (*msr_write)(struct sim_cpu *cpu, u32 msr, u64 value);
    /* Kernel code wrote to, or freed, this memory: is it the processor's just now? */
    void (*stored)(struct sim *s, u64 phys, u64 bytes);
    void (*freed)(struct sim *s, u64 phys, u64 bytes);
    const char *(*cr_write)(struct sim_cpu *cpu, u32 number, u64 value);   /* CR0 or CR4: NULL if allowed, else what forbids it */
    /* VMX. The booleans are VMsucceed; misuse that would be #UD or #GP: sim_broken. */
    bool (*vmxon)(struct sim_cpu *cpu, u64 phys);
    bool (*vmclear)(struct sim_cpu *cpu, u64 phys);
    bool (*vmptrld)(struct sim_cpu *cpu, u64 phys);
    u64 (*vmread)(struct sim_cpu *cpu, u32 field);
    void (*vmwrite)(struct sim_cpu *cpu, u32 field, u64 value);
    bool (*invept)(struct sim_cpu *cpu, u64 type, u64 eptp);
    bool (*invvpid)(struct sim_cpu *cpu, u64 type, u32 vpid, u64 address);
    struct mach_vmx_host (*vmx_host)(struct sim_cpu *cpu);
    /* SVM. */
    void (*invlpga)(struct sim_cpu *cpu, u64 address, u32 asid);
};
extern const struct virt_model sim_vmx, sim_svm;   /* sim/vmx.c, sim/svm.c */

/* The check that the last entry of this CPU failed, VCPU_CHECK(letter, number); 0: it entered. For reports. */
u32 sim_virt_last_check(struct sim_cpu *cpu);
u32 sim_svm_last_check(struct sim_cpu *cpu);
const char *sim_virt_check_text(u32 check);   /* what it is about; NULL: no such id */

static inline bool virt_overlaps(u64 a, u64 a_bytes, u64 b, u64 b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* ---- What the machine offers the models ---- */

/* Run the guest engine for one slice: accounts its steps to clock and hash, and after EVENT_SLICE lets other CPUs step. Returns with an
 * event of every kind but EVENT_END: a missing or finished engine ends the run. Look at sim_irq_pending and cpu->nmi before each slice. */
void sim_guest_slice(struct sim_cpu *cpu, struct sim_guest *guest, struct engine_event *event);
/* Drop cached translations of this CPU (translations.c); they call engine->flush too. */
void sim_tlb_flush_ept(struct sim_cpu *cpu, bool all, u64 eptp);      /* INVEPT */
void sim_tlb_flush_vpid(struct sim_cpu *cpu, bool all, u32 vpid);     /* INVVPID of whole VPIDs: linear and combined ones */
void sim_tlb_flush_npt(struct sim_cpu *cpu, bool all, u32 asid);      /* TLB_CONTROL; all: the host's too */
void sim_tlb_flush_engine(struct sim_cpu *cpu);                       /* linear translations of the guest only (INVVPID, INVLPGA) */
