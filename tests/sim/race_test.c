/* SPDX-License-Identifier: BSD-2-Clause */
/* Is every pair of conflicting accesses that nothing orders a finding, and no pair that something orders? */
#include "race_fixture.h"

/* ---- What conflicts ---- */

static void a_write_races_and_two_reads_do_not(void **state)
{
    const struct { bool first, second, race; } cases[] = { { WRITE, WRITE, true }, { WRITE, READ, true }, { READ, WRITE, true }, { READ, READ, false } };
    for (u32 i = 0; i < array_size(cases); i++) {
        race_reset(s);
        assert_false(access_races(0, p, 8, cases[i].first));
        assert_false(access_races(0, p, 8, cases[i].second));   /* its own */
        race_reset(s);
        assert_false(access_races(0, p, 8, cases[i].first));
        assert_int_equal(access_races(1, p, 8, cases[i].second), cases[i].race);
    }
}

static void atomics_race_with_plain_ones_only(void **state)
{
    for (u32 kinds = 0; kinds < 16; kinds++) {
        const bool write[2] = { kinds & 1, kinds & 2 }, plain[2] = { kinds & 4, kinds & 8 };
        race_reset(s);
        for (u32 i = 0; i < 2; i++)
            assert_int_equal((plain[i] ? access_races : atomic_races)(i, p, 8, write[i]),
                             i == 1 && (write[0] || write[1]) && (plain[0] || plain[1]));
    }
}

static void every_reader_is_remembered(void **state)
{
    for (u32 writer = 0; writer < 4; writer++) {
        for (u32 reader = 0; reader < 4; reader++) {
            race_reset(s);
            for (u32 i = 0; i < 4; i++)
                assert_false(access_races(i, p, 8, READ));
            for (u32 i = 0; i < 4; i++)
                if (i != reader && i != writer) {
                    store(i, flag + i);
                    load(writer, flag + i);
                }
            assert_int_equal(access_races(writer, p, 8, WRITE), reader != writer);   /* ordered after all but one */
        }
    }
}

/* A read that follows a write must not take its place. */
static void a_stricter_access_is_not_forgotten(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(0, p, 8, READ));
    assert_true(access_races(1, p, 8, READ));
    race_reset(s);
    assert_false(access_races(0, p, 8, WRITE));
    store(0, flag);
    assert_false(access_races(0, p, 8, READ));
    load(1, flag);
    assert_false(access_races(1, p, 8, READ));   /* after the write; the later read is no conflict */
    assert_true(access_races(1, p, 8, WRITE));   /* but with that read it is one */
    assert_true(access_races(2, p, 8, READ));    /* and the write is still there */
    assert_int_equal(race_last(s)->earlier.cpu, 0);
}

/* ---- Which bytes ---- */

static void only_common_bytes_race(void **state)
{
    for (u32 size = 1; size <= 16; size *= 2) {
        for (u32 at = 0; at < 24; at++) {
            for (u32 other = 0; other < 32; other++) {
                race_reset(s);
                assert_false(access_races(0, p + at, size, WRITE));
                assert_int_equal(access_races(1, p + other, 1, READ), other >= at && other < at + size);
            }
        }
    }
}

static void a_part_that_was_overwritten_is_the_writers(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    store(0, flag);
    load(1, flag);
    assert_false(access_races(1, p + 2, 4, WRITE));
    load(2, flag);                                   /* after CPU 0, not after CPU 1 */
    assert_false(access_races(2, p, 2, READ));
    assert_false(access_races(2, p + 6, 2, READ));
    assert_true(access_races(2, p + 5, 1, READ));
    assert_int_equal(race_last(s)->earlier.cpu, 1);
    assert_true(access_races(3, p + 6, 2, READ));    /* after neither */
    assert_int_equal(race_last(s)->earlier.cpu, 0);
}

static void a_part_that_was_not_yet_written_is_new(void **state)
{
    assert_false(access_races(0, p, 4, WRITE));
    assert_false(access_races(0, p + 2, 4, WRITE));
    assert_false(access_races(1, p + 6, 2, READ));
    assert_true(access_races(1, p + 5, 1, READ));
}

static void ranges_race_at_their_ends(void **state)
{
    assert_false(access_races(0, p + 3, 4096, WRITE));
    assert_false(access_races(1, p + 2, 1, WRITE));
    assert_false(access_races(1, p + 3 + 4096, 1, WRITE));
    assert_true(access_races(1, p + 3, 1, READ));
    assert_true(access_races(1, p + 3 + 4095, 1, READ));
}

/* ---- What orders ---- */

