/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions of a guest that pass: see guest_exec.h. Not handled: string I/O to real ports, and MOV to CR8 of the real APIC: findings. */
#include "guest_exec.h"
#include "arch/x86.h"

u32 guest_insn_len(const struct engine_event *e)
{
    static const u8 usual[] = { [EVENT_CPUID] = 2, [EVENT_HLT] = 1, [EVENT_IO] = 1, [EVENT_RDMSR] = 2, [EVENT_WRMSR] = 2,
                                [EVENT_HYPERCALL] = 3, [EVENT_RDTSC] = 2, [EVENT_MOV_CR] = 3, [EVENT_MOV_DR] = 3,
                                [EVENT_CLTS] = 2, [EVENT_LMSW] = 3, [EVENT_INVLPG] = 3, [EVENT_WBINVD] = 2, [EVENT_XSETBV] = 3,
                                [EVENT_OTHER_INSN] = 3 };
    if (e->insn_len)
        return e->insn_len;
    return e->kind < array_size(usual) ? usual[e->kind] : 0;
}

bool guest_wide(const struct sim_guest *g)
{
    return (g->efer & EFER_LMA) && (g->seg[VCPU_SEG_CS].attributes & 0x2000);
}

void guest_skip(struct sim_guest *g, const struct engine_event *e)
{
    g->rip += guest_insn_len(e);
    if (!guest_wide(g))
        g->rip &= 0xffffffff;
    g->interruptibility &= ~(VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS);
}

void guest_fault(struct sim_guest *g, u32 vector, bool has_error, u32 error)
{
    g->event = VCPU_EVENT_EXCEPTION(vector) | (has_error ? VCPU_EVENT_ERROR | (u64)error << 32 : 0);
}

/* SDM 3B 17.2.3, 17.2.4. INT1 reports no cause. */
void guest_debug(struct sim_guest *g, const struct engine_event *e)
{
    if (e->insn_len)
        guest_skip(g, e);
    else
        g->dr6 = ((g->dr6 & ~DR6_B) | DR6_RTM | (e->info & ~DR6_ZERO)) & ~(e->info & DR6_ZERO);
    g->dr7 &= ~DR7_GD;
}

/* A fault while another is delivered becomes #DF; which pairs do not is the engine's affair (SDM 3A 6.15). */
void guest_exception(struct sim_guest *g, const struct engine_event *e)
{
    const bool nested = g->event & VCPU_EVENT_VALID;
    if (!nested && e->vector == VECTOR_PF)
        g->cr2 = e->address;
    if (!nested && e->vector == VECTOR_DB)
        guest_debug(g, e);
    guest_fault(g, nested ? VECTOR_DF : e->vector, nested || e->error_valid, nested ? 0 : e->error);
}

u64 guest_gpr(const struct sim_guest *g, u32 n)
{
    return guest_wide(g) ? g->gpr[n & 15] : g->gpr[n & 15] & 0xffffffff;
}

void guest_set_gpr(struct sim_guest *g, u32 n, u64 value)
{
    g->gpr[n & 15] = guest_wide(g) ? value : value & 0xffffffff;
}

