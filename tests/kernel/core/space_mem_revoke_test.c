/* SPDX-License-Identifier: BSD-2-Clause */
/* After a revocation of ranges cut anywhere: is nothing derived from them left in anybody's tables, nothing else gone, and every stale translation
 * asked for? */
#include "space_mem_fixture.h"

static void revoke_takes_all_generations(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 16, RW), OK);
    assert_int_equal(delegate(f, A, 0x104, B, 0x500, 4, RW), OK);
    assert_int_equal(delegate(f, B, 0x501, GUEST, 0x9, 2, RW), OK);
    assert_int_equal(revoke(f, A, 0x100, 16, false), OK);
    expect(f, A, 0x100, 16, 0x100, 0x110, F0);
    expect(f, B, 0x4ff, 8, 0, 0, 0);
    expect(f, GUEST, 0, 16, 0, 0, 0);
    assert_int_equal(delegate(f, A, 0x104, B, 0x500, 4, RW), OK);
    assert_int_equal(revoke(f, A, 0x100, 16, true), OK);
    expect(f, A, 0xf0, 40, 0, 0, 0);
    expect(f, B, 0x4ff, 8, 0, 0, 0);
    expect(f, ROOT, R0, 16, R0, R0 + 16, F0);
    assert_int_equal(revoke(f, A, 0x100, 16, true), OK);   /* nothing there */
    assert_int_equal(revoke(f, A, 0, USER_END, true), STATUS_ARG);
}

static void revoke_of_part_is_exact_for_every_descendant(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, R0, 1024, RWX), OK);
    assert_int_equal(delegate(f, A, R0, B, R0, 1024, RWX), OK);
    assert_int_equal(delegate(f, B, R0 + 500, GUEST, 500, 100, RWX), OK);
    assert_int_equal(revoke(f, ROOT, R0 + 510, 4, false), OK);   /* over a large page's edge, in the middle of everybody's range */
    for (u32 space = A; space <= B; space++) {
        expect(f, space, R0, 514, R0, R0 + 510, F0);
        expect(f, space, R0 + 510, 514, R0 + 514, R0 + 1024, F0 + 514);
    }
    expect(f, GUEST, 490, 24, 500, 510, F0 + 500);
    expect(f, GUEST, 510, 100, 514, 600, F0 + 514);
    expect(f, ROOT, R0, 1024, R0, R0 + 1024, F0);
}

static void both_halves_keep_their_families(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x1000, 100, RW), OK);
    assert_int_equal(delegate(f, A, 0x1000, B, 0x2000, 100, RW), OK);
    assert_int_equal(delegate(f, B, 0x2000, GUEST, 0, 100, RW), OK);
    assert_int_equal(revoke(f, ROOT, R0 + 50, 1, false), OK);      /* all are in two pieces now */
    assert_int_equal(revoke(f, A, 0x1000, 20, false), OK);         /* the lower half's children only */
    expect(f, A, 0x1000, 50, 0x1000, 0x1032, F0);
    expect(f, B, 0x2000, 50, 0x2014, 0x2032, F0 + 20);
    expect(f, B, 0x2032, 50, 0x2033, 0x2064, F0 + 51);
    expect(f, GUEST, 0, 50, 20, 50, F0 + 20);
    assert_int_equal(revoke(f, A, 0x1033, 49, true), OK);          /* the upper half with its children */
    expect(f, A, 0x1000, 100, 0x1000, 0x1032, F0);
    expect(f, B, 0x2000, 100, 0x2014, 0x2032, F0 + 20);
    expect(f, GUEST, 0, 100, 20, 50, F0 + 20);
    assert_int_equal(revoke(f, ROOT, R0, 30, false), OK);          /* and what is left of the lower half */
    expect(f, A, 0x1000, 100, 0x101e, 0x1032, F0 + 30);
    expect(f, B, 0x2000, 100, 0x201e, 0x2032, F0 + 30);
    expect(f, GUEST, 0, 100, 30, 50, F0 + 30);
}

static void siblings_with_the_same_frames_are_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 8, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0, B, 0x100, 8, RW), OK);
    assert_int_equal(delegate(f, A, 0x100, GUEST, 0, 8, RW), OK);
    assert_int_equal(delegate(f, B, 0x100, GUEST, 0x10, 8, RW), OK);
    assert_int_equal(revoke(f, A, 0x102, 3, false), OK);
    expect(f, GUEST, 0, 5, 0, 2, F0);
    expect(f, GUEST, 5, 8, 5, 8, F0 + 5);
    expect(f, GUEST, 0x10, 8, 0x10, 0x18, F0);
    expect(f, B, 0x100, 8, 0x100, 0x108, F0);
}

