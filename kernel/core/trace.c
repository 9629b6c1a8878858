/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace rings. A ring is a packet that is filled and then written out whole, so events are contiguous and never wrap.
 *
 *   | struct trace_packet | event | event | ...free |      used: the header and whole events
 *
 * Lock: ring.lock, as the CPU that shuts down writes out the rings of all; otherwise taken by its own CPU only, hence never waited for.
 * Inside it kern.trace_lock for the stream that all rings are written to: here a CPU does wait for another's output, but only while recording.
 * Charged to the kernel's quota; without memory for it a CPU records nothing, and as it cannot write `end` either, the trace is not whole. */
#include "trace_ring.h"

#define GAP bit(31)   /* two events of a packet are not that far apart, as they have 32 bits of TSC and sequence */

static bool output(const struct trace_ring *r)
{
    if (kern()->boot.trace_memory)
        return trace_memory_keep(r->bytes, r->used, r->last);
    mach_trace_write(r->bytes, r->used);
    return true;
}

/* The stream is one for all CPUs: packets are whole. */
void trace_flush(struct trace_ring *r)
{
    struct trace_packet *const p = &r->packet;
    if (r->used == TRACE_EMPTY && p->discarded == r->told)
        return;
    p->end = r->tsc;
    p->content_bits = p->packet_bits = r->used * 8ul;
    lock_take(&kern()->trace_lock);
    const bool written = output(r);
    lock_drop(&kern()->trace_lock);
    if (written) {
        r->told = p->discarded;
    } else {
        p->discarded += r->events;
        r->full = true;
    }
    r->used = TRACE_EMPTY;
    r->events = 0;
    p->begin = r->tsc;
    p->sequence = r->sequence;
}

void trace_lose(struct trace_ring *r)
{
    r->packet.discarded++;
}

void *trace_begin(struct cpu *cpu, enum trace_id id, u32 room)
{
    struct trace_ring *const r = cpu->trace;
    if (r->closed)
        return NULL;
    const u64 sequence = atomic_fetch_add(&cpu->kern->trace_sequence, 1), tsc = mach_tsc_read();
    if (r->used > TRACE_EMPTY && (tsc - r->tsc >= GAP || sequence - r->sequence >= GAP))
        trace_flush(r);
    if (r->used + room > sizeof(r->bytes) || (r->full && id != TRACE_end)) {
        trace_lose(r);
        return NULL;
    }
    if (r->used == TRACE_EMPTY) {
        r->packet.begin = tsc;
        r->packet.sequence = sequence;
    }
    r->tsc = tsc;
    r->sequence = sequence;
    struct trace_event *const e = (struct trace_event *)(r->bytes + r->used);
    *e = (struct trace_event){ .id = (u16)id, .tsc = (u32)tsc, .sequence = (u32)sequence };
    return e;
}

void trace_commit(struct trace_ring *r, struct trace_event *e, u32 bytes)
{
    e->bytes = (u16)bytes;
    r->used += bytes;
    r->events++;
}

void trace_init(struct cpu *cpu)
{
    static const u8 uuid[] = TRACE_UUID;
    const struct kern *const k = cpu->kern;
    const enum mach_trace wanted = k->boot.trace_memory ? MACH_TRACE_ON : mach_trace_wanted();
    void *p;
    if (wanted == MACH_TRACE_OFF || mem_alloc(k->mem, &cpu->kern->quota, sizeof(struct trace_ring), &p) != OK)
        return;
    struct trace_ring *const r = cpu->trace = p;
    r->live = wanted == MACH_TRACE_LIVE;
    r->all = k->boot.trace_all;
    r->used = TRACE_EMPTY;
    r->packet.magic = TRACE_MAGIC;
    r->packet.cpu = cpu->id;
    mach_copy(r->packet.uuid, uuid, sizeof(uuid));
    if (cpu->id != 0)
        return;
    if (k->boot.trace_memory)
        trace_memory_begin();
    TRACE_NOTE(cpu, machine, TRACE_VERSION, k->virt ? k->virt->vendor : 0, k->cpu_count, k->virt ? k->virt->groups & TRACE_GROUPS : 0, k->clock.tsc_khz);
    if (r->live)
        trace_flush(r);
}

static void close(struct trace_ring *r)
{
    lock_take(&r->lock);
    r->last = true;
    trace_flush(r);
    trace_flush(r);   /* what the first one found no room for is told */
    r->closed = true;
    lock_drop(&r->lock);
}

/* Of two CPUs that shut down the second waits until all is written, and has nothing to add. */
void trace_end(struct cpu *cpu, u32 code)
{
    struct kern *const k = cpu->kern;
    lock_take(&k->trace_end_lock);
    for (u32 i = 0; i < k->cpu_count; i++)
        if (k->cpu[i] != cpu && k->cpu[i]->trace)
            close(k->cpu[i]->trace);
    lock_take(&cpu->trace->lock);
    trace_flush(cpu->trace);
    lock_drop(&cpu->trace->lock);
    TRACE_NOTE(cpu, end, code);
    close(cpu->trace);
    lock_drop(&k->trace_end_lock);
}

void trace_value(struct cpu *cpu, u32 vcpu, u32 kind, u64 address, const void *data, u32 bytes)
{
    struct trace_ring *const r = cpu->trace;
    lock_take(&r->lock);
    struct trace_value *const e = trace_begin(cpu, TRACE_value, sizeof(*e) + 1 + TRACE_VALUE_BYTES);
    if (e) {
        u8 *const tail = (u8 *)(e + 1);
        e->vcpu = (u16)vcpu;
        e->kind = (u8)kind;
        e->address = address;
        tail[0] = (u8)bytes;
        mach_copy(tail + 1, data, bytes);
        trace_commit(r, &e->event, (u32)sizeof(*e) + 1 + bytes);
    }
    lock_drop(&r->lock);
}

void trace_shootdown(struct cpu *cpu, u64 generation, u64 cpus)
{
    if (cpu->trace->all)
        TRACE_NOTE(cpu, shootdown, generation, cpus);
}

void trace_flushed(struct cpu *cpu, u64 generation)
{
    if (cpu->trace->all)
        TRACE_NOTE(cpu, flushed, generation);
}
