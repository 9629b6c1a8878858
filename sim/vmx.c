/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated VMX: its instructions but VM entry, its MSRs and CPUID bits. Owns the list of VMCSes of a machine, which hangs off CPU 0.
 * What the manual makes #UD, #GP or undefined is a finding, as no kernel wants it; VMfail sets the error number (Intel SDM 3C, chapters 24 and
 * 31). Not handled: SMM, SGX, nested VMX: VMX instructions of a guest exit. */
#include <stdlib.h>
#include "vmx_model.h"

static bool cpu_create(struct sim_cpu *cpu)
{
    struct vmx_cpu *c = calloc(1, sizeof(*c));
    if (!c)
        return false;
    if (cpu->id == 0)
        c->machine = calloc(1, sizeof(*c->machine));
    else
        c->machine = vmx_of(&cpu->sim->cpu[0])->machine;
    if (!c->machine) {
        free(c);
        return false;
    }
    c->machine->profile = &vmx_haswell;
    cpu->virt = c;
    cpu->virt_bytes = sizeof(*c);
    return true;
}

static void cpu_destroy(struct sim_cpu *cpu)
{
    struct vmx_cpu *c = vmx_of(cpu);
    if (c && cpu->id == 0) {
        while (c->machine->all) {
            struct vmcs *v = c->machine->all;
            c->machine->all = v->next;
            free(v);
        }
        free(c->machine);
    }
    free(c);
    cpu->virt = NULL;
}

/* INIT in VMX operation is held back or blocked (25.2); the machine only sends it to CPUs that are off. */
static void cpu_reset(struct sim_cpu *cpu)
{
    struct vmx_cpu *c = vmx_of(cpu);
    c->on = false;
    c->running = false;
    c->current = NULL;
    c->last_check = 0;
}

static u64 phys_mask(void)
{
    return ~(bit(SIM_PHYS_BITS) - 1);
}

static bool region_bad(struct sim_cpu *cpu, u64 phys)
{
    return (phys & PAGE_MASK) || (phys & phys_mask()) || !sim_phys(cpu->sim, phys, PAGE_SIZE);
}

/* VMfailValid with a current VMCS, else VMfailInvalid (31.2). */
static bool fail(struct vmx_cpu *c, u32 error)
{
    if (c->current)
        vmcs_set(c->current, VMCS_INSN_ERROR, error);
    return false;
}

static struct vmx_cpu *in_root(struct sim_cpu *cpu, const char *name)
{
    struct vmx_cpu *c = vmx_of(cpu);
    if (!c->on)
        sim_broken(RULE_VMX_OFF, "%s outside VMX operation: #UD (SDM 3C 31.3)", name);
    return c;
}

/* The region is the processor's from VMPTRLD to VMCLEAR: what software writes there is lost or harmful (SDM 3C 25.11.1). */
static u64 region_sum(struct sim_cpu *cpu, u64 phys)
{
    const u64 *words = sim_phys(cpu->sim, phys, PAGE_SIZE);
    u64 sum = 0xcbf29ce484222325ul;   /* FNV-1a, word-wise */
    for (u32 i = 0; words && i < PAGE_SIZE / sizeof(*words); i++)
        sum = (sum ^ words[i]) * 0x100000001b3ul;
    return sum;
}

/* A region is one CPU's and nothing else (SDM 3C 25.11.5). That a CPU names its own as a VMCS is VMfail. */
static void region_alone(struct sim_cpu *cpu, u64 phys, const char *insn)
{
    for (u32 i = 0; i < cpu->sim->cpu_count; i++) {
        const struct vmx_cpu *c = vmx_of(&cpu->sim->cpu[i]);
        if (i != cpu->id && c->on && c->region == phys)
            sim_broken(RULE_VMX_REGION, "%s of %lx on CPU %u: it is the VMXON region of CPU %u (SDM 3C 25.11.5)", insn, phys, cpu->id, i);
    }
}

