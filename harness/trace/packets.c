/* SPDX-License-Identifier: BSD-2-Clause */
/* See packets.h. Nothing in a file is believed: each size is checked against what is there, each number against the one before it. */
#include "trace/packets.h"
#include <stdlib.h>
#include <string.h>
#include "trace/rows.h"

/* The place in a file. */
struct place {
    struct packets *p;
    struct trace_source *source;
    u16 file;
    u64 at, end;             /* of the packet; end of what can be read of it */
    const struct trace_packet *head;
    struct packets_cpu *cpu;
};

bool packets_refuse(struct trace *t, u16 file, u64 offset, const char *field, const char *why)
{
    if (!t->fault.why)
        t->fault = (struct trace_fault){ why, field, offset, file };
    return false;
}

/* What stands before `keep` was good. */
static bool stop(struct place *o, u64 keep, u64 offset, const char *field, const char *why)
{
    o->source->count = keep;
    return packets_refuse(o->p->trace, o->file, offset, field, why);
}

static bool append(struct packets *p, const struct trace_item *item)
{
    struct trace *const t = p->trace;
    if (t->count == p->room) {
        const u64 room = p->room ? 2 * p->room : 1024;
        struct trace_item *const more = realloc(t->event, room * sizeof(*more));
        if (!more)
            return false;
        t->event = more;
        p->room = room;
    }
    t->event[t->count++] = *item;
    return true;
}

#define HEAD_REFUSE(member, why) stop(o, o->at, o->at + offset_of(struct trace_packet, member), #member, why)

static bool head_check(struct place *o)
{
    static const u8 uuid[16] = TRACE_UUID;
    const struct trace_packet *const h = o->head = (const struct trace_packet *)(o->source->bytes + o->at);
    if (o->source->count - o->at < sizeof(*h))
        return stop(o, o->at, o->at, "packet", "the file ends in its header");
    if (h->magic != TRACE_MAGIC)
        return HEAD_REFUSE(magic, "not 0xc1fc1fc1: no CTF packet");
    if (memcmp(h->uuid, uuid, sizeof(uuid)) != 0)
        return HEAD_REFUSE(uuid, "not that of this format");
    if (h->stream != 0)
        return HEAD_REFUSE(stream, "must be 0");
    if (h->content_bits % 8 != 0 || h->content_bits < 8 * sizeof(*h) || h->content_bits > 8ul * TRACE_PACKET_BYTES)
        return HEAD_REFUSE(content_bits, "not the size of a packet");
    if (h->packet_bits != h->content_bits)
        return HEAD_REFUSE(packet_bits, "must be equal to content_bits");
    if (h->cpu >= TRACE_CPUS)
        return HEAD_REFUSE(cpu, "must be below 64");
    o->cpu = &o->p->cpu[h->cpu];
    if (o->cpu->seen && o->cpu->file != o->file)
        return HEAD_REFUSE(cpu, "stands in another file, too");
    if (h->begin > h->end || (o->cpu->seen && h->begin < o->cpu->tsc))
        return HEAD_REFUSE(begin, "not in the order of time");
    if (h->discarded < o->cpu->discarded)
        return HEAD_REFUSE(discarded, "less than in the packet before");
    return true;
}

/* Order, of packet and CPU; then the sizes of what is known. */
static bool event_check(struct place *o, const struct trace_event *e, u64 at, struct trace_item *item)
{
    const bool first = at == o->at + sizeof(*o->head);
    const u32 ahead = first ? 0 : e->sequence - (u32)item->sequence, later = e->tsc - (u32)item->tsc;
    const char *field, *why;
    item->sequence += ahead;
    item->tsc += later;
    if (first ? (u32)item->sequence != e->sequence || (o->cpu->events && item->sequence <= o->cpu->sequence) : ahead == 0 || ahead >> 31 || item->sequence < ahead)
        return stop(o, at, at + offset_of(struct trace_event, sequence), "sequence", "not in the order of the packet");
    if ((first && later != 0) || item->tsc > o->head->end)
        return stop(o, at, at + offset_of(struct trace_event, tsc), "tsc", "not in the order of time");
    const struct trace_row *const row = trace_row(e->id);
    if (row && (why = trace_row_refuse(row, e, &field)))
        return stop(o, at, at, field, why);
    if (e->id == TRACE_machine && (o->head->cpu != 0 || o->cpu->events))
        return stop(o, at, at, "id", "machine must be the first event of CPU 0");
    item->raw = e;
    item->offset = at;
    return true;
}

/* The events of a packet. *memory: what is returned if there is a fault or none; false: no memory. */
static bool events_read(struct place *o, bool *memory)
{
    const u64 first = o->p->trace->count;
    struct trace_item item = { .sequence = o->head->sequence, .tsc = o->head->begin, .cpu = (u16)o->head->cpu, .file = o->file };
    for (u64 at = o->at + sizeof(*o->head); at < o->end; at += item.raw->bytes) {
        const struct trace_event *const e = (const struct trace_event *)(o->source->bytes + at);
        if (o->end - at < sizeof(*e) || o->end - at < e->bytes)
            return stop(o, at, at, "event", "the file or its packet ends within it");
        if (e->bytes < sizeof(*e))
            return stop(o, at, at + offset_of(struct trace_event, bytes), "bytes", "less than an event's header");
        if (!event_check(o, e, at, &item))
            return false;
        if (!append(o->p, &item))
            return *memory = false;
        o->cpu->events++;
        o->cpu->sequence = item.sequence;
    }
    const u64 end = o->at + o->head->packet_bits / 8;
    if (end > o->end)
        return stop(o, o->end, o->end, "packet_bits", "the file ends before the packet does");
    if (item.tsc != o->head->end && o->p->trace->count > first) {
        o->p->trace->count = first;
        return HEAD_REFUSE(end, "not the time of its last event");
    }
    o->cpu->tsc = o->head->end;
    return true;
}

bool packets_read(struct packets *p, u16 file)
{
    struct place o = { .p = p, .source = &p->trace->source[file], .file = file };
    bool memory = true;
    while (o.at < o.source->count) {
        if (!head_check(&o))
            return true;
        p->packets++;
        o.cpu->seen = true;
        o.cpu->file = file;
        o.cpu->discarded = o.head->discarded;
        o.end = min(o.source->count, o.at + o.head->packet_bits / 8);
        if (!events_read(&o, &memory))
            return memory;
        o.at = o.end;
    }
    return true;
}
