/* SPDX-License-Identifier: BSD-2-Clause */
/* Both policies in one kernel, priorities on CPU 0 and fair groups on CPU 1: does each CPU keep to its own, is all time charged to the right group, and
 * can a vCPU be put into the background? */
#include "sched.h"
#include "apic.h"
#include "boot_cpus.h"
#include "guest_fixture.h"
#include "kernel_fixture_sim.h"
#include "sm.h"

#define D SC_GROUP_DRIVER
#define A SC_GROUP_DEFAULT
#define B SC_GROUP_BACKGROUND

struct scene {
    struct fixture *f;
    struct cpu *fair;
    u64 ms;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.fair = s.f->k->cpu[1];
    s.ms = s.f->k->clock.tsc_khz;
    sched_init(s.fair, true);
    s.before = fixture_books(s.f);
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

static struct sc *sc_of(struct ec *ec)
{
    return (struct sc *)atomic_load(&ec->own);
}

static struct ec *thread(struct scene *s, u32 cpu, u32 priority, u64 budget, u64 selector)
{
    struct ec *const ec = fixture_thread(s->f, cpu, s->f->pd, priority, selector);
    sc_of(ec)->budget = sc_of(ec)->left = budget;
    return ec;
}

/* For that long: each timer of the CPU fires when it is due. */
static void time_passes(struct scene *s, u32 cpu, u64 ticks)
{
    fixture_cpu(s->f, cpu);
    for (u64 now = mach_tsc_read(), end = now + ticks; now < end; now = mach_tsc_read()) {
        const u64 timer = fixture_sim_timer(s->f->sim, cpu);
        fixture_later(s->f, max(min(timer ? timer : end, end), now) - now);
        fixture_interrupts(s->f);
        fixture_cpu(s->f, cpu);
    }
}

static u64 used(struct ec *ec)
{
    return sc_of(ec)->used;
}

static s64 vtime(struct scene *s, u32 group)
{
    return s->fair->sched.groups.group[group].vtime;
}

/* ---- Each CPU its policy ---- */

static void boot_says_which(void **state)
{
    struct boot_info boot = { .cpu_count = 3, .apic_id = { 0, 1, 2 }, .apic_base = 0xfee00000, .fair = bit(1) | bit(2) | bit(7) };
    const struct ranges none = { 0 };
    struct sim *const m = sim_unit(3, FIXTURE_RAM, SIM_NONE);
    const struct kern *const k = boot_kern_make(&boot, &none, 16 << 20, 32 << 20);
    for (u32 i = 0; i < 3; i++) {
        assert_int_equal(k->cpu[i]->sched.fair, i > 0);
        assert_int_equal(k->cpu[i]->sched.queues, i ? SC_GROUP_COUNT : PRIORITY_COUNT);
        assert_int_equal(k->cpu[i]->sched.groups.minimum, 5 * k->clock.tsc_khz);
    }
    sim_destroy(m);
}

static void a_priority_is_a_group_there(void **state)
{
    struct scene *s = *state;
    struct ec *const ec = thread(s, 0, 10, FIXTURE_BUDGET, 100);
    fixture_run(s->f, 0);
    fixture_ec(s->f, 0, s->f->pd, EC_GLOBAL, 110);
    fixture_ec(s->f, 1, s->f->pd, EC_GLOBAL, 112);
    static const struct { u64 ec, priority, status; } rows[] = {
        { 112, SC_GROUP_COUNT, STATUS_ARG }, { 112, PRIORITY_COUNT - 1, STATUS_ARG }, { 112, ~0ul, STATUS_ARG }, { 112, B, OK },
        { 110, PRIORITY_COUNT, STATUS_ARG }, { 110, PRIORITY_COUNT - 1, OK },
    };
    for (u32 i = 0; i < array_size(rows); i++)
        assert_int_equal(fixture_call(s->f, ec, HYPERCALL_sc_create, FIXTURE_SEL_PD, rows[i].ec + 1, rows[i].ec, rows[i].priority, 1000), rows[i].status);
}

static void two_policies_side_by_side(void **state)
{
    struct scene *s = *state;
    struct ec *ec[2][2];
    for (u32 cpu = 0; cpu < 2; cpu++) {
        ec[cpu][0] = thread(s, cpu, D, 10 * s->ms, 100 + 10 * cpu);
        ec[cpu][1] = thread(s, cpu, B, 10 * s->ms, 104 + 10 * cpu);
        fixture_run(s->f, cpu);
        time_passes(s, cpu, 5500 * s->ms);
        fixture_run(s->f, cpu);
    }
    assert_int_equal(used(ec[0][0]), 0);   /* 0 is the lowest priority */
    assert_true(used(ec[0][1]) > 5499 * s->ms);
    assert_in_range(used(ec[1][0]), 4940 * s->ms, 5060 * s->ms);
    assert_in_range(used(ec[1][1]), 440 * s->ms, 560 * s->ms);
}

/* Within a group they take turns, whoever came first and whatever its budget. */
static void a_group_takes_turns_by_budget(void **state)
{
    struct scene *s = *state;
    struct ec *const ec[3] = { thread(s, 1, A, 2 * s->ms, 100), thread(s, 1, A, 4 * s->ms, 102), thread(s, 1, A, 6 * s->ms, 104) };
    fixture_run(s->f, 1);
    for (u32 i = 0; i < 9; i++) {
        assert_ptr_equal(s->fair->current, ec[i % 3]);
        time_passes(s, 1, sc_of(ec[i % 3])->budget);
    }
    fixture_run(s->f, 1);
    for (u32 i = 0; i < 3; i++)
        assert_in_range(used(ec[i]), (6 * i + 6) * s->ms, (6 * i + 6) * s->ms + s->ms / 10);
}

/* ---- Who comes, who goes ---- */

static void a_driver_that_is_woken_runs_at_once(void **state)
{
    struct scene *s = *state;
    struct ec *const driver = thread(s, 1, D, 10 * s->ms, 100), *const back = thread(s, 1, B, 10 * s->ms, 102), *const waker = thread(s, 0, 10, FIXTURE_BUDGET, 104);
    struct sm *sm;
    assert_int_equal(sm_create(fixture_cpu(s->f, 0), s->f->pd, 0, &sm), OK);
    assert_int_equal(space_obj_insert(&s->f->pd->objects, 106, &sm->object), OK);
    fixture_run(s->f, 1);
    assert_ptr_equal(s->fair->current, driver);
    fixture_call(s->f, driver, HYPERCALL_sm_down, 106, 0, 0);
    assert_ptr_equal(s->fair->current, back);
    time_passes(s, 1, 100 * s->ms);
    fixture_run(s->f, 0);
    for (u32 i = 0; i < 10; i++) {
        assert_int_equal(fixture_call(s->f, waker, HYPERCALL_sm_up, 106), OK);
        fixture_interrupts(s->f);
        assert_ptr_equal(s->fair->current, driver);
        time_passes(s, 1, s->ms);
        assert_ptr_equal(s->fair->current, driver);
        fixture_call(s->f, driver, HYPERCALL_sm_down, 106, 0, 0);
        assert_ptr_equal(s->fair->current, back);
        time_passes(s, 1, 10 * s->ms);
    }
}

/* The one that waits ends the slice of the one that ran alone: its timer is set anew. */
static void a_second_group_ends_the_slice(void **state)
{
    struct scene *s = *state;
    struct ec *const driver = thread(s, 1, D, ~0ul, 100);
    fixture_run(s->f, 1);
    time_passes(s, 1, 60 * s->ms);
    struct ec *const back = thread(s, 1, B, ~0ul, 102);
    fixture_trap(s->f, 1, TRAP(TRAP_NONE, 0), 0);
    assert_ptr_equal(s->fair->current, back);   /* equal, as the driver's warp is gone, and new */
    time_passes(s, 1, 4 * s->ms);
    assert_ptr_equal(s->fair->current, back);
    time_passes(s, 1, 2 * s->ms);
    assert_ptr_equal(s->fair->current, driver);
}

/* Who destroys its own SC has still run; a new one cannot begin with nothing. */
static void who_goes_has_paid(void **state)
{
    struct scene *s = *state;
    struct ec *const a = thread(s, 1, A, FIXTURE_BUDGET, 100), *const b = thread(s, 1, B, FIXTURE_BUDGET, 102);
    fixture_run(s->f, 1);
    assert_ptr_equal(s->fair->current, a);
    fixture_later(s->f, 3 * s->ms);
    fixture_call(s->f, a, HYPERCALL_revoke, FIXTURE_SEL_PD, 101, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
    fixture_settle(s->f);
    assert_ptr_equal(s->fair->current, b);
    assert_in_range(vtime(s, A), 59 * s->ms / 10, 61 * s->ms / 10);
}

/* A call takes the caller's time along, and the caller's group. */
static void donated_time_is_the_callers_groups(void **state)
{
    struct scene *s = *state;
    struct ec *const client = thread(s, 1, B, FIXTURE_BUDGET, 100), *const handler = fixture_handler(s->f, 1, s->f->pd, 102);
    thread(s, 1, A, FIXTURE_BUDGET, 104);
    fixture_run(s->f, 1);
    s->fair->current_sc->left = 0;
    fixture_later(s->f, 100 * s->ms);
    fixture_run(s->f, 1);
    assert_ptr_equal(s->fair->current, client);
    fixture_call(s->f, client, HYPERCALL_call, 103, 0);
    assert_ptr_equal(s->fair->current, handler);
    const s64 before = vtime(s, B);
    fixture_later(s->f, s->ms);
    sched_account(fixture_cpu(s->f, 1));
    assert_in_range(vtime(s, B) - before, 10 * s->ms, 11 * s->ms);
}

/* ---- A vCPU in the background ---- */

static void a_guest_runs_in_its_runners_group(void **state)
{
    struct guest *const g = guest_open(VENDOR(state));
    struct cpu *const cpu = g->f->k->cpu[0];
    const u64 ms = g->f->k->clock.tsc_khz;
    cpu->current_sc->priority = B;
    sched_init(cpu, true);
    fixture_run(g->f, 0);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    fixture_later(g->f, ms);
    struct ec *const driver = fixture_thread(g->f, 0, g->f->pd, D, 300);
    fixture_interrupts(g->f);
    guest_sim_interrupt(g->f->sim, 0, VECTOR_IPI);
    for (u32 i = 0; i < 4 && cpu->current != driver; i++)
        guest_step(g);
    assert_ptr_equal(cpu->current, driver);
    assert_ptr_equal(sc_of(g->ec)->ec, g->ec);
    assert_true(sc_of(g->ec)->queued && cpu->sched.head[B] == sc_of(g->ec));
    assert_in_range(cpu->sched.groups.group[B].vtime, 0, 1);   /* of the two the least ... */
    fixture_later(g->f, 44 * ms);
    fixture_run(g->f, 0);
    assert_ptr_equal(cpu->current, driver);                    /* ... but the driver has its warp */
    fixture_later(g->f, 7 * ms);
    fixture_run(g->f, 0);
    assert_ptr_equal(cpu->current_sc, sc_of(g->ec));
    guest_close(g);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(sched_policy, cmocka_unit_test(boot_says_which), T(a_priority_is_a_group_there), T(two_policies_side_by_side), T(a_group_takes_turns_by_budget),
           T(a_driver_that_is_woken_runs_at_once), T(a_second_group_ends_the_slice), T(who_goes_has_paid), T(donated_time_is_the_callers_groups));
GUEST_GROUP(sched_policy_guest, GUEST_TEST(a_guest_runs_in_its_runners_group));
