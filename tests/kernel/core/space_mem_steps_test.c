/* SPDX-License-Identifier: BSD-2-Clause */
/* Are delegate and revoke of memory all or nothing, bounded in each step, and right if another CPU is at the same pages in between? */
#include "space_mem_fixture.h"

#define THERE 0x10000ul
#define EDGE  (THERE + 504)   /* eight pages below the end of a table: what reaches over it takes more than one breath */
#define STEP_PAGES (4 * 512ul)

static u32 pages_at(struct fixture *f, u32 space, u64 page, u64 count)
{
    u32 n = 0;
    for (u64 i = 0; i < count; i++)
        n += frame_at(f, space, page + i) != 0;
    return n;
}

static void ranges_behind_the_end(void **state)
{
    struct fixture *f = *state;
    u64 done, g;
    static const u64 behind[] = { USER_END >> PAGE_BITS, (USER_END >> PAGE_BITS) + 1, bit(36) + 5, bit(52) - 1, ~0ul };
    for (u32 i = 0; i < array_size(behind); i++) {
        assert_int_equal(space_mem_delegate(&f->s[ROOT], behind[i], &f->s[A], THERE, 1, RW, &done), STATUS_ARG);
        assert_int_equal(space_mem_delegate(&f->s[ROOT], R0, &f->s[A], behind[i], 1, RW, &done), STATUS_ARG);
        assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], behind[i], 1, true, &g), STATUS_ARG);
        assert_int_equal(space_mem_insert(&f->s[ROOT], behind[i], 1, 1, RW), STATUS_ARG);
    }
}

/* Small pages, as source and target are out of step: many entries, so many steps. */
static void steps_are_bounded(void **state)
{
    struct fixture *f = *state;
    u64 done = 0;
    const u64 count = N0 - 1;
    assert_int_equal(delegate(f, ROOT, R0, A, THERE + 1, count, RW), OK);   /* makes the tables */
    assert_int_equal(delegate(f, A, THERE + 1, B, THERE + 1, count, RW), OK);
    assert_int_equal(revoke(f, B, THERE + 1, count - 1, true), OK);          /* one page stays and with it the tables above */
    assert_int_equal(revoke(f, B, THERE + 1, count, true), OK);
    core_preempt(f->w);
    enum status st;
    u64 all = 0;
    u32 restarts = 0;
    while ((st = space_mem_delegate(&f->s[ROOT], R0 + all, &f->s[B], THERE + 1 + all, count - all, RW, &done)) == STATUS_RESTART) {
        assert_true(done <= STEP_PAGES);
        all += done;
        assert_true(++restarts < 100);
    }
    assert_int_equal(st, OK);
    assert_true(restarts > 1);
    core_ipi(f->w, 0);
    assert_int_equal(pages_at(f, B, THERE + 1, count), count);
}

/* With all tables there, each step is still the end of a turn. */
static void steps_of_filling_are_turns(void **state)
{
    struct fixture *f = *state;
    u64 done, n;
    for (u64 at = 0; at < N0; at += n)
        assert_int_equal(ptab_reserve(&f->s[A].ptab, THERE + 1 + at, 1, N0 - at, &n), OK);
    core_preempt(f->w);
    assert_int_equal(space_mem_delegate(&f->s[ROOT], R0, &f->s[A], THERE + 1, N0, RW, &done), STATUS_RESTART);
    assert_in_range(done, 1, STEP_PAGES);
    core_ipi(f->w, 0);
    assert_int_equal(pages_at(f, A, THERE + 1, N0), done);
}

/* Eight tables and two breaths, but one piece: one node is all it needs, and a rest that goes on needs none. */
static void a_long_piece_needs_one_node(void **state)
{
    struct fixture *f = *state;
    u64 done, n;
    for (u64 at = 0; at < N0; at += n)
        assert_int_equal(ptab_reserve(&f->s[A].ptab, THERE + 1 + at, 1, N0 - at, &n), OK);
    const u64 price = mem_charge(sizeof(struct mem_range)), before = used(f);
    atomic_store(&f->w->quota.limit, before + price);
    assert_int_equal(space_mem_delegate(&f->s[ROOT], R0, &f->s[A], THERE + 1, N0, RW, &done), OK);
    assert_int_equal(done, N0);
    assert_int_equal(used(f), before + price);
    atomic_store(&f->w->quota.limit, CORE_QUOTA);
    expect(f, A, THERE, N0 + 2, THERE + 1, THERE + 1 + N0, F0);
    assert_int_equal(revoke(f, A, THERE + 1, N0, true), OK);
    assert_true(used(f) < before);   /* and the tables */
}

