/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of every kernel when all its CPUs idle and no interrupt is pending. Looks at the objects the fixture's PD names; not checked: page
 * tables and translations (the machine does), who may hold which capability (the test does). */
#include "kernel_rest.h"
#include "sm.h"
#include "vcpu.h"

#define holds(condition, ...) ((condition) ? (void)0 : broken(__VA_ARGS__))

#define EC_COUNT_MAX 64u

struct object *kernel_rest_object(const struct fixture *f, u64 selector)
{
    const struct cap_slot *leaf = (const struct cap_slot *)f->pd->objects.leaf[selector / OBJ_LEAF_SLOTS].v;
    return leaf ? (struct object *)align_down(leaf[selector % OBJ_LEAF_SLOTS].word.v, 64ul) : NULL;
}

static bool is_held(const struct lock *l)
{
    return l->held.v;
}

static void check_cpu(const struct cpu *c, kernel_rest_fail *broken)
{
    holds(!c->current_sc && !c->current, "CPU %u idles with somebody current", c->id);
    for (u32 i = 0; i < array_size(c->sched.bitmap); i++)
        holds(!c->sched.bitmap[i], "CPU %u idles, and a scheduling context is ready", c->id);
    holds(!c->inbox.v, "CPU %u idles with an EC in its inbox", c->id);
    holds(c->tlb.requested.v == c->tlb.done.v, "CPU %u idles, and owes the acknowledgement of a shootdown", c->id);
    holds(!c->released.v, "CPU %u idles, and objects were sent to it for release", c->id);
    holds(!c->epoch.first, "CPU %u idles, and something waits for an epoch there that nobody will end", c->id);
    holds(!(c->due & DUE_CHOICE), "CPU %u idles, and is to choose anew", c->id);
}

static void check_kern(const struct kern *k, kernel_rest_fail *broken)
{
    holds(!is_held(&k->derive_lock) && !is_held(&k->tlb_lock) && !is_held((const struct lock *)k->mem), "a lock is held at rest");
    holds(!k->tlb_waiters, "an EC waits for a shootdown that is over");
    for (u32 i = 0; i < k->cpu_count; i++)
        check_cpu(k->cpu[i], broken);
}

static bool is_queued(const struct ec *ec)
{
    for (const struct ec *e = ec->sm->first; e; e = e->queue_next)
        if (e == ec)
            return true;
    return false;
}

static bool is_timed(const struct fixture *f, const struct ec *ec)
{
    for (const struct ec *e = f->k->cpu[ec->object.cpu]->timeouts.first; e; e = e->timeout_next)
        if (e == ec)
            return true;
    return false;
}

/* Links of each state: ec.h, ipc.c. */
static void check_ec(const struct fixture *f, const struct ec *ec, u64 selector, kernel_rest_fail *broken)
{
    const struct sc *own = (const struct sc *)ec->own.v;
    holds(!ec->inbox_reason.v, "EC %lu: a wake-up never arrived", selector);
    holds(!ec->deadline == !is_timed(f, ec), "EC %lu: deadline and list of deadlines differ", selector);
    holds(ec->state == EC_WAIT_SM || !ec->deadline, "EC %lu has a deadline and does not wait", selector);
    switch (ec->state) {
    case EC_READY:
        holds(ec->caller || !own, "EC %lu is ready, and all CPUs idle", selector);
        break;
    case EC_CALLING:
        holds(ec->callee && ec->callee->caller == ec, "EC %lu calls somebody who was not called by it", selector);
        break;
    case EC_HELPING:
        holds(ec->callee && ec->callee->state != EC_IDLE && ec->callee->state != EC_DEAD, "EC %lu helps who needs no help", selector);
        break;
    case EC_WAIT_SM:
        holds(ec->sm && is_queued(ec), "EC %lu waits at a semaphore that does not know", selector);
        break;
    case EC_WAIT_TLB:
        broken("EC %lu waits for a shootdown at rest", selector);
        break;
    default:
        holds(!ec->callee, "EC %lu is idle or dead and has a callee", selector);
    }
    holds(ec->state == EC_CALLING || !(ec->flags & (EC_FLAG_IN_FAULT | EC_FLAG_PART)), "EC %lu: marks of a call that is over", selector);
    if (own && own->started && ec->state != EC_DEAD)
        holds(own->waits, "EC %lu: its scheduling context is nowhere", selector);
}

static void check_sm(const struct sm *sm, u64 selector, kernel_rest_fail *broken)
{
    holds(!is_held(&sm->lock), "semaphore %lu is locked at rest", selector);
    holds(!sm->first || !sm->count, "semaphore %lu: somebody waits at a count of %lu", selector, sm->count);
    const struct ec *last = NULL;
    u32 n = 0;
    for (const struct ec *e = sm->first; e; last = e, e = e->queue_next, n++)
        holds(n < EC_COUNT_MAX && e->queue_prev == last && e->state == EC_WAIT_SM && e->sm == sm, "semaphore %lu: broken queue", selector);
    holds(sm->last == last, "semaphore %lu: the queue's end is not its last", selector);
}

static void check_vcpu(const struct vcpu *v, u64 selector, kernel_rest_fail *broken)
{
    holds(!v->runner == !v->running.v, "vCPU %lu: who runs it, and whether, differ", selector);
    holds(!v->runner || v->runner->vcpu == v, "vCPU %lu is run by who does not know", selector);
}

void kernel_rest_check(struct fixture *f, kernel_rest_fail *broken)
{
    check_kern(f->k, broken);
    for (u64 s = 0; s < FIXTURE_SEL_FREE; s++) {
        struct object *const o = kernel_rest_object(f, s);
        if (o && o->type == OBJ_EC)
            check_ec(f, container_of(o, struct ec, object), s, broken);
        if (o && o->type == OBJ_SM)
            check_sm(container_of(o, struct sm, object), s, broken);
        if (o && o->type == OBJ_VCPU)
            check_vcpu(container_of(o, struct vcpu, object), s, broken);
    }
}
