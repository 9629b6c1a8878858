/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the local APIC's timers fire once, on time, in the mode that was set, and does time jump when nobody can step? */
#include "micro.h"

static void wait_until(struct sim *s, u64 clock)
{
    while (s->clock < clock)
        mach_fence();
}

static void one_shot_fires_once_on_time(void **state)
{
    struct sim *s = *state;
    mach_msr_write(MSR_X2APIC(APIC_TIMER_DIVIDE), APIC_TIMER_DIVIDE_1);
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), 0xf0);
    mach_msr_write(MSR_X2APIC(APIC_TIMER_INITIAL), 20);
    const u64 start = s->clock;
    wait_until(s, start + 100);
    assert_int_equal(micro_x2(APIC_TIMER_CURRENT), 20 - 101 / 10);
    wait_until(s, start + 20 * SIM_APIC_DIVIDER - 1);
    assert_false(sim_irq_pending(sim_this()));
    mach_fence();
    assert_true(sim_irq_pending(sim_this()));
    assert_int_equal(sim_irq_accept(sim_this()), 0xf0);
    micro_eoi();
    assert_int_equal(micro_x2(APIC_TIMER_CURRENT), 0);
    wait_until(s, start + 1000);
    assert_false(sim_irq_pending(sim_this()));
}

static void the_divider_divides(void **state)
{
    struct sim *s = *state;
    static const struct { u32 code, by; } row[] = { { 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 } };
    for (u32 i = 0; i < array_size(row); i++) {
        mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), 0xf0);
        mach_msr_write(MSR_X2APIC(APIC_TIMER_DIVIDE), row[i].code);
        mach_msr_write(MSR_X2APIC(APIC_TIMER_INITIAL), 3);
        assert_int_equal(s->timer_next - s->clock, 3 * SIM_APIC_DIVIDER * row[i].by);
    }
}

static void periodic_goes_on(void **state)
{
    struct sim *s = *state;
    mach_msr_write(MSR_X2APIC(APIC_TIMER_DIVIDE), APIC_TIMER_DIVIDE_1);
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), APIC_LVT_TIMER_PERIODIC | 0xf0);
    mach_msr_write(MSR_X2APIC(APIC_TIMER_INITIAL), 10);
    const u64 start = s->clock;
    for (u32 i = 1; i <= 3; i++) {
        wait_until(s, start + i * 100);
        assert_int_equal(sim_irq_accept(sim_this()), 0xf0);
        micro_eoi();
        assert_false(sim_irq_pending(sim_this()));
    }
}

static void deadline_past_and_future(void **state)
{
    struct sim *s = *state;
    micro_deadline(mach_tsc_read() + 500);
    assert_false(sim_irq_pending(sim_this()));
    wait_until(s, mach_msr_read(MSR_TSC_DEADLINE));
    assert_int_equal(sim_irq_accept(sim_this()), 0xf0);
    assert_int_equal(mach_msr_read(MSR_TSC_DEADLINE), 0);
    micro_eoi();
    micro_deadline(1);                                       /* long past: at once */
    assert_int_equal(sim_irq_accept(sim_this()), 0xf0);
    micro_eoi();
    micro_deadline(mach_tsc_read() + 500);
    mach_msr_write(MSR_TSC_DEADLINE, 0);                     /* disarmed */
    assert_int_equal(s->timer_next, ~0ul);
}

static void deadline_writes_count_only_in_deadline_mode(void **state)
{
    struct sim *s = *state;
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), 0xf0);
    mach_msr_write(MSR_TSC_DEADLINE, 5);
    assert_int_equal(mach_msr_read(MSR_TSC_DEADLINE), 0);
    assert_int_equal(s->timer_next, ~0ul);
    micro_deadline(mach_tsc_read() + 500);
    mach_msr_write(MSR_X2APIC(APIC_TIMER_INITIAL), 10);
    assert_int_equal(micro_x2(APIC_TIMER_CURRENT), 0);
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), 0xf0);        /* leaving the mode disarms, for good */
    assert_int_equal(s->timer_next, ~0ul);
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), APIC_LVT_TIMER_DEADLINE | 0xf0);
    assert_int_equal(s->timer_next, ~0ul);
}

static void a_masked_timer_is_silent(void **state)
{
    struct sim *s = *state;
    micro_deadline(mach_tsc_read() + 500);
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), APIC_LVT_TIMER_DEADLINE | APIC_LVT_MASKED | 0xf0);
    assert_int_equal(s->timer_next, ~0ul);
}

static struct resume *boot_sleep(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    micro()->list[0] = mach_tsc_read() + 123456789;
    micro_deadline(micro()->list[0]);
    return micro_go(c, RESUME_IDLE);
}

static struct resume *trap_wakes(void *cpu, u64 trap, u64 info)
{
    micro()->list[1] = mach_tsc_read();
    return micro_shutdown(cpu, (u32)trap);
}

static void time_jumps_when_all_are_idle(void **state)
{
    struct sim *s = micro_create(1, NULL, boot_sleep, trap_wakes);
    assert_int_equal(sim_run(s, 1000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, TRAP(TRAP_INTERRUPT, 0xf0));
    struct micro *m = sim_phys(s, MICRO_STATE, sizeof(*m));
    assert_in_range(m->list[1], m->list[0], m->list[0] + 3);   /* a look, a trap, this read */
    assert_true(sim_result(s)->steps < 100);
    sim_destroy(s);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, micro_unit_x2, micro_unit_end)
TEST_GROUP(sim_timer, CASE(one_shot_fires_once_on_time), CASE(the_divider_divides),
           CASE(periodic_goes_on), CASE(deadline_past_and_future),
           CASE(deadline_writes_count_only_in_deadline_mode), CASE(a_masked_timer_is_silent),
           cmocka_unit_test(time_jumps_when_all_are_idle));
