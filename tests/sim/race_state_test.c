/* SPDX-License-Identifier: BSD-2-Clause */
/* What must the race detector forget, what must it leave alone, and does a report name both sides? */
#include "race_fixture.h"

/* ---- What is not judged, and forgotten ---- */

static void an_own_stack_is_private(void **state)
{
    s->cpu[0].fiber.stack = p;
    s->cpu[0].fiber.bytes = 4096;
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p, 8, WRITE));
    assert_true(access_races(2, p, 8, READ));         /* two others race there as anywhere */
    race_reset(s);
    assert_false(atomic_races(0, p + 4088, 8, WRITE));
    assert_true(access_races(1, p + 4088, 8, READ));  /* a word that its owner shares by atomics */
    assert_false(access_races(0, p + 4096, 8, WRITE));
    assert_true(access_races(1, p + 4096, 8, WRITE)); /* the byte after it is not stack */
    s->cpu[0].fiber.bytes = 0;
}

static void forgotten_memory_has_no_past(void **state)
{
    for (u32 far = 0; far < 2; far++) {               /* fewer words known than the range has, and more */
        race_reset(s);
        for (u32 i = 0; i < (far ? 4096 : 1); i++)
            assert_false(access_races(0, p + 0x10000 + 8 * i, 8, WRITE));
        assert_false(access_races(0, p, 64, WRITE));
        assert_false(access_races(0, p + 64, 8, WRITE));
        store(0, p + 128);
        race_forget(s, p, 64);
        assert_false(access_races(1, p, 64, WRITE));
        assert_true(access_races(1, p + 64, 8, WRITE));
        race_forget(s, p + 128, 8);
        load(1, p + 128);
        assert_true(access_races(1, p + 64, 8, READ));   /* the word that released is another one now */
    }
}

static void cells_come_back(void **state)
{
    for (u32 i = 0; i < 3000; i++) {                  /* 3000 * 512 cells: more than there are */
        assert_false(access_races(i % 4, p, 4096, WRITE));
        race_forget(s, p, 4096);
    }
    for (u32 i = 0; i < 3000; i++) {
        assert_false(access_races(0, p, 4096, WRITE));
        store(0, flag);
    }
    assert_false(race_full(s));
}

static void a_reset_orders_everything(void **state)
{
    for (u32 run = 0; run < 100; run++) {
        assert_false(access_races(0, p, 8, WRITE));
        const u64 carried = race_store(&s->cpu[0]);
        race_reset(s);
        assert_false(access_races(1, p, 8, WRITE));
        race_store(&s->cpu[1]);                       /* the vector of this era whose number `carried` bears */
        race_flush(s, (u64)flag, carried);            /* a store of before arrives after: it carries nothing new */
        load(2, flag);
        assert_true(access_races(2, p, 8, READ));
        race_reset(s);
        assert_false(access_races(0, p, 8, WRITE));
        store(0, flag);
        race_reset(s);
        assert_false(access_races(0, p, 8, WRITE));
        load(1, flag);                                /* what was released before the reset says nothing of after it */
        assert_true(access_races(1, p, 8, READ));
        race_reset(s);
    }
}

static void full_tables_end_judging_and_say_so(void **state)
{
    for (u64 i = 0; i < (1u << 20); i++)
        store(0, flag);
    assert_true(race_full(s));
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p, 8, WRITE));
    race_reset(s);
    assert_false(race_full(s));
    assert_false(access_races(0, p, 8, WRITE));
    assert_true(access_races(1, p, 8, WRITE));
    race_reset(s);
    assert_false(access_races(0, p, 12ul << 20, WRITE));
    assert_true(race_full(s));
}

/* ---- Reports ---- */

static void a_report_names_both(void **state)
{
    race_enter(&s->cpu[0], 0x10);
    race_enter(&s->cpu[0], 0x20);
    race_enter(&s->cpu[0], 0x30);
    race_leave(&s->cpu[0]);
    assert_false(access_races(0, p, 4, READ));
    race_leave(&s->cpu[0]);
    race_enter(&s->cpu[1], 0x40);
    assert_null(race_last(s));
    assert_true(access_races(1, p - 2, 8, WRITE));
    assert_string_equal(sim_result(s)->message, "[RACE-PLAIN] plain write of 8 bytes at physical 0x1ffffe by CPU 1 races with plain read of 4 bytes by CPU 0");
    const struct race_report *r = race_last(s);
    assert_ptr_equal(r->address, p - 2);
    assert_true(r->later.write && !r->later.atomic && r->later.cpu == 1 && r->later.bytes == 8 && r->later.site == 0x1001);
    assert_true(!r->earlier.write && !r->earlier.atomic && r->earlier.cpu == 0 && r->earlier.bytes == 4 && r->earlier.site == 0x1000);
    u64 pcs[4] = { 0 };
    assert_int_equal(race_stack(s, r->earlier.node, pcs, 4), 2);
    assert_true(pcs[0] == 0x20 && pcs[1] == 0x10);
    assert_int_equal(race_stack(s, r->earlier.node, pcs, 1), 1);
    assert_int_equal(race_stack(s, r->later.node, pcs, 4), 1);
    assert_int_equal(pcs[0], 0x40);
    race_leave(&s->cpu[1]);
    race_leave(&s->cpu[1]);                           /* judged since the middle of a function */
    assert_int_equal(s->cpu[1].fiber.node, 0);
}

static void nothing_is_judged_in_a_pause(void **state)
{
    assert_false(access_races(0, p, 8, WRITE));
    race_pause(s, true);
    assert_false(access_races(1, p, 8, READ));
    assert_false(atomic_races(1, p, 8, READ));
    assert_false(access_races(1, p + 8, 8, WRITE));
    race_pause(s, false);
    assert_false(access_races(0, p + 8, 8, WRITE));   /* nothing was recorded either */
    assert_true(access_races(1, p, 8, READ));
    race_pause(s, true);
    race_reset(s);
    assert_false(access_races(0, p, 8, WRITE));
    assert_true(access_races(1, p, 8, READ));
}

static void nothing_is_judged_when_it_is_off(void **state)
{
    race_destroy(s);
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p, 8, WRITE));
    store(0, flag);
    add(0, flag);
    race_forget(s, p, 8);
    race_send(s, OBJECT_APIC(0), RACE_NOTHING);
    race_pause(s, true);
    race_reset(s);
    assert_null(race_last(s));
}

TEST_GROUP(race_state, CASE(an_own_stack_is_private), CASE(forgotten_memory_has_no_past), CASE(cells_come_back), CASE(a_reset_orders_everything),
           CASE(full_tables_end_judging_and_say_so), CASE(a_report_names_both), CASE(nothing_is_judged_in_a_pause),
           CASE(nothing_is_judged_when_it_is_off));
