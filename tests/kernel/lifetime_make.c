/* SPDX-License-Identifier: BSD-2-Clause */
/* What the makers of states share: objects of the owner, partners of root, and who runs. */
#include "apic.h"
#include "lifetime.h"
#include "portal.h"
#include "sm.h"

void life_hold(struct life *l, u64 selector, struct object *o)
{
    u64 done;
    fixture_cpu(l->f, 0);
    assert_int_equal(space_obj_insert(&l->owner->objects, selector, o), OK);
    assert_int_equal(space_obj_delegate(&l->owner->objects, selector, &l->f->pd->objects, selector, 1, PERM_ALL, &done), OK);
    if (selector == SUBJECT)
        l->subject = o;
}

void life_give(struct life *l, struct pd *to, u64 selector, u64 target, u64 count)
{
    u64 done;
    fixture_cpu(l->f, 0);
    assert_int_equal(space_obj_delegate(&l->f->pd->objects, selector, &to->objects, target, count, PERM_ALL, &done), OK);
}

void life_outfit(struct life *l, struct pd *pd)
{
    life_give(l, pd, SEL_PARENT, SEL_PARENT, SEL_ROOT + 1 - SEL_PARENT);
}

struct ec *life_ec(struct life *l, struct pd *pd, u32 flags, u64 selector)
{
    struct ec *ec;
    const struct ec_config config = { .utcb = l->f->utcb_next, .ip = 0x400000, .sp = 0x7fff0000, .event_base = SEL_EVENTS, .flags = flags };
    l->f->utcb_next += 0x10000;
    assert_int_equal(ec_create(fixture_cpu(l->f, 0), pd, &config, &ec), OK);
    life_hold(l, selector, &ec->object);
    return ec;
}

struct sc *life_sc(struct life *l, struct ec *ec, u32 priority, u64 selector)
{
    struct sc *sc;
    assert_int_equal(sc_create(fixture_cpu(l->f, 0), l->owner, ec, priority, FIXTURE_BUDGET, &sc), OK);
    life_hold(l, selector, &sc->object);
    return sc;
}

void life_run(struct life *l, struct ec *ec)
{
    fixture_run(l->f, ec->object.cpu);
    life_assert(l->f->k->cpu[ec->object.cpu]->current == ec, "who is to run does not");
}

struct ec *life_thread(struct life *l, struct pd *pd, u32 priority)
{
    struct ec *const ec = life_ec(l, pd, EC_GLOBAL | EC_FPU, SUBJECT);
    sc_start(fixture_cpu(l->f, 0), life_sc(l, ec, priority, SUBJECT + 1));
    life_run(l, ec);
    return l->self = ec;
}

struct ec *life_handler(struct life *l, struct pd *pd, u64 selector, u64 portal_selector)
{
    struct ec *const ec = life_ec(l, pd, EC_LOCAL, selector);
    struct portal *portal;
    assert_int_equal(portal_create(fixture_cpu(l->f, 0), l->owner, ec, 0x500000, 1, &portal), OK);
    life_hold(l, portal_selector, &portal->object);
    return ec;
}

struct ec *life_partner(struct life *l, u32 n, u32 cpu, u32 priority)
{
    struct ec *const ec = fixture_thread(l->f, cpu, l->f->pd, priority, PARTNER_AT(n));
    l->partner[n].ec = ec;
    life_run(l, ec);
    return ec;
}

struct ec *life_server(struct life *l, u32 n)
{
    struct ec *const ec = fixture_handler(l->f, 0, l->f->pd, PARTNER_AT(n));
    life_give(l, l->owner, PARTNER_AT(n) + 1, PARTNER_AT(n) + 1, 1);
    return ec;
}

struct sm *life_sm(struct life *l, u64 count, u64 selector)
{
    struct sm *sm;
    assert_int_equal(sm_create(fixture_cpu(l->f, 0), l->owner, count, &sm), OK);
    life_hold(l, selector, &sm->object);
    return sm;
}

struct vcpu *life_vcpu(struct life *l, u64 selector, u64 page, bool started)
{
    struct vcpu *v;
    struct cpu *const cpu = fixture_cpu(l->f, 0);
    assert_int_equal(vcpu_create(cpu, l->owner, 0, page, &v), OK);
    life_hold(l, selector, &v->object);
    if (started)
        assert_int_equal(life_call(l, cpu->current, HYPERCALL_vcpu_run, selector), OK);
    return v;
}

void life_waits(struct life *l, u32 n)
{
    l->partner[n].waits = true;
}

void life_preempt(struct life *l, u32 n)
{
    struct cpu *const cpu = fixture_cpu(l->f, n);
    apic_ipi(cpu, cpu);
}
