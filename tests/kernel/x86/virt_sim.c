/* SPDX-License-Identifier: BSD-2-Clause */
#include "virt_sim.h"
#include "svm_model.h"
#include "vmx_model.h"

static struct vmx_profile profile;
static struct virt_model model;
static const struct virt_model *original;
static struct { u32 leaf; u64 eax, ecx, edx; } hidden;
static struct { bool exists; u64 value; } vm_cr;

static void cpuid(struct sim_cpu *cpu, u32 leaf, u32 subleaf, struct mach_cpuid *regs)
{
    original->cpuid(cpu, leaf, subleaf, regs);
    if (leaf != hidden.leaf)
        return;
    regs->eax &= ~(u32)hidden.eax;
    regs->ecx &= ~(u32)hidden.ecx;
    regs->edx &= ~(u32)hidden.edx;
}

static enum msr_answer msr_read(struct sim_cpu *cpu, u32 msr, u64 *value)
{
    if (msr != MSR_VM_CR)
        return original->msr_read(cpu, msr, value);
    *value = vm_cr.value;
    return vm_cr.exists ? MSR_DONE : MSR_GP;
}

static bool no_vmxon(struct sim_cpu *cpu, u64 phys)
{
    return false;
}

void virt_sim_open(struct sim *s)
{
    original = s->config.vendor == SIM_VMX ? &sim_vmx : &sim_svm;
    model = *original;
    model.cpuid = cpuid;
    model.msr_read = msr_read;
    s->virt = &model;
    virt_sim_cpuid(0, 0, 0, 0);
    virt_sim_vm_cr(true, 0);
    if (s->config.vendor != SIM_VMX)
        return;
    profile = vmx_haswell;
    vmx_of(&s->cpu[0])->machine->profile = &profile;
}

void virt_sim_cap(struct sim *s, u32 msr, u64 value)
{
    profile.caps[msr - MSR_VMX_BASIC] = value;
}

u64 virt_sim_cap_get(struct sim *s, u32 msr)
{
    return VMX_CAP(&profile, msr);
}

void virt_sim_cpuid(u32 leaf, u64 clear_eax, u64 clear_ecx, u64 clear_edx)
{
    hidden.leaf = leaf;
    hidden.eax = clear_eax;
    hidden.ecx = clear_ecx;
    hidden.edx = clear_edx;
}

void virt_sim_vm_cr(bool exists, u64 value)
{
    vm_cr.exists = exists;
    vm_cr.value = value;
}

void virt_sim_feature_control(struct sim *s, u32 cpu, u64 value)
{
    s->cpu[cpu].feature_control = value;
}

u64 virt_sim_feature_control_get(struct sim *s, u32 cpu)
{
    return s->cpu[cpu].feature_control;
}

void virt_sim_no_vmxon(void)
{
    model.vmxon = no_vmxon;
}

void virt_sim_reset(struct sim *s, u32 cpu)
{
    s->virt->cpu_reset(&s->cpu[cpu]);
}

u64 virt_sim_host_save(struct sim *s, u32 cpu)
{
    return svm_of(&s->cpu[cpu])->host_save;
}

void virt_sim_field(struct sim *s, u32 cpu, u32 field, u64 value)
{
    vmcs_set(vmx_of(&s->cpu[cpu])->current, field, value);
}
