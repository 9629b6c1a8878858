/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair groups as a structure: has each its share, does nobody wait longer than sched_fair.h says, does who slept take over, who wins ties, and when is
 * a warp gone? A small driver plays the scheduler: it lets the chosen group run to the end of its slice or to the next event. */
#include "sched_fair.h"
#include "unit.h"

#define MS     1000ul                  /* ticks */
#define GROUPS SC_GROUP_COUNT
#define D      SC_GROUP_DRIVER
#define M      SC_GROUP_MULTIMEDIA
#define A      SC_GROUP_DEFAULT
#define B      SC_GROUP_BACKGROUND

static const u64 weight[GROUPS] = { 10, 5, 5, 1 }, unit[GROUPS] = { 1, 2, 2, 10 };
static const s64 warp[GROUPS] = { 45 * MS, 40 * MS, 20 * MS, 0 };

struct player {
    struct fair f;
    u64 now, end;                      /* of the slice */
    u64 used[GROUPS];
    u32 ready, current;
};

static struct player player(void)
{
    return (struct player){ .f = { .minimum = FAIR_MINIMUM_MS * MS }, .now = 1000 * MS, .current = FAIR_NONE };
}

static void choose(struct player *p)
{
    u64 slice = ~0ul;
    const bool goes_on = p->current != FAIR_NONE && p->ready & bit(p->current);
    p->current = fair_choose(&p->f, p->ready, goes_on ? p->current : FAIR_NONE, p->now, &slice);
    assert_true(p->current == FAIR_NONE ? !p->ready : (p->ready & bit(p->current)) && slice);
    p->end = p->now + min(slice, bit(60));
}

static void get(struct player *p, u32 groups)
{
    p->ready |= groups;
    choose(p);
}

static void lose(struct player *p, u32 groups)
{
    p->ready &= ~groups;
    choose(p);
}

/* Time passes, at most to the end of the slice. */
static void pass(struct player *p, u64 ticks)
{
    p->now += ticks;
    if (p->current == FAIR_NONE)
        return;
    p->used[p->current] += ticks;
    fair_account(&p->f, p->current, ticks);
}

static void run(struct player *p, u64 ticks)
{
    for (const u64 until = p->now + ticks; p->now < until;) {
        const u64 step = min(until, max(p->end, p->now)) - p->now;
        assert_true(step || p->now == p->end);
        pass(p, step);
        if (p->now >= p->end)
            choose(p);
    }
}

/* ---- Shares ---- */

static void assert_shares(struct player *p, const u64 *since, u64 ticks, u32 groups)
{
    u64 sum = 0;
    for (u32 i = 0; i < GROUPS; i++)
        sum += groups & bit(i) ? weight[i] : 0;
    for (u32 i = 0; i < GROUPS; i++) {
        if (!(groups & bit(i)))
            continue;
        const u64 share = ticks * weight[i] / sum, turn = 5 * MS + 50 * MS / unit[i];
        assert_in_range(p->used[i] - since[i] + turn, share, share + 2 * turn);
    }
}

static void shares_are_the_weights(void **state)
{
    for (u32 groups = 1; groups < bit(GROUPS); groups++) {
        struct player p = player();
        const u64 none[GROUPS] = { 0 };
        get(&p, groups);
        for (u64 seconds = 1; seconds <= 20; seconds++) {
            run(&p, 1000 * MS);
            assert_shares(&p, none, seconds * 1000 * MS, groups);
        }
    }
}

/* However often somebody asks in between. */
static void asking_more_often_changes_nothing(void **state)
{
    struct player p = player();
    const u64 none[GROUPS] = { 0 };
    u32 turns = 0, last = FAIR_NONE;
    get(&p, 0xf);
    for (u32 i = 0; i < 100000; i++) {
        run(&p, 77);
        choose(&p);
        turns += p.current != last;
        last = p.current;
    }
    assert_shares(&p, none, 100000 * 77, 0xf);
    assert_in_range(turns, 100000 * 77 / (55 * MS), 100000 * 77 / (5 * MS));
}

/* ---- Sleepers ---- */

static void who_slept_does_not_take_over(void **state)
{
    struct player p = player();
    get(&p, bit(D) | bit(B));
    run(&p, 1000 * MS);
    lose(&p, bit(D));
    run(&p, 60000 * MS);
    assert_int_equal(p.current, B);
    u64 since[GROUPS];
    for (u32 i = 0; i < GROUPS; i++)
        since[i] = p.used[i];
    get(&p, bit(D));
    for (u32 second = 1; second < 10; second++) {
        run(&p, 1000 * MS);
        assert_shares(&p, since, second * 1000 * MS, bit(D) | bit(B));
    }
}

