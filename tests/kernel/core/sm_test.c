/* SPDX-License-Identifier: BSD-2-Clause */
/* Is every waiter woken exactly once, by an up, its deadline, or the end of either side, whichever CPU that happens on and however they overlap? */
#include "sm.h"
#include "apic.h"
#include "kernel_fixture.h"
#include "kernel_fixture_sim.h"

enum { A = 100, B = 102, C = 104, REMOTE = 106, SM = 120 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *b, *c, *remote;
    struct sm *sm;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    struct object *o;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.before = fixture_books(s.f);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.b = fixture_thread(s.f, 0, s.f->pd, 10, B);
    s.c = fixture_thread(s.f, 0, s.f->pd, 10, C);
    s.remote = fixture_thread(s.f, 1, s.f->pd, 10, REMOTE);
    fixture_run(s.f, 0);
    fixture_run(s.f, 1);
    if (fixture_call(s.f, s.a, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0) || space_obj_lookup(&s.f->pd->objects, SM, OBJ_SM, 0, &o))
        return -1;
    s.sm = container_of(o, struct sm, object);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, 100, 100, true) == STATUS_RESTART)
        ;
    fixture_balanced(s->f, s->before);
    fixture_close(s->f);
    return 0;
}

static void down(struct scene *s, struct ec *ec, u64 deadline)
{
    ec->resume.gpr[RAX] = 0x77;
    fixture_call(s->f, ec, HYPERCALL_sm_down, SM, 0, deadline);
}

static void revoke(struct scene *s, u64 selector, u64 count)
{
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, selector, count, true), OK);
}

static u64 now(struct scene *s)
{
    fixture_cpu(s->f, 0);
    return mach_tsc_read();
}

static void counts(void **state)
{
    struct scene *s = *state;
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_up, SM), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_down, SM, 0, 0), OK);
    assert_int_equal(s->sm->count, 2);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_down, SM, SM_DOWN_ZERO, 0), OK);
    assert_int_equal(s->sm->count, 0);
}

static void first_come_first_served(void **state)
{
    struct scene *s = *state;
    down(s, s->a, 0);
    assert_ptr_equal(s->cpu->current, s->b);
    down(s, s->b, 0);
    assert_ptr_equal(s->cpu->current, s->c);
    assert_int_equal(fixture_call(s->f, s->c, HYPERCALL_sm_up, SM), OK);
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->b->state, EC_WAIT_SM);
    assert_int_equal(fixture_call(s->f, s->c, HYPERCALL_sm_up, SM), OK);
    assert_int_equal(s->b->state, EC_READY);
    assert_int_equal(s->sm->count, 0);
    assert_int_equal(fixture_call(s->f, s->c, HYPERCALL_sm_up, SM), OK);
    assert_int_equal(s->sm->count, 1);
}

static void a_woken_higher_priority_runs_at_once(void **state)
{
    struct scene *s = *state;
    struct ec *high = fixture_thread(s->f, 0, s->f->pd, 50, 130);
    fixture_run(s->f, 0);
    down(s, high, 0);
    assert_ptr_equal(s->cpu->current, s->a);
    fixture_call(s->f, s->a, HYPERCALL_sm_up, SM);
    assert_ptr_equal(s->cpu->current, high);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
}

static void deadlines_in_any_order(void **state)
{
    struct scene *s = *state;
    const u64 t = now(s);
    down(s, s->a, t + 300000);
    down(s, s->b, t + 100000);
    down(s, s->c, t + 200000);
    assert_null(s->cpu->current);
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), t + 100000);
    struct ec *order[] = { s->b, s->c, s->a };
    for (u32 i = 0; i < 3; i++) {
        fixture_later(s->f, 100000);
        fixture_interrupts(s->f);
        assert_int_equal(order[i]->state, EC_READY);
        assert_int_equal(order[i]->resume.gpr[RAX], STATUS_TIMEOUT);
        for (u32 j = i + 1; j < 3; j++)
            assert_int_equal(order[j]->state, EC_WAIT_SM);
    }
    assert_null(s->sm->first);
    assert_null(s->cpu->timeouts.first);
}

static void a_deadline_in_the_past(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_down, SM, 0, now(s) - 1), STATUS_TIMEOUT);
    assert_ptr_equal(s->cpu->current, s->a);
    fixture_call(s->f, s->a, HYPERCALL_sm_up, SM);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_down, SM, 0, 1), OK);   /* no wait, no timeout */
}

static void a_deadline_ends_with_the_wait(void **state)
{
    struct scene *s = *state;
    down(s, s->a, now(s) + 100000);
    fixture_call(s->f, s->b, HYPERCALL_sm_up, SM);
    assert_null(s->cpu->timeouts.first);
    fixture_later(s->f, 200000);
    fixture_interrupts(s->f);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
}

