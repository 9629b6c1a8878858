/* SPDX-License-Identifier: BSD-2-Clause */
/* The states of domains and of memory. A domain is the subject at SUBJECT; what is in it is charged to it. Memory is the owner's page
 * LIFE_PAGE. */
#include "ec.h"
#include "lifetime.h"
#include "portal.h"
#include "sm.h"

enum { LOW = 20, MIDDLE = 30, HIGH = 40 };
#define PD_QUOTA (256ul << 10)

/* ---- Domains ---- */

static struct pd *domain(struct life *l)
{
    struct pd *pd;
    assert_int_equal(pd_create(fixture_cpu(l->f, 0), l->owner, PD_QUOTA, 0, &pd), OK);
    life_hold(l, SUBJECT, &pd->object);
    return pd;
}

static void empty(struct life *l)
{
    domain(l);
}

static void child(struct life *l)
{
    struct pd *const pd = domain(l), *inner;
    assert_int_equal(pd_create(fixture_cpu(l->f, 0), pd, 64ul << 10, 0, &inner), OK);
    assert_int_equal(space_obj_reserve(&pd->objects, 0, &(struct cap_slot *){ NULL }), OK);
    assert_int_equal(space_obj_insert(&pd->objects, 0, &inner->object), OK);
}

static void holds_itself(struct life *l)
{
    life_give(l, domain(l), SUBJECT, SUBJECT, 1);
}

/* In the domain, charged to it, its capabilities in it: nobody else names it. */
static struct ec *inmate(struct life *l, struct pd *pd, u32 cpu, u32 flags)
{
    struct ec *ec;
    const struct ec_config config = { .utcb = l->f->utcb_next, .ip = 0x400000, .sp = 0x7fff0000, .event_base = SEL_EVENTS, .cpu = cpu, .flags = flags };
    l->f->utcb_next += 0x10000;
    assert_int_equal(ec_create(fixture_cpu(l->f, 0), pd, &config, &ec), OK);
    assert_int_equal(space_obj_insert(&pd->objects, SUBJECT + 1, &ec->object), OK);
    return ec;
}

static struct ec *inmate_runs(struct life *l, struct pd *pd, u32 cpu)
{
    struct sc *sc;
    life_outfit(l, pd);
    life_give(l, pd, SUBJECT, SUBJECT, 1);
    struct ec *const ec = inmate(l, pd, cpu, EC_GLOBAL);
    assert_int_equal(sc_create(fixture_cpu(l->f, cpu), pd, ec, LOW, FIXTURE_BUDGET, &sc), OK);
    assert_int_equal(space_obj_insert(&pd->objects, SUBJECT + 2, &sc->object), OK);
    sc_start(fixture_cpu(l->f, cpu), sc);
    life_run(l, ec);
    return ec;
}

static void current(struct life *l)
{
    l->self = inmate_runs(l, domain(l), 0);
}

static void runs_on_cpu1(struct life *l)
{
    inmate_runs(l, domain(l), 1);
}

