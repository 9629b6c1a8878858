/* SPDX-License-Identifier: BSD-2-Clause */
/* Running a vCPU: what is the same on both vendors.
 *
 *   vcpu_run -> (dirty groups copied once, checked, loaded) -> STATUS_SWITCH -> sched_resume -> vcpu_resume -> guest
 *   guest -> vcpu_trap -> window or again -> sched_resume -> vcpu_resume ...
 *                      -> complete: exit and groups into the state page, RAX = OK, the EC is itself again
 *
 * Home CPU only, but vcpu_kick. Nothing waits: a kick or a shootdown that comes while the guest runs is an interrupt, hence an exit, hence
 * vcpu_resume looks again. The state page is hostile: its words are read once, into the private copy. */
#include "vcpu.h"
#include "abi/vcpu_groups.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "fpu.h"
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

static void load_dirty(struct cpu *cpu, struct vcpu *v, u32 dirty)
{
    if (dirty & VCPU_GROUP_FPU) {
        fpu_forget(cpu, v->fpu);
        mach_copy(v->fpu, v->copy->fpu, v->fpu_bytes);
        v->xcr0 = v->copy->xcr0;
    }
    if (dirty & VCPU_GROUP_INJECT) {
        v->inject = v->copy->inject & VCPU_EVENT_VALID ? v->copy->inject : 0;
        v->inject_insn_len = v->copy->inject_insn_len;
        v->windows = v->copy->windows;
    }
    cpu->kern->virt->load(cpu, v, v->copy, dirty);
}

static void store_groups(struct cpu *cpu, struct vcpu *v, u32 groups)
{
    struct vcpu_state *const s = v->state;
    if (unlikely(groups & VCPU_GROUP_INJECT)) {
        s->inject = 0;
        s->inject_insn_len = s->windows = 0;
    }
    if (unlikely(groups & VCPU_GROUP_FPU)) {
        fpu_flush(cpu, v->fpu);
        mach_copy(s->fpu, v->fpu, v->fpu_bytes);
        s->fpu_bytes = v->fpu_bytes;
        s->xcr0 = v->xcr0;
    }
    cpu->kern->virt->store(cpu, v, s, groups);
    v->valid |= groups;
    s->valid = v->valid;
}

/* ---- The end of a run ---- */

static void leave(struct ec *ec, struct vcpu *v)
{
    ec->vcpu = NULL;
    v->runner = NULL;
    atomic_store(&v->running, 0);
}

static void report(struct cpu *cpu, struct vcpu *v, const struct vcpu_exit *exit, u64 pending)
{
    struct vcpu_state *const s = v->state;
    s->exit = *exit;
    s->pending = pending;
    s->dirty = 0;
    v->valid = 0;
    store_groups(cpu, v, (vcpu_exit_groups[exit->reason] | v->want) & cpu->kern->virt->groups);
    if (unlikely(cpu->trace))
        trace_exit(cpu, v);
}

static void complete(struct cpu *cpu, struct ec *ec, const struct vcpu_exit *exit, u64 pending)
{
    report(cpu, ec->vcpu, exit, pending);
    ec->resume.gpr[RAX] = OK;
    leave(ec, ec->vcpu);
}

/* Back before the guest was entered: the event asked for is still to be delivered. */
static void complete_early(struct cpu *cpu, struct ec *ec, u32 reason)
{
    const struct vcpu_exit exit = { .reason = reason };
    complete(cpu, ec, &exit, ec->vcpu->inject);
}

