/* SPDX-License-Identifier: BSD-2-Clause */
/* After any insertion and delegation, whole, refused or preempted: is exactly what is held mapped? */
#include "space_mem_fixture.h"

static void insert_maps_what_it_holds(void **state)
{
    struct fixture *f = *state;
    expect(f, ROOT, R0 - 2, 4, R0, R0 + 2, F0);
    expect(f, ROOT, R0 + N0 - 2, 4, R0 + N0 - 2, R0 + N0, F0 + N0 - 2);
    u64 frame;
    u32 rights;
    assert_true(space_mem_lookup(&f->s[ROOT], R0 + 5, &frame, &rights));
    assert_int_equal(rights, RWX);   /* held, though entered without X */
    assert_int_equal(space_mem_insert(&f->s[ROOT], R0 + 5, 1, 1, RW), STATUS_EXISTS);
    assert_int_equal(space_mem_insert(&f->s[ROOT], R0 - 1, 1, 2, RW), STATUS_EXISTS);
    assert_int_equal(space_mem_insert(&f->s[ROOT], 1, 1, 0, RW), STATUS_ARG);
    assert_int_equal(space_mem_insert(&f->s[ROOT], 1, 1, 1, RIGHT_W), STATUS_ARG);
    assert_int_equal(space_mem_insert(&f->s[ROOT], USER_END >> PAGE_BITS, 1, 1, RW), STATUS_ARG);
    assert_int_equal(space_mem_insert(&f->s[ROOT], (USER_END >> PAGE_BITS) - 1, 1, 1, RW), OK);
    assert_int_equal(frame_at(f, ROOT, R0 - 1), 0);
}

static void an_insert_that_gets_no_memory_maps_nothing(void **state)
{
    struct fixture *f = *state;
    enum status s = STATUS_MEMORY;
    u64 tries = 0;
    for (u64 nth = 1; s == STATUS_MEMORY; nth++, tries++) {
        struct space_mem fresh = { 0 };   /* empty tables may stay: a new space each time */
        u64 frame, g;
        u32 rights;
        assert_int_equal(space_mem_init(&fresh, &ptab_host, &f->w->quota, 2, USER_END >> PAGE_BITS), OK);
        sim_unit_fail(f->w->sim, nth);
        s = space_mem_insert(&fresh, 511, 7, 2, RW);   /* over a table's edge */
        sim_unit_fail(f->w->sim, 0);
        for (u64 p = 511; p < 513; p++)
            assert_int_equal(ptab_lookup(&fresh.ptab, p, &frame, &rights), s == OK);
        assert_int_equal(fresh.index != NULL, s == OK);
        assert_int_equal(space_mem_clear(f->w->cpu, &fresh, &g), OK);
        core_settle(f->w);
        ptab_destroy(&fresh.ptab);
    }
    assert_int_equal(s, OK);
    assert_int_equal(tries, 6);   /* three tables and one, a node, and the try that had all */
}

static void delegate_cuts_rights(void **state)
{
    struct fixture *f = *state;
    u64 frame;
    u32 rights;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 8, RIGHT_R | RIGHT_X), OK);
    expect(f, A, 0xff, 10, 0x100, 0x108, F0);
    assert_true(space_mem_lookup(&f->s[A], 0x100, &frame, &rights));
    assert_int_equal(rights, RIGHT_R | RIGHT_X);
    assert_int_equal(delegate(f, A, 0x102, B, 0x200, 2, RWX), OK);   /* asks for more than A has */
    assert_true(space_mem_lookup(&f->s[B], 0x201, &frame, &rights));
    assert_int_equal(rights, RIGHT_R | RIGHT_X);
    assert_int_equal(frame, F0 + 3);
    assert_int_equal(delegate(f, ROOT, R1, A, 0x300, 1, RWX), OK);
    assert_true(space_mem_lookup(&f->s[A], 0x300, &frame, &rights));
    assert_int_equal(rights, RW);
}

