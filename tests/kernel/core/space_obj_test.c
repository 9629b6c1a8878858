/* SPDX-License-Identifier: BSD-2-Clause */
/* Does every right come from the one who had it, and go with it, whoever looks at the same time? */
#include "space_obj.h"
#include "kernel/core_fixture.h"
#include "sm.h"

#define SPACES 4u

struct fixture {
    struct core *w;
    struct space_obj s[SPACES];
    struct object *o[2];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    core_setup((void **)&f->w);
    for (u32 i = 0; i < SPACES; i++)
        assert_int_equal(space_obj_init(&f->s[i], &f->w->quota), OK);
    for (u32 i = 0; i < 2; i++) {
        struct sm *sm;
        assert_int_equal(sm_create(f->w->cpu, NULL, 0, &sm), OK);
        f->o[i] = &sm->object;
    }
    assert_int_equal(space_obj_insert(&f->s[0], 5, f->o[0]), OK);
    assert_int_equal(space_obj_insert(&f->s[0], 6, f->o[1]), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    for (u32 i = 0; i < SPACES; i++) {
        assert_int_equal(space_obj_clear(w->cpu, &f->s[i]), OK);
        space_obj_destroy(&f->s[i]);
    }
    free(f);
    return core_teardown((void **)&w);
}

static enum status look(struct fixture *f, u32 space, u64 selector, u32 perms)
{
    struct object *o = NULL;
    const enum status s = space_obj_lookup(&f->s[space], selector, OBJ_SM, perms, &o);
    assert_int_equal(s == OK, o != NULL);
    return s;
}

static enum status delegate(struct fixture *f, u32 from, u64 selector, u32 to, u64 target, u64 count, u32 perms)
{
    u64 done = 0;
    const enum status s = space_obj_delegate(&f->s[from], selector, &f->s[to], target, count, perms, &done);
    assert_int_equal(s == OK, count && done == count);
    return s;
}

/* How many slots of a space hold something. */
static u32 held(struct fixture *f, u32 space)
{
    u32 n = 0, type, perms;
    for (u64 i = 0; i < SEL_COUNT; i++)
        n += space_obj_peek(&f->s[space], i, &type, &perms);
    return n;
}

static u64 refs(struct fixture *f, u32 i)
{
    return atomic_load(&f->o[i]->refs);
}

static void lookup_gives_every_status(void **state)
{
    struct fixture *f = *state;
    struct object *o = NULL;
    assert_int_equal(space_obj_lookup(&f->s[0], 5, OBJ_SM, PERM_SM_UP | PERM_SM_DOWN, &o), OK);
    assert_ptr_equal(o, f->o[0]);
    o = NULL;
    assert_int_equal(space_obj_lookup(&f->s[0], 5, OBJ_EC, 0, &o), STATUS_CAP);                /* another type */
    assert_int_equal(space_obj_lookup(&f->s[0], 7, OBJ_SM, 0, &o), STATUS_CAP);                /* an empty slot */
    assert_int_equal(space_obj_lookup(&f->s[0], 1000, OBJ_SM, 0, &o), STATUS_CAP);             /* no leaf */
    assert_int_equal(space_obj_lookup(&f->s[0], SEL_COUNT, OBJ_SM, 0, &o), STATUS_CAP);
    assert_int_equal(space_obj_lookup(&f->s[0], SEL_NULL, OBJ_SM, 0, &o), STATUS_CAP);
    assert_int_equal(space_obj_lookup(&f->s[0], ~0ul, OBJ_SM, 0, &o), STATUS_CAP);
    assert_int_equal(delegate(f, 0, 5, 1, 5, 1, PERM_SM_UP), OK);
    assert_int_equal(space_obj_lookup(&f->s[1], 5, OBJ_SM, PERM_SM_UP | PERM_SM_DOWN, &o), STATUS_PERM);   /* all of them */
    assert_int_equal(space_obj_lookup(&f->s[1], 5, OBJ_EC, PERM_SM_DOWN, &o), STATUS_CAP);     /* the type first */
    assert_null(o);
    assert_int_equal(space_obj_lookup(&f->s[1], 5, OBJ_SM, PERM_SM_UP, &o), OK);
}

static void peek_tells_type_and_permissions(void **state)
{
    struct fixture *f = *state;
    u32 type = 77, perms = 77;
    assert_true(space_obj_peek(&f->s[0], 5, &type, &perms));
    assert_int_equal(type, OBJ_SM);
    assert_int_equal(perms, PERM_ALL);
    type = perms = 77;
    assert_false(space_obj_peek(&f->s[0], 7, &type, &perms));
    assert_false(space_obj_peek(&f->s[0], 5000, &type, &perms));
    assert_false(space_obj_peek(&f->s[0], ~0ul, &type, &perms));
    assert_int_equal(type, 77);
}

static void insert_into_a_held_slot_leaves_the_reference(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(space_obj_insert(&f->s[0], 5, f->o[1]), STATUS_EXISTS);
    assert_int_equal(space_obj_insert(&f->s[0], SEL_COUNT, f->o[1]), STATUS_ARG);
    assert_int_equal(refs(f, 1), 1);
    struct object *o;
    assert_int_equal(space_obj_lookup(&f->s[0], 5, OBJ_SM, 0, &o), OK);
    assert_ptr_equal(o, f->o[0]);
}

static void reserve_makes_insert_safe(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(space_obj_reserve(&f->s[0], 5, &(struct cap_slot *){ NULL }), STATUS_EXISTS);
    assert_int_equal(space_obj_reserve(&f->s[0], SEL_COUNT, &(struct cap_slot *){ NULL }), STATUS_ARG);
    sim_unit_fail(f->w->sim, 1);
    assert_int_equal(space_obj_reserve(&f->s[1], 100, &(struct cap_slot *){ NULL }), STATUS_MEMORY);
    const u64 limit = f->w->quota.limit.v;
    f->w->quota.limit.v = f->w->quota.used.v;
    assert_int_equal(space_obj_reserve(&f->s[1], 100, &(struct cap_slot *){ NULL }), STATUS_QUOTA);
    f->w->quota.limit.v = limit;
    assert_int_equal(space_obj_reserve(&f->s[1], 100, &(struct cap_slot *){ NULL }), OK);
    f->w->quota.limit.v = f->w->quota.used.v;
    object_ref(f->o[0]);
    assert_int_equal(space_obj_insert(&f->s[1], 100, f->o[0]), OK);
    f->w->quota.limit.v = limit;
}

static void delegate_copies_and_cuts(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, 0, 5, 1, 70, 2, PERM_SM_UP), OK);
    assert_int_equal(refs(f, 0), 2);
    assert_int_equal(look(f, 1, 70, PERM_SM_UP), OK);
    assert_int_equal(look(f, 1, 71, PERM_SM_UP), OK);
    assert_int_equal(look(f, 1, 70, PERM_SM_DOWN), STATUS_PERM);
    assert_int_equal(delegate(f, 1, 70, 2, 1, 1, PERM_ALL), OK);   /* asks for more than is there */
    assert_int_equal(look(f, 2, 1, PERM_SM_UP), OK);
    assert_int_equal(look(f, 2, 1, PERM_SM_DOWN), STATUS_PERM);
    assert_int_equal(refs(f, 0), 3);
    assert_int_equal(delegate(f, 0, 5, 0, 10, 1, PERM_ALL), OK);   /* inside one space */
    assert_int_equal(look(f, 0, 10, PERM_SM_DOWN), OK);
}