/* What is in the way comes before what is not there, if it is but the last page. */
static void the_last_page_is_in_the_way(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, THERE + 16, 1, RW), OK);
    assert_int_equal(delegate(f, ROOT, R1, A, THERE, 17, RW), STATUS_EXISTS);
    assert_int_equal(delegate(f, ROOT, R1, A, THERE - 1, 17, RW), STATUS_RANGE);
    assert_int_equal(delegate(f, ROOT, R1, A, THERE, 16, RW), OK);
}

/* Pieces within one table are filled while the lock is held once: nobody sees a part of them. */
static u32 parts_seen;

static void look_for_parts(void *arg)
{
    struct fixture *const f = arg;
    if (!core_unlocked(f->w))
        return;
    sim_unit_hook(f->w->sim, NULL, NULL);
    const u32 n = pages_at(f, B, THERE, 3);
    parts_seen += n != 0 && n != 3;
    sim_unit_hook(f->w->sim, look_for_parts, f);
}

static void pieces_in_one_table_come_at_once(void **state)
{
    struct fixture *f = *state;
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(delegate(f, ROOT, R0 + 100 * i, A, THERE + i, 1, RW), OK);
    parts_seen = 0;
    sim_unit_hook(f->w->sim, look_for_parts, f);
    const enum status st = delegate(f, A, THERE, B, THERE, 3, RW);
    sim_unit_hook(f->w->sim, NULL, NULL);
    assert_int_equal(st, OK);
    assert_int_equal(parts_seen, 0);
    assert_int_equal(pages_at(f, B, THERE, 3), 3);
}

/* Whatever allocation fails of a delegation in three pieces: nothing has arrived. */
static void all_pieces_or_none(void **state)
{
    struct fixture *f = *state;
    enum status st = STATUS_MEMORY;
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(delegate(f, ROOT, R0 + 100 * i, A, THERE + i, 1, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 500, B, THERE + 100, 1, RW), OK);   /* the tables are there */
    u32 failures = 0;
    for (u64 n = 1; st != OK; n++) {
        u64 done;
        assert_true(n < 30);
        sim_unit_fail(f->w->sim, n);
        st = space_mem_delegate(&f->s[A], THERE, &f->s[B], THERE, 3, RW, &done);
        sim_unit_fail(f->w->sim, 0);
        if (st == OK)
            break;
        failures++;
        assert_int_equal(st, STATUS_MEMORY);
        assert_int_equal(done, 0);
        assert_int_equal(pages_at(f, B, THERE, 3), 0);
    }
    assert_int_equal(failures, 3);
    assert_int_equal(pages_at(f, B, THERE, 3), 3);
}

/* Two ranges, and what was derived from parts of each reaches out of what is revoked on both sides. */
static void two_families(struct fixture *f)
{
    assert_int_equal(delegate(f, ROOT, R0, A, THERE, 8, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 100, A, THERE + 8, 8, RW), OK);
    assert_int_equal(delegate(f, A, THERE + 1, B, THERE, 6, RW), OK);
    assert_int_equal(delegate(f, A, THERE + 9, B, THERE + 10, 6, RW), OK);
}

static void revoke_goes_on_with_the_next_range(void **state)
{
    struct fixture *f = *state;
    two_families(f);
    assert_int_equal(revoke(f, A, THERE, 16, false), OK);
    assert_int_equal(pages_at(f, A, THERE, 16), 16);
    assert_int_equal(pages_at(f, B, THERE, 20), 0);
}