static void equal_deadlines(void **state)
{
    struct scene *s = *state;
    const u64 t = now(s) + 100000;
    down(s, s->a, t);
    down(s, s->b, t);
    down(s, s->c, t);
    fixture_later(s->f, 100000);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_int_equal(s->c->resume.gpr[RAX], STATUS_TIMEOUT);
}

static void woken_from_another_cpu(void **state)
{
    struct scene *s = *state;
    down(s, s->a, 0);
    assert_int_equal(fixture_call(s->f, s->remote, HYPERCALL_sm_up, SM), OK);
    assert_int_equal(s->a->state, EC_WAIT_SM);   /* until it has arrived */
    assert_int_equal(atomic_load(&s->cpu->inbox), (u64)s->a);
    fixture_interrupts(s->f);
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(atomic_load(&s->cpu->inbox), 0);
}

static void several_in_the_inbox_keep_their_order(void **state)
{
    struct scene *s = *state;
    down(s, s->a, 0);
    down(s, s->b, 0);
    down(s, s->c, 0);
    for (u32 i = 0; i < 3; i++)
        fixture_call(s->f, s->remote, HYPERCALL_sm_up, SM);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->cpu->current, s->a);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, s->b);
}

/* The deadline passes while the wake-up is under way: the wake-up was first. */
static void an_up_and_a_deadline_meet(void **state)
{
    struct scene *s = *state;
    down(s, s->a, now(s) + 100000);
    fixture_call(s->f, s->remote, HYPERCALL_sm_up, SM);
    fixture_later(s->f, 200000);
    s->cpu->timeouts.armed = 0;
    timeout_expire(fixture_cpu(s->f, 0), now(s));   /* before the inbox is looked at */
    assert_int_equal(s->a->state, EC_WAIT_SM);
    fixture_interrupts(s->f);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->sm->count, 0);
}

static void a_destroyed_semaphore_aborts_its_waiters(void **state)
{
    struct scene *s = *state;
    down(s, s->a, 0);
    down(s, s->remote, now(s) + 100000000);
    revoke(s, SM, 1);
    fixture_settle(s->f);
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
    assert_int_equal(s->remote->resume.gpr[RAX], STATUS_ABORT);
    assert_null(s->f->k->cpu[1]->timeouts.first);
}

static void many_waiters_are_aborted_in_steps(void **state)
{
    struct scene *s = *state;
    struct ec *ec[40];
    for (u32 i = 0; i < 40; i++) {
        ec[i] = fixture_thread(s->f, 0, s->f->pd, 60, 200 + 2 * i);
        fixture_run(s->f, 0);
        down(s, ec[i], 0);
    }
    revoke(s, SM, 1);
    fixture_settle(s->f);
    for (u32 i = 0; i < 40; i++)
        assert_int_equal(ec[i]->resume.gpr[RAX], STATUS_ABORT);
    revoke(s, 200, 80);
}

static void a_destroyed_waiter_leaves_the_queue(void **state)
{
    struct scene *s = *state;
    down(s, s->a, now(s) + 100000);
    down(s, s->b, 0);
    revoke(s, A, 2);
    fixture_settle(s->f);
    assert_ptr_equal(s->sm->first, s->b);
    assert_ptr_equal(s->sm->last, s->b);
    assert_null(s->cpu->timeouts.first);
    fixture_call(s->f, s->c, HYPERCALL_sm_up, SM);
    assert_int_equal(s->b->resume.gpr[RAX], OK);
}

/* It is popped by another CPU, and dies before it has arrived: it must not be freed while it is in the inbox. */
static void a_waiter_dies_on_its_way(void **state)
{
    struct scene *s = *state;
    s->f->by_hand = true;
    down(s, s->a, now(s) + 100000);
    const struct object *o = &s->a->object;
    fixture_call(s->f, s->remote, HYPERCALL_sm_up, SM);
    fixture_cpu(s->f, 0);
    ec_destroy(s->cpu, s->a);
    assert_int_equal(s->a->state, EC_DEAD);
    assert_true(s->a->flags & EC_FLAG_DYING);
    assert_int_equal(atomic_load(&s->cpu->inbox), (u64)s->a);
    sched_inbox(s->cpu);
    assert_false(s->a->flags & EC_FLAG_DYING);
    assert_ptr_equal(o->release.next, NULL);
    /* Its capability and its SC still name it: undo by hand what no hypercall can bring about. */
    sched_remove(s->cpu, (struct sc *)atomic_load(&s->a->own));
    *state = s;
}