static void a_delegate_that_fails_its_checks_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct { u64 selector, target, count; u32 perms; enum status status; } table[] = {
        { SEL_COUNT, 0, 1, 1, STATUS_ARG },     { 5, SEL_COUNT, 1, 1, STATUS_ARG }, { 5, 0, SEL_COUNT - 4, 1, STATUS_ARG },
        { 5, 0, ~0ul, 1, STATUS_ARG },          { 5, 0, 1, 0x20, STATUS_ARG },      { 4, 0, 2, 1, STATUS_RANGE },
        { 5, 0, 3, 1, STATUS_RANGE },           { 5, 8, 2, 1, STATUS_EXISTS },      { 5, 9, 1, 1, STATUS_EXISTS },
        { 1000, 0, 1, 1, STATUS_RANGE },
        { 5, 20, 0, 1, STATUS_ARG },
    };
    assert_int_equal(delegate(f, 0, 5, 1, 9, 1, PERM_ALL), OK);
    for (u32 i = 0; i < array_size(table); i++) {
        assert_int_equal(delegate(f, 0, table[i].selector, 1, table[i].target, table[i].count, table[i].perms), table[i].status);
        assert_int_equal(held(f, 1), 1);
        assert_int_equal(refs(f, 0), 2);
        assert_int_equal(refs(f, 1), 1);
    }
}

/* 200 capabilities in a row, over four leaves. */
static void fill(struct fixture *f, u32 space, u64 first)
{
    for (u64 i = 0; i < 200; i++) {
        object_ref(f->o[0]);
        assert_int_equal(space_obj_insert(&f->s[space], first + i, f->o[0]), OK);
    }
}

