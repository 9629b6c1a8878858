/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the local APIC take, order and end interrupts as the manual says, in both modes, and do CPUs start? */
#include "micro.h"

static void self(u32 vector)
{
    mach_msr_write(MSR_X2APIC(APIC_SELF_IPI), vector);
}

/* ---- Registers ---- */

static void xapic_registers(void **state)
{
    mach_dev_write32(SIM_APIC_BASE + APIC_SVR, APIC_SVR_ENABLE | 0xff);
    assert_int_equal(mach_dev_read32(SIM_APIC_BASE + APIC_SVR), 0x1ff);
    sim_unit_cpu(*state, 2);
    assert_int_equal(mach_dev_read32(SIM_APIC_BASE + APIC_ID), 4u << 24);
    assert_int_equal(mach_dev_read32(SIM_APIC_BASE + APIC_SVR), 0xff);   /* each CPU has its own */
    assert_int_equal(mach_dev_read32(SIM_APIC_BASE + APIC_LVT_TIMER), APIC_LVT_MASKED);
}

static void read_reserved(void *arg)
{
    mach_dev_read32(*(u64 *)arg);
}

static void write_id(void *arg)
{
    mach_dev_write32(SIM_APIC_BASE + APIC_ID, 0);
}

static void xapic_misuse_is_found(void **state)
{
    u64 nowhere = SIM_APIC_BASE + 0x10, ram = 0x1000, far = 0xf0000000, id = SIM_APIC_BASE + APIC_ID;
    assert_non_null(strstr(sim_unit_expect_panic(*state, read_reserved, &nowhere), "does not exist"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, read_reserved, &ram), "RAM"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, read_reserved, &far), "no device"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, write_id, NULL), "read-only"));
    micro_apic_on();
    assert_non_null(strstr(sim_unit_expect_panic(*state, read_reserved, &id), "x2APIC mode"));
}

static void x2apic_faults_as_msrs_do(void **state)
{
    u64 v;
    assert_false(mach_msr_read_try(MSR_X2APIC(APIC_ID), &v));   /* not yet in the mode */
    micro_apic_on();
    sim_unit_cpu(*state, 1);
    micro_apic_on();
    assert_true(mach_msr_read_try(MSR_X2APIC(APIC_ID), &v));
    assert_int_equal(v, 2);
    const struct { u32 reg; u64 value; bool legal; } row[] = {
        { APIC_ID, 0, false }, { APIC_VERSION, 0, false }, { APIC_IRR, 0, false }, { APIC_DFR, 0, false }, { APIC_LDR, 0, false },
        { APIC_ICR_HIGH, 0, false }, { APIC_EOI, 1, false }, { APIC_EOI, 0, true }, { APIC_ESR, 1, false }, { APIC_TPR, 0x100, false },
        { APIC_TPR, 0xff, true }, { APIC_SVR, bit(32), false }, { APIC_ICR, APIC_ICR_PENDING, false }, { APIC_ICR, bit(20), false },
        { APIC_TIMER_CURRENT, 0, false }, { 0x400, 0, false },
    };
    sim_this()->apic.isr[1] = 1;   /* something to end */
    for (u32 i = 0; i < array_size(row); i++)
        assert_int_equal(mach_msr_write_try(MSR_X2APIC(row[i].reg), row[i].value), row[i].legal);
}

static void modes_change_only_along_the_arrows(void **state)
{
    const u64 on = SIM_APIC_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP, both = on | APIC_BASE_X2APIC;
    assert_false(mach_msr_write_try(MSR_APIC_BASE, both & ~APIC_BASE_ENABLE));
    assert_true(mach_msr_write_try(MSR_APIC_BASE, both));
    assert_false(mach_msr_write_try(MSR_APIC_BASE, on));            /* x2APIC to xAPIC */
    assert_true(mach_msr_write_try(MSR_APIC_BASE, on & ~APIC_BASE_ENABLE));
    assert_false(mach_msr_write_try(MSR_APIC_BASE, both));          /* disabled to x2APIC */
    assert_true(mach_msr_write_try(MSR_APIC_BASE, on));
    assert_false(mach_msr_write_try(MSR_APIC_BASE, on | bit(SIM_PHYS_BITS)));
    ((struct sim *)*state)->profile.x2apic = false;
    assert_false(mach_msr_write_try(MSR_APIC_BASE, both));
}

/* ---- Priorities ---- */

