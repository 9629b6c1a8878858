/* SPDX-License-Identifier: BSD-2-Clause */
/* atomic.h in the process. One CPU runs at a time, so plain accesses are atomic; what makes them interesting is the schedule point before each.
 * Loads and stores go through the store buffer; a locked operation drains it. */
#include <string.h>
#include "atomic.h"
#include "machine_model.h"
#include "memory.h"
#include "store_buffer.h"
#include "translations.h"

static struct sim_cpu *atomic_point(const void *address, u32 bytes)
{
    struct sim_cpu *cpu = sim_this();
    sim_step(cpu);
    memory_check(cpu->sim, address, bytes, "atomic access");
    cpu->turn_looked = true;
    return cpu;
}

/* A locked read-modify-write: what stood there; writes only if it differs. */
static void atomic_put(struct sim_cpu *cpu, atomic_u64 *a, u64 v)
{
    if (a->v == v)
        return;
    translations_wrote(cpu->sim, a, a->v, v);
    a->v = v;
    sim_wrote(cpu->sim);
}

static struct sim_cpu *atomic_locked(const void *address, u32 bytes)
{
    struct sim_cpu *cpu = atomic_point(address, bytes);
    store_drain(cpu);
    return cpu;
}

u64 atomic_load(const atomic_u64 *a)
{
    return store_read(atomic_point(a, 8), a, 8);
}

u64 atomic_load_relaxed(const atomic_u64 *a)
{
    return store_read(atomic_point(a, 8), a, 8);
}

void atomic_store(atomic_u64 *a, u64 v)
{
    store_write(atomic_point(a, 8), a, v, 8);
}

void atomic_store_relaxed(atomic_u64 *a, u64 v)
{
    store_write(atomic_point(a, 8), a, v, 8);
}

u64 atomic_xchg(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8);
    const u64 old = a->v;
    atomic_put(cpu, a, v);
    return old;
}

bool atomic_cas(atomic_u64 *a, u64 *expected, u64 desired)
{
    struct sim_cpu *cpu = atomic_locked(a, 8);
    const u64 old = a->v;
    const bool same = old == *expected;
    if (same)
        atomic_put(cpu, a, desired);
    *expected = old;
    return same;
}

u64 atomic_fetch_add(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8);
    const u64 old = a->v;
    atomic_put(cpu, a, old + v);
    return old;
}

u64 atomic_fetch_or(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8);
    const u64 old = a->v;
    atomic_put(cpu, a, old | v);
    return old;
}

u64 atomic_fetch_and(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8);
    const u64 old = a->v;
    atomic_put(cpu, a, old & v);
    return old;
}

void atomic_add(atomic_u64 *a, u64 v)
{
    atomic_fetch_add(a, v);
}

void atomic_or(atomic_u64 *a, u64 v)
{
    atomic_fetch_or(a, v);
}

void atomic_and(atomic_u64 *a, u64 v)
{
    atomic_fetch_and(a, v);
}

u32 atomic_load32(const atomic_u32 *a)
{
    return (u32)store_read(atomic_point(a, 4), a, 4);
}

void atomic_store32(atomic_u32 *a, u32 v)
{
    store_write(atomic_point(a, 4), a, v, 4);
}

u32 atomic_xchg32(atomic_u32 *a, u32 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 4);
    const u32 old = a->v;
    if (old != v) {
        a->v = v;
        sim_wrote(cpu->sim);
    }
    return old;
}

void atomic_fence(void)
{
    struct sim_cpu *cpu = sim_this();
    sim_step(cpu);
    store_drain(cpu);
}