static void a_delegate_that_gets_no_leaf_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fill(f, 0, 100);
    enum status s = STATUS_MEMORY;
    u32 tries = 0;
    while (s == STATUS_MEMORY) {
        sim_unit_fail(f->w->sim, 1);   /* the leaves of earlier tries stay */
        s = delegate(f, 0, 100, 1, 120, 200, PERM_ALL);
        sim_unit_fail(f->w->sim, 0);
        assert_int_equal(held(f, 1), s == OK ? 200 : 0);
        if (s == OK)
            break;
        sim_unit_fail(f->w->sim, 2);   /* one more leaf each time */
        s = delegate(f, 0, 100, 1, 120, 200, PERM_ALL);
        sim_unit_fail(f->w->sim, 0);
        assert_int_equal(held(f, 1), s == OK ? 200 : 0);
        tries++;
    }
    assert_true(tries >= 3);
    assert_int_equal(refs(f, 0), 401);
}

static void a_preempted_delegate_goes_on(void **state)
{
    struct fixture *f = *state;
    fill(f, 0, 100);
    u64 done = 0, total = 0;
    u32 restarts = 0;
    for (;;) {
        core_preempt(f->w);
        const enum status s = space_obj_delegate(&f->s[0], 100 + total, &f->s[1], 120 + total, 200 - total, PERM_ALL, &done);
        total += done;
        assert_int_equal(held(f, 1), total);
        if (s == OK)
            break;
        assert_int_equal(s, STATUS_RESTART);
        assert_true(++restarts < 20);
    }
    assert_true(core_ipi(f->w, 0));
    assert_int_equal(total, 200);
    assert_true(restarts >= 3);
}

/* 0:5 -> 1:1 -> 2:1 -> 3:1, 0:5 -> 1:2, 0:6 -> 1:3 */
static void family(struct fixture *f)
{
    assert_int_equal(delegate(f, 0, 5, 1, 1, 1, PERM_ALL), OK);
    assert_int_equal(delegate(f, 1, 1, 2, 1, 1, PERM_ALL), OK);
    assert_int_equal(delegate(f, 2, 1, 3, 1, 1, PERM_ALL), OK);
    assert_int_equal(delegate(f, 0, 5, 1, 2, 1, PERM_ALL), OK);
    assert_int_equal(delegate(f, 0, 6, 1, 3, 1, PERM_ALL), OK);
}

static void revoke_takes_what_was_derived_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    family(f);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[2], 1, 1, false), OK);
    assert_int_equal(held(f, 3), 0);
    assert_int_equal(look(f, 2, 1, 0), OK);
    assert_int_equal(delegate(f, 2, 1, 3, 1, 1, PERM_ALL), OK);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[1], 1, 1, false), OK);
    assert_int_equal(held(f, 2) + held(f, 3), 0);
    assert_int_equal(held(f, 1), 3);   /* itself, its sibling, the other object's */
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 5, 1, false), OK);
    assert_int_equal(held(f, 1), 1);
    assert_int_equal(look(f, 1, 3, 0), OK);
    assert_int_equal(look(f, 0, 5, 0), OK);
    assert_int_equal(refs(f, 0), 1);
    assert_int_equal(refs(f, 1), 2);
}

static void revoke_self_takes_the_slot_too(void **state)
{
    struct fixture *f = *state;
    family(f);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[1], 1, 1, true), OK);
    assert_int_equal(look(f, 1, 1, 0), STATUS_CAP);
    assert_int_equal(held(f, 2) + held(f, 3), 0);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 0, SEL_COUNT, true), OK);
    for (u32 i = 0; i < SPACES; i++)
        assert_int_equal(held(f, i), 0);
    assert_true(f->w->kern->quota.used.v != 0);
    core_settle(f->w);
    assert_int_equal(f->w->kern->quota.used.v, 0);   /* the objects went with their last capability */
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 0, SEL_COUNT, true), OK);   /* nothing there */
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 1, SEL_COUNT, true), STATUS_ARG);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], SEL_COUNT, 1, true), STATUS_ARG);
}

static void a_preempted_revoke_makes_progress(void **state)
{
    struct fixture *f = *state;
    for (u64 i = 0; i < 300; i++)
        assert_int_equal(delegate(f, 0, 5, 1, i, 1, PERM_ALL), OK);
    u32 before = 300, restarts = 0;
    enum status s;
    do {
        core_preempt(f->w);
        s = space_obj_revoke(f->w->cpu, &f->s[0], 0, SEL_COUNT, false);
        const u32 now = held(f, 1);
        assert_true(now < before || s == OK);
        before = now;
        restarts += s == STATUS_RESTART;
    } while (s == STATUS_RESTART);
    core_ipi(f->w, 0);
    assert_int_equal(s, OK);
    assert_int_equal(before, 0);
    assert_true(restarts >= 4);
}

static void a_chain_of_any_length_is_revoked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(delegate(f, 0, 5, 1, 0, 1, PERM_ALL), OK);
    for (u64 i = 0; i < 3000; i++)
        assert_int_equal(delegate(f, 1 + i % 2, i / 2, 2 - i % 2, (i + 1) / 2, 1, PERM_ALL), OK);
    assert_int_equal(refs(f, 0), 3002);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 5, 1, false), OK);
    assert_int_equal(refs(f, 0), 1);
}

