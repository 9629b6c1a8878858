/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events of the engine are intercepted and what the exit reports (AMD APM 2 15.7 to 15.14, 15.25, appendix C); what is not is executed by
 * guest_exec.c. Without next-RIP save and decode assists the fields they fill read 0, but for I/O, whose next RIP is in EXITINFO2. */
#include <string.h>
#include "guest_exec.h"
#include "svm_model.h"

/* An instruction intercept: next RIP if the processor saves it. */
static bool exits(struct svm_cpu *c, const struct engine_event *e, u64 code, u64 info1, u64 info2)
{
    svm_exit_code(c, code, info1, info2);
    if (svm_has(c, CPUID_SVM_NRIP))
        c->vmcb.next_rip = c->guest.rip + guest_insn_len(e);
    return true;
}

/* The instruction of a data fault, as far as the engine could fetch it (15.8.4). */
static void tell_bytes(struct svm_cpu *c, const struct engine_event *e, bool of_fetch)
{
    if (!svm_has(c, CPUID_SVM_DECODE) || of_fetch)
        return;
    c->vmcb.fetched_bytes = min(e->fetched_bytes, (u8)sizeof(e->fetched));
    memcpy(c->vmcb.insn_bytes, e->fetched, c->vmcb.fetched_bytes);
}

static u8 map_byte(struct sim_cpu *cpu, u64 phys)
{
    u8 value = 0xff;
    return sim_phys_read(cpu->sim, phys, &value, 1) ? value : 0xff;
}

static bool io_intercepted(struct sim_cpu *cpu, u32 port, u32 size)
{
    const struct vmcb *b = &svm_of(cpu)->vmcb;
    bool hit = false;
    for (u32 p = port; p < port + size; p++)   /* the map has three bits past port 0xffff */
        hit = hit || (map_byte(cpu, (b->iopm_base & ~PAGE_MASK) + (p >> 3)) >> (p & 7) & 1);
    return (b->intercept1 & SVM_ICEPT1_IO) && hit;
}

static bool event_io(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    if (!io_intercepted(cpu, e->io.port, e->io.size)) {
        guest_io(cpu, &c->guest, e);
        return false;
    }
    const u32 size = e->io.address_size;
    const u64 width = size == 2 ? 1 : size == 8 ? 4 : size == 4 ? 2 : 0;
    const u64 seg = svm_has(c, CPUID_SVM_DECODE) && e->io.string ? e->io.seg : 0;
    return exits(c, e, SVM_EXIT_IO,
                 (e->io.in ? SVM_IO_IN : 0) | (e->io.string ? SVM_IO_STRING : 0) | (e->io.rep ? SVM_IO_REP : 0) |
                         (u64)e->io.size << 4 | (svm_has(c, CPUID_SVM_NRIP) ? width << 7 : 0) | seg << 10 | (u64)e->io.port << 16,
                 c->guest.rip + guest_insn_len(e));
}

/* Two bits per MSR, three ranges of 8 K; others always exit (15.11). */
static bool msr_intercepted(struct sim_cpu *cpu, u32 msr, bool write)
{
    const struct vmcb *b = &svm_of(cpu)->vmcb;
    const u32 range = msr < 0x2000 ? 0 : msr - 0xc0000000u < 0x2000 ? 1 : msr - 0xc0010000u < 0x2000 ? 2 : 3;
    if (!(b->intercept1 & SVM_ICEPT1_MSR))
        return false;
    if (range == 3)
        return true;
    const u32 index = (msr & 0x1fff) * 2 + write;
    return map_byte(cpu, (b->msrpm_base & ~PAGE_MASK) + range * 0x800 + (index >> 3)) >> (index & 7) & 1;
}

static bool event_msr(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    const bool write = e->kind == EVENT_WRMSR;
    if (msr_intercepted(cpu, (u32)c->guest.gpr[RCX], write))
        return exits(c, e, SVM_EXIT_MSR, write, 0);
    if (write)
        guest_wrmsr(cpu, &c->guest, e);
    else
        guest_rdmsr(cpu, &c->guest, e);
    return false;
}

