/* SPDX-License-Identifier: BSD-2-Clause */
/* Can kernel code run on a machine that nobody boots, and does the machine see what it does wrong? */
#include "unit.h"
#include <string.h>
#include "atomic.h"
#include "machine.h"
#include "sim.h"
#include "sim_mem.h"

#define RAM (16ul << 20)

static int setup(void **state)
{
    *state = sim_unit(2, RAM, SIM_NONE);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

static void memory_is_where_it_says(void **state)
{
    struct sim *s = *state;
    assert_int_equal(mach_direct_end(), RAM);
    u64 *p = mach_phys_to_virt(0x200000);
    assert_ptr_equal(p, sim_phys(s, 0x200000, 8));
    assert_int_equal(mach_virt_to_phys(p), 0x200000);
    assert_null(sim_phys(s, RAM - 4, 8));
    p[0] = 7;
    mach_copy(p + 1, p, 8);
    assert_int_equal(p[1], 7);
    mach_zero(p, 16);
    assert_int_equal(p[0] | p[1], 0);
}

static void atomics_return_what_they_should(void **state)
{
    atomic_u64 *a = mach_phys_to_virt(0x200000);
    atomic_store(a, 5);
    assert_int_equal(atomic_load(a), 5);
    assert_int_equal(atomic_xchg(a, 6), 5);
    assert_int_equal(atomic_fetch_add(a, 10), 6);
    assert_int_equal(atomic_fetch_or(a, 0x100), 16);
    assert_int_equal(atomic_fetch_and(a, 0x110), 0x110);
    atomic_add(a, -0x10ul);
    assert_int_equal(atomic_load_relaxed(a), 0x100);
    u64 expected = 1;
    assert_false(atomic_cas(a, &expected, 9));
    assert_int_equal(expected, 0x100);
    assert_true(atomic_cas(a, &expected, 9));
    assert_int_equal(atomic_load(a), 9);
}

static void fails_the_nth_allocation_once(void **state)
{
    sim_unit_fail(*state, 3);
    assert_false(mach_fault(MACH_FAULT_ALLOC));
    assert_false(mach_fault(MACH_FAULT_ALLOC));
    assert_true(mach_fault(MACH_FAULT_ALLOC));
    assert_false(mach_fault(MACH_FAULT_ALLOC));
}

struct hook_log {
    struct sim *s;
    atomic_u64 *word;
    u64 seen[8];
    u32 count;
};

static void hook(void *arg)
{
    struct hook_log *log = arg;
    log->seen[log->count++ % 8] = log->word->v;
    sim_unit_cpu(log->s, 1);
    atomic_add(log->word, 100);   /* not re-entered */
}

static void hook_sees_each_step_and_may_write(void **state)
{
    struct hook_log log = { .s = *state, .word = mach_phys_to_virt(0x200000) };
    sim_unit_hook(*state, hook, &log);
    atomic_store(log.word, 1);
    atomic_add(log.word, 1);
    sim_unit_hook(*state, NULL, NULL);
    assert_int_equal(log.count, 2);
    assert_int_equal(log.seen[0], 0);
    assert_int_equal(log.seen[1], 1);
    assert_int_equal(log.word->v, 102);
    mach_cr2_write(7);
    sim_unit_cpu(*state, 1);
    assert_int_equal(mach_cr2_read(), 0);   /* the hook's CPU did not stay current */
}

static void panics(void *arg)
{
    mach_panic(arg);
}

static void spins(void *arg)
{
    for (;;)
        mach_relax();
}

static void returns(void *arg)
{
}

static void panics_twice(void *arg)
{
    assert_string_equal(sim_unit_expect_panic(arg, panics, "inside"), "inside");
    mach_panic("outside");
}

static void expected_panic_is_caught(void **state)
{
    assert_string_equal(sim_unit_expect_panic(*state, panics_twice, *state), "outside");
    assert_string_equal(sim_unit_expect_panic(*state, panics, "no such luck"), "no such luck");
    assert_non_null(strstr(sim_unit_expect_panic(*state, spins, NULL), "spins for ever"));
    assert_null(sim_unit_expect_panic(*state, returns, NULL));
}

static void touch_freed(void *arg)
{
    atomic_load(arg);
}

static void zero_freed(void *arg)
{
    mach_zero((u8 *)arg - 64, 128);
}

static void freed_memory_is_not_touched(void **state)
{
    u8 *p = mach_phys_to_virt(0x200000);
    mach_mem_state(p, 256, MEM_FREE);
    assert_non_null(strstr(sim_unit_expect_panic(*state, touch_freed, p), "free"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, zero_freed, p), "end of which is free"));
    assert_null(sim_unit_expect_panic(*state, touch_freed, p + 256));
    mach_mem_state(p + 64, 8, MEM_LIVE);
    assert_null(sim_unit_expect_panic(*state, touch_freed, p + 64));
    assert_non_null(strstr(sim_unit_expect_panic(*state, touch_freed, p + 128), "free"));
    mach_mem_state(p, 256, MEM_EPOCH);
    assert_null(sim_unit_expect_panic(*state, touch_freed, p));
    mach_mem_state(p, 256, MEM_LIVE);
}

static void zero_from_freed(void *arg)
{
    mach_zero(arg, 128);
}

static void only_whole_lines_die(void **state)
{
    u8 *p = mach_phys_to_virt(0x200000);
    mach_mem_state(p + 32, 128, MEM_REDZONE);   /* covers the line at 64, parts of those at 0 and 128 */
    assert_null(sim_unit_expect_panic(*state, touch_freed, p));
    assert_null(sim_unit_expect_panic(*state, touch_freed, p + 160));
    assert_non_null(strstr(sim_unit_expect_panic(*state, touch_freed, p + 64), "red zone"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, zero_from_freed, p + 64), "red zone"));
    mach_mem_state(p + 64, 8, MEM_LIVE);
    assert_null(sim_unit_expect_panic(*state, touch_freed, p + 64));
    mach_mem_state(p, 256, MEM_LIVE);
}

static void overlap(void *arg)
{
    mach_copy((u8 *)arg + 8, arg, 16);
}

static void misuse_is_found(void **state)
{
    u8 *p = mach_phys_to_virt(0x200000);
    assert_non_null(strstr(sim_unit_expect_panic(*state, overlap, p), "overlap"));
    assert_int_equal(sim_result(*state)->end, SIM_FINDING);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(sim_unit, CASE(memory_is_where_it_says), CASE(atomics_return_what_they_should), CASE(fails_the_nth_allocation_once),
           CASE(hook_sees_each_step_and_may_write), CASE(expected_panic_is_caught), CASE(freed_memory_is_not_touched), CASE(only_whole_lines_die),
           CASE(misuse_is_found));
