/* SPDX-License-Identifier: BSD-2-Clause */
/* Who runs next: by priority, in turn within one, for as long as the budget lasts; and does what other CPUs sent arrive? */
#include "sched.h"
#include "apic.h"
#include "kernel_fixture.h"
#include "kernel_fixture_sim.h"

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
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
    assert_null(s->cpu->current);
    assert_int_equal(s->f->resumed[0]->kind, RESUME_IDLE);
    fixture_close(s->f);
    return 0;
}

static struct sc *sc_of(struct ec *ec)
{
    return (struct sc *)atomic_load(&ec->own);
}

static void nothing_to_run_is_idle(void **state)
{
    struct scene *s = *state;
    fixture_run(s->f, 0);
    assert_int_equal(s->f->resumed[0]->kind, RESUME_IDLE);
    assert_null(s->cpu->current);
    assert_null(s->cpu->space);
    fixture_cpu(s->f, 0);
    assert_int_equal(mach_cr3_read(), mach_boot_root());
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), 0);
}

static void a_higher_priority_preempts(void **state)
{
    struct scene *s = *state;
    struct ec *low = fixture_thread(s->f, 0, s->f->pd, 10, 100), *same, *high;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, low);
    same = fixture_thread(s->f, 0, s->f->pd, 10, 102);
    fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_ptr_equal(s->cpu->current, low);
    high = fixture_thread(s->f, 0, s->f->pd, 11, 104);
    fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_ptr_equal(s->cpu->current, high);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, 105, 1, true), OK);
    fixture_settle(s->f);
    assert_ptr_equal(s->cpu->current, low);   /* preempted: before its equals */
    assert_true(sc_of(same)->queued);
}

static void all_priorities_in_order(void **state)
{
    struct scene *s = *state;
    static const u32 priority[] = { 0, 127, 63, 64, 1, 65, 126, 5 }, order[] = { 127, 126, 65, 64, 63, 5, 1, 0 };
    for (u32 i = 0; i < array_size(priority); i++)
        fixture_thread(s->f, 0, s->f->pd, priority[i], 100 + 2 * i);
    fixture_run(s->f, 0);
    for (u32 i = 0; i < array_size(order); i++) {
        assert_int_equal(s->cpu->current_sc->priority, order[i]);
        fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 6), 0);   /* dies */
    }
    assert_null(s->cpu->current_sc);
}

static void budgets_go_round(void **state)
{
    struct scene *s = *state;
    struct ec *ec[3];
    for (u32 i = 0; i < 3; i++)
        ec[i] = fixture_thread(s->f, 0, s->f->pd, 10, 100 + 2 * i);
    fixture_run(s->f, 0);
    for (u32 round = 0; round < 9; round++) {
        assert_ptr_equal(s->cpu->current, ec[round % 3]);
        fixture_later(s->f, FIXTURE_BUDGET / 2);
        fixture_tick(s->f, 0);
        assert_ptr_equal(s->cpu->current, ec[round % 3]);   /* half of it is left */
        fixture_later(s->f, FIXTURE_BUDGET);
        fixture_interrupts(s->f);
    }
    assert_in_range(sc_of(ec[0])->used, 4 * FIXTURE_BUDGET, 5 * FIXTURE_BUDGET);
}

static void the_timer_ends_the_budget(void **state)
{
    struct scene *s = *state;
    fixture_thread(s->f, 0, s->f->pd, 10, 100);
    fixture_cpu(s->f, 0);
    const u64 now = mach_tsc_read();
    fixture_run(s->f, 0);
    assert_in_range(fixture_sim_timer(s->f->sim, 0), now + FIXTURE_BUDGET, now + FIXTURE_BUDGET + 1000);
}

static void the_rest_of_a_budget_is_kept(void **state)
{
    struct scene *s = *state;
    struct ec *low = fixture_thread(s->f, 0, s->f->pd, 10, 100);
    fixture_run(s->f, 0);
    fixture_later(s->f, FIXTURE_BUDGET / 4);
    fixture_thread(s->f, 0, s->f->pd, 20, 102);
    fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_in_range(sc_of(low)->left, FIXTURE_BUDGET / 4 * 3 - 1000, FIXTURE_BUDGET / 4 * 3);
    fixture_later(s->f, FIXTURE_BUDGET / 2);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 6), 0);
    assert_ptr_equal(s->cpu->current, low);
    assert_in_range(sc_of(low)->left, FIXTURE_BUDGET / 4 * 3 - 1000, FIXTURE_BUDGET / 4 * 3);
}

