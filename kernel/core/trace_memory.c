/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace in memory, struct trace_memory of abi/trace.h. Whole after each packet: what a machine that crashes has left can be read.
 * The end of it is kept for how traces end: `end`, and what each CPU could not write. Lock: kern.trace_lock. */
#include "trace_ring.h"

#define LAST_BYTES (sizeof(struct trace_packet) + sizeof(struct trace_end))
#define RESERVED   ((CPU_MAX + 1) * LAST_BYTES)

static struct trace_memory *area(void)
{
    return mach_phys_to_virt(TRACE_MEMORY_ADDRESS);
}

static u64 sum(u64 before, const u8 *data, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        before = (before ^ data[i]) * TRACE_MEMORY_PRIME;
    return before;
}

/* What the kernel before this one has left, if that is what lies there. */
static void hand_on(struct trace_memory *m)
{
    if (m->magic != TRACE_MEMORY_MAGIC || m->read || m->bytes > sizeof(m->data) || sum(TRACE_MEMORY_SUM, m->data, m->bytes) != m->sum)
        return;
    for (u64 at = 0; at < m->bytes; at += TRACE_PACKET_BYTES)
        mach_trace_write(m->data + at, (u32)min(m->bytes - at, (u64)TRACE_PACKET_BYTES));
    m->read = 1;
}

void trace_memory_begin(void)
{
    struct trace_memory *const m = area();
    if (mach_trace_wanted() != MACH_TRACE_OFF)
        hand_on(m);
    mach_zero(m, offset_of(struct trace_memory, data));
    m->sum = TRACE_MEMORY_SUM;
    m->magic = TRACE_MEMORY_MAGIC;
}

bool trace_memory_keep(const void *bytes, u32 count, bool last)
{
    struct trace_memory *const m = area();
    const u64 room = sizeof(m->data) - (last && count <= LAST_BYTES ? 0 : RESERVED);
    if (m->bytes + count > room)
        return false;
    mach_copy(m->data + m->bytes, bytes, count);
    m->sum = sum(m->sum, bytes, count);
    m->bytes += count;
    return true;
}
