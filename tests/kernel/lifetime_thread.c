/* SPDX-License-Identifier: BSD-2-Clause */
/* The states a thread can be in, and its scheduling context: same scenes, the other object is the subject. */
#include "ec.h"
#include "lifetime.h"
#include "sc.h"
#include "sm.h"

enum { LOW = 20, MIDDLE = 30, HIGH = 40 };

/* ---- Threads ---- */

static void fresh(struct life *l)
{
    life_ec(l, l->owner, EC_GLOBAL, SUBJECT);
}

static void given_time_elsewhere(struct life *l)
{
    struct sc *sc;
    struct cpu *const cpu = fixture_cpu(l->f, 1);
    assert_int_equal(sc_create(cpu, l->owner, container_of(l->subject, struct ec, object), LOW, FIXTURE_BUDGET, &sc), OK);
    life_hold(l, SUBJECT + 1, &sc->object);
    sc_start(fixture_cpu(l->f, 1), sc);
}

static void running(struct life *l)
{
    life_thread(l, l->owner, LOW);
}

static void preempted(struct life *l)
{
    running(l);
    life_partner(l, 0, 0, HIGH);
}

static void calls(struct life *l, bool blocked)
{
    struct ec *const server = life_server(l, 0);
    running(l);
    assert_int_equal(life_call(l, l->self, HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
    if (blocked)
        assert_int_equal(life_call(l, server, HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

static void calling(struct life *l)
{
    calls(l, false);
}

static void calling_blocked(struct life *l)
{
    calls(l, true);
}

/* Server 0 is busy with partner 1, and blocked. */
static void busy_server(struct life *l)
{
    struct ec *const server = life_server(l, 0), *const client = life_partner(l, 1, 0, MIDDLE);
    assert_int_equal(life_call(l, client, HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
    assert_int_equal(life_call(l, server, HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

static void helping(struct life *l)
{
    busy_server(l);
    running(l);
    assert_int_equal(life_call(l, l->self, HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
}

static void waits(struct life *l, u64 deadline)
{
    life_sm(l, 0, SUBJECT + 2);
    running(l);
    assert_int_equal(life_call(l, l->self, HYPERCALL_sm_down, SUBJECT + 2, 0, deadline), BLOCKED);
}

static void waiting(struct life *l)
{
    waits(l, 0);
}

static void waiting_until(struct life *l)
{
    fixture_cpu(l->f, 0);
    waits(l, mach_tsc_read() + 1000000);
}

static void up(struct life *l)
{
    struct object *o;
    assert_int_equal(space_obj_lookup(&l->owner->objects, SUBJECT + 2, OBJ_SM, 0, &o), OK);
    assert_int_equal(fixture_sm_up(fixture_cpu(l->f, 1), container_of(o, struct sm, object)), OK);
}

/* Memory of root, whose space CPU 1 has loaded. */
static void waiting_for_flush(struct life *l)
{
    u64 done;
    running(l);
    assert_int_equal(space_mem_delegate(&l->f->pd->memory, LIFE_SOURCE, &l->f->pd->memory, 0x1000, 1, RIGHT_R, &done), OK);
    assert_int_equal(life_call(l, l->self, HYPERCALL_revoke, SEL_ROOT, 0x1000, REVOKE(1, SPACE_MEMORY), REVOKE_SELF), BLOCKED);
    assert_int_equal(l->self->state, EC_WAIT_TLB);
}

static void dead(struct life *l)
{
    running(l);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
    assert_int_equal(l->self->state, EC_DEAD);
}

static void in_fault(struct life *l)
{
    life_server(l, 0);
    life_give(l, l->owner, PARTNER_AT(0) + 1, SEL_EVENTS + 3, 1);
    running(l);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
    assert_true(l->self->flags & EC_FLAG_IN_FAULT);
}

static void fault_pending(struct life *l)
{
    busy_server(l);
    life_give(l, l->owner, PARTNER_AT(0) + 1, SEL_EVENTS + 3, 1);
    running(l);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
    assert_int_equal(l->self->state, EC_HELPING);
}

static void in_guest(struct life *l)
{
    running(l);
    life_vcpu(l, SUBJECT + 2, LIFE_STATE_PAGE(0), true);
    assert_int_equal(life_call(l, l->self, HYPERCALL_vcpu_run, SUBJECT + 2), BLOCKED);
}

/* Its message is cut by an interrupt after the first item: the receiver's space got a leaf. */
static void sending(struct life *l)
{
    struct ec *const to = life_handler(l, l->parent, SUBJECT + 2, SUBJECT + 3);
    to->utcb->window[SPACE_OBJECT] = (struct utcb_window){ .base = 2 * OBJ_LEAF_SLOTS, .count = 1 };
    running(l);
    l->self->utcb->item[0] = (struct utcb_item){ .base = SEL_SPARE, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    life_preempt(l, 0);
    assert_int_equal(life_call(l, l->self, HYPERCALL_call, SUBJECT + 3, MTR(0, 1)), BLOCKED);
    assert_ptr_equal(to->caller, l->self);
}

#define THREAD  .type = LIFE_EC, .flags = S_HELD | S_COMPANION
#define CURRENT .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_SELF
#define BUSY    .answer = { [A_SC] = STATUS_BUSY, [A_PORTAL] = STATUS_ARG }
const struct life_state life_thread_states[] = {
    { "thread fresh", .make = fresh, .type = LIFE_EC, .answer = { [A_PORTAL] = STATUS_ARG } },
    { "thread given time by CPU 1", .make = fresh, .last = given_time_elsewhere, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_BRIEF, BUSY },
    { "thread running", .make = running, CURRENT, BUSY },
    { "thread preempted", .make = preempted, THREAD, BUSY },
    { "thread calling", .make = calling, THREAD, BUSY },
    { "thread calling who waits", .make = calling_blocked, THREAD, BUSY },
    { "thread helping", .make = helping, THREAD, BUSY },
    { "thread waiting", .make = waiting, THREAD, BUSY },
    { "thread waiting with deadline", .make = waiting_until, THREAD, BUSY },
    { "thread woken by CPU 1", .make = waiting, .last = up, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_BRIEF, BUSY },
    { "thread with deadline woken by CPU 1", .make = waiting_until, .last = up, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_BRIEF, BUSY },
    { "thread waiting for a flush", .make = waiting_for_flush, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_EARLY | S_BRIEF, BUSY },
    { "thread dead", .make = dead, THREAD, BUSY },
    { "thread in its exception", .make = in_fault, THREAD, BUSY },
    { "thread with its exception pending", .make = fault_pending, THREAD, BUSY },
    { "thread in its guest", .make = in_guest, THREAD, BUSY },
    { "thread sending", .make = sending, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_SELF | S_CHANGES, BUSY },
};
const u32 life_thread_count = array_size(life_thread_states);

/* ---- Their time: SC at SUBJECT, EC at SUBJECT + 1 ---- */

static struct ec *timed(struct life *l)
{
    struct ec *const ec = life_ec(l, l->owner, EC_GLOBAL, SUBJECT + 1);
    sc_start(fixture_cpu(l->f, 0), life_sc(l, ec, LOW, SUBJECT));
    life_run(l, ec);
    return l->self = ec;
}

static void time_unstarted(struct life *l)
{
    life_ec(l, l->owner, EC_GLOBAL, SUBJECT + 1);
}

static void time_sent(struct life *l)
{
    struct object *o;
    struct sc *sc;
    assert_int_equal(space_obj_lookup(&l->owner->objects, SUBJECT + 1, OBJ_EC, 0, &o), OK);
    assert_int_equal(sc_create(fixture_cpu(l->f, 1), l->owner, container_of(o, struct ec, object), LOW, FIXTURE_BUDGET, &sc), OK);
    life_hold(l, SUBJECT, &sc->object);
    sc_start(fixture_cpu(l->f, 1), sc);
}

static void time_current(struct life *l)
{
    timed(l);
}

static void time_queued(struct life *l)
{
    timed(l);
    life_partner(l, 0, 0, HIGH);
}

static void time_donated(struct life *l)
{
    life_server(l, 0);
    assert_int_equal(life_call(l, timed(l), HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
}

static void time_donated_waits(struct life *l)
{
    struct ec *const server = life_server(l, 0);
    assert_int_equal(life_call(l, timed(l), HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
    assert_int_equal(life_call(l, server, HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

static void time_helping(struct life *l)
{
    busy_server(l);
    assert_int_equal(life_call(l, timed(l), HYPERCALL_call, PARTNER_AT(0) + 1, 0), BLOCKED);
}

static void time_waits(struct life *l)
{
    life_sm(l, 0, SUBJECT + 2);
    assert_int_equal(life_call(l, timed(l), HYPERCALL_sm_down, SUBJECT + 2, 0, 0), BLOCKED);
}

static void time_of_the_dead(struct life *l)
{
    timed(l);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
}

static void time_in_guest(struct life *l)
{
    timed(l);
    life_vcpu(l, SUBJECT + 2, LIFE_STATE_PAGE(0), true);
    assert_int_equal(life_call(l, l->self, HYPERCALL_vcpu_run, SUBJECT + 2), BLOCKED);
}

#define TIME .type = LIFE_SC, .flags = S_COMPANION
const struct life_state life_time_states[] = {
    { "time sent by CPU 1", .make = time_unstarted, .last = time_sent, .type = LIFE_SC, .flags = S_COMPANION | S_BRIEF },
    { "time current", .make = time_current, .type = LIFE_SC, .flags = S_COMPANION | S_SELF },
    { "time queued", .make = time_queued, TIME },
    { "time donated", .make = time_donated, TIME },
    { "time donated to who waits", .make = time_donated_waits, TIME },
    { "time helping", .make = time_helping, TIME },
    { "time waiting", .make = time_waits, TIME },
    { "time woken by CPU 1", .make = time_waits, .last = up, .type = LIFE_SC, .flags = S_COMPANION | S_BRIEF },
    { "time of the dead", .make = time_of_the_dead, TIME },
    { "time in a guest", .make = time_in_guest, TIME },
};
const u32 life_time_count = array_size(life_time_states);
