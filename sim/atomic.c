/* SPDX-License-Identifier: BSD-2-Clause */
/* atomic.h in the process. One CPU runs at a time, so plain accesses are atomic; what makes them interesting is the schedule point before each.
 * Loads and stores go through the store buffer; a locked operation drains it first. A locked operation that changes nothing is a read.
 * Where nobody looks (sim_unnoted) the buffer is empty and nothing is recorded: what remains are the step and the judgement of the memory. */
#include <string.h>
#include "atomic.h"
#include "exposed.h"
#include "machine_model.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "store_buffer.h"
#include "translations.h"

#define SITE __builtin_return_address(0)

static struct sim_cpu *atomic_point(const void *address, u32 bytes, enum sim_op op, const void *site)
{
    struct sim_cpu *cpu = sim_this();
    sim_point(cpu, op, sim_object(cpu->sim, address), bytes, site);
    memory_check(cpu->sim, address, bytes, "atomic access");
    return cpu;
}

static inline void read_unnoted(struct sim_cpu *cpu, const void *address, u32 bytes)
{
    sim_tick(cpu);
    if (likely(exposed_plain(cpu->sim, address, bytes)))
        return;
    memory_check(cpu->sim, address, bytes, "atomic access");
    fetch_read(cpu, address, bytes);
}

static inline void write_unnoted(struct sim_cpu *cpu, const void *address, u32 bytes)
{
    sim_tick(cpu);
    if (unlikely(!exposed_plain(cpu->sim, address, bytes)))
        memory_check(cpu->sim, address, bytes, "atomic access");
    memory_stored(cpu->sim, address, bytes);
}

static inline u64 value_of(const void *address, u32 bytes)
{
    return bytes == 8 ? *(const u64 *)address : *(const u32 *)address;
}

static inline void put_unnoted(struct sim *s, void *address, u64 v, u32 bytes)
{
    if (value_of(address, bytes) == v)
        return;
    if (bytes == 8)
        *(u64 *)address = v;
    else
        *(u32 *)address = (u32)v;
    sim_wrote(s, unlikely(s->spinning != 0) ? sim_object(s, address) : OBJECT_NONE);
}

static inline struct sim_cpu *atomic_locked(const void *address, u32 bytes, enum sim_op op, const void *site)
{
    struct sim_cpu *cpu = sim_this();
    cpu->sim->counts.of[SIM_COUNT_LOCK]++;
    if (likely(sim_unnoted(cpu))) {
        write_unnoted(cpu, address, bytes);
        return cpu;
    }
    atomic_point(address, bytes, op, site);
    memory_stored(cpu->sim, address, bytes);
    store_drain(cpu);
    race_acquire(cpu, (u64)address);
    return cpu;
}

/* What a locked operation does to the word. `adds`: it commutes with others of its kind, as nobody looks at the result. */
static void put_noted(struct sim_cpu *cpu, atomic_u64 *a, u64 v, bool adds)
{
    const u64 old = a->v;
    const u64 object = cpu->pending.object;
    if (old == v && !adds) {
        race_atomic(cpu, a, 8, false, cpu->pending.site);
        cpu->fenced = race_store(cpu);
        sim_did(cpu, OP_RMW_SAME, EFFECT_READ, object, old, old);
        return;
    }
    race_atomic(cpu, a, 8, true, cpu->pending.site);
    cpu->fenced = race_release(cpu, (u64)a);
    if (old != v) {
        undo_write(cpu->sim, a, 8);
        translations_wrote(cpu->sim, a, old, v);
        a->v = v;
        sim_wrote(cpu->sim, object);
    }
    sim_did(cpu, adds ? OP_ADD : OP_RMW, adds ? EFFECT_ADD : EFFECT_WRITE, object, old, v);
}

static inline void atomic_put(struct sim_cpu *cpu, atomic_u64 *a, u64 v, bool adds)
{
    if (likely(sim_unnoted(cpu)))
        put_unnoted(cpu->sim, a, v, 8);
    else
        put_noted(cpu, a, v, adds);
}

static u64 load_noted(const void *a, u32 bytes, bool relaxed, const void *site)
{
    struct sim_cpu *cpu = atomic_point(a, bytes, OP_LOAD, site);
    bool own;
    fetch_read(cpu, a, bytes);
    const u64 value = store_read(cpu, a, bytes, &own);
    if (!own && !relaxed)
        race_acquire(cpu, (u64)a);
    race_atomic(cpu, a, bytes, false, (u64)site);
    sim_did(cpu, OP_LOAD, own ? EFFECT_NONE : EFFECT_READ, cpu->pending.object, value, value);
    return value;
}

