/* SPDX-License-Identifier: BSD-2-Clause */
/* Running a vCPU: what is the same on both vendors.
 *
 *   vcpu_run -> (dirty groups copied once, checked, loaded) -> STATUS_SWITCH -> vcpu_resume -> guest
 *   guest -> vcpu_trap -> window or again -> sched_resume -> vcpu_resume ...
 *                      -> complete: exit and groups into the state page, RAX = OK, the EC is itself again
 *
 * The short way is that of a run that writes VIRT_HOT only, and of an exit that brings no more: these have nothing to be checked, so they are
 * loaded from the state page without a copy.
 *
 * Home CPU only, but vcpu_kick. Nothing waits: a kick or a shootdown that comes while the guest runs is an interrupt, hence an exit, hence
 * vcpu_resume looks again. The state page is hostile: its words are read once. */
#include "vcpu.h"
#include "abi/vcpu_groups.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "fpu.h"
#include "protect.h"
#include "sc.h"
#include "sched_enter.h"
#include "space_mem.h"

/* ---- Groups between the state page, the private copy and the vCPU ---- */

static void copy_dirty(struct vcpu *v, u32 dirty)
{
    for (u32 left = dirty; left; left &= left - 1) {
        const struct vcpu_group_range *const r = &vcpu_group_range[__builtin_ctz(left)];
        mach_copy((u8 *)v->copy + r->offset, (u8 *)v->state + r->offset, r->bytes);
    }
    if (dirty & VCPU_GROUP_FPU)
        mach_copy(v->copy->fpu, v->state->fpu, v->fpu_bytes);
}

/* Before anything is loaded, so that a refused run changes nothing. */
static u32 check_dirty(struct cpu *cpu, const struct vcpu *v, u32 dirty)
{
    const u32 check = virt_check(v->copy, dirty);
    if (check || !(dirty & VCPU_GROUP_FPU))
        return check;
    if (!fpu_xcr0_legal(cpu, v->copy->xcr0))
        return VCPU_CHECK_XCR0;
    return fpu_image_legal(v->copy->fpu, fpu_xcr0(cpu)) ? 0 : VCPU_CHECK_FPU_IMAGE;
}

/* What it writes, else what a run that was abandoned has left. */
static u64 event_wanted(const struct vcpu *v, u32 dirty)
{
    if (!(dirty & VCPU_GROUP_INJECT))
        return v->inject;
    return v->copy->inject & VCPU_EVENT_VALID ? v->copy->inject : 0;
}

static void load_dirty(struct cpu *cpu, struct vcpu *v, u32 dirty)
{
    if (dirty & VCPU_GROUP_FPU) {
        fpu_forget(cpu, v->fpu);
        mach_copy(v->fpu, v->copy->fpu, v->fpu_bytes);
        v->xcr0 = v->copy->xcr0;
    }
    v->inject = event_wanted(v, dirty);
    if (dirty & VCPU_GROUP_INJECT) {
        v->inject_insn_len = v->copy->inject_insn_len;
        v->windows = v->copy->windows;
    }
    cpu->kern->virt->load(cpu, v, v->copy, dirty);
}

/* What stands in no VMCS or VMCB. Those of the groups that this machine has. */
static seldom u32 store_own(struct cpu *cpu, struct vcpu *v, u32 groups)
{
    struct vcpu_state *const s = v->state;
    if (groups & VCPU_GROUP_INJECT) {
        s->inject = 0;
        s->inject_insn_len = s->windows = 0;
    }
    if (groups & VCPU_GROUP_FPU) {
        fpu_flush(cpu, v->fpu);
        mach_copy(s->fpu, v->fpu, v->fpu_bytes);
        s->fpu_bytes = v->fpu_bytes;
        s->xcr0 = v->xcr0;
    }
    return groups & cpu->kern->virt->groups;
}

/* others: groups that stand in the state page besides. */
static inline void store_groups(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups, u32 others)
{
    if (unlikely(groups & ~VIRT_HOT))
        groups = store_own(cpu, v, groups);
    s->valid = v->valid = groups | others;
    cpu->kern->virt->store(cpu, v, s, groups);
}