static bool event_exception(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    struct sim_guest *g = &c->guest;
    if (c->vmcb.intercept_exceptions >> (e->vector & 31) & 1) {
        if (e->vector == VECTOR_DB)
            guest_debug(g, e);   /* what the handler would find (15.12.2) */
        svm_exit_code(c, SVM_EXIT_EXCEPTION + (e->vector & 31), e->error_valid ? e->error : 0,
                      e->vector == VECTOR_PF ? e->address : 0);
        if (e->vector == VECTOR_PF)
            tell_bytes(c, e, e->error & PF_FETCH);
        return true;
    }
    guest_exception(g, e);
    return false;
}

/* The access is a user's to the nested tables (15.25.5); the error code comes from the walk of now. */
static bool event_nested(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    const struct sim_nested n = { .format = SIM_NPT, .root = c->guest.nested_root, .tag = c->vmcb.asid, .nxe = cpu->efer & EFER_NXE };
    const bool table = e->info & 1;
    struct sim_translation t = { 0 };
    struct sim_nested_fault f = { 0 };
    const enum sim_nested_result r = sim_nested_translate(cpu, &n, e->gpa, e->access, table, &t, &f);
    u64 error = (e->access & RIGHT_W ? SVM_NPF_WRITE : 0) | (e->access & RIGHT_X ? SVM_NPF_FETCH : 0) | SVM_NPF_USER;
    if (r == SIM_NESTED_OK)
        error |= SVM_NPF_PRESENT;   /* there by now: the fault came from a cached translation */
    else
        error |= f.error & (SVM_NPF_PRESENT | SVM_NPF_RESERVED);
    svm_exit_code(c, SVM_EXIT_NPF, error | (table ? SVM_NPF_TABLE : SVM_NPF_FINAL), e->gpa);
    tell_bytes(c, e, e->access & RIGHT_X);
    return true;
}

static struct guest_rules rules_of(const struct svm_cpu *c)
{
    return (struct guest_rules){ .cr4_valid = c->profile->cr4_valid };
}

static bool mov_cr(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    struct sim_guest *g = &c->guest;
    const u32 n = e->cr.number & 15;
    const u64 value = guest_gpr(g, e->cr.gpr), info = svm_has(c, CPUID_SVM_DECODE) ? SVM_CR_MOV | e->cr.gpr : 0;
    const struct guest_rules rules = rules_of(c);
    if ((e->cr.write ? c->vmcb.intercept_cr_write : c->vmcb.intercept_cr_read) >> n & 1)
        return exits(c, e, (e->cr.write ? SVM_EXIT_CR_WRITE : SVM_EXIT_CR_READ) + n, info, 0);
    /* A write of CR0 that changes more than TS and MP (15.9). */
    if (n == 0 && e->cr.write && (c->vmcb.intercept1 & SVM_ICEPT1_CR0_SEL) && ((value ^ g->cr0) & ~(CR0_TS | CR0_MP)))
        return exits(c, e, SVM_EXIT_CR0_SEL, info, 0);
    if (n == 8 && e->cr.write && (c->vmcb.int_control & SVM_INT_MASKING)) {
        g->cr8 = value & 0xf;
        guest_skip(g, e);
        return false;
    }
    if (e->cr.write) {
        guest_cr_write(cpu, g, &rules, n, value, e);
        return false;
    }
    guest_set_gpr(g, e->cr.gpr, n == 0 ? g->cr0 : n == 2 ? g->cr2 : n == 3 ? g->cr3 : n == 4 ? g->cr4 : g->cr8);
    guest_skip(g, e);
    return false;
}

/* CLTS and LMSW are writes of CR0 that are no MOV; info: LMSW's operand. */
static bool write_cr0(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    struct sim_guest *g = &c->guest;
    const u64 low = CR0_MP | CR0_EM | CR0_TS;
    const u64 value = e->kind == EVENT_CLTS ? g->cr0 & ~CR0_TS : (g->cr0 & ~low) | (e->info & 0xf);
    const struct guest_rules rules = rules_of(c);
    if (c->vmcb.intercept_cr_write & 1)
        return exits(c, e, SVM_EXIT_CR_WRITE, 0, 0);
    if ((c->vmcb.intercept1 & SVM_ICEPT1_CR0_SEL) && ((value ^ g->cr0) & ~(CR0_TS | CR0_MP)))
        return exits(c, e, SVM_EXIT_CR0_SEL, 0, 0);
    guest_cr_write(cpu, g, &rules, 0, value, e);
    return false;
}

