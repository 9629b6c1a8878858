/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of every kernel when all its CPUs idle and no interrupt is pending. Looks at the objects the fixture's PD names; not checked: page
 * tables and translations (the machine does), who may hold which capability (the world does). */
#include "kernel_world_check.h"
#include "sm.h"
#include "world.h"

#define EC_COUNT_MAX 64u

struct object *kernel_world_object(const struct fixture *f, u64 selector)
{
    const struct cap_slot *leaf = (const struct cap_slot *)f->pd->objects.leaf[selector / OBJ_LEAF_SLOTS].v;
    return leaf ? (struct object *)align_down(leaf[selector % OBJ_LEAF_SLOTS].word.v, 64ul) : NULL;
}

static bool is_held(const struct lock *l)
{
    return l->held.v;
}

static void check_cpu(const struct cpu *c)
{
    world_assert(!c->current_sc && !c->current, "CPU %u idles with somebody current", c->id);
    for (u32 i = 0; i < array_size(c->sched.bitmap); i++)
        world_assert(!c->sched.bitmap[i], "CPU %u idles, and a scheduling context is ready", c->id);
    world_assert(!c->inbox.v, "CPU %u idles with an EC in its inbox", c->id);
    world_assert(c->tlb.requested.v == c->tlb.done.v, "CPU %u idles, and owes the acknowledgement of a shootdown", c->id);
    world_assert(!c->released.v, "CPU %u idles, and objects were sent to it for release", c->id);
    world_assert(!c->epoch.first, "CPU %u idles, and something waits for an epoch there that nobody will end", c->id);
    world_assert(!c->sched.wanted, "CPU %u idles, and is to choose anew", c->id);
}

static void check_kern(const struct kern *k)
{
    world_assert(!is_held(&k->derive_lock) && !is_held(&k->tlb_lock) && !is_held((const struct lock *)k->mem), "a lock is held at rest");
    world_assert(!k->tlb_waiters, "an EC waits for a shootdown that is over");
    for (u32 i = 0; i < k->cpu_count; i++)
        check_cpu(k->cpu[i]);
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
static void check_ec(const struct fixture *f, const struct ec *ec, u64 selector)
{
    const struct sc *own = (const struct sc *)ec->own.v;
    world_assert(!ec->inbox_reason.v, "EC %lu: a wake-up never arrived", selector);
    world_assert(!ec->deadline == !is_timed(f, ec), "EC %lu: deadline and list of deadlines differ", selector);
    world_assert(ec->state == EC_WAIT_SM || !ec->deadline, "EC %lu has a deadline and does not wait", selector);
    switch (ec->state) {
    case EC_READY:
        world_assert(ec->caller || !own, "EC %lu is ready, and all CPUs idle", selector);
        break;
    case EC_CALLING:
        world_assert(ec->callee && ec->callee->caller == ec, "EC %lu calls somebody who was not called by it", selector);
        break;
    case EC_HELPING:
        world_assert(ec->callee && ec->callee->state != EC_IDLE && ec->callee->state != EC_DEAD, "EC %lu helps who needs no help", selector);
        break;
    case EC_WAIT_SM:
        world_assert(ec->sm && is_queued(ec), "EC %lu waits at a semaphore that does not know", selector);
        break;
    case EC_WAIT_TLB:
        world_fail("EC %lu waits for a shootdown at rest", selector);
    default:
        world_assert(!ec->callee, "EC %lu is idle or dead and has a callee", selector);
    }
    if (own && own->started && ec->state != EC_DEAD)
        world_assert(own->waits, "EC %lu: its scheduling context is nowhere", selector);
}

static void check_sm(const struct sm *sm, u64 selector)
{
    world_assert(!is_held(&sm->lock), "semaphore %lu is locked at rest", selector);
    world_assert(!sm->first || !sm->count, "semaphore %lu: somebody waits at a count of %lu", selector, sm->count);
    const struct ec *last = NULL;
    u32 n = 0;
    for (const struct ec *e = sm->first; e; last = e, e = e->queue_next, n++)
        world_assert(n < EC_COUNT_MAX && e->queue_prev == last && e->state == EC_WAIT_SM && e->sm == sm, "semaphore %lu: broken queue", selector);
    world_assert(sm->last == last, "semaphore %lu: the queue's end is not its last", selector);
}

void kernel_world_check(struct fixture *f)
{
    check_kern(f->k);
    for (u64 s = 0; s < FIXTURE_SEL_FREE; s++) {
        struct object *const o = kernel_world_object(f, s);
        if (o && o->type == OBJ_EC)
            check_ec(f, container_of(o, struct ec, object), s);
        if (o && o->type == OBJ_SM)
            check_sm(container_of(o, struct sm, object), s);
    }
}
