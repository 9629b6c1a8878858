/* SPDX-License-Identifier: BSD-2-Clause */
/* From a recorded exit to the guest state and the engine event it came from. Only what the recording holds is loaded; everything else stays as
 * the model has it. Not recorded: guest memory, the segment of a string port access. */
#include "abi/hypercall.h"
#include "replay.h"

#define CR0_NE    0x20ul
#define CR4_MCE   0x40ul
#define CR4_VMXE  0x2000ul
#define EFER_SVME 0x1000ul
#define DB         1u
#define DR6_ZERO   0x10800ul   /* causes that DR6 shows as 0 */
#define DR6_CAUSES 0x600ful

/* Bits that VMX or SVM want and the neutral state does not show. */
static void keep_fixed(enum sim_vendor vendor, struct sim_guest *g)
{
    if (vendor == SIM_VMX) {
        g->cr0 |= CR0_NE;
        g->cr4 |= CR4_VMXE | CR4_MCE;
    } else {
        g->efer |= EFER_SVME;
    }
}

static void load_system(const struct vcpu_state *s, u32 groups, struct sim_guest *g)
{
    if (groups & VCPU_GROUP_SEG)
        for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
            g->seg[i] = s->seg[i];
    if (groups & VCPU_GROUP_TABLE) {
        g->gdtr.base = s->gdtr.base, g->gdtr.limit = s->gdtr.limit;
        g->idtr.base = s->idtr.base, g->idtr.limit = s->idtr.limit;
    }
    if (groups & VCPU_GROUP_CR)
        g->cr0 = s->cr0, g->cr2 = s->cr2, g->cr3 = s->cr3, g->cr4 = s->cr4, g->cr8 = s->cr8;
    if (groups & VCPU_GROUP_DR)
        g->dr6 = s->dr6, g->dr7 = s->dr7;
    if (groups & VCPU_GROUP_EFER)
        g->efer = s->efer, g->pat = s->pat;
    if (groups & VCPU_GROUP_SYSENTER)
        g->sysenter_cs = s->sysenter_cs, g->sysenter_esp = s->sysenter_esp, g->sysenter_eip = s->sysenter_eip;
    if (groups & VCPU_GROUP_SYSCALL) {
        g->star = s->star, g->lstar = s->lstar, g->cstar = s->cstar, g->fmask = s->fmask;
        g->kernel_gs = s->kernel_gs, g->tsc_aux = s->tsc_aux;
    }
    if (groups & VCPU_GROUP_PDPTE)
        for (u32 i = 0; i < 4; i++)
            g->pdpte[i] = s->pdpte[i];
}

void replay_load(const struct trace_exit *x, enum sim_vendor vendor, struct sim_guest *g)
{
    struct vcpu_state s = {0};
    vcpu_payload_apply(&s, x + 1, x->groups);
    if (x->groups & VCPU_GROUP_GPR)
        for (u32 i = 0; i < 16; i++)
            g->gpr[i] = s.gpr[i];
    if (x->groups & VCPU_GROUP_RIP)
        g->rip = s.rip, g->rflags = s.rflags;
    if (x->groups & VCPU_GROUP_ACTIVITY)
        g->interruptibility = s.interruptibility;
    load_system(&s, x->groups, g);
    keep_fixed(vendor, g);
    g->event = x->pending & VCPU_EVENT_VALID ? x->pending : 0;
}