static bool vmxon(struct sim_cpu *cpu, u64 phys)
{
    struct vmx_cpu *c = vmx_of(cpu);
    const struct vmx_profile *p = c->machine->profile;
    if (c->on)
        return fail(c, VMX_ERROR_VMXON);
    if (!(cpu->cr4 & CR4_VMXE))
        sim_broken(RULE_VMX_ON, "VMXON with CR4.VMXE = 0: #UD (SDM 3C 31.3 VMXON)");
    if ((cpu->feature_control & (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX)) != (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX))
        sim_broken(RULE_VMX_ON, "VMXON with IA32_FEATURE_CONTROL %lx: #GP (SDM 3C 24.7)", cpu->feature_control);
    if ((VMX_CAP(p, MSR_VMX_CR0_FIXED0) & ~cpu->cr0) || (VMX_CAP(p, MSR_VMX_CR4_FIXED0) & ~cpu->cr4) ||
        (cpu->cr0 & ~VMX_CAP(p, MSR_VMX_CR0_FIXED1)) || (cpu->cr4 & ~VMX_CAP(p, MSR_VMX_CR4_FIXED1)))
        sim_broken(RULE_VMX_ON, "VMXON with CR0 %lx, CR4 %lx: #GP (SDM 3C 24.8)", cpu->cr0, cpu->cr4);
    if (region_bad(cpu, phys) || vmx_ram_read(cpu, phys, 4) != VMX_BASIC_REVISION(VMX_CAP(p, MSR_VMX_BASIC)))
        return false;
    region_alone(cpu, phys, "VMXON");
    c->on = true;
    c->region = phys;
    c->current = NULL;
    return true;
}

static struct vmcs *find(struct vmx_machine *m, u64 phys)
{
    for (struct vmcs *v = m->all; v; v = v->next)
        if (v->phys == phys)
            return v;
    struct vmcs *v = calloc(1, sizeof(*v));
    if (!v)
        sim_end(sim_here, SIM_ENGINE, "the simulator is out of memory");
    v->phys = phys;
    v->next = m->all;
    m->all = v;
    return v;
}

static bool vmclear(struct sim_cpu *cpu, u64 phys)
{
    struct vmx_cpu *c = in_root(cpu, "VMCLEAR");
    if (region_bad(cpu, phys))
        return fail(c, VMX_ERROR_VMCLEAR_ADDR);
    if (phys == c->region)
        return fail(c, VMX_ERROR_VMCLEAR_VMXON);
    region_alone(cpu, phys, "VMCLEAR");
    struct vmcs *v = find(c->machine, phys);
    if (v->active && v->active != cpu)
        sim_broken(RULE_VMX_ACTIVE, "VMCLEAR of VMCS %lx on CPU %u while it is active on CPU %u (SDM 3C 25.11.1)", phys, cpu->id, v->active->id);
    if (v->active && v->sum != region_sum(cpu, phys))
        sim_broken(RULE_VMX_STORE, "VMCS %lx was written by software while active on CPU %u (SDM 3C 25.11.1)", phys, cpu->id);
    undo_write(cpu->sim, v, offsetof(struct vmcs, field));
    v->cleared = true;
    v->launched = false;
    v->active = NULL;
    if (c->current == v)
        c->current = NULL;
    return true;
}

static bool vmptrld(struct sim_cpu *cpu, u64 phys)
{
    struct vmx_cpu *c = in_root(cpu, "VMPTRLD");
    const struct vmx_profile *p = c->machine->profile;
    if (region_bad(cpu, phys))
        return fail(c, VMX_ERROR_VMPTRLD_ADDR);
    if (phys == c->region)
        return fail(c, VMX_ERROR_VMPTRLD_VMXON);
    region_alone(cpu, phys, "VMPTRLD");
    const u64 revision = vmx_ram_read(cpu, phys, 4);
    const bool shadow_ok = VMX_CAP(p, MSR_VMX_PROC2) >> 32 & VMX_PROC2_SHADOW;
    if ((revision & 0x7fffffff) != VMX_BASIC_REVISION(VMX_CAP(p, MSR_VMX_BASIC)) || (revision >> 31 && !shadow_ok))
        return fail(c, VMX_ERROR_VMPTRLD_REVISION);
    struct vmcs *v = find(c->machine, phys);
    if (!v->cleared)
        sim_broken(RULE_VMX_CLEAR, "VMPTRLD of %lx before any VMCLEAR of it: launch state undefined (SDM 3C 25.11.3)", phys);
    if (v->active && v->active != cpu)
        sim_broken(RULE_VMX_ACTIVE, "VMCS %lx loaded on CPU %u while active on CPU %u: VMCLEAR it there first (SDM 3C 25.11.1)", phys, cpu->id,
                    v->active->id);
    undo_write(cpu->sim, v, offsetof(struct vmcs, field));
    if (!v->active)
        v->sum = region_sum(cpu, phys);
    v->active = cpu;
    c->current = v;
    return true;
}

