/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace rings. A ring is filled from the start and written out whole, so records are contiguous and never wrap.
 *
 *   | record | record | LOST? | record | ...free |      used: bytes of whole records
 *
 * Lock: ring.lock, as the CPU that shuts down writes out the rings of all; otherwise taken by its own CPU only, hence never waited for.
 * Inside it kern.trace_lock for the stream that all rings are written to: here a CPU does wait for another's output, but only while recording.
 * Charged to the kernel's quota; without memory for it there is no trace and nothing else changes. */
#include "trace.h"
#include "abi/vcpu_groups.h"
#include "cpu.h"
#include "vcpu.h"

#define RING_BYTES 65536u
#define RING_DATA  (RING_BYTES - 64u)

struct trace_ring {
    struct lock lock;
    u32 used;
    bool closed;
    u64 lost;        /* records dropped since the last one that found room */
    u8 reserved[40];
    u8 data[RING_DATA];
};
static_assert(sizeof(struct trace_ring) == RING_BYTES, "one block of the allocator");
static_assert(TRACE_RECORD_MAX <= RING_DATA / 4, "room for many");

static struct trace_header header(struct cpu *cpu, enum trace_type type, u32 bytes, u32 vcpu)
{
    return (struct trace_header){ .type = (u16)type,
                                  .bytes = (u16)bytes,
                                  .cpu = (u16)cpu->id,
                                  .vcpu = (u16)vcpu,
                                  .sequence = atomic_fetch_add(&cpu->kern->trace_sequence, 1),
                                  .tsc = mach_tsc_read() };
}

static void put(struct trace_ring *r, const void *bytes, u32 count)
{
    mach_copy(r->data + r->used, bytes, count);
    r->used += count;
}

/* ring.lock held. Room for a record of `bytes` and, if records were lost, for the note that says so? */
static bool room(struct cpu *cpu, struct trace_ring *r, u32 bytes)
{
    const u32 note = r->lost ? sizeof(struct trace_lost) : 0;
    if (r->closed || r->used + note + bytes > RING_DATA) {
        r->lost++;
        return false;
    }
    if (note) {
        const struct trace_lost lost = { header(cpu, TRACE_LOST, sizeof(lost), 0), r->lost };
        put(r, &lost, sizeof(lost));
        r->lost = 0;
    }
    return true;
}

/* The stream is one for all CPUs. */
static void stream(const void *bytes, u32 count)
{
    lock_take(&kern()->trace_lock);
    mach_trace_write(bytes, count);
    lock_drop(&kern()->trace_lock);
}

static void flush(struct trace_ring *r)
{
    if (r->used)
        stream(r->data, r->used);
    r->used = 0;
}

static u32 payload_bytes(u32 groups)
{
    u32 bytes = 0;
    for (u32 left = groups; left; left &= left - 1)
        bytes += vcpu_group_range[__builtin_ctz(left)].bytes;
    return bytes;
}

static void payload(struct trace_ring *r, const struct vcpu_state *s, u32 groups)
{
    for (u32 left = groups; left; left &= left - 1) {
        const struct vcpu_group_range *const g = &vcpu_group_range[__builtin_ctz(left)];
        put(r, (const u8 *)s + g->offset, g->bytes);
    }
}

void trace_exit(struct cpu *cpu, struct vcpu *v)
{
    struct trace_ring *const r = cpu->trace;
    const u32 groups = (v->valid | (TRACE_EXIT_GROUPS & cpu->kern->virt->groups)) & ~VCPU_GROUP_FPU, bytes = sizeof(struct trace_exit) + payload_bytes(groups);
    lock_take(&r->lock);
    if (room(cpu, r, bytes)) {
        const struct trace_exit record = { header(cpu, TRACE_EXIT, bytes, v->id), groups, 0, v->state->exit, v->state->pending };
        put(r, &record, sizeof(record));
        /* Not out of the state page: the VMM may write there by now. */
        v->copy->inject = v->copy->inject_insn_len = v->copy->windows = 0;
        cpu->kern->virt->store(cpu, v, v->copy, groups);
        payload(r, v->copy, groups);
    }
    lock_drop(&r->lock);
}

void trace_entry(struct cpu *cpu, const struct vcpu *v, const struct vcpu_state *copy, u32 dirty, u32 want)
{
    struct trace_ring *const r = cpu->trace;
    const u32 groups = dirty & ~VCPU_GROUP_FPU, bytes = sizeof(struct trace_entry) + payload_bytes(groups);
    lock_take(&r->lock);
    if (room(cpu, r, bytes)) {
        const struct trace_entry record = { header(cpu, TRACE_ENTRY, bytes, v->id), groups, want };
        put(r, &record, sizeof(record));
        payload(r, copy, groups);
    }
    flush(r);   /* whoever reads along, a replay, sees an entry before its guest runs */
    lock_drop(&r->lock);
}

void trace_drain(struct cpu *cpu)
{
    struct trace_ring *const r = cpu->trace;
    if (!r)
        return;
    lock_take(&r->lock);
    if (r->used >= RING_DATA / 2)
        flush(r);
    lock_drop(&r->lock);
}

static void file_head(struct cpu *cpu)
{
    const struct kern *const k = cpu->kern;
    const struct trace_file file = { TRACE_MAGIC, TRACE_VERSION, k->virt ? k->virt->vendor : 0, k->cpu_count, k->virt ? k->virt->groups : 0,
                                     k->clock.tsc_khz };
    stream(&file, sizeof(file));
}

void trace_init(struct cpu *cpu)
{
    void *p;
    if (!mach_trace_wanted())
        return;
    if (cpu->id == 0)
        file_head(cpu);
    if (mem_alloc(cpu->kern->mem, &cpu->kern->quota, sizeof(struct trace_ring), &p) == OK)
        cpu->trace = p;
}

/* A LOST record at the very end says what did not fit, although there is no record after it. */
static void close(struct cpu *cpu, struct trace_ring *r)
{
    lock_take(&r->lock);
    if (!r->closed) {
        flush(r);
        if (r->lost)
            (void)room(cpu, r, 0);
        flush(r);
        r->closed = true;
    }
    lock_drop(&r->lock);
}

void trace_end(struct cpu *cpu)
{
    if (!cpu->trace)
        return;
    for (u32 i = 0; i < cpu->kern->cpu_count; i++) {
        struct cpu *const other = cpu->kern->cpu[i];
        if (other && other->trace)
            close(other, other->trace);
    }
    const struct trace_header end = header(cpu, TRACE_END, sizeof(end), 0);
    stream(&end, sizeof(end));
}
