/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated SVM: discovery, its MSRs, INVLPGA (AMD APM 2, chapter 15). VMRUN is in svm_run.c. What the manual makes #UD or #GP is a finding.
 * Not handled: nested SVM (VMRUN of a guest exits or is a finding), AVIC, LBR virtualization, SEV, SKINIT. */
#include <stdlib.h>
#include "svm_model.h"

#define CR4_BASE                                                                                                       \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define VM_CR_LOCK bit(3)

const struct svm_profile svm_full = {
    .name = "full",
    .features = CPUID_SVM_NP | CPUID_SVM_NRIP | SVM_FEATURE_CLEAN | CPUID_SVM_FLUSH_ASID | CPUID_SVM_DECODE,
    .asids = 16,
    .cr4_valid = CR4_BASE | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
    .long_mode = true,
};
const struct svm_profile svm_plain = {
    .name = "plain",
    .features = CPUID_SVM_NP,
    .asids = 16,
    .cr4_valid = CR4_BASE | CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
    .long_mode = true,
    .refusal_spoils = true,
};

static bool cpu_create(struct sim_cpu *cpu)
{
    struct svm_cpu *c = calloc(1, sizeof(*c));
    if (c)
        c->profile = &svm_full;
    cpu->virt = c;
    cpu->virt_bytes = sizeof(*c);
    return c;
}

static void cpu_destroy(struct sim_cpu *cpu)
{
    free(cpu->virt);
    cpu->virt = NULL;
}

static void cpu_reset(struct sim_cpu *cpu)
{
    struct svm_cpu *c = svm_of(cpu);
    c->host_save = 0;
    c->cached = false;
    c->last_check = 0;
}

static void cpuid(struct sim_cpu *cpu, u32 leaf, u32 subleaf, struct mach_cpuid *regs)
{
    const struct svm_profile *p = svm_of(cpu)->profile;
    if (leaf == 0x80000000u)
        regs->eax = max(regs->eax, CPUID_SVM);
    if (leaf == 0x80000001u)
        regs->ecx |= CPUID_81_ECX_SVM;
    if (leaf == CPUID_SVM)
        *regs = (struct mach_cpuid){ .eax = 1, .ebx = p->asids, .edx = (u32)p->features };
}

static enum msr_answer msr_read(struct sim_cpu *cpu, u32 msr, u64 *value)
{
    if (msr != MSR_VM_CR && msr != MSR_VM_HSAVE_PA)
        return MSR_NOT_MINE;
    *value = msr == MSR_VM_HSAVE_PA ? svm_of(cpu)->host_save : 0;
    return MSR_DONE;
}

static enum msr_answer msr_write(struct sim_cpu *cpu, u32 msr, u64 value)
{
    struct svm_cpu *c = svm_of(cpu);
    if (msr == MSR_VM_CR)
        return value & ~VM_CR_LOCK ? MSR_GP : MSR_DONE;
    if (msr != MSR_VM_HSAVE_PA)
        return MSR_NOT_MINE;
    if ((value & PAGE_MASK) || value >> SIM_PHYS_BITS)
        return MSR_GP;
    c->host_save = value;
    return MSR_DONE;
}

static void invlpga(struct sim_cpu *cpu, u64 address, u32 asid)
{
    if (!(cpu->efer & EFER_SVME))
        sim_broken(RULE_SVM_OFF, "INVLPGA with EFER.SVME = 0: #UD (APM 3 INVLPGA)");
    sim_tlb_flush_engine(cpu);
}

u32 sim_svm_last_check(struct sim_cpu *cpu)
{
    return svm_of(cpu)->last_check;
}

const struct virt_model sim_svm = {
    .name = "svm",
    .vendor = SIM_SVM,
    .cpu_create = cpu_create,
    .cpu_destroy = cpu_destroy,
    .cpu_reset = cpu_reset,
    .enter = svm_enter,
    .stored = svm_stored,
    .freed = svm_freed,
    .cpuid = cpuid,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .invlpga = invlpga,
};
