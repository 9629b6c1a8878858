/* SPDX-License-Identifier: BSD-2-Clause */
/* Control-register accesses of a guest: masks, read shadows, CR3 targets; what exits and what is executed (Intel SDM 3C 26.1.3, 26.3). */
#include "guest_exec.h"
#include "vmx_model.h"

static bool cr_exit(struct vmx_exit *x, const struct engine_event *e, u64 qualification)
{
    x->reason = VMX_REASON_CR;
    x->qualification = qualification;
    x->length = guest_insn_len(e);
    return true;
}

/* Bits of CR0 and CR4 that the guest owns come from the register, the others read as the shadow says. */
static u64 seen(const struct vmcs *v, const struct sim_guest *g, u32 number)
{
    const u64 mask = vmcs_get(v, number == 0 ? VMCS_CR0_MASK : VMCS_CR4_MASK);
    const u64 shadow = vmcs_get(v, number == 0 ? VMCS_CR0_SHADOW : VMCS_CR4_SHADOW);
    return ((number == 0 ? g->cr0 : g->cr4) & ~mask) | (shadow & mask);
}

static bool write_exits(const struct vmcs *v, u32 number, u64 value)
{
    const u64 proc = vmcs_get(v, VMCS_PROC_CTRL);
    switch (number) {
    case 0:
        return (value ^ vmcs_get(v, VMCS_CR0_SHADOW)) & vmcs_get(v, VMCS_CR0_MASK);
    case 4:
        return (value ^ vmcs_get(v, VMCS_CR4_SHADOW)) & vmcs_get(v, VMCS_CR4_MASK);
    case 8:
        return proc & VMX_PROC_CR8_LOAD;
    default:
        break;
    }
    if (number != 3 || !(proc & VMX_PROC_CR3_LOAD))
        return false;
    for (u32 i = 0; i < vmcs_get(v, VMCS_CR3_TARGET_COUNT); i++)
        if (value == vmcs_get(v, VMCS_CR3_TARGET0 + 2 * i))
            return false;
    return true;
}

static struct guest_rules rules_of(const struct vmx_profile *p, const struct vmcs *v)
{
    const u64 proc2 = vmcs_get(v, VMCS_PROC_CTRL) & VMX_PROC_SECONDARY ? vmcs_get(v, VMCS_PROC2_CTRL) : 0;
    const u64 exempt = proc2 & VMX_PROC2_UNRESTRICTED ? CR0_PE | CR0_PG : 0;
    return (struct guest_rules){ .cr0_ones = VMX_CAP(p, MSR_VMX_CR0_FIXED0) & ~exempt,
                                 .cr4_ones = VMX_CAP(p, MSR_VMX_CR4_FIXED0),
                                 .cr4_valid = VMX_CAP(p, MSR_VMX_CR4_FIXED1),
                                 .loads_pdptes = proc2 & VMX_PROC2_EPT };
}

/* Execute: host-owned bits of CR0 and CR4 keep their value. */
static bool write_done(struct sim_cpu *cpu, const struct vmcs *v, u32 number, u64 value, struct engine_event *e)
{
    struct vmx_cpu *c = vmx_of(cpu);
    const struct guest_rules rules = rules_of(c->machine->profile, v);
    const u64 mask = number == 0 ? vmcs_get(v, VMCS_CR0_MASK) : number == 4 ? vmcs_get(v, VMCS_CR4_MASK) : 0;
    const u64 old = number == 0 ? c->guest.cr0 : c->guest.cr4;
    guest_cr_write(cpu, &c->guest, &rules, number, (value & ~mask) | (old & mask), e);
    return false;
}

static bool mov_from(struct sim_cpu *cpu, const struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const u32 number = e->cr.number;
    const u64 proc = vmcs_get(v, VMCS_PROC_CTRL);
    if ((number == 3 && (proc & VMX_PROC_CR3_STORE)) || (number == 8 && (proc & VMX_PROC_CR8_STORE)))
        return cr_exit(x, e, number | 1 << 4 | e->cr.gpr << 8);
    const u64 value = number == 0 || number == 4 ? seen(v, g, number) : number == 2 ? g->cr2 : number == 3 ? g->cr3 : g->cr8;
    guest_set_gpr(g, e->cr.gpr, value);
    guest_skip(g, e);
    return false;
}

static bool mov_to(struct sim_cpu *cpu, const struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    const u64 value = guest_gpr(&vmx_of(cpu)->guest, e->cr.gpr);
    if (write_exits(v, e->cr.number, value))
        return cr_exit(x, e, e->cr.number | e->cr.gpr << 8);
    return write_done(cpu, v, e->cr.number, value, e);
}

/* CLTS exits if mask and shadow both have TS; with the bit host-owned and clear in the shadow it does nothing. */
static bool clts(struct sim_cpu *cpu, const struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    const u64 mask = vmcs_get(v, VMCS_CR0_MASK), shadow = vmcs_get(v, VMCS_CR0_SHADOW);
    if (mask & shadow & CR0_TS)
        return cr_exit(x, e, 2 << 4);
    return write_done(cpu, v, 0, vmx_of(cpu)->guest.cr0 & ~CR0_TS, e);
}

/* LMSW writes MP, EM, TS, and PE only from 0 to 1; info: the operand. */
static bool lmsw(struct sim_cpu *cpu, const struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    const u64 mask = vmcs_get(v, VMCS_CR0_MASK), shadow = vmcs_get(v, VMCS_CR0_SHADOW), source = e->info & 0xffff;
    const u64 changed = (source ^ shadow) & mask & (CR0_MP | CR0_EM | CR0_TS);
    if (changed || (mask & source & ~shadow & CR0_PE))
        return cr_exit(x, e, 3 << 4 | source << 16);
    const u64 cr0 = vmx_of(cpu)->guest.cr0;
    return write_done(cpu, v, 0, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (source & 0xf), e);
}

bool vmx_cr_exits(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    if (e->kind == EVENT_CLTS)
        return clts(cpu, v, e, x);
    if (e->kind == EVENT_LMSW)
        return lmsw(cpu, v, e, x);
    return e->cr.write ? mov_to(cpu, v, e, x) : mov_from(cpu, v, e, x);
}
