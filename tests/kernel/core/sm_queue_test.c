/* SPDX-License-Identifier: BSD-2-Clause */
/* Are the queue of a semaphore and the list of deadlines whole whoever leaves them, in whatever order, with another CPU at the same semaphore? */
#include "sm.h"
#include "kernel_fixture.h"
#include "kernel_fixture_sim.h"
#include "timeout.h"

enum { A = 100, SM = 120, THREADS = 4, REMOTE = 110, MANY = 200 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *ec[THREADS], *remote;
    struct sm *sm;
    struct fixture_books before;
    /* What the hooks see and do. */
    const struct ec *first, *last;
    u64 count;
    u32 points, at, changes;
};
static struct scene scene;

static int setup(void **state)
{
    struct scene *const s = &scene;
    struct object *o;
    *s = (struct scene){ .f = fixture_open(2, SIM_VMX) };
    s->cpu = s->f->k->cpu[0];
    s->before = fixture_books(s->f);
    for (u32 i = 0; i < THREADS; i++)
        s->ec[i] = fixture_thread(s->f, 0, s->f->pd, 10, A + 2 * i);
    s->remote = fixture_thread(s->f, 1, s->f->pd, 10, REMOTE);
    fixture_run(s->f, 0);
    fixture_run(s->f, 1);
    assert_int_equal(fixture_call(s->f, s->ec[0], HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0), OK);
    assert_int_equal(space_obj_lookup(&s->f->pd->objects, SM, OBJ_SM, 0, &o), OK);
    s->sm = container_of(o, struct sm, object);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    sim_unit_hook(s->f->sim, NULL, NULL);
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, A, 300, true) == STATUS_RESTART)
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

static u64 now(struct scene *s)
{
    fixture_cpu(s->f, 0);
    return mach_tsc_read();
}

/* The queue holds what is given, in this order, in both directions. */
static void assert_queue(struct scene *s, u32 count, const u32 *threads)
{
    const struct ec *prev = NULL, *ec = s->sm->first;
    for (u32 i = 0; i < count; i++, prev = ec, ec = ec->queue_next) {
        assert_ptr_equal(ec, s->ec[threads[i]]);
        assert_ptr_equal(ec->queue_prev, prev);
    }
    assert_null(ec);
    assert_ptr_equal(s->sm->last, prev);
}

static void assert_deadlines(struct scene *s, u32 count, const u32 *threads)
{
    const struct ec *prev = NULL, *ec = s->cpu->timeouts.first;
    for (u32 i = 0; i < count; i++, prev = ec, ec = ec->timeout_next) {
        assert_ptr_equal(ec, s->ec[threads[i]]);
        assert_ptr_equal(ec->timeout_prev, prev);
    }
    assert_null(ec);
}
#define LIST(...) sizeof((const u32[]){ __VA_ARGS__ }) / sizeof(u32), (const u32[]){ __VA_ARGS__ }

static void empty_and_full_again(void **state)
{
    struct scene *s = *state;
    for (u32 round = 0; round < 3; round++) {
        struct ec *const ec = s->cpu->current;
        down(s, ec, 0);
        assert_ptr_equal(s->sm->first, ec);
        assert_ptr_equal(s->sm->last, ec);
        assert_int_equal(fixture_sm_up(fixture_cpu(s->f, 0), s->sm), OK);
        assert_int_equal(ec->state, EC_READY);
        assert_null(s->sm->first);
        assert_null(s->sm->last);
    }
    assert_int_equal(s->sm->count, 0);
}

static void the_last_leaves_and_another_comes(void **state)
{
    struct scene *s = *state;
    down(s, s->ec[0], 0);
    down(s, s->ec[1], now(s) + 100000);
    fixture_later(s->f, 200000);
    fixture_interrupts(s->f);
    assert_int_equal(s->ec[1]->resume.gpr[RAX], STATUS_TIMEOUT);
    assert_queue(s, LIST(0));
    down(s, s->cpu->current, 0);
    assert_queue(s, LIST(0, 2));
    down(s, s->cpu->current, 0);
    assert_queue(s, LIST(0, 2, 3));
}

static void the_middle_leaves(void **state)
{
    struct scene *s = *state;
    down(s, s->ec[0], 0);
    down(s, s->ec[1], now(s) + 100000);
    down(s, s->ec[2], 0);
    fixture_later(s->f, 200000);
    fixture_interrupts(s->f);
    assert_queue(s, LIST(0, 2));
}

static void deadlines_that_end_early(void **state)
{
    struct scene *s = *state;
    const u64 t = now(s);
    down(s, s->ec[0], t + 300000);
    down(s, s->ec[1], t + 100000);
    down(s, s->ec[2], t + 200000);
    assert_deadlines(s, LIST(1, 2, 0));
    fixture_call(s->f, s->ec[3], HYPERCALL_sm_up, SM);   /* the last of the list */
    assert_deadlines(s, LIST(1, 2));
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    down(s, s->ec[0], t + 50000);                        /* before all */
    assert_deadlines(s, LIST(0, 1, 2));
    fixture_call(s->f, s->ec[3], HYPERCALL_sm_up, SM);   /* the middle */
    assert_deadlines(s, LIST(0, 2));
    fixture_call(s->f, s->ec[3], HYPERCALL_sm_up, SM);
    assert_deadlines(s, LIST(0));
    fixture_call(s->f, s->ec[3], HYPERCALL_sm_up, SM);
    assert_null(s->cpu->timeouts.first);
    fixture_later(s->f, 500000);
    fixture_interrupts(s->f);
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(s->ec[i]->resume.gpr[RAX], OK);
}

