/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring of fixed-size slots from one producer to one consumer, who may lie in different PDs: `struct ring` and the slots are shared, each side
 * has a `struct ring_end` of its own. Slots are filled and read in place.
 *
 * Indices are free-running: tail - head is what is filled, and each has one writer. To sleep, the consumer announces it, looks again, sleeps;
 * the producer moves the tail, then looks for an announcement. A store-load barrier lies between the two halves on both sides, so that at
 * least one of the two sees the other. A wake-up may come late, when the consumer sleeps no more: `sleep` may return early.
 * Not handled: sides that distrust each other (queue_pair.h), a producer that sleeps while the ring is full. */
#pragma once
#include "atomic.h"

struct ring {   /* zeroed at first */
    atomic_u64 tail aligned_to(64);      /* the producer: slots it has filled */
    atomic_u64 head aligned_to(64);      /* the consumer: slots it has read */
    atomic_u64 asleep;                   /* the consumer sets it; whoever clears it ends the sleep */
};

struct ring_end {
    struct ring *ring;
    u8 *slot;
    u64 slots;                           /* a power of two */
    u64 slot_bytes;
    void (*sleep)(void *arg);            /* the consumer's: returns after a wake since the last sleep, takes all of them */
    void (*wake)(void *arg);             /* the producer's */
    void *arg;
    u64 own, seen;                       /* indices: this side's; the other's, when last looked at. 0 at first */
};

/* The producer's. */
void *ring_free(struct ring_end *p);           /* the slot to fill; NULL: the ring is full */
void ring_put(struct ring_end *p);             /* it is filled */

/* The consumer's. */
const void *ring_first(struct ring_end *c);    /* the oldest slot that is filled; NULL: the ring is empty */
const void *ring_wait(struct ring_end *c);     /* the same; sleeps while the ring is empty */
void ring_take(struct ring_end *c);            /* it has been read */
