/* SPDX-License-Identifier: BSD-2-Clause */
/* Do spinning CPUs sleep and wake as they must, do seeds find what a straight run never shows, and do store buffers do what TSO allows and no more? */
#include "micro.h"

/* A spinner sleeps until somebody writes; the writer is not disturbed by it. */
static struct resume *boot_handover(u32 magic, u64 info)
{
    struct micro *m = micro();
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    if (magic == BOOT_MAGIC_AP) {
        while (!atomic_load(&m->word)) {
            mach_relax();
            m->plain++;
        }
        return micro_shutdown(c, 0);
    }
    micro_start(2);
    for (u32 i = 0; i < 1000; i++) {
        mach_relax();
        m->list[0] = mach_tsc_read();
    }
    atomic_store(&m->word, 1);
    return micro_go(c, RESUME_IDLE);
}

static void a_spinner_sleeps_until_a_write(void **state)
{
    struct sim *s = micro_create(2, NULL, boot_handover, NULL);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    struct micro *m = sim_phys(s, MICRO_STATE, sizeof(*m));
    assert_in_range(m->plain, 1, 5);
    sim_destroy(s);
}

static struct resume *boot_lost_update(u32 magic, u64 info)
{
    struct micro *m = micro();
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    if (magic != BOOT_MAGIC_AP)
        micro_start(2);
    atomic_store(&m->word, atomic_load(&m->word) + 1);
    atomic_add(&m->done, 1);
    while (atomic_load(&m->done) != 2)
        mach_relax();
    return micro_shutdown(c, (u32)atomic_load(&m->word));
}

static void seeds_find_a_lost_update(void **state)
{
    u32 found = 0;
    for (u64 seed = 0; seed < 300; seed++) {
        struct choose_random r;
        choose_random(&r, seed);
        struct sim *s = micro_create(2, &r.chooser, boot_lost_update, NULL);
        assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
        found += sim_result(s)->code == 1;
        sim_destroy(s);
    }
    assert_in_range(found, 3, 297);
}

/* Dekker's flags: without a fence both may read 0 under TSO, with one they may not. */
static bool with_fence;
static struct resume *boot_flags(u32 magic, u64 info)
{
    struct micro *m = micro();
    struct micro_cpu *c = micro_boot(magic);
    micro_apic_on();
    atomic_u64 *mine = (atomic_u64 *)&m->list[8 * c->id], *other = (atomic_u64 *)&m->list[8 * (1 - c->id)];
    if (magic != BOOT_MAGIC_AP)
        micro_start(2);
    atomic_store(mine, 1);
    if (with_fence)
        atomic_fence();
    if (atomic_load(other) == 0)
        atomic_add(&m->word, 1);
    atomic_add(&m->done, 1);
    while (atomic_load(&m->done) != 2)
        mach_relax();
    return micro_shutdown(c, (u32)atomic_load(&m->word));
}

static u32 flags_both(bool fence)
{
    u32 both = 0;
    with_fence = fence;
    for (u64 seed = 0; seed < 400; seed++) {
        struct choose_random r;
        choose_random(&r, seed);
        struct sim *s = micro_create(2, &r.chooser, boot_flags, NULL);
        assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
        both += sim_result(s)->code == 2;
        sim_destroy(s);
    }
    return both;
}

static void store_buffers_reorder_unless_fenced(void **state)
{
    assert_true(flags_both(false) > 0);
    assert_int_equal(flags_both(true), 0);
}

static u32 never_drain(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return kind == CHOICE_DRAIN;
}

/* Own stores are seen at once, memory sees them later, oldest first when there are too many, all of them after a fence. */
static struct resume *boot_buffers(u32 magic, u64 info)
{
    struct micro *m = micro();
    struct micro_cpu *c = micro_boot(magic);
    u32 wrong = 0;
    for (u32 i = 0; i < 8; i++)
        atomic_store((atomic_u64 *)&m->list[i], i + 1);
    atomic_store((atomic_u64 *)&m->list[0], 100);      /* the ninth: the oldest goes */
    wrong |= (m->list[0] != 1 || m->list[1] != 0) << 0;
    wrong |= (atomic_load((atomic_u64 *)&m->list[0]) != 100 || atomic_load((atomic_u64 *)&m->list[7]) != 8) << 1;
    atomic_add(&m->word, 1);                           /* locked: drains */
    wrong |= (m->list[0] != 100 || m->list[7] != 8) << 2;
    atomic_store32((atomic_u32 *)&m->list[20], 7);
    wrong |= (m->list[20] != 0 || atomic_load32((atomic_u32 *)&m->list[20]) != 7) << 3;
    mach_fence();
    wrong |= (m->list[20] != 7) << 4;
    return micro_shutdown(c, wrong);
}

static void a_store_buffer_keeps_order_and_is_seen_by_its_cpu(void **state)
{
    struct chooser c = { never_drain };
    struct sim *s = micro_create(1, &c, boot_buffers, NULL);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    assert_int_equal(sim_result(s)->code, 0);
    sim_destroy(s);
}

static struct resume *boot_delays(u32 magic, u64 info)
{
    struct micro_cpu *c = micro_boot(magic);
    for (u32 i = 0; i < 100; i++)
        mach_relax();
    const u64 start = mach_tsc_read();
    while (mach_tsc_read() - start < 10000000)
        mach_relax();
    return micro_shutdown(c, 0);
}

static void a_delay_is_no_deadlock_and_passes_quickly(void **state)
{
    struct sim *s = micro_create(1, NULL, boot_delays, NULL);
    assert_int_equal(sim_run(s, 100000), SIM_SHUTDOWN);
    sim_destroy(s);
}

TEST_GROUP(sim_sched, cmocka_unit_test(a_spinner_sleeps_until_a_write),
           cmocka_unit_test(seeds_find_a_lost_update),
           cmocka_unit_test(store_buffers_reorder_unless_fenced),
           cmocka_unit_test(a_store_buffer_keeps_order_and_is_seen_by_its_cpu),
           cmocka_unit_test(a_delay_is_no_deadlock_and_passes_quickly));
