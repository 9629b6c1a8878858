/* SPDX-License-Identifier: BSD-2-Clause */
/* Is an object destroyed exactly once, on its own CPU, and never while somebody who found it may still use it? */
#include "object.h"
#include "ec.h"
#include "kernel/core_fixture.h"
#include "pd.h"
#include "portal.h"
#include "sm.h"

/* A semaphore of the kernel's own: the simplest real object. */
static struct object *make(struct core *w)
{
    struct sm *sm;
    assert_int_equal(sm_create(w->cpu, NULL, 0, &sm), OK);
    return &sm->object;
}

static bool lives(struct core *w)
{
    return atomic_load(&w->kern->quota.used) != 0;
}

static void lives_until_the_last_reference_and_an_epoch(void **state)
{
    struct core *w = *state;
    struct object *o = make(w);
    object_ref(o);
    object_unref(w->cpu, o);
    core_settle(w);
    assert_true(lives(w));
    object_unref(w->cpu, o);
    assert_true(lives(w));
    for (u32 i = 0; i < CORE_CPUS - 1; i++)
        core_trap(w, i);
    assert_true(lives(w));   /* CPU 3 may still have it */
    core_settle(w);
    assert_false(lives(w));
}

static void a_reference_taken_in_the_epoch_keeps_it(void **state)
{
    struct core *w = *state;
    struct object *o = make(w);
    object_unref(w->cpu, o);
    object_ref(o);   /* found before, used now */
    core_settle(w);
    assert_true(lives(w));
    assert_int_equal(atomic_load(&o->refs), 1);
    object_unref(w->cpu, o);
    core_settle(w);
    assert_false(lives(w));
}

static void kept_and_dropped_in_one_epoch_is_destroyed_once(void **state)
{
    struct core *w = *state;
    struct object *o = make(w);
    object_unref(w->cpu, o);
    for (u32 i = 0; i < 3; i++) {
        object_ref(o);
        object_unref(core_cpu(w, i), o);   /* queued already: not again */
    }
    core_cpu(w, 0);
    core_settle(w);
    assert_false(lives(w));
}

/* Another CPU, which found the object before, takes and drops a reference at each point of the last unref and of the release. */
struct race {
    struct core *w;
    struct object *o;
    u32 at, points;
    bool acted;
};

static void race_hook(void *arg)
{
    struct race *r = arg;
    if (++r->points != r->at)
        return;
    r->acted = true;
    object_ref(r->o);
    object_unref(core_cpu(r->w, 1), r->o);
}

static void a_race_of_last_references_destroys_once(void **state)
{
    struct core *w = *state;
    struct race r = { .w = w, .at = 1, .acted = true };
    for (; r.acted; r.at++) {
        r.o = make(w);
        r.points = 0;
        r.acted = false;
        sim_unit_hook(w->sim, race_hook, &r);
        object_unref(w->cpu, r.o);
        sim_unit_hook(w->sim, NULL, NULL);
        assert_true(lives(w));
        core_settle(w);
        assert_false(lives(w));
    }
    assert_true(r.at > 3);
}

static void goes_back_to_its_home_cpu(void **state)
{
    struct core *w = *state;
    struct ec *handler = sim_phys(w->sim, 0xd00000, sizeof(*handler));
    struct portal *p;
    handler->object.cpu = 2;
    handler->object.refs.v = 1;
    assert_int_equal(portal_create(w->cpu, NULL, handler, 0x1000, 1, &p), OK);
    assert_int_equal(handler->object.refs.v, 2);
    object_unref(w->cpu, &p->object);
    for (u32 i = 1; i < CORE_CPUS; i++)
        core_trap(w, i);
    core_trap(w, 0);
    assert_true(lives(w));   /* the epoch is over, but this is not CPU 2 */
    assert_true(core_ipi(w, 2));
    core_trap(w, 2);
    assert_false(lives(w));
    assert_int_equal(handler->object.refs.v, 1);
}

static void init_holds_the_pd(void **state)
{
    struct core *w = *state;
    struct pd *pd = sim_phys(w->sim, 0xd00000, sizeof(*pd));
    struct sm *sm;
    pd->users.v = 1;
    pd->quota.limit.v = PAGE_SIZE;
    assert_int_equal(sm_create(w->cpu, pd, 0, &sm), OK);
    assert_int_equal(pd->users.v, 2);
    object_unref(w->cpu, &sm->object);
    core_settle(w);
    assert_int_equal(pd->users.v, 1);
    assert_int_equal(pd->quota.used.v, 0);
}

TEST_GROUP(object, CORE_TEST(lives_until_the_last_reference_and_an_epoch), CORE_TEST(a_reference_taken_in_the_epoch_keeps_it),
           CORE_TEST(kept_and_dropped_in_one_epoch_is_destroyed_once), CORE_TEST(a_race_of_last_references_destroys_once),
           CORE_TEST(goes_back_to_its_home_cpu), CORE_TEST(init_holds_the_pd));