static void revoke_from_one_child_leaves_the_other(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 8, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0, B, 0x100, 8, RW), OK);
    assert_int_equal(delegate(f, A, 0x100, GUEST, 0, 8, RW), OK);
    assert_int_equal(delegate(f, B, 0x100, GUEST, 0x10, 8, RW), OK);
    assert_int_equal(revoke(f, A, 0x100, 8, true), OK);
    expect(f, GUEST, 0, 0x20, 0x10, 0x18, F0);
    expect(f, B, 0x100, 8, 0x100, 0x108, F0);
    expect(f, A, 0x100, 8, 0, 0, 0);
}

static void a_revoke_that_gets_no_memory_takes_nothing(void **state)
{
    struct fixture *f = *state;
    enum status s = STATUS_MEMORY;
    u32 refused = 0;
    assert_int_equal(delegate(f, ROOT, R0, A, R0, 512, RW), OK);
    assert_int_equal(delegate(f, A, R0, B, R0, 512, RW), OK);
    while (s == STATUS_MEMORY) {
        sim_unit_fail(f->w->sim, 1);   /* splits that were made stay, so each try comes one further at the second allocation */
        s = revoke(f, ROOT, R0 + 5, 3, false);
        if (s == STATUS_MEMORY) {
            sim_unit_fail(f->w->sim, 2);
            s = revoke(f, ROOT, R0 + 5, 3, false);
        }
        sim_unit_fail(f->w->sim, 0);
        if (s == OK)
            break;
        assert_int_equal(s, STATUS_MEMORY);
        refused++;
        for (u32 space = A; space <= B; space++)
            expect(f, space, R0, 513, R0, R0 + 512, F0);
    }
    assert_int_equal(s, OK);
    assert_true(refused >= 3);
    for (u32 space = A; space <= B; space++) {
        expect(f, space, R0, 8, R0, R0 + 5, F0);
        expect(f, space, R0 + 8, 504, R0 + 8, R0 + 512, F0 + 8);
    }
}

/* With self the own range is cut too, and that before anything is taken from others. */
static void a_revoke_of_oneself_that_gets_no_memory_takes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x101, 20, RW), OK);
    assert_int_equal(delegate(f, A, 0x105, B, 0x205, 3, RW), OK);
    for (u64 nth = 1; nth <= 2; nth++) {
        sim_unit_fail(f->w->sim, 1);
        assert_int_equal(revoke(f, A, 0x105, 3, true), STATUS_MEMORY);
        sim_unit_fail(f->w->sim, 0);
        expect(f, A, 0x100, 22, 0x101, 0x115, F0);
        expect(f, B, 0x204, 5, 0x205, 0x208, F0 + 4);
        if (nth == 1) {
            sim_unit_fail(f->w->sim, 2);   /* the upper cut is made now, the lower one is not */
            assert_int_equal(revoke(f, A, 0x105, 3, true), STATUS_MEMORY);
            sim_unit_fail(f->w->sim, 0);
            expect(f, B, 0x204, 5, 0x205, 0x208, F0 + 4);
        }
    }
    assert_int_equal(revoke(f, A, 0x105, 3, true), OK);
    expect(f, A, 0x100, 8, 0x101, 0x105, F0);
    expect(f, A, 0x108, 16, 0x108, 0x115, F0 + 7);
    expect(f, B, 0x204, 5, 0, 0, 0);
}

static void a_revoke_at_the_edges_of_a_delegation_needs_no_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0 + 3, A, 0x103, 600, RW), OK);
    assert_int_equal(delegate(f, A, 0x105, B, 0x205, 500, RW), OK);
    const u64 limit = f->w->quota.limit.v;
    f->w->quota.limit.v = 0;   /* whoever holds it has used up everything */
    assert_int_equal(revoke(f, ROOT, R0 + 3, 600, false), OK);
    f->w->quota.limit.v = limit;
    expect(f, A, 0x100, 700, 0, 0, 0);
    expect(f, B, 0x200, 700, 0, 0, 0);
}