static void thread_waits(struct life *l)
{
    assert_int_equal(life_call(l, inmate_runs(l, domain(l), 0), HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

/* Serves partner 0, a thread of root. */
static void serves(struct life *l)
{
    struct pd *const pd = domain(l);
    struct portal *portal;
    life_outfit(l, pd);
    life_give(l, pd, SUBJECT, SUBJECT, 1);
    l->self = inmate(l, pd, 0, EC_LOCAL);
    assert_int_equal(portal_create(fixture_cpu(l->f, 0), pd, l->self, 0x500000, 1, &portal), OK);
    assert_int_equal(space_obj_insert(&pd->objects, SUBJECT + 2, &portal->object), OK);
    u64 done;
    assert_int_equal(space_obj_delegate(&pd->objects, SUBJECT + 2, &l->f->pd->objects, PARTNER_AT(1), 1, PERM_ALL, &done), OK);
    assert_int_equal(life_call(l, life_partner(l, 0, 0, LOW), HYPERCALL_call, PARTNER_AT(1), 0), BLOCKED);
    life_waits(l, 0);
}

/* Partner 0 waits at a semaphore of it. */
static void waited_in(struct life *l)
{
    struct pd *const pd = domain(l);
    struct sm *sm;
    u64 done;
    assert_int_equal(sm_create(fixture_cpu(l->f, 0), pd, 0, &sm), OK);
    assert_int_equal(space_obj_reserve(&pd->objects, 0, &(struct cap_slot *){ NULL }), OK);
    assert_int_equal(space_obj_insert(&pd->objects, 0, &sm->object), OK);
    assert_int_equal(space_obj_delegate(&pd->objects, 0, &l->f->pd->objects, PARTNER_AT(1), 1, PERM_ALL, &done), OK);
    assert_int_equal(life_call(l, life_partner(l, 0, 0, LOW), HYPERCALL_sm_down, PARTNER_AT(1), 0, 0), BLOCKED);
    life_waits(l, 0);
}

static void guest_memory(struct life *l)
{
    struct pd *const pd = domain(l);
    struct space_mem *guest;
    u64 done;
    assert_int_equal(pd_guest(pd, &guest), OK);
    assert_int_equal(space_mem_delegate(&l->f->pd->memory, LIFE_SOURCE, guest, 0, 4, RIGHT_R, &done), OK);
}

/* Its vCPU runs, or not; the VMM is partner 0. */
static void guest(struct life *l, bool inside)
{
    struct pd *const pd = domain(l);
    struct vcpu *v;
    struct ec *const ec = life_partner(l, 0, 0, LOW);
    u64 done;
    assert_int_equal(space_obj_reserve(&pd->objects, 0, &(struct cap_slot *){ NULL }), OK);
    assert_int_equal(vcpu_create(fixture_cpu(l->f, 0), pd, 0, LIFE_STATE_PAGE(0), &v), OK);
    assert_int_equal(space_obj_insert(&pd->objects, 0, &v->object), OK);
    assert_int_equal(space_obj_delegate(&pd->objects, 0, &l->f->pd->objects, PARTNER_AT(1), 1, PERM_ALL, &done), OK);
    assert_int_equal(life_call(l, ec, HYPERCALL_vcpu_run, PARTNER_AT(1)), OK);
    if (!inside)
        return;
    assert_int_equal(life_call(l, ec, HYPERCALL_vcpu_run, PARTNER_AT(1)), BLOCKED);
    life_waits(l, 0);
}

static void guest_stands(struct life *l)
{
    guest(l, false);
}

static void guest_runs(struct life *l)
{
    guest(l, true);
}

/* The state pages of the owner's vCPU appear in it. */
static void shows_a_vcpu(struct life *l)
{
    struct ec *const ec = inmate_runs(l, domain(l), 0);
    life_vcpu(l, SUBJECT + 1, LIFE_STATE_PAGE(0), false);
    l->self = ec;
}

static void memory_in_and_out(struct life *l)
{
    struct pd *const pd = domain(l);
    u64 done;
    assert_int_equal(space_mem_delegate(&l->f->pd->memory, LIFE_SOURCE, &pd->memory, LIFE_PAGE, 8, RIGHT_R, &done), OK);
    assert_int_equal(space_mem_delegate(&pd->memory, LIFE_PAGE + 2, &l->parent->memory, LIFE_PAGE, 3, RIGHT_R, &done), OK);
}

/* ---- Memory ---- */

static void range(struct life *l)
{
    u64 done;
    fixture_cpu(l->f, 0);
    assert_int_equal(space_mem_delegate(&l->f->pd->memory, LIFE_SOURCE, &l->owner->memory, LIFE_PAGE, 1, RIGHT_R | RIGHT_W, &done), OK);
}

static void inside_a_range(struct life *l)
{
    u64 done;
    fixture_cpu(l->f, 0);
    assert_int_equal(space_mem_delegate(&l->f->pd->memory, LIFE_SOURCE, &l->owner->memory, LIFE_PAGE - 4, 8, RIGHT_R | RIGHT_W, &done), OK);
}

static void passed_on(struct life *l)
{
    u64 done;
    range(l);
    assert_int_equal(space_mem_delegate(&l->owner->memory, LIFE_PAGE, &l->parent->memory, LIFE_PAGE + 1, 1, RIGHT_R, &done), OK);
    assert_int_equal(space_mem_delegate(&l->parent->memory, LIFE_PAGE + 1, &l->f->pd->memory, LIFE_PAGE, 1, RIGHT_R, &done), OK);
}

static void in_a_guest(struct life *l)
{
    struct space_mem *guest;
    u64 done;
    range(l);
    assert_int_equal(pd_guest(l->owner, &guest), OK);
    assert_int_equal(space_mem_delegate(&l->owner->memory, LIFE_PAGE, guest, 0, 1, RIGHT_R, &done), OK);
}

static void loaded(struct life *l)
{
    range(l);
    life_thread(l, l->owner, LOW);
}

/* A thread of the owner runs on CPU 1, which may have translations. */
static void loaded_on_cpu1(struct life *l)
{
    struct ec *ec;
    struct sc *sc;
    const struct ec_config config = { .utcb = l->f->utcb_next, .ip = 0x400000, .sp = 0x7fff0000, .event_base = SEL_EVENTS, .cpu = 1 };
    range(l);
    l->f->utcb_next += 0x10000;
    assert_int_equal(ec_create(fixture_cpu(l->f, 1), l->owner, &config, &ec), OK);
    life_hold(l, SUBJECT, &ec->object);
    assert_int_equal(sc_create(fixture_cpu(l->f, 1), l->owner, ec, LOW, FIXTURE_BUDGET, &sc), OK);
    life_hold(l, SUBJECT + 1, &sc->object);
    sc_start(fixture_cpu(l->f, 1), sc);
    life_run(l, ec);
}

static void utcb(struct life *l)
{
    l->f->utcb_next = LIFE_PAGE << PAGE_BITS;
    life_ec(l, l->owner, EC_GLOBAL, SUBJECT);
    l->f->utcb_next = l->utcb_first;
}

static void utcb_passed_on(struct life *l)
{
    u64 done;
    utcb(l);
    assert_int_equal(space_mem_delegate(&l->owner->memory, LIFE_PAGE, &l->f->pd->memory, LIFE_PAGE, 2, RIGHT_R, &done), OK);
}

static void state_page(struct life *l)
{
    struct ec *const ec = life_thread(l, l->owner, LOW);
    life_vcpu(l, SUBJECT + 2, LIFE_PAGE, true);
    assert_ptr_equal(l->f->k->cpu[0]->current, ec);
}

#define DOMAIN .type = LIFE_PD
#define OBJECTS(more) .type = LIFE_MEMORY, .flags = S_HELD | (more), .answer = { [A_MAP] = STATUS_EXISTS }   /* pages of an object */
#define MEMORY .type = LIFE_MEMORY, .answer = { [A_MAP] = STATUS_EXISTS }
const struct life_state life_space_states[] = {
    { "domain empty", .make = empty, DOMAIN },
    { "domain with child", .make = child, DOMAIN },
    { "domain that holds itself", .make = holds_itself, DOMAIN },
    { "domain of the current thread", .make = current, .type = LIFE_PD, .flags = S_SELF },
    { "domain of a thread on CPU 1", .make = runs_on_cpu1, DOMAIN },
    { "domain with a waiting thread", .make = thread_waits, DOMAIN },
    { "domain whose handler serves", .make = serves, .type = LIFE_PD, .flags = S_SELF, .told = { STATUS_ABORT } },
    { "domain with a semaphore waited at", .make = waited_in, DOMAIN, .told = { STATUS_ABORT } },
    { "domain with guest memory", .make = guest_memory, DOMAIN },
    { "domain with a vCPU", .make = guest_stands, DOMAIN },
    { "domain with a vCPU that runs", .make = guest_runs, DOMAIN, .told = { STATUS_ABORT } },
    { "domain that shows a vCPU", .make = shows_a_vcpu, .type = LIFE_PD, .flags = S_SELF | S_COMPANION },
    { "domain with memory in and out", .make = memory_in_and_out, DOMAIN },
    { "memory held", .make = range, MEMORY },
    { "memory inside a range", .make = inside_a_range, MEMORY },
    { "memory passed on", .make = passed_on, MEMORY },
    { "memory in a guest", .make = in_a_guest, MEMORY },
    { "memory of the current thread", .make = loaded, .type = LIFE_MEMORY, .flags = S_SELF | S_COMPANION, .answer = { [A_MAP] = STATUS_EXISTS } },
    { "memory of a thread on CPU 1", .make = loaded_on_cpu1, .type = LIFE_MEMORY, .flags = S_COMPANION, .answer = { [A_MAP] = STATUS_EXISTS } },
    { "memory of a UTCB", .make = utcb, OBJECTS(0) },
    { "memory of a UTCB passed on", .make = utcb_passed_on, OBJECTS(0) },
    { "memory of vCPU state", .make = state_page, OBJECTS(S_SELF | S_COMPANION) },
};
const u32 life_space_count = array_size(life_space_states);
