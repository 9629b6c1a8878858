/* SPDX-License-Identifier: BSD-2-Clause */
/* Is every pair of conflicting accesses that nothing orders a finding, with both stacks, and no pair that something orders? */
#include "unit.h"
#include <string.h>
#include "event.h"
#include "machine_model.h"
#include "race.h"
#include "stack_depot.h"

#define RAM  (16ul << 20)
#define PHYS 0x200000ul

enum { READ = 0, WRITE = 1 };

static struct sim *s;
static u8 *p;              /* the memory that is raced for */
static u64 *flag;          /* an atomic word far from it */

static int setup(void **state)
{
    s = sim_unit(4, RAM, SIM_NONE);
    if (!s || !race_create(s))
        return -1;
    p = s->ram + PHYS;
    flag = (u64 *)(s->ram + 0x300000);
    return 0;
}

static int teardown(void **state)
{
    sim_destroy(s);
    return 0;
}

struct access {
    u32 cpu;
    const void *address;
    u64 bytes;
    bool write, atomic;
    u64 site;
};

static void access_make(void *arg)
{
    const struct access *a = arg;
    sim_unit_cpu(s, a->cpu);
    (a->atomic ? race_atomic : race_plain)(&s->cpu[a->cpu], a->address, a->bytes, a->write, a->site);
}

/* True: a race. */
static bool access_races(u32 cpu, const void *address, u64 bytes, bool write)
{
    struct access a = { cpu, address, bytes, write, false, 0x1000 + cpu };
    const char *message = sim_unit_expect_panic(s, access_make, &a);
    return message && strncmp(message, "[RACE] ", 7) == 0;
}

static bool atomic_races(u32 cpu, const void *address, u64 bytes, bool write)
{
    struct access a = { cpu, address, bytes, write, true, 0x2000 + cpu };
    return sim_unit_expect_panic(s, access_make, &a) != NULL;
}

static void load(u32 cpu, const void *word)
{
    race_acquire(&s->cpu[cpu], (u64)word);
    race_atomic(&s->cpu[cpu], word, 8, false, 0);
}

static void store(u32 cpu, const void *word)
{
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    race_flush(s, (u64)word, race_store(&s->cpu[cpu]));
}

static void store_relaxed(u32 cpu, const void *word)
{
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    race_flush(s, (u64)word, RACE_NOTHING);
}

static u64 add(u32 cpu, const void *word)
{
    race_acquire(&s->cpu[cpu], (u64)word);
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    return race_release(&s->cpu[cpu], (u64)word);
}

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
    assert_string_equal(sim_result(s)->message, "[RACE] plain write of 8 bytes at physical 0x1ffffe by CPU 1 races with plain read of 4 bytes by CPU 0");
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

static void a_stack_has_one_node(void **state)
{
    struct stack_depot d;
    assert_true(stack_create(&d));
    const u32 a = stack_push(&d, 0, 1), b = stack_push(&d, a, 2);
    assert_int_equal(stack_push(&d, 0, 1), a);
    assert_int_equal(stack_push(&d, a, 2), b);
    assert_int_not_equal(stack_push(&d, 0, 2), b);
    assert_int_equal(stack_pop(&d, b), a);
    u32 node = 0;
    for (u64 i = 0; i < (1u << 18); i++)              /* more than fit */
        node = stack_push(&d, node, i);
    for (u64 i = 0; i < (1u << 18); i++)
        node = stack_pop(&d, node);
    assert_int_equal(node, 0);
    assert_int_equal(stack_push(&d, a, 2), b);
    stack_destroy(&d);
}

static void nothing_is_judged_when_it_is_off(void **state)
{
    race_destroy(s);
    assert_false(access_races(0, p, 8, WRITE));
    assert_false(access_races(1, p, 8, WRITE));
    store(0, flag);
    add(0, flag);
    race_forget(s, p, 8);
    race_reset(s);
    assert_null(race_last(s));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(race, CASE(a_write_races_and_two_reads_do_not), CASE(atomics_race_with_plain_ones_only), CASE(every_reader_is_remembered),
           CASE(a_stricter_access_is_not_forgotten), CASE(only_common_bytes_race), CASE(a_part_that_was_overwritten_is_the_writers),
           CASE(a_part_that_was_not_yet_written_is_new), CASE(ranges_race_at_their_ends), CASE(a_release_that_was_acquired_orders),
           CASE(a_store_releases_what_was_before_it_was_made), CASE(relaxed_orders_nothing), CASE(a_store_replaces_and_a_locked_operation_adds), CASE(interrupts_order),
           CASE(an_interrupt_orders_what_it_carries), CASE(an_own_stack_is_private),
           CASE(forgotten_memory_has_no_past), CASE(cells_come_back), CASE(a_reset_orders_everything), CASE(full_tables_end_judging_and_say_so),
           CASE(a_report_names_both), CASE(a_stack_has_one_node), CASE(nothing_is_judged_when_it_is_off));