static void what_was_derived_from_a_dead_space_lives_under_its_parents(void **state)
{
    struct fixture *f = *state;
    family(f);
    assert_int_equal(space_obj_clear(f->w->cpu, &f->s[1]), OK);
    assert_int_equal(held(f, 1), 0);
    assert_int_equal(look(f, 2, 1, 0), OK);
    assert_int_equal(look(f, 3, 1, 0), OK);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 6, 1, false), OK);   /* the other family */
    assert_int_equal(held(f, 2) + held(f, 3), 2);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 5, 1, false), OK);
    assert_int_equal(held(f, 2) + held(f, 3), 0);
}

static void originals_of_a_dead_space_go_with_what_was_derived(void **state)
{
    struct fixture *f = *state;
    family(f);
    assert_int_equal(space_obj_clear(f->w->cpu, &f->s[0]), OK);
    for (u32 i = 0; i < SPACES; i++)
        assert_int_equal(held(f, i), 0);
    core_settle(f->w);
    assert_int_equal(f->w->kern->quota.used.v, 0);   /* nobody names the objects any more */
}

static void clear_is_bounded(void **state)
{
    struct fixture *f = *state;
    fill(f, 1, 100);
    static const u32 cleared[] = { 2, 2, 3, 5 };   /* goes on where it was; a full leaf is looked at again, as it may have been more */
    u32 restarts = 0;
    core_preempt(f->w);
    for (; space_obj_clear(f->w->cpu, &f->s[1]) == STATUS_RESTART; restarts++)
        assert_int_equal(f->s[1].cleared, cleared[restarts % array_size(cleared)]);
    core_ipi(f->w, 0);
    assert_int_equal(restarts, 4);   /* once per leaf that held anything */
    assert_int_equal(f->s[1].cleared, 0);
    assert_int_equal(held(f, 1), 0);
    assert_int_equal(refs(f, 0), 1);
}

/* CPU 1 looks up at each point of CPU 0's revoke and uses what it found until the end of its trap. */
struct reader {
    struct fixture *f;
    u32 found, gone;
    struct object *o;
};

static void reader_hook(void *arg)
{
    struct reader *r = arg;
    struct object *o;
    core_cpu(r->f->w, 1);
    const enum status s = space_obj_lookup(&r->f->s[0], 5, OBJ_SM, PERM_SM_UP, &o);   /* the last one to go */
    assert_true(s == OK || s == STATUS_CAP);
    assert_true(s == STATUS_CAP || !r->gone);   /* once gone, gone */
    r->found += s == OK;
    r->gone += s == STATUS_CAP;
    if (s == OK) {
        r->o = o;
        assert_int_equal(atomic_load(&o->refs) >> 63, 0);   /* not waiting for its end while it can still be found */
    }
    if (r->o)
        assert_int_equal(r->o->type, OBJ_SM);   /* readable: it has been found in this trap */
}

static void lookup_during_revoke_finds_it_or_not(void **state)
{
    struct fixture *f = *state;
    struct reader r = { .f = f };
    family(f);
    sim_unit_hook(f->w->sim, reader_hook, &r);
    assert_int_equal(space_obj_revoke(f->w->cpu, &f->s[0], 5, 1, true), OK);
    /* Everybody but the reader leaves the kernel. */
    for (u32 i = 0; i < 5; i++)
        epoch_quiesce(f->w->cpu), epoch_quiesce(f->w->kern->cpu[2]), epoch_quiesce(f->w->kern->cpu[3]);
    sim_unit_hook(f->w->sim, NULL, NULL);
    assert_true(r.found > 3 && r.gone > 3);
    assert_int_equal(memory_state_of(f->w, mach_virt_to_phys(r.o)), MEM_LIVE);
    core_settle(f->w);
    assert_int_equal(memory_state_of(f->w, mach_virt_to_phys(r.o)), MEM_FREE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

TEST_GROUP(space_obj, T(lookup_gives_every_status), T(peek_tells_type_and_permissions), T(insert_into_a_held_slot_leaves_the_reference),
           T(reserve_makes_insert_safe), T(delegate_copies_and_cuts), T(a_delegate_that_fails_its_checks_changes_nothing),
           T(a_delegate_that_gets_no_leaf_changes_nothing), T(a_preempted_delegate_goes_on),
           T(revoke_takes_what_was_derived_and_nothing_else), T(revoke_self_takes_the_slot_too), T(a_preempted_revoke_makes_progress),
           T(a_chain_of_any_length_is_revoked), T(what_was_derived_from_a_dead_space_lives_under_its_parents),
           T(originals_of_a_dead_space_go_with_what_was_derived), T(clear_is_bounded),
           T(lookup_during_revoke_finds_it_or_not));