static void higher_class_first_and_nested(void **state)
{
    struct sim_cpu *cpu = sim_this();
    self(0x31);
    self(0x45);
    self(0x42);
    assert_true(mach_preempt_pending());
    assert_int_equal(sim_irq_accept(cpu), 0x45);
    assert_false(sim_irq_pending(cpu));            /* 0x42 has the same class */
    assert_int_equal(micro_x2(APIC_PPR), 0x40);
    self(0x51);
    assert_true(sim_irq_pending(cpu));
    assert_int_equal(sim_irq_accept(cpu), 0x51);
    assert_int_equal(micro_x2(APIC_ISR + 0x20), 1u << 0x11 | 1u << 0x05);   /* 0x51 and 0x45, vectors 0x40 to 0x5f */
    micro_eoi();
    assert_false(sim_irq_pending(cpu));
    micro_eoi();                                   /* ends 0x45 */
    assert_int_equal(sim_irq_accept(cpu), 0x42);
    micro_eoi();
    assert_int_equal(sim_irq_accept(cpu), 0x31);
    micro_eoi();
    assert_false(sim_irq_pending(cpu));
}

static void a_request_is_one_bit(void **state)
{
    struct sim_cpu *cpu = sim_this();
    self(0x41);
    self(0x41);
    assert_int_equal(micro_x2(APIC_IRR + 0x20), 1u << 1);
    sim_irq_accept(cpu);
    self(0x41);                                    /* again while in service: one more */
    assert_int_equal(micro_x2(APIC_ISR + 0x20), 1u << 1);
    assert_int_equal(micro_x2(APIC_IRR + 0x20), 1u << 1);
    micro_eoi();
    assert_int_equal(sim_irq_accept(cpu), 0x41);
    micro_eoi();
    assert_false(sim_irq_pending(cpu));
}

static void the_task_priority_holds_back(void **state)
{
    struct sim_cpu *cpu = sim_this();
    mach_msr_write(MSR_X2APIC(APIC_TPR), 0x50);
    assert_int_equal(mach_cr8_read(), 5);
    self(0x5f);
    assert_false(sim_irq_pending(cpu));
    self(0x60);
    assert_true(sim_irq_pending(cpu));
    assert_int_equal(sim_irq_accept(cpu), 0x60);
    micro_eoi();
    mach_msr_write(MSR_X2APIC(APIC_TPR), 0);
    assert_int_equal(sim_irq_accept(cpu), 0x5f);
}

static void a_disabled_apic_takes_nothing(void **state)
{
    sim_unit_cpu(*state, 1);
    mach_msr_write(MSR_X2APIC(APIC_SVR), 0xff);
    sim_unit_cpu(*state, 0);
    micro_ipi(2, 0x41);
    struct sim *s = *state;
    assert_false(sim_irq_pending(&s->cpu[1]));
}

static void illegal(void *arg)
{
    micro_ipi(2, *(u32 *)arg);
}

static void illegal_ipis_are_found(void **state)
{
    u32 low = 15, reserved = 0x141, logical = 0x841;
    assert_non_null(strstr(sim_unit_expect_panic(*state, illegal, &low), "0 to 15"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, illegal, &reserved), "reserved delivery mode"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, illegal, &logical), "logical"));
}

static void destinations_and_shorthands(void **state)
{
    struct sim *s = *state;
    const struct { u32 to, icr, reached; } row[] = {
        { 0, 0x41, 1 }, { 2, 0x41, 2 }, { 4, 0x41, 4 }, { 1, 0x41, 0 }, { ~0u, 0x41, 7 },
        { 9, 0x40041, 1 }, { 9, 0x80041, 7 }, { 9, 0xc0041, 6 },
    };
    for (u32 i = 0; i < array_size(row); i++) {
        micro_ipi(row[i].to, row[i].icr);
        for (u32 c = 0; c < 3; c++) {
            assert_int_equal(sim_irq_pending(&s->cpu[c]), row[i].reached >> c & 1);
            if (!sim_irq_pending(&s->cpu[c]))
                continue;
            assert_int_equal(sim_irq_accept(&s->cpu[c]), 0x41);
            sim_unit_cpu(s, c);
            micro_eoi();
        }
        sim_unit_cpu(s, 0);
    }
}

static u32 looks_left;
static u32 late_then_spurious(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return kind == CHOICE_SPURIOUS || (kind == CHOICE_INTERRUPT && looks_left-- > 0);
}

static void the_chooser_may_delay_and_mislead(void **state)
{
    struct sim *s = *state;
    struct chooser c = { late_then_spurious };
    s->config.chooser = &c;
    self(0x41);
    looks_left = 3;
    for (u32 i = 0; i < 3; i++)
        assert_false(mach_preempt_pending());
    assert_true(mach_preempt_pending());
    assert_int_equal(sim_irq_accept(sim_this()), 0xff);      /* spurious: nothing in service */
    assert_int_equal(micro_x2(APIC_ISR + 0x20), 0);
    s->config.chooser = NULL;
    assert_int_equal(sim_irq_accept(sim_this()), 0x41);      /* it was not lost */
}

