/* SPDX-License-Identifier: BSD-2-Clause */
/* Does every writer say what it is about to write, so that going back to a snapshot puts back every byte? RAM holds no zeros here: a write that
 * is not logged shows. */
#include <string.h>
#include "atomic.h"
#include "machine_model.h"
#include "memory.h"
#include "snapshot.h"
#include "unit.h"

#define PLACE 0x300000ul
#define BYTES 0x4000ul

static struct sim *s;

static atomic_u64 *word(u64 offset)
{
    return (atomic_u64 *)(s->ram + PLACE + offset);
}

static void by_store(void)     { atomic_store(word(8), 1); }
static void by_store32(void)   { atomic_store32((atomic_u32 *)word(20), 1); }
static void by_xchg(void)      { atomic_xchg(word(64), 1); }
static void by_xchg32(void)    { atomic_xchg32((atomic_u32 *)word(68), 1); }
static void by_add(void)       { atomic_add(word(128), 1); }
static void by_zero(void)      { mach_zero(word(72), 200); }
static void by_copy(void)      { mach_copy(word(0x1030), word(0x2000), 100); }
static void by_silicon(void)   { assert_true(sim_phys_write(s, PLACE + 60, "abcdefgh", 8)); }
static void by_fpu(void)       { mach_cr0_write(mach_cr0_read() & ~8ul); mach_fpu_save(word(0x1000), 3); }

static void by_cas(void)
{
    u64 old = atomic_load(word(0));
    assert_true(atomic_cas(word(0), &old, 5));
}

static void by_all_twice(void)
{
    void (*const all[])(void) = { by_store, by_zero, by_copy, by_add, by_store };
    for (u32 i = 0; i < 2 * array_size(all); i++)
        all[i % array_size(all)]();
}

static void each_writer_is_undone(void **state)
{
    void (*const writers[])(void) = { by_store, by_store32, by_xchg, by_xchg32, by_add, by_zero, by_copy, by_silicon, by_fpu, by_cas, by_all_twice };
    static u8 before[BYTES], after[BYTES];
    for (u32 i = 0; i < BYTES; i++)
        s->ram[PLACE + i] = (u8)(1 + i % 251);
    assert_true(snapshot_mark(s));
    memcpy(before, s->ram + PLACE, BYTES);
    for (u32 i = 0; i < array_size(writers); i++) {
        writers[i]();
        memcpy(after, s->ram + PLACE, BYTES);
        if (memcmp(before, after, BYTES) == 0)
            fail_msg("writer %u wrote nothing", i);
        snapshot_restore(s);
        if (memcmp(before, s->ram + PLACE, BYTES) != 0)
            fail_msg("writer %u: not all is as before", i);
    }
}

static void memory_states_and_registers_are_undone(void **state)
{
    mach_mem_state(word(0x1000), 0x1000, MEM_FREE);
    assert_true(snapshot_mark(s));
    const u64 cr3 = s->cpu[0].cr3, clock = s->clock;
    mach_mem_state(word(0x1000), 0x1000, MEM_LIVE);
    mach_mem_state(word(0), 0x1000, MEM_REDZONE);
    memory_table(s, PLACE + 0x2000);
    mach_msr_write(0xc0000082, 0x1234);
    s->cpu[0].cr3 = 0x5000;
    snapshot_restore(s);
    assert_int_equal(memory_state(s, PLACE + 0x1800), MEM_FREE);
    assert_int_equal(memory_state(s, PLACE), MEM_LIVE);
    assert_false(memory_is_table(s, PLACE + 0x2000));
    assert_int_equal(s->cpu[0].cr3, cr3);
    assert_int_equal(s->cpu[0].lstar, 0);
    assert_int_equal(s->clock, clock);
}

/* Without instrumented code all of RAM is compared and put back; that check also finds what was not logged. */
static void what_nobody_logged_is_found_and_can_be_put_back(void **state)
{
    assert_true(snapshot_mark(s));
    assert_true(snapshot_verify_begin(s));
    s->ram[PLACE + 77] = 1;   /* nobody says so */
    snapshot_restore(s);
    assert_int_equal(snapshot_verify(s), PLACE + 77);
    snapshot_whole(s);
    snapshot_restore(s);
    assert_int_equal(snapshot_verify(s), ~0ul);
}

static void regions_outside_are_put_back(void **state)
{
    static u64 mine[4] = { 1, 2, 3, 4 };
    u64 outside = 7;
    assert_true(snapshot_region(s, mine, sizeof(mine)));
    assert_true(snapshot_mark(s));
    mine[2] = 9;
    undo_write(s, &outside, 8);
    outside = 8;
    snapshot_restore(s);
    assert_int_equal(mine[2], 3);
    assert_int_equal(outside, 7);
}

static int open_machine(void **state)
{
    s = sim_unit(2, 16ul << 20, SIM_VMX);
    return s ? 0 : -1;
}

static int close_machine(void **state)
{
    sim_destroy(s);
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_machine, close_machine)
TEST_GROUP(sim_snapshot, CASE(each_writer_is_undone), CASE(memory_states_and_registers_are_undone),
           CASE(what_nobody_logged_is_found_and_can_be_put_back), CASE(regions_outside_are_put_back));
