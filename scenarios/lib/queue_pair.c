/* SPDX-License-Identifier: BSD-2-Clause */
/* See queue_pair.h. Two rings with one writer each. In both, what the peer's index may be is an interval that starts at what it was: [seen, limit];
 * all differences are modulo 2^32. */
#include "queue_pair.h"

/* The peer's index, read once: it lies in [*seen, limit], or the peer is at fault. */
static void peer_index(struct queue_pair *q, const atomic_u32 *word, u32 *seen, u32 limit)
{
    const u32 now = atomic_load32(word);
    if (now - *seen > limit - *seen)
        q->broken = true;
    else
        *seen = now;
}

/* Entries to read. Acquires: they were written before the tail. */
static u32 filled(struct queue_pair *q)
{
    if (q->peer_tail == q->head)
        peer_index(q, &q->peer->tail, &q->peer_tail, q->head + q->entries);
    return q->broken ? 0 : q->peer_tail - q->head;
}

/* Entries that may be written. Acquires: what they held was read before the head moved. */
static u32 room(struct queue_pair *q)
{
    if (q->tail - q->peer_head == q->entries)
        peer_index(q, &q->peer->head, &q->peer_head, q->tail);
    return q->broken ? 0 : q->entries - (q->tail - q->peer_head);
}

static enum queue_status unless_broken(const struct queue_pair *q, enum queue_status s)
{
    return q->broken ? QUEUE_BROKEN : s;
}

/* Move an own index, wake the peer if it sleeps. */
static void publish(struct queue_pair *q, atomic_u32 *word, u32 value)
{
    atomic_store32(word, value);
    atomic_fence();   /* with the one in queue_pair_wait */
    if (atomic_load32(&q->peer->asleep))
        q->wake(q->arg);
}

static enum queue_status send(struct queue_pair *q, u32 id, u64 value)
{
    if (!room(q))
        return unless_broken(q, QUEUE_FULL);
    struct queue_entry *e = &q->own->entry[q->tail & (q->entries - 1)];
    atomic_store_relaxed(&e->id, id);   /* relaxed: the tail releases both */
    atomic_store_relaxed(&e->value, value);
    q->outstanding ^= bit(id);
    publish(q, &q->own->tail, ++q->tail);
    return QUEUE_OK;
}

enum queue_status queue_pair_submit(struct queue_pair *q, u64 value, u32 *id)
{
    if (q->outstanding == ~0ul)
        return unless_broken(q, QUEUE_FULL);
    *id = (u32)__builtin_ctzl(~q->outstanding);
    return send(q, *id, value);
}

enum queue_status queue_pair_answer(struct queue_pair *q, u32 id, u64 value)
{
    if (id >= QUEUE_IDS || !(q->outstanding & bit(id)))
        return unless_broken(q, QUEUE_ID);
    return send(q, id, value);
}

enum queue_status queue_pair_receive(struct queue_pair *q, u32 *id, u64 *value)
{
    if (!filled(q))
        return unless_broken(q, QUEUE_EMPTY);
    const struct queue_entry *e = &q->peer->entry[q->head & (q->entries - 1)];
    const u64 name = atomic_load_relaxed(&e->id);   /* relaxed: the load of the tail came first */
    const u64 content = atomic_load_relaxed(&e->value);
    const bool known = name < QUEUE_IDS && (q->outstanding & bit(name));
    if (name >= QUEUE_IDS || known == q->server) {
        q->broken = true;
        return QUEUE_BROKEN;
    }
    *id = (u32)name;
    *value = content;
    q->outstanding ^= bit(name);
    publish(q, &q->own->head, ++q->head);
    return QUEUE_OK;
}

static bool ready(struct queue_pair *q, bool for_room)
{
    return filled(q) || (for_room && room(q)) || q->broken;
}

enum queue_status queue_pair_wait(struct queue_pair *q, bool for_room)
{
    while (!ready(q, for_room)) {
        atomic_store32(&q->own->asleep, 1);
        atomic_fence();   /* with the one in publish */
        if (!ready(q, for_room))
            q->sleep(q->arg);
        atomic_store32(&q->own->asleep, 0);
    }
    return unless_broken(q, QUEUE_OK);
}
