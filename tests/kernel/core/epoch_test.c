/* SPDX-License-Identifier: BSD-2-Clause */
/* Is anything released while a CPU that was in the kernel may still read it, or never released because nobody said it could be? */
#include "epoch.h"
#include "kernel/core_fixture.h"

#define ITEMS 40u

struct thing {
    struct epoch_item item;
    u32 order;      /* when it was released, from 1; 0: not yet */
};

static struct thing things[ITEMS];
static u32 released;
static struct epoch_item *again;   /* deferred by a release */

static void release(struct cpu *cpu, struct epoch_item *item)
{
    struct thing *t = container_of(item, struct thing, item);
    assert_int_equal(t->order, 0);
    t->order = ++released;
    if (again) {
        struct epoch_item *more = again;
        again = NULL;
        epoch_defer(cpu, more, 0);
    }
}

static int setup(void **state)
{
    released = 0;
    again = NULL;
    for (u32 i = 0; i < ITEMS; i++)
        things[i] = (struct thing){ .item.release = release };
    return core_setup(state);
}

static void quiesce(struct core *w, u32 n)
{
    struct sim_cpu *const was = w->sim->current;
    epoch_quiesce(core_cpu(w, n));
    w->sim->current = was;
}

static void released_when_every_cpu_has_left_its_trap(void **state)
{
    struct core *w = *state;
    epoch_defer(w->cpu, &things[0].item, 0);
    for (u32 i = 0; i < CORE_CPUS; i++) {
        quiesce(w, 0);
        assert_int_equal(things[0].order, 0);
        if (i)
            quiesce(w, i);
    }
    quiesce(w, 0);
    assert_int_equal(things[0].order, 1);
}

static void a_trap_that_ended_before_does_not_count(void **state)
{
    struct core *w = *state;
    for (u32 i = 1; i < CORE_CPUS; i++)
        quiesce(w, i);
    epoch_defer(w->cpu, &things[0].item, 0);
    quiesce(w, 0);
    assert_int_equal(things[0].order, 0);
}

static void laggards_are_asked_once(void **state)
{
    struct core *w = *state;
    epoch_defer(w->cpu, &things[0].item, 0);
    quiesce(w, 2);
    quiesce(w, 0);
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_int_equal(core_ipi(w, i), i == 1 || i == 3);
    quiesce(w, 0);
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_false(core_ipi(w, i));
}

static void a_cpu_that_lags_behind_a_later_item_only_is_asked_too(void **state)
{
    struct core *w = *state;
    epoch_defer(w->cpu, &things[0].item, 0);
    quiesce(w, 2);
    epoch_defer(w->cpu, &things[1].item, 0);
    quiesce(w, 0);
    for (u32 i = 1; i < CORE_CPUS; i += 2) {
        assert_true(core_ipi(w, i));
        quiesce(w, i);
    }
    assert_true(core_ipi(w, 0));
    quiesce(w, 0);
    assert_int_equal(released, 1);
    assert_true(core_ipi(w, 2));
    quiesce(w, 2);
    assert_true(core_ipi(w, 0));
    quiesce(w, 0);
    assert_int_equal(released, 2);
}

static void the_last_one_tells_the_cpu_that_waits(void **state)
{
    struct core *w = *state;
    epoch_defer(w->cpu, &things[0].item, 0);
    quiesce(w, 0);
    quiesce(w, 1);
    quiesce(w, 3);
    assert_false(core_ipi(w, 0));
    core_ipi(w, 2);
    quiesce(w, 2);
    assert_true(core_ipi(w, 0));
    quiesce(w, 0);
    assert_int_equal(things[0].order, 1);
    assert_int_equal(atomic_load(&w->cpu->epoch.waits), 0);
    epoch_defer(core_cpu(w, 3), &things[1].item, 0);   /* 0 does not wait any more: nobody bothers it */
    for (u32 i = 1; i < CORE_CPUS; i++)
        quiesce(w, i);
    core_ipi(w, 0);
    quiesce(w, 1);
    assert_false(core_ipi(w, 0));
    core_settle(w);
}

