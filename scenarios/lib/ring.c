/* SPDX-License-Identifier: BSD-2-Clause */
/* See ring.h. The other side's index is read only when what was last seen of it does not suffice. */
#include "ring.h"

static void *slot_at(const struct ring_end *e, u64 index)
{
    return e->slot + (index & (e->slots - 1)) * e->slot_bytes;
}

void *ring_free(struct ring_end *p)
{
    if (p->own - p->seen == p->slots)
        p->seen = atomic_load(&p->ring->head);   /* with the store in ring_take: the slot has been read */
    return p->own - p->seen == p->slots ? NULL : slot_at(p, p->own);
}

void ring_put(struct ring_end *p)
{
    atomic_store(&p->ring->tail, ++p->own);      /* with the load in ring_first: the slot is filled */
    atomic_fence();                              /* with the one in ring_wait */
    if (atomic_load(&p->ring->asleep) && atomic_xchg(&p->ring->asleep, 0))
        p->wake(p->arg);
}

const void *ring_first(struct ring_end *c)
{
    if (c->seen == c->own)
        c->seen = atomic_load(&c->ring->tail);
    return c->seen == c->own ? NULL : slot_at(c, c->own);
}

const void *ring_wait(struct ring_end *c)
{
    const void *slot;
    while (!(slot = ring_first(c))) {
        atomic_store(&c->ring->asleep, 1);
        atomic_fence();                          /* with the one in ring_put */
        if (!ring_first(c))
            c->sleep(c->arg);
        atomic_store(&c->ring->asleep, 0);
    }
    return slot;
}

void ring_take(struct ring_end *c)
{
    atomic_store(&c->ring->head, ++c->own);
}