static bool invept(struct sim_cpu *cpu, u64 type, u64 eptp)
{
    struct vmx_cpu *c = in_root(cpu, "INVEPT");
    const struct vmx_check k = { .profile = c->machine->profile, .phys_mask = phys_mask() };
    const u64 cap = VMX_CAP(k.profile, MSR_VMX_EPT_VPID);
    const bool known = (type == INVEPT_SINGLE && (cap & VMX_EPT_INVEPT_SINGLE)) || (type == INVEPT_ALL && (cap & VMX_EPT_INVEPT_ALL));
    if (!known || (type == INVEPT_SINGLE && vmx_check_eptp(&k, eptp)))
        return fail(c, VMX_ERROR_INVALIDATE);
    sim_tlb_flush_ept(cpu, type == INVEPT_ALL, eptp);
    return true;
}

/* Only linear and combined mappings go (29.4.3.1). Those are the engine's, all of which may be dropped at any time. One address, or all but
 * global pages, does not make the VPID fit for another guest. */
static bool invvpid(struct sim_cpu *cpu, u64 type, u32 vpid, u64 address)
{
    struct vmx_cpu *c = in_root(cpu, "INVVPID");
    const u64 cap = VMX_CAP(c->machine->profile, MSR_VMX_EPT_VPID);
    if (type > 3 || !(cap >> 40 >> type & 1) || vpid >> 16 || (type != INVVPID_ALL && !vpid) ||
        (type == INVVPID_ADDRESS && !vmx_canonical(address)))
        return fail(c, VMX_ERROR_INVALIDATE);
    if (type == INVVPID_SINGLE || type == INVVPID_ALL)
        sim_tlb_flush_vpid(cpu, type == INVVPID_ALL, vpid);
    else
        sim_tlb_flush_engine(cpu);
    return true;
}

static enum msr_answer msr_read(struct sim_cpu *cpu, u32 msr, u64 *value)
{
    const struct vmx_profile *p = vmx_of(cpu)->machine->profile;
    if (msr == MSR_FEATURE_CONTROL) {
        *value = cpu->feature_control;
        return MSR_DONE;
    }
    if (msr < MSR_VMX_BASIC || msr >= MSR_VMX_BASIC + VMX_CAPS)
        return MSR_NOT_MINE;
    if ((msr == MSR_VMX_PROC3 || msr == MSR_VMX_EXIT2 || msr == MSR_VMX_VMFUNC) && !VMX_CAP(p, msr))
        return MSR_GP;   /* exists only with the feature */
    *value = VMX_CAP(p, msr);
    return MSR_DONE;
}

static enum msr_answer msr_write(struct sim_cpu *cpu, u32 msr, u64 value)
{
    if (msr >= MSR_VMX_BASIC && msr < MSR_VMX_BASIC + VMX_CAPS)
        return MSR_GP;
    if (msr != MSR_FEATURE_CONTROL)
        return MSR_NOT_MINE;
    if ((cpu->feature_control & FEATURE_CONTROL_LOCK) || (value & ~(FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX)))
        return MSR_GP;
    cpu->feature_control = value;
    return MSR_DONE;
}

/* Bits fixed in VMX operation (24.8); CR4.VMXE is one of them. */
static const char *cr_write(struct sim_cpu *cpu, u32 number, u64 value)
{
    const struct vmx_cpu *c = vmx_of(cpu);
    const u32 fixed = number == 0 ? MSR_VMX_CR0_FIXED0 : MSR_VMX_CR4_FIXED0;
    if (!c->on || !(VMX_CAP(c->machine->profile, fixed) & ~value))
        return NULL;
    return number == 0 ? "a bit of CR0 that VMX operation fixes (SDM 3C 24.8)" : "CR4.VMXE in VMX operation (SDM 3C 24.8)";
}

static void cpuid(struct sim_cpu *cpu, u32 leaf, u32 subleaf, struct mach_cpuid *regs)
{
    if (leaf == 1)
        regs->ecx |= CPUID_1_ECX_VMX;
}

u32 sim_virt_last_check(struct sim_cpu *cpu)
{
    if (!cpu->virt)
        return 0;
    return cpu->sim->virt == &sim_vmx ? vmx_of(cpu)->last_check : sim_svm_last_check(cpu);
}

const struct virt_model sim_vmx = {
    .name = "vmx",
    .vendor = SIM_VMX,
    .cpu_create = cpu_create,
    .cpu_destroy = cpu_destroy,
    .cpu_reset = cpu_reset,
    .enter = vmx_enter,
    .stored = vmx_stored,
    .freed = vmx_freed,
    .cpuid = cpuid,
    .msr_read = msr_read,
    .msr_write = msr_write,
    .cr_write = cr_write,
    .vmxon = vmxon,
    .vmclear = vmclear,
    .vmptrld = vmptrld,
    .vmread = vmx_read,
    .vmwrite = vmx_write,
    .invept = invept,
    .invvpid = invvpid,
    .vmx_host = vmx_host,
};