static void huge_budgets_do_not_wrap(void **state)
{
    struct scene *s = *state;
    struct ec *ec = fixture_thread(s->f, 0, s->f->pd, 10, 100);
    sc_of(ec)->budget = sc_of(ec)->left = ~0ul;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, ec);
    assert_int_equal(s->cpu->timeouts.armed, 0);
}

static void spaces_are_switched_and_told(void **state)
{
    struct scene *s = *state;
    struct pd *pd = fixture_pd(s->f, 1 << 20, 120);
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100), *b = fixture_thread(s->f, 0, pd, 10, 102);
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->space, &a->pd->memory);
    assert_int_equal(mach_cr3_read() & ~PAGE_MASK, a->pd->memory.ptab.root);
    assert_int_equal(atomic_load(&a->pd->memory.cpus), 1);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, b);
    assert_int_equal(mach_cr3_read() & ~PAGE_MASK, pd->memory.ptab.root);
    assert_int_equal(atomic_load(&a->pd->memory.cpus), 0);
    assert_int_equal(atomic_load(&pd->memory.cpus), 1);
}

static void a_thread_for_another_cpu_starts_there(void **state)
{
    struct scene *s = *state;
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100);
    fixture_run(s->f, 0);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_ec_create, FIXTURE_SEL_PD, 102, 0x20000000, 0x1000, 0x2000, EC_CONFIG(1, 0, 0)), OK);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_sc_create, FIXTURE_SEL_PD, 103, 102, 5, 1000), OK);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_sc_create, FIXTURE_SEL_PD, 104, 102, 5, 1000), STATUS_BUSY);
    assert_null(s->f->k->cpu[1]->current);
    fixture_interrupts(s->f);
    struct ec *b = s->f->k->cpu[1]->current;
    assert_non_null(b);
    assert_int_equal(b->resume.rip, 0x1000);
    assert_int_equal(b->resume.gpr[RSP], 0x2000);
    assert_int_equal(b->resume.gpr[RDI], 0);
    assert_int_equal(b->resume.gpr[RSI], 0x20000000);
    assert_ptr_equal(s->cpu->current, a);
}

/* The capability is taken back before the EC has arrived: it never runs, and nothing stays. */
static void a_start_that_is_overtaken(void **state)
{
    struct scene *s = *state;
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100);
    fixture_run(s->f, 0);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_ec_create, FIXTURE_SEL_PD, 102, 0x20000000, 0x1000, 0x2000, EC_CONFIG(1, 0, 0)), OK);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_sc_create, FIXTURE_SEL_PD, 103, 102, 5, 1000), OK);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_revoke, FIXTURE_SEL_PD, 102, REVOKE(2, SPACE_OBJECT), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_null(s->f->k->cpu[1]->current);
}

/* The SC dies on its home CPU before the news of it has been read; and: the news is read twice. */
static void news_of_an_sc_is_late_or_double(void **state)
{
    struct scene *s = *state;
    struct cpu *other = s->f->k->cpu[1];
    struct ec *ec = fixture_thread(s->f, 1, s->f->pd, 10, 102);
    fixture_cpu(s->f, 1);
    sc_start(other, sc_of(ec));   /* started already: nothing */
    fixture_run(s->f, 1);
    assert_ptr_equal(other->current, ec);
    assert_false(sc_of(ec)->queued);
    sched_send(fixture_cpu(s->f, 0), ec, EC_INBOX_SC);
    fixture_cpu(s->f, 1);
    const u64 own = atomic_xchg(&ec->own, 0);
    sched_inbox(other);
    atomic_store(&ec->own, own);
    sched_send(fixture_cpu(s->f, 0), ec, EC_INBOX_SC);
    fixture_cpu(s->f, 1);
    sched_inbox(other);
    assert_false(sc_of(ec)->queued);
}

static void the_timer_is_written_when_it_is_late_only(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    s->cpu->timeouts.armed = 123456789;
    timeout_arm(s->cpu, 123456789);
    timeout_arm(s->cpu, 123456790);
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), 0);
    timeout_arm(s->cpu, 123456788);
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), 123456788);
    timeout_arm(s->cpu, 0);
    assert_int_equal(fixture_sim_timer(s->f->sim, 0), 0);
}

