/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring of the tracer: one packet of abi/trace.h that is being filled, and what its CPU notes of the trap it handles. For trace*.c only.
 *
 *   lock_take(&r->lock)
 *   struct trace_exit *const e = trace_begin(cpu, TRACE_exit, TRACE_EVENT_MAX)     NULL: no room, counted
 *   ... its fields and its tail ...
 *   trace_commit(r, &e->event, bytes)
 *   lock_drop(&r->lock) */
#pragma once
#include "abi/trace_words.h"
#include "cpu.h"

#define TRACE_RING_BYTES 65536u
#define TRACE_RING_HEAD  128u
#define TRACE_EMPTY      ((u32)sizeof(struct trace_packet))

struct trace_ring {
    struct lock lock;
    u32 used;              /* bytes of the packet; TRACE_EMPTY: no event */
    u32 events;            /* in it */
    bool last, closed, live;   /* last: nothing but its end comes any more */
    bool full;             /* a packet was lost, so no words of a vCPU are known: nothing but the end follows */
    bool all;              /* traps and shootdowns, too, which no replay needs */
    u64 tsc, sequence;     /* of the last event */
    u64 told;              /* `discarded` of the last packet written out */

    /* The trap that is handled; no lock. */
    struct ec *ec;         /* whose hypercall or exception it is; NULL: nobody's, or its outcome is noted */
    struct ec *caller;     /* for whom ec worked then */
    u64 number, argument[2], rip;
    bool exception;
    u64 current;           /* physical address of the EC that went on last; 0: idle */

    union {
        struct trace_packet packet;
        u8 bytes[TRACE_RING_BYTES - TRACE_RING_HEAD];
    } aligned_to(64);
};
static_assert(sizeof(struct trace_ring) == TRACE_RING_BYTES && sizeof(((struct trace_ring *)0)->bytes) <= TRACE_PACKET_BYTES, "one block, one packet");

/* ring.lock held. */
void *trace_begin(struct cpu *cpu, enum trace_id id, u32 room);
void trace_commit(struct trace_ring *r, struct trace_event *e, u32 bytes);
void trace_lose(struct trace_ring *r);
void trace_flush(struct trace_ring *r);

/* trace_memory.c: trace=memory. */
void trace_memory_begin(void);
must_check bool trace_memory_keep(const void *bytes, u32 count, bool last);   /* false: no room */

/* At a moment at which the output may take its time. */
static inline void trace_drain(struct trace_ring *r, bool at_once)
{
    if (at_once || r->used >= sizeof(r->bytes) / 2)
        trace_flush(r);
}

static inline u64 trace_address(const struct ec *ec)
{
    return ec ? mach_virt_to_phys(ec) : 0;   /* the same in two runs of one seed */
}

/* An event without a tail, all at once. */
#define TRACE_NOTE(cpu, name, ...)                                                             \
    do {                                                                                       \
        struct trace_ring *const note_ring = (cpu)->trace;                                     \
        lock_take(&note_ring->lock);                                                           \
        struct trace_##name *const note = trace_begin(cpu, TRACE_##name, sizeof(*note));       \
        if (note) {                                                                            \
            const struct trace_event note_event = note->event;                                 \
            *note = (struct trace_##name){ note_event, __VA_ARGS__ };                          \
            trace_commit(note_ring, &note->event, sizeof(*note));                              \
        }                                                                                      \
        lock_drop(&note_ring->lock);                                                           \
    } while (0)