static void a_deadline_is_over_when_it_is_reached(void **state)
{
    struct scene *s = *state;
    const u64 t = now(s) + 1000000;
    down(s, s->ec[0], t);
    timeout_expire(fixture_cpu(s->f, 0), t - 1);
    assert_int_equal(s->ec[0]->state, EC_WAIT_SM);
    timeout_expire(s->cpu, t);
    assert_int_equal(s->ec[0]->state, EC_READY);
}

/* One step is bounded: others get the CPU and the lock in between. */
static void a_step_of_the_end(void **state)
{
    struct scene *s = *state;
    s->f->by_hand = true;
    u32 aborted = 0;
    struct ec *ec[50];
    for (u32 i = 0; i < array_size(ec); i++) {
        ec[i] = fixture_thread(s->f, 0, s->f->pd, 60, MANY + 2 * i);
        fixture_run(s->f, 0);
        down(s, ec[i], 0);
    }
    sm_destroy(fixture_cpu(s->f, 0), s->sm);
    for (u32 i = 0; i < array_size(ec); i++)
        aborted += ec[i]->state == EC_READY;
    assert_in_range(aborted, 1, 32);
    assert_ptr_equal(s->cpu->epoch.first, &s->sm->object.release);
}

/* Before each operation of the machine: if the semaphore has changed since the last one, its lock is held. */
static void guard(void *arg)
{
    struct scene *const s = arg;
    if (s->sm->first == s->first && s->sm->last == s->last && s->sm->count == s->count)
        return;
    s->changes++;
    assert_int_equal(atomic_load32(&s->sm->lock.held), 1);
    s->first = s->sm->first;
    s->last = s->sm->last;
    s->count = s->sm->count;
}

static void all_changes_are_locked(void **state)
{
    struct scene *s = *state;
    sim_unit_hook(s->f->sim, guard, s);
    assert_int_equal(fixture_sm_up(s->cpu, s->sm), OK);
    assert_int_equal(fixture_sm_down(s->cpu, s->ec[0], s->sm, false, 0), OK);
    assert_int_equal(s->changes, 2);
    down(s, s->ec[0], mach_tsc_read() + 1000000);
    down(s, s->ec[1], 0);
    down(s, s->ec[2], 0);
    assert_int_equal(s->changes, 5);
    timeout_expire(s->cpu, ~0ul);
    assert_int_equal(s->changes, 6);
    assert_int_equal(fixture_sm_up(s->cpu, s->sm), OK);
    assert_int_equal(s->changes, 7);
    sim_unit_hook(s->f->sim, NULL, NULL);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, SM, 1, true), OK);
    sim_unit_hook(s->f->sim, guard, s);
    for (u32 i = 0; i < 3 && s->sm->first; i++) {
        fixture_run(s->f, 1);
        fixture_run(s->f, 0);
    }
    sim_unit_hook(s->f->sim, NULL, NULL);
    assert_int_equal(s->changes, 8);
}

/* CPU 1 ups at every point of a down on CPU 0: nobody sleeps beside a count. */
static void up_once(void *arg)
{
    struct scene *const s = arg;
    if (s->points++ != s->at || atomic_load32(&s->sm->lock.held))
        return;
    s->changes++;
    sim_unit_cpu(s->f->sim, 1);
    assert_int_equal(fixture_sm_up(s->f->k->cpu[1], s->sm), OK);
    sim_unit_cpu(s->f->sim, 0);
}

static void an_up_at_every_point_of_a_down(void **state)
{
    struct scene *s = *state;
    for (s->at = 0; s->at < 20; s->at++) {
        struct ec *const ec = s->cpu->current;
        s->points = 0;
        s->changes = 0;
        fixture_cpu(s->f, 0);
        const u64 deadline = mach_tsc_read() + 1000000000;
        sim_unit_hook(s->f->sim, up_once, s);
        const enum status st = fixture_sm_down(s->cpu, ec, s->sm, false, deadline);
        sim_unit_hook(s->f->sim, NULL, NULL);
        fixture_interrupts(s->f);
        if (!s->changes) {
            assert_int_equal(st, STATUS_BLOCKED);
            assert_int_equal(fixture_sm_up(fixture_cpu(s->f, 0), s->sm), OK);
        }
        assert_int_equal(ec->state, EC_READY);
        assert_null(s->sm->first);
        assert_int_equal(s->sm->count, 0);
        fixture_run(s->f, 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static int close_by_hand(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}
TEST_GROUP(sm_queue, T(empty_and_full_again), T(the_last_leaves_and_another_comes), T(the_middle_leaves), T(deadlines_that_end_early),
           T(a_deadline_is_over_when_it_is_reached),
           cmocka_unit_test_setup_teardown(a_step_of_the_end, setup, close_by_hand), T(all_changes_are_locked), T(an_up_at_every_point_of_a_down));