/* Quota for so many of the cuts that are needed, but not for all: nothing is taken. */
static void a_revoke_that_fails_takes_nothing(void **state)
{
    struct fixture *f = *state;
    enum status st = STATUS_QUOTA;
    u32 cuts = 0;
    for (;; cuts++) {
        assert_true(cuts < 30);
        two_families(f);
        atomic_store(&f->w->quota.limit, used(f) + cuts * mem_charge(sizeof(struct mem_range)));
        st = revoke(f, A, THERE + 3, 8, true);
        atomic_store(&f->w->quota.limit, CORE_QUOTA);
        if (st == OK)
            break;
        assert_int_equal(st, STATUS_QUOTA);
        assert_int_equal(pages_at(f, A, THERE, 16), 16);
        assert_int_equal(pages_at(f, B, THERE, 20), 12);
        assert_int_equal(revoke(f, A, THERE, 16, true), OK);
    }
    assert_true(cuts > 3);
    assert_int_equal(pages_at(f, A, THERE, 16), 8);
    assert_int_equal(pages_at(f, B, THERE, 6), 2);        /* pages 1 and 2 of A */
    assert_int_equal(pages_at(f, B, THERE + 10, 6), 4);
}

/* The space of a descendant has no quota left for a cut: what could be taken before that cut is not taken either. */
static void a_poor_descendant_stops_all(void **state)
{
    struct fixture *f = *state;
    struct quota *const rich = f->s[B].quota, poor = { .limit.v = 2 * mem_charge(sizeof(struct mem_range)) };
    assert_int_equal(delegate(f, ROOT, R0, A, THERE, 8, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 100, A, THERE + 8, 8, RW), OK);
    f->s[B].quota = &poor;
    assert_int_equal(delegate(f, A, THERE + 3, B, THERE, 4, RW), OK);        /* reaches out of what is revoked */
    assert_int_equal(delegate(f, A, THERE + 6, B, THERE + 10, 2, RW), OK);   /* does not, and comes first */
    assert_int_equal(revoke(f, A, THERE + 5, 11, true), STATUS_QUOTA);
    assert_int_equal(pages_at(f, A, THERE, 16), 16);
    assert_int_equal(pages_at(f, B, THERE, 16), 6);
    atomic_store(&poor.limit, 3 * mem_charge(sizeof(struct mem_range)));
    assert_int_equal(revoke(f, A, THERE + 5, 11, true), OK);
    assert_int_equal(pages_at(f, A, THERE, 16), 5);
    assert_int_equal(pages_at(f, B, THERE, 16), 2);
    assert_int_equal(revoke(f, B, THERE, 16, true), OK);
    assert_int_equal(atomic_load(&poor.used), 0);
    f->s[B].quota = rich;
}

/* An interrupt waits after the cuts: they stay, no right has changed. */
static void cuts_are_turns(void **state)
{
    struct fixture *f = *state;
    u64 g;
    two_families(f);
    core_preempt(f->w);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[A], THERE + 3, 8, true, &g), STATUS_RESTART);
    assert_int_equal(pages_at(f, A, THERE, 16), 16);
    assert_int_equal(pages_at(f, B, THERE, 20), 12);
    u32 restarts = 0;
    while (space_mem_revoke(f->w->cpu, &f->s[A], THERE + 3, 8, true, &g) == STATUS_RESTART)
        assert_true(restarts++ < 20);
    core_ipi(f->w, 0);
    assert_int_equal(pages_at(f, A, THERE, 16), 8);
}

/* Another CPU at every point where it could: takes the source, or fills the target. */
struct meanwhile {
    struct fixture *f;
    bool fills, acted;
};

static void act(void *arg)
{
    struct meanwhile *const m = arg;
    struct fixture *const f = m->f;
    u64 done;
    if (f->points++ < f->at || m->acted || !core_unlocked(f->w))
        return;
    m->acted = true;
    core_cpu(f->w, 1);
    if (m->fills)
        f->other = space_mem_delegate(&f->s[ROOT], R1, &f->s[B], EDGE + 15, 1, RIGHT_R, &done);
    else
        f->other = space_mem_revoke(f->w->kern->cpu[1], &f->s[A], THERE + 12, 1, true, &done);
    core_cpu(f->w, 0);
}