static bool reason_agrees(const struct trace_exit *x, const struct engine_event *e)
{
    switch (x->exit.reason) {
    case VCPU_EXIT_IO: return e->kind == EVENT_IO && e->io.port == x->exit.u.io.port && e->io.in == x->exit.u.io.in;
    case VCPU_EXIT_MMIO: return e->kind == EVENT_NESTED_FAULT && e->gpa == x->exit.u.mmio.gpa;
    case VCPU_EXIT_MSR_READ: return e->kind == EVENT_RDMSR;
    case VCPU_EXIT_MSR_WRITE: return e->kind == EVENT_WRMSR;
    case VCPU_EXIT_CPUID: return e->kind == EVENT_CPUID;
    case VCPU_EXIT_HLT: return e->kind == EVENT_HLT;
    case VCPU_EXIT_CR: return e->kind == EVENT_MOV_CR || e->kind == EVENT_CLTS || e->kind == EVENT_LMSW;
    case VCPU_EXIT_EXCEPTION: return e->kind == EVENT_EXCEPTION && e->vector == x->exit.u.exception.vector;
    case VCPU_EXIT_SHUTDOWN: return e->kind == EVENT_TRIPLE_FAULT;
    case VCPU_EXIT_HYPERCALL: return e->kind == EVENT_HYPERCALL;
    case VCPU_EXIT_OTHER: return e->kind == EVENT_OTHER_INSN || e->kind == EVENT_XSETBV || e->kind == EVENT_WBINVD || e->kind == EVENT_INVLPG ||
                                 e->kind == EVENT_RDTSC || e->kind == EVENT_MOV_DR;
    default: return false;
    }
}

bool replay_agrees(const struct trace_exit *x, const struct sim_guest *g, const struct engine_event *e)
{
    struct vcpu_state s = {0};
    vcpu_payload_apply(&s, x + 1, x->groups);
    return reason_agrees(x, e) && (!(x->groups & VCPU_GROUP_RIP) || s.rip == g->rip);
}

static void event_io(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_IO;
    out->io.port = x->u.io.port;
    out->io.size = x->u.io.size;
    out->io.in = x->u.io.in;
    out->io.string = x->u.io.string;
    out->io.rep = x->u.io.rep;
    out->io.address_size = x->u.io.address_size;
    out->io.seg = x->u.io.in ? VCPU_SEG_ES : VCPU_SEG_DS;
}

static void event_cr(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = x->u.cr.kind == 1 ? EVENT_CLTS : x->u.cr.kind == 2 ? EVENT_LMSW : EVENT_MOV_CR;
    out->cr.number = x->u.cr.number;
    out->cr.gpr = x->u.cr.gpr;
    out->cr.write = x->u.cr.write;
}

static void event_mmio(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_NESTED_FAULT;
    out->gpa = x->u.mmio.gpa;
    out->access = x->u.mmio.access ? x->u.mmio.access : RIGHT_R;
    out->gva = x->u.mmio.gva;
    out->gva_valid = x->u.mmio.gva_valid;
}

static void event_exception(const struct vcpu_exit *x, struct engine_event *out)
{
    out->kind = EVENT_EXCEPTION;
    out->vector = x->u.exception.vector;
    out->error_valid = x->u.exception.error_valid;
    out->error = x->u.exception.error;
    out->address = x->u.exception.address;
    if (out->vector == DB && !x->insn_len)   /* from DR6 as it will be to what it gets; INT1, which has a length, gives it nothing */
        out->info = (x->u.exception.address ^ DR6_ZERO) & (DR6_CAUSES | DR6_ZERO);
}

bool replay_event(const struct trace_exit *x, struct sim_guest *g, struct engine_event *out)
{
    const struct vcpu_exit *e = &x->exit;
    out->insn_len = e->insn_len;
    switch (e->reason) {
    case VCPU_EXIT_IO:
        event_io(e, out);
        return true;
    case VCPU_EXIT_MMIO:
        event_mmio(e, out);
        return true;
    case VCPU_EXIT_CR:
        event_cr(e, out);
        return true;
    case VCPU_EXIT_EXCEPTION:
        event_exception(e, out);
        return true;
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE:
        out->kind = e->reason == VCPU_EXIT_MSR_READ ? EVENT_RDMSR : EVENT_WRMSR;
        g->gpr[RCX] = e->u.msr.index;
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
        return true;
    default:
        return false;
    }
}