/* ---- The end of a run ---- */

static void leave(struct ec *ec, struct vcpu *v)
{
    ec->vcpu = NULL;
    v->runner = NULL;
    atomic_store(&v->running, 0);
}

/* The exit, with v->reason, stands in the state page. */
static inline void report(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u64 pending)
{
    s->pending = pending;
    s->dirty = 0;
    v->inject = 0;   /* the VMM's again */
    store_groups(cpu, v, s, vcpu_exit_groups[v->reason] | v->want, 0);
}

/* An exit that no guest made. */
static seldom void report_own(struct cpu *cpu, struct vcpu *v, u32 reason, u32 check, u64 pending)
{
    struct vcpu_state *const s = v->state;
    mach_zero(&s->exit, sizeof(s->exit));
    s->exit.reason = v->reason = reason;
    s->exit.u.entry_failed.check = check;
    report(cpu, v, s, pending);
    if (cpu->trace)
        trace_exit(cpu, v);
}

/* Back before the guest was entered: the event asked for is still to be delivered. */
static seldom struct resume *complete_early(struct cpu *cpu, struct ec *ec, u32 reason)
{
    struct vcpu *const v = ec->vcpu;
    report_own(cpu, v, reason, 0, v->inject);
    ec->resume.gpr[RAX] = OK;
    leave(ec, v);
    fpu_switch(cpu, ec->fpu);
    if (cpu->protect)
        protect_enter(cpu, NULL);
    return &ec->resume;
}

seldom void vcpu_abandon(struct ec *ec)
{
    ec->vcpu->valid = 0;   /* the guest has gone on since */
    leave(ec, ec->vcpu);
}

/* ---- Hypercalls ---- */

static enum status run_allowed(const struct cpu *cpu, const struct ec *ec, const struct vcpu *v)
{
    if (v->object.cpu != cpu->id)
        return STATUS_CPU;
    if (v->runner)
        return STATUS_BUSY;
    /* Somebody else's time must not run an endless guest. */
    return ec->caller || (cpu->current_sc && cpu->current_sc->ec != ec) ? STATUS_BUSY : OK;
}

/* The first run; groups that are checked before anything is loaded; a trace. OK: all is loaded, the guest may be entered. STATUS_SWITCH: back with an
 * exit already. STATUS_FEATURE. */
static seldom enum status prepare(struct cpu *cpu, struct vcpu *v, u32 dirty)
{
    if (dirty & ~cpu->kern->virt->groups)
        return STATUS_FEATURE;
    if (!v->started) {
        cpu->kern->virt->start(cpu, v);
        v->started = true;
        report_own(cpu, v, VCPU_EXIT_STARTUP, 0, 0);
        return STATUS_SWITCH;
    }
    copy_dirty(v, dirty);
    if (cpu->trace)
        trace_entry(cpu, v, dirty);
    const u32 check = check_dirty(cpu, v, dirty);
    if (check) {
        report_own(cpu, v, VCPU_EXIT_ENTRY_FAILED, check, event_wanted(v, dirty));
        return STATUS_SWITCH;
    }
    load_dirty(cpu, v, dirty);
    return OK;
}

enum status vcpu_run(struct cpu *cpu, struct ec *ec, struct vcpu *v)
{
    enum status s = run_allowed(cpu, ec, v);
    if (unlikely(s != OK))
        return s;
    const u32 dirty = v->state->dirty;
    v->want = v->state->want;
    v->windows = 0;
    if (likely(!(dirty & ~VIRT_HOT) && v->started && !cpu->trace)) {
        cpu->kern->virt->load(cpu, v, v->state, dirty);
    } else {
        s = prepare(cpu, v, dirty);
        if (s != OK)
            return s == STATUS_SWITCH ? OK : s;
    }
    v->runner = ec;
    ec->vcpu = v;
    /* Before the kick is looked at, in vcpu_resume: pairs with vcpu_kick. */
    atomic_xchg(&v->running, 1);
    return STATUS_SWITCH;
}