static void a_delegate_that_fails_its_checks_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const u64 end = USER_END >> PAGE_BITS;
    const struct { u64 page, target, count; u32 rights; enum status status; } table[] = {
        { R0, 0x100, 1, 0, STATUS_ARG },           { R0, 0x100, 1, RIGHT_W, STATUS_ARG },     { R0, 0x100, 1, 9, STATUS_ARG },
        { end, 0x100, 1, RW, STATUS_ARG },         { R0, end, 1, RW, STATUS_ARG },            { R0, end - 1, 2, RW, STATUS_ARG },
        { R0, 0x100, ~0ul, RW, STATUS_ARG },       { R0 - 1, 0x100, 2, RW, STATUS_RANGE },    { R0 + N0 - 1, 0x100, 2, RW, STATUS_RANGE },
        { R0, 0xff0, 0x20, RW, STATUS_EXISTS },    { R0, 0x1000, 1, RW, STATUS_EXISTS },      { R1 + 15, 0x100, 2, RW, STATUS_RANGE },
    };
    assert_int_equal(delegate(f, ROOT, R0, A, 0x1000, 1, RW), OK);
    const u64 charged = used(f);
    for (u32 i = 0; i < array_size(table); i++) {
        assert_int_equal(delegate(f, ROOT, table[i].page, A, table[i].target, table[i].count, table[i].rights), table[i].status);
        expect(f, A, 0xff0, 0x20, 0x1000, 0x1001, F0);
        assert_int_equal(frame_at(f, A, 0x100), 0);
        assert_int_equal(used(f), charged);
    }
}

static void a_delegate_may_cross_source_ranges(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(space_mem_insert(&f->s[ROOT], R1 + 16, 0x999, 4, RIGHT_R | RIGHT_X), OK);
    assert_int_equal(delegate(f, ROOT, R1 + 14, A, 0x1fe, 5, RWX), OK);
    expect(f, A, 0x1fd, 3, 0x1fe, 0x200, F1 + 14);
    expect(f, A, 0x200, 4, 0x200, 0x203, 0x999);
    assert_int_equal(revoke(f, ROOT, R1, 16, false), OK);
    expect(f, A, 0x1f0, 0x14, 0x200, 0x203, 0x999);
}

static void memory_becomes_a_guests(void **state)
{
    struct fixture *f = *state;
    u64 frame;
    u32 entered;
    assert_int_equal(delegate(f, ROOT, R0, A, R0, N0, RWX), OK);
    assert_int_equal(delegate(f, A, R0 + 512, GUEST, 0, 1024, RWX), OK);
    expect(f, GUEST, 0, 1026, 0, 1024, F0 + 512);
    assert_true(ptab_lookup(&f->s[GUEST].ptab, 3, &frame, &entered));
    assert_int_equal(entered, RWX);
    assert_int_equal(f->s[GUEST].index->derive.kind, SPACE_GUEST);
    assert_int_equal(revoke(f, A, R0 + 600, 1, false), OK);
    expect(f, GUEST, 80, 9, 80, 88, F0 + 592);
    assert_int_equal(frame_at(f, GUEST, 89), F0 + 601);
    assert_int_equal(revoke(f, ROOT, R0, N0, false), OK);
    expect(f, GUEST, 0, 1026, 0, 0, 0);
    expect(f, A, R0, N0, 0, 0, 0);
}

static void aligned_ranges_use_few_tables(void **state)
{
    struct fixture *f = *state;
    const u64 before = used(f);
    assert_int_equal(delegate(f, ROOT, R0, A, R0, N0, RW), OK);
    assert_int_equal(used(f) - before, 2 * PAGE_SIZE + mem_charge(sizeof(struct mem_range)));   /* large pages, one node */
    const u64 between = used(f);
    assert_int_equal(delegate(f, ROOT, R0, B, R0 + 1, N0, RW), OK);
    assert_int_equal(used(f) - between, (2 + 9) * PAGE_SIZE + mem_charge(sizeof(struct mem_range)));
}

static enum status delegate_rest(struct fixture *f, u64 page, u64 target, u64 count, u32 rights)
{
    u64 done;
    return delegate_on(f, ROOT, page, A, target, count, rights, &done);
}

