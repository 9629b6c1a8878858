/* SPDX-License-Identifier: BSD-2-Clause */
/* What a kernel under test writes as a trace: collected, taken apart, each packet and event checked for its frame. */
#pragma once
#include <stdlib.h>
#include <string.h>
#include "abi/trace_words.h"
#include "cpu.h"
#include "guest_fixture.h"

#define STREAM_EVENTS 8192u

struct stream_event {
    const struct trace_event *e;
    u64 sequence, tsc, discarded;   /* discarded: as its packet has it */
    u32 cpu, packet;
};

struct stream {
    u8 *bytes;
    u32 count, packets;
    struct guest *g;
    struct cpu *cpu;
    struct stream_event event[STREAM_EVENTS];   /* in order of sequence, once stream_read was called */
    u32 events;
};

static inline void stream_sink(void *arg, const void *bytes, u32 count)
{
    struct stream *s = arg;
    assert_int_equal(s->g->f->k->trace_lock.held.v, 1);   /* CPUs take turns: a packet is never torn by another's */
    assert_true(count <= TRACE_PACKET_BYTES);
    s->bytes = realloc(s->bytes, s->count + count);
    memcpy(s->bytes + s->count, bytes, count);
    s->count += count;
    s->packets++;
}

/* Of the vCPU the STARTUP has been. Nobody traces yet: trace_init. */
static inline struct stream *stream_open_cpus(u32 cpus, enum sim_vendor vendor)
{
    struct stream *s = calloc(1, sizeof(*s));
    s->g = guest_open_cpus(cpus, vendor);
    guest_sim_trace(s->g->f->sim, stream_sink, s);
    s->cpu = fixture_cpu(s->g->f, 0);
    s->g->f->k->boot.trace_all = true;
    assert_null(s->cpu->trace);   /* nobody wanted it when the CPU came up */
    return s;
}

static inline struct stream *stream_open(enum sim_vendor vendor)
{
    return stream_open_cpus(2, vendor);
}

static inline struct stream *stream_traced(enum sim_vendor vendor)
{
    struct stream *s = stream_open(vendor);
    trace_init(s->cpu);
    return s;
}

static inline void stream_close(struct stream *s)
{
    guest_close(s->g);
    free(s->bytes);
    free(s);
}

static inline int stream_order(const void *a, const void *b)
{
    const struct stream_event *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static inline void stream_packet(struct stream *s, const u8 *at, u32 packet)
{
    static const u8 uuid[] = TRACE_UUID;
    const struct trace_packet *p = (const void *)at;
    const u32 bytes = (u32)(p->content_bits / 8);
    u64 tsc = p->begin, sequence = p->sequence;
    assert_int_equal(p->magic, TRACE_MAGIC);
    assert_memory_equal(p->uuid, uuid, sizeof(uuid));
    assert_int_equal(p->stream, 0);
    assert_int_equal(p->packet_bits, p->content_bits);
    for (u32 offset = sizeof(*p); offset < bytes;) {
        const struct trace_event *e = (const void *)(at + offset);
        assert_true(e->bytes >= sizeof(*e) && e->bytes <= bytes - offset);
        tsc += (u32)(e->tsc - (u32)tsc);
        sequence += (u32)(e->sequence - (u32)sequence);
        assert_true(s->events < STREAM_EVENTS);
        s->event[s->events++] = (struct stream_event){ e, sequence, tsc, p->discarded, p->cpu, packet };
        offset += e->bytes;
    }
    if (bytes > sizeof(*p))
        assert_int_equal(tsc, p->end);
}

/* All that was written, in order. */
static inline u32 stream_read(struct stream *s)
{
    s->events = 0;
    for (u32 at = 0, n = 0; at < s->count; n++) {
        const u32 bytes = (u32)(((const struct trace_packet *)(s->bytes + at))->content_bits / 8);
        assert_true(bytes >= sizeof(struct trace_packet) && bytes <= s->count - at);
        stream_packet(s, s->bytes + at, n);
        at += bytes;
    }
    qsort(s->event, s->events, sizeof(*s->event), stream_order);
    for (u32 i = 1; i < s->events; i++)
        assert_true(s->event[i].sequence > s->event[i - 1].sequence && s->event[i].tsc >= s->event[i - 1].tsc);
    return s->events;
}

static inline const struct trace_event *stream_last(const struct stream *s, u32 back)
{
    assert_true(s->events > back);
    return s->event[s->events - 1 - back].e;
}

static inline u32 stream_number(const struct stream *s, u32 id)
{
    u32 number = 0;
    for (u32 i = 0; i < s->events; i++)
        number += s->event[i].e->id == id;
    return number;
}

/* The n-th event of this kind; NULL: there are not so many. */
static inline const void *stream_find(const struct stream *s, u32 id, u32 n)
{
    for (u32 i = 0; i < s->events; i++)
        if (s->event[i].e->id == id && n-- == 0)
            return s->event[i].e;
    return NULL;
}

/* What a state, exit or entry does to the words of its vCPU. */
static inline void stream_apply(u64 word[TRACE_WORDS], const struct trace_event *e)
{
    const u8 *const number = (const u8 *)e + sizeof(struct trace_exit);
    const struct trace_small *const small = (const void *)(number + 2);
    const struct trace_large *const large = (const void *)(small + number[0]);
    if (e->id == TRACE_state)
        memset(word, 0, TRACE_WORDS * sizeof(*word));
    for (u32 i = 0; i < number[0]; i++) {
        assert_true(small[i].word < TRACE_WORDS && word[small[i].word] != small[i].value);   /* only what changes is written */
        word[small[i].word] = small[i].value;
    }
    for (u32 i = 0; i < number[1]; i++) {
        assert_true(large[i].word < TRACE_WORDS && word[large[i].word] != large[i].value && large[i].value >> 32);
        word[large[i].word] = large[i].value;
    }
    assert_int_equal((const u8 *)(large + number[1]) - (const u8 *)e, e->bytes);
}
