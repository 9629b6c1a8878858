/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the driver work an xAPIC and an x2APIC alike: does each command reach the CPU it names and no other, is the timer never early?
 * One table of modes, every test run in each. Delivery itself is the model's. */
#include "unit.h"
#include <string.h>
#include "apic.h"
#include "arch/apic.h"
#include "arch/x86.h"
#include "cpu.h"
#include "machine_model.h"

#define CPUS 3u

struct mode {
    const char *name;
    bool x2apic, tsc_deadline;
};
static const struct mode modes[] = {
    { "xapic", false, false }, { "xapic, deadline", false, true }, { "x2apic", true, false }, { "x2apic, deadline", true, true },
};

struct fixture {
    struct sim *sim;
    struct kern kern;
    struct cpu cpu[CPUS];
};

/* Firmware's leftovers must not survive. */
static void firmware_leftovers(struct sim_apic *a)
{
    a->spurious = 0x10f;
    a->tpr = 0x20;
    a->divide = 0x3;
    for (u32 i = 0; i < array_size(a->lvt_other); i++)
        a->lvt_other[i] = 0x30 + i;
}

static void begin(struct fixture *f, const struct mode *m)
{
    memset(f, 0, sizeof(*f));
    f->sim = sim_unit(CPUS, 16ul << 20, SIM_NONE);
    assert_non_null(f->sim);
    f->sim->profile.x2apic = m->x2apic;
    f->sim->profile.tsc_deadline = m->tsc_deadline;
    f->kern.boot.apic_base = APIC_BASE_DEFAULT;
    f->kern.clock = mach_clock();
    for (u32 i = 0; i < CPUS; i++) {
        sim_unit_cpu(f->sim, i);
        firmware_leftovers(&f->sim->cpu[i].apic);
        f->cpu[i].kern = &f->kern;
        f->cpu[i].id = i;
        apic_cpu_init(&f->cpu[i]);
    }
    sim_unit_cpu(f->sim, 0);
}

/* Runs f in every mode. */
static void each_mode(void (*f)(struct fixture *f, struct sim_apic *a))
{
    static struct fixture fixture;
    for (u32 i = 0; i < array_size(modes); i++) {
        begin(&fixture, &modes[i]);
        f(&fixture, &fixture.sim->cpu[0].apic);
        sim_destroy(fixture.sim);
    }
}

static void check_init(struct fixture *f, struct sim_apic *a)
{
    for (u32 i = 0; i < CPUS; i++, a = &f->sim->cpu[i % CPUS].apic) {
        assert_int_equal(f->cpu[i].apic_id, f->sim->cpu[i].apic_id);
        assert_int_equal(f->cpu[i].x2apic, f->sim->profile.x2apic);
        assert_int_equal(!!(a->base & APIC_BASE_X2APIC), f->sim->profile.x2apic);
        assert_int_equal(a->spurious & 0x1ff, 0x100 | VECTOR_SPURIOUS);
        assert_int_equal(a->tpr, 0);
        for (u32 k = 0; k < array_size(a->lvt_other); k++)
            assert_true(a->lvt_other[k] & APIC_LVT_MASKED);
        assert_int_equal(a->lvt_timer, VECTOR_TIMER | (f->sim->profile.tsc_deadline ? APIC_LVT_TIMER_DEADLINE : 0));
        assert_int_equal(a->expires, 0);
    }
    sim_unit_cpu(f->sim, 2);
    assert_int_equal(apic_id(NULL), f->sim->cpu[2].apic_id);
}

static void leaves_only_the_timer_unmasked(void **state)
{
    each_mode(check_init);
}

/* Firmware may hand over an x2APIC; an APIC that is off goes through xAPIC. */
static void takes_over_whatever_mode_it_finds(void **state)
{
    static struct fixture f;
    for (u32 before = 0; before < 3; before++) {
        begin(&f, &modes[2]);
        struct sim_apic *const a = &f.sim->cpu[0].apic;
        mach_msr_write(MSR_APIC_BASE, a->base & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC));
        if (before > 0)
            mach_msr_write(MSR_APIC_BASE, a->base | APIC_BASE_ENABLE);
        if (before > 1)
            mach_msr_write(MSR_APIC_BASE, a->base | APIC_BASE_X2APIC);
        apic_cpu_init(&f.cpu[0]);
        assert_true(a->base & APIC_BASE_ENABLE && a->base & APIC_BASE_X2APIC);
        sim_destroy(f.sim);
    }
}

