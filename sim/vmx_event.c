/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events of the engine exit, and what they report (Intel SDM 3C 26.1, 26.2, 28.2); what does not exit is executed by guest_exec.c.
 * Control-register accesses stand in vmx_cr.c. An opcode that is in no table is a finding, never silently skipped. */
#include "guest_exec.h"
#include "vmx_model.h"

static bool plain(struct vmx_exit *x, u32 reason, const struct engine_event *e)
{
    x->reason = reason;
    x->length = guest_insn_len(e);
    return true;
}

/* Both bitmaps, a bit per port; a range that wraps past 0xffff exits too. */
static bool io_exits(struct sim_cpu *cpu, const struct vmcs *v, u32 port, u32 size)
{
    const u64 proc = vmcs_get(v, VMCS_PROC_CTRL);
    if (!(proc & VMX_PROC_IO_BITMAPS))
        return proc & VMX_PROC_IO;
    if (port + size > 0x10000)
        return true;
    for (u32 p = port; p < port + size; p++) {
        const u64 map = vmcs_get(v, p < 0x8000 ? VMCS_IO_BITMAP_A : VMCS_IO_BITMAP_B) + ((p & 0x7fff) >> 3);
        if (vmx_ram_read(cpu, map, 1) >> (p & 7) & 1)
            return true;
    }
    return false;
}

static bool event_io(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    if (!io_exits(cpu, v, e->io.port, e->io.size)) {
        guest_io(cpu, g, e);
        return false;
    }
    x->qualification = (u64)(e->io.size - 1) | (e->io.in ? IOQ_IN : 0) | (e->io.string ? IOQ_STRING : 0) |
                       (e->io.rep ? IOQ_REP : 0) | (u64)e->io.port << 16;
    if (e->io.string) {
        const u32 width = e->io.address_size == 2 ? 0 : e->io.address_size == 8 ? 2 : 1;
        const u32 seg = e->io.in ? (u32)VCPU_SEG_ES : e->io.seg;
        const u64 mask = width == 0 ? 0xffff : width == 1 ? 0xffffffff : ~0ul;
        const bool flat = guest_wide(g) && seg != VCPU_SEG_FS && seg != VCPU_SEG_GS;
        x->insn_info = width << 7 | seg << 15;
        x->linear = (flat ? 0 : g->seg[seg & 7].base) + (g->gpr[e->io.in ? RDI : RSI] & mask);
    }
    return plain(x, VMX_REASON_IO, e);
}

/* Four 1 KiB parts: read low, read high, write low, write high (25.6.9). */
static bool msr_exits(struct sim_cpu *cpu, const struct vmcs *v, u32 msr, bool write)
{
    if (!(vmcs_get(v, VMCS_PROC_CTRL) & VMX_PROC_MSR_BITMAPS))
        return true;
    const bool high = msr - 0xc0000000u < 0x2000;
    if (!high && msr >= 0x2000)
        return true;
    const u64 part = vmcs_get(v, VMCS_MSR_BITMAP) + (high ? 1024 : 0) + (write ? 2048 : 0);
    return vmx_ram_read(cpu, part + ((msr & 0x1fff) >> 3), 1) >> (msr & 7) & 1;
}

static bool event_msr(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const bool write = e->kind == EVENT_WRMSR;
    if (msr_exits(cpu, v, (u32)g->gpr[RCX], write))
        return plain(x, write ? VMX_REASON_WRMSR : VMX_REASON_RDMSR, e);
    if (write)
        guest_wrmsr(cpu, g, e);
    else
        guest_rdmsr(cpu, g, e);
    return false;
}

static bool event_tsc(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const bool rdtscp = guest_insn_len(e) == 3;
    if (rdtscp && !(vmcs_get(v, VMCS_PROC2_CTRL) & VMX_PROC2_RDTSCP)) {
        guest_fault(g, VECTOR_UD, false, 0);
        return false;
    }
    if (vmcs_get(v, VMCS_PROC_CTRL) & VMX_PROC_RDTSC)
        return plain(x, rdtscp ? VMX_REASON_RDTSCP : VMX_REASON_RDTSC, e);
    guest_rdtsc(cpu, g, e);
    return false;
}