void vcpu_abandon(struct ec *ec)
{
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

static void startup(struct cpu *cpu, struct vcpu *v)
{
    const struct vcpu_exit exit = { .reason = VCPU_EXIT_STARTUP };
    cpu->kern->virt->start(cpu, v);
    v->started = true;
    report(cpu, v, &exit, 0);
}

static void refused(struct cpu *cpu, struct vcpu *v, u32 dirty, u32 check)
{
    struct vcpu_exit exit = { .reason = VCPU_EXIT_ENTRY_FAILED };
    exit.u.entry_failed.check = check;
    report(cpu, v, &exit, dirty & VCPU_GROUP_INJECT && v->copy->inject & VCPU_EVENT_VALID ? v->copy->inject : 0);
}

enum status vcpu_run(struct cpu *cpu, struct ec *ec, struct vcpu *v)
{
    const enum status s = run_allowed(cpu, ec, v);
    if (s != OK)
        return s;
    const u32 groups = cpu->kern->virt->groups, dirty = v->state->dirty, want = v->state->want;
    if (dirty & ~groups)
        return STATUS_FEATURE;
    v->want = want & groups;
    if (!v->started) {
        startup(cpu, v);
        return OK;
    }
    copy_dirty(v, dirty);
    if (unlikely(cpu->trace))
        trace_entry(cpu, v, v->copy, dirty, want);
    v->inject = v->windows = 0;
    const u32 check = check_dirty(cpu, v, dirty);
    if (check) {
        refused(cpu, v, dirty, check);
        return OK;
    }
    load_dirty(cpu, v, dirty);
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

enum status vcpu_fetch(struct cpu *cpu, struct vcpu *v, u32 groups)
{
    if (v->object.cpu != cpu->id)
        return STATUS_CPU;
    if (v->runner || !v->started)
        return STATUS_BUSY;
    if (groups & ~cpu->kern->virt->groups)
        return STATUS_FEATURE;
    store_groups(cpu, v, groups);
    return OK;
}

/* ---- Into the guest and out of it ---- */

static bool window_open(struct cpu *cpu, struct vcpu *v, u32 *reason)
{
    if (!v->windows || v->inject)
        return false;
    const u32 open = cpu->kern->virt->open(cpu, v) & v->windows;
    *reason = open & VCPU_WINDOW_NMI ? VCPU_EXIT_NMI_WINDOW : VCPU_EXIT_INTR_WINDOW;
    return open;
}

static struct resume *vcpu_self(struct cpu *cpu, struct ec *ec)
{
    fpu_switch(cpu, ec->fpu);
    return &ec->resume;
}

struct resume *vcpu_resume(struct cpu *cpu, struct ec *ec)
{
    struct vcpu *const v = ec->vcpu;
    u32 reason;
    if (atomic_load(&v->kick)) {
        atomic_store(&v->kick, 0);
        complete_early(cpu, ec, VCPU_EXIT_KICKED);
        return vcpu_self(cpu, ec);
    }
    if (window_open(cpu, v, &reason)) {
        complete_early(cpu, ec, reason);
        return vcpu_self(cpu, ec);
    }
    /* Announced before the first translation is cached: pairs with a requester that changes the table and then reads `cpus`. A
     * request made before that is served here, a later one interrupts the guest. */
    if (!(atomic_load(&v->space->cpus) & bit(cpu->id)))
        atomic_fetch_or(&v->space->cpus, bit(cpu->id));
    tlb_handle(cpu);
    fpu_switch(cpu, v->fpu);
    return cpu->kern->virt->enter(cpu, v);
}

struct resume *vcpu_trap(struct cpu *cpu, u64 trap, u64 info)
{
    struct ec *const ec = cpu->current;
    struct vcpu *const v = ec->vcpu;
    const struct virt_ops *const ops = cpu->kern->virt;
    struct vcpu_exit exit = { 0 };
    const enum virt_exit what = ops->exit(cpu, v, trap, info, &exit);
    const u64 pending = ops->pending(cpu, v);
    if (what == VIRT_EXIT_VMM)
        complete(cpu, ec, &exit, pending);
    else
        v->inject = pending;
    if (what != VIRT_EXIT_WINDOW) {
        return likely(!cpu->trace) ? sched_go_on(cpu) : sched_resume(cpu);
    }
    cpu->idle.kind = RESUME_WINDOW;
    return &cpu->idle;
}
