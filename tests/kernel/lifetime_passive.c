/* SPDX-License-Identifier: BSD-2-Clause */
/* The states of what others use: semaphores (and, with one as the example, capabilities), vCPUs. */
#include "ec.h"
#include "guest_fixture.h"
#include "lifetime.h"
#include "sm.h"

enum { LOW = 20, MIDDLE = 30, HIGH = 40 };

/* ---- Semaphores ---- */

static void empty(struct life *l)
{
    life_sm(l, 0, SUBJECT);
}

static void counting(struct life *l)
{
    life_sm(l, 2, SUBJECT);
}

static void full(struct life *l)
{
    life_sm(l, ~0ul, SUBJECT);
}

static void wait_at(struct life *l, u32 n, u32 cpu, u64 deadline)
{
    assert_int_equal(life_call(l, life_partner(l, n, cpu, LOW), HYPERCALL_sm_down, SUBJECT, 0, deadline), BLOCKED);
    life_waits(l, n);
}

static void waiter(struct life *l)
{
    empty(l);
    wait_at(l, 0, 0, 0);
}

static void waiter_until(struct life *l)
{
    empty(l);
    wait_at(l, 0, 0, mach_tsc_read() + 1000000);
}

static void waiters(struct life *l)
{
    waiter_until(l);
    wait_at(l, 1, 1, 0);
    wait_at(l, 2, 0, 0);
}

/* On its way to CPU 0; another one waits behind it. */
static void woken(struct life *l)
{
    waiter(l);
    wait_at(l, 1, 0, 0);
}

static void wake(struct life *l)
{
    assert_int_equal(fixture_sm_up(fixture_cpu(l->f, 1), container_of(l->subject, struct sm, object)), OK);
}