/* #PF exits if bit 14 of the bitmap equals "the error code under the mask matches" (25.6.3). */
static bool exception_exits(const struct vmcs *v, const struct engine_event *e)
{
    const bool bitmap = vmcs_get(v, VMCS_EXCEPTION_BITMAP) >> (e->vector & 31) & 1;
    if (e->vector != VECTOR_PF)
        return bitmap;
    return bitmap == ((e->error & vmcs_get(v, VMCS_PF_ERROR_MASK)) == vmcs_get(v, VMCS_PF_ERROR_MATCH));
}

static bool event_exception(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const bool int1 = e->vector == VECTOR_DB && e->insn_len, software = int1 || e->vector == VECTOR_BP || e->vector == VECTOR_OF;
    if (!exception_exits(v, e)) {
        guest_exception(g, e);
        return false;
    }
    if (!software && e->vector != VECTOR_DB)
        g->rflags |= RFLAGS_RF;   /* as in the image that delivery would push (27.3.3) */
    x->reason = VMX_REASON_EXCEPTION;
    x->event = VMX_INTR_VALID | e->vector | (int1 ? VMX_EVENT_PRIV : software ? VMX_EVENT_SOFT : VMX_EVENT_EXCEPTION) << 8 |
               (e->error_valid ? VMX_INTR_ERROR : 0);
    x->error = e->error_valid ? e->error : 0;
    x->qualification = e->vector == VECTOR_PF ? e->address : e->vector == VECTOR_DB ? e->info : 0;
    x->length = software ? max(e->insn_len, 1u) : 0;
    return true;
}

static bool event_nested(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    const struct sim_nested n = { .format = SIM_EPT, .root = vmcs_get(v, VMCS_EPTP) };
    const bool table = e->info & 1;   /* the guest's page walk */
    struct sim_translation t = { 0 };
    struct sim_nested_fault f = { 0 };
    const enum sim_nested_result r = sim_nested_translate(cpu, &n, e->gpa, e->access, table, &t, &f);
    x->reason = r == SIM_NESTED_MISCONFIG ? VMX_REASON_EPT_MISCONFIG : VMX_REASON_EPT_VIOLATION;
    x->physical = e->gpa;
    if (r == SIM_NESTED_MISCONFIG)
        return true;
    /* It may be there by now: the violation came from a cached translation, which it invalidates (29.4.3.1). */
    const u32 present = r == SIM_NESTED_OK ? t.rights & ~e->access : f.present;
    const u32 access = (e->access & RIGHT_R ? EPTQ_READ : 0) | (e->access & RIGHT_W ? EPTQ_WRITE : 0) |
                       (e->access & RIGHT_X ? EPTQ_FETCH : 0);
    x->qualification = access | (present & 7) << 3;
    if (e->gva_valid) {
        x->qualification |= EPTQ_GVA_VALID | (table ? 0 : EPTQ_FINAL);
        x->linear = e->gva;
    }
    return true;
}

/* Opcode bytes, first byte highest. Reason 0: #UD here. */
static const struct other {
    u32 opcode;
    u32 reason;
    u32 control;   /* exits only if this bit of the primary controls is set; 0: always */
} others[] = {
    { 0x0f08, VMX_REASON_INVD, 0 },       { 0x0f37, VMX_REASON_GETSEC, 0 },     { 0x0f01c2, VMX_REASON_VMLAUNCH, 0 },
    { 0x0f01c3, VMX_REASON_VMRESUME, 0 }, { 0x0f01c4, VMX_REASON_VMXOFF, 0 },   { 0x0f78, VMX_REASON_VMREAD, 0 },
    { 0x0f79, VMX_REASON_VMWRITE, 0 },    { 0x0f3880, VMX_REASON_INVEPT, 0 },   { 0x0f3881, VMX_REASON_INVVPID, 0 },
    { 0x0f33, VMX_REASON_RDPMC, VMX_PROC_RDPMC }, { 0x0f01c8, VMX_REASON_MONITOR, VMX_PROC_MONITOR },
    { 0x0f01c9, VMX_REASON_MWAIT, VMX_PROC_MWAIT },
    /* SVM's, VMFUNC, GETSEC's kin: undefined on this processor. */
    { 0x0f01d8, 0, 0 }, { 0x0f01da, 0, 0 }, { 0x0f01db, 0, 0 }, { 0x0f01dc, 0, 0 }, { 0x0f01dd, 0, 0 }, { 0x0f01de, 0, 0 },
    { 0x0f01df, 0, 0 }, { 0x0f01d4, 0, 0 },
};