static void an_ec_gets_time_again(void **state)
{
    struct scene *s = *state;
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100), *b = fixture_thread(s->f, 0, s->f->pd, 5, 102);
    fixture_run(s->f, 0);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_revoke, FIXTURE_SEL_PD, 103, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_int_equal(atomic_load(&b->own), 0);
    assert_int_equal(fixture_call(s->f, a, HYPERCALL_sc_create, FIXTURE_SEL_PD, 103, 102, 20, 1000), OK);
    fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_ptr_equal(s->cpu->current, b);
}

static void a_thread_destroys_itself(void **state)
{
    struct scene *s = *state;
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100), *b = fixture_thread(s->f, 0, s->f->pd, 5, 102);
    fixture_run(s->f, 0);
    fixture_call(s->f, a, HYPERCALL_revoke, FIXTURE_SEL_PD, 100, REVOKE(2, SPACE_OBJECT), REVOKE_SELF);
    fixture_settle(s->f);
    assert_ptr_equal(s->cpu->current, b);
}

static void spurious_interrupts_do_nothing(void **state)
{
    struct scene *s = *state;
    struct ec *a = fixture_thread(s->f, 0, s->f->pd, 10, 100);
    fixture_run(s->f, 0);
    fixture_trap(s->f, 0, TRAP(TRAP_INTERRUPT, VECTOR_SPURIOUS), 0);
    assert_ptr_equal(s->f->resumed[0], &a->resume);
    fixture_trap(s->f, 0, TRAP(TRAP_INTERRUPT, 0x55), 0);
    assert_ptr_equal(s->f->resumed[0], &a->resume);
}

static void nmis_are_remembered(void **state)
{
    struct scene *s = *state;
    kern_nmi(s->cpu, 2);
    kern_nmi(s->cpu, 18);
    assert_int_equal(atomic_load(&s->cpu->nmi), bit(2) | bit(18));
}

/* The message that an earlier SC is to be started arrives when that SC is gone and the next one is just being bound. */
static struct scene *acting;
static struct ec *bound_to;
static bool arrived;
static void arrive(void *arg)
{
    if (arrived || !atomic_load(&bound_to->own))
        return;
    arrived = true;
    fixture_trap(acting->f, 1, TRAP(TRAP_NONE, 0), 0);
    fixture_cpu(acting->f, 0);
}

static void a_late_message_to_start(void **state)
{
    struct scene *s = *state;
    struct ec *ec;
    struct sc *sc;
    const struct ec_config config = { .utcb = 0x20000000, .ip = 0x400000, .cpu = 1 };
    struct cpu *const cpu = fixture_cpu(s->f, 0);
    assert_int_equal(ec_create(cpu, s->f->pd, &config, &ec), OK);
    assert_int_equal(space_obj_insert(&s->f->pd->objects, 100, &ec->object), OK);
    sched_send(cpu, ec, EC_INBOX_SC);
    acting = s;
    bound_to = ec;
    arrived = false;
    sim_unit_hook(s->f->sim, arrive, NULL);
    assert_int_equal(sc_create(cpu, s->f->pd, ec, 20, FIXTURE_BUDGET, &sc), OK);
    sim_unit_hook(s->f->sim, NULL, NULL);
    assert_true(arrived);
    sc_start(cpu, sc);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->f->k->cpu[1]->current, ec);
    object_unref(fixture_cpu(s->f, 0), &sc->object);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(sched, T(a_late_message_to_start), T(nothing_to_run_is_idle), T(a_higher_priority_preempts), T(all_priorities_in_order), T(budgets_go_round),
           T(the_timer_ends_the_budget), T(the_rest_of_a_budget_is_kept), T(huge_budgets_do_not_wrap), T(spaces_are_switched_and_told),
           T(a_thread_for_another_cpu_starts_there), T(a_start_that_is_overtaken), T(news_of_an_sc_is_late_or_double), T(the_timer_is_written_when_it_is_late_only), T(an_ec_gets_time_again), T(a_thread_destroys_itself),
           T(spurious_interrupts_do_nothing), T(nmis_are_remembered));