static bool raised(const struct fixture *f, u32 cpu, u32 vector)
{
    return f->sim->cpu[cpu].apic.irr[vector / 64] & bit(vector % 64);
}

static void check_ipi(struct fixture *f, struct sim_apic *a)
{
    apic_ipi(&f->cpu[0], &f->cpu[1]);
    assert_true(raised(f, 1, VECTOR_IPI));
    assert_false(raised(f, 0, VECTOR_IPI) || raised(f, 2, VECTOR_IPI));
    sim_unit_cpu(f->sim, 1);
    apic_ipi(&f->cpu[1], &f->cpu[2]);
    assert_true(raised(f, 2, VECTOR_IPI));
    assert_false(raised(f, 0, VECTOR_IPI));
}

static void an_ipi_reaches_its_target_only(void **state)
{
    each_mode(check_ipi);
}

/* A store that still stands in the sender's buffer when the interrupt arrives would not be seen. */
static void check_order(struct fixture *f, struct sim_apic *a)
{
    struct sim_cpu *const sender = &f->sim->cpu[0];
    u64 *const word = mach_phys_to_virt(0x200000);
    *word = 0;
    sender->store[0] = (struct store_entry){ .address = word, .value = 7, .bytes = 8 };
    sender->store_count = 1;
    apic_ipi(&f->cpu[0], &f->cpu[1]);
    assert_true(raised(f, 1, VECTOR_IPI));
    assert_int_equal(*word, 7);
}

static void an_ipi_comes_after_the_stores_before_it(void **state)
{
    each_mode(check_order);
}

/* A command that overtakes another would be a finding. More than a thousand polls are no reason to give up, for ever is. */
static void check_pending(struct fixture *f, struct sim_apic *a)
{
    a->icr_pending = 5000;
    apic_ipi(&f->cpu[0], &f->cpu[1]);
    assert_true(raised(f, 1, VECTOR_IPI));
    assert_int_equal(a->icr_pending, f->cpu[0].x2apic ? 5000 : 0);   /* which has no such status */
}

static void an_ipi_waits_for_the_one_before(void **state)
{
    each_mode(check_pending);
}

static void ipi_by(void *f)
{
    apic_ipi(&((struct fixture *)f)->cpu[0], &((struct fixture *)f)->cpu[1]);
}

static void an_ipi_that_is_never_delivered_stops_the_machine(void **state)
{
    static struct fixture f;
    begin(&f, &modes[0]);
    f.sim->cpu[0].apic.icr_pending = ~0u;
    const char *const message = sim_unit_expect_panic(f.sim, ipi_by, &f);
    assert_non_null(message);
    assert_non_null(strstr(message, "not delivered"));
    assert_false(raised(&f, 1, VECTOR_IPI));
    sim_destroy(f.sim);
}

/* An INIT to a CPU that is not there is pending for ever (SDM 3A 10.7): the others start. */
static void a_cpu_that_is_not_there_holds_up_nobody(void **state)
{
    static struct fixture f;
    begin(&f, &modes[0]);
    struct sim_apic *const a = &f.sim->cpu[0].apic;
    a->icr = (u64)77 << 32 | APIC_ICR_INIT | APIC_ICR_ASSERT;
    a->icr_pending = ~0u;
    f.sim->cpu[1].cr3 = 0x123000;
    apic_start_cpu(&f.cpu[0], f.cpu[1].apic_id, mach_ap_vector());
    assert_int_not_equal(f.sim->cpu[1].cr3, 0x123000);
    sim_destroy(f.sim);
}

