/* SPDX-License-Identifier: BSD-2-Clause */
/* Are delegate and revoke of capabilities all or nothing, bounded in each step, and right if another CPU is at the same slots in between? */
#include "sm.h"
#include "space_obj.h"
#include "kernel/core_fixture.h"

enum { FROM, TO, SPACES, COUNT = 192, HERE = 64, THERE = 1000 };

struct fixture {
    struct core *w;
    struct space_obj s[SPACES];
    struct object *o;
    /* What the hook does. */
    u32 at, points;
    u64 selector;
    bool fills, acted;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sm *sm;
    u64 done;
    core_setup((void **)&f->w);
    for (u32 i = 0; i < SPACES; i++)
        assert_int_equal(space_obj_init(&f->s[i], &f->w->quota), OK);
    assert_int_equal(sm_create(f->w->cpu, NULL, 0, &sm), OK);
    f->o = &sm->object;
    assert_int_equal(space_obj_insert(&f->s[FROM], 1, f->o), OK);
    for (u32 i = 0; i < COUNT; i++)
        assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[FROM], HERE + i, 1, PERM_ALL, &done), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    sim_unit_hook(w->sim, NULL, NULL);
    core_ipi(w, 0);
    for (u32 i = 0; i < SPACES; i++) {
        assert_int_equal(space_obj_clear(w->cpu, &f->s[i]), OK);
        space_obj_destroy(&f->s[i]);
    }
    free(f);
    return core_teardown((void **)&w);
}

static bool held(struct fixture *f, u32 space, u64 selector)
{
    u32 type, perms;
    return space_obj_peek(&f->s[space], selector, &type, &perms);
}

static u32 held_there(struct fixture *f, u64 target)
{
    u32 n = 0;
    for (u64 i = 0; i < COUNT; i++)
        n += held(f, TO, target + i);
    return n;
}

static enum status delegate(struct fixture *f, u64 target, u64 *done)
{
    return space_obj_delegate(&f->s[FROM], HERE, &f->s[TO], target, COUNT, PERM_ALL, done);
}

static void make_leaves(struct fixture *f)
{
    for (u64 i = 0; i < COUNT + OBJ_LEAF_SLOTS; i += OBJ_LEAF_SLOTS)
        assert_int_equal(space_obj_reserve(&f->s[TO], THERE + i, &(struct cap_slot *){ NULL }), OK);
}

/* One slot that is in the way, or missing, wherever it is: nothing is delegated. */
static void one_slot_stops_all(void **state)
{
    struct fixture *f = *state;
    u64 done;
    make_leaves(f);
    for (u64 i = 0; i < COUNT; i++) {
        assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], THERE + i, 1, PERM_ALL, &done), OK);
        assert_int_equal(delegate(f, THERE, &done), STATUS_EXISTS);
        assert_int_equal(done, 0);
        assert_int_equal(held_there(f, THERE), 1);
        assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[TO], THERE + i, 1, true), OK);
        assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[FROM], HERE + i, 1, true), OK);
        assert_int_equal(delegate(f, THERE, &done), STATUS_RANGE);
        assert_int_equal(held_there(f, THERE), 0);
        assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[FROM], HERE + i, 1, PERM_ALL, &done), OK);
    }
}

static void leaves_are_made_one_by_one(void **state)
{
    struct fixture *f = *state;
    u64 done;
    const u64 used = atomic_load(&f->w->quota.used);
    core_preempt(f->w);
    assert_int_equal(delegate(f, THERE, &done), STATUS_RESTART);
    assert_int_equal(done, 0);
    assert_int_equal(atomic_load(&f->w->quota.used), used + PAGE_SIZE);
}

/* No memory: said so, although an interrupt waits. To be executed again would end never. */
static void no_memory_is_no_restart(void **state)
{
    struct fixture *f = *state;
    u64 done;
    core_preempt(f->w);
    sim_unit_fail(f->w->sim, 1);
    assert_int_equal(delegate(f, THERE, &done), STATUS_MEMORY);
}

static void steps_are_bounded(void **state)
{
    struct fixture *f = *state;
    u64 done;
    make_leaves(f);
    core_preempt(f->w);
    assert_int_equal(delegate(f, THERE, &done), STATUS_RESTART);
    assert_in_range(done, 1, 64);
    assert_int_equal(held_there(f, THERE), done);
}

/* One capability with many descendants is as long as many capabilities. */
static void a_large_family_is_revoked_in_steps(void **state)
{
    struct fixture *f = *state;
    u32 restarts = 0, left = COUNT;
    core_preempt(f->w);
    while (space_obj_revoke(f->w->cpu, &f->s[FROM], 1, 1, true) == STATUS_RESTART) {
        u32 now = 0;
        for (u64 i = 0; i < COUNT; i++)
            now += held(f, FROM, HERE + i);
        assert_true(now < left && left - now <= 64);
        assert_true(held(f, FROM, 1));
        left = now;
        restarts++;
    }
    assert_int_equal(restarts, 3);   /* the capability itself is in a step of its own */
    assert_false(held(f, FROM, 1));
}