static bool event_other(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    for (size_t i = 0; i < array_size(others); i++) {
        if (others[i].opcode != e->info)
            continue;
        if (!others[i].reason) {
            guest_fault(&vmx_of(cpu)->guest, VECTOR_UD, false, 0);
            return false;
        }
        if (others[i].control && !(vmcs_get(v, VMCS_PROC_CTRL) & others[i].control))
            break;
        return plain(x, others[i].reason, e);
    }
    sim_broken(RULE_MACHINE_MODEL, "guest instruction %lx at RIP %lx neither exits nor is modelled", e->info, vmx_of(cpu)->guest.rip);
}

static bool event_insn(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const u64 proc = vmcs_get(v, VMCS_PROC_CTRL);
    switch (e->kind) {
    case EVENT_HLT:
        if (proc & VMX_PROC_HLT)
            return plain(x, VMX_REASON_HLT, e);
        guest_skip(g, e);
        g->activity = VMX_ACTIVITY_HLT;
        return false;
    case EVENT_HYPERCALL:
        if (!e->info)
            return plain(x, VMX_REASON_VMCALL, e);
        guest_fault(g, VECTOR_UD, false, 0);   /* VMMCALL */
        return false;
    case EVENT_INVLPG:
        x->qualification = e->address;
        if (proc & VMX_PROC_INVLPG)
            return plain(x, VMX_REASON_INVLPG, e);
        sim_tlb_flush_engine(cpu);
        guest_skip(g, e);
        return false;
    case EVENT_MOV_DR:
        x->qualification = e->cr.number | (e->cr.write ? 0 : 0x10) | e->cr.gpr << 8;
        if (proc & VMX_PROC_DR)
            return plain(x, VMX_REASON_DR, e);
        guest_mov_dr(cpu, g, e);
        return false;
    case EVENT_WBINVD:
        if ((proc & VMX_PROC_SECONDARY) && (vmcs_get(v, VMCS_PROC2_CTRL) & VMX_PROC2_WBINVD))
            return plain(x, VMX_REASON_WBINVD, e);
        guest_skip(g, e);
        return false;
    default:
        sim_broken(RULE_MACHINE_ENGINE, "the engine reports event %u to a guest", e->kind);
    }
}

bool vmx_event_exits(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x)
{
    *x = (struct vmx_exit){ 0 };
    switch (e->kind) {
    case EVENT_CPUID:
        return plain(x, VMX_REASON_CPUID, e);
    case EVENT_XSETBV:
        return plain(x, VMX_REASON_XSETBV, e);
    case EVENT_TRIPLE_FAULT:
        x->reason = VMX_REASON_TRIPLE;
        return true;
    case EVENT_IO:
        return event_io(cpu, v, e, x);
    case EVENT_RDMSR:
    case EVENT_WRMSR:
        return event_msr(cpu, v, e, x);
    case EVENT_RDTSC:
        return event_tsc(cpu, v, e, x);
    case EVENT_MOV_CR:
    case EVENT_CLTS:
    case EVENT_LMSW:
        if (vmx_cr_exits(cpu, v, e, x))
            return true;
        return e->kind == EVENT_NESTED_FAULT && event_nested(cpu, v, e, x);   /* of reading the PDPTEs */
    case EVENT_NESTED_FAULT:
        return event_nested(cpu, v, e, x);
    case EVENT_EXCEPTION:
        return event_exception(cpu, v, e, x);
    case EVENT_OTHER_INSN:
        return event_other(cpu, v, e, x);
    default:
        return event_insn(cpu, v, e, x);
    }
}