static void batches_are_bounded_and_in_order(void **state)
{
    struct core *w = *state;
    for (u32 i = 0; i < ITEMS; i++)
        epoch_defer(w->cpu, &things[i].item, 0);
    for (u32 i = 1; i < CORE_CPUS; i++)
        quiesce(w, i);
    for (u32 turn = 1; released < ITEMS; turn++) {
        quiesce(w, 0);
        assert_int_equal(released, min(turn * EPOCH_BATCH, ITEMS));
        assert_int_equal(core_ipi(w, 0), released < ITEMS);   /* goes on by itself, as long as there is more */
    }
    for (u32 i = 0; i < ITEMS; i++)
        assert_int_equal(things[i].order, i + 1);
}

static void an_interrupt_ends_a_batch_but_not_the_first(void **state)
{
    struct core *w = *state;
    for (u32 i = 0; i < ITEMS; i++)
        epoch_defer(w->cpu, &things[i].item, 0);
    for (u32 i = 1; i < CORE_CPUS; i++)
        quiesce(w, i);
    for (u32 turn = 1; turn <= ITEMS; turn++) {
        core_preempt(w);
        quiesce(w, 0);
        assert_int_equal(released, turn);
    }
}

static void an_open_tlb_generation_holds_back(void **state)
{
    struct core *w = *state;
    struct space_mem s = { .ptab.format = &ptab_host, .cpus.v = bit(2) };
    epoch_defer(w->cpu, &things[0].item, tlb_request(w->cpu, &s));
    for (u32 round = 0; round < 3; round++)
        for (u32 i = 0; i < CORE_CPUS; i++)
            quiesce(w, (i + 1) % CORE_CPUS);
    assert_int_equal(things[0].order, 0);
    for (u32 i = 0; i < CORE_CPUS; i++)
        core_ipi(w, i);
    core_trap(w, 2);   /* acknowledges, and says so although the epoch did not move */
    assert_true(core_ipi(w, 0));
    quiesce(w, 0);
    assert_int_equal(things[0].order, 1);
}

static void a_release_may_defer_more(void **state)
{
    struct core *w = *state;
    again = &things[1].item;
    epoch_defer(w->cpu, &things[0].item, 0);
    for (u32 i = 1; i < CORE_CPUS; i++)
        quiesce(w, i);
    quiesce(w, 0);
    assert_int_equal(things[0].order, 1);
    assert_int_equal(things[1].order, 0);   /* an epoch of its own */
    core_settle(w);
    assert_int_equal(things[1].order, 2);
}

static void cpus_that_are_not_online_do_not_count(void **state)
{
    struct core *w = *state;
    atomic_and(&w->kern->cpus_online, ~bit(3));
    epoch_defer(w->cpu, &things[0].item, 0);
    quiesce(w, 1);
    quiesce(w, 2);
    quiesce(w, 0);
    assert_int_equal(things[0].order, 1);
    assert_false(core_ipi(w, 3));
}

/* CPU 1, the last one, leaves its trap at some point of CPU 0's. */
static u32 at, points;

static void leave_hook(void *arg)
{
    if (++points == at)
        epoch_quiesce(core_cpu(arg, 1));
}

static void no_notice_is_lost_at_any_moment(void **state)
{
    struct core *w = *state;
    u32 at_once = 0, told = 0;
    atomic_and(&w->kern->cpus_online, 3);
    for (at = 1; at < 60; at++) {
        things[0].order = 0;
        released = 0;
        epoch_defer(w->cpu, &things[0].item, 0);
        core_ipi(w, 0);
        core_ipi(w, 1);
        points = 0;
        sim_unit_hook(w->sim, leave_hook, w);
        epoch_quiesce(w->cpu);
        sim_unit_hook(w->sim, NULL, NULL);
        /* Released, or an IPI is on its way: to 0 because 1 has left, or to 1, which then tells 0. */
        at_once += released;
        if (!released) {
            if (core_ipi(w, 1))
                quiesce(w, 1);
            assert_true(core_ipi(w, 0));
            told++;
            quiesce(w, 0);
        }
        assert_int_equal(released, 1);
    }
    assert_true(at_once && told);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, core_teardown)

TEST_GROUP(epoch, T(released_when_every_cpu_has_left_its_trap), T(a_trap_that_ended_before_does_not_count), T(laggards_are_asked_once),
           T(a_cpu_that_lags_behind_a_later_item_only_is_asked_too), T(the_last_one_tells_the_cpu_that_waits), T(batches_are_bounded_and_in_order),
           T(an_interrupt_ends_a_batch_but_not_the_first), T(an_open_tlb_generation_holds_back),
           T(a_release_may_defer_more), T(cpus_that_are_not_online_do_not_count), T(no_notice_is_lost_at_any_moment));
