/* SPDX-License-Identifier: BSD-2-Clause */
/* Is time that waits at an EC found again and charged, whichever of several goes first; and is nothing left of who ran before? */
#include "sched.h"
#include "apic.h"
#include "arch/x86.h"
#include "fpu.h"
#include "kernel_fixture.h"
#include "kernel_fixture_sim.h"

enum { A = 100, B = 102, C = 104, D = 106, REMOTE = 108, H = 110, P = 111, H2 = 112, P2 = 113, SM = 120, NEW = 130, THREADS = 4 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *ec[THREADS];   /* the same priority, in turn */
    struct ec *remote, *h, *h2;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.before = fixture_books(s.f);
    for (u32 i = 0; i < THREADS; i++)
        s.ec[i] = fixture_thread(s.f, 0, s.f->pd, 10, A + 2 * i);
    s.remote = fixture_thread(s.f, 1, s.f->pd, 10, REMOTE);
    s.h = fixture_handler(s.f, 0, s.f->pd, H);
    s.h2 = fixture_handler(s.f, 0, s.f->pd, H2);
    fixture_run(s.f, 1);
    fixture_run(s.f, 0);
    assert_int_equal(fixture_call(s.f, s.ec[0], HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0), OK);
    *state = &s;
    return 0;
}

static int close_by_hand(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, A, 100, true) == STATUS_RESTART)
        ;
    fixture_balanced(s->f, s->before);
    return close_by_hand(state);
}

static struct sc *sc_of(struct ec *ec)
{
    return (struct sc *)atomic_load(&ec->own);
}

/* The list of who waits at ec is whole in both directions; its length. */
static u32 waiting(struct ec *ec)
{
    u32 n = 0;
    struct sc *prev = NULL;
    for (struct sc *sc = ec->helpers; sc; prev = sc, sc = sc->next, n++) {
        assert_ptr_equal(sc->prev, prev);
        assert_ptr_equal(sc->waits, ec);
    }
    return n;
}

static void destroy(struct scene *s, u64 selector)
{
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, selector, 1, true), OK);
    fixture_settle(s->f);
}

/* The handler sleeps, everybody but the last thread waits for it; that one is current. */
static void all_but_one_wait(struct scene *s)
{
    fixture_call(s->f, s->ec[0], HYPERCALL_call, P, 0);
    fixture_call(s->f, s->h, HYPERCALL_sm_down, SM, 0, 0);
    for (u32 i = 1; i < THREADS - 1; i++)
        fixture_call(s->f, s->ec[i], HYPERCALL_call, P, 0);
    assert_ptr_equal(s->cpu->current, s->ec[THREADS - 1]);
    assert_int_equal(waiting(s->h), THREADS - 1);
}

static void one_of_several_is_taken(struct scene *s, u32 which)
{
    all_but_one_wait(s);
    destroy(s, A + 2 * which + 1);
    assert_int_equal(waiting(s->h), THREADS - 2);
    for (struct sc *sc = s->h->helpers; sc; sc = sc->next)
        assert_ptr_not_equal(sc->ec, s->ec[which]);
    fixture_call(s->f, s->ec[THREADS - 1], HYPERCALL_sm_up, SM);
    assert_null(s->h->helpers);
    for (u32 i = 0; i < THREADS - 1; i++)
        if (i != which)
            assert_true(sc_of(s->ec[i])->queued && !sc_of(s->ec[i])->waits);
}

static void the_first_that_waits_is_taken(void **state)
{
    one_of_several_is_taken(*state, 0);
}

static void the_middle_one_that_waits_is_taken(void **state)
{
    one_of_several_is_taken(*state, 1);
}

static void the_last_that_waits_is_taken(void **state)
{
    one_of_several_is_taken(*state, 2);
}

/* A thread whose wish to call waits with its handler ends: its time does not stay behind. */
static void who_wishes_ends(void **state)
{
    struct scene *s = *state;
    all_but_one_wait(s);
    struct sc *sc = sc_of(s->ec[1]);
    ec_kill(fixture_cpu(s->f, 0), s->ec[1]);
    assert_null(sc->waits);
    assert_true(sc->queued);
    fixture_run(s->f, 0);
}

/* The middle of  thread -> h2 (wishes h) -> h (asleep)  ends: the thread goes on, and knows why. */
static void who_wishes_for_another_ends(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->ec[0], HYPERCALL_call, P, 0);
    fixture_call(s->f, s->h, HYPERCALL_sm_down, SM, 0, 0);
    fixture_call(s->f, s->ec[1], HYPERCALL_call, P2, 0);
    fixture_call(s->f, s->h2, HYPERCALL_call, P, 0);
    assert_int_equal(s->h2->state, EC_HELPING);
    assert_ptr_equal(sc_of(s->ec[1])->waits, s->h);
    ec_kill(fixture_cpu(s->f, 0), s->h2);
    assert_int_equal(s->ec[1]->state, EC_READY);
    assert_int_equal(s->ec[1]->resume.gpr[RAX], STATUS_ABORT);
    assert_null(sc_of(s->ec[1])->waits);
    assert_true(sc_of(s->ec[1])->queued);
}