/* Away for 4 ms it has its 40 ms of units to catch up, for more than 5 ms none; never more than 50. */
static void a_short_sleep_is_made_up_for(void **state)
{
    static const struct { u64 away, alone; } rows[] = { { 4, 45 + 5 + 40 }, { 5, 45 + 5 + 50 }, { 6, 45 + 5 }, { 600, 45 + 5 } };
    for (u32 i = 0; i < array_size(rows); i++) {
        struct player p = player();
        get(&p, bit(B));
        run(&p, 100 * MS);
        get(&p, bit(D));
        lose(&p, bit(D));
        run(&p, rows[i].away * MS);
        const u64 before = p.used[B];
        get(&p, bit(D));
        run(&p, min(rows[i].alone, 50ul) * MS - 1);   /* after 50 its warp is gone, and it is ahead or not by what it had to catch up */
        assert_int_equal(p.used[B], before);
        run(&p, 2);
        assert_int_equal(p.current, rows[i].alone - 45 > 50 ? D : B);
    }
}

/* Who has work is suddenly far ahead, as all others have gone: who comes back at once has no more to catch up than that. */
static void nobody_is_further_behind_than_50_ms(void **state)
{
    struct player p = player();
    get(&p, bit(A) | bit(B));
    p.f.group[B].vtime = 300 * MS;
    lose(&p, bit(A));
    get(&p, bit(A));
    assert_int_equal(p.f.group[A].vtime, -50 * (s64)MS);
}

/* Ahead, and away for longer than 5 ms: still ahead. */
static void sleep_forgives_no_debt(void **state)
{
    struct player p = player();
    get(&p, bit(A) | bit(B));
    lose(&p, bit(A));
    run(&p, MS);
    get(&p, bit(A));
    p.f.group[B].vtime = 300 * MS;
    lose(&p, bit(B));
    run(&p, 6 * MS);
    get(&p, bit(B));
    run(&p, 100 * MS);
    assert_int_equal(p.used[B], MS);
}

/* ---- Ties, minimum, warp ---- */

static void ties_go_to_the_newcomer(void **state)
{
    for (s64 more = -1; more <= 1; more++) {
        struct player p = player();
        get(&p, bit(B));
        run(&p, 100 * MS);
        choose(&p);
        p.f.group[A].vtime = warp[A] + more;
        p.f.group[A].left = p.now;
        get(&p, bit(A));
        assert_int_equal(p.current, more > 0 ? B : A);
    }
    /* Nobody runs: the one that waited, the same as the first one by number, and the new one are equal. */
    struct player p = player();
    get(&p, bit(M) | bit(D));
    assert_int_equal(p.current, D);
    run(&p, 6 * MS);
    p.f.group[M].vtime = 0;
    p.f.group[D].vtime = 0;
    p.f.group[A].vtime = warp[A] - warp[M];
    p.f.group[A].left = p.now;
    p.ready = bit(M) | bit(A);
    p.current = FAIR_NONE;
    choose(&p);
    assert_int_equal(p.current, A);
}

static void who_runs_has_its_minimum(void **state)
{
    struct player p = player();
    get(&p, 0xf);
    u64 began = p.now;
    for (u32 i = 0; i < 1000; i++) {
        const u32 before = p.current;
        const u64 warped = p.f.group[before].warped;
        pass(&p, p.end - p.now);
        choose(&p);
        if (p.current == before)
            continue;
        assert_true(p.now - began >= 5 * MS || (warped && !p.f.group[before].warped));
        began = p.now;
    }
}

static void a_warp_lasts_50_ms(void **state)
{
    struct player p = player();
    get(&p, bit(D));
    run(&p, 49 * MS);
    get(&p, bit(A));
    assert_int_equal(p.current, D);   /* 25 ms of units ahead for one more ms */
    run(&p, MS - 1);
    assert_int_equal(p.current, D);
    run(&p, 1);
    assert_int_equal(p.current, A);
    lose(&p, bit(D));
    run(&p, 6 * MS);
    get(&p, bit(D));                  /* any time without work, and it is back */
    assert_int_equal(p.current, D);
    assert_int_equal(p.f.group[D].warped, 50 * MS);
}

/* ---- Whatever numbers come ---- */

static void nothing_wraps(void **state)
{
    for (u32 i = 0; i < GROUPS; i++) {
        struct player p = player();
        get(&p, bit(i));
        for (u32 n = 0; n < 64; n++) {
            pass(&p, ~0ul >> n);
            choose(&p);
            assert_int_equal(p.f.group[i].vtime, 0);
        }
        p.now = 0;   /* the clock goes back */
        get(&p, 0xf);
        run(&p, 1000 * MS);
        for (u32 j = 0; j < GROUPS; j++)
            assert_true(p.used[j]);
        lose(&p, 0xf);
        assert_int_equal(p.current, FAIR_NONE);
        p.f.group[i].vtime = (s64)bit(57);   /* ahead of everything, and alone */
        get(&p, bit(i));
        assert_int_equal(p.current, i);
    }
}

TEST_GROUP(sched_fair, cmocka_unit_test(shares_are_the_weights), cmocka_unit_test(asking_more_often_changes_nothing),
           cmocka_unit_test(who_slept_does_not_take_over), cmocka_unit_test(a_short_sleep_is_made_up_for), cmocka_unit_test(nobody_is_further_behind_than_50_ms), cmocka_unit_test(sleep_forgives_no_debt),
           cmocka_unit_test(ties_go_to_the_newcomer), cmocka_unit_test(who_runs_has_its_minimum), cmocka_unit_test(a_warp_lasts_50_ms),
           cmocka_unit_test(nothing_wraps));