static void run_meanwhile(struct fixture *f, bool fills, enum status expected)
{
    struct meanwhile m = { .f = f, .fills = fills, .acted = true };
    u32 stopped = 0;
    for (f->at = 0; m.acted; f->at++) {
        u64 done;
        assert_int_equal(delegate(f, ROOT, R0, A, THERE, 8, RW), OK);
        assert_int_equal(delegate(f, ROOT, R0 + 100, A, THERE + 8, 8, RW), OK);
        f->points = 0;
        m.acted = false;
        sim_unit_hook(f->w->sim, act, &m);
        const enum status st = space_mem_delegate(&f->s[A], THERE, &f->s[B], EDGE, 16, RW, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_true(st == OK || st == expected);
        stopped += st == expected;
        if (st == OK && m.acted && !fills)
            assert_int_equal(frame_at(f, B, EDGE + 12), 0);   /* delegated and taken */
        assert_true(pages_at(f, B, EDGE, 16) <= 16);          /* what is held is mapped, and nothing else */
        assert_int_equal(revoke(f, B, EDGE, 16, true), OK);
        assert_int_equal(revoke(f, A, THERE, 16, true), OK);
        core_settle(f->w);
        assert_true(f->at < 3000);
    }
    assert_true(stopped > 2);
}

static void the_source_is_taken_meanwhile(void **state)
{
    run_meanwhile(*state, false, STATUS_RANGE);
}

static void the_target_is_filled_meanwhile(void **state)
{
    run_meanwhile(*state, true, STATUS_EXISTS);
}

/* Another CPU begins a revoke: the source is cut where that will be, and nothing is left for the node that one piece more needs. */
static void cut(void *arg)
{
    struct meanwhile *const m = arg;
    struct fixture *const f = m->f;
    u64 g;
    if (f->points++ < f->at || m->acted || !core_unlocked(f->w))
        return;
    m->acted = true;
    core_cpu(f->w, 1);
    core_preempt(f->w);
    f->other = space_mem_revoke(f->w->kern->cpu[1], &f->s[A], THERE + 8, 8, true, &g);
    core_ipi(f->w, 1);
    atomic_store(&f->w->quota.limit, used(f));
    core_cpu(f->w, 0);
}

static void the_source_is_cut_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct meanwhile m = { .f = f, .acted = true };
    u32 stopped = 0;
    assert_int_equal(delegate(f, ROOT, R1, B, THERE + 100, 1, RIGHT_R), OK);   /* makes the tables */
    assert_int_equal(delegate(f, ROOT, R1, B, EDGE + 100, 1, RIGHT_R), OK);
    for (f->at = 0; m.acted; f->at++) {
        u64 done;
        assert_int_equal(delegate(f, ROOT, R0, A, THERE, 16, RW), OK);
        f->points = 0;
        m.acted = false;
        sim_unit_hook(f->w->sim, cut, &m);
        const enum status st = space_mem_delegate(&f->s[A], THERE, &f->s[B], EDGE, 16, RW, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        atomic_store(&f->w->quota.limit, CORE_QUOTA);
        assert_true(!m.acted || f->other == STATUS_RESTART);   /* all is still there */
        assert_true(st == OK ? done == 16 : st == STATUS_QUOTA && (done == 0 || done == 8));
        assert_int_equal(pages_at(f, B, EDGE, 16), done);
        stopped += done == 8;
        assert_int_equal(revoke(f, B, EDGE, 16, true), OK);
        assert_int_equal(revoke(f, A, THERE, 16, true), OK);
        core_settle(f->w);
        assert_true(f->at < 3000);
    }
    assert_true(stopped > 0);
}

TEST_GROUP(space_mem_steps, T(ranges_behind_the_end), T(steps_are_bounded), T(steps_of_filling_are_turns), T(all_pieces_or_none),
           T(a_long_piece_needs_one_node), T(pieces_in_one_table_come_at_once), T(the_last_page_is_in_the_way),
           T(revoke_goes_on_with_the_next_range), T(a_revoke_that_fails_takes_nothing), T(a_poor_descendant_stops_all), T(cuts_are_turns),
           T(the_source_is_taken_meanwhile),
           T(the_target_is_filled_meanwhile), T(the_source_is_cut_meanwhile));