static void a_release_that_was_acquired_orders(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    store(0, flag);
    assert_false(access_races(0, p + 8, 8, WRITE));  /* after the release: not ordered by it */
    load(1, flag);
    assert_false(access_races(1, p, 8, WRITE));
    assert_true(access_races(1, p + 8, 8, READ));
    assert_true(access_races(2, p, 8, READ));         /* who did not look */
}

static void a_store_releases_what_was_before_it_was_made(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    race_atomic(&s->cpu[0], flag, 8, true, 0);
    const u64 carried = race_store(&s->cpu[0]);
    assert_false(access_races(0, p + 8, 8, WRITE));  /* while the store waits in its buffer */
    load(1, flag);
    assert_true(access_races(1, p, 8, READ));         /* it has not arrived */
    race_flush(s, (u64)flag, carried);
    load(1, flag);
    assert_false(access_races(1, p, 8, READ));
    assert_true(access_races(1, p + 8, 8, READ));
}

static void relaxed_orders_nothing(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    store_relaxed(0, flag);
    load(1, flag);
    assert_true(access_races(1, p, 8, READ));
    race_reset(s);
    assert_false(access_races(0, p, 8, WRITE));
    store(0, flag);
    store_relaxed(2, flag);                           /* what CPU 1 reads is not the release */
    load(1, flag);
    assert_true(access_races(1, p, 8, READ));
    race_reset(s);
    assert_false(access_races(0, p, 8, WRITE));
    store(0, flag);
    race_atomic(&s->cpu[1], flag, 8, false, 0);       /* a relaxed load */
    assert_true(access_races(1, p, 8, READ));
}

static void a_store_replaces_and_a_locked_operation_adds(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p + 8, 8, WRITE));
    add(0, flag);
    add(1, flag);
    add(2, flag);
    assert_false(access_races(2, p, 8, READ));
    assert_false(access_races(2, p + 8, 8, READ));
    store(3, flag);                                   /* CPU 3 knows of none of them */
    race_reset(s);
    assert_false(access_races(0, p, 8, WRITE));
    add(0, flag);
    store(3, flag);
    load(2, flag);
    assert_true(access_races(2, p, 8, READ));
}

static void interrupts_order(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p + 8, 8, WRITE));
    race_send(s, OBJECT_APIC(3), race_store(&s->cpu[0]));
    race_send(s, OBJECT_APIC(3), race_store(&s->cpu[1]));   /* two IPIs, one interrupt */
    race_acquire(&s->cpu[2], OBJECT_APIC(2));
    assert_true(access_races(2, p, 8, READ));
    race_acquire(&s->cpu[3], OBJECT_APIC(3));
    assert_false(access_races(3, p, 8, READ));
    assert_false(access_races(3, p + 8, 8, READ));
}

/* An IPI of an x2APIC overtakes what was stored after the last fence. */
static void an_interrupt_orders_what_it_carries(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    u64 fenced = race_store(&s->cpu[0]);
    assert_false(access_races(0, p + 8, 8, WRITE));
    race_send(s, OBJECT_APIC(1), fenced);
    race_acquire(&s->cpu[1], OBJECT_APIC(1));
    assert_false(access_races(1, p, 8, READ));
    assert_true(access_races(1, p + 8, 8, READ));
    fenced = add(0, flag);                            /* a locked operation is a fence */
    race_send(s, OBJECT_APIC(1), fenced);
    race_acquire(&s->cpu[1], OBJECT_APIC(1));
    assert_false(access_races(1, p + 8, 8, READ));
    assert_false(access_races(0, p + 16, 8, WRITE));
    race_reset(s);
    race_send(s, OBJECT_APIC(1), fenced);             /* from before the reset: nothing new */
    assert_false(access_races(0, p, 8, WRITE));
    race_acquire(&s->cpu[1], OBJECT_APIC(1));
    assert_true(access_races(1, p, 8, READ));
}

TEST_GROUP(race, CASE(a_write_races_and_two_reads_do_not), CASE(atomics_race_with_plain_ones_only), CASE(every_reader_is_remembered),
           CASE(a_stricter_access_is_not_forgotten), CASE(only_common_bytes_race), CASE(a_part_that_was_overwritten_is_the_writers),
           CASE(a_part_that_was_not_yet_written_is_new), CASE(ranges_race_at_their_ends), CASE(a_release_that_was_acquired_orders),
           CASE(a_store_releases_what_was_before_it_was_made), CASE(relaxed_orders_nothing), CASE(a_store_replaces_and_a_locked_operation_adds),
           CASE(interrupts_order), CASE(an_interrupt_orders_what_it_carries));
