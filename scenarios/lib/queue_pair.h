/* SPDX-License-Identifier: BSD-2-Clause */
/* Submissions from a client to a server, completions back, between PDs that do not trust each other.
 *
 *                  client                                      server
 *     its area:    tail, head, asleep, submissions ----------> reads
 *                  reads <---------- completions, asleep, head, tail   :its area
 *
 * Each side writes its own area only; the other may have it read-only. Of the peer's area each word is read once per operation, into a
 * register, and judged there. What a peer may not do: move an index back, or beyond what the ring holds; complete what is not outstanding; submit
 * what is. It is found, and from then on each operation returns QUEUE_BROKEN. An index used for an address is always this side's own.
 * Waiting as in ring.h; but only the sleeper writes `asleep`, so that several wake-ups may come for one sleep.
 * Not handled: a peer that does nothing, or never wakes us. */
#pragma once
#include "atomic.h"

#define QUEUE_IDS 64u   /* submissions that are outstanding at once, at most */

struct queue_entry {
    atomic_u64 id;       /* below QUEUE_IDS; the client chooses, the completion repeats it */
    atomic_u64 value;    /* argument or result: nobody here looks at it */
};

struct queue_area {      /* zeroed at first */
    atomic_u32 tail;     /* entries written here; free-running, as head */
    atomic_u32 head;     /* entries read from the peer's area */
    atomic_u32 asleep;
    struct queue_entry entry[] aligned_to(64);
};
#define QUEUE_AREA_BYTES(entries) (sizeof(struct queue_area) + (entries) * sizeof(struct queue_entry))

enum queue_status {
    QUEUE_OK,
    QUEUE_EMPTY,         /* nothing to receive */
    QUEUE_FULL,          /* no room in the ring, or QUEUE_IDS outstanding */
    QUEUE_ID,            /* queue_pair_answer: no submission with this id was received, or it was answered */
    QUEUE_BROKEN,        /* the peer broke the contract: for good */
};

struct queue_pair {
    struct queue_area *own;
    const struct queue_area *peer;
    u32 entries;                     /* of each ring: a power of two, at most 2^31 */
    bool server;
    void (*sleep)(void *arg);        /* returns after a wake by the peer since the last sleep, takes all of them; may return early */
    void (*wake)(void *arg);
    void *arg;
    /* Zero at first. Never read back from shared memory. */
    bool broken;
    u32 tail, head;                  /* of the own area */
    u32 peer_tail, peer_head;        /* last seen */
    u64 outstanding;                 /* a bit per id: submitted (server: received), and not completed */
};

/* Client: the id is of the library's choice, the lowest that is free. */
must_check enum queue_status queue_pair_submit(struct queue_pair *q, u64 value, u32 *id);
/* Server: complete a submission, in any order. */
must_check enum queue_status queue_pair_answer(struct queue_pair *q, u32 id, u64 value);
/* Client: a completion. Server: a submission. */
must_check enum queue_status queue_pair_receive(struct queue_pair *q, u32 *id, u64 *value);
/* Sleep until there is something to receive or, if `room`, room in the ring to write to. */
must_check enum queue_status queue_pair_wait(struct queue_pair *q, bool room);
