/* SPDX-License-Identifier: BSD-2-Clause */
/* What goes of a recorded exit into the guest of a model, and what the model then has to see so that it exits. Not loaded: what a guest cannot change
 * without an exit (STAR to FMASK, TSC_AUX, CR8), as VMX shares it with the host. */
#include "replay/event.h"
#include <string.h>
#include "abi/hypercall.h"
#include "arch/svm.h"
#include "arch/vmx.h"
#include "arch/x86.h"

#define DR6_CAUSES  (DR6_B | DR6_BD | DR6_BS)
#define DR7_ENABLED 0xfful
#define EXCEPTIONS  32u
#define REGISTERS   16u

static const u64 *word(const struct trace_words *w, u32 first)
{
    return &w->word[first];
}

/* ---- State ---- */

/* Bits that VMX or SVM want and the neutral state does not show; CD and NW are not loaded by entries of VMX. */
static void load_control(const struct trace_words *w, enum sim_vendor vendor, u32 groups, struct sim_guest *g)
{
    const u64 *cr = word(w, TRACE_WORD_cr0);
    if (groups & VCPU_GROUP_CR) {
        g->cr0 = vendor == SIM_VMX ? (cr[0] & ~(CR0_CD | CR0_NW)) | CR0_NE : cr[0];
        g->cr2 = cr[1];
        g->cr3 = cr[2];
        g->cr4 = vendor == SIM_VMX ? cr[3] | CR4_VMXE | CR4_MCE : cr[3];
    }
    if (groups & VCPU_GROUP_EFER) {
        g->efer = w->word[TRACE_WORD_efer] | (vendor == SIM_SVM ? EFER_SVME : 0);
        g->pat = w->word[TRACE_WORD_pat];
    }
}

#define TSS_BUSY 2u

/* A task register is busy; VMX insists, QEMU forgets. */
static void load_tables(const struct trace_words *w, enum sim_vendor vendor, u32 groups, struct sim_guest *g)
{
    static_assert(sizeof(g->seg) == (TRACE_WORD_gdtr_base - TRACE_WORD_es_base) * sizeof(u64), "the words are the segments");
    if (groups & VCPU_GROUP_SEG)
        memcpy(g->seg, word(w, TRACE_WORD_es_base), sizeof(g->seg));
    if (vendor == SIM_VMX && groups & VCPU_GROUP_SEG)
        g->seg[VCPU_SEG_TR].attributes |= TSS_BUSY;
    if (groups & VCPU_GROUP_TABLE) {
        g->gdtr.base = w->word[TRACE_WORD_gdtr_base];
        g->gdtr.limit = (u32)w->word[TRACE_WORD_gdtr_limit];
        g->idtr.base = w->word[TRACE_WORD_idtr_base];
        g->idtr.limit = (u32)w->word[TRACE_WORD_idtr_limit];
    }
    if (groups & VCPU_GROUP_PDPTE)
        memcpy(g->pdpte, word(w, TRACE_WORD_pdpte0), sizeof(g->pdpte));
}

/* Registers that are the CPU's own on VMX: only what the kernel has switched, and will save. */
static void load_own(const struct trace_words *w, enum sim_vendor vendor, u32 groups, struct sim_guest *g)
{
    if (groups & VCPU_GROUP_DR) {
        g->dr7 = w->word[TRACE_WORD_dr7];
        if (vendor == SIM_SVM || g->dr7 & DR7_ENABLED)
            g->dr6 = w->word[TRACE_WORD_dr6];
    }
    if (groups & VCPU_GROUP_SYSENTER) {
        g->sysenter_cs = w->word[TRACE_WORD_sysenter_cs];
        g->sysenter_esp = w->word[TRACE_WORD_sysenter_esp];
        g->sysenter_eip = w->word[TRACE_WORD_sysenter_eip];
    }
    if (groups & VCPU_GROUP_SYSCALL && (vendor == SIM_SVM || g->efer & EFER_LME))
        g->kernel_gs = w->word[TRACE_WORD_kernel_gs];
}

/* SVM does not tell the shadow of MOV SS from that of STI, which there is on VMX with IF only. */
static u32 interruptibility(const struct trace_words *w, enum sim_vendor vendor, u64 rflags)
{
    const u32 blocked = (u32)(w->word[TRACE_WORD_activity_and_interruptibility] >> 32);
    if (vendor == SIM_VMX && blocked & VCPU_BLOCKED_STI && !(rflags & RFLAGS_IF))
        return (blocked & ~VCPU_BLOCKED_STI) | VCPU_BLOCKED_MOV_SS;
    return blocked;
}