/* ---- Whole machines ---- */

static struct resume *boot_window(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    return micro_go(c, RESUME_WINDOW);
}

static struct resume *trap_window(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *c = cpu;
    micro()->list[c->traps++] = trap;
    if (c->traps == 1)
        self(0x41);
    return c->traps < 3 ? micro_go(c, RESUME_WINDOW) : micro_shutdown(c, 0);
}

static void a_window_takes_one_or_none(void **state)
{
    struct sim *s = micro_create(1, NULL, boot_window, trap_window);
    assert_int_equal(sim_run(s, 1000), SIM_SHUTDOWN);
    struct micro *m = sim_phys(s, MICRO_STATE, sizeof(*m));
    assert_int_equal(m->list[0], TRAP(TRAP_NONE, 0));
    assert_int_equal(m->list[1], TRAP(TRAP_INTERRUPT, 0x41));
    assert_int_equal(m->list[2], TRAP(TRAP_NONE, 0));        /* no end of interrupt, nothing else pending */
    sim_destroy(s);
}

static u32 start_icr;
static struct resume *boot_starts(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    if (magic == BOOT_MAGIC_AP) {
        micro()->list[0] = micro_x2(APIC_ID);
        micro()->list[1] += info == 0 && mach_cr3_read() == mach_boot_root();
        atomic_store(&micro()->done, 1);
        return micro_go(c, RESUME_IDLE);
    }
    if (start_icr) {
        micro_ipi(2, start_icr);
        mach_relax();
        return micro_shutdown(c, (u32)atomic_load(&micro()->done));
    }
    micro_start(2);
    micro_ipi(2, APIC_ICR_STARTUP | mach_ap_vector());       /* the second one finds it running */
    while (!atomic_load(&micro()->done))
        mach_relax();
    micro_ipi(2, APIC_ICR_STARTUP | mach_ap_vector());
    micro_ipi(2, APIC_ICR_NMI);
    micro_ipi(2, 0x41);
    return micro_go(c, RESUME_IDLE);
}

static struct resume *trap_starts(void *cpu, u64 trap, u64 info)
{
    struct micro_cpu *c = cpu;
    return micro_shutdown(c, c->id == 1 ? (u32)(TRAP_VECTOR(trap) << 8 | c->nmis) : 0);
}

static void a_cpu_starts_once_and_takes_ipi_and_nmi(void **state)
{
    start_icr = 0;
    struct sim *s = micro_create(3, NULL, boot_starts, trap_starts);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, 0x4101);
    struct micro *m = sim_phys(s, MICRO_STATE, sizeof(*m));
    assert_int_equal(m->list[0], 2);
    assert_int_equal(m->list[1], 1);
    assert_int_equal(m->next.v, 2);
    assert_int_equal(s->cpu[2].state, CPU_OFF);
    sim_destroy(s);
}

static void a_cpu_that_is_off_hears_nothing_but_sipi(void **state)
{
    start_icr = APIC_ICR_NMI;
    struct sim *s = micro_create(2, NULL, boot_starts, trap_starts);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, 0);
    assert_false(s->cpu[1].nmi);
    sim_destroy(s);
    start_icr = APIC_ICR_STARTUP | 0x55;
    micro_run(micro_create(2, NULL, boot_starts, trap_starts), SIM_FINDING, "start-up code");
}

#define CASE(f)  cmocka_unit_test_setup_teardown(f, micro_unit, micro_unit_end)
#define CASE2(f) cmocka_unit_test_setup_teardown(f, micro_unit_x2, micro_unit_end)
TEST_GROUP(sim_irq, CASE(xapic_registers), CASE(xapic_misuse_is_found), CASE(x2apic_faults_as_msrs_do), CASE(modes_change_only_along_the_arrows),
           CASE2(higher_class_first_and_nested), CASE2(a_request_is_one_bit), CASE2(the_task_priority_holds_back),
           CASE2(a_disabled_apic_takes_nothing), CASE2(illegal_ipis_are_found), CASE2(destinations_and_shorthands),
           CASE2(the_chooser_may_delay_and_mislead), cmocka_unit_test(a_window_takes_one_or_none),
           cmocka_unit_test(a_cpu_starts_once_and_takes_ipi_and_nmi), cmocka_unit_test(a_cpu_that_is_off_hears_nothing_but_sipi));
