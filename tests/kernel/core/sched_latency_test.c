/* SPDX-License-Identifier: BSD-2-Clause */
/* The latency bound of fair groups as a property: over random workloads, does a group that gets work ever wait longer than sched_fair.h says, for each
 * other group and in all? A failure names the seed; where one fails the shortest workload of that seed is looked for. */
#include "sched_fair.h"
#include <stdio.h>
#include "unit.h"

#define MS      1000ul
#define GROUPS  SC_GROUP_COUNT
#define RUNS    400u
#define EVENTS  400u
#define MINIMUM ((s64)(FAIR_MINIMUM_MS * MS))
#define SLACK   4u                     /* ticks: slices are whole ones */

static const s64 unit[GROUPS] = { 1, 2, 2, 10 }, warp[GROUPS] = { 45 * MS, 40 * MS, 20 * MS, 0 };
static const u64 total[GROUPS] = { 0, 10 * MS, 45 * MS, 90 * MS };   /* with nobody behind, and not ahead itself */
static const u64 more[GROUPS] = { 50 * MS, 28 * MS, 25 * MS, 8 * MS };   /* for each other one that is behind */

struct workload {
    struct fair f;
    u64 seed, now, end;
    bool long_sleeps;                  /* nobody comes back within 5 ms: nobody is behind */
    u32 ready, current;
    u64 work[GROUPS], wakes[GROUPS];   /* ticks it still wants to run; when it gets work */
    u64 used[GROUPS];
    u32 waiting, level;                /* groups that got work and have not run since; of them those that were not ahead */
    u32 met;                           /* of these, that had to wait */
    u64 got[GROUPS], base[GROUPS][GROUPS], bound[GROUPS][GROUPS];
    char why[160];
};

static u64 pick(struct workload *w, u64 below)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed % below;
}

/* Short and long ones, and some that meet round numbers. */
static u64 duration(struct workload *w)
{
    static const u64 most[] = { 1, 5, 10, 60, 300 };
    const u64 ms = most[pick(w, array_size(most))];
    return pick(w, 4) ? 1 + pick(w, ms * MS) : ms * MS;
}

static s64 effective(const struct workload *w, u32 i)
{
    return w->f.group[i].vtime - (w->f.group[i].warped ? warp[i] : 0);
}

/* i has just got work: how long may each other one run before it? */
static void note_arrival(struct workload *w, u32 i)
{
    w->waiting |= bit(i);
    w->got[i] = w->now;
    w->level = (w->level & ~(u32)bit(i)) | (w->f.group[i].vtime <= 0 ? (u32)bit(i) : 0);
    w->met += w->level & bit(i) && w->current != i;
    for (u32 j = 0; j < GROUPS; j++) {
        const s64 ahead = effective(w, i) - w->f.group[j].vtime + warp[j];
        w->base[i][j] = w->used[j];
        w->bound[i][j] = ahead < 0 ? 0 : (u64)(MINIMUM + ahead / unit[j]) + SLACK;
    }
}

static void check(struct workload *w)
{
    for (u32 i = 0; i < GROUPS; i++) {
        if (!(w->waiting & bit(i)))
            continue;
        for (u32 j = 0; j < GROUPS; j++)
            if (j != i && w->used[j] - w->base[i][j] > w->bound[i][j])
                snprintf(w->why, sizeof(w->why), "group %u waits while %u runs for %lu ticks, bound %lu", i, j, w->used[j] - w->base[i][j], w->bound[i][j]);
        u64 most = total[i] + SLACK;
        for (u32 j = 0; j < GROUPS; j++)
            most += w->long_sleeps || j == i ? 0 : more[j];
        if (w->level & bit(i) && w->now - w->got[i] > most)
            snprintf(w->why, sizeof(w->why), "group %u waits for %lu ticks, bound %lu", i, w->now - w->got[i], most);
    }
}

static void choose(struct workload *w)
{
    u64 slice = 0;
    const u32 before = w->f.ready;
    const bool goes_on = w->current != FAIR_NONE && w->ready & bit(w->current);
    w->current = fair_choose(&w->f, w->ready, goes_on ? w->current : FAIR_NONE, w->now, &slice);
    w->end = w->now + slice;
    for (u32 i = 0; i < GROUPS; i++)
        if (w->ready & ~before & bit(i))
            note_arrival(w, i);
    w->waiting &= w->ready & ~(w->current == FAIR_NONE ? 0 : (u32)bit(w->current));
}

static void sleeps(struct workload *w, u32 i)
{
    w->ready &= ~bit(i);
    w->wakes[i] = w->now + duration(w) + (w->long_sleeps ? 5 * MS : 0);
}

/* To the next thing that happens. */
static void step(struct workload *w)
{
    u64 next = ~0ul;
    for (u32 i = 0; i < GROUPS; i++)
        if (!(w->ready & bit(i)))
            next = min(next, w->wakes[i]);
    if (w->current != FAIR_NONE)
        next = min(next, min(w->end, w->now + w->work[w->current]));
    if (!pick(w, 8))
        next = min(next, w->now + pick(w, 3 * MS));   /* somebody asks for no reason */
    const u64 ticks = max(next, w->now) - w->now;
    w->now += ticks;
    if (w->current != FAIR_NONE) {
        w->used[w->current] += ticks;
        w->work[w->current] -= ticks;
        fair_account(&w->f, w->current, ticks);
        if (!w->work[w->current])
            sleeps(w, w->current);
    }
    check(w);
    for (u32 i = 0; i < GROUPS; i++) {
        if (w->ready & bit(i) || w->wakes[i] > w->now)
            continue;
        w->ready |= bit(i);
        w->work[i] = duration(w);
    }
    choose(w);
}

/* How many events until it goes wrong; 0: it does not. */
static u32 goes_wrong(u64 seed, bool long_sleeps, u32 events, char *why, u32 *met)
{
    struct workload w = { .f = { .minimum = FAIR_MINIMUM_MS * MS }, .seed = seed, .now = 1000 * MS, .long_sleeps = long_sleeps, .current = FAIR_NONE };
    for (u32 i = 0; i < GROUPS; i++)
        w.wakes[i] = w.now + pick(&w, 20 * MS);
    for (u32 n = 1; n <= events; n++) {
        step(&w);
        if (w.why[0]) {
            snprintf(why, sizeof(w.why), "%s", w.why);
            return n;
        }
    }
    *met += w.met;
    return 0;
}

static void bounded(bool long_sleeps)
{
    u64 worst = 0;
    u32 shortest = EVENTS, met = 0;
    char why[160] = "";
    for (u64 seed = 1; seed <= RUNS; seed++) {
        const u32 n = goes_wrong(seed * 0x9e3779b97f4a7c15, long_sleeps, shortest, why, &met);
        if (!n)
            continue;
        shortest = n - 1;
        worst = seed;
    }
    if (worst)
        fail_msg("seed %lu, event %u: %s", worst, shortest + 1, why);
    assert_true(met > RUNS);   /* the property has been tried */
}

static void nobody_waits_longer_than_each_other_group_may_run(void **state)
{
    bounded(false);
}

static void nobody_waits_longer_in_all_than_the_table_says(void **state)
{
    bounded(true);
}

TEST_GROUP(sched_latency, cmocka_unit_test(nobody_waits_longer_than_each_other_group_may_run),
           cmocka_unit_test(nobody_waits_longer_in_all_than_the_table_says));
