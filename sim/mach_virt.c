/* SPDX-License-Identifier: BSD-2-Clause */
/* mach_*: VMX and SVM instructions, handed to the model of the vendor. Without one they are #UD: a finding. */
#include "mach.h"
#include "store_buffer.h"
#include "virt_model.h"

/* The model, for an instruction that it must have. Locked and serializing enough to drain the store buffer. */
static const struct virt_model *virt_of(struct sim_cpu *cpu, enum sim_vendor vendor, const char *what)
{
    store_drain(cpu);
    if (!cpu->sim->virt || cpu->sim->virt->vendor != vendor)
        sim_broken(RULE_VIRT_MISSING, "%s on a CPU without it: #UD", what);
    return cpu->sim->virt;
}

bool mach_vmxon(u64 phys)
{
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "VMXON")->vmxon(cpu, phys);
}

bool mach_vmclear(u64 phys)
{
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "VMCLEAR")->vmclear(cpu, phys);
}

bool mach_vmptrld(u64 phys)
{
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "VMPTRLD")->vmptrld(cpu, phys);
}

u64 mach_vmread(u32 field)
{
    sim_count(SIM_COUNT_VMREAD);
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "VMREAD")->vmread(cpu, field);
}

void mach_vmwrite(u32 field, u64 value)
{
    sim_count(SIM_COUNT_VMWRITE);
    struct sim_cpu *cpu = mach_point();
    virt_of(cpu, SIM_VMX, "VMWRITE")->vmwrite(cpu, field, value);
}

bool mach_invept(u64 type, u64 eptp)
{
    sim_count(SIM_COUNT_INVALIDATE);
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "INVEPT")->invept(cpu, type, eptp);
}

bool mach_invvpid(u64 type, u32 vpid, u64 address)
{
    sim_count(SIM_COUNT_INVALIDATE);
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "INVVPID")->invvpid(cpu, type, vpid, address);
}

struct mach_vmx_host mach_vmx_host(void)
{
    struct sim_cpu *cpu = mach_point();
    return virt_of(cpu, SIM_VMX, "VMX host state")->vmx_host(cpu);
}

void mach_invlpga(u64 address, u32 asid)
{
    sim_count(SIM_COUNT_INVALIDATE);
    struct sim_cpu *cpu = mach_point();
    virt_of(cpu, SIM_SVM, "INVLPGA")->invlpga(cpu, address, asid);
}