static void time_before_a_wait_is_charged(void **state)
{
    struct scene *s = *state;
    struct sc *sc = sc_of(s->ec[0]);
    const u64 used = sc->used, left = sc->left;
    fixture_later(s->f, 5000000);
    fixture_call(s->f, s->ec[0], HYPERCALL_sm_down, SM, 0, 0);
    assert_in_range(sc->used, used + 5000000, used + 5100000);
    assert_in_range(sc->left, left - 5100000, left - 5000000);
    assert_in_range(sc_of(s->ec[1])->used, 0, 100000);
}

/* Chosen again in the middle of its budget: the timer is set for what is left of it. */
static void the_timer_is_set_for_what_is_left(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    const u64 start = mach_tsc_read();
    fixture_later(s->f, FIXTURE_BUDGET / 2);
    struct ec *const high = fixture_thread(s->f, 0, s->f->pd, 60, NEW);
    fixture_run(s->f, 0);
    fixture_call(s->f, high, HYPERCALL_sm_down, SM, 0, 0);
    assert_ptr_equal(s->cpu->current, s->ec[0]);
    assert_in_range(fixture_sim_timer(s->f->sim, 0), start + FIXTURE_BUDGET - 100000, start + FIXTURE_BUDGET + 100000);
}

/* The earlier of a deadline and the end of the budget; what the timer was set to before is earlier still. */
static void the_budget_ends_before_the_deadline(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    const u64 now = mach_tsc_read();
    fixture_call(s->f, s->ec[0], HYPERCALL_sm_down, SM, 0, now + 10 * FIXTURE_BUDGET);
    assert_in_range(fixture_sim_timer(s->f->sim, 0), now, now + FIXTURE_BUDGET + 100000);
    fixture_tick(s->f, 0);
    assert_in_range(fixture_sim_timer(s->f->sim, 0), now + FIXTURE_BUDGET - 100000, now + FIXTURE_BUDGET + 100000);
}

/* A 32-bit timer is cut short: it fires before its time and is set again. */
static void a_timer_that_fires_early(void **state)
{
    struct scene *s = *state;
    const u64 end = fixture_sim_timer(s->f->sim, 0);
    assert_int_not_equal(end, 0);
    fixture_cpu(s->f, 0);
    apic_timer(s->cpu, 0);
    fixture_tick(s->f, 0);
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), end);
}

/* Two reasons, one place in the inbox. */
static void sent_twice_before_it_is_taken(void **state)
{
    struct scene *s = *state;
    struct cpu *const other = s->f->k->cpu[1];
    struct ec *const second = fixture_thread(s->f, 1, s->f->pd, 5, NEW);
    sched_send(fixture_cpu(s->f, 0), s->remote, EC_INBOX_SC);
    sched_send(s->cpu, second, EC_INBOX_SC);
    sched_send(s->cpu, s->remote, EC_INBOX_SC);
    assert_int_equal(atomic_load(&other->inbox), (u64)second);
    assert_ptr_equal(second->inbox_next, s->remote);
    assert_null(s->remote->inbox_next);
    fixture_interrupts(s->f);
    assert_int_equal(atomic_load(&other->inbox), 0);
    assert_int_equal(atomic_load(&s->remote->inbox_reason), 0);
}

/* New time for a thread that waits elsewhere is no wake-up. */
static void new_time_for_who_waits(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->remote, HYPERCALL_sm_down, SM, 0, 0);
    destroy(s, REMOTE + 1);
    assert_int_equal(fixture_call(s->f, s->ec[0], HYPERCALL_sc_create, FIXTURE_SEL_PD, REMOTE + 1, REMOTE, 10, FIXTURE_BUDGET), OK);
    fixture_interrupts(s->f);
    assert_int_equal(s->remote->state, EC_WAIT_SM);
    assert_ptr_equal(sc_of(s->remote)->waits, s->remote);
    fixture_call(s->f, s->ec[0], HYPERCALL_sm_up, SM);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->f->k->cpu[1]->current, s->remote);
}

/* A wake-up at home does not go by the inbox: it would end the next wait, too. */
static void woken_at_home_once(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->ec[0], HYPERCALL_sm_down, SM, 0, 0);
    fixture_call(s->f, s->ec[1], HYPERCALL_sm_up, SM);
    assert_int_equal(s->ec[0]->state, EC_READY);
    assert_int_equal(atomic_load(&s->ec[0]->inbox_reason), 0);
    assert_int_equal(atomic_load(&s->cpu->inbox), 0);
}