static void a_preempted_revoke_makes_progress(void **state)
{
    struct fixture *f = *state;
    u64 left = N0, g;
    u32 restarts = 0;
    enum status s;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x101, N0, RW), OK);
    do {
        core_preempt(f->w);
        s = space_mem_revoke(f->w->cpu, &f->s[ROOT], R0, N0, false, &g);
        u64 now = 0;
        for (u64 p = 0x101; p < 0x101 + N0; p++)
            now += frame_at(f, A, p) != 0;
        assert_true(now < left || s == OK);
        left = now;
        restarts += s == STATUS_RESTART;
    } while (s == STATUS_RESTART);
    core_ipi(f->w, 0);
    assert_int_equal(s, OK);
    assert_int_equal(left, 0);
    assert_true(restarts >= 2);
}

static void a_preempted_clear_goes_on(void **state)
{
    struct fixture *f = *state;
    u64 g;
    u32 restarts = 0;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x101, N0, RW), OK);
    assert_int_equal(delegate(f, A, 0x101, B, 0x101, 10, RW), OK);
    core_preempt(f->w);
    while (space_mem_clear(f->w->cpu, &f->s[A], &g) == STATUS_RESTART)
        assert_true(++restarts < 20);
    core_ipi(f->w, 0);
    assert_true(restarts >= 2);
    expect(f, A, 0x100, N0 + 2, 0, 0, 0);
    expect(f, B, 0x100, 12, 0x101, 0x10b, F0);                     /* lives on */
    assert_int_equal(revoke(f, ROOT, R0 + 4, 2, false), OK);       /* under its parents */
    expect(f, B, 0x101, 6, 0x101, 0x105, F0);
    expect(f, B, 0x105, 6, 0x107, 0x10b, F0 + 6);
}

/* Two delegations side by side: either can be taken back without memory, whoever pays for the child's ranges. */
static void edges_of_earlier_delegations_need_no_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 1, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 1, A, 0x101, 1, RW), OK);
    sim_unit_fail(f->w->sim, 1);
    assert_int_equal(revoke(f, ROOT, R0 + 1, 1, false), OK);
    sim_unit_fail(f->w->sim, 0);
    expect(f, A, 0xff, 4, 0x100, 0x101, F0);
}

static void a_flush_is_asked_of_those_who_may_translate(void **state)
{
    struct fixture *f = *state;
    u64 g;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 4, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 4, B, 0x100, 4, RW), OK);
    f->s[A].cpus.v = bit(1);
    f->s[B].cpus.v = bit(2);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0 + 4, 2, false, &g), OK);   /* B's only */
    assert_int_not_equal(g, 0);
    assert_int_equal(atomic_load(&f->w->kern->tlb_generation), g);
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_int_equal(core_ipi(f->w, i), i == 2);
    assert_false(tlb_complete(g));
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0 + 4, 2, false, &g), OK);   /* executed again: the same answer */
    assert_int_equal(g, atomic_load(&f->w->kern->tlb_generation));
    assert_false(core_ipi(f->w, 2));
    core_trap(f->w, 2);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0 + 4, 2, false, &g), OK);
    assert_int_equal(g, 0);
}

static void one_flush_serves_all_spaces_of_a_step(void **state)
{
    struct fixture *f = *state;
    u64 g;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 4, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0, B, 0x100, 4, RW), OK);
    assert_int_equal(delegate(f, A, 0x100, GUEST, 0, 4, RW), OK);
    f->s[A].cpus.v = bit(1);
    f->s[B].cpus.v = bit(1) | bit(2);
    f->s[GUEST].cpus.v = bit(3);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0, 4, false, &g), OK);
    assert_int_equal(g, 1);
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_int_equal(core_ipi(f->w, i), i > 0);
    for (u32 i = 1; i < CORE_CPUS; i++) {
        assert_false(tlb_complete(g));
        core_trap(f->w, i);
    }
    assert_true(tlb_complete(g));
}

static void no_flush_where_nothing_can_be_cached(void **state)
{
    struct fixture *f = *state;
    u64 g = 77;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 4, RW), OK);
    f->s[ROOT].cpus.v = bit(1);   /* its own rights stay */
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0, N0, false, &g), OK);
    assert_int_equal(g, 0);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0, N0, false, &g), OK);
    assert_int_equal(atomic_load(&f->w->kern->tlb_generation), 0);
}