static inline u64 load(const void *a, u32 bytes, bool relaxed, const void *site)
{
    struct sim_cpu *cpu = sim_this();
    if (unlikely(!sim_unnoted(cpu)))
        return load_noted(a, bytes, relaxed, site);
    read_unnoted(cpu, a, bytes);
    return value_of(a, bytes);
}

u64 atomic_load(const atomic_u64 *a)
{
    return load(a, 8, false, SITE);
}

u64 atomic_load_relaxed(const atomic_u64 *a)
{
    return load(a, 8, true, SITE);
}

static void store_noted(void *a, u64 v, u32 bytes, bool relaxed, const void *site)
{
    struct sim_cpu *cpu = atomic_point(a, bytes, OP_STORE, site);
    memory_stored(cpu->sim, a, bytes);
    race_atomic(cpu, a, bytes, true, (u64)site);
    store_write(cpu, a, v, bytes, relaxed ? RACE_NOTHING : race_store(cpu));
}

static inline void store(void *a, u64 v, u32 bytes, bool relaxed, const void *site)
{
    struct sim_cpu *cpu = sim_this();
    if (unlikely(!sim_unnoted(cpu))) {
        store_noted(a, v, bytes, relaxed, site);
        return;
    }
    write_unnoted(cpu, a, bytes);
    put_unnoted(cpu->sim, a, v, bytes);
}

void atomic_store(atomic_u64 *a, u64 v)
{
    store(a, v, 8, false, SITE);
}

void atomic_store_relaxed(atomic_u64 *a, u64 v)
{
    store(a, v, 8, true, SITE);
}

u64 atomic_xchg(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    const u64 old = a->v;
    atomic_put(cpu, a, v, false);
    return old;
}

/* A failed compare-and-swap has told the program what stands there: its next turn is another, unless it knew that. */
static void cas_failed(struct sim_cpu *cpu, const atomic_u64 *a, u64 value)
{
    if (sim_unnoted(cpu))
        cpu->pending.object = sim_object(cpu->sim, a);
    cpu->turn_wrote |= cpu->cas_object != cpu->pending.object || cpu->cas_value != value;
    cpu->turn_cas = true;
    cpu->cas_object = cpu->pending.object;
    cpu->cas_value = value;
}

bool atomic_cas(atomic_u64 *a, u64 *expected, u64 desired)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    const u64 old = a->v;
    const bool same = old == *expected;
    atomic_put(cpu, a, same ? desired : old, false);
    if (!same)
        cas_failed(cpu, a, old);
    *expected = old;
    return same;
}

u64 atomic_fetch_add(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    const u64 old = a->v;
    atomic_put(cpu, a, old + v, false);
    return old;
}

u64 atomic_fetch_or(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    const u64 old = a->v;
    atomic_put(cpu, a, old | v, false);
    return old;
}

u64 atomic_fetch_and(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    const u64 old = a->v;
    atomic_put(cpu, a, old & v, false);
    return old;
}

void atomic_add(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_ADD, SITE);
    atomic_put(cpu, a, a->v + v, true);
}

/* Or and and commute with themselves, not with add: only adds are told apart. */
void atomic_or(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    atomic_put(cpu, a, a->v | v, false);
}

void atomic_and(atomic_u64 *a, u64 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 8, OP_RMW, SITE);
    atomic_put(cpu, a, a->v & v, false);
}

u32 atomic_load32(const atomic_u32 *a)
{
    return (u32)load(a, 4, false, SITE);
}

void atomic_store32(atomic_u32 *a, u32 v)
{
    store(a, v, 4, false, SITE);
}

u32 atomic_xchg32(atomic_u32 *a, u32 v)
{
    struct sim_cpu *cpu = atomic_locked(a, 4, OP_RMW, SITE);
    const u32 old = a->v;
    if (likely(sim_unnoted(cpu))) {
        put_unnoted(cpu->sim, a, v, 4);
        return old;
    }
    const bool same = old == v;
    race_atomic(cpu, a, 4, true, cpu->pending.site);
    cpu->fenced = race_release(cpu, (u64)a);
    if (!same) {
        undo_write(cpu->sim, a, 4);
        a->v = v;
        sim_wrote(cpu->sim, cpu->pending.object);
    }
    sim_did(cpu, same ? OP_RMW_SAME : OP_RMW, same ? EFFECT_READ : EFFECT_WRITE, cpu->pending.object, old, v);
    return old;
}

void atomic_fence(void)
{
    sim_count(SIM_COUNT_FENCE);
    struct sim_cpu *cpu = sim_this();
    sim_point(cpu, OP_FENCE, OBJECT_CPU(cpu->id), 0, SITE);
    store_drain(cpu);
    cpu->fenced = race_store(cpu);
    sim_did(cpu, OP_FENCE, EFFECT_NONE, OBJECT_CPU(cpu->id), 0, 0);
}