static void check_eoi(struct fixture *f, struct sim_apic *a)
{
    a->isr[VECTOR_TIMER / 64] = bit(VECTOR_TIMER % 64) | bit(VECTOR_IPI % 64);
    apic_eoi(&f->cpu[0]);
    assert_int_equal(a->isr[VECTOR_TIMER / 64], bit(VECTOR_TIMER % 64));
    apic_eoi(&f->cpu[0]);
    assert_int_equal(a->isr[VECTOR_TIMER / 64], 0);
}

static void end_of_interrupt_ends_the_highest(void **state)
{
    each_mode(check_eoi);
}

static void check_timer(struct fixture *f, struct sim_apic *a)
{
    static const u64 delays[] = { 1, 7, 10, 11, 1000, 999999, 1ul << 33 };
    for (u32 i = 0; i < array_size(delays); i++) {
        const u64 before = f->sim->clock, deadline = mach_tsc_read() + delays[i];
        apic_timer(&f->cpu[0], deadline);
        if (a->expires == 0) {   /* it came while the driver still ran */
            assert_true(raised(f, 0, VECTOR_TIMER) && f->sim->clock >= deadline);
            continue;
        }
        const u64 expires = a->expires + f->sim->cpu[0].tsc_skew;
        assert_true(expires >= deadline);
        /* Late by no more than a tick and the driver's own way there. */
        assert_true(expires <= deadline + 2 * SIM_APIC_DIVIDER + (f->sim->clock - before));
    }
    apic_timer(&f->cpu[0], 0);
    assert_int_equal(a->expires, 0);
}

static void the_timer_is_never_early_and_stops(void **state)
{
    each_mode(check_timer);
}

static void check_past(struct fixture *f, struct sim_apic *a)
{
    f->sim->clock += 1000;
    apic_timer(&f->cpu[0], f->sim->clock - 500);
    assert_true(raised(f, 0, VECTOR_TIMER) || (a->expires && a->expires <= f->sim->clock + SIM_APIC_DIVIDER));
}

static void a_deadline_in_the_past_fires_at_once(void **state)
{
    each_mode(check_past);
}

/* One-shot: the count has 32 bits. A deadline beyond ends early, and the kernel asks again; it must not wrap to something short. */
static void check_far(struct fixture *f, struct sim_apic *a)
{
    static const u64 delays[] = { 1ul << 36, 1ul << 39, 1ul << 40, (1ul << 59) + 1000000, 1ul << 62 };
    for (u32 i = 0; i < array_size(delays); i++) {
        const u64 now = f->sim->clock;
        apic_timer(&f->cpu[0], mach_tsc_read() + delays[i]);
        assert_true(a->expires >= now + (1ul << 35));
    }
}

static void a_far_deadline_is_far(void **state)
{
    each_mode(check_far);
}

static void check_start(struct fixture *f, struct sim_apic *a)
{
    struct sim_cpu *const target = &f->sim->cpu[1];
    target->tsc_skew = 0;
    target->cr3 = 0x123000;   /* gone with INIT */
    apic_start_cpu(&f->cpu[0], f->cpu[1].apic_id, mach_ap_vector());
    assert_int_equal(target->state, CPU_KERNEL);
    assert_int_not_equal(target->cr3, 0x123000);
    assert_int_equal(f->sim->cpu[2].state, CPU_KERNEL);
}

static void a_started_cpu_begins_anew(void **state)
{
    each_mode(check_start);
}

TEST_GROUP(x86_apic, cmocka_unit_test(leaves_only_the_timer_unmasked), cmocka_unit_test(takes_over_whatever_mode_it_finds),
           cmocka_unit_test(an_ipi_reaches_its_target_only),
           cmocka_unit_test(an_ipi_comes_after_the_stores_before_it), cmocka_unit_test(an_ipi_waits_for_the_one_before),
           cmocka_unit_test(an_ipi_that_is_never_delivered_stops_the_machine),
           cmocka_unit_test(a_cpu_that_is_not_there_holds_up_nobody), cmocka_unit_test(end_of_interrupt_ends_the_highest),
           cmocka_unit_test(the_timer_is_never_early_and_stops), cmocka_unit_test(a_deadline_in_the_past_fires_at_once),
           cmocka_unit_test(a_far_deadline_is_far), cmocka_unit_test(a_started_cpu_begins_anew));