static bool cr0_refused(const struct sim_guest *g, const struct guest_rules *r, u64 value)
{
    const bool enters = (value & CR0_PG) && !(g->cr0 & CR0_PG), leaves = !(value & CR0_PG) && (g->cr0 & CR0_PG);
    const bool code64 = g->seg[VCPU_SEG_CS].attributes & 0x2000;
    if (value >> 32 || (r->cr0_ones & ~value) || ((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
        return true;
    if (enters && (g->efer & EFER_LME) && (!(g->cr4 & CR4_PAE) || code64))
        return true;
    return leaves && (guest_wide(g) || (g->cr4 & CR4_PCIDE));
}

static bool cr4_refused(const struct sim_guest *g, const struct guest_rules *r, u64 value)
{
    const bool pcide_on = (value & CR4_PCIDE) && !(g->cr4 & CR4_PCIDE);
    if ((value & ~r->cr4_valid) || (r->cr4_ones & ~value))
        return true;
    if ((g->efer & EFER_LMA) && !(value & CR4_PAE))
        return true;
    return pcide_on && (!(g->efer & EFER_LMA) || (g->cr3 & CR3_PCID_MASK));
}

/* PAE paging keeps its four pointers in registers; loading CR0, CR3 or CR4 reads them (SDM 3A 4.4.1). */
static enum guest_done load_pdptes(struct sim_cpu *cpu, struct sim_guest *g, u64 cr3, struct engine_event *e, bool *refused)
{
    const struct sim_nested n = { .format = SIM_EPT, .root = g->nested_root, .tag = g->nested_tag };
    const u64 gpa = cr3 & 0xffffffe0;
    struct sim_translation t;
    struct sim_nested_fault f;
    u64 pdpte[4];
    if (sim_nested_translate(cpu, &n, gpa, RIGHT_R, true, &t, &f) != SIM_NESTED_OK ||
        !sim_phys_read(cpu->sim, t.phys, pdpte, sizeof(pdpte))) {
        *e = (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = gpa, .access = RIGHT_R, .steps = e->steps };
        return GUEST_NESTED;
    }
    for (u32 i = 0; i < 4; i++)
        *refused = *refused || ((pdpte[i] & 1) && (pdpte[i] & (0x1e6 | ~(bit(SIM_PHYS_BITS) - 1))));
    for (u32 i = 0; i < 4 && !*refused; i++)
        g->pdpte[i] = pdpte[i];
    return GUEST_DONE;
}

enum guest_done guest_cr_write(struct sim_cpu *cpu, struct sim_guest *g, const struct guest_rules *r, u32 number, u64 value,
                               struct engine_event *e)
{
    if (number == 8)
        sim_broken(RULE_VIRT_CR8, "a guest's MOV to CR8 reaches the real APIC: the controls let it pass");
    const u64 cr0 = number == 0 ? value | CR0_ET : g->cr0, cr3 = number == 3 ? value & ~CR3_NO_FLUSH : g->cr3;
    const u64 cr4 = number == 4 ? value : g->cr4;
    const bool lma = (cr0 & CR0_PG) && (g->efer & EFER_LME);
    bool refused = (number == 0 && cr0_refused(g, r, value)) || (number == 4 && cr4_refused(g, r, value)) ||
                   (number == 3 && (cr3 & ~(bit(SIM_PHYS_BITS) - 1)));
    const bool pdptes = r->loads_pdptes && (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !lma && number != 2;
    if (!refused && pdptes && load_pdptes(cpu, g, cr3, e, &refused) == GUEST_NESTED)
        return GUEST_NESTED;
    if (refused) {
        guest_fault(g, VECTOR_GP, true, 0);
        return GUEST_DONE;
    }
    g->cr0 = cr0;
    g->cr3 = cr3;
    g->cr4 = cr4;
    if (number == 2)
        g->cr2 = value;
    else
        g->efer = lma ? g->efer | EFER_LMA : g->efer & ~EFER_LMA;
    guest_skip(g, e);
    if (number != 2)
        sim_tlb_flush_engine(cpu);
    return GUEST_DONE;
}

void guest_mov_dr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    const u32 n = e->cr.number == 4 || e->cr.number == 5 ? e->cr.number + 2 : e->cr.number & 7;
    u64 *const reg = n == 6 ? &g->dr6 : n == 7 ? &g->dr7 : &cpu->dr[n];
    const u64 value = guest_gpr(g, e->cr.gpr);
    if (e->cr.number != n && (g->cr4 & CR4_DE)) {
        guest_fault(g, VECTOR_UD, false, 0);
        return;
    }
    if (e->cr.write && n >= 6 && value >> 32) {
        guest_fault(g, VECTOR_GP, true, 0);
        return;
    }
    if (!e->cr.write)
        guest_set_gpr(g, e->cr.gpr, *reg);
    else
        *reg = n == 6 ? (value & 0xe00f) | DR6_INIT : n == 7 ? (value & 0xffff2fff) | DR7_INIT : value;
    guest_skip(g, e);
}

/* Where a guest's MSR stands if not in the CPU itself. */
static u64 *guest_msr(struct sim_guest *g, u32 msr)
{
    switch (msr) {
    case MSR_FS_BASE: return &g->seg[VCPU_SEG_FS].base;
    case MSR_GS_BASE: return &g->seg[VCPU_SEG_GS].base;
    case MSR_KERNEL_GS_BASE: return &g->kernel_gs;
    case MSR_STAR: return &g->star;
    case MSR_LSTAR: return &g->lstar;
    case MSR_CSTAR: return &g->cstar;
    case MSR_FMASK: return &g->fmask;
    case MSR_TSC_AUX: return &g->tsc_aux;
    case MSR_PAT: return &g->pat;
    case MSR_EFER: return &g->efer;
    case MSR_SYSENTER_CS: return &g->sysenter_cs;
    case MSR_SYSENTER_ESP: return &g->sysenter_esp;
    case MSR_SYSENTER_EIP: return &g->sysenter_eip;
    default: return NULL;
    }
}

bool guest_msr_read(struct sim_cpu *cpu, struct sim_guest *g, u32 msr, u64 *value)
{
    const u64 *reg = guest_msr(g, msr);
    if (msr == MSR_TSC) {
        *value = sim_tsc(cpu) + g->tsc_offset;
        return true;
    }
    if (!reg)
        return sim_msr_read(cpu, msr, value);
    *value = *reg;
    return true;
}

static bool efer_refused(const struct sim_guest *g, u64 value)
{
    return (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) || ((g->cr0 & CR0_PG) && ((value ^ g->efer) & EFER_LME));
}

static bool canonical_only(u32 msr)
{
    return msr == MSR_FS_BASE || msr == MSR_GS_BASE || msr == MSR_KERNEL_GS_BASE || msr == MSR_LSTAR || msr == MSR_CSTAR ||
           msr == MSR_SYSENTER_ESP || msr == MSR_SYSENTER_EIP;
}

static bool pat_refused(u64 value)
{
    for (u32 i = 0; i < 64; i += 8)
        if ((value >> i & 0xf8) || (value >> i & 7) == 2 || (value >> i & 7) == 3)
            return true;
    return false;
}

bool guest_msr_write(struct sim_cpu *cpu, struct sim_guest *g, u32 msr, u64 value)
{
    u64 *reg = guest_msr(g, msr);
    if (!reg)
        return sim_msr_write(cpu, msr, value);
    if ((canonical_only(msr) && (u64)((s64)(value << 16) >> 16) != value) || (msr == MSR_PAT && pat_refused(value)) ||
        (msr == MSR_TSC_AUX && value >> 32) || (msr == MSR_EFER && efer_refused(g, value)))
        return false;
    *reg = msr == MSR_EFER ? (value & ~EFER_LMA) | (g->efer & EFER_LMA) : value;
    return true;
}

void guest_rdmsr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    u64 value;
    if (!guest_msr_read(cpu, g, (u32)g->gpr[RCX], &value)) {
        guest_fault(g, VECTOR_GP, true, 0);
        return;
    }
    g->gpr[RAX] = value & 0xffffffff;
    g->gpr[RDX] = value >> 32;
    guest_skip(g, e);
}

void guest_wrmsr(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    const u64 value = g->gpr[RDX] << 32 | (g->gpr[RAX] & 0xffffffff);
    if (guest_msr_write(cpu, g, (u32)g->gpr[RCX], value))
        guest_skip(g, e);
    else
        guest_fault(g, VECTOR_GP, true, 0);
}

void guest_rdtsc(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    const u64 value = sim_tsc(cpu) + g->tsc_offset;
    g->gpr[RAX] = value & 0xffffffff;
    g->gpr[RDX] = value >> 32;
    if (guest_insn_len(e) == 3)   /* RDTSCP */
        g->gpr[RCX] = g->tsc_aux;
    guest_skip(g, e);
}

void guest_io(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    const u64 mask = e->io.size == 4 ? 0xffffffff : e->io.size == 2 ? 0xffff : 0xff;
    if (e->io.string)
        sim_broken(RULE_MACHINE_MODEL, "a guest's string I/O reaches real port %x: the controls let it pass, the model does not", e->io.port);
    if (!e->io.in)
        mach_port_out(e->io.port, e->io.size, g->gpr[RAX] & mask);
    else if (e->io.size == 4)
        g->gpr[RAX] = mach_port_in(e->io.port, 4);
    else
        g->gpr[RAX] = (g->gpr[RAX] & ~mask) | (mach_port_in(e->io.port, e->io.size) & mask);
    guest_skip(g, e);
}
