/* SPDX-License-Identifier: BSD-2-Clause */
/* See mpsc.h. Nodes are a list from `oldest` to `newest` by `next`. The stub stands for "empty": it is the newest node when all others have been
 * popped. A node can be popped once another follows it, since until then a producer may be about to write its `next`. */
#include "mpsc.h"

void mpsc_init(struct mpsc *q)
{
    atomic_store_relaxed(&q->stub.next, 0);   /* relaxed: nobody else knows the queue yet */
    atomic_store_relaxed(&q->newest, (u64)&q->stub);
    q->oldest = &q->stub;
}

bool mpsc_push(struct mpsc *q, struct mpsc_node *n)
{
    atomic_store_relaxed(&n->next, 0);        /* relaxed: the exchange is a full barrier */
    struct mpsc_node *before = (struct mpsc_node *)atomic_xchg(&q->newest, (u64)n);
    atomic_store(&before->next, (u64)n);
    return before == &q->stub;
}

static struct mpsc_node *node_next(const struct mpsc_node *n)
{
    return (struct mpsc_node *)atomic_load(&n->next);
}

enum mpsc_status mpsc_pop(struct mpsc *q, struct mpsc_node **out)
{
    struct mpsc_node *first = q->oldest, *next = node_next(first);
    if (first == &q->stub) {
        if (!next)
            return atomic_load(&q->newest) == (u64)first ? MPSC_EMPTY : MPSC_BUSY;
        q->oldest = first = next;   /* the stub is out */
        next = node_next(first);
    }
    if (!next) {
        if (atomic_load(&q->newest) != (u64)first)
            return MPSC_BUSY;
        mpsc_push(q, &q->stub);     /* the only one left gets a follower */
        next = node_next(first);
        if (!next)
            return MPSC_BUSY;       /* another follows, and is not linked yet; the stub comes behind it */
    }
    q->oldest = next;
    *out = first;
    return MPSC_OK;
}