/* Its last name goes while it is on its way to its home, with or without a wake-up: it is released when it has arrived, and stays dead. */
static void released_when_it_arrives(void **state)
{
    struct scene *s = *state;
    s->f->by_hand = true;
    struct cpu *const other = s->f->k->cpu[1];
    sched_send(fixture_cpu(s->f, 0), s->remote, EC_INBOX_SC);
    ec_destroy(fixture_cpu(s->f, 1), s->remote);
    assert_true(s->remote->flags & EC_FLAG_DYING);
    assert_null(other->epoch.first);
    sched_inbox(other);
    assert_false(s->remote->flags & EC_FLAG_DYING);
    assert_ptr_equal(other->epoch.first, &s->remote->object.release);
    assert_int_equal(s->remote->state, EC_DEAD);
}

static void woken_when_it_is_dead(void **state)
{
    struct scene *s = *state;
    s->f->by_hand = true;
    fixture_call(s->f, s->ec[0], HYPERCALL_sm_down, SM, 0, 0);
    fixture_call(s->f, s->remote, HYPERCALL_sm_up, SM);
    ec_destroy(fixture_cpu(s->f, 0), s->ec[0]);
    assert_null(s->cpu->epoch.first);
    sched_inbox(s->cpu);
    assert_int_equal(s->ec[0]->state, EC_DEAD);
    assert_ptr_equal(s->cpu->epoch.first, &s->ec[0]->object.release);
}

/* The same in a shootdown: the list of those who wait for it still has the dead one. */
static void dead_in_a_shootdown(void **state)
{
    struct scene *s = *state;
    s->f->by_hand = true;
    fixture_call(s->f, s->ec[0], HYPERCALL_revoke, FIXTURE_SEL_PD, FIXTURE_MEMORY >> PAGE_BITS, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
    assert_int_equal(s->ec[0]->state, EC_WAIT_TLB);
    ec_destroy(fixture_cpu(s->f, 0), s->ec[0]);
    assert_true(s->ec[0]->flags & EC_FLAG_DYING);
    assert_null(s->cpu->epoch.first);
    tlb_handle(fixture_cpu(s->f, 1));
    sched_inbox(fixture_cpu(s->f, 0));
    assert_int_equal(s->ec[0]->state, EC_DEAD);
    assert_false(s->ec[0]->flags & (EC_FLAG_DYING | EC_FLAG_AWAITED));
    assert_ptr_equal(s->cpu->epoch.first, &s->ec[0]->object.release);
}

/* A thread with an FPU begins with its reset state; who has none runs with the registers shut, although they still hold it. */
static void registers_of_the_fpu_are_shut(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec[0], HYPERCALL_ec_create, FIXTURE_SEL_PD, NEW, 0x20000000, 0x1000, 0x2000, EC_CONFIG(0, EC_FPU, 0)), OK);
    assert_int_equal(fixture_call(s->f, s->ec[0], HYPERCALL_sc_create, FIXTURE_SEL_PD, NEW + 1, NEW, 50, FIXTURE_BUDGET), OK);
    struct ec *const ec = s->cpu->current;
    assert_int_equal(ec->resume.rip, 0x1000);
    assert_int_equal(ec->resume.rflags, 0x202);
    assert_int_equal(*(const u16 *)ec->fpu, 0x37f);               /* FCW */
    assert_int_equal(*(const u32 *)((const u8 *)ec->fpu + 24), 0x1f80);   /* MXCSR */
    assert_false(mach_cr0_read() & CR0_TS);
    fixture_call(s->f, ec, HYPERCALL_sm_down, SM, 0, 0);
    assert_ptr_equal(s->cpu->current, s->ec[0]);
    assert_true(mach_cr0_read() & CR0_TS);
    assert_ptr_equal(s->cpu->fpu_owner, ec->fpu);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define DIES(name) cmocka_unit_test_setup_teardown(name, setup, close_by_hand)   /* destroyed under the nose of its capabilities */
TEST_GROUP(sched_wait, T(the_first_that_waits_is_taken), T(the_middle_one_that_waits_is_taken), T(the_last_that_waits_is_taken), T(who_wishes_ends),
           T(who_wishes_for_another_ends), T(time_before_a_wait_is_charged), T(the_timer_is_set_for_what_is_left),
           T(the_budget_ends_before_the_deadline), T(a_timer_that_fires_early),
           T(sent_twice_before_it_is_taken), T(new_time_for_who_waits), T(woken_at_home_once), DIES(released_when_it_arrives),
           DIES(woken_when_it_is_dead),
           DIES(dead_in_a_shootdown), T(registers_of_the_fpu_are_shut));