static void neighbours_are_one_range_only_if_they_continue(void **state)
{
    struct fixture *f = *state;
    const u64 node = mem_charge(sizeof(struct mem_range));
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 2, RW), OK);
    const u64 before = used(f);
    assert_int_equal(delegate_rest(f, R0 + 2, 0x102, 2, RW), OK);            /* continues */
    assert_int_equal(used(f), before);
    assert_int_equal(delegate_rest(f, R0 + 4, 0x104, 2, RIGHT_R), OK);       /* other rights */
    assert_int_equal(used(f), before + node);
    assert_int_equal(delegate_rest(f, R0 + 9, 0x106, 2, RIGHT_R), OK);       /* other frames */
    assert_int_equal(used(f), before + 2 * node);
    assert_int_equal(delegate_rest(f, R1, 0x108, 2, RIGHT_R), OK);           /* another parent */
    assert_int_equal(used(f), before + 3 * node);
    assert_int_equal(delegate(f, ROOT, R1 + 2, A, 0x10a, 2, RIGHT_R), OK);   /* another delegation */
    assert_int_equal(used(f), before + 4 * node);
    expect(f, A, 0x100, 6, 0x100, 0x106, F0);
    expect(f, A, 0x106, 2, 0x106, 0x108, F0 + 9);
    expect(f, A, 0x108, 6, 0x108, 0x10c, F1);
}

static void a_space_may_delegate_to_itself(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, ROOT, 0x100, 8, RIGHT_R), OK);
    expect(f, ROOT, 0xff, 10, 0x100, 0x108, F0);
    assert_int_equal(delegate(f, ROOT, R0, ROOT, R0 + 2, 8, RIGHT_R), STATUS_EXISTS);
    assert_int_equal(revoke(f, ROOT, 0x104, 1, true), OK);
    assert_int_equal(frame_at(f, ROOT, R0 + 4), F0 + 4);
    assert_int_equal(revoke(f, ROOT, R0, 2, true), OK);   /* the alias goes with it */
    expect(f, ROOT, 0x100, 4, 0x102, 0x104, F0 + 2);
}

static void a_delegate_that_gets_no_memory_changes_nothing(void **state)
{
    struct fixture *f = *state;
    enum status s = STATUS_MEMORY;
    u64 nth = 0;
    while (s == STATUS_MEMORY) {
        /* Empty tables may stay: ask with a fresh space each time. */
        struct space_mem fresh = { 0 };
        u64 done = 0, g;
        assert_int_equal(space_mem_init(&fresh, &ptab_host, &f->w->quota, 2, USER_END >> PAGE_BITS), OK);
        sim_unit_fail(f->w->sim, ++nth);
        s = space_mem_delegate(&f->s[ROOT], R0, &fresh, 0x1ff, 1030, RW, &done);
        sim_unit_fail(f->w->sim, 0);
        u64 frame;
        u32 rights;
        for (u64 p = 0; s != OK && p < 2000; p++)
            assert_false(ptab_lookup(&fresh.ptab, p, &frame, &rights));
        assert_int_equal(done, s == OK ? 1030 : 0);
        assert_int_equal(fresh.index != NULL, s == OK);
        assert_int_equal(space_mem_clear(f->w->cpu, &fresh, &g), OK);
        core_settle(f->w);
        ptab_destroy(&fresh.ptab);
    }
    assert_int_equal(s, OK);
    assert_int_equal(nth, 8);   /* a node, two upper and four lowest tables were refused once each */
}

static void a_preempted_delegate_goes_on(void **state)
{
    struct fixture *f = *state;
    u64 total = 0, done;
    u32 restarts = 0;
    enum status s;
    do {
        core_preempt(f->w);
        s = total ? delegate_on(f, ROOT, R0 + total, A, 0x101 + total, N0 - total, RW, &done)
                  : space_mem_delegate(&f->s[ROOT], R0, &f->s[A], 0x101, N0, RW, &done);
        total += done;
        expect(f, A, 0x100, N0 + 2, 0x101, 0x101 + total, F0);
        restarts += s == STATUS_RESTART;
        assert_true(restarts < 30);
    } while (s == STATUS_RESTART);
    core_ipi(f->w, 0);
    assert_int_equal(s, OK);
    assert_int_equal(total, N0);
    assert_true(restarts >= 3);
    assert_int_equal(f->s[A].index->count, N0);   /* still one range */
}

TEST_GROUP(space_mem, T(insert_maps_what_it_holds), T(an_insert_that_gets_no_memory_maps_nothing), T(delegate_cuts_rights),
           T(a_delegate_that_fails_its_checks_changes_nothing), T(a_delegate_may_cross_source_ranges), T(memory_becomes_a_guests),
           T(aligned_ranges_use_few_tables), T(neighbours_are_one_range_only_if_they_continue), T(a_space_may_delegate_to_itself),
           T(a_delegate_that_gets_no_memory_changes_nothing), T(a_preempted_delegate_goes_on));
