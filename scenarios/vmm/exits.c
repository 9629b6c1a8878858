/* SPDX-License-Identifier: BSD-2-Clause */
/* What to do about each exit: one function per neutral reason, in a table. */
#include "decode.h"
#include "hv.h"
#include "print.h"
#include "vmm.h"

enum { RAX };

#define FLAG_IF  bit(9)
#define CR0_PG   bit(31)
#define CR0_TS   bit(3)
#define EFER_LME bit(8)
#define EFER_LMA bit(10)

static void segment(struct vcpu_segment *s, u64 base, u32 selector, u32 attributes)
{
    *s = (struct vcpu_segment){ .base = base, .limit = 0xffff, .attributes = attributes, .selector = (u16)selector };
}

void vcpu_reset(struct vmm_vcpu *v, u64 cs_base, u64 ip)
{
    struct vcpu_state *s = v->state;
    state_need(v, VCPU_GROUP_SEG | VCPU_GROUP_RIP);
    /* Real mode: accessed read-write data, and for CS execute-read code (Intel SDM 3A 9.1.4, table 9-1). */
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        segment(&s->seg[i], 0, 0, 0x93);
    segment(&s->seg[VCPU_SEG_CS], cs_base, (u32)(cs_base >> 4), 0x9b);
    s->rip = ip;
    s->rflags = 0x2;
    state_dirty(v, VCPU_GROUP_SEG | VCPU_GROUP_RIP);
}

static enum vmm_next exit_startup(struct vmm_vcpu *v)
{
    if (v->number == 0)
        vcpu_reset(v, 0, GUEST_ENTRY);
    else
        vcpu_reset(v, v->start_page << PAGE_BITS, 0);
    return VMM_RUN;
}

static enum vmm_next exit_nothing(struct vmm_vcpu *v)
{
    return VMM_RUN;
}

static enum vmm_next exit_hlt(struct vmm_vcpu *v)
{
    if (!state_skip(v))
        return VMM_FAIL;
    if (!(v->state->rflags & FLAG_IF))
        return VMM_END;
    vm_lock();
    v->on_halt = false;   /* the timer fires now */
    vm_unlock();
    return VMM_HALT;
}

static void cr_write(struct vmm_vcpu *v, u32 number, u64 value)
{
    struct vcpu_state *s = v->state;
    state_need(v, VCPU_GROUP_CR | VCPU_GROUP_EFER);
    if (number == 0) {
        s->cr0 = value;
        /* Intel SDM 3A 9.8.5: LMA follows PG while LME is set. */
        s->efer = (value & CR0_PG) && (s->efer & EFER_LME) ? s->efer | EFER_LMA : s->efer & ~EFER_LMA;
    } else if (number == 3) {
        s->cr3 = value;
    } else if (number == 4) {
        s->cr4 = value;
    } else if (number == 8) {
        s->cr8 = value;
    }
    state_dirty(v, VCPU_GROUP_CR | VCPU_GROUP_EFER);
}

static u64 cr_read(const struct vcpu_state *s, u32 number)
{
    return number == 0 ? s->cr0 : number == 2 ? s->cr2 : number == 3 ? s->cr3 : number == 4 ? s->cr4 : s->cr8;
}

static enum vmm_next exit_cr(struct vmm_vcpu *v)
{
    struct vcpu_state *s = v->state;
    struct decoded d;
    if (!state_decode(v, &d))
        return VMM_FAIL;
    if (d.op == DECODE_MOV_TO_CR) {
        cr_write(v, d.control, d.size == 8 ? s->gpr[d.reg] : (u32)s->gpr[d.reg]);
    } else if (d.op == DECODE_MOV_FROM_CR) {
        state_register(v, d.reg, d.size, cr_read(s, d.control));
    } else if (d.op == DECODE_CLTS) {
        cr_write(v, 0, s->cr0 & ~CR0_TS);
    } else {
        print("vmm: vCPU %u: control register access at 0x%lx not handled", v->number, s->rip);
        return VMM_FAIL;
    }
    s->exit.insn_len = d.length;
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

static enum vmm_next exit_hypercall(struct vmm_vcpu *v)
{
    state_register(v, RAX, 8, ~0ul);   /* no such service */
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

static enum vmm_next exit_exception(struct vmm_vcpu *v)
{
    const struct vcpu_exit *e = &v->state->exit;
    print("vmm: vCPU %u: exception %u nobody asked for, rip 0x%lx", v->number, e->u.exception.vector, v->state->rip);
    return VMM_FAIL;
}

static enum vmm_next exit_shutdown(struct vmm_vcpu *v)
{
    print("vmm: vCPU %u: triple fault, rip 0x%lx", v->number, v->state->rip);
    return VMM_FAIL;
}

static enum vmm_next exit_entry_failed(struct vmm_vcpu *v)
{
    const struct vcpu_exit *e = &v->state->exit;
    const u32 check = e->u.entry_failed.check;
    print("vmm: vCPU %u: entry failed: check %c%u, vmx error %u, qualification 0x%lx", v->number, check ? (int)(check >> 8) : '?',
          check & 0xff, e->u.entry_failed.vmx_error, e->u.entry_failed.qualification);
    return VMM_FAIL;
}

static enum vmm_next exit_other(struct vmm_vcpu *v)
{
    const struct vcpu_exit *e = &v->state->exit;
    print("vmm: vCPU %u: raw exit 0x%lx (0x%lx, 0x%lx), rip 0x%lx", v->number, e->raw_reason, e->raw_info1, e->raw_info2,
          v->state->rip);
    return VMM_FAIL;
}

static enum vmm_next (*const handlers[VCPU_EXIT_COUNT])(struct vmm_vcpu *v) = {
    [VCPU_EXIT_STARTUP] = exit_startup,
    [VCPU_EXIT_KICKED] = exit_nothing,
    [VCPU_EXIT_IO] = exit_io,
    [VCPU_EXIT_MMIO] = exit_mmio,
    [VCPU_EXIT_MSR_READ] = exit_msr_read,
    [VCPU_EXIT_MSR_WRITE] = exit_msr_write,
    [VCPU_EXIT_CPUID] = exit_cpuid,
    [VCPU_EXIT_HLT] = exit_hlt,
    [VCPU_EXIT_CR] = exit_cr,
    [VCPU_EXIT_EXCEPTION] = exit_exception,
    [VCPU_EXIT_INTR_WINDOW] = exit_nothing,
    [VCPU_EXIT_NMI_WINDOW] = exit_nothing,
    [VCPU_EXIT_SHUTDOWN] = exit_shutdown,
    [VCPU_EXIT_HYPERCALL] = exit_hypercall,
    [VCPU_EXIT_ENTRY_FAILED] = exit_entry_failed,
    [VCPU_EXIT_OTHER] = exit_other,
};

enum vmm_next exit_handle(struct vmm_vcpu *v)
{
    const u32 reason = v->state->exit.reason;
    return reason < VCPU_EXIT_COUNT ? handlers[reason](v) : exit_other(v);
}