/* An EC that is served by a handler waits there on the client's time. */
static void waiter_with_client(struct life *l)
{
    struct ec *const server = life_server(l, 0), *const client = life_partner(l, 1, 0, LOW);
    empty(l);
    assert_int_equal(life_call(l, client, HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
    assert_int_equal(life_call(l, server, HYPERCALL_sm_down, SUBJECT, 0, 0), BLOCKED);
    life_waits(l, 1);   /* its server goes on, and replies */
}

/* ---- Capabilities ---- */

static void no_rights(struct life *l)
{
    u64 done;
    empty(l);
    assert_int_equal(space_obj_revoke(fixture_cpu(l->f, 0), &l->f->pd->objects, SUBJECT, 1, true), OK);
    assert_int_equal(space_obj_delegate(&l->owner->objects, SUBJECT, &l->f->pd->objects, SUBJECT, 1, 0, &done), OK);
}

/* Root's copy has copies, one of them in the parent, which has one in the owner again. */
static void passed_on(struct life *l)
{
    u64 done;
    empty(l);
    life_give(l, l->f->pd, SUBJECT, PARTNER_AT(0), 1);
    life_give(l, l->parent, SUBJECT, SUBJECT + 2, 1);
    assert_int_equal(space_obj_delegate(&l->parent->objects, SUBJECT + 2, &l->owner->objects, SUBJECT + 1, 1, PERM_ALL, &done), OK);
}

/* ---- vCPUs ---- */

static struct vcpu *vcpu(struct life *l)
{
    return container_of(l->subject, struct vcpu, object);
}

/* Partner 0, a thread of root, is the VMM. */
static struct ec *vmm(struct life *l, bool started)
{
    struct ec *const ec = life_partner(l, 0, 0, LOW);
    life_vcpu(l, SUBJECT, LIFE_STATE_PAGE(0), started);
    return ec;
}

static void never_run(struct life *l)
{
    vmm(l, false);
}

static void started(struct life *l)
{
    vmm(l, true);
}

static void run(struct life *l)
{
    assert_int_equal(life_call(l, l->partner[0].ec, HYPERCALL_vcpu_run, SUBJECT), BLOCKED);
}

static void runs(struct life *l)
{
    vmm(l, true);
    run(l);
    life_waits(l, 0);
}

static void guest_exits(struct life *l)
{
    u64 info = 0;
    struct resume *const r = l->f->resumed[0];
    assert_true(r->kind == RESUME_GUEST_VMX || r->kind == RESUME_GUEST_SVM);
    const u64 trap = guest_sim_enter(l->f->sim, 0, r, &info);
    fixture_trap(l->f, 0, trap, info);
}

static void exited(struct life *l)
{
    vmm(l, true);
    run(l);
    guest_exits(l);
    assert_null(vcpu(l)->runner);
    assert_int_equal(vcpu(l)->state->exit.reason, VCPU_EXIT_HYPERCALL);
}

static void refused(struct life *l)
{
    struct ec *const ec = vmm(l, true);
    vcpu(l)->state->inject = ~0ul;
    vcpu(l)->state->dirty = VCPU_GROUP_INJECT;
    assert_int_equal(life_call(l, ec, HYPERCALL_vcpu_run, SUBJECT), OK);
    assert_int_equal(vcpu(l)->state->exit.reason, VCPU_EXIT_ENTRY_FAILED);
}

static void kick(struct life *l)
{
    vcpu_kick(fixture_cpu(l->f, 1), vcpu(l));
}

static void kicked(struct life *l)
{
    exited(l);
    kick(l);
}

/* Whoever ran it has died inside. */
static void abandoned(struct life *l)
{
    vmm(l, true);
    run(l);
    guest_exits(l);
    run(l);
    assert_int_equal(space_obj_revoke(fixture_cpu(l->f, 0), &l->f->pd->objects, PARTNER_AT(0), 2, true), OK);
    fixture_settle(l->f);
    assert_null(vcpu(l)->runner);
}

/* The hardware of CPU 0 holds another one's state. */
static void displaced(struct life *l)
{
    exited(l);
    life_vcpu(l, SUBJECT + 2, LIFE_STATE_PAGE(1), true);
    assert_int_equal(life_call(l, l->partner[0].ec, HYPERCALL_vcpu_run, SUBJECT + 2), BLOCKED);
    guest_exits(l);
}

/* The owner's own thread is the VMM, and inside. */
static void runs_in_owner(struct life *l)
{
    struct ec *const ec = life_ec(l, l->owner, EC_GLOBAL, SUBJECT + 1);
    sc_start(fixture_cpu(l->f, 0), life_sc(l, ec, LOW, SUBJECT + 2));
    life_run(l, ec);
    life_vcpu(l, SUBJECT, LIFE_STATE_PAGE(0), true);
    assert_int_equal(life_call(l, ec, HYPERCALL_vcpu_run, SUBJECT), BLOCKED);
}

#define SM     .type = LIFE_SM
#define WAITED .type = LIFE_SM, .answer = { [A_DOWN] = BLOCKED }
#define VCPU   .type = LIFE_VCPU
#define IN     .type = LIFE_VCPU, .answer = { [A_RUN] = STATUS_BUSY, [A_FETCH] = STATUS_BUSY }, .told = { STATUS_ABORT }
#define READY  .answer = { [A_RUN] = BLOCKED }
const struct life_state life_passive_states[] = {
    { "semaphore empty", .make = empty, WAITED },
    { "semaphore with count", .make = counting, SM },
    { "semaphore full", .make = full, SM, .answer = { [A_UP] = STATUS_BUSY } },
    { "semaphore with waiter", .make = waiter, WAITED, .told = { STATUS_ABORT } },
    { "semaphore with waiter with deadline", .make = waiter_until, WAITED, .told = { STATUS_ABORT } },
    { "semaphore with waiters on both CPUs", .make = waiters, WAITED, .told = { STATUS_ABORT, STATUS_ABORT, STATUS_ABORT } },
    { "semaphore upped by CPU 1", .make = woken, .last = wake, .type = LIFE_SM, .flags = S_BRIEF, .answer = { [A_DOWN] = BLOCKED },
      .told = { OK, STATUS_ABORT } },
    { "semaphore with a waiting handler", .make = waiter_with_client, WAITED },
    { "capability without permissions", .make = no_rights, .type = LIFE_SM, .flags = S_REDUCED },
    { "capability passed on", .make = passed_on, .type = LIFE_SM, .flags = S_COMPANION, .answer = { [A_DOWN] = BLOCKED } },
    { "vCPU never run", .make = never_run, VCPU, .answer = { [A_FETCH] = STATUS_BUSY } },
    { "vCPU started", .make = started, VCPU, READY },
    { "vCPU runs", .make = runs, IN },
    { "vCPU runs, kicked by CPU 1", .make = runs, .last = kick, .type = LIFE_VCPU, .flags = S_BRIEF,
      .answer = { [A_RUN] = STATUS_BUSY, [A_FETCH] = STATUS_BUSY }, .told = { EITHER } },
    { "vCPU runs in its owner", .make = runs_in_owner, .type = LIFE_VCPU, .flags = S_COMPANION,
      .answer = { [A_RUN] = STATUS_BUSY, [A_FETCH] = STATUS_BUSY } },
    { "vCPU exited", .make = exited, VCPU, READY },
    { "vCPU refused", .make = refused, VCPU, READY },
    { "vCPU kicked", .make = kicked, VCPU },
    { "vCPU abandoned", .make = abandoned, VCPU, READY },
    { "vCPU displaced", .make = displaced, VCPU, READY },
};
const u32 life_passive_count = array_size(life_passive_states);
