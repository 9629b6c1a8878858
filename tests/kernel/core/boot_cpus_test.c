/* SPDX-License-Identifier: BSD-2-Clause */
/* When does the boot CPU start root: with all CPUs there, or with some of them late, and how much memory does the kernel take? */
#include "boot_cpus.h"
#include <string.h>
#include "abi/trace.h"
#include "kernel_fixture.h"

static struct fixture *f;

static void go_on(void *arg)
{
    boot_continue(fixture_cpu(f, 0));
}

/* Starting root ends in a panic here, as there is no bundle: that is how the test sees it. */
static bool starts_root(void)
{
    const char *message = sim_unit_expect_panic(f->sim, go_on, NULL);
    return message && strstr(message, "root: ");
}

static int setup(void **state)
{
    f = fixture_open(2, SIM_VMX);
    return 0;
}

static int teardown(void **state)
{
    fixture_close(f);
    return 0;
}

static void all_here(void **state)
{
    f->k->boot_deadline = ~0ul;
    assert_true(starts_root());
}

static void waits_for_the_last(void **state)
{
    f->k->boot_deadline = ~0ul;
    atomic_store(&f->k->cpus_online, 1);
    assert_false(starts_root());
    atomic_store(&f->k->cpus_online, 3);
    assert_true(starts_root());
}

static void waits_no_longer_than_the_deadline(void **state)
{
    fixture_cpu(f, 0);
    f->k->boot_deadline = mach_tsc_read() + 1000000;
    atomic_store(&f->k->cpus_online, 1);
    assert_false(starts_root());
    fixture_later(f, 1000000);
    assert_true(starts_root());
}

/* Idle meanwhile, with the timer set; root is tried at the interrupt. */
static void tick(void *arg)
{
    fixture_tick(f, 0);
}

static void the_timer_is_set_meanwhile(void **state)
{
    fixture_cpu(f, 0);
    const u64 deadline = mach_tsc_read() + 1000000;
    f->k->boot_deadline = deadline;
    atomic_store(&f->k->cpus_online, 1);
    fixture_run(f, 0);
    assert_int_equal(f->k->cpu[0]->timeouts.armed, deadline);
    fixture_later(f, 2000000);
    const char *message = sim_unit_expect_panic(f->sim, tick, NULL);
    assert_non_null(message);
    assert_non_null(strstr(message, "root: "));
}

/* ID 0 is no CPU's here; in the places behind the last CPU it stands, but they count for nothing. */
static void come_up(void *arg)
{
    boot_ap();
}

static void a_cpu_that_nobody_started(void **state)
{
    fixture_cpu(f, 0);
    f->k->boot.apic_id[0] = 7;
    const char *message = sim_unit_expect_panic(f->sim, come_up, NULL);
    assert_non_null(message);
    assert_non_null(strstr(message, "nobody started"));
}

/* What firmware, machine and bundle keep is nobody's, to whole pages. */
static void kept_memory_is_not_free(void **state)
{
    const struct boot_info boot = { .range_count = 2, .range = { { 0, 16 << 20 }, { 32 << 20, (48 << 20) + 5 } }, .bundle = 33 << 20, .bundle_bytes = PAGE_SIZE + 1 };
    struct ranges r;
    u64 start, end;
    fixture_cpu(f, 0);
    boot_memory_free(&boot, &r);
    assert_true(r.count >= 3);
    for (u32 i = 0; i < r.count; i++) {
        assert_int_equal((r.range[i].start | r.range[i].end) & PAGE_MASK, 0);
        assert_true(r.range[i].start >= 1 << 20 && r.range[i].end <= 48 << 20);
        assert_true(r.range[i].end <= 33 << 20 || r.range[i].start >= (33 << 20) + 2 * PAGE_SIZE);
        for (u32 k = 0; mach_reserved(k, &start, &end); k++)
            assert_true(r.range[i].end <= start || end <= r.range[i].start);
    }
}

static void trace_area(void *arg)
{
    struct ranges r;
    boot_memory_free(arg, &r);
}

/* The place of a trace in memory is nobody's, too; without it there is no start. */
static void the_place_of_a_trace(void **state)
{
    struct boot_info boot = { .range_count = 2, .range = { { 0, 16 << 20 }, { 32 << 20, 128 << 20 } }, .trace_memory = 1 };
    struct ranges r;
    struct sim *const large = sim_unit(1, 128ul << 20, SIM_NONE);
    boot_memory_free(&boot, &r);
    for (u32 i = 0; i < r.count; i++)
        assert_true(r.range[i].end <= TRACE_MEMORY_ADDRESS || r.range[i].start >= TRACE_MEMORY_ADDRESS + TRACE_MEMORY_BYTES);
    assert_null(sim_unit_expect_panic(large, trace_area, &boot));
    const struct boot_range bad[] = { { 32 << 20, 64 << 20 }, { (64 << 20) + PAGE_SIZE, 128 << 20 }, { 32 << 20, (68 << 20) - PAGE_SIZE } };
    for (u32 i = 0; i < array_size(bad); i++) {
        boot.range[1] = bad[i];
        const char *const message = sim_unit_expect_panic(large, trace_area, &boot);
        assert_non_null(message);
        assert_string_equal(message, "boot: trace=memory: no 4 MiB of free memory at 64 MiB");
    }
    boot.range[1] = (struct boot_range){ 32 << 20, 128 << 20 };
    boot.bundle = (68 << 20) - 1;
    boot.bundle_bytes = 10;
    assert_non_null(sim_unit_expect_panic(large, trace_area, &boot));
    sim_destroy(large);
}

static void the_pool(void **state)
{
    static const struct { u64 start, end, want; } rows[] = {   /* MiB */
        { 1, 17, 4 }, { 1, 9, 4 }, { 1, 5, 4 }, { 16, 80, 16 }, { 16, 64, 12 },
    };
    fixture_cpu(f, 0);
    for (u32 i = 0; i < array_size(rows); i++) {
        struct ranges r = { .count = 1, .range = { { rows[i].start << 20, rows[i].end << 20 } } };
        const u64 top = min(rows[i].end << 20, mach_direct_end());
        u64 bytes;
        const u64 start = boot_pool_take(&r, &bytes);
        assert_int_equal(bytes, rows[i].want << 20);
        assert_int_equal(start + bytes, top);
    }
}

static void small(void *arg)
{
    struct ranges r = { .count = 1, .range = { { 1 << 20, (5 << 20) - PAGE_SIZE } } };
    u64 bytes;
    boot_pool_take(&r, &bytes);
}

static void too_little_memory(void **state)
{
    const char *message = sim_unit_expect_panic(f->sim, small, NULL);
    assert_non_null(message);
    assert_non_null(strstr(message, "4 MiB"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(boot_cpus, T(all_here), T(waits_for_the_last), T(waits_no_longer_than_the_deadline), T(the_timer_is_set_meanwhile), T(kept_memory_is_not_free), T(the_place_of_a_trace), T(the_pool),
           T(too_little_memory), T(a_cpu_that_nobody_started));