void replay_load(const struct trace_words *w, enum sim_vendor vendor, struct sim_guest *g)
{
    const u32 groups = trace_known(w) | trace_valid(w);
    if (groups & VCPU_GROUP_GPR)
        memcpy(g->gpr, word(w, TRACE_WORD_rax), sizeof(g->gpr));
    if (groups & VCPU_GROUP_RIP) {
        g->rip = w->word[TRACE_WORD_rip];
        g->rflags = w->word[TRACE_WORD_rflags];
    }
    load_control(w, vendor, groups, g);
    load_tables(w, vendor, groups, g);
    if (groups & (VCPU_GROUP_DR | VCPU_GROUP_SYSENTER | VCPU_GROUP_SYSCALL))
        load_own(w, vendor, groups, g);
    if (groups & VCPU_GROUP_ACTIVITY)
        g->interruptibility = interruptibility(w, vendor, g->rflags);
    const u64 pending = w->word[TRACE_WORD_pending];
    g->event = pending & VCPU_EVENT_VALID ? pending : 0;
}

/* ---- Events ---- */

static bool event_io(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_IO;
    out->io.port = x->u.io.port;
    out->io.size = x->u.io.size;
    out->io.in = x->u.io.in;
    out->io.string = x->u.io.string;
    out->io.rep = x->u.io.rep;
    out->io.address_size = x->u.io.address_size;
    out->io.seg = x->u.io.in ? VCPU_SEG_ES : VCPU_SEG_DS;
    if (x->raw_reason == SVM_EXIT_IO) {   /* says more than is neutral */
        out->io.address_size = (u8)(SVM_IO_ADDRESS(x->raw_info1) * 2);
        out->io.seg = SVM_IO_SEG(x->raw_info1) ? SVM_IO_SEG(x->raw_info1) : out->io.seg;
    }
    return x->u.io.size == 1 || x->u.io.size == 2 || x->u.io.size == 4;
}

/* Was it the guest's page walk? */
static bool of_walk(const struct vcpu_exit *x)
{
    if (x->raw_reason == SVM_EXIT_NPF)
        return x->raw_info1 & SVM_NPF_TABLE;
    return x->raw_reason == VMX_REASON_EPT_VIOLATION && x->raw_info1 & EPTQ_GVA_VALID && !(x->raw_info1 & EPTQ_FINAL);
}

static void event_mmio(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_NESTED_FAULT;
    out->gpa = x->u.mmio.gpa;
    out->access = x->u.mmio.access ? x->u.mmio.access : RIGHT_R;
    out->gva = x->u.mmio.gva;
    out->gva_valid = x->u.mmio.gva_valid;
    out->info = of_walk(x);
}

static bool event_cr(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = x->u.cr.kind == 1 ? EVENT_CLTS : x->u.cr.kind == 2 ? EVENT_LMSW : EVENT_MOV_CR;
    out->cr.number = x->u.cr.number;
    out->cr.gpr = x->u.cr.gpr;
    out->cr.write = x->u.cr.write;
    out->info = x->raw_reason == VMX_REASON_CR ? x->raw_info1 >> 16 & 0xffff : 0;   /* LMSW's operand */
    return out->cr.number < REGISTERS && out->cr.gpr < REGISTERS;
}

static bool event_exception(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_EXCEPTION;
    out->vector = x->u.exception.vector;
    out->error_valid = x->u.exception.error_valid;
    out->error = x->u.exception.error;
    out->address = x->u.exception.address;
    if (out->vector == VECTOR_DB && !x->insn_len)   /* from DR6 as it will be to what it gets; INT1, which has a length, gives it nothing */
        out->info = (x->u.exception.address ^ DR6_ZERO) & (DR6_CAUSES | DR6_ZERO);
    return out->vector < EXCEPTIONS;
}

static void event_msr(const struct vcpu_exit *x, struct sim_guest *g, struct engine_event *out)
{
    out->kind = x->reason == VCPU_EXIT_MSR_READ ? EVENT_RDMSR : EVENT_WRMSR;
    if ((u32)g->gpr[RCX] != x->u.msr.index)
        g->gpr[RCX] = x->u.msr.index;
}

/* The model sees an open window itself, and takes an event that says so of a closed one for a fault of the engine. */
static bool event_window(const struct vcpu_exit *x, enum sim_vendor vendor, const struct sim_guest *g, struct engine_event *out)
{
    const bool nmi = x->reason == VCPU_EXIT_NMI_WINDOW;
    out->kind = nmi ? EVENT_SLICE : EVENT_INTR_WINDOW;
    if (g->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS))
        return false;
    return nmi ? vendor == SIM_VMX && !(g->interruptibility & VCPU_BLOCKED_NMI) : g->rflags & RFLAGS_IF;
}

