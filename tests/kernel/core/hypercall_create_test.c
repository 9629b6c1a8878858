/* SPDX-License-Identifier: BSD-2-Clause */
/* What if the first, second, third... allocation of a create hypercall fails: does anything leak or change? And after it succeeded and the
 * object was destroyed? One table, run on VMX and on SVM. */
#include "kernel_fixture.h"

enum { EC = 100, SC = 101, HANDLER = 104, IDLE = 106, PD = 120, NEW = 140, STEPS_MAX = 40 };
#define UTCB 0x10100000ul   /* page tables for it are there */
#define FAR  0x20000000ul   /* none yet */

struct scene {
    struct fixture *f;
    struct ec *ec;
};

static int setup(void **state, enum sim_vendor vendor)
{
    static struct scene s;
    s.f = fixture_open(1, vendor);
    s.ec = fixture_thread(s.f, 0, s.f->pd, 10, EC);
    fixture_handler(s.f, 0, s.f->pd, HANDLER);
    fixture_pd(s.f, 1 << 20, PD);
    fixture_run(s.f, 0);
    if (fixture_call(s.f, s.ec, HYPERCALL_ec_create, PD, IDLE, UTCB, 0, 0, EC_CONFIG(0, EC_GLOBAL, 0)) != OK)
        return -1;
    *state = &s;
    return 0;
}

static int setup_vmx(void **state)
{
    return setup(state, SIM_VMX);
}

static int setup_svm(void **state)
{
    return setup(state, SIM_SVM);
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

struct row {
    u64 number, args[6];
};

static u64 call(struct scene *s, const struct row *r)
{
    return fixture_call_(s->f, s->ec, r->number, r->args, 6);
}

static bool occupied(struct scene *s, u64 selector)
{
    u32 type, perms;
    return space_obj_peek(&s->f->pd->objects, selector, &type, &perms);
}

static u64 revoke(struct scene *s, u64 selector)
{
    return fixture_call(s->f, s->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, selector, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
}

/* Empty page tables that were made on the way stay: once it has succeeded they are all there. */
static void fails_cleanly(struct scene *s, const struct row *r)
{
    assert_int_equal(call(s, r), OK);
    assert_int_equal(revoke(s, NEW), OK);
    const struct fixture_books before = fixture_books(s->f);
    u64 failures = 0;
    for (;; failures++) {
        assert_true(failures < STEPS_MAX);
        sim_unit_fail(s->f->sim, failures + 1);
        const u64 status = call(s, r);
        sim_unit_fail(s->f->sim, 0);
        if (status == OK)
            break;
        assert_int_equal(status, STATUS_MEMORY);
        assert_false(occupied(s, NEW));
        fixture_balanced(s->f, before);
    }
    assert_true(failures > 0);
    assert_true(occupied(s, NEW));
    assert_int_equal(revoke(s, NEW), OK);
    fixture_balanced(s->f, before);
}

static void pd_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_pd_create, { FIXTURE_SEL_PD, NEW, 1 << 20, 0 } });
}

static void ec_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(0, EC_GLOBAL, 0) } });
}

static void ec_with_fpu_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, UTCB, 0, 0, EC_CONFIG(0, EC_LOCAL | EC_FPU, 0) } });
}

static void sc_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_sc_create, { FIXTURE_SEL_PD, NEW, IDLE, 1, 1000 } });
}

static void portal_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_portal_create, { FIXTURE_SEL_PD, NEW, HANDLER, 0x1000, 5 } });
}

static void sm_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_sm_create, { FIXTURE_SEL_PD, NEW, 0 } });
}

static void vcpu_create_fails_cleanly(void **state)
{
    fails_cleanly(*state, &(struct row){ HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, NEW, 0, UTCB } });
}

/* Tables that were made before a later allocation failed stay, empty and charged; but they do not add up, and go with the next use. */
static void empty_tables_do_not_add_up(void **state)
{
    struct scene *s = *state;
    const struct row r = { HYPERCALL_ec_create, { FIXTURE_SEL_PD, NEW, FAR, 0, 0, EC_CONFIG(0, EC_GLOBAL, 0) } };
    const struct fixture_books before = fixture_books(s->f);
    for (u64 round = 0; round < 3; round++)
        for (u64 n = 1; n < STEPS_MAX; n++) {
            sim_unit_fail(s->f->sim, n);
            const u64 status = call(s, &r);
            sim_unit_fail(s->f->sim, 0);
            if (status == OK) {
                assert_int_equal(revoke(s, NEW), OK);
                break;
            }
            assert_int_equal(status, STATUS_MEMORY);
            assert_true(fixture_books(s->f).used <= before.used + 3 * PAGE_SIZE);
        }
    fixture_balanced(s->f, before);
}