void vcpu_kick(struct cpu *cpu, struct vcpu *v)
{
    /* Full barrier: either the home CPU sees the kick before it enters, or we see that it runs. */
    if (atomic_xchg(&v->kick, 1))
        return;
    if (v->object.cpu != cpu->id && atomic_load(&v->running))
        apic_ipi(cpu, cpu->kern->cpu[v->object.cpu]);
}

seldom enum status vcpu_fetch(struct cpu *cpu, struct vcpu *v, u32 groups)
{
    if (v->object.cpu != cpu->id)
        return STATUS_CPU;
    if (v->runner || !v->started)
        return STATUS_BUSY;
    if (groups & ~cpu->kern->virt->groups)
        return STATUS_FEATURE;
    store_groups(cpu, v, v->state, groups, v->valid);
    return OK;
}

/* ---- Into the guest and out of it ---- */

static bool window_open(struct cpu *cpu, struct vcpu *v, u32 *reason)
{
    const u32 open = cpu->kern->virt->open(cpu, v) & v->windows;
    *reason = open & VCPU_WINDOW_NMI ? VCPU_EXIT_NMI_WINDOW : VCPU_EXIT_INTR_WINDOW;
    return open;
}

/* Something is to be done before the entry. */
static seldom struct resume *enter_after(struct cpu *cpu, struct ec *ec)
{
    struct vcpu *const v = ec->vcpu;
    u32 reason;
    if (atomic_load(&v->kick)) {
        atomic_store(&v->kick, 0);
        return complete_early(cpu, ec, VCPU_EXIT_KICKED);
    }
    if (v->windows && !v->inject && window_open(cpu, v, &reason))
        return complete_early(cpu, ec, reason);
    /* Announced before the first translation is cached: pairs with a requester that changes the table and then reads `cpus`. A
     * request made before that is served here, a later one interrupts the guest. */
    if (!(atomic_load(&v->space->cpus) & bit(cpu->id)))
        atomic_fetch_or(&v->space->cpus, bit(cpu->id));
    tlb_handle(cpu);
    fpu_lend(cpu, v->fpu, v->xcr0);
    if (cpu->protect)
        protect_enter(cpu, v);
    return cpu->kern->virt->enter(cpu, v);
}

/* The kick first: pairs with vcpu_kick. The request for a flush after `cpus`. */
struct resume *vcpu_resume(struct cpu *cpu, struct ec *ec)
{
    struct vcpu *const v = ec->vcpu;
    if (unlikely(atomic_load(&v->kick) | v->windows | (cpu->due & (DUE_PROTECT | DUE_FPU))))
        return enter_after(cpu, ec);
    if (unlikely(!(atomic_load(&v->space->cpus) & cpu->self)))
        return enter_after(cpu, ec);
    if (unlikely(atomic_load(&cpu->tlb.requested) != atomic_load(&cpu->tlb.done) || fpu_lends(cpu, v->fpu, v->xcr0)))
        return enter_after(cpu, ec);
    return cpu->kern->virt->enter(cpu, v);
}

/* Not back to the EC at once. */
static seldom struct resume *go_on(struct cpu *cpu, struct vcpu *v, enum virt_exit what)
{
    if (what == VIRT_EXIT_VMM && cpu->trace)
        trace_exit(cpu, v);
    if (what == VIRT_EXIT_WINDOW) {
        cpu->idle.kind = RESUME_WINDOW;
        return &cpu->idle;
    }
    return sched_go_on(cpu);
}

out_of_line struct resume *vcpu_trap(struct cpu *cpu, u64 trap, u64 info)
{
    struct ec *const ec = cpu->current;
    struct vcpu *const v = ec->vcpu;
    struct vcpu_state *const s = v->state;
    const enum virt_exit what = cpu->kern->virt->exit(cpu, v, trap, info, &s->exit);
    if (unlikely(what != VIRT_EXIT_VMM))
        return go_on(cpu, v, what);
    report(cpu, v, s, v->inject);
    ec->resume.gpr[RAX] = OK;
    leave(ec, v);
    /* The EC is as it was, its space still loaded. */
    if (likely(!((u64)cpu->trace | (u64)ec->fpu | (cpu->due & ~DUE_STAYS))))
        return &ec->resume;
    return go_on(cpu, v, what);
}