static bool mov_dr(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    const u32 n = e->cr.number & 15;
    if ((e->cr.write ? c->vmcb.intercept_dr_write : c->vmcb.intercept_dr_read) >> n & 1)
        return exits(c, e, (e->cr.write ? SVM_EXIT_DR_WRITE : SVM_EXIT_DR_READ) + n, svm_has(c, CPUID_SVM_DECODE) ? e->cr.gpr : 0, 0);
    guest_mov_dr(cpu, &c->guest, e);
    return false;
}

/* Opcode bytes, first byte highest, to the intercept and its exit. word: which of the two intercept words. */
static const struct other {
    u32 opcode, word, intercept, code;
} others[] = {
    { 0xcf, 1, SVM_ICEPT1_IRET, SVM_EXIT_IRET },          { 0x9c, 1, SVM_ICEPT1_PUSHF, SVM_EXIT_PUSHF },
    { 0x9d, 1, SVM_ICEPT1_POPF, SVM_EXIT_POPF },          { 0xcd, 1, SVM_ICEPT1_INTN, SVM_EXIT_INTN },
    { 0x0f08, 1, SVM_ICEPT1_INVD, SVM_EXIT_INVD },        { 0xf390, 1, SVM_ICEPT1_PAUSE, SVM_EXIT_PAUSE },
    { 0x0f33, 1, SVM_ICEPT1_RDPMC, SVM_EXIT_RDPMC },      { 0x0faa, 1, SVM_ICEPT1_RSM, SVM_EXIT_RSM },
    { 0x0f01df, 1, SVM_ICEPT1_INVLPGA, SVM_EXIT_INVLPGA }, { 0x0f01d8, 2, SVM_ICEPT2_VMRUN, SVM_EXIT_VMRUN },
    { 0x0f01da, 2, SVM_ICEPT2_VMLOAD, SVM_EXIT_VMLOAD },  { 0x0f01db, 2, SVM_ICEPT2_VMSAVE, SVM_EXIT_VMSAVE },
    { 0x0f01dc, 2, SVM_ICEPT2_STGI, SVM_EXIT_STGI },      { 0x0f01dd, 2, SVM_ICEPT2_CLGI, SVM_EXIT_CLGI },
    { 0x0f01de, 2, SVM_ICEPT2_SKINIT, SVM_EXIT_SKINIT },  { 0xf1, 2, SVM_ICEPT2_ICEBP, SVM_EXIT_ICEBP },
    { 0x0f01c8, 2, SVM_ICEPT2_MONITOR, SVM_EXIT_MONITOR }, { 0x0f01c9, 2, SVM_ICEPT2_MWAIT, SVM_EXIT_MWAIT },
    { 0x0f01fd, 2, SVM_ICEPT2_RDPRU, SVM_EXIT_RDPRU },
};
/* Intel's: VMLAUNCH, VMRESUME, VMXOFF, VMREAD, VMWRITE, INVEPT, INVVPID, GETSEC. */
static const u32 undefined[] = { 0x0f01c2, 0x0f01c3, 0x0f01c4, 0x0f78, 0x0f79, 0x0f3880, 0x0f3881, 0x0f37 };

static bool event_other(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    for (size_t i = 0; i < array_size(others); i++)
        if (others[i].opcode == e->info && ((others[i].word == 1 ? c->vmcb.intercept1 : c->vmcb.intercept2) & others[i].intercept))
            return exits(c, e, others[i].code, 0, 0);
    for (size_t i = 0; i < array_size(undefined); i++)
        if (undefined[i] == e->info) {
            guest_fault(&c->guest, VECTOR_UD, false, 0);
            return false;
        }
    sim_broken(RULE_MACHINE_MODEL, "guest instruction %lx at RIP %lx is neither intercepted nor modelled", e->info, c->guest.rip);
}

static void do_cpuid(struct sim_cpu *cpu, struct sim_guest *g, const struct engine_event *e)
{
    const struct mach_cpuid r = sim_cpuid(cpu, (u32)g->gpr[RAX], (u32)g->gpr[RCX]);
    g->gpr[RAX] = r.eax;
    g->gpr[RBX] = r.ebx;
    g->gpr[RCX] = r.ecx;
    g->gpr[RDX] = r.edx;
    guest_skip(g, e);
}