/* The quota of a small PD is the limit: each creation ends with QUOTA at last, nothing is charged for the one that failed, all comes back. */
static void the_quota_ends_it(struct scene *s, struct row r, u64 address_step, u32 address)
{
    const struct fixture_books before = fixture_books(s->f);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_pd_create, FIXTURE_SEL_PD, 200, 128 << 10, 0), OK);
    struct object *o;
    assert_int_equal(space_obj_lookup(&s->f->pd->objects, 200, OBJ_PD, 0, &o), OK);
    struct pd *pd = container_of(o, struct pd, object);
    u64 status = OK, made = 0;
    r.args[0] = 200;
    for (; status == OK; made++) {
        const u64 used = atomic_load(&pd->quota.used);
        r.args[1] = 300 + made;
        status = call(s, &r);
        r.args[address] += address_step;
        if (status == OK)
            assert_true(atomic_load(&pd->quota.used) > used);
        assert_true(atomic_load(&pd->quota.used) <= 128 << 10);
        assert_true(made < 1000);
    }
    assert_int_equal(status, STATUS_QUOTA);
    assert_true(made > 1);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, 200, REVOKE(1500, SPACE_OBJECT), REVOKE_SELF), OK);
    fixture_balanced(s->f, before);
}

static void semaphores_up_to_the_quota(void **state)
{
    for (u64 s = FIXTURE_SEL_FREE; s < FIXTURE_SEL_FREE + 1024; s += OBJ_LEAF_SLOTS)
        assert_int_equal(space_obj_reserve(&((struct scene *)*state)->f->pd->objects, s, &(struct cap_slot *){ NULL }), OK);
    the_quota_ends_it(*state, (struct row){ HYPERCALL_sm_create, { 0, 0, 0 } }, 0, 2);
}

static void threads_up_to_the_quota(void **state)
{
    the_quota_ends_it(*state, (struct row){ HYPERCALL_ec_create, { 0, 0, UTCB, 0, 0, 0 } }, 0x200000, 2);
}

static void domains_up_to_the_quota(void **state)
{
    the_quota_ends_it(*state, (struct row){ HYPERCALL_pd_create, { 0, 0, 32 << 10, 0 } }, 0, 4);
}

/* Another CPU fills the slot at every point of the creation: one of the two gets it, and nothing stays of the other. */
static u32 steps, act_at;
static struct scene *acting;
static struct object *taker;
static void act(void *arg)
{
    if (steps++ != act_at || atomic_load32(&acting->f->k->derive_lock.held))
        return;
    object_ref(taker);
    if (space_obj_insert(&acting->f->pd->objects, NEW, taker) != OK)
        object_unref(acting->f->k->cpu[0], taker);
}

static void the_slot_is_taken_meanwhile(void **state)
{
    struct scene *s = *state;
    const struct row r = { HYPERCALL_sm_create, { FIXTURE_SEL_PD, NEW, 0 } };
    const struct fixture_books before = fixture_books(s->f);
    u32 lost = 0;
    acting = s;
    taker = &s->ec->object;
    for (act_at = 0; act_at < 60; act_at++) {
        steps = 0;
        sim_unit_hook(s->f->sim, act, NULL);
        const u64 status = call(s, &r);
        sim_unit_hook(s->f->sim, NULL, NULL);
        assert_true(status == OK || status == STATUS_EXISTS);
        lost += status == STATUS_EXISTS;
        assert_int_equal(revoke(s, NEW), OK);
        fixture_balanced(s->f, before);
    }
    assert_true(lost > 2 && lost < 60);
}

/* A leaf of the caller's object space is made for a fresh selector: its failure changes nothing; once made it stays. */
static void a_leaf_for_the_selector(void **state)
{
    struct scene *s = *state;
    const struct row r = { HYPERCALL_sm_create, { FIXTURE_SEL_PD, FIXTURE_SEL_FREE, 0 } };
    const struct fixture_books before = fixture_books(s->f);
    sim_unit_fail(s->f->sim, 1);
    assert_int_equal(call(s, &r), STATUS_MEMORY);
    sim_unit_fail(s->f->sim, 0);
    fixture_balanced(s->f, before);
    assert_int_equal(call(s, &r), OK);
    assert_int_equal(revoke(s, FIXTURE_SEL_FREE), OK);
    assert_int_equal(fixture_books(s->f).used, before.used + PAGE_SIZE);
}

#define T(name, vendor) cmocka_unit_test_setup_teardown(name, setup_##vendor, teardown)
#define ROWS(vendor)                                                                                                                        \
    T(pd_create_fails_cleanly, vendor), T(ec_create_fails_cleanly, vendor), T(ec_with_fpu_create_fails_cleanly, vendor),                    \
            T(sc_create_fails_cleanly, vendor), T(portal_create_fails_cleanly, vendor), T(sm_create_fails_cleanly, vendor),                 \
            T(vcpu_create_fails_cleanly, vendor)
TEST_GROUP(hypercall_create, ROWS(vmx), ROWS(svm), T(semaphores_up_to_the_quota, vmx), T(threads_up_to_the_quota, vmx),
           T(domains_up_to_the_quota, vmx), T(empty_tables_do_not_add_up, vmx), T(the_slot_is_taken_meanwhile, vmx), T(a_leaf_for_the_selector, vmx));