/* Instructions without a neutral reason: raw reasons (0: no exit there), event, opcode bytes. Those of the two vendors do not overlap. */
static const struct {
    u32 vmx, svm;
    enum engine_event_kind kind;
    u32 opcode;
} others[] = {
    {VMX_REASON_INVD, SVM_EXIT_INVD, EVENT_OTHER_INSN, 0x0f08},
    {VMX_REASON_RDPMC, SVM_EXIT_RDPMC, EVENT_OTHER_INSN, 0x0f33},
    {VMX_REASON_MONITOR, SVM_EXIT_MONITOR, EVENT_OTHER_INSN, 0x0f01c8},
    {VMX_REASON_MWAIT, SVM_EXIT_MWAIT, EVENT_OTHER_INSN, 0x0f01c9},
    {VMX_REASON_WBINVD, SVM_EXIT_WBINVD, EVENT_WBINVD, 0},
    {VMX_REASON_XSETBV, SVM_EXIT_XSETBV, EVENT_XSETBV, 0},
    {VMX_REASON_RDTSC, SVM_EXIT_RDTSC, EVENT_RDTSC, 0},
    {VMX_REASON_RDTSCP, SVM_EXIT_RDTSCP, EVENT_RDTSC, 0},
    {VMX_REASON_GETSEC, 0, EVENT_OTHER_INSN, 0x0f37},
    {VMX_REASON_VMLAUNCH, 0, EVENT_OTHER_INSN, 0x0f01c2},
    {VMX_REASON_VMRESUME, 0, EVENT_OTHER_INSN, 0x0f01c3},
    {VMX_REASON_VMXOFF, 0, EVENT_OTHER_INSN, 0x0f01c4},
    {VMX_REASON_VMREAD, 0, EVENT_OTHER_INSN, 0x0f78},
    {VMX_REASON_VMWRITE, 0, EVENT_OTHER_INSN, 0x0f79},
    {VMX_REASON_INVEPT, 0, EVENT_OTHER_INSN, 0x0f3880},
    {VMX_REASON_INVVPID, 0, EVENT_OTHER_INSN, 0x0f3881},
    {0, SVM_EXIT_VMRUN, EVENT_OTHER_INSN, 0x0f01d8},
    {0, SVM_EXIT_VMLOAD, EVENT_OTHER_INSN, 0x0f01da},
    {0, SVM_EXIT_VMSAVE, EVENT_OTHER_INSN, 0x0f01db},
    {0, SVM_EXIT_STGI, EVENT_OTHER_INSN, 0x0f01dc},
    {0, SVM_EXIT_CLGI, EVENT_OTHER_INSN, 0x0f01dd},
    {0, SVM_EXIT_SKINIT, EVENT_OTHER_INSN, 0x0f01de},
    {0, SVM_EXIT_INVLPGA, EVENT_OTHER_INSN, 0x0f01df},
};

static bool event_other(const struct vcpu_exit *x, enum sim_vendor vendor, struct engine_event *out)
{
    for (u32 i = 0; i < array_size(others); i++) {
        if (!x->raw_reason || (x->raw_reason != others[i].vmx && x->raw_reason != others[i].svm))
            continue;
        out->kind = others[i].kind;
        out->info = others[i].opcode;
        if (x->raw_reason == VMX_REASON_RDTSCP || x->raw_reason == SVM_EXIT_RDTSCP)
            out->insn_len = 3;   /* by it the models know RDTSCP */
        return vendor == SIM_VMX ? others[i].vmx : others[i].svm;
    }
    return false;
}

bool replay_event(const struct trace_words *w, enum sim_vendor vendor, struct sim_guest *g, struct engine_event *out)
{
    const struct vcpu_exit *x = trace_words_exit(w);
    const u8 *const instruction = (const u8 *)word(w, TRACE_WORD_instruction0);
    *out = (struct engine_event){.insn_len = x->insn_len, .fetched_bytes = instruction[sizeof(out->fetched)]};
    memcpy(out->fetched, instruction, sizeof(out->fetched));
    switch (x->reason) {
    case VCPU_EXIT_IO:
        return event_io(x, out);
    case VCPU_EXIT_MMIO:
        event_mmio(x, out);
        return true;
    case VCPU_EXIT_CR:
        return event_cr(x, out);
    case VCPU_EXIT_EXCEPTION:
        return event_exception(x, out);
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE:
        event_msr(x, g, out);
        return true;
    case VCPU_EXIT_CPUID:
        out->kind = EVENT_CPUID;
        return true;
    case VCPU_EXIT_HLT:
        out->kind = EVENT_HLT;
        return true;
    case VCPU_EXIT_SHUTDOWN:
        out->kind = EVENT_TRIPLE_FAULT;
        return true;
    case VCPU_EXIT_HYPERCALL:
        out->kind = EVENT_HYPERCALL;
        out->info = vendor == SIM_SVM;
        return true;
    case VCPU_EXIT_INTR_WINDOW:
    case VCPU_EXIT_NMI_WINDOW:
        return event_window(x, vendor, g, out);
    case VCPU_EXIT_OTHER:
        return event_other(x, vendor, out);
    default:
        return false;
    }
}