static void tables_are_freed_after_the_flush(void **state)
{
    struct fixture *f = *state;
    u64 g;
    const u64 before = used(f);
    assert_int_equal(delegate(f, ROOT, R0, A, 0x100, 4, RW), OK);
    f->s[A].cpus.v = bit(1);
    assert_int_equal(space_mem_revoke(f->w->cpu, &f->s[ROOT], R0, 4, false, &g), OK);
    assert_int_equal(used(f), before);                              /* given back at once */
    assert_true(atomic_load(&f->w->kern->quota.used) != 0);         /* though the tables still exist */
    for (u32 round = 0; round < 3; round++)
        for (u32 i = 0; i < CORE_CPUS; i++)
            epoch_quiesce(core_cpu(f->w, i));                      /* epochs pass; CPU 1 has not flushed */
    assert_true(atomic_load(&f->w->kern->quota.used) != 0);
    core_settle(f->w);
    assert_int_equal(atomic_load(&f->w->kern->quota.used), 0);
}

static void other_delegate_hook(void *arg)
{
    struct fixture *f = arg;
    u64 done;
    if (++f->points < f->at || f->other != STATUS_COUNT || !core_unlocked(f->w))
        return;
    core_cpu(f->w, 1);
    f->other = space_mem_delegate(&f->s[A], 0x104, &f->s[B], 0x204, 8, RW, &done);
}

/* CPU 1 delegates across the lower edge of what CPU 0 is revoking in several steps, with self, at many moments. */
static void a_delegation_during_a_revoke_is_before_or_after_it(void **state)
{
    struct fixture *f = *state;
    u32 refused = 0, taken = 0;
    bool acted = true;
    for (f->at = 1; acted; f->at += f->at / 2 + 1) {
        assert_int_equal(delegate(f, ROOT, R0, A, 0x101, N0, RW), OK);
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, other_delegate_hook, f);
        const enum status s = revoke(f, A, 0x108, N0 - 7, true);
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_int_equal(s, OK);
        acted = f->other != STATUS_COUNT;
        expect(f, A, 0x100, N0 + 2, 0x101, 0x108, F0);
        /* What was derived from the part taken is gone, the rest is as the delegation left it. */
        expect(f, B, 0x200, 16, 0x204, f->other == OK ? 0x208 : 0x204, F0 + 3);
        refused += f->other == STATUS_RANGE;
        taken += f->other == OK;
        assert_int_equal(revoke(f, ROOT, R0, N0, false), OK);
        expect(f, B, 0x200, 16, 0, 0, 0);
        core_settle(f->w);
    }
    assert_true(refused && taken > 2);
}

/* The same without self: the delegation may come between the cutting and the taking, over an edge that was not there to be cut. Two
 * ranges are revoked from: one would be taken in one go. */
static void a_delegation_over_a_fresh_edge_is_cut(void **state)
{
    struct fixture *f = *state;
    u32 cut = 0, whole = 0;
    assert_int_equal(delegate(f, ROOT, R0, A, 0x101, 15, RW), OK);
    assert_int_equal(delegate(f, ROOT, R0 + 15, A, 0x110, 17, RW), OK);
    for (f->at = 1; f->at < 30; f->at++) {
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, other_delegate_hook, f);
        const enum status s = revoke(f, A, 0x108, 16, false);
        (void)atomic_load(&f->s[A].cpus);   /* a last point, after the revoke */
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_int_equal(s, OK);
        const bool after = frame_at(f, B, 0x208) != 0;
        if (f->other == OK)
            expect(f, B, 0x200, 16, 0x204, after ? 0x20c : 0x208, F0 + 3);
        expect(f, A, 0x100, 34, 0x101, 0x121, F0);
        cut += f->other == OK && !after;
        whole += f->other == OK && after;
        assert_int_equal(revoke(f, A, 0x101, 32, false), OK);
        core_settle(f->w);
    }
    assert_true(cut >= 2 && whole);   /* before the cutting, after it, after the taking */
}

TEST_GROUP(space_mem_revoke, T(revoke_takes_all_generations), T(revoke_of_part_is_exact_for_every_descendant),
           T(both_halves_keep_their_families), T(siblings_with_the_same_frames_are_apart),
           T(revoke_from_one_child_leaves_the_other), T(a_revoke_that_gets_no_memory_takes_nothing),
           T(a_revoke_of_oneself_that_gets_no_memory_takes_nothing),
           T(a_revoke_at_the_edges_of_a_delegation_needs_no_memory), T(a_preempted_revoke_makes_progress),
           T(a_preempted_clear_goes_on), T(edges_of_earlier_delegations_need_no_memory), T(a_flush_is_asked_of_those_who_may_translate), T(one_flush_serves_all_spaces_of_a_step),
           T(no_flush_where_nothing_can_be_cached), T(tables_are_freed_after_the_flush),
           T(a_delegation_during_a_revoke_is_before_or_after_it), T(a_delegation_over_a_fresh_edge_is_cut));