/* What an instruction without an intercept of its own does. */
static bool execute(struct sim_cpu *cpu, struct engine_event *e)
{
    struct sim_guest *g = &svm_of(cpu)->guest;
    switch (e->kind) {
    case EVENT_CPUID:
        do_cpuid(cpu, g, e);
        return false;
    case EVENT_RDTSC:
        guest_rdtsc(cpu, g, e);
        return false;
    case EVENT_HYPERCALL:
        guest_fault(g, VECTOR_UD, false, 0);
        return false;
    case EVENT_HLT:
        g->activity = 1;   /* halted: run waits for an interrupt */
        break;
    case EVENT_INVLPG:
        sim_tlb_flush_engine(cpu);
        break;
    case EVENT_WBINVD:
        break;
    case EVENT_TRIPLE_FAULT:
        sim_broken(RULE_SVM_SHUTDOWN, "a guest's shutdown is not intercepted: it resets the machine (APM 2 15.14.3)");
    default:
        sim_broken(RULE_MACHINE_MODEL, "event %u of a guest is neither intercepted nor modelled", e->kind);
    }
    guest_skip(g, e);
    return false;
}

/* Instructions with one intercept bit each. */
static bool event_insn(struct sim_cpu *cpu, struct engine_event *e)
{
    struct svm_cpu *c = svm_of(cpu);
    const u32 first = c->vmcb.intercept1, second = c->vmcb.intercept2;
    const bool rdtscp = e->kind == EVENT_RDTSC && guest_insn_len(e) == 3;
    if (e->kind == EVENT_CPUID && (first & SVM_ICEPT1_CPUID))
        return exits(c, e, SVM_EXIT_CPUID, 0, 0);
    if (e->kind == EVENT_HLT && (first & SVM_ICEPT1_HLT))
        return exits(c, e, SVM_EXIT_HLT, 0, 0);
    if (e->kind == EVENT_HYPERCALL && e->info && (second & SVM_ICEPT2_VMMCALL))
        return exits(c, e, SVM_EXIT_VMMCALL, 0, 0);
    if (rdtscp && (second & SVM_ICEPT2_RDTSCP))
        return exits(c, e, SVM_EXIT_RDTSCP, 0, 0);
    if (e->kind == EVENT_RDTSC && !rdtscp && (first & SVM_ICEPT1_RDTSC))
        return exits(c, e, SVM_EXIT_RDTSC, 0, 0);
    if (e->kind == EVENT_INVLPG && (first & SVM_ICEPT1_INVLPG))
        return exits(c, e, SVM_EXIT_INVLPG, svm_has(c, CPUID_SVM_DECODE) ? e->address : 0, 0);
    if (e->kind == EVENT_WBINVD && (second & SVM_ICEPT2_WBINVD))
        return exits(c, e, SVM_EXIT_WBINVD, 0, 0);
    if (e->kind == EVENT_XSETBV && (second & SVM_ICEPT2_XSETBV))
        return exits(c, e, SVM_EXIT_XSETBV, 0, 0);
    if (e->kind == EVENT_TRIPLE_FAULT && (first & SVM_ICEPT1_SHUTDOWN)) {
        svm_exit_code(c, SVM_EXIT_SHUTDOWN, 0, 0);
        return true;
    }
    return execute(cpu, e);
}

bool svm_event_exits(struct sim_cpu *cpu, struct engine_event *e)
{
    switch (e->kind) {
    case EVENT_IO:
        return event_io(cpu, e);
    case EVENT_RDMSR:
    case EVENT_WRMSR:
        return event_msr(cpu, e);
    case EVENT_MOV_CR:
        return mov_cr(cpu, e);
    case EVENT_CLTS:
    case EVENT_LMSW:
        return write_cr0(cpu, e);
    case EVENT_MOV_DR:
        return mov_dr(cpu, e);
    case EVENT_NESTED_FAULT:
        return event_nested(cpu, e);
    case EVENT_EXCEPTION:
        return event_exception(cpu, e);
    case EVENT_OTHER_INSN:
        return event_other(cpu, e);
    default:
        return event_insn(cpu, e);
    }
}