/* An up on CPU 1 at every point of the way of a deadline on CPU 0: the waiter is woken once, and the up is not lost. */
static u32 steps, act_at;
static struct scene *acting;
static void act(void *arg)
{
    if (steps++ != act_at || atomic_load32(&acting->sm->lock.held))
        return;
    sim_unit_cpu(acting->f->sim, 1);
    assert_int_equal(fixture_sm_up(acting->f->k->cpu[1], acting->sm), OK);
    sim_unit_cpu(acting->f->sim, 0);
}

static void an_up_at_every_point_of_a_timeout(void **state)
{
    struct scene *s = *state;
    u32 timeouts = 0, wakeups = 0;
    acting = s;
    for (act_at = 0; act_at < 20; act_at++) {
        s->sm->count = 0;
        s->cpu->current_sc->left = 0;
        fixture_run(s->f, 0);
        struct ec *ec = s->cpu->current;
        down(s, ec, now(s) + 100000);
        fixture_later(s->f, 200000);
        fixture_cpu(s->f, 0);
        steps = 0;
        sim_unit_hook(s->f->sim, act, NULL);
        timeout_expire(s->cpu, ~0ul);
        sim_unit_hook(s->f->sim, NULL, NULL);
        assert_int_equal(ec->state, atomic_load(&ec->inbox_reason) ? EC_WAIT_SM : EC_READY);   /* by one of the two */
        fixture_interrupts(s->f);
        assert_int_equal(ec->state, EC_READY);
        assert_null(s->sm->first);
        if (ec->resume.gpr[RAX] == STATUS_TIMEOUT)
            timeouts++;
        else
            wakeups++;
        assert_int_equal(ec->resume.gpr[RAX] == OK ? 0 : STATUS_TIMEOUT, ec->resume.gpr[RAX]);
        assert_true(ec->resume.gpr[RAX] == STATUS_TIMEOUT || s->sm->count == 0);
    }
    assert_true(timeouts && wakeups);
}

/* The semaphore was destroyed and freed by another CPU, its abort is on its way, and the deadline passes before it is looked at. */
static void a_deadline_after_the_semaphore_is_gone(void **state)
{
    struct scene *s = *state;
    struct sm *sm = s->sm;
    down(s, s->a, now(s) + 100000);
    sim_unit_cpu(s->f->sim, 1);
    assert_int_equal(space_obj_revoke(s->f->k->cpu[1], &s->f->pd->objects, SM, 1, true), OK);
    for (u32 i = 0; i < 8; i++) {
        epoch_quiesce(fixture_cpu(s->f, 1));
        epoch_quiesce(fixture_cpu(s->f, 0));
    }
    assert_int_equal(atomic_load(&s->cpu->inbox), (u64)s->a);
    assert_null(s->f->k->cpu[1]->epoch.first);
    mach_mem_state(sm, sizeof(*sm), MEM_LIVE);
    sm->lock.held.v = 1;   /* freed memory may hold anything: whoever takes this lock spins for ever */
    timeout_expire(fixture_cpu(s->f, 0), ~0ul);
    sm->lock.held.v = 0;
    mach_mem_state(sm, sizeof(*sm), MEM_FREE);
    fixture_interrupts(s->f);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
}

static void the_time_is_taken_from_a_waiter(void **state)
{
    struct scene *s = *state;
    down(s, s->a, 0);
    revoke(s, A + 1, 1);
    fixture_settle(s->f);
    assert_null(s->a->helpers);
    fixture_call(s->f, s->b, HYPERCALL_sm_up, SM);
    assert_int_equal(s->a->state, EC_READY);
    assert_ptr_equal(s->cpu->current, s->b);
    assert_int_equal(fixture_call(s->f, s->b, HYPERCALL_sc_create, FIXTURE_SEL_PD, A + 1, A, 90, 1000), OK);
    assert_ptr_equal(s->cpu->current, s->a);
}

static int teardown_by_hand(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(sm, T(counts), T(first_come_first_served), T(a_woken_higher_priority_runs_at_once), T(deadlines_in_any_order), T(a_deadline_in_the_past),
           T(a_deadline_ends_with_the_wait), T(equal_deadlines), T(woken_from_another_cpu), T(several_in_the_inbox_keep_their_order),
           T(an_up_and_a_deadline_meet), T(a_destroyed_semaphore_aborts_its_waiters), T(many_waiters_are_aborted_in_steps),
           T(a_destroyed_waiter_leaves_the_queue), cmocka_unit_test_setup_teardown(a_waiter_dies_on_its_way, setup, teardown_by_hand),
           T(the_time_is_taken_from_a_waiter), T(an_up_at_every_point_of_a_timeout), T(a_deadline_after_the_semaphore_is_gone));