/* Far behind the end: refused, not looked up. */
static void ranges_behind_the_end(void **state)
{
    struct fixture *f = *state;
    u64 done;
    static const u64 behind[] = { SEL_COUNT, SEL_COUNT + 1, SEL_COUNT + 64, 4 * SEL_COUNT, bit(40), ~0ul };
    for (u32 i = 0; i < array_size(behind); i++) {
        assert_int_equal(space_obj_delegate(&f->s[FROM], behind[i], &f->s[TO], 1, 1, PERM_ALL, &done), STATUS_ARG);
        assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], behind[i], 1, PERM_ALL, &done), STATUS_ARG);
        assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[FROM], behind[i], 1, true), STATUS_ARG);
    }
    assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], SEL_COUNT - 1, 1, PERM_ALL, &done), OK);
    assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], SEL_COUNT - 1, 2, PERM_ALL, &done), STATUS_ARG);
}

/* Another CPU empties a source slot, or fills a target slot, at every point where it could. */
static void act(void *arg)
{
    struct fixture *const f = arg;
    u64 done;
    if (f->points++ < f->at || f->acted || !core_unlocked(f->w))
        return;
    f->acted = true;
    struct cpu *const other = core_cpu(f->w, 1);
    if (f->fills)
        (void)!space_obj_delegate(&f->s[FROM], 1, &f->s[TO], f->selector, 1, PERM_EC_SC, &done);
    else
        assert_int_equal(space_obj_revoke(other, &f->s[FROM], f->selector, 1, true), OK);
    core_cpu(f->w, 0);
}

static void meanwhile(struct fixture *f, bool fills, u64 selector, enum status expected)
{
    u32 stopped = 0;
    u64 done;
    make_leaves(f);
    f->fills = fills;
    f->selector = selector;
    for (f->at = 0, f->acted = true; f->acted; f->at += 7) {
        f->points = 0;
        f->acted = false;
        sim_unit_hook(f->w->sim, act, f);
        const enum status st = delegate(f, THERE, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_true(st == OK || st == expected);
        stopped += st != OK;
        assert_int_equal(held_there(f, THERE), done + (fills && st != OK));
        if (!fills && f->acted)
            assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[FROM], selector, 1, PERM_ALL, &done), OK);
        assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[TO], THERE, COUNT, true), OK);
        core_settle(f->w);
    }
    assert_true(stopped > 2);
}

static void a_source_is_emptied_meanwhile(void **state)
{
    meanwhile(*state, false, HERE + COUNT - 1, STATUS_RANGE);
}

static void a_target_is_filled_meanwhile(void **state)
{
    meanwhile(*state, true, THERE + COUNT - 1, STATUS_EXISTS);
}

static void empty_leaves_are_passed_in_steps(void **state)
{
    struct fixture *f = *state;
    struct cap_slot *slot;
    u32 restarts = 0;
    for (u64 i = 0; i < 20; i++)
        assert_int_equal(space_obj_reserve(&f->s[TO], i * OBJ_LEAF_SLOTS, &slot), OK);
    core_preempt(f->w);
    while (space_obj_clear(f->w->cpu, &f->s[TO]) == STATUS_RESTART)
        restarts++;
    core_ipi(f->w, 0);
    assert_int_equal(restarts, 2);
}

/* Another CPU fills a slot again whenever it is empty, as threads that still send each other capabilities can. */
static void fill(void *arg)
{
    struct fixture *const f = arg;
    u64 done;
    if (f->points++ == 5000)
        core_preempt(f->w);
    if (f->acted || held(f, TO, 1) || !core_unlocked(f->w))
        return;
    f->acted = true;   /* not from within itself */
    assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], 1, 1, PERM_ALL, &done), OK);
    f->acted = false;
}

static void whoever_fills_it_again_does_not_hold_up_the_end(void **state)
{
    struct fixture *f = *state;
    u64 done;
    assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], 1, 1, PERM_ALL, &done), OK);
    assert_int_equal(space_obj_delegate(&f->s[FROM], 1, &f->s[TO], 2 * OBJ_LEAF_SLOTS, 1, PERM_ALL, &done), OK);
    sim_unit_hook(f->w->sim, fill, f);
    assert_int_equal(space_obj_clear(f->w->cpu, &f->s[TO]), OK);
    sim_unit_hook(f->w->sim, NULL, NULL);
    assert_true(held(f, TO, 1));
    assert_false(held(f, TO, 2 * OBJ_LEAF_SLOTS));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(space_obj_steps, T(one_slot_stops_all), T(leaves_are_made_one_by_one), T(no_memory_is_no_restart), T(steps_are_bounded),
           T(a_large_family_is_revoked_in_steps), T(ranges_behind_the_end), T(a_source_is_emptied_meanwhile), T(a_target_is_filled_meanwhile),
           T(empty_leaves_are_passed_in_steps), T(whoever_fills_it_again_does_not_hold_up_the_end));
